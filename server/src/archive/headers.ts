/**
 * Reading the header of a kept object, as it was received.
 *
 * Source: PS3.10 §7.1, PS3.5 §A.5 (deflated: RFC 1951 without zlib header).
 * Layer:  server/archive.
 */
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet, Tag } from '@lightbox/core/dicom/data-set.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { DicomReader, readPart10 } from '@lightbox/core/dicom/read.ts';
import { readingSyntax, transferSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { readAfterPixels, shifted } from './after-pixels.ts';
import type { Database } from '../platform/database.ts';
import type { Outgoing } from '../platform/outgoing.ts';
import { type BlobReader, MAX_READ_BYTES, type Relocate } from './blobs.ts';
import type { PixelNote } from './index/describe.ts';
import type { InstanceRef } from './types.ts';

/** Where an object lies: a part of what the index knows. */
export type KeptObject = Pick<
  InstanceRef,
  'sopUid' | 'blob' | 'offset' | 'length' | 'dataSetOffset' | 'transferSyntaxUid' | 'sha256'
>;

export interface Notes {
  readonly headerEnd: number;
  readonly pixels: PixelNote | undefined;
}

export type OnElement = (tag: Tag, offset: number) => void;

/** Headers of ordinary images are smaller: one read. */
const HEADER_PIECE = 1024 * 1024;

const inflate = promisify(inflateRaw);

export const isDeflated = (object: Pick<KeptObject, 'transferSyntaxUid'>): boolean =>
  transferSyntax(object.transferSyntaxUid)?.deflated === true;

export class Headers {
  readonly #database: Database;
  readonly #blobs: BlobReader;
  /** The last deflated object, inflated: its frames are asked for one after the other. */
  #inflated: { sha256: string; bytes: Promise<Buffer> } | undefined;

  constructor(database: Database, blobs: BlobReader) {
    this.#database = database;
    this.#blobs = blobs;
  }

  /** Bytes of the file as it is kept. */
  stream(object: KeptObject, start: number, end: number): Outgoing {
    const from = Math.max(0, start);
    const to = Math.min(object.length, end);
    return this.#blobs.stream(object.blob, object.offset + from, to - from, this.#relocate(object, from));
  }

  /** A list may be older than the last move of its objects: the same bytes are looked up again. */
  #relocate(object: KeptObject, start: number): Relocate {
    return async () => {
      const { rows } = await this.#database.pool.query<{ blob: string; blob_offset: string }>({
        name: 'relocate',
        text: 'SELECT blob, blob_offset FROM instance WHERE sop_uid = $1 AND sha256 = $2',
        values: [object.sopUid, Buffer.from(object.sha256, 'hex')],
      });
      return rows[0] && { blob: rows[0].blob, offset: Number(rows[0].blob_offset) + start };
    };
  }

  async readKept(object: KeptObject, start: number, end: number): Promise<Buffer> {
    const from = Math.max(0, start);
    const to = Math.min(object.length, end);
    if (to <= from) return Buffer.alloc(0);
    return this.#blobs.read(object.blob, object.offset + from, to - from, this.#relocate(object, from));
  }

  /** A range as the header counts it: of a deflated object, of the file with its data set inflated. */
  async readData(object: KeptObject, start: number, end: number): Promise<Buffer> {
    if (!isDeflated(object)) return this.readKept(object, start, end);
    if (this.#inflated?.sha256 !== object.sha256) {
      const bytes = this.#inflate(object);
      this.#inflated = { sha256: object.sha256, bytes };
      bytes.catch(() => (this.#inflated = undefined));
    }
    return (await this.#inflated.bytes).subarray(start, end);
  }

  /** The whole file with its data set inflated. */
  async #inflate(object: KeptObject): Promise<Buffer> {
    const file = await this.readKept(object, 0, object.length);
    try {
      const data = await inflate(file.subarray(object.dataSetOffset), { maxOutputLength: MAX_READ_BYTES });
      return Buffer.concat([file.subarray(0, object.dataSetOffset), data]);
    } catch (error) {
      throw new Fault('DICOM_INFLATE', {}, { cause: error });
    }
  }

  /**
   * Everything but the pixels and other large values.
   *
   * @param onElement  Told where each element before Pixel Data begins, counted as `readData` does.
   */
  async read(object: KeptObject, { headerEnd, pixels }: Notes, onElement?: OnElement): Promise<DataSet> {
    const deflated = isDeflated(object);
    // Offsets of a deflated data set count from its own first byte.
    const shift = deflated ? object.dataSetOffset : 0;
    const told: OnElement | undefined = onElement && ((tag, offset) => onElement(tag, offset + shift));
    const parsed = await this.#parse(object, headerEnd, deflated, told);
    const ds = shift ? shifted(parsed.dataSet, shift) : parsed.dataSet;
    if (!pixels) return ds;
    const { tag, vr, offset, length } = pixels;
    const elements = new Map(ds.elements);
    elements.set(tag, { tag, vr, bulk: { offset, length } });
    if (deflated) return { ...ds, elements };
    const encapsulated = readingSyntax(object.transferSyntaxUid).encapsulated;
    const read = (start: number, end: number): Promise<Buffer> => this.readKept(object, start, end);
    const end = offset + length;
    for (const [after, element] of await readAfterPixels(read, ds, { tag, vr, end, encapsulated }, object))
      if (!elements.has(after)) elements.set(after, element);
    return { ...ds, elements };
  }

  /** An object without pixels is header to its end, and may hold a document of a gigabyte: large values are not read. */
  async #parse(
    object: KeptObject,
    headerEnd: number,
    deflated: boolean,
    onElement: OnElement | undefined,
  ): Promise<ParsedObject> {
    if (deflated || headerEnd <= HEADER_PIECE)
      return readPart10(await this.readKept(object, 0, headerEnd), { onMismatch: 'warn', onElement });
    const reader = new DicomReader({ onMismatch: 'warn', ownsChunks: true, onElement });
    for (let at = 0; at < headerEnd;) {
      const piece = await this.readKept(object, at, Math.min(headerEnd, at + HEADER_PIECE));
      if (piece.length === 0) break;
      reader.push(piece);
      at += piece.length;
      const over = Math.min(reader.skippable, headerEnd - at);
      reader.skip(over);
      at += over;
    }
    return reader.end();
  }
}
