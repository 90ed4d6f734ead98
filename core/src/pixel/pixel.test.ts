import { describe, expect, it } from 'vitest';
import { toRgb, paletteToRgb } from './colour.ts';
import { codestreamSize } from './codestream.ts';
import { grey } from './grey.ts';
import type { ImagePixel } from './image-pixel.ts';
import { expandSegments, lookUp } from './lut.ts';
import { decodeRle } from './rle.ts';
import { unpack } from './samples.ts';
import { windowed } from './window.ts';

const image = (over: Partial<ImagePixel>): ImagePixel => ({
  rows: 1,
  columns: 2,
  samples: 1,
  bitsAllocated: 16,
  bitsStored: 12,
  highBit: 11,
  signed: false,
  planar: false,
  photometric: 'MONOCHROME2',
  float: false,
  ...over,
});

describe('pixel cells (PS3.5 §8.1.1)', () => {
  it('extend the sign of the stored bits and ignore those above', () =>
    expect([...unpack(Uint8Array.of(0xff, 0xff, 0x00, 0xf8), image({ signed: true }))]).toEqual([-1, -2048]));
  it('honour a high bit above the stored bits', () =>
    expect([...unpack(Uint8Array.of(0xf0, 0xff, 0x10, 0), image({ highBit: 15 }))]).toEqual([4095, 1]));
  it('unpack single bits low bit first', () =>
    expect([
      ...unpack(
        Uint8Array.of(0b10000001, 1),
        image({ columns: 9, bitsAllocated: 1, bitsStored: 1, highBit: 0 }),
      ),
    ]).toEqual([1, 0, 0, 0, 0, 0, 0, 1, 1]));
  it('unpack 12 bits', () =>
    expect([...unpack(Uint8Array.of(0x23, 0x61, 0x45), image({ bitsAllocated: 12 }))]).toEqual([
      0x123, 0x456,
    ]));
  it('unpack 32 bits and doubles', () => {
    const wide = image({ bitsAllocated: 32, bitsStored: 32, highBit: 31 });
    expect([...unpack(Uint8Array.of(255, 255, 255, 255, 1, 0, 0, 0), wide)]).toEqual([4294967295, 1]);
    const double = new Uint8Array(new Float64Array([1.5, -2]).buffer);
    expect([
      ...unpack(double, image({ bitsAllocated: 64, bitsStored: 64, highBit: 63, float: true })),
    ]).toEqual([1.5, -2]);
  });
  it('are zero where bytes are missing', () =>
    expect([...unpack(Uint8Array.of(1, 0), image({}))]).toEqual([1, 0]));
});

describe('RLE (PS3.5 Annex G)', () => {
  const frame = (offsets: number[], ...segments: number[][]): Uint8Array => {
    const header = new Uint8Array(64);
    const view = new DataView(header.buffer);
    [segments.length, ...offsets].forEach((value, at) => view.setUint32(at * 4, value, true));
    return Uint8Array.from([...header, ...segments.flat()]);
  };
  const shape = { rows: 1, columns: 4, samples: 1, bitsAllocated: 16, planar: false };
  it('puts the most significant plane last', () =>
    expect([...decodeRle(frame([64, 66], [253, 1], [3, 1, 2, 3, 4]), shape)]).toEqual([
      1, 1, 2, 1, 3, 1, 4, 1,
    ]));
  it.each([
    ['too many segments', frame([64, 66, 68], [253, 1], [253, 1], [253, 1])],
    ['an offset beyond the end', frame([64, 9999], [253, 1], [253, 1])],
    ['offsets backwards', frame([66, 64], [253, 1], [253, 1])],
    ['a short header', new Uint8Array(10)],
  ])('refuses %s', (_name, bytes) => expect(() => decodeRle(bytes, shape)).toThrow(/PIXELS_BROKEN/));
  it('cuts runs beyond the plane', () =>
    expect([...decodeRle(frame([64, 66], [129, 1], [129, 7]), shape)]).toEqual([7, 1, 7, 1, 7, 1, 7, 1]));
});

describe('lookup tables', () => {
  const lut = { first: -1, bits: 8, values: Uint16Array.of(10, 20, 30) };
  it('clamp inputs outside (PS3.3 §C.11.1.1.1)', () =>
    expect([-9, -1, 0, 1, 9].map((x) => lookUp(lut, x))).toEqual([10, 10, 20, 30, 30]));
  it('expand discrete, linear and indirect segments (PS3.3 §C.7.9.2)', () => {
    const segments = Uint16Array.of(0, 2, 0, 10, 1, 2, 20, 2, 1, 0, 0);
    expect([...expandSegments(segments, 6)]).toEqual([0, 10, 15, 20, 0, 10]);
  });
  it('refuse an indirect segment that refers to itself', () =>
    expect(() => expandSegments(Uint16Array.of(2, 1, 0, 0), 4)).toThrow(/PIXELS_BROKEN/));
  it('colour indices', () => {
    const wide = { first: 0, bits: 16, values: Uint16Array.of(0, 65535) };
    expect([
      ...paletteToRgb(Uint8Array.of(1, 9), [wide, wide, { ...wide, values: Uint16Array.of(0) }]),
    ]).toEqual([255, 255, 0, 255, 255, 0]);
  });
});

