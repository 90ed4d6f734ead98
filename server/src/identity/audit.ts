/**
 * The audit trail: who did what, when, from where; written in order, never changed, each row sealed by the hash of the one before.
 *
 * Source: PS3.15 §A.5 (what is recorded), 45 CFR 164.312(b), (c).
 * Layer:  server/identity.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import type { Log } from '../platform/log.ts';
import type { Audit, AuditEntry } from './types.ts';

/** How long entries gather before one transaction writes them (Audit.record promises 100 ms). */
const BATCH_MS = 50;
const BATCH_ROWS = 1000;
/** Entries wait in memory while the database is away; beyond this nothing that must be audited is done any more. */
const QUEUE_LIMIT = 100_000;
const RETRY_MS = 1000;
/** Taken for one batch at a time, so that nodes append to one chain. */
const CHAIN_LOCK = 0x4c425841;
const VERIFY_ROWS = 5000;

export interface AuditRecord {
  readonly seq: number;
  readonly at: Date;
  readonly event: string;
  readonly outcome: 'success' | 'refused' | 'failed';
  readonly principalKind: string;
  readonly principalId: string;
  readonly principalName: string;
  readonly remoteAddress: string;
  readonly studyUids: readonly string[];
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export interface AuditFilter {
  readonly event?: string | undefined;
  readonly outcome?: string | undefined;
  /** Part of the name, or the id. */
  readonly principal?: string | undefined;
  readonly studyUid?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Rows before this number. */
  readonly before?: number | undefined;
  readonly limit: number;
}

export interface AuditTrail extends Audit {
  /** Newest first. */
  search(filter: AuditFilter): Promise<AuditRecord[]>;
  /** Recomputes the whole chain. */
  verify(): Promise<{ ok: boolean; rows: number; brokenAt: number | null }>;
  close(): Promise<void>;
}

interface Row {
  seq: string;
  at: Date;
  event: string;
  outcome: AuditRecord['outcome'];
  principal_kind: string;
  principal_id: string;
  principal_name: string;
  remote_address: string;
  study_uids: string[];
  detail: AuditRecord['detail'];
  hash: Buffer;
}

const COLUMNS =
  'seq, at, event, outcome, principal_kind, principal_id, principal_name, remote_address, study_uids, detail, hash';

export function openAudit(database: Database, log: Log): AuditTrail {
  const waiting: { at: Date; entry: AuditEntry }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;

  /** Writes until nothing waits. Failures are retried for ever: the queue's limit is what stops the world. */
  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH_ROWS);
      try {
        await append(database, batch);
        waiting.splice(0, batch.length);
      } catch (error) {
        log.error({ err: error, waiting: waiting.length }, 'audit trail not written; trying again');
        if (closed) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing ??= drain().finally(() => (writing = undefined));
    return writing;
  }

  return {
    record(entry) {
      if (waiting.length >= QUEUE_LIMIT) throw new Fault('AUDIT_BEHIND');
      waiting.push({ at: new Date(), entry });
      timer ??= setTimeout(() => {
        write().catch((error: unknown) => log.error({ err: error }, 'audit trail not written'));
      }, BATCH_MS);
    },
    async flush() {
      while (waiting.length > 0) await write();
    },
    async search(filter) {
      const { rows } = await database.pool.query<Row>(
        `SELECT ${COLUMNS} FROM audit_trail
         WHERE ($1::text IS NULL OR event = $1) AND ($2::text IS NULL OR outcome = $2)
           AND ($3::text IS NULL OR principal_id = $3 OR strpos(lower(principal_name), lower($3)) > 0)
           AND ($4::text IS NULL OR study_uids @> ARRAY[$4])
           AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at <= $6)
           AND ($7::bigint IS NULL OR seq < $7)
         ORDER BY seq DESC LIMIT $8`,
        [
          filter.event,
          filter.outcome,
          filter.principal,
          filter.studyUid,
          filter.from,
          filter.to,
          filter.before,
          filter.limit,
        ],
      );
      return rows.map(fromRow);
    },
    verify: () => verify(database),
    async close() {
      closed = true;
      while (waiting.length > 0) await write();
    },
  };
}

