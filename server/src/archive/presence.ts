/**
 * What is kept here of a study or series found elsewhere, and whether it is the same patient's.
 *
 * Layer:  server/archive.
 */
import type { Database } from '../platform/database.ts';

export interface Present {
  readonly series: number;
  readonly instances: number;
  readonly samePatient: boolean;
}

export interface Presence {
  /** null: nothing of the study is here. */
  study(study: {
    readonly studyUid: string;
    readonly patientId: string;
    readonly birthDate: string;
  }): Promise<Present | null>;
  /** Objects by Series Instance UID. */
  series(studyUid: string): Promise<ReadonlyMap<string, number>>;
}

export function createPresence(database: Database): Presence {
  return {
    async study({ studyUid, patientId, birthDate }) {
      const { rows } = await database.pool.query<{
        series_count: number;
        instance_count: number;
        patient_id: string;
        birth_date: string;
      }>({
        name: 'presence-study',
        text: 'SELECT series_count, instance_count, patient_id, birth_date FROM study WHERE study_uid = $1',
        values: [studyUid],
      });
      if (rows.length === 0) return null;
      // What one side leaves open is no difference.
      const differs = (a: string, b: string): boolean => a !== '' && b !== '' && a.trim() !== b.trim();
      return {
        series: rows.reduce((sum, row) => sum + row.series_count, 0),
        instances: rows.reduce((sum, row) => sum + row.instance_count, 0),
        samePatient: !rows.some(
          (row) => differs(row.patient_id, patientId) || differs(row.birth_date, birthDate),
        ),
      };
    },
    async series(studyUid) {
      const { rows } = await database.pool.query<{ series_uid: string; objects: string }>(
        `SELECT e.series_uid, sum(e.instance_count) AS objects FROM series e JOIN study s ON s.id = e.study_fk
         WHERE s.study_uid = $1 GROUP BY e.series_uid`,
        [studyUid],
      );
      return new Map(rows.map((row) => [row.series_uid, Number(row.objects)]));
    },
  };
}
