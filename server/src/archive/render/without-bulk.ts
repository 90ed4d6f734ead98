/**
 * An object without its bulk data: what is known about an image, a waveform or a document, but not the thing itself.
 *
 * Source: PS3.4 §Z.1.3 and Table Z.1-1 (attributes that are left out).
 * Layer:  server/archive.
 */
import type { DataSet, Element, Tag } from '@lightbox/core/dicom/data-set.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import type { ObjectSource } from './source.ts';

const BULK: ReadonlySet<Tag> = new Set([
  ...[Tags.PixelData, Tags.FloatPixelData, Tags.DoubleFloatPixelData, Tags.PixelDataProviderURL],
  ...[Tags.SpectroscopyData, Tags.EncapsulatedDocument],
  // They count bytes of fragments that are not there.
  ...[Tags.ExtendedOffsetTable, Tags.ExtendedOffsetTableLengths],
]);
/** Elements of the repeating groups 60xx (overlays) and 50xx (curves, retired). */
const OVERLAY_DATA = 0x3000;
const CURVE_DATA = 0x3000;
const AUDIO_SAMPLE_DATA = 0x200c;

/** The source as if it had never had bulk data; nothing is read. */
export function withoutBulk(source: ObjectSource): ObjectSource {
  const kept: [Tag, Element][] = [];
  for (const [tag, element] of source.dataSet.elements) {
    if (isBulk(tag)) continue;
    kept.push([tag, tag === Tags.WaveformSequence ? withoutSamples(element) : element]);
  }
  return { ...source, dataSet: { ...source.dataSet, elements: new Map(kept) }, frames: undefined };
}

function isBulk(tag: Tag): boolean {
  if (BULK.has(tag)) return true;
  const group = Math.floor(tag / 0x10000);
  const element = tag & 0xffff;
  const repeating = group % 2 === 0 ? group & 0xff00 : 0;
  if (repeating === 0x6000) return element === OVERLAY_DATA;
  return repeating === 0x5000 && (element === CURVE_DATA || element === AUDIO_SAMPLE_DATA);
}

function withoutSamples(sequence: Element): Element {
  const items = sequence.items?.map((item): DataSet => {
    const elements = new Map(item.elements);
    elements.delete(Tags.WaveformData);
    return { ...item, elements };
  });
  return items ? { ...sequence, items } : sequence;
}
