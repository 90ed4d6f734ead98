/**
 * Matching keys: what a C-FIND identifier, a QIDO-RS parameter or the study list asks for, as one value each.
 *
 * Source: PS3.4 §C.2.2.2 (attribute matching), §C.2.2.2.1 to .7 (single value, UID list, universal, wildcard, range,
 *         sequence, empty value, multiple values); PS3.18 §8.3.4 uses the same rules.
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';
import type { DataSet, Tag } from './data-set.ts';
import {
  inRange,
  parseDate,
  parseDateRange,
  parseDateTime,
  parseDateTimeRange,
  parseTime,
  parseTimeRange,
  type Range,
} from './date-time.ts';
import { lookup } from './dictionary.ts';
import { type DicomJson, type DicomJsonValue, elementValues, tagHex } from './json.ts';
import { formatPersonName, type PersonNameGroups } from './person-name.ts';
import { Tags } from './tags.gen.ts';
import type { Vr } from './vr.ts';

interface KeyOf<Kind extends string> {
  readonly kind: Kind;
  readonly tag: Tag;
  readonly vr: Vr;
}

/** Matches everything, the element's absence included; asks for the attribute to be returned (§C.2.2.2.3). */
export type UniversalKey = KeyOf<'universal'>;
/** Exactly this value; upper and lower case differ, except in PN (§C.2.2.2.1). DA is `YYYYMMDD`, numbers are decimal text. */
export interface SingleKey extends KeyOf<'single'> {
  readonly value: string;
}
/** Any one of these values, each as in SingleKey (§C.2.2.2.2 UID list; other lists mean this where nothing was agreed). */
export interface ListKey extends KeyOf<'list'> {
  readonly values: readonly string[];
}
/** All of these values, in any order, each as in SingleKey; the attribute may have others too (§C.2.2.2.8). */
export interface EveryKey extends KeyOf<'every'> {
  readonly values: readonly string[];
}
/** `*` any characters, `?` one character (§C.2.2.2.4). Give it to SQL through `likePattern`. */
export interface WildcardKey extends KeyOf<'wildcard'> {
  readonly pattern: string;
}
/**
 * Between two instants, both included; a side that is open is undefined (§C.2.2.2.5). DA sides are `YYYYMMDD`, TM sides
 * `HHMMSS.FFFFFF`, DT sides `YYYYMMDDHHMMSS.FFFFFF`. One TM or DT value is a range too: its precision decides.
 */
export interface RangeKey extends KeyOf<'range'>, Range {
  /** Set when `tag` (a date) and this time are matched as one instant: sides are then in the DT form. */
  readonly timeTag?: Tag | undefined;
}
/** At least one item of the sequence matches all of these (§C.2.2.2.6). */
export interface SequenceKey extends KeyOf<'sequence'> {
  readonly keys: readonly MatchKey[];
}
/** The element is absent or has no value (§C.2.2.2.7, asked for by two quotation marks). */
export type EmptyKey = KeyOf<'empty'>;

export type MatchKey =
  UniversalKey | SingleKey | ListKey | EveryKey | WildcardKey | RangeKey | SequenceKey | EmptyKey;

export interface MatchOptions {
  /** Two quotation marks mean "empty"; by negotiation or `emptyvaluematching=true`. Default false: they are a value. */
  readonly emptyValues?: boolean | undefined;
  /** Several values of an attribute that may have several mean all of them; agreed as `emptyValues` is. Default false: any. */
  readonly multipleValues?: boolean | undefined;
}

const SEVERAL_VRS: ReadonlySet<string> = new Set(['AE', 'AS', 'AT', 'CS', 'LO', 'PN', 'SH', 'UC']);

/** Whether several values of a key mean all of them, when that is agreed (§C.2.2.2.8: by VR, and VM greater than 1). */
export function hasMultipleMatching(tag: Tag, vr: Vr): boolean {
  return SEVERAL_VRS.has(vr) && (lookup(tag)?.vm ?? '1') !== '1';
}

/** No attribute of ours is longer (LO and PN components are 64); a longer pattern is an attack (catalogue case 65). */
export const MAX_KEY_LENGTH = 1024;
/** A UID list longer than this is refused; a study of 10,000 instances can still be asked for by UID. */
export const MAX_LIST_VALUES = 10_000;
const MAX_KEY_DEPTH = 8;

