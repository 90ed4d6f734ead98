/**
 * Making elements and data sets from plain values.
 *
 * Source: PS3.5 §6.2 (value representations and padding), §6.4 (multiplicity), §7.1 (order of elements).
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';
import { encodeText } from './charset.ts';
import type { DataSet, Element, Tag } from './data-set.ts';
import { lookup, tagOf, tagText } from './dictionary.ts';
import { Tags } from './tags.gen.ts';
import { VR_FACTS, type Vr } from './vr.ts';

/** One value: text, a number (also for DS and IS), a 64-bit integer; bytes and items come as the whole. */
export type Value = string | number | bigint;
export type Values = Value | readonly Value[] | Uint8Array | readonly DataSet[] | undefined;

export interface ElementOptions {
  /** Default: the dictionary's; private tags must name it. */
  readonly vr?: Vr | undefined;
  readonly charsets?: readonly string[] | undefined;
  /** Byte order of binary numbers. Default true. */
  readonly littleEndian?: boolean | undefined;
}

const isDataSet = (value: unknown): value is DataSet =>
  typeof value === 'object' && value !== null && 'elements' in value;

/**
 * One element. Text is encoded in `charsets` and padded to an even length.
 *
 * @throws Fault DICOM_VR when no VR is known for the tag or the values do not fit it.
 */
export function makeElement(tag: Tag, values: Values, options: ElementOptions = {}): Element {
  const vr = options.vr ?? lookup(tag)?.vr;
  if (!vr) throw new Fault('DICOM_VR', { tag: tagText(tag) });
  const list: readonly (Value | DataSet)[] =
    values === undefined || values instanceof Uint8Array
      ? []
      : Array.isArray(values)
        ? (values as Value[])
        : [values as Value];
  if (vr === 'SQ') return { tag, vr, items: list.filter(isDataSet) };
  if (values instanceof Uint8Array) return { tag, vr, bytes: padded(values, vr) };
  const plain = list.filter((value): value is Value => !isDataSet(value));
  return { tag, vr, bytes: valueBytes(tag, vr, plain, options) };
}

function valueBytes(tag: Tag, vr: Vr, values: readonly Value[], options: ElementOptions): Uint8Array {
  const facts = VR_FACTS[vr];
  if (facts.kind === 'number' || vr === 'OW' || vr === 'OF' || vr === 'OD' || vr === 'OL' || vr === 'OV') {
    return numberBytes(tag, vr, values, options.littleEndian ?? true);
  }
  if (facts.kind !== 'text') {
    if (values.length) throw new Fault('DICOM_VR', { tag: tagText(tag), vr });
    return new Uint8Array(0);
  }
  const whole = values
    .map((value) => (vr === 'DS' && typeof value === 'number' ? decimalText(value) : String(value)))
    .join('\\');
  return padded(facts.charset ? encodeText(whole, options.charsets ?? [], vr) : latin1(whole), vr);
}

/** A number as DS: at most 16 characters (PS3.5 Table 6.2-1), rounded where the exact text is longer. */
export function decimalText(value: number): string {
  if (!Number.isFinite(value)) throw new Fault('DICOM_VR', { vr: 'DS' });
  const exact = String(value);
  if (exact.length <= 16) return exact;
  for (let digits = 16; digits > 0; digits--) {
    const rounded = String(Number(value.toPrecision(digits)));
    if (rounded.length <= 16) return rounded;
  }
  return '0';
}

function numberBytes(tag: Tag, vr: Vr, values: readonly Value[], le: boolean): Uint8Array {
  const size = vr === 'AT' ? 4 : VR_FACTS[vr].unit;
  const bytes = new Uint8Array(values.length * size);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    const at = index * size;
    const number = vr === 'AT' && typeof value === 'string' ? Number.parseInt(value, 16) : Number(value);
    if (Number.isNaN(number) && typeof value === 'string' && value !== 'NaN')
      throw new Fault('DICOM_VR', { tag: tagText(tag), vr });
    put(view, at, vr, value, number, le);
  });
  return bytes;
}

