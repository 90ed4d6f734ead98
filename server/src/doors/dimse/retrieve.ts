/**
 * C-MOVE and C-GET: one retrieval of a peer, object by object, with its counters told on the way and summed up at the end.
 *
 * Source: PS3.4 §C.4.2 (C-MOVE), §C.4.3 (C-GET), Annexes Y and Z, PS3.7 §9.1.3, §9.1.4, PS3.15 §A.5.3.3 and §A.5.3.7 (audit).
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { readDataSet } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import {
  beginCounting,
  counted,
  countersFor,
  finalStatus,
  MAX_SUB_OPERATIONS,
  outcomeOf,
  type RetrieveClass,
  retrieveClass,
  selectionOf,
  type SubOperations,
} from '@lightbox/core/dimse/retrieve.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { InstanceRef } from '../../archive/types.ts';
import type { DoorParts } from './door.ts';
import { routeBack } from './get.ts';
import { routeTo } from './move.ts';
import type { PeerStores } from './peer-stores.ts';
import type { Request, Task } from './services.ts';

/** The way of the objects: back to the peer, or to another device. */
export interface Route {
  /** Objects that may be on their way at once. */
  readonly width: number;
  /** The order in which the objects are best sent. */
  order(refs: InstanceRef[]): InstanceRef[];
  /** @returns the status of the one who stores, or why it was not sent. @throws Fault when no more can be sent at all. */
  send(ref: InstanceRef): Promise<number | Fault>;
  /** At once, in the middle of an object too. */
  abort(): void;
  close(): Promise<void>;
}

/** Between two pending answers at least; a peer shows progress with them, and reads them one by one. */
const TELL_MS = 100;
/** And at most: programs stop waiting after ten seconds and more. */
const ALIVE_MS = 4000;

export class RetrieveTask implements Task {
  readonly #parts: DoorParts;
  readonly #request: Request;
  readonly #identifier: Uint8Array;
  readonly #stores: PeerStores;
  readonly #stop = new AbortController();
  #route: Route | undefined;
  #counts: SubOperations = beginCounting(0);
  #failedUids: string[] = [];
  /** Why the first object that failed did. */
  #failure: Fault | undefined;
  #told = 0;
  #telling = false;

  constructor(parts: DoorParts, request: Request, identifier: Uint8Array, stores: PeerStores) {
    this.#parts = parts;
    this.#request = request;
    this.#identifier = identifier;
    this.#stores = stores;
  }

  /** C-CANCEL: what is on its way arrives, nothing more begins. */
  cancel(): void {
    this.#stop.abort();
  }

  /** The peer is gone, or leaves. */
  leave(): void {
    this.#stop.abort();
    this.#route?.abort();
  }

