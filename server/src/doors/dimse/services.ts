/**
 * The services on one association: each message of the peer becomes an operation, which is answered once.
 *
 * Source: PS3.7 §9.1 (DIMSE-C services), §9.3.2.3 (C-CANCEL), §D.3.3.3 (outstanding operations), Annex C (statuses).
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { type Command, COMMANDS, NO_DATA_SET } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, writeMessage } from '@lightbox/core/dimse/message.ts';
import { type Context, MAX_WINDOW, type Negotiated } from '@lightbox/core/dimse/negotiate.ts';
import type { PdvPart } from '@lightbox/core/dimse/splitter.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { AdmitAnswer, DeviceVerb } from '../../identity/types.ts';
import type { DoorParts } from './door.ts';
import { FindTask } from './find.ts';
import { beginStore } from './store.ts';

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
  answer(status: number, more?: { readonly dataSet?: Uint8Array; readonly comment?: string }): Promise<void>;
}

/** Where the data set of the message under way goes. */
export interface Receiver {
  write(bytes: Uint8Array): Promise<void> | void;
  /** The data set is whole: carries out the operation and answers it. */
  finish(): Promise<void>;
  /** The peer went away in the middle. */
  abort(): Promise<void>;
}

/** A C-FIND identifier is a few hundred bytes; lists of UIDs make some kilobytes. */
const MAX_IDENTIFIER_BYTES = 1024 * 1024;

const VERBS: Readonly<Partial<Record<number, DeviceVerb>>> = {
  [COMMANDS.echoRequest]: 'echo',
  [COMMANDS.storeRequest]: 'store',
  [COMMANDS.findRequest]: 'find',
};

export class Services {
  readonly #parts: DoorParts;
  readonly #peer: Peer;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #assembler = new MessageAssembler();
  /** Message IDs of operations not answered yet. */
  readonly #outstanding = new Set<number>();
  readonly #finds = new Map<number, FindTask>();
  /** What goes on beside the reading of further messages. */
  readonly #running = new Set<Promise<void>>();
  #receiver: Receiver | undefined;

  /**
   * @param write   Resolves when the peer takes more.
   * @param failed  An operation could not be answered: the association has to end.
   */
  constructor(
    parts: DoorParts,
    peer: Peer,
    write: (bytes: Uint8Array) => Promise<void>,
    failed: (error: unknown) => void,
  ) {
    this.#parts = parts;
    this.#peer = peer;
    this.#write = write;
    this.#failed = failed;
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

  /** Ends searches early and waits until everything is answered. */
  async settle(): Promise<void> {
    for (const find of this.#finds.values()) find.cancel();
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
    // Searches hold no room here: they have a limit of their own, and a C-CANCEL has to be heard.
    while (this.#running.size - this.#finds.size >= this.#peer.negotiated.window)
      await Promise.race([...this.#running]);
  }

  #besides(work: Promise<void>): void {
    const kept = work.catch(this.#failed).finally(() => this.#running.delete(kept));
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
      // A C-CANCEL has no answer (PS3.7 §9.3.2.3); neither has an answer that nobody asked for.
      if (commandField === COMMANDS.cancelRequest)
        this.#finds.get(command.messageIdRespondedTo ?? -1)?.cancel();
      if (hasData) this.#receiver = discarding(() => Promise.resolve());
      return;
    }
    const verb = VERBS[commandField];
    if (verb === undefined || context.service !== verb) return refuse(STATUS.unrecognizedOperation);
    if (messageId === undefined) return refuse(STATUS.mistypedArgument, 'the message ID is missing');
    if (this.#outstanding.has(messageId)) return refuse(STATUS.duplicateInvocation);
    if (!this.#peer.verbs.includes(verb)) {
      this.#parts.audit.record({
        ...{ event: 'access.refused', outcome: 'refused', principal: this.#peer.principal },
        detail: { door: 'dicom', verb },
      });
      return refuse(STATUS.notAuthorized, 'not allowed for this AE title');
    }
    if (verb === 'echo')
      return hasData ? refuse(STATUS.mistypedArgument, 'no data set expected') : refuse(STATUS.success);
    if (!hasData) return refuse(STATUS.mistypedArgument, 'a data set is missing');
    if (verb === 'find' && this.#finds.size >= MAX_WINDOW) return refuse(STATUS.outOfResources);
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
    this.#receiver =
      verb === 'find'
        ? gathering((identifier) => this.#find(messageId, request, identifier))
        : await beginStore(this.#parts, request);
  }

  /** Returns at once: the search goes on beside the reading. */
  #find(messageId: number, request: Request, identifier: Buffer): void {
    const task = new FindTask(this.#parts, request, identifier);
    this.#finds.set(messageId, task);
    this.#besides(
      task.run().finally(() => {
        if (this.#finds.get(messageId) === task) this.#finds.delete(messageId);
      }),
    );
  }

  /** One write for each answer. */
  #respond(
    context: Context,
    { commandField, affectedSopClassUid, affectedSopInstanceUid, messageId = 0 }: Command,
    status: number,
    { dataSet, comment }: { readonly dataSet?: Uint8Array; readonly comment?: string },
  ): Promise<void> {
    const response: Command = {
      commandField: commandField | 0x8000,
      affectedSopClassUid: affectedSopClassUid ?? context.abstractSyntax,
      messageIdRespondedTo: messageId,
      dataSetType: dataSet ? 0x0001 : NO_DATA_SET,
      ...{ status, affectedSopInstanceUid, errorComment: comment },
    };
    return this.#write(writeMessage(context.id, response, dataSet, this.#peer.negotiated.peerMaxPdu));
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
