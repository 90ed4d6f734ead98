/**
 * Retrieve: what a C-MOVE or C-GET asks for, and how its sub-operations are counted and summed up.
 *
 * Source: PS3.4 §C.4.2 (C-MOVE), §C.4.3 (C-GET), §C.5.2 and §C.5.3 (negotiation), §C.6.1 and §C.6.2 (unique keys), Annex Y
 *         (Composite Instance Root), Annex Z (Without Bulk Data), PS3.7 §9.1.3, §9.1.4.
 * Layer:  core/dimse.
 */
import { Fault } from '../base/fault.ts';
import { isUid } from '../base/uid.ts';
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { text, texts } from '../dicom/values.ts';
import { STATUS, statusKind } from './status.ts';

export interface RetrieveClass {
  readonly verb: 'move' | 'get';
  /** Composite Instance Root knows the instance level only (PS3.4 §Y.3, §Z.3). */
  readonly root: 'patient' | 'study' | 'instance';
  /** Objects are sent without their bulk data (PS3.4 Annex Z). */
  readonly withoutBulk: boolean;
}

export const PATIENT_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.1.2';
export const PATIENT_ROOT_GET = '1.2.840.10008.5.1.4.1.2.1.3';
export const STUDY_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.2.2';
export const STUDY_ROOT_GET = '1.2.840.10008.5.1.4.1.2.2.3';
export const COMPOSITE_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.4.2';
export const COMPOSITE_ROOT_GET = '1.2.840.10008.5.1.4.1.2.4.3';
export const WITHOUT_BULK_GET = '1.2.840.10008.5.1.4.1.2.5.3';

const CLASSES: ReadonlyMap<string, RetrieveClass> = new Map([
  [PATIENT_ROOT_MOVE, { verb: 'move', root: 'patient', withoutBulk: false }],
  [PATIENT_ROOT_GET, { verb: 'get', root: 'patient', withoutBulk: false }],
  [STUDY_ROOT_MOVE, { verb: 'move', root: 'study', withoutBulk: false }],
  [STUDY_ROOT_GET, { verb: 'get', root: 'study', withoutBulk: false }],
  [COMPOSITE_ROOT_MOVE, { verb: 'move', root: 'instance', withoutBulk: false }],
  [COMPOSITE_ROOT_GET, { verb: 'get', root: 'instance', withoutBulk: false }],
  [WITHOUT_BULK_GET, { verb: 'get', root: 'instance', withoutBulk: true }],
] as const);

/** The retrieve service of a SOP class, undefined when it is none of those offered. */
export function retrieveClass(sopClassUid: string): RetrieveClass | undefined {
  return CLASSES.get(sopClassUid);
}

/** All of them, by UID. */
export function retrieveClasses(): ReadonlyMap<string, RetrieveClass> {
  return CLASSES;
}

export type RetrieveLevel = 'patient' | 'study' | 'series' | 'instance';

/** Which objects: those that match every key that is there. */
export interface Selection {
  readonly level: RetrieveLevel;
  readonly patientId?: string | undefined;
  /** Narrows a Patient ID to who gave it out. */
  readonly issuer?: string | undefined;
  readonly studyUids?: readonly string[] | undefined;
  readonly seriesUids?: readonly string[] | undefined;
  readonly sopUids?: readonly string[] | undefined;
}

/** Highest first, each with its unique key and its name in Query/Retrieve Level. */
const LEVELS: readonly (readonly [level: RetrieveLevel, name: string, key: Tag])[] = [
  ['patient', 'PATIENT', Tags.PatientID],
  ['study', 'STUDY', Tags.StudyInstanceUID],
  ['series', 'SERIES', Tags.SeriesInstanceUID],
  ['instance', 'IMAGE', Tags.SOPInstanceUID],
];

/**
 * What an identifier selects (PS3.4 §C.4.2.2.1, §C.4.3.2.1). The unique key of the level has one value, or a list where it is a
 * UID; without relational retrieval each level above has one value. Keys that are no unique keys are ignored, but a unique key
 * that is not needed still narrows: nobody gets another patient than the one they named.
 *
 * @throws Fault RETRIEVE_IDENTIFIER; its fact `tag` is the offending element (A900H).
 */
