/**
 * Lightbox as the one who asks: opens an association to another program, and echoes, sends, searches or retrieves there.
 *
 * Source: PS3.8 §9.2 (requestor), PS3.7 §9.1 (DIMSE-C services).
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '@lightbox/core/base/uid.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { readDataSet } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { texts } from '@lightbox/core/dicom/values.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { type Command, COMMANDS, NO_DATA_SET } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, writeMessage } from '@lightbox/core/dimse/message.ts';
import { VERIFICATION } from '@lightbox/core/dimse/negotiate.ts';
import { APPLICATION_CONTEXT } from '@lightbox/core/dimse/pdu.ts';
import { isAnswer, namesOfAnswer } from '@lightbox/core/dimse/normalized.ts';
import type { SubOperations } from '@lightbox/core/dimse/retrieve.ts';
import { STATUS, statusKind } from '@lightbox/core/dimse/status.ts';
import {
  type AcceptedContext,
  acceptedOf,
  type ClientOptions,
  connected,
  type Message,
  type PeerRequest,
  type RetrieveAnswer,
  type RetrieveOptions,
  statusFault,
  type StoreOptions,
} from './client-parts.ts';
import { type IncomingObject, type ObjectSink, Taking } from './incoming-object.ts';
import type { RoleSelection } from '@lightbox/core/dimse/user-information.ts';
import { sendMessage } from './outgoing-message.ts';
import { RequestedAssociation } from './requested.ts';
import { connectTls } from './tls-client.ts';

export type { RetrieveAnswer, RetrieveOptions } from './client-parts.ts';

export const TIMEOUT_MS = 30_000;
export const MAX_PDU = 256 * 1024;
/** An answer is an identifier; no peer's is longer. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** An open association. One operation at a time. */
export class DimseClient {
  readonly #association: RequestedAssociation;
  readonly #assembler = new MessageAssembler();
  #accepted: AcceptedContext[] = [];
  #roles: readonly RoleSelection[] = [];
  /** Requests of the peer that came while we waited for an answer. */
  readonly #requests: Message[] = [];
  #peerMaxPdu = 0;
  #messageId = 0;

  private constructor(association: RequestedAssociation) {
    this.#association = association;
  }

  /**
   * @throws Fault DIMSE_UNREACHABLE, DIMSE_TIMEOUT, DIMSE_REJECTED (facts: result, source, reason), DIMSE_ABORTED; over TLS
   *         also TLS_FAILED.
   */
  static async open(options: ClientOptions): Promise<DimseClient> {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const { host, port, tls } = options;
    const socket = await (tls ? connectTls({ host, port, timeoutMs }, tls) : connected(options, timeoutMs));
    const client = new DimseClient(new RequestedAssociation(socket, MAX_PDU, timeoutMs));
    try {
      await client.#associate(options);
      return client;
    } catch (error) {
      client.#association.breakOff(error);
      throw error;
    }
  }

  /** The transfer syntax agreed for a SOP class; undefined when the peer does not take it. */
  transferSyntaxOf(sopClassUid: string): string | undefined {
    return this.transferSyntaxesOf(sopClassUid)[0];
  }

  /** All that were agreed for it, each in a context of its own. */
  transferSyntaxesOf(sopClassUid: string): string[] {
    return this.#accepted.flatMap((one) => (one.abstractSyntax === sopClassUid ? [one.transferSyntax] : []));
  }

  /** What we are for a SOP class; undefined: the peer does not negotiate roles, so SCU (PS3.7 §D.3.3.4). */
  roleOf(sopClassUid: string): RoleSelection | undefined {
    return this.#roles.find((role) => role.sopClassUid === sopClassUid);
  }

  /** Another operation can be tried: nothing was broken off. */
  get usable(): boolean {
    return this.#association.usable;
  }

