/**
 * What a request to the worklist names: the workitem, the watcher, the transaction, and who asks.
 *
 * Source: PS3.18 §11.1.1 (resources), §11.4.1 to §11.12.1 (requests), PS3.5 §6.2 (AE).
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { ALL_WORKITEMS, FILTERED_WORKITEMS } from '@lightbox/core/dimse/ups.ts';
import type { Asker, Watched } from '../../ris/workitems/types.ts';
import { principalOf } from './answer.ts';
import { filterOf } from './workitems-search.ts';

export type Query = Readonly<Record<string, string | string[] | undefined>>;

/** @throws Fault BAD_REQUEST. */
export function uidOf(request: FastifyRequest): string {
  const { workitem = '' } = request.params as { workitem?: string };
  if (!isUid(workitem)) throw new Fault('BAD_REQUEST', { problem: 'the workitem UID is no UID' });
  return workitem;
}

/** An AE title (PS3.5 §6.2). @throws Fault BAD_REQUEST. */
export function aeOf(request: FastifyRequest): string {
  const { aetitle = '' } = request.params as { aetitle?: string };
  const ae = aetitle.trim();
  if (!isAe(ae)) throw new Fault('BAD_REQUEST', { problem: 'not an AE title' });
  return ae;
}
const isAe = (text: string): boolean => /^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}$/.test(text);

export const receiverOf = (request: FastifyRequest) =>
  ({ ae: aeOf(request), via: 'web', localAe: '' }) as const;

export function watchedOf(request: FastifyRequest, withFilter = false): Watched {
  const uid = uidOf(request);
  if (uid === ALL_WORKITEMS) return { kind: 'all' };
  if (uid !== FILTERED_WORKITEMS) return { kind: 'one', uid };
  return { kind: 'filtered', filter: withFilter ? filterOf(request.query as Query) : [] };
}

/** The requester names itself, or its door stands for it. */
export function askerOf(request: FastifyRequest): Asker {
  const { requester } = request.query as Query;
  const ae = typeof requester === 'string' && isAe(requester) ? requester : 'DICOMWEB';
  return { principal: principalOf(request), door: 'dicomweb', ae };
}

/**
 * The UID of a new workitem: `?workitem=1.2.3`, `?AffectedSOPInstanceUID=1.2.3`, the bare `?1.2.3` of the template, or in the data set.
 * All that are given have to be the same.
 *
 * @returns undefined when none is: then we make one.
 * @throws Fault BAD_REQUEST.
 */
export function namedIn(query: Query, inside: readonly (string | undefined)[]): string | undefined {
  const bare = Object.entries(query).find(([name, value]) => value === '' && isUid(name))?.[0];
  const given = [query['workitem'], query['AffectedSOPInstanceUID'], bare, ...inside].filter(
    (one) => one !== undefined,
  );
  const [uid] = given;
  if (given.some((one) => one !== uid || Array.isArray(one) || !isUid(one)))
    throw new Fault('BAD_REQUEST', { problem: 'the workitem UID' });
  return uid as string | undefined;
}

/** `?transaction-uid=1.2.3`, or the bare `?1.2.3` of the template (§11.6.1). */
export function transactionIn(query: Query): string | undefined {
  const given =
    query['transaction-uid'] ??
    Object.entries(query).find(([name, value]) => value === '' && isUid(name))?.[0];
  if (Array.isArray(given)) throw new Fault('BAD_REQUEST', { parameter: 'transaction-uid' });
  return given === '' ? undefined : given;
}
