/**
 * The study list and one study, as the pages show them.
 *
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type {
  SeriesRow,
  StudyDetail,
  StudyListQuery,
  StudyPage,
  StudyRow,
  StudySort,
} from '@lightbox/core/contract/api.ts';
import { parsePersonName } from '@lightbox/core/dicom/person-name.ts';
import type { z } from 'zod';
import type { Database } from '../platform/database.ts';
import { foldWords } from './index/describe.ts';
import { seriesKind } from './series-kind.ts';
import { escapeLike, like, Statement } from './query/sql.ts';

type Page = z.infer<typeof StudyPage>;
type Row = z.infer<typeof StudyRow>;
type Detail = z.infer<typeof StudyDetail>;
type Series = z.infer<typeof SeriesRow>;
type ListQuery = z.infer<typeof StudyListQuery>;

export interface Studies {
  list(query: ListQuery): Promise<Page>;
  /** @throws Fault NOT_FOUND. */
  detail(studyUid: string): Promise<Detail>;
  /** Whose those are that are here. */
  names(studyUids: readonly string[]): Promise<ReadonlyMap<string, StudyNames>>;
}

export type StudyNames = Pick<Row, 'patientName' | 'patientId' | 'description'>;

/** Counting goes so far; beyond it the number is an estimate. */
const COUNT_TO = 10_000;

/** What each order compares; a missing value sorts as the least. Every one has an index that ends in study_uid. */
const ORDERS: Readonly<Record<z.infer<typeof StudySort>, readonly string[]>> = {
  date: ['study_date', 'study_time'],
  patientName: ['name_a'],
  patientId: ['patient_id'],
  birthDate: ['birth_date'],
  description: ['lower(description)'],
  accession: ['accession'],
  modality: ['modality_text'],
  received: ['received_at'],
};

const COLUMNS = `id, study_uid, name, patient_id, issuer, birth_date, sex, study_date, study_time, description, accession,
  referrer, modalities, series_count, instance_count, received_at, stable, warnings, corrected`;

interface StudyColumns {
  readonly id: string;
  readonly study_uid: string;
  readonly name: string;
  readonly patient_id: string;
  readonly issuer: string;
  readonly birth_date: string;
  readonly sex: string;
  readonly study_date: string;
  readonly study_time: string;
  readonly description: string;
  readonly accession: string;
  readonly referrer: string;
  readonly modalities: string[];
  readonly series_count: number;
  readonly instance_count: number;
  readonly received_at: Date;
  readonly stable: boolean;
  readonly warnings: string[];
  readonly corrected: boolean;
}

export function createStudies(database: Database): Studies {
  return {
    list: (query) => list(database, query),
    detail: (studyUid) => detail(database, studyUid),
    names: (studyUids) => names(database, studyUids),
  };
}

async function list(database: Database, query: ListQuery): Promise<Page> {
  const filter = new Statement();
  const conditions = filtersOf(query, filter);
  const where = conditions.length ? `WHERE ${conditions.join(' AND ')}` : '';
  const counted = await countStudies(database, where, filter.values);
  const statement = new Statement();
  filtersOf(query, statement);
  const keys = [...ORDERS[query.sort], 'study_uid', 'id'];
  const direction = query.descending ? 'DESC' : 'ASC';
  const after = query.cursor === undefined ? undefined : readCursor(query.cursor, query, keys.length);
  const placeholders = after?.map((value, at) => statement.bind(value) + (CASTS[keys[at] ?? ''] ?? ''));
  const beyond = placeholders
    ? `(${keys.join(', ')}) ${query.descending ? '<' : '>'} (${placeholders.join(', ')})`
    : 'true';
  const columns = keys.map((key, at) => `${key}::text AS key_${at}`).join(', ');
  // OFFSET 0 is a fence: what few studies match is found first and sorted then. Without it the planner, hoping for more,
  // walks the whole archive along the order.
  const few = conditions.length > 0 && !counted.totalIsEstimate;
  const text = `SELECT ${COLUMNS}, ${columns} FROM (SELECT * FROM study ${where} ${few ? 'OFFSET 0' : ''}) AS study
    WHERE ${beyond} ORDER BY ${keys.map((key) => `${key} ${direction}`).join(', ')}
    LIMIT ${statement.bind(query.limit + 1)}`;
  const { rows } = await database.pool.query<StudyColumns & Record<string, string>>(text, statement.values);
  const shown = rows.slice(0, query.limit);
  const last = shown.at(-1);
  const next =
    rows.length > query.limit && last
      ? writeCursor(
          query,
          keys.map((_, at) => last[`key_${at}`] ?? ''),
        )
      : null;
  return { items: shown.map(rowOf), next, ...counted };
}

