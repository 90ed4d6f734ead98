/** Layouts, and which series goes where at first. Layer: web/viewer. */
import type { Series } from '../api/studies.ts';

export const LAYOUTS = [
  { name: '1x1', rows: 1, columns: 1 },
  { name: '1x2', rows: 1, columns: 2 },
  { name: '2x1', rows: 2, columns: 1 },
  { name: '2x2', rows: 2, columns: 2 },
  { name: '2x3', rows: 2, columns: 3 },
  { name: '3x3', rows: 3, columns: 3 },
] as const;
export type Layout = (typeof LAYOUTS)[number];

/** Pictures made from pictures: read after what they were made from. */
const DERIVED = new Set(['RTDOSE', 'SEG', 'RTIMAGE', 'PR', 'OT']);

const rank = (series: Series): number => (series.kind !== 'image' ? 2 : DERIVED.has(series.modality) ? 1 : 0);

/** Cells of the grid from `first` on, images before what is derived from them before documents; null where nothing is left. */
export function hang(series: readonly Series[], cells: number, first?: string): (string | null)[] {
  const ordered = [...series].sort((a, b) => rank(a) - rank(b));
  const at = ordered.findIndex(({ seriesUid }) => seriesUid === first);
  const turned = at > 0 ? [...ordered.slice(at), ...ordered.slice(0, at)] : ordered;
  return Array.from({ length: cells }, (_, cell) => turned[cell]?.seriesUid ?? null);
}
