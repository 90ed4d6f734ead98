/**
 * What becomes of every valid and every odd file of the shared data when a person uploads it: kept and findable, kept aside
 * beside another of its name, or in quarantine for a reason that is written here.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeDataSet, writePart10 } from '@lightbox/core/dicom/write.ts';
import { describeWith, manifest } from '../../../tools/testing.ts';
import { openTestArchive, type TestArchive } from './testing.ts';
import type { IngestOutcome } from './types.ts';

const source = { kind: 'upload', by: 'test', remoteAddress: '' } as const;
let box: TestArchive;
beforeAll(async () => {
  box = await openTestArchive();
});
afterAll(async () => {
  await box.close();
});

async function take(bytes: Uint8Array): Promise<IngestOutcome> {
  const writer = await box.archive.ingest.begin(source, { form: 'part10' });
  await writer.write(bytes);
  return writer.finish();
}

/** Path, code of the quarantine, and why that is right. The first that fits counts. */
const QUARANTINED: readonly (readonly [RegExp, string, string])[] = [
  [/^dicomdir\/DICOMDIR-nooffset$/, 'DICOM_LENGTH', 'an element runs past the item it is in'],
  [/^dicomdir\//, 'DICOM_UID', 'a directory of a CD, not an object of a study'],
  [/^palette\//, 'DICOM_UID', 'a colour palette belongs to no study (PS3.4 Annex GG is not offered)'],
  [/NeurosurgeryPlan/, 'DICOM_UID', 'an implant plan without a study'],
  [/^sr-pr-ko\/dwv__sr-/, 'DICOM_UID', 'no Series Instance UID'],
  [/^image\/ct\/dwv__gdcm-CT-MONO2-8-abdo/, 'DICOM_UID', 'letters in Series Instance UID'],
  [
    /^image\/ot\/pydicom__SC_rgb_jpeg\.dcm$/,
    'DICOM_SYNTAX_MISMATCH',
    'explicit declared, implicit written (A11)',
  ],
  [/^(image\/ot|charset)\//, 'DICOM_UID', 'no Study Instance UID: a test image of a codec'],
  [/^odd\/dwv__dwv-test-/, 'DICOM_UID', 'no SOP Class UID'],
  [/^odd\/pydicom__no_meta\.dcm$/, 'DICOM_NOT_PART10', 'begins with a byte that belongs to nothing'],
  [/^odd\/pydicomdata__bad_sequence/, 'DICOM_UID', 'letters in Study Instance UID'],
  [/^odd\/(pydicom__|dcm4che__no_preamble)/, 'DICOM_UID', 'no Study Instance UID'],
  [/^synth\/broken\/deep_nesting/, 'DICOM_DEPTH', 'more than 64 sequences within each other (A7)'],
  [
    /^synth\/broken\/trailing_garbage/,
    'DICOM_TRUNCATED',
    'bytes behind the pixels that are no element: nobody can tell whether something is missing',
  ],
  [/^synth\/broken\/uid_65/, 'DICOM_UID', 'a UID of 65 characters (A15)'],
  [/^fuzz\/cat01|^fuzz\/.*_uid_uid_/, 'DICOM_UID', 'a UID that is none (A15)'],
  [/^fuzz\/cat03.*depth_100/, 'DICOM_DEPTH', 'more than 64 sequences within each other (A7)'],
  [/^fuzz\/cat06.*stray_item/, 'DICOM_STRUCTURE', 'an item outside a sequence'],
  [/^fuzz\/cat07.*dicm_offset0/, 'DICOM_STRUCTURE', 'zeros behind the prefix'],
  [/^fuzz\/cat07/, 'DICOM_NOT_PART10', 'the prefix in another place (PS3.10 §7.1)'],
  [/^fuzz\//, 'DICOM_TRUNCATED', 'ends in the middle of an element, as DCMTK says too'],
];

describeWith(['testdata'], 'Every valid and odd file', () => {
  it('is kept, or in quarantine for a known reason', async () => {
    const used = new Set<number>();
    const wrong: string[] = [];
    const told = new Map<string, number>();
    let kept = 0;
    for (const row of manifest()) {
      if (row.expected === 'broken' || /^(hl7|fhir)\//.test(row.path)) continue;
      const outcome = await take(readFileSync(row.file));
      if (outcome.status !== 'quarantined') {
        // A conflict is the same image in another transfer syntax, or changed by who wrote the test data.
        if (outcome.status === 'refused') wrong.push(`${row.path}: refused`);
        kept += 1;
        continue;
      }
      const index = QUARANTINED.findIndex(([path]) => path.test(row.path));
      const [, code = '', why = 'no reason is known'] = QUARANTINED[index] ?? [];
      used.add(index);
      if (outcome.fault?.code !== code) wrong.push(`${row.path}: ${outcome.fault?.message}, ${why}`);
      told.set(`${code}: ${why}`, (told.get(`${code}: ${why}`) ?? 0) + 1);
    }
    for (const [why, files] of told) process.stderr.write(`in quarantine, ${files} files, ${why}\n`);
    expect(wrong).toEqual([]);
    expect(QUARANTINED.filter((_, index) => !used.has(index)).map(([path]) => path.source)).toEqual([]);
    expect(kept).toBeGreaterThan(700);
  }, 300_000);
});

describe('Data sets without preamble and file meta (PS3.10 §7.1)', () => {
  const bare = (sop: string, syntax: string, derivation = ''): Uint8Array =>
    writeDataSet(
      dataSet({
        SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
        SOPInstanceUID: sop,
        StudyInstanceUID: '1.2.77',
        SeriesInstanceUID: '1.2.77.1',
        PatientID: 'BARE',
        DerivationDescription: derivation,
        PixelData: { vr: 'OW', value: Uint8Array.of(1, 2, 3, 4) },
      }),
      syntax,
    );

  it.each([
    ['implicit little endian', IMPLICIT_LE, '1.2.77.1.1'],
    ['explicit little endian', EXPLICIT_LE, '1.2.77.1.2'],
    ['explicit big endian', EXPLICIT_BE, '1.2.77.1.3'],
  ])(
    'in %s are kept with file meta of ours and a warning, their bytes as they came',
    async (_, syntax, sop) => {
      const bytes = bare(sop, syntax);
      const outcome = await take(bytes);
      expect(outcome).toMatchObject({ status: 'stored', sopInstanceUid: sop });
      expect(outcome.warnings).toEqual(expect.arrayContaining(['NO_PREAMBLE', 'NO_META']));
      const [ref] = await box.archive.retrieve.list({ studyUid: '1.2.77', sopUid: sop });
      const file = await box.archive.retrieve.read(ref!, 0, ref!.length);
      expect(readPart10(file).transferSyntaxUid).toBe(syntax);
      expect(file.subarray(ref!.dataSetOffset).equals(bytes)).toBe(true);
      expect((await take(bytes)).status).toBe('duplicate');
    },
  );

  it('are read from their beginning when DICM stands in a value where the prefix would be', async () => {
    const bytes = ['', ' ', '  ', '   ']
      .map((pad) => Buffer.from(bare('1.2.77.1.5', EXPLICIT_LE, pad + 'DICM'.repeat(40))))
      .find((one) => one.toString('latin1', 128, 132) === 'DICM');
    const outcome = await take(bytes!);
    expect(outcome).toMatchObject({ status: 'stored', sopInstanceUid: '1.2.77.1.5' });
  });

  it('that end in the middle of an element go to quarantine', async () => {
    const bytes = bare('1.2.77.1.4', IMPLICIT_LE);
    const outcome = await take(bytes.subarray(0, bytes.length - 1));
    expect(outcome).toMatchObject({ status: 'quarantined', fault: { code: 'DICOM_TRUNCATED' } });
  });
});

describe('A file in another form than it declares (attack A11)', () => {
  const ds = dataSet({
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
    SOPInstanceUID: '1.2.78.1',
    StudyInstanceUID: '1.2.78',
    SeriesInstanceUID: '1.2.78.2',
  });
  it.each([
    ['explicit, written implicit', EXPLICIT_LE, IMPLICIT_LE],
    ['implicit, written explicit', IMPLICIT_LE, EXPLICIT_LE],
    ['little endian, written big', EXPLICIT_LE, EXPLICIT_BE],
    ['big endian, written little', EXPLICIT_BE, EXPLICIT_LE],
  ])('goes to quarantine: declared %s', async (_, declared, written) => {
    const file = Buffer.from(writePart10(ds, declared));
    const { dataSetOffset } = readPart10(file);
    const lying = Buffer.concat([file.subarray(0, dataSetOffset), writeDataSet(ds, written)]);
    const outcome = await take(lying);
    expect(outcome).toMatchObject({ status: 'quarantined', fault: { code: 'DICOM_SYNTAX_MISMATCH' } });
    expect(outcome.fault?.row.meaning).toContain('transfer syntax');
  });
});
