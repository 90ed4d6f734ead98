/** Table E.3.4-1, row by row and option by option, in reports, acquisition contexts and specimen preparations. */
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { DataSet, Tag } from '../data-set.ts';
import { dataSet, dataSetOf, makeElement, type Values } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { items, numbers, text } from '../values.ts';
import { deidentify } from './deidentify.ts';
import type { DeidentifyOption } from './profile.ts';
import { CONTENT_ROWS, RETIRED_CODES } from './structured-content-rows.ts';

const hash = (text: string): Uint8Array => createHmac('sha256', 'a key of the tests').update(text).digest();

interface Row {
  readonly scheme: string;
  readonly code: string;
  readonly type: string;
  readonly basic: string;
  readonly letters: string;
}
const rows: readonly Row[] = CONTENT_ROWS.trim()
  .split('\n')
  .map((line) => {
    const [scheme = '', code = '', type = '', basic = '', letters = ''] = line.split('|');
    return { scheme, code, type, basic, letters };
  });

const CT = '1.2.840.10008.5.1.4.1.1.2';
const coded = (value: string, scheme: string): DataSet =>
  dataSet({ CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: 'Meaning' });
const reference = dataSet({ ReferencedSOPClassUID: CT, ReferencedSOPInstanceUID: '1.2.3.77125.1' });
/** For each value type what is told, and how it is found again. */
const VALUE: Readonly<
  Record<string, readonly [Record<string, Values>, (item: DataSet) => string | undefined]>
> = {
  TEXT: [{ TextValue: 'chest Quixote' }, (item) => text(item, Tags.TextValue)],
  DATE: [{ Date: '20170708' }, (item) => text(item, Tags.Date)],
  TIME: [{ Time: '091011' }, (item) => text(item, Tags.Time)],
  DATETIME: [{ DateTime: '20170708091011' }, (item) => text(item, Tags.DateTime)],
  PNAME: [{ PersonName: 'Quixote^Don' }, (item) => text(item, Tags.PersonName)],
  UIDREF: [{ UID: '1.2.3.77125.1' }, (item) => text(item, Tags.UID)],
  ...Object.fromEntries(
    ['IMAGE', 'COMPOSITE', 'WAVEFORM'].map((type) => [
      type,
      [
        { ReferencedSOPSequence: [reference] },
        (item: DataSet) => {
          const [of] = items(item, Tags.ReferencedSOPSequence);
          return of && text(of, Tags.ReferencedSOPInstanceUID);
        },
      ] as const,
    ]),
  ),
  CODE: [
    { ConceptCodeSequence: [coded('M', 'DCM')] },
    (item) => text(items(item, Tags.ConceptCodeSequence)[0]!, Tags.CodeValue),
  ],
  NUM: [
    {
      MeasuredValueSequence: [
        dataSet({ NumericValue: 41, MeasurementUnitsCodeSequence: [coded('a', 'UCUM')] }),
      ],
    },
    (item) => {
      const [of] = items(item, Tags.MeasuredValueSequence);
      return of && text(of, Tags.NumericValue);
    },
  ],
  CONTAINER: [{ ContinuityOfContent: 'SEPARATE' }, (item) => text(item, Tags.ContinuityOfContent)],
};

const contentItem = ({ type, scheme, code }: Row, over: Record<string, Values> = {}): DataSet =>
  dataSet({
    RelationshipType: 'CONTAINS',
    ValueType: type,
    ConceptNameCodeSequence: [coded(code, scheme)],
    ...VALUE[type]![0],
    ...over,
  });
const OTHER: Row = { scheme: 'DCM', code: '113854', type: 'CODE', basic: 'K', letters: '' };

const object = (over: Record<string, Values>): DataSet =>
  dataSet({
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.88.33',
    PatientID: '4711001',
    StudyDate: '20170708',
    ...over,
  });
const report = (...content: DataSet[]): DataSet =>
  object({ ValueType: 'CONTAINER', ContentSequence: content });
const clean = (ds: DataSet, ...options: DeidentifyOption[]): DataSet =>
  deidentify(ds, { options: new Set<DeidentifyOption>(['cleanStructuredContent', ...options]), hash })
    .dataSet;
const content = (ds: DataSet, tag: Tag = Tags.ContentSequence): readonly DataSet[] => items(ds, tag);

/** What became of the value, in the words of §E.1.1: gone, kept, replaced; a cleaned text keeps its harmless words. */
function effect(row: Row, after: DataSet | undefined): string {
  if (!after) return 'X';
  const [told, find] = VALUE[row.type]!;
  const was = find(dataSet(told));
  const is = find(after);
  if (is === was) return 'K';
  if (row.type === 'TEXT' && is === 'chest *') return 'C';
  if (/^20(0|1)/.test(is ?? '')) return 'C';
  return is?.startsWith('2.25.') ? 'U' : 'D';
}

