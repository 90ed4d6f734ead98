/**
 * What an object is that has neither image nor text to show by itself, and the few facts a reader wants of it.
 *
 * Source: PS3.4 §B.5 (Storage SOP classes), PS3.3 §C.10.4 and §C.11.10 (content identification), §C.8.8 (radiotherapy),
 *         §C.8.20 (segmentation), PS3.3 §C.23 (hanging protocol).
 * Layer:  core/translate.
 */
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { items, text, texts, uidValue } from '../dicom/values.ts';

/** Why an object is not drawn. The page has the sentence for each in its language. */
export type NoteReason =
  | 'presentation-state'
  | 'segmentation'
  | 'registration'
  | 'radiotherapy'
  | 'hanging-protocol'
  | 'measurement-map'
  | 'raw-data'
  | 'colour-palette'
  | 'encapsulated'
  | 'pdf-damaged'
  | 'video-form'
  | 'no-image';

const STORAGE = '1.2.840.10008.5.1.4.1.1.';
const FAMILIES: readonly (readonly [prefix: string, reason: NoteReason])[] = [
  ['11.', 'presentation-state'],
  ['66.1', 'registration'],
  ['66.2', 'registration'],
  ['66.3', 'registration'],
  ['66.4', 'segmentation'],
  ['66.5', 'segmentation'],
  ['66.6', 'segmentation'],
  ['66.7', 'segmentation'],
  ['66', 'raw-data'],
  ['67', 'measurement-map'],
  ['68.', 'measurement-map'],
  ['78.', 'measurement-map'],
  ['79.1', 'measurement-map'],
  ['80.1', 'measurement-map'],
  ['30', 'measurement-map'],
  ['104.', 'encapsulated'],
  ['481.', 'radiotherapy'],
];
const OTHERS: Readonly<Record<string, NoteReason>> = {
  '1.2.840.10008.5.1.4.38.1': 'hanging-protocol',
  '1.2.840.10008.5.1.4.39.1': 'colour-palette',
};

export function noteReason(sopClassUid: string): NoteReason {
  const other = OTHERS[sopClassUid];
  if (other) return other;
  if (!sopClassUid.startsWith(STORAGE)) return 'no-image';
  const rest = sopClassUid.slice(STORAGE.length);
  const family = FAMILIES.find(([prefix]) =>
    prefix.endsWith('.') ? rest.startsWith(prefix) : rest === prefix,
  );
  return family?.[1] ?? 'no-image';
}

/** A line of a note: the keyword of the attribute, and its values as text. */
export interface Fact {
  readonly keyword: FactKeyword;
  readonly value: string;
}

const PLAIN = {
  ContentLabel: Tags.ContentLabel,
  ContentDescription: Tags.ContentDescription,
  ContentCreatorName: Tags.ContentCreatorName,
  DocumentTitle: Tags.DocumentTitle,
  MIMETypeOfEncapsulatedDocument: Tags.MIMETypeOfEncapsulatedDocument,
  SeriesDescription: Tags.SeriesDescription,
  RTPlanLabel: Tags.RTPlanLabel,
  RTPlanName: Tags.RTPlanName,
  StructureSetLabel: Tags.StructureSetLabel,
  DoseType: Tags.DoseType,
  DoseUnits: Tags.DoseUnits,
  DoseSummationType: Tags.DoseSummationType,
  HangingProtocolName: Tags.HangingProtocolName,
  HangingProtocolDescription: Tags.HangingProtocolDescription,
  Manufacturer: Tags.Manufacturer,
} as const satisfies Record<string, Tag>;
export type FactKeyword = keyof typeof PLAIN | 'Segments' | 'Regions' | 'Beams' | 'References';

/** Names within one line; a structure set may have hundreds. */
const MAX_NAMES = 40;

export function objectFacts(ds: DataSet): Fact[] {
  const facts: Fact[] = [];
  const add = (keyword: FactKeyword, value: string | undefined): void => {
    if (value) facts.push({ keyword, value });
  };
  for (const [keyword, tag] of Object.entries(PLAIN)) add(keyword as FactKeyword, texts(ds, tag)[0]);
  add('Segments', names(ds, Tags.SegmentSequence, Tags.SegmentLabel));
  add('Regions', names(ds, Tags.StructureSetROISequence, Tags.ROIName));
  add('Beams', names(ds, Tags.BeamSequence, Tags.BeamName));
  const references = countReferences(ds);
  add('References', references > 0 ? String(references) : undefined);
  return facts;
}

function names(ds: DataSet, sequence: Tag, tag: Tag): string {
  const all = items(ds, sequence);
  const some = all.slice(0, MAX_NAMES).map((item) => text(item, tag) ?? '–');
  return [...some, ...(all.length > MAX_NAMES ? [`… (${all.length})`] : [])].join(', ');
}

/** Images that a presentation state or a segmentation belongs to (PS3.3 §C.11.11, §C.12.4). */
function countReferences(ds: DataSet): number {
  const seen = new Set<string>();
  for (const series of items(ds, Tags.ReferencedSeriesSequence)) {
    for (const tag of [Tags.ReferencedImageSequence, Tags.ReferencedInstanceSequence])
      for (const image of items(series, tag)) {
        const uid = uidValue(image, Tags.ReferencedSOPInstanceUID);
        if (uid !== undefined) seen.add(uid);
      }
  }
  return seen.size;
}
