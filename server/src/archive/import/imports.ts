/**
 * Objects from another institution wait here, seen by nobody, until a person has said whose they are; then they are taken in
 * like any other object, byte for byte.
 *
 * Source: IHE RAD TF-3 §4.59 (Import Objects), PS3.3 Annex F (what the directory of a medium lists has to be there).
 * Layer:  server/archive.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { DIRECTORY_SOP_CLASS } from '@lightbox/core/dicom/dicomdir/write-directory.ts';
import { items, uidValue } from '@lightbox/core/dicom/values.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import type { Tag } from '@lightbox/core/dicom/data-set.ts';
import { composeEdits, type Edit, editsJson } from '@lightbox/core/dicom/edits.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { parsePersonName } from '@lightbox/core/dicom/person-name.ts';
import type { Vr } from '@lightbox/core/dicom/vr.ts';
import type { Database } from '../../platform/database.ts';
import { describeObject, patientKeyOf } from '../index/describe.ts';
import { inForce } from '../overlays/history.ts';
import type { Overlays } from '../overlays/overlays.ts';
import type { Ingest, IngestOutcome, IngestSource } from '../types.ts';
import { type Choice, choicesFor, compare, type MatchKind, type Person } from './reconcile.ts';

/** Nobody decides after so long: what waits is thrown away, its source is still where it came from. */
const KEPT_DAYS = 7;
/** A directory of a medium lists some thousand objects. */
const MAX_LISTED = 500_000;

export interface ForeignStudy {
  readonly studyUid: string;
  readonly date: string;
  readonly description: string;
  readonly modalities: readonly string[];
  readonly objects: number;
}

export interface LocalMatch extends Omit<Person, 'folded'> {
  readonly kind: MatchKind;
  /** Of that patient here; 0: it is another one of the same import. */
  readonly studies: number;
}

export interface ForeignPatient extends Omit<Person, 'folded'> {
  /** Names it in decisions. */
  readonly person: string;
  readonly objects: number;
  readonly studies: readonly ForeignStudy[];
  readonly matches: readonly LocalMatch[];
  readonly choices: readonly Choice[];
}

export interface ImportPreview {
  readonly patients: readonly ForeignPatient[];
  readonly objects: number;
  /** Objects that a directory lists and that did not come: the medium was not read whole. */
  readonly missing: number;
}

export interface Imports {
  begin(by: string): Promise<string>;
  /** Takes the bytes of one file. What it gives back waits until they are on the disk. @throws Fault NOT_FOUND, ARCHIVE_FULL. */
  take(id: string, by: string, bytes: AsyncIterable<Uint8Array>): Promise<StagedOutcome>;
  /** @throws Fault NOT_FOUND. */
  preview(id: string, by: string): Promise<ImportPreview>;
  /**
   * Takes in what was decided, one object after the other, and forgets the rest. Objects that could not be taken in still wait.
   *
   * @throws Fault IMPORT_UNDECIDED unless every patient has one of its choices, BUSY while it is being decided already.
   */
  decide(
    id: string,
    source: IngestSource,
    decisions: ReadonlyMap<string, Choice>,
  ): Promise<AsyncGenerator<Decided>>;
  discard(id: string, by: string): Promise<void>;
}

export interface StagedOutcome {
  readonly status: 'waiting' | 'directory' | 'refused';
  readonly studyUid?: string | undefined;
  readonly sopInstanceUid?: string | undefined;
  readonly fault?: Fault | undefined;
}

export interface Decided {
  readonly sopUid: string;
  readonly outcome: IngestOutcome | Fault | 'skipped';
}

interface ObjectRow {
  readonly id: string;
  readonly file: string;
  readonly bytes: string;
  readonly sop_uid: string;
  readonly person: string;
  readonly patient: Person;
  readonly study: { studyUid: string; date: string; description: string; modality: string };
}

export interface ImportsParts {
  readonly database: Database;
  readonly ingest: Ingest;
  readonly overlays: Pick<Overlays, 'correct' | 'history'>;
  readonly room: () => Promise<{ readonly full: boolean }>;
  readonly dataDir: string;
}

