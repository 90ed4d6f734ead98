/**
 * The common list of workitems: made, claimed, worked on, finished, and watched.
 *
 * Every change is one transaction that holds the row: of two performers who claim at once exactly one finds it SCHEDULED. What
 * happened is written in the same transaction, and told afterwards.
 * Source: PS3.4 §CC.2.1.3, §CC.2.2.3, §CC.2.3.3, §CC.2.4.3, §CC.2.5.3, §CC.2.6.3, §CC.2.7.3 (provider's behaviour).
 * Layer:  server/ris.
 */
import { randomUUID } from 'node:crypto';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { isUid, uidFromUuid } from '@lightbox/core/base/uid.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { tagText } from '@lightbox/core/dicom/dictionary.ts';
import {
  changedWorkitem,
  inState,
  itemsOf,
  missingForFinal,
  newWorkitem,
  withCancelReason,
  withCancelTime,
  workitemText,
} from '@lightbox/core/workflow/workitem-checks.ts';
import {
  assigned,
  cancelRequested,
  eventsOfChange,
  restarted,
  stateReport,
  type WorkitemEvent,
} from '@lightbox/core/workflow/workitem-events.ts';
import {
  moveTo,
  type Outcome,
  transition,
  updateRefusal,
  type WorkitemState,
} from '@lightbox/core/workflow/workitem-states.ts';
import { type DeliveryParts, EVENT_DAYS, openDelivery } from './delivery.ts';
import { findWorkitems, matchesWorkitem } from './find.ts';
import { type GlobalSubscription, type Transaction, type WorkitemRow, WorkitemTable } from './table.ts';
import type { Asker, Receiver, Watched, Workitems } from './types.ts';

declare module '../../platform/events.ts' {
  interface EventTypes {
    /** Made, changed or finished: those who show it read it again. */
    'workitem.changed': { uid: string; state: string };
  }
}

export interface WorkitemParts extends Omit<DeliveryParts, 'table' | 'config'> {
  readonly config: {
    readonly dataDir: string;
    readonly workitems: { readonly retrySeconds: number; readonly keepDays: number };
  };
}

const SWEEP_MS = 10_000;
const PRUNE_MS = 3600 * 1000;
const PAGE = 500;
const AUDIT_STUDIES = 100;

/** What a transaction leaves to be done behind it. */
interface Done<T> {
  readonly result: T;
  readonly studies: readonly string[];
  readonly changed?: { readonly uid: string; readonly state: WorkitemState };
  readonly told?: readonly { readonly ids: readonly string[]; readonly receivers: readonly Receiver[] }[];
}

