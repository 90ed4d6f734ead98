/**
 * Objects that are no images, as something to read: reports, recordings, PDF, video; or why an object is not shown.
 *
 * Source: PS3.3 §C.17.3 (SR), §C.10.9 (waveforms), §A.45 (encapsulated documents), PS3.5 §A.4.5 to §A.4.13 (video).
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Document, SrNode } from '@lightbox/core/contract/api.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { items, text } from '@lightbox/core/dicom/values.ts';
import { codeOf, codeText, documentHead } from '@lightbox/core/translate/codes.ts';
import {
  looksLikePdf,
  SNIFF_BYTES,
  videoCoding,
  videoContainer,
  videoMediaType,
} from '@lightbox/core/translate/encapsulated.ts';
import { type NoteReason, noteReason, objectFacts } from '@lightbox/core/translate/object-note.ts';
import { readSrDocument, type SrDocument } from '@lightbox/core/translate/sr-document.ts';
import type { SrItem } from '@lightbox/core/translate/sr-tree.ts';
import type { z } from 'zod';
import { documentFile, type DocumentFile } from './document-file.ts';
import { hydrated, type ObjectSource, openSource } from './render/source.ts';
import { sampleWaveform } from './sample-waveform.ts';
import type { InstanceRef, Retrieve } from './types.ts';

type DocumentAnswer = z.infer<typeof Document>;
type Head = Pick<
  DocumentAnswer,
  'title' | 'sopClassUid' | 'sopClassName' | 'patient' | 'date' | 'time' | 'institution'
>;

/** Text of a report that is longer than what a header keeps in memory. */
const MAX_TEXT_BYTES = 32 * 1024 * 1024;
/** Other studies that a report points at and that are looked up. */
const MAX_STUDIES = 16;
const SR_CLASSES = '1.2.840.10008.5.1.4.1.1.88.';

export interface Documents {
  /** What there is to read in this object. `url` is where its bytes are served, if it has any. */
  read(ref: InstanceRef, url: string): Promise<DocumentAnswer>;
  /** The PDF, video or other document in it. @throws Fault NOT_FOUND when there is none. */
  file(ref: InstanceRef): Promise<DocumentFile>;
}

export function createDocuments(retrieve: Retrieve): Documents {
  return {
    read: async (ref, url) => readDocument(retrieve, await openSource(retrieve, ref), url),
    file: async (ref) => {
      const file = documentFile(await openSource(retrieve, ref));
      if (!file) throw new Fault('NOT_FOUND');
      // The media type is what the first bytes are, and nothing that a browser would run.
      const start = await startOf(file);
      const mediaType = file.video
        ? videoMediaType(videoContainer(start))
        : looksLikePdf(start)
          ? 'application/pdf'
          : 'application/octet-stream';
      return { ...file, mediaType };
    },
  };
}

async function readDocument(retrieve: Retrieve, source: ObjectSource, url: string): Promise<DocumentAnswer> {
  const { dataSet } = source;
  const head = headOf(dataSet);
  const file = documentFile(source);
  if (file) return fileDocument(source, head, file, url);
  if (head.sopClassUid.startsWith(SR_CLASSES) || items(dataSet, Tags.ContentSequence).length > 0)
    return report(retrieve, source, head);
  if (items(dataSet, Tags.WaveformSequence).length > 0)
    return { kind: 'waveform', ...head, ...(await sampleWaveform(source)) };
  return note(dataSet, head, source.frames ? 'image' : noteReason(head.sopClassUid));
}

function headOf(ds: DataSet): Head {
  const head = documentHead(ds);
  const title =
    text(ds, Tags.DocumentTitle) ??
    (codeText(codeOf(ds, Tags.ConceptNameCodeSequence)) || text(ds, Tags.SeriesDescription));
  return { title: title ?? head.sopClassName, ...head };
}

const note = (ds: DataSet, head: Head, reason: NoteReason | 'image'): DocumentAnswer => ({
  ...{ kind: 'none', ...head, reason, facts: objectFacts(ds) },
});