/** Written from the table's words, not from the code under test. */
function expected(row: Row, option: DeidentifyOption | undefined): string {
  const { letters, type } = row;
  const isReference = ['UIDREF', 'IMAGE', 'COMPOSITE', 'WAVEFORM'].includes(type);
  const keeps =
    (option === 'retainUids' && letters.includes('u')) ||
    (option === 'retainDeviceIdentity' && letters.includes('d')) ||
    (option === 'retainInstitutionIdentity' && letters.includes('i')) ||
    (option === 'retainPatientCharacteristics' && letters.includes('p')) ||
    (option === 'retainFullDates' && letters.includes('t'));
  if (keeps) return 'K';
  if (option === 'cleanDescriptors' && letters.includes('c')) return 'C';
  // Clock times stay when days are moved.
  if (option === 'retainModifiedDates' && letters.includes('t')) return type === 'TIME' ? 'K' : 'C';
  if (row.basic === 'X') return 'X';
  return isReference ? 'U' : 'D';
}

const CHOICES: readonly (DeidentifyOption | undefined)[] = [
  undefined,
  'retainUids',
  'retainDeviceIdentity',
  'retainInstitutionIdentity',
  'retainPatientCharacteristics',
  'retainFullDates',
  'retainModifiedDates',
  'cleanDescriptors',
];

