/**
 * Reads a file of rules and says everything that is wrong with it: which rule, where, and what to write instead.
 *
 * A file is hostile until it was read here: its size, depth, lists and patterns have limits, and what is not known is refused, so that
 * a word spelt wrong never makes a rule that matches more than it says.
 * Layer:  core/translate.
 */
import { checkEdits, type Edit, isEditable } from '../../dicom/edits.ts';
import { Fault } from '../../base/fault.ts';
import type { DictionaryEntry } from '../../dicom/dictionary.ts';
import { VR_FACTS, type Vr } from '../../dicom/vr.ts';
import { type AttributePath, nearest, parsePath } from './attributes.ts';
import { compilePattern, PatternError } from './pattern.ts';
import { minutesOf, RANGE_FORMS, rangeKind, readEnd } from './ranges.ts';
import {
  DAYS,
  LIMITS,
  type Problem,
  type ProblemCode,
  PROBLEMS,
  type RuleFile,
  SOURCES,
  STEPS,
  TRIGGERS,
} from './types.ts';

export interface Checked {
  /** undefined when something is wrong. */
  readonly file: RuleFile | undefined;
  readonly problems: readonly Problem[];
}

/** Text of a file. @returns its rules, or what is wrong with it. */
export function readRules(text: string): Checked {
  const checker = new Checker();
  if (text.length > LIMITS.bytes) {
    checker.say('', 'tooLarge', { limit: '1 MiB' });
    return { file: undefined, problems: checker.problems };
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const what = error instanceof Error ? error.message.slice(0, 120) : '';
    checker.say('', 'json', { what });
    return { file: undefined, problems: checker.problems };
  }
  return checkRules(json);
}

export function checkRules(json: unknown): Checked {
  const checker = new Checker();
  checker.file(json);
  const { problems } = checker;
  return { file: problems.length === 0 ? (json as RuleFile) : undefined, problems };
}

/** AE titles a rule names, and what its device has to be able to do. */
export interface NamedDevice {
  readonly rule: string;
  readonly path: string;
  readonly aeTitle: string;
  readonly for: 'store' | 'archive';
}

/** Every device a file names: whether there are such is for who knows them. */
export function devicesOf(file: RuleFile): NamedDevice[] {
  return file.rules.flatMap(({ name, then }, index): NamedDevice[] => {
    const at = `rules[${index}].then`;
    if ('send' in then)
      return then.send.devices.map((aeTitle, one) => ({
        ...{ rule: name, path: `${at}.send.devices[${one}]`, aeTitle, for: 'store' as const },
      }));
    if ('prefetch' in then)
      return then.prefetch.from.map((aeTitle, one) => ({
        ...{ rule: name, path: `${at}.prefetch.from[${one}]`, aeTitle, for: 'archive' as const },
      }));
    return [];
  });
}

export function problem(
  rule: string | undefined,
  path: string,
  code: ProblemCode,
  facts: Readonly<Record<string, string | number>> = {},
): Problem {
  const words = PROBLEMS[code].replace(/\{(\w+)\}/g, (_, name: string) => String(facts[name] ?? ''));
  const where = [rule === undefined ? undefined : `Rule "${rule}"`, path || undefined]
    .filter(Boolean)
    .join(', ');
  return { rule, path, code, facts, message: `${where || 'The file'} ${words}.` };
}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const TESTS = ['equals', 'oneOf', 'like', 'matches', 'exists', 'from', 'to'] as const;
const TEST_FIELDS = [...TESTS, 'ignoreCase'];

class Checker {
  readonly problems: Problem[] = [];
  #rule: string | undefined;
  #conditions = 0;
  #allConditions = 0;
  #states = 0;

