/**
 * A kept object written anew, uncompressed: for those who cannot read the transfer syntax it came in. The kept one stays.
 *
 * Source: PS3.5 Annex A.1 and A.2 (uncompressed), §8.1.1, PS3.3 §C.7.6.3.1.2 and .3, PS3.18 §8.7.3.
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet, Element } from '@lightbox/core/dicom/data-set.ts';
import { makeElement, withElements } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { integer } from '@lightbox/core/dicom/values.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';
import type { JobResult } from './job.ts';
import { hydrated, type ObjectSource, swapped } from './source.ts';

/** The whole object is in memory while it is written. */
const MAX_OBJECT_BYTES = 512 * 1024 * 1024;

/**
 * The Part 10 file in implicit or explicit little endian.
 *
 * @param decode  Gives one frame uncompressed; asked only for encapsulated pixels.
 * @throws Fault TOO_LARGE, and what `decode` throws.
 */
export async function transcodeObject(
  source: ObjectSource,
  wanted: string,
  decode: (index: number) => Promise<JobResult>,
): Promise<Uint8Array> {
  const { dataSet, frames } = source;
  if (frames?.kind !== 'encapsulated')
    return writePart10(wordsTurned(await hydrated(source, dataSet, MAX_OBJECT_BYTES)), wanted);
  if (frames.frameCount === 0) throw new Fault('PIXELS_NONE');
  const decoded: Uint8Array[] = [];
  let total = 0;
  let image: JobResult['image'] | undefined;
  for (let index = 0; index < frames.frameCount; index += 1) {
    const frame = await decode(index);
    image = frame.image;
    total += frame.bytes.length;
    if (total > MAX_OBJECT_BYTES) throw new Fault('TOO_LARGE', { bytes: total });
    decoded.push(frame.bytes);
  }
  const bytes = joined(decoded, total, image);
  const without = new Map(dataSet.elements);
  // Tables of fragments that are no more (PS3.3 §C.7.6.3.1.8).
  without.delete(Tags.ExtendedOffsetTable);
  without.delete(Tags.ExtendedOffsetTableLengths);
  without.delete(Tags.PixelData);
  const rest = await hydrated(source, { ...dataSet, elements: without }, MAX_OBJECT_BYTES);
  const elements: Element[] = [
    { tag: Tags.PixelData, vr: image && image.bitsAllocated > 8 ? 'OW' : 'OB', bytes },
  ];
  if (image && image.samples > 1)
    elements.push(
      makeElement(Tags.PhotometricInterpretation, image.photometric),
      makeElement(Tags.PlanarConfiguration, image.planar ? 1 : 0),
    );
  return writePart10(withElements(rest, elements), wanted);
}

/** Frames one after the other; single bits without gaps between frames (PS3.5 §8.1.1). */
function joined(
  frames: readonly Uint8Array[],
  total: number,
  image: JobResult['image'] | undefined,
): Uint8Array {
  const bits = image?.bitsAllocated === 1 ? image.rows * image.columns : 0;
  if (bits % 8 !== 0) {
    const packed = new Uint8Array(2 * Math.ceil((bits * frames.length) / 16));
    frames.forEach((frame, index) => {
      for (let at = 0; at < bits; at += 1) {
        const to = index * bits + at;
        if (((frame[at >> 3] ?? 0) >> (at & 7)) & 1)
          packed[to >> 3] = (packed[to >> 3] ?? 0) | (1 << (to & 7));
      }
    });
    return packed;
  }
  const out = new Uint8Array(total + (total % 2));
  let at = 0;
  for (const frame of frames) {
    out.set(frame, at);
    at += frame.length;
  }
  return out;
}

/** Big endian cells of more than 16 bits in OW: the writer turns words, so the words of a cell are turned here. */
function wordsTurned(ds: DataSet): DataSet {
  const pixels = ds.elements.get(Tags.PixelData);
  const bits = integer(ds, Tags.BitsAllocated, 1, 64) ?? 0;
  if (ds.littleEndian || pixels?.vr !== 'OW' || !pixels.bytes || bits <= 16) return ds;
  return withElements(ds, [{ ...pixels, bytes: swapped(swapped(pixels.bytes, bits / 8), 2) }]);
}
