import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StudyListQuery } from '@lightbox/core/contract/api.ts';
import { dataSet, emptyDataSet } from '@lightbox/core/dicom/element.ts';
import { type MatchKey, parseMatchKey } from '@lightbox/core/dicom/matching.ts';
import { lookup, tagOf } from '@lightbox/core/dicom/dictionary.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { type Database, migrate, type Migrations, openDatabase } from '../platform/database.ts';
import { createLog } from '../platform/log.ts';
import { type AddOutcome, Batcher } from './index/batcher.ts';
import { describeObject } from './index/describe.ts';
import { archiveMigrations } from './archive.ts';
import { ArchiveSearch } from './query/query.ts';
import { ArchiveRetrieve } from './retrieve.ts';
import { createStudies } from './studies.ts';
import type { Level, ObjectKeys } from './types.ts';

const folder = mkdtempSync(join(tmpdir(), 'lightbox-index-'));
const log = createLog({ logLevel: 'silent' });
let database: Database;
let batcher: Batcher;
let offset = 512;
/** Selecting reads no bytes. */
const headers = undefined as never;
/** Nothing is corrected here. */
const uncorrected = undefined as never;

beforeAll(async () => {
  database = await openDatabase({ dataDir: folder, databaseUrl: undefined, socketDir: undefined }, log);
  await migrate(database, [archiveMigrations]);
  batcher = new Batcher(database.url, log, { changed: () => undefined }, uncorrected);
  await add('1.1', '1.1.1', '1.1.1.1', {});
  await add('1.1', '1.1.1', '1.1.1.2', {});
  await add('1.1', '1.1.2', '1.1.2.1', { Modality: 'SR' });
  await add('1.2', '1.2.1', '1.2.1.1', {
    PatientID: 'P2',
    PatientName: 'Yamada^Tarou=山田^太郎=やまだ^たろう',
    StudyDate: '20260301',
  });
});
afterAll(async () => {
  await batcher.close();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

function add(study: string, series: string, sop: string, more: Record<string, string>): Promise<AddOutcome> {
  const ds = dataSet({
    SpecificCharacterSet: 'ISO_IR 192',
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
    SOPInstanceUID: sop,
    StudyDate: '20260102',
    StudyTime: '101500',
    AccessionNumber: 'A1',
    Modality: 'CT',
    StudyDescription: 'Head',
    PatientName: 'Smith^John',
    PatientID: 'P1',
    PatientBirthDate: '19700101',
    StudyInstanceUID: study,
    SeriesInstanceUID: series,
    InstanceNumber: sop.split('.').at(-1),
    RequestAttributesSequence: [dataSet({ ScheduledProcedureStepID: `S${series}` })],
    ...more,
  });
  const entry = describeObject(
    {
      meta: emptyDataSet(),
      transferSyntaxUid: EXPLICIT_LE,
      dataSet: ds,
      dataSetOffset: 0,
      pixelData: undefined,
      totalLength: 100,
      warnings: [],
      deflated: false,
    },
    { length: 100, dataSetOffset: 10 },
  );
  offset += 1000;
  const kept = {
    blob: 'journal/test',
    offset,
    length: 100,
    sha256: Buffer.alloc(32, offset),
    receivedAt: new Date(),
  };
  const source = { kind: 'dimse', by: 'TEST', remoteAddress: '127.0.0.1' } as const;
  return batcher.add({ entry, kept, dataSetOffset: 10, source });
}

const key = (keyword: string, ...values: string[]): MatchKey => {
  const tag = tagOf(keyword)!;
  return parseMatchKey(tag, lookup(tag)!.vr, values);
};

async function count(level: Level, ...keys: MatchKey[]): Promise<number> {
  const answer = await new ArchiveSearch(database).search({ level, keys, include: 'all' });
  return answer.matches.length;
}

describe('Searching the index (PS3.4 §C.2.2.2)', () => {
  it.each<[string, Level, MatchKey[], number]>([
    ['universal', 'study', [], 2],
    ['single value', 'study', [key('PatientID', 'P1')], 1],
    ['UID list', 'study', [key('StudyInstanceUID', '1.1', '1.2', '9')], 2],
    ['name without case', 'study', [key('PatientName', 'SMITH^john')], 1],
    ['name with wildcard', 'study', [key('PatientName', '*mit*')], 1],
    ['ideographic group', 'study', [key('PatientName', '山田*')], 1],
    ['group by group', 'study', [key('PatientName', '=山田^太郎')], 1],
    ['question mark', 'study', [key('PatientID', 'P?')], 2],
    ['date range', 'study', [key('StudyDate', '20260101-20260131')], 1],
    ['time range', 'study', [key('StudyTime', '1000-1030')], 2],
    ['modalities in study', 'study', [key('ModalitiesInStudy', 'SR')], 1],
    ['series of a study', 'series', [key('StudyInstanceUID', '1.1')], 2],
    ['series by modality', 'series', [key('Modality', 'CT')], 2],
    ['instances of a series', 'instance', [key('SeriesInstanceUID', '1.1.1')], 2],
    ['patients', 'patient', [key('PatientName', 'S*')], 1],
    [
      'sequence',
      'series',
      [
        {
          kind: 'sequence',
          tag: tagOf('RequestAttributesSequence')!,
          vr: 'SQ',
          keys: [key('ScheduledProcedureStepID', 'S1.1.2')],
        },
      ],
      1,
    ],
  ])('%s at %s level', async (_, level, keys, expected) => {
    expect(await count(level, ...keys)).toBe(expected);
  });

  it('counts series and instances', async () => {
    const { matches } = await new ArchiveSearch(database).search({
      level: 'study',
      keys: [key('StudyInstanceUID', '1.1')],
      include: [],
    });
    expect(matches[0]?.attributes['00201206']?.Value).toEqual([2]);
    expect(matches[0]?.attributes['00201208']?.Value).toEqual([3]);
  });

  it('says when a limit cut the answer', async () => {
    const answer = await new ArchiveSearch(database).search({
      level: 'study',
      keys: [],
      include: [],
      limit: 1,
    });
    expect([answer.matches.length, answer.more]).toEqual([1, true]);
  });
});

describe('Selecting by unique keys (PS3.4 §C.4.2.2.1)', () => {
  const select = async (keys: ObjectKeys, limit = 100): Promise<string[]> =>
    (await new ArchiveRetrieve(database, headers).select(keys, limit)).map(({ sopUid }) => sopUid);

  it.each<[string, ObjectKeys, string[]]>([
    ['a patient', { level: 'patient', patientId: 'P1' }, ['1.1.1.1', '1.1.1.2', '1.1.2.1']],
    ['a study', { level: 'study', studyUids: ['1.2'] }, ['1.2.1.1']],
    [
      'two studies',
      { level: 'study', studyUids: ['1.2', '1.1'] },
      ['1.1.1.1', '1.1.1.2', '1.1.2.1', '1.2.1.1'],
    ],
    ['a study of somebody else', { level: 'study', patientId: 'P2', studyUids: ['1.1'] }, []],
    ['a series', { level: 'series', studyUids: ['1.1'], seriesUids: ['1.1.2'] }, ['1.1.2.1']],
    ['images', { level: 'instance', sopUids: ['1.1.1.2', '1.2.1.1', '9.9'] }, ['1.1.1.2', '1.2.1.1']],
  ])('%s', async (_, keys, expected) => {
    expect(await select(keys)).toEqual(expected);
  });

  it('says when there are more than can be counted', async () => {
    await expect(select({ level: 'study', studyUids: ['1.1'] }, 2)).rejects.toMatchObject({
      code: 'RETRIEVE_TOO_MANY',
    });
    expect(await select({ level: 'study', studyUids: ['1.1'] }, 3)).toHaveLength(3);
  });

  it('does not mix two patients to whom two issuers gave one ID', async () => {
    await add('1.7', '1.7.1', '1.7.1.1', { PatientID: 'SAME', IssuerOfPatientID: 'EAST' });
    await add('1.8', '1.8.1', '1.8.1.1', { PatientID: 'SAME', IssuerOfPatientID: 'WEST' });
    await expect(select({ level: 'patient', patientId: 'SAME' })).rejects.toMatchObject({
      code: 'RETRIEVE_PATIENTS',
    });
    expect(await select({ level: 'patient', patientId: 'SAME', issuer: 'WEST' })).toEqual(['1.8.1.1']);
    expect(await select({ level: 'study', patientId: 'SAME', studyUids: ['1.7'] })).toEqual(['1.7.1.1']);
    await database.pool.query(`DELETE FROM instance WHERE sop_uid IN ('1.7.1.1', '1.8.1.1')`);
    await database.pool.query(`DELETE FROM series WHERE series_uid IN ('1.7.1', '1.8.1')`);
    await database.pool.query(`DELETE FROM study WHERE study_uid IN ('1.7', '1.8')`);
  });

  it('never selects everything', async () => {
    await expect(select({ level: 'study' })).rejects.toMatchObject({ code: 'RETRIEVE_IDENTIFIER' });
  });
});

describe('The study list', () => {
  it('pages by cursor and finds words of any script', async () => {
    const studies = createStudies(database);
    const first = await studies.list(StudyListQuery.parse({ limit: '1' }));
    expect(first.items[0]?.studyUid).toBe('1.2');
    const second = await studies.list(StudyListQuery.parse({ limit: '1', cursor: first.next ?? '' }));
    expect(second.items[0]?.studyUid).toBe('1.1');
    expect(second.next).toBeNull();
    expect((await studies.list(StudyListQuery.parse({ search: 'john' }))).total).toBe(1);
    expect((await studies.list(StudyListQuery.parse({ search: '太' }))).total).toBe(1);
    expect((await studies.detail('1.1')).series.map((one) => one.modality)).toEqual(['CT', 'SR']);
  });

  it('keeps filter and order on the next page, and the total of all of them', async () => {
    const studies = createStudies(database);
    const asked = { limit: '1', modality: 'CT', description: 'ea', sort: 'patientName', descending: 'false' };
    const first = await studies.list(StudyListQuery.parse(asked));
    const second = await studies.list(StudyListQuery.parse({ ...asked, cursor: first.next ?? '' }));
    expect([...first.items, ...second.items].map(({ studyUid }) => studyUid)).toEqual(['1.1', '1.2']);
    expect([first.total, second.total, second.next]).toEqual([2, 2, null]);
    expect((await studies.list(StudyListQuery.parse({ modality: 'SR,XA' }))).total).toBe(1);
    expect((await studies.list(StudyListQuery.parse({ modality: 'XA' }))).items).toEqual([]);
  });
});

describe('The form of the database', () => {
  it('is brought on when one domain moves after another that counts higher', async () => {
    const later: Migrations = { '0901_later': { up: () => Promise.resolve() } };
    await migrate(database, [archiveMigrations, later]);
    const grown = { ...archiveMigrations, '0199_next': { up: () => Promise.resolve() } };
    await migrate(database, [grown, later]);
    const { rows } = await database.pool.query<{ name: string }>('SELECT name FROM migration');
    expect(rows.map(({ name }) => name)).toContain('0199_next');
  });
});

describe('Names that are there already', () => {
  it('are told with what is kept', async () => {
    expect(await add('1.1', '1.1.1', '1.1.1.1', {})).toMatchObject({ added: false });
  });

  it('keeps a study of two patients apart and says so (attacks A25)', async () => {
    const outcome = await add('1.1', '1.1.9', '1.1.9.1', { PatientID: 'OTHER' });
    expect(outcome).toMatchObject({ added: true, warnings: ['PATIENT_MISMATCH'] });
    expect(await count('study', key('StudyInstanceUID', '1.1'))).toBe(2);
  });
});

describe('Objects that come together', () => {
  const study = async (uid: string): Promise<unknown[]> => {
    const { rows } = await database.pool.query<{ text: string }>(
      `SELECT concat_ws(' ', s.patient_id, s.modality_text, s.series_count, s.instance_count, s.bytes, s.warnings,
         (SELECT string_agg(concat_ws('/', e.series_uid, e.instance_count, e.frame_count), ' ' ORDER BY e.series_uid)
          FROM series e WHERE e.study_fk = s.id)) AS text
       FROM study s WHERE s.study_uid = $1 ORDER BY s.patient_id`,
      [uid],
    );
    return rows.map((row) => row.text);
  };

  it('make their studies, of a known and of a new patient, with counts of what came', async () => {
    await Promise.all([
      add('4.1', '4.1.2', '4.1.2.1', { Modality: 'SR' }),
      add('4.1', '4.1.1', '4.1.1.1', {}),
      add('4.1', '4.1.1', '4.1.1.2', {}),
      add('4.2', '4.2.1', '4.2.1.1', { PatientID: 'P4' }),
      add('4.3', '4.3.1', '4.3.1.1', { PatientID: 'P4' }),
      // Its study is there already.
      add('1.2', '1.2.2', '1.2.2.1', { PatientID: 'P2' }),
    ]);
    expect(await study('4.1')).toEqual(['P1 CT,SR 2 3 300 {} 4.1.1/2/0 4.1.2/1/0']);
    expect(await study('4.2')).toEqual(['P4 CT 1 1 100 {} 4.2.1/1/0']);
    expect(await study('4.3')).toEqual(['P4 CT 1 1 100 {} 4.3.1/1/0']);
    expect(await study('1.2')).toEqual(['P2 CT 2 2 200 {} 1.2.1/1/0 1.2.2/1/0']);
    const { rows } = await database.pool.query(`SELECT 1 FROM patient WHERE patient_id = 'P4'`);
    expect(rows).toHaveLength(1);
    await add('4.1', '4.1.2', '4.1.2.2', { Modality: 'SR' });
    expect(await study('4.1')).toEqual(['P1 CT,SR 2 4 400 {} 4.1.1/2/0 4.1.2/2/0']);
  });

  it('never mix two patients of one study UID (attack A25)', async () => {
    await Promise.all([
      add('4.5', '4.5.1', '4.5.1.1', { PatientID: 'P5' }),
      add('4.5', '4.5.2', '4.5.2.1', { PatientID: 'P6' }),
    ]);
    expect(await study('4.5')).toEqual([
      'P5 CT 1 1 100 {PATIENT_MISMATCH} 4.5.1/1/0',
      'P6 CT 1 1 100 {PATIENT_MISMATCH} 4.5.2/1/0',
    ]);
  });

  it('leave no empty study when their names are those of others', async () => {
    const outcomes = await Promise.all([
      add('4.7', '4.7.1', '1.1.1.1', { PatientID: 'P7' }),
      add('4.8', '4.8.1', '1.1.1.2', { PatientID: 'P7' }),
      add('4.8', '4.8.1', '4.8.1.1', { PatientID: 'P7' }),
    ]);
    expect(outcomes.map((one) => one.added)).toEqual([false, false, true]);
    expect(await study('4.7')).toEqual([]);
    expect(await study('4.8')).toEqual(['P7 CT 1 1 100 {} 4.8.1/1/0']);
  });
});
