/**
 * Requests of ours on an association the peer opened: the objects of its C-GET, and the results of its storage commitments.
 *
 * Source: PS3.7 §9.1.1, §9.1.3.2 (sub-operations), §10.1.1 (N-EVENT-REPORT), §D.3.3.3 (how many may be outstanding), PS3.4 §C.4.3,
 *         §J.3.3.1.
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { type Command, COMMANDS } from '@lightbox/core/dimse/command.ts';
import { writeMessage } from '@lightbox/core/dimse/message.ts';
import type { Context } from '@lightbox/core/dimse/negotiate.ts';
import { type Push, sendMessage } from './outgoing-message.ts';

interface Waiting {
  settle(answer: number | Fault): void;
  fail(fault: Fault): void;
}

export interface StoredObject {
  readonly sopClassUid: string;
  readonly sopUid: string;
}

export class PeerStores {
  readonly #options: {
    readonly peerMaxPdu: number;
    /** How long the peer may take to answer. */
    readonly timeoutMs: number;
    readonly push: Push;
    /** Runs work while no other message is written. */
    readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  };
  readonly #waiting = new Map<number, Waiting>();
  readonly #atEnd: (() => void)[] = [];
  #messageId = 0;
  #over = false;

  constructor(options: {
    readonly peerMaxPdu: number;
    readonly timeoutMs: number;
    readonly push: Push;
    readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  }) {
    this.#options = options;
  }

  /**
   * @returns the peer's status, or why there is none although the association is as it was: the object could not be read before
   *   anything of it was sent, or the peer left.
   * @throws Fault DIMSE_TIMEOUT, DIMSE_ABORTED: the association has to end.
   */
  async store(
    context: Context,
    { sopClassUid, sopUid }: StoredObject,
    dataSet: AsyncIterable<Uint8Array>,
  ): Promise<number | Fault> {
    const { peerMaxPdu, push } = this.#options;
    return this.#ask((messageId) => {
      const command: Command = {
        ...{ commandField: COMMANDS.storeRequest, affectedSopClassUid: sopClassUid, messageId, priority: 0 },
        ...{ affectedSopInstanceUid: sopUid, dataSetType: 0x0001 },
      };
      return sendMessage({ id: context.id, peerMaxPdu }, command, dataSet, push);
    });
  }

  /**
   * Tells the peer of something, unless it still has something of ours to answer.
   *
   * @returns as `store`.
   */
  async notify(
    context: Context,
    commandOf: (messageId: number) => Command,
    dataSet: Uint8Array,
  ): Promise<number | Fault> {
    if (this.#waiting.size > 0) return new Fault('BUSY');
    const { peerMaxPdu, push } = this.#options;
    return this.#ask(async (messageId) => {
      await push(writeMessage(context.id, commandOf(messageId), dataSet, peerMaxPdu));
      return undefined;
    });
  }

  /** @param send  Sends the request of this number; returns why nothing of it was sent. */
  async #ask(send: (messageId: number) => Promise<Fault | undefined>): Promise<number | Fault> {
    const { inTurn, timeoutMs } = this.#options;
    const messageId = this.#nextId();
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<number | Fault>((settle, fail) =>
      this.#waiting.set(messageId, { settle, fail }),
    );
    // Looked at below; it may fail before.
    answered.catch(() => undefined);
    try {
      const unsent = await inTurn(() =>
        this.#over ? Promise.resolve(new Fault('DIMSE_ABORTED')) : send(messageId),
      );
      if (unsent) return unsent;
      timer = setTimeout(() => this.#waiting.get(messageId)?.fail(new Fault('DIMSE_TIMEOUT')), timeoutMs);
      return await answered;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(messageId);
    }
  }

  #nextId(): number {
    do this.#messageId = (this.#messageId % 0xffff) + 1;
    while (this.#waiting.has(this.#messageId));
    return this.#messageId;
  }

  /** An answer of the peer; one that nobody waits for is ignored (PS3.7 §9.1.1). */
  answered({ messageIdRespondedTo = -1, status = 0 }: Command): void {
    this.#waiting.get(messageIdRespondedTo)?.settle(status);
  }

  /** Calls `work` when nothing more can be sent. */
  onEnd(work: () => void): void {
    if (this.#over) work();
    else this.#atEnd.push(work);
  }

  /** The peer is gone, or has asked for release: nothing more is answered. */
  end(): void {
    this.#over = true;
    for (const work of this.#atEnd.splice(0)) work();
    for (const one of this.#waiting.values()) one.settle(new Fault('DIMSE_ABORTED'));
  }
}
