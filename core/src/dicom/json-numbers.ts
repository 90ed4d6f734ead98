/**
 * Numbers between DICOM's forms (binary VRs, decimal strings) and JSON's, without losing a digit unseen.
 *
 * Source: PS3.5 §6.2 (DS, IS, and the binary VRs), PS3.18 §F.2.2; RFC 8259 §6.
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';

interface NumberForm {
  readonly bytes: 2 | 4 | 8;
  read(view: DataView, at: number, little: boolean): number | string;
  write(view: DataView, at: number, value: number | string): void;
}

const special = (value: number): number | string => (Number.isFinite(value) ? value : String(value));
const safe = (value: bigint): number | string =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();

export const NUMBER_FORMS: Readonly<Partial<Record<string, NumberForm>>> = {
  US: {
    bytes: 2,
    read: (v, at, le) => v.getUint16(at, le),
    write: (v, at, x) => v.setUint16(at, whole(x, 0, 0xffff), true),
  },
  SS: {
    bytes: 2,
    read: (v, at, le) => v.getInt16(at, le),
    write: (v, at, x) => v.setInt16(at, whole(x, -0x8000, 0x7fff), true),
  },
  UL: {
    bytes: 4,
    read: (v, at, le) => v.getUint32(at, le),
    write: (v, at, x) => v.setUint32(at, whole(x, 0, 0xffffffff), true),
  },
  SL: {
    bytes: 4,
    read: (v, at, le) => v.getInt32(at, le),
    write: (v, at, x) => v.setInt32(at, whole(x, -0x80000000, 0x7fffffff), true),
  },
  UV: {
    bytes: 8,
    read: (v, at, le) => safe(v.getBigUint64(at, le)),
    write: (v, at, x) => v.setBigUint64(at, big(x, 0n, (1n << 64n) - 1n), true),
  },
  SV: {
    bytes: 8,
    read: (v, at, le) => safe(v.getBigInt64(at, le)),
    write: (v, at, x) => v.setBigInt64(at, big(x, -(1n << 63n), (1n << 63n) - 1n), true),
  },
  FL: {
    bytes: 4,
    read: (v, at, le) => special(v.getFloat32(at, le)),
    write: (v, at, x) => v.setFloat32(at, float(x), true),
  },
  FD: {
    bytes: 8,
    read: (v, at, le) => special(v.getFloat64(at, le)),
    write: (v, at, x) => v.setFloat64(at, float(x), true),
  },
};

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/;

/** A JSON number when it stands for exactly the decimal that was sent; otherwise the string, out of range included. */
export function decimalValue(text: string): number | string | null {
  const trimmed = text.trim();
  if (!trimmed) return null;
  if (trimmed.length > 40 || !DECIMAL.test(trimmed)) return trimmed;
  const value = Number(trimmed);
  if (!Number.isFinite(value)) return trimmed;
  // Fifteen significant digits always survive a double (IEEE 754 DBL_DIG); beyond that compare digit for digit.
  if (trimmed.length <= 15 && (value !== 0 || !/[1-9]/.test(trimmed.split(/[eE]/)[0]!)))
    return value === 0 ? 0 : value;
  return digitsOf(trimmed) === digitsOf(String(value)) ? value : trimmed;
}

/** Sign, significant digits and exponent of a decimal, in one spelling. */
function digitsOf(text: string): string {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e');
  const negative = mantissa.startsWith('-');
  const [before = '', after = ''] = mantissa.replace(/^[+-]/, '').split('.');
  const digits = before + after;
  const lead = digits.length - digits.replace(/^0+/, '').length;
  const significant = digits.slice(lead).replace(/0+$/, '');
  if (!significant) return '0';
  return `${negative ? '-' : ''}${significant}e${Number(exponent) + before.length - lead}`;
}

/** A number in at most the 16 characters of DS (PS3.5 §6.2), losing only digits that do not fit. */
export function decimalString(value: number): string {
  const plain = String(value);
  if (plain.length <= 16) return plain;
  for (let digits = 15; digits > 0; digits--) {
    const text = String(Number(value.toPrecision(digits)));
    // The largest doubles round up to what is none.
    if (text.length <= 16 && text !== 'Infinity' && text !== '-Infinity') return text;
    const scientific = value.toExponential(digits - 1).replace('e+', 'e');
    if (scientific.length <= 16 && Number.isFinite(Number(scientific))) return scientific;
  }
  return plain;
}

function float(value: number | string): number {
  if (typeof value === 'number') return value;
  const named = FLOAT_NAMES[value.trim().toLowerCase()];
  if (named !== undefined) return named;
  const number = value.trim() === '' ? Number.NaN : Number(value);
  if (Number.isNaN(number)) throw new Fault('DICOM_JSON', { what: 'number' });
  return number;
}

const FLOAT_NAMES: Readonly<Partial<Record<string, number>>> = {
  nan: Number.NaN,
  inf: Infinity,
  infinity: Infinity,
  '-inf': -Infinity,
  '-infinity': -Infinity,
};

function whole(value: number | string, least: number, most: number): number {
  const number = typeof value === 'number' ? value : value.trim() === '' ? Number.NaN : Number(value);
  if (!Number.isInteger(number) || number < least || number > most)
    throw new Fault('DICOM_JSON', { what: 'integer' });
  return number;
}

function big(value: number | string, least: bigint, most: bigint): bigint {
  if (typeof value === 'string' ? !/^\s*-?\d{1,20}\s*$/.test(value) : !Number.isSafeInteger(value)) {
    throw new Fault('DICOM_JSON', { what: 'integer' });
  }
  const number = BigInt(typeof value === 'string' ? value.trim() : value);
  if (number < least || number > most) throw new Fault('DICOM_JSON', { what: 'integer' });
  return number;
}
