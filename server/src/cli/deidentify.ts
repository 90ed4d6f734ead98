/**
 * deidentify: DICOM files and folders written anew without who they show, file by file; pixel data flows through.
 *
 * Source: PS3.15 Annex E, PS3.10 §7.1.
 * Layer:  server/cli.
 */
import { createHmac } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet, Element } from '@lightbox/core/dicom/data-set.ts';
import { deidentify, type DeidentifyRequest } from '@lightbox/core/dicom/deidentify/deidentify.ts';
import type { PixelPlan } from '@lightbox/core/dicom/deidentify/pixels.ts';
import { isDeidentifyOption } from '@lightbox/core/dicom/deidentify/profile.ts';
import type { Rectangle } from '@lightbox/core/dicom/deidentify/rectangles.ts';
import { dataSetOf } from '@lightbox/core/dicom/element.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { DicomReader, readDataSet } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { sortedElements, uidValue } from '@lightbox/core/dicom/values.ts';
import { elementHeader, writeDataSet, writeFileMeta } from '@lightbox/core/dicom/write.ts';
import { decodedFile } from '../archive/render/decoded-file.ts';
import { type FrameEdit, frameEdit, type PixelEdit, pixelEdit } from '../archive/render/pixel-edit.ts';
import { createPool, type Pool } from '../archive/render/pool.ts';
import type { Pieces } from '../platform/outgoing.ts';
import { UsageError } from './usage.ts';

/** Tables and documents of an object come into memory up to this size, pixel data never; what is larger flows through. */
const KEEP_BYTES = 4 * 1024 * 1024;
/** Pixel data is copied, and blackened, in pieces of about this size. */
const PIECE = 1024 * 1024;
/** A deflated object is inflated in memory: they are reports, not films. */
const MAX_INFLATED = 512 * 1024 * 1024;
/** Nobody waits before a screen, and a slide of a hundred megapixels is one frame. */
const DECODE_MS = 120_000;
/** Shorter ones can be guessed from one known pair of names. */
const MIN_KEY = 16;

export interface DeidentifyArguments {
  /** Files and folders, the last one being where to. */
  readonly paths: readonly string[];
  readonly options: readonly string[];
  /** `left,top,width,height` each. */
  readonly rectangles: readonly string[];
  readonly pixelsReviewed: boolean;
  readonly key: string | undefined;
}

/** @returns the exit code: 0 when every file was written. */
export async function deidentifyFiles(given: DeidentifyArguments): Promise<number> {
  const target = given.paths.at(-1);
  const sources = given.paths.slice(0, -1);
  if (target === undefined || sources.length === 0)
    throw new UsageError('Name files or folders, then the folder to write to.');
  if ((given.key ?? '').length < MIN_KEY)
    throw new UsageError(`LIGHTBOX_DEIDENTIFY_KEY has to be a secret of at least ${MIN_KEY} characters.`);
  for (const option of given.options) {
    if (!isDeidentifyOption(option)) throw new UsageError(`There is no option "${option}".`);
  }
  const request: DeidentifyRequest = {
    options: new Set(given.options.filter(isDeidentifyOption)),
    hash: (text) =>
      createHmac('sha256', given.key ?? '')
        .update(text)
        .digest(),
    rectangles: given.rectangles.map(parseRectangle),
    pixelsReviewed: given.pixelsReviewed,
  };
  await mkdir(target, { recursive: true });
  // Its threads begin with the first compressed file whose pixels have to be changed.
  const pool = createPool({ timeoutMs: DECODE_MS });
  try {
    return await deidentifyAll(sources, target, request, pool);
  } finally {
    await pool.close();
  }
}

async function deidentifyAll(
  sources: readonly string[],
  target: string,
  request: DeidentifyRequest,
  pool: Pool,
): Promise<number> {
  const count = { written: 0, failed: 0, look: 0 };
  for (const source of sources) {
    for await (const path of filesOf(source)) {
      try {
        const plan = await deidentifyFile(path, target, request, pool);
        count.written += 1;
        if (request.pixelsReviewed !== true && isOpen(plan, request)) {
          count.look += 1;
          console.error(`${path}: names may be in the pixels (${plan.why})`);
        }
      } catch (error) {
        count.failed += 1;
        console.error(`${path}: ${asFault(error).row.meaning}`);
      }
    }
  }
  console.log(`${count.written} written, ${count.failed} failed, ${count.look} to look at`);
  return count.failed > 0 ? 1 : 0;
}

/** Names may be in the pixels that were written: nobody said where, or nobody asked to blacken it. */
const isOpen = ({ verdict }: PixelPlan, request: DeidentifyRequest): boolean =>
  verdict === 'review' || (verdict === 'blacken' && !isBlackened(request));

/** Rectangles that are given are meant; those that were found are a matter of the option. */
const isBlackened = ({ options, rectangles }: DeidentifyRequest): boolean =>
  options.has('cleanPixelData') || (rectangles ?? []).length > 0;

function parseRectangle(text: string): Rectangle {
  const [left, top, width, height, ...more] = text.split(',').map(Number);
  const numbers = [left, top, width, height].filter((one) => one !== undefined && Number.isInteger(one));
  if (numbers.length !== 4 || more.length > 0) throw new UsageError(`"${text}" is no left,top,width,height.`);
  return { left: left ?? 0, top: top ?? 0, width: width ?? 0, height: height ?? 0 };
}

