/** From what an object says about showing it to grey and colour (PS3.3 §C.11.1, §C.11.2, §C.7.6.3.1, §C.7.9). */
import { describe, expect, it } from 'vitest';
import { dataSet, makeElement, withElements } from '../dicom/element.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { toRgb, withPalette } from './colour.ts';
import { grey, greyTransform } from './grey.ts';
import { type ImagePixel, imagePixel } from './image-pixel.ts';
import { expandSegments, lookUp, readLut, readPalette } from './lut.ts';
import type { Samples } from './samples.ts';
import { unpack } from './samples.ts';

const image = (over: Partial<ImagePixel> = {}): ImagePixel => ({
  ...{ rows: 1, columns: 4, samples: 1, bitsAllocated: 16, bitsStored: 16, highBit: 15, signed: false },
  ...{ planar: false, photometric: 'MONOCHROME2', float: false },
  ...over,
});
type Attributes = Parameters<typeof dataSet>[0];
const show = (samples: Samples, attributes: Attributes, over: Partial<ImagePixel> = {}): number[] => [
  ...grey(samples, greyTransform([dataSet(attributes)], image(over))),
];
const words = (...values: number[]): Uint8Array => new Uint8Array(Uint16Array.from(values).buffer);
const lut = (entries: number, first: number, bits: number, data: Uint8Array) =>
  withElements(dataSet({ LUTDescriptor: words(entries, first, bits) }), [
    makeElement(Tags.LUTData, data, { vr: 'OW' }),
  ]);

describe('windows of an object (PS3.3 §C.11.2.1.2)', () => {
  it('are the first pair that is one', () => {
    const samples = Uint16Array.of(0, 50, 100, 1000);
    const second = { WindowCenter: ['', '50'], WindowWidth: ['400', '100'], VOILUTFunction: 'LINEAR_EXACT' };
    expect(show(samples, second)).toEqual([0, 128, 255, 255]);
    expect(show(samples, { ...second, WindowCenter: ['50', '9'], WindowWidth: ['100', '9'] })).toEqual([
      0, 128, 255, 255,
    ]);
    expect(show(samples, { ...second, WindowCenter: ['9', '50'], WindowWidth: ['0', '100'] })).toEqual([
      0, 128, 255, 255,
    ]);
  });
  it.each(['0', '-5', 'NaN', 'x', ''])('of width %j are none (case 39)', (width) => {
    expect(show(Uint16Array.of(10, 20, 30), { WindowCenter: '15', WindowWidth: width })).toEqual([
      0, 128, 255,
    ]);
  });
  it('are in the values of the modality', () => {
    const ct = { RescaleSlope: '2', RescaleIntercept: '-1000', WindowCenter: '0', WindowWidth: '200' };
    // LINEAR: (x + 0.5) / 199 + 0.5 of white.
    expect(show(Int16Array.of(450, 500, 549, 600), ct, { signed: true })).toEqual([0, 128, 254, 255]);
  });
  it('without any, values of at most 8 bits are shown as they are', () => {
    expect(show(Uint8Array.of(0, 100, 200), {}, { bitsAllocated: 8, bitsStored: 8 })).toEqual([0, 100, 200]);
    expect(show(Uint8Array.of(0, 0, 0), {}, { bitsAllocated: 1, bitsStored: 1 })).toEqual([0, 0, 0]);
    expect(show(Uint8Array.of(1, 1, 0), {}, { bitsAllocated: 1, bitsStored: 1 })).toEqual([255, 255, 0]);
    expect(show(Int8Array.of(-128, 0, 127), {}, { bitsAllocated: 8, bitsStored: 8, signed: true })).toEqual([
      0, 128, 255,
    ]);
  });
  it('without any, a picture of one value of more bits is black', () => {
    expect(show(Uint16Array.of(700, 700), {})).toEqual([0, 0]);
    expect(show(Uint16Array.of(700, 700), {}, { photometric: 'MONOCHROME1' })).toEqual([255, 255]);
  });
});

