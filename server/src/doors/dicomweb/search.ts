/**
 * QIDO-RS: finding studies, series and instances.
 *
 * Source: PS3.18 §8.3.4 (query parameters and the texts of their warnings), §10.6 (Search transaction), Table 10.6.1-2 (resources),
 *         PS3.4 §C.2.2.2 (matching).
 * Layer:  server/doors/dicomweb.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { lookup, parseTag, tagText } from '@lightbox/core/dicom/dictionary.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import {
  combineMoments,
  hasMultipleMatching,
  type MatchKey,
  type MatchOptions,
  NOT_KEYS,
  parseMatchKey,
  sequenceKey,
} from '@lightbox/core/dicom/matching.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { toXml } from '@lightbox/core/dicom/xml.ts';
import { MAX_COUNTED } from '../../archive/query/query.ts';
import type { ArchiveQuery, ObjectScope, QueryAnswer, QueryMatch } from '../../archive/types.ts';
import { acceptOf, instancePath, principalOf, rootUrl, sendMultipart } from './answer.ts';
import { type DoorContext, scopeOf } from './context.ts';
import { covers } from './media.ts';

export type SearchLevel = 'study' | 'series' | 'instance';

/** One answer is at most this long; the rest is fetched with `offset` (§8.3.4.4 allows a server a limit of its own). */
export const MAX_RESULTS = 10_000;
/** A query string with more keys is no client's. */
const MAX_PARAMETERS = 200;
const MAX_PATH_DEPTH = 8;
/** Parameters of other sections that have no meaning for matching (§8.3.3.1, §8.3.3.2). */
const NEGOTIATION = new Set(['accept', 'charset']);

type QueryText = Readonly<Record<string, string | string[] | undefined>>;

export interface ParsedSearch {
  readonly query: ArchiveQuery;
  /** Texts for `Warning: 299` headers. */
  readonly warnings: readonly string[];
}

/**
 * The query of a URL.
 *
 * @param scope  UIDs of the path; '' when the path has none.
 * @throws Fault BAD_REQUEST, QUERY_KEY
 */
export function parseSearch(level: SearchLevel, scope: ObjectScope, text: QueryText): ParsedSearch {
  const entries = Object.entries(text);
  if (entries.length > MAX_PARAMETERS) throw new Fault('BAD_REQUEST', { problem: 'too many parameters' });
  const options: MatchOptions = {
    emptyValues: flag(text, 'emptyvaluematching'),
    multipleValues: flag(text, 'multiplevaluematching'),
  };
  const fuzzy = flag(text, 'fuzzymatching');
  const keys: MatchKey[] = [];
  const warnings: string[] = [];
  const include = new Set<number>();
  let all = false;
  let ignored = 0;
  if (scope.studyUid !== '') keys.push(parseMatchKey(Tags.StudyInstanceUID, 'UI', [scope.studyUid]));
  if (scope.seriesUid !== undefined)
    keys.push(parseMatchKey(Tags.SeriesInstanceUID, 'UI', [scope.seriesUid]));
  for (const [name, given] of entries) {
    const values = given === undefined ? [] : Array.isArray(given) ? given : [given];
    if (name === 'includefield') {
      for (const field of values.flatMap((value) => value.split(','))) {
        if (field.trim() === '') continue;
        const tag = parseTag(field.trim().split('.')[0] ?? '');
        if (field.trim() === 'all') all = true;
        else if (tag === undefined) ignored += 1;
        else include.add(tag);
      }
    } else if (!PARAMETERS.has(name) && !NEGOTIATION.has(name)) {
      const path = name.split('.').map(parseTag);
      if (path.length > MAX_PATH_DEPTH || path.some((tag) => tag === undefined || NOT_KEYS.has(tag))) {
        ignored += 1;
        continue;
      }
      // The same attribute again means both at once (§8.3.4.1 has it once; a client that repeats it wants both).
      for (const value of values) keys.push(keyAt(path as number[], value, options));
    }
  }
  if (ignored > 0)
    warnings.push(`${ignored} parameter(s) of the request are not known here and have been ignored`);
  // Names other than the patient's have no index of words.
  if (
    fuzzy &&
    keys.some(({ vr, tag, kind }) => vr === 'PN' && tag !== Tags.PatientName && kind !== 'universal')
  )
    warnings.push(NO_FUZZY);
  const limit = integer(text, 'limit');
  return {
    query: {
      level,
      // Always (§8.3.4.1.1).
      keys: combineMoments(keys),
      include: all ? 'all' : [...include],
      fuzzy,
      limit: Math.min(limit ?? MAX_RESULTS, MAX_RESULTS),
      offset: integer(text, 'offset') ?? 0,
      countRemaining: true,
    },
    warnings,
  };
}

/** (§8.3.4.2) */
const NO_FUZZY = 'The fuzzymatching parameter is not supported. Only literal matching has been performed.';

const PARAMETERS = new Set([
  'includefield',
  'fuzzymatching',
  'emptyvaluematching',
  'multiplevaluematching',
  'limit',
  'offset',
]);

