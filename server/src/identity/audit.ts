/**
 * The audit trail: who did what, when, from where; written in order, never changed, each row sealed by the hash of the one before.
 *
 * Source: PS3.15 §A.5 (what is recorded), 45 CFR 164.312(b), (c).
 * Layer:  server/identity.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import type { Log } from '../platform/log.ts';
import {
  type AuditHead,
  type AuditRecord,
  type AuditRow,
  type ChainVerification,
  COLUMNS,
  fromRow,
  headText,
  seal,
  verifyChain,
} from './audit-chain.ts';
import type { Audit, AuditEntry } from './types.ts';

/** How long entries gather before one transaction writes them (Audit.record promises 100 ms). */
const BATCH_MS = 50;
const BATCH_ROWS = 1000;
/** Entries wait in memory while the database is away; beyond this nothing that must be audited is done any more. */
const QUEUE_LIMIT = 100_000;
const RETRY_MS = 1000;
/** Taken for one batch at a time, so that nodes append to one chain. */
const CHAIN_LOCK = 0x4c425841;
/** How often the head goes to the log, which is kept elsewhere: what was cut off since then would not be missed. */
const TELL_HEAD_MS = 60 * 60_000;

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
  /** Entries not yet written. */
  waiting(): number;
  /** Recomputes the whole chain; see `verifyChain`. */
  verify(noted?: AuditHead): Promise<ChainVerification>;
  close(): Promise<void>;
}

export function openAudit(database: Database, log: Log): AuditTrail {
  const waiting: { at: Date; entry: AuditEntry }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;
  let told = Number.NEGATIVE_INFINITY;

  function tellHead(head: AuditHead): void {
    told = performance.now();
    log.info({ head: headText(head) }, 'audit trail');
  }

  /** Writes until nothing waits. Failures are retried for ever: the queue's limit is what stops the world. */
  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH_ROWS);
      try {
        const head = await append(database, batch);
        waiting.splice(0, batch.length);
        if (closed || performance.now() - told > TELL_HEAD_MS) tellHead(head);
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
      const { rows } = await database.pool.query<AuditRow>(
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
    waiting: () => waiting.length,
    verify: (noted) => verifyChain(database, noted),
    async close() {
      closed = true;
      while (waiting.length > 0) await write();
    },
  };
}

async function append(
  database: Database,
  batch: readonly { at: Date; entry: AuditEntry }[],
): Promise<AuditHead> {
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
    return { seq, hash };
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** PostgreSQL text holds no NUL and no lone surrogate; names of devices come from outside. */
const clean = (text: string): string => Buffer.from(text.slice(0, 500)).toString().replaceAll('\0', '');
