/**
 * Rules as people write and review them: when an object comes, what is sent where, which priors are fetched, what is corrected.
 *
 * docs/rules.md explains each field; `check.ts` says what is wrong with a file, `compile.ts` makes it fast.
 * Layer:  core/translate. No clock: the time of day comes with the object.
 */

export interface RuleFile {
  readonly version: 1;
  /** In order: corrections are made one after the other. */
  readonly rules: readonly Rule[];
}

export interface Rule {
  /** Its identity: what a rule has done is remembered under its name. */
  readonly name: string;
  readonly description?: string | undefined;
  /** Default true. */
  readonly enabled?: boolean | undefined;
  /** Left out: every object. */
  readonly when?: Condition | undefined;
  readonly then: Action;
}

export type Condition =
  | { readonly all: readonly Condition[] }
  | { readonly any: readonly Condition[] }
  | { readonly not: Condition }
  | AttributeTest
  | SourceTest
  | TimeTest;

/** Exactly one of the tests; `from` and `to` are one test together. */
export interface Test {
  readonly equals?: string | number | undefined;
  readonly oneOf?: readonly (string | number)[] | undefined;
  /** `*` any characters, `?` one character. */
  readonly like?: string | undefined;
  /** A regular expression, found anywhere; see pattern.ts for what may be in it. */
  readonly matches?: string | undefined;
  readonly exists?: boolean | undefined;
  /** Both included. Dates 2026-01-31, 20260131 or today-30; ages 016Y; times 07:30; numbers. */
  readonly from?: string | number | undefined;
  readonly to?: string | number | undefined;
  /** Upper and lower case are the same. */
  readonly ignoreCase?: boolean | undefined;
}

export interface AttributeTest extends Test {
  /** Keyword or tag; into sequences with dots. One value that passes is enough. */
  readonly attribute: string;
}

export const SOURCES = ['aeTitle', 'calledAe', 'user', 'door'] as const;
export type SourceName = (typeof SOURCES)[number];

export interface SourceTest extends Test {
  readonly source: SourceName;
}

export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Day = (typeof DAYS)[number];

/** When the object came, on the server's clock. From 18:00 to 07:00 goes past midnight; `days` are those it begins on. */
export interface TimeTest {
  readonly time: {
    readonly from?: string | undefined;
    readonly to?: string | undefined;
    readonly days?: readonly Day[] | undefined;
  };
}

export const TRIGGERS = ['stable', 'object'] as const;
export type Trigger = (typeof TRIGGERS)[number];

/** Exactly one of them. */
export type Action =
  | { readonly send: SendAction }
  | { readonly prefetch: PrefetchAction }
  | { readonly coerce: readonly Step[] };

export interface SendAction {
  /** AE titles of devices objects may be sent to. */
  readonly devices: readonly string[];
  /** stable (default): when the study is complete. object: as they come. */
  readonly trigger?: Trigger | undefined;
  readonly delaySeconds?: number | undefined;
  /** Smaller goes first; people send with 0. Default 10. */
  readonly priority?: number | undefined;
  /** Default true. false: when more comes, what matches of the study is sent again as a whole. */
  readonly onlyOnce?: boolean | undefined;
}

export interface PrefetchAction {
  /** AE titles of archives, asked in this order. */
  readonly from: readonly string[];
  /** Priors with the modality of what came (default true), or with one of these. */
  readonly sameModality?: boolean | undefined;
  readonly modalities?: readonly string[] | undefined;
  /** Priors with a series of the body part of what came. Default false: few archives know it. */
  readonly sameBodyPart?: boolean | undefined;
  /** Of the date of what came. */
  readonly newerThanMonths?: number | undefined;
  /** The newest ones. Default 3. */
  readonly atMost?: number | undefined;
  readonly method?: 'auto' | 'get' | 'move' | undefined;
  /** Default 20. */
  readonly priority?: number | undefined;
}