async function fileDocument(
  source: ObjectSource,
  head: Head,
  file: DocumentFile,
  url: string,
): Promise<DocumentAnswer> {
  const { dataSet, syntax } = source;
  const start = await startOf(file);
  const bytes = file.length;
  const declaredType = text(dataSet, Tags.MIMETypeOfEncapsulatedDocument) ?? '';
  const saved = (reason: NoteReason, type = declaredType): DocumentAnswer => ({
    ...{ kind: 'file', ...head, url, bytes, reason, declaredType: type },
    mediaType: 'application/octet-stream',
  });
  if (file.video) {
    const container = videoContainer(start);
    const coding = videoCoding(syntax.uid);
    // Browsers play MP4; transport and program streams and bare H.264 only by a player outside.
    if (container !== 'mp4') return saved('video-form', `${coding} ${videoMediaType(container)}`);
    return { kind: 'video', ...head, url, bytes, mediaType: videoMediaType(container), coding };
  }
  if (looksLikePdf(start)) return { kind: 'pdf', ...head, url, bytes, mediaType: 'application/pdf' };
  return saved(declaredType === 'application/pdf' ? 'pdf-damaged' : 'encapsulated');
}

async function startOf(file: DocumentFile): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  for await (const piece of file.open({ start: 0, end: Math.min(SNIFF_BYTES, file.length) }))
    pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function report(retrieve: Retrieve, source: ObjectSource, head: Head): Promise<DocumentAnswer> {
  const read = readSrDocument(await withLongText(source));
  const places = await placesOf(retrieve, source.ref, read);
  const nodes = read.tree.root.children.map((item) => nodeOf(item, places));
  const { completion, completionNote, verification, preliminary, predecessors } = read;
  return {
    ...{ kind: 'sr', ...head, completion, completionNote, verification, preliminary, predecessors },
    ...{ verifiers: [...read.verifiers], authors: [...read.authors] },
    ...{ nodes, nodeCount: read.tree.count, truncated: read.tree.truncated },
  };
}

/** The content with texts that were too long for the header; whatever else is large stays where it lies. */
async function withLongText(source: ObjectSource): Promise<DataSet> {
  const { dataSet } = source;
  const content = dataSet.elements.get(Tags.ContentSequence);
  if (!content) return dataSet;
  const alone = { ...dataSet, elements: new Map([[Tags.ContentSequence, content]]) };
  try {
    const whole = await hydrated(source, alone, MAX_TEXT_BYTES);
    return { ...dataSet, elements: new Map([...dataSet.elements, ...whole.elements]) };
  } catch (error) {
    if (error instanceof Fault && error.code === 'TOO_LARGE')
      throw new Fault('DOCUMENT_UNREADABLE', { limit: MAX_TEXT_BYTES }, { cause: error });
    throw error;
  }
}

type Places = ReadonlyMap<string, { readonly studyUid: string; readonly seriesUid: string }>;

/** Where the objects lie that the report points at: only those that are really here, so that no link leads nowhere. */
async function placesOf(retrieve: Retrieve, ref: InstanceRef, read: SrDocument): Promise<Places> {
  const wanted = new Set<string>();
  const studies = new Set<string>([ref.studyUid]);
  const collect = (item: SrItem): void => {
    if (item.reference) {
      wanted.add(item.reference.sopUid);
      const place = read.evidence.get(item.reference.sopUid);
      if (place && studies.size < MAX_STUDIES) studies.add(place.studyUid);
    }
    for (const child of item.children) collect(child);
  };
  collect(read.tree.root);
  const places = new Map<string, { studyUid: string; seriesUid: string }>();
  if (wanted.size === 0) return places;
  for (const studyUid of studies)
    for (const found of await retrieve.list({ studyUid }))
      if (wanted.has(found.sopUid)) places.set(found.sopUid, { studyUid, seriesUid: found.seriesUid });
  return places;
}

function nodeOf(item: SrItem, places: Places): SrNode {
  const { reference, children, code, unit, target, ...plain } = item;
  const at = reference && places.get(reference.sopUid);
  return {
    ...plain,
    ...(unit === undefined ? {} : { unit }),
    ...(code === undefined ? {} : { code }),
    ...(target === undefined ? {} : { target }),
    ...(reference === undefined
      ? {}
      : {
          reference: {
            sopClassUid: reference.sopClassUid,
            sopUid: reference.sopUid,
            frames: [...reference.frames],
            ...(at ? { at } : {}),
          },
        }),
    children: children.map((child) => nodeOf(child, places)),
  };
}
