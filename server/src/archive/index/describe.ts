/**
 * What the index has to know about one object, from its header.
 *
 * Source: PS3.3 §C.7 (patient, study, series, image modules), PS3.4 §C.6 (unique keys of the levels).
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import type { DataSet, Tag } from '@lightbox/core/dicom/data-set.ts';
import { parseDate, parseTime } from '@lightbox/core/dicom/date-time.ts';
import { type FrameTable, frameTable } from '@lightbox/core/dicom/frames.ts';
import { foldName } from '@lightbox/core/dicom/matching.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { formatPersonName, parsePersonName } from '@lightbox/core/dicom/person-name.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { integer, number, text, uidValue } from '@lightbox/core/dicom/values.ts';
import { VR_FACTS, type Vr } from '@lightbox/core/dicom/vr.ts';
import { attributesOf, cleanText } from './attributes.ts';

/** LO is at most 64 characters, PN 64 per component and group; broken writers exceed it, an index cannot by much. */
const LONGEST_TEXT = 400;

export interface PatientEntry {
  /** See `patientKey`. */
  readonly key: string;
  readonly patientId: string;
  readonly issuer: string;
  /** Groups of the name, folded for comparison. */
  readonly nameA: string;
  readonly nameI: string;
  readonly nameP: string;
  /** The name as received, groups joined by "=". */
  readonly name: string;
  readonly birthDate: string;
  readonly sex: string;
  readonly attributes: string;
}

export interface StudyEntry {
  readonly studyUid: string;
  readonly date: string;
  /** First and last instant the time may mean, HHMMSS.FFFFFF; empty when unknown. */
  readonly time: string;
  readonly timeTo: string;
  readonly studyId: string;
  readonly description: string;
  readonly accession: string;
  readonly referrer: string;
  readonly referrerFold: string;
  /** Folded words of name, patient id and accession number, each with a space before it. */
  readonly search: string;
  readonly attributes: string;
}

export interface SeriesEntry {
  readonly seriesUid: string;
  readonly number: number | undefined;
  readonly modality: string;
  readonly description: string;
  readonly bodyPart: string;
  readonly laterality: string;
  readonly attributes: string;
}

/** Where the pixels lie; kept as JSON, so that frames are served without parsing. */
export interface PixelNote {
  readonly tag: Tag;
  readonly vr: Vr;
  readonly offset: number;
  readonly length: number;
  /** undefined when the size of a frame cannot be told. */
  readonly table: FrameTable | undefined;
}

export interface InstanceEntry {
  readonly sopUid: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  readonly number: number | undefined;
  readonly rows: number | undefined;
  readonly columns: number | undefined;
  readonly frameCount: number;
  /** Of the Part 10 file as kept: where the Pixel Data element begins, or the end of the file. */
  readonly headerEnd: number;
  readonly pixels: PixelNote | undefined;
  readonly attributes: string;
  readonly warnings: readonly string[];
}

export interface ObjectEntry {
  readonly patient: PatientEntry;
  readonly study: StudyEntry;
  readonly series: SeriesEntry;
  readonly instance: InstanceEntry;
}

/** Where the data set of a parse lies in the Part 10 file that is kept. */
export interface Placement {
  /** Length of the Part 10 file. */
  readonly length: number;
  readonly dataSetOffset: number;
}

/**
 * Offsets in the result count from the start of the Part 10 file; where its data set is deflated, from the start of the same
 * file with the data set inflated.
 *
 * @throws Fault DICOM_UID when a UID that everything hangs on is missing or not a UID.
 */
export function describeObject(parsed: ParsedObject, place: Placement): ObjectEntry {
  const ds = parsed.dataSet;
  const uids = {
    studyUid: requiredUid(ds, Tags.StudyInstanceUID),
    seriesUid: requiredUid(ds, Tags.SeriesInstanceUID),
    sopUid: requiredUid(ds, Tags.SOPInstanceUID),
    sopClassUid: requiredUid(ds, Tags.SOPClassUID),
  };
  const patient = describePatient(ds, uids.studyUid);
  return {
    patient,
    study: describeStudy(ds, uids.studyUid, patient),
    series: describeSeries(ds, uids.seriesUid),
    instance: describeInstance(parsed, place, uids),
  };
}

/** The entry of an object whose header is corrected. What tells where its pixels lie stays as it is. */
export function describeCorrected(entry: ObjectEntry, ds: DataSet): ObjectEntry {
  const { studyUid } = entry.study;
  const patient = describePatient(ds, studyUid);
  return {
    patient,
    study: describeStudy(ds, studyUid, patient),
    series: describeSeries(ds, entry.series.seriesUid),
    instance: {
      ...entry.instance,
      number: smallInteger(ds, Tags.InstanceNumber),
      attributes: attributesOf(ds, 'instance'),
    },
  };
}

function requiredUid(ds: DataSet, tag: Tag): string {
  const uid = uidValue(ds, tag);
  if (uid === undefined || !isUid(uid)) {
    throw new Fault('DICOM_UID', { tag: tag.toString(16).padStart(8, '0'), missing: uid === undefined });
  }
  return uid;
}

const column = (ds: DataSet, tag: Tag): string => cleanText(text(ds, tag) ?? '', LONGEST_TEXT);

/** Identity: PatientID and its issuer; without an ID a patient is known only within one study. */
export const patientKeyOf = (patientId: string, issuer: string, studyUid: string): string =>
  patientId === '' ? `study ${studyUid}` : `id ${patientId}\\${issuer}`;

