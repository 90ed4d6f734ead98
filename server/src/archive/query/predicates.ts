/**
 * Matching keys as SQL conditions.
 *
 * Keys with a column of their own are decided by the database alone. Other attributes the index knows are narrowed down by
 * the database where it can, and decided by the reference matcher (`core/dicom/matching.ts`).
 *
 * Source: PS3.4 §C.2.2.2 (attribute matching), §C.6.1.1, §C.6.2.1 (keys of the levels).
 * Layer:  server/archive.
 */
import type { Tag } from '@lightbox/core/dicom/data-set.ts';
import { tagHex } from '@lightbox/core/dicom/json.ts';
import { likePattern, type MatchKey, nameKeyGroups, type RangeKey } from '@lightbox/core/dicom/matching.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { foldWords } from '../index/describe.ts';
import { levelOf } from '../index/attributes.ts';
import type { Level } from '../types.ts';
import { escapeLike, like, type Statement } from './sql.ts';

type ColumnKind = 'text' | 'date' | 'time' | 'name' | 'array' | 'number' | 'folded-name';

interface ColumnRow {
  readonly level: Level;
  readonly column: string;
  readonly kind: ColumnKind;
}

const columnRow = (level: Level, column: string, kind: ColumnKind = 'text'): ColumnRow => ({
  level,
  column,
  kind,
});

/** Patient columns exist in `study` too, so that a study is found without a join. */
const COLUMNS: ReadonlyMap<Tag, ColumnRow> = new Map([
  [Tags.PatientID, columnRow('patient', 'patient_id')],
  [Tags.IssuerOfPatientID, columnRow('patient', 'issuer')],
  [Tags.PatientName, columnRow('patient', 'name', 'name')],
  [Tags.PatientBirthDate, columnRow('patient', 'birth_date', 'date')],
  [Tags.PatientSex, columnRow('patient', 'sex')],
  [Tags.StudyInstanceUID, columnRow('study', 'study_uid')],
  [Tags.StudyDate, columnRow('study', 'study_date', 'date')],
  [Tags.StudyTime, columnRow('study', 'study_time', 'time')],
  [Tags.StudyID, columnRow('study', 'study_id')],
  [Tags.StudyDescription, columnRow('study', 'description')],
  [Tags.AccessionNumber, columnRow('study', 'accession')],
  [Tags.ReferringPhysicianName, columnRow('study', 'referrer_fold', 'folded-name')],
  [Tags.ModalitiesInStudy, columnRow('study', 'modalities', 'array')],
  [Tags.SOPClassesInStudy, columnRow('study', 'sop_classes', 'array')],
  [Tags.NumberOfStudyRelatedSeries, columnRow('study', 'series_count', 'number')],
  [Tags.NumberOfStudyRelatedInstances, columnRow('study', 'instance_count', 'number')],
  [Tags.SeriesInstanceUID, columnRow('series', 'series_uid')],
  [Tags.SeriesNumber, columnRow('series', 'number', 'number')],
  [Tags.Modality, columnRow('series', 'modality')],
  [Tags.SeriesDescription, columnRow('series', 'description')],
  [Tags.BodyPartExamined, columnRow('series', 'body_part')],
  [Tags.Laterality, columnRow('series', 'laterality')],
  [Tags.NumberOfSeriesRelatedInstances, columnRow('series', 'instance_count', 'number')],
  [Tags.SOPInstanceUID, columnRow('instance', 'sop_uid')],
  [Tags.SOPClassUID, columnRow('instance', 'sop_class_uid')],
  [Tags.InstanceNumber, columnRow('instance', 'number', 'number')],
  [Tags.Rows, columnRow('instance', 'rows', 'number')],
  [Tags.Columns, columnRow('instance', 'columns', 'number')],
]);

const ORDER: readonly Level[] = ['patient', 'study', 'series', 'instance'];
export const isAtOrAbove = (one: Level, level: Level): boolean => ORDER.indexOf(one) <= ORDER.indexOf(level);

