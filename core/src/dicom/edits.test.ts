import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asFault } from '../base/fault.ts';
import type { DataSet } from './data-set.ts';
import { dataSet, withElements } from './element.ts';
import {
  applyEdits,
  applyToJson,
  checkEdits,
  composeEdits,
  type Edit,
  editsJson,
  isEditable,
  readEdits,
} from './edits.ts';
import { toJson } from './json.ts';
import { readDataSet } from './read.ts';
import { Tags } from './tags.gen.ts';
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from './transfer-syntax.ts';
import { text } from './values.ts';
import { writeDataSet } from './write.ts';

const set = (
  tag: number,
  vr: 'LO' | 'PN' | 'SH' | 'US' | 'DA' | 'LT',
  ...value: (string | number)[]
): Edit => ({
  op: 'set',
  tag,
  vr,
  value: vr === 'PN' ? value.map((one) => ({ Alphabetic: String(one) })) : value,
});

const object = (charsets: string[], name = 'Muller^Jorg'): DataSet =>
  dataSet(
    {
      ...(charsets.length ? { SpecificCharacterSet: charsets } : {}),
      PatientName: name,
      PatientID: 'A1',
      StudyDescription: 'Thorax',
      SmallestImagePixelValue: { vr: 'US', value: [258, 3] },
      RequestAttributesSequence: [dataSet({ ScheduledProcedureStepDescription: 'Knie' }, charsets)],
    },
    charsets,
  );

const someEdit = fc.oneof(
  fc.record({
    op: fc.constant('set' as const),
    tag: fc.constantFrom(Tags.PatientID, Tags.StudyDescription, Tags.InstitutionName),
    vr: fc.constant('LO' as const),
    value: fc.array(fc.constantFrom('x', 'Jörg', '山田', 'a b', 'Ελ'), { maxLength: 2 }),
  }),
  fc.record({
    op: fc.constant('delete' as const),
    tag: fc.constantFrom(
      Tags.PatientID,
      Tags.PatientName,
      Tags.StudyDescription,
      Tags.RequestAttributesSequence,
    ),
  }),
  fc.constantFrom<Edit>(set(Tags.PatientName, 'PN', 'Smith^Jane'), set(Tags.PatientName, 'PN', 'Jäger^Öz')),
);
const someEdits = fc.uniqueArray(someEdit, { selector: ({ tag }) => tag, maxLength: 4 });
const someObject = fc
  .constantFrom(...[[], ['ISO_IR 100'], ['', 'ISO 2022 IR 87'], ['ISO_IR 192'], ['GB18030']])
  .map((charsets) => object(charsets));

