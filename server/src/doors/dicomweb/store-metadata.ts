/**
 * Objects stored as metadata with their bulk data in other parts: JSON or XML first, then the values it points to.
 *
 * The parts come in the order of the sender, an object needs all of its own: values wait in one file of ours until the last part is
 * there, and each object is then written as a Part 10 file in explicit VR little endian, streamed as any other.
 * Source: PS3.18 §10.5.1.2 and §8.6.1.3 (request payload), §8.7.3.3 (uncompressed bulk data), Annex F (JSON), PS3.19 §A.1 (XML).
 * Layer:  server/doors/dicomweb.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { readSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { BulkValue, DataSet, Element } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf } from '@lightbox/core/dicom/element.ts';
import { fromJson } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { sortedElements, uidValue } from '@lightbox/core/dicom/values.ts';
import { elementHeader, writeDataSet, writeFileMeta } from '@lightbox/core/dicom/write.ts';
import { fromXml } from '@lightbox/core/dicom/xml.ts';
import { toFault } from '../../platform/http.ts';
import { parseMediaType } from './media.ts';
import type { BodyPart } from './multipart-in.ts';
import type { MetadataType } from './one-data-set.ts';

/** Metadata of all objects of one request, in memory. */
const MAX_METADATA_BYTES = 64 * 1024 * 1024;
/** A value up to this size is read into memory; larger ones stay in the file, which only values at the top can. */
const KEEP_BYTES = 256 * 1024;
const PIECE_BYTES = 256 * 1024;
/** How much is written before the disk is looked at again. */
const ROOM_BYTES = 16 * 1024 * 1024;

export interface SpoolParts {
  /** A folder of ours for values under way. */
  readonly folder: string;
  readonly room: () => Promise<{ readonly full: boolean }>;
}

/** Where a value lies in the file; undefined: its part is of a kind that is not stored here. */
type Places = Map<string, BulkValue | undefined>;

/**
 * The objects of a request, each as the bytes of a Part 10 file or the fault that it is.
 *
 * @throws Fault when the request as a whole cannot be read.
 */
export async function* objectsFromMetadata(
  parts: AsyncIterable<BodyPart>,
  kind: MetadataType,
  spool: SpoolParts,
): AsyncGenerator<AsyncIterable<Uint8Array> | Fault> {
  await mkdir(spool.folder, { recursive: true, mode: 0o700 });
  const path = join(spool.folder, randomUUID());
  const file = await open(path, 'wx+', 0o600);
  try {
    // Gone with the last who has it open, also when the process dies.
    await rm(path);
    const { metadata, places } = await gather(parts, kind, file, spool);
    if (metadata.length === 0) throw new Fault('BAD_REQUEST', { problem: 'no metadata' });
    for (const one of metadata) yield objectOf(one, file, places);
  } finally {
    await file.close();
  }
}

function objectOf(json: unknown, file: FileHandle, places: Places): AsyncIterable<Uint8Array> | Fault {
  try {
    const dataSet = withoutMeta(fromJson(json, { bulk: (uri) => valueAt(file, places, uri) }));
    const [sopClassUid, sopInstanceUid] = [Tags.SOPClassUID, Tags.SOPInstanceUID].map((tag) =>
      uidValue(dataSet, tag),
    );
    if (sopClassUid === undefined || sopInstanceUid === undefined) throw new Fault('DICOM_UID');
    if ([...dataSet.elements.values()].some(({ items = [] }) => items.some(holdsBulk)))
      throw new Fault('TOO_LARGE', { limit: KEEP_BYTES, what: 'a value within a sequence' });
    const meta = writeFileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid: EXPLICIT_LE });
    return fileOf(meta, dataSet, file);
  } catch (error) {
    return toFault(error);
  }
}

const holdsBulk = ({ elements }: DataSet): boolean =>
  [...elements.values()].some(({ bulk, items = [] }) => bulk !== undefined || items.some(holdsBulk));

