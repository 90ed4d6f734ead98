import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Fragment } from './data-set.ts';
import { dataSet, makeElement, withElements } from './element.ts';
import { frameRange, type FrameTable, frameTable, groupFragments, startsCodestream } from './frames.ts';
import type { PixelDataLocation } from './parsed.ts';
import { Tags } from './tags.gen.ts';

/** Frames made of fragments of these lengths, one behind the other as PS3.5 §A.4 has them, from position 1000. */
function laid(frames: readonly (readonly number[])[]): { fragments: Fragment[]; starts: number[] } {
  const fragments: Fragment[] = [];
  const starts: number[] = [];
  let at = 1000;
  for (const lengths of frames) {
    starts.push(at - 1000);
    for (const length of lengths) {
      fragments.push({ offset: at + 8, length });
      at += 8 + length;
    }
  }
  return { fragments, starts };
}
const location = (over: Partial<PixelDataLocation>): PixelDataLocation => ({
  ...{ tag: Tags.PixelData, vr: 'OB', offset: 992, length: 1_000_000 },
  ...{ fragments: undefined, basicOffsetTable: undefined },
  ...over,
});
const table32 = (starts: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(starts).buffer);
const encapsulated = (
  fragments: readonly Fragment[],
  count: number,
  basic: readonly number[] = [],
  more: Parameters<typeof dataSet>[0] = {},
): FrameTable =>
  frameTable({
    dataSet: dataSet({ NumberOfFrames: count, ...more }),
    pixelData: location({ fragments, basicOffsetTable: table32(basic) }),
  })!;
const pieces = (table: FrameTable): (readonly Fragment[])[] =>
  Array.from({ length: table.frameCount }, (_, index) => [...frameRange(table, index)!.ranges]);

const lengths = fc.array(
  fc.array(
    fc.nat(500).map((half) => half * 2),
    { minLength: 1, maxLength: 4 },
  ),
  { minLength: 1, maxLength: 8 },
);

describe('frames in fragments (PS3.5 §A.4, PS3.3 §C.7.6.3.1.8)', () => {
  const expected = (frames: readonly (readonly number[])[], fragments: readonly Fragment[]) => {
    let next = 0;
    return frames.map(({ length }) => fragments.slice(next, (next += length)));
  };
  it('are found by the Basic Offset Table, however many fragments each has', () => {
    fc.assert(
      fc.property(lengths, (frames) => {
        const { fragments, starts } = laid(frames);
        const table = encapsulated(fragments, frames.length, starts);
        expect(table).toMatchObject({ source: 'basic-table' });
        expect(pieces(table)).toEqual(expected(frames, fragments));
      }),
      { seed: 43, numRuns: 300 },
    );
  });
  it('are found by the Extended Offset Table, and cut to their lengths', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 999 }), { minLength: 1, maxLength: 9 }), (sizes) => {
        const { fragments, starts } = laid(sizes.map((size) => [size + (size % 2)]));
        const table = encapsulated(fragments, sizes.length, [], {
          ExtendedOffsetTable: starts.map(BigInt),
          ExtendedOffsetTableLengths: sizes.map(BigInt),
        });
        expect(table).toMatchObject({ source: 'extended-table' });
        expect(pieces(table).map(([only]) => only?.length)).toEqual(sizes);
      }),
      { seed: 44, numRuns: 300 },
    );
  });
  it('are one fragment each without a table, or one frame of all', () => {
    const { fragments } = laid([[10], [20], [30]]);
    expect(pieces(encapsulated(fragments, 3))).toEqual(fragments.map((one) => [one]));
    expect(pieces(encapsulated(fragments, 1))).toEqual([fragments]);
  });
  it('are grouped by where codestreams begin when nothing else tells', () => {
    const { fragments } = laid([
      [10, 4],
      [20, 6, 8],
    ]);
    const table = encapsulated(fragments, 2);
    expect(table).toMatchObject({ source: 'unknown' });
    const grouped = groupFragments(table, [true, false, true, false, false]);
    expect(pieces(grouped).map((one) => one.length)).toEqual([2, 3]);
  });

  it.each<[string, readonly number[]]>([
    ['backwards', [0, 40, 20]],
    ['overlapping', [0, 0, 18]],
    ['between fragments', [0, 17, 46]],
    ['beyond the end', [0, 18, 9999]],
    ['not at the first', [18, 46, 46]],
    ['zeros', [0, 0, 0]],
    ['too few', [0, 18]],
    ['too many', [0, 18, 46, 84]],
  ])('a table with offsets %s is not believed (case 43)', (_what, basic) => {
    const { fragments } = laid([[10], [20], [30]]);
    const table = encapsulated(fragments, 3, basic);
    expect(table).toMatchObject({ source: 'one-each' });
    expect(pieces(table)).toEqual(fragments.map((one) => [one]));
  });

  it('whatever the tables say, no byte outside the fragments and none twice (case 43, seeded fuzz)', () => {
    const offset = fc.oneof(fc.nat(3000), fc.constantFrom(0, 8, 0xffffffff, 0x80000000));
    fc.assert(
      fc.property(
        lengths,
        fc.integer({ min: -1, max: 20 }),
        fc.array(offset, { maxLength: 9 }),
        fc.option(fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { maxLength: 9 })),
        fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { maxLength: 9 }),
        (frames, count, basic, extended, sizes) => {
          const { fragments } = laid(frames);
          const table = encapsulated(
            fragments,
            count,
            basic,
            extended ? { ExtendedOffsetTable: extended, ExtendedOffsetTableLengths: sizes } : {},
          );
          const all = pieces(table).flat();
          expect(all.length).toBe(fragments.length);
          all.forEach((one, index) => {
            const whole = fragments[index]!;
            expect(one.offset).toBe(whole.offset);
            expect(one.length).toBeLessThanOrEqual(whole.length);
          });
          for (const beyond of [-1, table.frameCount, 0.5, NaN, Infinity])
            expect(frameRange(table, beyond)).toBeUndefined();
        },
      ),
      { seed: 45, numRuns: 2000 },
    );
  });

  it.each([
    ['JPEG', [0xff, 0xd8, 0xff, 0xe0], true],
    ['JPEG 2000', [0xff, 0x4f, 0xff, 0x51], true],
    ['JP2', [0, 0, 0, 12, 0x6a, 0x50, 0x20, 0x20], true],
    ['JPEG XL', [0xff, 0x0a], true],
    ['JPEG XL in boxes', [0, 0, 0, 12, 0x4a, 0x58, 0x4c, 0x20], true],
    ['RLE of three segments (PS3.5 §G.5)', [3, 0, 0, 0, 64, 0, 0, 0], true],
    ['RLE of sixteen segments', [16, 0, 0, 0, 64, 0, 0, 0], false],
    ['RLE without its header', [3, 0, 0, 0, 60, 0, 0, 0], false],
    ['nothing', [], false],
    ['the middle of something', [0xff, 0xd9, 0xff, 0xd8], false],
  ])('%s begins a codestream: %s', (_what, head, begins) =>
    expect(startsCodestream(Uint8Array.from(head))).toBe(begins),
  );
});

