/**
 * Takes away what is not needed any more: segments whose every record lies elsewhere, packs that another one replaces, and what
 * a process that died had begun.
 *
 * Nothing goes because the index does not mention it: the index may be new, or from a backup. A segment goes when each of its
 * records is written down as superfluous, by the transaction that made it so; a pack when each of its objects is found, with the
 * same SHA-256, in another place. What cannot be proven stays.
 * Layer:  server/archive.
 */
import type { Database } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import type { BlobReader } from '../blobs.ts';
import { blobOf, type Journal } from '../journal/journal.ts';
import { HEADER_BYTES } from '../journal/record.ts';
import { listRecords } from '../journal/scan.ts';
import { spentOf } from '../journal/spent.ts';
import type { IngestSource } from '../types.ts';
import { type ManifestObject, readManifest } from './manifest.ts';
import type { SealPolicy } from './seal.ts';
import { packBlob, type PackStore } from './store.ts';
import { dropPack, type PackItem, type PackWriter } from './write.ts';

export interface ReleaseParts {
  readonly database: Database;
  readonly journal: Journal;
  readonly blobs: BlobReader;
  readonly store: PackStore;
  readonly writer: PackWriter;
  readonly log: Log;
  readonly policy: Pick<SealPolicy, 'graceMs' | 'retireBytes'>;
}

export class Releaser {
  readonly #parts: ReleaseParts;
  /** Records spent of each segment when it was last looked at and had to stay. */
  readonly #looked = new Map<string, number>();

  constructor(parts: ReleaseParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#finishReleases();
    await this.#releaseSegments(signal);
    await this.#collectPacks();
  }

