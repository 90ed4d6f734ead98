/**
 * Which greys an image may be shown in: the windows and lookup tables it came with, and the usual ones of its modality.
 *
 * Source: PS3.3 §C.11.2 (VOI LUT), §C.11.2.1.2 (windows and their explanations), §C.7.6.16.2.10 (Frame VOI LUT).
 * Layer:  web/engine.
 */
import { itemsOf, numbersOf, textOf, type DicomJson } from './instance.ts';

/** `file` and `table` count from zero among those of the image. */
export type GreyChoice =
  | {
      readonly kind: 'file';
      readonly at: number;
      readonly explanation: string;
      readonly centre: number;
      readonly width: number;
    }
  | { readonly kind: 'table'; readonly at: number; readonly explanation: string }
  | { readonly kind: 'window'; readonly key: string; readonly centre: number; readonly width: number }
  /** From the least to the greatest value of the image on the screen. */
  | { readonly kind: 'full' };

/** Centre and width in HU, the usual ones of reading rooms. */
const CT_WINDOWS = [
  { key: 'soft', centre: 40, width: 400 },
  { key: 'lung', centre: -600, width: 1500 },
  { key: 'bone', centre: 480, width: 2500 },
  { key: 'brain', centre: 40, width: 80 },
  { key: 'stroke', centre: 35, width: 35 },
  { key: 'liver', centre: 90, width: 150 },
  { key: 'mediastinum', centre: 50, width: 350 },
  { key: 'angio', centre: 300, width: 600 },
] as const;

/** Upper ends of the usual PET greys, in SUV by body weight. */
const PET_SUV = [5, 7, 10, 15] as const;

/** Everything a person may choose for this frame, in the order of the menu; the first is how it is shown at first. */
export function greyChoices(json: DicomJson, frame: number): GreyChoice[] {
  return [
    ...fileWindows(json, frame),
    ...itemsOf(json, '00283010').map((item, at): GreyChoice => ({
      kind: 'table',
      at,
      explanation: textOf(item, '00283003'),
    })),
    ...usualWindows(json),
    ...(isColour(json) ? [] : [{ kind: 'full' } as const]),
  ];
}

function fileWindows(json: DicomJson, frame: number): GreyChoice[] {
  const groups = [itemsOf(json, '52009230')[frame], itemsOf(json, '52009229')[0]];
  const sources = [...groups.map((group) => itemsOf(group, '00289132')[0]), json];
  const source = sources.find((one) => one !== undefined && numbersOf(one, '00281050').length > 0);
  if (!source || isColour(json)) return [];
  const widths = numbersOf(source, '00281051');
  const words = source['00281055']?.Value ?? [];
  return numbersOf(source, '00281050').flatMap((centre, at): GreyChoice[] => {
    const width = widths[at];
    const word = words[at];
    return width === undefined || width <= 0
      ? []
      : [{ kind: 'file', at, explanation: typeof word === 'string' ? word.trim() : '', centre, width }];
  });
}

function usualWindows(json: DicomJson): GreyChoice[] {
  const modality = textOf(json, '00080060');
  if (modality === 'CT' && isHounsfield(json))
    return CT_WINDOWS.map((one): GreyChoice => ({ kind: 'window', ...one }));
  const perSuv = modality === 'PT' ? valuePerSuv(json) : null;
  if (perSuv === null) return [];
  return PET_SUV.map((suv): GreyChoice => ({
    kind: 'window',
    key: `suv${suv}`,
    centre: (suv * perSuv) / 2,
    width: suv * perSuv,
  }));
}

const isColour = (json: DicomJson): boolean => (numbersOf(json, '00280002')[0] ?? 1) > 1;

/** PS3.3 §C.8.2.1.1.2: the rescaled values of a CT are HU unless Rescale Type says otherwise. */
export function isHounsfield(json: DicomJson): boolean {
  const type = textOf(json, '00281054');
  return (
    textOf(json, '00080060') === 'CT' && json['00281053'] !== undefined && (type === '' || type === 'HU')
  );
}

/**
 * The value of a PET pixel, after rescaling, that is SUV 1 by body weight; null where the header does not say all that is
 * needed.
 *
 * Source: PS3.3 §C.8.9.1 (Units, Decay Correction), §C.8.9.2 (radiopharmaceutical). Only BQML corrected to the start.
 */
export function valuePerSuv(json: DicomJson): number | null {
  const drug = itemsOf(json, '00540016')[0];
  const weight = numbersOf(json, '00101030')[0];
  const dose = numbersOf(drug, '00181074')[0];
  const halfLife = numbersOf(drug, '00181075')[0];
  const given = secondsOf(textOf(drug ?? {}, '00181072'));
  const scanned = secondsOf(textOf(json, '00080031'));
  const sameDay = given !== null && scanned !== null && scanned >= given;
  if (textOf(json, '00541001') !== 'BQML' || textOf(json, '00541102') !== 'START') return null;
  if (!weight || !dose || !halfLife || !sameDay) return null;
  const left = dose * 2 ** (-(scanned - given) / halfLife);
  return left / (weight * 1000);
}

/** TM (PS3.5 §6.2) as seconds of the day. */
function secondsOf(time: string): number | null {
  const match = /^(\d\d)(\d\d)(\d\d)?/.exec(time);
  return match ? Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3] ?? 0) : null;
}

export interface GreyTable {
  /** The value mapped to the first entry; lower ones get it too. */
  readonly first: number;
  /** Shares of white, 0 to 1. */
  readonly shares: readonly number[];
}

/** The table's data as they lie in the object, little endian. @returns null for a table that contradicts itself. */
export function greyTable(item: DicomJson, data: Uint8Array): GreyTable | null {
  const [count = 0, first = 0, bits = 0] = numbersOf(item, '00283002');
  const entries = count === 0 ? 65_536 : count;
  if (bits < 1 || bits > 16 || data.length < entries) return null;
  const wide = data.length >= entries * 2;
  const top = 2 ** bits - 1;
  const shares = Array.from({ length: entries }, (_, at) => {
    const value = wide ? (data[at * 2] ?? 0) + ((data[at * 2 + 1] ?? 0) << 8) : (data[at] ?? 0);
    return Math.min(1, value / top);
  });
  return { first, shares };
}
