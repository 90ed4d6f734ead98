import { describe, expect, it } from 'vitest';
import type { DataSet } from '../dicom/data-set.ts';
import { dataSet } from '../dicom/element.ts';
import { unitText } from './codes.ts';
import { readSrDocument } from './sr-document.ts';
import { readSrTree, type SrItem } from './sr-tree.ts';

type Attributes = Parameters<typeof dataSet>[0];

const code = (value: string, scheme: string, meaning: string): DataSet =>
  dataSet({ CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: meaning });
const named = (meaning: string): Attributes => ({ ConceptNameCodeSequence: [code('1', 'DCM', meaning)] });
const item = (type: string, name: string, attributes: Attributes = {}, children?: DataSet[]): DataSet =>
  dataSet({
    RelationshipType: 'CONTAINS',
    ValueType: type,
    ...named(name),
    ...attributes,
    ...(children ? { ContentSequence: children } : {}),
  });
const root = (children: DataSet[], attributes: Attributes = {}): DataSet =>
  dataSet({ ValueType: 'CONTAINER', ...named('Report'), ...attributes, ContentSequence: children });
const only = (child: DataSet): SrItem => {
  const [first] = readSrTree(root([child])).root.children;
  if (!first) throw new Error('no item');
  return first;
};
const object = dataSet({
  ReferencedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
  ReferencedSOPInstanceUID: '1.2.3',
  ReferencedFrameNumber: [2, 5],
});

describe('SR content items (PS3.3 §C.17.3)', () => {
  it.each<[string, Attributes, Partial<SrItem>]>([
    ['TEXT', { TextValue: '<b>first</b>\r\nsecond ' }, { value: '<b>first</b>\nsecond' }],
    ['CODE', { ConceptCodeSequence: [code('77477000', 'SCT', 'CT')] }, { value: 'CT' }],
    ['CODE', { ConceptCodeSequence: [code('77477000', 'SCT', '')] }, { value: '77477000 (SCT)' }],
    ['DATE', { Date: '20260102' }, { value: '20260102' }],
    ['TIME', { Time: '101112' }, { value: '101112' }],
    ['DATETIME', { DateTime: '20260102101112' }, { value: '20260102101112' }],
    ['PNAME', { PersonName: 'Doe^Jane' }, { value: 'Doe^Jane' }],
    ['UIDREF', { UID: '1.2.3' }, { value: '1.2.3' }],
    ['SCOORD', { GraphicType: 'POINT', GraphicData: [1.25, 2] }, { value: 'POINT (1.25, 2)' }],
    [
      'SCOORD',
      { GraphicType: 'POLYLINE', GraphicData: Array.from({ length: 20 }, () => 1) },
      { value: 'POLYLINE (1, 1) (1, 1) (1, 1) (1, 1) … (10)' },
    ],
    ['SCOORD3D', { GraphicType: 'POINT', GraphicData: [1, 2, 3] }, { value: 'POINT (1, 2, 3)' }],
    [
      'TCOORD',
      { TemporalRangeType: 'SEGMENT', ReferencedSamplePositions: [1, 9] },
      { value: 'SEGMENT #1, #9' },
    ],
    ['TCOORD', { TemporalRangeType: 'POINT', ReferencedTimeOffsets: [0.5] }, { value: 'POINT 0.5 s' }],
    ['COMPOSITE', { ReferencedSOPSequence: [object] }, { value: 'CT Image' }],
    ['WAVEFORM', { ReferencedSOPSequence: [] }, { value: '' }],
    ['CONTAINER', {}, { value: '' }],
    ['TABLE', { TextValue: 'told anyway' }, { value: 'told anyway' }],
  ])('%s', (type, attributes, expected) => {
    expect(only(item(type, 'Name', attributes))).toMatchObject({
      id: '1.1',
      type,
      name: 'Name',
      ...expected,
    });
  });

  it('tells which frames of an image are meant', () => {
    expect(only(item('IMAGE', 'Source', { ReferencedSOPSequence: [object] })).reference).toEqual({
      ...{ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopUid: '1.2.3', frames: [2, 5], segments: [] },
    });
  });

  it.each<[string, Attributes, Attributes, string, string | undefined]>([
    ['a number as it was sent', { NumericValue: '12.50' }, {}, '12.50', 'mm'],
    ['a floating point value', { FloatingPointValue: 1.5 }, {}, '1.5', 'mm'],
    [
      'a qualifier in place of a number',
      { NumericValue: [] },
      { NumericValueQualifierCodeSequence: [code('114006', 'DCM', 'Measurement failure')] },
      'Measurement failure',
      undefined,
    ],
  ])('NUM with %s (§C.18.1)', (_name, measured, attributes, value, unit) => {
    const found = only(
      item('NUM', 'Length', {
        MeasuredValueSequence: [
          dataSet({ ...measured, MeasurementUnitsCodeSequence: [code('mm', 'UCUM', 'millimeter')] }),
        ],
        ...attributes,
      }),
    );
    expect([found.value, found.unit]).toEqual([value, unit]);
  });

  it.each([
    ['mm2', 'mm²'],
    ['uV', 'µV'],
    ['mGy.cm', 'mGy·cm'],
    ['1', ''],
    ['{events}', 'meaning'],
    ['[in_i]', 'meaning'],
    ["[hnsf'U]", 'HU'],
    ['10*3/uL', '10*3/µL'],
  ])('prints the unit %s as %s', (value, printed) => {
    expect(unitText({ value, scheme: 'UCUM', meaning: 'meaning' })).toBe(printed);
  });
});