export const ALIASES = { patient: 'p', study: 's', series: 'e', instance: 'i' } as const;

/** Where a level's rows come from when `level` is asked for: patient columns and attributes are in the study's row. */
function aliasOf(own: Level, level: Level): string {
  return own === 'patient' && level !== 'patient' ? ALIASES.study : ALIASES[own];
}

/** An attribute the result can be sorted by, as SQL; undefined when it has no column. */
export function orderColumn(tag: Tag, level: Level): string | undefined {
  const found = COLUMNS.get(tag);
  if (!found || !isAtOrAbove(found.level, level)) return undefined;
  const column = found.kind === 'name' ? 'name_a' : found.column;
  return `${aliasOf(found.level, level)}.${column}`;
}

export interface Conditions {
  readonly sql: string[];
  /** Keys still to be decided by the reference matcher, on the attributes of the match. */
  readonly rest: MatchKey[];
  readonly ignored: Tag[];
}

/** Conditions for all keys of a search; universal keys match everything and give none. */
export function conditionsOf(
  keys: readonly MatchKey[],
  level: Level,
  fuzzy: boolean,
  statement: Statement,
): Conditions {
  const found: Conditions = { sql: [], rest: [], ignored: [] };
  for (const key of keys) {
    if (key.kind === 'universal') continue;
    const row = COLUMNS.get(key.tag);
    const own = row?.level ?? levelOf(key.tag);
    if (!own || !isAtOrAbove(own, level)) {
      found.ignored.push(key.tag);
      continue;
    }
    const alias = aliasOf(own, level);
    const condition = row && columnCondition(key, row, alias, fuzzy, statement);
    if (condition !== undefined) {
      found.sql.push(condition);
      continue;
    }
    const narrowed = narrow(key, alias, statement);
    if (narrowed !== undefined) found.sql.push(narrowed);
    found.rest.push(key);
  }
  return found;
}

function columnCondition(
  key: MatchKey,
  row: ColumnRow,
  alias: string,
  fuzzy: boolean,
  statement: Statement,
): string | undefined {
  const column = `${alias}.${row.column}`;
  switch (row.kind) {
    case 'name':
      return nameCondition(key, alias, fuzzy, statement);
    case 'folded-name':
      return foldedNameCondition(key, column, statement);
    case 'array':
      return arrayCondition(key, column, statement);
    case 'number':
      return numberCondition(key, column, statement);
    case 'date':
    case 'time':
    case 'text':
      return textCondition(key, column, row.kind === 'time' ? `${column}_to` : column, alias, statement);
    default:
      return row.kind satisfies never;
  }
}

function textCondition(
  key: MatchKey,
  column: string,
  columnTo: string,
  alias: string,
  statement: Statement,
): string | undefined {
  switch (key.kind) {
    case 'single':
      return `${column} = ${statement.bind(key.value)}`;
    case 'list':
      return `${column} = ANY(${statement.bind(key.values)}::text[])`;
    case 'wildcard':
      return like(column, statement.bind(likePattern(key.pattern)));
    case 'empty':
      return `${column} = ''`;
    case 'range':
      return rangeCondition(key, column, columnTo, alias, statement);
    case 'universal':
    case 'sequence':
    case 'every':
      return undefined;
    default:
      return key satisfies never;
  }
}

