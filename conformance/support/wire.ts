/**
 * A peer that speaks DICOM byte by byte: it can stop in the middle, say what is not allowed, and not listen.
 *
 * It writes and reads with core/dimse, which is proven against recorded bytes; what is tested with it is the door.
 */
import { connect, type Socket } from 'node:net';
import type { DataSet } from '../../core/src/dicom/data-set.ts';
import { readDataSet } from '../../core/src/dicom/read.ts';
import { writeDataSet } from '../../core/src/dicom/write.ts';
import { type Command, COMMANDS, NO_DATA_SET } from '../../core/src/dimse/command.ts';
import { MessageAssembler, writeMessage } from '../../core/src/dimse/message.ts';
import { PATIENT_ROOT_FIND, STUDY_ROOT_FIND, VERIFICATION } from '../../core/src/dimse/negotiate.ts';
import { APPLICATION_CONTEXT, type AssociateRequest, type Pdu, writePdu } from '../../core/src/dimse/pdu.ts';
import { PduSplitter, type Received } from '../../core/src/dimse/splitter.ts';
import type { UserInformation } from '../../core/src/dimse/user-information.ts';

export const CT = '1.2.840.10008.5.1.4.1.1.2';
export const EXPLICIT = '1.2.840.10008.1.2.1';
/** Context ids of `associate`. */
export const ECHO_CONTEXT = 1;
export const STORE_CONTEXT = 3;
export const FIND_CONTEXT = 5;
export const PATIENT_FIND_CONTEXT = 7;

export interface Message {
  readonly contextId: number;
  readonly command: Command;
  readonly dataSet: Uint8Array | undefined;
}