  say(path: string, code: ProblemCode, facts: Readonly<Record<string, string | number>> = {}): void {
    if (this.problems.length < LIMITS.problems) this.problems.push(problem(this.#rule, path, code, facts));
  }

  get #full(): boolean {
    return this.problems.length >= LIMITS.problems;
  }

  file(json: unknown): void {
    if (!isObject(json)) return this.say('', 'object');
    this.#fields('', json, ['version', 'rules']);
    if (json['version'] === undefined) this.say('version', 'missing');
    else if (json['version'] !== 1) this.say('version', 'version');
    const rules = json['rules'];
    if (!Array.isArray(rules)) return this.say('rules', rules === undefined ? 'missing' : 'list');
    if (rules.length > LIMITS.rules) return this.say('rules', 'tooMany', { limit: LIMITS.rules });
    const names = new Set<unknown>();
    for (const [index, rule] of (rules as unknown[]).entries()) {
      if (this.#full) return;
      const path = `rules[${index}]`;
      this.#rule = undefined;
      if (!isObject(rule)) {
        this.say(path, 'object');
        continue;
      }
      const { name } = rule;
      if (typeof name === 'string' && name.length <= LIMITS.name) this.#rule = name;
      if (this.#text(`${path}.name`, name, LIMITS.name) && names.has(name)) this.say(`${path}.name`, 'twice');
      names.add(name);
      this.#ruleOf(path, rule);
    }
    this.#rule = undefined;
    if (this.#allConditions > LIMITS.allConditions)
      this.say('rules', 'tooMany', { limit: LIMITS.allConditions });
    if (this.#states > LIMITS.states) this.say('rules', 'patternSize');
  }

  #ruleOf(path: string, rule: Json): void {
    this.#fields(path, rule, ['name', 'description', 'enabled', 'when', 'then']);
    const { description, when, then } = rule;
    if (description !== undefined && description !== '')
      this.#text(`${path}.description`, description, LIMITS.description);
    this.#flag(path, rule, 'enabled');
    this.#conditions = 0;
    if (when !== undefined) this.#condition(`${path}.when`, when, 0);
    this.#allConditions += this.#conditions;
    if (then === undefined) return this.say(`${path}.then`, 'missing');
    this.#action(`${path}.then`, then);
  }

  #condition(path: string, json: unknown, depth: number): void {
    if (this.#full) return;
    if (depth > LIMITS.depth) return this.say(path, 'tooDeep', { limit: LIMITS.depth });
    this.#conditions += 1;
    if (this.#conditions > LIMITS.conditions) {
      // Said once.
      if (this.#conditions === LIMITS.conditions + 1) this.say(path, 'tooMany', { limit: LIMITS.conditions });
      return;
    }
    if (!isObject(json)) return this.say(path, 'object');
    const kinds = ['all', 'any', 'not', 'attribute', 'source', 'time'].filter((kind) => kind in json);
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) {
      const wrong = Object.keys(json).find((key) => !TEST_FIELDS.includes(key) && !kinds.includes(key));
      const meant =
        wrong === undefined
          ? undefined
          : this.#unknown(path, wrong, ['all', 'any', 'not', 'attribute', 'source', 'time']);
      return meant ? undefined : this.say(path, 'oneKind');
    }
    switch (kind) {
      case 'all':
      case 'any': {
        this.#fields(path, json, [kind]);
        const list = json[kind];
        if (!Array.isArray(list) || list.length === 0) return this.say(`${path}.${kind}`, 'list');
        for (const [index, one] of (list as unknown[]).entries()) {
          this.#condition(`${path}.${kind}[${index}]`, one, depth + 1);
          if (this.#conditions > LIMITS.conditions) return;
        }
        return;
      }
      case 'not':
        this.#fields(path, json, ['not']);
        return this.#condition(`${path}.not`, json['not'], depth + 1);
      case 'attribute':
        return this.#attributeTest(path, json);
      case 'source':
        this.#fields(path, json, ['source', ...TEST_FIELDS]);
        this.#choice(`${path}.source`, json['source'], SOURCES);
        return this.#test(path, json, undefined);
      default:
        return this.#time(path, json);
    }
  }

  #attributeTest(path: string, json: Json): void {
    this.#fields(path, json, ['attribute', ...TEST_FIELDS]);
    const found = this.#attribute(`${path}.attribute`, json['attribute']);
    const others = TESTS.some((test) => test !== 'exists' && test in json);
    if (found && others && found.entry.vr === 'SQ')
      this.say(`${path}.attribute`, 'sequence', { example: `${found.name}.CodeValue` });
    else if (found && others && !isComparable(found.entry.vr)) this.say(`${path}.attribute`, 'noText');
    this.#test(path, json, found);
  }

  #test(path: string, json: Json, attribute: AttributePath | undefined): void {
    const given = TESTS.filter((test) => test in json);
    const isRange = given.length > 0 && given.every((test) => test === 'from' || test === 'to');
    const [test] = given;
    if (test === undefined || (given.length > 1 && !isRange)) return this.say(path, 'oneTest');
    this.#flag(path, json, 'ignoreCase');
    const at = `${path}.${test}`;
    const value = json[test];
    switch (test) {
      case 'exists':
        return this.#flag(path, json, 'exists');
      case 'equals':
        return void this.#value(at, value);
      case 'oneOf':
        return this.#list(at, value, LIMITS.values, (place, one) => void this.#value(place, one));
      case 'like':
        return void this.#text(at, value, LIMITS.text);
      case 'matches':
        return this.#pattern(at, value, json['ignoreCase'] === true);
      default:
        return this.#range(path, json, attribute);
    }
  }

  #range(path: string, json: Json, attribute: AttributePath | undefined): void {
    if (!attribute) {
      if ('source' in json) this.say(path, 'range', { attribute: 'the source' });
      return;
    }
    const kind = rangeKind(attribute.entry.vr);
    if (kind === undefined) return this.say(path, 'range', { attribute: attribute.name });
    const ends = (['from', 'to'] as const).map((end) => {
      const written = json[end];
      if (written === undefined) return undefined;
      const read =
        typeof written === 'string' || typeof written === 'number' ? readEnd(kind, written) : undefined;
      if (!read) this.say(`${path}.${end}`, 'rangeValue', { wanted: RANGE_FORMS[kind] });
      return read;
    });
    const [from, to] = ends;
    if (!from || !to) return;
    const backwards =
      'at' in from && 'at' in to
        ? from.at > to.at
        : 'daysFromToday' in from && 'daysFromToday' in to && from.daysFromToday > to.daysFromToday;
    if (backwards) this.say(path, 'rangeOrder');
  }

  #time(path: string, json: Json): void {
    this.#fields(path, json, ['time']);
    const { time } = json;
    const at = `${path}.time`;
    if (!isObject(time)) return this.say(at, 'object');
    this.#fields(at, time, ['from', 'to', 'days']);
    for (const end of ['from', 'to'] as const) {
      const written = time[end];
      if (written !== undefined && (typeof written !== 'string' || minutesOf(written) === undefined))
        this.say(`${at}.${end}`, 'clock');
    }
    if (time['days'] !== undefined)
      this.#list(
        `${at}.days`,
        time['days'],
        DAYS.length,
        (place, one) => void this.#choice(place, one, DAYS),
      );
    if (time['from'] === undefined && time['to'] === undefined && time['days'] === undefined)
      this.say(at, 'emptyTime');
  }

