/**
 * A ZIP written while it is sent: every file stored as it is, its checksum computed on the way and told behind it.
 *
 * Source: PKWARE APPNOTE 6.3: §4.3.7 (local header), §4.3.9 (data descriptor), §4.3.12 (central directory), §4.3.14 and §4.3.15
 *         (ZIP64), §4.3.16 (end), §4.4.4 (bit 3: descriptor, bit 11: UTF-8), §4.5.3 (ZIP64 extra field).
 * Layer:  server/platform. In memory is one piece of one file, and some 80 bytes for each file that is done.
 */
import { crc32 } from 'node:zlib';
import { Fault } from '@lightbox/core/base/fault.ts';
import { exactly, type MediumFile } from './medium.ts';
import type { Pieces } from './outgoing.ts';

const FLAGS = 0x0808;
const VERSION = 45;
/** Value that says "look into the ZIP64 field". */
const IN_ZIP64 = 0xffffffff;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const LOCAL_EXTRA = 20;
const CENTRAL_EXTRA = 28;
const END_BYTES = 22;
const END64_BYTES = 56 + 20;

/** Beyond this a file says its sizes in 64 bits. */
const isLarge = (bytes: number): boolean => bytes >= IN_ZIP64;
const descriptorBytes = (bytes: number): number => (isLarge(bytes) ? 24 : 16);

/** Length of the ZIP when every file says its own; undefined otherwise. */
export function zipLength(files: readonly Pick<MediumFile, 'path' | 'bytes'>[]): number | undefined {
  return zipLayout(files)?.bytes;
}

/** Where the content of each file will begin, and the length of all; undefined when a file does not say its own. */
export function zipLayout(
  files: readonly Pick<MediumFile, 'path' | 'bytes'>[],
): { readonly starts: readonly number[]; readonly bytes: number } | undefined {
  let total = 0;
  let central = 0;
  const starts: number[] = [];
  for (const { path, bytes } of files) {
    if (bytes === undefined) return undefined;
    const name = Buffer.byteLength(path.join('/'));
    const offset = total;
    starts.push(offset + LOCAL_BYTES + name + (isLarge(bytes) ? LOCAL_EXTRA : 0));
    total = starts.at(-1)! + bytes + descriptorBytes(bytes);
    central += CENTRAL_BYTES + name + (needs64(bytes, offset) ? CENTRAL_EXTRA : 0);
  }
  const end = (isLargeZip(files.length, total, central) ? END64_BYTES : 0) + END_BYTES;
  return { starts, bytes: total + central + end };
}

const needs64 = (bytes: number, offset: number): boolean => isLarge(bytes) || isLarge(offset);
const isLargeZip = (files: number, start: number, central: number): boolean =>
  files >= 0xffff || isLarge(start) || isLarge(central);

/** @param modified  Of all files; a ZIP keeps local time without a zone, this writes UTC. */
export async function* writeZip(files: readonly MediumFile[], modified: Date): Pieces {
  const directory: Buffer[] = [];
  const stamp = dosTime(modified);
  let at = 0;
  for (const file of files) {
    const { bytes, pieces } = await file.open();
    const name = Buffer.from(file.path.join('/'));
    const offset = at;
    const local = localHeader(name, bytes, stamp);
    yield local;
    let crc = 0;
    for await (const piece of exactly(bytes, pieces)) {
      crc = crc32(piece, crc);
      yield piece;
    }
    const descriptor = dataDescriptor(crc, bytes);
    yield descriptor;
    at += local.length + bytes + descriptor.length;
    directory.push(centralHeader(name, bytes, crc, offset, stamp));
  }
  const start = at;
  const central = Buffer.concat(directory);
  yield central;
  yield ending(files.length, start, central.length);
}

function localHeader(name: Buffer, bytes: number, stamp: number): Buffer {
  const large = isLarge(bytes);
  const header = Buffer.alloc(LOCAL_BYTES);
  header.writeUInt32LE(0x04034b50, 0);
  common(header, 4, stamp);
  // The checksum follows behind. The size is known, and told: a reader that streams finds the end by it.
  header.writeUInt32LE(large ? IN_ZIP64 : bytes, 18);
  header.writeUInt32LE(large ? IN_ZIP64 : bytes, 22);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(large ? LOCAL_EXTRA : 0, 28);
  return Buffer.concat([header, name, ...(large ? [zip64Field([bytes, bytes])] : [])]);
}