describe('Table E.3.4-1 (PS3.15 §E.3.4)', () => {
  it('has the 211 rows of the standard, each once', () => {
    expect(rows).toHaveLength(211);
    expect(new Set(rows.map((row) => `${row.scheme}|${row.code}|${row.type}`)).size).toBe(211);
    for (const row of rows) {
      expect(VALUE).toHaveProperty(row.type);
      expect(['X', 'D', 'X/D']).toContain(row.basic);
      expect(row.letters).toMatch(/^(u?d?|i|p|t|d?c)$/);
    }
  });

  it.each(CHOICES)('is followed with the option %s', (option) => {
    const wrong: string[] = [];
    for (const row of rows) {
      const told = contentItem(row);
      const options = option ? [option] : [];
      const step = dataSet({ SpecimenPreparationStepContentItemSequence: [told, contentItem(OTHER)] });
      const specimen = dataSet({ SpecimenIdentifier: 'S1', SpecimenPreparationSequence: [step] });
      const places: Record<string, readonly DataSet[]> = {
        report: content(clean(report(told, contentItem(OTHER)), ...options)),
        nested: content(
          content(
            clean(report(contentItem(OTHER, { ContentSequence: [told, contentItem(OTHER)] })), ...options),
          )[0]!,
        ),
        acquisition: items(
          clean(object({ AcquisitionContextSequence: [told, contentItem(OTHER)] }), ...options),
          Tags.AcquisitionContextSequence,
        ),
        specimen: items(
          items(
            items(
              clean(object({ SpecimenDescriptionSequence: [specimen] }), ...options),
              Tags.SpecimenDescriptionSequence,
            )[0]!,
            Tags.SpecimenPreparationSequence,
          )[0]!,
          Tags.SpecimenPreparationStepContentItemSequence,
        ),
      };
      for (const [place, found] of Object.entries(places)) {
        const is = effect(row, found.length === 2 ? found[0] : undefined);
        if (is !== expected(row, option) || text(found.at(-1)!, Tags.ValueType) !== 'CODE')
          wrong.push(`${row.scheme} ${row.code} ${row.type} ${place}: ${is}, not ${expected(row, option)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('knows the retired codes of the SNOMED concepts', () => {
    const retired = new Map(
      RETIRED_CODES.trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string]),
    );
    const snomed = rows.filter((row) => row.scheme === 'SCT');
    expect(new Set(snomed.map((row) => row.code))).toEqual(new Set(retired.keys()));
    for (const row of snomed) {
      for (const scheme of ['SRT', 'SNM3', '99SDM']) {
        const before = contentItem({ ...row, scheme, code: retired.get(row.code)! });
        const found = content(clean(report(before, contentItem(OTHER))));
        expect(effect(row, found.length === 2 ? found[0] : undefined)).toBe(expected(row, undefined));
      }
    }
  });

  it('is not followed without the option, which gives the whole content away', () => {
    const { dataSet: out } = deidentify(report(contentItem(OTHER)), { options: new Set(), hash });
    expect(content(out).map((item) => text(item, Tags.TextValue))).toEqual(['REMOVED']);
  });
});

describe('Content that the table does not name', () => {
  const finding: Row = { scheme: '99X', code: 'F1', type: 'TEXT', basic: 'X', letters: '' };
  it('is cleaned by its value type', () => {
    const told = report(
      contentItem(finding),
      contentItem({ ...finding, type: 'PNAME' }),
      contentItem({ ...finding, type: 'UIDREF' }),
      contentItem({ ...finding, type: 'NUM' }),
      contentItem({ ...finding, type: 'CODE' }),
    );
    const found = content(clean(told, 'cleanDescriptors'));
    expect([
      text(found[0]!, Tags.TextValue),
      text(found[1]!, Tags.PersonName),
      text(found[2]!, Tags.UID)?.slice(0, 5),
      VALUE['NUM']![1](found[3]!),
      VALUE['CODE']![1](found[4]!),
    ]).toEqual(['chest *', 'REMOVED', '2.25.', '41', 'M']);
  });
});

describe('What is left of the tree', () => {
  const accession: Row = { scheme: 'DCM', code: '121022', type: 'TEXT', basic: 'X', letters: '' };
  it('has no sequence without items, but for the acquisition context (PS3.3 Table C.7.6.14-1)', () => {
    const told = contentItem(OTHER, { ContentSequence: [contentItem(accession)] });
    const [root] = content(clean(report(told)));
    expect(root?.elements.has(Tags.ContentSequence)).toBe(false);
    const out = clean(object({ AcquisitionContextSequence: [contentItem(accession)] }));
    expect(out.elements.get(Tags.AcquisitionContextSequence)?.items).toEqual([]);
    const step = dataSet({
      SpecimenPreparationStepContentItemSequence: [contentItem({ ...accession, code: '121041' })],
    });
    const specimen = dataSet({ SpecimenPreparationSequence: [step] });
    const after = clean(object({ SpecimenDescriptionSequence: [specimen] }));
    const [left] = items(after, Tags.SpecimenDescriptionSequence);
    const [kept] = items(
      items(left!, Tags.SpecimenPreparationSequence)[0]!,
      Tags.SpecimenPreparationStepContentItemSequence,
    );
    expect(text(kept!, Tags.TextValue)).toBe('REMOVED');
  });

  it('keeps its places when items point at each other by them (PS3.3 §C.17.3.2.5)', () => {
    const pointer = dataSetOf([
      ...dataSet({ RelationshipType: 'INFERRED FROM' }).elements.values(),
      makeElement(Tags.ReferencedContentItemIdentifier, [1, 2], { vr: 'UL' }),
    ]);
    const out = clean(
      report(contentItem(accession), contentItem(OTHER), contentItem(OTHER, { ContentSequence: [pointer] })),
    );
    const found = content(out);
    expect(found.map((item) => text(item, Tags.ValueType))).toEqual(['TEXT', 'CODE', 'CODE']);
    expect(text(found[0]!, Tags.TextValue)).toBe('REMOVED');
    expect(numbers(content(found[2]!)[0]!, Tags.ReferencedContentItemIdentifier)).toEqual([1, 2]);
  });

  it('does not say elsewhere what was an identifier', () => {
    const told = contentItem(accession, { TextValue: 'lung 4' });
    const comment: Row = { scheme: 'DCM', code: '121106', type: 'TEXT', basic: 'X', letters: 'c' };
    const out = clean(
      report(told, contentItem(comment, { TextValue: 'chest lung axial' })),
      'cleanDescriptors',
    );
    expect(content(out).map((item) => text(item, Tags.TextValue))).toEqual(['chest * axial']);
  });

  it.each([
    [41, 'a', '41'],
    [94, 'a', '90'],
    [1200, 'mo', '1080'],
    [40_000, 'd', '32873'],
    [600, 'd', '600'],
  ])('tells an age of %s %s as %s', (age, unit, told) => {
    const row: Row = { scheme: 'DCM', code: '121033', type: 'NUM', basic: 'X', letters: 'p' };
    const measured = dataSet({
      NumericValue: age,
      FloatingPointValue: age,
      MeasurementUnitsCodeSequence: [coded(unit, 'UCUM')],
    });
    const out = clean(
      report(contentItem(row, { MeasuredValueSequence: [measured] })),
      'retainPatientCharacteristics',
    );
    const [found] = items(content(out)[0]!, Tags.MeasuredValueSequence);
    expect(text(found!, Tags.NumericValue)).toBe(told);
    expect(found!.elements.has(Tags.FloatingPointValue)).toBe(String(age) === told);
  });
});