  /** Sends every answer. Rejects only when the peer's connection is of no use any more. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    const { callingAe } = this.#request.peer;
    const release = await this.#parts.retrieves.take(callingAe, signal);
    if (!release) return this.#end(undefined, []);
    let refs: InstanceRef[] = [];
    let fault: Fault | undefined;
    try {
      const model = retrieveClass(this.#request.context.abstractSyntax);
      if (!model) throw new Fault('INTERNAL', { what: 'no retrieve class' });
      const keys = selectionOf(this.#read(), model, this.#relational());
      this.#route = await this.#routeOf(model);
      refs = this.#route.order(await this.#parts.archive.retrieve.select(keys, MAX_SUB_OPERATIONS));
      this.#counts = beginCounting(refs.length);
      if (refs.length > 0) this.#audit('transfer.begin', 'success', refs, {});
      await this.#sendAll(this.#route, refs);
    } catch (error) {
      fault = asFault(error);
      if (fault.row.http >= 500 && !signal.aborted)
        this.#parts.log.error({ code: fault.code, err: fault.cause }, 'retrieval failed');
    } finally {
      release();
      await this.#route?.close();
    }
    await this.#end(fault, refs);
  }

  #read(): ReturnType<typeof readDataSet>['dataSet'] {
    return readDataSet(this.#identifier, this.#request.context.transferSyntax, {
      limits: { depth: 8, elements: 2000, items: 200, headerBytes: this.#identifier.length * 2 },
      keepBytes: this.#identifier.length,
    }).dataSet;
  }

  #relational(): boolean {
    const { peer, context } = this.#request;
    return peer.negotiated.relational.has(context.abstractSyntax);
  }

  async #routeOf({ verb, withoutBulk }: RetrieveClass): Promise<Route> {
    const { devices } = this.#parts;
    const { peer, command } = this.#request;
    if (verb === 'get') {
      const form = (await devices.byAeTitle(peer.callingAe))?.sendAs ?? 'stored';
      return routeBack(this.#parts, { peer, stores: this.#stores, withoutBulk, form });
    }
    const device = await devices.byAeTitle(command.moveDestination ?? '');
    const { host, port } = device ?? {};
    if (!device || host === undefined || port === undefined)
      throw new Fault('RETRIEVE_DESTINATION', { known: device !== undefined });
    const originator = { ae: peer.callingAe, messageId: command.messageId ?? 0 };
    const to = { device: { ...device, host, port }, callingAe: peer.localAe, originator };
    return routeTo(this.#parts, to);
  }

  async #sendAll(route: Route, refs: readonly InstanceRef[]): Promise<void> {
    const { signal } = this.#stop;
    const alive = setInterval(() => void this.#tell(true).catch(() => undefined), ALIVE_MS);
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let ref = refs[next++]; ref && !signal.aborted; ref = refs[next++]) {
        const result = await route.send(ref).catch((error: unknown) => {
          // Of the object alone, where the way to go is still there.
          if (asFault(error).code.startsWith('DIMSE_')) throw error;
          return asFault(error);
        });
        this.#count(ref, result);
        await this.#tell(false);
      }
    };
    try {
      if (refs.length > 0) await this.#tell(true);
      const workers = Array.from({ length: Math.min(route.width, refs.length) }, worker);
      const ended = await Promise.allSettled(workers);
      const failed = ended.find((one) => one.status === 'rejected');
      if (failed) throw failed.reason;
    } finally {
      clearInterval(alive);
    }
  }

  #count(ref: InstanceRef, result: number | Fault): void {
    const outcome = result instanceof Fault ? 'failed' : outcomeOf(result);
    this.#counts = counted(this.#counts, outcome);
    if (outcome !== 'failed') return;
    this.#failedUids.push(ref.sopUid);
    const fault =
      result instanceof Fault
        ? result
        : new Fault('DIMSE_STATUS', { status: `0x${result.toString(16).toUpperCase().padStart(4, '0')}` });
    if (this.#failure?.code !== fault.code)
      this.#parts.log.warn({ code: fault.code, facts: fault.facts }, 'an object could not be sent');
    this.#failure ??= fault;
  }

  /** A pending answer, unless one was just given or the last one is still on its way. */
  async #tell(always: boolean): Promise<void> {
    const now = performance.now();
    if (this.#telling || this.#counts.remaining === 0) return;
    if (!always && now - this.#told < TELL_MS) return;
    this.#telling = true;
    this.#told = now;
    try {
      await this.#request.answer(STATUS.pending, { counters: countersFor(STATUS.pending, this.#counts) });
    } finally {
      this.#telling = false;
    }
  }

  async #end(fault: Fault | undefined, refs: readonly InstanceRef[]): Promise<void> {
    const { signal } = this.#stop;
    const counts = this.#counts;
    const status = fault && !signal.aborted ? fault.row.dimse : finalStatus(counts, signal.aborted);
    const { completed, failed, warnings, remaining } = counts;
    const refused = fault?.code === 'RETRIEVE_DESTINATION';
    this.#audit('transfer', refused ? 'refused' : fault || failed > 0 ? 'failed' : 'success', refs, {
      ...{ completed, failed, warnings, remaining, status },
      ...(fault ? { code: fault.code } : this.#failure ? { code: this.#failure.code } : {}),
    });
    // The peer's own connection broke off: there is nobody to answer.
    if (fault?.code.startsWith('DIMSE_') === true) throw fault;
    const why = fault ?? (status === STATUS.success || status === STATUS.cancel ? undefined : this.#failure);
    const tag = fault?.facts['tag'];
    await this.#request.answer(status, {
      ...(refs.length > 0 || !fault ? { counters: countersFor(status, counts) } : {}),
      ...(why ? { comment: commentOf(why) } : {}),
      ...(typeof tag === 'number' ? { offendingElements: [tag] } : {}),
      ...(this.#failedUids.length > 0 ? { dataSet: this.#failedList() } : {}),
    });
  }

  /** Failed SOP Instance UID List (PS3.4 §C.4.2.1.4.2, §C.4.3.1.3.2). */
  #failedList(): Uint8Array {
    const list = makeElement(Tags.FailedSOPInstanceUIDList, this.#failedUids);
    return writeDataSet(dataSetOf([list]), this.#request.context.transferSyntax);
  }

  #audit(
    event: 'transfer.begin' | 'transfer',
    outcome: 'success' | 'refused' | 'failed',
    refs: readonly InstanceRef[],
    detail: Readonly<Record<string, string | number>>,
  ): void {
    const { peer, command, context } = this.#request;
    const destination = command.moveDestination ?? peer.callingAe;
    this.#parts.audit.record({
      ...{ event, outcome, principal: peer.principal },
      studyUids: [...new Set(refs.map(({ studyUid }) => studyUid))],
      detail: { door: 'dicom', service: context.service, destination, objects: refs.length, ...detail },
    });
  }
}

const commentOf = ({ row, facts }: Fault): string =>
  // (0000,0902) LO: at most 64 characters. What was wrong with an identifier is the shorter and better word.
  (typeof facts['what'] === 'string' && row.dimse === 0xa900 ? facts['what'] : row.meaning).slice(0, 64);
