/**
 * Carries transfers out: store and forward. What did not arrive is tried again, later and later, for days; what was refused, or
 * never went through, is shown to people, who try again or put it away.
 *
 * The truth is the table; a job is only the call to look at it. Whoever looks takes what is due for a device, in order of priority
 * and age, as many at once as the device may have. After a crash objects may be sent twice; none is lost.
 * Layer:  server/archive.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { Audit, Device, Devices, Principal } from '../../identity/types.ts';
import type { Config } from '../../platform/config.ts';
import type { Database } from '../../platform/database.ts';
import type { Events } from '../../platform/events.ts';
import type { Jobs } from '../../platform/jobs.ts';
import type { Log } from '../../platform/log.ts';
import type { InstanceRef, Retrieve } from '../types.ts';
import { backOffMs, verdictOf } from './states.ts';
import { type LeftObject, TransferTable, type Trouble } from './table.ts';
import {
  type Carrier,
  isReachable,
  type ObjectResult,
  type Transfer,
  type Transfers,
  type TransferState,
} from './types.ts';

declare module '../../platform/jobs.ts' {
  interface JobTypes {
    /** Somebody look at what is due for this device. */
    'transfer.run': { deviceId: string };
  }
}

declare module '../../platform/events.ts' {
  interface EventTypes {
    'transfer.changed': { id: string; state: TransferState };
  }
}

export interface TransferParts {
  readonly config: Config['transfers'];
  readonly database: Database;
  readonly events: Events;
  readonly jobs: Jobs;
  readonly devices: Pick<Devices, 'list'>;
  readonly audit: Audit;
  readonly retrieve: Retrieve;
  readonly carrier: Carrier;
  readonly log: Log;
}

/** How often progress is written. After a crash so much may be sent twice. */
const PROGRESS_MS = 500;
/** Transfers that nobody was called for, or whose carrier crashed, are found so soon. */
const LOOK_MS = 10_000;
const CLEAN_MS = 3_600_000;

type Attempt = { readonly transfer: Transfer; readonly claim: string; readonly device: Device };

