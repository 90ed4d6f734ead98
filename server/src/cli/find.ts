/**
 * find: asks another program by C-FIND and shows what it answers as a table or as DICOM JSON.
 *
 * Source: PS3.4 §C.4.1 (C-FIND), §C.6.1 and §C.6.2 (Patient and Study Root), §C.5.1.1 (relational queries).
 * Layer:  server/cli.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet, Tag } from '@lightbox/core/dicom/data-set.ts';
import { keywordOf, tagText } from '@lightbox/core/dicom/dictionary.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { toJson } from '@lightbox/core/dicom/json.ts';
import { displayName, parsePersonName } from '@lightbox/core/dicom/person-name.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { texts } from '@lightbox/core/dicom/values.ts';
import { PATIENT_ROOT_FIND, STUDY_ROOT_FIND } from '@lightbox/core/dimse/negotiate.ts';
import { DimseClient } from '../doors/dimse/client.ts';
import type { TlsDial } from '../doors/dimse/tls-client.ts';
import { isBaseline, parseKey, uniqueUpTo, UTF_8, wholeNumber } from './keys.ts';
import { parsePeer, withAdvice } from './peer.ts';
import { formatTable } from './table.ts';
import { UsageError } from './usage.ts';

export interface FindOptions {
  readonly at?: string | undefined;
  readonly level?: string | undefined;
  readonly root?: string | undefined;
  readonly calling: string;
  readonly json?: boolean | undefined;
  readonly limit?: string | undefined;
  readonly timeout?: string | undefined;
  readonly tls?: TlsDial | undefined;
}

const ROOTS: Readonly<Partial<Record<string, string>>> = {
  patient: PATIENT_ROOT_FIND,
  study: STUDY_ROOT_FIND,
};

/** What is asked for and shown when nothing else is said; above, the unique keys of each level in order. */
const LEVELS: Readonly<Partial<Record<string, { readonly name: string; readonly shown: readonly Tag[] }>>> = {
  patient: {
    name: 'PATIENT',
    shown: [Tags.PatientName, Tags.PatientID, Tags.PatientBirthDate, Tags.PatientSex],
  },
  study: {
    name: 'STUDY',
    shown: [
      ...[Tags.StudyDate, Tags.StudyTime, Tags.PatientName, Tags.PatientID, Tags.PatientBirthDate],
      ...[Tags.ModalitiesInStudy, Tags.StudyDescription, Tags.AccessionNumber],
      ...[Tags.NumberOfStudyRelatedInstances, Tags.StudyInstanceUID],
    ],
  },
  series: {
    name: 'SERIES',
    shown: [
      ...[Tags.SeriesNumber, Tags.Modality, Tags.SeriesDescription],
      ...[Tags.NumberOfSeriesRelatedInstances, Tags.SeriesInstanceUID],
    ],
  },
  image: { name: 'IMAGE', shown: [Tags.InstanceNumber, Tags.SOPClassUID, Tags.SOPInstanceUID] },
};
/** Shorter than the keywords, which would make columns wide. */
const HEADINGS: ReadonlyMap<Tag, string> = new Map([
  [Tags.PatientName, 'Patient'],
  [Tags.PatientBirthDate, 'Born'],
  [Tags.PatientSex, 'Sex'],
  [Tags.StudyDate, 'Date'],
  [Tags.StudyTime, 'Time'],
  [Tags.ModalitiesInStudy, 'Modality'],
  [Tags.StudyDescription, 'Description'],
  [Tags.SeriesDescription, 'Description'],
  [Tags.AccessionNumber, 'Accession'],
  [Tags.NumberOfStudyRelatedInstances, 'Images'],
  [Tags.NumberOfSeriesRelatedInstances, 'Images'],
  [Tags.SeriesNumber, 'No.'],
  [Tags.InstanceNumber, 'No.'],
]);