export const patientKey = (ds: DataSet, studyUid: string): string =>
  patientKeyOf(column(ds, Tags.PatientID), column(ds, Tags.IssuerOfPatientID), studyUid);

function describePatient(ds: DataSet, studyUid: string): PatientEntry {
  const patientId = column(ds, Tags.PatientID);
  const issuer = column(ds, Tags.IssuerOfPatientID);
  const groups = parsePersonName(column(ds, Tags.PatientName)) ?? {};
  return {
    key: patientKey(ds, studyUid),
    patientId,
    issuer,
    nameA: foldName(groups.Alphabetic ?? ''),
    nameI: foldName(groups.Ideographic ?? ''),
    nameP: foldName(groups.Phonetic ?? ''),
    name: formatPersonName(groups),
    birthDate: dateOf(ds, Tags.PatientBirthDate),
    sex: column(ds, Tags.PatientSex),
    attributes: attributesOf(ds, 'patient'),
  };
}

/** YYYYMMDD, or empty: a date that is none stays in the attributes as it came. */
function dateOf(ds: DataSet, tag: Tag): string {
  return parseDate(text(ds, tag) ?? '') ?? '';
}

function describeStudy(ds: DataSet, studyUid: string, patient: PatientEntry): StudyEntry {
  const time = parseTime(text(ds, Tags.StudyTime) ?? '');
  const referrer = column(ds, Tags.ReferringPhysicianName);
  const accession = column(ds, Tags.AccessionNumber);
  return {
    studyUid,
    date: dateOf(ds, Tags.StudyDate),
    time: time?.from ?? '',
    timeTo: time?.to ?? '',
    studyId: column(ds, Tags.StudyID),
    description: column(ds, Tags.StudyDescription),
    accession,
    referrer,
    referrerFold: foldGroups(referrer),
    search: searchWords([patient.nameA, patient.nameI, patient.nameP, patient.patientId, accession]),
    attributes: attributesOf(ds, 'study'),
  };
}

/** Groups of a name folded, each between two "=": one column in which any group can be asked for. */
export function foldGroups(name: string): string {
  const groups = parsePersonName(name);
  if (!groups) return '';
  return [groups.Alphabetic, groups.Ideographic, groups.Phonetic]
    .map((one) => `=${foldName(one ?? '')}`)
    .join('');
}

/** Lower case, without accents, words apart: what a person types finds what a modality wrote. */
export function foldWords(value: string): string[] {
  return value
    .normalize('NFD')
    .replace(/\p{Mn}/gu, '')
    .normalize('NFC')
    .toLowerCase()
    .split(/[\s^=,.;]+/u)
    .filter((word) => word !== '');
}

export function searchWords(values: readonly string[]): string {
  return cleanText(
    values
      .flatMap(foldWords)
      .map((word) => ` ${word}`)
      .join(''),
    1000,
  );
}

function describeSeries(ds: DataSet, seriesUid: string): SeriesEntry {
  return {
    seriesUid,
    number: smallInteger(ds, Tags.SeriesNumber),
    modality: column(ds, Tags.Modality),
    description: column(ds, Tags.SeriesDescription),
    bodyPart: column(ds, Tags.BodyPartExamined),
    laterality: column(ds, Tags.Laterality),
    attributes: attributesOf(ds, 'series'),
  };
}

/** What fits an integer column; anything else counts as not given (attacks A21). */
function smallInteger(ds: DataSet, tag: Tag): number | undefined {
  const value = number(ds, tag);
  return value !== undefined && Number.isInteger(value) && Math.abs(value) <= 0x7fffffff ? value : undefined;
}

function describeInstance(
  parsed: ParsedObject,
  place: Placement,
  uids: { readonly sopUid: string; readonly sopClassUid: string },
): InstanceEntry {
  const ds = parsed.dataSet;
  const { pixelData, deflated } = parsed;
  const shift = place.dataSetOffset - (deflated ? 0 : parsed.dataSetOffset);
  const table = frameTable(parsed);
  const pixels = pixelData && {
    tag: pixelData.tag,
    vr: pixelData.vr,
    offset: pixelData.offset + shift,
    length: pixelData.length,
    table: table && shiftFrames(table, shift),
  };
  return {
    ...uids,
    transferSyntaxUid: cleanText(parsed.transferSyntaxUid, 64),
    number: smallInteger(ds, Tags.InstanceNumber),
    rows: integer(ds, Tags.Rows, 1, 65535),
    columns: integer(ds, Tags.Columns, 1, 65535),
    frameCount: table?.frameCount ?? 0,
    headerEnd: pixels && !deflated ? pixels.offset - elementHeaderBytes(parsed, pixels.vr) : place.length,
    pixels,
    attributes: attributesOf(ds, 'instance'),
    warnings: [...new Set(parsed.warnings.map((warning) => warning.code))],
  };
}

/** Tag, VR and length before a value (PS3.5 §7.1.2, §7.1.3). */
function elementHeaderBytes(parsed: ParsedObject, vr: Vr): number {
  const implicit =
    !readingSyntax(parsed.transferSyntaxUid).explicitVr ||
    parsed.warnings.some(({ code }) => code === 'TRANSFER_SYNTAX_MISMATCH');
  return implicit || !VR_FACTS[vr].longLength ? 8 : 12;
}

/** The same table counted from `by` bytes earlier. */
export function shiftFrames(table: FrameTable, by: number): FrameTable {
  if (by === 0) return table;
  if (table.kind === 'native') return { ...table, offset: table.offset + by };
  const frames = table.frames.map((pieces) =>
    pieces.map(({ offset, length }) => ({ offset: offset + by, length })),
  );
  return { ...table, frames };
}
