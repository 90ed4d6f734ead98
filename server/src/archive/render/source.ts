/**
 * One kept object opened for reading its values: header in memory, large values by range. An object whose data set is
 * deflated is inflated whole, since nothing inside it can be reached otherwise.
 *
 * Source: PS3.5 §A.5 (deflated), PS3.10 §7.1.
 * Layer:  server/archive.
 */
import { promisify } from 'node:util';
import { constants, inflateRaw } from 'node:zlib';
import { Readable } from 'node:stream';
import { Fault } from '@lightbox/core/base/fault.ts';
import { correct } from '@lightbox/core/dicom/correct.ts';
import type { DataSet, Element, Tag } from '@lightbox/core/dicom/data-set.ts';
import {
  frameRange,
  type FrameTable,
  frameTable,
  groupFragments,
  startsCodestream,
} from '@lightbox/core/dicom/frames.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { integer } from '@lightbox/core/dicom/values.ts';
import { MAX_FRAME_BYTES } from '@lightbox/core/pixel/image-pixel.ts';
import { readDataSet } from '@lightbox/core/dicom/read.ts';
import { EXPLICIT_LE, readingSyntax, type TransferSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import type { InstanceRef, Retrieve } from '../types.ts';

const inflate = promisify(inflateRaw);
/** The same limit as for any range in memory. */
const MAX_BYTES = 512 * 1024 * 1024;

export interface ObjectSource {
  readonly ref: InstanceRef;
  readonly syntax: TransferSyntax;
  /** Bulk offsets count as `read` and `stream` do. */
  readonly dataSet: DataSet;
  readonly frames: FrameTable | undefined;
  /** Bytes of the object; throws Fault TOO_LARGE beyond 512 MiB. */
  read(start: number, end: number): Promise<Uint8Array>;
  stream(start: number, end: number): Readable;
}

/** Opens an object. Costs one header read. */
export async function openSource(retrieve: Retrieve, ref: InstanceRef): Promise<ObjectSource> {
  const syntax = readingSyntax(ref.transferSyntaxUid);
  if (syntax.deflated) return openDeflated(retrieve, ref, syntax);
  const [dataSet, table] = await Promise.all([retrieve.header(ref), retrieve.frames(ref)]);
  const read = (start: number, end: number): Promise<Uint8Array> => retrieve.read(ref, start, end);
  return {
    ref,
    syntax,
    dataSet,
    frames: await groupedFrames(table, read),
    read,
    stream: (start, end) => retrieve.open(ref, { start, end }),
  };
}

async function openDeflated(
  retrieve: Retrieve,
  ref: InstanceRef,
  syntax: TransferSyntax,
): Promise<ObjectSource> {
  const packed = await retrieve.read(ref, ref.dataSetOffset, ref.length);
  // As the reader takes it: the end mark may be missing, what is read below tells whether anything else is.
  const limits = { maxOutputLength: MAX_BYTES, finishFlush: constants.Z_SYNC_FLUSH };
  const bytes = await inflate(packed, limits).catch((cause: unknown) => {
    throw new Fault('DICOM_INFLATE', {}, { cause });
  });
  const parsed = readDataSet(bytes, EXPLICIT_LE);
  return {
    ref,
    syntax,
    dataSet: correct(parsed.dataSet, ref.corrections ?? []),
    frames: frameTable(parsed),
    read: (start, end) => Promise.resolve(bytes.subarray(start, end)),
    stream: (start, end) => Readable.from([bytes.subarray(start, end)], { objectMode: false }),
  };
}

/** More fragments than frames and no table: a frame begins where a codestream does. */
export async function groupedFrames(
  table: FrameTable | undefined,
  read: ObjectSource['read'],
): Promise<FrameTable | undefined> {
  if (table?.kind !== 'encapsulated' || table.source !== 'unknown') return table;
  const starts: boolean[] = [];
  for (const [first] of table.frames)
    starts.push(
      first !== undefined &&
        startsCodestream(await read(first.offset, first.offset + Math.min(16, first.length))),
    );
  return groupFragments(table, starts);
}

/**
 * The data set with values that were left where they lie read into memory, within sequences too.
 *
 * @param limit  Bytes of all those values together.
 * @param only   These tags only.
 * @throws Fault TOO_LARGE
 */
export async function hydrated(
  source: Pick<ObjectSource, 'read'>,
  dataSet: DataSet,
  limit: number,
  only?: ReadonlySet<Tag>,
): Promise<DataSet> {
  let left = limit;
  async function element(one: Element): Promise<Element> {
    if (one.items && !only) {
      const items: DataSet[] = [];
      for (const item of one.items) items.push(await set(item));
      return { ...one, items };
    }
    if (!one.bulk || (only && !only.has(one.tag))) return one;
    left -= one.bulk.length;
    if (left < 0) throw new Fault('TOO_LARGE', { limit });
    const bytes = await source.read(one.bulk.offset, one.bulk.offset + one.bulk.length);
    return { ...one, bytes, bulk: undefined };
  }
  async function set(ds: DataSet): Promise<DataSet> {
    const elements = new Map<Tag, Element>();
    for (const [tag, one] of ds.elements) elements.set(tag, one.items || one.bulk ? await element(one) : one);
    return { ...ds, elements };
  }
  return set(dataSet);
}

/** The stream with the bytes of each unit reversed: big endian to little (PS3.5 §7.3). A last part unit stays as it is. */
export async function* swapBytes(
  stream: AsyncIterable<Uint8Array>,
  unit: number,
): AsyncGenerator<Uint8Array> {
  if (unit === 1) {
    yield* stream;
    return;
  }
  let left: Uint8Array = new Uint8Array(0);
  for await (const chunk of stream) {
    const whole = Buffer.concat([left, chunk]);
    const usable = whole.length - (whole.length % unit);
    left = whole.subarray(usable);
    yield swapped(whole.subarray(0, usable), unit);
  }
  if (left.length > 0) yield left;
}

/** A copy with the bytes of each unit of 2, 4 or 8 reversed. */
export function swapped(bytes: Uint8Array, unit: number): Buffer {
  const copy = Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % unit)));
  if (unit === 2) return copy.swap16();
  if (unit === 4) return copy.swap32();
  return unit === 8 ? copy.swap64() : copy;
}