async function gather(
  parts: AsyncIterable<BodyPart>,
  kind: MetadataType,
  file: FileHandle,
  spool: SpoolParts,
): Promise<{ readonly metadata: unknown[]; readonly places: Places }> {
  const metadata: unknown[] = [];
  const places: Places = new Map();
  let metadataBytes = 0;
  let at = 0;
  let looked = 0;
  for await (const part of parts) {
    const { type } = parseMediaType(part.type);
    if (type === kind || (type === '' && metadata.length === 0)) {
      const pieces: Uint8Array[] = [];
      for await (const piece of part.body) {
        metadataBytes += piece.length;
        if (metadataBytes > MAX_METADATA_BYTES)
          throw new Fault('TOO_LARGE', { limit: MAX_METADATA_BYTES, what: 'metadata' });
        // Valid until the next one comes.
        pieces.push(Uint8Array.from(piece));
      }
      metadata.push(...objectsIn(Buffer.concat(pieces).toString('utf8'), kind));
      continue;
    }
    if (part.location === '' || places.has(part.location))
      throw new Fault('BAD_REQUEST', { problem: 'Content-Location of a part is missing or there twice' });
    if (type !== 'application/octet-stream') {
      places.set(part.location, undefined);
      continue;
    }
    const offset = at;
    for await (const piece of part.body) {
      if (at >= looked) {
        if ((await spool.room()).full) throw new Fault('ARCHIVE_FULL');
        looked = at + ROOM_BYTES;
      }
      await writeAll(file, piece, at);
      at += piece.length;
    }
    places.set(part.location, { offset, length: at - offset });
  }
  return { metadata, places };
}

/** @throws Fault ARCHIVE_FULL when the disk is. */
async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  try {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
      throw new Fault('ARCHIVE_FULL', {}, { cause: error });
    throw error;
  }
}

/** @throws Fault DICOM_JSON. */
function objectsIn(text: string, kind: MetadataType): unknown[] {
  if (kind === 'application/dicom+xml') return [fromXml(text)];
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Fault('DICOM_JSON', { what: 'not JSON' }, { cause });
  }
  return Array.isArray(json) ? json : [json];
}

/** @throws Fault UNSUPPORTED_MEDIA for a value that came compressed. */
function valueAt(file: FileHandle, places: Places, uri: string): Uint8Array | BulkValue | undefined {
  if (!places.has(uri)) return undefined;
  const place = places.get(uri);
  if (!place)
    throw new Fault('UNSUPPORTED_MEDIA', { problem: 'bulk data is stored as application/octet-stream' });
  if (place.length > KEEP_BYTES) return place;
  const bytes = Buffer.alloc(place.length);
  readSync(file.fd, bytes, 0, place.length, place.offset);
  return bytes;
}

/** File meta information is ours to write; bulk data came uncompressed, whatever the object was before. */
function withoutMeta(dataSet: DataSet): DataSet {
  const kept = [...dataSet.elements.values()].filter(({ tag }) => tag >>> 16 > 2);
  return dataSetOf(kept, dataSet.charsets, dataSet.littleEndian);
}

async function* fileOf(meta: Uint8Array, dataSet: DataSet, file: FileHandle): AsyncGenerator<Uint8Array> {
  yield meta;
  let run: Element[] = [];
  for (const element of sortedElements(dataSet)) {
    if (!element.bulk) {
      run.push(element);
      continue;
    }
    yield writeDataSet(dataSetOf(run, dataSet.charsets, true), EXPLICIT_LE);
    run = [];
    yield* valueOf(element, element.bulk, file);
  }
  if (run.length > 0) yield writeDataSet(dataSetOf(run, dataSet.charsets, true), EXPLICIT_LE);
}

async function* valueOf(
  { tag, vr }: Element,
  { offset, length }: BulkValue,
  file: FileHandle,
): AsyncGenerator<Uint8Array> {
  const odd = length % 2;
  yield elementHeader(tag, vr, length + odd, EXPLICIT_LE);
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, length));
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, length - at), offset + at);
    if (bytesRead === 0) throw new Fault('INTERNAL', { what: 'bulk data under way is shorter than it was' });
    yield piece.subarray(0, bytesRead);
    at += bytesRead;
  }
  if (odd) yield Uint8Array.of(0);
}
