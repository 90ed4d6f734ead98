/**
 * De-identified objects before strangers' programs: nothing of the patient is in the bytes, DCMTK reads them, and
 * dicom3tools finds no more wrong with them than with the originals.
 *
 * Source: PS3.15 §E.1.1, PS3.3 Annex A (IODs, as dciodvfy checks them).
 */
import { createHmac } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { DataSet, Element } from '../core/src/dicom/data-set.ts';
import { deidentify } from '../core/src/dicom/deidentify/deidentify.ts';
import type { DeidentifyOption } from '../core/src/dicom/deidentify/profile.ts';
import { isTechnical } from '../core/src/dicom/deidentify/unlisted.ts';
import { isPrivateCreator, lookup, tagText } from '../core/src/dicom/dictionary.ts';
import { DICTIONARY } from '../core/src/dicom/dictionary.gen.ts';
import { dataSet, dataSetOf, makeElement } from '../core/src/dicom/element.ts';
import type { ParsedObject } from '../core/src/dicom/parsed.ts';
import { readPart10 } from '../core/src/dicom/read.ts';
import { Tags } from '../core/src/dicom/tags.gen.ts';
import { readingSyntax } from '../core/src/dicom/transfer-syntax.ts';
import { ascii, effectiveVr, elementTexts, uidValue } from '../core/src/dicom/values.ts';
import { VR_FACTS } from '../core/src/dicom/vr.ts';
import { writePart10 } from '../core/src/dicom/write.ts';
import { describeWith, manifest, type ManifestRow } from '../tools/testing.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';

const hash = (text: string): Uint8Array => createHmac('sha256', 'key').update(text).digest();
const NO_OPTIONS: ReadonlySet<DeidentifyOption> = new Set();
const MANY_OPTIONS: ReadonlySet<DeidentifyOption> = new Set([
  'cleanDescriptors',
  'cleanStructuredContent',
  'cleanGraphics',
  'retainModifiedDates',
  'retainPatientCharacteristics',
  'retainDeviceIdentity',
  'retainInstitutionIdentity',
  'retainSafePrivate',
]);

/** Reports by Table E.3.4-1 alone, and with all that may stay of them. */
const REPORT_OPTIONS: readonly ReadonlySet<DeidentifyOption>[] = [
  new Set(['cleanStructuredContent']),
  new Set(['cleanStructuredContent', 'retainUids', 'retainFullDates']),
];

interface Sample {
  readonly row: ManifestRow;
  readonly parsed: ParsedObject;
}

/** Headers of every valid file that is an object, not a directory; pixel data stays in the file. */
function samples(): Sample[] {
  const all: Sample[] = [];
  for (const row of manifest()) {
    if (row.expected !== 'valid' || /DICOMDIR/i.test(row.path) || row.sopClass.includes('Directory'))
      continue;
    // Metadata as JSON, pictures and the like are in the list too.
    if (row.dcmtkParse !== 'ok') continue;
    const parsed = readPart10(readFileSync(row.file), { onMismatch: 'warn', keepBytes: 1e8 });
    const { elements } = parsed.dataSet;
    const named = [Tags.SOPInstanceUID, Tags.SOPClassUID].every(
      (tag) => uidValue(parsed.dataSet, tag) !== undefined,
    );
    if (named && !elements.has(Tags.DirectoryRecordSequence)) all.push({ row, parsed });
  }
  return all;
}

const isPixels = (tag: number): boolean => tag >= 0x7fe00008 && tag <= 0x7fe00010;
/** What the reader left in the file: pixel data at the top. */
const withoutPixels = (ds: DataSet): DataSet =>
  dataSetOf(
    [...ds.elements.values()].filter((one) => !isPixels(one.tag) && !one.bulk && !one.fragments),
    ds.charsets,
    ds.littleEndian,
  );

/** The whole object again: native pixels as they were, encapsulated ones as the items lie in the file. */
function whole(ds: DataSet, { parsed }: Sample, bytes: Uint8Array): DataSet {
  const pixels = parsed.pixelData;
  const original = pixels && parsed.dataSet.elements.get(pixels.tag);
  if (!pixels || !original || parsed.deflated) return withoutPixels(ds);
  const value = bytes.subarray(pixels.offset, pixels.offset + pixels.length);
  const element: Element = { ...original, bulk: undefined, bytes: value };
  return dataSetOf([...withoutPixels(ds).elements.values(), element], ds.charsets, ds.littleEndian);
}

