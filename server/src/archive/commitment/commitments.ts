/**
 * Storage commitments from the request to the told result, both ways, over restarts and days.
 *
 * Each is a row; a job takes it one step further: bytes are read again (checking), the result is told (checked), another archive is
 * asked (waiting). What a node that died was at is found by the next look for overdue rows.
 * Source: PS3.4 §J.3.2.1 (request), §J.3.3.1 (result, on the same or another association), PS3.18 §13.4, §13.5.
 * Layer:  server/archive.
 */
import { createHash, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { asFault, Fault, type FaultFacts } from '@lightbox/core/base/fault.ts';
import { uidFromUuid } from '@lightbox/core/base/uid.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import {
  type CommitmentItem,
  commitmentRequest,
  commitmentResult,
  readCommitmentResult,
} from '@lightbox/core/translate/commitment.ts';
import type { Audit, Device, Devices, Principal } from '../../identity/types.ts';
import type { Config } from '../../platform/config.ts';
import type { Database } from '../../platform/database.ts';
import type { Events } from '../../platform/events.ts';
import type { Jobs } from '../../platform/jobs.ts';
import type { Log } from '../../platform/log.ts';
import type { Retrieve } from '../types.ts';
import { Recheck } from './recheck.ts';
import { answersOf, CommitmentTable, LEASE_SECONDS, type Work } from './table.ts';
import type { CommitmentPort, Commitments, Report, Requester, Teller } from './types.ts';

declare module '../../platform/jobs.ts' {
  interface JobTypes {
    /** The next step of a storage commitment. */
    commitment: { id: string };
  }
}
declare module '../../platform/events.ts' {
  interface EventTypes {
    'commitment.checked': { id: string };
  }
}

export interface CommitmentParts {
  readonly config: Pick<Config, 'dataDir' | 'commitment'> & {
    readonly dicom: Pick<Config['dicom'], 'aeTitle'>;
  };
  readonly database: Database;
  readonly retrieve: Pick<Retrieve, 'select' | 'open'>;
  readonly devices: Pick<Devices, 'byAeTitle'>;
  readonly jobs: Pick<Jobs, 'handle' | 'add'>;
  readonly events: Events;
  readonly audit: Audit;
  readonly log: Log;
  readonly port: CommitmentPort;
}

const SYSTEM: Principal = { kind: 'system', id: 'system', name: 'Lightbox', roles: [], remoteAddress: '' };
/**
 * The result goes to the association it was asked on after so long: most peers release at once, and some do not like a message while
 * they do.
 */
const SAME_ASSOCIATION_MS = 250;
/** And to one of our own after so long. */
const OWN_ASSOCIATION_MS = 1500;
const LONGEST_WAIT_MS = 6 * 3600 * 1000;
const SWEEP_MS = 10_000;
const PRUNE_MS = 3600 * 1000;
/** Requests of one peer that are being checked at once; each may be of many objects. */
const MAX_WAITING = 100;
/** Objects we ask for in one transaction: answers of this size every archive can give. */
const ASK_AT_ONCE = 5000;
const AUDIT_STUDIES = 1000;

