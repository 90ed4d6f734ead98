/**
 * Corrections of an object: which attributes are set or deleted, put over what was received. The object itself never changes.
 *
 * Elements of the top level only; a sequence is replaced as a whole. Values are those of the DICOM JSON model, text as
 * Unicode, so that one edit fits an object in any character set and byte order.
 *
 * Source: PS3.4 §B.4.1.3 (coercion of attributes), PS3.3 §C.12.1.1.9 (Original Attributes), PS3.18 Annex F (values).
 * Layer:  core/dicom. Pure: nothing given is changed, elements that no edit touches are the same objects in the result.
 */
import { Fault } from '../base/fault.ts';
import { canEncode, decodeText, encodeText } from './charset.ts';
import type { DataSet, Element, Tag } from './data-set.ts';
import { lookup, tagText } from './dictionary.ts';
import { charsetElement, dataSetOf, padded } from './element.ts';
import { type DicomJson, type DicomJsonValue, fromJson, tagHex, toJson, vrKind } from './json.ts';
import { Tags } from './tags.gen.ts';
import { effectiveVr } from './values.ts';
import { VR_FACTS, type Vr } from './vr.ts';

export type Edit =
  | {
      readonly op: 'set';
      readonly tag: Tag;
      readonly vr: Vr;
      /** `Value` of the DICOM JSON model (PS3.18 §F.2.2); empty makes the attribute empty. */
      readonly value: readonly DicomJsonValue[];
    }
  | { readonly op: 'delete'; readonly tag: Tag };

/** One object is not made anew by its corrections. */
const MOST_EDITS = 200;
/** A value longer than this is a document, not a correction. */
const LONGEST_EDIT = 64 * 1024;

const FORBIDDEN: ReadonlySet<Tag> = new Set([
  // What the object is, and where it hangs: everything kept, sent and referred to goes by these names.
  ...[Tags.SOPClassUID, Tags.SOPInstanceUID, Tags.StudyInstanceUID, Tags.SeriesInstanceUID],
  // They tell how the rest is read, and what was corrected: written by `correct`, never by hand.
  ...[Tags.SpecificCharacterSet, Tags.OriginalAttributesSequence, Tags.InstanceCoercionDateTime],
  Tags.PixelDataProviderURL,
]);

/** Group 0028 describes the pixels; only these of it do not (PS3.3 §C.7.6.3, §C.11.2: how they are shown). */
const HARMLESS_0028: ReadonlySet<Tag> = new Set([
  ...[Tags.WindowCenter, Tags.WindowWidth, Tags.WindowCenterWidthExplanation, Tags.VOILUTFunction],
  ...[Tags.BurnedInAnnotation, Tags.RecognizableVisualFeatures, Tags.QualityControlImage],
]);

/** Whether the attribute may be corrected at all. */
export function isEditable(tag: Tag): boolean {
  const group = tag >>> 16;
  if (!Number.isInteger(tag) || tag < 0 || tag > 0xffffffff || (tag & 0xffff) === 0) return false;
  // Command and file meta, and what is no attribute of the standard or of a manufacturer (PS3.5 §7.8).
  if (group < 8 || group === 0xfffe || group === 0xffff || group === 0xfffa || group === 0xfffc) return false;
  if (FORBIDDEN.has(tag)) return false;
  if (group === 0x0028) return HARMLESS_0028.has(tag);
  // Pixel Data and its tables, overlay planes, curves, and values that count bytes of those.
  return group !== 0x7fe0 && (group & 0xff00) !== 0x6000 && (group & 0xff00) !== 0x5000;
}

/**
 * The same edits, if they can be carried out.
 *
 * @throws Fault EDIT_FORBIDDEN for an attribute that must stay, EDIT_VALUE for a value that is not one of its VR, for one
 *         attribute twice, and for too much of either.
 */
export function checkEdits(edits: readonly Edit[]): readonly Edit[] {
  if (edits.length > MOST_EDITS) throw new Fault('EDIT_VALUE', { limit: MOST_EDITS });
  const seen = new Set<Tag>();
  for (const edit of edits) {
    const tag = tagText(edit.tag);
    if (!isEditable(edit.tag)) throw new Fault('EDIT_FORBIDDEN', { tag });
    if (seen.has(edit.tag)) throw new Fault('EDIT_VALUE', { tag, what: 'twice' });
    seen.add(edit.tag);
    if (edit.op === 'set') checkValue(edit);
  }
  return edits;
}