export async function openWorkitems(parts: WorkitemParts): Promise<Workitems> {
  const { config, database, devices, events, audit, log } = parts;
  const { keepDays } = config.workitems;
  const table = new WorkitemTable(database);
  const delivery = openDelivery({ ...parts, table });

  /** Carries out what was asked in one transaction, writes down how it went, and tells. */
  async function perform<T>(
    by: Asker,
    what: string,
    uid: string,
    work: (transaction: Transaction) => Promise<Done<T>>,
  ): Promise<T> {
    const entry = { event: 'workitem', principal: by.principal } as const;
    const detail = { what, door: by.door, workitem: uid };
    let done: Done<T>;
    try {
      done = await table.transaction(work);
    } catch (error) {
      const fault = asFault(error);
      const outcome = fault.row.http >= 500 ? 'failed' : 'refused';
      audit.record({ ...entry, outcome, detail: { ...detail, code: fault.code } });
      throw error;
    }
    audit.record({ ...entry, outcome: 'success', studyUids: done.studies, detail });
    // It is done: that nobody could be told of it now is no reason to say that it is not.
    try {
      for (const { ids, receivers } of done.told ?? []) await delivery.announce(ids, receivers);
      if (done.changed) await events.publish('workitem.changed', done.changed);
    } catch (error) {
      log.warn({ err: error }, 'a change of a workitem is told later');
    }
    return done.result;
  }

  /** @throws Fault WORKITEM_UNKNOWN, WORKITEM_GONE. */
  async function held(transaction: Transaction, uid: string): Promise<WorkitemRow> {
    return present(await transaction.hold(uid));
  }

  async function tellWatchers(
    transaction: Transaction,
    uid: string,
    happened: readonly WorkitemEvent[],
  ): Promise<NonNullable<Done<unknown>['told']>> {
    const receivers = await transaction.watchers(uid);
    return [{ ids: await transaction.report(happened, receivers), receivers }];
  }

  /** Through states, each reported; the final one has to hold what it needs. @throws Fault WORKITEM_UNFINISHED. */
  async function pass(
    transaction: Transaction,
    row: WorkitemRow,
    through: readonly WorkitemState[],
    transactionUid: string,
  ): Promise<Pick<Done<unknown>, 'studies' | 'changed' | 'told'>> {
    let { attributes } = row;
    const happened: WorkitemEvent[] = [];
    for (const state of through) {
      attributes = inState(state === 'CANCELED' ? withCancelTime(attributes, now()) : attributes, state);
      if (state === 'COMPLETED' || state === 'CANCELED') {
        const missing = missingForFinal(attributes, state);
        if (missing.length > 0)
          throw new Fault('WORKITEM_UNFINISHED', { missing: missing.map(tagText).join(' ') });
      }
      happened.push(stateReport(row.uid, attributes));
    }
    const state = through.at(-1) ?? row.state;
    await transaction.update({ uid: row.uid, state, transactionUid, attributes });
    return {
      ...{ studies: studiesOf(attributes), changed: { uid: row.uid, state } },
      told: await tellWatchers(transaction, row.uid, happened),
    };
  }

  /** @throws Fault WORKITEM_RECEIVER. */
  async function checkReceiver({ ae, via }: Receiver): Promise<void> {
    if (via === 'web') return;
    const device = await devices.byAeTitle(ae);
    if (device?.host === undefined || device.port === undefined)
      throw new Fault('WORKITEM_RECEIVER', { known: device !== undefined });
  }

  /** Subscribes to what is there already and was not subscribed to; with a lock it is told of each (§CC.2.4.3). */
  async function subscribeAll(
    transaction: Transaction,
    { lock, filter, ...receiver }: GlobalSubscription,
  ): Promise<string[]> {
    const ids: string[] = [];
    for (let after = '', page = await transaction.pageOfAll(after, PAGE); page.length > 0;) {
      const rows = page.filter(({ attributes }) => fits(filter, attributes));
      await transaction.subscribe(
        rows.map(({ uid }) => uid),
        ...([receiver, lock, false] as const),
      );
      if (lock)
        ids.push(
          ...(await transaction.report(
            rows.map(({ uid, attributes }) => stateReport(uid, attributes)),
            [receiver],
          )),
        );
      after = page.at(-1)?.uid ?? '';
      page = await transaction.pageOfAll(after, PAGE);
    }
    return ids;
  }

  await delivery.releaseMine();
  // Subscriptions and workitems were kept: watchers of all are told that we are back.
  const watchersOfAll = await table.transaction(async (transaction) => {
    const receivers = (await transaction.globals()).filter(({ via }) => via === 'dimse');
    return { receivers, ids: await transaction.report([restarted()], receivers) };
  });
  await delivery.announce(watchersOfAll.ids, watchersOfAll.receivers);
  await table.prune(keepDays, EVENT_DAYS);
  let pruned = performance.now();
  const timer = setInterval(() => {
    const prune = performance.now() - pruned > PRUNE_MS;
    if (prune) pruned = performance.now();
    Promise.all([
      delivery.sweep(SWEEP_MS / 1000),
      prune ? table.prune(keepDays, EVENT_DAYS) : undefined,
    ]).catch((error: unknown) => log.warn({ err: error }, 'workitems not looked through'));
  }, SWEEP_MS);
  await delivery.sweep(0);

  return {
    create(by, wanted, given) {
      const uid = wanted ?? uidFromUuid(Buffer.from(randomUUID().replaceAll('-', ''), 'hex'));
      return perform(by, 'created', uid, async (transaction) => {
        if (!isUid(uid)) throw new Fault('WORKITEM_VALUE', { tag: Tags.SOPInstanceUID });
        await transaction.lockSubscriptions(false);
        refuse(transition('create', (await transaction.hold(uid))?.state));
        const { workitem, changed } = newWorkitem(given, uid, now());
        if (!(await transaction.insert(uid, workitem))) throw new Fault('WORKITEM_EXISTS');
        for (const { lock, filter, ...receiver } of await transaction.globals())
          if (fits(filter, workitem)) await transaction.subscribe([uid], receiver, lock, false);
        const happened = [stateReport(uid, workitem), assigned(uid, workitem)].filter(
          (one) => one !== undefined,
        );
        return {
          result: { uid, changed },
          ...{ studies: studiesOf(workitem), changed: { uid, state: 'SCHEDULED' } },
          told: await tellWatchers(transaction, uid, happened),
        };
      });
    },

    async read(by, uid) {
      const entry = { event: 'workitem', principal: by.principal } as const;
      const detail = { what: 'read', door: by.door, workitem: uid };
      try {
        const { attributes } = present(await table.byUid(uid));
        audit.record({ ...entry, outcome: 'success', studyUids: studiesOf(attributes), detail });
        return attributes;
      } catch (error) {
        audit.record({ ...entry, outcome: 'refused', detail: { ...detail, code: asFault(error).code } });
        throw error;
      }
    },

    update: (by, uid, changes, transactionUid) =>
      perform(by, 'changed', uid, async (transaction) => {
        const row = await held(transaction, uid);
        const refusal = updateRefusal(row.state, transactionUid, row.transactionUid);
        if (refusal) throw new Fault(refusal, { given: transactionUid !== undefined });
        const attributes = changedWorkitem(row.attributes, changes, now());
        await transaction.update({ ...row, attributes });
        return {
          result: undefined,
          ...{ studies: studiesOf(attributes), changed: { uid, state: row.state } },
          told: await tellWatchers(transaction, uid, eventsOfChange(uid, row.attributes, attributes)),
        };
      }),

    changeState: (by, uid, state, transactionUid) =>
      perform(by, state.toLowerCase(), uid, async (transaction) => {
        const row = await held(transaction, uid);
        const outcome = transition(moveTo(state, transactionUid, row.transactionUid), row.state);
        refuse(outcome, { given: transactionUid !== undefined });
        if (outcome.kind !== 'change')
          return { result: already(outcome), studies: studiesOf(row.attributes) };
        return {
          result: undefined,
          ...(await pass(transaction, row, outcome.through, transactionUid ?? '')),
        };
      }),

    requestCancel: (by, uid, reasons) =>
      perform(by, 'cancel requested', uid, async (transaction) => {
        const row = await held(transaction, uid);
        const outcome = transition('request cancel', row.state);
        refuse(outcome);
        const studies = studiesOf(row.attributes);
        if (outcome.kind === 'already') return { result: outcome.state, studies };
        if (outcome.kind === 'change') {
          const attributes = withCancelReason(row.attributes, reasons);
          // Nobody works on it: for the moment we do (§CC.2.2.3).
          const ours = uidFromUuid(Buffer.from(randomUUID().replaceAll('-', ''), 'hex'));
          return {
            result: undefined,
            ...(await pass(transaction, { ...row, attributes }, outcome.through, ours)),
          };
        }
        const told = await tellWatchers(transaction, uid, [cancelRequested(uid, by.ae, reasons)]);
        if (told.every(({ receivers }) => receivers.length === 0)) throw new Fault('WORKITEM_UNREACHABLE');
        return { result: undefined, studies, told };
      }),

    find: (query) => findWorkitems(database, query),

    subscribe: (by, watched, receiver, lock) =>
      perform(by, lock ? 'watched, locked' : 'watched', nameOf(watched), async (transaction) => {
        await checkReceiver(receiver);
        if (watched.kind === 'one') {
          const { uid, attributes } = await held(transaction, watched.uid);
          await transaction.subscribe([uid], receiver, lock, true);
          const ids = await transaction.report([stateReport(uid, attributes)], [receiver]);
          return {
            result: undefined,
            studies: studiesOf(attributes),
            told: [{ ids, receivers: [receiver] }],
          };
        }
        await transaction.lockSubscriptions(true);
        const all = { ...receiver, lock, filter: watched.kind === 'filtered' ? watched.filter : undefined };
        await transaction.setGlobal(all);
        const ids = await subscribeAll(transaction, all);
        return { result: undefined, studies: [], told: [{ ids, receivers: [receiver] }] };
      }),

    unsubscribe: (by, watched, receiver) =>
      perform(by, 'no longer watched', nameOf(watched), async (transaction) => {
        await checkReceiver(receiver);
        if (watched.kind === 'one') {
          const { uid, attributes } = await held(transaction, watched.uid);
          await transaction.unsubscribe(uid, receiver.ae);
          return { result: undefined, studies: studiesOf(attributes) };
        }
        await transaction.lockSubscriptions(true);
        await transaction.dropGlobal(receiver.ae, true);
        return { result: undefined, studies: [] };
      }),

    suspend: (by, watched, receiver) =>
      perform(by, 'watching suspended', nameOf(watched), async (transaction) => {
        if (watched.kind === 'one') throw new Fault('WORKITEM_ACTION');
        await checkReceiver(receiver);
        await transaction.lockSubscriptions(true);
        await transaction.dropGlobal(receiver.ae, false);
        return { result: undefined, studies: [] };
      }),

    listen: (ae, take) => delivery.listen(ae, take),

    close() {
      clearInterval(timer);
      delivery.close();
      return Promise.resolve();
    },
  };
}

