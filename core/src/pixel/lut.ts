/**
 * Lookup tables: modality, VOI and palette ones, the segmented form too.
 *
 * Source: PS3.3 §C.11.1.1 (Modality LUT), §C.11.2.1.1 (VOI LUT), §C.7.6.3.1.5 and §C.7.6.3.1.6 (palettes),
 *         §C.7.9.2 (segmented palettes), PS3.6 §B.1 (those written in bytes).
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
  let width = bits >= 1 && bits <= 16 ? bits : 16;
  if (bytes?.length) {
    // Entries of 8 bits are one byte each, two in a word (§C.7.6.3.1.6); some writers give each a word, others say 16
    // bits and give bytes. A table of words that ends early is not one of bytes.
    const packed = width <= 8 ? bytes.length < entries * 2 : bytes.length <= entries + (entries % 2);
    if (packed) {
      values = Uint16Array.from(byteEntries(bytes, ds.littleEndian, entries));
      width = Math.min(width, 8);
    } else values = words(ds, dataTag)?.slice(0, entries);
  } else if (segmentedTag !== undefined) {
    values = segmented(ds, segmentedTag, width, entries);
  }
  if (!values?.length) return undefined;
  // Writers that say 8 and give 16 bits, or say 16 and give 8.
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  if (most >= 2 ** width) width = 16;
  // Palettes are scaled to all their bits (§C.7.6.3.1.6): one of 16 whose entries stay below 2^8 was not.
  if (segmentedTag !== undefined && width === 16 && most > 0 && most < 256) width = 8;
  return { first, bits: width, values };
}

/** Segments of an 8-bit palette are written in bytes, as the well-known ones of PS3.6 §B are; of others in words. */
function segmented(ds: DataSet, tag: Tag, width: number, entries: number): Uint16Array | undefined {
  const bytes = ds.elements.get(tag)?.bytes;
  if (width === 8 && bytes?.length) {
    try {
      const data = Uint16Array.from(byteEntries(bytes, ds.littleEndian, bytes.length));
      return expandSegments(data, entries, 1);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
  }
  const data = words(ds, tag);
  return data && expandSegments(data, entries);
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
 * @param unit  Bytes in which `data` was written, one number of it each.
 * @throws Fault PIXELS_BROKEN for segments that run past their data or refer to others that refer on, and for fewer
 *         entries than there should be.
 */
export function expandSegments(data: Uint16Array, entries: number, unit: 1 | 2 = 2): Uint16Array {
  const out = new Uint16Array(entries);
  let filled = 0;
  const put = (value: number): void => {
    if (filled < entries) out[filled] = value;
    filled += 1;
  };
  // The offset of an indirect segment has 32 bits, least significant part first.
  const offsetParts = 4 / unit;
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
    // Offset in bytes of the first of `length` segments to be repeated.
    let offset = 0;
    for (let part = 0; part < offsetParts; part += 1)
      offset += (data[at + 2 + part] ?? 0) * 2 ** (8 * unit * part);
    let from = offset / unit;
    if (!Number.isInteger(from) || from >= at) throw new Fault('PIXELS_BROKEN', { segment: at });
    for (let index = 0; index < length && filled < entries; index += 1) from = segment(from, false);
    return at + 2 + offsetParts;
  };
  for (let at = 0; at < data.length && filled < entries;) at = segment(at, true);
  if (filled < entries) throw new Fault('PIXELS_BROKEN', { entries: filled, expected: entries });
  return out;
}