function checkValue(edit: Edit & { op: 'set' }): void {
  const fail = (what: string): Fault => new Fault('EDIT_VALUE', { tag: tagText(edit.tag), what });
  const kind = vrKind(edit.vr);
  const known = lookup(edit.tag);
  if (kind === undefined || kind === 'binary' || known?.vrs.includes(edit.vr) === false) throw fail('vr');
  let element: Element;
  try {
    element = elementOf(edit);
  } catch (error) {
    throw new Fault('EDIT_VALUE', { tag: tagText(edit.tag) }, { cause: error });
  }
  if ((element.bytes?.length ?? 0) > LONGEST_EDIT) throw fail('length');
  const limit = LONGEST[edit.vr];
  const { bytes } = element;
  if (limit === undefined || !bytes) return;
  const text = decodeText(bytes, UNICODE, edit.vr);
  if (hasControl(text, edit.vr)) throw fail('control character');
  const parts =
    edit.vr === 'PN' ? text.split(/[\\=]/) : VR_FACTS[edit.vr].multiple ? text.split('\\') : [text];
  for (const part of parts) {
    if ([...part].length > limit) throw fail('length');
    if (FORMS[edit.vr]?.test(part.trim()) === false) throw fail('form');
  }
}

/** Characters, PS3.5 Table 6.2-1; of PN for each component group. */
const LONGEST: Readonly<Partial<Record<Vr, number>>> = {
  ...{ AE: 16, AS: 4, CS: 16, DA: 8, DS: 16, DT: 26, IS: 12, LO: 64, LT: 10240 },
  ...{ PN: 64, SH: 16, ST: 1024, TM: 14, UI: 64, UC: LONGEST_EDIT, UR: LONGEST_EDIT, UT: LONGEST_EDIT },
};

/** PS3.5 Table 6.2-1; empty is always allowed. */
const FORMS: Readonly<Partial<Record<Vr, RegExp>>> = {
  AS: /^(\d{3}[DWMY])?$/,
  CS: /^[A-Z0-9 _]*$/,
  DA: /^(\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]))?$/,
  DT: /^(\d{4}(\d\d){0,5}(\.\d{1,6})?([+-]\d{4})?)?$/,
  TM: /^(([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?)?(\.\d{1,6})?)?$/,
  UI: /^((0|[1-9]\d*)(\.(0|[1-9]\d*))*)?$/,
  IS: /^([+-]?\d+)?$/,
  DS: /^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)?$/,
};

function hasControl(text: string, vr: Vr): boolean {
  const paragraph = vr === 'LT' || vr === 'ST' || vr === 'UT';
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (
      code === 0x7f ||
      (code < 0x20 && !(paragraph && (code === 9 || code === 10 || code === 12 || code === 13)))
    )
      return true;
  }
  return false;
}

/** Several lists one after the other as one: of two edits of one attribute the later counts. */
export function composeEdits(...lists: readonly (readonly Edit[])[]): Edit[] {
  const last = new Map<Tag, Edit>();
  for (const list of lists) for (const edit of list) last.set(edit.tag, edit);
  return [...last.values()].sort((one, other) => one.tag - other.tag);
}

/** DICOM JSON with the edits put over it. */
export function applyToJson(json: DicomJson, edits: readonly Edit[]): DicomJson {
  const merged: DicomJson = { ...json };
  for (const edit of edits) {
    const hex = tagHex(edit.tag);
    // The way through an element makes it look as any other: trailing spaces, empty values and decimals alike.
    if (edit.op === 'delete') Reflect.deleteProperty(merged, hex);
    else merged[hex] = toJson(jsonSet(edit))[hex] ?? { vr: edit.vr };
  }
  return Object.fromEntries(Object.entries(merged).sort(([one], [other]) => (one < other ? -1 : 1)));
}

const UNICODE: readonly string[] = ['ISO_IR 192'];

const jsonSet = (edit: Edit & { op: 'set' }): DataSet =>
  fromJson({ [tagHex(edit.tag)]: { vr: edit.vr, Value: [...edit.value] } });

/** In UTF-8 and little endian. */
function elementOf(edit: Edit & { op: 'set' }): Element {
  const element = jsonSet(edit).elements.get(edit.tag);
  if (!element) throw new Fault('EDIT_VALUE', { tag: tagText(edit.tag) });
  return element;
}

/**
 * A data set with the edits put over it, in the byte order it has. Text is in its character sets; when one value cannot be
 * written in those, all its text is converted to ISO_IR 192 (PS3.3 §C.12.1.1.2).
 */
export function applyEdits(ds: DataSet, edits: readonly Edit[]): DataSet {
  if (edits.length === 0) return ds;
  const target = readyFor(ds, edits);
  const elements = new Map(target.elements);
  for (const edit of edits) {
    if (edit.op === 'delete') elements.delete(edit.tag);
    else elements.set(edit.tag, carried(elementOf(edit), target));
  }
  return dataSetOf(elements.values(), target.charsets, target.littleEndian);
}

/** The data set itself when it can hold the new values, else in ISO_IR 192. */
export function readyFor(ds: DataSet, edits: readonly Edit[]): DataSet {
  const fits = edits.every((edit) => edit.op === 'delete' || canCarry(elementOf(edit), ds.charsets));
  return fits ? ds : inUnicode(ds);
}

