/**
 * Gives frames and pictures of kept objects. Uncompressed pixels only for now: a transfer syntax that needs a codec is
 * given as kept, and refused in any other form with PIXELS_UNSUPPORTED.
 *
 * Source: PS3.5 §8.1.1 (native pixel cells), §7.3 (byte order), PS3.3 §C.11.2.1.2 (window), PS3.18 §8.3.5.
 * Layer:  server/archive.
 */
import { Readable } from 'node:stream';
import type { FastifyBaseLogger } from 'fastify';
import sharp from 'sharp';
import { Fault } from '@lightbox/core/base/fault.ts';
import { frameRange } from '@lightbox/core/dicom/frames.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE, readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { integer, number, text } from '@lightbox/core/dicom/values.ts';
import type { InstanceRef, Retrieve } from '../types.ts';
import { grey } from './grey.ts';
import { type ObjectSource, openSource, swapped } from './source.ts';
import type { FrameBytes, Picture, Renderer, RenderOptions } from './types.ts';

export interface RendererOptions {
  readonly retrieve: Retrieve;
  readonly log: FastifyBaseLogger;
}

/** Pixels of one picture; larger ones are asked for by frames. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024;
const MAX_THUMBNAILS = 5000;

const isNative = (ref: InstanceRef): boolean => {
  const syntax = readingSyntax(ref.transferSyntaxUid);
  return syntax.known && !syntax.encapsulated && syntax.codec === 'none';
};

export function createRenderer({ retrieve }: RendererOptions): Renderer {
  const thumbnails = new Map<string, Picture>();

  async function frame(ref: InstanceRef, index: number, wanted: string): Promise<FrameBytes> {
    const asKept = wanted === '*' || wanted === ref.transferSyntaxUid;
    if (!asKept && !canProduce(ref, wanted))
      throw new Fault('PIXELS_UNSUPPORTED', { keptAs: ref.transferSyntaxUid });
    const source = await openSource(retrieve, ref);
    const bytes = await frameBytes(source, index);
    if (!isNative(ref)) return { bytes, transferSyntaxUid: ref.transferSyntaxUid };
    return { bytes: littleEndian(source, bytes), transferSyntaxUid: EXPLICIT_LE };
  }

  async function rendered(ref: InstanceRef, index: number, options: RenderOptions): Promise<Picture> {
    if (!isNative(ref)) throw new Fault('PIXELS_UNSUPPORTED', { keptAs: ref.transferSyntaxUid });
    const source = await openSource(retrieve, ref);
    const pixels = littleEndian(source, await frameBytes(source, index));
    return draw(source, pixels, options);
  }

  return {
    frame,
    rendered,
    async thumbnail(ref, size) {
      const key = `${ref.sha256} ${size}`;
      const kept = thumbnails.get(key);
      if (kept) return kept;
      const picture = await rendered(ref, Math.floor(ref.frameCount / 2), {
        type: 'image/jpeg',
        quality: 80,
        viewport: { width: size, height: size },
      });
      thumbnails.set(key, picture);
      if (thumbnails.size > MAX_THUMBNAILS) thumbnails.delete(thumbnails.keys().next().value ?? '');
      return picture;
    },
    transcode(ref, wanted) {
      if (wanted !== ref.transferSyntaxUid)
        return Promise.reject(new Fault('PIXELS_UNSUPPORTED', { keptAs: ref.transferSyntaxUid }));
      return Promise.resolve(retrieve.open(ref) as Readable);
    },
    canDecode: isNative,
    canProduce,
    close: () => Promise.resolve(),
  };
}

/** Frames in this transfer syntax: their own, or explicit little endian of uncompressed ones. */
function canProduce(ref: InstanceRef, uid: string): boolean {
  return uid === ref.transferSyntaxUid || (isNative(ref) && (uid === EXPLICIT_LE || uid === IMPLICIT_LE));
}