describe('native frames (PS3.5 §8.1.1)', () => {
  const native = (more: Parameters<typeof dataSet>[0], length: number) =>
    frameTable({
      dataSet: dataSet({ Rows: 10, Columns: 10, BitsAllocated: 16, ...more }),
      pixelData: location({ length }),
    });

  it('lie one behind the other without a gap, single bits too', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(1, 8, 16, 32, 64),
        fc.constantFrom(1, 3),
        fc.integer({ min: 1, max: 20 }),
        (rows, columns, bits, samples, count) => {
          const frameBits = rows * columns * bits * samples;
          const table = native(
            {
              ...{ Rows: rows, Columns: columns, BitsAllocated: bits, SamplesPerPixel: samples },
              NumberOfFrames: count,
            },
            Math.ceil((frameBits * count) / 8),
          )!;
          expect(table.frameCount).toBe(count);
          for (let index = 0; index < count; index++) {
            const { ranges, bitOffset, bitLength } = frameRange(table, index)!;
            const { offset, length } = ranges[0]!;
            expect((offset - 992) * 8 + bitOffset).toBe(index * frameBits);
            expect(bitLength).toBe(frameBits);
            // All its bits, and not a byte more.
            expect(length).toBe(Math.ceil((bitOffset + frameBits) / 8));
          }
        },
      ),
      { seed: 8, numRuns: 300 },
    );
  });
  it.each([
    ['all of them', 3, 600, 3],
    ['as many as begin within the value (case 37)', 1000, 500, 3],
    ['one at least, which is short', 1, 10, 1],
    ['one when there are said to be none', 0, 600, 1],
  ])('are %s', (_what, declared, length, count) => {
    const table = native({ NumberOfFrames: declared }, length)!;
    expect(table.frameCount).toBe(count);
    const last = frameRange(table, count - 1)!.ranges[0]!;
    expect(last.offset + last.length).toBeLessThanOrEqual(992 + length);
  });
  it.each(['YBR_FULL_422', 'YBR_PARTIAL_422'])('of %s have two samples to a pixel', (photometric) => {
    const table = native(
      { BitsAllocated: 8, SamplesPerPixel: 3, PhotometricInterpretation: photometric },
      200,
    );
    expect(table).toMatchObject({ frameBits: 10 * 10 * 8 * 2 });
  });
  it.each<[string, Parameters<typeof dataSet>[0]]>([
    ['no rows', { Rows: [] }],
    ['rows of zero', { Rows: 0 }],
    ['no bits', { BitsAllocated: 0 }],
    ['65 bits', { BitsAllocated: 65 }],
  ])('are none with %s (cases 34 to 36)', (_what, more) => expect(native(more, 200)).toBeUndefined());
  it('of the largest numbers there are cost nothing (case 34)', () => {
    const table = native(
      { Rows: 65535, Columns: 65535, BitsAllocated: 64, SamplesPerPixel: 4, NumberOfFrames: 2147483647 },
      1000,
    )!;
    expect(table.frameCount).toBe(1);
    expect(frameRange(table, 0)?.ranges).toEqual([{ offset: 992, length: 1000 }]);
  });
  it('are counted by what is there when the element says something else', () => {
    const ds = withElements(dataSet({ Rows: 10, Columns: 10, BitsAllocated: 16 }), [
      makeElement(Tags.NumberOfFrames, '2 frames'),
    ]);
    expect(frameTable({ dataSet: ds, pixelData: location({ length: 400 }) })?.frameCount).toBe(1);
  });
});
