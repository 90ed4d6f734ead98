/**
 * What the directory of a medium says about each object: the type of its record and the attributes in it.
 *
 * Source: PS3.3 §F.3.2.2 (record types), §F.5 (keys of each type), §F.4 (which record follows which).
 * Layer:  core/dicom.
 */
import type { DataSet, Element, Tag } from '../data-set.ts';
import { makeElement } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { effectiveVr, elementTexts, items, numbers, text, texts, uidValue } from '../values.ts';
import { VR_FACTS } from '../vr.ts';

/** 1: always with a value, 2: always, '1C' and 3: where the object has it. */
type Need = 1 | 2 | '1C' | 3;
type Key = readonly [tag: Tag, need: Need];

const NUMBER: Key = [Tags.InstanceNumber, 1];
const CONTENT: readonly Key[] = [NUMBER, [Tags.ContentDate, 1], [Tags.ContentTime, 1]];
/** Content Identification Macro (PS3.3 Table 10-12). */
const NAMED: readonly Key[] = [
  NUMBER,
  [Tags.ContentLabel, 1],
  [Tags.ContentDescription, 2],
  [Tags.ContentCreatorName, 2],
];
const NAMED_CONTENT: readonly Key[] = [...CONTENT, ...NAMED];

/** Keys of the levels above the objects (§F.5.1 to §F.5.3). What is 3 here helps people to choose. */
export const PATIENT_KEYS: readonly Key[] = [
  [Tags.PatientName, 2],
  [Tags.PatientID, 1],
  [Tags.IssuerOfPatientID, 3],
  [Tags.PatientBirthDate, 3],
  [Tags.PatientSex, 3],
];
export const STUDY_KEYS: readonly Key[] = [
  [Tags.StudyDate, 1],
  [Tags.StudyTime, 1],
  [Tags.StudyDescription, 2],
  [Tags.StudyInstanceUID, 1],
  [Tags.StudyID, 1],
  [Tags.AccessionNumber, 2],
];
export const SERIES_KEYS: readonly Key[] = [
  [Tags.Modality, 1],
  [Tags.SeriesInstanceUID, 1],
  [Tags.SeriesNumber, 1],
  [Tags.SeriesDescription, 3],
];

/** §F.5.4 and on. `PRIVATE` for what has no type of its own (§F.6.1). */
const OBJECT_KEYS = {
  IMAGE: [
    NUMBER,
    [Tags.ImageType, 3],
    [Tags.Rows, 3],
    [Tags.Columns, 3],
    [Tags.NumberOfFrames, 3],
    [Tags.ReferencedImageSequence, 3],
  ],
  'RT DOSE': [NUMBER, [Tags.DoseSummationType, 1], [Tags.DoseComment, 3]],
  'RT STRUCTURE SET': [
    NUMBER,
    [Tags.StructureSetLabel, 1],
    [Tags.StructureSetDate, 2],
    [Tags.StructureSetTime, 2],
  ],
  'RT PLAN': [NUMBER, [Tags.RTPlanLabel, 1], [Tags.RTPlanDate, 2], [Tags.RTPlanTime, 2]],
  'RT TREAT RECORD': [NUMBER, [Tags.TreatmentDate, 2], [Tags.TreatmentTime, 2]],
  PRESENTATION: [
    [Tags.PresentationCreationDate, 1],
    [Tags.PresentationCreationTime, 1],
    ...NAMED,
    [Tags.ReferencedSeriesSequence, '1C'],
    [Tags.BlendingSequence, '1C'],
  ],
  WAVEFORM: CONTENT,
  'SR DOCUMENT': [
    ...CONTENT,
    [Tags.CompletionFlag, 1],
    [Tags.VerificationFlag, 1],
    [Tags.VerificationDateTime, '1C'],
    [Tags.ConceptNameCodeSequence, 1],
    [Tags.ContentSequence, '1C'],
  ],
  'KEY OBJECT DOC': [...CONTENT, [Tags.ConceptNameCodeSequence, 1], [Tags.ContentSequence, '1C']],
  SPECTROSCOPY: [
    ...CONTENT,
    [Tags.ImageType, 1],
    [Tags.ReferencedImageEvidenceSequence, '1C'],
    [Tags.NumberOfFrames, 1],
    [Tags.Rows, 1],
    [Tags.Columns, 1],
    [Tags.DataPointRows, 1],
    [Tags.DataPointColumns, 1],
  ],
  'RAW DATA': [
    [Tags.InstanceNumber, 2],
    [Tags.ContentDate, 1],
    [Tags.ContentTime, 1],
  ],
  REGISTRATION: NAMED_CONTENT,
  FIDUCIAL: NAMED_CONTENT,
  'ENCAP DOC': [
    [Tags.ContentDate, 2],
    [Tags.ContentTime, 2],
    NUMBER,
    [Tags.DocumentTitle, 2],
    [Tags.HL7InstanceIdentifier, '1C'],
    [Tags.ConceptNameCodeSequence, 2],
    [Tags.MIMETypeOfEncapsulatedDocument, 1],
  ],
  'VALUE MAP': NAMED_CONTENT,
  STEREOMETRIC: [],
  MEASUREMENT: NAMED_CONTENT,
  SURFACE: NAMED_CONTENT,
  'SURFACE SCAN': [
    [Tags.ContentDate, 1],
    [Tags.ContentTime, 1],
  ],
  TRACT: NAMED_CONTENT,
  ASSESSMENT: [NUMBER, [Tags.InstanceCreationDate, 1], [Tags.InstanceCreationTime, 2]],
  RADIOTHERAPY: [
    NUMBER,
    [Tags.UserContentLabel, '1C'],
    [Tags.UserContentLongLabel, '1C'],
    [Tags.ContentDescription, 2],
    [Tags.ContentCreatorName, 2],
  ],
  PLAN: [],
  ANNOTATION: NAMED_CONTENT,
  PRIVATE: [],
} as const satisfies Record<string, readonly Key[]>;

