/**
 * The rows of storage commitments, and who works on one.
 *
 * A row that is worked on is leased to its node. The lease of a node that died ends by itself, or when that node starts again.
 * Layer:  server/archive.
 */
import { randomUUID } from 'node:crypto';
import type { CommitmentAnswer, CommitmentItem } from '@lightbox/core/translate/commitment.ts';
import type { Database } from '../../platform/database.ts';
import type { CommitmentRow, CommitmentState } from './types.ts';

/** An association and its answer take less; what takes longer renews it. */
export const LEASE_SECONDS = 90;

interface Columns {
  readonly id: string;
  readonly direction: 'received' | 'requested';
  readonly via: 'dimse' | 'web';
  readonly peer: string;
  readonly peer_name: string;
  readonly local_ae: string;
  readonly transaction_uid: string;
  readonly objects: number;
  readonly failed: number | null;
  readonly state: CommitmentState;
  readonly attempts: number;
  readonly next_at: Date;
  readonly give_up_at: Date;
  readonly fault: string | null;
  readonly created_at: Date;
  readonly finished_at: Date | null;
}

interface Objects {
  readonly sop_classes: string[];
  readonly sop_uids: string[];
  readonly study_uids: (string | null)[] | null;
  readonly series_uids: (string | null)[] | null;
  readonly reasons: number[] | null;
}

/** A row with its objects. */
export interface Work extends CommitmentRow {
  readonly items: readonly CommitmentItem[];
  readonly reasons: readonly number[] | undefined;
  readonly giveUpAt: Date;
}

export interface NewCommitment extends Pick<
  CommitmentRow,
  'direction' | 'via' | 'peer' | 'peerName' | 'localAe' | 'transactionUid' | 'state'
> {
  readonly items: readonly CommitmentItem[];
  readonly giveUpDays: number;
}

const SMALL = `id, direction, via, peer, peer_name, local_ae, transaction_uid, objects, failed, state, attempts, next_at, give_up_at,
  fault, created_at, finished_at`;

export class CommitmentTable {
  readonly #database: Database;
  readonly #node: string;

  /** @param node  The same whenever this node starts on its data. */
  constructor(database: Database, node: string) {
    this.#database = database;
    this.#node = node;
  }

  async #one<T extends object>(text: string, values: unknown[]): Promise<T | undefined> {
    return (await this.#database.pool.query<T>(text, values)).rows[0];
  }

