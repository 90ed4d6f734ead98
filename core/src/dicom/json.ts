/**
 * The DICOM JSON model: a data set as JSON that web clients and our index read, and back again.
 *
 * Source: PS3.18 Annex F. Numbers outside the binary float range and NaN are strings, as CP-1889 allows for SV and UV.
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { decodeText, encodeText } from './charset.ts';
import type { BulkValue, DataSet, Element, Tag } from './data-set.ts';
import { decimalString, decimalValue, NUMBER_FORMS } from './json-numbers.ts';
import { formatPersonName, parsePersonName, type PersonNameGroups } from './person-name.ts';
import type { Vr } from './vr.ts';

export type DicomJsonValue = string | number | null | PersonNameGroups | DicomJson;

/** One element; at most one of Value, InlineBinary and BulkDataURI is there, none when it is empty (§F.2.2). */
export interface DicomJsonElement {
  vr: Vr;
  Value?: DicomJsonValue[];
  InlineBinary?: string;
  BulkDataURI?: string;
}

/** Elements by tag as eight upper-case hexadecimal digits. */
export interface DicomJson {
  [tag: string]: DicomJsonElement;
}

export interface ToJsonOptions {
  /**
   * URI of a value that is not to be written inline: one that was left where it lies, or a binary one longer than
   * `inlineBytes`. `path` names it within its object: "7FE00010", or "00081115/0/00081199" for item 0 of a sequence.
   * Undefined leaves a value that is in memory inline, and writes only the VR of one that is not.
   */
  readonly bulkDataUri?: (path: string, element: Element) => string | undefined;
  /** Binary values longer than this are offered to `bulkDataUri`; default 1024. Text never is. */
  readonly inlineBytes?: number;
}

const SPECIFIC_CHARACTER_SET = 0x00080005;
const DEFAULT_INLINE_BYTES = 1024;
/** Deeper nesting than this is an attack, not a report (catalogue case 7). */
export const MAX_JSON_DEPTH = 64;

/** How the value field of each VR is laid out (PS3.5 §6.2). */
export type VrKind = 'text' | 'paragraph' | 'decimal' | 'name' | 'tag' | 'number' | 'binary' | 'sequence';

/** Bytes of one unit whose order depends on the transfer syntax (PS3.5 §7.3); one for everything not listed. */
const SWAP_UNITS: Readonly<Partial<Record<string, 2 | 4 | 8>>> = { OW: 2, OL: 4, OF: 4, OV: 8, OD: 8 };

const KINDS: ReadonlyMap<string, VrKind> = new Map<string, VrKind>([
  ...['AE', 'AS', 'CS', 'DA', 'DT', 'LO', 'SH', 'TM', 'UC', 'UI'].map((vr): [string, VrKind] => [vr, 'text']),
  ...['LT', 'ST', 'UR', 'UT'].map((vr): [string, VrKind] => [vr, 'paragraph']),
  ...['DS', 'IS'].map((vr): [string, VrKind] => [vr, 'decimal']),
  ...Object.keys(NUMBER_FORMS).map((vr): [string, VrKind] => [vr, 'number']),
  ...['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN'].map((vr): [string, VrKind] => [vr, 'binary']),
  ['PN', 'name'],
  ['AT', 'tag'],
  ['SQ', 'sequence'],
]);

/** How the VR is laid out; undefined when it is none of the standard's. */
export function vrKind(vr: string): VrKind | undefined {
  return KINDS.get(vr);
}

const hexTags = new Map<Tag, string>();

/** "00100010". Cached, because the same few hundred tags come again in every object. */
export function tagHex(tag: Tag): string {
  let hex = hexTags.get(tag);
  if (hex === undefined) {
    hex = (tag >>> 0).toString(16).toUpperCase().padStart(8, '0');
    if (hexTags.size < 20_000) hexTags.set(tag, hex);
  }
  return hex;
}

/** The whole data set as DICOM JSON. Group lengths are left out (PS3.5 §7.2); Specific Character Set says ISO_IR 192. */
export function toJson(dataSet: DataSet, options: ToJsonOptions = {}): DicomJson {
  return jsonOf(dataSet, options, '');
}

function jsonOf(dataSet: DataSet, options: ToJsonOptions, prefix: string): DicomJson {
  const json: DicomJson = {};
  for (const element of dataSet.elements.values()) {
    if ((element.tag & 0xffff) === 0) continue;
    const hex = tagHex(element.tag);
    json[hex] =
      element.tag === SPECIFIC_CHARACTER_SET
        ? { vr: 'CS', Value: ['ISO_IR 192'] }
        : elementJson(element, dataSet, options, prefix + hex);
  }
  return json;
}

