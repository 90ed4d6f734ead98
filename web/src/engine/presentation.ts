/**
 * How one image is shown: window or lookup table, and which way the patient lies on the screen.
 *
 * Source: PS3.3 §C.11.2 (VOI LUT), §C.7.6.1.1.1 (patient directions).
 * Layer:  web/engine.
 */
import { utilities, type Types } from '@cornerstonejs/core';
import { itemsOf, type DicomJson } from './instance.ts';
import { directionLetters } from './stack.ts';
import { greyTable, type GreyChoice, type GreyTable } from './voi.ts';

/** A table is drawn by `drawTable` after its data came; here it changes nothing. */
export function applyChoice(viewport: Types.IStackViewport, choice: GreyChoice): void {
  switch (choice.kind) {
    case 'file': {
      if (choice.at > 0) return setWindow(viewport, choice.centre, choice.width);
      // The first window is the default: each image its own, as it scrolls.
      const { invert = false } = viewport.getProperties();
      viewport.resetProperties();
      if (viewport.getProperties().invert !== invert) viewport.setProperties({ invert });
      return;
    }
    case 'window':
      return setWindow(viewport, choice.centre, choice.width);
    case 'full': {
      const { minPixelValue: lower, maxPixelValue: upper } = viewport.getCornerstoneImage();
      viewport.setProperties({ voiRange: { lower, upper: Math.max(upper, lower + 1) } });
      return;
    }
    case 'table':
      return;
    default:
      choice satisfies never;
  }
}

interface TransferFunction {
  removeAllPoints(): void;
  addRGBPoint(x: number, r: number, g: number, b: number): void;
}

/** Cornerstone knows windows only: the table becomes the points of its transfer function. */
export function drawTable(viewport: Types.IStackViewport, { first, shares }: GreyTable): void {
  viewport.setProperties({ voiRange: { lower: first, upper: first + shares.length - 1 } });
  const actor = viewport.getActors()[0]?.actor as
    { getProperty(): { getRGBTransferFunction(index: number): TransferFunction | undefined } } | undefined;
  const curve = actor?.getProperty().getRGBTransferFunction(0);
  if (!curve) return;
  const inverted = viewport.getProperties().invert === true;
  curve.removeAllPoints();
  shares.forEach((share, at) => {
    const white = inverted ? 1 - share : share;
    curve.addRGBPoint(first + at, white, white, white);
  });
}

function setWindow(viewport: Types.IStackViewport, centre: number, width: number): void {
  viewport.setProperties({ voiRange: utilities.windowLevel.toLowHighRange(width, centre) });
}

/** LUT Data (0028,3006) of one item, from the header or where it points to. */
export async function readTable(json: DicomJson, at: number): Promise<GreyTable | null> {
  const item = itemsOf(json, '00283010')[at];
  const data = item?.['00283006'];
  if (!item || !data) return null;
  if (data.InlineBinary !== undefined)
    return greyTable(
      item,
      Uint8Array.from(atob(data.InlineBinary), (char) => char.charCodeAt(0)),
    );
  if (data.BulkDataURI === undefined) {
    const words = Uint16Array.from((data.Value ?? []).map(Number));
    return greyTable(item, new Uint8Array(words.buffer));
  }
  // The path only: behind a proxy the address in the header may be another one.
  const { pathname } = new URL(data.BulkDataURI, window.location.href);
  const answer = await fetch(pathname, {
    credentials: 'same-origin',
    headers: { accept: 'application/octet-stream' },
  }).catch(() => undefined);
  return answer?.ok ? greyTable(item, new Uint8Array(await answer.arrayBuffer())) : null;
}

/** Centre and width as PS3.3 §C.11.2.1.2 counts them. */
export function windowOf({ lower, upper }: { lower: number; upper: number }): {
  centre: number;
  width: number;
} {
  const { windowCenter, windowWidth } = utilities.windowLevel.toWindowLevel(lower, upper);
  return { centre: windowCenter, width: windowWidth };
}

/** Letters of the patient's directions at the top, right, bottom and left edge. */
export function edges(viewport: Types.IStackViewport): [string, string, string, string] {
  const { clientWidth: width, clientHeight: height } = viewport.element;
  const middle = viewport.canvasToWorld([width / 2, height / 2]);
  const towards = (x: number, y: number): string => {
    const end = viewport.canvasToWorld([x, y]);
    const way = end.map((value, at) => value - (middle[at] ?? 0));
    const length = Math.hypot(...way) || 1;
    return directionLetters(way.map((value) => value / length));
  };
  return [
    towards(width / 2, 0),
    towards(width, height / 2),
    towards(width / 2, height),
    towards(0, height / 2),
  ];
}
