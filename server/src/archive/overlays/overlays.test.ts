/**
 * Corrections on a real database and disk: what is found, counted and given out is what it would be had the objects come in
 * corrected; the bytes that came stay; a correction taken back leaves nothing.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createHash } from 'node:crypto';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import type { Edit } from '@lightbox/core/dicom/edits.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { items, text } from '@lightbox/core/dicom/values.ts';
import { writeDataSet, writePart10 } from '@lightbox/core/dicom/write.ts';
import { deflateRawSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { openTestArchive, type TestArchive } from '../testing.ts';
import type { Coercion, IngestOutcome, InstanceRef } from '../types.ts';
import type { CorrectionRequest } from './overlays.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
/** Another one in each test. */
let STUDY: string;
let tests = 0;
const source = { kind: 'dimse', by: 'CT1', remoteAddress: '127.0.0.1' } as const;
const author = { kind: 'person', id: 'u1', name: 'Ann' } as const;

let coercion: Coercion | undefined;
let box: TestArchive;
beforeAll(async () => {
  box = await openTestArchive({ coercer: () => coercion });
});
beforeEach(() => {
  coercion = undefined;
  STUDY = `1.2.3.${++tests}`;
});
afterAll(async () => {
  await box.close();
});

interface Given {
  /** Within the study. */
  readonly sop: string;
  readonly series?: string;
  readonly study?: string;
  readonly id?: string;
  readonly issuer?: string;
  readonly name?: string;
  readonly syntax?: string;
  readonly charset?: string;
}

const sopOf = ({ sop, study = STUDY }: Pick<Given, 'sop' | 'study'>): string => `${study}.${sop}`;

function object(given: Given): Uint8Array {
  const { study = STUDY, series = '1', id = 'P1', issuer, name = 'Wrong^Name' } = given;
  const sop = sopOf(given);
  const syntax = given.syntax ?? EXPLICIT_LE;
  return writeDataSet(
    dataSet({
      ...(given.charset === undefined ? {} : { SpecificCharacterSet: given.charset }),
      ...{ SOPClassUID: CT, SOPInstanceUID: sop, Modality: 'CT', PatientID: id, PatientName: name },
      ...(issuer === undefined ? {} : { IssuerOfPatientID: issuer }),
      ...{
        StudyInstanceUID: study,
        SeriesInstanceUID: `${study}.9.${series}`,
        StudyDate: '20260102',
        StudyDescription: 'Chest',
      },
      ...{ SeriesDescription: 'Lung', InstanceNumber: sop.split('.').at(-1), InstitutionName: 'Here' },
      ...{ Rows: 2, Columns: 2, BitsAllocated: 16 },
      PixelData: { vr: 'OW', value: new Uint8Array(3000).fill(sop.length) },
      DataSetTrailingPadding: { vr: 'OB', value: new Uint8Array(10) },
    }),
    syntax,
  );
}

async function keep(given: Given): Promise<IngestOutcome> {
  const { syntax = EXPLICIT_LE } = given;
  const bytes = object(given);
  const writer = await box.archive.ingest.begin(source, {
    ...{ form: 'dataset', transferSyntaxUid: syntax, sopClassUid: CT, sopInstanceUid: sopOf(given) },
  });
  await writer.write(syntax === DEFLATED_LE ? deflateRawSync(bytes) : bytes);
  return writer.finish();
}

const set = (tag: number, vr: 'LO' | 'SH' | 'CS' | 'IS' | 'DA', value: string): Edit => ({
  ...{ op: 'set', tag, vr, value: [value] },
});
const named = (name: string): Edit => ({
  ...{ op: 'set', tag: Tags.PatientName, vr: 'PN', value: [{ Alphabetic: name }] },
});
const RIGHT = [named('Right^Name'), set(Tags.PatientID, 'LO', 'P2')];

const correct = (
  edits: readonly Edit[],
  more: Partial<CorrectionRequest> = {},
): ReturnType<TestArchive['archive']['overlays']['correct']> =>
  box.archive.overlays.correct({
    ...{ studyUid: STUDY, level: 'patient', edits, reason: 'mixed up', author },
    ...more,
  });

async function ref(sop: string, study = STUDY): Promise<InstanceRef> {
  const [one] = await box.archive.retrieve.list({ studyUid: study, sopUid: sopOf({ sop, study }) });
  return one!;
}

