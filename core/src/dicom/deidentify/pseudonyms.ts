/**
 * The secret map of one project: the same UID, patient and device always become the same other one, and nobody without
 * the key can tell which.
 *
 * Source: PS3.15 §E.1.1 step 2 note 3 (consistency), PS3.5 §B.2 (UUID-derived UIDs), RFC 9562 §5.8 (UUID version 8),
 *         PS3.5 §A (registered root 1.2.840.10008).
 * Layer:  core/dicom. No chance and no key here: the caller brings a keyed hash.
 */
import { uidFromUuid } from '../../base/uid.ts';

/** HMAC with a secret key of the project, at least 16 bytes out. A plain hash would be reversed by trying (§E.1.1). */
export type KeyedHash = (text: string) => Uint8Array;

/** UIDs that the standard registers: SOP classes, transfer syntaxes, coding schemes, well-known frames of reference. */
export function isStandardUid(uid: string): boolean {
  // Registered components have at most four digits; what hangs dates and serial numbers below the root is an instance.
  return /^1\.2\.840\.10008(\.\d{1,4}){1,9}$/.test(uid);
}

/** The project's UID for this one; the standard's own and empty ones stay. */
export function mapUid(uid: string, hash: KeyedHash): string {
  if (uid === '' || isStandardUid(uid)) return uid;
  const bytes = hash(`uid:${uid}`).slice(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return uidFromUuid(bytes);
}

/** Letters and digits that are not mistaken for each other when read aloud (RFC 4648 §6 without look-alikes). */
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';

function code(bytes: Uint8Array, length: number): string {
  let out = '';
  for (let at = 0; at < length; at++) out += LETTERS[(bytes[at] ?? 0) & 31] ?? '';
  return out;
}

/** Ten characters are 50 bits: among a million patients two share one with a chance of 1 to 2,000. */
export function patientPseudonym(patientKey: string, hash: KeyedHash): string {
  return `P${code(hash(`patient:${patientKey}`), 10)}`;
}

/** An AE title that says which is the same device, not which device. */
export function mapAe(title: string, hash: KeyedHash): string {
  return title === '' ? '' : `AE${code(hash(`ae:${title}`), 8)}`;
}

/** Days a patient's dates are moved back: one to ten years, the same for all that is his. */
export function dateShift(patientKey: string, hash: KeyedHash): number {
  const [a = 0, b = 0, c = 0, d = 0] = hash(`dates:${patientKey}`);
  return -(365 + ((a * 0x1000000 + b * 0x10000 + c * 0x100 + d) % 3287));
}
