/**
 * The splitter: bytes of a connection in, PDUs out; pixel data passes through as views, never gathered.
 *
 * Source: PS3.8 §9.3.1 (PDU header), §9.3.5 (P-DATA-TF), §9.3.5.1 (PDV).
 * Layer:  core/dimse.
 */
import { Fault } from '../base/fault.ts';
import { checkPduLength, type PData, type Pdu, PDU_TYPES, pdvHeader, readPdu } from './pdu.ts';

/** Part of one PDV as it arrived. */
export interface PdvPart {
  readonly type: 'pdv';
  readonly contextId: number;
  readonly command: boolean;
  /** A view on the chunk that was pushed; may be empty. */
  readonly bytes: Uint8Array;
  /** The command or data set ends with this part (bit 1 of the control header, at the end of its PDV). */
  readonly last: boolean;
}

export type Received = Exclude<Pdu, PData> | PdvPart;

const HEADER = 6;

/**
 * Push a chunk, then take values with `next` until it answers undefined (need more). At most one PDU other than P-DATA-TF is
 * held; its length was checked before memory was taken.
 */
export class PduSplitter {
  readonly #maxPData: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** What is being gathered: a PDU header, a PDV header, or the body of a PDU. */
  #gather = new Uint8Array(HEADER);
  #filled = 0;
  #stage: 'header' | 'body' | 'pdv' | 'value' = 'header';
  #type = 0;
  #pduLeft = 0;
  #pdvLeft = 0;
  #pdv = { contextId: 0, command: false, last: false };

  /** @param maxPData  The maximum length we announced (PS3.8 §D.1.1). */
  constructor(maxPData: number) {
    this.#maxPData = maxPData;
  }

  /** Between two PDUs, with nothing waiting. */
  get idle(): boolean {
    return this.#stage === 'header' && this.#filled === 0 && this.#at === this.#chunk.length;
  }

  push(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.length) {
      const joined = new Uint8Array(this.#chunk.length - this.#at + chunk.length);
      joined.set(this.#chunk.subarray(this.#at));
      joined.set(chunk, this.#chunk.length - this.#at);
      this.#chunk = joined;
    } else {
      this.#chunk = chunk;
    }
    this.#at = 0;
  }

  /** The next value, or undefined when more bytes are needed. @throws Fault PDU_TYPE, PDU_LENGTH, PDU_ITEM_LENGTH, PDU_VALUE. */
  next(): Received | undefined {
    for (;;) {
      if (this.#stage === 'value') return this.#value();
      if (!this.#gathered()) return undefined;
      if (this.#stage === 'header') {
        this.#type = this.#gather[0]!;
        const length = new DataView(this.#gather.buffer).getUint32(2);
        checkPduLength(this.#type, length, this.#maxPData);
        if (this.#type === PDU_TYPES.pData) {
          this.#pduLeft = length;
          this.#want('pdv', HEADER);
        } else {
          this.#want('body', length);
        }
      } else if (this.#stage === 'body') {
        const body = this.#gather;
        this.#want('header', HEADER);
        return readPdu(this.#type, body) as Exclude<Pdu, PData>;
      } else {
        this.#beginPdv();
      }
    }
  }

  #want(stage: 'header' | 'body' | 'pdv', bytes: number): void {
    this.#stage = stage;
    this.#gather = new Uint8Array(bytes);
    this.#filled = 0;
    if (stage === 'pdv' && this.#pduLeft < bytes) {
      throw new Fault('PDU_ITEM_LENGTH', { left: this.#pduLeft });
    }
  }

  #gathered(): boolean {
    const missing = this.#gather.length - this.#filled;
    const part = this.#chunk.subarray(this.#at, this.#at + missing);
    this.#gather.set(part, this.#filled);
    this.#filled += part.length;
    this.#at += part.length;
    return part.length === missing;
  }

  #beginPdv(): void {
    const length = new DataView(this.#gather.buffer).getUint32(0);
    if (length < 2 || length > this.#pduLeft - 4) {
      throw new Fault('PDU_ITEM_LENGTH', { length, left: this.#pduLeft - 4 });
    }
    this.#pdv = pdvHeader(this.#gather[4]!, this.#gather[5]!);
    this.#pduLeft -= HEADER;
    this.#pdvLeft = length - 2;
    this.#stage = 'value';
  }

  #value(): PdvPart | undefined {
    const bytes = this.#chunk.subarray(this.#at, this.#at + this.#pdvLeft);
    if (bytes.length === 0 && this.#pdvLeft > 0) return undefined;
    this.#at += bytes.length;
    this.#pdvLeft -= bytes.length;
    this.#pduLeft -= bytes.length;
    const { contextId, command, last } = this.#pdv;
    const ends = this.#pdvLeft === 0;
    if (ends) this.#want(this.#pduLeft > 0 ? 'pdv' : 'header', HEADER);
    return { type: 'pdv', contextId, command, bytes, last: last && ends };
  }
}
