/**
 * A structured report, or a key object selection, as a document: title, state, who signed, and its content.
 *
 * Source: PS3.3 §C.17.2 (SR Document General), §C.17.3 (content), §C.17.6 (Key Object Document), §A.35.
 * Layer:  core/translate.
 */
import type { DataSet } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { items, text, uidValue } from '../dicom/values.ts';
import { codeText, codeOf } from './codes.ts';
import { readSrTree, type SrTree } from './sr-tree.ts';

/** Someone who wrote or verified: names as PN, times as DT. */
export interface SrPerson {
  readonly name: string;
  readonly organization: string;
  readonly dateTime: string;
}

export interface SrDocument {
  /** Concept name of the root; empty when the report has none. */
  readonly title: string;
  /** `PARTIAL` or `COMPLETE` as sent; empty for a key object selection, which has no such state. */
  readonly completion: string;
  readonly completionNote: string;
  /** `VERIFIED` or `UNVERIFIED` as sent. */
  readonly verification: string;
  /** `PRELIMINARY` or `FINAL` as sent. */
  readonly preliminary: string;
  readonly verifiers: readonly SrPerson[];
  readonly authors: readonly SrPerson[];
  /** Reports that this one replaces (Predecessor Documents Sequence). */
  readonly predecessors: number;
  readonly tree: SrTree;
  /** Where the objects lie that this report names as its evidence, by SOP Instance UID. */
  readonly evidence: ReadonlyMap<string, { readonly studyUid: string; readonly seriesUid: string }>;
}

/** So many signatures are shown; more are an attack. */
const MAX_PEOPLE = 50;
const MAX_EVIDENCE = 100_000;

export function readSrDocument(ds: DataSet, maxItems?: number): SrDocument {
  return {
    title: codeText(codeOf(ds, Tags.ConceptNameCodeSequence)),
    completion: text(ds, Tags.CompletionFlag) ?? '',
    completionNote: text(ds, Tags.CompletionFlagDescription) ?? '',
    verification: text(ds, Tags.VerificationFlag) ?? '',
    preliminary: text(ds, Tags.PreliminaryFlag) ?? '',
    verifiers: items(ds, Tags.VerifyingObserverSequence)
      .slice(0, MAX_PEOPLE)
      .map((item) => ({
        name: text(item, Tags.VerifyingObserverName) ?? '',
        organization: text(item, Tags.VerifyingOrganization) ?? '',
        dateTime: text(item, Tags.VerificationDateTime) ?? '',
      })),
    authors: items(ds, Tags.AuthorObserverSequence)
      .slice(0, MAX_PEOPLE)
      .map((item) => ({
        // A device has a manufacturer and a station in place of a name (PS3.3 §C.17.2, Identified Person or Device).
        name: text(item, Tags.PersonName) ?? text(item, Tags.StationName) ?? '',
        organization: text(item, Tags.InstitutionName) ?? text(item, Tags.Manufacturer) ?? '',
        dateTime: '',
      })),
    predecessors: referencedObjects(ds, Tags.PredecessorDocumentsSequence).length,
    tree: readSrTree(ds, maxItems),
    evidence: new Map(
      [Tags.CurrentRequestedProcedureEvidenceSequence, Tags.PertinentOtherEvidenceSequence].flatMap((tag) =>
        referencedObjects(ds, tag),
      ),
    ),
  };
}

type Placed = [sopUid: string, place: { studyUid: string; seriesUid: string }];

/** PS3.3 Table C.17-3a (Hierarchical SOP Instance Reference Macro): study, series, instance. */
function referencedObjects(ds: DataSet, tag: number): Placed[] {
  const found: Placed[] = [];
  for (const study of items(ds, tag)) {
    const studyUid = uidValue(study, Tags.StudyInstanceUID) ?? '';
    for (const series of items(study, Tags.ReferencedSeriesSequence)) {
      const seriesUid = uidValue(series, Tags.SeriesInstanceUID) ?? '';
      for (const object of items(series, Tags.ReferencedSOPSequence)) {
        const sopUid = uidValue(object, Tags.ReferencedSOPInstanceUID);
        if (sopUid !== undefined) found.push([sopUid, { studyUid, seriesUid }]);
        if (found.length >= MAX_EVIDENCE) return found;
      }
    }
  }
  return found;
}