export function createTransfers(parts: TransferParts): Transfers {
  const { config, events, jobs, devices, audit, retrieve, carrier, log } = parts;
  const table = new TransferTable(parts.database);
  const timers: NodeJS.Timeout[] = [];
  const closing = new AbortController();
  const underWay = new Set<Promise<void>>();

  const told = async (transfer: Transfer): Promise<Transfer> => {
    const { id, state } = transfer;
    await events
      .publish('transfer.changed', { id, state })
      .catch((error: unknown) => log.warn({ err: error }, 'news of a transfer not told'));
    return transfer;
  };
  const call = (transfer: Transfer, at?: Date): Promise<void> =>
    jobs.add(
      'transfer.run',
      { deviceId: transfer.deviceId },
      { key: `transfer ${transfer.id}`, ...(at ? { at } : {}) },
    );

  jobs.handle('transfer.run', ({ deviceId }, { signal }) => {
    const work = workFor(deviceId, AbortSignal.any([signal, closing.signal]));
    underWay.add(work);
    return work.finally(() => underWay.delete(work));
  });

  /** Everything due for a device, one after the other. */
  async function workFor(deviceId: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const found = await table.claim(deviceId, config.perDestination);
      if (!found) return;
      const { transfer, claim } = found;
      await told(transfer);
      const device = (await devices.list()).find(({ id }) => id === deviceId);
      const end = device
        ? await attempt({ transfer, claim, device }, signal)
        : { fault: new Fault('TRANSFER_DEVICE'), status: undefined };
      await finish(transfer, claim, end, signal);
    }
  }

  /** @returns what went wrong, if anything did. */
  async function attempt(one: Attempt, stop: AbortSignal): Promise<Trouble | undefined> {
    const { transfer, claim } = one;
    const lost = new AbortController();
    const signal = AbortSignal.any([stop, lost.signal]);
    const book = new Book(table, transfer.id, claim);
    let writing: Promise<void> | undefined;
    const write = async (): Promise<void> => {
      const before = book.written;
      if (!(await book.write())) lost.abort();
      else if (book.written !== before) await told(transfer);
    };
    const timer = setInterval(() => {
      writing ??= write()
        .catch((error: unknown) => log.warn({ err: error }, 'progress of a transfer not written'))
        .finally(() => (writing = undefined));
    }, PROGRESS_MS);
    record('transfer.begin', one, 'success');
    let trouble: Trouble | undefined;
    try {
      if (transfer.kind === 'send') await sendLeft(one, book, signal);
      else await fetchLeft(one, book, signal);
      trouble = book.trouble;
    } catch (error) {
      const fault = asFault(error);
      trouble = { fault, status: book.trouble?.status };
      if (fault.code === 'INTERNAL') log.error({ err: error, transfer: transfer.id }, 'transfer failed');
    } finally {
      clearInterval(timer);
      await writing;
    }
    await write();
    record('transfer', one, trouble ? 'failed' : 'success', { code: trouble?.fault.code, ...book.totals });
    return trouble;
  }

  async function sendLeft({ transfer, device }: Attempt, book: Book, signal: AbortSignal): Promise<void> {
    const byStudy = new Map<string, LeftObject[]>();
    for (const one of await table.left(transfer.id)) {
      const others = byStudy.get(one.studyUid);
      if (others) others.push(one);
      else byStudy.set(one.studyUid, [one]);
    }
    for (const [studyUid, objects] of byStudy) {
      if (signal.aborted) return;
      const wanted = new Map(objects.map((one) => [one.sopUid, one]));
      const refs = (await retrieve.list({ studyUid })).filter(({ sopUid }) => wanted.has(sopUid));
      const there = new Set(refs.map(({ sopUid }) => sopUid));
      for (const one of objects)
        if (!there.has(one.sopUid)) book.note(one, { fault: new Fault('NOT_FOUND') });
      if (refs.length > 0)
        await carrier.send(device, refs, (ref: InstanceRef, result) => book.note(ref, result), signal);
    }
  }

  async function fetchLeft({ transfer, device }: Attempt, book: Book, signal: AbortSignal): Promise<void> {
    let before = await table.fetched(transfer.id);
    for (const part of await table.left(transfer.id)) {
      if (signal.aborted) return;
      const { studyUid, seriesUid, sopUid } = part;
      const scope = { studyUid, seriesUid: seriesUid || undefined, sopUid: sopUid || undefined };
      const count = ({ total, arrived, failed }: { total: number; arrived: number; failed: number }): void =>
        book.count({ total: before + total, sent: before + arrived, failed });
      const { arrived } = await carrier.fetch(device, scope, transfer.method, count, signal);
      if (signal.aborted) return;
      before += arrived;
      book.count({ total: before, sent: before, failed: 0 });
      await table.fetchedPart(transfer.id, part, arrived);
    }
  }

  async function finish(
    transfer: Transfer,
    claim: string,
    trouble: Trouble | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { id, kind } = transfer;
    if (signal.aborted) {
      const stopped = await table.finish(id, claim, { state: 'queued', interrupted: true });
      if (stopped) await told(stopped);
      return;
    }
    const left = (await table.left(id)).length;
    const refused = kind === 'send' ? await table.refusedOf(id) : 0;
    const { attempts } = await table.get(id);
    const end = (): Parameters<TransferTable['finish']>[2] => {
      if (trouble?.fault.code === 'TRANSFER_DEVICE') return { state: 'failed', trouble };
      if (left > 0 && attempts < config.attempts)
        return {
          ...{ state: 'waiting', trouble },
          waitMs: backOffMs(attempts, config.retrySeconds * 1000, trouble?.fault.facts['retryAfter']),
        };
      if (left > 0) return { state: 'failed', trouble };
      if (refused > 0)
        return {
          state: 'failed',
          trouble: {
            fault: new Fault('TRANSFER_REFUSED', { refused, why: trouble?.fault.code }),
            status: undefined,
          },
        };
      return { state: 'done' };
    };
    const done = await table.finish(id, claim, end());
    if (!done) return;
    if (done.state === 'waiting') await call(done, done.nextAt);
    if (done.state !== 'done')
      log.warn(
        // No facts: comments of other programs may name a patient.
        { transfer: id, kind, state: done.state, code: done.fault, status: done.dimseStatus, attempts, left },
        'a transfer did not end well',
      );
    await told(done);
  }

  function record(
    event: 'transfer.begin' | 'transfer',
    { transfer, device }: Attempt,
    outcome: 'success' | 'failed',
    detail: Readonly<Record<string, string | number | undefined>> = {},
  ): void {
    const { id, kind, askedBy, scopes } = transfer;
    const principal: Principal = { ...askedBy, roles: [], rights: [], remoteAddress: '' };
    const known = Object.entries(detail).filter(
      (entry): entry is [string, string | number] => entry[1] !== undefined,
    );
    audit.record({
      ...{ event, outcome, principal, studyUids: [...new Set(scopes.map(({ studyUid }) => studyUid))] },
      detail: { kind, transfer: id, aeTitle: device.aeTitle, ...Object.fromEntries(known) },
    });
  }

  const look = async (): Promise<void> => {
    for (const deviceId of await table.dueDevices())
      await jobs.add('transfer.run', { deviceId }, { key: `transfers ${deviceId}` });
  };
  const every = (milliseconds: number, work: () => Promise<void>): void => {
    const run = (): void =>
      void work().catch((error: unknown) => log.warn({ err: error }, 'transfers not looked at'));
    timers.push(setInterval(run, milliseconds).unref());
    run();
  };

  return {
    async ask(order) {
      if (!isReachable(order.device)) throw new Fault('TRANSFER_DEVICE');
      const transfer = await table.insert(order);
      await call(transfer);
      return told(transfer);
    },
    list: (query) => table.list(query),
    get: (id) => table.get(id),
    failures: (id, limit) => table.failures(id, limit),
    counts: () => table.counts(),
    async retry(id) {
      const transfer = await table.retry(id);
      await call(transfer);
      return told(transfer);
    },
    cancel: async (id) => told(await table.cancel(id)),
    start() {
      every(LOOK_MS, look);
      every(CLEAN_MS, () => table.forgetOld());
    },
    async close() {
      for (const timer of timers) clearInterval(timer);
      closing.abort();
      await Promise.allSettled(underWay);
    },
  };
}

