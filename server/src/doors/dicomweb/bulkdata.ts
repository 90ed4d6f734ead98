/**
 * WADO-RS bulk data and pixel data: large values by the address that metadata gives them, or all of an object, series or study.
 *
 * Source: PS3.18 §10.4.1.1.5 (bulkdata), §10.4.1.1.6 (pixel data), §10.4.3.3.5 (payload), §8.7.3.3 (media types).
 * Layer:  server/doors/dicomweb.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet, Element } from '@lightbox/core/dicom/data-set.ts';
import { tagHex, toJson } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { VR_FACTS } from '@lightbox/core/dicom/vr.ts';
import { type ObjectSource, openSource, swapBytes } from '../../archive/render/source.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { notModified, sendRanged } from '../../platform/ranges.ts';
import { acceptOf, etagOf, instancePath, type Part, rootUrl, sendMultipart } from './answer.ts';
import { type DoorContext, find, scopeOf } from './context.ts';
import { allFrames, FRAME_AGE_SECONDS, frameParts, sendFrames } from './frames.ts';
import { chooseFrames, covers, type FrameAnswer, type Wanted } from './media.ts';

const OCTETS = 'application/octet-stream';
const PIXELS = tagHex(Tags.PixelData);

/** GET …/bulkdata/{token} */
export async function bulkdata(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { studyUid, seriesUid = '', sopUid = '' } = scopeOf(request);
  const { token = '' } = request.params as { token?: string };
  const path = context.links.path({ studyUid, seriesUid, sopUid }, token);
  if (path === undefined) throw new Fault('NOT_FOUND');
  const [ref] = await find(context, request, 'bulkdata');
  return sendValue(context, request, reply, ref, path);
}

/** GET …/bulkdata of a study, series or instance: every value that its metadata has an address for. */
export async function allBulkdata(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const accept = acceptOf(request).filter(({ form }) => form !== 'single');
  if (!accept.some((wanted) => covers(wanted, OCTETS))) throw new Fault('NOT_ACCEPTABLE');
  const refs = await find(context, request, 'bulkdata');
  if (notModified(request, reply, etagOf(refs, `all bulk ${JSON.stringify(accept)}`))) return reply.send();
  return sendParts(request, reply, OCTETS, valuesOf(context, refs, accept, rootUrl(request, context.prefix)));
}

/** GET …/pixeldata of a study, series or instance. */
export async function pixeldata(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const refs = await find(context, request, 'pixeldata');
  const images = refs.filter((ref) => ref.rows !== undefined);
  const [only, second] = images;
  if (!only) throw new Fault('PIXELS_NONE');
  const { instance } = request.params as { instance?: string };
  if (instance !== undefined && !second) return sendValue(context, request, reply, only, PIXELS);
  const accept = acceptOf(request).filter(({ form }) => form !== 'single');
  const given = images.flatMap((ref) => {
    const answer = answerFor(context, ref, accept);
    return answer ? [{ ref, answer }] : [];
  });
  const [first] = given;
  if (!first) throw new Fault('NOT_ACCEPTABLE', { problem: 'ask for multipart/related' });
  if (notModified(request, reply, etagOf(images, `pixels ${JSON.stringify(accept)}`))) return reply.send();
  // Some of the images are not there in this form: 206 says so (§10.4.3.1).
  if (given.length < images.length) reply.status(206);
  const root = rootUrl(request, context.prefix);
  async function* parts(): AsyncGenerator<Part> {
    for (const { ref, answer } of given) yield* pixelParts(context, ref, answer, root);
  }
  return sendParts(request, reply, first.answer.type, parts());
}

async function sendValue(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: InstanceRef,
  path: string,
): Promise<FastifyReply> {
  const source = await openSource(context.archive.retrieve, ref);
  if (path === PIXELS && source.frames?.kind === 'encapsulated') {
    const frames = allFrames(source.frames.frameCount);
    return sendFrames(context, request, reply, ref, frames);
  }
  const value = valueAt(source, path);
  const wanted = acceptOf(request).find((one) => covers(one, OCTETS));
  if (!wanted) throw new Fault('NOT_ACCEPTABLE', { types: OCTETS });
  if (notModified(request, reply, etagOf([ref], `bulk ${path} ${wanted.form}`), FRAME_AGE_SECONDS))
    return reply.send();
  if (wanted.form === 'single')
    return sendRanged(request, reply, OCTETS, value.length, (range) =>
      value.open(range?.start ?? 0, range?.end ?? value.length),
    );
  const location = locationOf(context, ref, path, rootUrl(request, context.prefix));
  return sendParts(request, reply, OCTETS, onePart(value, location));
}

