/**
 * What a viewer does with a series, told from its SOP classes.
 *
 * Source: PS3.4 §B.5 (Standard SOP Classes).
 * Layer:  server/archive.
 */
import type { SeriesRow } from '@lightbox/core/contract/api.ts';
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
  ['77.1.1.1', 'video'],
  ['77.1.2.1', 'video'],
  ['77.1.4.1', 'video'],
  ['66', 'other'],
  ['67', 'other'],
];

export function seriesKind(sopClasses: readonly string[], frames: number): SeriesKind {
  const kinds = new Set(sopClasses.map((uid) => kindOf(uid, frames)));
  if (kinds.has('image')) return 'image';
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