/** What happened since it was last written down. */
class Book {
  readonly #table: TransferTable;
  readonly #id: string;
  readonly #claim: string;
  #taken: LeftObject[] = [];
  #refused: (LeftObject & { status: number | undefined; fault: string })[] = [];
  #warnings = 0;
  #counts: { total: number; sent: number; failed: number } | undefined;
  /** Grows with every writing of something new. */
  written = 0;
  trouble: Trouble | undefined;
  readonly totals = { sent: 0, refused: 0 };

  constructor(table: TransferTable, id: string, claim: string) {
    this.#table = table;
    this.#id = id;
    this.#claim = claim;
  }

  note({ studyUid, seriesUid, sopUid }: LeftObject, result: ObjectResult): void {
    const object = { studyUid, seriesUid, sopUid };
    const verdict = verdictOf(result);
    const { status, fault } = result;
    if (verdict === 'taken' || verdict === 'warning') {
      this.#taken.push(object);
      this.totals.sent += 1;
      if (verdict === 'warning') this.#warnings += 1;
      return;
    }
    const why = fault ?? new Fault('DIMSE_STATUS');
    this.trouble = { fault: why, status };
    if (verdict === 'later') return;
    this.totals.refused += 1;
    this.#refused.push({ ...object, status, fault: why.code });
  }

  count(counts: { total: number; sent: number; failed: number }): void {
    this.#counts = counts;
    this.totals.sent = counts.sent;
  }

  /** @returns false when the transfer is no longer ours. */
  async write(): Promise<boolean> {
    const [taken, refused, warnings, counts] = [this.#taken, this.#refused, this.#warnings, this.#counts];
    [this.#taken, this.#refused, this.#warnings, this.#counts] = [[], [], 0, undefined];
    try {
      const ours = await this.#table.progress(this.#id, this.#claim, { taken, refused, warnings, counts });
      if (taken.length + refused.length > 0 || counts) this.written += 1;
      return ours;
    } catch (error) {
      this.#taken.unshift(...taken);
      this.#refused.unshift(...refused);
      this.#warnings += warnings;
      this.#counts ??= counts;
      throw error;
    }
  }
}