async function* filesOf(path: string): AsyncGenerator<string> {
  if (!(await stat(path)).isDirectory()) {
    yield path;
    return;
  }
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && entry.name !== 'DICOMDIR') yield join(entry.parentPath, entry.name);
  }
}

/** Bytes of the original by the offsets of its parsed form. */
type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

interface Original {
  readonly parsed: ParsedObject;
  readonly transferSyntaxUid: string;
  readonly read: ReadAt;
}

async function deidentifyFile(
  path: string,
  target: string,
  request: DeidentifyRequest,
  pool: Pool,
): Promise<PixelPlan> {
  const file = await open(path);
  try {
    const original = await openOriginal(path, file);
    const { dataSet, pixels } = deidentify(original.parsed.dataSet, request);
    const sopClassUid = uidValue(dataSet, Tags.SOPClassUID);
    const sopInstanceUid = uidValue(dataSet, Tags.SOPInstanceUID);
    // The name of the new file: nothing but digits and dots may come from the old one.
    if (sopClassUid === undefined || !/^[0-9.]{1,64}$/.test(sopInstanceUid ?? ''))
      throw new Fault('DICOM_UID');
    const pieces = await newFile(original, dataSet, pixelEdit(pixels, isBlackened(request)), pool);
    const name = join(target, `${sopInstanceUid}.dcm`);
    // Two originals of one UID are told about, not laid over each other.
    if (existsSync(name)) throw new Fault('DEIDENTIFY_EXISTS');
    const out = await open(`${name}.part`, 'wx');
    try {
      for await (const piece of pieces) await out.writeFile(piece);
      await out.sync();
    } catch (error) {
      await rm(`${name}.part`, { force: true });
      throw error;
    } finally {
      await out.close();
    }
    await rename(`${name}.part`, name);
    return pixels;
  } finally {
    await file.close();
  }
}

async function openOriginal(path: string, file: FileHandle): Promise<Original> {
  const reader = new DicomReader({ keepBytes: KEEP_BYTES });
  for await (const chunk of createReadStream(path, { highWaterMark: PIECE }))
    reader.push(chunk as Uint8Array);
  const parsed = reader.end();
  if (parsed.deflated) {
    const bytes = (await readFile(path)).subarray(parsed.dataSetOffset);
    const inflated = inflateRawSync(bytes, { maxOutputLength: MAX_INFLATED });
    return {
      parsed: readDataSet(inflated, EXPLICIT_LE, { keepBytes: KEEP_BYTES }),
      transferSyntaxUid: EXPLICIT_LE,
      read: (offset, length) => Promise.resolve(inflated.subarray(offset, offset + length)),
    };
  }
  const read: ReadAt = async (offset, length) => {
    const bytes = new Uint8Array(length);
    const { bytesRead } = await file.read(bytes, 0, length, offset);
    if (bytesRead !== length) throw new Fault('DICOM_TRUNCATED', { at: offset });
    return bytes;
  };
  return { parsed, transferSyntaxUid: parsed.transferSyntaxUid, read };
}

/** The Part 10 file: in its own transfer syntax, or uncompressed when compressed pixels have to be changed. */
async function newFile(
  original: Original,
  dataSet: DataSet,
  edit: PixelEdit | undefined,
  pool: Pool,
): Promise<Pieces> {
  const { parsed, read, transferSyntaxUid } = original;
  if (edit && parsed.pixelData?.fragments) {
    const file = { parsed, read: (start: number, end: number) => read(start, end - start) };
    return (await decodedFile(file, dataSet, edit, pool)).open();
  }
  const frames = edit && parsed.pixelData && frameEdit(parsed.dataSet, parsed.pixelData.vr, edit);
  const sopClassUid = uidValue(dataSet, Tags.SOPClassUID) ?? '';
  const sopInstanceUid = uidValue(dataSet, Tags.SOPInstanceUID) ?? '';
  const meta = writeFileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid });
  return body(meta, dataSet, original, frames);
}

async function* body(meta: Uint8Array, ds: DataSet, original: Original, edit: FrameEdit | undefined): Pieces {
  const { transferSyntaxUid } = original;
  yield meta;
  let run: Element[] = [];
  const written = (): Uint8Array =>
    writeDataSet(dataSetOf(run, ds.charsets, ds.littleEndian), transferSyntaxUid);
  for (const element of sortedElements(ds)) {
    if (!element.bulk || element.bytes) {
      run.push(element);
      continue;
    }
    if (run.length > 0) yield written();
    run = [];
    yield* bulk(element, original, edit);
  }
  if (run.length > 0) yield written();
}

const SEQUENCE_END = Uint8Array.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0);

async function* bulk(element: Element, original: Original, edit: FrameEdit | undefined): Pieces {
  const { parsed, transferSyntaxUid, read } = original;
  const pixels = parsed.pixelData?.tag === element.tag ? parsed.pixelData : undefined;
  const where = pixels ?? element.bulk;
  if (!where) return;
  const fragments = pixels?.fragments !== undefined;
  const padded = where.length + (where.length % 2);
  yield elementHeader(element.tag, element.vr, fragments ? undefined : padded, transferSyntaxUid);
  const step = pixels && edit ? edit.bytes : PIECE;
  for (let at = 0; at < where.length; at += step) {
    const piece = await read(where.offset + at, Math.min(step, where.length - at));
    if (pixels) edit?.apply(piece);
    yield piece;
  }
  if (fragments) yield SEQUENCE_END;
  else if (padded > where.length) yield new Uint8Array(1);
}