describe('padding (PS3.3 §C.7.5.1.1.2)', () => {
  it('is black and not looked at, a range of it too, signed or written as if it were not', () => {
    const samples = Int16Array.of(-2000, 0, 100, -1990);
    for (const value of [-2000, 63536]) {
      const padding = makeElement(Tags.PixelPaddingValue, [value], { vr: value < 0 ? 'SS' : 'US' });
      const limit = makeElement(Tags.PixelPaddingRangeLimit, [-1990], { vr: 'SS' });
      const transform = greyTransform([withElements(dataSet({}), [padding, limit])], image({ signed: true }));
      expect([...grey(samples, transform)]).toEqual([0, 0, 255, 0]);
    }
  });
  it('of float pixels has its own attributes (§C.7.6.24)', () => {
    const samples = Float32Array.of(-1e30, 0, 1, Number.NaN);
    const float = { bitsAllocated: 32, bitsStored: 32, float: true } as const;
    const padding = makeElement(Tags.FloatPixelPaddingValue, [Math.fround(-1e30)], { vr: 'FL' });
    const transform = greyTransform([withElements(dataSet({}), [padding])], image(float));
    expect([...grey(samples, transform)]).toEqual([0, 0, 255, 0]);
  });
});

describe('lookup tables (PS3.3 §C.11.1.1, §C.11.2.1.1)', () => {
  const MODALITY = { ModalityLUTSequence: [lut(3, 0, 8, Uint8Array.of(0, 100, 200, 0))] };
  it('of the modality come before the window', () => {
    const window = { WindowCenter: '100', WindowWidth: '200', VOILUTFunction: 'LINEAR_EXACT' };
    expect(show(Uint16Array.of(0, 1, 2, 9), { ...MODALITY, ...window })).toEqual([0, 128, 255, 255]);
  });
  it.each([
    ['1.2.840.10008.5.1.4.1.1.12.1', [0, 128, 255]],
    ['1.2.840.10008.5.1.4.1.1.12.2', [0, 128, 255]],
    ['1.2.840.10008.5.1.4.1.1.1', [0, 0, 0]],
  ])('of the modality of %s are for showing or not (PS3.17 §FFF.2.3.1.3.4)', (SOPClassUID, shown) => {
    const linear = { ModalityLUTSequence: [lut(3, 0, 8, Uint8Array.of(0, 0, 0, 0))], SOPClassUID };
    expect(
      show(Uint16Array.of(0, 1, 2), {
        ...linear,
        WindowCenter: '1',
        WindowWidth: '2',
        VOILUTFunction: 'LINEAR_EXACT',
      }),
    ).toEqual(shown);
  });
  it('of the VOI begin below zero only where values can be there', () => {
    const voi = { VOILUTSequence: [lut(2, 40000, 8, Uint8Array.of(10, 200))] };
    expect(show(Uint16Array.of(39999, 40000, 40001), voi)).toEqual([10, 10, 200]);
    const below = { VOILUTSequence: [lut(2, 65535, 8, Uint8Array.of(10, 200))] };
    expect(show(Int16Array.of(-2, -1, 0), below, { signed: true })).toEqual([10, 10, 200]);
    expect(show(Uint16Array.of(0, 1, 2), { ...below, RescaleSlope: '1', RescaleIntercept: '-2' })).toEqual([
      10, 10, 200,
    ]);
  });
  it.each<[string, ReturnType<typeof lut>, number[] | undefined, number | undefined]>([
    ['8 bits in bytes', lut(3, 0, 8, Uint8Array.of(1, 2, 3, 0)), [1, 2, 3], 8],
    ['8 bits in words', lut(3, 0, 8, words(1, 2, 3)), [1, 2, 3], 8],
    ['8 bits said, 12 given', lut(3, 0, 8, words(1, 2, 4095)), [1, 2, 4095], 16],
    ['16 bits said, bytes given', lut(3, 0, 16, Uint8Array.of(1, 2, 255, 0)), [1, 2, 255], 8],
    ['16 bits, cut short', lut(4, 0, 16, words(1, 2, 3)), [1, 2, 3], 16],
    ['12 bits', lut(2, 0, 12, words(0, 4095)), [0, 4095], 12],
    ['no bits', lut(2, 0, 0, words(0, 4095)), [0, 4095], 16],
    ['no data', lut(3, 0, 16, new Uint8Array(0)), undefined, undefined],
    ['one byte', lut(3, 0, 16, Uint8Array.of(7)), [7, 0], 8],
  ])('are read with %s', (_what, item, values, bits) => {
    const found = readLut(item, false);
    expect(found && [...found.values]).toEqual(values);
    expect(found?.bits).toBe(bits);
  });
  it('of 65,536 entries say 0', () => {
    const data = new Uint8Array(131072).fill(7);
    expect(readLut(lut(0, 0, 16, data), false)?.values).toHaveLength(65536);
  });
  it('without a descriptor, or a short one, are none (case 38)', () => {
    expect(readLut(dataSet({ LUTDescriptor: words(3, 0) }), false)).toBeUndefined();
    expect(readLut(dataSet({}), false)).toBeUndefined();
  });
  it('give an entry of theirs for any input (case 38)', () => {
    const found = readLut(lut(3, 65535, 16, words(1, 2, 3)), true)!;
    for (const input of [-1e9, -2, -1, 0, 1, 2, 1e9, Infinity, -Infinity, 0.4])
      expect([1, 2, 3]).toContain(lookUp(found, input));
  });
});

