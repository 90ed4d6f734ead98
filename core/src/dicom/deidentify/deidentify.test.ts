import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DataSet } from '../data-set.ts';
import { dataSet, makeElement, withElements } from '../element.ts';
import { readDataSet } from '../read.ts';
import { Tags } from '../tags.gen.ts';
import { EXPLICIT_LE } from '../transfer-syntax.ts';
import { text, texts } from '../values.ts';
import { writeDataSet } from '../write.ts';
import { cleanText } from './clean-text.ts';
import { deidentify, type DeidentifyRequest } from './deidentify.ts';
import type { Identifiers } from './identifiers.ts';
import type { DeidentifyOption } from './profile.ts';
import { isStandardUid, mapUid } from './pseudonyms.ts';
import { shiftDate, shiftDateTime } from './shift-dates.ts';

const keyed =
  (key: string) =>
  (value: string): Uint8Array =>
    createHmac('sha256', key).update(value).digest();
const hash = keyed('project one');
const request = (...options: DeidentifyOption[]): DeidentifyRequest => ({ options: new Set(options), hash });

const CT = '1.2.840.10008.5.1.4.1.1.2';
const image = (over: Parameters<typeof dataSet>[0] = {}): DataSet =>
  dataSet({
    SpecificCharacterSet: 'ISO_IR 192',
    SOPClassUID: CT,
    SOPInstanceUID: '1.2.3.4.100',
    StudyInstanceUID: '1.2.3.4.1',
    SeriesInstanceUID: '1.2.3.4.2',
    FrameOfReferenceUID: '1.2.3.4.3',
    Modality: 'CT',
    StudyDate: '20240229',
    PatientName: 'Müller^Hans',
    PatientID: 'MRN-0815',
    PatientBirthDate: '19300101',
    PatientAge: '094Y',
    PatientSex: 'M',
    ...over,
  });
const only = (ds: DataSet, ...path: number[]): DataSet => {
  let at = ds;
  for (const tag of path) at = at.elements.get(tag)!.items![0]!;
  return at;
};

describe('De-identification (PS3.15 §E.1.1)', () => {
  it('says that it was done, and by which options (CID 7050)', () => {
    const { dataSet: out } = deidentify(image(), request('cleanDescriptors', 'retainUids'));
    expect(text(out, Tags.PatientIdentityRemoved)).toBe('YES');
    expect(text(out, Tags.LongitudinalTemporalInformationModified)).toBe('REMOVED');
    const codes = out.elements.get(Tags.DeidentificationMethodCodeSequence)!.items!;
    expect(codes.map((item) => text(item, Tags.CodeValue))).toEqual(['113100', '113105', '113110']);
    expect(text(codes[0]!, Tags.CodeMeaning)).toBe('Basic Application Confidentiality Profile');
  });

  it('gives the same patient the same name in every study, and two patients of one ID different ones', () => {
    const one = deidentify(image(), request()).patient;
    const again = deidentify(
      image({ StudyInstanceUID: '1.2.9', PatientName: 'Mueller^H' }),
      request(),
    ).patient;
    const other = deidentify(image({ IssuerOfPatientID: 'ANOTHER' }), request()).patient;
    const elsewhere = deidentify(image(), { options: new Set(), hash: keyed('project two') }).patient;
    expect(again).toEqual(one);
    expect(other.id).not.toBe(one.id);
    expect(elsewhere.id).not.toBe(one.id);
    expect(one.id).toMatch(/^P[A-Z2-9]{10}$/);
  });

  it('takes the name that is given', () => {
    const { dataSet: out } = deidentify(image(), {
      ...request(),
      pseudonym: { name: 'Case^7', id: 'CASE-7' },
    });
    expect([text(out, Tags.PatientName), text(out, Tags.PatientID)]).toEqual(['Case^7', 'CASE-7']);
  });

  it('refuses options that contradict each other, and directories', () => {
    expect(() => deidentify(image(), request('retainFullDates', 'retainModifiedDates'))).toThrow(
      expect.objectContaining({ code: 'DEIDENTIFY_OPTIONS' }) as Error,
    );
    const directory = image({ DirectoryRecordSequence: [dataSet({ PatientName: 'A^B' })] });
    expect(() => deidentify(directory, request())).toThrow(
      expect.objectContaining({ code: 'DEIDENTIFY_DIRECTORY' }) as Error,
    );
  });

  it('makes a second pass change nothing that the first has decided', () => {
    const pseudonym = { name: 'Case^7', id: 'CASE-7' };
    const options = new Set<DeidentifyOption>(['retainUids', 'retainFullDates', 'cleanDescriptors']);
    const source = image({
      StudyDescription: 'CT Thorax mit KM Müller',
      SeriesDescription: 'Dr. Ferro lung',
    });
    const once = deidentify(source, { options, hash, pseudonym }).dataSet;
    const twice = deidentify(once, { options, hash, pseudonym }).dataSet;
    expect(writeDataSet(twice, EXPLICIT_LE)).toEqual(writeDataSet(once, EXPLICIT_LE));
  });
});

