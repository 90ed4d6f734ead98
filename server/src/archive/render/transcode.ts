/**
 * A kept object written anew, uncompressed, while the client takes it: for those who cannot read the transfer syntax it came
 * in. The kept one stays. In memory are its header and one or two frames.
 *
 * Source: PS3.5 Annex A.1 and A.2 (uncompressed), §7.1 (32-bit lengths), §8.1.1, PS3.3 §C.7.6.3.1.2 and .3, PS3.18 §8.7.3.
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet, Element, Tag } from '@lightbox/core/dicom/data-set.ts';
import { makeElement, withElements } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { IMPLICIT_LE, type TransferSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { integer, sortedElements, text, uidValue } from '@lightbox/core/dicom/values.ts';
import { VR_FACTS, type Vr } from '@lightbox/core/dicom/vr.ts';
import { elementHeader, writeDataSet, writeFileMeta } from '@lightbox/core/dicom/write.ts';
import type { Pieces } from '../../platform/outgoing.ts';
import type { JobResult } from './job.ts';
import { hydrated, type ObjectSource, swapBytes } from './source.ts';

/** Large values within sequences, which are written as a whole. */
const MAX_NESTED_BYTES = 64 * 1024 * 1024;
/** 0xFFFFFFFF says "undefined length", and a value has an even length (PS3.5 §7.1.1). */
const MAX_VALUE_BYTES = 0xfffffffe;
/** Tables of fragments that are no more (PS3.3 §C.7.6.3.1.8). */
const FRAGMENT_TABLES: readonly Tag[] = [Tags.ExtendedOffsetTable, Tags.ExtendedOffsetTableLengths];

const ITEM = 0xfffee000;
const ITEM_HEADER = 8;
const SEQUENCE_END = 0xfffee0dd;

type Decode = (index: number) => Promise<JobResult>;

/** A value that is not in memory: how long it is, and its bytes in little endian. */
interface Streamed {
  readonly vr: Vr;
  readonly bytes: number;
  /** Items of fragments, which a delimiter ends (PS3.5 §A.4). */
  readonly fragments?: boolean | undefined;
  open(): AsyncIterable<Uint8Array>;
}

/** What is written anew: kept in the archive, or a file. */
export type WritableSource = Omit<ObjectSource, 'ref'>;

/** An object as it will be written: its length is known before its bytes. */
export interface WrittenObject {
  readonly bytes: number;
  /** Once. */
  open(): Pieces;
}

/**
 * The Part 10 file in its own transfer syntax (for another data set in front of the same pixels), or in implicit or explicit
 * little endian.
 *
 * @param decode  Gives one frame uncompressed; asked only for encapsulated pixels, in order.
 * @throws Fault DICOM_UID; TOO_LARGE when the pixels are more than one value can hold; and what `decode` throws for the
 *   first frame. What fails later is thrown by the pieces: the client sees a body that breaks off.
 */
export async function writtenObject(
  source: WritableSource,
  wanted: string,
  decode: Decode,
): Promise<WrittenObject> {
  let { dataSet } = source;
  const streamed = new Map<Tag, Streamed>();
  if (source.frames?.kind === 'encapsulated' && wanted !== source.syntax.uid) {
    const first = await firstFrame(source.frames.frameCount, decode);
    dataSet = describing(dataSet, first.image, source.syntax);
    streamed.set(Tags.PixelData, decoded(first, source.frames.frameCount, decode));
  }
  return assembled(source, dataSet, streamed, wanted);
}

/** More than this is not compressed: an object is compressed as a whole before anything of it goes out. */
const MAX_COMPRESSED_BYTES = 64 * 1024 * 1024;

/**
 * The Part 10 file with its frames compressed, each a fragment of its own. All of them are ready, and proven to be the same pixels,
 * before the first byte goes out.
 *
 * @param encode  Gives one frame compressed.
 * @throws Fault DICOM_UID, PIXELS_NONE; TOO_LARGE when more than 64 MiB come out; and what `encode` throws.
 */
export async function compressedObject(
  source: WritableSource,
  wanted: string,
  encode: Decode,
): Promise<WrittenObject> {
  const frameCount = source.frames?.frameCount ?? 0;
  const frames: Uint8Array[] = [];
  let bytes = 0;
  let image: JobResult['image'] | undefined;
  for (let index = 0; index < frameCount; index += 1) {
    const frame = await encode(index);
    image ??= frame.image;
    bytes += frame.bytes.length;
    if (bytes > MAX_COMPRESSED_BYTES) throw new Fault('TOO_LARGE', { bytes, limit: MAX_COMPRESSED_BYTES });
    frames.push(frame.bytes);
  }
  if (!image) throw new Fault('PIXELS_NONE');
  const pieces = encapsulated(frames);
  const dataSet = describing(source.dataSet, image, source.syntax, 'OB');
  const pixels: Streamed = {
    ...{ vr: 'OB', fragments: true, bytes: pieces.reduce((sum, piece) => sum + piece.length, 0) },
    async *open() {
      yield* await Promise.resolve(pieces);
    },
  };
  return assembled(source, dataSet, new Map([[Tags.PixelData, pixels]]), wanted);
}

