/**
 * Corrections of what is here: decided by people, kept for ever, taken back by another decision. With each, the whole study
 * is put into the index anew from the headers that were kept, in the same transaction: what is found, counted and served is
 * what it would be had its objects come in corrected.
 *
 * Layer:  server/archive.
 */
import type pg from 'pg';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { checkEdits, type Edit, editsJson, type EditsJson } from '@lightbox/core/dicom/edits.ts';
import { elementJson, tagHex } from '@lightbox/core/dicom/json.ts';
import type { Database } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import type { Headers } from '../headers.ts';
import { jsonText } from '../index/attributes.ts';
import { describeCorrected, type ObjectEntry, patientKey, type PixelNote } from '../index/describe.ts';
import { type CorrectedObject, type Corrector, insertObjects, type NewObject } from '../index/insert.ts';
import { PATIENT_MISMATCH, Resolver, refreshPatients } from '../index/resolve.ts';
import type { IngestSource, Level } from '../types.ts';
import { bucketOf, Fence } from './fence.ts';
import { type Author, inForce, type OverlayRow, readHistory, StepSets } from './history.ts';
import { isAbout, type Names, stepsOf } from './steps.ts';

export interface CorrectionRequest {
  readonly studyUid: string;
  /** patient: all of the study that is now filed under `patient`, and what comes into the study for the same one later. */
  readonly level: Level;
  /** Of `patient`, when the study is there with several. */
  readonly patient?: { readonly patientId: string; readonly issuer: string } | undefined;
  /** Of `patient`: the identities it is about, for a study that is not here yet. */
  readonly patientKeys?: readonly string[] | undefined;
  readonly seriesUid?: string | undefined;
  readonly sopUid?: string | undefined;
  readonly edits: readonly Edit[];
  readonly reason: string;
  readonly author: Author;
}

/** What rules did to objects of a study when they came in. */
export interface CoercionCount {
  readonly rules: readonly string[];
  readonly objects: number;
}

export interface Overlays {
  /** In the order they were decided. */
  history(studyUid: string): Promise<OverlayRow[]>;
  coercions(studyUid: string): Promise<CoercionCount[]>;
  /**
   * Resolves when every search and every retrieve shows it.
   *
   * @throws Fault EDIT_FORBIDDEN, EDIT_VALUE; NOT_FOUND when nothing of it is here; OVERLAY_PATIENT when it is not said which
   *         of several patients is meant.
   */
  correct(request: CorrectionRequest): Promise<OverlayRow>;
  /** @throws Fault NOT_FOUND; OVERLAY_UNDONE when it was taken back before. */
  undo(studyUid: string, id: string, reason: string, author: Author): Promise<OverlayRow>;
}

export interface OverlayParts {
  readonly database: Database;
  readonly correct: Corrector;
  readonly headers: Headers;
  readonly changed: (studyUid: string, instances: number) => void;
  readonly log: Log;
}

/** Deadlock, serialization failure, a row that a sender made meanwhile. */
const RETRY_CODES: ReadonlySet<string> = new Set(['40P01', '40001', '23503']);
const RETRIES = 5;
/** One statement of the index. */
const CHUNK = 256;

/** Reads the header of a kept object again, and says what it is with everything that was decided. */
export function createCorrector(headers: Headers): Corrector {
  return async (object, overlays): Promise<CorrectedObject> => {
    const received = await readHeader(headers, object);
    const { steps, dataSet } = stepsOf(received, namesOf(object), object.coercion ?? [], overlays);
    return { entry: describeCorrected(object.entry, dataSet), steps };
  };
}

const namesOf = ({ entry }: NewObject): Names => ({
  studyUid: entry.study.studyUid,
  seriesUid: entry.series.seriesUid,
  sopUid: entry.instance.sopUid,
});

function readHeader(headers: Headers, { entry, kept, dataSetOffset }: NewObject): Promise<DataSet> {
  const { sopUid, transferSyntaxUid, headerEnd } = entry.instance;
  const { offset, length } = kept;
  const object = {
    ...{ sopUid, blob: kept.blob, offset, length, dataSetOffset, transferSyntaxUid },
    sha256: kept.sha256.toString('hex'),
  };
  // Nothing the index knows stands behind the pixels.
  return headers.read(object, { headerEnd, pixels: undefined });
}

