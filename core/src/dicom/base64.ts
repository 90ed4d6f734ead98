/**
 * Base64 for bulk data inside JSON and XML.
 *
 * Source: RFC 4648 §4; PS3.18 §F.2.7, PS3.19 §A.1.5.
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Int16Array(128).fill(-1);
for (let at = 0; at < 64; at++) VALUES[ALPHABET.charCodeAt(at)] = at;

export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const three = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += ALPHABET[three >> 18]! + ALPHABET[(three >> 12) & 63]!;
    text += left > 1 ? ALPHABET[(three >> 6) & 63]! : '=';
    text += left > 2 ? ALPHABET[three & 63]! : '=';
    if (text.length > 8000) {
      parts.push(text);
      text = '';
    }
  }
  return parts.join('') + text;
}

/** White space is skipped, padding may be missing. Throws Fault DICOM_JSON on anything else. */
export function fromBase64(text: string): Uint8Array {
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let length = 0;
  let bits = 0;
  let count = 0;
  let ended = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x20 || (code >= 0x09 && code <= 0x0d)) continue;
    if (code === 0x3d) {
      ended = true;
      continue;
    }
    const value = code < 128 ? VALUES[code]! : -1;
    if (value < 0 || ended) throw new Fault('DICOM_JSON', { what: 'base64', at });
    bits = ((bits << 6) | value) & 0xffffff;
    if (++count % 4 !== 1) out[length++] = (bits >> (6 - 2 * ((count - 1) % 4))) & 0xff;
  }
  if (count % 4 === 1) throw new Fault('DICOM_JSON', { what: 'base64', at: text.length });
  return out.slice(0, length);
}
