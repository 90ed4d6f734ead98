/**
 * UPS-RS: the worklist over the web. Tasks are created, found, claimed, worked on, finished and watched.
 *
 * Source: PS3.18 §11 (Worklist Service): §11.4 Create, §11.5 Retrieve, §11.6 Update, §11.7 Change State, §11.8 Request Cancellation,
 *         §11.9 Search, §11.10 Subscribe, §11.11 Unsubscribe, §11.12 Suspend; §8.10 (notifications).
 * Layer:  server/doors/dicomweb. The rules are core/workflow's, the list is server/ris/workitems.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault, type FaultCode } from '@lightbox/core/base/fault.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { workitemText } from '@lightbox/core/workflow/workitem-checks.ts';
import { isWorkitemState } from '@lightbox/core/workflow/workitem-states.ts';
import type { Right } from '../../identity/types.ts';
import { toFault } from '../../platform/http.ts';
import { rootUrl } from './answer.ts';
import type { Resource } from './capabilities.ts';
import type { DoorContext } from './context.ts';
import { type NotificationParts, offerNotifications } from './workitems-events.ts';
import { formOf, payloadOf, sendOne, warn } from './workitems-payload.ts';
import {
  askerOf,
  namedIn,
  type Query,
  receiverOf,
  transactionIn,
  uidOf,
  watchedOf,
} from './workitems-request.ts';
import { searchWorkitems } from './workitems-search.ts';

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

const FORMS = ['application/dicom+json', 'application/dicom+xml'];
const ITEM = '/workitems/:workitem';
const SUBSCRIBER = `${ITEM}/subscribers/:aetitle`;

/** @returns resources that were not offered through `offer`. */
export function offerWorkitems(
  app: FastifyInstance,
  offer: (right: Right, resource: Resource, handler: Handler) => void,
  context: DoorContext,
  options: NotificationParts,
): Resource[] {
  const { workitems } = options;
  const see = 'workitem.view';
  const change = 'workitem.manage';

  const create: Handler = async (request, reply) => {
    const given = (await payloadOf(request)) ?? {};
    const uid = namedIn(request.query as Query, [
      workitemText(given, Tags.SOPInstanceUID),
      workitemText(given, Tags.AffectedSOPInstanceUID),
    ]);
    delete given['00001000'];
    const made = await workitems.create(askerOf(request), uid, given);
    if (made.changed) warn(context, request, reply, 'The Workitem was created with modifications.');
    const url = `${rootUrl(request, context.prefix)}/workitems/${made.uid}`;
    return reply.status(201).header('location', url).header('content-location', url).send();
  };
  const retrieve: Handler = async (request, reply) => {
    const form = formOf(request);
    const uid = uidOf(request);
    const workitem = await workitems.read(askerOf(request), uid);
    reply.header('cache-control', 'private, no-store');
    reply.header('content-location', `${rootUrl(request, context.prefix)}/workitems/${uid}`);
    return sendOne(request, reply, form, workitem);
  };
  const update: Handler = async (request, reply) => {
    const changes = (await payloadOf(request)) ?? {};
    const transaction = transactionIn(request.query as Query) ?? workitemText(changes, Tags.TransactionUID);
    await workitems.update(askerOf(request), uidOf(request), changes, transaction);
    return reply.status(200).send();
  };
  const changeState: Handler = async (request, reply) => {
    const given = (await payloadOf(request)) ?? {};
    const state = workitemText(given, Tags.ProcedureStepState);
    if (!isWorkitemState(state)) throw new Fault('WORKITEM_VALUE', { tag: Tags.ProcedureStepState });
    const transaction = workitemText(given, Tags.TransactionUID);
    const already = await workitems.changeState(askerOf(request), uidOf(request), state, transaction);
    if (already) warn(context, request, reply, `The UPS is already in the requested state of ${already}.`);
    return reply.status(200).send();
  };
  const cancel: Handler = async (request, reply) => {
    const reasons = (await payloadOf(request)) ?? {};
    const already = await workitems.requestCancel(askerOf(request), uidOf(request), reasons);
    if (already) warn(context, request, reply, `The UPS is already in the requested state of ${already}.`);
    return reply.status(202).send();
  };
  const subscribe: Handler = async (request, reply) => {
    const receiver = receiverOf(request);
    const query = request.query as Query;
    const lock = query['deletionlock'] ?? 'false';
    if (lock !== 'true' && lock !== 'false') throw new Fault('BAD_REQUEST', { parameter: 'deletionlock' });
    await workitems.subscribe(askerOf(request), watchedOf(request, true), receiver, lock === 'true');
    const url = `${rootUrl(request, context.prefix).replace(/^http/, 'ws')}/ws/subscribers/${encodeURIComponent(receiver.ae)}`;
    return reply.status(201).header('location', url).header('content-location', url).send();
  };
  const unsubscribe: Handler = async (request, reply) => {
    await workitems.unsubscribe(askerOf(request), watchedOf(request), receiverOf(request));
    return reply.status(200).send();
  };
  const suspend: Handler = async (request, reply) => {
    await workitems.suspend(askerOf(request), watchedOf(request), receiverOf(request));
    return reply.status(200).send();
  };

  type Row = readonly [Right, Resource['method'], url: string, summary: string, Handler, Partial<Resource>?];
  const body = { requestTypes: FORMS };
  const answer = { answerTypes: FORMS };
  const rows: readonly Row[] = [
    [change, 'POST', '/workitems', 'Create a workitem (PS3.18 §11.4)', create, body],
    [
      see,
      'GET',
      '/workitems',
      'Search for workitems (PS3.18 §11.9)',
      searchWorkitems(context, workitems),
      answer,
    ],
    [see, 'GET', ITEM, 'Retrieve a workitem (PS3.18 §11.5)', retrieve, answer],
    [change, 'POST', ITEM, 'Update a workitem (PS3.18 §11.6)', warned('update', update), body],
    [
      change,
      'PUT',
      `${ITEM}/state`,
      'Change the state of a workitem (PS3.18 §11.7)',
      warned('state', changeState),
      body,
    ],
    [
      change,
      'POST',
      `${ITEM}/cancelrequest`,
      'Request cancellation (PS3.18 §11.8)',
      warned('cancel', cancel),
      body,
    ],
    [see, 'POST', SUBSCRIBER, 'Subscribe to workitems (PS3.18 §11.10)', subscribe],
    [see, 'DELETE', SUBSCRIBER, 'Unsubscribe from workitems (PS3.18 §11.11)', unsubscribe],
    [see, 'POST', `${SUBSCRIBER}/suspend`, 'Suspend a subscription to all (PS3.18 §11.12)', suspend],
  ];
  for (const [right, method, url, summary, handler, more] of rows)
    offer(right, { method, url, summary, answerTypes: [], ...more }, handler);
  return [offerNotifications(app, context, options)];

  /** With the Warning that chapter 11 has for a refusal. */
  function warned(operation: keyof typeof REFUSALS, handler: Handler): Handler {
    return async (request, reply) => {
      try {
        return await handler(request, reply);
      } catch (error) {
        const fault = toFault(error);
        const text = refusalText(operation, fault);
        if (text !== undefined) warn(context, request, reply, text);
        // Table 11.6.3-1 counts a final state among the faults of the request, Table 11.7.3-1 among conflicts.
        if (operation === 'update' && fault.code === 'WORKITEM_FINAL')
          throw new Fault('WORKITEM_UPDATE_FINAL', fault.facts, { cause: fault });
        throw fault;
      }
    };
  }
}