export function createOverlays(parts: OverlayParts): Overlays {
  const { pool } = parts.database;
  return {
    history: (studyUid) => readHistory(pool, [studyUid]),
    async coercions(studyUid) {
      const { rows } = await pool.query<{ steps: string; objects: string }>(
        `SELECT t.steps, count(*) AS objects FROM study s JOIN instance i ON i.study_fk = s.id
           JOIN coercion c ON c.sop_uid = i.sop_uid AND c.sha256 = i.sha256
           JOIN overlay_steps t ON t.hash = c.steps
         WHERE s.study_uid = $1 AND i.overlay IS NOT NULL GROUP BY t.steps`,
        [studyUid],
      );
      const counts = new Map<string, CoercionCount>();
      for (const row of rows) {
        const steps = JSON.parse(row.steps) as { rules?: string[] }[];
        const rules = steps.flatMap((step) => step.rules ?? []);
        const key = JSON.stringify(rules);
        counts.set(key, { rules, objects: (counts.get(key)?.objects ?? 0) + Number(row.objects) });
      }
      return [...counts.values()];
    },
    async correct(request) {
      checkEdits(request.edits);
      if (request.edits.length === 0) throw new Fault('EDIT_VALUE', { what: 'nothing to correct' });
      return decide(parts, request.studyUid, (study) => addCorrection(study, request));
    },
    undo: (studyUid, id, reason, author) =>
      decide(parts, studyUid, (study) => addUndo(study, id, reason, author)),
  };
}

/** A study as it is within the transaction that corrects it: nobody else adds to it meanwhile. */
interface Study {
  readonly client: pg.PoolClient;
  readonly headers: Headers;
  readonly studyUid: string;
  readonly history: readonly OverlayRow[];
  readonly objects: readonly IndexedObject[];
}

interface IndexedObject extends NewObject {
  readonly patientId: string;
  readonly issuer: string;
  readonly studyFk: string;
  readonly patientFk: string;
}

async function decide(
  parts: OverlayParts,
  studyUid: string,
  add: (study: Study) => Promise<string>,
): Promise<OverlayRow> {
  for (let tries = 0; ; tries += 1) {
    const client = await parts.database.pool.connect();
    let broken = true;
    try {
      await client.query('BEGIN');
      // Waits for objects of this study that are being put into the index, and holds those that come.
      await client.query('UPDATE overlay_fence SET epoch = epoch + 1 WHERE bucket = $1', [
        bucketOf(studyUid),
      ]);
      const history = await readHistory(client, [studyUid]);
      const objects = await readObjects(client, studyUid);
      const id = await add({ client, headers: parts.headers, studyUid, history, objects });
      await indexAgain(client, parts.correct, studyUid, objects);
      const row = (await readHistory(client, [studyUid])).find((one) => one.id === id);
      if (!row) throw new Fault('INTERNAL', { what: 'a correction is not there' });
      await client.query('COMMIT');
      broken = false;
      parts.changed(studyUid, objects.length);
      return row;
    } catch (error) {
      const rolled = await client.query('ROLLBACK').catch(() => undefined);
      broken = rolled === undefined;
      if (tries >= RETRIES || !RETRY_CODES.has((error as { code?: string }).code ?? '')) throw error;
      parts.log.warn({ err: error, tries }, 'a correction is tried again');
    } finally {
      client.release(broken);
    }
  }
}