/** Without a single part there would be no multipart body: then nothing is there. */
async function sendParts(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  parts: AsyncGenerator<Part>,
): Promise<FastifyReply> {
  const first = await parts.next();
  if (first.done === true) throw new Fault('NOT_FOUND');
  async function* all(head: Part): AsyncGenerator<Part> {
    yield head;
    yield* parts;
  }
  return sendMultipart(request, reply, type, all(first.value));
}

async function* valuesOf(
  context: DoorContext,
  refs: readonly InstanceRef[],
  accept: readonly Wanted[],
  root: string,
): AsyncGenerator<Part> {
  for (const ref of refs) {
    const source = await openSource(context.archive.retrieve, ref);
    for (const path of pathsOf(source.dataSet)) {
      const answer =
        path === PIXELS && source.frames?.kind === 'encapsulated'
          ? answerFor(context, ref, accept)
          : undefined;
      if (answer) yield* pixelParts(context, ref, answer, root);
      else yield* onePart(valueAt(source, path), locationOf(context, ref, path, root));
    }
  }
}

/** What metadata writes an address for. */
function pathsOf(dataSet: DataSet): string[] {
  const paths: string[] = [];
  toJson(dataSet, {
    bulkDataUri: (path) => {
      paths.push(path);
      return path;
    },
  });
  return paths;
}

const answerFor = (
  context: DoorContext,
  ref: InstanceRef,
  accept: readonly Wanted[],
): FrameAnswer | undefined =>
  chooseFrames(
    accept,
    ref.transferSyntaxUid,
    (uid) => context.renderer.canProduceFrames(ref, uid),
    ref.frameCount <= 1,
  );

/** Compressed pixels are a part for each frame, others one part (§8.7.3.3.2 note 4, §8.7.3.3.1). */
async function* pixelParts(
  context: DoorContext,
  ref: InstanceRef,
  answer: FrameAnswer,
  root: string,
): AsyncGenerator<Part> {
  const source = await openSource(context.archive.retrieve, ref);
  const location = locationOf(context, ref, PIXELS, root);
  if (source.frames?.kind !== 'encapsulated') return yield* onePart(valueAt(source, PIXELS), location);
  const frames = allFrames(source.frames.frameCount);
  if (answer.transferSyntax !== EXPLICIT_LE) return yield* frameParts(context, ref, frames, answer, root);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const { body } of frameParts(context, ref, frames, answer, root))
      if (body instanceof Uint8Array) yield body;
  }
  yield { type: `${OCTETS}; transfer-syntax=${EXPLICIT_LE}`, location, body: bytes() };
}

const locationOf = (context: DoorContext, ref: InstanceRef, path: string, root: string): string =>
  `${root}${instancePath(ref)}/bulkdata/${context.links.token(ref, path)}`;

async function* onePart(value: Value, location: string): AsyncGenerator<Part> {
  yield await Promise.resolve({ type: OCTETS, location, body: value.open(0, value.length) });
}

/** A value in little endian byte order, to be read from anywhere. */
interface Value {
  readonly length: number;
  open(start: number, end: number): Readable;
}

function valueAt(source: ObjectSource, path: string): Value {
  const { element, littleEndian } = elementAt(source.dataSet, path);
  const { bulk, bytes = new Uint8Array(0) } = element;
  const unit = littleEndian ? 1 : VR_FACTS[element.vr].unit;
  const length = bulk?.length ?? bytes.length;
  const raw = (start: number, end: number): Readable =>
    bulk
      ? source.stream(bulk.offset + start, bulk.offset + end)
      : Readable.from([bytes.subarray(start, end)], { objectMode: false });
  return {
    length,
    open(start, end) {
      if (unit === 1) return raw(start, end);
      // Byte order is turned in whole units only.
      const from = Math.floor(start / unit) * unit;
      const to = Math.min(length, Math.ceil(end / unit) * unit);
      const turned = swapBytes(raw(from, to), unit);
      return Readable.from(cut(turned, start - from, end - start), { objectMode: false });
    },
  };
}

async function* cut(
  stream: AsyncIterable<Uint8Array>,
  skip: number,
  take: number,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of stream) {
    const piece = chunk.subarray(Math.max(0, skip - at), Math.max(0, skip + take - at));
    at += chunk.length;
    if (piece.length > 0) yield piece;
    if (at >= skip + take) return;
  }
}

/** The element a path names. */
function elementAt(root: DataSet, path: string): { element: Element; littleEndian: boolean } {
  const steps = path.split('/');
  let dataSet = root;
  for (let at = 0; at < steps.length; at += 2) {
    const element = dataSet.elements.get(Number.parseInt(steps[at] ?? '', 16));
    if (!element) break;
    if (at === steps.length - 1) return { element, littleEndian: dataSet.littleEndian };
    const item = element.items?.[Number(steps[at + 1])];
    if (!item) break;
    dataSet = item;
  }
  throw new Fault('NOT_FOUND');
}
