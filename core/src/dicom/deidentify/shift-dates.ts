/**
 * Dates moved by a whole number of days, so that the time between two examinations stays what it was.
 *
 * Source: PS3.15 §E.3.6 (Retain Longitudinal Temporal Information With Modified Dates), PS3.5 §6.2 (DA, DT),
 *         PS3.4 §C.2.2.2.5 (ranges).
 * Layer:  core/dicom.
 */
import { parseDate, parseDateTime } from '../date-time.ts';

/** Days since 0000-03-01 of the Gregorian calendar; years begin in March so that the leap day is the last. */
function dayNumber(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const m = (month + 9) % 12;
  return (
    365 * y +
    Math.floor(y / 4) -
    Math.floor(y / 100) +
    Math.floor(y / 400) +
    Math.floor((153 * m + 2) / 5) +
    day
  );
}

function dateOf(number: number): string {
  let y = Math.floor((10_000 * number + 14_780) / 3_652_425);
  let rest = number - dayNumber(y, 3, 0);
  if (rest < 1) {
    y -= 1;
    rest = number - dayNumber(y, 3, 0);
  }
  const m = Math.floor((5 * (rest - 1) + 2) / 153);
  const day = rest - Math.floor((153 * m + 2) / 5);
  const month = ((m + 2) % 12) + 1;
  const year = month <= 2 ? y + 1 : y;
  return `${String(year).padStart(4, '0')}${String(month).padStart(2, '0')}${String(day).padStart(2, '0')}`;
}

/** `YYYYMMDD` that many days later; undefined outside the years 1 to 9999. */
function shiftDay(yyyymmdd: string, days: number): string | undefined {
  const number = dayNumber(
    Number(yyyymmdd.slice(0, 4)),
    Number(yyyymmdd.slice(4, 6)),
    Number(yyyymmdd.slice(6, 8)),
  );
  const moved = dateOf(number + days);
  return /^(?!0000)\d{8}$/.test(moved) ? moved : undefined;
}

/** One DA value: a day, a range of days, or the ACR-NEMA form. Undefined when it is no date. */
export function shiftDate(value: string, days: number): string | undefined {
  const text = value.trim();
  const one = parseDate(text);
  if (one !== undefined) return shiftDay(one, days);
  const [left, right, ...more] = text.split('-');
  if (left === undefined || right === undefined || more.length > 0 || left + right === '') return undefined;
  const from = left === '' ? '' : shiftDate(left, days);
  const to = right === '' ? '' : shiftDate(right, days);
  return from === undefined || to === undefined ? undefined : `${from}-${to}`;
}

/** One DT value of any precision, or a range; clock time and zone stay as they are. Undefined when it is no DT. */
export function shiftDateTime(value: string, days: number): string | undefined {
  const text = value.trim();
  const span = parseDateTime(text);
  if (span) {
    const digits = /^\d*/.exec(text)?.[0] ?? '';
    const day = shiftDay(span.from.slice(0, 8), days);
    return day === undefined
      ? undefined
      : day.slice(0, Math.min(8, digits.length)) + text.slice(8 - Math.max(0, 8 - digits.length));
  }
  for (let at = text.indexOf('-'); at >= 0; at = text.indexOf('-', at + 1)) {
    const left = text.slice(0, at);
    const right = text.slice(at + 1);
    if (left + right === '') continue;
    const from = left === '' ? '' : shiftDateTime(left, days);
    const to = right === '' ? '' : shiftDateTime(right, days);
    if (from !== undefined && to !== undefined) return `${from}-${to}`;
  }
  return undefined;
}