async function readObjects(client: pg.PoolClient, studyUid: string): Promise<IndexedObject[]> {
  await client.query('SELECT id FROM study WHERE study_uid = $1 ORDER BY id FOR UPDATE', [studyUid]);
  // Locked: an object that moves into a pack meanwhile would be indexed again where it does not lie any more.
  const { rows } = await client.query<ObjectRow>(
    `SELECT s.id AS study_fk, s.patient_fk, s.patient_id, s.issuer, e.series_uid, i.sop_uid, i.sop_class_uid,
       i.transfer_syntax_uid, i.number, i.rows, i.columns, i.frame_count, i.blob, i.blob_offset, i.blob_length,
       i.data_set_offset, i.header_end, i.sha256, i.pixels, i.warnings, i.received_at,
       i.source_kind, i.source_by, i.source_name, i.called_ae, c.steps
     FROM study s JOIN instance i ON i.study_fk = s.id JOIN series e ON e.id = i.series_fk
       LEFT JOIN coercion c ON c.sop_uid = i.sop_uid AND c.sha256 = i.sha256
     WHERE s.study_uid = $1 ORDER BY i.received_at, i.id FOR UPDATE OF i`,
    [studyUid],
  );
  const steps = await new StepSets().read(
    client,
    rows.flatMap((row) => row.steps ?? []),
  );
  return rows.map((row): IndexedObject => {
    return {
      entry: entryOf(row, studyUid),
      kept: {
        ...{ blob: row.blob, offset: Number(row.blob_offset), length: Number(row.blob_length) },
        ...{ sha256: row.sha256, receivedAt: row.received_at },
      },
      dataSetOffset: row.data_set_offset,
      source: {
        ...{ kind: row.source_kind ?? 'import', by: row.source_by ?? '', remoteAddress: '' },
        ...{ name: row.source_name ?? undefined, calledAe: row.called_ae ?? undefined },
      },
      coercion: row.steps === null ? undefined : steps.get(row.steps),
      ...{ patientId: row.patient_id, issuer: row.issuer, studyFk: row.study_fk, patientFk: row.patient_fk },
    };
  });
}

interface ObjectRow {
  readonly study_fk: string;
  readonly patient_fk: string;
  readonly patient_id: string;
  readonly issuer: string;
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
  readonly header_end: string;
  readonly sha256: Buffer;
  readonly pixels: string | null;
  readonly warnings: readonly string[];
  readonly received_at: Date;
  readonly source_kind: IngestSource['kind'] | null;
  readonly source_by: string | null;
  readonly source_name: string | null;
  readonly called_ae: string | null;
  readonly steps: string | null;
}

/** What a corrector needs; the rest it takes from the header. */
function entryOf(row: ObjectRow, studyUid: string): ObjectEntry {
  const empty = { attributes: '{}', search: '', description: '' };
  return {
    patient: {
      ...{ key: '', patientId: '', issuer: '', nameA: '', nameI: '', nameP: '', name: '' },
      ...{ birthDate: '', sex: '', attributes: '{}' },
    },
    study: {
      ...{
        studyUid,
        date: '',
        time: '',
        timeTo: '',
        studyId: '',
        accession: '',
        referrer: '',
        referrerFold: '',
      },
      ...empty,
    },
    series: {
      ...{ seriesUid: row.series_uid, number: undefined, modality: '', bodyPart: '', laterality: '' },
      ...empty,
    },
    instance: {
      ...{ sopUid: row.sop_uid, sopClassUid: row.sop_class_uid, transferSyntaxUid: row.transfer_syntax_uid },
      ...{ number: row.number ?? undefined, rows: row.rows ?? undefined, columns: row.columns ?? undefined },
      ...{ frameCount: row.frame_count, headerEnd: Number(row.header_end), attributes: '{}' },
      pixels: row.pixels === null ? undefined : (JSON.parse(row.pixels) as PixelNote),
      warnings: row.warnings.filter((one) => one !== PATIENT_MISMATCH),
    },
  };
}

/** Everything of the study goes, and comes again. Rows get new ids: nothing that was remembered by the old ones fits any more. */
async function indexAgain(
  client: pg.PoolClient,
  correct: Corrector,
  studyUid: string,
  objects: readonly IndexedObject[],
): Promise<void> {
  await client.query(`DELETE FROM instance i USING study s WHERE i.study_fk = s.id AND s.study_uid = $1`, [
    studyUid,
  ]);
  await client.query(`DELETE FROM series e USING study s WHERE e.study_fk = s.id AND s.study_uid = $1`, [
    studyUid,
  ]);
  await client.query(`DELETE FROM study WHERE study_uid = $1`, [studyUid]);
  const parts = { client, resolver: new Resolver(), fence: new Fence(), correct, again: true };
  for (let at = 0; at < objects.length; at += CHUNK) {
    const some = objects.slice(at, at + CHUNK);
    const { added } = await insertObjects(parts, some);
    if (added.size !== some.length) throw new Fault('INTERNAL', { what: 'an object was not indexed again' });
  }
  const now = await client.query<{ patient_fk: string }>(
    'SELECT patient_fk FROM study WHERE study_uid = $1',
    [studyUid],
  );
  const patients = [...objects.map((one) => one.patientFk), ...now.rows.map((row) => row.patient_fk)];
  await refreshPatients(client, [...new Set(patients)]);
}

