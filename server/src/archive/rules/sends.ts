/**
 * What rules have to send: each object by each rule to each device once, remembered for as long as the object may come again.
 *
 * A row is `due`, then `asking` with the name of the transfer it is to be part of, then `asked`. The transfer is asked for under that
 * name, so that asking again after a crash makes no second one. Every change of state is one statement here.
 * Layer:  server/archive.
 */
import { randomUUID } from 'node:crypto';
import type { SendAction } from '@lightbox/core/translate/rules/types.ts';
import type { Database } from '../../platform/database.ts';
import type { ObjectScope } from '../types.ts';

/** Objects of one transfer. Larger studies become several, one after the other. */
const MOST_OBJECTS = 2000;
/** Whoever asked for a transfer and did not say what became of it has crashed. */
const ASKING_SECONDS = 30;
/** Sent back so soon after it arrived it was no person who did it. */
const RETURN_SECONDS = 300;

export interface Wanted {
  readonly rule: string;
  readonly aeTitle: string;
  readonly sopUid: string;
  readonly studyUid: string;
  readonly seriesUid: string;
}

/** Objects of one study that one rule sends to one device. */
export interface Batch {
  readonly transferId: string;
  readonly rule: string;
  readonly aeTitle: string;
  readonly studyUid: string;
  readonly scopes: readonly ObjectScope[];
}

export interface Loop {
  readonly rule: string;
  readonly aeTitle: string;
  readonly firstAt: Date;
  readonly lastAt: Date;
  readonly objects: number;
  readonly held: number;
}

interface Row {
  readonly rule: string;
  readonly ae_title: string;
  readonly sop_uid: string;
  readonly study_uid: string;
  readonly series_uid: string;
}

export class SendTable {
  readonly #pool: Database['pool'];

  constructor({ pool }: Pick<Database, 'pool'>) {
    this.#pool = pool;
  }