/** A key from `tag.tag.tag=value`: the last is the attribute, those before it sequences (§8.3.4.1). */
function keyAt(path: readonly number[], value: string, options: MatchOptions): MatchKey {
  const [tag = 0, ...rest] = path;
  if (rest.length > 0) return sequenceKey(tag, [keyAt(rest, value, options)]);
  const vr = lookup(tag)?.vr ?? 'LO';
  if (vr === 'SQ') return sequenceKey(tag, []);
  // A comma is part of a text, but where several values are agreed on (§8.3.4.1).
  const listed = vr === 'UI' || (options.multipleValues === true && hasMultipleMatching(tag, vr));
  const separator = listed ? /[,\\]/ : /\\/;
  return parseMatchKey(tag, vr, value.split(separator), options);
}

function flag(text: QueryText, name: string): boolean {
  const value = one(text, name);
  if (value === undefined || value === 'false') return false;
  if (value === 'true') return true;
  throw new Fault('BAD_REQUEST', { parameter: name });
}

function integer(text: QueryText, name: string): number | undefined {
  const value = one(text, name);
  if (value === undefined || value === '') return undefined;
  if (!/^\d{1,9}$/.test(value)) throw new Fault('BAD_REQUEST', { parameter: name });
  return Number(value);
}

function one(text: QueryText, name: string): string | undefined {
  const value = text[name];
  if (Array.isArray(value)) throw new Fault('BAD_REQUEST', { parameter: name });
  return value;
}

/** GET /studies, /series, /instances and those below a study or series. */
export async function search(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  level: SearchLevel,
): Promise<FastifyReply> {
  const principal = principalOf(request);
  const { query, warnings } = parseSearch(level, scopeOf(request), request.query as QueryText);
  const form = acceptOf(request).find(
    (wanted) => covers(wanted, 'application/dicom+json') || covers(wanted, 'application/dicom+xml'),
  );
  if (!form) throw new Fault('NOT_ACCEPTABLE');
  const gone = new AbortController();
  request.raw.once('close', () => gone.abort());
  const answer = await context.archive.query.search({ ...query, signal: gone.signal });
  context.audit.record({
    event: 'query',
    outcome: 'success',
    principal,
    ...(scopeOf(request).studyUid === '' ? {} : { studyUids: [scopeOf(request).studyUid] }),
    detail: {
      level,
      keys: query.keys.map((key) => tagText(key.tag)).join(' '),
      matches: answer.matches.length,
    },
  });
  const root = rootUrl(request, context.prefix);
  const notes = [...warnings, ...notesOn(answer)];
  if (notes.length > 0)
    reply.header(
      'warning',
      notes.map((note) => `299 ${root}: ${note}`),
    );
  reply.header('cache-control', 'private, no-store');
  if (answer.matches.length === 0) return reply.status(204).send();
  if (!covers(form, 'application/dicom+json'))
    return sendMultipart(request, reply, 'application/dicom+xml', xmlParts(answer.matches, root, level));
  reply.header('content-type', 'application/dicom+json');
  return reply.send(Readable.from(jsonChunks(answer.matches, root, level), { objectMode: false }));
}

function notesOn({ ignoredKeys, more, remaining = 0 }: QueryAnswer): string[] {
  const notes: string[] = [];
  if (ignoredKeys.length > 0)
    notes.push(
      `These attributes cannot be matched here and have been ignored: ${ignoredKeys.map(tagText).join(' ')}`,
    );
  // §8.3.4.4.1, with the number as far as it was counted.
  const count = remaining >= MAX_COUNTED ? `at least ${MAX_COUNTED}` : String(remaining);
  if (more) notes.push(`There are ${count} additional results that can be requested`);
  return notes;
}

/** Matches written in one chunk, so that a million rows never are one string. */
const ROWS_PER_CHUNK = 200;

function* jsonChunks(matches: readonly QueryMatch[], root: string, level: SearchLevel): Generator<Buffer> {
  for (let at = 0; at < matches.length; at += ROWS_PER_CHUNK) {
    const rows = matches
      .slice(at, at + ROWS_PER_CHUNK)
      .map((match) => JSON.stringify(withUrl(match.attributes, root, level)));
    const last = at + ROWS_PER_CHUNK >= matches.length;
    yield Buffer.from((at === 0 ? '[' : ',') + rows.join(',') + (last ? ']' : ''));
  }
}

async function* xmlParts(
  matches: readonly QueryMatch[],
  root: string,
  level: SearchLevel,
): AsyncGenerator<{ type: string; body: Uint8Array }> {
  for (const match of matches) {
    const body = Buffer.from(toXml(withUrl(match.attributes, root, level)));
    yield await Promise.resolve({ type: 'application/dicom+xml', body });
  }
}

/** The match with Retrieve URL (Table 10.6.3-3 to -5), in tag order. */
export function withUrl(attributes: DicomJson, root: string, level: SearchLevel): DicomJson {
  const uid = (tag: string): string => String((attributes[tag]?.Value?.[0] ?? '') as string);
  const study = uid('0020000D');
  const series = uid('0020000E');
  const path =
    level === 'study'
      ? `/studies/${study}`
      : level === 'series'
        ? `/studies/${study}/series/${series}`
        : instancePath({ studyUid: study, seriesUid: series, sopUid: uid('00080018') });
  const all: DicomJson = { ...attributes, '00081190': { vr: 'UR', Value: [root + path] } };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}
