/**
 * One frame compressed without loss, and read back to prove it. Runs in a worker, as decoding does.
 *
 * Source: PS3.5 §8.2.2 (RLE), §8.2.3 (JPEG-LS), §8.2.4 (JPEG 2000), §8.2.14 (HTJ2K) with their tables of what an image may be,
 *         ISO/IEC 15444-1 §A.6.1 (COD).
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { ImagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import { arranged, type DecodedFrame, decodeFrame, withCodecs } from './decode.ts';
import type { LosslessCodec } from './lossless.ts';

/** What a frame compressed so may be: single values, or red, green and blue. The others go as they are. */
const PHOTOMETRIC: ReadonlySet<string> = new Set(['MONOCHROME1', 'MONOCHROME2', 'PALETTE COLOR', 'RGB']);

/**
 * @param decoded  Uncompressed.
 * @returns the codestream, and the image as the header has to describe it.
 * @throws Fault PIXELS_UNSUPPORTED for an image that cannot be written so; PIXELS_BROKEN when what was written does not read back
 *   as the same pixels, to the bit.
 */
export async function encodeFrame(decoded: DecodedFrame, codec: LosslessCodec): Promise<DecodedFrame> {
  const { image } = decoded;
  const { bitsAllocated, samples, photometric } = image;
  const possible =
    (bitsAllocated === 8 || bitsAllocated === 16) &&
    (samples === 1 || (samples === 3 && bitsAllocated === 8)) &&
    (samples === 3) === (photometric === 'RGB') &&
    PHOTOMETRIC.has(photometric) &&
    !image.float;
  if (!possible) throw new Fault('PIXELS_UNSUPPORTED', { codec, bitsAllocated, samples });
  const plain: ImagePixel = { ...image, planar: false };
  const length = (image.rows * image.columns * samples * bitsAllocated) / 8;
  const pixels = arranged(decoded.bytes, plain, image.planar);
  if (pixels.length !== length) throw new Fault('PIXELS_BROKEN', { bytes: pixels.length, expected: length });
  const bytes = await written(pixels, plain, codec);
  const back = await decodeFrame(bytes, codec, plain);
  if (Buffer.compare(back.bytes.subarray(0, length), pixels) !== 0)
    throw new Fault('PIXELS_BROKEN', { codec, problem: 'does not read back as the same pixels' });
  const transformed = (codec === 'jpeg2000' || codec === 'htj2k') && samples === 3 && transforms(bytes);
  return { bytes, image: { ...plain, photometric: transformed ? 'YBR_RCT' : photometric } };
}

async function written(pixels: Uint8Array, image: ImagePixel, codec: LosslessCodec): Promise<Uint8Array> {
  return withCodecs(({ NativeCodecs, Context }) => {
    const context = new Context({
      ...{ width: image.columns, height: image.rows, samplesPerPixel: image.samples },
      ...{ bitsAllocated: image.bitsAllocated, bitsStored: image.bitsStored },
      ...{ pixelRepresentation: image.signed ? 1 : 0, planarConfiguration: 0 },
      ...{ photometricInterpretation: image.photometric, decodedBuffer: pixels },
    });
    const encoded = {
      rle: () => NativeCodecs.encodeRle(context),
      'jpeg-ls': () => NativeCodecs.encodeJpegLs(context, { lossy: false }),
      jpeg2000: () => NativeCodecs.encodeJpeg2000(context, { lossy: false }),
      htj2k: () => NativeCodecs.encodeHtJpeg2000(context, { lossy: false }),
    }
      [codec]()
      .getEncodedBuffer();
    // A copy: the buffer may be a view on the memory of the encoder.
    return Uint8Array.from(encoded ?? new Uint8Array(0));
  }, codec);
}

const COD = 0xff52;
const SIZ = 0xff51;
const SOT = 0xff90;

/** Whether the codestream mixes its components (SGcod: multiple component transformation). */
function transforms(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Behind SOC each marker of the main header has a length.
  for (let at = 2; at + 4 <= view.byteLength;) {
    const marker = view.getUint16(at);
    if (at === 2 && marker !== SIZ) return false;
    if (marker === COD) return at + 9 <= view.byteLength && view.getUint8(at + 8) === 1;
    if (marker === SOT) return false;
    at += 2 + view.getUint16(at + 2);
  }
  return false;
}