const CASTS: Readonly<Record<string, string>> = { received_at: '::timestamptz', id: '::bigint' };

/** Exact as far as counting is cheap; without filters the planner's figure, else what it expects of this filter. */
async function countStudies(
  database: Database,
  where: string,
  values: unknown[],
): Promise<{ total: number; totalIsEstimate: boolean }> {
  const counted = await database.pool.query<{ count: string }>(
    `SELECT count(*) FROM (SELECT 1 FROM study ${where} LIMIT ${COUNT_TO + 1}) AS found`,
    values,
  );
  const count = Number(counted.rows[0]?.count);
  if (count <= COUNT_TO) return { total: count, totalIsEstimate: false };
  const plan = await database.pool.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `EXPLAIN (FORMAT JSON) SELECT 1 FROM study ${where}`,
    values,
  );
  const expected = plan.rows[0]?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0;
  return { total: Math.max(Math.round(expected), COUNT_TO + 1), totalIsEstimate: true };
}

function filtersOf(query: ListQuery, statement: Statement): string[] {
  const conditions: string[] = [];
  const words = (text: string | undefined): void => {
    for (const word of foldWords(text ?? '')) {
      conditions.push(like('search', statement.bind(`% ${escapeLike(word)}%`)));
    }
  };
  words(query.search);
  if (query.patientName) {
    words(query.patientName);
    conditions.push(`(name_a <> '' OR name_i <> '' OR name_p <> '')`);
  }
  const prefix = (column: string, text: string | undefined): void => {
    if (text) conditions.push(like(column, statement.bind(`${escapeLike(text.trim())}%`)));
  };
  prefix('patient_id', query.patientId);
  prefix('accession', query.accession);
  if (query.description) {
    conditions.push(
      like('lower(description)', statement.bind(`%${escapeLike(query.description.trim().toLowerCase())}%`)),
    );
  }
  const modalities = (query.modality ?? '').split(',').map((one) => one.trim().toUpperCase());
  const asked = modalities.filter((one) => one !== '');
  if (asked.length) conditions.push(`modalities && ${statement.bind(asked)}::text[]`);
  if (query.dateFrom) conditions.push(`study_date >= ${statement.bind(query.dateFrom)}`);
  if (query.dateTo) conditions.push(`study_date <= ${statement.bind(query.dateTo)} AND study_date <> ''`);
  return conditions;
}

function writeCursor(query: ListQuery, keys: readonly string[]): string {
  return Buffer.from(JSON.stringify([query.sort, query.descending, ...keys])).toString('base64url');
}

/** @throws Fault BAD_REQUEST for a cursor that is not of this order. */
function readCursor(cursor: string, query: ListQuery, length: number): string[] {
  try {
    const read: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (
      Array.isArray(read) &&
      read.length === length + 2 &&
      read[0] === query.sort &&
      read[1] === query.descending
    ) {
      const keys: unknown[] = read.slice(2);
      const [id] = keys.slice(-1);
      if (
        keys.every((key) => typeof key === 'string' && !key.includes('\0')) &&
        /^\d{1,18}$/.test(String(id))
      ) {
        return keys as string[];
      }
    }
  } catch {
    // falls through to the fault
  }
  throw new Fault('BAD_REQUEST', { what: 'cursor' });
}