  /** @returns the status. */
  async echo(): Promise<number> {
    const { id } = this.#context(VERIFICATION);
    const command = this.#request(COMMANDS.echoRequest, VERIFICATION, NO_DATA_SET);
    await this.#write(writeMessage(id, command, undefined, this.#peerMaxPdu));
    return (await this.#message()).command.status ?? STATUS.success;
  }

  /**
   * Sends one object.
   *
   * @param dataSet  In the transfer syntax named, or else the one that was agreed first for its SOP class.
   * @returns the status of the answer.
   * @throws what `dataSet` throws: in the middle of the message the association is of no use any more (`usable`).
   */
  async store(
    object: { sopClassUid: string; sopInstanceUid: string },
    dataSet: AsyncIterable<Uint8Array> | Uint8Array,
    options: StoreOptions = {},
  ): Promise<{ status: number; comment?: string | undefined }> {
    const { id } = this.#context(object.sopClassUid, options.transferSyntax);
    const { originator } = options;
    const command: Command = {
      ...this.#request(COMMANDS.storeRequest, object.sopClassUid, 0x0001),
      affectedSopInstanceUid: object.sopInstanceUid,
      ...(originator
        ? { moveOriginatorAe: originator.ae, moveOriginatorMessageId: originator.messageId }
        : {}),
    };
    if (dataSet instanceof Uint8Array)
      await this.#write(writeMessage(id, command, dataSet, this.#peerMaxPdu));
    else {
      const context = { id, peerMaxPdu: this.#peerMaxPdu };
      const unsent = await sendMessage(context, command, dataSet, (bytes) => this.#write(bytes)).catch(
        (error: unknown) => {
          this.abort();
          throw error;
        },
      );
      if (unsent) throw unsent;
    }
    const { status = STATUS.success, errorComment } = (await this.#message()).command;
    return { status, comment: errorComment };
  }

  /**
   * Searches; yields identifiers, at most `limit`. Where the caller has enough, the peer is told by C-CANCEL, and what it still
   * sends is read away, so that the association can go on.
   *
   * @throws Fault DIMSE_STATUS when the peer answers with a failure.
   */
  async *find(sopClassUid: string, identifier: DataSet, limit = Infinity): AsyncGenerator<DataSet> {
    const { id, transferSyntax } = this.#context(sopClassUid);
    const command = this.#request(COMMANDS.findRequest, sopClassUid, 0x0001);
    await this.#write(writeMessage(id, command, writeDataSet(identifier, transferSyntax), this.#peerMaxPdu));
    let over = false;
    try {
      for (let count = 0; count < limit;) {
        const message = await this.#message().catch((error: unknown) => {
          over = true;
          throw error;
        });
        const { status = STATUS.success, errorComment } = message.command;
        if (statusKind(status) !== 'pending') {
          over = true;
          if (statusKind(status) === 'failure') throw statusFault(status, errorComment);
          return;
        }
        if (!message.dataSet) continue;
        count += 1;
        yield readDataSet(message.dataSet, transferSyntax, { onMismatch: 'warn' }).dataSet;
      }
    } finally {
      if (!over) await this.#cancel(id, command.messageId);
    }
  }

  /**
   * C-GET: what matches comes on this association, which has to take its SOP classes (`takes`).
   *
   * @param take  Says where an object goes.
   * @throws Fault DIMSE_NO_CONTEXT and as `#message`. A failure status is an answer.
   */
  get(
    sopClassUid: string,
    identifier: DataSet,
    take: (object: IncomingObject) => Promise<ObjectSink>,
    options: RetrieveOptions = {},
  ): Promise<RetrieveAnswer> {
    const command = this.#request(COMMANDS.getRequest, sopClassUid, 0x0001);
    return this.#retrieve(command, sopClassUid, identifier, options, take);
  }

  /** C-MOVE: what matches is sent to `destination`, an AE title the peer knows. Throws as `get`. */
  move(
    sopClassUid: string,
    identifier: DataSet,
    destination: string,
    options: RetrieveOptions = {},
  ): Promise<RetrieveAnswer> {
    const command = this.#request(COMMANDS.moveRequest, sopClassUid, 0x0001);
    return this.#retrieve({ ...command, moveDestination: destination }, sopClassUid, identifier, options);
  }

  async #retrieve(
    command: Command,
    sopClassUid: string,
    identifier: DataSet,
    { progress, signal }: RetrieveOptions,
    take?: (object: IncomingObject) => Promise<ObjectSink>,
  ): Promise<RetrieveAnswer> {
    const { id, transferSyntax } = this.#context(sopClassUid);
    await this.#write(writeMessage(id, command, writeDataSet(identifier, transferSyntax), this.#peerMaxPdu));
    // A whole message in one write: it may go out between two others.
    const cancel = (): void => void this.#sendCancel(id, command.messageId).catch(() => undefined);
    if (signal?.aborted === true) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      for (;;) {
        const stored: { taking?: Taking } = {};
        const message = await this.#message(async (request, contextId) => {
          const context = this.#accepted.find((one) => one.id === contextId);
          if (request.commandField !== COMMANDS.storeRequest || !take || !context) return undefined;
          stored.taking = new Taking(take, request, context.transferSyntax);
          return stored.taking;
        });
        const { status = STATUS.success, errorComment, commandField } = message.command;
        if (commandField === COMMANDS.storeRequest) {
          await this.#answerStore(message, (await stored.taking?.end()) ?? STATUS.noSuchSopClass);
          continue;
        }
        const { remaining, completed, failed, warnings } = message.command;
        const counts = Object.fromEntries(
          Object.entries({ remaining, completed, failed, warnings }).filter(([, one]) => one !== undefined),
        ) as Partial<SubOperations>;
        progress?.(counts);
        if (statusKind(status) === 'pending') continue;
        const list =
          message.dataSet && readDataSet(message.dataSet, transferSyntax, { onMismatch: 'warn' }).dataSet;
        const failedUids = list ? texts(list, Tags.FailedSOPInstanceUIDList) : [];
        return { status, comment: errorComment, counts, failedUids };
      }
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  #answerStore({ contextId, command }: Message, status: number): Promise<void> {
    const { affectedSopClassUid, affectedSopInstanceUid, messageId: messageIdRespondedTo } = command;
    const response: Command = {
      ...{ commandField: COMMANDS.storeResponse, affectedSopClassUid, affectedSopInstanceUid },
      ...{ messageIdRespondedTo, dataSetType: NO_DATA_SET, status },
    };
    return this.#write(writeMessage(contextId, response, undefined, this.#peerMaxPdu));
  }

  #sendCancel(id: number, messageIdRespondedTo: number | undefined): Promise<void> {
    const commandField = COMMANDS.cancelRequest;
    const command = { commandField, messageIdRespondedTo, dataSetType: NO_DATA_SET };
    return this.#write(writeMessage(id, command, undefined, this.#peerMaxPdu));
  }

  /** @throws Fault as `#message`. A peer that has ended its search meanwhile answers with success. */
  async #cancel(id: number, messageId: number | undefined): Promise<void> {
    await this.#sendCancel(id, messageId);
    for (;;) {
      const { status = STATUS.success } = (await this.#message()).command;
      if (statusKind(status) !== 'pending') return;
    }
  }

  /**
   * An operation or notification of DIMSE-N (PS3.7 §10.1).
   *
   * @throws Fault DIMSE_STATUS when the peer answers with a failure.
   */
  async perform(
    sopClassUid: string,
    commandOf: (messageId: number) => Command,
    dataSet: DataSet,
  ): Promise<void> {
    const { id, transferSyntax } = this.#context(sopClassUid);
    const { messageId = 0 } = this.#request(0, sopClassUid, 0x0001);
    const bytes = writeDataSet(dataSet, transferSyntax);
    await this.#write(writeMessage(id, commandOf(messageId), bytes, this.#peerMaxPdu));
    for (;;) {
      const message = await this.#message();
      if (!isAnswer(message.command)) {
        this.#requests.push(message);
        continue;
      }
      const { status = STATUS.success, errorComment } = message.command;
      if (statusKind(status) === 'failure') throw statusFault(status, errorComment);
      return;
    }
  }

  /** What the peer asks or tells us of itself; undefined when nothing comes in time, or it wants to leave. */
  async requested(waitMs: number): Promise<PeerRequest | undefined> {
    if (this.#requests.length === 0) {
      const coming = await this.#association.peek(waitMs);
      if (coming?.type !== 'pdv') return undefined;
      this.#requests.push(await this.#message());
    }
    const message = this.#requests[0];
    const context = this.#accepted.find(({ id }) => id === message?.contextId);
    if (!message || !context || isAnswer(message.command)) throw new Fault('DIMSE_ABORTED');
    const { command, dataSet } = message;
    return {
      command,
      dataSet: dataSet && readDataSet(dataSet, context.transferSyntax, { onMismatch: 'warn' }).dataSet,
    };
  }

  /** Answers the request that `requested` gave last. */
  async answer(status: number): Promise<void> {
    const message = this.#requests.shift();
    if (!message) return;
    const { contextId, command } = message;
    const response: Command = {
      ...namesOfAnswer(command, ''),
      ...{ commandField: command.commandField | 0x8000, messageIdRespondedTo: command.messageId },
      ...{ dataSetType: NO_DATA_SET, status },
    };
    await this.#write(writeMessage(contextId, response, undefined, this.#peerMaxPdu));
  }

  /** Ends the association in order. */
  close(): Promise<void> {
    return this.#association.close();
  }

  abort(): void {
    this.#association.abort();
  }

  async #associate(options: ClientOptions): Promise<void> {
    const contexts = options.contexts.slice(0, 128).map(({ sopClassUid, transferSyntaxUids }, index) => ({
      ...{ id: index * 2 + 1, abstractSyntax: sopClassUid, transferSyntaxes: transferSyntaxUids },
    }));
    const answer = await this.#association.ask({
      ...{ type: 'associate-rq', protocolVersion: 1, applicationContext: APPLICATION_CONTEXT, contexts },
      ...{ calledAe: options.calledAe, callingAe: options.callingAe },
      user: {
        ...{ maxPdu: MAX_PDU, implementationClassUid: IMPLEMENTATION_CLASS_UID },
        implementationVersion: IMPLEMENTATION_VERSION_NAME,
        roles: [...(options.takes ?? []), ...(options.provides ?? [])].map((sopClassUid) => ({
          sopClassUid,
          scu: false,
          scp: true,
        })),
        extended: options.relational?.map((sopClassUid) => ({ sopClassUid, info: Uint8Array.of(1) })),
      },
    });
    this.#peerMaxPdu = answer.user.maxPdu;
    this.#roles = answer.user.roles ?? [];
    this.#accepted = acceptedOf(answer, contexts);
  }

  #context(sopClassUid: string, transferSyntax?: string): AcceptedContext {
    const found = this.#accepted.find(
      (one) =>
        one.abstractSyntax === sopClassUid &&
        (transferSyntax === undefined || one.transferSyntax === transferSyntax),
    );
    if (!found) throw new Fault('DIMSE_NO_CONTEXT', { sopClass: sopClassUid });
    return found;
  }

  #request(commandField: number, affectedSopClassUid: string, dataSetType: number): Command {
    this.#messageId = (this.#messageId % 0xffff) + 1;
    return { commandField, affectedSopClassUid, dataSetType, messageId: this.#messageId, priority: 0 };
  }

  /** @param into  Where the data set goes while it comes, if not into memory. */
  async #message(
    into?: (command: Command, contextId: number) => Promise<Taking | undefined>,
  ): Promise<Message> {
    let open: { readonly contextId: number; readonly command: Command } | undefined;
    let taking: Taking | undefined;
    const parts: Buffer[] = [];
    let length = 0;
    try {
      for (;;) {
        const value = await this.#association.next();
        if (value.type === 'release-rq') await this.#association.letGo();
        if (value.type !== 'pdv') throw new Fault('DIMSE_ABORTED');
        const event = this.#assembler.take(value);
        if (!event) continue;
        if (event.kind === 'command') {
          open = event;
          if (open.command.dataSetType === NO_DATA_SET) return { ...open, dataSet: undefined };
          taking = await into?.(open.command, open.contextId);
          continue;
        }
        if (taking) await taking.write(event.bytes);
        else {
          length += event.bytes.length;
          if (length > MAX_ANSWER_BYTES) throw new Fault('PDU_LENGTH', { what: 'data set of an answer' });
          if (event.bytes.length > 0) parts.push(Buffer.from(event.bytes));
        }
        if (event.last && open) return { ...open, dataSet: taking ? undefined : Buffer.concat(parts) };
      }
    } catch (error) {
      // What comes next could not be understood, or nothing does.
      this.#association.breakOff(error);
      await taking?.breakOff();
      throw error;
    }
  }

  #write(bytes: Uint8Array): Promise<void> {
    return this.#association.write(bytes);
  }
}
