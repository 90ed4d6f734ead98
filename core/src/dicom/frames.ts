/**
 * Where each frame's bytes lie, so that a frame can be served without parsing the object again.
 *
 * Source: PS3.5 §8.1.1 and §8.2 (native pixel data), §A.4 (fragments, Basic Offset Table), PS3.3 §C.7.6.3.1.8
 *         (Extended Offset Table).
 * Layer:  core/dicom.
 */
import type { BulkValue, DataSet, Fragment } from './data-set.ts';
import { Tags } from './tags.gen.ts';
import type { ParsedObject, PixelDataLocation } from './parsed.ts';
import { bigints, integer, text } from './values.ts';

/** Frames of equal size one after the other. Ranges are computed, so that 100,000 frames cost nothing. */
export interface NativeFrames {
  readonly kind: 'native';
  readonly frameCount: number;
  readonly offset: number;
  readonly length: number;
  /** Bits of one frame; not a multiple of 8 for some 1-bit images. */
  readonly frameBits: number;
}

/** Frames in fragments. `source` tells how the borders were found. Plain data: may be kept as JSON. */
export interface EncapsulatedFrames {
  readonly kind: 'encapsulated';
  readonly frameCount: number;
  /**
   * How frame borders were found. `unknown`: more fragments than frames and no usable table: every fragment is listed
   * as if it were one frame in `frames`, and who knows the codec has to group them (`groupFragments`).
   */
  readonly source: 'extended-table' | 'basic-table' | 'one-each' | 'single-frame' | 'unknown';
  readonly frames: readonly (readonly Fragment[])[];
}

export type FrameTable = NativeFrames | EncapsulatedFrames;

export interface FrameRange {
  /** Pieces to be joined in this order. */
  readonly ranges: readonly BulkValue[];
  /** Bits to skip in the first byte: 1-bit frames are packed without padding (PS3.5 §8.1.1), low bit first. */
  readonly bitOffset: number;
  /** Bits of the frame; undefined when encapsulated. */
  readonly bitLength: number | undefined;
}

/**
 * Frame table of an object, undefined when it has no pixel data or its size cannot be told.
 *
 * The declared number of frames is only believed as far as the bytes reach (attacks B34, B37, B43): the count of a
 * native table is cut to the frames that begin within the value; tables that do not point at fragments are ignored.
 */
export function frameTable(parsed: Pick<ParsedObject, 'dataSet' | 'pixelData'>): FrameTable | undefined {
  const { dataSet, pixelData } = parsed;
  if (!pixelData) return undefined;
  const declared = integer(dataSet, Tags.NumberOfFrames, 1) ?? 1;
  return pixelData.fragments
    ? encapsulated(dataSet, pixelData, pixelData.fragments, declared)
    : native(dataSet, pixelData, declared);
}

function native(ds: DataSet, pixelData: PixelDataLocation, declared: number): NativeFrames | undefined {
  const rows = integer(ds, Tags.Rows, 1, 65535);
  const columns = integer(ds, Tags.Columns, 1, 65535);
  const bits = integer(ds, Tags.BitsAllocated, 1, 64) ?? floatBits(pixelData.tag);
  if (!rows || !columns || !bits) return undefined;
  const samples = integer(ds, Tags.SamplesPerPixel, 1, 255) ?? 1;
  const frameBits = nativeFrameBits(ds, rows, columns, samples, bits);
  if (!Number.isSafeInteger(frameBits)) return undefined;
  const { offset, length } = pixelData;
  const available = Math.max(1, Math.ceil((length * 8) / frameBits));
  return { kind: 'native', frameCount: Math.min(declared, available), offset, length, frameBits };
}

/** YBR_FULL_422 native, and the retired YBR_PARTIAL_422, has two luminance samples to one pair of colour differences (PS3.3 §C.7.6.3.1.2). */
function nativeFrameBits(ds: DataSet, rows: number, columns: number, samples: number, bits: number): number {
  const photometric = text(ds, Tags.PhotometricInterpretation);
  const subsampled = samples === 3 && (photometric === 'YBR_FULL_422' || photometric === 'YBR_PARTIAL_422');
  return rows * columns * bits * (subsampled ? 2 : samples);
}

function floatBits(tag: number): number | undefined {
  if (tag === Tags.FloatPixelData) return 32;
  return tag === Tags.DoubleFloatPixelData ? 64 : undefined;
}

function encapsulated(
  ds: DataSet,
  pixelData: PixelDataLocation,
  fragments: readonly Fragment[],
  declared: number,
): EncapsulatedFrames {
  const table = (
    source: EncapsulatedFrames['source'],
    frames: readonly (readonly Fragment[])[],
  ): EncapsulatedFrames => ({
    kind: 'encapsulated',
    frameCount: frames.length,
    source,
    frames,
  });
  const extended = readExtended(ds, fragments);
  if (extended) return table('extended-table', extended);
  const basic = readBasic(pixelData.basicOffsetTable, fragments, declared);
  if (basic) return table('basic-table', basic);
  if (fragments.length === 0) return table('one-each', []);
  if (declared === 1) return table('single-frame', [fragments]);
  if (fragments.length <= declared)
    return table(
      'one-each',
      fragments.map((one) => [one]),
    );
  return table(
    'unknown',
    fragments.map((one) => [one]),
  );
}

