/**
 * Rules made ready: compiled once for each version, then asked for every object.
 *
 * `explain` says why a rule does not match, for people who try it; `matches` only says whether, and stops at the first reason.
 * Layer:  core/translate.
 */
import type { Tag } from '../../dicom/data-set.ts';
import type { Edit } from '../../dicom/edits.ts';
import { wildcardMatches } from '../../dicom/matching.ts';
import { type Attributes, parsePath } from './attributes.ts';
import { coercionOf, compileSteps, type CompiledStep } from './coerce.ts';
import { compilePattern } from './pattern.ts';
import { comparable, type End, minutesOf, type RangeKind, rangeKind, readEnd } from './ranges.ts';
import {
  type Condition,
  DAYS,
  type PrefetchAction,
  type Rule,
  type RuleFile,
  type SendAction,
  type SourceName,
  type Test,
  type TimeTest,
} from './types.ts';

/** When an object came, on the server's clock. */
export interface Moment {
  /** 0 is Sunday. */
  readonly day: number;
  /** Since midnight. */
  readonly minutes: number;
  /** Days since 1970 of that date. */
  readonly date: number;
}

/** One object as rules see it. */
export interface Subject {
  readonly attributes: Attributes;
  readonly source: Readonly<Partial<Record<SourceName, string>>>;
  readonly moment: Moment;
}

/** Why a condition does not hold: which one, what it wants, what is there. */
export interface Reason {
  /** `when.all[1]` */
  readonly path: string;
  /** Keyword, or name of the source, or `time`. */
  readonly what: string;
  readonly test: 'equals' | 'oneOf' | 'like' | 'matches' | 'exists' | 'range' | 'time' | 'not';
  readonly wanted: string;
  /** Values of the object; empty: it has none. */
  readonly found: readonly string[];
}

export interface CompiledRule {
  readonly rule: Rule;
  readonly enabled: boolean;
  readonly send: SendAction | undefined;
  readonly prefetch: PrefetchAction | undefined;
  readonly steps: readonly CompiledStep[] | undefined;
  /** Attributes its conditions look at. */
  readonly reads: readonly (readonly Tag[])[];
  matches(subject: Subject): boolean;
  /** Empty: it matches. */
  explain(subject: Subject): readonly Reason[];
}

export interface CompiledRules {
  readonly file: RuleFile;
  readonly rules: readonly CompiledRule[];
  /** Of enabled rules, what is corrected in an object and by which; undefined: nothing. Conditions see the object as it came. */
  coerce(
    subject: Subject,
  ): { readonly edits: readonly Edit[]; readonly rules: readonly string[] } | undefined;
}

/** @param file  One that `checkRules` found nothing wrong with. */
export function compileRules(file: RuleFile): CompiledRules {
  const rules = file.rules.map(compileRule);
  const coercing = rules.filter(({ enabled, steps }) => enabled && steps);
  return {
    ...{ file, rules },
    coerce(subject) {
      const apply = coercing.filter((one) => one.matches(subject));
      return apply.length === 0 ? undefined : coercionOf(apply, subject.attributes);
    },
  };
}

function compileRule(rule: Rule): CompiledRule {
  const reads: (readonly Tag[])[] = [];
  const check = rule.when ? compile(rule.when, 'when', reads) : undefined;
  const { then } = rule;
  return {
    ...{ rule, enabled: rule.enabled ?? true, reads },
    send: 'send' in then ? then.send : undefined,
    prefetch: 'prefetch' in then ? then.prefetch : undefined,
    steps: 'coerce' in then ? compileSteps(then.coerce) : undefined,
    matches: (subject) => check?.(subject, undefined) ?? true,
    explain(subject) {
      const reasons: Reason[] = [];
      return (check?.(subject, reasons) ?? true) ? [] : reasons;
    },
  };
}

/** Whether it holds; when it does not and `reasons` is given, why. */
type Check = (subject: Subject, reasons: Reason[] | undefined) => boolean;

function compile(condition: Condition, path: string, reads: (readonly Tag[])[]): Check {
  if ('all' in condition) {
    const checks = condition.all.map((one, at) => compile(one, `${path}.all[${at}]`, reads));
    return (subject, reasons) => {
      if (!reasons) return checks.every((check) => check(subject, undefined));
      // Every reason, not the first: who tries a rule sees all that is in the way.
      return checks.map((check) => check(subject, reasons)).every(Boolean);
    };
  }
  if ('any' in condition) {
    const checks = condition.any.map((one, at) => compile(one, `${path}.any[${at}]`, reads));
    return (subject, reasons) => {
      const mine: Reason[] | undefined = reasons && [];
      if (checks.some((check) => check(subject, mine))) return true;
      if (mine) reasons?.push(...mine);
      return false;
    };
  }
  if ('not' in condition) {
    const check = compile(condition.not, `${path}.not`, reads);
    return (subject, reasons) => {
      if (!check(subject, undefined)) return true;
      reasons?.push(notReason(condition.not, `${path}.not`, subject));
      return false;
    };
  }
  if ('time' in condition) return compileTime(condition, path);
  if ('source' in condition) {
    const { source } = condition;
    const test = compileTest(condition, undefined);
    return (subject, reasons) => {
      const value = subject.source[source] ?? '';
      const values = value === '' ? [] : [value];
      return told(test(values, subject.moment, values.length > 0), reasons, condition, path, source, values);
    };
  }
  const found = parsePath(condition.attribute);
  if ('code' in found) throw new TypeError('a rule that was not checked');
  const { tags, name, entry } = found;
  reads.push(tags);
  const test = compileTest(condition, rangeKind(entry.vr));
  return (subject, reasons) => {
    const { attributes, moment } = subject;
    const values = attributes.values(tags);
    const exists = condition.exists === undefined ? values.length > 0 : attributes.exists(tags);
    return told(test(values, moment, exists), reasons, condition, path, name, values);
  };
}

