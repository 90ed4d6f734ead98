/**
 * Puts objects into the index: everything that waits goes into one transaction, the next one gathers meanwhile. Under load
 * transactions grow, when it is quiet an object waits for nobody.
 *
 * Layer:  server/archive.
 */
import pg from 'pg';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isConnectionLoss } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import type { Checkpoint } from '../journal/journal.ts';
import { Fence } from '../overlays/fence.ts';
import { isUnreachable } from '../unsettled.ts';
import {
  type Corrector,
  FenceClosed,
  type Inserted,
  insertObjects,
  type NewObject,
  type PresentObject,
  warningsOf,
} from './insert.ts';
import { Resolver, sweep } from './resolve.ts';

export type { NewObject } from './insert.ts';

/** added: findable now. present: an object with this SOP Instance UID was there before; `object` says which. */
export type AddOutcome =
  | { readonly added: true; readonly warnings: readonly string[] }
  | { readonly added: false; readonly present: PresentObject };

interface Waiting {
  readonly object: NewObject;
  readonly settle: (outcome: AddOutcome) => void;
  readonly fail: (error: unknown) => void;
}

/** One transaction takes at most so many objects: the others of a burst need not wait for the slowest. */
const LARGEST_BATCH = 256;
const RETRIES = 5;
/** A database that restarts after a crash is back within seconds, and a sender waits longer than this for its answer. */
const UNREACHABLE_MS = 10_000;
const RECONNECT_MS = 250;
/** A checkpoint comes every second; while the journal is read again there is none. Some kilobytes each. */
const MOST_RECENT = 4096;
/** A batch takes milliseconds. A server that does not answer for so long hangs, and may still commit. */
const QUERY_MS = 30_000;
/**
 * The journal is the write-ahead log. Statements are prepared once, maybe while the tables are empty, and the plan has to be right when
 * they are not: rows are found by index, however few there seem to be.
 */
const SESSION =
  '-c synchronous_commit=off -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off' +
  ' -c enable_mergejoin=off -c jit=off';
/** Deadlock, serialization failure, and a row that another node took away between two of our statements. */
const RETRY_CODES: ReadonlySet<string> = new Set(['40P01', '40001', '23503']);

export interface BatcherEvents {
  /** Objects of a study became findable. */
  readonly changed: (studyUid: string, instances: number) => void;
}

