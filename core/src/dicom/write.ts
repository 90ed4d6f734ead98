/**
 * Writes data sets and files.
 *
 * Source: PS3.5 §7 (elements, sequences with explicit length), §6.2.2 (UN), §A.4 (encapsulated pixel data),
 *         PS3.10 §7.1 (file meta information).
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../base/uid.ts';
import type { DataSet, Element, Fragment, Tag } from './data-set.ts';
import { tagText } from './dictionary.ts';
import { dataSetOf, makeElement, padded } from './element.ts';
import { Tags } from './tags.gen.ts';
import { EXPLICIT_LE, readingSyntax } from './transfer-syntax.ts';
import { sortedElements, uidValue } from './values.ts';
import { VR_FACTS, type Vr } from './vr.ts';

const ITEM = 0xfffee000;
const SEQUENCE_END = 0xfffee0dd;
const UNDEFINED = 0xffffffff;
const PREAMBLE = 128;

interface Layout {
  readonly implicit: boolean;
  readonly littleEndian: boolean;
}

export interface FileMeta {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
  /** AE title of who sent it: (0002,0016). */
  readonly sourceAe?: string | undefined;
  /** Default: Lightbox. */
  readonly implementation?: { readonly classUid: string; readonly version: string } | undefined;
}

/**
 * A data set as bytes, elements in tag order, sequences with explicit lengths. Group lengths are left out: they are retired
 * and would be wrong. Of a deflated transfer syntax this gives the inflated bytes.
 *
 * @throws Fault INTERNAL when a value was left in its stream (`bulk`), DICOM_LENGTH when one is too long.
 */
export function writeDataSet(ds: DataSet, transferSyntaxUid: string): Uint8Array {
  const { explicitVr, littleEndian } = readingSyntax(transferSyntaxUid);
  return write(ds, { implicit: !explicitVr, littleEndian });
}

/** Preamble, prefix and file meta information: all that stands before the data set of a file. */
export function writeFileMeta(meta: FileMeta): Uint8Array {
  const implementation = meta.implementation ?? {
    classUid: IMPLEMENTATION_CLASS_UID,
    version: IMPLEMENTATION_VERSION_NAME,
  };
  const elements = [
    makeElement(Tags.FileMetaInformationVersion, Uint8Array.of(0, 1)),
    makeElement(Tags.MediaStorageSOPClassUID, meta.sopClassUid),
    makeElement(Tags.MediaStorageSOPInstanceUID, meta.sopInstanceUid),
    makeElement(Tags.TransferSyntaxUID, meta.transferSyntaxUid),
    makeElement(Tags.ImplementationClassUID, implementation.classUid),
    makeElement(Tags.ImplementationVersionName, implementation.version),
    ...(meta.sourceAe === undefined
      ? []
      : [makeElement(Tags.SourceApplicationEntityTitle, meta.sourceAe.trim())]),
  ];
  const layout = { implicit: false, littleEndian: true };
  const group = write(dataSetOf(elements), layout);
  const length = makeElement(Tags.FileMetaInformationGroupLength, group.length);
  const first = new Uint8Array(12);
  writeElement(length, true, { bytes: first, view: new DataView(first.buffer), at: 0 }, layout);
  const out = new Uint8Array(PREAMBLE + 4 + first.length + group.length);
  out.set([0x44, 0x49, 0x43, 0x4d], PREAMBLE);
  out.set(first, PREAMBLE + 4);
  out.set(group, PREAMBLE + 4 + first.length);
  return out;
}

/**
 * A whole file. SOP class and instance come from the data set unless `meta` gives them.
 *
 * @throws Fault DICOM_UID when neither has them; see `writeDataSet`.
 */
export function writePart10(
  ds: DataSet,
  transferSyntaxUid = EXPLICIT_LE,
  meta: Partial<FileMeta> = {},
): Uint8Array {
  const sopClassUid = meta.sopClassUid ?? uidValue(ds, Tags.SOPClassUID);
  const sopInstanceUid = meta.sopInstanceUid ?? uidValue(ds, Tags.SOPInstanceUID);
  if (sopClassUid === undefined || sopInstanceUid === undefined) throw new Fault('DICOM_UID');
  const head = writeFileMeta({ ...meta, sopClassUid, sopInstanceUid, transferSyntaxUid });
  const body = writeDataSet(ds, transferSyntaxUid);
  const out = new Uint8Array(head.length + body.length);
  out.set(head);
  out.set(body, head.length);
  return out;
}

/**
 * Pixel Data in fragments, one for each frame, with a Basic Offset Table when it fits into 32 bits.
 *
 * @param frames  Compressed frames; each is padded to an even length.
 */
export function encapsulatedPixelData(frames: readonly Uint8Array[]): Element {
  const even = frames.map((frame) => padded(frame, 'OB'));
  const total = even.reduce((sum, frame) => sum + 8 + frame.length, 0);
  const table = total < UNDEFINED ? even.length * 4 : 0;
  const out = new Uint8Array(8 + table + total);
  const cursor = { bytes: out, view: new DataView(out.buffer), at: 0 };
  const layout = { implicit: true, littleEndian: true };
  writeHeader(ITEM, undefined, table, cursor, layout);
  let start = 0;
  for (const frame of table ? even : []) {
    cursor.view.setUint32(cursor.at, start, true);
    cursor.at += 4;
    start += 8 + frame.length;
  }
  const fragments: Fragment[] = [{ offset: 8, length: table }];
  for (const frame of even) {
    writeHeader(ITEM, undefined, frame.length, cursor, layout);
    fragments.push({ offset: cursor.at, length: frame.length });
    out.set(frame, cursor.at);
    cursor.at += frame.length;
  }
  return { tag: Tags.PixelData, vr: 'OB', bytes: out, fragments };
}

