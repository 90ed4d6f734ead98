/**
 * In which transfer syntax an object goes to a peer: the one that peer is to get, else its own where the peer takes it, else one it
 * can be decoded to.
 *
 * Source: PS3.4 §B.2 and §C.4 (sub-operations), §Z.1.3 (Without Bulk Data), PS3.5 §10.1.
 * Layer:  server/doors/dimse.
 */
import { asFault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE, IMPLICIT_LE, readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { isOdd } from '../../archive/render/odd.ts';
import type { Renderer } from '../../archive/render/types.ts';
import { syntaxOfForm } from '../../archive/render/lossless.ts';
import type { InstanceRef } from '../../archive/types.ts';
import type { SendForm } from '../../identity/types.ts';
import type { Log } from '../../platform/log.ts';
import type { Pieces } from '../../platform/outgoing.ts';

/** Explicit before implicit: it keeps the value representations of private elements. */
const PLAIN = [EXPLICIT_LE, IMPLICIT_LE];

/**
 * The one of the accepted transfer syntaxes to send an object in; undefined when there is none. What was compressed with loss loses
 * no more by being decoded, and keeps its SOP Instance UID.
 *
 * @param form  What the peer is to get, where that can be; compressing may turn out not to.
 */
export function syntaxToSend(
  renderer: Renderer,
  ref: InstanceRef,
  accepted: readonly string[],
  withoutBulk: boolean,
  form: SendForm = 'stored',
): string | undefined {
  if (withoutBulk)
    return [...PLAIN, ...accepted].find((uid) => accepted.includes(uid) && renderer.canWriteHeader(uid));
  const compressed = syntaxOfForm(form);
  if (compressed !== undefined && accepted.includes(compressed) && renderer.canCompress(ref, compressed))
    return compressed;
  const own = accepted.find((uid) => uid === ref.transferSyntaxUid);
  const decoded = PLAIN.find((uid) => accepted.includes(uid) && renderer.canProduceObject(ref, uid));
  // Fragments of an odd length cannot be mended without decoding them.
  if (isOdd(ref) && readingSyntax(ref.transferSyntaxUid).encapsulated) return decoded ?? own;
  return form === 'uncompressed' ? (decoded ?? own) : (own ?? decoded);
}

/** An object on its way. */
export interface Prepared {
  readonly transferSyntax: string;
  readonly dataSet: Pieces;
}

/**
 * The data set in the form a peer is to get; what cannot be compressed goes as it would without that wish, and the log says so.
 *
 * @returns undefined when the peer accepted nothing it can go in. @throws Fault as `Renderer.dataSet`.
 */
export async function prepared(
  { renderer, log }: { readonly renderer: Renderer; readonly log: Log },
  ref: InstanceRef,
  accepted: readonly string[],
  form: SendForm,
): Promise<Prepared | undefined> {
  const wished = syntaxToSend(renderer, ref, accepted, false, form);
  if (wished === undefined) return undefined;
  try {
    return { transferSyntax: wished, dataSet: await renderer.dataSet(ref, wished) };
  } catch (error) {
    const fault = asFault(error);
    const other = syntaxToSend(renderer, ref, accepted, false);
    if (fault.code === 'INTERNAL' || !renderer.canCompress(ref, wished) || other === undefined) throw error;
    log.info({ code: fault.code, form, to: other }, 'an object could not be compressed for a peer');
    return { transferSyntax: other, dataSet: await renderer.dataSet(ref, other) };
  }
}
