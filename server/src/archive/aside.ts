/**
 * Objects kept aside: conflicts (another object of the same name is there) and quarantine (nobody could read them).
 *
 * Layer:  server/archive.
 */
import type { Readable } from 'node:stream';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import type { BlobReader } from './blobs.ts';
import { jsonText } from './index/attributes.ts';
import type { NewObject } from './index/batcher.ts';
import type { IngestSource, Quarantine, QuarantineRow } from './types.ts';

export interface KeptBytes {
  readonly blob: string;
  readonly offset: number;
  readonly length: number;
  readonly sha256: Buffer;
  readonly receivedAt: Date;
}

const LONGEST_LIST = 1000;

export class Aside implements Quarantine {
  readonly #database: Database;
  readonly #blobs: BlobReader;

  constructor(database: Database, blobs: BlobReader) {
    this.#database = database;
    this.#blobs = blobs;
  }

  /** @returns false when the same bytes lie aside already, so that these are not needed. */
  async conflict(object: NewObject): Promise<boolean> {
    const { entry, kept, dataSetOffset, source } = object;
    const answer = await this.#database.pool.query(
      `INSERT INTO instance_conflict (sop_uid, study_uid, series_uid, blob, blob_offset, blob_length, data_set_offset, sha256,
         source, received_at)
       SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
       WHERE NOT EXISTS (SELECT 1 FROM instance_conflict WHERE sop_uid = $1 AND sha256 = $8 AND (blob, blob_offset) <> ($4, $5))
       ON CONFLICT (blob, blob_offset) DO UPDATE SET sop_uid = excluded.sop_uid`,
      [
        entry.instance.sopUid,
        entry.study.studyUid,
        entry.series.seriesUid,
        kept.blob,
        kept.offset,
        kept.length,
        dataSetOffset,
        kept.sha256,
        jsonText(source),
        kept.receivedAt,
      ],
    );
    return answer.rowCount !== 0;
  }

  /** @returns false when the same bytes are in quarantine already. */
  async quarantine(kept: KeptBytes, faultCode: string, source: IngestSource): Promise<boolean> {
    const answer = await this.#database.pool.query(
      `INSERT INTO quarantine (blob, blob_offset, blob_length, sha256, fault, source, received_at)
       SELECT $1, $2, $3, $4, $5, $6, $7
       WHERE NOT EXISTS (SELECT 1 FROM quarantine WHERE sha256 = $4 AND (blob, blob_offset) <> ($1, $2))
       ON CONFLICT (blob, blob_offset) DO UPDATE SET fault = excluded.fault`,
      [kept.blob, kept.offset, kept.length, kept.sha256, faultCode, jsonText(source), kept.receivedAt],
    );
    return answer.rowCount !== 0;
  }

  /** Newest first; `before` is the id of the last row of the previous page. */
  async list(limit: number, before?: string): Promise<QuarantineRow[]> {
    const answer = await this.#database.pool.query<{
      id: string;
      received_at: Date;
      source: IngestSource;
      blob_length: string;
      fault: string;
      sha256: Buffer;
    }>(
      `SELECT id, received_at, source, blob_length, fault, sha256 FROM quarantine
       WHERE $2::bigint IS NULL OR id < $2 ORDER BY id DESC LIMIT $1`,
      [Math.min(limit, LONGEST_LIST), before === undefined ? null : rowId(before)],
    );
    return answer.rows.map((row) => ({
      id: row.id,
      receivedAt: row.received_at,
      source: row.source,
      bytes: Number(row.blob_length),
      faultCode: row.fault,
      sha256: row.sha256.toString('hex'),
    }));
  }

  /** @throws Fault NOT_FOUND. */
  async open(id: string): Promise<Readable> {
    const answer = await this.#database.pool.query<{
      blob: string;
      blob_offset: string;
      blob_length: string;
    }>(`SELECT blob, blob_offset, blob_length FROM quarantine WHERE id = $1`, [rowId(id)]);
    const row = answer.rows[0];
    if (!row) throw new Fault('NOT_FOUND');
    return this.#blobs.stream(row.blob, Number(row.blob_offset), Number(row.blob_length));
  }
}

function rowId(id: string): string {
  if (!/^\d{1,18}$/.test(id)) throw new Fault('NOT_FOUND');
  return id;
}