describe('UIDs (PS3.15 §E.3.9)', () => {
  it('stay references to what they referred to, in every kind of object', () => {
    const ct = deidentify(image(), request()).dataSet;
    const uid = (ds: DataSet, tag: number): string | undefined => text(ds, tag);
    const reference = dataSet({ ReferencedSOPClassUID: CT, ReferencedSOPInstanceUID: '1.2.3.4.100' });
    const evidence = dataSet({
      StudyInstanceUID: '1.2.3.4.1',
      ReferencedSeriesSequence: [
        dataSet({ SeriesInstanceUID: '1.2.3.4.2', ReferencedSOPSequence: [reference] }),
      ],
    });
    const report = image({
      SOPClassUID: '1.2.840.10008.5.1.4.1.1.88.59',
      Modality: 'KO',
      CurrentRequestedProcedureEvidenceSequence: [evidence],
      ContentSequence: [dataSet({ ValueType: 'IMAGE', ReferencedSOPSequence: [reference] })],
      ReferencedFrameOfReferenceSequence: [dataSet({ FrameOfReferenceUID: '1.2.3.4.3' })],
    });
    const ko = deidentify(report, request('cleanStructuredContent')).dataSet;
    const series = only(ko, Tags.CurrentRequestedProcedureEvidenceSequence, Tags.ReferencedSeriesSequence);
    const found = [
      uid(only(ko, Tags.CurrentRequestedProcedureEvidenceSequence), Tags.StudyInstanceUID),
      uid(series, Tags.SeriesInstanceUID),
      uid(only(series, Tags.ReferencedSOPSequence), Tags.ReferencedSOPInstanceUID),
      uid(only(ko, Tags.ContentSequence, Tags.ReferencedSOPSequence), Tags.ReferencedSOPInstanceUID),
      uid(only(ko, Tags.ReferencedFrameOfReferenceSequence), Tags.FrameOfReferenceUID),
    ];
    expect(found).toEqual([
      uid(ct, Tags.StudyInstanceUID),
      uid(ct, Tags.SeriesInstanceUID),
      uid(ct, Tags.SOPInstanceUID),
      uid(ct, Tags.SOPInstanceUID),
      uid(ct, Tags.FrameOfReferenceUID),
    ]);
    expect(uid(only(series, Tags.ReferencedSOPSequence), Tags.ReferencedSOPClassUID)).toBe(CT);
    for (const one of found) expect(one).toMatch(/^2\.25\.[1-9]\d{1,38}$/);
  });

  it('map one to one, and not back', () => {
    const uids = fc.uniqueArray(
      fc.array(fc.nat(99_999), { minLength: 2, maxLength: 6 }).map((parts) => `1.3.${parts.join('.')}`),
      { minLength: 2, maxLength: 40 },
    );
    fc.assert(
      fc.property(uids, (some) => {
        const mapped = some.map((uid) => mapUid(uid, hash));
        expect(new Set(mapped).size).toBe(some.length);
        expect(some.map((uid) => mapUid(uid, hash))).toEqual(mapped);
      }),
      { numRuns: 50 },
    );
  });

  it('of the standard are known from those that only begin like them', () => {
    for (const uid of [CT, '1.2.840.10008.1.2.4.90', '1.2.840.10008.6.1.1465', '1.2.840.10008.1.4.1.18'])
      expect(isStandardUid(uid)).toBe(true);
    for (const uid of ['1.2.840.10008.1.2.20240101.5', '1.2.840.100081.1', '1.2.840.113619.2.1', '2.25.1'])
      expect(isStandardUid(uid)).toBe(false);
  });
});

