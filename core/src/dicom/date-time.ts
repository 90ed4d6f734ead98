/**
 * Dates and times as DICOM writes them, read into text that sorts: the first and last instant a value stands for.
 *
 * Source: PS3.5 §6.2 (DA, TM, DT, and the ACR-NEMA forms `1998.03.04` and `10:11:12` kept for reading),
 *         PS3.4 §C.2.2.2.5 (range matching).
 * Layer:  core/dicom. Nothing here throws: a value that is no date is undefined, and stays as it was stored.
 */

/** From and to, both inclusive, in one fixed-width form so that comparing text compares time. */
export interface Span {
  readonly from: string;
  readonly to: string;
}

/** A DT span; `offset` is minutes east of UTC when the value says so. */
export interface DateTimeSpan extends Span {
  readonly offset?: number | undefined;
}

/** A range key: a side that is open is undefined. */
export interface Range {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly offset?: number | undefined;
}

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

function daysIn(year: number, month: number): number {
  if (month === 2 && (year % 4 !== 0 || (year % 100 === 0 && year % 400 !== 0))) return 28;
  return DAYS[month - 1] ?? 0;
}

/** `YYYYMMDD`, from that or from `YYYY.MM.DD`; undefined when there is no such day. */
export function parseDate(text: string): string | undefined {
  const match = /^(\d{4})(\d{2})(\d{2})$|^(\d{4})\.(\d{2})\.(\d{2})$/.exec(text.trim());
  if (!match) return undefined;
  const year = match[1] ?? match[4]!;
  const month = match[2] ?? match[5]!;
  const day = match[3] ?? match[6]!;
  if (Number(day) < 1 || Number(day) > daysIn(Number(year), Number(month))) return undefined;
  return year + month + day;
}

/** `HHMMSS.FFFFFF` from `HH`, `HHMM`, `HHMMSS`, `HHMMSS.F` to `.FFFFFF`, and the same with colons. 60 is a leap second. */
export function parseTime(text: string): Span | undefined {
  const match = /^(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?$/.exec(text.trim());
  if (!match) return undefined;
  const [, hour = '', minute, second, fraction] = match;
  if (Number(hour) > 23 || Number(minute ?? 0) > 59 || Number(second ?? 0) > 60) return undefined;
  return {
    from: `${hour}${minute ?? '00'}${second ?? '00'}.${(fraction ?? '').padEnd(6, '0')}`,
    to: `${hour}${minute ?? '59'}${second ?? '59'}.${(fraction ?? '').padEnd(6, '9')}`,
  };
}

/** `YYYYMMDDHHMMSS.FFFFFF` from a DT of any precision, in the value's own time zone. */
export function parseDateTime(text: string): DateTimeSpan | undefined {
  const match =
    /^(\d{4})(?:(\d{2})(?:(\d{2})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?$/.exec(
      text.trim(),
    );
  if (!match) return undefined;
  const [, year = '', month, day, time, zone] = match;
  const offset = zone === undefined ? undefined : parseOffset(zone);
  if (zone !== undefined && offset === undefined) return undefined;
  if (month !== undefined && (Number(month) < 1 || Number(month) > 12)) return undefined;
  if (day !== undefined && parseDate(year + (month ?? '') + day) === undefined) return undefined;
  const clock = time === undefined ? { from: '000000.000000', to: '235959.999999' } : parseTime(time);
  if (!clock) return undefined;
  const lastMonth = month ?? '12';
  const lastDay = day ?? String(daysIn(Number(year), Number(lastMonth)));
  return {
    from: year + (month ?? '01') + (day ?? '01') + clock.from,
    to: year + lastMonth + lastDay + clock.to,
    ...(offset === undefined ? {} : { offset }),
  };
}

/** `&ZZXX` from -1200 to +1400 (PS3.5 §6.2, DT); -0000 is not allowed. */
function parseOffset(zone: string): number | undefined {
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3));
  if (minutes > 59 || zone === '-0000') return undefined;
  const total = hours * 60 + minutes;
  if (zone.startsWith('-')) return total <= 720 ? -total : undefined;
  return total <= 840 ? total : undefined;
}

/** `19980101-19981231`, `-19981231`, `19980101-`, or one day, which is a range from itself to itself. */
export function parseDateRange(text: string): Range | undefined {
  return rangeOf(text, (side) => {
    const date = parseDate(side);
    return date === undefined ? undefined : { from: date, to: date };
  });
}

/** `1000-1159`, `-1159`, `1000-`, or one time, which is the span its precision leaves open. */
export function parseTimeRange(text: string): Range | undefined {
  return rangeOf(text, parseTime);
}

/**
 * The same for DT. A hyphen may begin a time zone as well: what reads as one value is one value, so `20060101-0500`
 * is an hour zone, and `2006-2007` a range, because no zone lies twenty hours west (§C.2.2.2.5 note).
 */
export function parseDateTimeRange(text: string): Range | undefined {
  return rangeOf(text, parseDateTime);
}

function rangeOf(text: string, parse: (side: string) => DateTimeSpan | undefined): Range | undefined {
  const trimmed = text.trim();
  const one = parse(trimmed);
  if (one) return one;
  for (let at = trimmed.indexOf('-'); at >= 0; at = trimmed.indexOf('-', at + 1)) {
    const left = trimmed.slice(0, at).trim();
    const right = trimmed.slice(at + 1).trim();
    if (left === '' && right === '') continue;
    const from = left === '' ? undefined : parse(left);
    const to = right === '' ? undefined : parse(right);
    if ((left !== '' && !from) || (right !== '' && !to)) continue;
    const offset = from?.offset ?? to?.offset;
    return { from: from?.from, to: to?.to, ...(offset === undefined ? {} : { offset }) };
  }
  return undefined;
}

/** Whether a value's span touches the range: bounds included, open sides open. */
export function inRange(value: Span, range: Range): boolean {
  return (
    (range.from === undefined || value.to >= range.from) && (range.to === undefined || value.from <= range.to)
  );
}
