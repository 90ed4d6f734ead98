/**
 * Whether a compressed frame is there to its end. Decoders of half a frame give a picture and no error; a picture whose
 * lower half is made up must not be read.
 *
 * Source: ITU-T T.800 §A.4.2 (SOT, Psot), §A.4.4 (EOC); T.81 §B.1.1.3 and T.87 §C.1 (EOI).
 * Layer:  core/pixel.
 */
import type { PixelCodec } from '../dicom/transfer-syntax.ts';

/** Bytes of padding after the end that are let pass: senders fill to even, and some to a block. */
const MAX_PADDING = 4096;

/** True for codecs whose frames have no such mark. Cost: the headers of tile-parts, or the last bytes. */
export function isWhole(bytes: Uint8Array, codec: PixelCodec): boolean {
  switch (codec) {
    case 'jpeg2000':
    case 'htj2k':
      return tilePartsFit(bytes);
    case 'jpeg':
    case 'jpeg-lossless':
    case 'jpeg-ls':
      return endsWithEoi(bytes);
    case 'none':
    case 'deflate':
    case 'rle':
    case 'jpeg-xl':
    case 'video':
    case 'jpip':
    case 'unknown':
      return true;
    default:
      return codec satisfies never;
  }
}

function endsWithEoi(bytes: Uint8Array): boolean {
  for (let at = bytes.length - 2; at >= 0 && at >= bytes.length - MAX_PADDING; at -= 1)
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  return false;
}

/** Walks from SOT to SOT; each says how long its tile-part is. */
function tilePartsFit(bytes: Uint8Array): boolean {
  let at = 0;
  while (at + 3 < bytes.length && u32(bytes, at) !== 0xff4fff51) at += 1;
  if (at + 4 > bytes.length) return false;
  at += 2;
  while (at + 12 <= bytes.length) {
    const marker = u16(bytes, at);
    if (marker === 0xffd9) return true;
    if (marker === 0xff90) {
      const length = u32(bytes, at + 6);
      // Zero: to the end of the codestream, of which nothing more is known.
      if (length === 0) return true;
      if (length < 14 || at + length > bytes.length) return false;
      at += length;
    } else if (marker >= 0xff50 && marker <= 0xff7f) at += 2 + u16(bytes, at + 2);
    else return false;
  }
  // EOC, or its absence directly after a whole last tile-part, which decoders accept.
  return at === bytes.length || u16(bytes, at) === 0xffd9;
}

const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
const u32 = (bytes: Uint8Array, at: number): number => u16(bytes, at) * 0x10000 + u16(bytes, at + 2);