/** @returns the exit code: 0 when the search was answered, also without a match. */
export async function find(keys: readonly string[], options: FindOptions): Promise<number> {
  const peer = parsePeer('--at', options.at);
  const levelName = options.level ?? 'study';
  const level = LEVELS[levelName];
  if (!level) throw new UsageError(`There is no level "${levelName}": patient, study, series or image.`);
  const rootName = options.root ?? (levelName === 'patient' ? 'patient' : 'study');
  const sopClass = ROOTS[rootName];
  if (!sopClass) throw new UsageError(`There is no root "${rootName}": patient or study.`);
  if (levelName === 'patient' && rootName === 'study')
    throw new UsageError('Study Root has no patient level: use --root patient.');
  const limit = wholeNumber('--limit', options.limit) ?? Infinity;
  const timeout = wholeNumber('--timeout', options.timeout);
  const { identifier, columns } = identifierOf(keys, levelName, rootName);
  return withAdvice(options, async () => {
    const client = await DimseClient.open({
      ...{ host: peer.host, port: peer.port, calledAe: peer.calledAe, callingAe: options.calling },
      tls: options.tls,
      timeoutMs: timeout === undefined ? undefined : timeout * 1000,
      contexts: [{ sopClassUid: sopClass, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }],
      relational: isBaseline(identifier, levelName, rootName) ? undefined : [sopClass],
    });
    const matches: DataSet[] = [];
    try {
      for await (const match of client.find(sopClass, identifier, limit)) matches.push(match);
    } finally {
      await client.close();
    }
    show(matches, columns, options.json === true);
    const enough = matches.length >= limit ? `; there may be more (--limit ${limit})` : '';
    console.error(`${matches.length} ${matches.length === 1 ? 'match' : 'matches'}${enough}`);
    return 0;
  });
}

function show(matches: readonly DataSet[], columns: readonly Tag[], json: boolean): void {
  if (json) {
    console.log(`[${matches.map((match) => JSON.stringify(toJson(match))).join(',\n ')}]`);
    return;
  }
  if (matches.length === 0) return;
  console.log(
    formatTable(
      columns.map((tag) => HEADINGS.get(tag) ?? keywordOf(tag) ?? tagText(tag)),
      matches.map((match) => columns.map((tag) => cellOf(match, tag))),
    ),
  );
}

/** What is asked for, and the columns to show: those of the level, then those that were named. */
export function identifierOf(
  keys: readonly string[],
  levelName: string,
  rootName: string,
): { identifier: DataSet; columns: readonly Tag[] } {
  const given = keys.map(parseKey);
  const level = LEVELS[levelName] ?? { name: levelName, shown: [] };
  const columns = [...new Set([...level.shown, ...given.map(({ tag }) => tag)])];
  const charsets = given.some(({ value }) => /[^\0-\x7f]/.test(value)) ? [UTF_8] : [];
  const values = new Map<Tag, string>(columns.map((tag) => [tag, '']));
  for (const [, tag] of uniqueUpTo(levelName, rootName)) if (!values.has(tag)) values.set(tag, '');
  for (const { tag, value } of given) values.set(tag, value);
  const elements = [...values].map(([tag, value]) =>
    makeElement(tag, value === '' ? undefined : value.split('\\'), { charsets }),
  );
  elements.push(makeElement(Tags.QueryRetrieveLevel, level.name));
  if (charsets.length > 0) elements.push(makeElement(Tags.SpecificCharacterSet, UTF_8));
  return { identifier: dataSetOf(elements, charsets), columns };
}

/** A value for a person: dates with hyphens, names in their own script with the Latin form beside them. */
function cellOf(match: DataSet, tag: Tag): string {
  const element = match.elements.get(tag);
  if (!element) return '';
  if (element.items || element.vr === 'SQ')
    return element.items?.length ? `${element.items.length} items` : '';
  const values = valuesOf(match, tag);
  switch (element.vr) {
    case 'PN':
      return values.map(ownScript).join('; ');
    case 'DA':
      return values.map((one) => one.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3')).join(', ');
    case 'TM':
      return values.map((one) => one.replace(/^(\d\d)(\d\d)(\d\d)?.*$/, (_, h, m) => `${h}:${m}`)).join(', ');
    default:
      return values.join(', ');
  }
}

/** One broken value of a peer does not hide the others. */
function valuesOf(match: DataSet, tag: Tag): string[] {
  try {
    return texts(match, tag);
  } catch (error) {
    if (error instanceof Fault) return ['?'];
    throw error;
  }
}

function ownScript(value: string): string {
  const groups = parsePersonName(value);
  if (!groups) return '';
  const { Alphabetic, Ideographic } = groups;
  if (!Ideographic) return displayName(groups);
  const own = displayName({ Ideographic });
  return Alphabetic ? `${own} (${displayName({ Alphabetic })})` : own;
}
