/**
 * One compressed frame to pixels as the Image Pixel module describes them. Runs in a worker: a decoder that crashes or
 * hangs takes only its worker with it.
 *
 * Source: PS3.5 §8.2 and Annex A.4 (compressed frames), Annex G (RLE), PS3.3 §C.7.6.3.1.2.
 * Layer:  server/archive.
 */
import { createRequire } from 'node:module';
import { inflateRawSync } from 'node:zlib';
import { Fault } from '@lightbox/core/base/fault.ts';
import { toRgb } from '@lightbox/core/pixel/colour.ts';
import { type CodestreamSize, codestreamSize } from '@lightbox/core/pixel/codestream.ts';
import { isWhole } from '@lightbox/core/pixel/codestream-end.ts';
import type { ImagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import { decodeRle } from '@lightbox/core/pixel/rle.ts';
import type { PixelCodec } from '@lightbox/core/dicom/transfer-syntax.ts';
import type { Context as CodecContext, NativeCodecs as Codecs } from 'dcmjs-codecs';

interface CodecModule {
  readonly NativeCodecs: typeof Codecs;
  readonly Context: typeof CodecContext;
}

/** Codecs this file decodes; others are served as kept. */
export const DECODABLE: ReadonlySet<PixelCodec> = new Set<PixelCodec>([
  'none',
  'deflate',
  'rle',
  'jpeg',
  'jpeg-lossless',
  'jpeg-ls',
  'jpeg2000',
  'htj2k',
  'jpeg-xl',
]);

export interface DecodedFrame {
  /** Little endian, without gaps. */
  readonly bytes: Uint8Array;
  /** Of `bytes`: decoders give colour interleaved, and JPEG 2000 as RGB. */
  readonly image: ImagePixel;
}

let loaded: CodecModule | undefined;

async function codecs(): Promise<CodecModule> {
  if (loaded) return loaded;
  const found = createRequire(import.meta.url)('dcmjs-codecs') as CodecModule;
  await found.NativeCodecs.initializeAsync();
  loaded = found;
  return found;
}

/** Runs one call into the library. What is left in its memory after a trap is not known: the next one begins with a fresh one. */
export async function withCodecs<T>(work: (library: CodecModule) => T, codec: PixelCodec): Promise<T> {
  const library = await codecs();
  try {
    return work(library);
  } catch (cause) {
    library.NativeCodecs.release();
    loaded = undefined;
    throw new Fault('PIXELS_BROKEN', { codec, reason: String((cause as Error).message).slice(0, 80) });
  }
}

/** @throws Fault PIXELS_BROKEN, PIXELS_UNSUPPORTED. */
export async function decodeFrame(
  bytes: Uint8Array,
  codec: PixelCodec,
  image: ImagePixel,
): Promise<DecodedFrame> {
  const expected = Math.ceil((image.rows * image.columns * image.samples * image.bitsAllocated) / 8);
  switch (codec) {
    case 'none':
      return { bytes, image };
    case 'rle':
      return { bytes: decodeRle(bytes, image), image: afterDecoding(codec, image) };
    case 'deflate':
      // PS3.5 §A.4.13: each frame a deflate stream of its own; its output is known beforehand (attack A20).
      try {
        return { bytes: inflateRawSync(bytes, { maxOutputLength: expected + 1 }), image };
      } catch (cause) {
        throw new Fault('PIXELS_BROKEN', {}, { cause });
      }
    case 'jpeg':
    case 'jpeg-lossless':
    case 'jpeg-ls':
    case 'jpeg2000':
    case 'htj2k':
    case 'jpeg-xl': {
      const { planar = false } = checkSize(bytes, codec, image);
      if (!isWhole(bytes, codec)) throw new Fault('PIXELS_BROKEN', { problem: 'ends too early' });
      const decoded = await byLibrary(bytes, codec, image);
      if (decoded.length < expected) throw new Fault('PIXELS_BROKEN', { bytes: decoded.length, expected });
      return { bytes: arranged(decoded, image, planar), image: afterDecoding(codec, image) };
    }
    case 'video':
    case 'jpip':
    case 'unknown':
      throw new Fault('PIXELS_UNSUPPORTED', { codec });
    default:
      return codec satisfies never;
  }
}

function checkSize(bytes: Uint8Array, codec: PixelCodec, image: ImagePixel): CodestreamSize {
  const size = codestreamSize(bytes, codec);
  const { width, height, components, bits } = size;
  if (width !== image.columns || height !== image.rows)
    throw new Fault('PIXELS_BROKEN', { width, height, columns: image.columns, rows: image.rows });
  if (components !== undefined && components !== image.samples)
    throw new Fault('PIXELS_BROKEN', { components, samples: image.samples });
  if (bits !== undefined && bits > image.bitsAllocated && image.bitsAllocated > 1)
    throw new Fault('PIXELS_BROKEN', { bits, bitsAllocated: image.bitsAllocated });
  return size;
}

type Decoder = 'decodeJpeg' | 'decodeJpegLs' | 'decodeJpeg2000' | 'decodeHtJpeg2000' | 'decodeJpegXl';

const DECODERS: ReadonlyMap<PixelCodec, Decoder> = new Map([
  ['jpeg', 'decodeJpeg'],
  ['jpeg-lossless', 'decodeJpeg'],
  ['jpeg-ls', 'decodeJpegLs'],
  ['jpeg2000', 'decodeJpeg2000'],
  ['htj2k', 'decodeHtJpeg2000'],
  ['jpeg-xl', 'decodeJpegXl'],
]);

async function byLibrary(bytes: Uint8Array, codec: PixelCodec, image: ImagePixel): Promise<Uint8Array> {
  const { NativeCodecs, Context } = await codecs();
  const context = new Context({
    width: image.columns,
    height: image.rows,
    bitsAllocated: image.bitsAllocated,
    bitsStored: image.bitsStored,
    samplesPerPixel: image.samples,
    pixelRepresentation: image.signed ? 1 : 0,
    planarConfiguration: 0,
    photometricInterpretation: image.photometric,
    encodedBuffer: bytes,
  });
  try {
    const decoder = NativeCodecs as unknown as Record<Decoder, (context: CodecContext) => CodecContext>;
    const name = DECODERS.get(codec) ?? 'decodeJpeg';
    const decoded = decoder[name].call(NativeCodecs, context).getDecodedBuffer();
    // A copy: the buffer may be a view on the memory of the decoder.
    return Uint8Array.from(decoded ?? new Uint8Array(0));
  } catch (cause) {
    // What is left in its memory after a trap is not known: the next frame begins with a fresh one.
    NativeCodecs.release();
    loaded = undefined;
    if (codec === 'jpeg-ls' && image.samples === 1) return byCharls(bytes);
    throw new Fault('PIXELS_BROKEN', { codec, reason: String((cause as Error).message).slice(0, 80) });
  }
}

interface Charls {
  readonly JpegLSDecoder: new () => {
    getEncodedBuffer(length: number): Uint8Array;
    decode(): void;
    getDecodedBuffer(): Uint8Array;
    delete(): void;
  };
}

/** Grey JPEG-LS with preset parameters traps in the first decoder; this one reads it (seen in NEMA's MR1_JLSL). */
async function byCharls(bytes: Uint8Array): Promise<Uint8Array> {
  const open = createRequire(import.meta.url)(
    '@cornerstonejs/codec-charls/decodewasmjs',
  ) as () => Promise<Charls>;
  try {
    const decoder = new (await open()).JpegLSDecoder();
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    const decoded = Uint8Array.from(decoder.getDecodedBuffer());
    decoder.delete();
    return decoded;
  } catch {
    throw new Fault('PIXELS_BROKEN', { codec: 'jpeg-ls' });
  }
}

/**
 * The pixels as the Image Pixel module has them, whatever way a decoder gives them: a byte for a single bit, colour
 * interleaved or in planes.
 *
 * @param planar  How `decoded` is.
 */
export function arranged(decoded: Uint8Array, image: ImagePixel, planar: boolean): Uint8Array {
  const pixels = image.rows * image.columns;
  if (image.bitsAllocated === 1) {
    if (decoded.length < pixels) return decoded;
    const packed = new Uint8Array(Math.ceil(pixels / 8));
    for (let at = 0; at < pixels; at += 1)
      if (decoded[at]) packed[at >> 3] = (packed[at >> 3] ?? 0) | (1 << (at & 7));
    return packed;
  }
  const size = image.bitsAllocated / 8;
  const { samples } = image;
  const out = decoded.subarray(0, pixels * samples * size);
  if (image.planar === planar || samples === 1) return out;
  const turned = new Uint8Array(out.length);
  for (let pixel = 0; pixel < pixels; pixel += 1)
    for (let sample = 0; sample < samples; sample += 1) {
      const inPlanes = (sample * pixels + pixel) * size;
      const together = (pixel * samples + sample) * size;
      const [from, to] = planar ? [inPlanes, together] : [together, inPlanes];
      for (let byte = 0; byte < size; byte += 1) turned[to + byte] = out[from + byte] ?? 0;
    }
  return turned;
}

function afterDecoding(codec: PixelCodec, image: ImagePixel): ImagePixel {
  const { photometric } = image;
  if (image.samples === 1) return image;
  if (codec === 'jpeg2000' || codec === 'htj2k' || codec === 'jpeg-xl')
    return { ...image, photometric: photometric.startsWith('YBR') ? 'RGB' : photometric };
  // JPEG gives full chroma whatever was subsampled inside, and so do the planes of RLE.
  if (photometric === 'YBR_PARTIAL_422') return { ...image, photometric: 'YBR_PARTIAL_420' };
  return { ...image, photometric: photometric === 'YBR_FULL_422' ? 'YBR_FULL' : photometric };
}

/** The pixels as uncompressed frames are given: of lossy JPEG colour as RGB, everything else to the bit. */
export function uncompressed(decoded: DecodedFrame, codec: PixelCodec): DecodedFrame {
  const { image } = decoded;
  if (
    codec !== 'jpeg' ||
    image.samples !== 3 ||
    !image.photometric.startsWith('YBR') ||
    image.bitsAllocated !== 8
  )
    return decoded;
  const bytes = toRgb(decoded.bytes, image);
  return { bytes: arranged(bytes, image, false), image: { ...image, photometric: 'RGB' } };
}
