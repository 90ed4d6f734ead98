/**
 * One kept object opened for reading its values: header in memory, large values by range. An object whose data set is
 * deflated is inflated whole, since nothing inside it can be reached otherwise.
 *
 * Source: PS3.5 §A.5 (deflated), PS3.10 §7.1.
 * Layer:  server/archive.
 */
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { Readable } from 'node:stream';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { type FrameTable, frameTable } from '@lightbox/core/dicom/frames.ts';
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
  const [dataSet, frames] = await Promise.all([retrieve.header(ref), retrieve.frames(ref)]);
  return {
    ref,
    syntax,
    dataSet,
    frames,
    read: (start, end) => retrieve.read(ref, start, end),
    stream: (start, end) => retrieve.open(ref, { start, end }),
  };
}

async function openDeflated(
  retrieve: Retrieve,
  ref: InstanceRef,
  syntax: TransferSyntax,
): Promise<ObjectSource> {
  const packed = await retrieve.read(ref, ref.dataSetOffset, ref.length);
  const bytes = await inflate(packed, { maxOutputLength: MAX_BYTES }).catch((cause: unknown) => {
    throw new Fault('DICOM_INFLATE', {}, { cause });
  });
  const parsed = readDataSet(bytes, EXPLICIT_LE);
  return {
    ref,
    syntax,
    dataSet: parsed.dataSet,
    frames: frameTable(parsed),
    read: (start, end) => Promise.resolve(bytes.subarray(start, end)),
    stream: (start, end) => Readable.from([bytes.subarray(start, end)], { objectMode: false }),
  };
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