/** What is needed of an object to take its frames out as they are kept. */
export type FrameSource = Pick<ObjectSource, 'frames' | 'read'>;

/**
 * Frames that lie uncompressed and little endian in the file: the index knows where, so the header need not be read.
 * Undefined for every other object, which `openSource` opens.
 */
export async function nativeFrames(retrieve: Retrieve, ref: InstanceRef): Promise<FrameSource | undefined> {
  const { codec, deflated, littleEndian } = readingSyntax(ref.transferSyntaxUid);
  if (codec !== 'none' || deflated || !littleEndian) return undefined;
  const frames = await retrieve.frames(ref);
  // Fragments under a syntax that has none: an odd object.
  if (frames?.kind !== 'native') return undefined;
  return { frames, read: (start, end) => retrieve.read(ref, start, end) };
}

/** Bytes of one frame as kept. */
export async function frameBytes(source: FrameSource, index: number): Promise<Uint8Array> {
  if (!source.frames) throw new Fault('PIXELS_NONE');
  const range = frameRange(source.frames, index);
  if (!range) throw new Fault('NOT_FOUND', { frame: index + 1, frames: source.frames.frameCount });
  const total = range.ranges.reduce((sum, one) => sum + one.length, 0);
  if (total > MAX_FRAME_BYTES) throw new Fault('TOO_LARGE', { bytes: total });
  const pieces = await Promise.all(
    range.ranges.map((one) => source.read(one.offset, one.offset + one.length)),
  );
  const bytes = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  if (range.bitOffset === 0 || range.bitLength === undefined) return bytes;
  // 1-bit frames that do not begin at a byte: shifted to its low bit (PS3.5 §8.1.1).
  const shifted = new Uint8Array(Math.ceil(range.bitLength / 8));
  for (let at = 0; at < shifted.length; at += 1)
    shifted[at] = ((bytes[at] ?? 0) >> range.bitOffset) | ((bytes[at + 1] ?? 0) << (8 - range.bitOffset));
  return shifted;
}

/** Native pixels of a big endian object turned (PS3.5 §7.3). */
export function toLittleEndian(source: ObjectSource, bytes: Uint8Array): Uint8Array {
  if (source.dataSet.littleEndian || source.frames?.kind === 'encapsulated') return bytes;
  const bits = integer(source.dataSet, Tags.BitsAllocated, 1, 64) ?? 8;
  const vr = source.dataSet.elements.get(Tags.PixelData)?.vr;
  const unit = bits > 16 ? bits / 8 : bits === 16 || vr === 'OW' ? 2 : 1;
  return unit === 1 ? bytes : swapped(bytes, unit);
}