/** One correction of one attribute of the object itself (not of items of its sequences). */
export type Step =
  | {
      readonly op: 'set';
      readonly attribute: string;
      readonly value: string;
      readonly ifEmpty?: boolean | undefined;
    }
  | {
      readonly op: 'copy';
      readonly attribute: string;
      readonly from: string;
      readonly ifEmpty?: boolean | undefined;
    }
  | { readonly op: 'delete'; readonly attribute: string }
  | {
      readonly op: 'map';
      readonly attribute: string;
      readonly table: Readonly<Record<string, string>>;
      /** What becomes of a value that is not in the table. Default keep. */
      readonly otherwise?: 'keep' | 'delete' | undefined;
    }
  | { readonly op: 'prefix' | 'suffix'; readonly attribute: string; readonly text: string }
  | { readonly op: 'upper' | 'lower'; readonly attribute: string }
  | {
      readonly op: 'strip';
      readonly attribute: string;
      /** Default: spaces. */
      readonly characters?: string | undefined;
      readonly at?: 'start' | 'end' | 'both' | undefined;
    };

export const STEPS = [
  ...['set', 'copy', 'delete', 'map', 'prefix', 'suffix', 'upper', 'lower', 'strip'],
] as readonly Step['op'][];

export const DEFAULTS = { sendPriority: 10, prefetchPriority: 20, atMost: 3 } as const;

/** What is too much for a file that people write: each evaluation of an object is bounded by these. */
export const LIMITS = {
  /** Of the text of a file. */
  bytes: 1024 * 1024,
  rules: 500,
  conditions: 200,
  allConditions: 5000,
  depth: 8,
  values: 1000,
  text: 1024,
  name: 100,
  description: 1000,
  devices: 20,
  steps: 100,
  table: 2000,
  pattern: 200,
  /** States of all patterns of a file. */
  states: 20_000,
  problems: 50,
} as const;

/** One thing that is wrong with a file. */
export interface Problem {
  /** Name of the rule, when it has one. */
  readonly rule: string | undefined;
  /** Place in the file: `rules[2].when.all[0].attribute`. */
  readonly path: string;
  readonly code: ProblemCode;
  readonly facts: Readonly<Record<string, string | number>>;
  /** What is wrong and what to write instead, in English. */
  readonly message: string;
}

export const PROBLEMS = {
  json: 'is not JSON: {what}. Write one object: { "version": 1, "rules": [ … ] }',
  tooLarge: 'is larger than {limit}. Split it or leave something out',
  version: 'is a version this program does not know. Write 1',
  object: 'has to be an object: write { … }',
  list: 'has to be a list with at least one entry: write [ … ]',
  tooMany: 'has more than {limit} entries. Leave some out, or make two rules of it',
  tooDeep: 'is nested deeper than {limit}. Write it flatter',
  unknownField: 'is no field of this place. Write one of: {known}',
  missing: 'is missing. Write it',
  text: 'has to be text of 1 to {limit} characters',
  yesNo: 'has to be true or false',
  number: 'has to be a whole number from {min} to {max}',
  choice: 'has to be one of: {known}',
  twice: 'is used twice. Give each rule a name of its own',
  twiceInList: 'is in the list twice. Write it once',
  oneTest: 'needs exactly one test. Write one of: equals, oneOf, like, matches, exists, or from and to',
  oneKind: 'has to be one of: all, any, not, attribute, source, time',
  oneAction: 'has to be exactly one of: send, prefetch, coerce',
  keyword: 'is no attribute that DICOM knows. {suggestion}',
  privateTag:
    'is a private attribute: its creator would have to be known. Write an attribute of the standard',
  notSequence: 'is not a sequence, so nothing is inside it. Write it without what follows the dot',
  sequence: 'is a sequence and has no value of its own. Write what is inside it: {example}',
  noText: 'has no value that can be compared. Only exists can be asked of it',
  range: 'cannot be a range: {attribute} is no date, time, age or number. Use equals or oneOf',
  rangeValue: 'has to be {wanted}',
  rangeOrder: 'ends before it begins. Exchange from and to',
  pattern: 'is no pattern that is understood here: {what}. Use . [a-z] \\d \\w \\s ( ) | * + ? {n,m} ^ $',
  patternSize: 'is too large a pattern. Write it shorter, or use like',
  clock: 'has to be a time of day: write it as 07:30',
  emptyTime: 'says nothing. Write from and to, or days',
  protected: 'is an attribute that everything hangs on and cannot be corrected by a rule',
  inside: 'is inside a sequence. Rules correct attributes of the object itself',
  value: 'is no value of {attribute} ({vr}). Write {wanted}',
  device: 'is no device that {may}. {suggestion}',
} as const satisfies Readonly<Record<string, string>>;
export type ProblemCode = keyof typeof PROBLEMS;
