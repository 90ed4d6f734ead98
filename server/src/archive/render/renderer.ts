/**
 * Gives frames, pictures and whole objects of kept objects. Reads here, decodes in workers.
 *
 * Source: PS3.5 §8.1.1 (native pixel cells), §7.3 (byte order), PS3.4 §N.2, PS3.18 §8.3.5.
 * Layer:  server/archive.
 */
import type { FastifyBaseLogger } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf, withElements } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE, readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { items, text } from '@lightbox/core/dicom/values.ts';
import { type GreyTransform, greyTransform } from '@lightbox/core/pixel/grey.ts';
import { type ImagePixel, imagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import { type Lut, PALETTE_DATA, readPalette } from '@lightbox/core/pixel/lut.ts';
import { Outgoing, type Pieces } from '../../platform/outgoing.ts';
import type { InstanceRef, Retrieve } from '../types.ts';
import { DECODABLE } from './decode.ts';
import { profileOf } from './icc.ts';
import { isImage, losslessCodecOf } from './lossless.ts';
import { isOdd } from './odd.ts';
import type { JobResult } from './job.ts';
import { drawPicture } from './picture.ts';
import { createPool, type PoolOptions } from './pool.ts';
import {
  frameBytes,
  hydrated,
  nativeFrames,
  type ObjectSource,
  openSource,
  toLittleEndian,
} from './source.ts';
import { createThumbnails } from './thumbnails.ts';
import { editedFrame, editedSource } from './pixel-edit.ts';
import { compressedObject, transcodeObject, type WrittenObject, writtenObject } from './transcode.ts';
import { withoutBulk } from './without-bulk.ts';
import type { FrameBytes, Picture, Renderer, RenderOptions } from './types.ts';

export interface RendererOptions extends PoolOptions {
  readonly retrieve: Retrieve;
  readonly log: FastifyBaseLogger;
  /** Thumbnails are kept under it; without it in memory only. */
  readonly dataDir?: string | undefined;
}

/** Tables of 65,536 entries of 16 bits, and room for segments. */
const MAX_TABLE_BYTES = 1024 * 1024;

const canDecode = (ref: InstanceRef): boolean => DECODABLE.has(readingSyntax(ref.transferSyntaxUid).codec);

/** Frames of its own transfer syntax, or uncompressed. Uncompressed frames have one form only: little endian. */
const canProduceFrames = (ref: InstanceRef, uid: string): boolean =>
  uid === EXPLICIT_LE ? canDecode(ref) : uid === ref.transferSyntaxUid && readingSyntax(uid).encapsulated;

/** Objects in their own transfer syntax, or uncompressed in either way of writing elements. */
const canProduceObject = (ref: InstanceRef, uid: string): boolean =>
  uid === ref.transferSyntaxUid || ((uid === EXPLICIT_LE || uid === IMPLICIT_LE) && canDecode(ref));

const canCompress = (ref: InstanceRef, uid: string): boolean =>
  losslessCodecOf(uid) !== undefined && uid !== ref.transferSyntaxUid && isImage(ref) && canDecode(ref);

const PLAIN: ReadonlySet<string> = new Set([EXPLICIT_LE, IMPLICIT_LE]);

const canWriteHeader = (uid: string): boolean => {
  const { known, littleEndian, deflated } = readingSyntax(uid);
  return known && littleEndian && !deflated;
};

export function createRenderer({ retrieve, log, dataDir, ...poolOptions }: RendererOptions): Renderer {
  const pool = createPool(poolOptions);
  const thumbnails = createThumbnails(dataDir, log);

  function refuse(ref: InstanceRef): Fault {
    return new Fault('PIXELS_UNSUPPORTED', { keptAs: ref.transferSyntaxUid });
  }

  /** One frame through a worker. */
  async function decode(source: ObjectSource, index: number, show: boolean): Promise<JobResult> {
    const bytes = toLittleEndian(source, await frameBytes(source, index));
    const image = imagePixel(source.dataSet);
    const result = await pool.run({
      bytes,
      codec: source.syntax.codec,
      image,
      show: show ? await showing(source, index, image) : undefined,
    });
    return result;
  }

  /** The object with offsets as `Retrieve.header` counts them: in a deflated one from the first byte of the file. */
  async function sourceLikeHeader(ref: InstanceRef): Promise<ObjectSource> {
    const source = await openSource(retrieve, ref);
    if (!source.syntax.deflated) return source;
    const shift = ref.dataSetOffset;
    return {
      ...source,
      dataSet: await retrieve.header(ref),
      read: (start, end) => source.read(start - shift, end - shift),
      stream: (start, end) => source.stream(start - shift, end - shift),
    };
  }

  async function compressed(ref: InstanceRef, wanted: string): Promise<WrittenObject> {
    const encode = losslessCodecOf(wanted);
    if (!encode || !canCompress(ref, wanted)) throw refuse(ref);
    const source = await openSource(retrieve, ref);
    const image = imagePixel(source.dataSet);
    return compressedObject(source, wanted, async (index) => {
      const bytes = toLittleEndian(source, await frameBytes(source, index));
      return pool.run({ bytes, codec: source.syntax.codec, image, encode, show: undefined });
    });
  }

  async function frame(ref: InstanceRef, index: number, wanted: string): Promise<FrameBytes> {
    const { encapsulated, codec } = readingSyntax(ref.transferSyntaxUid);
    const uid = wanted !== '*' ? wanted : encapsulated ? ref.transferSyntaxUid : EXPLICIT_LE;
    if (wanted !== '*' && wanted !== ref.transferSyntaxUid && !canProduceFrames(ref, wanted))
      throw refuse(ref);
    const native = await nativeFrames(retrieve, ref);
    if (native) return { bytes: await frameBytes(native, index), transferSyntaxUid: EXPLICIT_LE };
    const source = await openSource(retrieve, ref);
    if (encapsulated && uid === ref.transferSyntaxUid)
      return { bytes: await frameBytes(source, index), transferSyntaxUid: uid };
    // Uncompressed frames are little endian, whatever way the elements around them were written.
    if (codec === 'none')
      return {
        bytes: toLittleEndian(source, await frameBytes(source, index)),
        transferSyntaxUid: EXPLICIT_LE,
      };
    return { bytes: (await decode(source, index, false)).bytes, transferSyntaxUid: EXPLICIT_LE };
  }

  async function rendered(ref: InstanceRef, index: number, options: RenderOptions): Promise<Picture> {
    if (!canDecode(ref)) throw refuse(ref);
    const source = await openSource(retrieve, ref);
    if (!source.frames) throw new Fault('PIXELS_NONE');
    const bytes = toLittleEndian(source, await frameBytes(source, index));
    const image = imagePixel(source.dataSet);
    const show = await showing(source, index, image);
    const grey = options.window
      ? { ...show.grey, voi: { kind: 'window', window: options.window } as const }
      : show.grey;
    const shown = await pool.run({ bytes, codec: source.syntax.codec, image, show: { ...show, grey } });
    const coloured = options.icc !== undefined && options.icc !== 'no';
    return drawPicture(shown, source.dataSet, options, coloured ? await profileOf(source) : undefined);
  }

  return {
    frame,
    rendered,
    async thumbnail(ref, size) {
      const make = async (): Promise<Uint8Array> => {
        const picture = await rendered(ref, Math.floor(ref.frameCount / 2), {
          type: 'image/jpeg',
          quality: 80,
          viewport: { width: size, height: size },
        });
        return picture.bytes;
      };
      return { bytes: await thumbnails.get(ref.sha256, size, make), type: 'image/jpeg' };
    },
    async transcode(ref, wanted) {
      if (wanted === '*' || wanted === ref.transferSyntaxUid) return (await retrieve.served(ref)).open();
      if (!canProduceObject(ref, wanted)) throw refuse(ref);
      const source = await openSource(retrieve, ref);
      const pieces = await transcodeObject(source, wanted, (index) => decode(source, index, false));
      log.debug({ from: ref.transferSyntaxUid, to: wanted }, 'transcoding');
      return new Outgoing(pieces);
    },
    async rewritten(ref, wanted, { dataSet, edit }) {
      if (!canProduceObject(ref, wanted) || !canWriteHeader(wanted)) throw refuse(ref);
      const source = await sourceLikeHeader(ref);
      if (edit && wanted === ref.transferSyntaxUid && source.frames?.kind === 'encapsulated')
        throw new Fault('PIXELS_UNSUPPORTED', { compressed: true });
      const changed = { ...(edit ? editedSource(source, edit) : source), dataSet };
      return writtenObject(changed, wanted, async (index) => {
        const frame = await decode(source, index, false);
        return edit ? { ...frame, bytes: editedFrame(frame, edit) } : frame;
      });
    },
    async dataSet(ref, wanted) {
      const served = await retrieve.served(ref);
      const odd = isOdd(ref, served);
      if (wanted === ref.transferSyntaxUid && !(odd && PLAIN.has(wanted))) {
        const kept = served.open({ start: ref.dataSetOffset, end: served.bytes });
        const pieces = kept instanceof Outgoing ? kept.pieces() : piecesOf(kept);
        return odd && readingSyntax(wanted).deflated ? padded(pieces) : pieces;
      }
      if (canCompress(ref, wanted)) return withoutMeta((await compressed(ref, wanted)).open());
      if (!canProduceObject(ref, wanted)) throw refuse(ref);
      const source = await openSource(retrieve, ref);
      const file = await transcodeObject(source, wanted, (index) => decode(source, index, false));
      log.debug({ from: ref.transferSyntaxUid, to: wanted }, 'transcoding');
      return withoutMeta(file);
    },
    async dataSetWithoutBulk(ref, wanted) {
      if (!canWriteHeader(wanted)) throw refuse(ref);
      const source = withoutBulk(await openSource(retrieve, ref));
      return withoutMeta(await transcodeObject(source, wanted, () => Promise.reject(refuse(ref))));
    },
    compressed,
    canCompress,
    canWriteHeader,
    canDecode,
    canProduceFrames,
    canProduceObject,
    waiting: () => pool.waiting(),
    close: () => pool.close(),
  };
}

/** The first piece of a file written anew is its preamble and meta. */
async function* withoutMeta(file: Pieces): Pieces {
  await file.next();
  yield* file;
}

/** A deflated data set of odd length gets a NUL behind it (PS3.5 §A.5). */
async function* padded(pieces: Pieces): Pieces {
  yield* pieces;
  yield Uint8Array.of(0);
}

async function* piecesOf(stream: AsyncIterable<Uint8Array>): Pieces {
  yield* stream;
}

/** What the object says about showing this frame, per-frame values before shared ones (PS3.3 §C.7.6.16). */
async function showing(
  source: ObjectSource,
  index: number,
  image: ImagePixel,
): Promise<{ grey: GreyTransform; palette: readonly [Lut, Lut, Lut] | undefined }> {
  const { dataSet } = source;
  const groups: readonly (DataSet | undefined)[] = [
    items(dataSet, Tags.PerFrameFunctionalGroupsSequence)[index],
    items(dataSet, Tags.SharedFunctionalGroupsSequence)[0],
  ];
  const macros = groups.flatMap((group) =>
    group
      ? [...items(group, Tags.PixelValueTransformationSequence), ...items(group, Tags.FrameVOILUTSequence)]
      : [],
  );
  const sets: DataSet[] = [];
  for (const set of [...macros, dataSet]) sets.push(await withTables(source, set));
  const grey = greyTransform(sets, image);
  if (image.photometric !== 'PALETTE COLOR' && !hasSupplementalPalette(dataSet, image))
    return { grey, palette: undefined };
  const whole = await hydrated(source, dataSet, MAX_TABLE_BYTES, new Set(PALETTE_DATA));
  const palette = readPalette(whole, image.signed);
  return { grey: { ...grey, colourFrom: palette?.[0].first }, palette };
}

/** Grey pixels of which the higher values are in colour (PS3.3 §C.8.16.2.1.1.1). */
function hasSupplementalPalette(ds: DataSet, { photometric }: ImagePixel): boolean {
  const presentation = text(ds, Tags.PixelPresentation);
  return photometric === 'MONOCHROME2' && (presentation === 'COLOR' || presentation === 'MIXED');
}

/** A set with the data of its Modality and VOI LUTs in memory: 65,536 entries are more than a header keeps. */
async function withTables(source: ObjectSource, set: DataSet): Promise<DataSet> {
  const tables = [Tags.ModalityLUTSequence, Tags.VOILUTSequence].flatMap((tag) => {
    const element = set.elements.get(tag);
    return element?.items?.some((item) => item.elements.get(Tags.LUTData)?.bulk) ? [element] : [];
  });
  if (tables.length === 0) return set;
  const read = await hydrated(source, dataSetOf(tables, set.charsets, set.littleEndian), MAX_TABLE_BYTES);
  return withElements(set, read.elements.values());
}
