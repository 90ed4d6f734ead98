/**
 * Metadata of studies, series and instances: DICOM JSON with bulk data by URI, gzipped, made once per series.
 *
 * A series' array is kept as gzip members without its brackets, so that a study's is put together from those of its series
 * without unpacking: gzip members may follow one another (RFC 1952 §2.2).
 *
 * Source: PS3.18 §10.4.1.1.2 (metadata resources), Annex F (DICOM JSON).
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { toJson } from '@lightbox/core/dicom/json.ts';
import type { Database } from '../platform/database.ts';
import type { InstanceRef, ObjectScope, Retrieve } from './types.ts';

const compress = promisify(gzip);
/** Headers read at the same time. */
const AT_ONCE = 16;
/** One piece of JSON that is compressed as one member. */
const MEMBER_BYTES = 256 * 1024;
const LEVEL = 5;

interface SeriesRow {
  readonly id: string;
  readonly series_uid: string;
  readonly instance_count: number;
  readonly changed_at: Date;
  readonly gzip: Buffer | null;
}

export class Metadata {
  readonly #database: Database;
  readonly #retrieve: Pick<Retrieve, 'list' | 'header'>;
  readonly #making = new Map<string, Promise<Buffer>>();

  constructor(database: Database, retrieve: Pick<Retrieve, 'list' | 'header'>) {
    this.#database = database;
    this.#retrieve = retrieve;
  }

  /** @throws Fault NOT_FOUND. */
  async get(scope: ObjectScope): Promise<{ gzip: Buffer; etag: string }> {
    const body = scope.sopUid === undefined ? await this.#ofSeries(scope) : await this.#ofInstance(scope);
    const all = Buffer.concat([await OPEN, ...body, await CLOSE]);
    return { gzip: all, etag: createHash('sha256').update(all).digest('hex').slice(0, 32) };
  }

  async #ofInstance(scope: ObjectScope): Promise<Buffer[]> {
    const refs = await this.#retrieve.list(scope);
    if (!refs.length) throw new Fault('NOT_FOUND');
    return [await this.#compress(refs)];
  }

  async #ofSeries(scope: ObjectScope): Promise<Buffer[]> {
    const answer = await this.#database.pool.query<SeriesRow>({
      name: 'series-metadata',
      text: `SELECT e.id, e.series_uid, e.instance_count, e.changed_at, m.gzip
        FROM study s JOIN series e ON e.study_fk = s.id
        LEFT JOIN series_metadata m ON m.series_fk = e.id AND m.instance_count = e.instance_count
          AND m.changed_at = e.changed_at
        WHERE s.study_uid = $1 AND ($2::text IS NULL OR e.series_uid = $2) AND e.instance_count > 0
        ORDER BY e.number, e.series_uid, e.id`,
      values: [scope.studyUid, scope.seriesUid ?? null],
    });
    if (!answer.rows.length) throw new Fault('NOT_FOUND');
    const parts: Buffer[] = [];
    for (const row of answer.rows) {
      if (parts.length) parts.push(await COMMA);
      parts.push(row.gzip ?? (await this.#make(scope.studyUid, row)));
    }
    return parts;
  }

  /** Two who ask at once wait for the same work. */
  #make(studyUid: string, row: SeriesRow): Promise<Buffer> {
    const key = `${row.id} ${row.changed_at.toISOString()} ${row.instance_count}`;
    const running =
      this.#making.get(key) ?? this.#makeSeries(studyUid, row).finally(() => this.#making.delete(key));
    this.#making.set(key, running);
    return running;
  }

  async #makeSeries(studyUid: string, row: SeriesRow): Promise<Buffer> {
    const refs = await this.#retrieve.list({ studyUid, seriesUid: row.series_uid });
    const bytes = await this.#compress(refs);
    await this.#database.pool.query(
      `INSERT INTO series_metadata (series_fk, instance_count, changed_at, gzip)
       SELECT id, instance_count, changed_at, $3 FROM series WHERE id = $1 AND instance_count = $2
       ON CONFLICT (series_fk) DO UPDATE SET instance_count = excluded.instance_count, changed_at = excluded.changed_at,
         gzip = excluded.gzip`,
      [row.id, refs.length, bytes],
    );
    return bytes;
  }

  #compress(refs: readonly InstanceRef[]): Promise<Buffer> {
    return compressObjects(refs, (ref) => this.#json(ref));
  }

  async #json(ref: InstanceRef): Promise<string> {
    return jsonText(ref, await this.#retrieve.header(ref));
  }
}

function jsonText(ref: InstanceRef, header: DataSet): string {
  const root = `studies/${ref.studyUid}/series/${ref.seriesUid}/instances/${ref.sopUid}/bulkdata/`;
  return JSON.stringify(toJson(header, { bulkDataUri: (path) => root + path }));
}

/** Objects of an array, with commas between and without brackets, as gzip members. An empty text is left out. */
async function compressObjects(
  refs: readonly InstanceRef[],
  json: (ref: InstanceRef) => Promise<string>,
): Promise<Buffer> {
  const members: Buffer[] = [];
  let text: string[] = [];
  let length = 0;
  let first = true;
  for (let at = 0; at < refs.length; at += AT_ONCE) {
    const some = refs.slice(at, at + AT_ONCE);
    const objects = await Promise.all(some.map(json));
    for (const one of objects) {
      if (one === '') continue;
      text.push((first ? '' : ',\n') + one);
      first = false;
      length += one.length;
    }
    if (length >= MEMBER_BYTES || at + AT_ONCE >= refs.length) {
      members.push(await compress(text.join(''), { level: LEVEL }));
      text = [];
      length = 0;
    }
  }
  return Buffer.concat(members);
}

/**
 * The metadata of objects as they were kept, as one gzipped array: what lies beside a pack.
 *
 * @param skipped  Called for an object whose header cannot be read; it is left out.
 */
export async function metadataArray(
  refs: readonly InstanceRef[],
  header: (ref: InstanceRef) => Promise<DataSet>,
  skipped: (ref: InstanceRef, error: unknown) => void,
): Promise<Buffer> {
  const body = await compressObjects(refs, (ref) =>
    header(ref).then(
      (dataSet) => jsonText(ref, dataSet),
      (error: unknown) => {
        skipped(ref, error);
        return '';
      },
    ),
  );
  return Buffer.concat([await OPEN, body, await CLOSE]);
}

const OPEN = compress('[');
const CLOSE = compress(']');
const COMMA = compress(',\n');
