/**
 * Reading ranges of blobs: segments of the journal and packs. An object may move from one to the other at any time; who has
 * begun to read goes on, and who comes with an old place is shown the new one.
 *
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { Outgoing, type Pieces } from '../platform/outgoing.ts';
import { closeFile, openFile, readInto } from './journal/files.ts';
import { givePiece, takePiece } from './journal/pieces.ts';

/** More in one piece is not for memory. */
export const MAX_READ_BYTES = 512 * 1024 * 1024;
const COMPARE_BYTES = 1024 * 1024;
/** Descriptors kept open for reading. */
const OPEN_FILES = 64;

export interface BlobRange {
  readonly blob: string;
  readonly offset: number;
  readonly length: number;
}

interface OpenFile {
  readonly fd: Promise<number>;
  users: number;
  /** Taken away: closed by its last user. */
  gone: boolean;
}

/** Where the same bytes lie now; undefined when they are nowhere else. */
export type Relocate = () => Promise<Pick<BlobRange, 'blob' | 'offset'> | undefined>;

/** The file of a blob is not there: the object was moved, or is lost. */
export const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';

export class BlobReader {
  readonly #pathOf: (blob: string) => string | undefined;
  readonly #files = new Map<string, OpenFile>();

  /** @param pathOf  The file of a blob; undefined when its name is none of ours. */
  constructor(pathOf: (blob: string) => string | undefined) {
    this.#pathOf = pathOf;
  }

  #path(blob: string): string {
    const path = this.#pathOf(blob);
    if (path === undefined) throw new Fault('NOT_FOUND', { what: 'blob' });
    return path;
  }

  /** @throws Fault TOO_LARGE. Shorter than asked only when the file is. */
  async read(blob: string, offset: number, length: number, relocate?: Relocate): Promise<Buffer> {
    if (length > MAX_READ_BYTES) throw new Fault('TOO_LARGE', { bytes: length, limit: MAX_READ_BYTES });
    const { file, at } = await this.#take({ blob, offset }, relocate);
    try {
      return await readInto(await file.fd, Buffer.allocUnsafeSlow(length), at);
    } finally {
      await this.#give(file);
    }
  }

  /** An open file that stays open until `#give`, wherever the object lies now. */
  async #take(
    { blob, offset }: Pick<BlobRange, 'blob' | 'offset'>,
    relocate: Relocate | undefined,
  ): Promise<{ file: OpenFile; at: number }> {
    const file = this.#use(blob);
    try {
      await file.fd;
      return { file, at: offset };
    } catch (error) {
      file.users -= 1;
      const place = isGone(error) ? await relocate?.() : undefined;
      if (place === undefined || place.blob === blob) throw error;
      return this.#take(place, relocate);
    }
  }

  #use(blob: string): OpenFile {
    let file = this.#files.get(blob);
    if (!file) {
      const opened: OpenFile = { fd: openFile(this.#path(blob), 'r'), users: 0, gone: false };
      opened.fd.catch(() => {
        if (this.#files.get(blob) === opened) this.#files.delete(blob);
      });
      file = opened;
    }
    // Used last stands last.
    this.#files.delete(blob);
    this.#files.set(blob, file);
    file.users += 1;
    return file;
  }

  async #give(file: OpenFile): Promise<void> {
    file.users -= 1;
    if (file.gone && file.users === 0) await closeFile(await file.fd);
    await this.#trim();
  }

  /** The file is about to be taken away: nobody new begins to read it, those who read go on. */
  async forget(blob: string): Promise<void> {
    const file = this.#files.get(blob);
    if (!file) return;
    this.#files.delete(blob);
    file.gone = true;
    if (file.users === 0) await file.fd.then(closeFile).catch(() => undefined);
  }

  async #trim(): Promise<void> {
    if (this.#files.size <= OPEN_FILES) return;
    for (const [blob, file] of this.#files) {
      if (file.users > 0) continue;
      this.#files.delete(blob);
      await closeFile(await file.fd);
      if (this.#files.size <= OPEN_FILES) return;
    }
  }

  stream(blob: string, offset: number, length: number, relocate?: Relocate): Outgoing {
    return new Outgoing(this.#pieces({ blob, offset, length }, relocate));
  }

  async *#pieces(range: BlobRange, relocate: Relocate | undefined): Pieces {
    if (range.length === 0) return;
    const { file, at } = await this.#take(range, relocate);
    try {
      yield* this.#piecesOf(await file.fd, at, range.length);
    } finally {
      await this.#give(file);
    }
  }

  /** One piece is read while the one before is on its way. */
  async *#piecesOf(fd: number, offset: number, length: number): Pieces {
    const read = async (into: Buffer, at: number): Promise<Buffer> => {
      const wanted = into.subarray(0, Math.min(into.length, length - at));
      const bytes = await readInto(fd, wanted, offset + at);
      if (bytes.length < wanted.length) throw new Fault('INTERNAL', { what: 'a blob is shorter than known' });
      return bytes;
    };
    const pieces: Buffer[] = [];
    let reading: Promise<Buffer> | undefined;
    for (let at = 0; at < length;) {
      const piece = (pieces[0] ??= takePiece(length));
      const bytes: Buffer = await (reading ?? read(piece, at));
      at += bytes.length;
      reading = undefined;
      if (at < length) {
        // The piece that went out last is free again.
        reading = read((pieces[1] ??= takePiece(length - at)), at);
        reading.catch(() => undefined);
        pieces.reverse();
      }
      yield bytes;
    }
    // Only now is it sure that nobody reads from them any more.
    pieces.forEach(givePiece);
  }

  /** Whether two Part 10 files hold the same data set; their meta may differ (another sender, another day). */
  async sameDataSet(
    one: BlobRange & { readonly dataSetOffset: number; readonly sha256: Buffer },
    other: BlobRange & { readonly dataSetOffset: number; readonly sha256: Buffer },
  ): Promise<boolean> {
    if (one.sha256.equals(other.sha256)) return true;
    const length = one.length - one.dataSetOffset;
    if (length !== other.length - other.dataSetOffset) return false;
    for (let at = 0; at < length; at += COMPARE_BYTES) {
      const bytes = Math.min(COMPARE_BYTES, length - at);
      const [mine, theirs] = await Promise.all(
        [one, other].map((each) => this.read(each.blob, each.offset + each.dataSetOffset + at, bytes)),
      );
      if (!mine || !theirs || !mine.equals(theirs)) return false;
    }
    return true;
  }

  async close(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await file.fd.then(closeFile).catch(() => undefined);
  }
}
