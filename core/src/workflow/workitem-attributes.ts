/**
 * The attributes of a workitem: what is wanted of each when it is created, changed and finished, and when it is searched.
 *
 * Source: PS3.4 Table CC.2.5-3 (UPS SOP Class N-CREATE/N-SET/N-GET/C-FIND Attributes), Tables CC.2.5-1 (final state codes).
 * Layer:  core/workflow.
 */
import { tagOf } from '../dicom/dictionary.ts';
import type { Tag } from '../dicom/data-set.ts';

/**
 * As the table writes it, SCU/SCP: 1 has to be there with a value, 2 may be empty, 3 may be missing, `-` is not sent (or made by
 * the SCP), C is conditional. `no`: not allowed. `empty`: there, and empty.
 */
export type Requirement =
  '1/1' | '1C/1C' | '1C/2' | '2/1' | '2/2' | '2C/2C' | '3/1' | '3/2' | '3/3' | '-/1' | '-/-' | 'no' | 'empty';

/** R: a value is needed; RC: where its condition holds; P: to be COMPLETED; X: to be CANCELED; O: not needed. */
export type FinalState = 'R' | 'RC' | 'P' | 'X' | 'O';

export interface WorkitemAttribute {
  readonly tag: Tag;
  readonly keyword: string;
  readonly create: Requirement;
  readonly set: Requirement;
  readonly final: FinalState;
  /** Type of the return key: 1 and 2 are in every answer to a search over the web (PS3.18 §11.9). */
  readonly returned: string;
  readonly items: readonly WorkitemAttribute[];
}

type Line = readonly [
  keyword: string,
  create: Requirement,
  set: Requirement,
  final: FinalState,
  returned: string,
];