const FREE_TEXT = new Set(['LO', 'SH', 'ST', 'LT', 'UT', 'UC', 'PN', 'AE', 'UR']);

/** The object with a canary in every text, private ones and those of items too, and some more. */
function withCanaries(ds: DataSet, next: () => string, top = true): DataSet {
  const planted: Element[] = [];
  for (const element of ds.elements.values()) {
    const vr = effectiveVr(element);
    if (element.items)
      planted.push({ ...element, items: element.items.map((item) => withCanaries(item, next, false)) });
    else if (isTechnical(element.tag) || isPrivateCreator(element.tag)) planted.push(element);
    else if (FREE_TEXT.has(vr)) planted.push(makeElement(element.tag, next(), { vr }));
    else if (vr === 'CS' && element.tag >>> 16 !== 0x28 && element.tag !== Tags.SpecificCharacterSet && !top)
      planted.push(makeElement(element.tag, next().toLowerCase(), { vr }));
    else planted.push(element);
  }
  if (top) {
    planted.push(
      makeElement(0x000b0010, next(), { vr: 'LO' }),
      makeElement(0x000b1001, next(), { vr: 'LO' }),
      makeElement(0x000b1002, [dataSet({ PatientName: next() })], { vr: 'SQ' }),
      makeElement(Tags.ProcedureCodeSequence, [dataSet({ PatientComments: next(), DeviceID: next() })]),
    );
  }
  const merged = new Map(planted.map((one) => [one.tag, one]));
  return dataSetOf(merged.values(), ds.charsets, ds.littleEndian);
}

/** Names, numbers, days and UIDs of the original that must not be found again. */
function identity(ds: DataSet, out = new Set<string>()): Set<string> {
  for (const element of ds.elements.values()) {
    for (const item of element.items ?? []) identity(item, out);
    const vr = effectiveVr(element);
    const id = [Tags.PatientID, Tags.AccessionNumber, Tags.StudyID, Tags.DeviceSerialNumber].includes(
      element.tag as never,
    );
    if (!(vr === 'PN' || vr === 'DA' || vr === 'UI' || id)) continue;
    for (const value of elementTexts(element, ds)) {
      const kept = vr === 'UI' && (value.startsWith('1.2.840.10008.') || isClass(element.tag));
      const day = vr === 'DA' && (value.length < 8 || value === '19000101');
      if (value.length >= 6 && !kept && !day && value !== 'REMOVED') out.add(value);
    }
  }
  return out;
}
const isClass = (tag: number): boolean =>
  /ClassUID|TransferSyntax|CodingSchemeUID|ContextUID|CreatorUID|MappingResourceUID|CreatorVersionUID/.test(
    lookup(tag)?.keyword ?? '',
  );

/** Text elements alone, as the file has them: a match in numbers or bitmaps would mean nothing. */
function textBytes(ds: DataSet): string {
  return [...ds.elements.values()]
    .map((one) => {
      if (one.items) return one.items.map(textBytes).join('\n');
      return one.bytes && (VR_FACTS[one.vr].kind === 'text' || one.vr === 'UN' || one.vr === 'OB')
        ? ascii(one.bytes.subarray(0, 1_000_000))
        : '';
    })
    .join('\n');
}