/** VRs in which `*` and `?` are wildcards (§C.2.2.2.4). */
const WILDCARD_VRS: ReadonlySet<string> = new Set([
  'AE',
  'CS',
  'LO',
  'LT',
  'PN',
  'SH',
  'ST',
  'UC',
  'UR',
  'UT',
]);
const NUMBER_VRS: ReadonlySet<string> = new Set(['DS', 'FD', 'FL', 'IS', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);

/**
 * One key from its text values (already split at backslashes).
 *
 * @throws Fault QUERY_KEY when the value has no meaning for its VR: the caller answers 400 or 0xA900.
 */
export function parseMatchKey(
  tag: Tag,
  vr: Vr,
  values: readonly string[],
  options: MatchOptions = {},
): MatchKey {
  const trimmed = values.map((value) =>
    vr === 'UI' ? value.replace(/[\0 ]+$/, '').trimStart() : value.trim(),
  );
  if (trimmed.every((value) => value === '' || isAllStars(value))) return { kind: 'universal', tag, vr };
  const fail = (what: string): Fault => new Fault('QUERY_KEY', { tag: tagHex(tag), vr, what });
  if (trimmed.some((value) => value.length > MAX_KEY_LENGTH)) throw fail('too long');
  if (options.emptyValues && trimmed.length === 1 && trimmed[0] === '""') return { kind: 'empty', tag, vr };
  if (trimmed.length > 1) {
    const members = trimmed.filter((value) => value !== '');
    if (members.length > MAX_LIST_VALUES) throw fail('too many values');
    const read = members.map((value) => {
      if (WILDCARD_VRS.has(vr) && hasWildcard(value)) throw fail('wildcard in a list');
      return exactValue(vr, value, fail);
    });
    if (read.length === 1) return { kind: 'single', tag, vr, value: read[0]! };
    const every = options.multipleValues === true && hasMultipleMatching(tag, vr);
    return { kind: every ? 'every' : 'list', tag, vr, values: read };
  }
  const value = trimmed[0]!;
  switch (vr) {
    case 'DA':
    case 'TM':
    case 'DT': {
      const date = vr === 'DA' ? parseDate(value) : undefined;
      if (date !== undefined) return { kind: 'single', tag, vr, value: date };
      const parse = vr === 'DA' ? parseDateRange : vr === 'TM' ? parseTimeRange : parseDateTimeRange;
      const range = parse(value);
      if (!range) throw fail('not a date or time');
      return { kind: 'range', tag, vr, ...range };
    }
    case 'SQ':
      throw fail('a sequence has no text value');
    default:
      if (WILDCARD_VRS.has(vr) && hasWildcard(value)) return { kind: 'wildcard', tag, vr, pattern: value };
      return { kind: 'single', tag, vr, value: exactValue(vr, value, fail) };
  }
}

function exactValue(vr: Vr, value: string, fail: (what: string) => Fault): string {
  if (vr === 'UI' && !/^[0-9.]{1,64}$/.test(value)) throw fail('not a UID');
  if (NUMBER_VRS.has(vr) && !Number.isFinite(Number(value))) throw fail('not a number');
  if (vr === 'DA') {
    const date = parseDate(value);
    if (date === undefined) throw fail('not a date');
    return date;
  }
  return value;
}

const hasWildcard = (value: string): boolean => value.includes('*') || value.includes('?');
const isAllStars = (value: string): boolean => value !== '' && !/[^*]/.test(value);

/** A key on the items of a sequence; universal when nothing in it is asked to match. */
export function sequenceKey(tag: Tag, keys: readonly MatchKey[]): MatchKey {
  if (keys.every((key) => key.kind === 'universal')) return { kind: 'universal', tag, vr: 'SQ' };
  return { kind: 'sequence', tag, vr: 'SQ', keys };
}

/** Tags of an identifier that are not keys: Specific Character Set, Query/Retrieve Level, time zone, group lengths. */
export const NOT_KEYS: ReadonlySet<Tag> = new Set([0x00080005, 0x00080052, 0x00080053, 0x00080201]);

/** Every key of a C-FIND identifier, universal ones included (they are the return keys), in tag order. */
export function matchKeysOf(identifier: DataSet, options: MatchOptions = {}): MatchKey[] {
  return keysOf(identifier, options, 0);
}

function keysOf(identifier: DataSet, options: MatchOptions, depth: number): MatchKey[] {
  if (depth > MAX_KEY_DEPTH) throw new Fault('DICOM_DEPTH', { limit: MAX_KEY_DEPTH });
  const keys: MatchKey[] = [];
  for (const element of identifier.elements.values()) {
    if (NOT_KEYS.has(element.tag) || (element.tag & 0xffff) === 0) continue;
    if (element.items || element.vr === 'SQ') {
      // §C.2.2.2.6: one item; more would be alternatives that the standard does not define.
      if ((element.items?.length ?? 0) > 1) {
        throw new Fault('QUERY_KEY', { tag: tagHex(element.tag), what: 'more than one item' });
      }
      const item = element.items?.[0];
      keys.push(sequenceKey(element.tag, item ? keysOf(item, options, depth + 1) : []));
    } else {
      const values = elementValues(element, identifier).map(keyText);
      keys.push(parseMatchKey(element.tag, element.vr, values, options));
    }
  }
  return keys;
}

const keyText = (value: DicomJsonValue): string =>
  value === null
    ? ''
    : typeof value === 'object'
      ? formatPersonName(value as PersonNameGroups)
      : String(value);

/**
 * Combined date-time matching: two ranges on a date and its time become one from instant to instant, where the plain
 * rules would match that part of every day (§C.2.2.2.5, by negotiation).
 */
export function combineDateTime(keys: readonly MatchKey[], dateTag: Tag, timeTag: Tag): MatchKey[] {
  const date = keys.find((key) => key.tag === dateTag);
  const time = keys.find((key) => key.tag === timeTag);
  if (!date || !time || time.kind !== 'range') return [...keys];
  const days: Range | undefined =
    date.kind === 'single' ? { from: date.value, to: date.value } : date.kind === 'range' ? date : undefined;
  if (!days) return [...keys];
  const joined: RangeKey = {
    kind: 'range',
    tag: dateTag,
    vr: 'DA',
    timeTag,
    from: days.from === undefined ? undefined : days.from + (time.from ?? '000000.000000'),
    to: days.to === undefined ? undefined : days.to + (time.to ?? '235959.999999'),
  };
  return [...keys.filter((key) => key !== date && key !== time), joined];
}

/** Date and time of the same moment: with combined matching, ranges on both are one span (§C.2.2.2.5.1). */
const MOMENTS: readonly (readonly [date: Tag, time: Tag])[] = [
  [Tags.StudyDate, Tags.StudyTime],
  [Tags.SeriesDate, Tags.SeriesTime],
  [Tags.AcquisitionDate, Tags.AcquisitionTime],
  [Tags.ContentDate, Tags.ContentTime],
  [Tags.PerformedProcedureStepStartDate, Tags.PerformedProcedureStepStartTime],
];

/** `combineDateTime` for every moment that the keys ask for. */
export function combineMoments(keys: readonly MatchKey[]): MatchKey[] {
  return MOMENTS.reduce((all, [date, time]) => combineDateTime(all, date, time), [...keys]);
}

/** The pattern for SQL `LIKE … ESCAPE '\'`: everything of the input but `*` and `?` stands for itself. */
export function likePattern(pattern: string): string {
  let like = '';
  for (const char of pattern) {
    if (char === '*') {
      if (!like.endsWith('%') || like.endsWith('\\%')) like += '%';
    } else if (char === '?') like += '_';
    else if (char === '%' || char === '_' || char === '\\') like += '\\' + char;
    else like += char;
  }
  return like;
}

/** Whether the text matches, in time proportional to its length times the pattern's at worst. */
export function wildcardMatches(pattern: string, text: string): boolean {
  const wanted = [...pattern];
  const given = [...text];
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let here = 0; here < given.length;) {
    if (wanted[at] === '*') {
      star = at++;
      resume = here;
    } else if (at < wanted.length && (wanted[at] === '?' || wanted[at] === given[here])) {
      at++;
      here++;
    } else if (star >= 0) {
      at = star + 1;
      here = ++resume;
    } else {
      return false;
    }
  }
  while (wanted[at] === '*') at++;
  return at === wanted.length;
}