/** In the order of the table; `>` is an attribute of the items of the sequence before it. Macros are left to their own rules. */
const LINES: readonly Line[] = [
  ['TransactionUID', 'empty', '-/-', 'O', '-'],
  ['SpecificCharacterSet', '1C/1C', '1C/1C', 'RC', '1C'],
  ['SOPClassUID', '-/-', 'no', 'R', '1'],
  ['SOPInstanceUID', '-/-', 'no', 'R', '1'],
  // Scheduled Procedure Information Module
  ['ScheduledProcedureStepPriority', '1/1', '3/1', 'R', '1'],
  ['ScheduledProcedureStepModificationDateTime', '-/1', '-/1', 'R', '3'],
  ['ProcedureStepLabel', '1/1', '3/1', 'O', '1'],
  ['WorklistLabel', '2/1', '3/1', 'O', '1'],
  ['ScheduledProcessingParametersSequence', '2/2', '3/2', 'O', '2'],
  ['ScheduledStationNameCodeSequence', '2/2', '3/2', 'O', '2'],
  ['ScheduledStationClassCodeSequence', '2/2', '3/2', 'O', '2'],
  ['ScheduledStationGeographicLocationCodeSequence', '2/2', '3/2', 'O', '2'],
  ['ScheduledHumanPerformersSequence', '2C/2C', '3/2', 'O', '2'],
  ['>HumanPerformerCodeSequence', '1/1', '1/1', 'O', '1'],
  ['>HumanPerformerName', '1/1', '1/1', 'O', '3'],
  ['>HumanPerformerOrganization', '1/1', '1/1', 'O', '3'],
  ['ScheduledProcedureStepStartDateTime', '1/1', '3/1', 'R', '1'],
  ['ExpectedCompletionDateTime', '3/1', '3/1', 'O', '3'],
  ['ScheduledProcedureStepExpirationDateTime', '3/3', '3/3', 'O', '3'],
  ['ScheduledWorkitemCodeSequence', '2/2', '3/1', 'O', '2'],
  ['CommentsOnTheScheduledProcedureStep', '2/2', '3/1', 'O', '3'],
  ['InputReadinessState', '1/1', '3/1', 'R', '1'],
  ['InputInformationSequence', '2/2', '3/2', 'O', '2'],
  ['StudyInstanceUID', '1C/2', '3/2', 'O', '2'],
  ['OutputDestinationSequence', '3/3', '3/3', 'O', '3'],
  // Patient Demographic and Medical Modules
  ['PatientName', '2/2', 'no', 'O', '2'],
  ['PatientID', '1C/2', 'no', 'O', '2'],
  ['IssuerOfPatientID', '2/2', '-/-', 'O', '2'],
  ['IssuerOfPatientIDQualifiersSequence', '2/2', '-/-', 'O', '2'],
  ['OtherPatientIDsSequence', '2/2', '3/3', 'O', '2'],
  ['>PatientID', '1/1', '1/1', 'O', '1'],
  ['PatientBirthDate', '2/2', 'no', 'O', '2'],
  ['PatientSex', '2/2', 'no', 'O', '2'],
  // Gender identity and the like are newer than our dictionary: kept as they come.
  ['ReferencedPatientPhotoSequence', '3/3', '3/3', 'O', '3'],
  // Visit Modules
  ['AdmissionID', '2/2', 'no', 'O', '2'],
  ['IssuerOfAdmissionIDSequence', '2/2', 'no', 'O', '2'],
  ['AdmittingDiagnosesDescription', '2/2', 'no', 'O', '2'],
  ['AdmittingDiagnosesCodeSequence', '2/2', 'no', 'O', '2'],
  // Relationship Module
  ['ReferencedRequestSequence', '2/2', 'no', 'O', '2'],
  ['>StudyInstanceUID', '1/1', 'no', 'O', '1'],
  ['>AccessionNumber', '2/2', 'no', 'O', '2'],
  ['>IssuerOfAccessionNumberSequence', '2/2', 'no', 'O', '2'],
  ['>OrderPlacerIdentifierSequence', '2/2', 'no', 'O', '2'],
  ['>OrderFillerIdentifierSequence', '2/2', 'no', 'O', '2'],
  ['>RequestedProcedureID', '2/2', 'no', 'O', '2'],
  ['>RequestedProcedureDescription', '2/2', 'no', 'O', '2'],
  ['>RequestedProcedureCodeSequence', '2/2', 'no', 'O', '2'],
  ['ReplacedProcedureStepSequence', '1C/1C', 'no', 'O', '3'],
  ['MedicalAlerts', '3/2', '3/2', 'O', '2C'],
  ['PregnancyStatus', '3/2', '3/2', 'O', '2C'],
  ['SpecialNeeds', '3/2', '3/2', 'O', '2C'],
  // Progress Information Module
  ['ProcedureStepState', '1/1', 'no', 'R', '1'],
  ['ProcedureStepProgressInformationSequence', 'empty', '3/2', 'X', '2'],
  ['>ProcedureStepProgress', '-/-', '3/1', 'O', '-'],
  ['>ProcedureStepProgressDescription', '-/-', '3/1', 'O', '-'],
  ['>ProcedureStepCommunicationsURISequence', '-/-', '3/1', 'O', '-'],
  ['>>ContactURI', '-/-', '1/1', 'O', '-'],
  ['>ProcedureStepCancellationDateTime', '-/-', '3/1', 'X', '-'],
  ['>ReasonForCancellation', '-/-', '3/1', 'O', '-'],
  ['>ProcedureStepDiscontinuationReasonCodeSequence', '-/-', '3/1', 'X', '-'],
  // Performed Procedure Information Module
  ['UnifiedProcedureStepPerformedProcedureSequence', 'empty', '3/2', 'P', '-'],
  ['>ActualHumanPerformersSequence', '-/-', '3/1', 'RC', '1C'],
  ['>PerformedStationNameCodeSequence', '-/-', '3/2', 'P', '3'],
  ['>PerformedStationClassCodeSequence', '-/-', '3/2', 'O', '-'],
  ['>PerformedStationGeographicLocationCodeSequence', '-/-', '3/2', 'O', '-'],
  ['>PerformedProcedureStepStartDateTime', '-/-', '3/1', 'P', '-'],
  ['>PerformedProcedureStepDescription', '-/-', '3/1', 'O', '-'],
  ['>CommentsOnThePerformedProcedureStep', '-/-', '3/1', 'O', '-'],
  ['>PerformedWorkitemCodeSequence', '-/-', '3/1', 'P', '-'],
  ['>PerformedProcessingParametersSequence', '-/-', '3/1', 'O', '-'],
  ['>PerformedProcedureStepEndDateTime', '-/-', '3/1', 'P', '1C'],
  ['>OutputInformationSequence', '-/-', '2/2', 'P', '-'],
];

/** Lines of one depth, each with those that follow it one deeper. */
function tree(lines: readonly Line[], depth: number): WorkitemAttribute[] {
  const mark = '>'.repeat(depth);
  const starts = lines.flatMap(([keyword], at) => (keyword.startsWith(`${mark}>`) ? [] : [at]));
  return starts.map((at, index) => {
    const [marked, create, set, final, returned] = lines[at]!;
    const keyword = marked.slice(depth);
    const tag = tagOf(keyword);
    if (tag === undefined) throw new Error(`${keyword} is not in the dictionary`);
    return {
      ...{ tag, keyword, create, set, final, returned },
      items: tree(lines.slice(at + 1, starts[index + 1]), depth + 1),
    };
  });
}

export const WORKITEM_ATTRIBUTES: readonly WorkitemAttribute[] = tree(LINES, 0);
