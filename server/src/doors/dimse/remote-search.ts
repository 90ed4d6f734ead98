/**
 * Searches another archive by C-FIND: studies by what a person has typed, and the series of one study.
 *
 * Source: PS3.4 §C.4.1 (C-FIND), §C.2.2.2 (matching), Tables C.6-5 and C.6-6 (keys), §C.4.1.1.3.1 (character set).
 * Layer:  server/doors/dimse.
 */
import type { DataSet, Tag } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { parsePersonName } from '@lightbox/core/dicom/person-name.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { text, texts } from '@lightbox/core/dicom/values.ts';
import { STUDY_ROOT_FIND } from '@lightbox/core/dimse/negotiate.ts';
import type { Device } from '../../identity/types.ts';
import { addressed } from './carrier.ts';
import { DimseClient } from './client.ts';
import type { DoorParts } from './door.ts';
import { dialOf } from './tls-client.ts';

export type SearchParts = Pick<DoorParts, 'config' | 'certificates'>;

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

const UTF_8 = 'ISO_IR 192';
const TIMEOUT_MS = 30_000;
/** A search nobody waits for any more is ended by C-CANCEL; an archive that does not listen is left after this. */
const CANCEL_MS = 5000;
/** A study has some dozens of series. */
const MAX_SERIES = 2000;

/** Matches as they come. @throws Fault DIMSE_*, TRANSFER_DEVICE. */
export async function* searchStudies(
  parts: SearchParts,
  device: Device,
  keys: StudyKeys,
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<FoundStudy> {
  for await (const match of find(parts, device, studyIdentifier(keys), limit, signal)) {
    const study = studyOf(match);
    // Archives that cannot match this key answer as if it had not been there (PS3.4 §C.2.2.1.3).
    const { modality = '' } = keys;
    if (modality !== '' && study.modalities.length > 0 && !study.modalities.includes(modality)) continue;
    if (study.studyUid !== '') yield study;
  }
}

/** In the order of their numbers. @throws Fault DIMSE_*, TRANSFER_DEVICE. */
export async function searchSeries(
  parts: SearchParts,
  device: Device,
  studyUid: string,
  signal: AbortSignal,
): Promise<FoundSeries[]> {
  const identifier = identifierOf('SERIES', [
    [Tags.StudyInstanceUID, studyUid],
    ...[Tags.SeriesInstanceUID, Tags.SeriesNumber, Tags.Modality, Tags.SeriesDescription].map(empty),
    ...[Tags.BodyPartExamined, Tags.NumberOfSeriesRelatedInstances].map(empty),
  ]);
  const found: FoundSeries[] = [];
  for await (const match of find(parts, device, identifier, MAX_SERIES, signal)) {
    const seriesUid = value(match, Tags.SeriesInstanceUID);
    if (seriesUid === '') continue;
    found.push({
      seriesUid,
      number: count(match, Tags.SeriesNumber),
      modality: value(match, Tags.Modality),
      description: value(match, Tags.SeriesDescription),
      bodyPart: value(match, Tags.BodyPartExamined),
      instanceCount: count(match, Tags.NumberOfSeriesRelatedInstances),
    });
  }
  return found.sort((a, b) => (a.number ?? Infinity) - (b.number ?? Infinity));
}

async function* find(
  parts: SearchParts,
  device: Device,
  identifier: DataSet,
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<DataSet> {
  const { host, port, aeTitle: calledAe } = addressed(device);
  const { aeTitle: callingAe, tls } = parts.config;
  const client = await DimseClient.open({
    ...{ host, port, calledAe, callingAe, timeoutMs: TIMEOUT_MS },
    tls: dialOf(device, callingAe, parts.certificates, tls.profile),
    contexts: [{ sopClassUid: STUDY_ROOT_FIND, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }],
  });
  let patience: NodeJS.Timeout | undefined;
  const leave = (): void => {
    patience = setTimeout(() => client.abort(), CANCEL_MS);
  };
  signal.addEventListener('abort', leave, { once: true });
  try {
    if (signal.aborted) return;
    for await (const match of client.find(STUDY_ROOT_FIND, identifier, limit)) {
      if (signal.aborted) return;
      yield match;
    }
  } finally {
    signal.removeEventListener('abort', leave);
    if (client.usable) await client.close();
    clearTimeout(patience);
  }
}

/** What is asked: the typed keys as DICOM matches them, and everything the page shows. */
export function studyIdentifier(keys: StudyKeys): DataSet {
  const range = keys.dateFrom || keys.dateTo ? `${keys.dateFrom ?? ''}-${keys.dateTo ?? ''}` : '';
  return identifierOf('STUDY', [
    [Tags.StudyDate, range],
    [Tags.StudyTime, ''],
    [Tags.AccessionNumber, keys.accession?.trim() ?? ''],
    [Tags.ModalitiesInStudy, keys.modality ?? ''],
    [Tags.StudyDescription, wild(keys.description, '*', '*')],
    [Tags.PatientName, wild(keys.patientName?.trim().replace(/\s*,\s*/g, '^'), '', '*')],
    [Tags.PatientID, keys.patientId?.trim() ?? ''],
    [Tags.PatientBirthDate, keys.birthDate ?? ''],
    [Tags.PatientSex, ''],
    [Tags.StudyInstanceUID, keys.studyUid ?? ''],
    [Tags.NumberOfStudyRelatedSeries, ''],
    [Tags.NumberOfStudyRelatedInstances, ''],
  ]);
}

/** With the wildcards a person means when there are none. */
function wild(typed: string | undefined, before: string, after: string): string {
  const bare = typed?.trim() ?? '';
  return bare === '' || /[*?]/.test(bare) ? bare : before + bare + after;
}

const empty = (tag: Tag): readonly [Tag, string] => [tag, ''];

function identifierOf(level: string, keys: readonly (readonly [Tag, string])[]): DataSet {
  // A backslash would make two values of one (PS3.5 §6.4).
  const safe = keys.map(([tag, typed]) => [tag, typed.replaceAll(/[\\\0-\x1f]/g, '')] as const);
  const charsets = safe.some(([, typed]) => /[^\0-\x7f]/.test(typed)) ? [UTF_8] : [];
  const elements = safe.map(([tag, typed]) =>
    makeElement(tag, typed === '' ? undefined : typed, { charsets }),
  );
  elements.push(makeElement(Tags.QueryRetrieveLevel, level));
  if (charsets.length > 0) elements.push(makeElement(Tags.SpecificCharacterSet, UTF_8));
  return dataSetOf(elements, charsets);
}

function studyOf(match: DataSet): FoundStudy {
  const groups = parsePersonName(value(match, Tags.PatientName)) ?? {};
  return {
    studyUid: value(match, Tags.StudyInstanceUID),
    patientName: {
      alphabetic: groups.Alphabetic ?? '',
      ...(groups.Ideographic === undefined ? {} : { ideographic: groups.Ideographic }),
      ...(groups.Phonetic === undefined ? {} : { phonetic: groups.Phonetic }),
    },
    ...{ patientId: value(match, Tags.PatientID), birthDate: value(match, Tags.PatientBirthDate) },
    ...{ sex: value(match, Tags.PatientSex), date: value(match, Tags.StudyDate) },
    ...{ time: value(match, Tags.StudyTime), description: value(match, Tags.StudyDescription) },
    ...{ accession: value(match, Tags.AccessionNumber), modalities: values(match, Tags.ModalitiesInStudy) },
    ...{ seriesCount: count(match, Tags.NumberOfStudyRelatedSeries) },
    instanceCount: count(match, Tags.NumberOfStudyRelatedInstances),
  };
}

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
