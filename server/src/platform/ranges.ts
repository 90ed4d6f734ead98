/**
 * Answers that a client may have already, or wants in pieces.
 *
 * Source: RFC 9110 §8.8.3 (entity tags), §13.1.2 (If-None-Match), §14 (ranges).
 * Layer:  server/platform.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { Outgoing, type Pieces } from './outgoing.ts';

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

/** A client that wants more pieces wants everything, or wants us to work (RFC 9110 §17.15). */
const MAX_RANGES = 16;

/**
 * The ranges of a Range header that can be satisfied, in the order asked; undefined when there is none, or when it asks for
 * more than the whole: then everything is sent (RFC 9110 §14.2).
 *
 * @throws Fault RANGE_NOT_SATISFIABLE when there are ranges and none of them lies within.
 */
export function parseRanges(header: string | undefined, length: number): ByteRange[] | undefined {
  const [, list] = /^bytes=([\d,-]+)$/.exec(header?.replaceAll(/[ \t]/g, '') ?? '') ?? [];
  if (list === undefined) return undefined;
  const asked = list.split(',').filter((one) => one !== '');
  if (asked.length === 0 || asked.length > MAX_RANGES) return undefined;
  const ranges: ByteRange[] = [];
  for (const one of asked) {
    const [, from = '', to = ''] = /^(\d*)-(\d*)$/.exec(one) ?? [];
    if (from === '' && to === '') return undefined;
    if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined;
    const start = from === '' ? Math.max(0, length - Number(to)) : Number(from);
    const end = from === '' || to === '' ? length : Math.min(length, Number(to) + 1);
    if (start < end) ranges.push({ start, end });
  }
  if (ranges.length === 0) throw new Fault('RANGE_NOT_SATISFIABLE', { length });
  const total = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  return ranges.length > 1 && total > length ? undefined : ranges;
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
  let ranges: ByteRange[] | undefined;
  const condition = request.headers['if-range'];
  if (condition === undefined || condition === reply.getHeader('etag')) {
    try {
      ranges = parseRanges(request.headers.range, length);
    } catch (error) {
      reply.header('content-range', `bytes */${length}`);
      throw error;
    }
  }
  const [range, second] = ranges ?? [];
  if (ranges && second) return sendSeveral(request, reply, type, length, ranges, open);
  if (range) {
    reply
      .status(206)
      .header('content-range', `bytes ${range.start}-${range.end - 1}/${length}`)
      .header('content-length', range.end - range.start);
  } else reply.header('content-length', length);
  if (request.method === 'HEAD') return reply.send(Readable.from([]));
  return reply.send(open(range));
}

/** (RFC 9110 §14.6) */
function sendSeveral(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  length: number,
  ranges: readonly ByteRange[],
  open: (range: ByteRange) => Readable | Uint8Array,
): FastifyReply {
  const boundary = `lightbox-${randomBytes(16).toString('hex')}`;
  reply.status(206).header('content-type', `multipart/byteranges; boundary=${boundary}`);
  if (request.method === 'HEAD') return reply.send(Readable.from([]));
  async function* body(): Pieces {
    for (const range of ranges) {
      const place = `bytes ${range.start}-${range.end - 1}/${length}`;
      yield Buffer.from(`\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${place}\r\n\r\n`);
      const bytes = open(range);
      if (bytes instanceof Uint8Array) yield bytes;
      else yield* bytes instanceof Outgoing ? bytes.pieces() : (bytes as AsyncIterable<Uint8Array>);
    }
    yield Buffer.from(`\r\n--${boundary}--\r\n`);
  }
  return reply.send(new Outgoing(body()));
}
