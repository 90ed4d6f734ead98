/**
 * Keeps new objects and corrections of one study apart. Every study has a place in one of a few buckets, each with a number
 * that a correction raises. An object is put into the index together with a look at that number, under a lock: had it
 * changed since the corrections were read, nothing is inserted, and they are read again.
 *
 * Number 0 means that no study of the bucket was ever corrected: such objects cost no query.
 * Layer:  server/archive.
 */
import type pg from 'pg';
import type { NewObject } from '../index/insert.ts';
import { readOverlays } from './history.ts';
import type { Overlay } from './steps.ts';

export const BUCKETS = 64;

/** FNV-1a; kept in the database by its result, so it must never change. */
export function bucketOf(studyUid: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < studyUid.length; at++) {
    hash = Math.imul(hash ^ studyUid.charCodeAt(at), 0x01000193);
  }
  return (hash >>> 0) % BUCKETS;
}

export interface Seen {
  /** Number of each bucket the objects are in, as it was before their corrections were read. */
  readonly epochs: ReadonlyMap<number, string>;
  readonly overlays: ReadonlyMap<string, readonly Overlay[]>;
}

/** Studies with corrections that a sender is busy with. */
const REMEMBERED = 1000;

/** What one connection knows of corrections. */
export class Fence {
  readonly #epochs = new Map<number, string>();
  readonly #overlays = new Map<string, readonly Overlay[]>();

  /** Nothing known is certain any more. */
  forget(): void {
    this.#epochs.clear();
    this.#overlays.clear();
  }

  async look(client: pg.ClientBase, objects: readonly NewObject[]): Promise<Seen> {
    if (this.#epochs.size === 0) {
      const { rows } = await client.query<{ bucket: number; epoch: string }>(
        'SELECT bucket, epoch FROM overlay_fence',
      );
      for (const { bucket, epoch } of rows) this.#epochs.set(bucket, epoch);
    }
    const uids = new Set(objects.map(({ entry }) => entry.study.studyUid));
    const epochs = new Map<number, string>();
    const unknown: string[] = [];
    for (const uid of uids) {
      const bucket = bucketOf(uid);
      const epoch = this.#epochs.get(bucket) ?? '0';
      epochs.set(bucket, epoch);
      if (epoch !== '0' && !this.#overlays.has(uid)) unknown.push(uid);
    }
    if (unknown.length) await this.#learn(client, unknown);
    const overlays = new Map<string, readonly Overlay[]>();
    for (const uid of uids) {
      const known = this.#overlays.get(uid);
      if (known?.length) overlays.set(uid, known);
    }
    return { epochs, overlays };
  }

  async #learn(client: pg.ClientBase, uids: readonly string[]): Promise<void> {
    if (this.#overlays.size > REMEMBERED) this.#overlays.clear();
    for (const uid of uids) this.#overlays.set(uid, []);
    for (const [uid, overlays] of await readOverlays(client, uids)) this.#overlays.set(uid, overlays);
  }
}