const INCONSISTENT = 'The submitted request is inconsistent with the current state of the Workitem.';
const STATE = 'The submitted request is inconsistent with the state of the UPS Instance.';
const UNCLAIMED = 'The target URI did not reference a claimed Workitem.';

/** §11.6.3.2, §11.7.3.2, §11.8.3.2. `_`: every other refusal of the list. */
const REFUSALS: Readonly<Record<'update' | 'state' | 'cancel', Partial<Record<FaultCode | '_', string>>>> = {
  update: { WORKITEM_UNCLAIMED: UNCLAIMED, WORKITEM_TRANSACTION: UNCLAIMED, _: INCONSISTENT },
  state: { WORKITEM_TRANSACTION: 'The Transaction UID is incorrect.', _: STATE },
  cancel: {
    WORKITEM_COMPLETED: 'The UPS is already COMPLETED.',
    WORKITEM_UNREACHABLE: 'The performer cannot be contacted.',
  },
};

function refusalText(operation: keyof typeof REFUSALS, { code, facts }: Fault): string | undefined {
  if (!code.startsWith('WORKITEM_') || code === 'WORKITEM_UNKNOWN' || code === 'WORKITEM_GONE')
    return undefined;
  if (operation === 'state' && code === 'WORKITEM_TRANSACTION' && facts['given'] === false)
    return 'The Transaction UID is missing.';
  return REFUSALS[operation][code] ?? REFUSALS[operation]._;
}