describe('Dates (PS3.15 §E.3.6)', () => {
  it('move by the same days in all of a patient, and keep their distances', () => {
    const first = deidentify(image(), request('retainModifiedDates')).dataSet;
    const second = deidentify(image({ StudyDate: '20240310' }), request('retainModifiedDates')).dataSet;
    const day = (ds: DataSet): number => {
      const date = text(ds, Tags.StudyDate)!;
      return Date.UTC(+date.slice(0, 4), +date.slice(4, 6) - 1, +date.slice(6)) / 86_400_000;
    };
    expect(day(second) - day(first)).toBe(10);
    expect(text(first, Tags.StudyDate)! < '20230301').toBe(true);
    expect(text(first, Tags.LongitudinalTemporalInformationModified)).toBe('MODIFIED');
  });

  it('agree with the calendar of the machine', () => {
    const days = fc.integer({ min: -40_000, max: 40_000 });
    const date = fc.date({ min: new Date('1850-01-01'), max: new Date('2150-01-01'), noInvalidDate: true });
    const plain = (when: number): string => new Date(when).toISOString().slice(0, 10).replaceAll('-', '');
    fc.assert(
      fc.property(date, days, (when, by) => {
        expect(shiftDate(plain(+when), by)).toBe(plain(+when + by * 86_400_000));
      }),
    );
  });

  it.each([
    ['20240229', '20230301'],
    ['2024.02.29', '20230301'],
    ['20240229-20240301', '20230301-20230302'],
    ['-20240229', '-20230301'],
    ['20240229-', '20230301-'],
    ['tomorrow', undefined],
    ['20240230', undefined],
  ])('DA %s becomes %s', (value, expected) => {
    expect(shiftDate(value, -365)).toBe(expected);
  });

  it.each([
    ['20240229101112.123456+0100', '20230301101112.123456+0100'],
    ['20240229', '20230301'],
    ['2024', '2023'],
    ['202402', '202302'],
    ['2024-0500', '2023-0500'],
    ['20240229-20240301', '20230301-20230302'],
    ['soon', undefined],
  ])('DT %s becomes %s', (value, expected) => {
    expect(shiftDateTime(value, -365)).toBe(expected);
  });

  it('tells ages over 89 only as 90 and more', () => {
    const out = deidentify(image(), request('retainPatientCharacteristics')).dataSet;
    expect(text(out, Tags.PatientAge)).toBe('090Y');
    expect(text(out, Tags.PatientSex)).toBe('M');
    expect(text(out, Tags.PatientBirthDate)).toBeUndefined();
  });
});

describe('Text (PS3.15 §E.3.5)', () => {
  const none: Identifiers = { words: new Set(), names: new Set(), values: [], known: new Map() };
  it.each([
    ['CT Thorax with contrast', 'CT Thorax with contrast'],
    ['T2 TSE sag 3mm L4/L5 FOV 250', 'T2 TSE sag 3mm L4/L5 FOV 250'],
    ['MRT Knie links mit KM, Dr. Sommerfeld', 'MRT Knie links mit KM, *'],
    ['follow up of 12.03.1964', 'follow up of *'],
    ['scan 2024-02-29 10:11', 'scan *'],
    ['MR brain of Mr. Head, DR chest', 'MR brain of * chest'],
    ['call 0171 5551234 chest', '* chest'],
    ['92 year old, chest', '*, chest'],
    ['anna.k@example.org', 'REMOVED'],
    ['Kowalczyk', 'REMOVED'],
    ['', ''],
  ])('%s -> %s', (given, expected) => {
    expect(cleanText(given, none)).toBe(expected);
  });

  it('does not keep a harmless word that is the name of somebody in the object', () => {
    const source = image({ PatientName: 'Lung^Axial', SeriesDescription: 'axial lung Breast' });
    const out = deidentify(source, request('cleanDescriptors')).dataSet;
    expect(text(out, Tags.SeriesDescription)).toBe('* Breast');
  });

  it('never keeps a word it does not know', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (noise) => {
        const clean = cleanText(`chest Zwyxqvut${noise}`, none);
        expect(clean.includes('Zwyxqvut')).toBe(false);
      }),
    );
  });

  it('takes a name out of technical text that is otherwise kept', () => {
    const source = image({ Manufacturer: 'ACME', SoftwareVersions: ['VX 1', 'for Hans Muller'] });
    const out = deidentify(source, request()).dataSet;
    expect(text(out, Tags.Manufacturer)).toBe('ACME');
    expect(texts(out, Tags.SoftwareVersions)).toEqual(['REMOVED']);
  });
});

