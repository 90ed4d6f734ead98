/**
 * An association that we asked for, below the messages: PDUs in and out, and the end of it, as the state table says.
 *
 * Source: PS3.8 §9.2 (Tables 9-6 to 9-10; Sta5, 6, 7, 8, 9, 11 and 13 are met here, Sta4 while connecting), §9.3.8.
 * Layer:  server/doors/dimse.
 */
import type { Socket } from 'node:net';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { abortReason, type AssociateRequest, writePdu } from '@lightbox/core/dimse/pdu.ts';
import { PduSplitter, type Received } from '@lightbox/core/dimse/splitter.ts';
import { type State, transition } from '@lightbox/core/dimse/state.ts';

/** A peer that does not read its A-ABORT has this long. */
const LINGER_MS = 2000;

export class RequestedAssociation {
  readonly #socket: Socket;
  readonly #splitter: PduSplitter;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #timeoutMs: number;
  #state: State = 5;
  /** Looked at, and not used yet. */
  #held: Received | undefined;
  #reading: Promise<void> | undefined;

  /** @param maxPdu  What we announce. */
  constructor(socket: Socket, maxPdu: number, timeoutMs: number) {
    this.#socket = socket;
    this.#splitter = new PduSplitter(maxPdu);
    this.#timeoutMs = timeoutMs;
    this.#chunks = (socket as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** Another operation can be tried: nothing was broken off. */
  get usable(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded;
  }

  /** Asks (AE-2). @returns the acceptance. @throws Fault DIMSE_REJECTED, and as `next`. */
  async ask(request: AssociateRequest): Promise<Extract<Received, { type: 'associate-ac' }>> {
    await this.write(writePdu(request));
    const answer = await this.next();
    if (answer.type === 'associate-ac') return answer;
    if (answer.type !== 'associate-rj') throw new Fault('DIMSE_ABORTED');
    const { result, source, reason } = answer;
    throw new Fault('DIMSE_REJECTED', { result, source, reason });
  }

  /**
   * What comes next; of the peer's PDUs only those that may come now.
   *
   * @throws Fault DIMSE_TIMEOUT, DIMSE_ABORTED, or what is wrong with a PDU. Where it was the peer's fault, it was told.
   */
  async next(): Promise<Received> {
    for (;;) {
      const value = this.#held ?? this.#split();
      this.#held = undefined;
      if (value) return this.#taken(value);
      await this.#timed(this.#read());
    }
  }

  /** What comes next, without taking it; undefined when nothing comes in time, or the connection is over. */
  async peek(waitMs: number): Promise<Received | undefined> {
    this.#held ??= this.#split();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((settle) => (timer = setTimeout(settle, waitMs)));
    if (!this.#held) await Promise.race([this.#read(), late]).catch(() => undefined);
    clearTimeout(timer);
    this.#held ??= this.#split();
    return this.#held;
  }

  /** @throws Fault DIMSE_TIMEOUT, DIMSE_ABORTED. */
  write(bytes: Uint8Array): Promise<void> {
    return this.#timed(
      new Promise<void>((settle, fail) =>
        this.#socket.write(bytes, (error) => (error ? fail(error) : settle())),
      ),
    );
  }

  /** Ends it in order (AR-1), or lets the peer go that asked first. Never rejects. */
  async close(): Promise<void> {
    const socket = this.#socket;
    if (!this.usable) return;
    try {
      if (this.#held?.type === 'release-rq') await this.letGo();
      else {
        this.#state = 7;
        await this.write(writePdu({ type: 'release-rq' }));
        // What was under way for us still comes (AR-6).
        for (let over = false; !over;) {
          const { type } = await this.next();
          // The peer asked at the same time: we answer first (AR-8 to Sta9, AR-9 to Sta11), then it does.
          if (type === 'release-rq') {
            this.#state = 11;
            await this.write(writePdu({ type: 'release-rp' }));
          }
          over = type === 'release-rp';
        }
      }
    } catch {
      // The peer has gone already, or was sent away: the association is over either way.
    }
    socket.end();
    socket.destroySoon();
  }

  /** The peer leaves (AR-2): it may (AR-4), whatever we still wanted. */
  async letGo(): Promise<void> {
    this.#state = 13;
    await this.write(writePdu({ type: 'release-rp' }));
    this.#socket.destroySoon();
  }

  /** A-ABORT of the service user (AA-1). */
  abort(): void {
    this.#end(0);
  }

  /** Nothing that comes could be understood, or is wanted, after this. */
  breakOff(error: unknown): void {
    this.#end(abortReason(asFault(error).code));
  }

  /** Source 2 where the peer broke the rules (AA-8), else 0, which has no reason (PS3.8 Table 9-26). */
  #end(reason: number): void {
    const socket = this.#socket;
    if (this.#state === 13 || socket.destroyed) return;
    if (this.#state === 1) {
      socket.destroy();
      return;
    }
    this.#state = 13;
    socket.end(Buffer.from(writePdu({ type: 'abort', source: reason === 0 ? 0 : 2, reason })));
    socket.destroySoon();
    // The peer may not read.
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  #taken(value: Received): Received {
    const event = value.type === 'pdv' ? 'p-data' : value.type;
    const found = transition(this.#state, event);
    if (!found || found.action === 'AA-8') {
      this.#end(abortReason('PDU_UNEXPECTED'));
      throw new Fault('DIMSE_ABORTED', { event });
    }
    this.#state = found.next;
    if (value.type === 'abort')
      throw new Fault('DIMSE_ABORTED', { source: value.source, reason: value.reason });
    return value;
  }

  #split(): Received | undefined {
    try {
      return this.#splitter.next();
    } catch (error) {
      this.breakOff(error);
      throw error;
    }
  }

  /** The next bytes; those who wait for them at once share them. */
  #read(): Promise<void> {
    this.#reading ??= this.#chunks.next().then((read) => {
      this.#reading = undefined;
      if (read.done === true) throw new Fault('DIMSE_ABORTED');
      this.#splitter.push(read.value);
    });
    return this.#reading;
  }

  async #timed<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_settle, fail) => {
      timer = setTimeout(() => fail(new Fault('DIMSE_TIMEOUT')), this.#timeoutMs);
    });
    try {
      return await Promise.race([work, late]);
    } catch (error) {
      // A peer that is late is told that nobody waits any more (AA-1).
      if (error instanceof Fault && error.code === 'DIMSE_TIMEOUT') this.abort();
      else this.#socket.destroy();
      throw error instanceof Fault ? error : new Fault('DIMSE_ABORTED', {}, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