/** Offsets count from the first byte of the first fragment's item header; frames are one fragment each. */
function readExtended(ds: DataSet, fragments: readonly Fragment[]): Fragment[][] | undefined {
  const offsets = ds.elements.get(Tags.ExtendedOffsetTable);
  const lengths = ds.elements.get(Tags.ExtendedOffsetTableLengths);
  if (!offsets?.bytes?.length) return undefined;
  const starts = bigints(offsets, ds.littleEndian).map(Number);
  const sizes = lengths ? bigints(lengths, ds.littleEndian).map(Number) : [];
  const frames = group(starts, fragments);
  if (!frames) return undefined;
  // A length is the frame without padding; only the last fragment of a frame can be cut.
  return frames.map((pieces, index) => cut(pieces, sizes[index]));
}

function cut(pieces: Fragment[], size: number | undefined): Fragment[] {
  const only = pieces[0];
  if (!only || pieces.length !== 1 || size === undefined || size > only.length || size < only.length - 1)
    return pieces;
  return [{ offset: only.offset, length: size }];
}

function readBasic(
  table: Uint8Array | undefined,
  fragments: readonly Fragment[],
  declared: number,
): Fragment[][] | undefined {
  if (!table || table.length < 4 || table.length % 4 !== 0) return undefined;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const starts: number[] = [];
  for (let at = 0; at < table.length; at += 4) starts.push(view.getUint32(at, true));
  // Some writers give a table of zeros, or of one entry, for many frames: it says nothing about the others.
  return starts.length === declared ? group(starts, fragments) : undefined;
}

/** Fragments between one start and the next; undefined unless every start is the item header of a fragment, ascending. */
function group(starts: readonly number[], fragments: readonly Fragment[]): Fragment[][] | undefined {
  const first = fragments[0];
  if (!first || starts[0] !== 0) return undefined;
  const origin = first.offset - 8;
  const frames: Fragment[][] = [];
  let next = 0;
  for (const fragment of fragments) {
    const start = starts[next];
    const at = fragment.offset - 8 - origin;
    if (start === at) {
      frames.push([]);
      next += 1;
    } else if (start !== undefined && start < at) return undefined;
    frames.at(-1)?.push(fragment);
  }
  return next === starts.length ? frames : undefined;
}

/**
 * Groups the fragments of an `unknown` table into frames, by looking at the first bytes of each.
 *
 * @param table    A table whose `source` is `unknown`; others are returned as they are.
 * @param starts   For each fragment: does a codestream begin there (`startsCodestream` on its first bytes)?
 */
export function groupFragments(table: FrameTable, starts: readonly boolean[]): FrameTable {
  if (table.kind !== 'encapsulated' || table.source !== 'unknown') return table;
  const frames: Fragment[][] = [];
  table.frames.forEach((pieces, index) => {
    if (starts[index] === true || frames.length === 0) frames.push([]);
    frames.at(-1)?.push(...pieces);
  });
  return { ...table, frames, frameCount: frames.length };
}

/**
 * True when the bytes begin a JPEG, JPEG-LS, JPEG 2000 or JPEG XL codestream (SOI, SOC+SIZ, JP2 box, FF0A, JXL box),
 * or an RLE frame (1 to 15 segments, the first behind the 64 bytes of the header: PS3.5 §G.5).
 */
export function startsCodestream(head: Uint8Array): boolean {
  const [a = 0, b, c, d, e, f, g, h] = head;
  if (a >= 1 && a <= 15 && b === 0 && c === 0 && d === 0 && e === 64 && f === 0 && g === 0 && h === 0)
    return true;
  if (a === 0xff && b === 0xd8 && c === 0xff) return true;
  if (a === 0xff && b === 0x4f && c === 0xff && d === 0x51) return true;
  if (a === 0xff && b === 0x0a) return true;
  return (
    a === 0 && b === 0 && c === 0 && d === 0x0c && ((e === 0x6a && f === 0x50) || (e === 0x4a && f === 0x58))
  );
}

/** Byte ranges of one frame, zero-based; undefined beyond the last. A truncated last frame gives a shorter range. */
export function frameRange(table: FrameTable, index: number): FrameRange | undefined {
  if (!Number.isInteger(index) || index < 0 || index >= table.frameCount) return undefined;
  if (table.kind === 'encapsulated') {
    return { ranges: table.frames[index] ?? [], bitOffset: 0, bitLength: undefined };
  }
  const firstBit = index * table.frameBits;
  const start = Math.floor(firstBit / 8);
  const end = Math.min(Math.ceil((firstBit + table.frameBits) / 8), table.length);
  return {
    ranges: [{ offset: table.offset + start, length: Math.max(0, end - start) }],
    bitOffset: firstBit % 8,
    bitLength: table.frameBits,
  };
}
