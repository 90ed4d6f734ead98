/**
 * One association of a peer with us: let in or refused, served message by message, and ended as the state table says.
 *
 * Source: PS3.8 §7, §9.2 (state machine; states Sta2, Sta3, Sta6, Sta8, Sta13 are met here), §9.1.5 (ARTIM), PS3.7 §9 (services).
 * Layer:  server/doors/dimse.
 */
import type { Socket } from 'node:net';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { type Command, COMMANDS, NO_DATA_SET } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, writeMessage } from '@lightbox/core/dimse/message.ts';
import { type Context, negotiate, type Negotiated, serviceOf } from '@lightbox/core/dimse/negotiate.ts';
import {
  abortReason,
  APPLICATION_CONTEXT,
  type AssociateReject,
  type AssociateRequest,
  writePdu,
} from '@lightbox/core/dimse/pdu.ts';
import { PduSplitter, type PdvPart, type Received } from '@lightbox/core/dimse/splitter.ts';
import { type State, transition, type UpperLayerEvent } from '@lightbox/core/dimse/state.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import { plainAddress } from '../../identity/devices.ts';
import type { AdmitAnswer, DeviceVerb } from '../../identity/types.ts';
import { chunksOf } from '../../platform/chunks.ts';
import type { DimseDoorOptions } from './door.ts';
import { FindTask } from './find.ts';
import { StoreTask } from './store.ts';

/** After a reject, a release reply or an abort the peer has this long to close. */
const LINGER_MS = 2000;

export type Admitted = Extract<AdmitAnswer, { admitted: true }>;

/** What a service needs of its association. */
export interface Peer extends Admitted {
  readonly callingAe: string;
  readonly remoteAddress: string;
  readonly negotiated: Negotiated;
  send(context: Context, command: Command, dataSet?: Uint8Array): Promise<void>;
}

export class Association {
  readonly #socket: Socket;
  readonly #options: DimseDoorOptions;
  readonly #full: boolean;
  readonly #splitter: PduSplitter;
  readonly #assembler = new MessageAssembler();
  readonly #remoteAddress: string;
  readonly #finds = new Map<number, FindTask>();
  #state: State = 2;
  #peer: Peer | undefined;
  #store: StoreTask | undefined;
  #identifier: { context: Context; command: Command; parts: Buffer[]; length: number } | undefined;
  #stopping = false;
  #busy = false;

  constructor(socket: Socket, options: DimseDoorOptions, full: boolean) {
    this.#socket = socket;
    this.#options = options;
    this.#full = full;
    this.#splitter = new PduSplitter(options.config.maxPdu);
    this.#remoteAddress = plainAddress(socket.remoteAddress ?? '');
  }

