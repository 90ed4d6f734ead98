/**
 * Whether a value that could stay tells nothing about the people of its object: looked at before it is kept.
 *
 * Source: PS3.15 §E.1.1 notes 1 and 4, §E.3.10; legal values PS3.5 Table 6.2-1.
 * Layer:  core/dicom.
 */
import type { DataSet, Element } from '../data-set.ts';
import { ascii, elementNumbers } from '../values.ts';
import { type Identifiers, repeatsIdentity, repeatsValue } from './identifiers.ts';

/** A legal code or number (PS3.5 Table 6.2-1), which leaves no room for a name in small letters or a sentence. */
export function isCoded(value: string, vr: string): boolean {
  const plain = value.replace(/[ \0]+$/, '').replace(/^ +/, '');
  switch (vr) {
    case 'CS':
      return /^[A-Z0-9 _]{0,16}$/.test(plain);
    case 'AS':
      return /^(\d{3}[DWMY])?$/.test(plain);
    default:
      return /^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)?$/.test(plain);
  }
}

/** No whole value of the patient's is in it; of plain numbers only long ones count, which are equal by no accident. */
export const isFree = (values: readonly string[], identifiers: Identifiers | undefined): boolean =>
  identifiers !== undefined &&
  !values.some((value) => /[A-Z]|^\s*\d{6,}\s*$/.test(value) && repeatsValue(value, identifiers));

/** Text with no name and no whole value of the patient's in it. */
export const isCalm = (values: readonly string[], identifiers: Identifiers | undefined): boolean =>
  identifiers !== undefined && !values.some((value) => repeatsIdentity(value, identifiers));

/** Binary numbers, none of which is a long number of the patient's. */
export function areFreeNumbers(element: Element, ds: DataSet, identifiers: Identifiers | undefined): boolean {
  if (!identifiers) return false;
  const told = new Set(identifiers.values.filter((value) => /^\d{6,}$/.test(value)).map(Number));
  return told.size === 0 || !elementNumbers(element, ds.littleEndian).some((value) => told.has(value));
}

/** Bytes are looked through up to this size; what is larger cannot be said to be silent. */
const MAX_SILENT_BYTES = 1024 * 1024;

/** Bytes in which no name and no whole value is written, in letters of one or of two bytes. */
export function isSilent(bytes: Uint8Array, identifiers: Identifiers | undefined): boolean {
  if (bytes.length > MAX_SILENT_BYTES) return false;
  // Without its zeros UTF-16 of western names is ASCII.
  const written = [bytes, bytes.filter((byte) => byte !== 0)].map(
    (some) => ascii(some).match(/[\x20-\x7e]{3,}/g) ?? [],
  );
  return isCalm([written.map((runs) => runs.join(' ')).join(' ')], identifiers);
}