export async function openImports({
  database,
  ingest,
  overlays,
  room,
  dataDir,
}: ImportsParts): Promise<Imports> {
  const { pool } = database;
  // What a crash interrupted is decided again: an object that is in the archive already is known there.
  await pool.query('UPDATE import_batch SET deciding = false WHERE deciding');
  const folderOf = (id: string): string => join(dataDir, 'imports', id);

  /** @throws Fault NOT_FOUND for an import of somebody else too. */
  async function own(id: string, by: string): Promise<void> {
    if (!/^[0-9a-f-]{36}$/.test(id)) throw new Fault('NOT_FOUND');
    const found = await pool.query('SELECT 1 FROM import_batch WHERE id = $1 AND made_by = $2', [id, by]);
    if (found.rowCount !== 1) throw new Fault('NOT_FOUND');
  }

  async function forget(id: string): Promise<void> {
    await pool.query('DELETE FROM import_batch WHERE id = $1', [id]);
    await rm(folderOf(id), { recursive: true, force: true });
  }

  async function rowsOf(id: string): Promise<ObjectRow[]> {
    const { rows } = await pool.query<ObjectRow>(
      'SELECT id, file, bytes, sop_uid, person, patient, study FROM import_object WHERE batch = $1 ORDER BY id',
      [id],
    );
    return rows;
  }

  async function look(id: string): Promise<{ preview: ImportPreview; rows: ObjectRow[] }> {
    const rows = await rowsOf(id);
    const groups = new Map<string, ObjectRow[]>();
    for (const row of rows) groups.set(row.person, [...(groups.get(row.person) ?? []), row]);
    const people = [...groups].map(([person, objects]) => ({
      person,
      objects,
      patient: objects[0]!.patient,
    }));
    const patients: ForeignPatient[] = [];
    for (const { person, objects, patient } of people) {
      const within = people
        .filter((other) => other.person !== person)
        .flatMap((other) => matchOf(patient, other.patient, 0));
      const matches = [...(await here(patient, objects)), ...within];
      const { folded: _, ...shown } = patient;
      patients.push({
        ...{ person, ...shown, objects: objects.length, studies: studiesOf(objects), matches },
        choices: choicesFor(
          matches.map((one) => one.kind),
          matches.filter(isSimilarHere).length,
        ),
      });
    }
    const missing = await pool.query<{ count: string }>(
      `SELECT count(*) FROM import_listed l WHERE batch = $1
       AND NOT EXISTS (SELECT 1 FROM import_object o WHERE o.batch = $1 AND o.sop_uid = l.sop_uid)`,
      [id],
    );
    return { preview: { patients, objects: rows.length, missing: Number(missing.rows[0]?.count) }, rows };
  }

  /** Patients here that have this number, or this name and birth date; and others with the same studies. */
  async function here(patient: Person, objects: readonly ObjectRow[]): Promise<LocalMatch[]> {
    const studyUids = [...new Set(objects.map((one) => one.study.studyUid))];
    // By study: its row says who its objects named, also where two of them share a number.
    const { rows } = await pool.query<{
      readonly id: string;
      readonly issuer: string;
      readonly name: string;
      readonly folded: string;
      readonly birth_date: string;
      readonly sex: string;
      readonly studies: string;
      readonly shared: boolean;
    }>(
      `SELECT patient_id AS id, issuer, name, name_a AS folded, birth_date, sex, count(*) AS studies,
         bool_or(study_uid = ANY($4)) AS shared
       FROM study
       WHERE ($1 <> '' AND patient_id = $1) OR ($2 <> '' AND $3 <> '' AND name_a = $2 AND birth_date = $3)
         OR study_uid = ANY($4)
       GROUP BY patient_id, issuer, name, name_a, birth_date, sex ORDER BY count(*) DESC LIMIT 50`,
      [patient.id, patient.folded, patient.birthDate, studyUids],
    );
    return rows.flatMap(({ studies, shared, birth_date: birthDate, ...row }) => {
      const local: Person = { ...row, birthDate };
      const kind = compare(patient, local);
      const { folded: _, ...shown } = local;
      // Without a number a study is its own patient; with the same name it is the same study again.
      const again = patient.id === '' && local.id === '' && patient.folded === local.folded;
      if (shared && kind !== 'same' && kind !== 'conflict' && !again)
        return [{ ...shown, kind: 'study' as const, studies: Number(studies) }];
      return matchOf(patient, local, Number(studies));
    });
  }

  async function* carryOut(
    id: string,
    source: IngestSource,
    rows: readonly ObjectRow[],
    decisions: ReadonlyMap<string, Choice>,
  ): AsyncGenerator<Decided> {
    let left = 0;
    try {
      for (const row of rows) {
        const path = join(folderOf(id), row.file);
        if (decisions.get(row.person) === 'skip') {
          yield { sopUid: row.sop_uid, outcome: 'skipped' };
          continue;
        }
        let outcome: IngestOutcome | Fault;
        try {
          outcome = await ingestFile(ingest, source, path);
        } catch (error) {
          outcome = asFault(error);
        }
        if (outcome instanceof Fault || outcome.status === 'refused') left += 1;
        // In the archive now, or kept aside by it for a person.
        else {
          await pool.query('DELETE FROM import_object WHERE id = $1', [row.id]);
          await unlink(path).catch(() => undefined);
        }
        yield { sopUid: row.sop_uid, outcome };
      }
      if (left === 0) await forget(id);
    } finally {
      await pool.query('UPDATE import_batch SET deciding = false WHERE id = $1', [id]);
    }
  }

  return {
    async begin(by) {
      const old = await pool.query<{ id: string }>(
        `SELECT id FROM import_batch WHERE created_at < now() - make_interval(days => ${KEPT_DAYS}) AND NOT deciding`,
      );
      for (const { id } of old.rows) await forget(id);
      const id = randomUUID();
      await mkdir(folderOf(id), { recursive: true, mode: 0o700 });
      await pool.query('INSERT INTO import_batch (id, made_by) VALUES ($1, $2)', [id, by]);
      return id;
    },
    async take(id, by, bytes) {
      await own(id, by);
      if ((await room()).full) throw new Fault('ARCHIVE_FULL');
      const file = randomUUID();
      const path = join(folderOf(id), file);
      try {
        const parsed = await keep(path, bytes);
        if (parsed instanceof Fault) return await refused(path, parsed);
        if (uidValue(parsed.meta, Tags.MediaStorageSOPClassUID) === DIRECTORY_SOP_CLASS) {
          await unlink(path);
          await pool.query(
            `INSERT INTO import_listed (batch, sop_uid) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`,
            [id, listedIn(parsed)],
          );
          return { status: 'directory' };
        }
        const { patient, study, series, instance } = describeObject(parsed, {
          ...{ length: parsed.totalLength, dataSetOffset: parsed.dataSetOffset },
        });
        const person: Person = {
          ...{ id: patient.patientId, issuer: patient.issuer, name: patient.name },
          ...{ folded: patient.nameA, birthDate: patient.birthDate, sex: patient.sex },
        };
        const { studyUid, date, description } = study;
        // Two who differ in anything are shown apart, though the number be the same.
        const key = JSON.stringify([patient.key, person.folded, person.birthDate, person.sex]);
        await pool.query(
          `INSERT INTO import_object (batch, file, bytes, sop_uid, person, patient, study)
           VALUES ($1, $2, $3, $4, $5, $6, $7)`,
          [
            ...[id, file, parsed.totalLength, instance.sopUid, key, JSON.stringify(person)],
            JSON.stringify({ studyUid, date, description, modality: series.modality }),
          ],
        );
        return { status: 'waiting', studyUid, sopInstanceUid: instance.sopUid };
      } catch (error) {
        const fault = asFault(error);
        if (fault.row.http >= 500) {
          await unlink(path).catch(() => undefined);
          throw error;
        }
        return refused(path, fault);
      }
    },
    async preview(id, by) {
      await own(id, by);
      return (await look(id)).preview;
    },
    async decide(id, source, decisions) {
      await own(id, source.by);
      const taken = await pool.query(
        'UPDATE import_batch SET deciding = true WHERE id = $1 AND NOT deciding',
        [id],
      );
      if (taken.rowCount !== 1) throw new Fault('BUSY');
      try {
        // Looked at again: somebody may have come into the archive since the page was drawn.
        const { preview, rows } = await look(id);
        for (const { person, choices } of preview.patients) {
          const choice = decisions.get(person);
          if (choice === undefined || !choices.includes(choice)) throw new Fault('IMPORT_UNDECIDED');
        }
        for (const patient of preview.patients)
          if (decisions.get(patient.person) === 'local') await fileUnder(overlays, patient, preview, source);
        return carryOut(id, source, rows, decisions);
      } catch (error) {
        await pool.query('UPDATE import_batch SET deciding = false WHERE id = $1', [id]);
        throw error;
      }
    },
    async discard(id, by) {
      await own(id, by);
      await forget(id);
    },
  };
}

