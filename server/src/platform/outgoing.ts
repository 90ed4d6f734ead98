/**
 * Bytes on their way out through a fixed amount of memory: a piece is written, and when the system has taken it, the next
 * one may use its place.
 *
 * An ordinary stream takes new memory for each piece and leaves it to the garbage collector, which comes only after some
 * 64 MiB of them (V8 counts memory outside its heap).
 *
 * Layer:  server/platform.
 */
import { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

/** Pieces of bytes, each valid only until the next is asked for. */
export type Pieces = AsyncGenerator<Uint8Array, void, undefined>;

/**
 * A stream of pieces. Piped into an HTTP response, nothing is copied; read in any other way, every piece is copied, so that
 * it may be kept.
 */
export class Outgoing extends Readable {
  readonly #pieces: Pieces;
  #taken = false;

  constructor(pieces: Pieces) {
    super({ autoDestroy: true });
    this.#pieces = pieces;
  }

  /** The pieces themselves, for who hands them on one by one. The stream is of no use then. */
  pieces(): Pieces {
    this.#taken = true;
    return this.#pieces;
  }

  override pipe<T extends NodeJS.WritableStream>(into: T, options?: { end?: boolean | undefined }): T {
    // Only of a response is it known that a written piece has left our memory.
    if (!(into instanceof ServerResponse)) return super.pipe(into, options);
    this.#taken = true;
    void this.#pump(into, options?.end !== false);
    return into;
  }

  async #pump(into: ServerResponse, end: boolean): Promise<void> {
    try {
      for await (const piece of this.#pieces) {
        await written(into, piece);
        // Destroyed by who waits for `into` to close.
        if (this.destroyed) return;
      }
      if (end) into.end();
      this.push(null);
      this.resume();
    } catch (error) {
      // A client that left is no failure of ours.
      const gone = into.destroyed || into.socket?.destroyed !== false;
      this.destroy(gone || !(error instanceof Error) ? undefined : error);
    }
  }

  override _read(): void {
    if (this.#taken) return;
    this.#pieces.next().then(
      (next) => this.push(next.done === true ? null : Buffer.from(next.value)),
      (error: Error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A generator in the middle of its work ends when that is done.
    if (!this.#taken) void this.#pieces.return().catch(() => undefined);
    done(error);
  }
}

/** Resolves when the bytes have gone to the system; rejects when they cannot any more. */
function written(into: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((settle, fail) => {
    const closed = (): void => fail(new Error('closed before its end'));
    into.once('close', closed);
    into.write(bytes, (error) => {
      into.off('close', closed);
      if (error) fail(error);
      else settle();
    });
  });
}
