/**
 * Attributes as rules name them: a keyword or a tag, into sequences with dots; and their values in an object.
 *
 * Source: PS3.6 §6 (keywords), PS3.5 §6.4 (multiplicity), PS3.18 Annex F (DICOM JSON).
 * Layer:  core/translate.
 */
import type { DataSet, Tag } from '../../dicom/data-set.ts';
import {
  type DictionaryEntry,
  isPrivate,
  keywords,
  lookup,
  parseTag,
  tagHex,
} from '../../dicom/dictionary.ts';
import type { DicomJson, DicomJsonValue } from '../../dicom/json.ts';
import { formatPersonName, type PersonNameGroups } from '../../dicom/person-name.ts';
import { effectiveVr, elementTexts } from '../../dicom/values.ts';

export interface AttributePath {
  /** As it was written, in keywords. */
  readonly name: string;
  readonly tags: readonly Tag[];
  /** Of the last one. */
  readonly entry: DictionaryEntry;
}

export type PathFault =
  { readonly code: 'keyword'; readonly suggestion: string } | { readonly code: 'privateTag' | 'notSequence' };

const DEEPEST = 4;

/** `Modality`, `00080060`, `(0008,0060)`, `RequestAttributesSequence.ScheduledProcedureStepID`. */
export function parsePath(text: string): AttributePath | PathFault {
  const parts = text.split('.');
  if (parts.length > DEEPEST) return { code: 'keyword', suggestion: `Write at most ${DEEPEST} parts` };
  const entries: DictionaryEntry[] = [];
  for (const part of parts) {
    const before = entries.at(-1);
    if (before && before.vr !== 'SQ') return { code: 'notSequence' };
    const name = part.trim().replace(/^\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?$/, '$1$2');
    const tag = parseTag(name);
    if (tag !== undefined && isPrivate(tag)) return { code: 'privateTag' };
    const entry = tag === undefined ? undefined : lookup(tag);
    // Group lengths and the like are no attributes of an object.
    if (!entry || entry.keyword === '') return { code: 'keyword', suggestion: suggestionFor(part) };
    entries.push(entry);
  }
  const last = entries.at(-1);
  if (!last) return { code: 'keyword', suggestion: suggestionFor(text) };
  const name = entries.map(({ keyword }) => keyword).join('.');
  return { name, tags: entries.map(({ tag }) => tag), entry: last };
}

/** What was probably meant. */
function suggestionFor(text: string): string {
  const near = nearest(text.slice(0, 64), keywords());
  return near === undefined
    ? 'Write a keyword such as Modality, or a tag such as 00080060'
    : `Write ${near}?`;
}

/** The most similar one, when it is similar. */
export function nearest(text: string, known: Iterable<string>): string | undefined {
  const wanted = text.toLowerCase().replaceAll(/[\s_-]/g, '');
  let best: string | undefined;
  let least = Math.min(3, Math.floor(wanted.length / 3)) + 1;
  for (const one of known) {
    if (Math.abs(one.length - wanted.length) >= least) continue;
    const far = distance(wanted, one.toLowerCase(), least);
    if (far < least) [best, least] = [one, far];
  }
  return best;
}

/** Letters to change, at most `limit`. */
function distance(a: string, b: string, limit: number): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1)
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    if (Math.min(...next) >= limit) return limit;
    row = next;
  }
  return Math.min(row[b.length] ?? limit, limit);
}

/** Of one attribute so many values are looked at, each so far: a hostile object does not make rules slow. */
const MOST_VALUES = 16;
const LONGEST = 1024;

/** What of an object rules look at. */
export interface Attributes {
  /** Values as text, without padding and empty ones. A name also as each of its groups. */
  values(path: readonly Tag[]): readonly string[];
  /** It is there and not empty. */
  exists(path: readonly Tag[]): boolean;
  /** All values of the first one with backslashes between them; undefined when there is none. */
  whole(path: readonly Tag[]): string | undefined;
}

