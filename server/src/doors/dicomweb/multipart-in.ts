/**
 * Reads a multipart/related body part by part while it arrives, never holding more than one chunk of it.
 *
 * Source: RFC 2046 §5.1.1, RFC 2387, PS3.18 §8.6.1.
 * Layer:  server/doors/dicomweb.
 */
import { Fault } from '@lightbox/core/base/fault.ts';

export interface BodyPart {
  /** Content-Type as sent, '' when missing. */
  readonly type: string;
  /** Content-Location as sent, '' when missing. */
  readonly location: string;
  /** May be read once, before the next part is asked for; what is left unread is skipped. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * RFC 2046 §5.1.1: these characters, not ending in a space. It has 70 at most; Orthanc writes 73 (two UUIDs), and nothing hangs
 * on the number.
 */
const BOUNDARY = /^[\w'()+,./:=? -]{0,199}[\w'()+,./:=?-]$/;
/** Part headers are two or three short lines. */
const MAX_HEADER = 16 * 1024;
/** Each part costs a record and a row; the largest studies have a tenth of this (attack D78). */
const MAX_PARTS = 100_000;

const TYPE = /^content-type:([^\r\n]*)/im;
const LOCATION = /^content-location:([^\r\n]*)/im;
const valueOf = (header: string, field: RegExp): string => (field.exec(header)?.[1] ?? '').trim();

/** Parts of a body in order. The body is read on only as parts are read. */
export async function* readMultipart(
  body: AsyncIterable<Uint8Array>,
  boundary: string | undefined,
): AsyncGenerator<BodyPart> {
  if (boundary === undefined || !BOUNDARY.test(boundary))
    throw new Fault('BAD_REQUEST', { problem: 'no valid boundary' });
  const cutter = new Cutter(body, Buffer.from(`\r\n--${boundary}`));
  try {
    let preamble = 0;
    for await (const piece of cutter.untilDelimiter()) {
      preamble += piece.length;
      if (preamble > MAX_HEADER) throw new Fault('MULTIPART_BROKEN', { limit: MAX_HEADER });
    }
    for (let parts = 0; ; parts += 1) {
      const header = await cutter.header();
      if (header === undefined) return;
      if (parts >= MAX_PARTS) throw new Fault('TOO_LARGE', { parts });
      const content = cutter.untilDelimiter();
      yield { type: valueOf(header, TYPE), location: valueOf(header, LOCATION), body: content };
      for await (const _skipped of content) continue;
    }
  } finally {
    await cutter.release();
  }
}

class Cutter {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #delimiter: Buffer;
  /** A body begins with the delimiter without its line break. Bytes of the last chunk, valid until the next is pulled. */
  #held: Buffer = Buffer.from('\r\n');

  constructor(body: AsyncIterable<Uint8Array>, delimiter: Buffer) {
    this.#chunks = body[Symbol.asyncIterator]();
    this.#delimiter = delimiter;
  }

  /** Lets go of the body, read to its end or not: whoever comes next may drain it. */
  async release(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #next(): Promise<Buffer> {
    let next: IteratorResult<Uint8Array>;
    try {
      next = await this.#chunks.next();
    } catch (cause) {
      throw cause instanceof Fault ? cause : new Fault('MULTIPART_BROKEN', {}, { cause });
    }
    if (next.done === true) throw new Fault('MULTIPART_BROKEN');
    return Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
  }

  /** More behind what is held, copied together. */
  async #pull(): Promise<void> {
    // The next chunk may take the memory of the one before.
    const held = Buffer.from(this.#held);
    this.#held = Buffer.concat([held, await this.#next()]);
  }

  /** Content up to the next delimiter, which is consumed. Pieces are valid until the next is asked for. */
  async *untilDelimiter(): AsyncGenerator<Uint8Array> {
    /** A delimiter may begin in this many last bytes and go on in the next chunk. */
    const open = this.#delimiter.length - 1;
    for (;;) {
      const at = this.#held.indexOf(this.#delimiter);
      if (at >= 0) {
        const last = this.#held.subarray(0, at);
        this.#held = this.#held.subarray(at + this.#delimiter.length);
        if (last.length > 0) yield last;
        return;
      }
      const safe = this.#held.length - open;
      if (safe > 0) {
        yield this.#held.subarray(0, safe);
        this.#held = this.#held.subarray(safe);
      }
      const tail = Buffer.from(this.#held);
      const next = await this.#next();
      const border = Buffer.concat([tail, next.subarray(0, open)]);
      if (next.length < open || border.includes(this.#delimiter)) this.#held = Buffer.concat([tail, next]);
      else {
        // The usual case: what was held back is content, and the chunk is not copied.
        if (tail.length > 0) yield tail;
        this.#held = next;
      }
    }
  }

  /** Header lines of the part that begins here; undefined after the closing delimiter. */
  async header(): Promise<string | undefined> {
    while (this.#held.length < 2) await this.#pull();
    if (this.#held[0] === 0x2d && this.#held[1] === 0x2d) return undefined;
    for (;;) {
      const end = this.#held.indexOf('\r\n\r\n');
      if (end >= 0) {
        const header = this.#held.toString('latin1', 0, end);
        this.#held = this.#held.subarray(end + 4);
        return header;
      }
      if (this.#held.length > MAX_HEADER) throw new Fault('MULTIPART_BROKEN', { limit: MAX_HEADER });
      await this.#pull();
    }
  }
}
