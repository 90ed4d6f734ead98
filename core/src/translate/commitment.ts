/**
 * Storage commitment as data sets: the list of objects somebody wants kept, and what the archive says to each.
 *
 * Source: PS3.4 Table J.3-1 (request), Table J.3-2 (result), PS3.3 §C.14.1.1 (failure reasons), PS3.18 Annex J (over the web, where
 *         objects may come in their studies).
 * Layer:  core/translate.
 */
import { Fault } from '../base/fault.ts';
import { isUid } from '../base/uid.ts';
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { dataSet, type Values } from '../dicom/element.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { integer, items, text, uidValue } from '../dicom/values.ts';
import { STATUS } from '../dimse/status.ts';

/** (PS3.4 Table J.3-1) */
export const REQUEST_COMMITMENT = 1;
/** (PS3.4 Table J.3-2) 1: every object is kept. 2: some are not. */
export const ALL_COMMITTED = 1;
export const SOME_FAILED = 2;

/** An object to be kept. Study and series where it was named within them (PS3.18 Annex J). */
export interface CommitmentItem {
  readonly sopClassUid: string;
  readonly sopUid: string;
  readonly studyUid?: string | undefined;
  readonly seriesUid?: string | undefined;
}

export interface CommitmentAnswer {
  readonly item: CommitmentItem;
  /** 0: kept. Else the Failure Reason (0008,1197). */
  readonly reason: number;
}

export interface CommitmentRequest {
  readonly transactionUid: string;
  readonly items: readonly CommitmentItem[];
}

/** A day of a large department; more is better asked in parts, and would only take memory. */
export const MAX_COMMITMENT_ITEMS = 200_000;

const refuse = (what: string, tag: Tag): Fault => new Fault('COMMIT_REQUEST', { what, tag });

/**
 * A request as its SCU sent it.
 *
 * @throws Fault COMMIT_REQUEST with the offending `tag`: no transaction UID, no objects, or a name that is no UID;
 *         COMMIT_TOO_MANY.
 */
export function readCommitmentRequest(ds: DataSet): CommitmentRequest {
  const transactionUid = uidValue(ds, Tags.TransactionUID);
  if (transactionUid === undefined || !isUid(transactionUid))
    throw refuse('transaction UID', Tags.TransactionUID);
  return { transactionUid, items: requestedItems(ds) };
}

/** The objects of a request, from both forms it may have. @throws as `readCommitmentRequest`. */
export function requestedItems(ds: DataSet): CommitmentItem[] {
  const found: CommitmentItem[] = [];
  const add = (item: DataSet, sopClassUid: string | undefined, within: Partial<CommitmentItem>): void => {
    const sopUid = uidValue(item, Tags.ReferencedSOPInstanceUID);
    if (sopClassUid === undefined || !isUid(sopClassUid))
      throw refuse('SOP class UID', Tags.ReferencedSOPClassUID);
    if (sopUid === undefined || !isUid(sopUid))
      throw refuse('SOP instance UID', Tags.ReferencedSOPInstanceUID);
    found.push({ sopClassUid, sopUid, ...within });
    if (found.length > MAX_COMMITMENT_ITEMS)
      throw new Fault('COMMIT_TOO_MANY', { limit: MAX_COMMITMENT_ITEMS });
  };
  for (const item of items(ds, Tags.ReferencedSOPSequence))
    add(item, uidValue(item, Tags.ReferencedSOPClassUID), {});
  for (const study of items(ds, Tags.ReferencedStudySequence)) {
    const studyUid = uidValue(study, Tags.StudyInstanceUID);
    if (studyUid === undefined || !isUid(studyUid)) throw refuse('study UID', Tags.StudyInstanceUID);
    for (const series of items(study, Tags.ReferencedSeriesSequence)) {
      const seriesUid = uidValue(series, Tags.SeriesInstanceUID);
      if (seriesUid === undefined || !isUid(seriesUid)) throw refuse('series UID', Tags.SeriesInstanceUID);
      for (const group of items(series, Tags.ReferencedInstancesBySOPClassSequence))
        for (const instance of items(group, Tags.ReferencedInstanceSequence))
          add(instance, uidValue(group, Tags.ReferencedSOPClassUID), { studyUid, seriesUid });
    }
  }
  if (found.length === 0) throw refuse('no objects', Tags.ReferencedSOPSequence);
  return found;
}

const reference = ({ sopClassUid, sopUid }: CommitmentItem, more: Record<string, Values> = {}): DataSet =>
  dataSet({ ReferencedSOPClassUID: sopClassUid, ReferencedSOPInstanceUID: sopUid, ...more });

/** The request of an SCU (Table J.3-1). */
export const commitmentRequest = ({ transactionUid, items: wanted }: CommitmentRequest): DataSet =>
  dataSet({
    TransactionUID: transactionUid,
    ReferencedSOPSequence: wanted.map((item) => reference(item)),
  });