export function selectionOf(identifier: DataSet, { root }: RetrieveClass, relational: boolean): Selection {
  const name = text(identifier, Tags.QueryRetrieveLevel);
  const at = LEVELS.findIndex((one) => one[1] === name);
  const top = LEVELS.findIndex(([level]) => level === root);
  const found = LEVELS[at];
  if (!found || at < top)
    throw new Fault('RETRIEVE_IDENTIFIER', { what: 'level', tag: Tags.QueryRetrieveLevel });
  const values = LEVELS.map(([, , tag]) => valuesOf(identifier, tag));
  LEVELS.forEach(([level, , tag], index) => {
    const given = values[index] ?? [];
    const needed = index === at || (!relational && index >= top && index < at);
    if (needed && given.length === 0)
      throw new Fault('RETRIEVE_IDENTIFIER', { what: `no unique key of the ${level} level`, tag });
    // A list selects several things of one level within one thing of the level above.
    if (given.length > 1 && (tag === Tags.PatientID || (index < at && !relational)))
      throw new Fault('RETRIEVE_IDENTIFIER', { what: `more than one value at the ${level} level`, tag });
  });
  const [patients, ...uids] = values.map((given) => (given.length ? given : undefined));
  // Keys below the level are not allowed; ignoring one would send more than was named.
  const below = LEVELS.find((_, index) => index > at && values[index]?.length);
  if (below) throw new Fault('RETRIEVE_IDENTIFIER', { what: 'a unique key below the level', tag: below[2] });
  return {
    ...{ level: found[0], patientId: patients?.[0], issuer: text(identifier, Tags.IssuerOfPatientID) },
    ...{ studyUids: uids[0], seriesUids: uids[1], sopUids: uids[2] },
  };
}

function valuesOf(identifier: DataSet, tag: Tag): string[] {
  const given = texts(identifier, tag).filter((value) => value !== '');
  if (tag !== Tags.PatientID && !given.every(isUid))
    throw new Fault('RETRIEVE_IDENTIFIER', { what: 'UID', tag });
  return given;
}

/** Number of (0000,1020) to (0000,1023); together they are the number of objects at every moment. */
export interface SubOperations {
  readonly remaining: number;
  readonly completed: number;
  readonly failed: number;
  readonly warnings: number;
}

/** The counters are US (PS3.7 Table E.1-1): more cannot be counted. */
export const MAX_SUB_OPERATIONS = 0xffff;

export type SubOutcome = 'completed' | 'failed' | 'warnings';

export function beginCounting(total: number): SubOperations {
  return { remaining: total, completed: 0, failed: 0, warnings: 0 };
}

/** One (or, when nothing more can be tried, several) of those remaining came to an end. */
export function counted(before: SubOperations, outcome: SubOutcome, count = 1): SubOperations {
  return { ...before, remaining: before.remaining - count, [outcome]: before[outcome] + count };
}

/** What the answer to a C-STORE sub-operation means for the counters (PS3.4 §C.4.2.3.1). */
export function outcomeOf(storeStatus: number): SubOutcome {
  const kind = statusKind(storeStatus);
  if (kind === 'success') return 'completed';
  return kind === 'warning' ? 'warnings' : 'failed';
}

/** The status that ends the operation (PS3.4 Tables C.4-2 and C.4-3, §C.4.2.3.1, §C.4.3.3.1). */
export function finalStatus(counts: SubOperations, cancelled: boolean): number {
  if (cancelled) return STATUS.cancel;
  if (counts.failed === 0 && counts.warnings === 0) return STATUS.success;
  if (counts.completed === 0 && counts.warnings === 0) return STATUS.noSubOperation;
  return STATUS.someFailed;
}

/**
 * The counters that go with a status: Remaining with Pending and Cancel only (PS3.4 §C.4.2.1.6 to .9, §C.4.3.1.5 to .8).
 */
export function countersFor(status: number, counts: SubOperations): Partial<SubOperations> {
  const { remaining, ...done } = counts;
  const kind = statusKind(status);
  return kind === 'pending' || kind === 'cancel' ? { remaining, ...done } : done;
}
