/**
 * Whether the frames of an answer are there from beginning to end, looked at before a decoder makes pixels of them.
 *
 * Source: PS3.18 §8.6.1.2 (multipart/related), §8.7.3 (transfer-syntax of a part); core/pixel/codestream-end.ts.
 * Layer:  web/engine.
 */
import { transferSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { isWhole } from '@lightbox/core/pixel/codestream-end.ts';

/** A part header is some hundred bytes; ours are shorter. */
const HEAD_BYTES = 1024;

/** `body` is a multipart answer of one part. True as well for what has no beginning or end to look for. */
export function isWholeFrame(body: Uint8Array): boolean {
  const head = new TextDecoder('latin1').decode(body.subarray(0, HEAD_BYTES));
  const uid = /transfer-syntax="?([\d.]+)/.exec(head)?.[1];
  const codec = uid === undefined ? undefined : transferSyntax(uid)?.codec;
  const start = head.indexOf('\r\n\r\n');
  if (!codec || start < 0) return true;
  const boundary = /^\s*--(\S+)/.exec(head)?.[1] ?? '';
  const bytes = body.subarray(start + 4, Math.max(start + 4, body.length - closing(body, boundary)));
  return isWhole(bytes, codec);
}

/** Length of `\r\n--boundary--` and what follows, at the end of the body. */
function closing(body: Uint8Array, boundary: string): number {
  const room = boundary.length + 16;
  const tail = new TextDecoder('latin1').decode(body.subarray(Math.max(0, body.length - room)));
  const at = tail.lastIndexOf(`\r\n--${boundary}--`);
  return at < 0 ? 0 : tail.length - at;
}
