/**
 * Sends objects by STOW-RS: in batches, each one streamed body, out of our store with no object in memory.
 *
 * Source: PS3.18 §10.5 (Store transaction), §8.6.1 (multipart), RFC 2387, RFC 2046 §5.1.1.
 * Layer:  server/doors/dicomweb.
 */
import { randomBytes } from 'node:crypto';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { wishedSyntax } from '../../../archive/render/lossless.ts';
import type { Renderer } from '../../../archive/render/types.ts';
import type { Carrier, ObjectResult } from '../../../archive/transfers/types.ts';
import type { InstanceRef, Retrieve } from '../../../archive/types.ts';
import type { SendForm } from '../../../identity/types.ts';
import type { Log } from '../../../platform/log.ts';
import { Outgoing, type Pieces } from '../../../platform/outgoing.ts';
import { DICOM_JSON, exchange, jsonOf, refusal, type WebPeer } from './http.ts';
import { NO_SUCH_SYNTAX, readStoreAnswer } from './store-answer.ts';

export interface PushParts {
  readonly retrieve: Retrieve;
  readonly renderer: Renderer;
  readonly log: Log;
}

/** What a connection that breaks off costs at most, and how often progress is seen. One object may be larger. */
const BATCH_BYTES = 64 * 1024 * 1024;
const BATCH_OBJECTS = 100;
/** Answers that may be about one object of a batch: then each is sent alone. */
const ABOUT_CONTENT: ReadonlySet<number> = new Set([400, 409, 413, 415, 422]);
/** So many objects alone refused in a row without a word about any: it is not the objects. */
const MAX_REFUSED = 5;

/** An object as it goes out. */
interface Outbound {
  readonly ref: InstanceRef;
  readonly transferSyntaxUid: string;
  readonly bytes: number;
  open(): Pieces;
}

type Report = Parameters<Carrier['send']>[2];

/** As `Carrier.send`. */
export async function pushTo(
  parts: PushParts,
  peer: WebPeer,
  objects: readonly InstanceRef[],
  form: SendForm,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  let unnamed = 0;
  let refused = 0;
  const alone = async (one: Outbound): Promise<void> => {
    const answer = await sendBatch(peer, [one], signal);
    if (answer instanceof Map) {
      refused = 0;
      await take([one], answer);
      return;
    }
    report(one.ref, { fault: answer });
    refused += 1;
    if (refused >= MAX_REFUSED) throw answer;
  };
  /** What the server said of each; what it cannot read compressed goes once more, decoded. */
  const take = async (batch: readonly Outbound[], said: ReadonlyMap<string, number>): Promise<void> => {
    const again: InstanceRef[] = [];
    for (const { ref, transferSyntaxUid } of batch) {
      const status = said.get(ref.sopUid);
      if (status === undefined) unnamed += 1;
      else if (
        status === NO_SUCH_SYNTAX &&
        transferSyntaxUid !== EXPLICIT_LE &&
        parts.renderer.canProduceObject(ref, EXPLICIT_LE)
      )
        again.push(ref);
      else report(ref, { status });
    }
    for (const ref of again) {
      if (signal.aborted) return;
      const plain = await outbound(parts, ref, EXPLICIT_LE);
      if (plain instanceof Fault) report(ref, { fault: plain });
      else await alone(plain);
    }
  };

  for await (const batch of batches(parts, objects, form, report)) {
    if (signal.aborted) return;
    const answer = await sendBatch(peer, batch, signal);
    if (signal.aborted) return;
    if (answer instanceof Map) await take(batch, answer);
    else
      for (const one of batch) {
        if (signal.aborted) return;
        await alone(one);
      }
  }
  if (unnamed > 0 && !signal.aborted) throw new Fault('WEB_ANSWER', { what: 'unnamed', objects: unnamed });
}