describe('windows (PS3.3 §C.11.2.1.2, §C.11.2.1.3)', () => {
  it.each([
    ['linear', 2048, 4096, 0, 0],
    ['linear', 2048, 4096, 4095, 1],
    ['linear', 100, 1, 99, 0],
    ['linear', 100, 1, 100, 1],
    ['linear-exact', 100, 200, 100, 0.5],
    ['linear-exact', 100, 200, 200, 1],
    ['sigmoid', 100, 200, 100, 0.5],
  ] as const)('%s c=%d w=%d of %d is %d', (shape, center, width, x, y) =>
    expect(windowed(x, { center, width, shape })).toBeCloseTo(y, 6),
  );
});

describe('grey', () => {
  const rescale = { kind: 'rescale', slope: 1, intercept: 0 } as const;
  it('inverts MONOCHROME1, leaves padding out and black', () => {
    const shown = grey(Int16Array.of(-2000, 0, 50, 100), {
      modality: rescale,
      voi: { kind: 'full' },
      inverse: true,
      padding: [-2000, -2000],
    });
    expect([...shown]).toEqual([0, 255, 128, 0]);
  });
  it('applies a VOI table after the rescale', () => {
    const voi = { kind: 'lut', lut: { first: 0, bits: 8, values: Uint16Array.of(0, 100, 255) } } as const;
    const shown = grey(Uint8Array.of(0, 1), {
      modality: { ...rescale, intercept: 1 },
      voi,
      inverse: false,
      padding: undefined,
    });
    expect([...shown]).toEqual([100, 255]);
  });
});

describe('colour (PS3.3 §C.7.6.3.1.2)', () => {
  const colour = { samples: 3, bitsAllocated: 8, bitsStored: 8, highBit: 7 } as const;
  it('reads planes', () =>
    expect([
      ...toRgb(Uint8Array.of(1, 4, 2, 5, 3, 6), image({ ...colour, photometric: 'RGB', planar: true })),
    ]).toEqual([1, 2, 3, 4, 5, 6]));
  it('turns YBR_FULL_422 into red', () =>
    expect([
      ...toRgb(Uint8Array.of(76, 76, 85, 255), image({ ...colour, photometric: 'YBR_FULL_422' })),
    ]).toEqual([254, 0, 0, 254, 0, 0]));
  it('turns YBR_PARTIAL_422 white', () =>
    expect([
      ...toRgb(Uint8Array.of(235, 16, 128, 128), image({ ...colour, photometric: 'YBR_PARTIAL_422' })),
    ]).toEqual([255, 255, 255, 0, 0, 0]));
});

describe('codestream headers (attacks B40, B41)', () => {
  const be = (...values: number[]): number[] =>
    values.flatMap((value) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
  const siz = (x: number, y: number, tile: number): Uint8Array =>
    Uint8Array.from([
      0xff,
      0x4f,
      0xff,
      0x51,
      0,
      41,
      0,
      0,
      ...be(x, y, 0, 0, tile, tile, 0, 0),
      0,
      1,
      11,
      1,
      1,
    ]);
  const sof = [0xff, 0xd8, 0xff, 0xc3, 0, 11, 12, 0, 2, 0, 3, 1, 1, 0x11, 0];
  it('tell the size of JPEG and JPEG 2000', () => {
    expect(codestreamSize(Uint8Array.from(sof), 'jpeg-lossless')).toMatchObject({
      width: 3,
      height: 2,
      bits: 12,
    });
    expect(codestreamSize(siz(5, 4, 64), 'jpeg2000')).toMatchObject({
      width: 5,
      height: 4,
      bits: 12,
      components: 1,
    });
  });
  it.each([
    ['planes', 0, true],
    ['lines', 1, false],
    ['samples', 2, false],
  ])('tell that JPEG-LS is in %s (T.87 §C.2.3)', (_name, mode, planar) => {
    const jls = [0xff, 0xd8, 0xff, 0xf7, 0, 17, 8, 0, 2, 0, 3, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    const scan =
      mode === 0
        ? [0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0]
        : [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, mode, 0];
    expect(codestreamSize(Uint8Array.from([...jls, ...scan]), 'jpeg-ls')).toMatchObject({ planar });
  });
  it('tell the size of JPEG XL by ratio', () =>
    // small, height (1 + 1) * 8, ratio 1:1
    expect(codestreamSize(Uint8Array.of(0xff, 0x0a, 0b01000011, 0), 'jpeg-xl')).toMatchObject({
      width: 16,
      height: 16,
    }));
  it.each([
    ['nothing', new Uint8Array(0), 'jpeg'],
    ['two frame headers', Uint8Array.from([...sof, ...sof.slice(2)]), 'jpeg'],
    ['too many tiles', siz(65535, 65535, 1), 'jpeg2000'],
    ['a tile of no size', siz(9, 9, 0), 'htj2k'],
    ['a box of no length', Uint8Array.from(be(0, 0x6a502020, 0, 0)), 'jpeg2000'],
    [
      'scans without end',
      Uint8Array.from([...sof, ...Array.from({ length: 300 }, () => [0xff, 0xda, 0, 2]).flat()]),
      'jpeg',
    ],
  ] as const)('refuse %s', (_name, bytes, codec) =>
    expect(() => codestreamSize(bytes, codec)).toThrow(/PIXELS_BROKEN/),
  );
});
