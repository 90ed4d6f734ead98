/**
 * The size a compressed frame says it has, read before a decoder allocates by it.
 *
 * Source: ITU-T T.81 §B.2.2 and T.87 §C.2.2 (SOF), T.87 §C.2.3 (SOS), T.800 §A.5.1 (SIZ), ISO/IEC 18181-1 §D.2 (SizeHeader).
 * Layer:  core/pixel.
 */
import { Fault } from '../base/fault.ts';
import type { PixelCodec } from '../dicom/transfer-syntax.ts';

export interface CodestreamSize {
  readonly width: number;
  readonly height: number;
  /** Undefined where the header does not tell at a fixed place. */
  readonly components: number | undefined;
  readonly bits: number | undefined;
  /** Scans are counted by their headers: a progressive JPEG of a million scans is refused (attack B41). */
  readonly scans: number;
  /** JPEG-LS in interleave mode 0: decoders give one plane after the other (T.87 §C.2.3). */
  readonly planar?: boolean | undefined;
}

const MAX_SCANS = 256;
/** T.800 §A.5.1 allows 65,535 tiles; a picture that fits the limit of a frame needs far fewer. */
const MAX_TILES = 65_535;

/** @throws Fault PIXELS_BROKEN when there is no header, or one with impossible numbers. */
export function codestreamSize(bytes: Uint8Array, codec: PixelCodec): CodestreamSize {
  const size =
    codec === 'jpeg2000' || codec === 'htj2k' ? siz(bytes) : codec === 'jpeg-xl' ? jpegXl(bytes) : sof(bytes);
  if (!size || size.width < 1 || size.height < 1 || size.scans > MAX_SCANS)
    throw new Fault('PIXELS_BROKEN', { problem: 'no readable codestream header' });
  return size;
}

function sof(bytes: Uint8Array): CodestreamSize | undefined {
  let found: Omit<CodestreamSize, 'scans'> | undefined;
  let jpegLs = false;
  let planar = false;
  let scans = 0;
  for (let at = bytes.indexOf(0xff); at >= 0 && at + 3 < bytes.length; at = bytes.indexOf(0xff, at)) {
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    if (marker === 0xd9) break;
    const length = u16(bytes, at + 2);
    if (length < 2) return undefined;
    const isFrame =
      (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) ||
      marker === 0xf7;
    if (isFrame && at + 9 < bytes.length) {
      if (found) return undefined;
      jpegLs = marker === 0xf7;
      found = {
        bits: bytes[at + 4],
        height: u16(bytes, at + 5),
        width: u16(bytes, at + 7),
        components: bytes[at + 9],
      };
    }
    if (marker === 0xda) {
      scans += 1;
      // Ns, Ns pairs of Cs and Tm, NEAR, ILV.
      if (jpegLs && bytes[at + 6 + 2 * (bytes[at + 4] ?? 0)] === 0) planar = true;
    }
    at += 2 + length;
  }
  return found && { ...found, scans, planar: planar && (found.components ?? 1) > 1 };
}

function siz(bytes: Uint8Array): CodestreamSize | undefined {
  let at = 0;
  // A JP2 file around the codestream, which PS3.5 §A.4.4 does not allow and some write.
  if (u32(bytes, 4) === 0x6a502020) {
    while (u32(bytes, at + 4) !== 0x6a703263) {
      const length = u32(bytes, at);
      if (length < 8 || at + length + 8 > bytes.length) return undefined;
      at += length;
    }
    at += 8;
  }
  if (u32(bytes, at) !== 0xff4fff51 || at + 43 > bytes.length) return undefined;
  const [x, y, left, top] = [8, 12, 16, 20].map((offset) => u32(bytes, at + offset)) as [
    number,
    number,
    number,
    number,
  ];
  const [tileWidth, tileHeight] = [u32(bytes, at + 24), u32(bytes, at + 28)];
  if (tileWidth < 1 || tileHeight < 1) return undefined;
  if (Math.ceil(x / tileWidth) * Math.ceil(y / tileHeight) > MAX_TILES) return undefined;
  return {
    width: x - left,
    height: y - top,
    components: u16(bytes, at + 40),
    bits: ((bytes[at + 42] ?? 0) & 0x7f) + 1,
    scans: 1,
  };
}

/** Width by a ratio of the height when one is named. */
const RATIOS: readonly (readonly [number, number])[] = [
  [1, 1],
  [12, 10],
  [4, 3],
  [3, 2],
  [16, 9],
  [5, 4],
  [2, 1],
];

function jpegXl(bytes: Uint8Array): CodestreamSize | undefined {
  let start = 0;
  if (u32(bytes, 4) === 0x4a584c20) {
    for (;;) {
      const length = u32(bytes, start);
      const type = u32(bytes, start + 4);
      // jxlc holds the codestream; jxlp a part of it behind a 4-byte number.
      if (type === 0x6a786c63 || type === 0x6a786c70) {
        start += type === 0x6a786c63 ? 8 : 12;
        break;
      }
      if (length < 8 || start + length + 8 > bytes.length) return undefined;
      start += length;
    }
  }
  if (bytes[start] !== 0xff || bytes[start + 1] !== 0x0a) return undefined;
  let bit = (start + 2) * 8;
  const read = (count: number): number => {
    let value = 0;
    for (let index = 0; index < count; index += 1, bit += 1)
      value += (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1) * 2 ** index;
    return value;
  };
  const small = read(1) === 1;
  const side = (): number => (small ? (read(5) + 1) * 8 : read([9, 13, 18, 30][read(2)] ?? 9) + 1);
  const height = side();
  const ratio = RATIOS[read(3) - 1];
  const width = ratio ? Math.floor((height * ratio[0]) / ratio[1]) : side();
  return { width, height, components: undefined, bits: undefined, scans: 1 };
}

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
const u32 = (bytes: Uint8Array, at: number): number => u16(bytes, at) * 65536 + u16(bytes, at + 2);
