/**
 * Looks at every object that was chosen, and lays out the medium: what is named how, what is written anew, what is left out.
 *
 * Source: PS3.10 §8.2 (File IDs), PS3.11 Annex D (General Purpose CD-R: uncompressed), PS3.15 Annex E.
 * Layer:  server/archive. Reads headers only; bytes flow when the files are opened. About 2 KB of memory for each object.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { Fault, type FaultCode } from '@lightbox/core/base/fault.ts';
import { uidFromUuid } from '@lightbox/core/base/uid.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { deidentify, type DeidentifyRequest } from '@lightbox/core/dicom/deidentify/deidentify.ts';
import { DirectoryWriter } from '@lightbox/core/dicom/dicomdir/write-directory.ts';
import { EXPLICIT_LE, readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { memoryFile, type MediumFile } from '../../platform/medium.ts';
import { Outgoing, type Pieces } from '../../platform/outgoing.ts';
import { pixelEdit } from '../render/pixel-edit.ts';
import type { Renderer, Rewriting } from '../render/types.ts';
import type { InstanceRef, Retrieve } from '../types.ts';
import { ExportPage } from './page.ts';
import type { ExportPlan, ExportRequest } from './types.ts';

/** A study of CT perfusion has 20,000 objects; the plan of so many takes 100 MB. */
const MAX_OBJECTS = 50_000;
/** Headers read at the same time. */
const AT_ONCE = 8;

export interface ExportParts {
  readonly retrieve: Retrieve;
  readonly renderer: Renderer;
  /** For what has to be made before its size can be told. */
  readonly folder: string;
}

/** How one object goes onto the medium. */
export interface Way {
  readonly dataSet: DataSet;
  readonly transferSyntaxUid: string;
  /** Undefined: the bytes as they are kept. */
  readonly rewrite: (() => Promise<Rewriting>) | undefined;
  /** A picture of the kept pixels shows nothing that the object on the medium hides. */
  readonly drawable: boolean;
}

/**
 * @throws Fault EXPORT_EMPTY when nothing is there, EXPORT_TOO_MANY; of a single object that cannot be de-identified nothing is
 *   thrown, it is left out and noted, unless no object is left: then what was wrong with the first.
 */
export async function planExport(parts: ExportParts, request: ExportRequest, now: Date): Promise<ExportPlan> {
  const refs = await chosen(parts.retrieve, request);
  const choose = wayOf(parts, request);
  const directory = new DirectoryWriter();
  const page = request.viewer
    ? new ExportPage(parts, { now, deidentified: !!request.deidentify })
    : undefined;
  const notes = new Map<FaultCode, number>();
  const note = (code: FaultCode): void => void notes.set(code, (notes.get(code) ?? 0) + 1);
  const files: MediumFile[] = [];
  const names = new FileNames();
  let bytes = 0;
  let first: Fault | undefined;
  for (let at = 0; at < refs.length; at += AT_ONCE) {
    const some = refs.slice(at, at + AT_ONCE);
    const ways = await Promise.all(
      some.map((ref) =>
        choose(ref).catch((error: unknown) => {
          // Only what is wrong with this one object: a database that is away is no reason to leave it out.
          if (error instanceof Fault && error.row.http < 500) return error;
          throw error;
        }),
      ),
    );
    for (const [index, ref] of some.entries()) {
      const way = ways[index]!;
      if (way instanceof Fault) {
        first ??= way;
        note(way.code);
        continue;
      }
      if (request.pixels === 'uncompressed' && way.transferSyntaxUid !== EXPLICIT_LE)
        note('PIXELS_UNSUPPORTED');
      const fileId = names.next(ref);
      const { transferSyntaxUid } = way;
      directory.add(way.dataSet, { fileId, transferSyntaxUid });
      page?.add(way.dataSet, ref, way.drawable);
      files.push(await objectFile(parts, fileId, ref, way, request.format === 'iso'));
      bytes += ref.length;
    }
  }
  if (files.length === 0) throw first ?? new Fault('EXPORT_EMPTY');
  const objects = files.length;
  const written = directory.write({ fileSetId: 'LIGHTBOX', sopInstanceUid: uidFromUuid(randomBytes(16)) });
  const shown = await page?.finish(request.format === 'iso');
  return {
    // The directory at the root (PS3.12 Annexes F and V), and first what a person opens.
    files: [
      ...(shown ? [shown.index] : []),
      memoryFile(['DICOMDIR'], written),
      ...files,
      ...(shown?.pictures ?? []),
    ],
    ...{ objects, bytes, notes },
    studyUids: [...new Set(refs.map((ref) => ref.studyUid))],
    close: () => shown?.close() ?? Promise.resolve(),
  };
}

