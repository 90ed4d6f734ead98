/**
 * The table of transfers: asked for, claimed by one node, counted, finished. Every change of state is one statement here.
 *
 * A claim is a lease: who carries a transfer out renews it each time it writes progress. After a crash the lease runs out and
 * another attempt begins with what is left.
 * Layer:  server/archive.
 */
import { randomUUID } from 'node:crypto';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../../platform/database.ts';
import type { ObjectScope } from '../types.ts';
import type {
  FailedObject,
  FetchMethod,
  Transfer,
  TransferKind,
  TransferOrder,
  TransferQuery,
  TransferState,
} from './types.ts';

/** Longer than the longest pause between two writings of progress, however slow the database. */
const LEASE_SECONDS = 30;
/** Finished ones are shown so long. Failed ones stay until a person has put them away. */
const KEEP_DAYS = 30;

export interface LeftObject {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
}

/** What changed since the last writing. */
export interface Progress {
  readonly taken: readonly LeftObject[];
  readonly warnings: number;
  readonly refused: readonly (LeftObject & { readonly status: number | undefined; readonly fault: string })[];
  /** Of a fetch, as totals. */
  readonly counts?: { readonly total: number; readonly sent: number; readonly failed: number } | undefined;
}

export interface Trouble {
  readonly fault: Fault;
  readonly status: number | undefined;
}