export class Wire {
  readonly socket: Socket;
  /** Bytes that arrived so far. */
  received = 0;
  closed = false;
  readonly #splitter = new PduSplitter(16 * 1024 * 1024);
  readonly #assembler = new MessageAssembler();
  #values: Received[] = [];
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      this.#splitter.push(chunk);
      for (let value = this.#splitter.next(); value; value = this.#splitter.next())
        this.#values.push(value.type === 'pdv' ? { ...value, bytes: Uint8Array.from(value.bytes) } : value);
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** A connection that somebody opened to us. */
  static over(socket: Socket): Wire {
    return new Wire(socket);
  }

  static open(port: number): Promise<Wire> {
    return new Promise((settle, fail) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => settle(new Wire(socket)));
      socket.once('error', fail);
    });
  }

  send(bytes: Uint8Array | Pdu): void {
    this.socket.write(bytes instanceof Uint8Array ? bytes : writePdu(bytes));
  }

  /** Resolves when the peer takes more, or has gone. */
  drained(): Promise<void> {
    const { socket } = this;
    return new Promise((settle) => {
      const done = (): void => {
        socket.off('drain', done).off('close', done);
        settle();
      };
      socket.on('drain', done).on('close', done);
      if (!socket.writableNeedDrain) setImmediate(done);
    });
  }

  /** Asks for Verification, CT, Study and Patient Root, all in explicit little endian. @returns the answer. */
  async associate(
    options: { callingAe?: string; user?: Partial<UserInformation> } = {},
  ): Promise<Received | 'closed'> {
    this.send(associateRequest(options));
    return this.next();
  }

  /** The next PDU or PDV, or that the connection ended. */
  async next(timeoutMs = 20_000): Promise<Received | 'closed'> {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const value = this.#values.shift();
      if (value) return value;
      if (this.closed) return 'closed';
      if (Date.now() >= until) throw new Error('nothing came');
      await new Promise<void>((settle) => {
        const timer = setTimeout(settle, until - Date.now());
        this.#wake = () => {
          clearTimeout(timer);
          settle();
        };
      });
    }
  }

  async message(): Promise<Message> {
    let open: { contextId: number; command: Command } | undefined;
    const parts: Uint8Array[] = [];
    for (;;) {
      const value = await this.next();
      if (value === 'closed' || value.type !== 'pdv')
        throw new Error(`no message but ${JSON.stringify(value)}`);
      const event = this.#assembler.take(value);
      if (!event) continue;
      if (event.kind === 'command') {
        open = event;
        if (open.command.dataSetType === NO_DATA_SET) return { ...open, dataSet: undefined };
      } else {
        parts.push(event.bytes);
        if (event.last && open) return { ...open, dataSet: Buffer.concat(parts) };
      }
    }
  }

  request(contextId: number, command: Command, dataSet?: Uint8Array): void {
    this.send(writeMessage(contextId, command, dataSet, 16384));
  }

  echo(messageId = 1): void {
    this.request(ECHO_CONTEXT, {
      ...{ commandField: COMMANDS.echoRequest, messageId, affectedSopClassUid: VERIFICATION },
      dataSetType: NO_DATA_SET,
    });
  }

  store(messageId: number, sopUid: string, dataSet: Uint8Array): void {
    this.send(storeMessage(messageId, sopUid, dataSet));
  }

  find(messageId: number, identifier: DataSet, contextId = FIND_CONTEXT): void {
    const affectedSopClassUid = contextId === FIND_CONTEXT ? STUDY_ROOT_FIND : PATIENT_ROOT_FIND;
    this.request(
      contextId,
      {
        ...{ commandField: COMMANDS.findRequest, messageId, affectedSopClassUid },
        ...{ priority: 0, dataSetType: 1 },
      },
      writeDataSet(identifier, EXPLICIT),
    );
  }

  cancel(messageId: number): void {
    this.request(FIND_CONTEXT, {
      ...{ commandField: COMMANDS.cancelRequest, messageIdRespondedTo: messageId, dataSetType: NO_DATA_SET },
    });
  }

  /** All answers of one C-FIND, and the status that ended it. */
  async answers(): Promise<{ matches: DataSet[]; pending: Set<number>; status: number | undefined }> {
    const matches: DataSet[] = [];
    const pending = new Set<number>();
    for (;;) {
      const { command, dataSet } = await this.message();
      if (!dataSet) return { matches, pending, status: command.status };
      pending.add(command.status ?? -1);
      matches.push(readDataSet(dataSet, EXPLICIT).dataSet);
    }
  }

  async release(): Promise<Received | 'closed'> {
    this.send({ type: 'release-rq' });
    return this.next();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export function associateRequest(
  options: { callingAe?: string; user?: Partial<UserInformation> } = {},
): AssociateRequest {
  const transferSyntaxes = [EXPLICIT];
  return {
    ...{ type: 'associate-rq', protocolVersion: 1, applicationContext: APPLICATION_CONTEXT },
    ...{ calledAe: 'LIGHTBOX', callingAe: options.callingAe ?? 'WIRE' },
    user: { maxPdu: 16384, ...options.user },
    contexts: [
      { id: ECHO_CONTEXT, abstractSyntax: VERIFICATION, transferSyntaxes },
      { id: STORE_CONTEXT, abstractSyntax: CT, transferSyntaxes },
      { id: FIND_CONTEXT, abstractSyntax: STUDY_ROOT_FIND, transferSyntaxes },
      { id: PATIENT_FIND_CONTEXT, abstractSyntax: PATIENT_ROOT_FIND, transferSyntaxes },
    ],
  };
}

/** A C-STORE-RQ with its data set in P-DATA-TFs of at most `pduLength`. */
export function storeMessage(
  messageId: number,
  sopUid: string,
  dataSet: Uint8Array,
  pduLength = 16384,
): Uint8Array {
  return writeMessage(
    STORE_CONTEXT,
    {
      ...{ commandField: COMMANDS.storeRequest, messageId, priority: 0, dataSetType: 1 },
      ...{ affectedSopClassUid: CT, affectedSopInstanceUid: sopUid },
    },
    dataSet,
    pduLength,
  );
}

/** The data set of a Part 10 file: behind preamble, prefix and file meta (PS3.10 §7.1). */
export function dataSetOfFile(file: Buffer): Buffer {
  return file.subarray(144 + file.readUInt32LE(140));
}