async function chosen(retrieve: Retrieve, { studies }: ExportRequest): Promise<InstanceRef[]> {
  const all = new Map<string, InstanceRef>();
  for (const { studyUid, seriesUids } of studies) {
    const wanted = seriesUids ? new Set(seriesUids) : undefined;
    for (const ref of await retrieve.list({ studyUid }))
      if (!wanted || wanted.has(ref.seriesUid)) all.set(ref.sopUid, ref);
    if (all.size > MAX_OBJECTS) throw new Fault('EXPORT_TOO_MANY', { limit: MAX_OBJECTS });
  }
  if (all.size === 0) throw new Fault('EXPORT_EMPTY');
  return [...all.values()];
}

/** DICOM/ST000001/SE000001/IM000001: counted, nothing in them comes from the objects. */
class FileNames {
  readonly #studies = new Map<string, { readonly name: string; readonly series: Map<string, string> }>();
  #objects = 0;

  next({ studyUid, seriesUid }: InstanceRef): string[] {
    let study = this.#studies.get(studyUid);
    if (!study) {
      study = { name: numbered('ST', this.#studies.size + 1), series: new Map() };
      this.#studies.set(studyUid, study);
    }
    let series = study.series.get(seriesUid);
    if (series === undefined) {
      series = numbered('SE', study.series.size + 1);
      study.series.set(seriesUid, series);
    }
    return ['DICOM', study.name, series, numbered('IM', ++this.#objects)];
  }
}

export const numbered = (prefix: string, number: number): string =>
  prefix + String(number).padStart(8 - prefix.length, '0');

/** How each object is written; throws as `deidentify` does for one that cannot be. */
export function wayOf(
  parts: Omit<ExportParts, 'folder'>,
  request: Pick<ExportRequest, 'deidentify' | 'pixels'>,
): (ref: InstanceRef) => Promise<Way> {
  const { retrieve, renderer } = parts;
  const given = request.deidentify;
  const key = given?.key ?? randomBytes(32);
  const deidentifying: DeidentifyRequest | undefined = given && {
    options: new Set(given.options),
    hash: (text) => createHmac('sha256', key).update(text).digest(),
    rectangles: given.rectangles,
    pixelsReviewed: given.pixelsReviewed,
  };
  const blacken = !!given && (given.options.includes('cleanPixelData') || given.rectangles.length > 0);
  const uncompressed = (ref: InstanceRef): boolean => renderer.canProduceObject(ref, EXPLICIT_LE);
  return async (ref) => {
    const own = ref.transferSyntaxUid;
    const header = await retrieve.header(ref);
    const wanted = request.pixels === 'uncompressed' && uncompressed(ref) ? EXPLICIT_LE : own;
    if (!deidentifying) {
      const rewrite = async (): Promise<Rewriting> => ({ dataSet: await retrieve.header(ref) });
      return {
        dataSet: header,
        transferSyntaxUid: wanted,
        rewrite: wanted === own ? undefined : rewrite,
        drawable: true,
      };
    }
    const change = (ds: DataSet): Rewriting => {
      const { dataSet, pixels } = deidentify(ds, deidentifying);
      return { dataSet, edit: pixelEdit(pixels, blacken) };
    };
    const { dataSet, pixels } = deidentify(header, deidentifying);
    const edit = pixelEdit(pixels, blacken);
    const drawable = !edit && (pixels.verdict === 'clean' || (deidentifying.pixelsReviewed ?? false));
    const { encapsulated } = readingSyntax(wanted);
    const plain = (edit && encapsulated) || !renderer.canWriteHeader(wanted);
    const transferSyntaxUid = plain ? EXPLICIT_LE : wanted;
    if (!renderer.canProduceObject(ref, transferSyntaxUid))
      throw new Fault('PIXELS_UNSUPPORTED', { keptAs: own });
    // Made again when it is sent: a plan does not keep headers.
    return { dataSet, transferSyntaxUid, drawable, rewrite: async () => change(await retrieve.header(ref)) };
  };
}

export async function objectFile(
  { retrieve, renderer }: Omit<ExportParts, 'folder'>,
  path: readonly string[],
  ref: InstanceRef,
  { transferSyntaxUid, rewrite }: Way,
  measured: boolean,
): Promise<MediumFile> {
  if (!rewrite) {
    const { bytes } = await retrieve.served(ref);
    return {
      ...{ path, bytes },
      // Asked for again: a plan of many objects does not keep what it read.
      open: async () => ({ bytes, pieces: piecesOf((await retrieve.served(ref)).open()) }),
    };
  }
  const written = async () => renderer.rewritten(ref, transferSyntaxUid, await rewrite());
  return {
    path,
    bytes: measured ? (await written()).bytes : undefined,
    open: async () => {
      const { bytes, open } = await written();
      return { bytes, pieces: open() };
    },
  };
}

function piecesOf(stream: AsyncIterable<Uint8Array>): Pieces {
  if (stream instanceof Outgoing) return stream.pieces();
  return (async function* (): Pieces {
    yield* stream;
  })();
}
