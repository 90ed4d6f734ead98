import { describe, expect, it } from 'vitest';
import type { Page, Study } from '../api/studies.ts';
import { datesOf, isFiltered, joinPage, pagesToRefresh, rowsOf, toInput, withField } from './list-model.ts';

const page = (uids: string[], next: string | null = null): Page => ({
  items: uids.map((studyUid) => ({ studyUid }) as Study),
  next,
  total: uids.length,
  totalIsEstimate: false,
});
const uids = (pages: Page[]): string[] => rowsOf(pages).map(({ studyUid }) => studyUid);

describe('study list', () => {
  it('keeps rows that new ones pushed out of a page, and its cursor', () => {
    const joined = joinPage(page(['a', 'b'], 'after-b'), page(['new', 'a'], 'after-a'));
    expect(uids([joined])).toEqual(['new', 'a', 'b']);
    expect(joined.next).toBe('after-b');
  });
  it('shows a study once', () => expect(uids([page(['a', 'b']), page(['b', 'c'])])).toEqual(['a', 'b', 'c']));
  it('reads again the first page and those that show a changed study', () =>
    expect(pagesToRefresh([page(['a']), page(['b']), page(['c'])], new Set(['c']))).toEqual([0, 2]));
  it('knows the days of a preset across a month', () => {
    expect(datesOf('week', new Date(2026, 2, 3))).toEqual({ dateFrom: '20260225', dateTo: '20260303' });
    expect(datesOf('any', new Date())).toEqual({});
    expect(toInput('20260303')).toBe('2026-03-03');
  });
  it('takes an emptied field away', () => {
    expect(withField({ modality: 'CT', sort: 'date' }, 'modality', '')).toEqual({ sort: 'date' });
    expect(isFiltered({ sort: 'date', descending: true })).toBe(false);
    expect(isFiltered({ search: 'x' })).toBe(true);
  });
});
