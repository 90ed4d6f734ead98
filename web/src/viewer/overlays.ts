/** The words in the four corners of an image, from its own header. Layer: web/viewer. */
import type { ViewState } from '../engine/engine.ts';
import { planeOf, textOf, type DicomJson } from '../engine/instance.ts';
import type { Frame } from '../engine/stack.ts';
import { formatDate, formatTime, personName } from '../ui/format.ts';

export interface Corners {
  readonly topLeft: string[];
  readonly topRight: string[];
  readonly bottomLeft: string[];
  readonly bottomRight: string[];
}

interface NameValue {
  readonly Alphabetic?: string;
  readonly Ideographic?: string;
  readonly Phonetic?: string;
}

/** PN of DICOM JSON (PS3.18 §F.2.2): the patient's own script beside the alphabetic form. */
export function nameOf(json: DicomJson): string {
  const value = (json['00100010']?.Value?.[0] ?? {}) as NameValue;
  const { main, beside } = personName({ alphabetic: value.Alphabetic ?? '', ideographic: value.Ideographic });
  return [main, beside].filter(Boolean).join(' · ');
}

export interface OverlayWords {
  readonly image: string;
  readonly window: string;
  readonly thickness: string;
  readonly position: string;
  readonly lossy: string;
  readonly pixels: string;
  readonly table: string;
  readonly zoom: string;
}

export function corners(
  frame: Frame,
  at: number,
  total: number,
  state: ViewState | null,
  language: string,
  words: OverlayWords,
): Corners {
  const { json } = frame.instance;
  const plane = planeOf(json, frame.index);
  const text = (tag: string): string => textOf(json, tag);
  const round = (value: number): string => String(Math.round(value * 10) / 10);
  const present = (lines: readonly string[]): string[] => lines.filter((line) => line.trim() !== '');
  return {
    topLeft: present([
      nameOf(json),
      text('00100020'),
      present([formatDate(text('00100030'), language), text('00100040')]).join(' '),
    ]),
    topRight: present([
      present([formatDate(text('00080020'), language), formatTime(text('00080030'))]).join(' '),
      text('00081030'),
      present([text('00200011') && `#${text('00200011')}`, text('0008103E')]).join(' '),
      text('00080080'),
    ]),
    bottomLeft: present([
      `${words.image} ${at + 1}/${total}`,
      state ? `${words.zoom} ${Math.round(state.zoom * 100)} %` : '',
      state?.table ? words.table : '',
      state?.window ? `${words.window} ${round(state.window.centre)} / ${round(state.window.width)}` : '',
      plane.spacing ? '' : words.pixels,
    ]),
    bottomRight: present([
      plane.thickness === null ? '' : `${words.thickness} ${round(plane.thickness)} mm`,
      plane.position ? `${words.position} ${plane.position.map(round).join(' / ')} mm` : '',
      frame.instance.laterality,
      frame.instance.lossy ? words.lossy : '',
    ]),
  };
}