const isSimilarHere = ({ kind, studies }: LocalMatch): boolean => kind === 'similar' && studies > 0;

/**
 * Written down before the first object comes: none of them is ever found under the foreign number, whatever happens in between, and
 * what comes of these studies later follows. The foreign number stays, as another one of the patient's.
 *
 * Source: IHE RAD TF-3 §4.59.4.1.3 (reconciled demographics), PS3.3 §C.2.2 (Other Patient IDs Sequence).
 */
async function fileUnder(
  overlays: ImportsParts['overlays'],
  patient: ForeignPatient,
  preview: ImportPreview,
  source: IngestSource,
): Promise<void> {
  const local = patient.matches.find(isSimilarHere);
  if (!local) throw new Fault('IMPORT_UNDECIDED');
  const edits = editsTo(patient, local);
  for (const { studyUid } of patient.studies) {
    const key = patientKeyOf(patient.id, patient.issuer, studyUid);
    // Somebody else under the same number in the same study would be filed along.
    const shared = preview.patients.some(
      (other) =>
        other.person !== patient.person &&
        other.studies.some((one) => one.studyUid === studyUid) &&
        patientKeyOf(other.id, other.issuer, studyUid) === key,
    );
    if (shared) throw new Fault('IMPORT_UNDECIDED', { what: 'two of one number in one study' });
    const before = inForce(await overlays.history(studyUid)).filter((one) => one.patientKeys.includes(key));
    const same = JSON.stringify(editsJson(edits));
    if (before.some((one) => JSON.stringify(editsJson(one.edits)) === same)) continue;
    if (before.length > 0) throw new Fault('OVERLAY_PATIENT', { patients: before.length });
    await overlays.correct({
      ...{
        studyUid,
        level: 'patient',
        patientKeys: [key],
        edits,
        reason: 'Import: filed under a local patient',
      },
      author: { kind: 'import', id: source.by, name: source.name ?? source.by },
    });
  }
}