describe('Codes', () => {
  it('stay where the backslash is a yen sign (PS3.5 §6.1.2.3, JIS X 0201)', () => {
    const source = image({
      SpecificCharacterSet: ['ISO 2022 IR 13', 'ISO 2022 IR 87'],
      PatientName: 'A^B',
      ImageType: ['ORIGINAL', 'PRIMARY', 'AXIAL', 'LONG_ENOUGH'],
    });
    const out = deidentify(source, request()).dataSet;
    expect(texts(out, Tags.SpecificCharacterSet)).toEqual(['ISO 2022 IR 13', 'ISO 2022 IR 87']);
    expect(texts(out, Tags.ImageType)).toEqual(['ORIGINAL', 'PRIMARY', 'AXIAL', 'LONG_ENOUGH']);
  });
  it('of character sets that are none go as a whole (Type 1C, PS3.3 §C.12.1.1.2)', () => {
    const out = deidentify(
      image({ SpecificCharacterSet: 'ISO-IR 100', PatientName: 'A^B' }),
      request(),
    ).dataSet;
    expect(out.elements.has(Tags.SpecificCharacterSet)).toBe(false);
  });
  it('go when they are no codes, and numbers when they are the number of the patient', () => {
    const source = image({ PatientPosition: 'Hans Müller', SeriesNumber: 4711001, PatientID: '4711001' });
    const out = deidentify(source, request()).dataSet;
    expect(text(out, Tags.PatientPosition)).toBeUndefined();
    expect(text(out, Tags.SeriesNumber)).toBeUndefined();
  });
});

describe('Private attributes (PS3.15 §E.3.10)', () => {
  const source = withElements(image(), [
    makeElement(0x00190010, 'OTHER MAKER', { vr: 'LO' }),
    makeElement(0x00190011, 'SIEMENS MR HEADER', { vr: 'LO' }),
    makeElement(0x0019100c, 'Müller', { vr: 'LO' }),
    makeElement(0x0019110c, '1000', { vr: 'IS' }),
    makeElement(0x00191127, [1, 2, 3, 4, 5, 6], { vr: 'FD' }),
    makeElement(0x00191128, 'Müller', { vr: 'LO' }),
    makeElement(0x00191008, '1', { vr: 'IS' }),
    makeElement(0x20010010, 'Philips Imaging DD 001', { vr: 'LO' }),
    makeElement(0x20011004, 'Müller was here', { vr: 'CS' }),
  ]);
  const privates = (ds: DataSet): string[] =>
    [...ds.elements.keys()].filter((tag) => tag & 0x10000).map((tag) => tag.toString(16));

  it('go without exception by the Basic Profile', () => {
    expect(privates(deidentify(source, request()).dataSet)).toEqual([]);
  });
  it('stay in their block when they are listed and hold what they should', () => {
    expect(privates(deidentify(source, request('retainSafePrivate')).dataSet)).toEqual([
      '190011',
      '19110c',
      '191127',
    ]);
  });
});

describe('The written object', () => {
  it('is read back as it was made', () => {
    const out = deidentify(image({ OperatorsName: 'X^Y', StudyDescription: 'a' }), request()).dataSet;
    const again = readDataSet(writeDataSet(out, EXPLICIT_LE), EXPLICIT_LE);
    expect(again.warnings).toEqual([]);
    expect([...again.dataSet.elements.keys()]).toEqual([...out.elements.keys()]);
  });
  it('is made of an object with as many items as the reader takes', () => {
    const item = dataSet({ PersonName: 'A^B' });
    const many = {
      tag: Tags.AlternateContentDescriptionSequence,
      vr: 'SQ',
      items: Array(300_000).fill(item),
    } as const;
    const out = deidentify(withElements(image(), [many]), request()).dataSet;
    expect(out.elements.get(many.tag)?.items).toHaveLength(300_000);
  });
  it('does not change the original', () => {
    const source = image();
    const before = writeDataSet(source, EXPLICIT_LE);
    deidentify(source, request('retainModifiedDates'));
    expect(writeDataSet(source, EXPLICIT_LE)).toEqual(before);
  });
});