async function append(database: Database, batch: readonly { at: Date; entry: AuditEntry }[]): Promise<void> {
  const client = await database.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [CHAIN_LOCK]);
    const { rows } = await client.query<{ seq: string; hash: Buffer }>('SELECT seq, hash FROM audit_head');
    const head = rows[0];
    if (!head) throw new Fault('INTERNAL', { what: 'the audit trail has no head' });
    let seq = Number(head.seq);
    let hash = head.hash;
    const sealed = batch.map(({ at, entry }) => {
      const record: AuditRecord = {
        seq: ++seq,
        at,
        event: entry.event,
        outcome: entry.outcome,
        principalKind: entry.principal.kind,
        principalId: clean(entry.principal.id),
        principalName: clean(entry.principal.name),
        remoteAddress: clean(entry.principal.remoteAddress),
        studyUids: (entry.studyUids ?? []).map(clean),
        detail: Object.fromEntries(
          Object.entries(entry.detail ?? {}).map(([key, value]) => [
            clean(key),
            typeof value === 'string' ? clean(value) : value,
          ]),
        ),
      };
      hash = seal(hash, record);
      return { ...record, hash: hash.toString('hex') };
    });
    // One JSON parameter: unnest cannot take arrays of arrays of different lengths (study_uids).
    await client.query(
      `INSERT INTO audit_trail (${COLUMNS})
       SELECT (r->>'seq')::bigint, (r->>'at')::timestamptz, r->>'event', r->>'outcome', r->>'principalKind',
         r->>'principalId', r->>'principalName', r->>'remoteAddress',
         ARRAY(SELECT jsonb_array_elements_text(r->'studyUids')), r->'detail', decode(r->>'hash', 'hex')
       FROM jsonb_array_elements($1::jsonb) AS r`,
      [JSON.stringify(sealed)],
    );
    await client.query('UPDATE audit_head SET seq = $1, hash = $2', [seq, hash]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** SHA-256 over the hash of the row before and this row's fields as JSON with sorted detail keys. */
export function seal(previous: Uint8Array, record: AuditRecord): Buffer {
  const detail = Object.entries(record.detail).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const text = JSON.stringify([
    record.seq,
    record.at.toISOString(),
    record.event,
    record.outcome,
    record.principalKind,
    record.principalId,
    record.principalName,
    record.remoteAddress,
    record.studyUids,
    detail,
  ]);
  return createHash('sha256').update(previous).update(text).digest();
}

async function verify(database: Database): Promise<{ ok: boolean; rows: number; brokenAt: number | null }> {
  const client = await database.pool.connect();
  try {
    // One snapshot, so that rows written meanwhile do not look like a broken end.
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const head = (await client.query<{ seq: string; hash: Buffer }>('SELECT seq, hash FROM audit_head'))
      .rows[0];
    let seq = 0;
    let hash: Buffer = Buffer.alloc(32);
    for (;;) {
      const { rows } = await client.query<Row>(
        `SELECT ${COLUMNS} FROM audit_trail WHERE seq > $1 ORDER BY seq LIMIT $2`,
        [seq, VERIFY_ROWS],
      );
      for (const row of rows) {
        const expected = seal(hash, fromRow(row));
        if (Number(row.seq) !== seq + 1 || !expected.equals(row.hash))
          return { ok: false, rows: seq, brokenAt: seq + 1 };
        seq += 1;
        hash = expected;
      }
      if (rows.length < VERIFY_ROWS) break;
    }
    const complete = head !== undefined && Number(head.seq) === seq && head.hash.equals(hash);
    return { ok: complete, rows: seq, brokenAt: complete ? null : seq + 1 };
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
    client.release();
  }
}

function fromRow(row: Row): AuditRecord {
  return {
    seq: Number(row.seq),
    at: row.at,
    event: row.event,
    outcome: row.outcome,
    principalKind: row.principal_kind,
    principalId: row.principal_id,
    principalName: row.principal_name,
    remoteAddress: row.remote_address,
    studyUids: row.study_uids,
    detail: row.detail,
  };
}

/** PostgreSQL text holds no NUL and no lone surrogate; names of devices come from outside. */
const clean = (text: string): string => Buffer.from(text.slice(0, 500)).toString().replaceAll('\0', '');
