/**
 * An association that costs the measuring side as little as possible: messages are encoded before the clock starts, answers
 * are only counted. Its reading and writing of PDUs is that of `core/dimse`, which conformance tests hold against DCMTK.
 *
 * Source: PS3.8 §9.2 (requestor), PS3.7 §9.1.1 (C-STORE), §9.1.2 (C-FIND).
 */
import { connect, type Socket } from 'node:net';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { COMMANDS } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, writeMessage } from '@lightbox/core/dimse/message.ts';
import { APPLICATION_CONTEXT, writePdu } from '@lightbox/core/dimse/pdu.ts';
import { PduSplitter, type Received } from '@lightbox/core/dimse/splitter.ts';
import { statusKind } from '@lightbox/core/dimse/status.ts';
import type { Sample } from './data.ts';

const MAX_PDU = 256 * 1024;
const STUDY_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.2.1';

export interface DimseTarget {
  readonly port: number;
  readonly aeTitle: string;
}

/** A message ready to be written; only its context and the peer's longest PDU had to be known. */
export type Encoded = Uint8Array;

interface Answer {
  /** Pending responses before the final one. */
  readonly matches: number;
  readonly status: number;
}

export class BenchAssociation {
  readonly #socket: Socket;
  readonly #splitter = new PduSplitter(MAX_PDU);
  readonly #assembler = new MessageAssembler();
  readonly #contexts = new Map<string, number>();
  #peerMaxPdu = 0;
  #matches = 0;
  #waiting: { settle: (answer: Answer) => void; fail: (error: Error) => void } | undefined;
  #negotiated: ((value: Received) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#lost(error));
    socket.on('close', () => this.#lost(new Error('the peer closed the association')));
  }

  static async open(target: DimseTarget, sopClassUids: readonly string[]): Promise<BenchAssociation> {
    const socket = connect({ host: '127.0.0.1', port: target.port, noDelay: true });
    const association = new BenchAssociation(socket);
    await association.#associate(target.aeTitle, sopClassUids);
    return association;
  }

  static openFind(target: DimseTarget): Promise<BenchAssociation> {
    return BenchAssociation.open(target, [STUDY_ROOT_FIND]);
  }

  async #associate(calledAe: string, sopClassUids: readonly string[]): Promise<void> {
    const contexts = sopClassUids.map((abstractSyntax, at) => ({
      ...{ id: at * 2 + 1, abstractSyntax, transferSyntaxes: [EXPLICIT_LE] },
    }));
    const answered = new Promise<Received>((settle, fail) => {
      this.#negotiated = settle;
      this.#waiting = { settle: () => undefined, fail };
    });
    this.#socket.write(
      writePdu({
        ...{ type: 'associate-rq', protocolVersion: 1, applicationContext: APPLICATION_CONTEXT, contexts },
        ...{ calledAe, callingAe: 'BENCH' },
        user: {
          ...{
            maxPdu: MAX_PDU,
            implementationClassUid: '1.2.826.0.1.3680043.10.1234.9.0',
            extended: undefined,
          },
          implementationVersion: 'LIGHTBOX_BENCH',
        },
      }),
    );
    const answer = await answered;
    this.#negotiated = undefined;
    this.#waiting = undefined;
    if (answer.type !== 'associate-ac') throw new Error(`the association was answered with ${answer.type}`);
    this.#peerMaxPdu = answer.user.maxPdu;
    for (const { id, result } of answer.contexts) {
      const context = contexts.find((one) => one.id === id);
      if (result !== 0 || !context) throw new Error(`presentation context ${id} was not accepted`);
      this.#contexts.set(context.abstractSyntax, id);
    }
  }

  #context(sopClassUid: string): number {
    const id = this.#contexts.get(sopClassUid);
    if (id === undefined) throw new Error(`no context for ${sopClassUid}`);
    return id;
  }

  encodeStore(object: Sample): Encoded {
    const { sopClassUid, sopUid } = object;
    const command = {
      ...{ commandField: COMMANDS.storeRequest, affectedSopClassUid: sopClassUid, dataSetType: 1 },
      ...{ messageId: 1, priority: 0, affectedSopInstanceUid: sopUid },
    };
    return writeMessage(this.#context(sopClassUid), command, object.dataSet, this.#peerMaxPdu);
  }

  encodeFind(identifier: DataSet): Encoded {
    const command = {
      ...{ commandField: COMMANDS.findRequest, affectedSopClassUid: STUDY_ROOT_FIND, dataSetType: 1 },
      ...{ messageId: 1, priority: 0 },
    };
    const bytes = writeDataSet(identifier, EXPLICIT_LE);
    return writeMessage(this.#context(STUDY_ROOT_FIND), command, bytes, this.#peerMaxPdu);
  }

  /** Writes a request and waits for its final answer. @throws when its status is a failure, or the peer goes away. */
  async request(message: Encoded): Promise<number> {
    this.#matches = 0;
    const answered = new Promise<Answer>((settle, fail) => (this.#waiting = { settle, fail }));
    this.#socket.write(message);
    const { status, matches } = await answered;
    if (statusKind(status) === 'failure') throw new Error(`the peer answered 0x${status.toString(16)}`);
    return matches;
  }

  async close(): Promise<void> {
    if (this.#socket.destroyed) return;
    const closed = new Promise((settle) => this.#socket.once('close', settle));
    this.#socket.end(writePdu({ type: 'release-rq' }));
    setTimeout(() => this.#socket.destroy(), 1000).unref();
    await closed;
  }

  #take(chunk: Buffer): void {
    try {
      this.#splitter.push(chunk);
      for (let value = this.#splitter.next(); value; value = this.#splitter.next()) this.#value(value);
    } catch (error) {
      this.#lost(error as Error);
    }
  }

  #value(value: Received): void {
    if (this.#negotiated) return this.#negotiated(value);
    if (value.type !== 'pdv') {
      if (value.type === 'abort') this.#lost(new Error('the peer aborted'));
      return;
    }
    const event = this.#assembler.take(value);
    if (event?.kind !== 'command') return;
    const { status = 0 } = event.command;
    if (statusKind(status) === 'pending') {
      this.#matches += 1;
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.settle({ status, matches: this.#matches });
  }

  #lost(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#socket.destroy();
    waiting?.fail(error);
  }
}
