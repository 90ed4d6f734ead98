/**
 * WADO-RS frames: pixels as kept or uncompressed.
 *
 * Source: PS3.18 §10.4.1.1.6 (frames), §8.7.3.3 (media types of pixel data).
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { FrameBytes } from '../../archive/render/types.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { notModified, sendRanged } from '../../platform/ranges.ts';
import { acceptOf, etagOf, instancePath, type Part, rootUrl, sendMultipart } from './answer.ts';
import { type DoorContext, find } from './context.ts';
import { chooseFrames, type FrameAnswer } from './media.ts';

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

export const allFrames = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

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

/** Frames in the form the client takes. */
export async function sendFrames(
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
  const parts = frameParts(context, ref, indices, answer, rootUrl(request, context.prefix), first);
  return sendMultipart(request, reply, answer.type, parts);
}

/** A part for each frame, a few of them decoded ahead; `first` when it is there already. */
export async function* frameParts(
  context: DoorContext,
  ref: InstanceRef,
  indices: readonly number[],
  answer: FrameAnswer,
  root: string,
  first?: FrameBytes,
): AsyncGenerator<Part> {
  const waiting: Promise<FrameBytes>[] = first ? [Promise.resolve(first)] : [];
  let next = waiting.length;
  for (const index of indices) {
    while (waiting.length <= AHEAD && next < indices.length) {
      const frame = context.renderer.frame(ref, indices[next] ?? 0, answer.transferSyntax);
      // Awaited below; until then a failure must not count as unhandled.
      frame.catch(() => undefined);
      waiting.push(frame);
      next += 1;
    }
    const frame = await waiting.shift();
    if (!frame) return;
    const type = `${answer.type}; transfer-syntax=${frame.transferSyntaxUid}`;
    yield { type, location: `${root}${instancePath(ref)}/frames/${index + 1}`, body: frame.bytes };
  }
}
