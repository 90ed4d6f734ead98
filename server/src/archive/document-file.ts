/**
 * The bytes of a document that lie inside an object: an encapsulated document, or a video in its fragments.
 *
 * Source: PS3.3 §C.24.2 (Encapsulated Document, Length), PS3.5 §A.4 (fragments of one stream, §A.4.5 and on for video).
 * Layer:  server/archive. By range, whatever the size; nothing is held in memory.
 */
import { Readable } from 'node:stream';
import type { BulkValue } from '@lightbox/core/dicom/data-set.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { integer, text } from '@lightbox/core/dicom/values.ts';
import { isVideoSyntax } from '@lightbox/core/translate/encapsulated.ts';
import type { ObjectSource } from './render/source.ts';

export interface DocumentFile {
  readonly video: boolean;
  /** What the bytes are served as; told from the bytes, set by who opens the file. */
  readonly mediaType: string;
  /** For the name of a saved file, without the dot. */
  readonly extension: string;
  readonly length: number;
  open(range: { readonly start: number; readonly end: number } | undefined): Readable;
}

/** Undefined when the object has neither a document nor a video in it. */
export function documentFile(source: ObjectSource): DocumentFile | undefined {
  return isVideoSyntax(source.syntax.uid) ? video(source) : encapsulated(source);
}

function encapsulated({ dataSet, stream }: ObjectSource): DocumentFile | undefined {
  const element = dataSet.elements.get(Tags.EncapsulatedDocument);
  if (!element) return undefined;
  const { bytes, bulk } = element;
  const held = bytes?.length ?? bulk?.length ?? 0;
  // Type 3 and not to be trusted beyond the value; it tells apart a last byte from padding.
  const length = Math.min(held, integer(dataSet, Tags.EncapsulatedDocumentLength, 1) ?? held);
  const type = text(dataSet, Tags.MIMETypeOfEncapsulatedDocument) ?? '';
  return {
    ...{ video: false, mediaType: 'application/octet-stream', length },
    extension: EXTENSIONS[type] ?? 'bin',
    open: (range) => {
      const { start, end } = range ?? { start: 0, end: length };
      if (bulk) return stream(bulk.offset + start, bulk.offset + end);
      return Readable.from(bytes ? [Buffer.from(bytes.subarray(start, end))] : [], { objectMode: false });
    },
  };
}

/** PS3.3 §C.24.2: what is encapsulated under a SOP class of its own. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  'application/pdf': 'pdf',
  'text/XML': 'xml',
  'text/xml': 'xml',
  'model/stl': 'stl',
  'model/obj': 'obj',
  'model/mtl': 'mtl',
};

function video({ frames, stream }: ObjectSource): DocumentFile | undefined {
  if (frames?.kind !== 'encapsulated') return undefined;
  const pieces = frames.frames.flat();
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (length === 0) return undefined;
  return {
    ...{ video: true, mediaType: 'application/octet-stream', extension: 'mp4', length },
    open: (range) =>
      Readable.from(openPieces(pieces, stream, range ?? { start: 0, end: length }), { objectMode: false }),
  };
}

/** A range of what the pieces are when put together. */
async function* openPieces(
  pieces: readonly BulkValue[],
  stream: ObjectSource['stream'],
  range: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const { offset, length } of pieces) {
    const from = Math.max(0, range.start - at);
    const to = Math.min(length, range.end - at);
    at += length;
    if (from < to) yield* stream(offset + from, offset + to) as AsyncIterable<Uint8Array>;
    if (at >= range.end) return;
  }
}