/** Items: the Basic Offset Table, empty for one frame, then a fragment for each (PS3.5 §A.4). */
function encapsulated(frames: readonly Uint8Array[]): Uint8Array[] {
  const even = ({ length }: Uint8Array): number => length + (length % 2);
  const table = Buffer.alloc(frames.length === 1 ? 0 : frames.length * 4);
  let offset = 0;
  if (frames.length > 1)
    for (const [at, frame] of frames.entries()) {
      table.writeUInt32LE(offset, at * 4);
      offset += ITEM_HEADER + even(frame);
    }
  return [table, ...frames].flatMap((bytes) => [
    elementHeader(ITEM, 'UN', even(bytes), IMPLICIT_LE),
    bytes,
    ...(bytes.length % 2 === 0 ? [] : [Uint8Array.of(0)]),
  ]);
}

async function assembled(
  source: WritableSource,
  dataSet: DataSet,
  streamed: Map<Tag, Streamed>,
  wanted: string,
): Promise<WrittenObject> {
  for (const element of dataSet.elements.values())
    if (element.bulk && !streamed.has(element.tag)) streamed.set(element.tag, asKept(source, element));
  for (const { bytes } of streamed.values())
    if (bytes > MAX_VALUE_BYTES) throw new Fault('TOO_LARGE', { bytes, limit: MAX_VALUE_BYTES });
  const sopClassUid = uidValue(dataSet, Tags.SOPClassUID);
  const sopInstanceUid = uidValue(dataSet, Tags.SOPInstanceUID);
  if (sopClassUid === undefined || sopInstanceUid === undefined) throw new Fault('DICOM_UID');
  const meta = writeFileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid: wanted });
  const whole = await hydratedItems(source, dataSet);
  const small = new Map([...whole.elements].filter(([tag]) => !streamed.has(tag)));
  let bytes = meta.length + writeDataSet({ ...whole, elements: small }, wanted).length;
  for (const [tag, value] of streamed) bytes += writtenBytes(tag, value, wanted);
  return { bytes, open: () => pieces(meta, whole, streamed, wanted) };
}

/** The same as pieces. */
export async function transcodeObject(source: ObjectSource, wanted: string, decode: Decode): Promise<Pieces> {
  return (await writtenObject(source, wanted, decode)).open();
}

/** Tag, VR and length of a value that flows through. What the short form cannot hold goes as UN (PS3.5 §6.2.2). */
function streamedHeader(tag: Tag, value: Streamed, wanted: string): Uint8Array {
  const vr = VR_FACTS[value.vr].longLength ? value.vr : 'UN';
  const length = value.fragments === true ? undefined : value.bytes + (value.bytes % 2);
  return elementHeader(tag, vr, length, wanted);
}

const sequenceEnd = (): Uint8Array => elementHeader(SEQUENCE_END, 'UN', 0, IMPLICIT_LE);

/** With its header, its pad or the delimiter behind its fragments. */
function writtenBytes(tag: Tag, value: Streamed, wanted: string): number {
  const after = value.fragments === true ? sequenceEnd().length : value.bytes % 2;
  return streamedHeader(tag, value, wanted).length + value.bytes + after;
}

async function firstFrame(frameCount: number, decode: Decode): Promise<JobResult> {
  if (frameCount === 0) throw new Fault('PIXELS_NONE');
  return decode(0);
}

/** Values within sequences read; those of the object itself stay where they are. */
async function hydratedItems(source: WritableSource, ds: DataSet): Promise<DataSet> {
  const withItems = [...ds.elements].filter(([, one]) => one.items);
  const { elements } = await hydrated(source, { ...ds, elements: new Map(withItems) }, MAX_NESTED_BYTES);
  return { ...ds, elements: new Map([...ds.elements, ...elements]) };
}