  #action(path: string, json: unknown): void {
    if (!isObject(json)) return this.say(path, 'object');
    const kinds = ['send', 'prefetch', 'coerce'];
    const [kind, ...more] = Object.keys(json);
    if (kind === undefined || more.length > 0) return this.say(path, 'oneAction');
    if (!kinds.includes(kind)) {
      this.#unknown(path, kind, kinds);
      return;
    }
    const at = `${path}.${kind}`;
    const inner = json[kind];
    if (kind === 'coerce')
      return this.#list(at, inner, LIMITS.steps, (place, step) => this.#step(place, step));
    if (!isObject(inner)) return this.say(at, 'object');
    if (kind === 'send') {
      this.#fields(at, inner, ['devices', 'trigger', 'delaySeconds', 'priority', 'onlyOnce']);
      this.#devices(`${at}.devices`, inner['devices']);
      if (inner['trigger'] !== undefined) this.#choice(`${at}.trigger`, inner['trigger'], TRIGGERS);
      this.#number(at, inner, 'delaySeconds', 0, 7 * 86_400);
      this.#number(at, inner, 'priority', 0, 1000);
      this.#flag(at, inner, 'onlyOnce');
      return;
    }
    this.#fields(at, inner, [
      ...[
        'from',
        'sameModality',
        'modalities',
        'sameBodyPart',
        'newerThanMonths',
        'atMost',
        'method',
        'priority',
      ],
    ]);
    this.#devices(`${at}.from`, inner['from']);
    this.#flag(at, inner, 'sameModality');
    this.#flag(at, inner, 'sameBodyPart');
    if (inner['modalities'] !== undefined)
      this.#list(
        `${at}.modalities`,
        inner['modalities'],
        50,
        (place, one) => void this.#text(place, one, 16),
      );
    this.#number(at, inner, 'newerThanMonths', 1, 1200);
    this.#number(at, inner, 'atMost', 1, 100);
    this.#number(at, inner, 'priority', 0, 1000);
    if (inner['method'] !== undefined)
      this.#choice(`${at}.method`, inner['method'], ['auto', 'get', 'move'] as const);
  }

  #devices(path: string, json: unknown): void {
    const seen = new Set<unknown>();
    this.#list(path, json, LIMITS.devices, (place, one) => {
      if (!this.#text(place, one, 16)) return;
      if (seen.has(one)) this.say(place, 'twiceInList');
      seen.add(one);
    });
  }

  #step(path: string, json: unknown): void {
    if (!isObject(json)) return this.say(path, 'object');
    const { op } = json;
    if (op === undefined) return this.say(`${path}.op`, 'missing');
    if (!this.#choice(`${path}.op`, op, STEPS)) return;
    const of = op as (typeof STEPS)[number];
    this.#fields(path, json, ['op', 'attribute', ...STEP_FIELDS[of]]);
    const found = this.#attribute(`${path}.attribute`, json['attribute']);
    if (found && found.tags.length > 1) this.say(`${path}.attribute`, 'inside');
    else if (found && !isEditable(found.entry.tag)) this.say(`${path}.attribute`, 'protected');
    else if (found && of !== 'delete' && !VALUE_VRS.has(found.entry.vr))
      this.say(`${path}.attribute`, 'noText');
    const target = found?.entry;
    switch (of) {
      case 'set':
        this.#flag(path, json, 'ifEmpty');
        if (json['value'] === undefined) this.say(`${path}.value`, 'missing');
        else this.#newValue(`${path}.value`, json['value'], target);
        return;
      case 'copy': {
        this.#flag(path, json, 'ifEmpty');
        const from = this.#attribute(`${path}.from`, json['from']);
        if (from && !VALUE_VRS.has(from.entry.vr)) this.say(`${path}.from`, 'noText');
        return;
      }
      case 'map': {
        const { table, otherwise } = json;
        if (otherwise !== undefined)
          this.#choice(`${path}.otherwise`, otherwise, ['keep', 'delete'] as const);
        if (!isObject(table)) return this.say(`${path}.table`, table === undefined ? 'missing' : 'object');
        const entries = Object.entries(table);
        if (entries.length === 0 || entries.length > LIMITS.table)
          return this.say(`${path}.table`, entries.length ? 'tooMany' : 'list', { limit: LIMITS.table });
        for (const [from, to] of entries) {
          if (this.#full) return;
          this.#newValue(`${path}.table[${JSON.stringify(from.slice(0, 64))}]`, to, target);
        }
        return;
      }
      case 'prefix':
      case 'suffix':
        return void this.#text(`${path}.text`, json['text'], 64);
      case 'strip':
        if (json['characters'] !== undefined) this.#text(`${path}.characters`, json['characters'], 64);
        if (json['at'] !== undefined)
          this.#choice(`${path}.at`, json['at'], ['start', 'end', 'both'] as const);
        return;
      case 'delete':
      case 'upper':
      case 'lower':
        return;
      default:
        of satisfies never;
    }
  }

  /** Text that becomes the value of an attribute; empty is allowed. */
  #newValue(path: string, value: unknown, target: DictionaryEntry | undefined): void {
    if (typeof value !== 'string' || value.length > LIMITS.text)
      return this.say(path, 'text', { limit: LIMITS.text });
    if (!target || !VALUE_VRS.has(target.vr) || !isEditable(target.tag)) return;
    if (!isValueOf(target, value))
      this.say(path, 'value', {
        attribute: target.keyword,
        vr: target.vr,
        wanted: WANTED[target.vr] ?? 'another one',
      });
  }

  #attribute(path: string, value: unknown): AttributePath | undefined {
    if (value === undefined) return void this.say(path, 'missing');
    if (!this.#text(path, value, 256)) return undefined;
    const found = parsePath(value as string);
    if (!('code' in found)) return found;
    this.say(path, found.code, 'suggestion' in found ? { suggestion: found.suggestion } : {});
    return undefined;
  }

  #pattern(path: string, value: unknown, ignoreCase: boolean): void {
    if (!this.#text(path, value, LIMITS.pattern)) return;
    try {
      this.#states += compilePattern(value as string, ignoreCase).states;
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      if (error.size) this.say(path, 'patternSize');
      else this.say(path, 'pattern', { what: error.message });
    }
  }

  #value(path: string, value: unknown): boolean {
    if (typeof value === 'number' && Number.isFinite(value)) return true;
    return this.#text(path, value, LIMITS.text);
  }

  #text(path: string, value: unknown, limit: number): boolean {
    if (value === undefined) this.say(path, 'missing');
    else if (
      typeof value !== 'string' ||
      value.trim() === '' ||
      value.length > limit ||
      /[\0-\x08\x0e-\x1f]/.test(value)
    )
      this.say(path, 'text', { limit });
    else return true;
    return false;
  }

  #flag(path: string, json: Json, key: string): void {
    if (json[key] !== undefined && typeof json[key] !== 'boolean') this.say(`${path}.${key}`, 'yesNo');
  }

  #number(path: string, json: Json, key: string, min: number, max: number): void {
    const value = json[key];
    if (value === undefined) return;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
      this.say(`${path}.${key}`, 'number', { min, max });
  }

  #choice(path: string, value: unknown, known: readonly string[]): boolean {
    if (typeof value === 'string' && known.includes(value)) return true;
    this.say(path, value === undefined ? 'missing' : 'choice', { known: known.join(', ') });
    return false;
  }

  #list(path: string, value: unknown, limit: number, each: (path: string, one: unknown) => void): void {
    if (value === undefined) return this.say(path, 'missing');
    if (!Array.isArray(value) || value.length === 0) return this.say(path, 'list');
    if (value.length > limit) return this.say(path, 'tooMany', { limit });
    for (const [index, one] of (value as unknown[]).entries()) {
      if (this.#full) return;
      each(`${path}[${index}]`, one);
    }
  }

  #fields(path: string, json: Json, known: readonly string[]): void {
    for (const key of Object.keys(json)) {
      if (this.#full) return;
      if (!known.includes(key)) this.#unknown(path, key, known);
    }
  }

  #unknown(path: string, key: string, known: readonly string[]): boolean {
    const meant = nearest(key, known);
    const place = [path, key.slice(0, 64)].filter((part) => part !== '').join('.');
    this.say(place, 'unknownField', { known: meant ?? known.join(', ') });
    return true;
  }
}

