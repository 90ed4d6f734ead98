/**
 * Reads kept objects again and compares them with what was promised: the only ground a commitment is given on.
 *
 * One object at a time on each node, and no faster than the disk can spare, however many are asked for.
 * Source: PS3.3 §C.14.1.1 (failure reasons).
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { CommitmentItem } from '@lightbox/core/translate/commitment.ts';
import type { Database } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import { Outgoing } from '../../platform/outgoing.ts';
import { Pace } from '../pace.ts';
import type { InstanceRef, Retrieve } from '../types.ts';

/** Looked up in the index at once. */
export const CHUNK = 1000;
/** Half of what a common disk reads, so that readers and senders keep the other half. */
const BYTES_PER_SECOND = 150 * 1024 * 1024;
/** A modality asks for the study it has just sent, and its console for the same again. */
const REMEMBERED_MS = 10 * 60 * 1000;
const REMEMBERED = 100_000;

export interface RecheckParts {
  readonly database: Database;
  readonly retrieve: Pick<Retrieve, 'select' | 'open'>;
  readonly log: Log;
}

export class Recheck {
  readonly #parts: RecheckParts;
  /** When the bytes at a place were last found to be right. */
  readonly #good = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();
  readonly #pace = new Pace(() => BYTES_PER_SECOND);

  constructor(parts: RecheckParts) {
    this.#parts = parts;
  }

  /**
   * The reason of each object, 0 where it is kept, and the studies they are in.
   *
   * @param by     Who asks. An object of theirs that was set aside as a conflict is not the one that is kept under its name.
   * @param alive  Called between objects; throws to end the work.
   */
  async check(
    items: readonly CommitmentItem[],
    by: string,
    alive: () => Promise<void>,
  ): Promise<{ readonly reasons: number[]; readonly studyUids: ReadonlySet<string> }> {
    const reasons: number[] = [];
    const studyUids = new Set<string>();
    for (let at = 0; at < items.length; at += CHUNK) {
      const chunk = items.slice(at, at + CHUNK);
      const sopUids = [...new Set(chunk.map(({ sopUid }) => sopUid))];
      const found = await this.#parts.retrieve.select({ level: 'instance', sopUids }, CHUNK);
      const refs = new Map(found.map((ref) => [ref.sopUid, ref]));
      for (const { studyUid } of found) studyUids.add(studyUid);
      const aside = await this.#aside(sopUids, by);
      for (const item of chunk) {
        await alive();
        reasons.push(await this.#reason(item, refs.get(item.sopUid), aside.has(item.sopUid)));
      }
    }
    return { reasons, studyUids };
  }

  async #aside(sopUids: readonly string[], by: string): Promise<Set<string>> {
    const { rows } = await this.#parts.database.pool.query<{ sop_uid: string }>(
      `SELECT DISTINCT sop_uid FROM instance_conflict WHERE sop_uid = ANY($1) AND source->>'by' = $2`,
      [sopUids, by],
    );
    return new Set(rows.map((row) => row.sop_uid));
  }

  async #reason(item: CommitmentItem, ref: InstanceRef | undefined, aside: boolean): Promise<number> {
    const elsewhere =
      (item.studyUid !== undefined && item.studyUid !== ref?.studyUid) ||
      (item.seriesUid !== undefined && item.seriesUid !== ref?.seriesUid);
    if (!ref || elsewhere) return STATUS.noSuchInstance;
    if (ref.sopClassUid !== item.sopClassUid) return STATUS.classConflict;
    if (aside) return STATUS.processingFailure;
    return (await this.#isGood(ref)) ? STATUS.success : STATUS.processingFailure;
  }

  #isGood(ref: InstanceRef): Promise<boolean> {
    const place = `${ref.blob}:${ref.offset}:${ref.sha256}`;
    const at = this.#good.get(place);
    if (at !== undefined && performance.now() - at < REMEMBERED_MS) return Promise.resolve(true);
    const read = this.#turn.then(() => this.#read(ref));
    this.#turn = read.catch(() => undefined);
    return read.then((good) => {
      this.#good.delete(place);
      if (good) this.#good.set(place, performance.now());
      const [oldest] = this.#good.keys();
      if (this.#good.size > REMEMBERED && oldest !== undefined) this.#good.delete(oldest);
      return good;
    });
  }

  async #read(ref: InstanceRef): Promise<boolean> {
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      const stream = this.#parts.retrieve.open(ref);
      for await (const piece of stream instanceof Outgoing ? stream.pieces() : stream) {
        const part = piece as Uint8Array;
        hash.update(part);
        bytes += part.length;
        await this.#pace.spend(part.length);
      }
    } catch (error) {
      // Whatever it is: what cannot be read is not promised, and its sender keeps it.
      this.#parts.log.error({ err: error, blob: ref.blob, offset: ref.offset }, 'an object cannot be read');
      return false;
    }
    if (bytes === ref.length && hash.digest('hex') === ref.sha256) return true;
    this.#parts.log.error({ blob: ref.blob, offset: ref.offset }, 'an object is damaged');
    return false;
  }
}
