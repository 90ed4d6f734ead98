/**
 * Reading ranges of blobs. A blob is a journal segment today; packs come later and change nothing for those who read.
 *
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { Outgoing, type Pieces } from '../platform/outgoing.ts';
import { closeFile, openFile, readInto } from './journal/files.ts';
import { type Journal, segmentOf } from './journal/journal.ts';
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
}

export class BlobReader {
  readonly #journal: Journal;
  readonly #files = new Map<string, OpenFile>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  #path(blob: string): string {
    const segment = segmentOf(blob);
    if (segment === undefined) throw new Fault('NOT_FOUND', { what: 'blob' });
    return this.#journal.path(segment);
  }

  /** @throws Fault TOO_LARGE. Shorter than asked only when the file is. */
  async read(blob: string, offset: number, length: number): Promise<Buffer> {
    if (length > MAX_READ_BYTES) throw new Fault('TOO_LARGE', { bytes: length, limit: MAX_READ_BYTES });
    return this.#with(blob, (fd) => readInto(fd, Buffer.allocUnsafeSlow(length), offset));
  }

  async #with<T>(blob: string, use: (fd: number) => Promise<T>): Promise<T> {
    let file = this.#files.get(blob);
    if (!file) {
      file = { fd: openFile(this.#path(blob), 'r'), users: 0 };
      file.fd.catch(() => this.#files.delete(blob));
    }
    // Used last stands last.
    this.#files.delete(blob);
    this.#files.set(blob, file);
    file.users += 1;
    try {
      return await use(await file.fd);
    } finally {
      file.users -= 1;
      await this.#trim();
    }
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

  stream(blob: string, offset: number, length: number): Outgoing {
    return new Outgoing(this.#pieces(blob, offset, length));
  }

  /** One piece is read while the one before is on its way. */
  async *#pieces(blob: string, offset: number, length: number): Pieces {
    const read = async (into: Buffer, at: number): Promise<Buffer> => {
      const wanted = into.subarray(0, Math.min(into.length, length - at));
      const bytes = await this.#with(blob, (fd) => readInto(fd, wanted, offset + at));
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
