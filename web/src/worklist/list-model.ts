/** The study list without its looks: filters, date presets, and how fresh rows join those on the screen. Layer: web/worklist. */
import type { ListQuery, Page, Study } from '../api/studies.ts';

export type DatePreset = 'today' | 'yesterday' | 'week' | 'any';

/** A day as DICOM DA, in the person's own time zone. */
export function toDicomDate(day: Date): string {
  const pad = (value: number, width: number) => String(value).padStart(width, '0');
  return `${pad(day.getFullYear(), 4)}${pad(day.getMonth() + 1, 2)}${pad(day.getDate(), 2)}`;
}

/** `YYYY-MM-DD` of a date input to DA and back; empty stays empty. */
export const fromInput = (value: string): string => value.replaceAll('-', '');
export const toInput = (value: string | undefined): string =>
  value && /^\d{8}$/.test(value) ? `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6)}` : '';

/** `week` is the last seven days including today. */
export function datesOf(preset: DatePreset, now: Date): { dateFrom?: string; dateTo?: string } {
  const day = (back: number) =>
    toDicomDate(new Date(now.getFullYear(), now.getMonth(), now.getDate() - back));
  switch (preset) {
    case 'any':
      return {};
    case 'today':
      return { dateFrom: day(0), dateTo: day(0) };
    case 'yesterday':
      return { dateFrom: day(1), dateTo: day(1) };
    case 'week':
      return { dateFrom: day(6), dateTo: day(0) };
    default:
      return preset satisfies never;
  }
}

/** A filter with one field changed; an empty value takes the field away. */
export function withField<K extends keyof ListQuery>(
  query: ListQuery,
  key: K,
  value: ListQuery[K] | undefined,
): ListQuery {
  const { [key]: _old, ...rest } = query;
  return value === undefined || value === '' ? rest : { ...rest, [key]: value };
}

const ORDER_KEYS = new Set(['sort', 'descending', 'limit', 'cursor']);
export const isFiltered = (query: ListQuery): boolean =>
  Object.keys(query).some((key) => !ORDER_KEYS.has(key));

/**
 * A page read again, joined with the one on the screen: fresh rows in their order, then old rows that were pushed
 * out of the page (the next page begins after them, so they would be lost). The cursor stays that of the old page.
 */
export function joinPage(old: Page, fresh: Page): Page {
  const here = new Set(fresh.items.map(({ studyUid }) => studyUid));
  return {
    ...fresh,
    items: [...fresh.items, ...old.items.filter(({ studyUid }) => !here.has(studyUid))],
    next: old.next ?? fresh.next,
  };
}

/** All rows, each study once: a study that moved between two reads is kept where it came first. */
export function rowsOf(pages: readonly Page[]): Study[] {
  const seen = new Set<string>();
  const rows: Study[] = [];
  for (const page of pages)
    for (const row of page.items)
      if (!seen.has(row.studyUid)) {
        seen.add(row.studyUid);
        rows.push(row);
      }
  return rows;
}

/** Pages to read again for these studies: the first (new ones come there) and each that shows one of them. */
export function pagesToRefresh(pages: readonly Page[], changed: ReadonlySet<string>): number[] {
  return pages.flatMap((page, index) =>
    index === 0 || page.items.some(({ studyUid }) => changed.has(studyUid)) ? [index] : [],
  );
}
