/**
 * Answers that a client may have already, or wants in pieces.
 *
 * Source: RFC 9110 §8.8.3 (entity tags), §13.1.2 (If-None-Match), §14 (ranges).
 * Layer:  server/platform.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';

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
