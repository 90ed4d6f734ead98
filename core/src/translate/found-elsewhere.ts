/**
 * Searching another archive: what a person has typed as matching keys, and what was found as a page shows it; the same for
 * C-FIND and QIDO-RS.
 *
 * Source: PS3.4 §C.2.2.2 (matching), Tables C.6-5 and C.6-6 (keys); PS3.18 Tables 10.6.1-5, 10.6.3-3 and 10.6.3-4.
 * Layer:  core/translate.
 */
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { parsePersonName } from '../dicom/person-name.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { text, texts } from '../dicom/values.ts';

/** What a person has typed. Dates as DA. */
export interface StudyKeys {
  readonly patientName?: string | undefined;
  readonly patientId?: string | undefined;
  readonly birthDate?: string | undefined;
  readonly accession?: string | undefined;
  readonly description?: string | undefined;
  readonly modality?: string | undefined;
  readonly dateFrom?: string | undefined;
  readonly dateTo?: string | undefined;
  readonly studyUid?: string | undefined;
}

export interface FoundStudy {
  readonly studyUid: string;
  readonly patientName: { alphabetic: string; ideographic?: string; phonetic?: string };
  readonly patientId: string;
  readonly issuer: string;
  readonly birthDate: string;
  readonly sex: string;
  readonly date: string;
  readonly time: string;
  readonly description: string;
  readonly accession: string;
  readonly modalities: string[];
  readonly seriesCount: number | null;
  readonly instanceCount: number | null;
}

export interface FoundSeries {
  readonly seriesUid: string;
  readonly number: number | null;
  readonly modality: string;
  readonly description: string;
  readonly bodyPart: string;
  readonly instanceCount: number | null;
}

/** A matching key; '' asks for the value. */
export type Key = readonly [tag: Tag, typed: string];

/** The typed keys as DICOM matches them, and everything the page shows. */
export function studyKeys(keys: StudyKeys): Key[] {
  const range = keys.dateFrom || keys.dateTo ? `${keys.dateFrom ?? ''}-${keys.dateTo ?? ''}` : '';
  return safe([
    [Tags.StudyDate, range],
    [Tags.StudyTime, ''],
    [Tags.AccessionNumber, keys.accession?.trim() ?? ''],
    [Tags.ModalitiesInStudy, keys.modality ?? ''],
    [Tags.StudyDescription, wild(keys.description, '*', '*')],
    [Tags.PatientName, wild(keys.patientName?.trim().replace(/\s*,\s*/g, '^'), '', '*')],
    [Tags.PatientID, keys.patientId?.trim() ?? ''],
    [Tags.IssuerOfPatientID, ''],
    [Tags.PatientBirthDate, keys.birthDate ?? ''],
    [Tags.PatientSex, ''],
    [Tags.StudyInstanceUID, keys.studyUid ?? ''],
    [Tags.NumberOfStudyRelatedSeries, ''],
    [Tags.NumberOfStudyRelatedInstances, ''],
  ]);
}

/** The series of one study. */
export function seriesKeys(studyUid: string): Key[] {
  return safe([
    [Tags.StudyInstanceUID, studyUid],
    [Tags.SeriesInstanceUID, ''],
    [Tags.SeriesNumber, ''],
    [Tags.Modality, ''],
    [Tags.SeriesDescription, ''],
    [Tags.BodyPartExamined, ''],
    [Tags.NumberOfSeriesRelatedInstances, ''],
  ]);
}

/** A backslash would make two values of one (PS3.5 §6.4). */
const safe = (keys: readonly Key[]): Key[] =>
  keys.map(([tag, typed]) => [tag, typed.replaceAll(/[\\\0-\x1f]/g, '')]);

/** With the wildcards a person means when there are none. */
function wild(typed: string | undefined, before: string, after: string): string {
  const bare = typed?.trim() ?? '';
  return bare === '' || /[*?]/.test(bare) ? bare : before + bare + after;
}

/** A match; undefined when it is none: without a UID, or of another modality where the archive did not look at that. */
export function studyOf(match: DataSet, { modality = '' }: StudyKeys): FoundStudy | undefined {
  const groups = parsePersonName(value(match, Tags.PatientName)) ?? {};
  const studyUid = value(match, Tags.StudyInstanceUID);
  const modalities = values(match, Tags.ModalitiesInStudy);
  if (studyUid === '') return undefined;
  // Archives that cannot match this key answer as if it had not been there (PS3.4 §C.2.2.1.3).
  if (modality !== '' && modalities.length > 0 && !modalities.includes(modality)) return undefined;
  return {
    studyUid,
    patientName: {
      alphabetic: groups.Alphabetic ?? '',
      ...(groups.Ideographic === undefined ? {} : { ideographic: groups.Ideographic }),
      ...(groups.Phonetic === undefined ? {} : { phonetic: groups.Phonetic }),
    },
    ...{ patientId: value(match, Tags.PatientID), issuer: value(match, Tags.IssuerOfPatientID) },
    birthDate: value(match, Tags.PatientBirthDate),
    ...{ sex: value(match, Tags.PatientSex), date: value(match, Tags.StudyDate) },
    ...{ time: value(match, Tags.StudyTime), description: value(match, Tags.StudyDescription) },
    ...{ accession: value(match, Tags.AccessionNumber), modalities },
    ...{ seriesCount: count(match, Tags.NumberOfStudyRelatedSeries) },
    instanceCount: count(match, Tags.NumberOfStudyRelatedInstances),
  };
}

/** Undefined when it has no UID. */
export function seriesOf(match: DataSet): FoundSeries | undefined {
  const seriesUid = value(match, Tags.SeriesInstanceUID);
  if (seriesUid === '') return undefined;
  return {
    seriesUid,
    number: count(match, Tags.SeriesNumber),
    modality: value(match, Tags.Modality),
    description: value(match, Tags.SeriesDescription),
    bodyPart: value(match, Tags.BodyPartExamined),
    instanceCount: count(match, Tags.NumberOfSeriesRelatedInstances),
  };
}

export const byNumber = (a: FoundSeries, b: FoundSeries): number =>
  (a.number ?? Infinity) - (b.number ?? Infinity) || 0;

/** One broken value of an archive does not hide the rest. */
function value(match: DataSet, tag: Tag): string {
  try {
    return text(match, tag)?.trim() ?? '';
  } catch {
    return '?';
  }
}

function values(match: DataSet, tag: Tag): string[] {
  try {
    return texts(match, tag).filter((one) => one !== '');
  } catch {
    return [];
  }
}

function count(match: DataSet, tag: Tag): number | null {
  const typed = value(match, tag);
  return /^\d{1,9}$/.test(typed) ? Number(typed) : null;
}