describeWith(['testdata'], 'De-identified test data (PS3.15 §E.1)', () => {
  it('holds no canary of any text attribute of the dictionary', () => {
    const every: Element[] = [];
    let count = 0;
    for (const line of DICTIONARY.split('\n')) {
      const tag = Number.parseInt(line.slice(0, 8).replaceAll('x', '0'), 16);
      const entry = lookup(tag);
      if (!entry || tag < 0x00080000 || isTechnical(tag)) continue;
      for (const vr of entry.vrs.filter((one) => FREE_TEXT.has(one)).slice(0, 1))
        every.push(makeElement(tag, `CANARY${++count}Q`, { vr }));
    }
    const nested = dataSetOf(every);
    const names = { SOPClassUID: '1.2.840.10008.5.1.4.1.1.66', SOPInstanceUID: '1.2.3' };
    const object = dataSetOf([
      ...dataSet(names).elements.values(),
      ...every,
      makeElement(Tags.SharedFunctionalGroupsSequence, [nested]),
    ]);
    const clean = deidentify(object, { options: NO_OPTIONS, hash }).dataSet;
    expect(ascii(writePart10(clean)).match(/canary\d+q/gi) ?? []).toEqual([]);
    expect(count).toBeGreaterThan(600);
  });

  it('holds no canary and nothing of who it was, in any file', () => {
    const leaks: string[] = [];
    let files = 0;
    for (const { row, parsed } of samples()) {
      let count = 0;
      const planted = withCanaries(withoutPixels(parsed.dataSet), () => `CANARY${++count}Q`);
      const clean = deidentify(planted, { options: NO_OPTIONS, hash }).dataSet;
      const { explicitVr, uid } = readingSyntax(parsed.transferSyntaxUid);
      const written = ascii(writePart10(clean, uid, {}));
      const found = /canary\d+q/i.exec(written);
      if (found) leaks.push(`${row.path}: ${found[0]} of ${count}, explicit ${explicitVr}`);
      expect(count).toBeGreaterThan(4);

      const own = deidentify(withoutPixels(parsed.dataSet), { options: NO_OPTIONS, hash }).dataSet;
      const text = textBytes(own);
      for (const value of identity(parsed.dataSet)) {
        if (!text.includes(value)) continue;
        const where = [...own.elements.values()].find((one) => textBytes(dataSetOf([one])).includes(value));
        leaks.push(`${row.path}: original ${value} in ${where ? tagText(where.tag) : '?'}`);
      }
      files += 1;
    }
    expect(leaks).toEqual([]);
    expect(files).toBeGreaterThan(300);
  });
});

describeWith(
  ['testdata', 'dcmdump', 'dsrdump', 'dciodvfy'],
  'De-identified files before other programs',
  () => {
    it('are read by DCMTK, reports as reports, and dciodvfy finds no more errors than in the originals', async () => {
      const folder = temporaryFolder();
      const worse: string[] = [];
      let checked = 0;
      let reports = 0;
      const check = async (sample: Sample, options: ReadonlySet<DeidentifyOption>): Promise<void> => {
        const { row, parsed } = sample;
        const { dataSet: clean } = deidentify(parsed.dataSet, { options, hash });
        const path = join(folder.path, `${++checked}.dcm`);
        const object = whole(clean, sample, readFileSync(row.file));
        writeFileSync(path, writePart10(object, parsed.transferSyntaxUid));
        const report = parsed.dataSet.elements.has(Tags.ContentSequence);
        if (report) {
          const [before, after] = await Promise.all(
            [row.file, path].map((one) => run('dsrdump', ['-q', one])),
          );
          if (before?.code === 0) reports += 1;
          if (before?.code === 0 && after?.code !== 0)
            worse.push(`${row.path}: dsrdump ${after?.output.slice(0, 200) ?? ''}`);
        }
        const [dump, was, is] = await Promise.all([
          run('dcmdump', ['-q', '+E', path]),
          errors(row.file),
          errors(path),
        ]);
        rmSync(path);
        if (dump.code !== 0) worse.push(`${row.path}: dcmdump ${dump.output.slice(0, 200)}`);
        const added = is.filter((line) => !was.includes(line) && !isExpected(line));
        if (is.length > was.length && added.length > 0) worse.push(`${row.path}: ${added.join(' ; ')}`);
      };
      try {
        for (const [at, sample] of samples().entries()) {
          // The writer gives the inflated bytes of a deflated data set; the caller deflates.
          if (sample.parsed.deflated) continue;
          await check(sample, NO_OPTIONS);
          if (sample.parsed.dataSet.elements.has(Tags.ContentSequence))
            for (const options of REPORT_OPTIONS) await check(sample, options);
          if (at % 5 === 0 || sample.row.path.startsWith('sr-pr-ko')) await check(sample, MANY_OPTIONS);
        }
      } finally {
        folder.dispose();
      }
      expect(worse).toEqual([]);
      expect(checked).toBeGreaterThan(500);
      expect(reports).toBeGreaterThan(50);
    }, 900_000);
  },
);

const errors = async (file: string): Promise<string[]> =>
  (await run('dciodvfy', ['-new', file])).output.split('\n').filter((line) => line.startsWith('Error'));

/**
 * Table E.1-1 removes (0040,100A) everywhere; in a Hanging Protocol it is of Type 2 (PS3.3 Table C.23.1-1). A hanging protocol
 * knows no patient and nobody shares one as a case, so the table is followed.
 */
const isExpected = (line: string): boolean =>
  line.includes('HangingProtocolDefinitionSequence') &&
  line.includes('ReasonForRequestedProcedureCodeSequence');