/** The result of an SCP and its Event Type ID (Table J.3-2). Sequences without objects are left out. */
export function commitmentResult(
  transactionUid: string,
  retrieveAe: string,
  answers: readonly CommitmentAnswer[],
): { readonly eventTypeId: number; readonly dataSet: DataSet } {
  const { kept, failed } = split(answers);
  return {
    eventTypeId: failed.length === 0 ? ALL_COMMITTED : SOME_FAILED,
    dataSet: dataSet({
      ...{ TransactionUID: transactionUid, RetrieveAETitle: retrieveAe },
      ReferencedSOPSequence: kept.length ? kept.map(({ item }) => reference(item)) : undefined,
      FailedSOPSequence: failed.length
        ? failed.map(({ item, reason }) => reference(item, { FailureReason: reason }))
        : undefined,
    }),
  };
}

const split = (
  answers: readonly CommitmentAnswer[],
): { kept: CommitmentAnswer[]; failed: CommitmentAnswer[] } => ({
  kept: answers.filter(({ reason }) => reason === STATUS.success),
  failed: answers.filter(({ reason }) => reason !== STATUS.success),
});

/**
 * A result as its SCP sent it.
 *
 * @throws Fault COMMIT_REQUEST when it names no transaction, or an object without a UID.
 */
export function readCommitmentResult(ds: DataSet): {
  readonly transactionUid: string;
  /** By SOP Instance UID: 0 kept, else the reason why not. What is in both lists is not kept. */
  readonly reasons: ReadonlyMap<string, number>;
  readonly retrieveAe: string | undefined;
} {
  const transactionUid = uidValue(ds, Tags.TransactionUID);
  if (transactionUid === undefined || !isUid(transactionUid))
    throw refuse('transaction UID', Tags.TransactionUID);
  const reasons = new Map<string, number>();
  const read = (tag: Tag, reasonOf: (item: DataSet) => number): void => {
    for (const item of items(ds, tag)) {
      const sopUid = uidValue(item, Tags.ReferencedSOPInstanceUID);
      if (sopUid === undefined) throw refuse('SOP instance UID', Tags.ReferencedSOPInstanceUID);
      reasons.set(sopUid, reasonOf(item));
    }
  };
  read(Tags.ReferencedSOPSequence, () => STATUS.success);
  read(
    Tags.FailedSOPSequence,
    (item) => integer(item, Tags.FailureReason, 1, 0xffff) ?? STATUS.processingFailure,
  );
  return { transactionUid, reasons, retrieveAe: text(ds, Tags.RetrieveAETitle) };
}

/**
 * The result over the web (PS3.18 Table J.2-1): without a transaction UID, which the resource has in its name; objects that were named
 * within their studies come back within them.
 */
export function commitmentResponse(answers: readonly CommitmentAnswer[]): DataSet {
  const { kept, failed } = split(answers);
  const plain = (all: readonly CommitmentAnswer[]): CommitmentAnswer[] =>
    all.filter(({ item }) => item.studyUid === undefined);
  const some = (all: readonly DataSet[]): readonly DataSet[] | undefined => (all.length ? all : undefined);
  return dataSet({
    ReferencedSOPSequence: some(plain(kept).map(({ item }) => reference(item))),
    FailedSOPSequence: some(
      plain(failed).map(({ item, reason }) => reference(item, { FailureReason: reason })),
    ),
    ReferencedStudySequence: some(studies(kept)),
    FailedStudySequence: some(studies(failed)),
  });
}

function studies(answers: readonly CommitmentAnswer[]): DataSet[] {
  const inStudies = answers.filter(({ item }) => item.studyUid !== undefined);
  return grouped(
    inStudies,
    ({ item }) => item.studyUid ?? '',
    (StudyInstanceUID, ofStudy) =>
      dataSet({
        StudyInstanceUID,
        ReferencedSeriesSequence: grouped(
          ofStudy,
          ({ item }) => item.seriesUid ?? '',
          (SeriesInstanceUID, ofSeries) =>
            dataSet({
              SeriesInstanceUID,
              ReferencedInstancesBySOPClassSequence: grouped(
                ofSeries,
                ({ item }) => item.sopClassUid,
                (ReferencedSOPClassUID, ofClass) =>
                  dataSet({
                    ReferencedSOPClassUID,
                    ReferencedInstanceSequence: ofClass.map(({ item, reason }) =>
                      dataSet({
                        ReferencedSOPInstanceUID: item.sopUid,
                        FailureReason: reason === STATUS.success ? undefined : reason,
                      }),
                    ),
                  }),
              ),
            }),
        ),
      }),
  );
}

function grouped<T>(
  all: readonly T[],
  keyOf: (one: T) => string,
  make: (key: string, group: readonly T[]) => DataSet,
): DataSet[] {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const key = keyOf(one);
    const group = groups.get(key);
    if (group) group.push(one);
    else groups.set(key, [one]);
  }
  return [...groups].map(([key, group]) => make(key, group));
}
