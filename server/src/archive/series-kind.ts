/**
 * What a viewer does with a series, told from its SOP classes, and from its transfer syntax where that decides.
 *
 * Source: PS3.4 §B.5 (Standard SOP Classes), PS3.5 §A.4.5 to §A.4.13 (video).
 * Layer:  server/archive.
 */
import type { SeriesRow } from '@lightbox/core/contract/api.ts';
import { isVideoSyntax } from '@lightbox/core/translate/encapsulated.ts';
import type { z } from 'zod';

export type SeriesKind = z.infer<typeof SeriesRow>['kind'];

const STORAGE = '1.2.840.10008.5.1.4.1.1.';

/** Families by the start of what follows the storage root; the first that fits decides. */
const FAMILIES: readonly (readonly [prefix: string, kind: SeriesKind])[] = [
  ['104.1', 'pdf'],
  ['104.', 'other'],
  ['88.', 'sr'],
  ['78.', 'other'],
  ['9.', 'waveform'],
  ['11.', 'presentation'],
  ['66', 'other'],
  ['67', 'other'],
];

/**
 * @param syntax  Transfer syntax of its middle object: a video is one in any SOP class (ultrasound loops are sent so),
 *                and a video class may come as frames.
 */
export function seriesKind(sopClasses: readonly string[], frames: number, syntax: string): SeriesKind {
  const kinds = new Set(sopClasses.map((uid) => kindOf(uid, frames)));
  if (kinds.has('image')) return isVideoSyntax(syntax) ? 'video' : 'image';
  const [only] = kinds;
  return only ?? 'other';
}

function kindOf(uid: string, frames: number): SeriesKind {
  if (uid.startsWith(STORAGE)) {
    const rest = uid.slice(STORAGE.length);
    const family = FAMILIES.find(([prefix]) =>
      prefix.endsWith('.') ? rest.startsWith(prefix) : rest === prefix || rest.startsWith(`${prefix}.`),
    );
    // Segmentations and the like (66.x) have frames that can be shown.
    if (family && !(family[1] === 'other' && frames > 0)) return family[1];
  }
  return frames > 0 ? 'image' : 'other';
}
