/**
 * Searching the index at every level: C-FIND, QIDO-RS and the study list alike.
 *
 * Source: PS3.4 §C.4.1 (C-FIND), §C.6.1 and §C.6.2 (Patient Root, Study Root), PS3.18 §10.6 (search transaction).
 * Layer:  server/archive.
 */
import type pg from 'pg';
import type { Tag } from '@lightbox/core/dicom/data-set.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { matches, type MatchKey } from '@lightbox/core/dicom/matching.ts';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../../platform/database.ts';
import type { ArchiveQuery, Level, Query, QueryAnswer, QueryMatch } from '../types.ts';
import { type Conditions, conditionsOf, orderColumn } from './predicates.ts';
import { COMPUTED, fromRow, isReturned, selectList } from './results.ts';
import { Statement } from './sql.ts';

/** Rows a cursor brings at once, the first time and later: C-CANCEL is heard between two of them. */
const FIRST_ROWS = 200;
const MORE_ROWS = 500;
/** No search may hold a connection for longer (attacks C65, C66). */
const TIMEOUT_MS = 60_000;
/** More than this in one answer is read with `stream`. */
export const MAX_MATCHES = 50_000;
/** Matches behind a page are counted up to this: nobody turns so many pages, and counting all would take as long as reading. */
export const MAX_COUNTED = 10_000;

const SOURCES: Readonly<Record<Level, string>> = {
  patient: 'patient p',
  study: 'study s',
  series: 'series e JOIN study s ON s.id = e.study_fk',
  instance: 'instance i JOIN series e ON e.id = i.series_fk JOIN study s ON s.id = i.study_fk',
};

const DEFAULT_ORDER: Readonly<Record<Level, string>> = {
  patient: 'p.name_a, p.id',
  study: 's.study_date DESC, s.study_time DESC, s.study_uid DESC, s.id',
  series: 's.study_date DESC, s.study_uid DESC, e.number, e.series_uid',
  instance: 's.study_uid, e.number, e.series_uid, i.number, i.sop_uid',
};

interface Plan {
  readonly statement: Statement;
  readonly text: string;
  readonly conditions: Conditions;
}

export class ArchiveSearch implements Query {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async search(query: ArchiveQuery): Promise<QueryAnswer> {
    const limit = Math.min(query.limit ?? MAX_MATCHES, MAX_MATCHES);
    const offset = query.offset ?? 0;
    const plan = planOf(query);
    const ignoredKeys = plan.conditions.ignored;
    const counted = query.countRemaining === true;
    if (plan.conditions.rest.length === 0) {
      const { statement } = plan;
      const text = `${plan.text} LIMIT ${statement.bind(limit + 1)} OFFSET ${statement.bind(offset)}`;
      const rows = await this.#run(text, statement.values, query.signal);
      const more = rows.length > limit;
      const remaining = more && counted ? await this.#count(query, offset + limit) : undefined;
      const matches = rows.slice(0, limit).map((row) => fromRow(row, query));
      return { matches, more, remaining, ignoredKeys };
    }
    const found: QueryMatch[] = [];
    let seen = 0;
    for await (const match of this.stream({ ...query, limit: undefined, offset: undefined })) {
      seen += 1;
      if (seen > offset && found.length < limit) found.push(match);
      else if (seen > offset && (!counted || seen >= offset + limit + MAX_COUNTED)) break;
    }
    const remaining = Math.max(0, seen - offset - limit);
    return { matches: found, more: remaining > 0, remaining: counted ? remaining : undefined, ignoredKeys };
  }

