/**
 * Lookup tables: modality, VOI and palette ones, the segmented form too.
 *
 * Source: PS3.3 §C.11.1.1 (Modality LUT), §C.11.2.1.1 (VOI LUT), §C.7.6.3.1.5 and §C.7.6.3.1.6 (palettes),
 *         §C.7.9.2 (segmented palettes).
 * Layer:  core/pixel.
 */
import { Fault } from '../base/fault.ts';
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';

export interface Lut {
  /** Input that gives the first entry; smaller ones give it too. */
  readonly first: number;
  readonly bits: number;
  readonly values: Uint16Array;
}

/** The entry for an input; inputs outside give the first or last entry, never anything else (attack B38). */
export function lookUp(lut: Lut, input: number): number {
  const at = Math.min(lut.values.length - 1, Math.max(0, Math.round(input) - lut.first));
  return lut.values[at] ?? 0;
}

/** The table of a Modality or VOI LUT item; undefined when it is missing or empty. `signed`: of the values that go in. */
export function readLut(item: DataSet, signed: boolean): Lut | undefined {
  return table(item, Tags.LUTDescriptor, Tags.LUTData, undefined, signed);
}

/** Red, green and blue; undefined when one is missing. */
export function readPalette(ds: DataSet, signed: boolean): readonly [Lut, Lut, Lut] | undefined {
  const [red, green, blue] = PALETTE.map(([descriptor, data, segmented]) =>
    table(ds, descriptor, data, segmented, signed),
  );
  return red && green && blue ? [red, green, blue] : undefined;
}

const PALETTE: readonly (readonly [Tag, Tag, Tag])[] = [
  [
    Tags.RedPaletteColorLookupTableDescriptor,
    Tags.RedPaletteColorLookupTableData,
    Tags.SegmentedRedPaletteColorLookupTableData,
  ],
  [
    Tags.GreenPaletteColorLookupTableDescriptor,
    Tags.GreenPaletteColorLookupTableData,
    Tags.SegmentedGreenPaletteColorLookupTableData,
  ],
  [
    Tags.BluePaletteColorLookupTableDescriptor,
    Tags.BluePaletteColorLookupTableData,
    Tags.SegmentedBluePaletteColorLookupTableData,
  ],
];

/** Values that a reader may leave where they lie and that are needed to show a picture: at most 128 KiB each. */
export const PALETTE_DATA: readonly Tag[] = PALETTE.flatMap(([, data, segmented]) => [data, segmented]);

function table(
  ds: DataSet,
  descriptorTag: Tag,
  dataTag: Tag,
  segmentedTag: Tag | undefined,
  signed: boolean,
): Lut | undefined {
  const descriptor = words(ds, descriptorTag);
  const [declared, rawFirst, bits] = descriptor ?? [];
  if (declared === undefined || rawFirst === undefined || bits === undefined) return undefined;
  // §C.11.1.1.1: 0 means 2^16.
  const entries = declared === 0 ? 65536 : declared;
  const first = signed && rawFirst > 32767 ? rawFirst - 65536 : rawFirst;
  const bytes = ds.elements.get(dataTag)?.bytes;
  let values: Uint16Array | undefined;
  if (bytes?.length) {
    // Entries of 8 bits are one byte each, two in a word (§C.7.6.3.1.6); some writers give each a word.
    if (bytes.length < entries * 2) values = Uint16Array.from(byteEntries(bytes, ds.littleEndian, entries));
    else values = words(ds, dataTag)?.slice(0, entries);
  } else if (segmentedTag !== undefined) {
    const segments = words(ds, segmentedTag);
    if (segments) values = expandSegments(segments, entries);
  }
  if (!values?.length) return undefined;
  // Writers that say 8 and give 16 bits, or say 16 and give 8.
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const width = bits >= 1 && bits <= 16 ? bits : 16;
  return { first, bits: most >= 2 ** width ? 16 : width, values };
}

function byteEntries(bytes: Uint8Array, littleEndian: boolean, entries: number): Uint8Array {
  const out = new Uint8Array(Math.min(entries, bytes.length));
  for (let at = 0; at < out.length; at += 1) out[at] = bytes[littleEndian ? at : at ^ 1] ?? 0;
  return out;
}

function words(ds: DataSet, tag: Tag): Uint16Array | undefined {
  const bytes = ds.elements.get(tag)?.bytes;
  if (!bytes || bytes.length < 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Uint16Array(Math.floor(bytes.length / 2));
  for (let at = 0; at < out.length; at += 1) out[at] = view.getUint16(at * 2, ds.littleEndian);
  return out;
}

/**
 * A segmented palette as its entries: discrete (0), linear (1) and indirect (2) segments.
 *
 * @throws Fault PIXELS_BROKEN for segments that run past their data or refer to others that refer on.
 */
export function expandSegments(data: Uint16Array, entries: number): Uint16Array {
  const out = new Uint16Array(entries);
  let filled = 0;
  const put = (value: number): void => {
    if (filled < entries) out[filled] = value;
    filled += 1;
  };
  const segment = (at: number, direct: boolean): number => {
    const type = data[at];
    const length = data[at + 1] ?? 0;
    if (type === 0) {
      if (at + 2 + length > data.length) throw new Fault('PIXELS_BROKEN', { segment: at });
      for (let index = 0; index < length; index += 1) put(data[at + 2 + index] ?? 0);
      return at + 2 + length;
    }
    if (type === 1) {
      const end = data[at + 2];
      if (end === undefined || filled === 0 || length === 0)
        throw new Fault('PIXELS_BROKEN', { segment: at });
      const start = out[Math.min(filled, entries) - 1] ?? 0;
      for (let index = 1; index <= length; index += 1)
        put(Math.round(start + ((end - start) * index) / length));
      return at + 3;
    }
    if (type !== 2 || !direct) throw new Fault('PIXELS_BROKEN', { segment: at });
    // Offset in bytes of the first of `length` segments to be repeated, least significant part first.
    const offset = (data[at + 2] ?? 0) + (data[at + 3] ?? 0) * 65536;
    let from = offset / 2;
    if (!Number.isInteger(from) || from >= at) throw new Fault('PIXELS_BROKEN', { segment: at });
    for (let index = 0; index < length && filled < entries; index += 1) from = segment(from, false);
    return at + 4;
  };
  for (let at = 0; at < data.length && filled < entries;) at = segment(at, true);
  return out;
}
