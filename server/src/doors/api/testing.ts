/**
 * ZIP files for tests, honest and not: every field can be given a lie.
 *
 * Source: PKWARE APPNOTE 6.3 §4.3.7 (local header), §4.3.12 (central directory), §4.3.14, §4.3.15 (ZIP64), §4.3.16 (end).
 * Layer:  server/doors/api. For tests only.
 */
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly stored?: boolean;
  /** What the headers say instead of the truth. */
  readonly says?: {
    readonly size?: number;
    readonly packed?: number;
    readonly crc?: number;
    readonly flags?: number;
    readonly method?: number;
  };
}

/** @param zip64  Sizes and offsets of every entry in ZIP64 fields, and a ZIP64 end. */
export function makeZip(entries: readonly ZipEntry[], zip64 = entries.length > 0xffff): Buffer {
  const out: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  const put = (bytes: Buffer): void => {
    out.push(bytes);
    at += bytes.length;
  };
  for (const { name, bytes, stored = false, says = {} } of entries) {
    const content = stored ? Buffer.from(bytes) : deflateRawSync(bytes);
    const label = Buffer.from(name);
    const size = says.size ?? bytes.length;
    const packed = says.packed ?? content.length;
    const offset = at;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(zip64 ? 45 : 20, 0);
    common.writeUInt16LE(says.flags ?? 0x800, 2);
    common.writeUInt16LE(says.method ?? (stored ? 0 : 8), 4);
    common.writeUInt32LE(says.crc ?? crc32(bytes), 10);
    common.writeUInt32LE(zip64 ? 0xffffffff : packed, 14);
    common.writeUInt32LE(zip64 ? 0xffffffff : size, 18);
    common.writeUInt16LE(label.length, 22);
    put(Buffer.concat([Buffer.from('PK\x03\x04'), common, label, content]));
    const extra = Buffer.alloc(zip64 ? 28 : 0);
    if (zip64) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      extra.writeBigUInt64LE(BigInt(size), 4);
      extra.writeBigUInt64LE(BigInt(packed), 12);
      extra.writeBigUInt64LE(BigInt(offset), 20);
    }
    common.writeUInt16LE(extra.length, 24);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(zip64 ? 0xffffffff : offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, rest, label, extra);
  }
  const start = at;
  const central = Buffer.concat(directory);
  put(central);
  if (zip64) {
    const end = Buffer.alloc(76);
    end.write('PK\x06\x06', 0, 'latin1');
    end.writeBigUInt64LE(44n, 4);
    end.writeBigUInt64LE(BigInt(entries.length), 24);
    end.writeBigUInt64LE(BigInt(entries.length), 32);
    end.writeBigUInt64LE(BigInt(central.length), 40);
    end.writeBigUInt64LE(BigInt(start), 48);
    end.write('PK\x06\x07', 56, 'latin1');
    end.writeBigUInt64LE(BigInt(at), 64);
    end.writeUInt32LE(1, 72);
    put(end);
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(zip64 ? 0xffff : entries.length, 8);
  end.writeUInt16LE(zip64 ? 0xffff : entries.length, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : central.length, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : start, 16);
  put(end);
  return Buffer.concat(out);
}
