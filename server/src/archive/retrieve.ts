/**
 * Giving back: which objects there are, their bytes, their frames, their metadata.
 *
 * Source: PS3.4 §C.4.2 and §C.4.3 (by unique keys), PS3.18 §10.4 (retrieve transaction); metadata Table 10.4.1-2 (bulk data by URI).
 * Layer:  server/archive.
 */
import type { Readable } from 'node:stream';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Correction } from '@lightbox/core/dicom/correct.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import type { FrameTable } from '@lightbox/core/dicom/frames.ts';
import type { Database } from '../platform/database.ts';
import type { Headers, Notes } from './headers.ts';
import type { PixelNote } from './index/describe.ts';
import { Metadata } from './metadata.ts';
import { StepSets } from './overlays/history.ts';
import { correctedHeader, servedFile } from './overlays/served.ts';
import { correctionsOf } from './overlays/steps.ts';
import type { InstanceRef, ObjectKeys, ObjectScope, Retrieve, ServedFile } from './types.ts';

/** Frame tables of large objects are big: remembered by weight. */
const REMEMBERED_BYTES = 32 * 1024 * 1024;
const REMEMBERED_ROWS = 20_000;

export class ArchiveRetrieve implements Retrieve {
  readonly #database: Database;
  readonly #headers: Headers;
  readonly #steps = new StepSets();
  readonly #metadata: Metadata;
  readonly #notes = new Map<string, { notes: Notes; weight: number }>();
  #weight = 0;

  constructor(database: Database, headers: Headers) {
    this.#database = database;
    this.#headers = headers;
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
    return this.#refs(answer.rows);
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
    return this.#refs(answer.rows);
  }

  /** As they are at this moment: what is corrected later does not change them half way. */
  async #refs(rows: readonly RefRow[]): Promise<InstanceRef[]> {
    // Each row brings strings of its own; most are the same as those of the row before.
    const known = new Map<string, string>();
    const once = (text: string): string => known.get(text) ?? (known.set(text, text), text);
    const hashes = new Set(rows.flatMap((row) => row.overlay ?? []));
    const steps = hashes.size ? await this.#steps.read(this.#database.pool, hashes) : undefined;
    const made = new Map<string, readonly Correction[]>();
    const corrections = ({ overlay, received_at: at }: RefRow): readonly Correction[] | undefined => {
      if (overlay === null) return undefined;
      const some = steps?.get(overlay);
      if (!some) throw new Fault('INTERNAL', { what: 'corrections are missing' });
      // Those of rules say when the object came.
      const key = some.every((step) => step.at !== undefined) ? overlay : `${overlay} ${at.getTime()}`;
      const same = made.get(key) ?? correctionsOf(some, at);
      made.set(key, same);
      return same;
    };
    return rows.map((row) => {
      const { studyUid, seriesUid, sopClassUid, transferSyntaxUid, blob, ...own } = refOf(row);
      return {
        ...own,
        ...{ studyUid: once(studyUid), seriesUid: once(seriesUid), sopClassUid: once(sopClassUid) },
        ...{ transferSyntaxUid: once(transferSyntaxUid), blob: once(blob) },
        corrections: corrections(row),
      };
    });
  }

  open(ref: InstanceRef, range?: { start: number; end: number }): Readable {
    return this.#headers.stream(ref, range?.start ?? 0, range?.end ?? ref.length);
  }

  read(ref: InstanceRef, start: number, end: number): Promise<Buffer> {
    return this.#headers.readKept(ref, start, end);
  }

  readData(ref: InstanceRef, start: number, end: number): Promise<Buffer> {
    return this.#headers.readData(ref, start, end);
  }

  async header(ref: InstanceRef): Promise<DataSet> {
    const received = await this.#headers.read(ref, await this.#notesOf(ref));
    return correctedHeader(this.#headers, ref, received);
  }

  async served(ref: InstanceRef): Promise<ServedFile> {
    if (!ref.corrections) return { bytes: ref.length, open: (range) => this.open(ref, range) };
    return servedFile(this.#headers, ref, await this.#notesOf(ref));
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
  i.frame_count, i.blob, i.blob_offset, i.blob_length, i.data_set_offset, i.sha256, i.overlay, i.received_at`;

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
  readonly overlay: string | null;
  readonly received_at: Date;
}

const refOf = (row: RefRow): Omit<InstanceRef, 'corrections'> => ({
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
  version: row.sha256.toString('hex') + (row.overlay === null ? '' : `-${row.overlay}`),
});
