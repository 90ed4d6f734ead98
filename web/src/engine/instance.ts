/**
 * What the viewer needs of one image object, read from its DICOM JSON metadata.
 *
 * Source: PS3.18 Annex F (DICOM JSON); PS3.3 §C.7.6.2 (plane), §C.7.6.16 (functional groups), §C.7.6.3 (pixels).
 * Layer:  web/engine.
 */

export interface JsonElement {
  readonly vr: string;
  readonly Value?: readonly unknown[];
  /** Base64 (PS3.18 §F.2.7). */
  readonly InlineBinary?: string;
  /** Where the bytes are (PS3.18 §F.2.6). */
  readonly BulkDataURI?: string;
}
export type DicomJson = Readonly<Record<string, JsonElement | undefined>>;

export interface Instance {
  readonly json: DicomJson;
  readonly sopUid: string;
  readonly seriesUid: string;
  readonly number: number | null;
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
  readonly modality: string;
  /** Milliseconds from frame to frame (Frame Time or rate), or null. */
  readonly frameMs: number | null;
  readonly laterality: string;
  /** Lossy Image Compression (0028,2110) is '01'. */
  readonly lossy: boolean;
  readonly hasPixels: boolean;
}

export interface FramePlane {
  /** mm, patient space. */
  readonly position: readonly number[] | null;
  /** Six direction cosines. */
  readonly orientation: readonly number[] | null;
  /** mm between rows, between columns; only from Pixel Spacing, never from Imager Pixel Spacing. */
  readonly spacing: readonly number[] | null;
  readonly thickness: number | null;
}

export const textOf = (json: DicomJson, tag: string): string => {
  const value = json[tag]?.Value?.[0];
  return typeof value === 'string' || typeof value === 'number' ? String(value).trim() : '';
};
export const numbersOf = (json: DicomJson | undefined, tag: string): number[] =>
  (json?.[tag]?.Value ?? []).map(Number).filter((value) => Number.isFinite(value));
export const itemsOf = (json: DicomJson | undefined, tag: string): DicomJson[] =>
  (json?.[tag]?.Value ?? []).filter((item): item is DicomJson => typeof item === 'object' && item !== null);

export function readInstance(json: DicomJson): Instance {
  const first = (tag: string): number | null => numbersOf(json, tag)[0] ?? null;
  const rows = first('00280010') ?? 0;
  const columns = first('00280011') ?? 0;
  const rate = first('00082144') ?? first('00180040');
  const time = first('00181063');
  return {
    json,
    sopUid: textOf(json, '00080018'),
    seriesUid: textOf(json, '0020000E'),
    number: first('00200013'),
    frames: Math.max(1, Math.floor(first('00280008') ?? 1)),
    rows,
    columns,
    modality: textOf(json, '00080060'),
    frameMs: time !== null && time > 0 ? time : rate !== null && rate > 0 ? 1000 / rate : null,
    laterality: textOf(json, '00200062') || textOf(json, '00200060'),
    lossy: textOf(json, '00282110') === '01',
    hasPixels: rows > 0 && columns > 0,
  };
}

/** Plane of one frame (zero-based): its functional groups first, then the shared ones, then the object's own. */
export function planeOf(json: DicomJson, frame: number): FramePlane {
  const groups = [itemsOf(json, '52009230')[frame], itemsOf(json, '52009229')[0]];
  const find = (sequence: string, tag: string, count: number): number[] | null => {
    for (const source of [...groups.map((group) => itemsOf(group, sequence)[0]), json]) {
      const values = numbersOf(source, tag);
      if (values.length >= count) return values.slice(0, count);
    }
    return null;
  };
  const spacing = find('00289110', '00280030', 2);
  return {
    position: find('00209113', '00200032', 3),
    orientation: find('00209116', '00200037', 6),
    spacing: spacing?.every((value) => value > 0) ? spacing : null,
    thickness: find('00289110', '00180050', 1)?.[0] ?? null,
  };
}