describe('palettes (PS3.3 §C.7.6.3.1.5, §C.7.6.3.1.6, §C.7.9.2)', () => {
  const palette = (first: number, bits: number, data: Uint8Array, segmented = false, entries = 3) => {
    const colours = ['Red', 'Green', 'Blue'] as const;
    return readPalette(
      dataSet(
        Object.fromEntries(
          colours.flatMap((colour) => [
            [`${colour}PaletteColorLookupTableDescriptor`, { vr: 'US', value: words(entries, first, bits) }],
            [
              `${segmented ? 'Segmented' : ''}${colour}PaletteColorLookupTableData`,
              { vr: 'OW', value: data },
            ],
          ]),
        ) as Attributes,
      ),
      false,
    )?.[0];
  };
  it('of 16 bits that use 8 are of 8', () => {
    expect(palette(0, 16, words(0, 128, 255))).toMatchObject({ bits: 8 });
    expect(palette(0, 16, words(0, 128, 256))).toMatchObject({ bits: 16 });
  });
  it('in segments of words, and of bytes when entries have 8 bits (PS3.6 §B.1)', () => {
    expect([...palette(0, 16, words(0, 1, 100, 1, 2, 300), true)!.values]).toEqual([100, 200, 300]);
    expect([...palette(0, 8, Uint8Array.of(0, 1, 100, 1, 2, 200), true)!.values]).toEqual([100, 150, 200]);
    expect([...palette(0, 8, words(0, 1, 100, 1, 2, 200), true)!.values]).toEqual([100, 150, 200]);
  });
  it('repeat segments of bytes by an offset of four', () => {
    const data = Uint16Array.of(0, 2, 5, 6, 2, 1, 0, 0, 0, 0);
    expect([...expandSegments(data, 4, 1)]).toEqual([5, 6, 5, 6]);
  });
  it.each([
    ['too few entries', [0, 2, 5, 6]],
    ['a line from nowhere', [1, 2, 5]],
    ['an unknown segment', [3, 1, 1]],
    ['a segment beyond the end', [0, 9, 1]],
    ['a reference forward', [0, 1, 5, 2, 1, 99, 0]],
    ['a reference to a reference', [0, 1, 5, 2, 1, 0, 0, 2, 1, 6, 0]],
  ])('refuse %s (case 38)', (_what, data) =>
    expect(() => expandSegments(Uint16Array.from(data), 4)).toThrow(/PIXELS_BROKEN/),
  );
  it('supplement grey from their first value on (§C.8.16.2.1.1.1)', () => {
    const samples = Uint16Array.of(0, 100, 1000, 1001);
    const red = { first: 1000, bits: 8, values: Uint16Array.of(9, 10) };
    const black = { ...red, values: Uint16Array.of(0, 0) };
    const transform = { ...greyTransform([dataSet({})], image()), colourFrom: 1000 };
    const shown = grey(samples, transform);
    expect([...withPalette(samples, shown, [red, black, black])]).toEqual([
      ...[0, 0, 0],
      ...[255, 255, 255],
      ...[9, 0, 0],
      ...[10, 0, 0],
    ]);
  });
});