function put(view: DataView, at: number, vr: Vr, value: Value, number: number, le: boolean): void {
  switch (vr) {
    case 'US':
    case 'OW':
      return view.setUint16(at, number, le);
    case 'SS':
      return view.setInt16(at, number, le);
    case 'UL':
    case 'OL':
      return view.setUint32(at, number, le);
    case 'SL':
      return view.setInt32(at, number, le);
    case 'FL':
    case 'OF':
      return view.setFloat32(at, number, le);
    case 'FD':
    case 'OD':
      return view.setFloat64(at, number, le);
    case 'UV':
    case 'OV':
      return view.setBigUint64(at, BigInt(value), le);
    case 'SV':
      return view.setBigInt64(at, BigInt(value), le);
    case 'AT':
      view.setUint16(at, Math.floor(number / 0x10000), le);
      return view.setUint16(at + 2, number & 0xffff, le);
    default:
      throw new Fault('DICOM_VR', { vr });
  }
}

/** The bytes with the pad byte of the VR when their number is odd (PS3.5 §6.2). */
export function padded(bytes: Uint8Array, vr: Vr): Uint8Array {
  if (bytes.length % 2 === 0) return bytes;
  const even = new Uint8Array(bytes.length + 1);
  even.set(bytes);
  even[bytes.length] = VR_FACTS[vr].pad;
  return even;
}

function latin1(whole: string): Uint8Array {
  const bytes = new Uint8Array(whole.length);
  for (let at = 0; at < whole.length; at++) bytes[at] = whole.charCodeAt(at) & 0xff;
  return bytes;
}

/** A data set of these elements, in tag order. `charsets` come from Specific Character Set when it is among them. */
export function dataSetOf(
  elements: Iterable<Element>,
  charsets: readonly string[] = [],
  littleEndian = true,
): DataSet {
  const sorted = [...elements].sort((a, b) => a.tag - b.tag);
  return { elements: new Map(sorted.map((one) => [one.tag, one])), littleEndian, charsets };
}

/**
 * A data set from keywords (or eight-digit tags): `dataSet({ PatientName: 'A^B', Rows: 512, PixelData: bytes })`.
 * An `undefined` value leaves the element out, an empty array makes an empty element. Text is encoded in the
 * Specific Character Set given here, else in `charsets`.
 *
 * @throws Fault DICOM_VR for an unknown keyword or a value that does not fit.
 */
export function dataSet(
  values: Readonly<Record<string, Values | { readonly vr: Vr; readonly value: Values }>>,
  charsets: readonly string[] = [],
): DataSet {
  const own = values['SpecificCharacterSet'];
  const sets = own === undefined ? charsets : (Array.isArray(own) ? own : [own]).map(String);
  const elements: Element[] = [];
  for (const [keyword, given] of Object.entries(values)) {
    if (given === undefined) continue;
    const tag =
      tagOf(keyword) ?? (/^[0-9A-Fa-f]{8}$/.test(keyword) ? Number.parseInt(keyword, 16) : undefined);
    if (tag === undefined) throw new Fault('DICOM_VR', { keyword });
    const withVr = typeof given === 'object' && 'vr' in given && 'value' in given;
    elements.push(
      makeElement(tag, withVr ? given.value : given, { vr: withVr ? given.vr : undefined, charsets: sets }),
    );
  }
  return dataSetOf(elements, sets);
}

/** The same data set with some elements put in place of, or beside, its own. */
export function withElements(ds: DataSet, elements: Iterable<Element>): DataSet {
  const merged = new Map(ds.elements);
  for (const element of elements) merged.set(element.tag, element);
  return { ...dataSetOf(merged.values(), ds.charsets, ds.littleEndian) };
}

/** An empty data set. */
export const emptyDataSet = (): DataSet => ({ elements: new Map(), littleEndian: true, charsets: [] });

/** Creator and tag of a private element in a block: block 0x10 of group 0x0029, element 0x08 is (0029,1008) (PS3.5 §7.8.1). */
export function privateTag(group: number, block: number, element: number): Tag {
  return ((group << 16) | (block << 8) | element) >>> 0;
}

/** Specific Character Set as an element, for a data set whose text is in `charsets`. */
export function charsetElement(charsets: readonly string[]): Element {
  return makeElement(Tags.SpecificCharacterSet, [...charsets]);
}
