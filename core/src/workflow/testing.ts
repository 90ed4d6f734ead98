/** Workitems for tests. Layer: core/workflow. For tests only. */
import { toJson, type DicomJson } from '../dicom/json.ts';
import { dataSet } from '../dicom/element.ts';
import type { DataSet } from '../dicom/data-set.ts';

const code = (value: string, meaning: string): DataSet =>
  dataSet({ CodeValue: value, CodingSchemeDesignator: '99TEST', CodeMeaning: meaning });

type Values = Parameters<typeof dataSet>[0];

/** What a scheduler sends: everything of type 1 and 2 that is not left to us (PS3.4 Table CC.2.5-3). */
export const scheduled = (more: Values = {}): DataSet =>
  dataSet({
    SpecificCharacterSet: 'ISO_IR 192',
    ScheduledProcedureStepPriority: 'MEDIUM',
    ProcedureStepLabel: 'Reconstruct chest',
    WorklistLabel: 'Post-processing',
    ScheduledProcessingParametersSequence: [],
    ScheduledStationNameCodeSequence: [code('WS1', 'Workstation 1')],
    ScheduledStationClassCodeSequence: [],
    ScheduledStationGeographicLocationCodeSequence: [],
    ScheduledProcedureStepStartDateTime: '20260301080000',
    ScheduledWorkitemCodeSequence: [code('IMG', 'Image processing')],
    CommentsOnTheScheduledProcedureStep: [],
    InputReadinessState: 'READY',
    InputInformationSequence: [],
    StudyInstanceUID: '1.2.826.0.1.3680043.2.1',
    PatientName: 'Grün^Erika',
    PatientID: 'P-1',
    IssuerOfPatientID: [],
    IssuerOfPatientIDQualifiersSequence: [],
    OtherPatientIDsSequence: [],
    PatientBirthDate: '19700101',
    PatientSex: 'F',
    AdmissionID: [],
    IssuerOfAdmissionIDSequence: [],
    AdmittingDiagnosesDescription: [],
    AdmittingDiagnosesCodeSequence: [],
    ReferencedRequestSequence: [],
    ProcedureStepState: 'SCHEDULED',
    ProcedureStepProgressInformationSequence: [],
    UnifiedProcedureStepPerformedProcedureSequence: [],
    TransactionUID: [],
    ...more,
  });

export const scheduledJson = (more: Values = {}): DicomJson => toJson(scheduled(more));

/** What a performer sets before it says COMPLETED. */
export const performed = (more: Values = {}, inItem: Values = {}): DataSet =>
  dataSet({
    UnifiedProcedureStepPerformedProcedureSequence: [
      dataSet({
        PerformedStationNameCodeSequence: [code('WS1', 'Workstation 1')],
        PerformedProcedureStepStartDateTime: '20260301080500',
        PerformedWorkitemCodeSequence: [code('IMG', 'Image processing')],
        PerformedProcedureStepEndDateTime: '20260301081500',
        OutputInformationSequence: [],
        ...inItem,
      }),
    ],
    ...more,
  });

/** What a performer sets before it says CANCELED. */
export const discontinued = (): DataSet =>
  dataSet({
    ProcedureStepProgressInformationSequence: [
      dataSet({
        ReasonForCancellation: 'The patient went home',
        ProcedureStepDiscontinuationReasonCodeSequence: [
          dataSet({
            CodeValue: '110500',
            CodingSchemeDesignator: 'DCM',
            CodeMeaning: 'Doctor canceled procedure',
          }),
        ],
      }),
    ],
  });