function told(
  holds: boolean,
  reasons: Reason[] | undefined,
  test: Test,
  path: string,
  what: string,
  found: readonly string[],
): boolean {
  if (!holds) reasons?.push({ path, what, ...wantedOf(test), found });
  return holds;
}

function wantedOf(test: Test): Pick<Reason, 'test' | 'wanted'> {
  if (test.equals !== undefined) return { test: 'equals', wanted: String(test.equals) };
  if (test.oneOf) return { test: 'oneOf', wanted: test.oneOf.map(String).join(', ') };
  if (test.like !== undefined) return { test: 'like', wanted: test.like };
  if (test.matches !== undefined) return { test: 'matches', wanted: test.matches };
  if (test.exists !== undefined) return { test: 'exists', wanted: String(test.exists) };
  return { test: 'range', wanted: `${test.from ?? ''} – ${test.to ?? ''}`.trim() };
}

/** What a condition that must not hold found. */
function notReason(inner: Condition, path: string, subject: Subject): Reason {
  const none = { path, test: 'not' as const, wanted: '', found: [] };
  if ('attribute' in inner) {
    const found = parsePath(inner.attribute);
    if ('code' in found) return { ...none, what: inner.attribute };
    const { wanted } = wantedOf(inner);
    return { ...none, what: found.name, wanted, found: subject.attributes.values(found.tags) };
  }
  if ('source' in inner) {
    const value = subject.source[inner.source] ?? '';
    return {
      ...none,
      what: inner.source,
      wanted: wantedOf(inner).wanted,
      found: value === '' ? [] : [value],
    };
  }
  return { ...none, what: Object.keys(inner)[0] ?? '' };
}

type ValueTest = (values: readonly string[], moment: Moment, exists: boolean) => boolean;

function compileTest(test: Test, kind: RangeKind | undefined): ValueTest {
  const fold =
    test.ignoreCase === true ? (text: string): string => text.toLowerCase() : (text: string) => text;
  if (test.exists !== undefined) {
    const { exists: wanted } = test;
    return (_values, _moment, exists) => exists === wanted;
  }
  if (test.equals !== undefined || test.oneOf) {
    const wanted = new Set((test.oneOf ?? [test.equals ?? '']).map((one) => fold(String(one).trim())));
    // Numbers in any of their spellings: 1.50 is 1.5.
    const numbers =
      kind === 'number' ? new Set([...wanted].map(Number).filter(Number.isFinite)) : new Set<number>();
    return (values) => values.some((value) => wanted.has(fold(value)) || numbers.has(Number(value)));
  }
  if (test.like !== undefined) {
    const pattern = fold(test.like);
    return (values) => values.some((value) => wildcardMatches(pattern, fold(value)));
  }
  if (test.matches !== undefined) {
    const pattern = compilePattern(test.matches, test.ignoreCase ?? false);
    return (values) => values.some((value) => pattern.test(value));
  }
  const of = kind ?? 'number';
  const from = test.from === undefined ? undefined : readEnd(of, test.from);
  const to = test.to === undefined ? undefined : readEnd(of, test.to);
  const at = (end: End, moment: Moment): number => ('at' in end ? end.at : moment.date + end.daysFromToday);
  return (values, moment) =>
    values.some((value) => {
      const number = comparable(of, value);
      if (number === undefined) return false;
      return (!from || number >= at(from, moment)) && (!to || number <= at(to, moment));
    });
}

function compileTime({ time }: TimeTest, path: string): Check {
  const from = time.from === undefined ? 0 : (minutesOf(time.from) ?? 0);
  // To the end of the minute that is named; without one to the end of the day.
  const to = time.to === undefined ? 24 * 60 - 1 : (minutesOf(time.to) ?? 0);
  const days = time.days && new Set<number>(time.days.map((day) => DAYS.indexOf(day)));
  const wanted = [`${time.from ?? ''} – ${time.to ?? ''}`.trim(), time.days?.join(' ') ?? '']
    .join(' ')
    .trim();
  return ({ moment: { day, minutes } }, reasons) => {
    const overnight = from > to;
    const inside = overnight ? minutes >= from || minutes <= to : minutes >= from && minutes <= to;
    // The small hours belong to the night that began the day before.
    const began = overnight && minutes <= to ? (day + 6) % 7 : day;
    const holds = inside && (days?.has(began) ?? true);
    if (!holds) {
      const clock = `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
      reasons?.push({ path, what: 'time', test: 'time', wanted, found: [`${DAYS[day] ?? ''} ${clock}`] });
    }
    return holds;
  };
}