export class TransferTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** @throws Fault NOT_FOUND when there is nothing to send. */
  async insert(order: TransferOrder): Promise<Transfer> {
    const client = await this.#database.pool.connect();
    try {
      await client.query('BEGIN');
      const id = order.id ?? randomUUID();
      const scopes = JSON.stringify(order.scopes);
      const { device, by, kind } = order;
      const inserted = await client.query(
        `INSERT INTO transfer (id, kind, device_id, ae_title, method, scopes, asked_kind, asked_id, asked_name, priority, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued')
         ON CONFLICT (id) DO NOTHING`,
        [
          ...[id, kind, device.id, device.aeTitle, order.method ?? 'auto', scopes],
          ...[by.kind, by.id, by.name, order.priority ?? 0],
        ],
      );
      if (!inserted.rowCount) {
        await client.query('ROLLBACK');
        return await this.get(id);
      }
      const { rowCount } = await client.query(kind === 'send' ? OBJECTS_HERE : SCOPES, [id, scopes]);
      if (!rowCount) throw new Fault('NOT_FOUND');
      const total = kind === 'send' ? rowCount : 0;
      const { rows } = await client.query<Row>('UPDATE transfer SET total = $2 WHERE id = $1 RETURNING *', [
        id,
        total,
      ]);
      await client.query('COMMIT');
      return transferOf(rows[0]);
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }

  /**
   * The next one of a device that is due, for us alone; undefined when there is none or `atOnce` are under way.
   *
   * @returns it and what proves that it is ours.
   */
  async claim(deviceId: string, atOnce: number): Promise<{ transfer: Transfer; claim: string } | undefined> {
    const client = await this.#database.pool.connect();
    try {
      const claim = randomUUID();
      await client.query('BEGIN');
      // One after the other for a device, or two nodes would both find a free place.
      await client.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`transfer ${deviceId}`]);
      const { rows } = await client.query<Row>(
        `UPDATE transfer SET state = 'running', claim = $2, lease_until = now() + make_interval(secs => $4),
           attempts = attempts + 1, started_at = coalesce(started_at, now())
         WHERE id = (SELECT id FROM transfer WHERE device_id = $1 AND ${DUE} ORDER BY priority, created_at LIMIT 1)
           AND (SELECT count(*) FROM transfer WHERE device_id = $1 AND state = 'running' AND lease_until >= now()) < $3
         RETURNING *`,
        [deviceId, claim, atOnce, LEASE_SECONDS],
      );
      await client.query('COMMIT');
      return rows[0] ? { transfer: transferOf(rows[0]), claim } : undefined;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }

  /** Devices with something to do that nobody is at. */
  async dueDevices(): Promise<string[]> {
    const { rows } = await this.#database.pool.query<{ device_id: string }>(
      `SELECT DISTINCT device_id FROM transfer WHERE state IN ('queued', 'running', 'waiting') AND ${DUE}`,
    );
    return rows.map((row) => row.device_id);
  }

  async left(id: string): Promise<LeftObject[]> {
    const { rows } = await this.#database.pool.query<{
      study_uid: string;
      series_uid: string;
      sop_uid: string;
    }>(
      `SELECT study_uid, series_uid, sop_uid FROM transfer_object WHERE transfer_id = $1 AND state = 'left'
       ORDER BY study_uid, series_uid, sop_uid`,
      [id],
    );
    return rows.map((row) => ({ studyUid: row.study_uid, seriesUid: row.series_uid, sopUid: row.sop_uid }));
  }

  /** Objects of the parts of a fetch that are complete. */
  async fetched(id: string): Promise<number> {
    const { rows } = await this.#database.pool.query<{ objects: string }>(
      `SELECT coalesce(sum(objects), 0) AS objects FROM transfer_object WHERE transfer_id = $1 AND state = 'taken'`,
      [id],
    );
    return Number(rows[0]?.objects);
  }

  /** A part of a fetch is complete. */
  async fetchedPart(id: string, part: LeftObject, objects: number): Promise<void> {
    await this.#database.pool.query(
      `UPDATE transfer_object SET state = 'taken', objects = $5
       WHERE transfer_id = $1 AND study_uid = $2 AND series_uid = $3 AND sop_uid = $4`,
      [id, part.studyUid, part.seriesUid, part.sopUid, objects],
    );
  }

  /** Writes down what happened and renews the lease. @returns false when it is no longer ours: cancelled, or taken over. */
  async progress(id: string, claim: string, progress: Progress): Promise<boolean> {
    const { taken, refused, warnings, counts } = progress;
    const { rowCount } = await this.#database.pool.query(
      // Counted by what is deleted, so that a statement whose answer was lost can be repeated.
      `WITH mine AS (SELECT id FROM transfer WHERE id = $1 AND claim = $2 AND state = 'running'),
       gone AS (
         DELETE FROM transfer_object o USING mine, unnest($4::text[], $5::text[], $6::text[]) AS t (study, series, sop)
         WHERE o.transfer_id = mine.id AND o.study_uid = t.study AND o.series_uid = t.series AND o.sop_uid = t.sop
         RETURNING 1),
       bad AS (
         UPDATE transfer_object o SET state = 'failed', status = t.status, fault = t.fault
         FROM mine, unnest($8::text[], $9::text[], $15::text[], $10::int[], $11::text[]) AS t (sop, study, series, status, fault)
         WHERE o.transfer_id = mine.id AND o.study_uid = t.study AND o.series_uid = t.series AND o.sop_uid = t.sop
           AND o.state = 'left' RETURNING 1)
       UPDATE transfer SET lease_until = now() + make_interval(secs => $3),
         total = coalesce($12, total), sent = coalesce($13, sent + (SELECT count(*) FROM gone)::int),
         failed = coalesce($14, failed + (SELECT count(*) FROM bad)::int), warning = warning + $7,
         attempts = CASE WHEN EXISTS (SELECT FROM gone) THEN 1 ELSE attempts END,
         dimse_status = coalesce(($10::int[])[cardinality($10::int[])], dimse_status)
       WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id`,
      [
        ...[id, claim, LEASE_SECONDS],
        ...[taken.map((one) => one.studyUid), taken.map((one) => one.seriesUid)],
        ...[taken.map((one) => one.sopUid), warnings],
        ...[refused.map((one) => one.sopUid), refused.map((one) => one.studyUid)],
        ...[refused.map((one) => one.status ?? null), refused.map((one) => one.fault)],
        ...[counts?.total ?? null, counts?.sent ?? null, counts?.failed ?? null],
        refused.map((one) => one.seriesUid),
      ],
    );
    return rowCount === 1;
  }

  /** The end of an attempt. @returns the transfer; undefined when it was no longer ours. */
  async finish(
    id: string,
    claim: string,
    end: {
      readonly state: TransferState;
      readonly trouble?: Trouble | undefined;
      readonly waitMs?: number | undefined;
      /** Left off because we stop: that was no attempt. */
      readonly interrupted?: boolean | undefined;
    },
  ): Promise<Transfer | undefined> {
    const { state, trouble, waitMs = 0, interrupted = false } = end;
    const over = state === 'done' || state === 'failed' || state === 'cancelled';
    const { rows } = await this.#database.pool.query<Row>(
      `UPDATE transfer SET state = $3, claim = NULL, lease_until = NULL, fault = $4, fault_facts = $5,
         dimse_status = CASE WHEN $3 = 'done' THEN NULL ELSE coalesce($6, dimse_status) END,
         next_at = now() + make_interval(secs => $7), finished_at = CASE WHEN $8 THEN now() END,
         attempts = attempts - CASE WHEN $9 THEN 1 ELSE 0 END
       WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING *`,
      [
        ...[id, claim, state, trouble?.fault.code ?? null, JSON.stringify(trouble?.fault.facts ?? {})],
        ...[trouble?.status ?? null, waitMs / 1000, over, interrupted],
      ],
    );
    return rows[0] && transferOf(rows[0]);
  }

  async refusedOf(id: string): Promise<number> {
    const { rows } = await this.#database.pool.query<{ count: string }>(
      `SELECT count(*) FROM transfer_object WHERE transfer_id = $1 AND state = 'failed'`,
      [id],
    );
    return Number(rows[0]?.count);
  }

  async failures(id: string, limit: number): Promise<FailedObject[]> {
    const { rows } = await this.#database.pool.query<{
      study_uid: string;
      series_uid: string;
      sop_uid: string;
      status: number | null;
      fault: string | null;
    }>(
      `SELECT study_uid, series_uid, sop_uid, status, fault FROM transfer_object
       WHERE transfer_id = $1 AND state = 'failed' ORDER BY study_uid, series_uid, sop_uid LIMIT $2`,
      [id, limit],
    );
    return rows.map((row) => ({
      ...{ studyUid: row.study_uid, seriesUid: row.series_uid, sopUid: row.sop_uid },
      ...{ status: row.status ?? undefined, fault: row.fault ?? undefined },
    }));
  }

  /** What was refused is to be tried again too. @throws Fault NOT_FOUND, TRANSFER_STATE. */
  retry(id: string): Promise<Transfer> {
    return this.#change(
      id,
      `WITH again AS (
         UPDATE transfer SET state = 'queued', next_at = now(), attempts = 0, failed = 0, finished_at = NULL
         WHERE id = $1 AND state IN ('waiting', 'failed', 'cancelled') RETURNING *),
       left_again AS (
         UPDATE transfer_object o SET state = 'left' FROM again WHERE o.transfer_id = again.id AND o.state = 'failed')
       SELECT * FROM again`,
    );
  }

  /** @throws Fault NOT_FOUND, TRANSFER_STATE. */
  cancel(id: string): Promise<Transfer> {
    return this.#change(
      id,
      `UPDATE transfer SET state = 'cancelled', claim = NULL, lease_until = NULL, finished_at = now()
       WHERE id = $1 AND state IN ('queued', 'running', 'waiting', 'failed') RETURNING *`,
    );
  }

  async #change(id: string, statement: string): Promise<Transfer> {
    const { rows } = await this.#database.pool.query<Row>(statement, [id]);
    if (rows[0]) return transferOf(rows[0]);
    const { state } = await this.get(id);
    throw new Fault('TRANSFER_STATE', { state });
  }

  /** @throws Fault NOT_FOUND. */
  async get(id: string): Promise<Transfer> {
    const { rows } = await this.#database.pool.query<Row>('SELECT * FROM transfer WHERE id = $1', [id]);
    if (!rows[0]) throw new Fault('NOT_FOUND');
    return transferOf(rows[0]);
  }

  async list(query: TransferQuery): Promise<Transfer[]> {
    const where: string[] = [];
    const values: unknown[] = [];
    const add = (condition: (place: string) => string, value: unknown): void => {
      if (value === undefined) return;
      values.push(value);
      where.push(condition(`$${values.length}`));
    };
    add((place) => `state = ANY(${place}::text[])`, query.states);
    add((place) => `kind = ${place}`, query.kind);
    add((place) => `device_id = ${place}`, query.deviceId);
    add(
      (place) => `scopes @> ${place}::jsonb`,
      query.studyUid === undefined ? undefined : JSON.stringify([{ studyUid: query.studyUid }]),
    );
    add(
      (place) => `(created_at, id) < (SELECT created_at, id FROM transfer WHERE id = ${place})`,
      query.before,
    );
    values.push(query.limit);
    const { rows } = await this.#database.pool.query<Row>(
      `SELECT * FROM transfer ${where.length ? `WHERE ${where.join(' AND ')}` : ''}
       ORDER BY created_at DESC, id DESC LIMIT $${values.length}`,
      values,
    );
    return rows.map(transferOf);
  }

  async counts(): Promise<Partial<Record<TransferState, number>>> {
    const { rows } = await this.#database.pool.query<{ state: TransferState; count: string }>(
      'SELECT state, count(*) FROM transfer GROUP BY state',
    );
    return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]));
  }

  async forgetOld(): Promise<void> {
    await this.#database.pool.query(
      `DELETE FROM transfer WHERE state IN ('done', 'cancelled') AND finished_at < now() - make_interval(days => $1)`,
      [KEEP_DAYS],
    );
  }
}

