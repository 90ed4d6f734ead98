/**
 * Where packs lie: a folder for each, with the ZIP and the metadata beside it, under <data>/packs.
 *
 * A pack appears under its name whole and durable, or not at all. Names are ours: nothing from the input is in a path.
 * Layer:  server/archive.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Pieces } from '../../platform/outgoing.ts';
import type { RandomAccess } from '../../platform/zip-index.ts';
import { closeFile, openFile, readInto, syncData, syncFolder, writeAll } from '../journal/files.ts';
import { openDirect } from './direct.ts';

const BLOB_PREFIX = 'pack/';
const NAME = /^[0-9a-f]{32}$/;

export const newPackName = (): string => randomBytes(16).toString('hex');

/** Where the index says an object lies: `pack/<name>`. */
export const packBlob = (name: string): string => BLOB_PREFIX + name;

export function packOf(blob: string): string | undefined {
  const name = blob.startsWith(BLOB_PREFIX) ? blob.slice(BLOB_PREFIX.length) : '';
  return NAME.test(name) ? name : undefined;
}

/** Files of a pack. The metadata can be made again, the ZIP cannot. */
export type PackPart = 'pack.zip' | 'metadata.json.gz';

export interface OpenPart extends RandomAccess {
  close(): Promise<void>;
}

/** One pack on its way; nobody sees it before `publish`. */
export interface PackDraft {
  /** Durable when it resolves. @throws Fault ARCHIVE_FULL, ARCHIVE_DISK; what reading the pieces throws. */
  write(part: PackPart, pieces: Pieces): Promise<void>;
  /** What was written, read from the disk itself where that is possible. */
  open(part: PackPart): Promise<OpenPart>;
  /** Puts it under its name, for good when it resolves. */
  publish(): Promise<void>;
  discard(): Promise<void>;
}

/** Shared by the disk and, later, an object store. */
export interface PackStore {
  draft(name: string): Promise<PackDraft>;
  /** @throws ENOENT. */
  open(name: string, part: PackPart): Promise<OpenPart>;
  /** Takes it away, for good when it resolves; nothing happens when it is not there. */
  remove(name: string): Promise<void>;
  /** All that are published, in the order of their names. */
  names(): AsyncGenerator<string, void, undefined>;
  /** Takes away drafts of a process that died. @returns how many. */
  sweep(olderThanMs: number, inUse: ReadonlySet<string>): Promise<number>;
}

/** Unwritten bytes of one pack at most: a sync of gigabytes would make those of the journal wait. */
const SYNC_BYTES = 32 * 1024 * 1024;
const GATHER_BYTES = 1024 * 1024;
const INCOMING = 'incoming';

export class DiskPacks implements PackStore {
  readonly folder: string;
  /** Folders this process knows to be on the disk; one that is merely there may be of a process that died. */
  readonly #durable = new Set<string>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(dataDir: string): Promise<DiskPacks> {
    const packs = new DiskPacks(join(dataDir, 'packs'));
    await packs.#makeFolder(dataDir, 'packs');
    await packs.#makeFolder(packs.folder, INCOMING);
    return packs;
  }

  async #makeFolder(parent: string, name: string): Promise<void> {
    const path = join(parent, name);
    if (this.#durable.has(path)) return;
    await mkdir(path, { recursive: true, mode: 0o700 });
    await syncFolder(parent);
    this.#durable.add(path);
  }

  /** Two levels of 256: no folder holds more than some hundred of millions. */
  #place(name: string): string {
    return join(this.folder, name.slice(0, 2), name.slice(2, 4), name);
  }

  path(name: string, part: PackPart): string {
    return join(this.#place(name), part);
  }

  async draft(name: string): Promise<PackDraft> {
    const incoming = join(this.folder, INCOMING);
    const folder = join(incoming, name);
    await mkdir(folder, { mode: 0o700 });
    return {
      write: (part, pieces) => writeDurably(join(folder, part), pieces),
      open: (part) => openDirect(join(folder, part)),
      publish: () =>
        onDisk(async () => {
          await syncFolder(folder);
          await this.#makeFolder(this.folder, name.slice(0, 2));
          await this.#makeFolder(join(this.folder, name.slice(0, 2)), name.slice(2, 4));
          await rename(folder, this.#place(name));
          await syncFolder(join(this.#place(name), '..'));
          await syncFolder(incoming);
        }),
      discard: () => rm(folder, { recursive: true, force: true }),
    };
  }

  async open(name: string, part: PackPart): Promise<OpenPart> {
    const path = this.path(name, part);
    const { size } = await stat(path);
    const fd = await openFile(path, 'r');
    return {
      size,
      read: (at, length, into) => {
        const bytes = Math.max(0, Math.min(length, size - at));
        return readInto(fd, into?.subarray(0, bytes) ?? Buffer.allocUnsafe(bytes), at);
      },
      close: () => closeFile(fd),
    };
  }

  async remove(name: string): Promise<void> {
    const place = this.#place(name);
    // Moved aside first: a crash in the middle leaves a draft, not half a pack.
    const aside = join(this.folder, INCOMING, `${name}.${randomBytes(4).toString('hex')}`);
    try {
      await rename(place, aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    await syncFolder(join(place, '..'));
    await rm(aside, { recursive: true, force: true });
  }

  async *names(): AsyncGenerator<string, void, undefined> {
    for (const one of await folders(this.folder, /^[0-9a-f]{2}$/))
      for (const two of await folders(join(this.folder, one), /^[0-9a-f]{2}$/))
        for (const name of await folders(join(this.folder, one, two), NAME))
          if (name.startsWith(one + two)) yield name;
  }

  async sweep(olderThanMs: number, inUse: ReadonlySet<string>): Promise<number> {
    const incoming = join(this.folder, INCOMING);
    let count = 0;
    for (const entry of await readdir(incoming)) {
      if (inUse.has(entry.split('.')[0] ?? '')) continue;
      const path = join(incoming, entry);
      const known = await stat(path).catch(() => undefined);
      if (!known || Date.now() - known.mtimeMs < olderThanMs) continue;
      await rm(path, { recursive: true, force: true });
      count += 1;
    }
    return count;
  }
}

async function folders(path: string, name: RegExp): Promise<string[]> {
  return (await readdir(path)).filter((one) => name.test(one)).sort();
}

/** No room is no failure of the disk; a failed write or sync is (design rule 8). What is read meanwhile fails on its own account. */
async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) throw new Fault('ARCHIVE_FULL', {}, { cause });
    throw new Fault('ARCHIVE_DISK', {}, { cause });
  }
}

async function writeDurably(path: string, pieces: Pieces): Promise<void> {
  const fd = await openFile(path, 'wx', 0o600);
  try {
    const gathered = Buffer.allocUnsafeSlow(GATHER_BYTES);
    let fill = 0;
    let at = 0;
    let unsynced = 0;
    const flush = async (): Promise<void> => {
      await onDisk(() => writeAll(fd, [gathered.subarray(0, fill)], at));
      at += fill;
      unsynced += fill;
      fill = 0;
      if (unsynced < SYNC_BYTES) return;
      await onDisk(() => syncData(fd));
      unsynced = 0;
    };
    for await (const piece of pieces) {
      for (let from = 0; from < piece.length;) {
        const count = Math.min(piece.length - from, GATHER_BYTES - fill);
        gathered.set(piece.subarray(from, from + count), fill);
        fill += count;
        from += count;
        if (fill === GATHER_BYTES) await flush();
      }
    }
    await flush();
    await onDisk(() => syncData(fd));
  } finally {
    await closeFile(fd);
  }
}