function rowOf(row: StudyColumns): Row {
  const groups = parsePersonName(row.name) ?? {};
  return {
    studyUid: row.study_uid,
    patientName: {
      alphabetic: groups.Alphabetic ?? '',
      ...(groups.Ideographic === undefined ? {} : { ideographic: groups.Ideographic }),
      ...(groups.Phonetic === undefined ? {} : { phonetic: groups.Phonetic }),
    },
    patientId: row.patient_id,
    ...(row.issuer === '' ? {} : { issuer: row.issuer }),
    birthDate: row.birth_date,
    sex: row.sex,
    date: row.study_date,
    time: row.study_time.replace(/\.0+$/, ''),
    description: row.description,
    accession: row.accession,
    referrer: row.referrer,
    modalities: row.modalities,
    seriesCount: row.series_count,
    instanceCount: row.instance_count,
    receivedAt: row.received_at.toISOString(),
    arriving: !row.stable,
    ...(row.warnings.length ? { warnings: row.warnings } : {}),
    ...(row.corrected ? { corrected: true } : {}),
  };
}

async function names(
  database: Database,
  studyUids: readonly string[],
): Promise<ReadonlyMap<string, StudyNames>> {
  const { rows } = await database.pool.query<StudyColumns>(
    `SELECT ${COLUMNS} FROM study WHERE study_uid = ANY($1::text[]) ORDER BY id DESC`,
    [studyUids],
  );
  return new Map(
    rows
      .map(rowOf)
      .map(({ studyUid, patientName, patientId, description }) => [
        studyUid,
        { patientName, patientId, description },
      ]),
  );
}

interface SeriesColumns {
  readonly study_fk: string;
  readonly series_uid: string;
  readonly number: number | null;
  readonly modality: string;
  readonly description: string;
  readonly body_part: string;
  readonly laterality: string;
  readonly instance_count: number;
  readonly frame_count: number;
  readonly sop_classes: string[];
  readonly middle: string | null;
  readonly middle_syntax: string | null;
}

async function detail(database: Database, studyUid: string): Promise<Detail> {
  const found = await database.pool.query<StudyColumns>(
    `SELECT ${COLUMNS} FROM study WHERE study_uid = $1 ORDER BY id`,
    [studyUid],
  );
  const [study, ...others] = found.rows;
  if (!study) throw new Fault('NOT_FOUND');
  const series = await database.pool.query<SeriesColumns>(
    `SELECT e.*, m.sop_uid AS middle, m.transfer_syntax_uid AS middle_syntax
       FROM series e LEFT JOIN LATERAL (SELECT i.sop_uid, i.transfer_syntax_uid FROM instance i
         WHERE i.series_fk = e.id ORDER BY i.number, i.sop_uid OFFSET e.instance_count / 2 LIMIT 1) m ON true
       WHERE e.study_fk = ANY($1) ORDER BY e.study_fk, e.number NULLS LAST, e.series_uid`,
    [[study, ...others].map((one) => one.id)],
  );
  const patients = new Map([study, ...others].map((one) => [one.id, rowOf(one)]));
  return {
    ...rowOf(study),
    seriesCount: found.rows.reduce((sum, one) => sum + one.series_count, 0),
    instanceCount: found.rows.reduce((sum, one) => sum + one.instance_count, 0),
    series: series.rows.map((row) =>
      seriesOf(row, row.study_fk === study.id ? undefined : patients.get(row.study_fk)),
    ),
  };
}

/** `patient` is set when the series came with another patient than the study: pages have to say so. */
function seriesOf(row: SeriesColumns, patient: Row | undefined): Series {
  return {
    seriesUid: row.series_uid,
    number: row.number,
    modality: row.modality,
    description: row.description,
    bodyPart: row.body_part,
    laterality: row.laterality,
    instanceCount: row.instance_count,
    frameCount: row.frame_count,
    kind: seriesKind(row.sop_classes, row.frame_count, row.middle_syntax ?? ''),
    sopClassUids: row.sop_classes,
    thumbnailSopUid: row.middle ?? '',
    ...(patient ? { otherPatient: { patientName: patient.patientName, patientId: patient.patientId } } : {}),
  };
}
