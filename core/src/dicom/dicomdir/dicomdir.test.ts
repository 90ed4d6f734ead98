import { describe, expect, it } from 'vitest';
import { Fault } from '../../base/fault.ts';
import { dataSet } from '../element.ts';
import { readPart10 } from '../read.ts';
import { Tags } from '../tags.gen.ts';
import { EXPLICIT_LE } from '../transfer-syntax.ts';
import { items, number, text, uidValue } from '../values.ts';
import { readDirectory } from './read-directory.ts';
import { recordType } from './records.ts';
import { writePart10 } from '../write.ts';
import { DirectoryWriter } from './write-directory.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';

const object = (values: Parameters<typeof dataSet>[0]) =>
  dataSet({
    SOPClassUID: CT,
    SOPInstanceUID: '1.2.3.4',
    StudyInstanceUID: '1.2.3',
    SeriesInstanceUID: '1.2.3.1',
    PatientID: 'P1',
    PatientName: 'Doe^Jane',
    StudyDate: '20260102',
    StudyTime: '101500',
    StudyID: 'S1',
    Modality: 'CT',
    SeriesNumber: 2,
    InstanceNumber: 7,
    ...values,
  });

const file = (...fileId: string[]) => ({ fileId, transferSyntaxUid: EXPLICIT_LE });
const NAMES = { fileSetId: 'LIGHTBOX', sopInstanceUid: '2.25.1' };

function twoPatients(): Uint8Array {
  const directory = new DirectoryWriter();
  directory.add(object({}), file('A', '1'));
  directory.add(object({ SOPInstanceUID: '1.2.3.5', InstanceNumber: 8 }), file('A', '2'));
  directory.add(object({ SOPInstanceUID: '1.2.3.6', SeriesInstanceUID: '1.2.3.2' }), file('A', '3'));
  directory.add(
    object({ SOPInstanceUID: '1.2.3.7', PatientID: 'P2', StudyInstanceUID: '1.2.4' }),
    file('A', '4'),
  );
  return directory.write(NAMES);
}