export type RecordType = keyof typeof OBJECT_KEYS;

const STORAGE = '1.2.840.10008.5.1.4.1.1.';
/** By what a SOP Class UID begins with, after the root of Storage; the first that fits. All other Storage classes are IMAGE. */
const TYPES: readonly (readonly [RegExp, RecordType])[] = [
  [/^481\.2$/, 'RT DOSE'],
  [/^481\.3$/, 'RT STRUCTURE SET'],
  [/^481\.[58]$/, 'RT PLAN'],
  [/^481\.[4679]$/, 'RT TREAT RECORD'],
  [/^481\.(1[0-9]|2[0-2]|25)$/, 'RADIOTHERAPY'],
  [/^11\.\d+$/, 'PRESENTATION'],
  [/^9\.\d/, 'WAVEFORM'],
  [/^88\.59$/, 'KEY OBJECT DOC'],
  [/^(88\.\d+|78\.6|79\.1)$/, 'SR DOCUMENT'],
  [/^4\.2$/, 'SPECTROSCOPY'],
  [/^66$/, 'RAW DATA'],
  [/^66\.[13]$/, 'REGISTRATION'],
  [/^66\.2$/, 'FIDUCIAL'],
  [/^104\.\d+$/, 'ENCAP DOC'],
  [/^67$/, 'VALUE MAP'],
  [/^77\.1\.5\.3$/, 'STEREOMETRIC'],
  [/^(78\.[1-578]|80\.1)$/, 'MEASUREMENT'],
  [/^66\.5$/, 'SURFACE'],
  [/^68\.\d+$/, 'SURFACE SCAN'],
  [/^66\.6$/, 'TRACT'],
  [/^90\.1$/, 'ASSESSMENT'],
  [/^91\.1$/, 'ANNOTATION'],
  // Protocols, inventories, displays: none of them belongs to a series of images.
  [/^(131|200\.\d+|201\.\d+)$/, 'PRIVATE'],
];

/** The type of the record of an object (PS3.3 Table F.4-1, PS3.4 Annex B.5). */
export function recordType(sopClassUid: string): RecordType {
  if (/^1\.2\.840\.10008\.5\.1\.4\.34\.\d+$/.test(sopClassUid)) return 'PLAN';
  if (!sopClassUid.startsWith(STORAGE)) return 'PRIVATE';
  const rest = sopClassUid.slice(STORAGE.length);
  return TYPES.find(([pattern]) => pattern.test(rest))?.[1] ?? 'IMAGE';
}

/** Of a type without keys in the standard the number says which of a series it is. */
export function objectKeys(type: RecordType): readonly Key[] {
  return OBJECT_KEYS[type];
}

/** What stands for a value that has to be there and is not in the object. */
export interface Fallbacks {
  /** Place among its neighbours, from 1. */
  readonly ordinal: number;
}

