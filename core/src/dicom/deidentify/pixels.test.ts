import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DataSet } from '../data-set.ts';
import { dataSet, withElements } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { text } from '../values.ts';
import { deidentify } from './deidentify.ts';
import { planPixels } from './pixels.ts';
import type { DeidentifyOption } from './profile.ts';
import {
  blackenFrames,
  clearUnusedBits,
  complement,
  frameBits,
  type FrameLayout,
  type Rectangle,
} from './rectangles.ts';

const hash = (value: string): Uint8Array => createHmac('sha256', 'k').update(value).digest();
const layout = (over: Partial<FrameLayout> = {}): FrameLayout => ({
  ...{ rows: 4, columns: 6, samples: 1, bitsAllocated: 8, bitsStored: 8, highBit: 7 },
  ...{ signed: false, planar: false, photometric: 'MONOCHROME2', float: false },
  ...over,
});
const BOX: Rectangle = { left: 1, top: 1, width: 3, height: 2 };
const inside = (x: number, y: number, { left, top, width, height }: Rectangle): boolean =>
  x >= left && x < left + width && y >= top && y < top + height;

const image = (over: Parameters<typeof dataSet>[0] = {}): DataSet =>
  dataSet({ SOPClassUID: '1.2.840.10008.5.1.4.1.1.6.1', Modality: 'US', Rows: 100, Columns: 200, ...over });
const region = (x0: number, y0: number, x1: number, y1: number): DataSet =>
  dataSet({
    RegionLocationMinX0: x0,
    RegionLocationMinY0: y0,
    RegionLocationMaxX1: x1,
    RegionLocationMaxY1: y1,
  });

