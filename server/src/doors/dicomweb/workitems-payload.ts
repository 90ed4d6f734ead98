/**
 * Data sets of workitems on the way in and out: one in the body, one or many in the answer.
 *
 * Source: PS3.18 §8.6, §8.7.3 (media types), Annex F (JSON), §11.4 to §11.9 (payloads), §8.4.3 and §11.x.3.2 (Warning).
 * Layer:  server/doors/dicomweb.
 */
import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { type DicomJson, fromJson, toJson } from '@lightbox/core/dicom/json.ts';
import { fromXml, toXml } from '@lightbox/core/dicom/xml.ts';
import { chunksOf } from '../../platform/chunks.ts';
import { acceptOf, sendMultipart } from './answer.ts';
import type { DoorContext } from './context.ts';
import { covers, parseMediaType } from './media.ts';

/** A workitem is some kilobytes; ones with a thousand references a few hundred. */
const MAX_BODY_BYTES = 1024 * 1024;

export type Form = 'json' | 'xml' | 'multipart xml';

/** Before anything is done: a form of the answer nobody can read is no answer. @throws Fault NOT_ACCEPTABLE. */
export function formOf(request: FastifyRequest): Form {
  for (const wanted of acceptOf(request)) {
    if (covers(wanted, 'application/dicom+json')) return 'json';
    if (covers(wanted, 'application/dicom+xml')) return wanted.form === 'multipart' ? 'multipart xml' : 'xml';
  }
  throw new Fault('NOT_ACCEPTABLE');
}

/**
 * The one data set of the body, in the form we keep: no padding, UTF-8.
 *
 * @returns undefined when there is no body.
 * @throws Fault UNSUPPORTED_MEDIA, TOO_LARGE, DICOM_.
 */
export async function payloadOf(request: FastifyRequest): Promise<DicomJson | undefined> {
  if (request.body === undefined || request.body === null) return undefined;
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new Fault('UNSUPPORTED_MEDIA', { problem: 'content-encoding' });
  const { type } = parseMediaType(request.headers['content-type'] ?? '');
  if (type !== 'application/dicom+json' && type !== 'application/dicom+xml')
    throw new Fault('UNSUPPORTED_MEDIA');
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of chunksOf(request.body as Readable)) {
    length += piece.length;
    if (length > MAX_BODY_BYTES) throw new Fault('TOO_LARGE', { limit: MAX_BODY_BYTES });
    pieces.push(Buffer.from(piece));
  }
  if (length === 0) return undefined;
  const text = Buffer.concat(pieces, length).toString('utf8');
  return toJson(fromJson(type === 'application/dicom+xml' ? fromXml(text) : single(text)));
}

/** As an object, or as the only one of an array (PS3.18 §F.2). */
function single(text: string): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Fault('DICOM_JSON', {}, { cause: error });
  }
  if (!Array.isArray(json)) return json;
  if (json.length !== 1) throw new Fault('DICOM_JSON', { what: 'one data set is expected' });
  return json[0];
}

/** One workitem; in JSON as the only one of an array, as all data sets are. */
export function sendOne(
  request: FastifyRequest,
  reply: FastifyReply,
  form: Form,
  workitem: DicomJson,
): FastifyReply {
  if (form === 'xml') return reply.type('application/dicom+xml').send(toXml(workitem));
  return sendAll(request, reply, form, [workitem]);
}

export function sendAll(
  request: FastifyRequest,
  reply: FastifyReply,
  form: Form,
  workitems: readonly DicomJson[],
): FastifyReply {
  if (form === 'json') return reply.type('application/dicom+json').send(JSON.stringify(workitems));
  return sendMultipart(request, reply, 'application/dicom+xml', parts(workitems));
}

async function* parts(workitems: readonly DicomJson[]): AsyncGenerator<{ type: string; body: Uint8Array }> {
  for (const workitem of workitems)
    yield await Promise.resolve({ type: 'application/dicom+xml', body: Buffer.from(toXml(workitem)) });
}

/** `Warning: 299 <service>: …`, word for word as chapter 11 has them. */
export function warn(
  context: Pick<DoorContext, 'prefix'>,
  request: FastifyRequest,
  reply: FastifyReply,
  text: string,
): void {
  reply.header('warning', `299 ${request.host}${context.prefix}: ${text}`);
}