const DUE = `((state IN ('queued', 'waiting') AND next_at <= now()) OR (state = 'running' AND lease_until < now()))`;

const SCOPE = `jsonb_to_recordset($2::jsonb) AS scope ("studyUid" text, "seriesUid" text, "sopUid" text)`;
const OBJECTS_HERE = `INSERT INTO transfer_object (transfer_id, study_uid, series_uid, sop_uid)
  SELECT $1, s.study_uid, e.series_uid, i.sop_uid FROM ${SCOPE}
  JOIN study s ON s.study_uid = scope."studyUid"
  JOIN series e ON e.study_fk = s.id AND (scope."seriesUid" IS NULL OR e.series_uid = scope."seriesUid")
  JOIN instance i ON i.series_fk = e.id
  WHERE scope."sopUid" IS NULL
  UNION ALL
  SELECT $1, s.study_uid, e.series_uid, i.sop_uid FROM ${SCOPE}
  JOIN instance i ON i.sop_uid = scope."sopUid"
  JOIN study s ON s.id = i.study_fk AND s.study_uid = scope."studyUid"
  JOIN series e ON e.id = i.series_fk AND (scope."seriesUid" IS NULL OR e.series_uid = scope."seriesUid")
  ON CONFLICT DO NOTHING`;
const SCOPES = `INSERT INTO transfer_object (transfer_id, study_uid, series_uid, sop_uid)
  SELECT $1, scope."studyUid", coalesce(scope."seriesUid", ''), coalesce(scope."sopUid", '') FROM ${SCOPE}
  ON CONFLICT DO NOTHING`;