const bounded = (values: readonly string[]): string[] => {
  const out: string[] = [];
  for (const value of values) {
    const text = value.trim();
    if (text === '') continue;
    out.push(text.length > LONGEST ? text.slice(0, LONGEST) : text);
    if (out.length === MOST_VALUES) break;
  }
  return out;
};

/** Groups of a name beside the whole: a rule may name any of them. */
const names = (values: readonly string[]): string[] =>
  values.flatMap((value) => (value.includes('=') ? [value, ...value.split('=')] : [value]));

/** Of a data set in memory. */
export function attributesOfDataSet(root: DataSet): Attributes {
  const leaves = (path: readonly Tag[]): readonly [DataSet, Tag][] => {
    let sets: readonly DataSet[] = [root];
    for (const tag of path.slice(0, -1))
      sets = sets.flatMap((one) => one.elements.get(tag)?.items ?? []).slice(0, MOST_VALUES);
    const last = path.at(-1) ?? 0;
    return sets.map((one) => [one, last]);
  };
  return {
    values: (path) =>
      bounded(
        leaves(path).flatMap(([set, tag]) => {
          const element = set.elements.get(tag);
          if (!element) return [];
          const texts = elementTexts(element, set);
          return effectiveVr(element) === 'PN' ? names(texts) : texts;
        }),
      ),
    whole: (path) => {
      const [first] = leaves(path);
      const element = first?.[0].elements.get(first[1]);
      return (first && element && elementTexts(element, first[0]).join('\\')) || undefined;
    },
    exists: (path) =>
      leaves(path).some(([set, tag]) => {
        const element = set.elements.get(tag);
        if (!element) return false;
        if (element.items) return element.items.length > 0;
        if (element.bulk) return element.bulk.length > 0;
        if (element.fragments) return true;
        return elementTexts(element, set).some((one) => one !== '') || isFilled(element.bytes, element.vr);
      }),
  };
}

/** Binary values have no text. */
const isFilled = (bytes: Uint8Array | undefined, vr: string): boolean =>
  bytes !== undefined && bytes.length > 0 && (vr.startsWith('O') || vr === 'UN');

/** Of DICOM JSON, as the index keeps it. */
export function attributesOfJson(root: DicomJson): Attributes {
  const leaves = (path: readonly Tag[]): readonly DicomJson[string][] => {
    let sets: readonly DicomJson[] = [root];
    for (const tag of path.slice(0, -1))
      sets = sets.flatMap((one) => (one[tagHex(tag)]?.Value ?? []).filter(isSet)).slice(0, MOST_VALUES);
    const last = tagHex(path.at(-1) ?? 0);
    return sets.flatMap((one) => one[last] ?? []);
  };
  return {
    values: (path) =>
      bounded(
        leaves(path).flatMap(({ vr, Value = [] }) => {
          if (vr === 'SQ') return [];
          const texts = Value.map(textOf);
          return vr === 'PN' ? names(texts) : texts;
        }),
      ),
    whole: (path) => {
      const [first] = leaves(path);
      return first && first.vr !== 'SQ' ? (first.Value ?? []).map(textOf).join('\\') || undefined : undefined;
    },
    exists: (path) =>
      leaves(path).some(
        ({ vr, Value, InlineBinary, BulkDataURI }) =>
          BulkDataURI !== undefined ||
          (InlineBinary ?? '') !== '' ||
          (vr === 'SQ' ? (Value?.length ?? 0) > 0 : (Value ?? []).some((one) => textOf(one) !== '')),
      ),
  };
}

const isSet = (value: DicomJsonValue): value is DicomJson => typeof value === 'object' && value !== null;
const textOf = (value: DicomJsonValue): string =>
  value === null
    ? ''
    : typeof value === 'object'
      ? formatPersonName(value as PersonNameGroups)
      : String(value);