async function* pieces(
  meta: Uint8Array,
  ds: DataSet,
  streamed: ReadonlyMap<Tag, Streamed>,
  wanted: string,
): Pieces {
  yield meta;
  let small = new Map<Tag, Element>();
  for (const element of sortedElements(ds)) {
    const value = streamed.get(element.tag);
    if (!value) {
      small.set(element.tag, element);
      continue;
    }
    yield writeDataSet({ ...ds, elements: small }, wanted);
    small = new Map();
    yield streamedHeader(element.tag, value, wanted);
    let left = value.bytes;
    for await (const piece of value.open()) {
      left -= piece.length;
      if (left < 0) throw new Fault('PIXELS_BROKEN', { what: 'more bytes than were announced' });
      yield piece;
    }
    if (left > 0) throw new Fault('PIXELS_BROKEN', { what: 'fewer bytes than were announced' });
    if (value.fragments === true) yield sequenceEnd();
    else if (value.bytes % 2 === 1) yield Uint8Array.of(VR_FACTS[value.vr].pad);
  }
  if (small.size > 0) yield writeDataSet({ ...ds, elements: small }, wanted);
}

/** A value as it is kept, turned to little endian where it is not. */
function asKept(source: WritableSource, element: Element): Streamed {
  const { tag, vr } = element;
  const { offset, length } = element.bulk ?? { offset: 0, length: 0 };
  const { dataSet } = source;
  const bits = integer(dataSet, Tags.BitsAllocated, 1, 64) ?? 0;
  // Pixel cells of more than 16 bits in OW are turned as cells, not as words (PS3.5 §7.3, §8.1.1).
  const cell = tag === Tags.PixelData && vr === 'OW' && bits > 16 ? bits / 8 : VR_FACTS[vr].unit;
  const unit = dataSet.littleEndian ? 1 : cell;
  const pixels = tag === Tags.PixelData && source.frames?.kind === 'encapsulated';
  const fragments = element.fragments !== undefined || pixels;
  return {
    vr,
    bytes: length,
    fragments,
    open: () => swapBytes(source.stream(offset, offset + length), unit),
  };
}

/** What the header has to say about pixels that are no longer compressed, or in another way. */
function describing(
  ds: DataSet,
  image: JobResult['image'],
  { codec }: TransferSyntax,
  vr: Vr = image.bitsAllocated > 8 ? 'OW' : 'OB',
): DataSet {
  const kept = new Map(ds.elements);
  for (const tag of FRAGMENT_TABLES) kept.delete(tag);
  const elements: Element[] = [{ tag: Tags.PixelData, vr }];
  if (image.samples > 1)
    elements.push(
      makeElement(Tags.PhotometricInterpretation, image.photometric),
      makeElement(Tags.PlanarConfiguration, image.planar ? 1 : 0),
    );
  // What JPEG took away stays away, and nothing else says so any more (PS3.3 §C.7.6.1.1.5).
  if (codec === 'jpeg') {
    elements.push(makeElement(Tags.LossyImageCompression, '01'));
    if (text(ds, Tags.LossyImageCompressionMethod) === undefined)
      elements.push(makeElement(Tags.LossyImageCompressionMethod, 'ISO_10918_1'));
  }
  return withElements({ ...ds, elements: kept }, elements);
}

/** Frames one after the other, the next decoded while one is on its way. */
function decoded(first: JobResult, frameCount: number, decode: Decode): Streamed {
  const { rows, columns, bitsAllocated } = first.image;
  async function* frames(): AsyncGenerator<Uint8Array> {
    let next = Promise.resolve(first);
    for (let index = 0; index < frameCount; index += 1) {
      const frame = await next;
      if (frame.bytes.length !== first.bytes.length)
        throw new Fault('PIXELS_BROKEN', { frame: index + 1, what: 'another size than the first' });
      if (index + 1 < frameCount) {
        next = decode(index + 1);
        // Looked at in its turn; a client that leaves before is no failure.
        next.catch(() => undefined);
      }
      yield frame.bytes;
    }
  }
  const vr = bitsAllocated > 8 ? 'OW' : 'OB';
  const bits = bitsAllocated === 1 ? rows * columns : 0;
  if (bits % 8 === 0) return { vr, bytes: first.bytes.length * frameCount, open: frames };
  return { vr, bytes: Math.ceil((bits * frameCount) / 8), open: () => packedBits(frames(), bits) };
}

/** Single bits without gaps between frames, the first in the lowest bit (PS3.5 §8.1.1). */
async function* packedBits(frames: AsyncIterable<Uint8Array>, bits: number): AsyncGenerator<Uint8Array> {
  let carried = 0;
  let filled = 0;
  for await (const frame of frames) {
    const out = new Uint8Array(Math.floor((filled + bits) / 8));
    let at = 0;
    for (let bit = 0; bit < bits; bit += 1) {
      carried |= (((frame[bit >> 3] ?? 0) >> (bit & 7)) & 1) << filled;
      filled += 1;
      if (filled < 8) continue;
      out[at] = carried;
      at += 1;
      carried = 0;
      filled = 0;
    }
    yield out;
  }
  if (filled > 0) yield Uint8Array.of(carried);
}
