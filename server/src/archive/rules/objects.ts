/**
 * The objects of a study as rules see them: from the index, and from their headers where rules ask for more than it keeps.
 *
 * Layer:  server/archive.
 */
import type { Tag } from '@lightbox/core/dicom/data-set.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import {
  attributesOfDataSet,
  attributesOfJson,
  type Attributes,
} from '@lightbox/core/translate/rules/attributes.ts';
import type { Moment, Subject } from '@lightbox/core/translate/rules/compile.ts';
import type { Database } from '../../platform/database.ts';
import { levelOf } from '../index/attributes.ts';
import type { IngestSource, Retrieve } from '../types.ts';

/** On the server's clock: rules about nights and weekends mean those of the house. */
export const momentOf = (at: Date): Moment => ({
  day: at.getDay(),
  minutes: at.getHours() * 60 + at.getMinutes(),
  date: Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()) / 86_400_000,
});

/** Names of sources as rules have them. A device has an AE title, everybody else is a user. */
export const sourceOf = (
  source: Partial<IngestSource> & { readonly kind: IngestSource['kind'] },
): Subject['source'] => ({
  door: source.kind,
  ...(source.kind === 'dimse' ? { aeTitle: source.by ?? '' } : { user: source.name ?? source.by ?? '' }),
  ...(source.calledAe === undefined ? {} : { calledAe: source.calledAe }),
});

export interface RuledStudy {
  readonly id: string;
  readonly studyUid: string;
  /** As text: what came since is newer by microseconds. */
  readonly changedAt: string;
}

export interface RuledObject {
  readonly id: string;
  readonly sopUid: string;
  readonly seriesUid: string;
  readonly receivedAt: Date;
  /** AE title it came from; empty: not by DIMSE, or nobody knows. */
  readonly fromAe: string;
  readonly subject: Subject;
}

interface Row {
  readonly id: string;
  readonly sop_uid: string;
  readonly series_uid: string;
  readonly received_at: Date;
  readonly source_kind: IngestSource['kind'] | null;
  readonly source_by: string | null;
  readonly source_name: string | null;
  readonly called_ae: string | null;
  readonly study_attributes: DicomJson;
  readonly series_attributes: DicomJson;
  readonly attributes: DicomJson;
}

/** Objects are looked at so many at a time: a study of tens of thousands does not fill the memory. */
const PAGE = 500;

/** Whether the index keeps everything rules look at. */
export const indexKeeps = (reads: readonly (readonly Tag[])[]): boolean =>
  reads.every(([first]) => first !== undefined && levelOf(first) !== undefined);

export interface ObjectReader {
  /** Studies of this name: one for each patient that has it. */
  studies(studyUid: string): Promise<RuledStudy[]>;
  /** Objects of a study after the one with this id, oldest first, page by page. */
  pages(study: RuledStudy, reads: readonly (readonly Tag[])[], after?: string): AsyncGenerator<RuledObject[]>;
}

export function createObjectReader(
  database: Pick<Database, 'pool'>,
  retrieve: Pick<Retrieve, 'list' | 'header'>,
): ObjectReader {
  const { pool } = database;
  const headerOf = async (studyUid: string, sopUid: string): Promise<Attributes | undefined> => {
    const [ref] = await retrieve.list({ studyUid, sopUid });
    return ref && attributesOfDataSet(await retrieve.header(ref));
  };
  return {
    async studies(studyUid) {
      const { rows } = await pool.query<{ id: string; study_uid: string; changed_at: string }>(
        'SELECT id, study_uid, changed_at::text FROM study WHERE study_uid = $1 ORDER BY id',
        [studyUid],
      );
      return rows.map((row) => ({ id: row.id, studyUid: row.study_uid, changedAt: row.changed_at }));
    },
    async *pages(study, reads, after = '0') {
      const whole = !indexKeeps(reads);
      for (let last = after; ;) {
        const { rows } = await pool.query<Row>({
          name: 'rules-objects',
          text: `SELECT i.id, i.sop_uid, e.series_uid, i.received_at, i.source_kind, i.source_by, i.source_name, i.called_ae,
                   s.attributes AS study_attributes, e.attributes AS series_attributes, i.attributes
                 FROM instance i JOIN series e ON e.id = i.series_fk JOIN study s ON s.id = i.study_fk
                 WHERE i.study_fk = $1 AND i.id > $2 ORDER BY i.id LIMIT ${PAGE}`,
          values: [study.id, last],
        });
        const objects: RuledObject[] = [];
        for (const row of rows) {
          const header = whole ? await headerOf(study.studyUid, row.sop_uid) : undefined;
          objects.push(objectOf(row, header));
        }
        if (objects.length > 0) yield objects;
        if (rows.length < PAGE) return;
        last = rows.at(-1)?.id ?? last;
      }
    },
  };
}

function objectOf(row: Row, header: Attributes | undefined): RuledObject {
  const kind = row.source_kind;
  const source = kind
    ? sourceOf({
        ...{ kind, by: row.source_by ?? '' },
        ...(row.source_name === null ? {} : { name: row.source_name }),
        ...(row.called_ae === null ? {} : { calledAe: row.called_ae }),
      })
    : {};
  const attributes =
    header ?? attributesOfJson({ ...row.study_attributes, ...row.series_attributes, ...row.attributes });
  return {
    ...{ id: row.id, sopUid: row.sop_uid, seriesUid: row.series_uid, receivedAt: row.received_at },
    fromAe: kind === 'dimse' ? (row.source_by ?? '') : '',
    subject: { attributes, source, moment: momentOf(row.received_at) },
  };
}
