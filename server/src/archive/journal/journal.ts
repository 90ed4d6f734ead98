/**
 * The journal: append-only segment files under <data>/journal. An object is borrowed a lane (one open segment), written to
 * it as it arrives, made durable with one fdatasync, and the lane goes back.
 *
 * Layer:  server/archive.
 */
import { randomBytes } from 'node:crypto';
import { ftruncateSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Log } from '../../platform/log.ts';
import { closeFile, openFile, syncData, syncFolder, writeAll } from './files.ts';
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from './record.ts';

/** A full segment gets no further record; a larger object makes it longer. */
export const SEGMENT_BYTES = 256 * 1024 * 1024;
/** Objects written at once; further ones wait for a lane. A slow sender of a large object holds one, and must not stop the others. */
const MAX_LANES = 256;
const BLOB_PREFIX = 'journal/';

/** Where the index says an object lies: `journal/<segment>`. Segment names are ours alone. */
export const blobOf = (segment: string): string => BLOB_PREFIX + segment;

export function segmentOf(blob: string): string | undefined {
  const name = blob.startsWith(BLOB_PREFIX) ? blob.slice(BLOB_PREFIX.length) : '';
  return /^[a-z0-9-]{1,64}$/.test(name) ? name : undefined;
}

export interface Lane {
  readonly segment: string;
  readonly fd: number;
  /** End of the last whole record. */
  position: number;
  /** Starts of records that are durable but not yet in the index. */
  readonly pending: Set<number>;
  /** What the index says is indexed; nothing before it may be written again. */
  persistedTo: number;
  /** In the pool of lanes that may be borrowed. */
  idle: boolean;
}

export interface Checkpoint {
  readonly segment: string;
  /** Every record before this offset is in the index. */
  readonly indexedTo: number;
  /** No further record will be written. */
  readonly sealed: boolean;
}

export class Journal {
  readonly folder: string;
  readonly #log: Log;
  readonly #segmentBytes: number;
  readonly #lanes = new Map<string, Lane>();
  readonly #idle: Lane[] = [];
  readonly #waiting: ((lane: Lane) => void)[] = [];
  readonly #sealed: Lane[] = [];
  #opening = 0;
  #failed: Fault | undefined;
  #fail!: (fault: Fault) => void;
  /** Resolves when the disk failed: nothing can be promised any more, the process has to end (never retry an fsync). */
  readonly failed = new Promise<Fault>((settle) => (this.#fail = settle));

  private constructor(folder: string, log: Log, segmentBytes: number) {
    this.folder = folder;
    this.#log = log;
    this.#segmentBytes = segmentBytes;
  }

  static async open(dataDir: string, log: Log, segmentBytes = SEGMENT_BYTES): Promise<Journal> {
    const folder = join(dataDir, 'journal');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await syncFolder(dataDir);
    return new Journal(folder, log, segmentBytes);
  }

  path(segment: string): string {
    return join(this.folder, `${segment}.lbj`);
  }

  /** Segment files on this disk, oldest first. */
  async segments(): Promise<{ segment: string; bytes: number }[]> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith('.lbj')).sort();
    const found = names.map(async (name) => ({
      segment: name.slice(0, -4),
      bytes: (await stat(join(this.folder, name))).size,
    }));
    return Promise.all(found);
  }

  /**
   * Takes up a segment of an earlier run, whose whole records end at `position`; what follows is cut off.
   *
   * @returns false when it is full: nothing will be written to it any more.
   */
  async resume(segment: string, position: number): Promise<boolean> {
    const fd = await openFile(this.path(segment), 'r+');
    ftruncateSync(fd, position);
    if (position >= this.#segmentBytes || this.#lanes.size >= MAX_LANES) {
      await closeFile(fd);
      return false;
    }
    const lane = { segment, fd, position, pending: new Set<number>(), persistedTo: position, idle: true };
    this.#lanes.set(segment, lane);
    this.#idle.push(lane);
    return true;
  }

