/**
 * Pixels with parts of them blackened on their way out: what a de-identification plans is done here, frame by frame.
 *
 * Source: PS3.15 §E.3.1 (Clean Pixel Data), PS3.5 §8.1.1 and §8.2 (native pixels), PS3.3 §C.9.2 (overlays in unused bits).
 * Layer:  server/archive.
 */
import { Readable } from 'node:stream';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import type { PixelPlan } from '@lightbox/core/dicom/deidentify/pixels.ts';
import {
  blackenFrames,
  clearUnusedBits,
  type FrameLayout,
  frameBits,
  type Rectangle,
} from '@lightbox/core/dicom/deidentify/rectangles.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import type { Vr } from '@lightbox/core/dicom/vr.ts';
import { imagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import type { JobResult } from './job.ts';
import type { ObjectSource } from './source.ts';

export interface PixelEdit {
  readonly rectangles: readonly Rectangle[];
  readonly clearUnusedBits: boolean;
}

/** Changes whole native frames in place; `bytes` is how many go well together. */
export interface FrameEdit {
  readonly bytes: number;
  apply(piece: Uint8Array): void;
}

const PIECE = 1024 * 1024;

/** @param blacken  Whether rectangles are to be blackened that were only found. */
export function pixelEdit(plan: PixelPlan, blacken: boolean): PixelEdit | undefined {
  const rectangles = blacken && plan.verdict === 'blacken' ? plan.rectangles : [];
  if (rectangles.length === 0 && !plan.clearUnusedBits) return undefined;
  return { rectangles, clearUnusedBits: plan.clearUnusedBits };
}

/** @throws Fault PIXELS_UNSUPPORTED for words of big endian that are not one pixel each. */
export function frameEdit(ds: DataSet, vr: Vr, edit: PixelEdit): FrameEdit {
  const layout: FrameLayout = imagePixel(ds);
  const { littleEndian } = ds;
  // Words of OW are turned by the byte order, single bytes in it as well (PS3.5 §8.2).
  if (!littleEndian && vr === 'OW' && layout.bitsAllocated !== 16)
    throw new Fault('PIXELS_UNSUPPORTED', { littleEndian });
  const bits = frameBits(layout);
  // Packed single bits: eight frames end at a byte.
  const unit = bits % 8 === 0 ? bits / 8 : bits;
  return {
    bytes: unit * Math.max(1, Math.floor(PIECE / unit)),
    apply: (piece) => change(piece, layout, edit, littleEndian),
  };
}

function change(piece: Uint8Array, layout: FrameLayout, edit: PixelEdit, littleEndian: boolean): void {
  if (edit.clearUnusedBits) clearUnusedBits(piece, layout, littleEndian);
  if (edit.rectangles.length > 0) blackenFrames(piece, layout, edit.rectangles, littleEndian);
}

/** A frame that was decoded, changed; a copy. */
export function editedFrame({ bytes, image }: JobResult, edit: PixelEdit): Uint8Array {
  const copy = Uint8Array.from(bytes);
  change(copy, image, edit, true);
  return copy;
}

/** The object with its native pixels changed as they are streamed; compressed ones are changed when they are decoded. */
export function editedSource(source: ObjectSource, edit: PixelEdit): ObjectSource {
  if (source.frames?.kind === 'encapsulated') return source;
  const pixels = source.dataSet.elements.get(Tags.PixelData);
  if (!pixels?.bulk) return source;
  const { offset, length } = pixels.bulk;
  const frames = frameEdit(source.dataSet, pixels.vr, edit);
  async function* changed(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < length; at += frames.bytes) {
      const end = Math.min(length, at + frames.bytes);
      const piece = Uint8Array.from(await source.read(offset + at, offset + end));
      frames.apply(piece);
      yield piece;
    }
  }
  return {
    ...source,
    stream: (start, end) =>
      start === offset && end === offset + length
        ? Readable.from(changed(), { objectMode: false })
        : source.stream(start, end),
  };
}