interface Row {
  readonly id: string;
  readonly kind: TransferKind;
  readonly device_id: string;
  readonly ae_title: string;
  readonly method: FetchMethod;
  readonly scopes: ObjectScope[];
  readonly asked_kind: Transfer['askedBy']['kind'];
  readonly asked_id: string;
  readonly asked_name: string;
  readonly state: TransferState;
  readonly total: number;
  readonly sent: number;
  readonly warning: number;
  readonly failed: number;
  readonly attempts: number;
  readonly next_at: Date;
  readonly fault: string | null;
  readonly fault_facts: Record<string, string | number | boolean>;
  readonly dimse_status: number | null;
  readonly created_at: Date;
  readonly finished_at: Date | null;
}

function transferOf(row: Row | undefined): Transfer {
  if (!row) throw new Fault('NOT_FOUND');
  return {
    ...{ id: row.id, kind: row.kind, deviceId: row.device_id, aeTitle: row.ae_title, method: row.method },
    ...{ scopes: row.scopes, state: row.state, total: row.total, sent: row.sent, warning: row.warning },
    askedBy: { kind: row.asked_kind, id: row.asked_id, name: row.asked_name },
    ...{ failed: row.failed, attempts: row.attempts, nextAt: row.next_at },
    ...{ fault: row.fault ?? undefined, faultFacts: row.fault_facts },
    ...{ dimseStatus: row.dimse_status ?? undefined, createdAt: row.created_at },
    finishedAt: row.finished_at ?? undefined,
  };
}
