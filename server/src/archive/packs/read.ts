/**
 * Reading a pack from its first byte to its last: is it whole, and is every object in it the one that was kept?
 *
 * Used before anything depends on a pack, by `verify`, and by `reindex`.
 * Layer:  server/archive.
 */
import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Fault } from '@lightbox/core/base/fault.ts';
import { type RandomAccess, readZipIndex, type ZipEntry } from '../../platform/zip-index.ts';
import { layoutOf, type Manifest, type ManifestObject, MANIFEST_NAME, readManifest } from './manifest.ts';

const READ_BYTES = 1024 * 1024;

export interface PackedObject {
  readonly object: ManifestObject;
  /** Of its bytes in the pack. */
  readonly start: number;
  /** flipped: its bytes are not those with the SHA-256 it was kept with. truncated: they end before. swapped: they are another's. */
  readonly fault: 'flipped' | 'truncated' | 'swapped' | undefined;
}

export interface PackVisitor {
  readonly begin?: (object: ManifestObject, start: number) => void;
  /** The bytes of the object in pieces, views. */
  readonly each?: (piece: Buffer) => void;
  readonly visit: (found: PackedObject) => Promise<void> | void;
}

export interface PackReading {
  readonly manifest: Manifest;
  readonly bytes: number;
  /** Hex, of the whole ZIP. */
  readonly sha256: string;
  /** What else is wrong with it, for other programs if not for us. */
  readonly fault: 'truncated' | 'directory' | undefined;
}

/** @throws Fault PACK_DAMAGED when it cannot be told what is in it. */
export async function readPack(
  pack: RandomAccess,
  visitor: PackVisitor,
  pace: (bytes: number) => Promise<void> = () => Promise.resolve(),
): Promise<PackReading> {
  const { manifest, bytes } = await readManifest(pack);
  const layout = layoutOf(manifest, bytes);
  const known = new Set(manifest.objects.map((one) => one.sha256));
  const whole = createHash('sha256');
  const crcs: number[] = [];
  const memory = Buffer.allocUnsafeSlow(READ_BYTES);
  let at = 0;

  async function take(until: number, use: (piece: Buffer) => void): Promise<number> {
    let taken = 0;
    while (at < until) {
      const piece = await pack.read(at, Math.min(READ_BYTES, until - at), memory);
      if (piece.length === 0) break;
      whole.update(piece);
      use(piece);
      at += piece.length;
      taken += piece.length;
      await pace(piece.length);
    }
    return taken;
  }

  for (const [index, object] of manifest.objects.entries()) {
    const start = layout.starts[index]!;
    await take(start, () => undefined);
    visitor.begin?.(object, start);
    const hash: Hash = createHash('sha256');
    let crc = 0;
    const taken = await take(start + object.length, (piece) => {
      hash.update(piece);
      crc = crc32(piece, crc);
      visitor.each?.(piece);
    });
    crcs.push(crc);
    const found = hash.digest('hex');
    const fault =
      taken < object.length
        ? 'truncated'
        : found === object.sha256
          ? undefined
          : known.has(found)
            ? 'swapped'
            : 'flipped';
    await visitor.visit({ object, start, fault });
  }
  await take(pack.size, () => undefined);
  const fault =
    pack.size < layout.bytes
      ? 'truncated'
      : (await hasDirectory(pack, manifest, layout.starts, crcs))
        ? undefined
        : 'directory';
  return { manifest, bytes: pack.size, sha256: whole.digest('hex'), fault };
}

/** What other programs go by says the same as the manifest and the bytes. */
async function hasDirectory(
  pack: RandomAccess,
  manifest: Manifest,
  starts: readonly number[],
  crcs: readonly number[],
): Promise<boolean> {
  let entries: ZipEntry[];
  try {
    entries = await readZipIndex(pack);
  } catch (error) {
    if (error instanceof Fault && error.code === 'PACK_DAMAGED') return false;
    throw error;
  }
  const [first, ...rest] = entries;
  return (
    first?.name === MANIFEST_NAME &&
    rest.length === manifest.objects.length &&
    rest.every((entry, index) => {
      const object = manifest.objects[index];
      return (
        entry.name === object?.entry &&
        entry.length === object.length &&
        entry.start === starts[index] &&
        entry.crc === crcs[index]
      );
    })
  );
}
