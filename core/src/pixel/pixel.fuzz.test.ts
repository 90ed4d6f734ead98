/** Everything here that reads bytes of an image, given bytes that are none: an answer within its bounds, or a Fault. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import { dataSet } from '../dicom/element.ts';
import { codestreamSize } from './codestream.ts';
import { paletteToRgb, toRgb } from './colour.ts';
import { grey, greyTransform } from './grey.ts';
import type { ImagePixel } from './image-pixel.ts';
import { expandSegments, lookUp, readLut } from './lut.ts';
import { decodeRle, type RleShape } from './rle.ts';
import { unpack } from './samples.ts';
import { windowed } from './window.ts';

const bytes = (max: number) => fc.uint8Array({ maxLength: max });
/** A Fault is an answer; anything else thrown is not. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    expect(error).toBeInstanceOf(Fault);
    return undefined;
  }
}

/** PackBits as a plain writer does it (PS3.5 §G.3.1): runs where there are, else literals. */
function packBits(row: readonly number[]): number[] {
  const out: number[] = [];
  for (let at = 0; at < row.length;) {
    let run = 1;
    while (run < 128 && row[at + run] === row[at]) run++;
    if (run > 1) {
      out.push(257 - run, row[at]!);
      at += run;
    } else {
      let literal = 1;
      while (literal < 128 && at + literal < row.length && row[at + literal] !== row[at + literal + 1])
        literal++;
      out.push(literal - 1, ...row.slice(at, at + literal));
      at += literal;
    }
  }
  if (out.length % 2) out.push(128);
  return out;
}

function encodeRle(pixels: Uint8Array, shape: RleShape): Uint8Array {
  const size = shape.bitsAllocated / 8;
  const count = shape.rows * shape.columns;
  const segments: number[][] = [];
  for (let sample = 0; sample < shape.samples; sample++)
    for (let byte = size - 1; byte >= 0; byte--)
      segments.push(
        packBits(
          Array.from({ length: count }, (_, pixel) =>
            shape.planar
              ? pixels[(sample * count + pixel) * size + byte]!
              : pixels[(pixel * shape.samples + sample) * size + byte]!,
          ),
        ),
      );
  const header = new Uint32Array(16);
  header[0] = segments.length;
  segments.reduce((at, segment, index) => ((header[index + 1] = at), at + segment.length), 64);
  return Uint8Array.from([...new Uint8Array(header.buffer), ...segments.flat()]);
}

const shapes: fc.Arbitrary<RleShape> = fc.record({
  rows: fc.integer({ min: 1, max: 12 }),
  columns: fc.integer({ min: 1, max: 300 }),
  samples: fc.constantFrom(1, 3),
  bitsAllocated: fc.constantFrom(8, 16, 32),
  planar: fc.boolean(),
});

describe('RLE (PS3.5 Annex G; case 42)', () => {
  it('gives back what was coded', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 8 }), fc.nat(), (shape, variety, seed) => {
        const length = (shape.rows * shape.columns * shape.samples * shape.bitsAllocated) / 8;
        const pixels = Uint8Array.from({ length }, (_, at) => ((at * 2654435761 + seed) >>> 16) % variety);
        expect(decodeRle(encodeRle(pixels, shape), shape)).toEqual(pixels);
      }),
      { seed: 42, numRuns: 200 },
    );
  });
  it('mutated gives a frame of the right size or a Fault, never a byte from elsewhere', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(400),
        (shape, edits, cut) => {
          const length = (shape.rows * shape.columns * shape.samples * shape.bitsAllocated) / 8;
          // One frame among others in memory: 0xEE around it must not be seen.
          const whole = encodeRle(new Uint8Array(length).fill(5), shape);
          const memory = new Uint8Array(whole.length + 2000).fill(0xee);
          memory.set(whole, 1000);
          for (const [at, byte] of edits) memory[1000 + (at % whole.length)] = byte === 0xee ? 0 : byte;
          const frame = memory.subarray(1000, 1000 + Math.max(0, whole.length - cut));
          const found = attempt(() => decodeRle(frame, shape));
          if (!found) return;
          expect(found).toHaveLength(length);
          expect(found.includes(0xee)).toBe(false);
        },
      ),
      { seed: 43, numRuns: 1000 },
    );
  });
});