function dataDescriptor(crc: number, bytes: number): Buffer {
  const out = Buffer.alloc(descriptorBytes(bytes));
  out.writeUInt32LE(0x08074b50, 0);
  out.writeUInt32LE(crc, 4);
  if (isLarge(bytes)) {
    out.writeBigUInt64LE(BigInt(bytes), 8);
    out.writeBigUInt64LE(BigInt(bytes), 16);
  } else {
    out.writeUInt32LE(bytes, 8);
    out.writeUInt32LE(bytes, 12);
  }
  return out;
}

function centralHeader(name: Buffer, bytes: number, crc: number, offset: number, stamp: number): Buffer {
  const large = needs64(bytes, offset);
  const header = Buffer.alloc(CENTRAL_BYTES);
  header.writeUInt32LE(0x02014b50, 0);
  // Made by: UNIX, so that the mode below counts.
  header.writeUInt16LE((3 << 8) | VERSION, 4);
  common(header, 6, stamp);
  header.writeUInt32LE(crc, 16);
  header.writeUInt32LE(large ? IN_ZIP64 : bytes, 20);
  header.writeUInt32LE(large ? IN_ZIP64 : bytes, 24);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt16LE(large ? CENTRAL_EXTRA : 0, 30);
  // An ordinary file that everybody may read: nothing on a medium is to be run.
  header.writeUInt32LE((0o100644 << 16) >>> 0, 38);
  header.writeUInt32LE(large ? IN_ZIP64 : offset, 42);
  return Buffer.concat([header, name, ...(large ? [zip64Field([bytes, bytes, offset])] : [])]);
}

/** Version needed, flags, method 0 (stored), time and date. */
function common(header: Buffer, at: number, stamp: number): void {
  header.writeUInt16LE(VERSION, at);
  header.writeUInt16LE(FLAGS, at + 2);
  header.writeUInt16LE(0, at + 4);
  header.writeUInt32LE(stamp, at + 6);
}

function zip64Field(values: readonly number[]): Buffer {
  const out = Buffer.alloc(4 + values.length * 8);
  out.writeUInt16LE(1, 0);
  out.writeUInt16LE(values.length * 8, 2);
  values.forEach((value, index) => out.writeBigUInt64LE(BigInt(value), 4 + index * 8));
  return out;
}

function ending(files: number, start: number, length: number): Buffer {
  const large = isLargeZip(files, start, length);
  const end64 = Buffer.alloc(large ? END64_BYTES : 0);
  if (large) {
    end64.writeUInt32LE(0x06064b50, 0);
    end64.writeBigUInt64LE(44n, 4);
    end64.writeUInt16LE((3 << 8) | VERSION, 12);
    end64.writeUInt16LE(VERSION, 14);
    end64.writeBigUInt64LE(BigInt(files), 24);
    end64.writeBigUInt64LE(BigInt(files), 32);
    end64.writeBigUInt64LE(BigInt(length), 40);
    end64.writeBigUInt64LE(BigInt(start), 48);
    end64.writeUInt32LE(0x07064b50, 56);
    end64.writeBigUInt64LE(BigInt(start + length), 64);
    end64.writeUInt32LE(1, 72);
  }
  const end = Buffer.alloc(END_BYTES);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(files, 0xffff), 8);
  end.writeUInt16LE(Math.min(files, 0xffff), 10);
  end.writeUInt32LE(Math.min(length, IN_ZIP64), 12);
  end.writeUInt32LE(Math.min(start, IN_ZIP64), 16);
  return Buffer.concat([end64, end]);
}

/** Date above, time below, in steps of two seconds, from 1980 (§4.4.6). */
function dosTime(at: Date): number {
  const year = at.getUTCFullYear();
  if (year < 1980 || year > 2107) throw new Fault('INTERNAL', { what: 'a ZIP cannot say this year' });
  const date = ((year - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();
  const time = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  return ((date << 16) | time) >>> 0;
}
