import { describe, expect, it } from 'vitest';
import { formatBytes, formatDate, formatTime, personName } from './format.ts';

describe('values as read', () => {
  it('leaves no doubt which number is the month', () => {
    expect(formatDate('20260304', 'en')).toBe('2026-03-04');
    expect(formatDate('20260304', 'de')).toBe('04.03.2026');
  });
  it('shows a date that is none as it came', () => {
    for (const odd of ['20260231', '2026', '']) expect(formatDate(odd, 'en')).toBe(odd);
  });
  it('shortens times and sizes', () => {
    expect(formatTime('134501.25')).toBe('13:45');
    expect(formatBytes(1_500_000, 'en')).toBe('1.5 MB');
  });
  it('puts the own script beside the alphabetic name', () => {
    expect(personName({ alphabetic: 'Doe^Jane^M^Dr', ideographic: '' })).toEqual({
      main: 'Doe, Dr Jane M',
      beside: '',
    });
    expect(personName({ alphabetic: '', ideographic: '山田^太郎' }).main).toBe('山田 太郎');
  });
});
