/**
 * Big-endian bytes in and out, as the Upper Layer writes its headers, with every length checked before it is used.
 *
 * Source: PS3.8 §9.3.1 (unsigned integers are big endian, strings ISO 646 G0).
 * Layer:  core/dimse.
 */
import { Fault } from '../base/fault.ts';

/** Reads within `bytes`; running past the end is a Fault, never a wrong value. */
export class ByteSource {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** A view on the next `length` bytes. @throws Fault PDU_ITEM_LENGTH. */
  take(length: number): Uint8Array {
    if (length > this.left) throw new Fault('PDU_ITEM_LENGTH', { at: this.at, length, left: this.left });
    return this.bytes.subarray(this.at, (this.at += length));
  }

  u8(): number {
    return this.take(1)[0]!;
  }

  u16(): number {
    const [high, low] = this.take(2);
    return high! * 0x100 + low!;
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16();
  }

  /** Text of a fixed or announced length, one character a byte. */
  text(length: number): string {
    return latin1(this.take(length));
  }
}

/** Gathers bytes of a PDU to be sent. */
export class ByteSink {
  #bytes = new Uint8Array(512);
  #length = 0;

  #room(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    return this.u8(value >>> 8).u8(value & 0xff);
  }

  u32(value: number): this {
    return this.u16(value >>> 16).u16(value & 0xffff);
  }

  bytes(value: Uint8Array): this {
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  text(value: string): this {
    for (let at = 0; at < value.length; at++) this.u8(value.charCodeAt(at) & 0xff);
    return this;
  }

  /** What `write` puts in, with its 16-bit length before it (items and sub-items, PS3.8 §9.3.2). */
  counted16(write: (sink: this) => void): this {
    const at = this.#length;
    this.u16(0);
    write(this);
    const length = this.#length - at - 2;
    if (length > 0xffff) throw new Fault('PDU_ITEM_LENGTH', { length });
    this.#bytes[at] = length >>> 8;
    this.#bytes[at + 1] = length & 0xff;
    return this;
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

export function latin1(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
}
