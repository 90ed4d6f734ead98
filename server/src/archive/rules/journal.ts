/**
 * What rules did, for people: one line for each thing, counted on when the same happens again.
 *
 * Layer:  server/archive.
 */
import type { Database } from '../../platform/database.ts';
import type { LogQuery, LogRow } from './types.ts';

export interface Done {
  readonly rule: string;
  readonly event: LogRow['event'];
  readonly studyUid: string;
  readonly aeTitle?: string | undefined;
  readonly objects?: number | undefined;
  readonly transferId?: string | undefined;
  /** Of a problem: a row of docs/errors.md. */
  readonly code?: string | undefined;
  /** Add to what the line says, instead of saying it anew. */
  readonly add?: boolean | undefined;
}

const KEEP_DAYS = 90;
const KEEP_ROWS = 200_000;

export class RuleJournal {
  readonly #pool: Database['pool'];

  constructor({ pool }: Pick<Database, 'pool'>) {
    this.#pool = pool;
  }

  async note({
    rule,
    event,
    studyUid,
    aeTitle = '',
    objects = 0,
    transferId = '',
    code = '',
    add = false,
  }: Done): Promise<void> {
    await this.#pool.query(
      `INSERT INTO rule_log (rule, event, study_uid, ae_title, objects, transfer_id, code) VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (study_uid, rule, event, ae_title, transfer_id, code) DO UPDATE
       SET at = now(), objects = CASE WHEN $8 THEN rule_log.objects + excluded.objects ELSE excluded.objects END`,
      [rule, event, studyUid, aeTitle, objects, transferId, code, add],
    );
  }

  /** Newest first. */
  async list({ before, rule, studyUid, limit }: LogQuery): Promise<LogRow[]> {
    const { rows } = await this.#pool.query<{
      id: string;
      at: Date;
      rule: string;
      event: LogRow['event'];
      study_uid: string;
      ae_title: string;
      objects: number;
      transfer_id: string;
      code: string;
    }>(
      `SELECT * FROM rule_log WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR rule = $2)
         AND ($3::text IS NULL OR study_uid = $3) ORDER BY id DESC LIMIT $4`,
      [before ?? null, rule ?? null, studyUid ?? null, limit],
    );
    return rows.map((row) => ({
      ...{
        id: Number(row.id),
        at: row.at.toISOString(),
        rule: row.rule,
        event: row.event,
        studyUid: row.study_uid,
      },
      ...{ aeTitle: row.ae_title || null, objects: row.objects },
      ...{ transferId: row.transfer_id || null, code: row.code || null },
    }));
  }

  async forgetOld(): Promise<void> {
    await this.#pool.query(
      `DELETE FROM rule_log WHERE at < now() - make_interval(days => $1)
         OR id <= (SELECT max(id) FROM rule_log) - $2`,
      [KEEP_DAYS, KEEP_ROWS],
    );
  }
}
