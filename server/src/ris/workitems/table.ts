/**
 * The rows of workitems and of their watchers, and the one transaction in which both change.
 *
 * Layer:  server/ris.
 */
import type pg from 'pg';
import { parseDateTime } from '@lightbox/core/dicom/date-time.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import type { MatchKey } from '@lightbox/core/dicom/matching.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { workitemText } from '@lightbox/core/workflow/workitem-checks.ts';
import type { WorkitemEvent } from '@lightbox/core/workflow/workitem-events.ts';
import { isFinal, type WorkitemState } from '@lightbox/core/workflow/workitem-states.ts';
import type { Database } from '../../platform/database.ts';
import type { Receiver, StoredEvent } from './types.ts';

export interface WorkitemRow {
  readonly uid: string;
  readonly state: WorkitemState;
  readonly transactionUid: string | undefined;
  readonly attributes: DicomJson;
  readonly removed: boolean;
}

export interface GlobalSubscription extends Receiver {
  readonly lock: boolean;
  readonly filter: readonly MatchKey[] | undefined;
}

/** Taken shared by who makes a workitem, alone by who subscribes to all: so that neither misses the other. */
const SUBSCRIBE_LOCK = 0x4c425753;

/** Statements of one transaction. */
export class Transaction {
  readonly #client: pg.PoolClient;

  constructor(client: pg.PoolClient) {
    this.#client = client;
  }

  async #rows<T extends object>(text: string, values: unknown[]): Promise<T[]> {
    return (await this.#client.query<T>(text, values)).rows;
  }

  /** The row, held until the end of the transaction: who comes second waits, and finds what the first has done. */
  async hold(uid: string): Promise<WorkitemRow | undefined> {
    const [row] = await this.#rows<Columns>(`SELECT ${COLUMNS} FROM workitem WHERE uid = $1 FOR UPDATE`, [
      uid,
    ]);
    return row && rowOf(row);
  }

  async lockSubscriptions(alone: boolean): Promise<void> {
    await this.#rows(`SELECT pg_advisory_xact_lock${alone ? '' : '_shared'}($1)`, [SUBSCRIBE_LOCK]);
  }

  /** @returns false when there is one of this name. */
  async insert(uid: string, attributes: DicomJson): Promise<boolean> {
    const { from, to } = startOf(attributes);
    const rows = await this.#rows(
      `INSERT INTO workitem (uid, state, attributes, start_from, start_to) VALUES ($1, 'SCHEDULED', $2, $3, $4)
       ON CONFLICT DO NOTHING RETURNING uid`,
      [uid, JSON.stringify(attributes), from, to],
    );
    return rows.length === 1;
  }

  async update({ uid, state, transactionUid, attributes }: Omit<WorkitemRow, 'removed'>): Promise<void> {
    const { from, to } = startOf(attributes);
    await this.#rows(
      `UPDATE workitem SET state = $2, transaction_uid = $3, attributes = $4, start_from = $5, start_to = $6,
         finished_at = CASE WHEN $7 THEN now() END WHERE uid = $1`,
      [uid, state, transactionUid ?? null, JSON.stringify(attributes), from, to, isFinal(state)],
    );
  }

  async globals(): Promise<GlobalSubscription[]> {
    const rows = await this.#rows<GlobalColumns>('SELECT * FROM workitem_global_subscription', []);
    return rows.map(({ ae, via, local_ae, lock, filter }) => ({
      ...{ ae, via, localAe: local_ae, lock, filter: filter ?? undefined },
    }));
  }

  async setGlobal({ ae, via, localAe, lock, filter }: GlobalSubscription): Promise<void> {
    await this.#rows(
      `INSERT INTO workitem_global_subscription (ae, via, local_ae, lock, filter) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (ae) DO UPDATE SET via = excluded.via, local_ae = excluded.local_ae, lock = excluded.lock,
         filter = excluded.filter`,
      [ae, via, localAe, lock, filter ? JSON.stringify(filter) : null],
    );
  }

  /** @param alsoOfEach  Every single subscription of it too. */
  async dropGlobal(ae: string, alsoOfEach: boolean): Promise<void> {
    await this.#rows('DELETE FROM workitem_global_subscription WHERE ae = $1', [ae]);
    if (alsoOfEach) await this.#rows('DELETE FROM workitem_subscription WHERE ae = $1', [ae]);
  }

  /**
   * @param anew  Puts this in the place of one that is there; else those stay.
   * @returns the workitems that were not subscribed to before.
   */
  async subscribe(
    uids: readonly string[],
    { ae, via, localAe }: Receiver,
    lock: boolean,
    anew: boolean,
  ): Promise<void> {
    await this.#rows(
      `INSERT INTO workitem_subscription (uid, ae, via, local_ae, lock)
       SELECT uid, $2, $3, $4, $5 FROM unnest($1::text[]) AS uid
       ON CONFLICT (uid, ae) DO ${
         anew
           ? 'UPDATE SET via = excluded.via, local_ae = excluded.local_ae, lock = excluded.lock'
           : 'NOTHING'
       }`,
      [uids, ae, via, localAe, lock],
    );
  }

  async unsubscribe(uid: string, ae: string): Promise<void> {
    await this.#rows('DELETE FROM workitem_subscription WHERE uid = $1 AND ae = $2', [uid, ae]);
  }

  async watchers(uid: string): Promise<Receiver[]> {
    const rows = await this.#rows<{ ae: string; via: Receiver['via']; local_ae: string }>(
      'SELECT ae, via, local_ae FROM workitem_subscription WHERE uid = $1 ORDER BY ae',
      [uid],
    );
    return rows.map(({ ae, via, local_ae }) => ({ ae, via, localAe: local_ae }));
  }

  /** Those that subscribed to all from a device. */
  async pageOfAll(after: string, limit: number): Promise<WorkitemRow[]> {
    const rows = await this.#rows<Columns>(
      `SELECT ${COLUMNS} FROM workitem WHERE uid > $1 AND removed_at IS NULL ORDER BY uid LIMIT $2`,
      [after, limit],
    );
    return rows.map(rowOf);
  }

  /** Writes events down, and who of the devices has to be told. @returns their ids, in order. */
  async report(happened: readonly WorkitemEvent[], receivers: readonly Receiver[]): Promise<string[]> {
    if (happened.length === 0 || receivers.length === 0) return [];
    const ids: string[] = [];
    // One by one: the order of ids is the order in which they are told.
    for (const { sopUid, type, information } of happened) {
      const [row] = await this.#rows<{ id: string }>(
        'INSERT INTO workitem_event (uid, type, information) VALUES ($1, $2, $3) RETURNING id',
        [sopUid, type, JSON.stringify(information)],
      );
      if (row) ids.push(row.id);
    }
    const devices = receivers.filter(({ via }) => via === 'dimse');
    if (devices.length === 0) return ids;
    const aes = devices.map(({ ae }) => ae);
    await this.#rows(
      `INSERT INTO workitem_receiver (ae, local_ae) SELECT * FROM unnest($1::text[], $2::text[])
       ON CONFLICT (ae) DO UPDATE SET local_ae = excluded.local_ae`,
      [aes, devices.map(({ localAe }) => localAe)],
    );
    await this.#rows(
      `INSERT INTO workitem_delivery (ae, event_id)
       SELECT ae, id FROM unnest($1::text[]) AS ae CROSS JOIN unnest($2::bigint[]) AS id`,
      [aes, ids],
    );
    return ids;
  }
}