  /** Serves the connection until it ends. Never rejects. */
  async run(): Promise<void> {
    const socket = this.#socket;
    const { config, log } = this.#options;
    socket.setTimeout(config.artimSeconds * 1000, () => {
      // ARTIM before an association, idle time within one: the peer has gone.
      if (this.#busy) return;
      log.info({ state: this.#state }, 'dicom connection timed out');
      if (this.#state === 6) this.#abort(2, 0);
      else socket.destroy();
    });
    try {
      for await (const chunk of chunksOf(socket)) {
        this.#splitter.push(chunk);
        for (let value = this.#splitter.next(); value; value = this.#splitter.next()) {
          this.#busy = true;
          await this.#take(value);
          this.#busy = false;
          if (this.#state === 13) break;
        }
        if (this.#stopping && this.#quiet) this.#abort(2, 0);
        if (this.#state === 13) break;
      }
    } catch (error) {
      const fault = asFault(error);
      if (!socket.destroyed) {
        log.info({ code: fault.code, facts: fault.facts }, 'dicom association aborted');
        this.#abort(2, abortReason(fault.code));
      }
    } finally {
      this.#busy = false;
      for (const find of this.#finds.values()) find.cancel();
      await this.#store?.abort();
      this.#store = undefined;
      await this.#linger();
    }
  }

  /** Ends as soon as nothing is under way. */
  stop(): void {
    this.#stopping = true;
    if (this.#quiet) this.#abort(2, 0);
  }

  abort(): void {
    this.#abort(2, 0);
    this.#socket.destroy();
  }

  get #quiet(): boolean {
    return !this.#busy && !this.#store && this.#finds.size === 0 && !this.#assembler.open;
  }

  async #take(value: Received): Promise<void> {
    this.#move(eventOf(value));
    switch (value.type) {
      case 'associate-rq':
        return this.#admit(value);
      case 'pdv':
        return this.#data(value);
      case 'release-rq':
        for (const find of this.#finds.values()) find.cancel();
        this.#move('release-response');
        await this.#write(writePdu({ type: 'release-rp' }));
        return;
      default:
        // An A-ABORT, or a release reply nobody asked for: the table has ended it.
        this.#socket.destroy();
    }
  }

  /** @throws Fault PDU_UNEXPECTED where Table 9-10 answers with AA-1 or AA-8: an abort. */
  #move(event: UpperLayerEvent): void {
    const found = transition(this.#state, event, true);
    if (!found || found.action === 'AA-8' || found.action === 'AA-1')
      throw new Fault('PDU_UNEXPECTED', { event, state: this.#state });
    this.#state = found.next;
  }

  async #admit(request: AssociateRequest): Promise<void> {
    const reject = async (result: number, source: number, reason: number): Promise<void> => {
      this.#move('reject');
      await this.#write(writePdu({ type: 'associate-rj', result, source, reason } satisfies AssociateReject));
    };
    // PS3.8 Table 9-21.
    if (this.#full || this.#stopping) return reject(2, 3, 2);
    if ((request.protocolVersion & 1) === 0) return reject(1, 2, 2);
    if (request.applicationContext !== APPLICATION_CONTEXT) return reject(1, 1, 2);
    const { config, devices } = this.#options;
    const calledAe = request.calledAe.trim();
    const callingAe = request.callingAe.trim();
    const services = request.contexts.flatMap(({ abstractSyntax }) => serviceOf(abstractSyntax) ?? []);
    const remoteAddress = this.#remoteAddress;
    const answer = await devices.admit({ callingAe, calledAe, remoteAddress, services });
    if (!answer.admitted) return reject(1, 1, answer.reason);
    const negotiated = negotiate(request, config.maxPdu);
    this.#peer = {
      ...answer,
      ...{ callingAe, remoteAddress, negotiated },
      send: (context, command, dataSet) =>
        this.#write(writeMessage(context.id, command, dataSet, negotiated.peerMaxPdu)),
    };
    this.#move('accept');
    this.#socket.setTimeout(config.idleSeconds * 1000);
    await this.#write(writePdu(negotiated.accept));
  }

  async #data(part: PdvPart): Promise<void> {
    const peer = this.#peer;
    if (!peer) throw new Fault('PDU_UNEXPECTED');
    const event = this.#assembler.take(part);
    if (!event) return;
    if (event.kind === 'command') {
      const context = peer.negotiated.contexts.get(event.contextId);
      if (!context) throw new Fault('PDU_VALUE', { what: 'a context that was not accepted' });
      return this.#command(peer, context, event.command);
    }
    if (this.#store) {
      await this.#store.write(event.bytes);
      if (!event.last) return;
      const store = this.#store;
      this.#store = undefined;
      return store.finish();
    }
    const waiting = this.#identifier;
    if (!waiting) throw new Fault('PDU_UNEXPECTED', { what: 'data set' });
    waiting.length += event.bytes.length;
    if (waiting.length > MAX_IDENTIFIER_BYTES) throw new Fault('PDU_LENGTH', { what: 'identifier' });
    waiting.parts.push(Buffer.from(event.bytes));
    if (!event.last) return;
    this.#identifier = undefined;
    this.#find(peer, waiting.context, waiting.command, Buffer.concat(waiting.parts));
  }

  async #command(peer: Peer, context: Context, command: Command): Promise<void> {
    const { commandField, messageId = 0 } = command;
    if (commandField === COMMANDS.cancelRequest) {
      this.#finds.get(command.messageIdRespondedTo ?? -1)?.cancel();
      return;
    }
    const hasData = command.dataSetType !== NO_DATA_SET;
    const verb = VERBS[commandField];
    const answer = (status: number, errorComment?: string): Promise<void> =>
      peer.send(context, {
        commandField: commandField | 0x8000,
        affectedSopClassUid: command.affectedSopClassUid ?? context.abstractSyntax,
        messageIdRespondedTo: messageId,
        dataSetType: NO_DATA_SET,
        status,
        affectedSopInstanceUid: command.affectedSopInstanceUid,
        errorComment,
      });
    if (verb === undefined || context.service !== verb) {
      await answer(STATUS.unrecognizedOperation);
      // Its data set would be taken for the next message: what follows cannot be understood.
      if (hasData) throw new Fault('DIMSE_COMMAND', { command: commandField });
      return;
    }
    if (!peer.verbs.includes(verb)) {
      this.#options.audit.record({
        ...{ event: 'access.refused', outcome: 'refused', principal: peer.principal },
        detail: { door: 'dicom', verb },
      });
      await answer(STATUS.notAuthorized, 'not allowed for this AE title');
      if (hasData) this.#store = StoreTask.discarding();
      return;
    }
    if (verb === 'echo') return answer(STATUS.success);
    if (!hasData) return answer(STATUS.mistypedArgument, 'a data set is missing');
    if (verb === 'find') {
      this.#identifier = { context, command, parts: [], length: 0 };
      return;
    }
    this.#store = await StoreTask.begin(this.#options, peer, context, command, answer);
  }

  #find(peer: Peer, context: Context, command: Command, identifier: Buffer): void {
    const messageId = command.messageId ?? 0;
    const task = new FindTask(this.#options, peer, context, command, identifier);
    this.#finds.set(messageId, task);
    void task
      .run()
      .catch((error: unknown) => {
        this.#options.log.error({ err: error }, 'C-FIND failed');
        this.#abort(2, 0);
      })
      .finally(() => {
        this.#finds.delete(messageId);
        if (this.#stopping && this.#quiet) this.#abort(2, 0);
      });
  }

  /** Resolves when the bytes are on their way, or the peer takes no more of them for now. */
  #write(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return Promise.resolve();
    if (socket.write(bytes)) return Promise.resolve();
    return new Promise((settle) => {
      const done = (): void => {
        socket.removeListener('drain', done);
        socket.removeListener('close', done);
        settle();
      };
      socket.once('drain', done);
      socket.once('close', done);
    });
  }

  #abort(source: 0 | 2, reason: number): void {
    if (this.#state === 13 || this.#socket.destroyed) return;
    this.#state = 13;
    this.#socket.end(Buffer.from(writePdu({ type: 'abort', source, reason })));
    // The reading loop may be waiting for bytes that never come.
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
  }

  /** Gives what was sent last time to arrive, then closes (AR-5, AA-2). */
  async #linger(): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed) return;
    await new Promise<void>((settle) => {
      const timer = setTimeout(() => socket.destroy(), LINGER_MS);
      socket.once('close', () => {
        clearTimeout(timer);
        settle();
      });
      socket.end();
      // What still comes is of no interest, but only who reads sees the other side close.
      socket.resume();
    });
  }
}

/** A C-FIND identifier is a few hundred bytes; lists of UIDs make some kilobytes. */
const MAX_IDENTIFIER_BYTES = 1024 * 1024;

const VERBS: Readonly<Partial<Record<number, DeviceVerb>>> = {
  [COMMANDS.echoRequest]: 'echo',
  [COMMANDS.storeRequest]: 'store',
  [COMMANDS.findRequest]: 'find',
};

function eventOf(value: Received): UpperLayerEvent {
  return value.type === 'pdv' ? 'p-data' : value.type;
}
