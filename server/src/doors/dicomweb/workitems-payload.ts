/**
 * Data sets of workitems on the way in and out: one in the body, one or many in the answer.
 *
 * Source: PS3.18 §8.6, §8.7.3 (media types), Annex F (JSON), §11.4 to §11.9 (payloads), §8.4.3 and §11.x.3.2 (Warning).
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { type DicomJson, toJson } from '@lightbox/core/dicom/json.ts';
import { toXml } from '@lightbox/core/dicom/xml.ts';
import { acceptOf, sendMultipart } from './answer.ts';
import type { DoorContext } from './context.ts';
import { covers } from './media.ts';
import { metadataText, oneDataSet } from './one-data-set.ts';

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
  const { text, type } = await metadataText(request, MAX_BODY_BYTES);
  return text === '' ? undefined : toJson(oneDataSet(text, type));
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