async function served(sop: string): Promise<Buffer> {
  const one = await ref(sop);
  const file = await box.archive.retrieve.served(one);
  const bytes = await buffer(file.open());
  expect(bytes.length).toBe(file.bytes);
  return bytes;
}

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Everything of the index that anybody is shown; ids and moments of change apart. */
async function index(): Promise<object> {
  const rows = async (text: string): Promise<unknown[]> => (await box.database.pool.query(text)).rows;
  const without = (columns: string): string => `- ARRAY[${columns}]`;
  return {
    patients: await rows(
      `SELECT to_jsonb(p) ${without("'id','created_at'")} AS row FROM patient p ORDER BY key`,
    ),
    studies: await rows(
      `SELECT to_jsonb(s) ${without("'id','patient_fk','changed_at','stable','ruled'")} AS row, p.key FROM study s
       JOIN patient p ON p.id = s.patient_fk ORDER BY study_uid, p.key`,
    ),
    series: await rows(
      `SELECT to_jsonb(e) ${without("'id','study_fk','changed_at','created_at'")} AS row, s.patient_id FROM series e
       JOIN study s ON s.id = e.study_fk ORDER BY series_uid, s.patient_id`,
    ),
    instances: await rows(
      // That somebody else is in the study is said of those that came after.
      `SELECT to_jsonb(i) ${without("'id','study_fk','series_fk','warnings'")} AS row, e.series_uid, s.patient_id FROM instance i
       JOIN series e ON e.id = i.series_fk JOIN study s ON s.id = i.study_fk ORDER BY sop_uid`,
    ),
  };
}

