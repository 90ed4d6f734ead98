/** Frames compressed without loss (PS3.5 §8.2): to the bit, or not at all. */
import { describe, expect, it } from 'vitest';
import type { ImagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import { decodeFrame } from './decode.ts';
import { encodeFrame } from './encode.ts';
import type { LosslessCodec } from './lossless.ts';

const image = (more: Partial<ImagePixel> = {}): ImagePixel => ({
  ...{ rows: 37, columns: 51, samples: 1, bitsAllocated: 16, bitsStored: 12, highBit: 11, signed: false },
  ...{ planar: false, photometric: 'MONOCHROME2', float: false, ...more },
});

/** A gradient with noise of a fixed seed, in the bits that are stored. */
function pixelsOf({ rows, columns, samples, bitsAllocated, bitsStored, signed }: ImagePixel): Uint8Array {
  const bytes = Buffer.alloc((rows * columns * samples * bitsAllocated) / 8);
  let seed = 7;
  for (let at = 0; at < rows * columns * samples; at += 1) {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
    const value = (at * 3 + (seed >> 16) * 5) & (2 ** bitsStored - 1);
    if (bitsAllocated === 8) bytes.writeUInt8(value, at);
    else if (signed) bytes.writeInt16LE(value - 2 ** (bitsStored - 1), at * 2);
    else bytes.writeUInt16LE(value, at * 2);
  }
  return bytes;
}

const CODECS: readonly LosslessCodec[] = ['rle', 'jpeg-ls', 'jpeg2000', 'htj2k'];
const IMAGES: readonly (readonly [name: string, more: Partial<ImagePixel>])[] = [
  ['12 of 16 bits', {}],
  ['16 bits', { bitsStored: 16, highBit: 15 }],
  ['16 bits with sign', { bitsStored: 16, highBit: 15, signed: true }],
  ['8 bits', { bitsAllocated: 8, bitsStored: 8, highBit: 7 }],
  ['a palette', { bitsAllocated: 8, bitsStored: 8, highBit: 7, photometric: 'PALETTE COLOR' }],
  ['colour', { bitsAllocated: 8, bitsStored: 8, highBit: 7, samples: 3, photometric: 'RGB' }],
  [
    'colour in planes',
    { bitsAllocated: 8, bitsStored: 8, highBit: 7, samples: 3, photometric: 'RGB', planar: true },
  ],
];

describe.each(CODECS)('%s', (codec) => {
  it.each(IMAGES)('gives back %s to the bit', async (_name, more) => {
    const shape = image(more);
    const bytes = pixelsOf(shape);
    const encoded = await encodeFrame({ bytes, image: shape }, codec);
    expect(encoded.image.planar).toBe(false);
    // As anybody reads it: by what the header says now.
    const back = await decodeFrame(encoded.bytes, codec, encoded.image);
    const planes = back.bytes;
    const pixels = shape.rows * shape.columns;
    const expected = shape.planar
      ? Uint8Array.from(
          { length: bytes.length },
          (_, at) => bytes[(at % 3) * pixels + Math.floor(at / 3)] ?? 0,
        )
      : bytes;
    expect(Buffer.compare(planes.subarray(0, expected.length), expected)).toBe(0);
  });

  it.each<[string, Partial<ImagePixel>]>([
    ['single bits', { bitsAllocated: 1, bitsStored: 1, highBit: 0 }],
    ['32 bits', { bitsAllocated: 32, bitsStored: 32, highBit: 31 }],
    ['subsampled colour', { bitsAllocated: 8, bitsStored: 8, samples: 3, photometric: 'YBR_FULL_422' }],
    ['floating point', { bitsAllocated: 32, bitsStored: 32, highBit: 31, float: true }],
  ])('refuses %s', async (_name, more) => {
    const shape = image(more);
    const bytes = new Uint8Array((shape.rows * shape.columns * shape.samples * shape.bitsAllocated) / 8 + 1);
    await expect(encodeFrame({ bytes, image: shape }, codec)).rejects.toMatchObject({
      code: 'PIXELS_UNSUPPORTED',
    });
  });
});

it('colour in JPEG 2000 says how its components are mixed (PS3.5 §8.2.4)', async () => {
  const shape = image({ bitsAllocated: 8, bitsStored: 8, highBit: 7, samples: 3, photometric: 'RGB' });
  for (const codec of ['jpeg2000', 'htj2k'] as const) {
    const { image: after } = await encodeFrame({ bytes: pixelsOf(shape), image: shape }, codec);
    expect(['YBR_RCT', 'RGB']).toContain(after.photometric);
  }
});

it('refuses bits beyond those stored, which JPEG 2000 would lose', async () => {
  const shape = image();
  const bytes = Buffer.from(pixelsOf(shape));
  for (let at = 1; at < bytes.length; at += 2) bytes.writeUInt8((bytes[at] ?? 0) | 0xf0, at);
  await expect(encodeFrame({ bytes, image: shape }, 'jpeg2000')).rejects.toMatchObject({
    code: 'PIXELS_BROKEN',
  });
});