describe('Blackened rectangles (PS3.5 §8.1.1)', () => {
  const LAYOUTS: [string, FrameLayout, number[]][] = [
    ['8 bit', layout(), [0]],
    ['8 bit MONOCHROME1', layout({ photometric: 'MONOCHROME1' }), [255]],
    [
      '12 of 16 bit',
      layout({ bitsAllocated: 16, bitsStored: 12, highBit: 11, photometric: 'MONOCHROME1' }),
      [0xff, 0x0f],
    ],
    ['signed 16 bit', layout({ bitsAllocated: 16, bitsStored: 16, highBit: 15, signed: true }), [0x00, 0x80]],
    ['32 bit', layout({ bitsAllocated: 32, bitsStored: 32, highBit: 31 }), [0, 0, 0, 0]],
    [
      '64 bit float',
      layout({ bitsAllocated: 64, bitsStored: 64, highBit: 63, float: true }),
      [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    ['RGB by pixel', layout({ samples: 3, photometric: 'RGB' }), [0, 0, 0]],
    ['YBR_FULL by pixel', layout({ samples: 3, photometric: 'YBR_FULL' }), [0, 128, 128]],
  ];
  it.each(LAYOUTS)('of every frame, and nothing else: %s', (_name, one, black) => {
    const frames = 3;
    const pixels = new Uint8Array((frameBits(one) / 8) * frames).fill(0x55);
    blackenFrames(pixels, one, [BOX]);
    const size = black.length;
    for (let at = 0; at < pixels.length; at += size) {
      const pixel = (at / size) % 24;
      const expected = inside(pixel % 6, Math.floor(pixel / 6), BOX) ? black : black.map(() => 0x55);
      expect([...pixels.subarray(at, at + size)]).toEqual(expected);
    }
  });

  it('by plane', () => {
    const one = layout({ samples: 3, photometric: 'YBR_FULL', planar: true });
    const pixels = new Uint8Array(72).fill(0x55);
    blackenFrames(pixels, one, [BOX]);
    for (let at = 0; at < 72; at++) {
      const pixel = at % 24;
      const black = at < 24 ? 0 : 128;
      expect(pixels[at]).toBe(inside(pixel % 6, Math.floor(pixel / 6), BOX) ? black : 0x55);
    }
  });

  it('with shared colours: the neighbour in the pair too', () => {
    const one = layout({ samples: 3, photometric: 'YBR_FULL_422' });
    const pixels = new Uint8Array(48).fill(0x55);
    blackenFrames(pixels, one, [{ left: 1, top: 0, width: 1, height: 1 }]);
    expect([...pixels.subarray(0, 6)]).toEqual([0, 0, 128, 128, 0x55, 0x55]);
  });

  it('of packed bits, where frames do not begin at a byte', () => {
    const one = layout({ rows: 3, columns: 3, bitsAllocated: 1, bitsStored: 1, highBit: 0 });
    const pixels = new Uint8Array(3).fill(0xff);
    blackenFrames(pixels, one, [{ left: 0, top: 0, width: 2, height: 1 }]);
    const bit = (at: number): number => ((pixels[at >> 3] ?? 0) >> (at & 7)) & 1;
    expect(Array.from({ length: 18 }, (_, at) => bit(at))).toEqual(
      Array.from({ length: 18 }, (_, at) => (at % 9 < 2 ? 0 : 1)),
    );
  });

  it('of big endian and cut-off pixels', () => {
    const one = layout({ bitsAllocated: 16, bitsStored: 12, highBit: 11, photometric: 'MONOCHROME1' });
    const pixels = new Uint8Array(15);
    blackenFrames(pixels, one, [{ left: 0, top: 0, width: 6, height: 4 }], false);
    expect([...pixels.subarray(0, 4)]).toEqual([0x0f, 0xff, 0x0f, 0xff]);
  });

  it.each([
    { left: -5, top: -5, width: 100, height: 100 },
    { left: NaN, top: 0, width: Infinity, height: 9 },
    { left: 50, top: 50, width: 5, height: 5 },
    { left: 3, top: 3, width: -2, height: 1 },
  ])('cut to the frame: %o', (rectangle) => {
    const pixels = new Uint8Array(24 + 8).fill(0x55);
    blackenFrames(pixels.subarray(4, 28), layout(), [rectangle]);
    expect([...pixels.subarray(0, 4), ...pixels.subarray(28)]).toEqual(Array(8).fill(0x55));
  });

  it('clears what is hidden in unused bits and keeps the values', () => {
    const words = Uint16Array.of(0x8123, 0xf456);
    clearUnusedBits(new Uint8Array(words.buffer), layout({ bitsAllocated: 16, bitsStored: 12, highBit: 11 }));
    expect([...words]).toEqual([0x0123, 0x0456]);
    const signed = Uint16Array.of(0x1801, 0x8001);
    clearUnusedBits(
      new Uint8Array(signed.buffer),
      layout({ bitsAllocated: 16, bitsStored: 12, highBit: 11, signed: true }),
    );
    expect([...signed]).toEqual([0xf801, 0x0001]);
  });

  it('complement: every pixel is in a region or in one rectangle', () => {
    const some = fc.array(
      fc.record({ left: fc.nat(12), top: fc.nat(12), width: fc.nat(8), height: fc.nat(8) }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(some, (regions) => {
        const outside = complement(regions, 10, 12);
        for (let y = 0; y < 10; y++) {
          for (let x = 0; x < 12; x++) {
            const covers = outside.filter((one) => inside(x, y, one)).length;
            expect(covers).toBe(regions.some((one) => inside(x, y, one)) ? 0 : 1);
          }
        }
      }),
    );
  });
});

describe('Where names may be in the pixels (PS3.15 §E.3.1)', () => {
  it.each([
    ['no pixels', dataSet({ Modality: 'SR' }), 'none'],
    ['CT', image({ Modality: 'CT', SOPClassUID: '1.2.840.10008.5.1.4.1.1.2' }), 'clean'],
    ['CT that says it is burned in', image({ Modality: 'CT', BurnedInAnnotation: 'YES' }), 'review'],
    ['CT dose page', image({ Modality: 'CT', ImageType: ['DERIVED', 'SECONDARY', 'DOSE_INFO'] }), 'review'],
    ['ultrasound without regions', image(), 'review'],
    ['ultrasound that says no', image({ BurnedInAnnotation: 'NO' }), 'clean'],
    ['secondary capture', image({ Modality: 'CT', SOPClassUID: '1.2.840.10008.5.1.4.1.1.7' }), 'review'],
    ['scanned film', image({ Modality: 'CR', ConversionType: 'DF' }), 'review'],
    ['slide with its label', image({ Modality: 'SM', SpecimenLabelInImage: 'YES' }), 'review'],
    ['no modality', image({ Modality: undefined }), 'review'],
    ['one region of the whole', image({ SequenceOfUltrasoundRegions: [region(0, 0, 199, 99)] }), 'review'],
    ['regions', image({ SequenceOfUltrasoundRegions: [region(0, 10, 199, 99)] }), 'blacken'],
  ])('%s: %3$s', (_name, ds, verdict) => {
    expect(planPixels(ds).verdict).toBe(verdict);
  });

  it('is outside the regions of an ultrasound image', () => {
    const ds = image({ BurnedInAnnotation: 'NO', SequenceOfUltrasoundRegions: [region(10, 20, 199, 99)] });
    expect(planPixels(ds).rectangles).toEqual([
      { left: 0, top: 0, width: 200, height: 20 },
      { left: 0, top: 20, width: 10, height: 80 },
    ]);
  });

  it('is what a rule of the device says, unless rectangles are given', () => {
    const rule = { manufacturer: 'acme ', model: 'Echo 1', rows: 100, rectangles: [BOX] };
    const ds = image({ Manufacturer: 'ACME', ManufacturerModelName: 'Echo 1' });
    expect(planPixels(ds, [], [rule])).toMatchObject({ why: 'device-rule', rectangles: [BOX] });
    expect(planPixels(ds, [], [{ ...rule, rows: 99 }]).verdict).toBe('review');
    expect(planPixels(ds, [{ ...BOX, width: 9 }], [rule])).toMatchObject({ why: 'given' });
  });

  it('is in unused bits when an overlay has no data of its own', () => {
    const overlay = (over: Parameters<typeof dataSet>[0]): DataSet =>
      withElements(image(), dataSet({ '60000010': { vr: 'US', value: 5 }, ...over }).elements.values());
    expect(planPixels(overlay({})).clearUnusedBits).toBe(true);
    const data = { '60003000': { vr: 'OW', value: new Uint8Array(2) } } as const;
    expect(planPixels(overlay(data)).clearUnusedBits).toBe(false);
  });
});

describe('Options for pixels (PS3.15 §E.3.1, §E.3.2)', () => {
  const run = (ds: DataSet, options: DeidentifyOption[], over: object = {}): DataSet =>
    deidentify(ds, { options: new Set(options), hash, ...over }).dataSet;
  const refusal = (code: string): Error => expect.objectContaining({ code }) as Error;

  it('refuses to call pixels clean that nobody has looked at', () => {
    expect(() => run(image(), ['cleanPixelData'])).toThrow(refusal('DEIDENTIFY_PIXELS'));
    expect(text(run(image(), ['cleanPixelData'], { pixelsReviewed: true }), Tags.BurnedInAnnotation)).toBe(
      'NO',
    );
    expect(text(run(image(), ['cleanPixelData'], { rectangles: [BOX] }), Tags.BurnedInAnnotation)).toBe('NO');
    expect(text(run(image(), []), Tags.BurnedInAnnotation)).toBeUndefined();
  });

  it('refuses to call a head faceless that can be rendered', () => {
    const mr = image({ Modality: 'MR', SOPClassUID: '1.2.840.10008.5.1.4.1.1.4' });
    expect(() => run(mr, ['cleanVisualFeatures'], { rectangles: [BOX] })).toThrow(
      refusal('DEIDENTIFY_FEATURES'),
    );
    const photo = image({ Modality: 'XC' });
    expect(() => run(photo, ['cleanVisualFeatures'])).toThrow(refusal('DEIDENTIFY_FEATURES'));
    expect(
      text(run(photo, ['cleanVisualFeatures'], { rectangles: [BOX] }), Tags.RecognizableVisualFeatures),
    ).toBe('NO');
  });
});
