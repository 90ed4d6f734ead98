/**
 * One association of a peer with us: let in or refused, listened to, and ended as the state table says.
 *
 * Source: PS3.8 §7, §9.2 (state machine; states Sta2, Sta3, Sta6, Sta8, Sta13 are met here), §9.1.5 (ARTIM), §9.3.8 (A-ABORT).
 * Layer:  server/doors/dimse.
 */
import type { Socket } from 'node:net';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { negotiate, serviceOf } from '@lightbox/core/dimse/negotiate.ts';
import {
  abortReason,
  APPLICATION_CONTEXT,
  type AssociateReject,
  type AssociateRequest,
  writePdu,
} from '@lightbox/core/dimse/pdu.ts';
import { PduSplitter, type Received } from '@lightbox/core/dimse/splitter.ts';
import { type State, transition, type UpperLayerEvent } from '@lightbox/core/dimse/state.ts';
import { plainAddress } from '../../identity/devices.ts';
import type { Channel } from '../../identity/types.ts';
import { chunksOf } from '../../platform/chunks.ts';
import type { DoorParts } from './door.ts';
import type { Place, PlaceLimit } from './places.ts';
import { Services } from './services.ts';
import { Watch } from './watch.ts';

/** ARTIM in Sta13: after a reject, a release reply or an abort the peer has this long to close. */
export const LINGER_MS = 2000;
/** Where these were found, nobody knows where the next PDU begins. */
const OUT_OF_STEP: ReadonlySet<string> = new Set(['PDU_TYPE', 'PDU_LENGTH', 'PDU_ITEM_LENGTH', 'PDU_VALUE']);

export class Association {
  readonly #socket: Socket;
  readonly #channel: Channel;
  readonly #parts: DoorParts;
  readonly #asked: () => void;
  readonly #splitter: PduSplitter;
  readonly #watch: Watch;
  readonly #remoteAddress: string;
  #state: State = 2;
  #services: Services | undefined;
  #place: Place | undefined;
  #ended: Promise<void> | undefined;
  #stopping = false;
  /** What comes in Sta13 is not looked at any more. */
  #deaf = false;
  /** Something of the peer's is being taken in: it waits for us, not we for it. */
  #taking = false;

  /** @param asked  It is no longer one of the connections that ask for nothing. */
  constructor(socket: Socket, channel: Channel, parts: DoorParts, asked: () => void) {
    this.#socket = socket;
    this.#channel = channel;
    this.#parts = parts;
    this.#asked = asked;
    this.#splitter = new PduSplitter(parts.config.maxPdu);
    this.#remoteAddress = plainAddress(socket.remoteAddress ?? '');
    this.#watch = new Watch(parts.config.artimSeconds, () => this.#expired());
  }

