/**
 * Reading a segment from the outside: for the replay after a crash, for `verify` and for `reindex`.
 *
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { fstat } from 'node:fs';
import { closeFile, openFile, readInto } from './files.ts';
import {
  decodeHeader,
  decodeTrailer,
  HEADER_BYTES,
  isSegmentHeader,
  recordBytes,
  type RecordHeader,
  SEGMENT_HEADER_BYTES,
  TRAILER_BYTES,
} from './record.ts';

const READ_BYTES = 1024 * 1024;

export interface ScannedRecord {
  readonly header: RecordHeader;
  readonly start: number;
  readonly end: number;
  /** Of the payload. */
  readonly offset: number;
  readonly length: number;
  readonly sha256: Buffer;
  /** False when the payload does not have the SHA-256 it was kept with. */
  readonly intact: boolean;
}

export interface ScanResult {
  /** End of the last whole record; a torn tail begins here. */
  readonly end: number;
  readonly fileBytes: number;
}

/**
 * Calls `visit` for each whole record from `from` on, after reading all of it.
 *
 * @param each  Gets the payload in pieces while it is hashed.
 */
export async function scanSegment(
  path: string,
  from: number,
  visitor: {
    readonly begin?: (header: RecordHeader) => void;
    readonly each?: (piece: Buffer) => void;
    readonly visit: (record: ScannedRecord) => Promise<void> | void;
  },
): Promise<ScanResult> {
  const fd = await openFile(path, 'r');
  try {
    const fileBytes = await sizeOf(fd);
    const head = await readInto(fd, Buffer.alloc(SEGMENT_HEADER_BYTES), 0);
    if (!isSegmentHeader(head)) return { end: 0, fileBytes };
    const piece = Buffer.allocUnsafeSlow(READ_BYTES);
    let start = Math.max(from, SEGMENT_HEADER_BYTES);
    if (start > fileBytes) start = fileBytes;
    for (;;) {
      const record = await readRecord(fd, start, fileBytes, piece, visitor);
      if (!record) break;
      // A damaged last record was never acknowledged: it is the torn tail. One with others behind it is damage.
      if (!record.intact && !(await isRecordAt(fd, record.end, fileBytes))) break;
      await visitor.visit(record);
      start = record.end;
    }
    return { end: start, fileBytes };
  } finally {
    await closeFile(fd);
  }
}

export interface ListedRecord {
  readonly kind: RecordHeader['kind'];
  readonly start: number;
  readonly end: number;
}

/**
 * The records of a segment by their headers alone.
 *
 * @param until  Undefined: to the end of the file.
 * @returns whole: there is nothing behind the last record.
 */
export async function listRecords(
  path: string,
  until?: number,
): Promise<{ readonly records: ListedRecord[]; readonly whole: boolean }> {
  const fd = await openFile(path, 'r');
  try {
    const bytes = until ?? (await sizeOf(fd));
    const records: ListedRecord[] = [];
    const head = await readInto(fd, Buffer.alloc(SEGMENT_HEADER_BYTES), 0);
    if (!isSegmentHeader(head)) return { records, whole: false };
    let start = SEGMENT_HEADER_BYTES;
    for (;;) {
      const header = await headerAt(fd, start, bytes);
      if (!header) return { records, whole: start === bytes };
      const end = start + recordBytes(header.length);
      records.push({ kind: header.kind, start, end });
      start = end;
    }
  } finally {
    await closeFile(fd);
  }
}

async function readRecord(
  fd: number,
  start: number,
  fileBytes: number,
  piece: Buffer,
  visitor: { readonly begin?: (header: RecordHeader) => void; readonly each?: (piece: Buffer) => void },
): Promise<ScannedRecord | undefined> {
  const header = await headerAt(fd, start, fileBytes);
  if (!header) return undefined;
  visitor.begin?.(header);
  const { length } = header;
  const offset = start + HEADER_BYTES;
  const trailer = decodeTrailer(await readInto(fd, Buffer.alloc(TRAILER_BYTES), offset + length));
  const hash = createHash('sha256');
  for (let at = 0; at < length; at += piece.length) {
    const bytes = await readInto(fd, piece.subarray(0, Math.min(piece.length, length - at)), offset + at);
    if (bytes.length === 0) break;
    hash.update(bytes);
    visitor.each?.(bytes);
  }
  const sha256 = hash.digest();
  const intact = trailer !== undefined && trailer.length === length && trailer.sha256.equals(sha256);
  return { header, start, end: start + recordBytes(length), offset, length, sha256, intact };
}

async function headerAt(fd: number, start: number, fileBytes: number): Promise<RecordHeader | undefined> {
  if (start + HEADER_BYTES + TRAILER_BYTES > fileBytes) return undefined;
  const header = decodeHeader(await readInto(fd, Buffer.alloc(HEADER_BYTES), start));
  if (!header || header.kind === 'open' || start + recordBytes(header.length) > fileBytes) return undefined;
  return header;
}

async function isRecordAt(fd: number, start: number, fileBytes: number): Promise<boolean> {
  return (await headerAt(fd, start, fileBytes)) !== undefined;
}

function sizeOf(fd: number): Promise<number> {
  return new Promise((settle, fail) => {
    fstat(fd, (error, stats) => (error ? fail(error) : settle(stats.size)));
  });
}
