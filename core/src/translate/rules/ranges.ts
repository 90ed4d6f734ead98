/**
 * Ends of ranges as people write them, and values of objects, as numbers that can be compared.
 *
 * Source: PS3.5 §6.2 (AS, DA, DT, TM and numbers).
 * Layer:  core/translate. Today is given: there is no clock here.
 */
import { parseDate, parseDateTime, parseTime } from '../../dicom/date-time.ts';
import type { Vr } from '../../dicom/vr.ts';

/** How values of a VR are compared; undefined: not as a range. */
export type RangeKind = 'date' | 'time' | 'age' | 'number';

const KINDS: Readonly<Partial<Record<Vr, RangeKind>>> = {
  ...{ DA: 'date', DT: 'date', TM: 'time', AS: 'age' },
  ...{ DS: 'number', IS: 'number', US: 'number', SS: 'number', UL: 'number', SL: 'number' },
  ...{ FL: 'number', FD: 'number', UV: 'number', SV: 'number' },
};
export const rangeKind = (vr: Vr): RangeKind | undefined => KINDS[vr];

export const RANGE_FORMS: Readonly<Record<RangeKind, string>> = {
  date: 'a date: 2026-01-31, 20260131, today or today-30 (days)',
  time: 'a time of day: 07:30',
  age: 'an age: 016Y, 018M, 006W or 010D',
  number: 'a number',
};

/** Days of one unit of an age (PS3.5 §6.2, AS); of months and years the mean. */
const AGE_DAYS: Readonly<Record<string, number>> = { D: 1, W: 7, M: 30.4375, Y: 365.25 };

/** An end that stands, or one that counts from the day the object came. */
export type End = { readonly at: number } | { readonly daysFromToday: number };

/** What was written as an end of a range; undefined when it is none. */
export function readEnd(kind: RangeKind, written: string | number): End | undefined {
  const text = String(written).trim();
  if (kind === 'number') {
    const number =
      typeof written === 'number' ? written : /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
    return Number.isFinite(number) ? { at: number } : undefined;
  }
  if (kind === 'date') {
    const relative = /^today(?:-(\d{1,5}))?$/.exec(text);
    if (relative) return { daysFromToday: -Number(relative[1] ?? 0) };
    const day = dayOf(text.replace(/^(\d{4})-(\d\d)-(\d\d)$/, '$1$2$3'));
    return day === undefined ? undefined : { at: day };
  }
  const at = kind === 'age' ? ageOf(text) : minutesOf(text);
  return at === undefined ? undefined : { at };
}

/** A value of an object on the same scale; undefined when it is malformed. */
export function comparable(kind: RangeKind, value: string): number | undefined {
  switch (kind) {
    case 'number': {
      const number = Number(value);
      return value.trim() !== '' && Number.isFinite(number) ? number : undefined;
    }
    case 'date':
      return dayOf(value) ?? dayOf(parseDateTime(value)?.from.slice(0, 8) ?? '');
    case 'time': {
      const from = parseTime(value)?.from;
      return from === undefined ? undefined : Number(from.slice(0, 2)) * 60 + Number(from.slice(2, 4));
    }
    case 'age':
      return ageOf(value);
    default:
      return kind satisfies never;
  }
}

/** Days since 1970; undefined when it is no date. */
export function dayOf(text: string): number | undefined {
  const date = parseDate(text);
  if (date === undefined) return undefined;
  return (
    Date.UTC(Number(date.slice(0, 4)), Number(date.slice(4, 6)) - 1, Number(date.slice(6, 8))) / 86_400_000
  );
}

/** Minutes of a time of day written as 07:30. */
export function minutesOf(text: string): number | undefined {
  const read = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text.trim());
  return read ? Number(read[1]) * 60 + Number(read[2]) : undefined;
}

function ageOf(text: string): number | undefined {
  const read = /^(\d{1,3})([DWMY])$/.exec(text.trim());
  return read ? Number(read[1]) * (AGE_DAYS[read[2] ?? ''] ?? 0) : undefined;
}