describe('corrections (PS3.4 §B.4.1.3)', () => {
  it('gives one data set for lists put over it one by one and for their composition', () => {
    fc.assert(
      fc.property(someObject, someEdits, someEdits, someEdits, (ds, one, two, three) => {
        const steps = applyEdits(applyEdits(applyEdits(ds, one), two), three);
        // The way there may have needed Unicode for a value that is gone again.
        const plain = (one: DataSet): object => ({ ...toJson(one), '00080005': undefined });
        expect(plain(steps)).toEqual(plain(applyEdits(ds, composeEdits(one, two, three))));
        expect(composeEdits(composeEdits(one, two), three)).toEqual(
          composeEdits(one, composeEdits(two, three)),
        );
      }),
    );
  });

  it('gives the same answer as JSON and as a data set, in every transfer syntax', () => {
    fc.assert(
      fc.property(
        someObject,
        someEdits,
        fc.constantFrom(EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE),
        (ds, edits, ts) => {
          const read = readDataSet(writeDataSet(ds, ts), ts).dataSet;
          const edited = applyEdits(read, edits);
          const again = readDataSet(writeDataSet(edited, ts), ts).dataSet;
          const expected = {
            '00080005': { vr: 'CS', Value: ['ISO_IR 192'] },
            ...applyToJson(toJson(read), edits),
          };
          const asJson = { '00080005': { vr: 'CS', Value: ['ISO_IR 192'] }, ...toJson(again) };
          expect(asJson).toEqual(expected);
        },
      ),
    );
  });

  it('leaves alone what it does not touch: the same elements, and the data set given', () => {
    const ds = object(['ISO_IR 100'], 'Müller^Jörg');
    const before = toJson(ds);
    const edited = applyEdits(ds, [set(Tags.PatientID, 'LO', 'B2')]);
    for (const [tag, element] of edited.elements)
      if (tag !== Tags.PatientID) expect(element).toBe(ds.elements.get(tag));
    expect(text(edited, Tags.PatientID)).toBe('B2');
    expect(toJson(ds)).toEqual(before);
  });

  it('converts all text to ISO_IR 192 when one value cannot be written in the character set', () => {
    const ds = object(['ISO_IR 100'], 'Müller^Jörg');
    const edited = applyEdits(ds, [set(Tags.StudyDescription, 'LO', '胸部')]);
    expect(text(edited, Tags.SpecificCharacterSet)).toBe('ISO_IR 192');
    const again = readDataSet(writeDataSet(edited, EXPLICIT_LE), EXPLICIT_LE).dataSet;
    expect(text(again, Tags.PatientName)).toBe('Müller^Jörg');
    expect(text(again, Tags.StudyDescription)).toBe('胸部');
  });

  it('keeps text of items that name a character set of their own', () => {
    const item = dataSet({ SpecificCharacterSet: 'ISO_IR 144', ScheduledProcedureStepDescription: 'Колено' });
    const ds = withElements(object([]), [{ tag: Tags.RequestAttributesSequence, vr: 'SQ', items: [item] }]);
    const edited = applyEdits(ds, [set(Tags.StudyDescription, 'LO', 'Brüste')]);
    expect(edited.elements.get(Tags.RequestAttributesSequence)).toBe(
      ds.elements.get(Tags.RequestAttributesSequence),
    );
  });

  it('writes numbers in the byte order of the object', () => {
    const ds = readDataSet(writeDataSet(object([]), EXPLICIT_BE), EXPLICIT_BE).dataSet;
    const edited = applyEdits(ds, [{ op: 'set', tag: Tags.SimpleFrameList, vr: 'UL', value: [66051] }]);
    const again = readDataSet(writeDataSet(edited, EXPLICIT_BE), EXPLICIT_BE).dataSet;
    expect(toJson(again)['00081161']).toEqual({ vr: 'UL', Value: [66051] });
    expect(isEditable(Tags.FrameIncrementPointer)).toBe(false);
  });

  it.each([
    ['file meta', 0x00020010],
    ['a group length', 0x00100000],
    ['the SOP class', Tags.SOPClassUID],
    ['the SOP instance', Tags.SOPInstanceUID],
    ['the study', Tags.StudyInstanceUID],
    ['the series', Tags.SeriesInstanceUID],
    ['the character set', Tags.SpecificCharacterSet],
    ['pixels', Tags.PixelData],
    ['how pixels are read', Tags.Rows],
    ['how pixels are read', Tags.PhotometricInterpretation],
    ['how pixels are read', Tags.RescaleSlope],
    ['an overlay plane', 0x60003000],
    ['an overlay plane of a later group', 0x60020010],
    ['a signature', Tags.DigitalSignaturesSequence],
    ['what was corrected before', Tags.OriginalAttributesSequence],
    ['no tag', -1],
  ])('never touches %s', (_, tag) => {
    expect(() => checkEdits([{ op: 'delete', tag }])).toThrow(
      expect.objectContaining({ code: 'EDIT_FORBIDDEN' }),
    );
  });

  it.each<[string, Edit]>([
    ['a date that is none', set(Tags.PatientBirthDate, 'DA', '19701301')],
    ['another VR', set(Tags.PatientID, 'SH', 'x')],
    ['too long', set(Tags.PatientID, 'LO', 'x'.repeat(65))],
    ['two values by a backslash', set(Tags.PatientID, 'LO', 'a\\b')],
    ['a control character', set(Tags.PatientID, 'LO', 'a\nb')],
    ['binary', { op: 'set', tag: 0x00091001, vr: 'OB', value: [] }],
    ['an object for text', { op: 'set', tag: Tags.PatientID, vr: 'LO', value: [{ Alphabetic: 'x' }] }],
  ])('refuses %s', (_, edit) => {
    expect(() => checkEdits([edit])).toThrow(expect.objectContaining({ code: 'EDIT_VALUE' }));
  });

  it('refuses one attribute twice', () => {
    const edit = set(Tags.PatientID, 'LO', 'x');
    expect(() => checkEdits([edit, edit])).toThrow(expect.objectContaining({ code: 'EDIT_VALUE' }));
  });

  it('comes back from its JSON as it went', () => {
    fc.assert(
      fc.property(someEdits, (edits) => {
        const sorted = composeEdits(edits);
        expect(readEdits(JSON.parse(JSON.stringify(editsJson(sorted))))).toEqual(sorted);
      }),
    );
  });

  it('takes any JSON, and throws a fault for what it is not', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.jsonValue(), fc.dictionary(fc.constant('00100020'), fc.jsonValue())),
        (json) => {
          try {
            readEdits(json);
          } catch (error) {
            expect(['EDIT_VALUE', 'EDIT_FORBIDDEN']).toContain(asFault(error).code);
          }
        },
      ),
    );
  });
});
