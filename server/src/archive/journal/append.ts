/**
 * Writing one record: bytes are gathered and go to the segment in large pieces, a lane is borrowed when the first piece is
 * due. An object under 1 MiB holds a lane only while it is written and synced.
 *
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { ftruncateSync } from 'node:fs';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { IngestSource } from '../types.ts';
import { syncData, writeAll } from './files.ts';
import { type Journal, type Lane } from './journal.ts';
import { givePiece, takePiece } from './pieces.ts';
import { encodeHeader, encodeTrailer, HEADER_BYTES, TRAILER_BYTES, type RecordKind } from './record.ts';

/** One write of this size costs the disk no more per byte than a larger one; per connection it is what memory it takes. */
const GATHER_BYTES = 1024 * 1024;

/** A durable record. */
export interface Kept {
  readonly lane: Lane;
  /** Start of the record, and end of its trailer, in the segment. */
  readonly start: number;
  readonly end: number;
  /** The payload: the Part 10 file. */
  readonly offset: number;
  readonly length: number;
  readonly sha256: Buffer;
  readonly receivedAt: Date;
}

export class RecordWriter {
  readonly #journal: Journal;
  readonly #source: IngestSource;
  readonly #receivedAt = new Date();
  readonly #hash = createHash('sha256');
  #pieces: Buffer[] = [];
  #gathered = 0;
  #fill = 0;
  #length = 0;
  #lane: Lane | undefined;
  #start = 0;
  #written = 0;
  #flushing: Promise<void> | undefined;

  constructor(journal: Journal, source: IngestSource) {
    this.#journal = journal;
    this.#source = source;
  }

  get length(): number {
    return this.#length;
  }

  /** Copies the bytes; a promise means: wait before the next. */
  append(chunk: Uint8Array): Promise<void> | void {
    this.#hash.update(chunk);
    this.#length += chunk.length;
    return this.#gather(chunk);
  }

  #gather(chunk: Uint8Array): Promise<void> | void {
    let at = 0;
    while (at < chunk.length) {
      let piece = this.#pieces.at(-1);
      if (!piece || this.#fill === piece.length) {
        // The first is as large as what comes: most objects without pixels are small.
        piece = takePiece(this.#pieces.length === 0 ? chunk.length - at : undefined);
        this.#pieces.push(piece);
        this.#fill = 0;
      }
      const count = Math.min(chunk.length - at, piece.length - this.#fill);
      piece.set(at === 0 && count === chunk.length ? chunk : chunk.subarray(at, at + count), this.#fill);
      this.#fill += count;
      this.#gathered += count;
      at += count;
    }
    return this.#gathered >= GATHER_BYTES ? this.#flush() : undefined;
  }

  /** The gathered bytes as a list for writev, and the memory they lie in, to be given back once they are written. */
  #take(): { pieces: Buffer[]; filled: Buffer[] } {
    const pieces = this.#pieces;
    const last = pieces.at(-1);
    const filled = last ? [...pieces.slice(0, -1), last.subarray(0, this.#fill)] : [];
    this.#pieces = [];
    this.#gathered = 0;
    this.#fill = 0;
    return { pieces, filled };
  }

  /** One piece is written while the next is gathered: a promise only when the disk is behind. */
  async #flush(): Promise<void> {
    await this.#flushing;
    this.#flushing = this.#writePieces(this.#take());
    // Seen by whoever awaits it next; here it must not count as unhandled.
    this.#flushing.catch(() => undefined);
  }

  async #writePieces({ pieces, filled }: { pieces: Buffer[]; filled: Buffer[] }): Promise<void> {
    const lane = (this.#lane ??= await this.#borrow());
    const bytes = filled.reduce((sum, piece) => sum + piece.length, 0);
    const at = this.#start + HEADER_BYTES + this.#written;
    this.#written += bytes;
    try {
      if (this.#written === bytes) {
        await writeAll(lane.fd, [this.#header('open', 0), ...filled], this.#start);
      } else await writeAll(lane.fd, filled, at);
    } catch (error) {
      throw this.#failed(error);
    }
    pieces.forEach(givePiece);
  }

  /** No room is not a broken disk: the record goes, others stay, reading goes on. */
  #failed(error: unknown): Fault {
    const code = (error as { code?: string }).code;
    return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
      ? new Fault('ARCHIVE_FULL', {}, { cause: error })
      : this.#journal.fail(error);
  }

  async #borrow(): Promise<Lane> {
    const lane = await this.#journal.borrow();
    this.#start = lane.position;
    return lane;
  }

  #header(kind: RecordKind, length: number, fault?: string): Buffer {
    return encodeHeader({ kind, length, receivedAt: this.#receivedAt, source: this.#source, fault });
  }

  /**
   * Makes the record durable. The caller has to take `start` out of the lane's `pending` when the index knows the record.
   *
   * @throws Fault ARCHIVE_DISK, ARCHIVE_FULL: then nothing may be acknowledged, and `abort` gives the lane back.
   */
  async finish(kind: 'object' | 'quarantine', fault?: string): Promise<Kept> {
    await this.#flushing;
    const { pieces, filled: rest } = this.#take();
    const sha256 = this.#hash.digest();
    const length = this.#length;
    const lane = (this.#lane ??= await this.#borrow());
    const start = this.#start;
    const end = start + HEADER_BYTES + length + TRAILER_BYTES;
    const header = this.#header(kind, length, fault);
    const trailer = encodeTrailer({ length, sha256 });
    try {
      if (this.#written === 0) {
        await writeAll(lane.fd, [header, ...rest, trailer], start);
      } else {
        await writeAll(lane.fd, [...rest, trailer], start + HEADER_BYTES + this.#written);
        await writeAll(lane.fd, [header], start);
      }
    } catch (error) {
      throw this.#failed(error);
    }
    pieces.forEach(givePiece);
    try {
      await syncData(lane.fd);
    } catch (error) {
      throw this.#journal.fail(error);
    }
    // Others may write to the lane from here on.
    this.#lane = undefined;
    lane.position = end;
    lane.pending.add(start);
    this.#journal.release(lane);
    return { lane, start, end, offset: start + HEADER_BYTES, length, sha256, receivedAt: this.#receivedAt };
  }

  /** Nothing of it stays. */
  async abort(): Promise<void> {
    await this.#flushing?.catch(() => undefined);
    this.#take().pieces.forEach(givePiece);
    const lane = this.#lane;
    if (!lane) return;
    this.#lane = undefined;
    try {
      ftruncateSync(lane.fd, this.#start);
    } catch (error) {
      throw this.#journal.fail(error);
    }
    this.#journal.release(lane);
  }
}

/**
 * The bytes of a record that is not wanted after all (the same object is kept already): given back where possible, else
 * marked so that nobody reads them again.
 */
export async function discard(journal: Journal, kept: Kept, source: IngestSource): Promise<void> {
  const { lane, start, end, length, receivedAt } = kept;
  if (!journal.retract(lane, start, end)) {
    const header = encodeHeader({ kind: 'void', length, receivedAt, source, fault: undefined });
    await writeAll(lane.fd, [header], start);
  }
  lane.pending.delete(start);
}
