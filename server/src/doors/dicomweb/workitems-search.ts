/**
 * Searching workitems over the web, and the filters of subscriptions.
 *
 * Source: PS3.18 §11.9 (Search Transaction), §8.3.4 (query parameters), §11.10.1.2 (filter), PS3.4 Table CC.2.5-3 (return keys).
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { lookup, tagHex, tagText } from '@lightbox/core/dicom/dictionary.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import type { MatchKey } from '@lightbox/core/dicom/matching.ts';
import { sorted } from '@lightbox/core/workflow/workitem-checks.ts';
import { WORKITEM_ATTRIBUTES } from '@lightbox/core/workflow/workitem-attributes.ts';
import type { Workitems } from '../../ris/workitems/types.ts';
import { principalOf } from './answer.ts';
import type { DoorContext } from './context.ts';
import { parseSearch } from './search.ts';
import { formOf, sendAll } from './workitems-payload.ts';

type Query = Readonly<Record<string, string | string[] | undefined>>;

const NO_SCOPE = { studyUid: '' };
/** Attributes that every match has: with a value (1), or empty where there is none (2). */
const RETURNED = WORKITEM_ATTRIBUTES.filter(({ returned }) => /^[12]/.test(returned));

/** GET /workitems */
export function searchWorkitems(
  context: DoorContext,
  workitems: Workitems,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  return async (request, reply) => {
    const principal = principalOf(request);
    const form = formOf(request);
    const { query, warnings } = parseSearch('instance', NO_SCOPE, request.query as Query);
    const gone = new AbortController();
    request.raw.once('close', () => gone.abort());
    const { keys, include, fuzzy = false, offset = 0, limit = 0 } = query;
    const matches: DicomJson[] = [];
    let passed = 0;
    let more = false;
    for await (const workitem of workitems.find({ keys, fuzzy, signal: gone.signal })) {
      passed += 1;
      if (passed <= offset) continue;
      more = matches.length >= limit;
      if (more) break;
      matches.push(
        include === 'all' ? workitem : returnedOf(workitem, [...include, ...keys.map(({ tag }) => tag)]),
      );
    }
    context.audit.record({
      ...{ event: 'query', outcome: 'success', principal },
      detail: {
        level: 'workitem',
        keys: keys.map(({ tag }) => tagText(tag)).join(' '),
        matches: matches.length,
      },
    });
    const notes = [...warnings, ...(more ? ['There are additional results that can be requested'] : [])];
    if (notes.length > 0)
      reply.header(
        'warning',
        notes.map((note) => `299 ${request.host}${context.prefix}: "${note}"`),
      );
    reply.header('cache-control', 'private, no-store');
    if (matches.length === 0) return reply.status(204).send();
    return sendAll(request, reply, form, matches);
  };
}

/** What is always answered, and what was asked for. */
function returnedOf(workitem: DicomJson, asked: readonly number[]): DicomJson {
  const match: DicomJson = {};
  for (const { tag, returned } of RETURNED) {
    const element = workitem[tagHex(tag)];
    if (element) match[tagHex(tag)] = element;
    else if (returned === '2') match[tagHex(tag)] = { vr: lookup(tag)?.vr ?? 'UN' };
  }
  for (const tag of asked) {
    const element = workitem[tagHex(tag)];
    if (element) match[tagHex(tag)] = element;
  }
  return sorted(match);
}

/**
 * The keys of a filtered subscription: `filter=attribute=value,attribute=value`, or as parameters of their own, as before PS3.18 2019b.
 *
 * @throws Fault BAD_REQUEST when there is none, QUERY_KEY.
 */
export function filterOf(query: Query): readonly MatchKey[] {
  const { filter, deletionlock: _, requester: __, ...others } = query;
  const pairs = [filter ?? []].flat().flatMap((text) => text.split(','));
  const given: Record<string, string | string[] | undefined> = { ...others };
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw new Fault('BAD_REQUEST', { parameter: 'filter' });
    given[pair.slice(0, at).trim()] = pair.slice(at + 1);
  }
  const { query: parsed, warnings } = parseSearch('instance', NO_SCOPE, given);
  if (parsed.keys.length === 0 || warnings.length > 0)
    throw new Fault('BAD_REQUEST', { parameter: 'filter' });
  return parsed.keys;
}
