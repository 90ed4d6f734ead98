/**
 * The services on one association: each message of the peer becomes an operation, which is answered once.
 *
 * Source: PS3.7 §9.1 (DIMSE-C services), §10.1 (DIMSE-N services), §9.3.2.3 (C-CANCEL), §D.3.3.3 (outstanding operations), Annex C (statuses).
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { type Command, COMMANDS, NO_DATA_SET } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, writeMessage } from '@lightbox/core/dimse/message.ts';
import { type Context, MAX_WINDOW, type Negotiated } from '@lightbox/core/dimse/negotiate.ts';
import { namesOfAnswer } from '@lightbox/core/dimse/normalized.ts';
import type { PdvPart } from '@lightbox/core/dimse/splitter.ts';
import { upsHas } from '@lightbox/core/dimse/ups.ts';
import type { SubOperations } from '@lightbox/core/dimse/retrieve.ts';
import { isStated } from '@lightbox/core/dimse/service-status.ts';
import { STATUS, statusText } from '@lightbox/core/dimse/status.ts';
import type { AdmitAnswer, DeviceVerb } from '../../identity/types.ts';
import { CommitTask, LargeRequest, ReportTask } from './commit.ts';
import type { DoorParts } from './door.ts';
import { FindTask } from './find.ts';
import type { Push } from './outgoing-message.ts';
import { PeerStores } from './peer-stores.ts';
import { RetrieveTask } from './retrieve.ts';
import { beginStore } from './store.ts';
import { UpsTask } from './ups.ts';
import { UpsFindTask } from './ups-find.ts';

/** Who is at the other end, and what was agreed. */
export interface Peer extends Extract<AdmitAnswer, { admitted: true }> {
  readonly callingAe: string;
  readonly remoteAddress: string;
  readonly negotiated: Negotiated;
}

/** One request and the way to answer it. */
export interface Request {
  readonly peer: Peer;
  readonly context: Context;
  readonly command: Command;
  /** Any status but a pending one ends the operation. */
  answer(status: number, more?: Answer): Promise<void>;
}

/** What an answer says beside its status. */
export interface Answer {
  readonly dataSet?: Uint8Array;
  readonly comment?: string;
  readonly offendingElements?: readonly number[];
  readonly counters?: Partial<SubOperations>;
  /** Of an object that was made, where the request did not name it. */
  readonly sopInstanceUid?: string;
}

/** An operation that goes on beside the reading of further messages, and can be cancelled. */
export interface Task {
  run(): Promise<void>;
  /** C-CANCEL. */
  cancel(): void;
  /** The peer is gone, or leaves: nothing of it is wanted any more. */
  leave(): void;
}

/** The way out, as the association has it. */
export interface Wire {
  /** Resolves when the peer takes more. */
  write(bytes: Uint8Array): Promise<void>;
  push: Push;
  /** An operation could not be answered: the association has to end. */
  failed(error: unknown): void;
}

/** Where the data set of the message under way goes. */
export interface Receiver {
  write(bytes: Uint8Array): Promise<void> | void;
  /** The data set is whole: carries out the operation and answers it. */
  finish(): Promise<void>;
  /** The peer went away in the middle. */
  abort(): Promise<void>;
}

/** Matches of one moment wait for each other up to so many bytes. */
const GATHERED_BYTES = 32 * 1024;
/** An identifier is a few hundred bytes; lists of UIDs make some kilobytes. */
const MAX_IDENTIFIER_BYTES = 1024 * 1024;

const VERBS: Readonly<Partial<Record<number, DeviceVerb>>> = {
  [COMMANDS.echoRequest]: 'echo',
  [COMMANDS.storeRequest]: 'store',
  [COMMANDS.findRequest]: 'find',
  [COMMANDS.getRequest]: 'get',
  [COMMANDS.moveRequest]: 'move',
  [COMMANDS.actionRequest]: 'commit',
  [COMMANDS.eventReportRequest]: 'commit',
};

/** What a request asks for; of workitems each class has requests of its own (PS3.4 Tables CC.2-1 to CC.2-5). */
const verbOf = ({ service, abstractSyntax }: Context, commandField: number): DeviceVerb | undefined =>
  service !== 'workitem'
    ? VERBS[commandField]
    : upsHas(abstractSyntax, commandField)
      ? 'workitem'
      : undefined;