  /** Those that were never wanted before. @returns how many. */
  async want(wanted: readonly Wanted[], delaySeconds: number): Promise<number> {
    if (wanted.length === 0) return 0;
    const { rowCount } = await this.#pool.query(
      `INSERT INTO rule_send (rule, ae_title, sop_uid, study_uid, series_uid, state, due_at)
       SELECT t.*, CASE WHEN l.rule IS NULL THEN 'due' ELSE 'held' END, now() + make_interval(secs => $6)
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS t (rule, ae_title, sop_uid, study_uid, series_uid)
       LEFT JOIN rule_loop l ON l.rule = t.rule AND l.ae_title = t.ae_title
       ON CONFLICT DO NOTHING`,
      [...columns(wanted), delaySeconds],
    );
    return rowCount ?? 0;
  }

  /** Once more, whatever became of them. @returns how many. */
  async again(wanted: readonly Wanted[]): Promise<number> {
    const { rowCount } = await this.#pool.query(
      `INSERT INTO rule_send (rule, ae_title, sop_uid, study_uid, series_uid, state, due_at)
       SELECT t.*, 'due', now()
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS t (rule, ae_title, sop_uid, study_uid, series_uid)
       ON CONFLICT (sop_uid, rule, ae_title) DO UPDATE SET state = 'due', due_at = now(), changed_at = now(), transfer_id = NULL
       WHERE rule_send.state <> 'asking'`,
      columns(wanted),
    );
    return rowCount ?? 0;
  }

  /** What was sent of a study goes once more, because more of it came. */
  async resend(
    studyUid: string,
    rule: string,
    send: Pick<SendAction, 'devices' | 'delaySeconds'>,
  ): Promise<void> {
    await this.#pool.query(
      `UPDATE rule_send SET state = 'due', due_at = now() + make_interval(secs => $4), changed_at = now(), transfer_id = NULL
       WHERE study_uid = $1 AND rule = $2 AND ae_title = ANY($3::text[]) AND state = 'asked'`,
      [studyUid, rule, send.devices, send.delaySeconds ?? 0],
    );
  }

  /** Which of these were wanted before. */
  async known(studyUid: string): Promise<ReadonlySet<string>> {
    const { rows } = await this.#pool.query<Row>(
      'SELECT rule, ae_title, sop_uid FROM rule_send WHERE study_uid = $1',
      [studyUid],
    );
    return new Set(rows.map((row) => keyOf(row.rule, row.ae_title, row.sop_uid)));
  }

  /** Some of what is due, under the name of a transfer that is to be asked for. */
  async claim(): Promise<Batch | undefined> {
    const { rows } = await this.#pool.query<Row>(
      `WITH first AS (
         SELECT rule, ae_title, study_uid FROM rule_send WHERE state = 'due' AND due_at <= now() ORDER BY due_at LIMIT 1
       ), mine AS (
         SELECT sop_uid, rule, ae_title FROM rule_send JOIN first USING (rule, ae_title, study_uid)
         WHERE state = 'due' AND due_at <= now() ORDER BY sop_uid LIMIT ${MOST_OBJECTS} FOR UPDATE OF rule_send SKIP LOCKED
       )
       UPDATE rule_send s SET state = 'asking', transfer_id = $1, changed_at = now() FROM mine
       WHERE s.sop_uid = mine.sop_uid AND s.rule = mine.rule AND s.ae_title = mine.ae_title AND s.state = 'due'
       RETURNING s.*`,
      [randomUUID()],
    );
    return batchOf(rows as (Row & { transfer_id: string })[]);
  }

  /** One whose asker has gone. */
  async forgotten(): Promise<Batch | undefined> {
    const { rows } = await this.#pool.query<Row & { transfer_id: string }>(
      `UPDATE rule_send SET changed_at = now() WHERE state = 'asking' AND transfer_id = (
         SELECT transfer_id FROM rule_send WHERE state = 'asking' AND changed_at < now() - make_interval(secs => $1) LIMIT 1)
       RETURNING *`,
      [ASKING_SECONDS],
    );
    return batchOf(rows);
  }

  async settle(transferId: string, state: 'asked' | 'dropped' | 'gone'): Promise<void> {
    await this.#pool.query(
      `UPDATE rule_send SET state = $2, changed_at = now() WHERE transfer_id = $1 AND state = 'asking'`,
      [transferId, state],
    );
  }

  /** Not now: the device has no address, or is gone. */
  async putOff(transferId: string, seconds: number): Promise<void> {
    await this.#pool.query(
      `UPDATE rule_send SET state = 'due', due_at = now() + make_interval(secs => $2), transfer_id = NULL, changed_at = now()
       WHERE transfer_id = $1 AND state = 'asking'`,
      [transferId, seconds],
    );
  }

  /**
   * Objects that came again from a device. Where a rule had just sent them there, the two send everything to each other: the
   * rule stops for that device.
   *
   * @returns the loops that were found, new and old.
   */
  async cameAgain(aeTitle: string, sopUids: readonly string[]): Promise<(Wanted & { objects: number })[]> {
    const client = await this.#pool.connect();
    try {
      await client.query('BEGIN');
      const { rows } = await client.query<Row & { objects: number }>(
        `SELECT s.rule, s.ae_title, min(s.study_uid) AS study_uid, min(s.series_uid) AS series_uid, min(s.sop_uid) AS sop_uid,
           count(*)::int AS objects
         FROM rule_send s JOIN transfer t ON t.id = s.transfer_id
         WHERE s.sop_uid = ANY($2::text[]) AND s.ae_title = $1 AND s.state = 'asked'
           AND coalesce(t.finished_at, now()) > now() - make_interval(secs => $3)
         GROUP BY s.rule, s.ae_title`,
        [aeTitle, sopUids, RETURN_SECONDS],
      );
      for (const row of rows) {
        await client.query(
          `INSERT INTO rule_loop (rule, ae_title, objects) VALUES ($1, $2, $3)
           ON CONFLICT (rule, ae_title) DO UPDATE SET objects = rule_loop.objects + excluded.objects, last_at = now()`,
          [row.rule, row.ae_title, row.objects],
        );
        await client.query(
          `UPDATE rule_send SET state = 'held', changed_at = now() WHERE rule = $1 AND ae_title = $2 AND state = 'due'`,
          [row.rule, row.ae_title],
        );
      }
      await client.query('COMMIT');
      return rows.map((row) => ({ ...wantedOf(row), objects: row.objects }));
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }

  async loops(): Promise<Loop[]> {
    const { rows } = await this.#pool.query<{
      rule: string;
      ae_title: string;
      first_at: Date;
      last_at: Date;
      objects: number;
      held: string;
    }>(
      `SELECT l.*, (SELECT count(*) FROM rule_send s WHERE s.rule = l.rule AND s.ae_title = l.ae_title AND s.state = 'held') AS held
       FROM rule_loop l ORDER BY first_at, rule, ae_title`,
    );
    return rows.map((row) => ({
      ...{ rule: row.rule, aeTitle: row.ae_title, firstAt: row.first_at, lastAt: row.last_at },
      ...{ objects: row.objects, held: Number(row.held) },
    }));
  }

  /** A person has seen to it. @returns how many objects go on; undefined: there was no such loop. */
  async release(rule: string, aeTitle: string): Promise<number | undefined> {
    const gone = await this.#pool.query('DELETE FROM rule_loop WHERE rule = $1 AND ae_title = $2', [
      rule,
      aeTitle,
    ]);
    if (!gone.rowCount) return undefined;
    const { rowCount } = await this.#pool.query(
      `UPDATE rule_send SET state = 'due', due_at = now(), changed_at = now() WHERE rule = $1 AND ae_title = $2 AND state = 'held'`,
      [rule, aeTitle],
    );
    return rowCount ?? 0;
  }
}

export const keyOf = (rule: string, aeTitle: string, sopUid: string): string =>
  JSON.stringify([rule, aeTitle, sopUid]);

const columns = (wanted: readonly Wanted[]): string[][] => [
  wanted.map((one) => one.rule),
  wanted.map((one) => one.aeTitle),
  wanted.map((one) => one.sopUid),
  wanted.map((one) => one.studyUid),
  wanted.map((one) => one.seriesUid),
];

const wantedOf = (row: Row): Wanted => ({
  ...{ rule: row.rule, aeTitle: row.ae_title, sopUid: row.sop_uid },
  ...{ studyUid: row.study_uid, seriesUid: row.series_uid },
});

function batchOf(rows: readonly (Row & { readonly transfer_id: string })[]): Batch | undefined {
  const [first] = rows;
  return (
    first && {
      ...{
        transferId: first.transfer_id,
        rule: first.rule,
        aeTitle: first.ae_title,
        studyUid: first.study_uid,
      },
      scopes: rows.map((row) => ({
        studyUid: row.study_uid,
        seriesUid: row.series_uid,
        sopUid: row.sop_uid,
      })),
    }
  );
}
