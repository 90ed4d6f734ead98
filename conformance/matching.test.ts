/**
 * What a C-FIND finds: extended negotiation, character sets, sequences, counts at every level, both roots (PS3.4 Annex C).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DataSet } from '../core/src/dicom/data-set.ts';
import { dataSet } from '../core/src/dicom/element.ts';
import { Tags } from '../core/src/dicom/tags.gen.ts';
import { text, texts } from '../core/src/dicom/values.ts';
import { writeDataSet } from '../core/src/dicom/write.ts';
import { PATIENT_ROOT_FIND, STUDY_ROOT_FIND } from '../core/src/dimse/negotiate.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { CT, EXPLICIT, FIND_CONTEXT, PATIENT_FIND_CONTEXT, Wire } from './support/wire.ts';

const ROOT = '1.2.826.0.1.3680043.10.1234.600';
const YAMADA = 'Yamada^Tarou=山田^太郎=やまだ^たろう';

/** Study 1: two CT and one MR series of Yamada; 2: Müller; 3: Yamada again. */
const OBJECTS: readonly (readonly [
  study: number,
  series: number,
  count: number,
  more: Parameters<typeof dataSet>[0],
])[] = [
  [
    ...([1, 1, 2] as const),
    {
      ...{ SpecificCharacterSet: 'ISO_IR 192', PatientName: YAMADA, PatientID: 'A', Modality: 'CT' },
      ...{ StudyDate: '20260110', StudyTime: '233000' },
      RequestAttributesSequence: [dataSet({ ScheduledProcedureStepID: 'SPS1', RequestedProcedureID: 'R1' })],
    },
  ],
  [
    ...([1, 2, 1] as const),
    {
      ...{ SpecificCharacterSet: 'ISO_IR 192', PatientName: YAMADA, PatientID: 'A', Modality: 'MR' },
      ...{ StudyDate: '20260110', StudyTime: '233000' },
      RequestAttributesSequence: [dataSet({ ScheduledProcedureStepID: 'SPS2', RequestedProcedureID: 'R1' })],
    },
  ],
  [
    ...([2, 1, 1] as const),
    {
      ...{ SpecificCharacterSet: 'ISO_IR 100', PatientName: 'Müller^Jörg', PatientID: 'B', Modality: 'CT' },
      ...{ StudyDate: '20260111', StudyTime: '003000' },
    },
  ],
  [
    ...([3, 1, 1] as const),
    {
      ...{ SpecificCharacterSet: 'ISO_IR 192', PatientName: YAMADA, PatientID: 'A', Modality: 'CT' },
      ...{ StudyDate: '20260112', StudyTime: '120000' },
    },
  ],
];

/** Extended negotiation of both roots (PS3.4 Table C.5-2): relational, date-time, fuzzy, time zone, enhanced, empty, multiple. */
const extended = (...info: number[]): Parameters<Wire['associate']>[0] => ({
  callingAe: 'FINDER',
  user: {
    extended: [STUDY_ROOT_FIND, PATIENT_ROOT_FIND].map((sopClassUid) => ({
      ...{ sopClassUid, info: Uint8Array.from(info) },
    })),
  },
});