describe('items by reference (PS3.3 §C.17.3.2.5)', () => {
  const reference = (...path: number[]): DataSet =>
    dataSet({ RelationshipType: 'INFERRED FROM', ReferencedContentItemIdentifier: path });

  it('says what it points at', () => {
    const tree = readSrTree(root([item('TEXT', 'Finding', { TextValue: 'nodule' }), reference(1, 1)]));
    expect(tree.root.children[1]).toMatchObject({
      ...{ type: 'REFERENCE', target: '1.1', value: 'Finding: nodule', relationship: 'INFERRED FROM' },
    });
  });

  it('ends with references in a circle, to themselves and to nowhere', () => {
    const loop = item('CONTAINER', 'A', {}, [reference(1), reference(1, 1, 2), reference(1, 1)]);
    const tree = readSrTree(root([loop, reference(1, 9, 9)]));
    expect(tree.count).toBe(6);
    expect(tree.root.children[0]?.children.map(({ target }) => target)).toEqual(['1', '1.1.2', '1.1']);
    expect(tree.root.children[1]?.target).toBeUndefined();
  });
});

describe('a hostile tree', () => {
  it('is cut at the number of items and says so', () => {
    const many = Array.from({ length: 50 }, () => item('TEXT', 'a', { TextValue: 'b' }));
    const tree = readSrTree(root(many), 10);
    expect([tree.count, tree.truncated, tree.root.children.length]).toEqual([10, true, 9]);
    expect(readSrTree(root(many)).truncated).toBe(false);
  });

  it('is cut at its depth', () => {
    let deep = item('TEXT', 'end', { TextValue: 'x' });
    for (let level = 0; level < 100; level += 1) deep = item('CONTAINER', 'c', {}, [deep]);
    expect(readSrTree(root([deep])).truncated).toBe(true);
  });

  it('without any of its attributes is an empty document', () => {
    expect(readSrDocument(dataSet({}))).toMatchObject({ title: '', completion: '', tree: { count: 1 } });
  });
});

describe('the document (PS3.3 §C.17.2)', () => {
  it('tells state, who signed, and where the evidence lies', () => {
    const read = readSrDocument(
      root([], {
        CompletionFlag: 'COMPLETE',
        VerificationFlag: 'VERIFIED',
        VerifyingObserverSequence: [
          dataSet({
            VerifyingObserverName: 'Doe^Jane',
            VerifyingOrganization: 'Clinic',
            VerificationDateTime: '20260102101112',
          }),
        ],
        AuthorObserverSequence: [dataSet({ PersonName: 'Roe^Richard' })],
        CurrentRequestedProcedureEvidenceSequence: [
          dataSet({
            StudyInstanceUID: '1.2',
            ReferencedSeriesSequence: [
              dataSet({ SeriesInstanceUID: '1.2.1', ReferencedSOPSequence: [object] }),
            ],
          }),
        ],
      }),
    );
    expect(read).toMatchObject({ title: 'Report', completion: 'COMPLETE', verification: 'VERIFIED' });
    expect(read.verifiers).toEqual([
      { name: 'Doe^Jane', organization: 'Clinic', dateTime: '20260102101112' },
    ]);
    expect(read.authors[0]?.name).toBe('Roe^Richard');
    expect(read.evidence.get('1.2.3')).toEqual({ studyUid: '1.2', seriesUid: '1.2.1' });
  });
});