function editsTo(foreign: ForeignPatient, local: LocalMatch): Edit[] {
  const set = (tag: Tag, vr: Vr, value: string): Edit => ({
    ...{ op: 'set', tag, vr, value: value === '' ? [] : [value] },
  });
  const other: DicomJson = {
    '00100020': { vr: 'LO', Value: [foreign.id] },
    ...(foreign.issuer === '' ? {} : { '00100021': { vr: 'LO', Value: [foreign.issuer] } }),
    '00100022': { vr: 'CS', Value: ['TEXT'] },
  };
  return composeEdits([
    { op: 'set', tag: Tags.PatientName, vr: 'PN', value: [{ ...parsePersonName(local.name) }] },
    set(Tags.PatientID, 'LO', local.id),
    local.issuer === ''
      ? { op: 'delete', tag: Tags.IssuerOfPatientID }
      : set(Tags.IssuerOfPatientID, 'LO', local.issuer),
    set(Tags.PatientBirthDate, 'DA', local.birthDate),
    ...(local.sex === '' ? [] : [set(Tags.PatientSex, 'CS', local.sex)]),
    ...(foreign.id === ''
      ? []
      : [{ op: 'set', tag: Tags.OtherPatientIDsSequence, vr: 'SQ', value: [other] } as const]),
  ]);
}

async function refused(path: string, fault: Fault): Promise<StagedOutcome> {
  await unlink(path).catch(() => undefined);
  return { status: 'refused', fault };
}

/** Writes the bytes as they come and reads their header. A Fault: they are no object that could be taken in. */
async function keep(path: string, bytes: AsyncIterable<Uint8Array>): Promise<ParsedObject | Fault> {
  const reader = new DicomReader();
  let fault: Fault | undefined;
  const out = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of bytes) {
      // The rest is passed over: the sender's body has to come to its end.
      if (fault) continue;
      try {
        reader.push(chunk);
      } catch (error) {
        fault = asFault(error);
        continue;
      }
      await out.writeFile(chunk);
    }
    if (fault) return fault;
    await out.sync();
  } finally {
    await out.close();
  }
  try {
    return reader.end();
  } catch (error) {
    return asFault(error);
  }
}

/** SOP Instance UIDs of the records; of a hostile directory not more than the limit. Offsets do not matter for this. */
function listedIn({ dataSet }: ParsedObject): string[] {
  const uids = items(dataSet, Tags.DirectoryRecordSequence).flatMap((record) => {
    const uid = uidValue(record, Tags.ReferencedSOPInstanceUIDInFile);
    return uid !== undefined && /^[0-9.]{1,64}$/.test(uid) ? [uid] : [];
  });
  return uids.slice(0, MAX_LISTED);
}

function matchOf(patient: Person, other: Person, studies: number): LocalMatch[] {
  const kind = compare(patient, other);
  const { folded: _, ...shown } = other;
  return kind ? [{ ...shown, kind, studies }] : [];
}

function studiesOf(objects: readonly ObjectRow[]): ForeignStudy[] {
  const studies = new Map<string, { study: ObjectRow['study']; modalities: Set<string>; objects: number }>();
  for (const { study } of objects) {
    const known = studies.get(study.studyUid) ?? { study, modalities: new Set<string>(), objects: 0 };
    if (study.modality) known.modalities.add(study.modality);
    known.objects += 1;
    studies.set(study.studyUid, known);
  }
  return [...studies.values()].map(({ study, modalities, objects: count }) => ({
    ...{ studyUid: study.studyUid, date: study.date, description: study.description },
    ...{ modalities: [...modalities].sort(), objects: count },
  }));
}

async function ingestFile(ingest: Ingest, source: IngestSource, path: string): Promise<IngestOutcome> {
  const writer = await ingest.begin(source, { form: 'part10' });
  try {
    for await (const chunk of createReadStream(path)) await writer.write(chunk as Buffer);
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return writer.finish();
}