describe('C-FIND', () => {
  let box: Lightbox;

  beforeAll(async () => {
    box = await Lightbox.ready();
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const device = { aeTitle: 'FINDER', verbs: ['echo', 'find'] };
    expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
    const wire = await Wire.open(box.dicomPort);
    await wire.associate();
    let messageId = 0;
    for (const [study, series, count, more] of OBJECTS) {
      for (let number = 1; number <= count; number += 1) {
        const sopUid = `${ROOT}.${study}.${series}.${number}`;
        const object = dataSet({
          ...{ SOPClassUID: CT, SOPInstanceUID: sopUid, StudyInstanceUID: `${ROOT}.${study}` },
          ...{
            SeriesInstanceUID: `${ROOT}.${study}.${series}`,
            InstanceNumber: number,
            SeriesNumber: series,
          },
          ...more,
        });
        wire.store((messageId += 1), sopUid, writeDataSet(object, EXPLICIT));
        expect((await wire.message()).command.status).toBe(0);
      }
    }
    await wire.release();
  });
  afterAll(async () => {
    await box.stop();
  });

  async function find(
    keys: Parameters<typeof dataSet>[0] | DataSet,
    options: Parameters<Wire['associate']>[0] = { callingAe: 'FINDER' },
    contextId = FIND_CONTEXT,
  ): ReturnType<Wire['answers']> {
    const wire = await Wire.open(box.dicomPort);
    expect(await wire.associate(options)).toMatchObject({ type: 'associate-ac' });
    wire.find(1, 'elements' in keys ? (keys as DataSet) : dataSet(keys), contextId);
    const found = await wire.answers();
    await wire.release();
    wire.destroy();
    return found;
  }
  const studies = (found: { matches: readonly DataSet[] }): (string | undefined)[] =>
    found.matches.map((one) => text(one, Tags.StudyInstanceUID)?.slice(ROOT.length + 1)).toSorted();

  it('two quotation marks mean empty, and several values all of them, where that was agreed on (§C.2.2.2.7, §C.2.2.2.8)', async () => {
    const agreed = extended(1, 0, 0, 0, 0, 1, 1);
    const study = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '' };
    const empty = { ...study, AccessionNumber: '""' };
    expect(studies(await find(empty, agreed))).toEqual(['1', '2', '3']);
    expect(studies(await find(empty))).toEqual([]);
    const unread = { ...study, PatientID: '""' };
    expect(studies(await find(unread, agreed))).toEqual([]);
    const both = { ...study, ModalitiesInStudy: ['CT', 'MR'] };
    expect(studies(await find(both, agreed))).toEqual(['1']);
    expect(studies(await find(both))).toEqual(['1', '2', '3']);
  });

  it('combined date-time is one span where it was agreed on, a time of every day where not (§C.2.2.2.5)', async () => {
    const keys = {
      ...{ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '' },
      ...{ StudyDate: '20260110-20260112', StudyTime: '000000-120000' },
    };
    expect(studies(await find(keys))).toEqual(['2', '3']);
    expect(studies(await find(keys, extended(0, 1)))).toEqual(['1', '2', '3']);
    expect(studies(await find({ ...keys, StudyTime: '233001-115959' }, extended(0, 1)))).toEqual(['2']);
  });

  it('relational queries need an agreement (§C.4.1.2.2)', async () => {
    const keys = { QueryRetrieveLevel: 'IMAGE', SOPInstanceUID: '', InstanceNumber: '2' };
    expect((await find(keys)).status).toBe(0xa900);
    const found = await find(keys, extended(1));
    expect(found.status).toBe(0);
    expect(found.matches.map((one) => text(one, Tags.SOPInstanceUID))).toEqual([`${ROOT}.1.1.2`]);
  });

  it('fuzzy names where they were agreed on', async () => {
    const keys = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '', PatientName: 'jorg mull' };
    expect(studies(await find(keys))).toEqual([]);
    expect(studies(await find(keys, extended(0, 0, 1)))).toEqual(['2']);
  });

  /** PatientName as raw bytes, so that no encoder of ours has a say: (0010,0010) in the character sets named. */
  const named = (charsets: string[], bytes: number[]): DataSet => {
    const keys = dataSet({
      SpecificCharacterSet: charsets,
      QueryRetrieveLevel: 'STUDY',
      StudyInstanceUID: '',
    });
    (keys.elements as Map<number, unknown>).set(Tags.PatientName, {
      ...{ tag: Tags.PatientName, vr: 'PN', bytes: Uint8Array.from(bytes) },
    });
    return { ...keys, elements: new Map([...keys.elements].toSorted(([a], [b]) => a - b)) };
  };
  const ascii = (value: string): number[] => [...value].map((char) => char.charCodeAt(0));

  it.each([
    // PS3.5 Annex H.3.1: 山田 is ESC $ B 3B33 4544 ESC ( B.
    [
      'ISO 2022 IR 87',
      ['', 'ISO 2022 IR 87'],
      [...ascii('*='), ...[0x1b, 0x24, 0x42, 0x3b, 0x33, 0x45, 0x44, 0x1b, 0x28, 0x42], ...ascii('^* ')],
      ['1', '3'],
    ],
    ['UTF-8', ['ISO_IR 192'], [...Buffer.from('=山田*')], ['1', '3']],
    ['ISO_IR 100', ['ISO_IR 100'], [...ascii('M'), 0xfc, ...ascii('ller* ')], ['2']],
  ])('reads a key in %s, and answers in UTF-8', async (_, charsets, bytes, expected) => {
    const found = await find(named(charsets, bytes));
    expect(studies(found)).toEqual(expected);
    for (const match of found.matches) {
      expect(text(match, Tags.SpecificCharacterSet)).toBe('ISO_IR 192');
      expect([YAMADA, 'Müller^Jörg']).toContain(text(match, Tags.PatientName));
    }
  });

  it('an answer that is ASCII says nothing about character sets', async () => {
    const { matches } = await find({
      QueryRetrieveLevel: 'STUDY',
      StudyInstanceUID: `${ROOT}.2`,
      PatientID: '',
    });
    expect(matches).toHaveLength(1);
    expect(matches[0]?.elements.has(Tags.SpecificCharacterSet)).toBe(false);
  });

  it('matches inside sequences, and returns what was asked for (§C.2.2.2.6)', async () => {
    const keys = (id: string): Parameters<typeof dataSet>[0] => ({
      ...{ QueryRetrieveLevel: 'SERIES', StudyInstanceUID: `${ROOT}.1`, SeriesInstanceUID: '' },
      RequestAttributesSequence: [dataSet({ ScheduledProcedureStepID: id })],
    });
    const one = await find(keys('SPS2'));
    expect(one.matches.map((match) => text(match, Tags.SeriesInstanceUID))).toEqual([`${ROOT}.1.2`]);
    expect(one.matches[0]?.elements.get(Tags.RequestAttributesSequence)?.items).toHaveLength(1);
    expect((await find(keys('SPS?'))).matches).toHaveLength(2);
    expect((await find(keys(''))).matches).toHaveLength(2);
    expect((await find(keys('SPS9'))).matches).toHaveLength(0);
  });

  it.each([
    ['MR', ['1']],
    ['CT', ['1', '2', '3']],
    ['?R', ['1']],
    [['MR', 'US'], ['1']],
  ])('Modalities in Study %s', async (ModalitiesInStudy, expected) => {
    const found = await find({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '', ModalitiesInStudy });
    expect(studies(found)).toEqual(expected);
    const first = found.matches.find((match) => text(match, Tags.StudyInstanceUID) === `${ROOT}.1`);
    expect(first && texts(first, Tags.ModalitiesInStudy).toSorted()).toEqual(['CT', 'MR']);
  });

  it.each([
    [
      'PATIENT',
      { PatientID: 'A' },
      {
        ...{ NumberOfPatientRelatedStudies: '2', NumberOfPatientRelatedSeries: '3' },
        NumberOfPatientRelatedInstances: '4',
      },
    ],
    [
      'STUDY',
      { PatientID: 'A', StudyInstanceUID: `${ROOT}.1` },
      {
        ...{ NumberOfStudyRelatedSeries: '2', NumberOfStudyRelatedInstances: '3' },
        NumberOfPatientRelatedStudies: '2',
      },
    ],
    [
      'SERIES',
      { PatientID: 'A', StudyInstanceUID: `${ROOT}.1`, SeriesInstanceUID: `${ROOT}.1.1` },
      { NumberOfSeriesRelatedInstances: '2', NumberOfStudyRelatedInstances: '3' },
    ],
    [
      'IMAGE',
      {
        ...{ PatientID: 'A', StudyInstanceUID: `${ROOT}.1`, SeriesInstanceUID: `${ROOT}.1.1` },
        SOPInstanceUID: `${ROOT}.1.1.1`,
      },
      { NumberOfSeriesRelatedInstances: '2', NumberOfStudyRelatedSeries: '2' },
    ],
  ] as const)('counts at the %s level, by Patient Root', async (QueryRetrieveLevel, keys, counts) => {
    const asked = Object.fromEntries(Object.keys(counts).map((name) => [name, '']));
    const found = await find(
      { QueryRetrieveLevel, ...keys, ...asked },
      { callingAe: 'FINDER' },
      PATIENT_FIND_CONTEXT,
    );
    expect(found.matches).toHaveLength(1);
    expect([...found.pending]).toEqual([0xff00]);
    for (const [name, value] of Object.entries(counts)) {
      const tag = Tags[name as keyof typeof Tags];
      expect(text(found.matches[0] as DataSet, tag), name).toBe(value);
    }
  });

  it.each([
    ['Study Root has no patient level', { QueryRetrieveLevel: 'PATIENT', PatientID: '' }, FIND_CONTEXT],
    [
      'Patient Root needs the patient',
      { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '' },
      PATIENT_FIND_CONTEXT,
    ],
    ['a series needs its study', { QueryRetrieveLevel: 'SERIES', SeriesInstanceUID: '' }, FIND_CONTEXT],
    ['no level', { StudyInstanceUID: '' }, FIND_CONTEXT],
    ['a level that does not exist', { QueryRetrieveLevel: 'PLANET' }, FIND_CONTEXT],
    ['a date that is none', { QueryRetrieveLevel: 'STUDY', StudyDate: 'soon' }, FIND_CONTEXT],
    ['a UID that is none', { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: 'x' }, FIND_CONTEXT],
  ])('A900: %s', async (_, keys, contextId) => {
    const { status, matches } = await find(keys, { callingAe: 'FINDER' }, contextId);
    expect(status).toBe(0xa900);
    expect(matches).toEqual([]);
  });

  it('FF01 only where a key is not known', async () => {
    const keys = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '', PatientName: '', RetrieveAETitle: '' };
    expect([...(await find(keys)).pending]).toEqual([0xff00]);
    // A key of a lower level is optional at best: not matched, and said so.
    expect([...(await find({ ...keys, SeriesDescription: 'x' })).pending]).toEqual([0xff01]);
    expect([...(await find({ ...keys, ImageComments: '' })).pending]).toEqual([0xff01]);
  });
});