  /** Where the next record of a segment would begin, while it takes any. */
  openTo(segment: string): number | undefined {
    return (this.#lanes.get(segment) ?? this.#sealed.find((lane) => lane.segment === segment))?.position;
  }

  /**
   * No further record goes to this segment: the next checkpoint says so. For a segment of which little is still needed.
   *
   * @returns false while a record is written to it, or is not in the index yet.
   */
  retire(segment: string): boolean {
    const lane = this.#lanes.get(segment);
    if (!lane?.idle || lane.pending.size > 0) return false;
    this.#idle.splice(this.#idle.indexOf(lane), 1);
    this.#lanes.delete(segment);
    lane.idle = false;
    this.#sealed.push(lane);
    return true;
  }

  /** Deletes a segment nobody needs any more. Who reads it goes on reading. */
  async remove(segment: string): Promise<void> {
    if (this.openTo(segment) !== undefined) throw new Fault('INTERNAL', { what: 'the segment is in use' });
    await rm(this.path(segment), { force: true });
    await syncFolder(this.folder);
  }

  /** Borrows a lane; give it back with `release`. @throws Fault ARCHIVE_DISK. */
  async borrow(): Promise<Lane> {
    if (this.#failed) throw this.#failed;
    const idle = this.#idle.pop();
    if (idle) {
      idle.idle = false;
      return idle;
    }
    if (this.#lanes.size + this.#opening < MAX_LANES) return this.#create();
    return new Promise((settle) => this.#waiting.push(settle));
  }

  release(lane: Lane): void {
    if (lane.position >= this.#segmentBytes) {
      this.#lanes.delete(lane.segment);
      this.#sealed.push(lane);
      this.#feedWaiting();
      return;
    }
    const next = this.#waiting.shift();
    if (next) return next(lane);
    lane.idle = true;
    this.#idle.push(lane);
  }

  /** One who waits gets a new lane in place of the full one. */
  #feedWaiting(): void {
    const next = this.#waiting.shift();
    if (!next) return;
    this.#create().then(next, (error: unknown) => {
      this.fail(error);
    });
  }

  async #create(): Promise<Lane> {
    this.#opening += 1;
    try {
      const segment = `${Date.now().toString(36)}-${randomBytes(6).toString('hex')}`;
      const fd = await openFile(this.path(segment), 'wx+', 0o600);
      await writeAll(fd, [encodeSegmentHeader()], 0);
      await syncData(fd);
      await syncFolder(this.folder);
      const position = SEGMENT_HEADER_BYTES;
      const lane = { segment, fd, position, pending: new Set<number>(), persistedTo: 0, idle: false };
      this.#lanes.set(segment, lane);
      return lane;
    } catch (error) {
      throw this.fail(error);
    } finally {
      this.#opening -= 1;
    }
  }

  /** After a failed write or fsync nothing is promised any more. @returns the fault to answer with. */
  fail(error: unknown): Fault {
    if (!this.#failed) {
      this.#failed = new Fault('ARCHIVE_DISK', {}, { cause: error });
      this.#log.fatal({ err: error }, 'the disk failed; stopping');
      this.#fail(this.#failed);
    }
    return this.#failed;
  }

  /**
   * Gives back the bytes of the last record of a lane, when nothing was written after it and the index does not count on
   * them. @returns false when the record has to stay.
   */
  retract(lane: Lane, start: number, end: number): boolean {
    if (!lane.idle || lane.position !== end || start < lane.persistedTo) return false;
    ftruncateSync(lane.fd, start);
    lane.position = start;
    return true;
  }

  /**
   * How far each segment is indexed. What it returns has to be written durably; from then on a restart reads only what
   * follows.
   */
  checkpoint(): Checkpoint[] {
    const changed: Checkpoint[] = [];
    for (const lane of [...this.#lanes.values(), ...this.#sealed]) {
      const indexedTo = Math.min(lane.position, ...lane.pending);
      const sealed = this.#sealed.includes(lane) && lane.pending.size === 0;
      if (indexedTo <= lane.persistedTo && !sealed) continue;
      lane.persistedTo = Math.max(indexedTo, lane.persistedTo);
      changed.push({ segment: lane.segment, indexedTo, sealed });
    }
    return changed;
  }

  /** Closes the files of segments whose sealing is durable now. */
  async closeSealed(checkpoints: readonly Checkpoint[]): Promise<void> {
    for (const { segment, sealed } of checkpoints) {
      if (!sealed) continue;
      const at = this.#sealed.findIndex((lane) => lane.segment === segment);
      const [lane] = at < 0 ? [] : this.#sealed.splice(at, 1);
      if (lane) await closeFile(lane.fd);
    }
  }

  async close(): Promise<void> {
    const lanes = [...this.#lanes.values(), ...this.#sealed.splice(0)];
    this.#lanes.clear();
    this.#idle.length = 0;
    for (const lane of lanes) await closeFile(lane.fd);
  }
}