  /** Matches from an offset on, up to MAX_COUNTED. */
  async #count(query: ArchiveQuery, offset: number): Promise<number> {
    const statement = new Statement();
    const from = fromOf(query, statement).text;
    const some = `SELECT 1 ${from} LIMIT ${MAX_COUNTED} OFFSET ${statement.bind(offset)}`;
    const rows = await this.#run(
      `SELECT count(*) AS count FROM (${some}) AS counted`,
      statement.values,
      query.signal,
    );
    return Number(rows[0]?.['count'] ?? 0);
  }

  async #run(
    text: string,
    values: unknown[],
    signal: AbortSignal | undefined,
  ): Promise<Record<string, unknown>[]> {
    if (signal?.aborted) throw signal.reason;
    const client = await this.#database.pool.connect();
    try {
      await client.query(`SET statement_timeout = ${TIMEOUT_MS}`);
      return (await client.query<Record<string, unknown>>(text, values)).rows;
    } catch (error) {
      throw tooSlow(error);
    } finally {
      client.release();
    }
  }

  unsupported(level: Level, keys: readonly MatchKey[]): Tag[] {
    const ignored = conditionsOf(keys, level, false, new Statement()).ignored;
    const unknown = keys.filter(({ kind, tag }) => kind === 'universal' && !isReturned(tag, level));
    return [...ignored, ...unknown.map(({ tag }) => tag)];
  }

  async *stream(query: ArchiveQuery): AsyncIterable<QueryMatch> {
    const { statement, text, conditions } = planOf(query);
    const { rest } = conditions;
    let skip = query.offset ?? 0;
    let left = query.limit ?? Number.POSITIVE_INFINITY;
    for await (const row of this.#rows(text, statement.values, query.signal)) {
      if (rest.length && !rest.every((key) => matches(key, allAttributes(row)))) continue;
      if (skip > 0) {
        skip -= 1;
        continue;
      }
      if (left <= 0) return;
      left -= 1;
      yield fromRow(row, query);
    }
  }

  async *#rows(
    text: string,
    values: unknown[],
    signal: AbortSignal | undefined,
  ): AsyncIterable<Record<string, unknown>> {
    if (signal?.aborted) return;
    const client: pg.PoolClient = await this.#database.pool.connect();
    let broken = false;
    try {
      await client.query(`BEGIN READ ONLY; SET LOCAL statement_timeout = ${TIMEOUT_MS}`);
      await client.query(`DECLARE matches NO SCROLL CURSOR FOR ${text}`, values);
      const fetch = (count: number): Promise<pg.QueryResult<Record<string, unknown>>> => {
        const fetched = client.query<Record<string, unknown>>(`FETCH ${count} FROM matches`);
        // Looked at in its turn, if anybody still wants it.
        fetched.catch(() => undefined);
        return fetched;
      };
      let asked = FIRST_ROWS;
      let next: ReturnType<typeof fetch> | undefined = fetch(asked);
      while (next && !signal?.aborted) {
        const { rows }: pg.QueryResult<Record<string, unknown>> = await next;
        // The database looks for the next ones while these are on their way.
        next = rows.length === asked ? fetch((asked = MORE_ROWS)) : undefined;
        for (const row of rows) {
          if (signal?.aborted) return;
          yield row;
        }
      }
    } catch (error) {
      broken = true;
      throw tooSlow(error);
    } finally {
      const ended = await client.query(broken ? 'ROLLBACK' : 'COMMIT').catch(() => undefined);
      client.release(ended === undefined);
    }
  }
}

/** 57014: the statement was cancelled by its timeout. */
function tooSlow(error: unknown): unknown {
  return (error as { code?: string }).code === '57014'
    ? new Fault('BUSY', { what: 'search' }, { cause: error })
    : error;
}

function planOf(query: ArchiveQuery): Plan {
  const statement = new Statement();
  const { text: from, conditions } = fromOf(query, statement);
  const text = `SELECT ${selectList(query.level, wantedTags(query))} ${from} ORDER BY ${orderOf(query)}`;
  return { statement, text, conditions };
}

function fromOf(
  { level, keys, fuzzy }: ArchiveQuery,
  statement: Statement,
): { readonly text: string; readonly conditions: Conditions } {
  const conditions = conditionsOf(keys, level, fuzzy ?? false, statement);
  const where = conditions.sql.length ? `WHERE ${conditions.sql.join(' AND ')}` : '';
  return { text: `FROM ${SOURCES[level]} ${where}`, conditions };
}

/** Tags whose value costs a count of its own: only when asked. */
function wantedTags(query: ArchiveQuery): ReadonlySet<Tag> {
  if (query.include === 'all') return new Set(COMPUTED);
  return new Set([...query.include, ...query.keys.map((key) => key.tag)]);
}

function orderOf(query: ArchiveQuery): string {
  const given = (query.order ?? []).flatMap(({ tag, descending }) => {
    const column = orderColumn(tag, query.level);
    return column === undefined ? [] : [`${column} ${descending ? 'DESC' : 'ASC'}`];
  });
  return given.length ? `${given.join(', ')}, ${DEFAULT_ORDER[query.level]}` : DEFAULT_ORDER[query.level];
}

function allAttributes(row: Record<string, unknown>): DicomJson {
  return {
    ...(row['study_attributes'] as DicomJson | undefined),
    ...(row['series_attributes'] as DicomJson | undefined),
    ...(row['attributes'] as DicomJson),
  };
}