export class Batcher {
  readonly #url: string;
  readonly #log: Log;
  readonly #events: BatcherEvents;
  readonly #resolver = new Resolver();
  readonly #fence = new Fence();
  readonly #correct: Corrector;
  #client: Promise<pg.Client> | undefined;
  #waiting: Waiting[] = [];
  /** Committed since the last checkpoint: a database that crashes may forget them (synchronous_commit is off). */
  #recent: NewObject[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(url: string, log: Log, events: BatcherEvents, correct: Corrector) {
    this.#correct = correct;
    this.#url = url;
    this.#log = log;
    this.#events = events;
  }

  /**
   * Resolves when the object is committed, and so visible to every search.
   *
   * @throws Fault DATABASE_UNREACHABLE: the database went away, and nobody knows whether the object is in the index. Any
   *         other error: it is not.
   */
  add(object: NewObject): Promise<AddOutcome> {
    return new Promise((settle, fail) => {
      this.#waiting.push({ object, settle, fail });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // What arrives within the same turn of the event loop comes along.
    await new Promise((settle) => setImmediate(settle));
    while (this.#waiting.length) await this.#commitOrFail(this.#takeBatch());
    this.#running = undefined;
  }

  /** An object the database refuses fails alone: its neighbours are tried again without it. */
  async #commitOrFail(batch: readonly Waiting[]): Promise<void> {
    try {
      await this.#commit(batch);
    } catch (error) {
      if (batch.length === 1 || isUnreachable(error)) for (const one of batch) one.fail(error);
      else for (const one of batch) await this.#commitOrFail([one]);
    }
  }

  /** Two objects of one name cannot be in one INSERT: the second waits for the next batch. */
  #takeBatch(): Waiting[] {
    const names = new Set<string>();
    const batch: Waiting[] = [];
    const later: Waiting[] = [];
    for (const one of this.#waiting) {
      const name = one.object.entry.instance.sopUid;
      if (batch.length < LARGEST_BATCH && !names.has(name)) {
        names.add(name);
        batch.push(one);
      } else later.push(one);
    }
    this.#waiting = later;
    return batch;
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    const began = performance.now();
    let lost = false;
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.#try(batch);
      } catch (error) {
        this.#forget();
        const lostNow = isConnectionLoss(error);
        lost ||= lostNow;
        if (lostNow) this.#disconnect();
        const soon = performance.now() - began < UNREACHABLE_MS;
        // Corrections of its study, one after the other, may take its rows away more often than a few times.
        const again = lostNow
          ? soon
          : (soon || tries < RETRIES) && RETRY_CODES.has((error as { code?: string }).code ?? '');
        if (this.#closed || !again) {
          // A statement that got no answer may have been committed.
          throw lost ? new Fault('DATABASE_UNREACHABLE', {}, { cause: error }) : error;
        }
        this.#log.warn({ err: error, tries }, 'index transaction is tried again');
        if (lostNow) await new Promise((settle) => setTimeout(settle, RECONNECT_MS));
      }
    }
  }

  async #insert(client: pg.Client, objects: readonly NewObject[]): Promise<Inserted> {
    try {
      const parts = { client, resolver: this.#resolver, fence: this.#fence, correct: this.#correct };
      return await insertObjects(parts, objects);
    } catch (error) {
      // Studies and patients that were made for what is wrong now.
      if (error instanceof FenceClosed)
        await sweep(client, [...new Set(objects.map(({ entry }) => entry.study.studyUid))]);
      throw error;
    }
  }

  async #try(batch: readonly Waiting[]): Promise<void> {
    const objects = batch.map((one) => one.object);
    const client = await this.#connected();
    if (this.#recent.length >= MOST_RECENT) await this.#flush(client);
    const { added, present, places } = await this.#insert(client, objects);
    const counts = new Map<string, number>();
    batch.forEach((one, at) => {
      const { entry } = one.object;
      const other = present.get(entry.instance.sopUid);
      // Present where it was to go: committed by a try whose answer was lost.
      if (added.has(entry.instance.sopUid) || (other && isAt(other, one.object))) {
        counts.set(entry.study.studyUid, (counts.get(entry.study.studyUid) ?? 0) + 1);
        this.#recent.push(one.object);
        one.settle({ added: true, warnings: warningsOf(entry, places[at]?.mismatch) });
      } else if (other) one.settle({ added: false, present: other });
      else one.fail(new Error('an object was taken away while another of its name came'));
    });
    for (const [studyUid, instances] of counts) this.#events.changed(studyUid, instances);
  }

  /** Keeps the journal's checkpoint. Durably, and with it every commit before it: WAL is written in order. */
  async saveCheckpoint(checkpoints: readonly Checkpoint[]): Promise<void> {
    if (checkpoints.length === 0) return;
    const client = await this.#connected();
    const durable = this.#recent.length;
    await client.query(
      `WITH durable AS (SELECT set_config('synchronous_commit', 'on', true))
       INSERT INTO journal_segment (segment, indexed_to, sealed)
       SELECT t.* FROM durable, unnest($1::text[], $2::bigint[], $3::boolean[]) AS t
       ON CONFLICT (segment) DO UPDATE SET indexed_to = excluded.indexed_to, sealed = excluded.sealed`,
      [
        checkpoints.map((one) => one.segment),
        checkpoints.map((one) => one.indexedTo),
        checkpoints.map((one) => one.sealed),
      ],
    );
    this.#recent.splice(0, durable);
  }

  /** WAL is written in order: with this message on the disk, every commit before it is. */
  async #flush(client: pg.Client): Promise<void> {
    const durable = this.#recent.length;
    await client.query(
      `SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'lightbox', '')`,
    );
    this.#recent.splice(0, durable);
  }

  #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    const lost = (): void => this.#lost(connecting);
    const connecting: Promise<pg.Client> = this.#connect(lost).catch((error: unknown) => {
      lost();
      throw error;
    });
    this.#client = connecting;
    return connecting;
  }

  /** An old connection may end late (a network that swallowed it): then a newer one is in its place, and stays. */
  #lost(connection: Promise<pg.Client>): void {
    if (this.#client === connection) this.#client = undefined;
  }

  /**
   * The database may lose its last moments in a crash, and a new connection may be to one that did: what it may have forgotten
   * is put in again before anything else. What it knows stays as it is.
   */
  async #connect(lost: () => void): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#url,
      options: SESSION,
      connectionTimeoutMillis: UNREACHABLE_MS,
      query_timeout: QUERY_MS,
    });
    client.on('error', (error) => {
      this.#log.warn({ err: error }, 'index connection lost');
      lost();
    });
    await client.connect();
    try {
      this.#forget();
      for (let at = 0; at < this.#recent.length; at += LARGEST_BATCH) {
        const { added } = await this.#insert(client, this.#recent.slice(at, at + LARGEST_BATCH));
        if (added.size)
          this.#log.warn({ objects: added.size }, 'the database had forgotten objects; indexed again');
      }
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    return client;
  }

  #forget(): void {
    this.#resolver.forget();
    this.#fence.forget();
  }

  #disconnect(): void {
    const old = this.#client;
    this.#client = undefined;
    // A server that hangs does not answer the farewell either.
    void old?.then((client) => client.end()).catch(() => undefined);
  }

  /** Waits for what was added. */
  async close(): Promise<void> {
    while (this.#running) await this.#running;
    this.#closed = true;
    await this.#client?.then((client) => client.end()).catch(() => undefined);
  }
}

const isAt = (present: PresentObject, { kept }: NewObject): boolean =>
  present.blob === kept.blob && present.offset === kept.offset;
