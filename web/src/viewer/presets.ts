/** Layouts and window presets, and which series goes where at first. Layer: web/viewer. */
import type { Series } from '../api/studies.ts';

export const LAYOUTS = [
  { name: '1x1', rows: 1, columns: 1 },
  { name: '1x2', rows: 1, columns: 2 },
  { name: '2x2', rows: 2, columns: 2 },
  { name: '3x3', rows: 3, columns: 3 },
] as const;
export type Layout = (typeof LAYOUTS)[number];

/** Centre and width in HU, the usual ones of reading rooms; CT only, other modalities have no fixed units. */
export const CT_WINDOWS = [
  { key: 'soft', centre: 40, width: 400 },
  { key: 'lung', centre: -600, width: 1500 },
  { key: 'bone', centre: 480, width: 2500 },
  { key: 'brain', centre: 40, width: 80 },
  { key: 'liver', centre: 90, width: 150 },
] as const;

/** Cells of the grid from `first` on, images before documents; null where nothing is left. */
export function hang(series: readonly Series[], cells: number, first?: string): (string | null)[] {
  const ordered = [...series].sort((a, b) => Number(b.kind === 'image') - Number(a.kind === 'image'));
  const at = ordered.findIndex(({ seriesUid }) => seriesUid === first);
  const turned = at > 0 ? [...ordered.slice(at), ...ordered.slice(0, at)] : ordered;
  return Array.from({ length: cells }, (_, cell) => turned[cell]?.seriesUid ?? null);
}