describe('A corrected patient', () => {
  it('is found, listed and counted by the right name and not by the wrong one', async () => {
    for (const at of [1, 2, 3]) await keep({ sop: String(at) });
    await keep({ sop: '1', study: '1.2.4', id: 'P2', name: 'Right^Name' });
    const row = await correct(RIGHT);
    expect(row).toMatchObject({
      level: 'patient',
      objects: 3,
      patient_keys: ['id P1\\'],
      reason: 'mixed up',
    });
    expect(row.before).toEqual({
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Wrong^Name' }] },
      '00100020': { vr: 'LO', Value: ['P1'] },
    });
    const detail = await box.archive.studies.detail(STUDY);
    expect(detail).toMatchObject({
      patientName: { alphabetic: 'Right^Name' },
      patientId: 'P2',
      instanceCount: 3,
    });
    const patients = await box.database.pool.query('SELECT patient_id FROM patient');
    // One patient, with both studies: nobody is left behind.
    expect(patients.rows).toEqual([{ patient_id: 'P2' }]);
    const objects = async (patientId: string): Promise<number> =>
      (await box.archive.retrieve.select({ level: 'patient', patientId }, 100)).length;
    expect([await objects('P1'), await objects('P2')]).toEqual([0, 4]);
  });

  it('gives the wrong one back to whom the number belongs', async () => {
    await keep({ sop: '1', id: 'SHARED', name: 'Somebody^Else' });
    await keep({ sop: '1', study: '1.2.6', id: 'SHARED', name: 'True^Owner' });
    await correct(RIGHT);
    const { rows } = await box.database.pool.query<{ name_a: string; attributes: Record<string, unknown> }>(
      `SELECT name_a, attributes FROM patient WHERE patient_id = 'SHARED'`,
    );
    expect(rows[0]).toMatchObject({
      name_a: 'true^owner',
      attributes: { '00100010': { vr: 'PN', Value: [{ Alphabetic: 'True^Owner' }] } },
    });
  });

  it('leaves no trace in the index when it is taken back', async () => {
    await keep({ sop: '1', name: 'Wröng^Náme', charset: 'ISO_IR 100' });
    await keep({ sop: '2', series: '2' });
    await keep({ sop: '3', id: 'P9', name: 'Another^One' });
    const before = await index();
    const row = await correct(
      [...RIGHT, set(Tags.SeriesDescription, 'LO', 'x'), set(Tags.InstanceNumber, 'IS', '77')],
      { patient: { patientId: 'P1', issuer: '' } },
    );
    expect(await index()).not.toEqual(before);
    const undone = await box.archive.overlays.undo(STUDY, row.id, 'was right', author);
    expect(undone).toMatchObject({ undoes: row.id, edits: null });
    expect(await index()).toEqual(before);
    await expect(box.archive.overlays.undo(STUDY, row.id, 'again', author)).rejects.toMatchObject({
      code: 'OVERLAY_UNDONE',
    });
    expect((await box.archive.overlays.history(STUDY)).map((one) => one.undoes)).toEqual([null, row.id]);
  });

  it('is the same after the index was made again from the journal', async () => {
    coercion = { edits: [set(Tags.InstitutionName, 'LO', 'Ward 3')], rules: ['ward'] };
    await keep({ sop: '1' });
    coercion = undefined;
    await keep({ sop: '2' });
    await keep({ sop: '3', id: 'P9', name: 'Another^One' });
    await correct(RIGHT, { patient: { patientId: 'P1', issuer: '' } });
    await correct([set(Tags.StudyDescription, 'LO', 'Thorax')], { level: 'study' });
    await keep({ sop: '4' });
    const before = await index();
    // The rules of today are not asked about what came before them.
    coercion = { edits: [set(Tags.InstitutionName, 'LO', 'Nowhere')], rules: ['later'] };
    await box.archive.reindex();
    expect(await index()).toEqual(before);
  });

  it('comes to later objects of the study that name the wrong one, and not to those of another', async () => {
    await keep({ sop: '1' });
    await correct(RIGHT);
    await keep({ sop: '2' });
    await keep({ sop: '3', id: 'P9', name: 'Another^One' });
    await keep({ sop: '4', id: 'P2', name: 'Right^Name' });
    const names = async (sop: string): Promise<string | undefined> =>
      text(readPart10(await served(sop)).dataSet, Tags.PatientName);
    expect(await names('2')).toBe('Right^Name');
    expect(await names('3')).toBe('Another^One');
    const detail = await box.archive.studies.detail(STUDY);
    expect(detail.series.map((one) => [one.instanceCount, one.otherPatient?.patientId])).toEqual([
      [3, undefined],
      [1, 'P9'],
    ]);
  });

  it('joins what was apart when a study came with two patients, and taken back parts them again', async () => {
    await keep({ sop: '1', id: 'P2', name: 'Right^Name' });
    await keep({ sop: '2' });
    const before = await index();
    await expect(correct(RIGHT)).rejects.toMatchObject({ code: 'OVERLAY_PATIENT' });
    const row = await correct(RIGHT, { patient: { patientId: 'P1', issuer: '' } });
    const page = await box.archive.studies.list({ sort: 'received', descending: true, limit: 100 });
    const here = page.items.filter(({ studyUid }) => studyUid === STUDY);
    expect(here.map((one) => [one.patientId, one.instanceCount, one.warnings])).toEqual([
      ['P2', 2, undefined],
    ]);
    await box.archive.overlays.undo(STUDY, row.id, 'no', author);
    expect(await index()).toEqual(before);
  });

  it('is refused where nothing is, and where an attribute must stay', async () => {
    await keep({ sop: '1' });
    await expect(correct(RIGHT, { studyUid: '9.9' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(correct(RIGHT, { level: 'series', seriesUid: '9' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(correct([{ op: 'delete', tag: Tags.StudyInstanceUID }])).rejects.toMatchObject({
      code: 'EDIT_FORBIDDEN',
    });
    expect(await box.archive.overlays.history(STUDY)).toEqual([]);
  });

  it('cannot be changed or deleted in its history, whoever has the database', async () => {
    await keep({ sop: '1' });
    await correct(RIGHT);
    for (const statement of [
      'DELETE FROM overlay',
      `UPDATE overlay SET reason = ''`,
      'DELETE FROM overlay_steps',
    ])
      await expect(box.database.pool.query(statement)).rejects.toThrow('only added');
  });
});

describe('A corrected object as it is given out', () => {
  it.each([
    ['explicit little endian', EXPLICIT_LE],
    ['implicit little endian', IMPLICIT_LE],
    ['explicit big endian', EXPLICIT_BE],
    ['deflated', DEFLATED_LE],
  ])('has new elements where they belong and all other bytes as they were: %s', async (_, syntax) => {
    await keep({ sop: '1', syntax });
    const kept = await ref('1');
    const original = await buffer(box.archive.retrieve.open(kept));
    await correct([
      ...RIGHT,
      { op: 'delete', tag: Tags.InstitutionName },
      set(Tags.OtherPatientIDs, 'LO', 'P1'),
    ]);
    const one = await ref('1');
    expect(sha(await buffer(box.archive.retrieve.open(one)))).toBe(one.sha256);
    expect([one.sha256, one.version === kept.version]).toEqual([kept.sha256, false]);
    const bytes = await served('1');
    const was = readPart10(original, { keepBytes: 10_000 });
    const is = readPart10(bytes, { keepBytes: 10_000 });
    expect(text(is.dataSet, Tags.PatientID)).toBe('P2');
    expect(text(is.dataSet, Tags.OtherPatientIDs)).toBe('P1');
    expect(is.warnings).toEqual([]);
    const touched = new Set<number>([
      ...[Tags.PatientID, Tags.PatientName, Tags.InstitutionName, Tags.OtherPatientIDs, Tags.PixelData],
      Tags.OriginalAttributesSequence,
    ]);
    const rest = (ds: typeof was.dataSet): unknown[] =>
      [...ds.elements.values()]
        .filter(({ tag }) => !touched.has(tag))
        .map(({ tag, vr, bytes: b }) => [tag, vr, b]);
    expect(rest(is.dataSet)).toEqual(rest(was.dataSet));
    expect([...is.dataSet.elements.keys()]).toEqual([...is.dataSet.elements.keys()].sort((a, b) => a - b));
    expect(is.pixelData?.length).toBe(was.pixelData?.length);
    if (syntax !== DEFLATED_LE) {
      const tail = 3000 + (syntax === IMPLICIT_LE ? 8 + 8 : 12 + 12) + 10;
      expect(bytes.subarray(bytes.length - tail).equals(original.subarray(original.length - tail))).toBe(
        true,
      );
    }
    const [item] = items(is.dataSet, Tags.OriginalAttributesSequence);
    expect(text(item!, Tags.ReasonForTheAttributeModification)).toBe('CORRECT');
    const [before] = items(item!, Tags.ModifiedAttributesSequence);
    expect(text(before!, Tags.PatientID)).toBe('P1');
    expect(text(before!, Tags.InstitutionName)).toBe('Here');
    expect(before!.elements.get(Tags.OtherPatientIDs)?.bytes?.length).toBe(0);
    // The header that search and rendering see is the same.
    expect(text(await box.archive.retrieve.header(one), Tags.PatientName)).toBe('Right^Name');
  });

  it('may hold private data of any size, which flow through', async () => {
    const big = new Uint8Array(70 * 1024 * 1024).fill(7);
    const bytes = writeDataSet(
      dataSet({
        ...{
          SOPClassUID: CT,
          SOPInstanceUID: sopOf({ sop: '1' }),
          PatientID: 'P1',
          PatientName: 'Wrong^Name',
        },
        ...{
          StudyInstanceUID: STUDY,
          SeriesInstanceUID: `${STUDY}.9.1`,
          '00290010': { vr: 'LO', value: 'US' },
        },
        '00291010': { vr: 'UN', value: big },
      }),
      EXPLICIT_LE,
    );
    const writer = await box.archive.ingest.begin(source, {
      ...{
        form: 'dataset',
        transferSyntaxUid: EXPLICIT_LE,
        sopClassUid: CT,
        sopInstanceUid: sopOf({ sop: '1' }),
      },
    });
    await writer.write(bytes);
    await writer.finish();
    await correct([named('Yamada^山田')]);
    const { dataSet: ds } = readPart10(await served('1'));
    expect(text(ds, Tags.PatientName)).toBe('Yamada^山田');
    expect(ds.elements.get(0x00291010)?.bulk?.length).toBe(big.length);
  });

  it('is the same in every range', async () => {
    await keep({ sop: '1' });
    await correct(RIGHT);
    const whole = await served('1');
    const file = await box.archive.retrieve.served(await ref('1'));
    for (let at = 0; at < whole.length; at += 97) {
      const piece = await buffer(file.open({ start: at, end: at + 300 }));
      expect(piece.equals(whole.subarray(at, at + 300))).toBe(true);
    }
  });

  it('keeps names that its character set cannot hold, by converting its text', async () => {
    await keep({ sop: '1', charset: 'ISO_IR 100', name: 'Müller^Jörg' });
    await correct([
      { op: 'set', tag: Tags.PatientName, vr: 'PN', value: [{ Alphabetic: 'Yamada', Ideographic: '山田' }] },
    ]);
    const { dataSet: ds } = readPart10(await served('1'));
    expect(text(ds, Tags.SpecificCharacterSet)).toBe('ISO_IR 192');
    expect(text(ds, Tags.PatientName)).toBe('Yamada=山田');
    const [item] = items(ds, Tags.OriginalAttributesSequence);
    expect(text(items(item!, Tags.ModifiedAttributesSequence)[0]!, Tags.PatientName)).toBe('Müller^Jörg');
  });

  it('without corrections is what came, byte for byte', async () => {
    await keep({ sop: '1' });
    const row = await correct(RIGHT);
    await box.archive.overlays.undo(STUDY, row.id, 'no', author);
    const one = await ref('1');
    expect(one.corrections).toBeUndefined();
    expect(sha(await served('1'))).toBe(one.sha256);
  });

  it('is half of nothing: what was listed before a correction is given as it was listed', async () => {
    await keep({ sop: '1' });
    const before = await ref('1');
    await correct(RIGHT);
    expect(text(await box.archive.retrieve.header(before), Tags.PatientName)).toBe('Wrong^Name');
    expect(sha(await buffer((await box.archive.retrieve.served(before)).open()))).toBe(before.sha256);
  });

  it('has metadata that change with it', async () => {
    await keep({ sop: '1' });
    const first = await box.archive.retrieve.metadata({ studyUid: STUDY });
    const row = await correct(RIGHT);
    const second = await box.archive.retrieve.metadata({ studyUid: STUDY });
    expect(second.etag).not.toBe(first.etag);
    await box.archive.overlays.undo(STUDY, row.id, 'no', author);
    expect((await box.archive.retrieve.metadata({ studyUid: STUDY })).etag).toBe(first.etag);
  });

  it('of a Part 10 file keeps what stands before its data set', async () => {
    const file = writePart10(
      dataSet({
        ...{
          SOPClassUID: CT,
          SOPInstanceUID: sopOf({ sop: '1' }),
          PatientID: 'P1',
          PatientName: 'Wrong^Name',
        },
        ...{ StudyInstanceUID: STUDY, SeriesInstanceUID: `${STUDY}.1` },
      }),
    );
    file.set(new TextEncoder().encode('preamble'));
    const writer = await box.archive.ingest.begin(source, { form: 'part10' });
    await writer.write(file);
    await writer.finish();
    await correct(RIGHT);
    const bytes = await served('1');
    const { dataSetOffset } = await ref('1');
    expect(bytes.subarray(0, dataSetOffset).equals(file.subarray(0, dataSetOffset))).toBe(true);
  });
});

describe('What rules do to an object that comes in', () => {
  it('is in the index with it, and told to the sender', async () => {
    coercion = { edits: RIGHT, rules: ['right name'] };
    const outcome = await keep({ sop: '1' });
    expect(outcome.coerced?.rules).toEqual(['right name']);
    const detail = await box.archive.studies.detail(STUDY);
    expect(detail.patientId).toBe('P2');
    const { dataSet: ds } = readPart10(await served('1'));
    const [item] = items(ds, Tags.OriginalAttributesSequence);
    expect(text(item!, Tags.ReasonForTheAttributeModification)).toBe('COERCE');
    expect(text(item!, Tags.SourceOfPreviousValues)).toBe('CT1');
    expect(ds.elements.has(Tags.InstanceCoercionDateTime)).toBe(true);
    expect(await box.archive.overlays.coercions(STUDY)).toEqual([{ rules: ['right name'], objects: 1 }]);
  });

  it('tells nothing when it sets what was there', async () => {
    coercion = { edits: [set(Tags.PatientID, 'LO', 'P1')], rules: ['same'] };
    expect((await keep({ sop: '1' })).coerced).toBeUndefined();
  });

  it('does not stop an object when a rule is broken or wants too much', async () => {
    coercion = { edits: [{ op: 'delete', tag: Tags.SOPInstanceUID }], rules: ['bad'] };
    expect(await keep({ sop: '1' })).toMatchObject({ status: 'stored', coerced: undefined });
    expect((await ref('1')).corrections).toBeUndefined();
  });

  it('goes before what people decide, also for what comes later', async () => {
    coercion = { edits: [set(Tags.StudyDescription, 'LO', 'By rule')], rules: ['rule'] };
    await keep({ sop: '1' });
    await correct([set(Tags.StudyDescription, 'LO', 'By Ann')], { level: 'study' });
    await keep({ sop: '2' });
    for (const sop of ['1', '2']) {
      const { dataSet: ds } = readPart10(await served(sop));
      expect(text(ds, Tags.StudyDescription)).toBe('By Ann');
      expect(items(ds, Tags.OriginalAttributesSequence)).toHaveLength(2);
    }
  });
});

describe('Objects that come while a study is corrected', () => {
  it('are all corrected, every one once and none lost', async () => {
    await keep({ sop: '1' });
    let done = false;
    let sent = 1;
    const senders = [1, 2, 3].map(async (sender) => {
      for (let at = 0; at < 60 && !done; at += 1) {
        // New series and another study of the same bucket's neighbours too.
        await keep({ sop: `${sender}.${at + 100}`, series: `${sender}.${at % 7}` });
        sent += 1;
      }
    });
    const rows = [];
    for (let at = 0; at < 6; at += 1) {
      rows.push(
        await correct([named(`Name^Number${at}`), set(Tags.SeriesDescription, 'LO', `d${at}`)], {
          level: 'study',
        }),
      );
      if (at % 2) await box.archive.overlays.undo(STUDY, rows.at(-1)!.id, 'no', author);
    }
    await correct([named('Last^Name'), set(Tags.SeriesDescription, 'LO', 'last')], { level: 'study' });
    done = true;
    await Promise.all(senders);
    const refs = await box.archive.retrieve.list({ studyUid: STUDY });
    expect(refs).toHaveLength(sent);
    for (const one of refs) {
      const header = await box.archive.retrieve.header(one);
      expect([text(header, Tags.PatientName), text(header, Tags.SeriesDescription)]).toEqual([
        'Last^Name',
        'last',
      ]);
    }
    const detail = await box.archive.studies.detail(STUDY);
    expect(detail.patientName.alphabetic).toBe('Last^Name');
    expect(new Set(detail.series.map((one) => one.description))).toEqual(new Set(['last']));
    expect([detail.instanceCount, detail.seriesCount]).toEqual([sent, detail.series.length]);
    // Senders wrote into several segments, which are read one after the other: another study may be the patient's first.
    const shown = async (): Promise<unknown> => ({ ...(await index()), patients: undefined });
    const before = await shown();
    await box.archive.reindex();
    expect(await shown()).toEqual(before);
  });

  it('are corrected when they were looked up before and put into the index after', async () => {
    await keep({ sop: '1' });
    // The patient of the next one takes a while to be made: long enough for a whole correction.
    await box.database.pool.query(`
      CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF NEW.patient_id = 'SLOW' THEN PERFORM pg_sleep(1); END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER linger BEFORE INSERT ON patient FOR EACH ROW EXECUTE FUNCTION linger()`);
    let come = false;
    const coming = keep({ sop: '2', id: 'SLOW', name: 'Slow^One' }).then(() => (come = true));
    await sleep(300);
    await correct([set(Tags.StudyDescription, 'LO', 'All')], { level: 'study' });
    expect(come).toBe(false);
    await coming;
    await box.database.pool.query('DROP TRIGGER linger ON patient; DROP FUNCTION linger');
    expect(text(readPart10(await served('2')).dataSet, Tags.StudyDescription)).toBe('All');
    const { rows } = await box.database.pool.query<{ description: string; instance_count: number }>(
      'SELECT description, instance_count, series_count FROM study WHERE study_uid = $1',
      [STUDY],
    );
    expect(rows).toEqual([1, 2].map(() => ({ description: 'All', instance_count: 1, series_count: 1 })));
  });

  it('of another patient are apart or joined as if they had come before or after', async () => {
    for (let round = 0; round < 8; round += 1) {
      const study = `1.2.5.${round}`;
      await keep({ sop: '1', study });
      const [, other] = await Promise.all([
        correct([set(Tags.StudyDescription, 'LO', 'All')], { studyUid: study, level: 'study' }),
        keep({ sop: '2', study, id: 'P9', name: 'Another^One' }),
      ]);
      expect(other.status).toBe('stored');
      const { rows } = await box.database.pool.query<{ description: string; instance_count: number }>(
        'SELECT description, instance_count FROM study WHERE study_uid = $1',
        [study],
      );
      expect(rows).toEqual([1, 2].map(() => ({ description: 'All', instance_count: 1 })));
    }
  });
});
