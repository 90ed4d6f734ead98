/**
 * Giving back: which objects there are, their bytes, their frames, their metadata.
 *
 * Source: PS3.4 §C.4.2 and §C.4.3 (by unique keys), PS3.18 §10.4 (retrieve transaction); metadata Table 10.4.1-2 (bulk data by URI).
 * Layer:  server/archive.
 */
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import type { FrameTable } from '@lightbox/core/dicom/frames.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { DicomReader, readPart10 } from '@lightbox/core/dicom/read.ts';
import { readingSyntax, transferSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import type { Database } from '../platform/database.ts';
import { readAfterPixels, shifted } from './after-pixels.ts';
import { type BlobReader, MAX_READ_BYTES, type Relocate } from './blobs.ts';
import type { PixelNote } from './index/describe.ts';
import { Metadata } from './metadata.ts';
import type { InstanceRef, ObjectKeys, ObjectScope, Retrieve } from './types.ts';

interface Notes {
  readonly headerEnd: number;
  readonly pixels: PixelNote | undefined;
}

/** Frame tables of large objects are big: remembered by weight. */
const REMEMBERED_BYTES = 32 * 1024 * 1024;
const REMEMBERED_ROWS = 20_000;

/** Headers of ordinary images are smaller: one read. */
const HEADER_PIECE = 1024 * 1024;

const inflate = promisify(inflateRaw);

export class ArchiveRetrieve implements Retrieve {
  readonly #database: Database;
  readonly #blobs: BlobReader;
  readonly #metadata: Metadata;
  readonly #notes = new Map<string, { notes: Notes; weight: number }>();
  #weight = 0;
  /** The last deflated object, inflated: its frames are asked for one after the other. */
  #inflated: { sha256: string; bytes: Promise<Buffer> } | undefined;

  constructor(database: Database, blobs: BlobReader) {
    this.#database = database;
    this.#blobs = blobs;
    this.#metadata = new Metadata(database, this);
  }

  async list(scope: ObjectScope): Promise<InstanceRef[]> {
    const answer = await this.#database.pool.query<RefRow>({
      name:
        scope.sopUid !== undefined
          ? 'list-instance'
          : scope.seriesUid !== undefined
            ? 'list-series'
            : 'list-study',
      text: `SELECT ${REF_COLUMNS} FROM instance i JOIN series e ON e.id = i.series_fk JOIN study s ON s.id = i.study_fk
        WHERE ${
          scope.sopUid !== undefined
            ? 'i.sop_uid = $3 AND s.study_uid = $1 AND ($2::text IS NULL OR e.series_uid = $2)'
            : scope.seriesUid !== undefined
              ? 's.study_uid = $1 AND e.series_uid = $2'
              : 's.study_uid = $1'
        }
        ORDER BY e.number, e.series_uid, i.number, i.sop_uid`,
      values:
        scope.sopUid !== undefined
          ? [scope.studyUid, scope.seriesUid ?? null, scope.sopUid]
          : scope.seriesUid !== undefined
            ? [scope.studyUid, scope.seriesUid]
            : [scope.studyUid],
    });
    return answer.rows.map(refOf);
  }

  async select(keys: ObjectKeys, limit: number): Promise<InstanceRef[]> {
    const { pool } = this.#database;
    const where: string[] = [];
    const values: unknown[] = [];
    const add = (condition: string, value: unknown): void => {
      values.push(value);
      where.push(condition.replace('?', `$${values.length}`));
    };
    if (keys.patientId !== undefined) add('s.patient_id = ?', keys.patientId);
    if (keys.issuer !== undefined) add('s.issuer = ?', keys.issuer);
    const inPatient = where.join(' AND ');
    if (keys.studyUids) add('s.study_uid = ANY(?::text[])', keys.studyUids);
    if (keys.seriesUids) add('e.series_uid = ANY(?::text[])', keys.seriesUids);
    if (keys.sopUids) add('i.sop_uid = ANY(?::text[])', keys.sopUids);
    if (where.length === 0) throw new Fault('RETRIEVE_IDENTIFIER', { what: 'no keys' });
    if (keys.level === 'patient') {
      const text = `SELECT count(DISTINCT s.issuer) AS issuers FROM study s WHERE ${inPatient}`;
      const { rows } = await pool.query<{ issuers: string }>(text, values);
      if (Number(rows[0]?.issuers) > 1) throw new Fault('RETRIEVE_PATIENTS');
    }
    const answer = await pool.query<RefRow>(
      `SELECT ${REF_COLUMNS} FROM instance i JOIN series e ON e.id = i.series_fk JOIN study s ON s.id = i.study_fk
       WHERE ${where.join(' AND ')} ORDER BY s.study_uid, e.number, e.series_uid, i.number, i.sop_uid LIMIT ${limit + 1}`,
      values,
    );
    if (answer.rows.length > limit) throw new Fault('RETRIEVE_TOO_MANY', { limit });
    // Each row brings strings of its own; most are the same as those of the row before.
    const known = new Map<string, string>();
    const once = (text: string): string => known.get(text) ?? (known.set(text, text), text);
    return answer.rows.map((row) => {
      const { studyUid, seriesUid, sopClassUid, transferSyntaxUid, blob, ...own } = refOf(row);
      return {
        ...own,
        ...{ studyUid: once(studyUid), seriesUid: once(seriesUid), sopClassUid: once(sopClassUid) },
        ...{ transferSyntaxUid: once(transferSyntaxUid), blob: once(blob) },
      };
    });
  }

  open(ref: InstanceRef, range?: { start: number; end: number }): Readable {
    const start = Math.max(0, range?.start ?? 0);
    const end = Math.min(ref.length, range?.end ?? ref.length);
    return this.#blobs.stream(ref.blob, ref.offset + start, end - start, this.#relocate(ref, start));
  }

  async read(ref: InstanceRef, start: number, end: number): Promise<Buffer> {
    const from = Math.max(0, start);
    const to = Math.min(ref.length, end);
    if (to <= from) return Buffer.alloc(0);
    return this.#blobs.read(ref.blob, ref.offset + from, to - from, this.#relocate(ref, from));
  }

  /** A list may be older than the last move of its objects: the same bytes are looked up again. */
  #relocate(ref: InstanceRef, start: number): Relocate {
    return async () => {
      const { rows } = await this.#database.pool.query<{ blob: string; blob_offset: string }>({
        name: 'relocate',
        text: 'SELECT blob, blob_offset FROM instance WHERE sop_uid = $1 AND sha256 = $2',
        values: [ref.sopUid, Buffer.from(ref.sha256, 'hex')],
      });
      return rows[0] && { blob: rows[0].blob, offset: Number(rows[0].blob_offset) + start };
    };
  }

  async readData(ref: InstanceRef, start: number, end: number): Promise<Buffer> {
    if (!transferSyntax(ref.transferSyntaxUid)?.deflated) return this.read(ref, start, end);
    if (this.#inflated?.sha256 !== ref.sha256) {
      const bytes = this.#inflate(ref);
      this.#inflated = { sha256: ref.sha256, bytes };
      bytes.catch(() => (this.#inflated = undefined));
    }
    return (await this.#inflated.bytes).subarray(start, end);
  }

  /** The whole file with its data set inflated (PS3.5 §A.5: RFC 1951 without zlib header). */
  async #inflate(ref: InstanceRef): Promise<Buffer> {
    const file = await this.read(ref, 0, ref.length);
    try {
      const data = await inflate(file.subarray(ref.dataSetOffset), { maxOutputLength: MAX_READ_BYTES });
      return Buffer.concat([file.subarray(0, ref.dataSetOffset), data]);
    } catch (error) {
      throw new Fault('DICOM_INFLATE', {}, { cause: error });
    }
  }

  async header(ref: InstanceRef): Promise<DataSet> {
    const { headerEnd, pixels } = await this.#notesOf(ref);
    const deflated = transferSyntax(ref.transferSyntaxUid)?.deflated === true;
    const parsed = await this.#readHeader(ref, headerEnd, deflated);
    // Offsets of a deflated data set count from its own first byte.
    const shift = deflated ? ref.dataSetOffset : 0;
    const ds = shift ? shifted(parsed.dataSet, shift) : parsed.dataSet;
    if (!pixels) return ds;
    const { tag, vr, offset, length } = pixels;
    const elements = new Map(ds.elements);
    elements.set(tag, { tag, vr, bulk: { offset, length } });
    if (deflated) return { ...ds, elements };
    const encapsulated = readingSyntax(ref.transferSyntaxUid).encapsulated;
    const read = (start: number, end: number): Promise<Buffer> => this.read(ref, start, end);
    const end = offset + length;
    for (const [after, element] of await readAfterPixels(read, ds, { tag, vr, end, encapsulated }, ref))
      if (!elements.has(after)) elements.set(after, element);
    return { ...ds, elements };
  }

  /** An object without pixels is header to its end, and may hold a document of a gigabyte: large values are not read. */
  async #readHeader(ref: InstanceRef, headerEnd: number, deflated: boolean): Promise<ParsedObject> {
    if (deflated || headerEnd <= HEADER_PIECE)
      return readPart10(await this.read(ref, 0, headerEnd), { onMismatch: 'warn' });
    const reader = new DicomReader({ onMismatch: 'warn', ownsChunks: true });
    for (let at = 0; at < headerEnd;) {
      const piece = await this.read(ref, at, Math.min(headerEnd, at + HEADER_PIECE));
      if (piece.length === 0) break;
      reader.push(piece);
      at += piece.length;
      const over = Math.min(reader.skippable, headerEnd - at);
      reader.skip(over);
      at += over;
    }
    return reader.end();
  }

  async frames(ref: InstanceRef): Promise<FrameTable | undefined> {
    return (await this.#notesOf(ref)).pixels?.table;
  }

  async #notesOf(ref: InstanceRef): Promise<Notes> {
    const known = this.#notes.get(ref.sha256);
    if (known) return known.notes;
    const answer = await this.#database.pool.query<{ header_end: string; pixels: string | null }>({
      name: 'pixel-notes',
      text: 'SELECT header_end, pixels FROM instance WHERE sop_uid = $1 AND sha256 = $2',
      values: [ref.sopUid, Buffer.from(ref.sha256, 'hex')],
    });
    const row = answer.rows[0];
    if (!row) throw new Fault('NOT_FOUND');
    const pixels = row.pixels === null ? undefined : (JSON.parse(row.pixels) as PixelNote);
    const notes = { headerEnd: Number(row.header_end), pixels };
    this.#remember(ref.sha256, notes, 500 + (row.pixels?.length ?? 0) * 4);
    return notes;
  }

  #remember(sha256: string, notes: Notes, weight: number): void {
    this.#notes.set(sha256, { notes, weight });
    this.#weight += weight;
    for (const [oldest, { weight: less }] of this.#notes) {
      if (this.#weight <= REMEMBERED_BYTES && this.#notes.size <= REMEMBERED_ROWS) break;
      this.#notes.delete(oldest);
      this.#weight -= less;
    }
  }

  metadata(scope: ObjectScope): Promise<{ gzip: Buffer; etag: string }> {
    return this.#metadata.get(scope);
  }
}

