/**
 * A body that is one data set, in JSON or XML, small enough for memory.
 *
 * Source: PS3.18 §8.6.1, §8.7.3 (media types), §F.2 (JSON), PS3.19 §A.1 (XML).
 * Layer:  server/doors/dicomweb.
 */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { fromJson } from '@lightbox/core/dicom/json.ts';
import { fromXml } from '@lightbox/core/dicom/xml.ts';
import { chunksOf } from '../../platform/chunks.ts';
import { parseMediaType } from './media.ts';

export type MetadataType = 'application/dicom+json' | 'application/dicom+xml';

export const isMetadata = (type: string): type is MetadataType =>
  type === 'application/dicom+json' || type === 'application/dicom+xml';

/**
 * @param spend  Told how many bytes come into memory, before they are kept; may refuse them.
 * @throws Fault UNSUPPORTED_MEDIA, TOO_LARGE.
 */
export async function metadataText(
  request: FastifyRequest,
  limit: number,
  spend: (bytes: number) => void = () => undefined,
): Promise<{ readonly text: string; readonly type: MetadataType }> {
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new Fault('UNSUPPORTED_MEDIA', { problem: 'content-encoding' });
  const { type } = parseMediaType(request.headers['content-type'] ?? '');
  if (!isMetadata(type)) throw new Fault('UNSUPPORTED_MEDIA');
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of chunksOf(request.body as Readable)) {
    length += piece.length;
    if (length > limit) throw new Fault('TOO_LARGE', { limit });
    spend(piece.length);
    pieces.push(Buffer.from(piece));
  }
  return { text: Buffer.concat(pieces, length).toString('utf8'), type };
}

/** One data set: as an object, or as the only one of an array (PS3.18 §F.2). @throws Fault DICOM_. */
export function oneDataSet(text: string, type: MetadataType): DataSet {
  if (type === 'application/dicom+xml') return fromJson(fromXml(text));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Fault('DICOM_JSON', {}, { cause: error });
  }
  if (!Array.isArray(json)) return fromJson(json);
  if (json.length !== 1) throw new Fault('DICOM_JSON', { what: 'one data set is expected' });
  return fromJson(json[0]);
}
