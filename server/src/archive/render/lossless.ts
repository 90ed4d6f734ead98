/**
 * In which form a peer is to get images: as they are kept, uncompressed, or compressed without loss.
 *
 * Source: PS3.5 Annex A.4.2 (RLE), A.4.3 (JPEG-LS), A.4.4 (JPEG 2000), A.4.12 (HTJ2K).
 * Layer:  server/archive.
 */
import { EXPLICIT_LE, readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import type { SendForm } from '../../identity/types.ts';
import type { InstanceRef } from '../types.ts';

export type LosslessCodec = 'rle' | 'jpeg-ls' | 'jpeg2000' | 'htj2k';

const SYNTAXES: Readonly<Record<LosslessCodec, string>> = {
  rle: '1.2.840.10008.1.2.5',
  'jpeg-ls': '1.2.840.10008.1.2.4.80',
  jpeg2000: '1.2.840.10008.1.2.4.90',
  htj2k: '1.2.840.10008.1.2.4.201',
};

/** The transfer syntax an image is compressed to for a peer; undefined: it is not. */
export const syntaxOfForm = (form: SendForm): string | undefined =>
  form === 'stored' || form === 'uncompressed' ? undefined : SYNTAXES[form];

export const losslessCodecOf = (uid: string): LosslessCodec | undefined =>
  (Object.keys(SYNTAXES) as LosslessCodec[]).find((codec) => SYNTAXES[codec] === uid);

/** What an object is to go in; its own where the form does not say, or has no meaning for it. */
export function wishedSyntax(ref: InstanceRef, form: SendForm): string {
  if (form === 'uncompressed')
    return readingSyntax(ref.transferSyntaxUid).encapsulated ? EXPLICIT_LE : ref.transferSyntaxUid;
  return isImage(ref) ? (syntaxOfForm(form) ?? ref.transferSyntaxUid) : ref.transferSyntaxUid;
}

export const isImage = ({ rows, frameCount }: Pick<InstanceRef, 'rows' | 'frameCount'>): boolean =>
  rows !== undefined && frameCount > 0;
