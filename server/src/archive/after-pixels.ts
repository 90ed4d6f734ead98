/**
 * What stands behind Pixel Data: trailing padding, signatures, private groups. Rare, but part of the object.
 *
 * Source: PS3.5 §7.1 (elements in the order of their tags; Pixel Data is not the last), PS3.10 §7.2 (Data Set Trailing
 *         Padding), PS3.3 §C.12.1.1.3 (Digital Signatures).
 * Layer:  server/archive.
 */
import type { DataSet, Element, Tag } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf } from '@lightbox/core/dicom/element.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { elementHeader, writeDataSet } from '@lightbox/core/dicom/write.ts';
import type { Vr } from '@lightbox/core/dicom/vr.ts';

const READ_BYTES = 64 * 1024;
/** A sequence delimiter and nothing else: the usual end of encapsulated pixel data (PS3.5 §A.4). */
const DELIMITER_BYTES = 8;
/** Elements before Pixel Data that tell how those behind it are read. */
const IN_FORCE = [Tags.SpecificCharacterSet, Tags.PixelRepresentation];

/**
 * The elements behind the value of Pixel Data, by tag; large values are left where they are. Costs nothing when there are
 * none.
 *
 * @param before  The elements before Pixel Data.
 * @param pixels  Pixel Data: its value ends at `end`, counted as `read` does.
 */
export async function readAfterPixels(
  read: (start: number, end: number) => Promise<Uint8Array>,
  before: DataSet,
  pixels: { readonly tag: Tag; readonly vr: Vr; readonly end: number; readonly encapsulated: boolean },
  object: { readonly length: number; readonly transferSyntaxUid: string },
): Promise<ReadonlyMap<Tag, Element>> {
  const { transferSyntaxUid, length } = object;
  if (length - pixels.end <= (pixels.encapsulated ? DELIMITER_BYTES : 0)) return new Map();
  const inForce = IN_FORCE.flatMap((tag) => before.elements.get(tag) ?? []);
  const head = Buffer.concat([
    writeDataSet(dataSetOf(inForce, before.charsets, before.littleEndian), transferSyntaxUid),
    elementHeader(pixels.tag, pixels.vr, 0, transferSyntaxUid),
  ]);
  const reader = new DicomReader({ transferSyntaxUid, onMismatch: 'warn' });
  reader.push(head);
  for (let at = pixels.end; at < length;) {
    const skip = Math.min(reader.skippable, length - at);
    if (skip > 0) {
      reader.skip(skip);
      at += skip;
      continue;
    }
    const bytes = await read(at, Math.min(at + READ_BYTES, length));
    reader.push(bytes);
    at += bytes.length;
  }
  const { dataSet } = reader.end();
  const known = new Set<Tag>([...IN_FORCE, pixels.tag]);
  const moved = shifted(dataSet, pixels.end - head.length);
  return new Map([...moved.elements].filter(([tag]) => !known.has(tag)));
}

/** Bulk offsets of a data set and its items, counted from `by` bytes earlier. */
export function shifted(ds: DataSet, by: number): DataSet {
  const elements = [...ds.elements.values()].map((one): [number, Element] => {
    const bulk = one.bulk && { offset: one.bulk.offset + by, length: one.bulk.length };
    const items = one.items?.map((item) => shifted(item, by));
    const fragments = one.fragments?.map((piece) => ({ ...piece, offset: piece.offset + by }));
    return [
      one.tag,
      { ...one, ...(bulk ? { bulk } : {}), ...(items ? { items } : {}), ...(fragments ? { fragments } : {}) },
    ];
  });
  return { ...ds, elements: new Map(elements) };
}