async function frameBytes(source: ObjectSource, index: number): Promise<Uint8Array> {
  if (!source.frames) throw new Fault('PIXELS_NONE');
  const range = frameRange(source.frames, index);
  if (!range) throw new Fault('NOT_FOUND', { frame: index + 1, frames: source.frames.frameCount });
  const total = range.ranges.reduce((sum, one) => sum + one.length, 0);
  if (total > MAX_FRAME_BYTES) throw new Fault('TOO_LARGE', { bytes: total });
  const pieces = await Promise.all(
    range.ranges.map((one) => source.read(one.offset, one.offset + one.length)),
  );
  const bytes = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  if (range.bitOffset === 0 || range.bitLength === undefined) return bytes;
  // 1-bit frames that do not begin at a byte: shifted to its low bit (PS3.5 §8.1.1).
  const shifted = new Uint8Array(Math.ceil(range.bitLength / 8));
  for (let at = 0; at < shifted.length; at += 1)
    shifted[at] = ((bytes[at] ?? 0) >> range.bitOffset) | ((bytes[at + 1] ?? 0) << (8 - range.bitOffset));
  return shifted;
}

function littleEndian(source: ObjectSource, bytes: Uint8Array): Uint8Array {
  if (source.dataSet.littleEndian) return bytes;
  const bits = integer(source.dataSet, Tags.BitsAllocated, 1, 64) ?? 8;
  const vr = source.dataSet.elements.get(Tags.PixelData)?.vr;
  const unit = bits > 16 ? bits / 8 : bits === 16 || vr === 'OW' ? 2 : 1;
  return unit === 1 ? bytes : swapped(bytes, unit);
}

async function draw(source: ObjectSource, pixels: Uint8Array, options: RenderOptions): Promise<Picture> {
  const { dataSet } = source;
  const width = integer(dataSet, Tags.Columns, 1, 65535) ?? 0;
  const height = integer(dataSet, Tags.Rows, 1, 65535) ?? 0;
  const samples = integer(dataSet, Tags.SamplesPerPixel, 1, 4) ?? 1;
  const bits = integer(dataSet, Tags.BitsAllocated, 1, 64) ?? 8;
  const photometric = text(dataSet, Tags.PhotometricInterpretation) ?? '';
  const planar = integer(dataSet, Tags.PlanarConfiguration, 0, 1) ?? 0;
  if (options.annotation?.length || options.viewport?.source)
    throw new Fault('NOT_ACCEPTABLE', { problem: 'annotation and source region are not supported' });
  let shown: Uint8Array;
  if (samples === 1 && photometric.startsWith('MONOCHROME') && (bits === 8 || bits === 16)) {
    shown = grey(pixels, {
      count: width * height,
      bitsAllocated: bits,
      bitsStored: integer(dataSet, Tags.BitsStored, 1, bits) ?? bits,
      signed: integer(dataSet, Tags.PixelRepresentation, 0, 1) === 1,
      slope: number(dataSet, Tags.RescaleSlope) ?? 1,
      intercept: number(dataSet, Tags.RescaleIntercept) ?? 0,
      padding: integer(dataSet, Tags.PixelPaddingValue, -32768, 65535),
      window: options.window ?? windowOf(source),
      inverse: photometric === 'MONOCHROME1',
    });
  } else if (samples === 3 && photometric === 'RGB' && bits === 8 && planar === 0) shown = pixels;
  else throw new Fault('PIXELS_UNSUPPORTED', { photometric, bits, planar });
  if (shown.length < width * height * samples) throw new Fault('PIXELS_BROKEN', { bytes: shown.length });
  let image = sharp(shown.subarray(0, width * height * samples), {
    raw: { width, height, channels: samples === 3 ? 3 : 1 },
  });
  const { viewport, quality = 90 } = options;
  // The whole image within the viewport, its shape kept (PS3.18 §8.3.5.1.3).
  if (viewport) image = image.resize(viewport.width, viewport.height, { fit: 'inside' });
  if (options.type === 'image/png') image = image.png();
  else image = options.type === 'image/webp' ? image.webp({ quality }) : image.jpeg({ quality });
  return { bytes: await image.toBuffer(), type: options.type };
}

function windowOf(source: ObjectSource): RenderOptions['window'] {
  const center = number(source.dataSet, Tags.WindowCenter);
  const width = number(source.dataSet, Tags.WindowWidth);
  if (center === undefined || width === undefined || width < 1) return undefined;
  return { center, width, shape: 'linear' };
}
