/**
 * An object of more than 2 GB that is never in memory nor on disk on our side: made while it is sent, hashed while it
 * comes back. And a look at how much memory a process takes meanwhile.
 *
 * Source: PS3.10 §7.1 (file), PS3.5 §A.2 (explicit VR little endian), PS3.8 §9.3 (PDUs), PS3.7 §9.1.1 (C-STORE).
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { COMMANDS } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, pDataHeader, writeMessage } from '@lightbox/core/dimse/message.ts';
import { APPLICATION_CONTEXT, writePdu } from '@lightbox/core/dimse/pdu.ts';
import { PduSplitter } from '@lightbox/core/dimse/splitter.ts';
import { ctHeader, EXPLICIT, fileMeta, type CtNames } from './images.ts';

/** Enhanced CT Image Storage: a multi-frame of this size is one of these. */
export const ENHANCED_CT = '1.2.840.10008.5.1.4.1.1.2.1';
const SIDE = 512;
const FRAME_BYTES = SIDE * SIDE * 2;

export class LargeObject {
  readonly names: CtNames;
  readonly frames: number;
  /** Of the data set, in hex; known once it was sent. */
  sha256 = '';
  readonly #meta: Buffer;
  readonly #header: Buffer;
  readonly #frame: Buffer;

  constructor(names: CtNames, frames: number) {
    this.names = names;
    this.frames = frames;
    this.#meta = fileMeta(ENHANCED_CT, names.sopUid);
    this.#header = ctHeader({ ...names, sopClassUid: ENHANCED_CT, side: SIDE, frames });
    this.#frame = Buffer.alloc(FRAME_BYTES);
    for (let at = 0; at < FRAME_BYTES; at += 2)
      this.#frame.writeUInt16LE((Math.imul(at, 2654435761) >>> 20) & 0xfff, at);
  }

  get dataSetBytes(): number {
    return this.#header.length + this.frames * FRAME_BYTES;
  }

  get fileBytes(): number {
    return this.#meta.length + this.dataSetBytes;
  }

  get path(): string {
    const { studyUid, seriesUid, sopUid } = this.names;
    return `/dicom-web/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`;
  }

  /** The data set frame by frame, each frame another one; a piece is valid until the next is asked for. */
  *dataSet(): Generator<Buffer> {
    const hash = createHash('sha256').update(this.#header);
    yield this.#header;
    for (let index = 0; index < this.frames; index += 1) {
      this.#frame.writeUInt32LE(index, 0);
      hash.update(this.#frame);
      yield this.#frame;
    }
    this.sha256 = hash.digest('hex');
  }

  *file(): Generator<Buffer> {
    yield this.#meta;
    yield* this.dataSet();
  }
}

/** C-STORE of it over an association of its own. @returns the status. */
export async function storeLarge(port: number, object: LargeObject): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const splitter = new PduSplitter(1024 * 1024);
  const chunks = socket.iterator() as AsyncIterator<Buffer>;
  const next = async () => {
    for (;;) {
      const value = splitter.next();
      if (value) return value;
      const chunk = await chunks.next();
      if (chunk.done === true) throw new Error('the server closed the association');
      splitter.push(chunk.value);
    }
  };
  const write = async (bytes: Uint8Array): Promise<void> => {
    // The next piece may lie in the same memory: it has to be gone before.
    await new Promise<void>((settle, fail) =>
      socket.write(bytes, (error) => (error ? fail(error) : settle())),
    );
  };
  await once(socket, 'connect');
  await write(
    writePdu({
      ...{ type: 'associate-rq', protocolVersion: 1, applicationContext: APPLICATION_CONTEXT },
      ...{ calledAe: 'LIGHTBOX', callingAe: 'LARGE' },
      contexts: [{ id: 1, abstractSyntax: ENHANCED_CT, transferSyntaxes: [EXPLICIT] }],
      user: { maxPdu: 65536, implementationClassUid: '1.2.3', implementationVersion: 'LARGE' },
    }),
  );
  const accepted = await next();
  if (accepted.type !== 'associate-ac') throw new Error(`answered with ${accepted.type}`);
  const size = Math.min(accepted.user.maxPdu, 131072) - 6;
  await write(
    writeMessage(
      1,
      {
        ...{ commandField: COMMANDS.storeRequest, affectedSopClassUid: ENHANCED_CT, dataSetType: 1 },
        ...{ messageId: 1, priority: 0, affectedSopInstanceUid: object.names.sopUid },
      },
      undefined,
      accepted.user.maxPdu,
    ),
  );
  // All PDUs of one piece in one write: the sender should not be what is slow.
  const out = Buffer.alloc(FRAME_BYTES + 12 * Math.ceil(FRAME_BYTES / size));
  let left = object.dataSetBytes;
  for (const piece of object.dataSet()) {
    let filled = 0;
    for (let at = 0; at < piece.length; at += size) {
      const part = piece.subarray(at, at + size);
      left -= part.length;
      out.set(pDataHeader(1, false, left === 0, part.length), filled);
      out.set(part, filled + 12);
      filled += 12 + part.length;
    }
    await write(out.subarray(0, filled));
  }
  const assembler = new MessageAssembler();
  for (;;) {
    const value = await next();
    if (value.type !== 'pdv') throw new Error(`answered with ${value.type}`);
    const event = assembler.take(value);
    if (event?.kind !== 'command') continue;
    await write(writePdu({ type: 'release-rq' }));
    await next();
    socket.destroy();
    return event.command.status ?? -1;
  }
}

/** A request whose body is made while it is sent. */
export async function sendStreaming(
  url: string,
  headers: Record<string, string>,
  body: Iterable<Buffer>,
): Promise<{ status: number; text: string }> {
  const sending = request(url, { method: 'POST', headers });
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
  for (const piece of body)
    await new Promise<void>((settle, fail) =>
      sending.write(piece, (error) => (error ? fail(error) : settle())),
    );
  sending.end();
  const [answer] = await answered;
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode ?? 0, text };
}

/** SHA-256 of the last `tail` bytes of an answer whose length is told beforehand. */
export async function hashAnswer(
  url: string,
  headers: Record<string, string>,
  tail: number,
): Promise<{ status: number; sha256: string }> {
  const asking = request(url, { headers });
  asking.end();
  const [answer] = (await once(asking, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let skip = Number(answer.headers['content-length']) - tail;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    hash.update(chunk.subarray(Math.min(chunk.length, skip)));
    skip = Math.max(0, skip - chunk.length);
  }
  return { status: answer.statusCode ?? 0, sha256: hash.digest('hex') };
}

const PAGE_BYTES = 4096;
const SAMPLE_MS = 20;

/** Resident memory of one process, in bytes; of it alone, not of its children. */
export function residentOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * PAGE_BYTES;
}

/** Looks at a process while `work` runs. @returns its highest resident memory, and how often it was looked at in a second. */
export async function highestDuring(
  pid: number,
  work: () => Promise<void>,
): Promise<{ highest: number; perSecond: number }> {
  let highest = residentOf(pid);
  let looks = 0;
  const look = (): void => {
    highest = Math.max(highest, residentOf(pid));
    looks += 1;
  };
  const began = performance.now();
  const timer = setInterval(look, SAMPLE_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  return { highest, perSecond: looks / ((performance.now() - began) / 1000) };
}