describe('DICOMDIR (PS3.3 Annex F, PS3.10 §8)', () => {
  it('leads by its offsets from patients to files, and is whole', () => {
    const read = readDirectory(twoPatients());
    expect(read).toMatchObject({ fileSetId: 'LIGHTBOX', brokenOffsets: 0, unreachable: 0 });
    const shape = (entries: typeof read.roots): unknown[] =>
      entries.map((one) => [one.type, ...(one.children.length ? [shape(one.children)] : one.fileId)]);
    expect(shape(read.roots)).toEqual([
      [
        'PATIENT',
        [
          [
            'STUDY',
            [
              [
                'SERIES',
                [
                  ['IMAGE', 'A', '1'],
                  ['IMAGE', 'A', '2'],
                ],
              ],
              ['SERIES', [['IMAGE', 'A', '3']]],
            ],
          ],
        ],
      ],
      ['PATIENT', [['STUDY', [['SERIES', [['IMAGE', 'A', '4']]]]]]],
    ]);
  });

  it('points at the first byte of each record item, counted from the start of the file (§F.3.2.2)', () => {
    const bytes = twoPatients();
    const { dataSet: ds, meta } = readPart10(bytes);
    const first = number(ds, Tags.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity) ?? 0;
    const last = number(ds, Tags.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity) ?? 0;
    const item = [0xfe, 0xff, 0x00, 0xe0];
    expect([...bytes.subarray(first, first + 4)]).toEqual(item);
    expect([...bytes.subarray(last, last + 4)]).toEqual(item);
    expect(last).toBeGreaterThan(first);
    expect(uidValue(meta, Tags.TransferSyntaxUID)).toBe(EXPLICIT_LE);
  });

  it('keeps the same ID of two issuers, and patients without ID, apart', () => {
    const directory = new DirectoryWriter();
    directory.add(object({ IssuerOfPatientID: 'A' }), file('1'));
    directory.add(object({ IssuerOfPatientID: 'B' }), file('2'));
    directory.add(object({ PatientID: [], StudyInstanceUID: '1.7' }), file('3'));
    directory.add(object({ PatientID: undefined, StudyInstanceUID: '1.8' }), file('4'));
    const { roots } = readDirectory(directory.write(NAMES));
    expect(roots).toHaveLength(4);
    // PatientID is Type 1 in the record.
    expect(roots.map(({ record }) => text(record, Tags.PatientID))).toEqual(['P1', 'P1', 'NONE-3', 'NONE-4']);
  });

  it('writes names in the characters the object has', () => {
    const directory = new DirectoryWriter();
    directory.add(
      object({ SpecificCharacterSet: 'ISO_IR 192', PatientName: 'Wang^XiaoDong=王^小东' }),
      file('1'),
    );
    const [patient] = readDirectory(directory.write(NAMES)).roots;
    expect(text(patient!.record, Tags.PatientName)).toBe('Wang^XiaoDong=王^小东');
    expect(text(patient!.record, Tags.SpecificCharacterSet)).toBe('ISO_IR 192');
    // The series record has no such text, and so no character set.
    expect(patient!.children[0]!.children[0]!.record.elements.has(Tags.SpecificCharacterSet)).toBe(false);
  });

  it.each([
    ['1.2.840.10008.5.1.4.1.1.481.2', 'RT DOSE'],
    ['1.2.840.10008.5.1.4.1.1.481.23', 'IMAGE'],
    ['1.2.840.10008.5.1.4.1.1.481.21', 'RADIOTHERAPY'],
    ['1.2.840.10008.5.1.4.1.1.11.1', 'PRESENTATION'],
    ['1.2.840.10008.5.1.4.1.1.12.1', 'IMAGE'],
    ['1.2.840.10008.5.1.4.1.1.9.1.1', 'WAVEFORM'],
    ['1.2.840.10008.5.1.4.1.1.88.59', 'KEY OBJECT DOC'],
    ['1.2.840.10008.5.1.4.1.1.88.67', 'SR DOCUMENT'],
    ['1.2.840.10008.5.1.4.1.1.104.1', 'ENCAP DOC'],
    ['1.2.840.10008.5.1.4.1.1.66', 'RAW DATA'],
    ['1.2.840.10008.5.1.4.1.1.66.4', 'IMAGE'],
    ['1.2.840.10008.5.1.4.1.1.66.5', 'SURFACE'],
    ['1.3.12.2.1107.5.9.1', 'PRIVATE'],
  ])('%s is a record of type %s (Table F.4-1)', (sopClassUid, type) => {
    expect(recordType(sopClassUid)).toBe(type);
  });

  it('takes of a report only what modifies its title (§F.5.24)', () => {
    const code = (meaning: string) => [
      dataSet({ CodeValue: '1', CodingSchemeDesignator: 'X', CodeMeaning: meaning }),
    ];
    const child = (relationship: string) =>
      dataSet({ RelationshipType: relationship, ValueType: 'TEXT', TextValue: relationship });
    const directory = new DirectoryWriter();
    directory.add(
      object({
        SOPClassUID: '1.2.840.10008.5.1.4.1.1.88.11',
        CompletionFlag: 'COMPLETE',
        VerificationFlag: 'UNVERIFIED',
        ConceptNameCodeSequence: code('Report'),
        ContentSequence: [child('HAS CONCEPT MOD'), child('CONTAINS')],
      }),
      file('1'),
    );
    const document = readDirectory(directory.write(NAMES)).roots[0]!.children[0]!.children[0]!.children[0]!;
    expect(items(document.record, Tags.ContentSequence).map((one) => text(one, Tags.TextValue))).toEqual([
      'HAS CONCEPT MOD',
    ]);
    // Type 1, and the object has none: the study's date stands for it.
    expect(text(document.record, Tags.ContentDate)).toBe('20260102');
  });

  it.each([['abc'], ['TOOLONG99'], ['..'], ['A/B'], ['']])(
    'refuses %j in a File ID (PS3.10 §8.2)',
    (name) => {
      expect(() => new DirectoryWriter().add(object({}), file(name))).toThrow(new Fault('MEDIA_FILE_ID'));
    },
  );
});

describe('a hostile DICOMDIR (attack A28)', () => {
  /** Writes an offset over the one that a record or the root has. */
  const broken = (what: 'root' | 'next' | 'lower', to: (own: number) => number): Uint8Array => {
    const bytes = twoPatients();
    const { dataSet: ds } = readPart10(bytes);
    const first = number(ds, Tags.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity) ?? 0;
    const tag =
      what === 'next'
        ? Tags.OffsetOfTheNextDirectoryRecord
        : Tags.OffsetOfReferencedLowerLevelDirectoryEntity;
    const holder =
      what === 'root'
        ? ds.elements.get(Tags.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity)
        : items(ds, Tags.DirectoryRecordSequence)[0]?.elements.get(tag);
    const value = holder!.bytes!;
    new DataView(value.buffer, value.byteOffset).setUint32(0, to(first), true);
    return bytes;
  };

  it.each([
    ['a record that is its own next', broken('next', (own) => own)],
    ['a record below itself', broken('lower', (own) => own)],
    ['an offset of 4 GB', broken('lower', () => 0xffffffff)],
    ['an offset into the middle of a record', broken('next', (own) => own + 2)],
    ['a root beyond the file', broken('root', () => 0xfffffff0)],
  ])('%s is counted and left', (_, bytes) => {
    const read = readDirectory(bytes);
    expect(read.brokenOffsets).toBe(1);
    // Still every file is known: its completeness can be told.
    expect(read.files).toHaveLength(4);
  });

  it('is not taken for one when it is an image', () => {
    expect(() => readDirectory(writePart10(object({})))).toThrow(new Fault('MEDIA_NO_DIRECTORY'));
  });
});
