/**
 * One object without who it shows, written anew while it is read.
 *
 * Source: PS3.15 §E.2 (Basic Profile), §E.3.1 (Clean Pixel Data Option), as PS3.18 §9.4.1.2.1 asks for both.
 * Layer:  server/archive.
 */
import type { Pieces } from '../../platform/outgoing.ts';
import type { InstanceRef } from '../types.ts';
import { type ExportParts, objectFile, wayOf } from './plan.ts';

/**
 * @param key  One key gives one set of UIDs and pseudonyms, so that the objects of a study stay together.
 * @throws Fault DEIDENTIFY_PIXELS when nobody can say whether names are in the picture; PIXELS_UNSUPPORTED.
 */
export async function anonymous(
  parts: Omit<ExportParts, 'folder'>,
  ref: InstanceRef,
  key: string,
): Promise<{ readonly transferSyntaxUid: string; readonly pieces: Pieces }> {
  const options = ['cleanPixelData' as const];
  const deidentify = { options, rectangles: [], pixelsReviewed: false, key };
  const way = await wayOf(parts, { pixels: 'kept', deidentify })(ref);
  const file = await objectFile(parts, [], ref, way, false);
  return { transferSyntaxUid: way.transferSyntaxUid, pieces: (await file.open()).pieces };
}
