/**
 * Finds or makes the patient, study and series an object belongs to.
 *
 * A study whose objects name different patients is never mixed: each patient gets a row of the study of its own, and both
 * rows carry the warning PATIENT_MISMATCH (attacks A25).
 * Layer:  server/archive.
 */
import type pg from 'pg';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { jsonText, levelOf } from './attributes.ts';
import type { ObjectEntry } from './describe.ts';

export const PATIENT_MISMATCH = 'PATIENT_MISMATCH';

export interface Place {
  readonly studyFk: string;
  readonly seriesFk: string;
  /** The study is also there with another patient. */
  readonly mismatch: boolean;
}

interface Study {
  readonly id: string;
  mismatch: boolean;
}

type WithEntry = { readonly entry: ObjectEntry; readonly kept: { readonly receivedAt: Date } };

/** Where an object goes of whose study nothing is known here; `at` stands for it in the statement that makes it. */
export interface FreshPlace {
  readonly at: number;
  readonly entry: ObjectEntry;
  readonly receivedAt: Date;
}

/** By SOP Instance UID. */
export type Fresh = ReadonlyMap<string, FreshPlace>;

/** Series a sender is busy with; a few hundred bytes each. */
const REMEMBERED = 5000;

export class Resolver {
  /** By study UID, patient key and series UID. */
  readonly #places = new Map<string, Place>();
  /** Studies of which something is remembered. */
  readonly #studies = new Set<string>();

  /** After a failed transaction nothing that was learnt in it is certain. */
  forget(): void {
    this.#places.clear();
    this.#studies.clear();
  }

  known(entry: ObjectEntry): Place | undefined {
    return this.#places.get(placeKey(entry));
  }

  remember(entry: ObjectEntry, place: Place): void {
    this.#places.set(placeKey(entry), place);
    this.#studies.add(entry.study.studyUid);
  }

  /**
   * A place for each object, but for those whose study is likely not there at all: the inserting statement makes it, which spares
   * three others. When patients of one study differ, nothing is made without a look at what is there.
   */
  async resolveOrNumber(client: pg.ClientBase, objects: readonly WithEntry[]): Promise<Fresh> {
    const patients = new Map<string, Set<string>>();
    for (const { entry } of objects) {
      const keys = patients.get(entry.study.studyUid) ?? new Set();
      patients.set(entry.study.studyUid, keys.add(entry.patient.key));
    }
    const isFresh = ({ entry }: WithEntry): boolean =>
      !this.#studies.has(entry.study.studyUid) && patients.get(entry.study.studyUid)?.size === 1;
    const others: WithEntry[] = [];
    const numbered = new Map<string, FreshPlace>();
    const fresh = new Map<string, FreshPlace>();
    for (const object of objects) {
      if (!isFresh(object)) {
        others.push(object);
        continue;
      }
      const { entry, kept } = object;
      const key = placeKey(entry);
      const place = numbered.get(key) ?? { at: numbered.size, entry, receivedAt: kept.receivedAt };
      numbered.set(key, place);
      fresh.set(entry.instance.sopUid, place);
    }
    await this.resolve(client, others);
    return fresh;
  }

