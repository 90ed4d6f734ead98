/**
 * WADO-RS frames and bulk data: pixels as kept or uncompressed, and any other large value by its URI.
 *
 * Source: PS3.18 §10.4.1.1.6 (frames), §10.4.1.1.5 (bulkdata), §8.7.3.5 (media types of pixel data).
 * Layer:  server/doors/dicomweb.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { VR_FACTS } from '@lightbox/core/dicom/vr.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { openSource, swapBytes } from '../../archive/render/source.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { notModified, sendRanged } from '../../platform/ranges.ts';
import { acceptOf, etagOf, instancePath, type Part, rootUrl, sendMultipart } from './answer.ts';
import { type DoorContext, find } from './context.ts';
import { chooseFrames, covers, type FrameAnswer } from './media.ts';

/** Frames decoded ahead of the one being written. */
const AHEAD = 3;
const MAX_FRAMES = 100_000;
/** A frame of an object never changes; after sign-out the cache is the browser's own. */
export const FRAME_AGE_SECONDS = 600;

/**
 * Zero-based numbers of a frame list `1,3,5`.
 *
 * @throws Fault BAD_REQUEST; NOT_FOUND for a number above `count`.
 */
export function parseFrameList(text: string, count: number): number[] {
  const numbers = text.split(',').map((part) => (/^[1-9]\d{0,8}$/.test(part.trim()) ? Number(part) : 0));
  if (numbers.length > MAX_FRAMES || numbers.includes(0))
    throw new Fault('BAD_REQUEST', { parameter: 'frames' });
  const beyond = numbers.find((number) => number > count);
  if (beyond !== undefined) throw new Fault('NOT_FOUND', { frame: beyond, frames: count });
  return numbers.map((number) => number - 1);
}

/** GET …/frames/{list}. */
export async function frames(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const [ref] = await find(context, request, 'frames');
  const { frames: list = '' } = request.params as { frames?: string };
  return sendFrames(context, request, reply, ref, parseFrameList(list, Math.max(1, ref.frameCount)));
}

async function sendFrames(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: InstanceRef,
  indices: readonly number[],
): Promise<FastifyReply> {
  const answer = chooseFrames(
    acceptOf(request),
    ref.transferSyntaxUid,
    (uid) => context.renderer.canProduceFrames(ref, uid),
    indices.length === 1,
  );
  if (!answer)
    throw new Fault(context.renderer.canDecode(ref) ? 'NOT_ACCEPTABLE' : 'PIXELS_UNSUPPORTED', {
      keptAs: ref.transferSyntaxUid,
    });
  const etag = etagOf([ref], `${JSON.stringify(answer)} ${indices.join(',')}`);
  if (notModified(request, reply, etag, FRAME_AGE_SECONDS)) return reply.send();
  // The first frame before any header, so that what cannot be decoded is a 406 and not a torn answer.
  const first = await context.renderer.frame(ref, indices[0] ?? 0, answer.transferSyntax);
  const type = `${answer.type}; transfer-syntax=${first.transferSyntaxUid}`;
  if (!answer.multipart)
    return sendRanged(request, reply, type, first.bytes.length, (range) =>
      range ? first.bytes.subarray(range.start, range.end) : first.bytes,
    );
  const parts = frameParts(
    context,
    ref,
    indices,
    answer,
    type,
    first.bytes,
    rootUrl(request, context.prefix),
  );
  return sendMultipart(request, reply, answer.type, parts);
}

async function* frameParts(
  context: DoorContext,
  ref: InstanceRef,
  indices: readonly number[],
  answer: FrameAnswer,
  type: string,
  first: Uint8Array,
  root: string,
): AsyncGenerator<Part> {
  const waiting: Promise<Uint8Array>[] = [Promise.resolve(first)];
  let next = 1;
  for (const index of indices) {
    while (waiting.length <= AHEAD && next < indices.length) {
      const frame = context.renderer.frame(ref, indices[next] ?? 0, answer.transferSyntax);
      const bytes = frame.then((one) => one.bytes);
      // Awaited below; until then a failure must not count as unhandled.
      bytes.catch(() => undefined);
      waiting.push(bytes);
      next += 1;
    }
    const body = await waiting.shift();
    if (!body) return;
    yield { type, location: `${root}${instancePath(ref)}/frames/${index + 1}`, body };
  }
}