async function addCorrection(study: Study, request: CorrectionRequest): Promise<string> {
  const { client, studyUid } = study;
  const about = await scopeOf(study, request);
  if (about.count === 0 && !request.patientKeys) throw new Fault('NOT_FOUND');
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO overlay (study_uid, level, patient_keys, series_uid, sop_uid, edits, before, objects, reason, author)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
    [
      ...[studyUid, request.level, about.patientKeys, request.seriesUid ?? null, request.sopUid ?? null],
      ...[jsonText(editsJson(request.edits)), about.before && jsonText(about.before)],
      ...[about.count, request.reason, jsonText(request.author)],
    ],
  );
  return rows[0]!.id;
}

/** Which objects a correction is about, as they are without it. */
async function scopeOf(
  study: Study,
  request: CorrectionRequest,
): Promise<{ readonly patientKeys: string[]; readonly before: EditsJson | null; readonly count: number }> {
  const overlays = inForce(study.history);
  const keys = new Set<string>(request.patientKeys);
  const patients = new Map(study.objects.map((one) => [one.studyFk, one]));
  const rows = [...patients.values()];
  const { patient } = request;
  const chosen = patient
    ? rows.filter((one) => one.patientId === patient.patientId && one.issuer === patient.issuer)
    : rows;
  if (request.level === 'patient' && !request.patientKeys && chosen.length > 1)
    throw new Fault('OVERLAY_PATIENT', { patients: chosen.length });
  const studyFk = request.patientKeys ? undefined : chosen[0]?.studyFk;
  let before: EditsJson | null = null;
  let count = 0;
  const counted = new Map<string, number>();
  for (const object of study.objects) {
    const names = namesOf(object);
    const received = await readHeader(study.headers, object);
    const { dataSet } = stepsOf(received, names, object.coercion ?? [], overlays);
    if (request.level === 'patient') {
      const key = patientKey(dataSet, study.studyUid);
      if (object.studyFk === studyFk) keys.add(key);
      counted.set(key, (counted.get(key) ?? 0) + 1);
      if (keys.has(key)) before ??= previous(dataSet, request.edits);
    } else if (isAbout({ ...asOverlay(request), patientKeys: [] }, names, dataSet)) {
      count += 1;
      before ??= previous(dataSet, request.edits);
    }
  }
  if (request.level === 'patient') for (const key of keys) count += counted.get(key) ?? 0;
  return { patientKeys: request.level === 'patient' ? [...keys] : [], before, count };
}

const asOverlay = (request: CorrectionRequest): Parameters<typeof isAbout>[0] => ({
  ...{ id: '', studyUid: request.studyUid, level: request.level, patientKeys: [] },
  ...{ seriesUid: request.seriesUid, sopUid: request.sopUid, edits: request.edits, at: new Date(0) },
});

/** Values of the attributes that are corrected, as people are shown them beside the new ones. */
function previous(dataSet: DataSet, edits: readonly Edit[]): EditsJson {
  return Object.fromEntries(
    edits.map(({ tag }) => {
      const element = dataSet.elements.get(tag);
      return [tagHex(tag), element ? elementJson(element, dataSet, {}, '') : null];
    }),
  );
}

async function addUndo(study: Study, id: string, reason: string, author: Author): Promise<string> {
  const row = study.history.find((one) => one.id === id);
  if (!row?.edits) throw new Fault('NOT_FOUND');
  if (study.history.some((one) => one.undoes === id)) throw new Fault('OVERLAY_UNDONE');
  const { rows } = await study.client.query<{ id: string }>(
    `INSERT INTO overlay (study_uid, level, objects, reason, author, undoes)
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
    [study.studyUid, row.level, row.objects, reason, jsonText(author), id],
  );
  return rows[0]!.id;
}
