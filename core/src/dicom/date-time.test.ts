/** Dates and times (PS3.5 §6.2, PS3.4 §C.2.2.2.5): what is read is what was written, and what is none is undefined. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  inRange,
  parseDate,
  parseDateRange,
  parseDateTime,
  parseDateTimeRange,
  parseTime,
  parseTimeRange,
} from './date-time.ts';

const two = (value: number): string => String(value).padStart(2, '0');
const day = fc
  .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => ({
    year: String(date.getUTCFullYear()).padStart(4, '0'),
    month: two(date.getUTCMonth() + 1),
    day: two(date.getUTCDate()),
  }));
const clock = fc.tuple(fc.nat(23), fc.nat(59), fc.nat(59), fc.nat(999_999));

describe('dates and times', () => {
  it('of every day there is are read, in both forms', () => {
    fc.assert(
      fc.property(day, ({ year, month, day: of }) => {
        expect(parseDate(year + month + of)).toBe(year + month + of);
        expect(parseDate(`${year}.${month}.${of} `)).toBe(year + month + of);
      }),
      { seed: 1, numRuns: 1000 },
    );
  });
  it('of any precision are the span that precision leaves open', () => {
    fc.assert(
      fc.property(
        day,
        clock,
        fc.integer({ min: 0, max: 6 }),
        ({ year, month, day: of }, [h, m, s, f], digits) => {
          const fraction = String(f).padStart(6, '0');
          const time = two(h) + two(m) + two(s) + (digits ? `.${fraction.slice(0, digits)}` : '');
          const whole = `${two(h)}${two(m)}${two(s)}.${fraction}`;
          const span = parseTime(time)!;
          expect(span.from <= whole && whole <= span.to).toBe(true);
          const instant = parseDateTime(year + month + of + time)!;
          expect(instant.from).toBe(year + month + of + span.from);
          expect(instant.to).toBe(year + month + of + span.to);
          // Shorter ones hold longer ones.
          for (const short of [year, year + month, year + month + of, year + month + of + two(h)]) {
            const wider = parseDateTime(short)!;
            expect(wider.from <= instant.from && instant.to <= wider.to, short).toBe(true);
          }
        },
      ),
      { seed: 2, numRuns: 1000 },
    );
  });
  it('in a range touch it exactly when they lie in it', () => {
    fc.assert(
      fc.property(day, day, day, (a, b, c) => {
        const [from, to, value] = [a, b, c].map((one) => one.year + one.month + one.day) as [
          string,
          string,
          string,
        ];
        const inside = (text: string): boolean => inRange({ from: value, to: value }, parseDateRange(text)!);
        expect(inside(`${from}-${to}`)).toBe(from <= value && value <= to);
        expect(inside(`${from}-`)).toBe(from <= value);
        expect(inside(`-${to}`)).toBe(value <= to);
        expect(inside(value)).toBe(true);
      }),
      { seed: 3, numRuns: 1000 },
    );
  });
  it('tell a zone from a range', () => {
    expect(parseDateTimeRange('20060101-0500')).toMatchObject({ offset: -300 });
    expect(parseDateTimeRange('2006-2007')).toMatchObject({ from: '20060101000000.000000' });
    expect(parseDateTimeRange('20060101+0100-20060102+0100')).toMatchObject({ offset: 60 });
  });
  it('that are none are undefined, never thrown (case 21, seeded fuzz)', () => {
    const text = fc
      .array(
        fc.constantFrom('0', '1', '2', '9', '12', '2024', '-', '+', '.', ':', ' ', '\0', '٣', 'a', '60'),
        {
          maxLength: 14,
        },
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (given) => {
        const date = parseDate(given);
        if (date !== undefined) expect(date).toMatch(/^\d{8}$/);
        const time = parseTime(given);
        if (time) expect(time.from <= time.to && /^\d{6}\.\d{6}$/.test(time.from)).toBe(true);
        const instant = parseDateTime(given);
        if (instant) expect(instant.from <= instant.to && /^\d{14}\.\d{6}$/.test(instant.from)).toBe(true);
        for (const range of [parseDateRange(given), parseTimeRange(given), parseDateTimeRange(given)])
          if (range) expect(range.from ?? range.to).toBeDefined();
      }),
      { seed: 21, numRuns: 5000 },
    );
  });
});
