/**
 * Objects that come to us by C-GET: written while they come, answered when they are whole.
 *
 * Source: PS3.7 §9.1.1, §9.1.3, PS3.4 §B.2.3 (statuses).
 * Layer:  server/doors/dimse.
 */
import { isUid } from '@lightbox/core/base/uid.ts';
import type { Command } from '@lightbox/core/dimse/command.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';

/** An object of a C-GET on its way to us. */
export interface IncomingObject {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
}

/** Where the data set of one object goes. What it throws is answered as out of resources (A700H). */
export interface ObjectSink {
  /** A view: valid until the promise settles. */
  write(bytes: Uint8Array): Promise<void> | void;
  /** The data set is whole. */
  finish(): Promise<void>;
  /** It broke off, or could not be written. */
  abort(): Promise<void>;
}

/** One object while it comes. What cannot be written is read away, so that the next one is understood. */
export class Taking {
  readonly #sink: Promise<ObjectSink | undefined>;
  #status: number = STATUS.success;

  constructor(
    take: (object: IncomingObject) => Promise<ObjectSink>,
    request: Command,
    transferSyntaxUid: string,
  ) {
    const { affectedSopClassUid: sopClassUid = '', affectedSopInstanceUid: sopInstanceUid = '' } = request;
    if (isUid(sopClassUid) && isUid(sopInstanceUid))
      this.#sink = this.#try(() => take({ sopClassUid, sopInstanceUid, transferSyntaxUid }));
    else {
      this.#status = STATUS.cannotUnderstand;
      this.#sink = Promise.resolve(undefined);
    }
  }

  async #try<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch {
      this.#status = STATUS.outOfResources;
      return undefined;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    const sink = await this.#sink;
    if (!sink || this.#status !== STATUS.success) return;
    await this.#try(async () => sink.write(bytes));
    if (this.#status !== STATUS.success) await this.#try(() => sink.abort());
  }

  /** The data set is whole. @returns the status to answer with. */
  async end(): Promise<number> {
    const sink = await this.#sink;
    if (sink && this.#status === STATUS.success) await this.#try(() => sink.finish());
    return this.#status;
  }

  /** The peer went away in the middle. */
  async breakOff(): Promise<void> {
    const sink = await this.#sink;
    if (sink && this.#status === STATUS.success) await this.#try(() => sink.abort());
  }
}