const STEP_FIELDS: Readonly<Record<(typeof STEPS)[number], readonly string[]>> = {
  set: ['value', 'ifEmpty'],
  copy: ['from', 'ifEmpty'],
  delete: [],
  map: ['table', 'otherwise'],
  prefix: ['text'],
  suffix: ['text'],
  upper: [],
  lower: [],
  strip: ['characters', 'at'],
};

/** Values that are text in a file; binary numbers and what has no value of its own are not corrected by rules. */
const VALUE_VRS: ReadonlySet<Vr> = new Set([
  ...(['AE', 'AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'LO', 'LT', 'PN'] as const),
  ...(['SH', 'ST', 'TM', 'UC', 'UI', 'UR', 'UT'] as const),
]);

const isComparable = (vr: Vr): boolean => vr === 'AT' || ['text', 'number'].includes(VR_FACTS[vr].kind);

const WANTED: Readonly<Partial<Record<Vr, string>>> = {
  AE: 'at most 16 characters without a backslash',
  AS: 'an age such as 016Y',
  CS: 'at most 16 of A-Z, 0-9, space and _',
  DA: 'a date such as 20260131',
  DS: 'a number',
  DT: 'a date and time such as 20260131073000',
  IS: 'a whole number',
  LO: 'at most 64 characters',
  PN: 'a name such as Family^Given, 64 characters in each group',
  SH: 'at most 16 characters',
  TM: 'a time such as 073000',
  UI: 'a UID',
};

/** The values of text with backslashes between them, as an edit takes them. */
export const editOf = (entry: Pick<DictionaryEntry, 'tag' | 'vr'>, text: string): Edit => ({
  ...{ op: 'set', tag: entry.tag, vr: entry.vr },
  value: text === '' ? [] : VR_FACTS[entry.vr].multiple ? text.split('\\').map(orNull) : [text],
});
const orNull = (one: string): string | null => (one === '' ? null : one);

/** Whether the text may be a value of the attribute (PS3.5 Table 6.2-1). */
export function isValueOf(entry: Pick<DictionaryEntry, 'tag' | 'vr'>, text: string): boolean {
  try {
    checkEdits([editOf(entry, text)]);
    return true;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}