export class Services {
  readonly #parts: DoorParts;
  readonly #peer: Peer;
  readonly #wire: Wire;
  /** C-STOREs of ours. */
  readonly #stores: PeerStores;
  readonly #assembler = new MessageAssembler();
  /** Message IDs of operations not answered yet. */
  readonly #outstanding = new Set<number>();
  /** Searches and retrievals by message ID. */
  readonly #tasks = new Map<number, Task>();
  /** What goes on beside the reading of further messages. */
  readonly #running = new Set<Promise<void>>();
  #receiver: Receiver | undefined;
  /** Matches on their way out: those of one moment leave in one write. */
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #leaving: NodeJS.Immediate | undefined;
  /** The message that is being written; the next one waits for it. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: DoorParts, peer: Peer, wire: Wire) {
    this.#parts = parts;
    this.#peer = peer;
    this.#wire = wire;
    this.#stores = new PeerStores({
      ...{ peerMaxPdu: peer.negotiated.peerMaxPdu, timeoutMs: parts.config.idleSeconds * 1000 },
      ...{ push: wire.push, inTurn: (work) => this.#inTurn(work) },
    });
  }

  /** Something of ours is going on that the peer has to wait for. */
  get working(): boolean {
    return this.#running.size > 0;
  }

  /** In the middle of a message of the peer. */
  get open(): boolean {
    return this.#assembler.open;
  }

  /** @throws Fault PDU_UNEXPECTED, PDU_VALUE, DIMSE_COMMAND: the association has to be aborted. */
  async take(part: PdvPart): Promise<void> {
    const event = this.#assembler.take(part);
    if (!event) return;
    if (event.kind === 'command') {
      const context = this.#peer.negotiated.contexts.get(event.contextId);
      if (!context) throw new Fault('PDU_VALUE', { what: 'a context that was not accepted' });
      return this.#begin(context, event.command);
    }
    const receiver = this.#receiver;
    if (!receiver) throw new Fault('PDU_UNEXPECTED', { what: 'data set' });
    await receiver.write(event.bytes);
    if (!event.last) return;
    this.#receiver = undefined;
    await this.#carryOut(receiver.finish());
  }