export async function openCommitments(parts: CommitmentParts): Promise<Commitments> {
  const { config, database, devices, jobs, events, audit, log, port } = parts;
  const { days, retrySeconds, keepDays } = config.commitment;
  const node = createHash('sha256').update(`${hostname()} ${config.dataDir}`).digest('hex').slice(0, 16);
  const table = new CommitmentTable(database, node);
  const recheck = new Recheck(parts);
  const tellers = new Map<string, Teller>();
  const waiters = new Map<string, Set<() => void>>();

  const schedule = (id: string, at?: Date): Promise<void> =>
    jobs.add('commitment', { id }, { key: `commitment ${id}`, ...(at ? { at } : {}) });
  const inFuture = (ms: number): Date => new Date(Date.now() + ms);

  function record(
    what: string,
    outcome: 'success' | 'failed',
    principal: Principal,
    detail: Readonly<Record<string, string | number>>,
    studyUids: Iterable<string> = [],
  ): void {
    audit.record({
      ...{ event: 'commitment', outcome, principal, detail: { what, ...detail } },
      studyUids: [...studyUids].slice(0, AUDIT_STUDIES),
    });
  }

  // --- the steps

  async function check(id: string, signal: AbortSignal): Promise<void> {
    const work = await table.claim(id, 'checking');
    if (!work) return;
    let renewed = performance.now();
    const alive = async (): Promise<void> => {
      if (signal.aborted) throw new Fault('ARCHIVE_STOPPING');
      if (performance.now() - renewed < (LEASE_SECONDS * 1000) / 3) return;
      renewed = performance.now();
      await table.renew(id);
    };
    const { reasons, studyUids } = await recheck.check(work.items, work.peer, alive);
    const told = work.via === 'web';
    const nextAt = inFuture(OWN_ASSOCIATION_MS);
    const moved = await table.move(id, 'checking', 'checked', {
      reasons,
      nextAt,
      attempts: 0,
      finished: told,
    });
    if (!moved) return;
    const failed = reasons.filter((reason) => reason !== STATUS.success).length;
    const detail = { peer: work.peerName, objects: reasons.length, failed };
    record('checked', failed ? 'failed' : 'success', SYSTEM, detail, studyUids);
    if (!told) await schedule(id, nextAt);
    await events.publish('commitment.checked', { id });
  }

  const reportOf = (work: Work): Report =>
    commitmentResult(work.transactionUid, work.localAe, answersOf(work));

  async function told(work: Work, where: 'same' | 'own'): Promise<void> {
    const { id, peerName, objects, failed } = work;
    if (await table.move(id, 'checked', 'told', { attempts: work.attempts + 1, finished: true }))
      record('told', 'success', SYSTEM, { peer: peerName, objects, failed: failed ?? 0, association: where });
  }

  /** On the association it was asked on, while that is open. */
  async function tellThere(id: string): Promise<void> {
    const teller = tellers.get(id);
    if (!teller) return;
    const work = await table.claim(id, 'checked');
    if (!work) return;
    tellers.delete(id);
    const taken = await teller(reportOf(work)).catch((error: unknown) => {
      log.info(
        { code: asFault(error).code, peer: work.peer },
        'a commitment was not told on its association',
      );
      return false;
    });
    if (taken) return told(work, 'same');
    await table.move(id, 'checked', 'checked', { nextAt: new Date() });
    await schedule(id);
  }

  /** Puts off what did not work; gives up after days. */
  async function putOff(work: Work, fault: Fault): Promise<void> {
    const { id, state, giveUpAt } = work;
    const attempts = work.attempts + 1;
    const wait = Math.min(retrySeconds * 1000 * 2 ** Math.min(attempts - 1, 20), LONGEST_WAIT_MS);
    const nextAt = inFuture(wait);
    const detail = { peer: work.peerName, objects: work.objects, attempts, code: fault.code };
    log.warn(
      { code: fault.code, facts: loggable(fault.facts), peer: work.peer, attempts },
      'storage commitment',
    );
    if (nextAt > giveUpAt) {
      if (await table.move(id, state, 'dead', { fault: fault.code, attempts, finished: true }))
        record('given up', 'failed', SYSTEM, detail);
      return;
    }
    await table.move(id, state, state, { fault: fault.code, attempts, nextAt });
    await schedule(id, nextAt);
  }

  async function reachable(work: Work): Promise<Device> {
    const device = await devices.byAeTitle(work.peer);
    if (device?.host === undefined || device.port === undefined)
      throw new Fault('RETRIEVE_DESTINATION', { known: device !== undefined });
    return device;
  }

  async function tell(id: string): Promise<void> {
    const work = await table.claim(id, 'checked');
    if (!work) return;
    try {
      await port.report(await reachable(work), work.localAe, reportOf(work));
    } catch (error) {
      return putOff(work, asFault(error));
    }
    await told(work, 'own');
  }

  async function askOther(id: string): Promise<void> {
    const work = await table.claim(id, 'waiting');
    if (!work) return;
    const { transactionUid, items, peer, peerName, objects } = work;
    const from: Principal = {
      kind: 'device',
      id: peer,
      name: peer,
      roles: [],
      rights: [],
      remoteAddress: '',
    };
    try {
      const device = await reachable(work);
      await port.request(device, work.localAe, commitmentRequest({ transactionUid, items }), (report) =>
        receive(from, report),
      );
    } catch (error) {
      const fault = asFault(error);
      // A transaction that was refused is over: its UID is not to be used again (PS3.4 §J.3.2.1.2).
      if (fault.code === 'DIMSE_STATUS') await table.rename(id, newUid());
      return putOff(work, fault);
    }
    // Unless the answer was here before.
    if (await table.move(id, 'waiting', 'asked', { nextAt: work.giveUpAt, attempts: work.attempts + 1 }))
      record('asked', 'success', SYSTEM, { peer: peerName, objects });
  }

  async function receive(from: Principal, report: DataSet): Promise<void> {
    const { transactionUid, reasons } = readCommitmentResult(report);
    const work = await table.byName('requested', 'dimse', from.id, transactionUid);
    if (!work || work.state === 'gone') throw new Fault('COMMIT_UNKNOWN');
    if (work.state === 'answered') return;
    // What the answer does not speak of is not kept.
    const all = work.items.map(({ sopUid }) => reasons.get(sopUid) ?? STATUS.processingFailure);
    if (!(await table.move(work.id, work.state, 'answered', { reasons: all, finished: true }))) return;
    const failed = all.filter((reason) => reason !== STATUS.success).length;
    record('answered', failed ? 'failed' : 'success', from, { objects: all.length, failed });
    if (failed)
      log.warn({ peer: from.id, objects: all.length, failed }, 'a peer does not keep what it was sent');
  }

  /** A peer that took the request and never told the result. */
  async function unanswered(id: string): Promise<void> {
    const work = await table.claim(id, 'asked');
    if (!work) return;
    if (work.giveUpAt > new Date())
      return void (await table.move(id, 'asked', 'asked', { nextAt: work.giveUpAt }));
    if (await table.move(id, 'asked', 'dead', { fault: 'DIMSE_TIMEOUT', finished: true }))
      record('given up', 'failed', SYSTEM, {
        peer: work.peerName,
        objects: work.objects,
        code: 'DIMSE_TIMEOUT',
      });
  }

  jobs.handle('commitment', async ({ id }, { signal }) => {
    const work = await table.stateOf(id);
    switch (work) {
      case 'checking':
        return check(id, signal);
      case 'checked':
        return tell(id);
      case 'waiting':
        return askOther(id);
      case 'asked':
        return unanswered(id);
      case 'told':
      case 'answered':
      case 'dead':
      case 'gone':
      case undefined:
        return;
      default:
        work satisfies never;
    }
  });

  // --- what others bring

  async function accept(
    { via, peer, localAe, principal }: Requester,
    transactionUid: string,
    items: readonly CommitmentItem[],
  ): Promise<{ readonly id: string }> {
    if ((await table.waiting(via, peer)) >= MAX_WAITING) throw new Fault('COMMIT_BUSY');
    const fresh = await table.insert({
      ...{ direction: 'received', via, peer, peerName: principal.name, localAe, transactionUid, items },
      ...{ state: 'checking', giveUpDays: days },
    });
    const id = fresh ?? (await again(via, peer, transactionUid, items));
    record('requested', 'success', principal, { via, objects: items.length });
    await schedule(id);
    return { id };
  }

  /** A peer that did not hear the result, or our answer, asks the same again. */
  async function again(
    via: Requester['via'],
    peer: string,
    transactionUid: string,
    items: readonly CommitmentItem[],
  ): Promise<string> {
    const work = await table.byName('received', via, peer, transactionUid);
    const same =
      work?.items.length === items.length &&
      work.items.every(
        (item, at) => item.sopUid === items[at]?.sopUid && item.sopClassUid === items[at].sopClassUid,
      );
    if (!work || !same || via === 'web') throw new Fault('COMMIT_DUPLICATE');
    if (work.state !== 'checking' && work.state !== 'gone')
      await table.move(work.id, work.state, 'checking', { attempts: 0, giveUpDays: days });
    return work.id;
  }

  async function result(
    { via, peer }: Requester,
    transactionUid: string,
    waitMs = 0,
  ): Promise<ReturnType<typeof answersOf> | undefined> {
    let work = await table.byName('received', via, peer, transactionUid);
    if (work?.state === 'checking' && waitMs > 0) {
      await checkedOrLate(work.id, waitMs);
      work = await table.byName('received', via, peer, transactionUid);
    }
    if (!work) throw new Fault('COMMIT_UNKNOWN');
    if (work.state === 'gone') throw new Fault('COMMIT_GONE');
    return work.reasons && work.state !== 'checking' ? answersOf(work) : undefined;
  }

  async function checkedOrLate(id: string, waitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const group = waiters.get(id) ?? new Set();
    waiters.set(id, group);
    await new Promise<void>((settle) => {
      group.add(settle);
      timer = setTimeout(settle, waitMs);
      // It may have been ready before we listened.
      table.stateOf(id).then((state) => {
        if (state !== 'checking') settle();
      }, settle);
    });
    clearTimeout(timer);
    if (waiters.get(id) === group) waiters.delete(id);
  }

  const unsubscribe = events.subscribe('commitment.checked', async ({ id }) => {
    for (const settle of waiters.get(id) ?? []) settle();
    if (!tellers.has(id)) return;
    setTimeout(() => {
      tellThere(id).catch((error: unknown) => log.warn({ err: error }, 'storage commitment'));
    }, SAME_ASSOCIATION_MS).unref();
  });

  /** Jobs of a node that died are locked for hours: what is due and has nobody who works on it gets a new one. */
  async function sweep(lateSeconds: number): Promise<void> {
    for (const { id } of await table.overdue(lateSeconds)) await schedule(id);
  }

  await table.releaseMine();
  let swept = performance.now();
  const timer = setInterval(() => {
    const prune = performance.now() - swept > PRUNE_MS;
    if (prune) swept = performance.now();
    Promise.all([sweep(SWEEP_MS / 1000), prune ? table.prune(keepDays) : undefined]).catch((error: unknown) =>
      log.warn({ err: error }, 'storage commitments not looked through'),
    );
  }, SWEEP_MS);
  await sweep(0);
  await table.prune(keepDays);

  return {
    accept,
    result,
    receive,
    tellOn(id, teller) {
      tellers.set(id, teller);
      // It may be known already.
      setTimeout(() => {
        tellThere(id).catch((error: unknown) => log.warn({ err: error }, 'storage commitment'));
      }, SAME_ASSOCIATION_MS).unref();
      return () => {
        if (tellers.get(id) === teller) tellers.delete(id);
      };
    },
    async ask(device, items, by) {
      const ids: string[] = [];
      for (let at = 0; at < items.length; at += ASK_AT_ONCE) {
        const id = await table.insert({
          ...{
            direction: 'requested',
            via: 'dimse',
            peer: device.aeTitle,
            peerName: device.aeTitle,
            localAe: config.dicom.aeTitle,
          },
          ...{ transactionUid: newUid(), items: items.slice(at, at + ASK_AT_ONCE), state: 'waiting' },
          giveUpDays: days,
        });
        if (id === undefined) throw new Fault('INTERNAL', { what: 'a new UID is in use' });
        ids.push(id);
        await schedule(id);
      }
      record('to be asked', 'success', by, { peer: device.aeTitle, objects: items.length });
      return ids;
    },
    list: (limit, states) => table.list(limit, states),
    async retry(id, by) {
      const work = await table.byId(id);
      if (!work) throw new Fault('NOT_FOUND');
      const to =
        work.direction === 'requested' ? 'waiting' : work.reasons === undefined ? 'checking' : 'checked';
      if (work.state !== 'dead' && work.state !== to) throw new Fault('BAD_REQUEST', { problem: work.state });
      if (work.state === 'dead' && to === 'waiting') await table.rename(id, newUid());
      await table.move(id, work.state, to, { attempts: 0, giveUpDays: days });
      await schedule(id);
      record('tried again', 'success', by, { peer: work.peerName, objects: work.objects });
    },
    close() {
      clearInterval(timer);
      unsubscribe();
      return Promise.resolve();
    },
  };
}

const newUid = (): string => uidFromUuid(Buffer.from(randomUUID().replaceAll('-', ''), 'hex'));

/** UIDs of objects stay out of the log. */
const loggable = ({ sopClass: _, ...facts }: FaultFacts): FaultFacts => facts;