describe('pixel cells (case 37)', () => {
  it('of any bits and any bytes are as many as the image has, within their range', () => {
    const bits = fc
      .constantFrom<1 | 8 | 12 | 16 | 32>(1, 8, 12, 16, 32)
      .chain((bitsAllocated) =>
        fc
          .integer({ min: 1, max: bitsAllocated })
          .chain((bitsStored) =>
            fc
              .integer({ min: bitsStored - 1, max: bitsAllocated - 1 })
              .map((highBit) => ({ bitsAllocated, bitsStored, highBit })),
          ),
      );
    fc.assert(
      fc.property(
        bits,
        fc.boolean(),
        fc.integer({ min: 1, max: 9 }),
        bytes(64),
        (cells, signed, columns, given) => {
          const image: ImagePixel = {
            ...{
              rows: 3,
              columns,
              samples: 1,
              signed,
              planar: false,
              photometric: 'MONOCHROME2',
              float: false,
            },
            ...cells,
          };
          const samples = unpack(given, image);
          expect(samples).toHaveLength(3 * columns);
          const [low, high] =
            signed && cells.bitsAllocated > 1
              ? [-(2 ** (cells.bitsStored - 1)), 2 ** (cells.bitsStored - 1) - 1]
              : [0, 2 ** cells.bitsStored - 1];
          for (const value of samples) expect(value >= low && value <= high).toBe(true);
          // Written again they are the same cells, where those are whole bytes.
          if (
            cells.bitsAllocated >= 8 &&
            cells.bitsAllocated !== 12 &&
            cells.bitsStored === cells.bitsAllocated
          ) {
            const whole = Math.min(samples.length, Math.floor((given.length * 8) / cells.bitsAllocated));
            const again = new Uint8Array(samples.buffer).subarray(0, (whole * cells.bitsAllocated) / 8);
            expect(again).toEqual(given.subarray(0, again.length));
          }
        },
      ),
      { seed: 37, numRuns: 1000 },
    );
  });
});

describe('codestream headers (cases 40 and 41)', () => {
  const codecs = fc.constantFrom('jpeg', 'jpeg-lossless', 'jpeg-ls', 'jpeg2000', 'htj2k', 'jpeg-xl' as const);
  const heads = [
    [0xff, 0xd8, 0xff, 0xc3, 0, 11, 12, 0, 2, 0, 3, 1, 1, 0x11, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 1, 0, 0],
    [0xff, 0xd8, 0xff, 0xf7, 0, 11, 8, 0, 2, 0, 3, 1, 1, 0x11, 0],
    [
      0xff,
      0x4f,
      0xff,
      0x51,
      0,
      41,
      0,
      0,
      0,
      0,
      0,
      5,
      0,
      0,
      0,
      4,
      ...new Array<number>(8).fill(0),
      0,
      0,
      0,
      9,
      0,
      0,
      0,
      9,
      ...new Array<number>(8).fill(0),
      0,
      1,
      11,
      1,
      1,
    ],
    [0, 0, 0, 12, 0x6a, 0x50, 0x20, 0x20, 13, 10, 135, 10, 0, 0, 0, 8, 0x6a, 0x70, 0x32, 0x63],
    [
      0, 0, 0, 12, 0x4a, 0x58, 0x4c, 0x20, 13, 10, 135, 10, 0, 0, 0, 8, 0x6a, 0x78, 0x6c, 0x63, 0xff, 0x0a,
      0x43, 0,
    ],
  ];
  it('of any bytes tell a size that is one, or a Fault', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          bytes(80).map((one) => [...one]),
          fc.constantFrom(...heads),
        ),
        fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0, 0xff))), { maxLength: 5 }),
        fc.nat(80),
        codecs,
        (head, edits, cut, codec) => {
          const given = Uint8Array.from(head.slice(0, Math.max(0, head.length - (cut % (head.length + 1)))));
          for (const [at, byte] of edits) if (given.length) given[at % given.length] = byte;
          const size = attempt(() => codestreamSize(given, codec));
          if (!size) return;
          expect(Number.isSafeInteger(size.width) && size.width > 0).toBe(true);
          expect(Number.isSafeInteger(size.height) && size.height > 0).toBe(true);
          expect(size.scans).toBeLessThanOrEqual(256);
        },
      ),
      { seed: 40, numRuns: 5000 },
    );
  });
});

