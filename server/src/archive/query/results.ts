/**
 * A row of the index as a match: DICOM JSON of its level and those above.
 *
 * Source: PS3.18 §10.6.3.3 (Tables 10.6.3-3 to -5, attributes returned), PS3.4 §C.3.4 (attributes with counts).
 * Layer:  server/archive.
 */
import type { Tag } from '@lightbox/core/dicom/data-set.ts';
import { type DicomJson, type DicomJsonElement, tagHex } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import type { ArchiveQuery, Level, QueryMatch } from '../types.ts';
import { levelOf } from '../index/attributes.ts';
import { isAtOrAbove } from './predicates.ts';

type Row = Readonly<Record<string, unknown>>;

/** Returned at a level whether asked for or not. */
const ALWAYS: Readonly<Record<Level, readonly Tag[]>> = {
  patient: [
    Tags.SpecificCharacterSet,
    Tags.PatientName,
    Tags.PatientID,
    Tags.IssuerOfPatientID,
    Tags.PatientBirthDate,
    Tags.PatientSex,
  ],
  study: [
    Tags.SpecificCharacterSet,
    Tags.StudyDate,
    Tags.StudyTime,
    Tags.AccessionNumber,
    Tags.InstanceAvailability,
    Tags.ModalitiesInStudy,
    Tags.ReferringPhysicianName,
    Tags.TimezoneOffsetFromUTC,
    Tags.PatientName,
    Tags.PatientID,
    Tags.PatientBirthDate,
    Tags.PatientSex,
    Tags.StudyInstanceUID,
    Tags.StudyID,
    Tags.NumberOfStudyRelatedSeries,
    Tags.NumberOfStudyRelatedInstances,
  ],
  series: [
    Tags.SpecificCharacterSet,
    Tags.Modality,
    Tags.InstanceAvailability,
    Tags.TimezoneOffsetFromUTC,
    Tags.SeriesDescription,
    Tags.StudyInstanceUID,
    Tags.SeriesInstanceUID,
    Tags.SeriesNumber,
    Tags.NumberOfSeriesRelatedInstances,
    Tags.PerformedProcedureStepStartDate,
    Tags.PerformedProcedureStepStartTime,
    Tags.RequestAttributesSequence,
  ],
  instance: [
    Tags.SpecificCharacterSet,
    Tags.SOPClassUID,
    Tags.SOPInstanceUID,
    Tags.InstanceAvailability,
    Tags.TimezoneOffsetFromUTC,
    Tags.StudyInstanceUID,
    Tags.SeriesInstanceUID,
    Tags.InstanceNumber,
    Tags.Rows,
    Tags.Columns,
    Tags.BitsAllocated,
    Tags.NumberOfFrames,
    Tags.AvailableTransferSyntaxUID,
  ],
};

/** Counts over the rows below, by the patient: each costs a query of its own. */
const PATIENT_COUNTS: readonly (readonly [Tag, string])[] = [
  [Tags.NumberOfPatientRelatedStudies, 'count(*)'],
  [Tags.NumberOfPatientRelatedSeries, 'coalesce(sum(c.series_count), 0)'],
  [Tags.NumberOfPatientRelatedInstances, 'coalesce(sum(c.instance_count), 0)'],
];

export const COMPUTED: readonly Tag[] = PATIENT_COUNTS.map(([tag]) => tag);

/** Made from the index rather than kept from the objects, with the level from which on they are known. */
const MADE: ReadonlyMap<Tag, Level> = new Map([
  ...COMPUTED.map((tag) => [tag, 'patient'] as const),
  [Tags.InstanceAvailability, 'study'],
  [Tags.ModalitiesInStudy, 'study'],
  [Tags.SOPClassesInStudy, 'study'],
  [Tags.NumberOfStudyRelatedSeries, 'study'],
  [Tags.NumberOfStudyRelatedInstances, 'study'],
  [Tags.NumberOfSeriesRelatedInstances, 'series'],
  [Tags.AvailableTransferSyntaxUID, 'instance'],
]);