/** @throws Fault WORKITEM_UNKNOWN, WORKITEM_GONE. */
function present(row: WorkitemRow | undefined): WorkitemRow {
  if (!row) throw new Fault('WORKITEM_UNKNOWN');
  if (row.removed) throw new Fault('WORKITEM_GONE');
  return row;
}

/** @throws the Fault of an outcome that is a refusal. */
function refuse(outcome: Outcome, facts: Readonly<Record<string, boolean>> = {}): void {
  if (outcome.kind === 'refused') throw new Fault(outcome.code, facts);
}

const already = (outcome: Outcome): WorkitemState | undefined =>
  outcome.kind === 'already' ? outcome.state : undefined;

const fits = (filter: GlobalSubscription['filter'], attributes: DicomJson): boolean =>
  filter?.every((key) => matchesWorkitem(key, attributes, false)) ?? true;

const nameOf = (watched: Watched): string => (watched.kind === 'one' ? watched.uid : watched.kind);

/** This instant as DT (PS3.5 §6.2), in UTC. */
function now(): string {
  const digits = new Date().toISOString().replaceAll(/\D/g, '');
  return `${digits.slice(0, 14)}.${digits.slice(14, 17)}000+0000`;
}

/** Studies a workitem is about: what it makes, what asked for it, what it works on. */
function studiesOf(attributes: DicomJson): string[] {
  const uids = [
    workitemText(attributes, Tags.StudyInstanceUID),
    ...[Tags.ReferencedRequestSequence, Tags.InputInformationSequence].flatMap((tag) =>
      itemsOf(attributes, tag).map((item) => workitemText(item, Tags.StudyInstanceUID)),
    ),
  ];
  return [...new Set(uids.filter((uid) => uid !== undefined))].slice(0, AUDIT_STUDIES);
}