const DATES: readonly Tag[] = [
  ...[Tags.StudyDate, Tags.SeriesDate, Tags.AcquisitionDate, Tags.ContentDate, Tags.InstanceCreationDate],
];
/** A date that has to be there and is unknown: no value is allowed to say "unknown". */
const NO_DATE = '19000101';
const NO_TIME = '000000';

/** The elements of one record, with Specific Character Set where text needs it (§F.5: Type 1C in all). */
export function recordElements(ds: DataSet, keys: readonly Key[], fallbacks: Fallbacks): Element[] {
  const out: Element[] = [];
  for (const [tag, need] of keys) {
    const element = tag === Tags.VerificationDateTime ? lastVerified(ds) : copied(ds, tag);
    if (element) out.push(element);
    else if (need === 1) out.push(stand(ds, tag, fallbacks));
    else if (need === 2) out.push(makeElement(tag, []));
  }
  const charset = ds.elements.get(Tags.SpecificCharacterSet);
  if (charset?.bytes?.length && out.some(needsCharset)) out.unshift(charset);
  return out;
}

/** An attribute as the object has it; undefined without a value. Numbers become little endian. */
function copied(ds: DataSet, tag: Tag): Element | undefined {
  const element = ds.elements.get(tag);
  if (!element) return undefined;
  if (element.items) {
    const kept = tag === Tags.ContentSequence ? conceptModifiers(ds) : element.items;
    const light = kept.flatMap((item) => (isLight(item) ? [item] : []));
    return light.length ? { tag, vr: 'SQ', items: light } : undefined;
  }
  const vr = effectiveVr(element);
  if (vr === 'SQ' || !element.bytes?.length) return undefined;
  if (VR_FACTS[vr].kind === 'number') return makeElement(tag, numbers(ds, tag), { vr });
  if (elementTexts(element, ds).every((value) => value === '')) return undefined;
  return { tag, vr, bytes: element.bytes };
}

/** The latest of those who verified (§F.5.24: the most recent). */
function lastVerified(ds: DataSet): Element | undefined {
  const times = items(ds, Tags.VerifyingObserverSequence)
    .map((one) => text(one, Tags.VerificationDateTime) ?? '')
    .sort();
  const last = times.at(-1) ?? '';
  return last === '' ? undefined : makeElement(Tags.VerificationDateTime, last);
}

/** Of a document's content only what modifies its title (§F.5.24, §F.5.25). */
function conceptModifiers(ds: DataSet): DataSet[] {
  return items(ds, Tags.ContentSequence).filter(
    (item) => text(item, Tags.RelationshipType) === 'HAS CONCEPT MOD',
  );
}

/** Everything is in memory: a directory holds no large values. */
const isLight = (ds: DataSet): boolean =>
  [...ds.elements.values()].every((one) => !one.bulk && (one.items?.every(isLight) ?? true));

function stand(ds: DataSet, tag: Tag, { ordinal }: Fallbacks): Element {
  switch (tag) {
    case Tags.InstanceNumber:
    case Tags.SeriesNumber:
      return makeElement(tag, ordinal);
    case Tags.StudyID:
      return makeElement(tag, String(ordinal));
    case Tags.PatientID:
      return makeElement(tag, `NONE-${ordinal}`);
    case Tags.Modality:
      return makeElement(tag, 'OT');
    case Tags.StudyInstanceUID:
    case Tags.SeriesInstanceUID:
      return makeElement(tag, uidValue(ds, tag));
    case Tags.StudyDate:
    case Tags.ContentDate:
    case Tags.InstanceCreationDate:
    case Tags.PresentationCreationDate:
      return makeElement(tag, DATES.flatMap((one) => texts(ds, one)).find((one) => one !== '') ?? NO_DATE);
    case Tags.StudyTime:
    case Tags.ContentTime:
    case Tags.PresentationCreationTime:
      return makeElement(tag, NO_TIME);
    default:
      // The object lacks what its own definition demands: so does its record.
      return makeElement(tag, []);
  }
}

function needsCharset(element: Element): boolean {
  if (element.items)
    return element.items.some((item) => [...item.elements.values()].some((one) => needsCharset(one)));
  return (
    VR_FACTS[element.vr].charset && (element.bytes?.some((byte) => byte > 0x7e || byte === 0x1b) ?? false)
  );
}