/** One element; `path` is its place within the object, for `bulkDataUri`. */
export function elementJson(
  element: Element,
  dataSet: DataSet,
  options: ToJsonOptions,
  path: string,
): DicomJsonElement {
  const { vr, bytes, items } = element;
  if (items) {
    const json: DicomJsonElement = { vr: 'SQ' };
    if (items.length) json.Value = items.map((item, index) => jsonOf(item, options, `${path}/${index}/`));
    return json;
  }
  if (!bytes) {
    const uri = element.bulk || element.fragments ? options.bulkDataUri?.(path, element) : undefined;
    return uri === undefined ? { vr } : { vr, BulkDataURI: uri };
  }
  if (bytes.length === 0) return { vr };
  if (KINDS.get(vr) === 'binary' || KINDS.get(vr) === undefined) {
    const uri =
      bytes.length > (options.inlineBytes ?? DEFAULT_INLINE_BYTES)
        ? options.bulkDataUri?.(path, element)
        : undefined;
    if (uri !== undefined) return { vr, BulkDataURI: uri };
    return { vr, InlineBinary: toBase64(dataSet.littleEndian ? bytes : swapped(bytes, SWAP_UNITS[vr] ?? 1)) };
  }
  const values = elementValues(element, dataSet);
  return values.length ? { vr, Value: values } : { vr };
}

/** The values of an element that is not binary and not a sequence, as JSON has them. */
export function elementValues(element: Element, dataSet: DataSet): DicomJsonValue[] {
  const { vr, bytes } = element;
  if (!bytes || bytes.length === 0) return [];
  const kind = KINDS.get(vr);
  switch (kind) {
    case 'number':
      return readNumbers(bytes, vr, dataSet.littleEndian);
    case 'tag':
      return readTags(bytes, dataSet.littleEndian);
    case 'paragraph': {
      const text = trimEnd(decodeText(bytes, dataSet.charsets, vr));
      return text ? [text] : [];
    }
    case 'text':
    case 'decimal':
    case 'name': {
      const text = decodeText(bytes, dataSet.charsets, vr);
      const read: (one: string) => DicomJsonValue =
        kind === 'text' ? plainValue : kind === 'name' ? nameValue : decimalValue;
      if (!text.includes('\\')) {
        const value = read(text);
        return value === null ? [] : [value];
      }
      return text.split('\\').map(read);
    }
    default:
      return [];
  }
}

const plainValue = (text: string): string | null => text.trim() || null;
const nameValue = (text: string): PersonNameGroups | null => parsePersonName(text) ?? null;

/** Trailing spaces are padding, leading ones are the writer's (PS3.5 §6.2: LT, ST, UT). */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\0')) end--;
  return text.slice(0, end);
}

function readNumbers(bytes: Uint8Array, vr: Vr, little: boolean): (number | string)[] {
  const form = NUMBER_FORMS[vr]!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: (number | string)[] = [];
  for (let at = 0; at + form.bytes <= bytes.length; at += form.bytes)
    values.push(form.read(view, at, little));
  return values;
}

function readTags(bytes: Uint8Array, little: boolean): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: string[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    values.push(tagHex(view.getUint16(at, little) * 0x10000 + view.getUint16(at + 2, little)));
  }
  return values;
}

function swapped(bytes: Uint8Array, unit: number): Uint8Array {
  if (unit === 1) return bytes;
  const out = new Uint8Array(bytes);
  for (let at = 0; at + unit <= out.length; at += unit) out.subarray(at, at + unit).reverse();
  return out;
}

/** Values that stand outside the JSON (another part of a STOW request, a file) by their URI. */
export interface FromJsonOptions {
  /** Bytes of a BulkDataURI, or where they lie. Undefined refuses the data set: nothing is ever fetched (case 79). */
  readonly bulk?: (uri: string, tag: Tag, vr: Vr) => Uint8Array | BulkValue | undefined;
}

/**
 * A data set from DICOM JSON: little endian, text in ISO_IR 192.
 *
 * @throws Fault DICOM_JSON when it is not the model of Annex F, DICOM_DEPTH when it is nested deeper than the limit.
 */
export function fromJson(json: unknown, options: FromJsonOptions = {}): DataSet {
  return dataSetOf(json, options, 0);
}

function dataSetOf(json: unknown, options: FromJsonOptions, depth: number): DataSet {
  if (depth > MAX_JSON_DEPTH) throw new Fault('DICOM_DEPTH', { limit: MAX_JSON_DEPTH });
  if (!isObject(json)) throw new Fault('DICOM_JSON', { what: 'not an object' });
  const read: Element[] = [];
  let unicode = false;
  for (const [key, value] of Object.entries(json)) {
    if (!/^[0-9A-Fa-f]{8}$/.test(key)) throw new Fault('DICOM_JSON', { what: 'tag' });
    const tag = parseInt(key, 16);
    if ((tag & 0xffff) === 0) continue;
    const element = elementOf(tag, value, options, depth);
    if (tag === SPECIFIC_CHARACTER_SET) continue;
    unicode ||=
      element.bytes !== undefined && TEXT_KINDS.has(KINDS.get(element.vr)!) && hasHighByte(element.bytes);
    read.push(element);
  }
  if (unicode || depth === 0 || Object.hasOwn(json, '00080005')) {
    read.push({ tag: SPECIFIC_CHARACTER_SET, vr: 'CS', bytes: encodeText('ISO_IR 192', []) });
  }
  read.sort((one, other) => one.tag - other.tag);
  const elements = new Map(read.map((element) => [element.tag, element]));
  return { elements, littleEndian: true, charsets: ['ISO_IR 192'] };
}