  /** Serves the connection until it ends. Never rejects. */
  async run(): Promise<void> {
    const socket = this.#socket;
    try {
      for await (const chunk of chunksOf(socket)) {
        await this.#read(chunk);
        if (this.#over) await this.#endServices();
        else if (this.#stopping && this.#quiet) this.#abort();
      }
    } catch (error) {
      if (!socket.destroyed) this.#broken(error);
    } finally {
      this.#taking = false;
      await this.#endServices();
      await this.#linger();
      this.#watch.stop();
      this.#place?.leave();
    }
  }

  /** Ends as soon as nothing is under way. */
  stop(): void {
    this.#stopping = true;
    if (this.#state === 2) this.#socket.destroy();
    else if (this.#quiet) this.#abort();
  }

  /** At once, without waiting for anything. */
  abort(): void {
    if (this.#state !== 2) this.#abort();
    this.#socket.destroy();
  }

  get #over(): boolean {
    return this.#state === 13 || this.#state === 1;
  }

  get #quiet(): boolean {
    return !this.#working && this.#services?.open !== true;
  }

  get #working(): boolean {
    return this.#taking || this.#services?.working === true;
  }

  #endServices(): Promise<void> {
    this.#ended ??= this.#services?.end().catch((error: unknown) => {
      this.#parts.log.error({ err: error }, 'C-STORE');
    });
    return this.#ended ?? Promise.resolve();
  }

  async #read(chunk: Buffer): Promise<void> {
    if (this.#deaf) return;
    this.#splitter.push(chunk);
    let whole = false;
    try {
      while (!this.#over) {
        const value = this.#splitter.next();
        if (!value) break;
        this.#taking = true;
        await this.#take(value);
        this.#taking = false;
        whole ||= value.type !== 'pdv' || value.last;
      }
    } catch (error) {
      this.#taking = false;
      this.#broken(error);
    }
    if (this.#over) return this.#late();
    // While answers wait to be read, what the peer sends is no progress.
    if (this.#state !== 6 || this.#socket.writableLength > 0) return;
    if (whole) this.#watch.progress();
    else this.#watch.received(chunk.length);
  }

  /** ARTIM before an association, idle time within one. */
  #expired(): void {
    // Time that passes while we work is not the peer's; time in which it does not read our answers is.
    if (this.#state !== 2 && this.#working && this.#socket.writableLength === 0) {
      this.#watch.progress();
      return;
    }
    this.#parts.log.info({ state: this.#state }, 'dicom connection timed out');
    // Before an association there is nothing to say; a peer that does not read would not hear it.
    if (this.#state === 2 || this.#socket.writableLength > 0) this.abort();
    else this.#abort();
  }

  async #take(value: Received): Promise<void> {
    this.#move(value.type === 'pdv' ? 'p-data' : value.type);
    switch (value.type) {
      case 'associate-rq':
        return this.#admit(value);
      case 'pdv':
        return this.#services?.take(value);
      case 'release-rq':
        // Beside the reading: what comes in Sta8 is heard.
        void this.#release();
        return;
      default:
        // An A-ABORT, or a release reply nobody asked for: the table has ended it.
        this.#socket.destroy();
    }
  }

  /** Answers under way go out before the reply (AR-7); C-FINDs and retrievals end early. Never rejects. */
  async #release(): Promise<void> {
    await this.#services?.settle();
    if (this.#state !== 8) return;
    this.#move('release-response');
    await this.#write(writePdu({ type: 'release-rp' }));
  }

  /** @throws Fault PDU_UNEXPECTED where Table 9-10 answers with AA-1 or AA-8: an abort. */
  #move(event: UpperLayerEvent): void {
    const found = transition(this.#state, event, true);
    if (!found || found.action === 'AA-8' || found.action === 'AA-1')
      throw new Fault('PDU_UNEXPECTED', { event, state: this.#state });
    this.#become(found.next);
  }

  #become(state: State): void {
    this.#state = state;
    if (state !== 13) return;
    this.#place?.leave();
    this.#watch.stop();
    // The reading loop may be waiting for bytes that never come, and the peer may not read.
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
  }

  /** Sta13: what still comes is ignored (AA-6), ends it (AA-2), or is answered with an abort (AA-7): once, then we are deaf. */
  #late(): void {
    if (this.#state !== 13) return;
    const last = (reason: number): void => {
      this.#deaf = true;
      this.#socket.write(Buffer.from(writePdu({ type: 'abort', source: 2, reason })));
    };
    try {
      while (!this.#deaf) {
        const value = this.#splitter.next();
        if (!value) return;
        const action = transition(13, value.type === 'pdv' ? 'p-data' : value.type)?.action;
        if (action === 'AA-7') last(abortReason('PDU_UNEXPECTED'));
        if (action !== 'AA-2') continue;
        this.#deaf = true;
        this.#socket.destroy();
      }
    } catch (error) {
      last(abortReason(asFault(error).code));
    }
  }

  async #admit(request: AssociateRequest): Promise<void> {
    const reject = async (result: number, source: number, reason: number): Promise<void> => {
      this.#move('reject');
      await this.#write(writePdu({ type: 'associate-rj', result, source, reason } satisfies AssociateReject));
    };
    const full = (limit: PlaceLimit): Promise<void> => {
      this.#parts.full(limit);
      this.#parts.log.info({ limit }, 'dicom association refused: too many at the same time');
      return reject(2, 3, 2);
    };
    // PS3.8 Table 9-21.
    this.#asked();
    if (this.#stopping) return reject(2, 3, 2);
    const place = this.#parts.places.enter(this.#remoteAddress);
    if (typeof place === 'string') return full(place);
    this.#place = place;
    if ((request.protocolVersion & 1) === 0) return reject(1, 2, 2);
    if (request.applicationContext !== APPLICATION_CONTEXT) return reject(1, 1, 2);
    const { config, devices, identities } = this.#parts;
    const calledAe = request.calledAe.trim();
    const callingAe = request.callingAe.trim();
    const services = request.contexts.flatMap(({ abstractSyntax }) => serviceOf(abstractSyntax) ?? []);
    const caller = { callingAe, calledAe, remoteAddress: this.#remoteAddress, channel: this.#channel };
    const answer = await devices.admit({ ...caller, services });
    // The connection may have been ended meanwhile.
    if (this.#state !== 3) return;
    if (!answer.admitted) return reject(1, 1, answer.reason);
    const limit = place.named(callingAe);
    if (limit !== undefined) return full(limit);
    const user = await identities.check(request.user.identity, { ...answer, tls: this.#channel.tls });
    if (!user.ok) devices.refuseIdentity(caller, user.why);
    if (this.#state !== 3) return;
    // The application says no, and the reasons of Table 9-21 have none for users (PS3.7 §D.3.3.7).
    if (!user.ok) return reject(user.later ? 2 : 1, 1, 1);
    const negotiated = negotiate(request, config.maxPdu, user.accepted);
    this.#services = new Services(
      this.#parts,
      { ...answer, ...user, ...caller, negotiated },
      {
        write: (bytes) => (this.#state === 6 || this.#state === 8 ? this.#write(bytes) : Promise.resolve()),
        push: (bytes) => this.#push(bytes),
        failed: (error) => this.#broken(error),
      },
    );
    this.#move('accept');
    this.#watch.idle(config.idleSeconds);
    await this.#write(writePdu(negotiated.accept));
  }

  /** Resolves when the bytes are on their way, or the peer takes no more of them for now. */
  #write(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return Promise.resolve();
    if (socket.write(bytes, () => this.#watch.progress())) return Promise.resolve();
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

  /** Resolves when the bytes have gone to the system, and their memory is free again. */
  #push(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (this.#state !== 6 || socket.destroyed || socket.writableEnded)
      return Promise.reject(new Fault('DIMSE_ABORTED'));
    return new Promise((settle, fail) => {
      const closed = (): void => fail(new Fault('DIMSE_ABORTED'));
      socket.once('close', closed);
      socket.write(bytes, (error) => {
        socket.off('close', closed);
        this.#watch.progress();
        if (error) closed();
        else settle();
      });
    });
  }

  /** The peer, or something of ours, made it impossible to go on. */
  #broken(error: unknown): void {
    const { log } = this.#parts;
    const fault = asFault(error);
    const { code = '' } = error as NodeJS.ErrnoException;
    // A peer that does not trust us says so when the handshake is over for us (RFC 8446 §4.4.2.4).
    if (code.startsWith('ERR_SSL')) log.info({ code }, 'dicom TLS connection failed');
    else if (fault.code === 'INTERNAL') log.error({ err: error }, 'dicom association failed');
    else log.info({ code: fault.code, facts: fault.facts }, 'dicom association aborted');
    this.#deaf = OUT_OF_STEP.has(fault.code);
    this.#abort(abortReason(fault.code));
  }

  /**
   * Source 2 (service provider) with the reason where the peer broke the rules of an association (AA-8); else source 0
   * (service user), which has no reason: in Sta2, and where it is we who end it (AA-1; PS3.8 Tables 9-9, 9-26).
   */
  #abort(reason = 0): void {
    if (this.#over || this.#socket.destroyed) return;
    const source = reason === 0 || this.#state === 2 ? 0 : 2;
    this.#become(13);
    const bytes = Buffer.from(writePdu({ type: 'abort', source, reason: source === 0 ? 0 : reason }));
    this.#socket.write(bytes);
  }

  /** Nothing more comes. Gives what was sent last time to arrive, then closes (AR-5, AA-2). */
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
      // Bytes nobody reads would hide that the other side closes, and turn our closing into a reset before the last PDU.
      socket.resume();
    });
  }
}