const REF_COLUMNS = `s.study_uid, e.series_uid, i.sop_uid, i.sop_class_uid, i.transfer_syntax_uid, i.number, i.rows, i.columns,
  i.frame_count, i.blob, i.blob_offset, i.blob_length, i.data_set_offset, i.sha256`;

interface RefRow {
  readonly study_uid: string;
  readonly series_uid: string;
  readonly sop_uid: string;
  readonly sop_class_uid: string;
  readonly transfer_syntax_uid: string;
  readonly number: number | null;
  readonly rows: number | null;
  readonly columns: number | null;
  readonly frame_count: number;
  readonly blob: string;
  readonly blob_offset: string;
  readonly blob_length: string;
  readonly data_set_offset: number;
  readonly sha256: Buffer;
}

const refOf = (row: RefRow): InstanceRef => ({
  studyUid: row.study_uid,
  seriesUid: row.series_uid,
  sopUid: row.sop_uid,
  sopClassUid: row.sop_class_uid,
  transferSyntaxUid: row.transfer_syntax_uid,
  instanceNumber: row.number ?? undefined,
  rows: row.rows ?? undefined,
  columns: row.columns ?? undefined,
  frameCount: row.frame_count,
  blob: row.blob,
  offset: Number(row.blob_offset),
  length: Number(row.blob_length),
  dataSetOffset: row.data_set_offset,
  sha256: row.sha256.toString('hex'),
});