const TEXT_KINDS: ReadonlySet<VrKind> = new Set<VrKind>(['text', 'paragraph', 'name']);
const hasHighByte = (bytes: Uint8Array): boolean => bytes.some((byte) => byte > 0x7f);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function elementOf(tag: Tag, json: unknown, options: FromJsonOptions, depth: number): Element {
  const fail = (what: string): Fault => new Fault('DICOM_JSON', { what, tag: tagHex(tag) });
  if (!isObject(json)) throw fail('element is not an object');
  const vr = json.vr as Vr;
  const kind = typeof vr === 'string' ? KINDS.get(vr) : undefined;
  if (!kind) throw fail('vr');
  if (json.BulkDataURI !== undefined) {
    if (typeof json.BulkDataURI !== 'string' || kind === 'sequence') throw fail('BulkDataURI');
    const found = options.bulk?.(json.BulkDataURI, tag, vr);
    if (!found) throw fail('BulkDataURI is not part of this request');
    return found instanceof Uint8Array ? { tag, vr, bytes: found } : { tag, vr, bulk: found };
  }
  if (json.InlineBinary !== undefined) {
    const text: unknown = Array.isArray(json.InlineBinary) ? json.InlineBinary[0] : json.InlineBinary;
    if (typeof text !== 'string' || kind === 'sequence') throw fail('InlineBinary');
    return { tag, vr, bytes: fromBase64(text) };
  }
  const values = json.Value ?? [];
  if (!Array.isArray(values)) throw fail('Value');
  if (kind === 'sequence') {
    return { tag, vr, items: values.map((item) => dataSetOf(item ?? {}, options, depth + 1)) };
  }
  return { tag, vr, bytes: valueBytes(vr, kind, values, fail) };
}

/** The value field of one element from its JSON values, in explicit VR little endian and UTF-8, without padding. */
export function valueBytes(
  vr: Vr,
  kind: VrKind,
  values: readonly unknown[],
  fail: (what: string) => Fault,
): Uint8Array {
  switch (kind) {
    case 'number': {
      const form = NUMBER_FORMS[vr]!;
      const view = new DataView(new ArrayBuffer(values.length * form.bytes));
      values.forEach((value, index) => {
        if (typeof value !== 'number' && typeof value !== 'string') throw fail('number');
        form.write(view, index * form.bytes, value);
      });
      return new Uint8Array(view.buffer);
    }
    case 'tag': {
      const view = new DataView(new ArrayBuffer(values.length * 4));
      values.forEach((value, index) => {
        if (typeof value !== 'string' || !/^[0-9A-Fa-f]{8}$/.test(value)) throw fail('attribute tag');
        view.setUint16(index * 4, parseInt(value.slice(0, 4), 16), true);
        view.setUint16(index * 4 + 2, parseInt(value.slice(4), 16), true);
      });
      return new Uint8Array(view.buffer);
    }
    case 'binary':
      if (values.length) throw fail('a binary value must be InlineBinary or BulkDataURI');
      return new Uint8Array(0);
    case 'paragraph':
      if (values.length > 1) throw fail('more than one value');
      return encodeText(textOf(values[0] ?? null, vr, kind, fail), UNICODE, vr);
    case 'text':
    case 'decimal':
    case 'name':
      return encodeText(values.map((value) => textOf(value, vr, kind, fail)).join('\\'), UNICODE, vr);
    case 'sequence':
      throw fail('sequence');
    default:
      return kind satisfies never;
  }
}

const UNICODE: readonly string[] = ['ISO_IR 192'];

function textOf(value: unknown, vr: Vr, kind: VrKind, fail: (what: string) => Fault): string {
  if (value === null) return '';
  if (kind === 'name') {
    if (typeof value === 'string') return oneValue(value, fail);
    if (!isObject(value)) throw fail('person name');
    const groups: PersonNameGroups = {};
    for (const group of ['Alphabetic', 'Ideographic', 'Phonetic'] as const) {
      const text = value[group];
      if (text === undefined || text === null) continue;
      if (typeof text !== 'string' || text.includes('=')) throw fail('person name');
      groups[group] = oneValue(text, fail);
    }
    return formatPersonName(groups);
  }
  if (typeof value === 'number' && (kind === 'decimal' || vr === 'LO' || vr === 'SH')) {
    return vr === 'DS' ? decimalString(value) : String(value);
  }
  if (typeof value !== 'string') throw fail('value');
  return kind === 'paragraph' ? value : oneValue(value, fail);
}

/** A backslash inside a value would make two of it (PS3.5 §6.4). */
function oneValue(text: string, fail: (what: string) => Fault): string {
  if (text.includes('\\')) throw fail('backslash in a value');
  return text;
}