/** Tag, VR and length of an element whose value is written by someone else; `undefined` length for fragments. */
export function elementHeader(
  tag: Tag,
  vr: Vr,
  length: number | undefined,
  transferSyntaxUid: string,
): Uint8Array {
  const { explicitVr, littleEndian } = readingSyntax(transferSyntaxUid);
  const out = new Uint8Array(explicitVr && VR_FACTS[vr].longLength ? 12 : 8);
  const cursor = { bytes: out, view: new DataView(out.buffer), at: 0 };
  writeHeader(tag, vr, length ?? UNDEFINED, cursor, { implicit: !explicitVr, littleEndian });
  return out;
}

function write(ds: DataSet, layout: Layout): Uint8Array {
  const bytes = new Uint8Array(setLength(ds, layout));
  writeSet(ds, { bytes, view: new DataView(bytes.buffer), at: 0 }, layout);
  return bytes;
}

const isWritten = ({ tag }: Element): boolean =>
  (tag & 0xffff) !== 0 || tag === Tags.FileMetaInformationGroupLength;

/** VR to write: items are a sequence whatever they came as, and what the short form cannot hold goes as UN (PS3.5 §6.2.2). */
function vrOf(element: Element, length: number): Vr {
  if (element.items) return 'SQ';
  return length > 0xfffe && !VR_FACTS[element.vr].longLength ? 'UN' : element.vr;
}

function setLength(ds: DataSet, layout: Layout): number {
  let total = 0;
  for (const element of ds.elements.values()) {
    if (!isWritten(element)) continue;
    const length = valueLength(element, layout);
    const long = !layout.implicit && VR_FACTS[vrOf(element, length)].longLength;
    total += (long ? 12 : 8) + length + (element.fragments ? 8 : 0);
  }
  if (total >= UNDEFINED) throw new Fault('DICOM_LENGTH');
  return total;
}

function valueLength(element: Element, layout: Layout): number {
  if (element.items) return element.items.reduce((sum, item) => sum + 8 + setLength(item, layout), 0);
  if (element.bulk && !element.bytes)
    throw new Fault('INTERNAL', { what: 'bulk value', tag: tagText(element.tag) });
  const length = element.bytes?.length ?? 0;
  return length + (length % 2);
}

interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
}

function writeSet(ds: DataSet, cursor: Cursor, layout: Layout): void {
  for (const element of sortedElements(ds)) {
    if (isWritten(element)) writeElement(element, ds.littleEndian, cursor, layout);
  }
}

function writeElement(element: Element, littleEndian: boolean, cursor: Cursor, layout: Layout): void {
  const { tag, items, bytes, fragments } = element;
  const length = valueLength(element, layout);
  const vr = vrOf(element, length);
  writeHeader(tag, vr, fragments ? UNDEFINED : length, cursor, layout);
  if (items) {
    for (const item of items) {
      writeHeader(ITEM, undefined, setLength(item, layout), cursor, layout);
      writeSet(item, cursor, layout);
    }
    return;
  }
  if (bytes) {
    cursor.bytes.set(bytes, cursor.at);
    // UN is never reversed: its bytes are little endian always (PS3.5 §6.2.2).
    const { unit } = VR_FACTS[element.vr];
    if (littleEndian !== layout.littleEndian && unit > 1 && !fragments)
      reverseUnits(cursor.bytes.subarray(cursor.at, cursor.at + bytes.length), unit);
    if (bytes.length % 2) cursor.bytes[cursor.at + bytes.length] = VR_FACTS[element.vr].pad;
  }
  cursor.at += length;
  if (fragments) writeHeader(SEQUENCE_END, undefined, 0, cursor, layout);
}

/** @param vr  None for items and delimiters, which have none in any transfer syntax (PS3.5 §7.5). */
function writeHeader(tag: Tag, vr: Vr | undefined, length: number, cursor: Cursor, layout: Layout): void {
  const { view, at } = cursor;
  const { littleEndian } = layout;
  view.setUint16(at, Math.floor(tag / 0x10000), littleEndian);
  view.setUint16(at + 2, tag & 0xffff, littleEndian);
  if (layout.implicit || vr === undefined) {
    view.setUint32(at + 4, length, littleEndian);
    cursor.at = at + 8;
    return;
  }
  view.setUint8(at + 4, vr.charCodeAt(0));
  view.setUint8(at + 5, vr.charCodeAt(1));
  if (VR_FACTS[vr].longLength) {
    view.setUint32(at + 8, length, littleEndian);
    cursor.at = at + 12;
    return;
  }
  view.setUint16(at + 6, length, littleEndian);
  cursor.at = at + 8;
}

function reverseUnits(bytes: Uint8Array, unit: number): void {
  for (let at = 0; at + unit <= bytes.length; at += unit) bytes.subarray(at, at + unit).reverse();
}