  /** Begun by a process that died: the row says that the file may go. */
  async #finishReleases(): Promise<void> {
    const { rows } = await this.#parts.database.pool.query<{ segment: string }>(
      'SELECT segment FROM journal_segment WHERE released',
    );
    for (const { segment } of rows) await this.#delete(segment);
  }

  async #releaseSegments(signal: AbortSignal): Promise<void> {
    const { database, journal } = this.#parts;
    const here = new Map((await journal.segments()).map((one) => [one.segment, one.bytes]));
    const { rows } = await database.pool.query<{ segment: string; spent: string; quiet: boolean }>(
      `SELECT segment, count(*) AS spent, max(spent_at) < now() - make_interval(secs => $1) AS quiet
       FROM journal_spent GROUP BY segment`,
      [this.#parts.policy.graceMs / 1000],
    );
    for (const { segment, spent, quiet } of rows) {
      if (signal.aborted) return;
      const bytes = here.get(segment);
      if (bytes === undefined || this.#looked.get(segment) === Number(spent)) continue;
      const done = await this.#look(segment, bytes, quiet, signal);
      if (done) this.#looked.delete(segment);
      else if (done === false) this.#looked.set(segment, Number(spent));
    }
  }

  /** @returns true: gone. false: it stays until more of it is spent. undefined: to be looked at again. */
  async #look(
    segment: string,
    bytes: number,
    quiet: boolean,
    signal: AbortSignal,
  ): Promise<boolean | undefined> {
    const { journal, database } = this.#parts;
    const open = journal.openTo(segment);
    const { records, whole } = await listRecords(journal.path(segment), open);
    const spent = await spentOf(database.pool, segment);
    const left = records.filter((one) => one.kind !== 'void' && !spent.has(one.start));
    const aside = left.length ? await this.#asideIn(segment) : [];
    const places = new Set(aside.map((item) => item.place.offset - HEADER_BYTES));
    const onlyAside = left.every((one) => places.has(one.start));
    if (!onlyAside) return false;
    if (open !== undefined) {
      const superfluous = bytes - left.reduce((sum, one) => sum + one.end - one.start, 0);
      if (superfluous >= this.#parts.policy.retireBytes) journal.retire(segment);
      return undefined;
    }
    // Behind the last whole record lies something that was never acknowledged, or is damaged: not ours to judge.
    if (!whole) return false;
    if (!(await this.#isSealed(segment, bytes))) return undefined;
    if (left.length) {
      const wanted = new Set(left.map((one) => one.start));
      const items = aside.filter((item) => wanted.has(item.place.offset - HEADER_BYTES));
      await this.#parts.writer.write({ kind: 'aside', items, replaces: [] }, signal);
      return undefined;
    }
    if (!quiet) return undefined;
    await database.pool.query('UPDATE journal_segment SET released = true WHERE segment = $1', [segment]);
    await this.#delete(segment);
    this.#parts.log.info({ segment, bytes }, 'a segment of the journal is released: all of it lies in packs');
    return true;
  }

  /** The checkpoint says that no record will follow, and that the index knew all of them. */
  async #isSealed(segment: string, bytes: number): Promise<boolean> {
    const { rowCount } = await this.#parts.database.pool.query(
      'SELECT 1 FROM journal_segment WHERE segment = $1 AND sealed AND indexed_to = $2',
      [segment, bytes],
    );
    return rowCount === 1;
  }

  async #delete(segment: string): Promise<void> {
    const { journal, blobs, database } = this.#parts;
    await blobs.forget(blobOf(segment));
    await journal.remove(segment);
    await database.pool.query(
      `WITH spent AS (DELETE FROM journal_spent WHERE segment = $1)
       DELETE FROM journal_segment WHERE segment = $1 AND released`,
      [segment],
    );
  }

  /** Conflicts and quarantined bytes of a segment. */
  async #asideIn(segment: string): Promise<PackItem[]> {
    const { rows } = await this.#parts.database.pool.query<AsideRow>(
      `SELECT 'instance_conflict' AS table, id, sop_uid, blob, blob_offset, blob_length, encode(sha256, 'hex') AS sha256,
         source, received_at, NULL AS fault FROM instance_conflict WHERE blob = $1
       UNION ALL
       SELECT 'quarantine', id, NULL, blob, blob_offset, blob_length, encode(sha256, 'hex'), source, received_at, fault
       FROM quarantine WHERE blob = $1 ORDER BY blob_offset`,
      [blobOf(segment)],
    );
    return rows.map((row) => ({
      ...{ table: row.table, id: row.id, sha256: row.sha256 },
      place: { blob: row.blob, offset: Number(row.blob_offset), length: Number(row.blob_length) },
      object: {
        kind: row.table === 'quarantine' ? 'quarantine' : 'conflict',
        ...{ sopUid: row.sop_uid ?? undefined, fault: row.fault ?? undefined },
        ...{ receivedAt: row.received_at.toISOString(), source: row.source },
      },
    }));
  }

  async #collectPacks(): Promise<void> {
    const { database, store, writer, policy, log } = this.#parts;
    const { rows } = await database.pool.query<{ name: string; state: string }>(
      `SELECT name, state FROM pack WHERE state <> 'kept' AND state_at < now() - make_interval(secs => $1)`,
      [policy.graceMs / 1000],
    );
    for (const { name, state } of rows) {
      if (writer.inFlight.has(name)) continue;
      if (state === 'replaced' && !(await this.#replace(name))) continue;
      if (await dropPack({ database, store }, name)) log.info({ pack: name, state }, 'a pack is taken away');
    }
    const drafts = await store.sweep(policy.graceMs, writer.inFlight);
    if (drafts) log.info({ drafts }, 'unfinished packs are taken away');
  }

  /** @returns whether the pack may go: each of its objects lies somewhere else. */
  async #replace(name: string): Promise<boolean> {
    const { database, store, blobs, log } = this.#parts;
    try {
      const zip = await store.open(name, 'pack.zip');
      try {
        const needed = await this.#needed(name, (await readManifest(zip)).manifest.objects);
        if (needed > 0) {
          log.error({ pack: name, objects: needed }, 'a replaced pack is still needed; it stays');
          return false;
        }
      } finally {
        await zip.close();
      }
    } catch (error) {
      // Gone already: a process died between its two last steps.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        log.error({ err: error, pack: name }, 'a replaced pack cannot be read; it stays');
        return false;
      }
    }
    await blobs.forget(packBlob(name));
    await database.pool.query(`UPDATE pack SET state = 'dropped' WHERE name = $1 AND state = 'replaced'`, [
      name,
    ]);
    return true;
  }

  async #needed(name: string, objects: readonly ManifestObject[]): Promise<number> {
    let needed = 0;
    for (const [table, kind, key] of KEYS) {
      const some = objects.filter((one) => one.kind === kind);
      if (some.length === 0) continue;
      const { rows } = await this.#parts.database.pool.query<{ elsewhere: string }>(
        `SELECT count(*) AS elsewhere FROM unnest($1::text[], $2::text[]) AS t (sop_uid, sha256)
         WHERE EXISTS (SELECT 1 FROM ${table} AS i WHERE ${key} i.sha256 = decode(t.sha256, 'hex') AND i.blob <> $3)`,
        [some.map((one) => one.sopUid ?? null), some.map((one) => one.sha256), packBlob(name)],
      );
      needed += some.length - Number(rows[0]?.elsewhere ?? 0);
    }
    return needed;
  }
}

const KEYS = [
  ['instance', 'object', 'i.sop_uid = t.sop_uid AND'],
  ['instance_conflict', 'conflict', 'i.sop_uid = t.sop_uid AND'],
  ['quarantine', 'quarantine', ''],
] as const;

interface AsideRow {
  readonly table: 'instance_conflict' | 'quarantine';
  readonly id: string;
  readonly sop_uid: string | null;
  readonly blob: string;
  readonly blob_offset: string;
  readonly blob_length: string;
  readonly sha256: string;
  readonly source: IngestSource;
  readonly received_at: Date;
  readonly fault: string | null;
}