  /** Finds or makes a place for each object: `known` tells it. Runs outside a transaction: each step can be repeated by anybody. */
  async resolve(client: pg.ClientBase, objects: readonly WithEntry[]): Promise<void> {
    const unknown = new Map<string, WithEntry>();
    for (const object of objects) {
      const key = placeKey(object.entry);
      if (!this.#places.has(key) && !unknown.has(key)) unknown.set(key, object);
    }
    if (unknown.size) await this.#learn(client, unknown);
  }

  /** Before a batch: what it learns stays for the whole of it. */
  makeRoom(): void {
    if (this.#places.size > REMEMBERED) this.forget();
  }

  async #learn(client: pg.ClientBase, unknown: ReadonlyMap<string, WithEntry>): Promise<void> {
    const objects = [...unknown.values()].sort((one, other) =>
      compare(studyKey(one.entry), studyKey(other.entry)),
    );
    const studies = await learnStudies(client, objects);
    const rows = objects.map(({ entry, kept }) => ({
      ...entry.series,
      study_fk: studies.get(studyKey(entry))!.id,
      at: kept.receivedAt.toISOString(),
    }));
    const answer = await client.query<{ study_fk: string; series_uid: string; id: string }>({
      name: 'learn-series',
      text: LEARN_SERIES,
      values: [JSON.stringify(rows)],
    });
    const ids = new Map(answer.rows.map((row) => [`${row.study_fk} ${row.series_uid}`, row.id]));
    for (const { entry } of objects) {
      const study = studies.get(studyKey(entry))!;
      const seriesFk = ids.get(`${study.id} ${entry.series.seriesUid}`);
      if (seriesFk === undefined)
        throw Object.assign(new Error('a series was taken away'), { code: '40001' });
      this.remember(entry, { studyFk: study.id, seriesFk, mismatch: study.mismatch });
    }
  }
}

const studyKey = (entry: ObjectEntry): string => `${entry.study.studyUid} ${entry.patient.key}`;
const placeKey = (entry: ObjectEntry): string => `${entry.series.seriesUid} ${studyKey(entry)}`;
const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

/** Inserting and updating in one statement: `new` holds the series that were not there, `old` those that were. */
const LEARN_SERIES = `
  WITH given AS (
    SELECT DISTINCT ON (study_fk, "seriesUid") * FROM json_to_recordset($1::json) AS t (study_fk bigint, "seriesUid" text,
      number int, modality text, description text, "bodyPart" text, laterality text, attributes text, at timestamptz)
    ORDER BY study_fk, "seriesUid"
  ), new AS (
    INSERT INTO series (study_fk, series_uid, number, modality, description, body_part, laterality, attributes, created_at,
      changed_at)
    SELECT study_fk, "seriesUid", number, modality, description, "bodyPart", laterality, attributes::jsonb, at, at FROM given
    ON CONFLICT (study_fk, series_uid) DO NOTHING
    RETURNING id, study_fk, series_uid, modality
  ), counted AS (
    SELECT study_fk, count(*) AS series, array_agg(DISTINCT modality) FILTER (WHERE modality <> '') AS modalities
    FROM new GROUP BY study_fk ORDER BY study_fk
  ), study_counts AS (
    UPDATE study SET
      series_count = series_count + counted.series,
      modalities = ARRAY(SELECT DISTINCT unnest(study.modalities || counted.modalities) ORDER BY 1),
      modality_text = array_to_string(ARRAY(SELECT DISTINCT unnest(study.modalities || counted.modalities) ORDER BY 1), ',')
    FROM counted WHERE study.id = counted.study_fk
  )
  SELECT id, study_fk, series_uid FROM new
  UNION ALL
  SELECT s.id, s.study_fk, s.series_uid FROM series s JOIN given ON s.study_fk = given.study_fk AND s.series_uid = "seriesUid"`;

const FIND_STUDIES = `
  SELECT s.id, s.study_uid, s.patient_id, s.issuer, p.key, s.warnings
  FROM study s JOIN patient p ON p.id = s.patient_fk
  WHERE s.study_uid = ANY($1) ORDER BY s.id`;

interface StudyRow {
  readonly id: string;
  readonly study_uid: string;
  readonly patient_id: string;
  readonly issuer: string;
  readonly key: string;
  readonly warnings: readonly string[];
}

async function learnStudies(
  client: pg.ClientBase,
  objects: readonly WithEntry[],
): Promise<Map<string, Study>> {
  const uids = [...new Set(objects.map(({ entry }) => entry.study.studyUid))];
  const find = async (): Promise<StudyRow[]> =>
    (await client.query<StudyRow>({ name: 'find-studies', text: FIND_STUDIES, values: [uids] })).rows;
  let rows = await find();
  const missing = objects.filter(({ entry }) => !rows.some((row) => isSame(row, entry)));
  if (missing.length) {
    await makeStudies(client, missing);
    rows = await find();
  }
  const studies = new Map<string, Study>();
  let apart = false;
  for (const { entry } of objects) {
    const ofUid = rows.filter((row) => row.study_uid === entry.study.studyUid);
    const found =
      ofUid.find((row) => row.key === entry.patient.key) ?? ofUid.find((row) => isSame(row, entry));
    if (!found) throw Object.assign(new Error('a study was taken away'), { code: '40001' });
    const mismatch = ofUid.some((row) => !isSame(row, entry));
    apart ||= mismatch && ofUid.some((row) => !row.warnings.includes(PATIENT_MISMATCH));
    studies.set(studyKey(entry), { id: found.id, mismatch });
  }
  if (apart) await markMismatches(client, uids);
  return studies;
}

/** Two nodes may make one study for two patients at the same moment, and neither sees the other: it is looked for again later. */
export async function markMismatches(
  client: Pick<pg.ClientBase, 'query'>,
  uids: readonly string[],
): Promise<void> {
  if (uids.length === 0) return;
  await client.query(
    `UPDATE study s SET warnings = array_append(warnings, $2) WHERE study_uid = ANY($1) AND NOT warnings @> ARRAY[$2]
       AND EXISTS (SELECT 1 FROM study o WHERE o.study_uid = s.study_uid AND o.id <> s.id)`,
    [uids, PATIENT_MISMATCH],
  );
}

/** The same patient: same ID, and the same issuer unless one of the two does not say. */
function isSame(row: StudyRow, entry: ObjectEntry): boolean {
  if (row.study_uid !== entry.study.studyUid) return false;
  if (row.key === entry.patient.key) return true;
  const { patientId, issuer } = entry.patient;
  return patientId !== '' && row.patient_id === patientId && (row.issuer === '' || issuer === '');
}

const MAKE_STUDIES = `
  WITH given AS (
    SELECT * FROM json_to_recordset($1::json) AS t (key text, "patientId" text, issuer text, name text, "nameA" text,
      "nameI" text, "nameP" text, "birthDate" text, sex text, patient_attributes text, "studyUid" text, date text, time text,
      "timeTo" text, "studyId" text, description text, accession text, referrer text, "referrerFold" text, search text,
      attributes text, at timestamptz)
  ), new AS (
    INSERT INTO patient (key, patient_id, issuer, name_a, name_i, name_p, search, birth_date, sex, attributes)
    SELECT DISTINCT ON (key) key, "patientId", issuer, "nameA", "nameI", "nameP", search, "birthDate", sex,
      patient_attributes::jsonb FROM given ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING id, key
  ), patients AS (
    SELECT id, key FROM new UNION ALL SELECT p.id, p.key FROM patient p JOIN given USING (key)
  )
  INSERT INTO study (study_uid, patient_fk, patient_id, issuer, name, name_a, name_i, name_p, search, birth_date, sex,
    study_date, study_time, study_time_to, study_id, description, accession, referrer, referrer_fold, attributes,
    received_at, changed_at)
  SELECT DISTINCT ON ("studyUid", p.id) "studyUid", p.id, "patientId", issuer, name, "nameA", "nameI", "nameP", search,
    "birthDate", sex, date, time, "timeTo", "studyId", description, accession, referrer, "referrerFold",
    patient_attributes::jsonb || attributes::jsonb, at, at
  FROM given JOIN patients p ON p.key = given.key ORDER BY "studyUid", p.id
  ON CONFLICT (study_uid, patient_fk) DO NOTHING`;

/** Of two objects that both do not know their study yet, and differ in the issuer only, the first makes it. */
async function makeStudies(client: pg.ClientBase, objects: readonly WithEntry[]): Promise<void> {
  const chosen: WithEntry[] = [];
  for (const object of objects) {
    const { study, patient } = object.entry;
    const same = ({ entry }: WithEntry): boolean =>
      entry.study.studyUid === study.studyUid &&
      (entry.patient.key === patient.key ||
        (patient.patientId !== '' &&
          entry.patient.patientId === patient.patientId &&
          (entry.patient.issuer === '' || patient.issuer === '')));
    if (!chosen.some(same)) chosen.push(object);
  }
  const rows = chosen.map(({ entry, kept }) => ({
    ...entry.patient,
    patient_attributes: entry.patient.attributes,
    ...entry.study,
    at: kept.receivedAt.toISOString(),
  }));
  await client.query({ name: 'make-studies', text: MAKE_STUDIES, values: [JSON.stringify(rows)] });
}

/**
 * Takes away what has no object: studies and series that were made for objects which then did not come, and their patients. A
 * study that is there with one patient only is no mismatch any more.
 *
 * Others may be about to put an object there: they find their row gone, and make it again.
 */
export async function sweep(client: pg.ClientBase, studyUids: readonly string[]): Promise<void> {
  await client.query(
    `WITH gone AS (
       DELETE FROM series e USING study s WHERE e.study_fk = s.id AND s.study_uid = ANY($1)
         AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.series_fk = e.id)
       RETURNING e.study_fk
     )
     UPDATE study SET series_count = series_count - counted.series
     FROM (SELECT study_fk, count(*) AS series FROM gone GROUP BY study_fk) counted WHERE study.id = counted.study_fk`,
    [studyUids],
  );
  const { rows } = await client.query<{ patient_fk: string }>(
    `DELETE FROM study s WHERE s.study_uid = ANY($1) AND NOT EXISTS (SELECT 1 FROM series e WHERE e.study_fk = s.id)
     RETURNING patient_fk`,
    [studyUids],
  );
  await sweepPatients(
    client,
    rows.map((row) => row.patient_fk),
  );
  await client.query(
    `UPDATE study s SET warnings = array_remove(warnings, $2) WHERE s.study_uid = ANY($1) AND warnings @> ARRAY[$2]
       AND NOT EXISTS (SELECT 1 FROM study o WHERE o.study_uid = s.study_uid AND o.id <> s.id)`,
    [studyUids, PATIENT_MISMATCH],
  );
}

/** A patient without a study is found by nobody's name. */
async function sweepPatients(client: pg.ClientBase, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await client.query(
    `DELETE FROM patient p WHERE p.id = ANY($1) AND NOT EXISTS (SELECT 1 FROM study s WHERE s.patient_fk = p.id)`,
    [ids],
  );
}

/**
 * Patients as their first study tells, once more: what made them may have been corrected, or belong to somebody else now.
 * Those without a study go.
 */
export async function refreshPatients(client: pg.ClientBase, ids: readonly string[]): Promise<void> {
  await sweepPatients(client, ids);
  const { rows } = await client.query<{ id: string; attributes: DicomJson }>(
    `SELECT DISTINCT ON (p.id) p.id, s.attributes FROM patient p JOIN study s ON s.patient_fk = p.id
     WHERE p.id = ANY($1) ORDER BY p.id, s.received_at, s.id`,
    [ids],
  );
  for (const { id, attributes } of rows) {
    const own = Object.entries(attributes).filter(([hex]) => levelOf(Number.parseInt(hex, 16)) === 'patient');
    await client.query(
      `UPDATE patient p SET name_a = s.name_a, name_i = s.name_i, name_p = s.name_p, search = s.search,
         birth_date = s.birth_date, sex = s.sex, attributes = $2
       FROM (SELECT * FROM study WHERE patient_fk = $1 ORDER BY received_at, id LIMIT 1) s WHERE p.id = $1`,
      [id, jsonText(Object.fromEntries(own))],
    );
  }
}
