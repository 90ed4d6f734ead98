/**
 * WADO-RS metadata: the attributes of a study, series or instance without its bulk data, kept gzipped and sent so.
 *
 * Source: PS3.18 §10.4.1.1.2 (metadata resources), Annex F (DICOM JSON), §8.7.3.3.
 * Layer:  server/doors/dicomweb.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { toXml } from '@lightbox/core/dicom/xml.ts';
import { notModified } from '../../platform/ranges.ts';
import { acceptOf, type Part, rootUrl, sendMultipart } from './answer.ts';
import { type DoorContext, find, scopeOf } from './context.ts';
import { covers } from './media.ts';

const gunzipAsync = promisify(gunzip);
const gzipAsync = promisify(gzip);

/** JSON of a series of 5,000 instances is 20 MB; more than this is an attack by compression. */
const MAX_JSON_BYTES = 1024 * 1024 * 1024;
/** Gzipped bytes of rewritten metadata kept in memory. */
const CACHE_BYTES = 32 * 1024 * 1024;

/** Metadata whose bulk data URIs are absolute, by tag and root, the oldest forgotten first. */
export class MetadataCache {
  readonly #kept = new Map<string, Buffer>();
  #bytes = 0;

  get(key: string): Buffer | undefined {
    const found = this.#kept.get(key);
    if (found) {
      this.#kept.delete(key);
      this.#kept.set(key, found);
    }
    return found;
  }

  set(key: string, value: Buffer): void {
    this.#bytes += value.length - (this.#kept.get(key)?.length ?? 0);
    this.#kept.set(key, value);
    for (const [oldest, bytes] of this.#kept) {
      if (this.#bytes <= CACHE_BYTES) return;
      this.#kept.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}

/** GET …/metadata. */
export async function metadata(
  context: DoorContext,
  cache: MetadataCache,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const wanted = acceptOf(request).find(
    (one) => covers(one, 'application/dicom+json') || covers(one, 'application/dicom+xml'),
  );
  if (!wanted) throw new Fault('NOT_ACCEPTABLE');
  await find(context, request, 'metadata');
  const kept = await context.archive.retrieve.metadata(scopeOf(request));
  const json = covers(wanted, 'application/dicom+json');
  const root = rootUrl(request, context.prefix);
  // The number is that of our own form of it: 2 has sealed addresses of bulk data.
  const tag = `"${kept.etag.replaceAll(/[^\w.-]/g, '')}-${json ? 'j2' : 'x2'}"`;
  const absolute = (text: string): string => context.links.absolute(text, root);
  if (notModified(request, reply, tag)) return reply.send();
  if (!json) return sendMultipart(request, reply, 'application/dicom+xml', xmlParts(kept.gzip, absolute));
  const key = `${tag} ${root}`;
  const cached = cache.get(key);
  const bytes = cached ?? (await rewritten(kept.gzip, absolute));
  if (!cached) cache.set(key, bytes);
  reply
    .header('content-type', 'application/dicom+json')
    .header('vary', 'Accept, Accept-Encoding, Authorization, Cookie');
  if (/\bgzip\b/.test(request.headers['accept-encoding']?.toString() ?? ''))
    return reply.header('content-encoding', 'gzip').send(bytes);
  return reply.send(await gunzipAsync(bytes, { maxOutputLength: MAX_JSON_BYTES }));
}

/** Bulk data URIs are kept relative to the root of the service, and are sent absolute. */
async function rewritten(bytes: Buffer, absolute: (text: string) => string): Promise<Buffer> {
  const text = await unpacked(bytes);
  return text.includes('"BulkDataURI"') ? gzipAsync(absolute(text), { level: 3 }) : bytes;
}

const unpacked = async (bytes: Buffer): Promise<string> =>
  (await gunzipAsync(bytes, { maxOutputLength: MAX_JSON_BYTES })).toString('utf8');

async function* xmlParts(bytes: Buffer, absolute: (text: string) => string): AsyncGenerator<Part> {
  for (const object of JSON.parse(absolute(await unpacked(bytes))) as DicomJson[])
    yield { type: 'application/dicom+xml', body: Buffer.from(toXml(object)) };
}
