/**
 * What every answer of DICOMweb shares: entity tags, multipart bodies, absolute URLs.
 *
 * Source: PS3.18 §8.6 (multipart), §8.7; RFC 2387 (multipart/related), RFC 9110 §8.8.3.
 * Layer:  server/doors/dicomweb.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Principal } from '../../identity/types.ts';
import { Outgoing, type Pieces } from '../../platform/outgoing.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { parseAccept, type Wanted } from './media.ts';

/** Who is asking; set by identity's hook before any handler runs. */
export function principalOf(request: FastifyRequest): Principal {
  const { principal } = request as unknown as { principal?: Principal };
  if (!principal) throw new Fault('NOT_SIGNED_IN');
  return principal;
}

/**
 * What the client takes, best first: the `accept` query parameter, and behind it the Accept header (PS3.18 §8.7.8.1).
 *
 * @throws Fault BAD_REQUEST, also as `checkCharset`.
 */
export function acceptOf(request: FastifyRequest): Wanted[] {
  const { accept, charset } = request.query as Partial<Record<'accept' | 'charset', string | string[]>>;
  checkCharset(charset);
  const { accept: header } = request.headers;
  if (accept === undefined) return parseAccept(header);
  const asked = parseAccept([accept].flat().join(','));
  return header === undefined ? asked : [...asked, ...parseAccept(header)];
}

/** @throws Fault BAD_REQUEST for a `charset` parameter without UTF-8, in which everything is written (§8.3.3.2). */
export function checkCharset(charset: string | string[] = 'utf-8'): void {
  const asked = [charset].flat().join(',').toLowerCase().split(',');
  if (!asked.some((one) => UTF_8.test(one.trim()))) throw new Fault('BAD_REQUEST', { parameter: 'charset' });
}

/** Its name on the web, and DICOM's (PS3.18 Annex D). */
const UTF_8 = /^"?(utf-?8|iso_ir 192)"?(;.*)?$/;

/** `https://host:port/dicom-web`, as the client called us. */
export function rootUrl(request: FastifyRequest, prefix: string): string {
  return `${request.protocol}://${request.host}${prefix}`;
}

export function instancePath(ref: { studyUid: string; seriesUid: string; sopUid: string }): string {
  return `/studies/${ref.studyUid}/series/${ref.seriesUid}/instances/${ref.sopUid}`;
}

/** One strong tag for the bytes of these objects in this form. */
export function etagOf(refs: readonly InstanceRef[], form: string): string {
  const hash = createHash('sha256').update(form);
  for (const ref of refs) hash.update(ref.version);
  return `"${hash.digest('base64url').slice(0, 32)}"`;
}

/** Bytes of one part of a multipart answer. */
export interface Part {
  /** With parameters. */
  readonly type: string;
  readonly location?: string | undefined;
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
}

/** A multipart/related answer, written part by part as the client takes it. */
export function sendMultipart(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  parts: AsyncIterable<Part>,
): FastifyReply {
  const boundary = `lightbox-${randomBytes(16).toString('hex')}`;
  reply.header('content-type', `multipart/related; type="${type}"; boundary=${boundary}`);
  if (request.method === 'HEAD') return reply.send(Readable.from([]));
  return reply.send(new Outgoing(writeMultipart(boundary, parts)));
}

/** RFC 2046 §5.1.1: the bytes of a multipart body; see `Pieces` for how long each is valid. */
export async function* writeMultipart(boundary: string, parts: AsyncIterable<Part>): Pieces {
  let delimiter = `--${boundary}`;
  for await (const part of parts) {
    const { body } = part;
    const location = part.location === undefined ? '' : `Content-Location: ${part.location}\r\n`;
    const length = body instanceof Uint8Array ? `Content-Length: ${body.length}\r\n` : '';
    yield Buffer.from(`${delimiter}\r\nContent-Type: ${part.type}\r\n${length}${location}\r\n`);
    delimiter = `\r\n--${boundary}`;
    if (body instanceof Uint8Array) {
      if (body.length > 0) yield body;
      continue;
    }
    const pieces = body instanceof Outgoing ? body.pieces() : body;
    for await (const piece of pieces) if (piece.length > 0) yield piece;
  }
  yield Buffer.from(`${delimiter}--\r\n`);
}