/** Whether a UTF-8 element can be written in the character sets. Items bring their own when they need one. */
function canCarry(element: Element, charsets: readonly string[]): boolean {
  const { vr, bytes } = element;
  if (!bytes || !VR_FACTS[vr].charset) return true;
  return canEncode(decodeText(bytes, UNICODE, vr), charsets, vr);
}

/** The element as it has to be within a data set: its character sets, its byte order, an even length. */
function carried(element: Element, target: DataSet): Element {
  const { tag, vr, bytes } = element;
  if (!bytes) return element;
  if (VR_FACTS[vr].charset) {
    const text = encodeText(decodeText(bytes, UNICODE, vr), target.charsets, vr);
    return { tag, vr, bytes: padded(text, vr) };
  }
  const { unit } = VR_FACTS[vr];
  if (target.littleEndian || unit === 1) return { tag, vr, bytes: padded(bytes, vr) };
  const turned = bytes.slice();
  for (let at = 0; at + unit <= turned.length; at += unit) turned.subarray(at, at + unit).reverse();
  return { tag, vr, bytes: turned };
}

/**
 * The same data set with its text in ISO_IR 192. Elements whose bytes stay are the same objects; items that name character
 * sets of their own keep them.
 *
 * @throws Fault TOO_LARGE when a text of it was left where it lies (`bulk`): the caller reads those before.
 */
export function inUnicode(ds: DataSet): DataSet {
  const elements = [...ds.elements.values()].map((element) => unicodeElement(element, ds));
  const others = elements.filter(({ tag }) => tag !== Tags.SpecificCharacterSet);
  return dataSetOf([...others, charsetElement(UNICODE)], UNICODE, ds.littleEndian);
}

function unicodeElement(element: Element, ds: DataSet): Element {
  const { items, bytes } = element;
  if (items) {
    const converted = items.map((item) =>
      item.elements.has(Tags.SpecificCharacterSet) ? item : unicodeItem(item),
    );
    return converted.every((item, index) => item === items[index])
      ? element
      : { ...element, items: converted };
  }
  const vr = effectiveVr(element);
  if (!VR_FACTS[vr].charset) return element;
  if (!bytes) {
    if (element.bulk) throw new Fault('TOO_LARGE', { what: 'text', tag: tagText(element.tag) });
    return element;
  }
  const unicode = padded(encodeText(decodeText(bytes, ds.charsets, vr), UNICODE, vr), vr);
  return sameBytes(unicode, bytes) ? element : { ...element, bytes: unicode };
}

function unicodeItem(item: DataSet): DataSet {
  const elements = [...item.elements.values()].map((element) => unicodeElement(element, item));
  const same = elements.every((element) => item.elements.get(element.tag) === element);
  return same ? item : dataSetOf(elements, UNICODE, item.littleEndian);
}

/** Padding and NUL apart: what differs only in those need not be written anew. */
function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  const end = (bytes: Uint8Array): number => {
    let at = bytes.length;
    while (at > 0 && (bytes[at - 1] === 0x20 || bytes[at - 1] === 0)) at--;
    return at;
  };
  const length = end(one);
  if (length !== end(other)) return false;
  for (let at = 0; at < length; at++) if (one[at] !== other[at]) return false;
  return true;
}

/** Edits as they are kept in the database and sent by the API: DICOM JSON, `null` where an attribute is deleted. */
export type EditsJson = Readonly<
  Record<string, { readonly vr: string; readonly Value?: readonly unknown[] } | null>
>;

export function editsJson(edits: readonly Edit[]): EditsJson {
  return Object.fromEntries(
    edits.map((edit) => [
      tagHex(edit.tag),
      edit.op === 'delete' ? null : { vr: edit.vr, ...(edit.value.length ? { Value: edit.value } : {}) },
    ]),
  );
}

/** @throws Fault EDIT_VALUE, EDIT_FORBIDDEN; see `checkEdits`. */
export function readEdits(json: unknown): readonly Edit[] {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Fault('EDIT_VALUE');
  const edits = Object.entries(json).map(([hex, element]: [string, unknown]): Edit => {
    if (!/^[0-9A-Fa-f]{8}$/.test(hex)) throw new Fault('EDIT_VALUE', { what: 'tag' });
    const tag = Number.parseInt(hex, 16);
    if (element === null) return { op: 'delete', tag };
    const { vr, Value: value = [] } = element as { vr?: unknown; Value?: unknown };
    if (typeof vr !== 'string' || !Array.isArray(value)) throw new Fault('EDIT_VALUE', { tag: tagText(tag) });
    return { op: 'set', tag, vr: vr as Vr, value: value as DicomJsonValue[] };
  });
  return checkEdits(edits);
}