  /** @returns the id, or undefined when there is one of this name. */
  async insert(row: NewCommitment): Promise<string | undefined> {
    const { items } = row;
    const within = items.some(({ studyUid }) => studyUid !== undefined);
    const found = await this.#one<{ id: string }>(
      `INSERT INTO storage_commitment (id, direction, via, peer, peer_name, local_ae, transaction_uid, sop_classes,
         sop_uids, study_uids, series_uids, objects, state, give_up_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, now() + make_interval(days => $14))
       ON CONFLICT DO NOTHING RETURNING id`,
      [
        ...[randomUUID(), row.direction, row.via, row.peer, row.peerName, row.localAe, row.transactionUid],
        ...[items.map(({ sopClassUid }) => sopClassUid), items.map(({ sopUid }) => sopUid)],
        within ? items.map(({ studyUid }) => studyUid ?? null) : null,
        within ? items.map(({ seriesUid }) => seriesUid ?? null) : null,
        ...[items.length, row.state, row.giveUpDays],
      ],
    );
    return found?.id;
  }

  async byName(
    direction: CommitmentRow['direction'],
    via: CommitmentRow['via'],
    peer: string,
    transactionUid: string,
  ): Promise<Work | undefined> {
    const row = await this.#one<Columns & Objects>(
      `SELECT * FROM storage_commitment
       WHERE direction = $1 AND via = $2 AND peer = $3 AND transaction_uid = $4`,
      [direction, via, peer, transactionUid],
    );
    return row && workOf(row);
  }

  async byId(id: string): Promise<Work | undefined> {
    const row = await this.#one<Columns & Objects>('SELECT * FROM storage_commitment WHERE id = $1', [id]);
    return row && workOf(row);
  }

  async stateOf(id: string): Promise<CommitmentState | undefined> {
    return (
      await this.#one<{ state: CommitmentState }>('SELECT state FROM storage_commitment WHERE id = $1', [id])
    )?.state;
  }

  async rename(id: string, transactionUid: string): Promise<void> {
    await this.#database.pool.query('UPDATE storage_commitment SET transaction_uid = $2 WHERE id = $1', [
      ...[id, transactionUid],
    ]);
  }

  /** Takes a row in this state for this node; undefined when it is in another one, or somebody works on it. */
  async claim(id: string, state: CommitmentState): Promise<Work | undefined> {
    const row = await this.#one<Columns & Objects>(
      `UPDATE storage_commitment SET lease_node = $3, lease_until = now() + make_interval(secs => $4)
       WHERE id = $1 AND state = $2 AND (lease_until IS NULL OR lease_until < now()) RETURNING *`,
      [id, state, this.#node, LEASE_SECONDS],
    );
    return row && workOf(row);
  }

  async renew(id: string): Promise<void> {
    await this.#database.pool.query(
      `UPDATE storage_commitment SET lease_until = now() + make_interval(secs => $2) WHERE id = $1`,
      [id, LEASE_SECONDS],
    );
  }

  /** Puts a row into another state, and gives it back. Answers when there are any. @returns false when it was not in `from`. */
  async move(
    id: string,
    from: CommitmentState,
    to: CommitmentState,
    more: {
      readonly reasons?: readonly number[] | undefined;
      readonly fault?: string | undefined;
      readonly nextAt?: Date | undefined;
      readonly attempts?: number | undefined;
      readonly giveUpDays?: number | undefined;
      readonly finished?: boolean | undefined;
    } = {},
  ): Promise<boolean> {
    const { reasons, fault, nextAt, attempts, giveUpDays, finished = false } = more;
    const answer = await this.#database.pool.query(
      `UPDATE storage_commitment SET state = $3, lease_node = NULL, lease_until = NULL, fault = $4,
         reasons = coalesce($5, reasons),
         failed = CASE WHEN $5::integer[] IS NULL THEN failed ELSE $6 END,
         checked_at = CASE WHEN $5::integer[] IS NULL THEN checked_at ELSE now() END,
         next_at = coalesce($7, now()), attempts = coalesce($8, attempts),
         give_up_at = CASE WHEN $9::integer IS NULL THEN give_up_at ELSE now() + make_interval(days => $9) END,
         finished_at = CASE WHEN $10 THEN now() END
       WHERE id = $1 AND state = $2`,
      [
        ...[id, from, to, fault ?? null, reasons ?? null],
        reasons ? reasons.filter((reason) => reason !== 0).length : null,
        ...[nextAt ?? null, attempts ?? null, giveUpDays ?? null, finished],
      ],
    );
    return answer.rowCount === 1;
  }

  /** Leases of this node that nobody can hold: it has only just started. */
  async releaseMine(): Promise<void> {
    await this.#database.pool.query(
      'UPDATE storage_commitment SET lease_node = NULL, lease_until = NULL WHERE lease_node = $1',
      [this.#node],
    );
  }

  /** What should have been worked on by now. */
  async overdue(seconds: number): Promise<Pick<CommitmentRow, 'id' | 'state'>[]> {
    const { rows } = await this.#database.pool.query<{ id: string; state: CommitmentState }>(
      `SELECT id, state FROM storage_commitment
       WHERE finished_at IS NULL AND next_at < now() - make_interval(secs => $1)
         AND (lease_until IS NULL OR lease_until < now())
       ORDER BY next_at LIMIT 1000`,
      [seconds],
    );
    return rows;
  }

  /** Open requests of one peer. */
  async waiting(via: CommitmentRow['via'], peer: string): Promise<number> {
    const row = await this.#one<{ count: string }>(
      `SELECT count(*) FROM storage_commitment
       WHERE finished_at IS NULL AND direction = 'received' AND state = 'checking' AND via = $1 AND peer = $2`,
      [via, peer],
    );
    return Number(row?.count);
  }

  /** Forgets the objects of what ended so long ago, and after as long again that it was there. */
  async prune(days: number): Promise<void> {
    await this.#database.pool.query(
      `UPDATE storage_commitment SET state = 'gone', sop_classes = '{}', sop_uids = '{}', study_uids = NULL,
         series_uids = NULL, reasons = NULL
       WHERE finished_at < now() - make_interval(days => $1) AND state <> 'gone'`,
      [days],
    );
    await this.#database.pool.query(
      `DELETE FROM storage_commitment WHERE finished_at < now() - make_interval(days => $1) AND state = 'gone'`,
      [days * 2],
    );
  }

  async list(limit: number, states?: readonly CommitmentState[]): Promise<CommitmentRow[]> {
    const { rows } = await this.#database.pool.query<Columns>(
      `SELECT ${SMALL} FROM storage_commitment WHERE $2::text[] IS NULL OR state = ANY($2)
       ORDER BY created_at DESC, id LIMIT $1`,
      [limit, states ?? null],
    );
    return rows.map(rowOf);
  }
}

const rowOf = (row: Columns): CommitmentRow => ({
  ...{ id: row.id, direction: row.direction, via: row.via, peer: row.peer, peerName: row.peer_name },
  ...{
    localAe: row.local_ae,
    transactionUid: row.transaction_uid,
    objects: row.objects,
    failed: row.failed ?? undefined,
  },
  ...{ state: row.state, attempts: row.attempts, fault: row.fault ?? undefined },
  nextAt: row.finished_at ? undefined : row.next_at,
  ...{ createdAt: row.created_at, finishedAt: row.finished_at ?? undefined },
});

const workOf = (row: Columns & Objects): Work => ({
  ...rowOf(row),
  giveUpAt: row.give_up_at,
  reasons: row.reasons ?? undefined,
  items: row.sop_uids.map((sopUid, at) => ({
    ...{ sopClassUid: row.sop_classes[at] ?? '', sopUid },
    studyUid: row.study_uids?.[at] ?? undefined,
    seriesUid: row.series_uids?.[at] ?? undefined,
  })),
});

export const answersOf = ({ items, reasons }: Work): CommitmentAnswer[] =>
  items.map((item, at) => ({ item, reason: reasons?.[at] ?? 0x0110 }));
