/**
 * What every answer of DICOMweb shares: entity tags, ranges, multipart bodies, absolute URLs.
 *
 * Source: PS3.18 §8.6 (multipart), §8.7; RFC 2387 (multipart/related), RFC 9110 §8.8.3, §13.1.2, §14.
 * Layer:  server/doors/dicomweb.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Principal } from '../../identity/types.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { parseAccept, type Wanted } from './media.ts';

/** Who is asking; set by identity's hook before any handler runs. */
export function principalOf(request: FastifyRequest): Principal {
  const { principal } = request as unknown as { principal?: Principal };
  if (!principal) throw new Fault('NOT_SIGNED_IN');
  return principal;
}

/** The Accept header, or the `accept` query parameter, which goes before it (PS3.18 §8.3.3.1). */
export function acceptOf(request: FastifyRequest): Wanted[] {
  const { accept } = request.query as { accept?: string | string[] };
  const asked = Array.isArray(accept) ? accept.join(',') : accept;
  return parseAccept(asked ?? request.headers.accept);
}

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
  for (const ref of refs) hash.update(ref.sha256);
  return `"${hash.digest('base64url').slice(0, 32)}"`;
}

/** Sets ETag and Cache-Control; true when the client has it already and 304 was set (RFC 9110 §13.1.2). */
export function notModified(request: FastifyRequest, reply: FastifyReply, etag: string, maxAge = 0): boolean {
  reply
    .header('etag', etag)
    .header(
      'cache-control',
      maxAge > 0 ? `private, max-age=${maxAge}` : 'private, max-age=0, must-revalidate',
    )
    .header('vary', 'Accept, Authorization, Cookie');
  const known = request.headers['if-none-match'];
  if (known === undefined) return false;
  const tags = known.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (!tags.includes(etag) && !tags.includes('*')) return false;
  reply.status(304);
  return true;
}

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * The one range of a Range header, undefined when there is none, or several (then everything is sent, RFC 9110 §14.2).
 *
 * @throws Fault RANGE_NOT_SATISFIABLE
 */
export function parseRange(header: string | undefined, length: number): ByteRange | undefined {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header?.replaceAll(' ', '') ?? '');
  if (!found) return undefined;
  const [, from = '', to = ''] = found;
  if (from === '' && to === '') return undefined;
  const start = from === '' ? Math.max(0, length - Number(to)) : Number(from);
  const end = from === '' || to === '' ? length : Math.min(length, Number(to) + 1);
  if (start >= length || end <= start) throw new Fault('RANGE_NOT_SATISFIABLE', { length });
  return { start, end };
}

/** Single part answer with ranges: `open` gives the bytes of a range. */
export function sendRanged(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  length: number,
  open: (range: ByteRange | undefined) => Readable | Uint8Array,
): FastifyReply {
  reply.header('accept-ranges', 'bytes').type(type);
  let range: ByteRange | undefined;
  const condition = request.headers['if-range'];
  if (condition === undefined || condition === reply.getHeader('etag')) {
    try {
      range = parseRange(request.headers.range, length);
    } catch (error) {
      reply.header('content-range', `bytes */${length}`);
      throw error;
    }
  }
  if (range) {
    reply
      .status(206)
      .header('content-range', `bytes ${range.start}-${range.end - 1}/${length}`)
      .header('content-length', range.end - range.start);
  } else reply.header('content-length', length);
  if (request.method === 'HEAD') return reply.send(Readable.from([]));
  return reply.send(open(range));
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
  return reply.send(Readable.from(writeMultipart(boundary, parts), { objectMode: false }));
}

/** RFC 2046 §5.1.1: the bytes of a multipart body. */
export async function* writeMultipart(
  boundary: string,
  parts: AsyncIterable<Part>,
): AsyncGenerator<Uint8Array> {
  for await (const part of parts) {
    const location = part.location === undefined ? '' : `Content-Location: ${part.location}\r\n`;
    const length = part.body instanceof Uint8Array ? `Content-Length: ${part.body.length}\r\n` : '';
    yield Buffer.from(`--${boundary}\r\nContent-Type: ${part.type}\r\n${length}${location}\r\n`);
    if (part.body instanceof Uint8Array) {
      if (part.body.length > 0) yield part.body;
    } else for await (const chunk of part.body) if (chunk.length > 0) yield chunk;
    yield CRLF;
  }
  yield Buffer.from(`--${boundary}--\r\n`);
}

const CRLF = Buffer.from('\r\n');