  /** Ends searches and retrievals early and waits until everything is answered. */
  async settle(): Promise<void> {
    this.#stores.end();
    for (const task of this.#tasks.values()) task.leave();
    await Promise.allSettled(this.#running);
  }

  /** The connection is over: half an object is forgotten, whole ones become durable, searches stop. */
  async end(): Promise<void> {
    await this.#receiver?.abort();
    this.#receiver = undefined;
    await this.settle();
  }

  /** Goes on with the next message while there is room in the window that was agreed. */
  async #carryOut(work: Promise<void>): Promise<void> {
    this.#besides(work);
    // Searches and retrievals hold no room here: they have limits of their own, and a C-CANCEL has to be heard.
    while (this.#running.size - this.#tasks.size >= this.#peer.negotiated.window)
      await Promise.race([...this.#running]);
  }

  #besides(work: Promise<void>): void {
    const kept = work
      .catch((error: unknown) => this.#wire.failed(error))
      .finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  async #begin(context: Context, command: Command): Promise<void> {
    const { commandField, messageId } = command;
    const hasData = command.dataSetType !== NO_DATA_SET;
    const refuse = async (status: number, comment?: string): Promise<void> => {
      const answer = (): Promise<void> =>
        this.#respond(context, command, status, comment === undefined ? {} : { comment });
      if (hasData) this.#receiver = discarding(answer);
      else await answer();
    };
    if (commandField === COMMANDS.cancelRequest || (commandField & 0x8000) !== 0) {
      // A C-CANCEL has no answer (PS3.7 §9.3.2.3); neither has an answer.
      if (commandField === COMMANDS.cancelRequest)
        this.#tasks.get(command.messageIdRespondedTo ?? -1)?.cancel();
      if (commandField === COMMANDS.storeResponse || commandField === COMMANDS.eventReportResponse)
        this.#stores.answered(command);
      if (hasData) this.#receiver = discarding(() => Promise.resolve());
      return;
    }
    const verb = verbOf(context, commandField);
    if (verb === undefined || context.service !== verb) return refuse(STATUS.unrecognizedOperation);
    if (messageId === undefined) return refuse(STATUS.mistypedArgument, 'the message ID is missing');
    if (this.#outstanding.has(messageId)) return refuse(STATUS.duplicateInvocation);
    // A result that we have asked for needs no permission; whether we did is looked up.
    const told = commandField === COMMANDS.eventReportRequest;
    if (!told && !this.#peer.verbs.includes(verb)) {
      this.#parts.audit.record({
        ...{ event: 'access.refused', outcome: 'refused', principal: this.#peer.principal },
        detail: { door: 'dicom', verb },
      });
      return refuse(STATUS.notAuthorized, 'not allowed for this AE title');
    }
    if (verb === 'echo')
      return hasData ? refuse(STATUS.mistypedArgument, 'no data set expected') : refuse(STATUS.success);
    if (!hasData && verb !== 'workitem') return refuse(STATUS.mistypedArgument, 'a data set is missing');
    if (verb !== 'store' && this.#tasks.size >= MAX_WINDOW) return refuse(STATUS.outOfResources);
    this.#outstanding.add(messageId);
    const request: Request = {
      ...{ peer: this.#peer, context, command },
      answer: (status, more = {}) => {
        // Once it is answered the peer may use the number again, however late the writing ends.
        if (status !== STATUS.pending && status !== STATUS.pendingWarning)
          this.#outstanding.delete(messageId);
        return this.#respond(context, command, status, more);
      },
    };
    const start = (task: Task): void => this.#start(messageId, task);
    if (verb === 'store') this.#receiver = await beginStore(this.#parts, request);
    else if (verb === 'commit')
      this.#receiver = new LargeRequest(this.#parts, request, (dataSet) =>
        start(
          told
            ? new ReportTask(this.#parts, request, dataSet)
            : new CommitTask(this.#parts, request, dataSet, this.#stores),
        ),
      );
    else if (verb === 'workitem') {
      const work = (bytes?: Uint8Array): void =>
        start(
          bytes && commandField === COMMANDS.findRequest
            ? new UpsFindTask(this.#parts, request, bytes)
            : new UpsTask(this.#parts, request, bytes),
        );
      if (hasData) this.#receiver = gathering(work);
      else work();
    } else
      this.#receiver = gathering((identifier) =>
        start(
          verb === 'find'
            ? new FindTask(this.#parts, request, identifier)
            : new RetrieveTask(this.#parts, request, identifier, this.#stores),
        ),
      );
  }

  /** Returns at once: the task goes on beside the reading. */
  #start(messageId: number, task: Task): void {
    this.#tasks.set(messageId, task);
    this.#besides(
      task.run().finally(() => {
        if (this.#tasks.get(messageId) === task) this.#tasks.delete(messageId);
      }),
    );
  }

  /** Fragments of two messages must not be mixed (PS3.7 §6.3.1: a message in one go). */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** The last answer of an operation leaves at once, and takes along the matches before it. */
  #respond(
    context: Context,
    request: Command,
    status: number,
    { dataSet, comment, offendingElements, counters, sopInstanceUid }: Answer,
  ): Promise<void> {
    // What we answer is what the conformance statement says we do.
    if (!isStated(context.service, status))
      this.#parts.log.error({ service: context.service, status: statusText(status) }, 'a status not stated');
    const response: Command = {
      ...namesOfAnswer(request, context.abstractSyntax),
      ...(sopInstanceUid === undefined ? {} : { affectedSopInstanceUid: sopInstanceUid }),
      commandField: request.commandField | 0x8000,
      messageIdRespondedTo: request.messageId ?? 0,
      dataSetType: dataSet ? 0x0001 : NO_DATA_SET,
      ...{ status, errorComment: comment, offendingElements, ...counters },
    };
    const bytes = writeMessage(context.id, response, dataSet, this.#peer.negotiated.peerMaxPdu);
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    // Only matches come in numbers; counters of a retrieval go before the object they count to.
    const match = dataSet !== undefined && (status === STATUS.pending || status === STATUS.pendingWarning);
    if (!match || this.#gatheredBytes >= GATHERED_BYTES) return this.#letGo();
    // Should it fail, the last answer meets the same.
    this.#leaving ??= setImmediate(() => void this.#letGo().catch(() => undefined));
    return Promise.resolve();
  }

  #letGo(): Promise<void> {
    clearImmediate(this.#leaving);
    this.#leaving = undefined;
    const bytes = this.#gathered.length === 1 ? this.#gathered[0]! : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    return this.#inTurn(() => this.#wire.write(bytes));
  }
}

/** Reads a data set away, so that what follows is understood, then answers. */
function discarding(answer: () => Promise<void>): Receiver {
  return { write: () => undefined, finish: answer, abort: () => Promise.resolve() };
}

/** Keeps a small data set in memory. */
function gathering(done: (bytes: Buffer) => void): Receiver {
  const parts: Buffer[] = [];
  let length = 0;
  return {
    write(bytes) {
      length += bytes.length;
      if (length > MAX_IDENTIFIER_BYTES) throw new Fault('PDU_LENGTH', { what: 'identifier' });
      if (bytes.length > 0) parts.push(Buffer.from(bytes));
    },
    finish() {
      done(Buffer.concat(parts, length));
      return Promise.resolve();
    },
    abort: () => Promise.resolve(),
  };
}