describe('tables, windows and colours (cases 38 and 39)', () => {
  it('segments of any numbers fill what they should, or a Fault', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(4), fc.nat(65535)), { maxLength: 40 }),
        fc.integer({ min: 1, max: 300 }),
        fc.constantFrom<1 | 2>(1, 2),
        (data, entries, unit) => {
          const found = attempt(() => expandSegments(Uint16Array.from(data), entries, unit));
          if (found) expect(found).toHaveLength(entries);
        },
      ),
      { seed: 38, numRuns: 5000 },
    );
  });
  it('whatever a descriptor says, what is shown is an entry of the table', () => {
    const word = fc.constantFrom(0, 1, 2, 3, 255, 256, 32767, 32768, 65535);
    fc.assert(
      fc.property(
        fc.tuple(word, word, word),
        bytes(40),
        fc.boolean(),
        fc.integer(),
        (descriptor, data, signed, x) => {
          const item = dataSet({
            LUTDescriptor: new Uint8Array(Uint16Array.from(descriptor).buffer),
            LUTData: { vr: 'OW', value: data },
          });
          const found = readLut(item, signed);
          if (!found) return;
          expect(found.values).toContain(lookUp(found, x));
          expect(found.bits >= 1 && found.bits <= 16).toBe(true);
          for (const value of found.values) expect(value).toBeLessThan(2 ** found.bits);
          expect(paletteToRgb(Uint16Array.of(0, 65535), [found, found, found])).toHaveLength(6);
        },
      ),
      { seed: 39, numRuns: 2000 },
    );
  });
  it('a share of white is between 0 and 1, and never falls with the value', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 });
    fc.assert(
      fc.property(
        number,
        number,
        number,
        number,
        fc.constantFrom('linear', 'linear-exact', 'sigmoid' as const),
        (x, y, center, width, shape) => {
          const window = { center, width, shape };
          const [low, high] = [windowed(Math.min(x, y), window), windowed(Math.max(x, y), window)];
          expect(low >= 0 && high <= 1 && low <= high).toBe(true);
        },
      ),
      { seed: 40, numRuns: 3000 },
    );
  });
  it('any attributes and any samples give grey bytes', () => {
    const text = fc.constantFrom(
      '',
      '0',
      '-1',
      '1e30',
      'NaN',
      'x',
      '40',
      '400\\40',
      '\\40',
      'SIGMOID',
      'LINEAR_EXACT',
    );
    fc.assert(
      fc.property(
        text,
        text,
        text,
        text,
        text,
        bytes(16),
        fc.boolean(),
        (c, w, f, slope, intercept, data, signed) => {
          const ds = dataSet({
            ...{ WindowCenter: c, WindowWidth: w, VOILUTFunction: f, RescaleSlope: slope },
            RescaleIntercept: intercept,
          });
          const image: ImagePixel = {
            ...{ rows: 2, columns: 4, samples: 1, bitsAllocated: 16, bitsStored: 16, highBit: 15, signed },
            ...{ planar: false, photometric: 'MONOCHROME1', float: false },
          };
          expect(grey(unpack(data, image), greyTransform([ds], image))).toHaveLength(8);
        },
      ),
      { seed: 41, numRuns: 1000 },
    );
  });
  it('any colour samples give three bytes to a pixel, or a Fault', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(
          'RGB',
          'YBR_FULL',
          'YBR_FULL_422',
          'YBR_PARTIAL_422',
          'YBR_PARTIAL_420',
          'YBR_RCT',
          'HSV',
        ),
        fc.constantFrom<8 | 16>(8, 16),
        fc.boolean(),
        bytes(30),
        (photometric, bitsAllocated, planar, data) => {
          const image: ImagePixel = {
            ...{ rows: 2, columns: 3, samples: 3, bitsAllocated, bitsStored: bitsAllocated, signed: false },
            ...{ highBit: bitsAllocated - 1, planar, photometric, float: false },
          };
          const found = attempt(() => toRgb(unpack(data, image), image));
          if (found) expect(found).toHaveLength(18);
        },
      ),
      { seed: 44, numRuns: 1000 },
    );
  });
});
