/**
 * Storage commitment on an association of a peer: its request to keep objects, and its word on what we asked it to keep.
 *
 * Source: PS3.4 §J.3.2.1 (N-ACTION), §J.3.3.1 (N-EVENT-REPORT), §J.3.5 (well-known instance), PS3.7 §10.1.1, §10.1.4.
 * Layer:  server/doors/dimse.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { Fault } from '@lightbox/core/base/fault.ts';
import { asFault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE } from '@lightbox/core/dimse/negotiate.ts';
import { eventReport } from '@lightbox/core/dimse/normalized.ts';
import { STATUS, statusKind } from '@lightbox/core/dimse/status.ts';
import {
  ALL_COMMITTED,
  MAX_COMMITMENT_ITEMS,
  readCommitmentRequest,
  REQUEST_COMMITMENT,
  SOME_FAILED,
} from '@lightbox/core/translate/commitment.ts';
import type { Report, Requester } from '../../archive/commitment/types.ts';
import type { DoorParts } from './door.ts';
import type { PeerStores } from './peer-stores.ts';
import type { Receiver, Request, Task } from './services.ts';

/** Two UIDs of 64 characters and their headers make 168 bytes: the most objects there may be, and some more. */
const MAX_REQUEST_BYTES = 40 * 1024 * 1024;
/** Read at once; in between others have their turn. */
const PIECE = 64 * 1024;

/** Memory for requests that are on their way, all associations together. */
export class ByteBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

/** Three of the longest at once; ordinary ones are a few kilobytes. */
export const REQUEST_BYTES = 3 * MAX_REQUEST_BYTES;

/** A data set that may be long, in memory as long as there is some. */
export class LargeRequest implements Receiver {
  readonly #parts: DoorParts;
  readonly #request: Request;
  readonly #start: (dataSet: LargeDataSet) => void;
  #pieces: Buffer[] | undefined = [];
  #length = 0;

  constructor(parts: DoorParts, request: Request, start: (dataSet: LargeDataSet) => void) {
    this.#parts = parts;
    this.#request = request;
    this.#start = start;
  }

  write(bytes: Uint8Array): void {
    if (!this.#pieces || bytes.length === 0) return;
    if (this.#length + bytes.length > MAX_REQUEST_BYTES || !this.#parts.requests.take(bytes.length))
      return this.#forget();
    this.#length += bytes.length;
    this.#pieces.push(Buffer.from(bytes));
  }

  finish(): Promise<void> {
    const pieces = this.#pieces;
    if (!pieces)
      return this.#request.answer(STATUS.resourceLimitation, { comment: 'too many objects at once' });
    const length = this.#length;
    let given = false;
    this.#start({
      bytes: () => Buffer.concat(pieces, length),
      release: () => {
        if (!given) this.#parts.requests.give(length);
        given = true;
        pieces.length = 0;
      },
    });
    return Promise.resolve();
  }

  abort(): Promise<void> {
    this.#forget();
    return Promise.resolve();
  }

  #forget(): void {
    this.#parts.requests.give(this.#length);
    this.#length = 0;
    this.#pieces = undefined;
  }
}

export interface LargeDataSet {
  bytes(): Uint8Array;
  release(): void;
}

/** A hundred thousand objects are read in parts, so that other peers are served meanwhile. @throws Fault DICOM_. */
async function read(bytes: Uint8Array, transferSyntaxUid: string): Promise<DataSet> {
  const reader = new DicomReader({
    ...{ transferSyntaxUid, ownsChunks: true, keepBytes: PIECE },
    limits: {
      ...{ depth: 8, items: 2 * MAX_COMMITMENT_ITEMS, elements: 10 * MAX_COMMITMENT_ITEMS },
      headerBytes: bytes.length * 4,
    },
  });
  for (let at = 0; at < bytes.length; at += PIECE) {
    reader.push(bytes.subarray(at, at + PIECE));
    await breathe();
  }
  return reader.end().dataSet;
}

/** What N-ACTION and N-EVENT-REPORT have in common: read, carry out, answer. */
abstract class CommitmentTask implements Task {
  protected readonly parts: DoorParts;
  protected readonly request: Request;
  readonly #dataSet: LargeDataSet;

  constructor(parts: DoorParts, request: Request, dataSet: LargeDataSet) {
    this.parts = parts;
    this.request = request;
    this.#dataSet = dataSet;
  }