/** Values stand for a span of time: it has to touch the range. Unknown dates and times (empty) touch none. */
function rangeCondition(
  key: RangeKey,
  column: string,
  columnTo: string,
  alias: string,
  statement: Statement,
): string | undefined {
  const { from, to } = key;
  if (key.timeTag !== undefined) {
    if (key.tag !== Tags.StudyDate || key.timeTag !== Tags.StudyTime) return undefined;
    const first = `coalesce(nullif(${alias}.study_time, ''), '000000.000000')`;
    const last = `coalesce(nullif(${alias}.study_time_to, ''), '235959.999999')`;
    return allOf(
      `${column} <> ''`,
      // The day alone can use the index; the time decides within the first and last day.
      from === undefined ? undefined : `${column} >= ${statement.bind(from.slice(0, 8))}`,
      to === undefined ? undefined : `${column} <= ${statement.bind(to.slice(0, 8))}`,
      from === undefined ? undefined : `${column} || ${last} >= ${statement.bind(from)}`,
      to === undefined ? undefined : `${column} || ${first} <= ${statement.bind(to)}`,
    );
  }
  const lower = from === undefined ? undefined : `${columnTo} >= ${statement.bind(from)}`;
  const upper = to === undefined ? undefined : `${column} <= ${statement.bind(to)}`;
  if (key.vr === 'TM' && from !== undefined && to !== undefined && from > to) {
    return `(${column} <> '' AND (${lower} OR ${upper}))`;
  }
  return allOf(`${column} <> ''`, lower, upper);
}

const allOf = (...conditions: (string | undefined)[]): string =>
  `(${conditions.filter((one) => one !== undefined).join(' AND ')})`;

function numberCondition(key: MatchKey, column: string, statement: Statement): string | undefined {
  const cast = (text: string): number | null => (Number.isFinite(Number(text)) ? Number(text) : null);
  if (key.kind === 'single') return `${column} = ${statement.bind(cast(key.value))}::float8`;
  if (key.kind === 'list') return `${column} = ANY(${statement.bind(key.values.map(cast))}::float8[])`;
  return key.kind === 'empty' ? `${column} IS NULL` : undefined;
}

/** Matches when one of the study's values does (PS3.4 §C.3.4: Modalities in Study). */
function arrayCondition(key: MatchKey, column: string, statement: Statement): string | undefined {
  switch (key.kind) {
    case 'single':
      return `${column} @> ARRAY[${statement.bind(key.value)}]::text[]`;
    case 'list':
      return `${column} && ${statement.bind(key.values)}::text[]`;
    case 'every':
      return `${column} @> ${statement.bind(key.values)}::text[]`;
    case 'wildcard':
      return `EXISTS (SELECT 1 FROM unnest(${column}) AS value WHERE ${like('value', statement.bind(likePattern(key.pattern)))})`;
    case 'empty':
      return `${column} = '{}'`;
    case 'universal':
    case 'range':
    case 'sequence':
      return undefined;
    default:
      return key satisfies never;
  }
}

/** A key of one group is compared with every group of the name (PS3.5 §6.2.1.1); case does not matter (PS3.4 §C.2.2.2.1). */
function nameCondition(
  key: MatchKey,
  alias: string,
  fuzzy: boolean,
  statement: Statement,
): string | undefined {
  const columns = [`${alias}.name_a`, `${alias}.name_i`, `${alias}.name_p`];
  if (key.kind === 'empty') return columns.map((column) => `${column} = ''`).join(' AND ');
  const values = key.kind === 'wildcard' ? [key.pattern] : key.kind === 'single' ? [key.value] : undefined;
  if (key.kind === 'list') {
    return anyOf(
      key.values.map((value) => nameCondition({ ...key, kind: 'single', value }, alias, fuzzy, statement)!),
    );
  }
  if (!values?.[0]) return undefined;
  if (fuzzy) return wordsCondition(values[0], alias, columns, statement);
  const { groups, anyGroup } = nameKeyGroups(values[0]);
  const test = (column: string, group: string): string => {
    // The value was folded without trailing delimiters; so is the key, but for those behind a wildcard.
    const pattern = statement.bind(key.kind === 'wildcard' ? likePattern(group) : group);
    return key.kind === 'wildcard' ? like(column, pattern) : `${column} = ${pattern}`;
  };
  if (anyGroup)
    return anyOf(columns.map((column) => `(${column} <> '' AND ${test(column, groups[0] ?? '')})`));
  const given = groups.map((group, at) => (group === '' ? undefined : test(columns[at] ?? `''`, group)));
  return allOf('true', ...given);
}

