/**
 * Whether a frame that is labelled JPEG 2000 begins as one.
 *
 * Source: ISO/IEC 15444-1 §A.4.1 (SOC), §A.5.1 (SIZ directly after SOC); PS3.18 §8.7.3 (transfer-syntax of a part).
 * Layer:  web/engine.
 */

/** Part header, JP2 boxes that some senders leave in front, and the first markers. */
export const HEAD_BYTES = 4096;

const JPEG_2000 = /transfer-syntax="?1\.2\.840\.10008\.1\.2\.4\.(9[0-3]|20[1-3])\b/;

/** True for everything that is not JPEG 2000 or HTJ2K. `head` is the first bytes of a multipart answer. */
export function hasCodestream(head: Uint8Array): boolean {
  if (!JPEG_2000.test(new TextDecoder('latin1').decode(head))) return true;
  for (let at = 0; at + 3 < head.length; at += 1)
    if (head[at] === 0xff && head[at + 1] === 0x4f && head[at + 2] === 0xff && head[at + 3] === 0x51)
      return true;
  return false;
}