interface Columns {
  readonly uid: string;
  readonly state: WorkitemState;
  readonly transaction_uid: string | null;
  readonly attributes: DicomJson;
  readonly removed: boolean;
}
interface GlobalColumns {
  readonly ae: string;
  readonly via: Receiver['via'];
  readonly local_ae: string;
  readonly lock: boolean;
  readonly filter: MatchKey[] | null;
}
const COLUMNS = 'uid, state, transaction_uid, attributes, removed_at IS NOT NULL AS removed';

const rowOf = ({ uid, state, transaction_uid, attributes, removed }: Columns): WorkitemRow => ({
  ...{ uid, state, transactionUid: transaction_uid ?? undefined, attributes, removed },
});

/** When it is to start, for ordering and ranges; unknown comes first. */
function startOf(attributes: DicomJson): { from: string; to: string } {
  const text = workitemText(attributes, Tags.ScheduledProcedureStepStartDateTime);
  return (text === undefined ? undefined : parseDateTime(text)) ?? { from: '', to: '' };
}

export class WorkitemTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** All of it or nothing. */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#database.pool.connect();
    try {
      await client.query('BEGIN');
      const result = await work(new Transaction(client));
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }

  async byUid(uid: string): Promise<WorkitemRow | undefined> {
    const { rows } = await this.#database.pool.query<Columns>(
      `SELECT ${COLUMNS} FROM workitem WHERE uid = $1`,
      [uid],
    );
    return rows[0] && rowOf(rows[0]);
  }

  async events(ids: readonly string[]): Promise<StoredEvent[]> {
    const { rows } = await this.#database.pool.query<EventColumns>(
      'SELECT id, uid, type, information FROM workitem_event WHERE id = ANY($1::bigint[]) ORDER BY id',
      [ids],
    );
    return rows.map(eventOf);
  }

  /**
   * Forgets what ended so long ago and nobody holds a deletion lock on (PS3.4 §CC.2.1.3), and after as long again that it was
   * there; and events that need not be told any more.
   */
  async prune(days: number, eventDays: number): Promise<void> {
    await this.#database.pool.query(
      `UPDATE workitem SET removed_at = now(), attributes = '{}', transaction_uid = NULL
       WHERE finished_at < now() - make_interval(days => $1) AND removed_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM workitem_subscription s WHERE s.uid = workitem.uid AND s.lock)`,
      [days],
    );
    await this.#database.pool.query(
      'DELETE FROM workitem WHERE removed_at < now() - make_interval(days => $1)',
      [days],
    );
    await this.#database.pool.query(
      `DELETE FROM workitem_event WHERE at < now() - make_interval(days => $1)
         AND NOT EXISTS (SELECT 1 FROM workitem_delivery d WHERE d.event_id = id)`,
      [eventDays],
    );
  }
}

export interface EventColumns {
  readonly id: string;
  readonly uid: string;
  readonly type: number;
  readonly information: DicomJson;
}
export const eventOf = ({ id, uid, type, information }: EventColumns): StoredEvent => ({
  ...{ id, sopUid: uid, type, information },
});
