/**
 * Codes, units and patients of a data set as words for a person to read.
 *
 * Source: PS3.3 §8 (code sequence macro, Table 8.8-1), §C.7.1.1 (patient), UCUM (units).
 * Layer:  core/translate. Text only, never markup.
 */
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { storageSopClass } from '../dicom/dictionary.ts';
import { parsePersonName } from '../dicom/person-name.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { items, text, texts, uidValue } from '../dicom/values.ts';

export interface Code {
  /** Short, long or URN code value, whichever the item has (PS3.3 §8.1, §8.13, §8.14). */
  readonly value: string;
  readonly scheme: string;
  readonly meaning: string;
}

/** The first item of a code sequence; undefined when there is none. */
export function codeOf(ds: DataSet, sequence: Tag): Code | undefined {
  const item = items(ds, sequence)[0];
  return item && readCode(item);
}

export function readCode(item: DataSet): Code {
  return {
    value:
      text(item, Tags.CodeValue) ?? text(item, Tags.LongCodeValue) ?? text(item, Tags.URNCodeValue) ?? '',
    scheme: text(item, Tags.CodingSchemeDesignator) ?? '',
    meaning: text(item, Tags.CodeMeaning) ?? '',
  };
}

/** The meaning; a code without one by its value and scheme, so that nothing is read as empty. */
export function codeText(code: Code | undefined): string {
  if (!code) return '';
  return code.meaning || [code.value, code.scheme && `(${code.scheme})`].filter(Boolean).join(' ');
}

const EXPONENTS: Readonly<Record<string, string>> = { 2: '²', 3: '³' };

/** A UCUM unit as it is printed: `mm2` is mm², `uV` is µV, `1` is nothing; what has no symbol by its meaning. */
export function unitText(code: Code | undefined): string {
  if (!code) return '';
  if (code.value === "[hnsf'U]") return 'HU';
  if (code.scheme !== 'UCUM' || code.value === '' || /[[{]/.test(code.value)) return codeText(code);
  if (code.value === '1') return '';
  return code.value
    .replace(/(?<=[a-zA-Z])[23](?![0-9])/g, (digit) => EXPONENTS[digit] ?? digit)
    .replace(/(^|[./])u(?=[a-zA-Z])/g, '$1µ')
    .replaceAll('.', '·');
}

/** Whose document it is, and what: shown with every document, so that nobody reads it as another's. */
export interface DocumentHead {
  readonly sopClassUid: string;
  /** Of the standard; the UID for a private class. */
  readonly sopClassName: string;
  readonly patient: {
    readonly name: {
      readonly alphabetic: string;
      readonly ideographic?: string | undefined;
      readonly phonetic?: string | undefined;
    };
    readonly id: string;
    readonly birthDate: string;
    readonly sex: string;
  };
  /** Content Date and Time, else of the series, else of the study; as DA and TM. */
  readonly date: string;
  readonly time: string;
  readonly institution: string;
}

const DATES = [
  { date: Tags.ContentDate, time: Tags.ContentTime },
  { date: Tags.SeriesDate, time: Tags.SeriesTime },
  { date: Tags.StudyDate, time: Tags.StudyTime },
] as const;

export function documentHead(ds: DataSet): DocumentHead {
  const sopClassUid = uidValue(ds, Tags.SOPClassUID) ?? '';
  const name = parsePersonName(texts(ds, Tags.PatientName)[0] ?? '') ?? {};
  const dated = DATES.find(({ date }) => text(ds, date) !== undefined);
  return {
    sopClassUid,
    sopClassName: sopClassName(sopClassUid),
    patient: {
      name: {
        alphabetic: name.Alphabetic ?? '',
        ...(name.Ideographic === undefined ? {} : { ideographic: name.Ideographic }),
        ...(name.Phonetic === undefined ? {} : { phonetic: name.Phonetic }),
      },
      id: text(ds, Tags.PatientID) ?? '',
      birthDate: text(ds, Tags.PatientBirthDate) ?? '',
      sex: text(ds, Tags.PatientSex) ?? '',
    },
    date: (dated && text(ds, dated.date)) ?? '',
    time: (dated && text(ds, dated.time)) ?? '',
    institution: text(ds, Tags.InstitutionName) ?? '',
  };
}

/** The standard's name without its last word, "Storage", which says nothing to a reader. */
export function sopClassName(uid: string): string {
  return storageSopClass(uid)?.name.replace(/ Storage( SOP Class)?(?= \(Retired\)|$)/, '') ?? uid;
}
