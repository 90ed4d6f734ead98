/**
 * Values of a data set as numbers, text and items.
 *
 * Source: PS3.5 §6.2 (value representations), §6.4 (multiplicity), §7.3 (byte order).
 * Layer:  core/dicom.
 *
 * None of these throws on a value that is malformed: it is left out or undefined, the bytes stay (attacks A21).
 */
import { decodeText } from './charset.ts';
import type { DataSet, Element, Tag } from './data-set.ts';
import { lookup } from './dictionary.ts';
import { VR_FACTS, type Vr } from './vr.ts';

/** VR to decode an element by: UN of a known tag is read as the dictionary says (PS3.5 §6.2.2 Note). */
export function effectiveVr(element: Element): Vr {
  return element.vr === 'UN' ? (lookup(element.tag)?.vr ?? 'UN') : element.vr;
}

/** Values as text, split at backslash and without padding; empty when absent, empty or bulk. Binary numbers as decimal text. */
export function texts(ds: DataSet, tag: Tag): string[] {
  const element = ds.elements.get(tag);
  return element ? elementTexts(element, ds) : [];
}

/** The first value as text, undefined when absent or empty. */
export function text(ds: DataSet, tag: Tag): string | undefined {
  const first = texts(ds, tag)[0];
  return first === '' ? undefined : first;
}

/** Values of one element, see `texts`. */
export function elementTexts(element: Element, ds: Pick<DataSet, 'charsets' | 'littleEndian'>): string[] {
  const { bytes } = element;
  if (!bytes?.length) return [];
  const vr = effectiveVr(element);
  const facts = VR_FACTS[vr];
  if (vr === 'AT') return pairs(bytes, ds.littleEndian);
  if (vr === 'SV' || vr === 'UV') return bigints(element, ds.littleEndian).map(String);
  if (facts.kind === 'number') return elementNumbers(element, ds.littleEndian).map(String);
  if (facts.kind !== 'text') return [];
  const whole = facts.charset ? decodeText(bytes, ds.charsets, vr) : ascii(bytes);
  if (!facts.multiple) return [trimEnd(whole)];
  const values = whole.split('\\');
  return values.map((value) => (vr === 'UC' ? trimEnd(value) : trim(value)));
}

/** Binary numbers, DS and IS; values that are no numbers are left out. AT as tag numbers. SV and UV lose precision beyond 2^53. */
export function numbers(ds: DataSet, tag: Tag): number[] {
  const element = ds.elements.get(tag);
  return element ? elementNumbers(element, ds.littleEndian) : [];
}

export function number(ds: DataSet, tag: Tag): number | undefined {
  return numbers(ds, tag)[0];
}

/** DS or IS values each in its place, for attributes whose values belong together by number: NaN where there is none. */
export function decimalsInPlace(ds: DataSet, tag: Tag): number[] {
  return texts(ds, tag).map((value) => decimals(value, false)[0] ?? Number.NaN);
}

/** An integer in a range, undefined for anything else. */
export function integer(ds: DataSet, tag: Tag, min = 0, max = Number.MAX_SAFE_INTEGER): number | undefined {
  const value = number(ds, tag);
  return value !== undefined && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}

export function elementNumbers(element: Element, littleEndian: boolean): number[] {
  const { bytes } = element;
  if (!bytes?.length) return [];
  const vr = effectiveVr(element);
  if (vr === 'DS' || vr === 'IS') return decimals(ascii(bytes), vr === 'IS');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // A value that was UN is little endian always (PS3.5 §6.2.2).
  const le = littleEndian || element.vr === 'UN';
  switch (vr) {
    case 'US':
    case 'OW':
      return each(bytes, 2, (at) => view.getUint16(at, le));
    case 'SS':
      return each(bytes, 2, (at) => view.getInt16(at, le));
    case 'UL':
    case 'OL':
      return each(bytes, 4, (at) => view.getUint32(at, le));
    case 'SL':
      return each(bytes, 4, (at) => view.getInt32(at, le));
    case 'FL':
    case 'OF':
      return each(bytes, 4, (at) => view.getFloat32(at, le));
    case 'FD':
    case 'OD':
      return each(bytes, 8, (at) => view.getFloat64(at, le));
    case 'AT':
      return each(bytes, 4, (at) => view.getUint16(at, le) * 0x10000 + view.getUint16(at + 2, le));
    case 'UV':
    case 'OV':
      return each(bytes, 8, (at) => Number(view.getBigUint64(at, le)));
    case 'SV':
      return each(bytes, 8, (at) => Number(view.getBigInt64(at, le)));
    default:
      return [];
  }
}

/** SV, UV and OV without loss. */
export function bigints(element: Element, littleEndian: boolean): bigint[] {
  const { bytes, vr } = element;
  if (!bytes?.length) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return each(bytes, 8, (at) =>
    vr === 'SV' ? view.getBigInt64(at, littleEndian) : view.getBigUint64(at, littleEndian),
  );
}

/** First value of a UI without padding, undefined when absent. Not checked: see `isUid`. */
export function uidValue(ds: DataSet, tag: Tag): string | undefined {
  const bytes = ds.elements.get(tag)?.bytes;
  if (!bytes?.length) return undefined;
  const whole = ascii(bytes);
  const cut = whole.indexOf('\\');
  const value = (cut < 0 ? whole : whole.slice(0, cut)).replace(/[\0 ]+$/, '');
  return value === '' ? undefined : value;
}

/** Items of a sequence; empty when absent. */
export function items(ds: DataSet, tag: Tag): readonly DataSet[] {
  return ds.elements.get(tag)?.items ?? [];
}

/** Tags in ascending order, as PS3.5 §7.1 wants them written. */
export function sortedElements(ds: DataSet): Element[] {
  const all = [...ds.elements.values()];
  let last = -1;
  for (const { tag } of all) {
    if (tag < last) return all.sort((a, b) => a.tag - b.tag);
    last = tag;
  }
  return all;
}

/** Bytes as Latin-1, one character each: for VRs outside Specific Character Set. */
export function ascii(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at < bytes.length; at += 8192) {
    out += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return out;
}

function each<T>(bytes: Uint8Array, size: number, read: (at: number) => T): T[] {
  const out: T[] = [];
  for (let at = 0; at + size <= bytes.length; at += size) out.push(read(at));
  return out;
}

function pairs(bytes: Uint8Array, littleEndian: boolean): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hex = (at: number): string =>
    view.getUint16(at, littleEndian).toString(16).toUpperCase().padStart(4, '0');
  return each(bytes, 4, (at) => hex(at) + hex(at + 2));
}

function decimals(whole: string, integers: boolean): number[] {
  const out: number[] = [];
  for (const part of whole.split('\\')) {
    const value = trim(part);
    if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) continue;
    const parsed = Number(value);
    if (Number.isFinite(parsed)) out.push(integers ? Math.trunc(parsed) : parsed);
  }
  return out;
}

const trim = (value: string): string => value.replace(/^ +|[ \0]+$/g, '');
const trimEnd = (value: string): string => value.replace(/[ \0]+$/, '');
