/**
 * The central directory of a ZIP of stored files: which files there are, where their bytes lie, and their checksums.
 *
 * Strict: for ZIPs we wrote ourselves (zip-out.ts). What another program packed is read elsewhere.
 * Source: PKWARE APPNOTE 6.3: §4.3.7 (local header), §4.3.12 (central directory), §4.3.14 to §4.3.16 (ends), §4.5.3 (ZIP64).
 * Layer:  server/platform.
 */
import { Fault } from '@lightbox/core/base/fault.ts';

/** Something that is read at places: a file, or an object in a store. */
export interface RandomAccess {
  readonly size: number;
  /**
   * As many bytes as asked for, or fewer at the end.
   *
   * @param into  Memory to use again, at least `length` long; the answer is a view on it.
   */
  read(at: number, length: number, into?: Buffer): Promise<Buffer>;
}

export interface ZipEntry {
  readonly name: string;
  /** Of the content. */
  readonly start: number;
  readonly length: number;
  readonly crc: number;
}

const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR_BYTES = 20;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const IN_ZIP64 = 0xffffffff;
/** A directory of 10,000 files with names of ours has 1 MB. */
const LARGEST_DIRECTORY = 64 * 1024 * 1024;

const damaged = (what: string): Fault => new Fault('PACK_DAMAGED', { what });

/** @throws Fault PACK_DAMAGED when anything of it does not fit. */
export async function readZipIndex(zip: RandomAccess): Promise<ZipEntry[]> {
  const { start, length, count } = await findDirectory(zip);
  if (length > LARGEST_DIRECTORY || start + length > zip.size) throw damaged('directory');
  const directory = await exactly(zip, start, length);
  const entries: ZipEntry[] = [];
  let at = 0;
  let before = 0;
  for (let left = count; left > 0; left -= 1) {
    const { next, ...entry } = centralAt(directory, at);
    at = next;
    // In the order of their bytes, none over another: each byte is of one file.
    if (entry.header < before) throw damaged('order');
    const content = await contentOf(zip, entry);
    before = content.start + content.length;
    if (before > start) throw damaged('length');
    entries.push(content);
  }
  if (at !== directory.length) throw damaged('directory');
  return entries;
}

async function findDirectory(zip: RandomAccess): Promise<{ start: number; length: number; count: number }> {
  const at = zip.size - END_BYTES;
  if (at < 0) throw damaged('end');
  const end = await exactly(zip, at, END_BYTES);
  // Ours have no comment: the end is the end.
  if (end.readUInt32LE(0) !== 0x06054b50) throw damaged('end');
  const count = end.readUInt16LE(10);
  const length = end.readUInt32LE(12);
  const start = end.readUInt32LE(16);
  if (count !== 0xffff && length !== IN_ZIP64 && start !== IN_ZIP64) return { start, length, count };
  const locator = await exactly(zip, at - LOCATOR_BYTES, LOCATOR_BYTES);
  if (locator.readUInt32LE(0) !== 0x07064b50) throw damaged('end');
  const end64 = await exactly(zip, Number(locator.readBigUInt64LE(8)), END64_BYTES);
  if (end64.readUInt32LE(0) !== 0x06064b50) throw damaged('end');
  return {
    count: Number(end64.readBigUInt64LE(32)),
    length: Number(end64.readBigUInt64LE(40)),
    start: Number(end64.readBigUInt64LE(48)),
  };
}

interface Central {
  readonly name: string;
  readonly crc: number;
  readonly length: number;
  /** Of its local header. */
  readonly header: number;
}

function centralAt(directory: Buffer, at: number): Central & { readonly next: number } {
  if (at + CENTRAL_BYTES > directory.length || directory.readUInt32LE(at) !== 0x02014b50)
    throw damaged('directory');
  if (directory.readUInt16LE(at + 10) !== 0) throw damaged('method');
  const packed = directory.readUInt32LE(at + 20);
  let length = directory.readUInt32LE(at + 24);
  let header = directory.readUInt32LE(at + 42);
  const nameEnd = at + CENTRAL_BYTES + directory.readUInt16LE(at + 28);
  const next = nameEnd + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  if (next > directory.length) throw damaged('directory');
  if (packed === IN_ZIP64 || length === IN_ZIP64 || header === IN_ZIP64) {
    if (next - nameEnd !== 28 || directory.readUInt16LE(nameEnd) !== 1) throw damaged('ZIP64');
    length = Number(directory.readBigUInt64LE(nameEnd + 4));
    header = Number(directory.readBigUInt64LE(nameEnd + 20));
  } else if (packed !== length) throw damaged('method');
  const name = directory.toString('utf8', at + CENTRAL_BYTES, nameEnd);
  return { name, crc: directory.readUInt32LE(at + 16), length, header, next };
}

async function contentOf(zip: RandomAccess, { name, crc, length, header }: Central): Promise<ZipEntry> {
  const nameBytes = Buffer.byteLength(name);
  const local = await exactly(zip, header, LOCAL_BYTES + nameBytes);
  if (local.readUInt32LE(0) !== 0x04034b50 || local.readUInt16LE(26) !== nameBytes) throw damaged('header');
  if (local.toString('utf8', LOCAL_BYTES) !== name) throw damaged('header');
  return { name, crc, length, start: header + LOCAL_BYTES + nameBytes + local.readUInt16LE(28) };
}

async function exactly(zip: RandomAccess, at: number, length: number): Promise<Buffer> {
  if (!Number.isSafeInteger(at) || at < 0 || at + length > zip.size) throw damaged('length');
  const bytes = await zip.read(at, length);
  if (bytes.length < length) throw damaged('length');
  return bytes;
}
