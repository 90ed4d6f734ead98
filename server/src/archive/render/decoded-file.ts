/**
 * A file with compressed pixels written anew, decoded and changed frame by frame: for programs that have a file and no archive.
 * In memory are its header and one or two frames.
 *
 * Source: PS3.5 §A.4, §8.1.1; PS3.15 §E.3.1.
 * Layer:  server/archive.
 */
import { Readable } from 'node:stream';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { frameTable } from '@lightbox/core/dicom/frames.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { EXPLICIT_LE, readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { imagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import { DECODABLE } from './decode.ts';
import { editedFrame, type PixelEdit } from './pixel-edit.ts';
import type { Pool } from './pool.ts';
import { frameBytes, groupedFrames } from './source.ts';
import { writtenObject, type WrittenObject } from './transcode.ts';

export interface CompressedFile {
  readonly parsed: ParsedObject;
  /** Bytes of the file. */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Large values flow through in pieces of this size. */
const PIECE = 1024 * 1024;

/**
 * The Part 10 file in explicit little endian with another data set, whose bulk values lie where those of the file do.
 *
 * @throws Fault PIXELS_UNSUPPORTED when there is no decoder; PIXELS_BROKEN, RENDER_TIMEOUT, TOO_LARGE for the first frame,
 *   and from the pieces for the others.
 */
export async function decodedFile(
  file: CompressedFile,
  dataSet: DataSet,
  edit: PixelEdit,
  pool: Pick<Pool, 'run'>,
): Promise<WrittenObject> {
  const { parsed, read } = file;
  const syntax = readingSyntax(parsed.transferSyntaxUid);
  if (!DECODABLE.has(syntax.codec)) throw new Fault('PIXELS_UNSUPPORTED', { keptAs: syntax.uid });
  const image = imagePixel(parsed.dataSet);
  const frames = await groupedFrames(frameTable(parsed), read);
  async function* pieces(start: number, end: number): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; at += PIECE) yield read(at, Math.min(end, at + PIECE));
  }
  const stream = (start: number, end: number): Readable =>
    Readable.from(pieces(start, end), { objectMode: false });
  return writtenObject({ syntax, dataSet, frames, read, stream }, EXPLICIT_LE, async (index) => {
    const bytes = await frameBytes({ frames, read }, index);
    const decoded = await pool.run({ bytes, codec: syntax.codec, image, show: undefined });
    return { ...decoded, bytes: editedFrame(decoded, edit) };
  });
}
