/**
 * Messages: a command with or without a data set, put together from PDVs and taken apart into them.
 *
 * Source: PS3.7 §6.3 (messages), PS3.8 Annex E (PDV control header), §D.1.1 (maximum length).
 * Layer:  core/dimse.
 */
import { Fault } from '../base/fault.ts';
import { type Command, MAX_COMMAND_BYTES, NO_DATA_SET, readCommand, writeCommand } from './command.ts';
import type { PdvPart } from './splitter.ts';

/** What a PDV part meant. Data is passed on as the view it came as. */
export type MessageEvent =
  | { readonly kind: 'command'; readonly contextId: number; readonly command: Command }
  | { readonly kind: 'data'; readonly bytes: Uint8Array; readonly last: boolean };

/**
 * Puts the parts of one direction of an association together and keeps their order: a command, then its data set in the same
 * context, then the next command.
 */
export class MessageAssembler {
  #parts: Uint8Array[] = [];
  #length = 0;
  #contextId: number | undefined;
  #dataSet = false;

  /** In the middle of a message. */
  get open(): boolean {
    return this.#contextId !== undefined;
  }

  /** @returns undefined while a command is incomplete. @throws Fault PDU_UNEXPECTED, DIMSE_COMMAND: answer with A-ABORT. */
  take(part: PdvPart): MessageEvent | undefined {
    if (this.#contextId !== undefined && part.contextId !== this.#contextId) {
      throw new Fault('PDU_UNEXPECTED', { what: 'another context within a message' });
    }
    if (part.command === this.#dataSet) {
      throw new Fault('PDU_UNEXPECTED', { what: part.command ? 'command' : 'data set' });
    }
    this.#contextId = part.contextId;
    if (!part.command) {
      if (part.last) this.#end();
      return { kind: 'data', bytes: part.bytes, last: part.last };
    }
    this.#length += part.bytes.length;
    if (this.#length > MAX_COMMAND_BYTES) throw new Fault('DIMSE_COMMAND', { length: this.#length });
    // An empty fragment says nothing; millions of them must not fill memory.
    // A copy by `new`: `slice` of a Node Buffer is a view, and the chunk under it is used again or given back.
    if (part.bytes.length > 0) this.#parts.push(part.last ? part.bytes : new Uint8Array(part.bytes));
    if (!part.last) return undefined;
    const command = readCommand(joined(this.#parts, this.#length));
    const contextId = this.#contextId;
    this.#end();
    if (command.dataSetType !== NO_DATA_SET) {
      this.#dataSet = true;
      this.#contextId = contextId;
    }
    return { kind: 'command', contextId, command };
  }

  #end(): void {
    this.#parts = [];
    this.#length = 0;
    this.#contextId = undefined;
    this.#dataSet = false;
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Used when the peer sets no limit; longer PDUs bring nothing. */
const UNLIMITED_PDU = 256 * 1024;
const PDU_HEADER = 6;
const PDV_HEADER = 6;

/** Longest value of one PDV the peer takes in one PDU (PS3.8 §D.1.1: the limit does not count the PDU header). */
export function fragmentSize(peerMaxPdu: number): number {
  const limit = peerMaxPdu === 0 ? UNLIMITED_PDU : Math.min(peerMaxPdu, UNLIMITED_PDU);
  // Even, because fragments have an even length (PS3.8 Annex F); a peer's limit below 16 bytes is not believed.
  return Math.max((limit - PDV_HEADER) & ~1, 8);
}

/** The 12 bytes before the value of a P-DATA-TF that holds one PDV; the value follows as it is. */
export function pDataHeader(contextId: number, command: boolean, last: boolean, length: number): Uint8Array {
  const bytes = new Uint8Array(PDU_HEADER + PDV_HEADER);
  putPDataHeader(bytes, contextId, command, last, length);
  return bytes;
}

function putPDataHeader(
  bytes: Uint8Array,
  contextId: number,
  command: boolean,
  last: boolean,
  length: number,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  bytes[0] = 0x04;
  view.setUint32(2, length + PDV_HEADER);
  putPdvHeader(bytes, PDU_HEADER, contextId, command, last, length);
}

function putPdvHeader(
  bytes: Uint8Array,
  at: number,
  contextId: number,
  command: boolean,
  last: boolean,
  length: number,
): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, length + 2);
  bytes[at + 4] = contextId;
  bytes[at + 5] = (command ? 1 : 0) | (last ? 2 : 0);
}

/**
 * The bytes of a whole message, to be written at once: one P-DATA-TF with command and data set together where they fit the
 * peer's limit, else as many as it takes.
 */
export function writeMessage(
  contextId: number,
  command: Command,
  dataSet: Uint8Array | undefined,
  peerMaxPdu: number,
): Uint8Array {
  const commandBytes = writeCommand(command);
  const size = fragmentSize(peerMaxPdu);
  if (dataSet && commandBytes.length + PDV_HEADER + dataSet.length <= size) {
    const first = PDV_HEADER + commandBytes.length;
    const out = new Uint8Array(PDU_HEADER + first + PDV_HEADER + dataSet.length);
    out[0] = 0x04;
    new DataView(out.buffer).setUint32(2, out.length - PDU_HEADER);
    putPdvHeader(out, PDU_HEADER, contextId, true, true, commandBytes.length);
    out.set(commandBytes, PDU_HEADER + PDV_HEADER);
    putPdvHeader(out, PDU_HEADER + first, contextId, false, true, dataSet.length);
    out.set(dataSet, PDU_HEADER + first + PDV_HEADER);
    return out;
  }
  const parts = [...fragments(contextId, true, commandBytes, size)];
  if (dataSet) parts.push(...fragments(contextId, false, dataSet, size));
  return joined(
    parts,
    parts.reduce((sum, part) => sum + part.length, 0),
  );
}

/** P-DATA-TFs of one PDV each for a whole command or data set. */
export function* fragments(
  contextId: number,
  command: boolean,
  bytes: Uint8Array,
  size: number,
): Generator<Uint8Array> {
  for (let at = 0; at === 0 || at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    const out = new Uint8Array(PDU_HEADER + PDV_HEADER + part.length);
    putPDataHeader(out, contextId, command, at + size >= bytes.length, part.length);
    out.set(part, PDU_HEADER + PDV_HEADER);
    yield out;
  }
}