/** Whether matches of this level can have the attribute. */
export function isReturned(tag: Tag, level: Level): boolean {
  const own = MADE.get(tag) ?? levelOf(tag);
  return own !== undefined && isAtOrAbove(own, level);
}

/** Columns to select for a level. */
export function selectList(level: Level, wanted: ReadonlySet<Tag>): string {
  const patient = level === 'patient' ? 'p.id' : 's.patient_fk';
  const counts = PATIENT_COUNTS.filter(([tag]) => wanted.has(tag)).map(
    ([tag, sum]) => `(SELECT ${sum} FROM study c WHERE c.patient_fk = ${patient}) AS "${tagHex(tag)}"`,
  );
  const own: Readonly<Record<Level, readonly string[]>> = {
    patient: ['p.attributes'],
    study: ['s.attributes', ...STUDY_COLUMNS],
    series: ['s.attributes AS study_attributes', 'e.attributes', ...STUDY_COLUMNS, ...SERIES_COLUMNS],
    instance: [
      's.attributes AS study_attributes',
      'e.attributes AS series_attributes',
      'i.attributes',
      'i.transfer_syntax_uid',
      ...STUDY_COLUMNS,
      ...SERIES_COLUMNS,
    ],
  };
  return [...own[level], ...counts].join(', ');
}

const STUDY_COLUMNS = ['s.modalities', 's.sop_classes', 's.series_count', 's.instance_count'];
const SERIES_COLUMNS = ['e.instance_count AS series_instance_count'];

/** The match with the attributes that are always returned, asked for, or matched; all that is known for `include: 'all'`. */
export function fromRow(row: Row, query: Pick<ArchiveQuery, 'level' | 'include' | 'keys'>): QueryMatch {
  const all: DicomJson = {
    ...(row['study_attributes'] as DicomJson | undefined),
    ...(row['series_attributes'] as DicomJson | undefined),
    ...(row['attributes'] as DicomJson),
    ...computed(row, query.level),
  };
  const wanted = query.include === 'all' ? undefined : wantedHex(query);
  const attributes: DicomJson = {};
  for (const hex of Object.keys(all).sort()) {
    const element = all[hex];
    if (element && (!wanted || wanted.has(hex))) attributes[hex] = element;
  }
  return { attributes };
}

function wantedHex(query: Pick<ArchiveQuery, 'level' | 'include' | 'keys'>): Set<string> {
  const tags = [...ALWAYS[query.level], ...query.keys.map((key) => key.tag)];
  return new Set([...tags, ...(query.include === 'all' ? [] : query.include)].map(tagHex));
}

function computed(row: Row, level: Level): DicomJson {
  const json: DicomJson = { [tagHex(Tags.SpecificCharacterSet)]: { vr: 'CS', Value: ['ISO_IR 192'] } };
  const put = (tag: Tag, element: DicomJsonElement): void => {
    json[tagHex(tag)] = element;
  };
  const count = (tag: Tag, value: unknown): void => put(tag, { vr: 'IS', Value: [Number(value)] });
  for (const [tag] of PATIENT_COUNTS) if (row[tagHex(tag)] !== undefined) count(tag, row[tagHex(tag)]);
  if (level === 'patient') return json;
  const modalities = row['modalities'] as string[];
  const classes = row['sop_classes'] as string[];
  put(Tags.InstanceAvailability, { vr: 'CS', Value: ['ONLINE'] });
  put(Tags.ModalitiesInStudy, modalities.length ? { vr: 'CS', Value: modalities } : { vr: 'CS' });
  put(Tags.SOPClassesInStudy, classes.length ? { vr: 'UI', Value: classes } : { vr: 'UI' });
  count(Tags.NumberOfStudyRelatedSeries, row['series_count']);
  count(Tags.NumberOfStudyRelatedInstances, row['instance_count']);
  if (isAtOrAbove('series', level)) count(Tags.NumberOfSeriesRelatedInstances, row['series_instance_count']);
  if (level === 'instance') {
    put(Tags.AvailableTransferSyntaxUID, { vr: 'UI', Value: [row['transfer_syntax_uid'] as string] });
  }
  return json;
}