/** What cannot be given at all is reported, the rest put together. */
async function* batches(
  parts: PushParts,
  objects: readonly InstanceRef[],
  form: SendForm,
  report: (ref: InstanceRef, result: ObjectResult) => void,
): AsyncGenerator<Outbound[]> {
  let batch: Outbound[] = [];
  let bytes = 0;
  for (const ref of objects) {
    let one = await outbound(parts, ref, wishedSyntax(ref, form));
    if (one instanceof Fault && form !== 'stored') {
      parts.log.info({ code: one.code, form }, 'an object goes as it is kept to a peer');
      one = await outbound(parts, ref, ref.transferSyntaxUid);
    }
    if (one instanceof Fault) {
      report(ref, { fault: one });
      continue;
    }
    if (batch.length > 0 && (batch.length >= BATCH_OBJECTS || bytes + one.bytes > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(one);
    bytes += one.bytes;
  }
  if (batch.length > 0) yield batch;
}

/** The Part 10 file as kept with its corrections, or decoded. A Fault says why it cannot be given. */
async function outbound(parts: PushParts, ref: InstanceRef, wanted: string): Promise<Outbound | Fault> {
  const { retrieve, renderer } = parts;
  if (wanted === ref.transferSyntaxUid) {
    const served = await retrieve.served(ref);
    const { bytes } = served;
    return { ref, transferSyntaxUid: wanted, bytes, open: () => piecesOf(served.open()) };
  }
  try {
    if (renderer.canCompress(ref, wanted)) {
      const { bytes, open } = await renderer.compressed(ref, wanted);
      return { ref, transferSyntaxUid: wanted, bytes, open };
    }
    const { bytes, open } = await renderer.rewritten(ref, wanted, { dataSet: await retrieve.header(ref) });
    return { ref, transferSyntaxUid: wanted, bytes, open };
  } catch (error) {
    const fault = asFault(error);
    if (fault.code === 'INTERNAL') throw error;
    return fault;
  }
}

async function* piecesOf(stream: AsyncIterable<Uint8Array>): Pieces {
  if (stream instanceof Outgoing) yield* stream.pieces();
  else for await (const chunk of stream) yield chunk;
}

/**
 * One request.
 *
 * @returns the status of each object, or the refusal of the whole that may be about one of them.
 * @throws Fault when it says nothing about the objects.
 */
async function sendBatch(
  peer: WebPeer,
  batch: readonly Outbound[],
  signal: AbortSignal,
): Promise<Map<string, number> | Fault> {
  const boundary = randomBytes(18).toString('hex');
  // The transfer syntax is said by the file; Orthanc passes over parts whose type has a parameter.
  const heads = batch.map((one, at) =>
    Buffer.from(
      `${at === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: application/dicom\r\nContent-Length: ${one.bytes}\r\n\r\n`,
    ),
  );
  const end = Buffer.from(`\r\n--${boundary}--\r\n`);
  async function* pieces(): Pieces {
    for (const [at, one] of batch.entries()) {
      yield heads[at] ?? Buffer.alloc(0);
      yield* one.open();
    }
    yield end;
  }
  const bytes =
    batch.reduce((sum, one) => sum + one.bytes, 0) +
    heads.reduce((sum, head) => sum + head.length, 0) +
    end.length;
  const response = await exchange(peer, {
    ...{ method: 'POST', path: '/studies', accept: DICOM_JSON, signal },
    body: {
      type: `multipart/related; type="application/dicom"; boundary=${boundary}`,
      ...{ bytes, pieces: pieces() },
    },
  });
  const { statusCode = 0, headers } = response;
  const says = /json/i.test(headers['content-type'] ?? '');
  // 409 with a list: all of them failed, and why (Table 10.5.3-1).
  if (statusCode === 200 || statusCode === 202 || (statusCode === 409 && says))
    return readStoreAnswer(await jsonOf(peer, response));
  const fault = refusal(response);
  if (ABOUT_CONTENT.has(statusCode)) return fault;
  throw fault;
}