  /** C-CANCEL has no meaning for DIMSE-N (PS3.7 §9.3.2.3). */
  cancel(): void {
    // nothing
  }

  /** What was asked is kept all the same. */
  leave(): void {
    // nothing
  }

  /** The status for a command that asks for something else, whatever its data set says. */
  protected abstract objection(): number | undefined;

  protected abstract carryOut(dataSet: DataSet): Promise<void>;

  /** Sends the answer. */
  async run(): Promise<void> {
    const { request, parts } = this;
    const objection = this.objection();
    let fault: Fault | undefined;
    try {
      if (objection === undefined)
        await this.carryOut(await read(this.#dataSet.bytes(), request.context.transferSyntax));
    } catch (error) {
      fault = asFault(error);
    } finally {
      this.#dataSet.release();
    }
    if (!fault) return request.answer(objection ?? STATUS.success);
    if (fault.row.http >= 500) parts.log.error({ code: fault.code, err: fault.cause }, 'storage commitment');
    parts.audit.record({
      ...{ event: 'commitment', outcome: fault.row.http >= 500 ? 'failed' : 'refused' },
      principal: request.peer.principal,
      detail: { door: 'dicom', code: fault.code },
    });
    const { tag, what } = fault.facts;
    const comment = typeof what === 'string' && fault.code === 'COMMIT_REQUEST' ? what : fault.row.meaning;
    return request.answer(statusOf(fault), {
      // (0000,0902) LO: at most 64 characters.
      comment: comment.slice(0, 64),
      ...(typeof tag === 'number' ? { offendingElements: [tag] } : {}),
    });
  }
}

/** Statuses of DIMSE-N are fewer than those of storage (PS3.7 §10.1.1.1.8, §10.1.4.1.10). */
function statusOf({ code, row }: Fault): number {
  if (code.startsWith('DICOM_')) return STATUS.invalidArgument;
  return row.dimse === STATUS.outOfResources ? STATUS.resourceLimitation : row.dimse;
}

/** A peer asks us to keep objects. It is answered when the request is durable; the result comes later. */
export class CommitTask extends CommitmentTask {
  readonly #stores: PeerStores;
  #id: string | undefined;

  constructor(parts: DoorParts, request: Request, dataSet: LargeDataSet, stores: PeerStores) {
    super(parts, request, dataSet);
    this.#stores = stores;
  }

  protected objection(): number | undefined {
    const { requestedSopInstanceUid, actionTypeId } = this.request.command;
    if (requestedSopInstanceUid !== STORAGE_COMMITMENT_INSTANCE) return STATUS.noSuchInstance;
    return actionTypeId === REQUEST_COMMITMENT ? undefined : STATUS.noSuchAction;
  }

  override async run(): Promise<void> {
    await super.run();
    if (this.#id !== undefined) this.#tellHere(this.#id);
  }

  protected async carryOut(dataSet: DataSet): Promise<void> {
    const { transactionUid, items } = readCommitmentRequest(dataSet);
    const { callingAe, localAe, principal } = this.request.peer;
    const requester: Requester = { via: 'dimse', peer: callingAe, localAe, principal };
    this.#id = (await this.parts.commitments.accept(requester, transactionUid, items)).id;
  }

  /** As long as the association is open the result may come on it. */
  #tellHere(id: string): void {
    const { context } = this.request;
    const forget = this.parts.commitments.tellOn(id, async ({ eventTypeId, dataSet }: Report) => {
      const bytes = writeDataSet(dataSet, context.transferSyntax);
      const named = { sopClassUid: STORAGE_COMMITMENT, sopInstanceUid: STORAGE_COMMITMENT_INSTANCE };
      const answer = await this.#stores.notify(
        context,
        (messageId) => eventReport({ ...named, messageId }, eventTypeId),
        bytes,
      );
      return typeof answer === 'number' && statusKind(answer) !== 'failure';
    });
    this.#stores.onEnd(forget);
  }
}

/** A peer tells us what it keeps of what we asked it to. */
export class ReportTask extends CommitmentTask {
  protected objection(): number | undefined {
    const { eventTypeId } = this.request.command;
    return eventTypeId === ALL_COMMITTED || eventTypeId === SOME_FAILED ? undefined : STATUS.noSuchEventType;
  }

  protected carryOut(dataSet: DataSet): Promise<void> {
    const { principal, callingAe } = this.request.peer;
    return this.parts.commitments.receive({ ...principal, id: callingAe }, dataSet);
  }
}
