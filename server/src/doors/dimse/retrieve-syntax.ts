/**
 * In which transfer syntax an object goes to a peer: its own where the peer takes it, else one it can be decoded to.
 *
 * Source: PS3.4 §B.2 and §C.4 (sub-operations), §Z.1.3 (Without Bulk Data), PS3.5 §10.1.
 * Layer:  server/doors/dimse.
 */
import { EXPLICIT_LE, IMPLICIT_LE, readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { isOdd } from '../../archive/render/odd.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { InstanceRef } from '../../archive/types.ts';

/** Explicit before implicit: it keeps the value representations of private elements. */
const PLAIN = [EXPLICIT_LE, IMPLICIT_LE];

/**
 * The one of the accepted transfer syntaxes to send an object in; undefined when there is none. Nothing is ever compressed: what
 * was compressed with loss loses no more by being decoded, and keeps its SOP Instance UID.
 */
export function syntaxToSend(
  renderer: Renderer,
  ref: InstanceRef,
  accepted: readonly string[],
  withoutBulk: boolean,
): string | undefined {
  if (withoutBulk)
    return [...PLAIN, ...accepted].find((uid) => accepted.includes(uid) && renderer.canWriteHeader(uid));
  const own = accepted.find((uid) => uid === ref.transferSyntaxUid);
  const decoded = PLAIN.find((uid) => accepted.includes(uid) && renderer.canProduceObject(ref, uid));
  // Fragments of an odd length cannot be mended without decoding them.
  if (isOdd(ref) && readingSyntax(ref.transferSyntaxUid).encapsulated) return decoded ?? own;
  return own ?? decoded;
}
