/**
 * One record of the journal: who sent what when, the Part 10 file, and its SHA-256.
 *
 *     0    4  magic "LBR1"
 *     4    1  kind: 0 open, 1 object, 2 quarantine, 3 void
 *     5    3  zero
 *     8    8  length of the payload, little endian; 0 while open
 *     16   8  received, milliseconds since 1970
 *     24   2  length of the notes
 *     26      notes: JSON of source and fault code, UTF-8
 *     508  4  CRC-32 of the 508 bytes before
 *     512     payload: a whole Part 10 file; of quarantined records whatever came
 *             trailer of 64 bytes: magic "LBT1", 4 zero, payload length (8), SHA-256 of the payload (32), 16 zero
 *
 * A record belongs to one lane while it is written, so only the last record of a segment can be torn.
 * Layer:  server/archive. Bytes in, values out.
 */
import { crc32 } from 'node:zlib';
import type { IngestSource } from '../types.ts';

export const HEADER_BYTES = 512;
export const TRAILER_BYTES = 64;
/** First bytes of a segment file, so that a file of ours is known by anyone who finds it. */
export const SEGMENT_HEADER_BYTES = 512;

const RECORD_MAGIC = 0x3152424c;
const TRAILER_MAGIC = 0x3154424c;
const SEGMENT_MAGIC = 'LIGHTBOX JOURNAL 1\n';
const NOTES_AT = 26;
const CRC_AT = 508;
const LONGEST_NOTE = 120;

export type RecordKind = 'open' | 'object' | 'quarantine' | 'void';
const KINDS: readonly RecordKind[] = ['open', 'object', 'quarantine', 'void'];

export interface RecordHeader {
  readonly kind: RecordKind;
  readonly length: number;
  readonly receivedAt: Date;
  readonly source: IngestSource;
  /** Code of the fault of a quarantined record. */
  readonly fault: string | undefined;
}

export interface RecordTrailer {
  readonly length: number;
  readonly sha256: Buffer;
}

/** How many bytes a payload of this length takes in a segment. */
export const recordBytes = (length: number): number => HEADER_BYTES + length + TRAILER_BYTES;

export function encodeHeader(header: RecordHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32LE(RECORD_MAGIC, 0);
  bytes.writeUInt8(KINDS.indexOf(header.kind), 4);
  bytes.writeBigUInt64LE(BigInt(header.length), 8);
  bytes.writeBigUInt64LE(BigInt(header.receivedAt.getTime()), 16);
  const { kind, by, remoteAddress, calledAe, name } = header.source;
  const notes = Buffer.from(
    JSON.stringify({
      kind,
      by: by.slice(0, LONGEST_NOTE),
      from: remoteAddress.slice(0, 64),
      fault: header.fault,
      // Last: they are what is cut when notes are too long.
      to: calledAe?.slice(0, 16),
      name: name?.slice(0, 40),
    }),
  ).subarray(0, CRC_AT - NOTES_AT);
  bytes.writeUInt16LE(notes.length, 24);
  notes.copy(bytes, NOTES_AT);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
  return bytes;
}

/** undefined when the bytes are no record header, or a torn one. */
export function decodeHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== RECORD_MAGIC) return undefined;
  if (bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return undefined;
  const kind = KINDS[bytes.readUInt8(4)];
  const length = Number(bytes.readBigUInt64LE(8));
  if (kind === undefined || !Number.isSafeInteger(length)) return undefined;
  const notes = readNotes(bytes.subarray(NOTES_AT, NOTES_AT + bytes.readUInt16LE(24)));
  return { kind, length, receivedAt: new Date(Number(bytes.readBigUInt64LE(16))), ...notes };
}

export const SOURCE_KINDS: readonly IngestSource['kind'][] = ['dimse', 'stow', 'upload', 'import', 'wado'];

function readNotes(bytes: Buffer): Pick<RecordHeader, 'source' | 'fault'> {
  let read: Record<string, unknown> = {};
  try {
    read = JSON.parse(bytes.toString()) as Record<string, unknown>;
  } catch {
    // Notes that were too long were cut: the object matters, not who sent it.
  }
  const note = (name: string): string => (typeof read[name] === 'string' ? read[name] : '');
  const kind = SOURCE_KINDS.find((one) => one === read['kind']) ?? 'import';
  const source = { kind, by: note('by'), remoteAddress: note('from'), ...optional('calledAe', note('to')) };
  return { source: { ...source, ...optional('name', note('name')) }, fault: note('fault') || undefined };
}

const optional = <K extends string>(key: K, value: string): { [key in K]?: string } =>
  value === '' ? {} : ({ [key]: value } as { [key in K]: string });

export function encodeTrailer(trailer: RecordTrailer): Buffer {
  const bytes = Buffer.alloc(TRAILER_BYTES);
  bytes.writeUInt32LE(TRAILER_MAGIC, 0);
  bytes.writeBigUInt64LE(BigInt(trailer.length), 8);
  trailer.sha256.copy(bytes, 16);
  return bytes;
}

export function decodeTrailer(bytes: Buffer): RecordTrailer | undefined {
  if (bytes.length < TRAILER_BYTES || bytes.readUInt32LE(0) !== TRAILER_MAGIC) return undefined;
  return { length: Number(bytes.readBigUInt64LE(8)), sha256: Buffer.from(bytes.subarray(16, 48)) };
}

export function encodeSegmentHeader(): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.write(SEGMENT_MAGIC, 'latin1');
  return bytes;
}

export function isSegmentHeader(bytes: Buffer): boolean {
  return (
    bytes.length >= SEGMENT_HEADER_BYTES &&
    bytes.toString('latin1', 0, SEGMENT_MAGIC.length) === SEGMENT_MAGIC
  );
}