/** The form in which person names are compared: no case, composed characters, no padding around components. */
export function foldName(text: string): string {
  const parts = text
    .normalize('NFC')
    .toLowerCase()
    .split('^')
    .map((part) => part.trim().replace(/ +/g, ' '));
  while (parts.length > 1 && parts[parts.length - 1] === '') parts.pop();
  return parts.join('^');
}

/** Component groups of a PN key, folded; a key of one group is compared with every group of the value. */
export function nameKeyGroups(value: string): {
  readonly groups: readonly string[];
  readonly anyGroup: boolean;
} {
  const groups = value.split('=').map(foldName);
  while (groups.length > 1 && groups[groups.length - 1] === '') groups.pop();
  return { groups, anyGroup: groups.length === 1 };
}

/**
 * The reference matcher: slow, obvious, and what the index is tested against.
 *
 * @param json  A data set as `toJson` gives it.
 */
export function matches(key: MatchKey, json: DicomJson): boolean {
  const values = (json[tagHex(key.tag)]?.Value ?? []).filter((value) => value !== null);
  switch (key.kind) {
    case 'universal':
      return true;
    case 'empty':
      return values.length === 0;
    case 'sequence':
      return values.some((item) => key.keys.every((inner) => matches(inner, item as DicomJson)));
    case 'single':
      return values.some((value) => equals(key.vr, key.value, value));
    case 'list':
      return values.some((value) => key.values.some((wanted) => equals(key.vr, wanted, value)));
    case 'every':
      return key.values.every((wanted) => values.some((value) => equals(key.vr, wanted, value)));
    case 'wildcard':
      return values.some((value) =>
        key.vr === 'PN'
          ? nameMatches(key.pattern, value as PersonNameGroups, wildcardMatches)
          : wildcardMatches(key.pattern, String(value as string)),
      );
    case 'range':
      return values.some((value) => rangeMatches(key, String(value as string), json));
    default:
      return key satisfies never;
  }
}

