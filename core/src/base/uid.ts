/**
 * UIDs: the names of everything in DICOM.
 *
 * Source: PS3.5 §9 and Annex B; UUID-derived UIDs PS3.5 §B.2.
 * Layer:  core/base.
 */

/** At most 64 characters of digits and dots. Looser than PS3.5 §9.1 (leading zeros are seen in the wild), safe as a key. */
export function isUid(text: string): boolean {
  return text.length > 0 && text.length <= 64 && /^[0-9]+(\.[0-9]+)*$/.test(text);
}

/** A UID value as received: one trailing NUL or spaces are padding (PS3.5 §9.1). */
export function trimUid(text: string): string {
  return text.replace(/[\0 ]+$/, '');
}

/** A new UID from 16 random bytes, in the form 2.25.<integer> (PS3.5 §B.2). The caller brings the randomness. */
export function uidFromUuid(bytes: Uint8Array): string {
  let value = 0n;
  for (const byte of bytes.subarray(0, 16)) value = (value << 8n) | BigInt(byte);
  return `2.25.${value.toString()}`;
}

/** Lightbox's own Implementation Class UID (PS3.7 §D.3.3.2), a fixed 2.25 UID. */
export const IMPLEMENTATION_CLASS_UID = '2.25.289414386719342103918273645546372819';
export const IMPLEMENTATION_VERSION_NAME = 'LIGHTBOX_0_1';