const anyOf = (conditions: readonly string[]): string => `(${conditions.join(' OR ')})`;

/** Fuzzy: each word asked for begins a word of the name, without case and accents, in any order. */
function wordsCondition(
  value: string,
  alias: string,
  columns: readonly string[],
  statement: Statement,
): string {
  const words = foldWords(value.replace(/[*?]/g, ' '));
  const conditions = words.map((word) => {
    const pattern = statement.bind(`% ${escapeLike(word)}%`);
    return like(`${alias}.search`, pattern);
  });
  // The search column also holds numbers; a patient without any name matches none.
  return allOf(anyOf(columns.map((column) => `${column} <> ''`)), ...conditions);
}

/** Groups lie in one column as `=alphabetic=ideographic=phonetic`. */
function foldedNameCondition(key: MatchKey, column: string, statement: Statement): string | undefined {
  if (key.kind === 'empty') return `${column} = ''`;
  if (key.kind !== 'single' && key.kind !== 'wildcard') return undefined;
  const { groups, anyGroup } = nameKeyGroups(key.kind === 'single' ? key.value : key.pattern);
  const pattern = (group: string): string =>
    key.kind === 'wildcard' ? likePattern(group) : escapeLike(group);
  if (!anyGroup) return undefined;
  const group = pattern(groups[0] ?? '');
  // A wildcard may run over the border between groups; the reference matcher would not. Split, it cannot.
  return `EXISTS (SELECT 1 FROM unnest(string_to_array(${column}, '=')) AS one WHERE one <> '' AND ${like('one', statement.bind(group))})`;
}

/** Containment in the attributes, which an index answers; undefined when the key cannot be put so. */
export function narrow(key: MatchKey, alias: string, statement: Statement): string | undefined {
  const shapes = shapesOf(key);
  if (!shapes) return undefined;
  return anyOf(
    shapes.map((shape) => `${alias}.attributes @> ${statement.bind(JSON.stringify(shape))}::jsonb`),
  );
}

const MOST_SHAPES = 50;

/** JSON of which one has to be contained in a match. */
function shapesOf(key: MatchKey): Record<string, unknown>[] | undefined {
  const one = (value: unknown): Record<string, unknown> => ({ [tagHex(key.tag)]: { Value: [value] } });
  switch (key.kind) {
    case 'single':
      return valueShapes(key.vr, key.value)?.map(one);
    case 'list': {
      const all = key.values.map((value) => valueShapes(key.vr, value));
      if (all.length > MOST_SHAPES || all.some((shapes) => !shapes)) return undefined;
      return all.flatMap((shapes) => shapes!.map(one));
    }
    case 'every': {
      // JSON arrays contain one another in any order: all values in one shape.
      const all = key.values.map((value) => valueShapes(key.vr, value)?.[0]);
      return all.includes(undefined) ? undefined : [{ [tagHex(key.tag)]: { Value: all } }];
    }
    case 'sequence': {
      let inner: Record<string, unknown>[] = [{}];
      for (const part of key.keys) {
        const shapes = part.kind === 'universal' ? undefined : shapesOf(part);
        if (!shapes) continue;
        inner = inner.flatMap((left) => shapes.map((right) => ({ ...left, ...right })));
        if (inner.length > MOST_SHAPES) return undefined;
      }
      return inner.map(one);
    }
    case 'universal':
    case 'empty':
    case 'wildcard':
    case 'range':
      return undefined;
    default:
      return key satisfies never;
  }
}

/** Text stands in JSON as it is compared; names, dates and numbers have more than one form. */
function valueShapes(vr: string, value: string): unknown[] | undefined {
  return ['AE', 'AS', 'CS', 'LO', 'SH', 'UI', 'LT', 'ST', 'UC', 'UR', 'UT'].includes(vr)
    ? [value]
    : undefined;
}