function equals(vr: Vr, wanted: string, value: DicomJsonValue): boolean {
  if (vr === 'PN') return nameMatches(wanted, value as PersonNameGroups, (one, other) => one === other);
  if (NUMBER_VRS.has(vr)) return Number(wanted) === Number(value);
  if (vr === 'DA') return wanted === parseDate(String(value as string));
  return wanted === String(value as string);
}

function nameMatches(
  key: string,
  value: PersonNameGroups,
  test: (wanted: string, given: string) => boolean,
): boolean {
  const given = [value.Alphabetic, value.Ideographic, value.Phonetic].map((group) => foldName(group ?? ''));
  const { groups, anyGroup } = nameKeyGroups(key);
  if (anyGroup) return given.some((group) => group !== '' && test(groups[0]!, group));
  return groups.every((group, index) => group === '' || test(group, given[index] ?? ''));
}

function rangeMatches(key: RangeKey, value: string, json: DicomJson): boolean {
  if (key.timeTag !== undefined) {
    const date = parseDate(value);
    const time = parseTime(String((json[tagHex(key.timeTag)]?.Value?.[0] ?? '') as string));
    if (date === undefined) return false;
    const clock = time ?? { from: '000000.000000', to: '235959.999999' };
    return inRange({ from: date + clock.from, to: date + clock.to }, key);
  }
  if (key.vr === 'DA') {
    const date = parseDate(value);
    return date !== undefined && inRange({ from: date, to: date }, key);
  }
  if (key.vr === 'TM') {
    const time = parseTime(value);
    if (!time) return false;
    // A range over midnight (2200-0200) is both ends of the day, since the date is matched by its own key.
    if (key.from !== undefined && key.to !== undefined && key.from > key.to) {
      return time.to >= key.from || time.from <= key.to;
    }
    return inRange(time, key);
  }
  const instant = parseDateTime(value);
  return instant !== undefined && inRange(instant, key);
}
