/**
 * Which attributes the index keeps at which level, as DICOM JSON: what can be matched and returned by a query.
 *
 * Source: PS3.4 §C.6.1.1 and §C.6.2.1 (attributes of the levels), PS3.18 §10.6.3.3 (attributes returned), PS3.3 modules.
 * Layer:  server/archive.
 */
import type { DataSet, Element, Tag } from '@lightbox/core/dicom/data-set.ts';
import { type DicomJson, elementJson, tagHex } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import type { Level } from '../types.ts';

/** A value longer than this is not searched for: a private blob or an attack. */
const LONGEST_VALUE = 4096;

const STUDY_TAGS: ReadonlySet<Tag> = new Set([
  Tags.StudyDate,
  Tags.StudyTime,
  Tags.AccessionNumber,
  Tags.IssuerOfAccessionNumberSequence,
  Tags.ReferringPhysicianName,
  Tags.ReferringPhysicianIdentificationSequence,
  Tags.TimezoneOffsetFromUTC,
  Tags.StudyDescription,
  Tags.ProcedureCodeSequence,
  Tags.PhysiciansOfRecord,
  Tags.NameOfPhysiciansReadingStudy,
  Tags.AdmittingDiagnosesDescription,
  Tags.AdmittingDiagnosesCodeSequence,
  Tags.ReferencedStudySequence,
  Tags.PatientAge,
  Tags.PatientSize,
  Tags.PatientWeight,
  Tags.MedicalAlerts,
  Tags.Allergies,
  Tags.Occupation,
  Tags.SmokingStatus,
  Tags.AdditionalPatientHistory,
  Tags.PregnancyStatus,
  Tags.PatientState,
  Tags.StudyInstanceUID,
  Tags.StudyID,
  Tags.RequestingPhysician,
  Tags.RequestingService,
  Tags.RequestedProcedureDescription,
  Tags.RequestedProcedureCodeSequence,
  Tags.AdmissionID,
  Tags.IssuerOfAdmissionIDSequence,
  Tags.ServiceEpisodeID,
  Tags.ReasonForStudy,
]);

const SERIES_TAGS: ReadonlySet<Tag> = new Set([
  Tags.SeriesDate,
  Tags.SeriesTime,
  Tags.Modality,
  Tags.Manufacturer,
  Tags.InstitutionName,
  Tags.InstitutionAddress,
  Tags.StationName,
  Tags.SeriesDescription,
  Tags.SeriesDescriptionCodeSequence,
  Tags.InstitutionalDepartmentName,
  Tags.PerformingPhysicianName,
  Tags.OperatorsName,
  Tags.ManufacturerModelName,
  Tags.ReferencedPerformedProcedureStepSequence,
  Tags.BodyPartExamined,
  Tags.DeviceSerialNumber,
  Tags.SoftwareVersions,
  Tags.ProtocolName,
  Tags.PatientPosition,
  Tags.SeriesInstanceUID,
  Tags.SeriesNumber,
  Tags.Laterality,
  Tags.FrameOfReferenceUID,
  Tags.PositionReferenceIndicator,
  Tags.PerformedStationAETitle,
  Tags.PerformedProcedureStepStartDate,
  Tags.PerformedProcedureStepStartTime,
  Tags.PerformedProcedureStepEndDate,
  Tags.PerformedProcedureStepEndTime,
  Tags.PerformedProcedureStepID,
  Tags.PerformedProcedureStepDescription,
  Tags.PerformedProtocolCodeSequence,
  Tags.RequestAttributesSequence,
]);

const INSTANCE_TAGS: ReadonlySet<Tag> = new Set([
  Tags.ImageType,
  Tags.InstanceCreationDate,
  Tags.InstanceCreationTime,
  Tags.SOPClassUID,
  Tags.SOPInstanceUID,
  Tags.AcquisitionDate,
  Tags.ContentDate,
  Tags.AcquisitionDateTime,
  Tags.AcquisitionTime,
  Tags.ContentTime,
  Tags.PresentationIntentType,
  Tags.ViewPosition,
  Tags.AcquisitionNumber,
  Tags.InstanceNumber,
  Tags.ImageLaterality,
  Tags.ImageComments,
  Tags.SliceLocation,
  Tags.SamplesPerPixel,
  Tags.PhotometricInterpretation,
  Tags.NumberOfFrames,
  Tags.Rows,
  Tags.Columns,
  Tags.BitsAllocated,
  Tags.BitsStored,
  Tags.LossyImageCompression,
  Tags.BurnedInAnnotation,
  Tags.ObservationDateTime,
  Tags.ConceptNameCodeSequence,
  Tags.CompletionFlag,
  Tags.VerificationFlag,
  Tags.ContentLabel,
  Tags.ContentDescription,
  Tags.PresentationCreationDate,
  Tags.PresentationCreationTime,
  Tags.ContentCreatorName,
  Tags.DocumentTitle,
  Tags.MIMETypeOfEncapsulatedDocument,
  Tags.StructureSetLabel,
  Tags.StructureSetDate,
  Tags.RTPlanLabel,
  Tags.RTPlanDate,
]);

/** Group 0010 is the patient's, but for what describes the patient at the time of the study (PS3.3 §C.7.2.2). */
const isPatientTag = (tag: Tag): boolean => tag >>> 16 === 0x0010 && !STUDY_TAGS.has(tag);

/** Level an attribute belongs to; undefined when the index does not keep it. */
export function levelOf(tag: Tag): Level | undefined {
  if (isPatientTag(tag)) return 'patient';
  if (STUDY_TAGS.has(tag)) return 'study';
  if (SERIES_TAGS.has(tag)) return 'series';
  return INSTANCE_TAGS.has(tag) ? 'instance' : undefined;
}

/** The attributes of one level, without values that are not worth searching. */
export function attributesOf(ds: DataSet, level: Level): string {
  const json: DicomJson = {};
  for (const element of ds.elements.values()) {
    if (levelOf(element.tag) !== level || (element.tag & 0xffff) === 0 || isHeavy(element)) continue;
    json[tagHex(element.tag)] = elementJson(element, ds, {}, '');
  }
  return jsonText(json);
}

const isHeavy = (element: Element): boolean =>
  element.bulk !== undefined ||
  (element.bytes?.length ?? 0) > LONGEST_VALUE ||
  (element.items !== undefined && weight(element.items) > LONGEST_VALUE * 4);

function weight(items: readonly DataSet[]): number {
  let sum = 0;
  for (const item of items) {
    for (const one of item.elements.values()) {
      sum += 16 + (one.bytes?.length ?? 0) + (one.items ? weight(one.items) : 0);
    }
  }
  return sum;
}

/** JSON that PostgreSQL takes: it knows no U+0000 and no half surrogate pairs (attacks A22). */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value);
  if (!text.includes('\\u0000') && !text.includes('\\ud')) return text;
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'string' ? cleanText(inner) : inner));
}

/** The same for a column, cut to what an index can hold. */
export function cleanText(text: string, longest = Number.MAX_SAFE_INTEGER): string {
  const clean = text.includes('\0') ? text.replaceAll('\0', '') : text;
  return (clean.length > longest ? clean.slice(0, longest) : clean).replace(/\p{Surrogate}/gu, '\ufffd');
}
