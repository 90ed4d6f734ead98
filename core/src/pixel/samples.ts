/**
 * Pixel cells to numbers: unpacks 1, 8, 12, 16, 32 and 64 bits, cuts out the stored bits and extends their sign.
 *
 * Source: PS3.5 §8.1.1 (pixel cells; 1 bit: low bit first), §8.2, PS3.3 §C.7.6.24 (float and double).
 * Layer:  core/pixel.
 */
import { type ImagePixel, writtenSamples } from './image-pixel.ts';

export type Samples =
  Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

/**
 * The samples of one frame as written, a copy.
 *
 * @param bytes  Little endian. When it is short the rest is zero; never another frame's or object's memory (attack B37).
 */
export function unpack(bytes: Uint8Array, image: ImagePixel): Samples {
  const count = writtenSamples(image);
  const { bitsAllocated } = image;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (image.float) {
    const size = bitsAllocated / 8;
    const out = size === 8 ? new Float64Array(count) : new Float32Array(count);
    const given = Math.min(count, Math.floor(bytes.length / size));
    for (let at = 0; at < given; at += 1)
      out[at] = size === 8 ? view.getFloat64(at * 8, true) : view.getFloat32(at * 4, true);
    return out;
  }
  if (bitsAllocated === 1) {
    const out = new Uint8Array(count);
    const given = Math.min(count, bytes.length * 8);
    for (let at = 0; at < given; at += 1) out[at] = ((bytes[at >> 3] ?? 0) >> (at & 7)) & 1;
    return out;
  }
  const out = room(image, count);
  const { bitsStored, highBit, signed } = image;
  const left = 32 - highBit - 1;
  const right = 32 - bitsStored;
  const given = Math.min(count, Math.floor((bytes.length * 8) / bitsAllocated));
  for (let at = 0; at < given; at += 1) {
    const up = cell(view, bytes, bitsAllocated, at) << left;
    out[at] = signed ? up >> right : up >>> right;
  }
  return out;
}

function cell(view: DataView, bytes: Uint8Array, bits: number, at: number): number {
  switch (bits) {
    case 8:
      return bytes[at] ?? 0;
    case 12: {
      // Packed without gaps, low bits first, as the retired 12-bit cells of PS3.5 §8.1.1.
      const first = (at * 3) >> 1;
      const [a = 0, b = 0] = [bytes[first], bytes[first + 1]];
      return at % 2 === 0 ? a | ((b & 15) << 8) : (a >> 4) | (b << 4);
    }
    case 16:
      return view.getUint16(at * 2, true);
    default:
      return view.getInt32(at * 4, true);
  }
}

function room({ bitsAllocated, signed }: ImagePixel, count: number): Samples {
  if (bitsAllocated === 8) return signed ? new Int8Array(count) : new Uint8Array(count);
  if (bitsAllocated <= 16) return signed ? new Int16Array(count) : new Uint16Array(count);
  return signed ? new Int32Array(count) : new Uint32Array(count);
}