/** GET …/bulkdata/{path}: `7FE00010`, or `00081115/0/00081199` within a sequence. */
export async function bulkdata(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const [ref] = await find(context, request, 'bulkdata');
  const path = (request.params as { '*'?: string })['*'] ?? '';
  const source = await openSource(context.archive.retrieve, ref);
  const { element, dataSet } = elementAt(source.dataSet, path);
  if (
    element.tag === Tags.PixelData &&
    dataSet === source.dataSet &&
    source.frames?.kind === 'encapsulated'
  ) {
    const count = source.frames.frameCount;
    if (count === 0) throw new Fault('NOT_FOUND');
    return sendFrames(
      context,
      request,
      reply,
      ref,
      Array.from({ length: count }, (_, index) => index),
    );
  }
  const wanted = acceptOf(request).find((one) => covers(one, 'application/octet-stream'));
  if (!wanted) throw new Fault('NOT_ACCEPTABLE');
  if (notModified(request, reply, etagOf([ref], `bulk ${path} ${wanted.form}`), FRAME_AGE_SECONDS))
    return reply.send();
  const unit = dataSet.littleEndian ? 1 : VR_FACTS[element.vr].unit;
  const length = element.bulk?.length ?? element.bytes?.length ?? 0;
  const open = (start: number, end: number): Readable => {
    if (element.bulk) return source.stream(element.bulk.offset + start, element.bulk.offset + end);
    return Readable.from([element.bytes?.subarray(start, end) ?? new Uint8Array(0)]);
  };
  if (wanted.form === 'single')
    return sendRanged(request, reply, 'application/octet-stream', length, (range) => {
      // Byte order is turned in whole units only.
      const start = Math.floor((range?.start ?? 0) / unit) * unit;
      const end = Math.min(length, Math.ceil((range?.end ?? length) / unit) * unit);
      const swapped = Readable.from(swapBytes(open(start, end), unit), { objectMode: false });
      return range ? cutStream(swapped, range.start - start, range.end - range.start) : swapped;
    });
  const body = swapBytes(open(0, length), unit);
  return sendMultipart(
    request,
    reply,
    'application/octet-stream',
    onePart(body, rootUrl(request, context.prefix) + `${instancePath(ref)}/bulkdata/${path}`),
  );
}

async function* onePart(body: AsyncIterable<Uint8Array>, location: string): AsyncGenerator<Part> {
  yield await Promise.resolve({ type: 'application/octet-stream', location, body });
}

function cutStream(stream: AsyncIterable<Uint8Array>, skip: number, take: number): Readable {
  async function* cut(): AsyncGenerator<Uint8Array> {
    let at = 0;
    for await (const chunk of stream) {
      const piece = chunk.subarray(Math.max(0, skip - at), Math.max(0, skip + take - at));
      at += chunk.length;
      if (piece.length > 0) yield piece;
      if (at >= skip + take) return;
    }
  }
  return Readable.from(cut(), { objectMode: false });
}

/** The element a bulk data path names. */
function elementAt(
  root: DataSet,
  path: string,
): { element: NonNullable<ReturnType<DataSet['elements']['get']>>; dataSet: DataSet } {
  const steps = path.split('/').filter((step) => step !== '');
  let dataSet = root;
  for (let at = 0; at < steps.length; at += 2) {
    const hex = steps[at] ?? '';
    const element = /^[0-9A-Fa-f]{8}$/.test(hex) ? dataSet.elements.get(Number.parseInt(hex, 16)) : undefined;
    if (!element) break;
    if (at === steps.length - 1) return { element, dataSet };
    const item = element.items?.[Number(steps[at + 1])];
    if (!item) break;
    dataSet = item;
  }
  throw new Fault('NOT_FOUND');
}
