/**
 * The chain of the audit trail: each row sealed by the hash of the one before, and the check that none was changed, moved,
 * added or taken away.
 *
 * What it cannot find alone: whoever owns the database can cut rows off the end and set the head back, or make the whole
 * chain anew. Against that a head noted elsewhere is compared (docs/decisions/0014-audit-chain.md).
 *
 * Source: 45 CFR 164.312(b), (c).
 * Layer:  server/identity.
 */
import { createHash } from 'node:crypto';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';

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

/** A row's number and hash: noted outside, it proves later what the trail was up to here. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: Buffer;
}

export interface ChainVerification {
  readonly ok: boolean;
  /** Rows from the first on that hold. */
  readonly rows: number;
  /** The first row that is changed, too many, or missing. */
  readonly brokenAt: number | null;
  /** The last row that holds, as `parseHead` reads it. */
  readonly head: string;
}

export interface AuditRow {
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

export const COLUMNS =
  'seq, at, event, outcome, principal_kind, principal_id, principal_name, remote_address, study_uids, detail, hash';

/** `12:` and 64 hexadecimal digits. */
export const headText = ({ seq, hash }: AuditHead): string => `${seq}:${hash.toString('hex')}`;

/** @throws Fault BAD_REQUEST */
export function parseHead(text: string): AuditHead {
  const found = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.trim());
  if (!found) throw new Fault('BAD_REQUEST', { problem: 'a head is a number, a colon and 64 hex digits' });
  return { seq: Number(found[1]), hash: Buffer.from(found[2] ?? '', 'hex') };
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

/**
 * Recomputes the whole chain and compares its end with the head kept beside it, and with one noted elsewhere.
 *
 * @param noted  A head from the log, an earlier verification, a safe: the trail has to lead through it.
 */
export async function verifyChain(database: Database, noted?: AuditHead): Promise<ChainVerification> {
  const client = await database.pool.connect();
  try {
    // One snapshot, so that rows written meanwhile do not look like a broken end.
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows: heads } = await client.query<{ seq: string; hash: Buffer }>(
      'SELECT seq, hash FROM audit_head',
    );
    const head = heads[0];
    let last: AuditHead = { seq: 0, hash: Buffer.alloc(32) };
    let notedHolds = noted === undefined || (noted.seq === 0 && noted.hash.equals(last.hash));
    const broken = (brokenAt: number): ChainVerification => ({
      ...{ ok: false, rows: last.seq, brokenAt, head: headText(last) },
    });
    // Rows before the first would be invisible to a walk that begins at 1.
    for (let after: string | null = null; ;) {
      const { rows }: { rows: AuditRow[] } = await client.query<AuditRow>(
        `SELECT ${COLUMNS} FROM audit_trail WHERE $1::bigint IS NULL OR seq > $1 ORDER BY seq LIMIT $2`,
        [after, VERIFY_ROWS],
      );
      for (const row of rows) {
        const seq = Number(row.seq);
        const hash = seal(last.hash, fromRow(row));
        if (seq !== last.seq + 1 || !hash.equals(row.hash)) return broken(Math.min(seq, last.seq + 1));
        if (seq === noted?.seq) {
          notedHolds = hash.equals(noted.hash);
          if (!notedHolds) return broken(seq);
        }
        last = { seq, hash };
      }
      if (rows.length < VERIFY_ROWS) break;
      after = rows.at(-1)?.seq ?? null;
    }
    const end = head === undefined ? -1 : Number(head.seq);
    if (end !== last.seq) return broken(Math.max(0, Math.min(end, last.seq)) + 1);
    if (!head?.hash.equals(last.hash)) return broken(last.seq);
    if (!notedHolds) return broken(last.seq + 1);
    return { ok: true, rows: last.seq, brokenAt: null, head: headText(last) };
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
    client.release();
  }
}

export function fromRow(row: AuditRow): AuditRecord {
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