describe('colour (PS3.3 §C.7.6.3.1.2)', () => {
  const colour = { samples: 3, bitsAllocated: 8, bitsStored: 8, highBit: 7, columns: 2 } as const;
  it.each([
    ['YBR_FULL', false, [76, 84, 255, 149, 43, 21], [254, 0, 0, 0, 255, 0]],
    ['YBR_FULL', true, [76, 149, 84, 43, 255, 21], [254, 0, 0, 0, 255, 0]],
    ['YBR_RCT', false, [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]],
    ['YBR_ICT', false, [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]],
    ['YBR_PARTIAL_420', false, [235, 128, 128, 16, 128, 128], [255, 255, 255, 0, 0, 0]],
    ['RGB', true, [1, 4, 2, 5, 3, 6], [1, 2, 3, 4, 5, 6]],
  ])('%s, planes %s', (photometric, planar, samples, rgb) => {
    const found = [...toRgb(Uint8Array.from(samples), image({ ...colour, photometric, planar }))];
    found.forEach((value, at) => expect(Math.abs(value - rgb[at]!)).toBeLessThanOrEqual(1));
  });
  it('of 16 bits keeps its upper 8', () =>
    expect([
      ...toRgb(
        Uint16Array.of(0xff00, 0x8000, 0x00ff, 0, 0, 0),
        image({ ...colour, bitsAllocated: 16, bitsStored: 16, highBit: 15, photometric: 'RGB' }),
      ),
    ]).toEqual([255, 128, 0, 0, 0, 0]));
  it.each(['HSV', 'ARGB', 'CMYK', 'toString'])('of %s is refused honestly', (photometric) =>
    expect(() => toRgb(new Uint8Array(6), image({ ...colour, photometric }))).toThrow(/PIXELS_UNSUPPORTED/),
  );
});

describe('the Image Pixel module (cases 34 to 36)', () => {
  const valid = { Rows: 2, Columns: 2, BitsAllocated: 16, BitsStored: 12, HighBit: 11, SamplesPerPixel: 1 };
  it.each<[string, Attributes, string]>([
    ['no rows', { Rows: [] }, 'PIXELS_NONE'],
    ['no columns', { Columns: 0 }, 'PIXELS_NONE'],
    ['0 bits', { BitsAllocated: 0 }, 'PIXELS_UNSUPPORTED'],
    ['3 bits', { BitsAllocated: 3 }, 'PIXELS_UNSUPPORTED'],
    ['24 bits', { BitsAllocated: 24 }, 'PIXELS_UNSUPPORTED'],
    ['64 bits of integers', { BitsAllocated: 64, BitsStored: 64, HighBit: 63 }, 'PIXELS_UNSUPPORTED'],
    ['more bits stored than allocated', { BitsStored: 17, HighBit: 16 }, 'PIXELS_UNSUPPORTED'],
    ['no bits stored', { BitsStored: 0 }, 'PIXELS_UNSUPPORTED'],
    ['a high bit below the stored ones', { HighBit: 5 }, 'PIXELS_UNSUPPORTED'],
    ['a high bit beyond', { HighBit: 16 }, 'PIXELS_UNSUPPORTED'],
    ['65,535 by 65,535 pixels', { Rows: 65535, Columns: 65535 }, 'TOO_LARGE'],
    [
      'rows of another VR and no number (case 35)',
      { Rows: { vr: 'OB', value: Uint8Array.of(1, 2) } },
      'PIXELS_NONE',
    ],
    ['rows beyond 16 bits (case 35)', { Rows: { vr: 'UL', value: 70000 } }, 'PIXELS_NONE'],
  ])('is refused with %s', (_what, change, code) =>
    expect(() => imagePixel(dataSet({ ...valid, ...change }))).toThrow(new RegExp(code)),
  );
  it('cuts overlay bits above the stored ones off, signed or not (PS3.5 §8.1.1)', () => {
    const ds = dataSet({ ...valid, PixelRepresentation: 0 });
    const bytes = words(0xf123, 0x1fff, 0x0001, 0xffff);
    expect([...unpack(bytes, imagePixel(ds))]).toEqual([0x123, 0xfff, 1, 0xfff]);
    expect([...unpack(bytes, imagePixel(dataSet({ ...valid, PixelRepresentation: 1 })))]).toEqual([
      0x123, -1, 1, -1,
    ]);
  });
});
