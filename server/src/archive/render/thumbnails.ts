/**
 * Small pictures that were made once: in memory, and on disk under <data>/cache/thumbnails so that a list of studies after a
 * restart decodes nothing again. A cache: it may be deleted at any time, and what is damaged is made anew.
 *
 * Layer:  server/archive. Names are hashes of ours; nothing of the input is in a path. Pictures show patients: the folder
 * is for the server's user alone, as the journal is.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';

/** Changes with how pictures look: those of another form are never shown again. */
const FORM = 'v1';
/** 5 KB each: the series of some thousand studies. */
const MOST_BYTES = 256 * 1024 * 1024;
/** Trimmed to this share, so that not every new picture has to look for the oldest. */
const TRIM_TO = 0.8;
/** 5 MB of pictures of the list in front of people. */
const MOST_IN_MEMORY = 1000;
const NAME = /^[0-9a-f]{64}-[0-9]{1,4}\.jpg$/;

export interface Thumbnails {
  /** The picture under this name, made when it is not there; who asks at the same time waits for the same one. */
  get(sha256: string, size: number, make: () => Promise<Uint8Array>): Promise<Uint8Array>;
}

/**
 * @param dataDir    Undefined: in memory only.
 * @param mostBytes  On disk; the pictures not looked at for longest go first.
 */
export function createThumbnails(
  dataDir: string | undefined,
  log: Pick<FastifyBaseLogger, 'warn'>,
  mostBytes = MOST_BYTES,
): Thumbnails {
  const recent = new Map<string, Uint8Array>();
  const making = new Map<string, Promise<Uint8Array>>();
  const disk =
    dataDir === undefined ? undefined : new Disk(join(dataDir, 'cache', 'thumbnails', FORM), log, mostBytes);

  function remember(name: string, bytes: Uint8Array): Uint8Array {
    // Used last stands last.
    recent.delete(name);
    recent.set(name, bytes);
    if (recent.size > MOST_IN_MEMORY) recent.delete(recent.keys().next().value ?? '');
    return bytes;
  }

  async function fetch(name: string, make: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const kept = await disk?.read(name);
    if (kept) return kept;
    const bytes = await make();
    // Nobody has to wait for the disk, and a full one is no reason to show nothing.
    void disk?.write(name, bytes);
    return bytes;
  }

  return {
    async get(sha256, size, make) {
      const name = `${sha256}-${size}.jpg`;
      const known = recent.get(name);
      if (known) return remember(name, known);
      const running = making.get(name) ?? fetch(name, make).finally(() => making.delete(name));
      making.set(name, running);
      return remember(name, await running);
    },
  };
}

class Disk {
  readonly #folder: string;
  readonly #log: Pick<FastifyBaseLogger, 'warn'>;
  readonly #mostBytes: number;
  /** Bytes on disk; counted when the first picture is written. */
  #bytes: number | undefined;
  #work: Promise<void> = Promise.resolve();
  #told = false;

  constructor(folder: string, log: Pick<FastifyBaseLogger, 'warn'>, mostBytes: number) {
    this.#folder = folder;
    this.#log = log;
    this.#mostBytes = mostBytes;
  }

  /** Two levels, so that no folder holds more than some hundred. */
  #path(name: string): string {
    return join(this.#folder, name.slice(0, 2), name);
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const path = this.#path(name);
    try {
      const bytes = await readFile(path);
      // A power cut may leave a file without its end: no picture is better than half of one.
      if (!isWhole(bytes)) return undefined;
      const now = new Date();
      await utimes(path, now, now);
      return bytes;
    } catch {
      return undefined;
    }
  }

  /** One at a time. Never rejects. */
  write(name: string, bytes: Uint8Array): Promise<void> {
    this.#work = this.#work
      .then(() => this.#put(name, bytes))
      .catch((error: unknown) => {
        if (!this.#told)
          this.#log.warn({ err: error }, 'thumbnails cannot be kept on disk; they are made again');
        this.#told = true;
      });
    return this.#work;
  }

  async #put(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(name);
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
    const temporary = `${path}.${randomBytes(6).toString('hex')}`;
    await writeFile(temporary, bytes, { mode: 0o600 });
    await rename(temporary, path);
    this.#bytes = this.#bytes === undefined ? await this.#trim() : this.#bytes + bytes.length;
    if (this.#bytes > this.#mostBytes) this.#bytes = await this.#trim();
  }

  /** Deletes what was not looked at for longest, and what a crash left. @returns bytes that stay. */
  async #trim(): Promise<number> {
    const files: { path: string; bytes: number; at: number }[] = [];
    for (const folder of await readdir(this.#folder)) {
      for (const name of await readdir(join(this.#folder, folder))) {
        const path = join(this.#folder, folder, name);
        if (!NAME.test(name)) {
          await rm(path, { force: true });
          continue;
        }
        const { size, mtimeMs } = await stat(path);
        files.push({ path, bytes: size, at: mtimeMs });
      }
    }
    let total = files.reduce((sum, one) => sum + one.bytes, 0);
    if (total <= this.#mostBytes) return total;
    files.sort((a, b) => a.at - b.at);
    for (const { path, bytes } of files) {
      if (total <= this.#mostBytes * TRIM_TO) break;
      await rm(path, { force: true });
      total -= bytes;
    }
    return total;
  }
}

/** Begins and ends as a JPEG does: SOI, EOI (ITU-T T.81 §B.1.1.3). */
function isWhole(bytes: Uint8Array): boolean {
  const { length } = bytes;
  return (
    length > 4 &&
    bytes[0] === 0xff &&
    bytes[1] === 0xd8 &&
    bytes[length - 2] === 0xff &&
    bytes[length - 1] === 0xd9
  );
}
