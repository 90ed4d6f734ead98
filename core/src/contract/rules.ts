/**
 * Our own HTTP API, third part: rules, their versions, what they would do and what they did.
 *
 * What is in a file is described here for programs; `checkRules` of core/translate/rules says in words what is wrong with one.
 * Layer:  core/contract.
 */
import { z } from 'zod';
import { DAYS, LIMITS, SOURCES, STEPS, TRIGGERS } from '../translate/rules/types.ts';
import { PersonNameGroups } from './api.ts';

const Uid = z.string().regex(/^[0-9.]{1,64}$/);
const text = (longest: number) => z.string().min(1).max(longest);
const optional = <T extends z.ZodType>(schema: T) => schema.optional();
const Value = z.union([text(LIMITS.text), z.number()]);

const TestFields = {
  equals: optional(Value),
  oneOf: optional(z.array(Value).min(1).max(LIMITS.values)),
  like: optional(text(LIMITS.text)),
  matches: optional(text(LIMITS.pattern)),
  exists: optional(z.boolean()),
  from: optional(Value),
  to: optional(Value),
  ignoreCase: optional(z.boolean()),
};

export const RuleCondition: z.ZodType = z
  .lazy(() =>
    z.union([
      z.strictObject({ all: z.array(RuleCondition).min(1).max(LIMITS.conditions) }),
      z.strictObject({ any: z.array(RuleCondition).min(1).max(LIMITS.conditions) }),
      z.strictObject({ not: RuleCondition }),
      z.strictObject({ attribute: text(256), ...TestFields }),
      z.strictObject({ source: z.enum(SOURCES), ...TestFields }),
      z.strictObject({
        time: z.strictObject({
          from: optional(text(5)),
          to: optional(text(5)),
          days: optional(z.array(z.enum(DAYS)).min(1).max(DAYS.length)),
        }),
      }),
    ]),
  )
  .meta({ id: 'RuleCondition' });

const Titles = z.array(text(16)).min(1).max(LIMITS.devices);
const Priority = z.number().int().min(0).max(1000);
const RuleStep = z.looseObject({ op: z.enum(STEPS), attribute: text(256) });
const RuleAction = z.union([
  z.strictObject({
    send: z.strictObject({
      devices: Titles,
      trigger: optional(z.enum(TRIGGERS)),
      delaySeconds: optional(z.number().int().min(0)),
      priority: optional(Priority),
      onlyOnce: optional(z.boolean()),
    }),
  }),
  z.strictObject({
    prefetch: z.strictObject({
      from: Titles,
      sameModality: optional(z.boolean()),
      modalities: optional(z.array(text(16)).min(1).max(50)),
      sameBodyPart: optional(z.boolean()),
      newerThanMonths: optional(z.number().int().min(1)),
      atMost: optional(z.number().int().min(1)),
      method: optional(z.enum(['auto', 'get', 'move'])),
      priority: optional(Priority),
    }),
  }),
  z.strictObject({ coerce: z.array(RuleStep).min(1).max(LIMITS.steps) }),
]);

export const RuleFileSchema = z.strictObject({
  version: z.literal(1),
  rules: z
    .array(
      z.strictObject({
        name: text(LIMITS.name),
        description: optional(z.string().max(LIMITS.description)),
        enabled: optional(z.boolean()),
        when: optional(RuleCondition),
        then: RuleAction,
      }),
    )
    .max(LIMITS.rules),
});

export const RuleProblem = z.object({
  rule: z.string().optional(),
  path: z.string(),
  code: z.string(),
  facts: z.record(z.string(), z.union([z.string(), z.number()])),
  /** What is wrong and what to write instead, in English. */
  message: z.string(),
});

/** A file as text, so that what is wrong with it can be said in its own words. */
export const RuleText = z.string().max(LIMITS.bytes * 2);

/** POST /api/rules/check */
export const RulesCheck = z.object({ text: RuleText });
export const RulesChecked = z.object({ problems: z.array(RuleProblem) });

export const RuleVersion = z.object({
  id: z.number().int(),
  at: z.iso.datetime(),
  author: z.string(),
  comment: z.string(),
  rules: z.number().int(),
});
/** GET /api/rules/versions, newest first. */
export const RuleVersions = z.array(RuleVersion);
/** GET /api/rules/versions/{id} */
export const RuleVersionDetail = RuleVersion.extend({ file: RuleFileSchema });

export const RuleLoop = z.object({
  rule: z.string(),
  /** Where the rule sends to, and where it came back from. */
  aeTitle: z.string(),
  /** Ours. */
  ourAe: z.string(),
  firstAt: z.iso.datetime(),
  lastAt: z.iso.datetime(),
  /** Objects that came back. */
  objects: z.number().int(),
  /** Objects that wait until a person decides. */
  held: z.number().int(),
});

/** GET /api/rules */
export const RulesState = z.object({
  /** null: there never was one. */
  version: RuleVersion.nullable(),
  file: RuleFileSchema,
  /** Of the file in force: devices that are gone since it was saved, for example. */
  warnings: z.array(RuleProblem),
  loops: z.array(RuleLoop),
  /** Setting LIGHTBOX_RULES_FILE, when a file of the disk is read at each start. */
  fromFile: z.boolean(),
});

/** PUT /api/rules */
export const RulesSave = z.object({
  text: RuleText,
  comment: z.string().max(500).default(''),
  /** The version the change was made from: another one in force meanwhile is not overwritten. */
  from: z.number().int().nullable().optional(),
});

/** POST /api/rules/try */
export const RulesTry = z.object({
  studyUid: Uid,
  /** A file that is not saved yet; left out: the one in force. */
  text: RuleText.optional(),
  /** Whether archives are asked for priors. */
  askArchives: z.boolean().default(true),
});

const Reason = z.object({
  path: z.string(),
  what: z.string(),
  test: z.string(),
  wanted: z.string(),
  found: z.array(z.string()),
});
const SeriesName = z.object({
  seriesUid: z.string(),
  number: z.number().nullable(),
  modality: z.string(),
  description: z.string(),
});
/** Objects with the same answer. */
const TriedGroup = z.object({
  objects: z.number().int(),
  series: z.array(z.string()),
  /** Empty: it matches. */
  reasons: z.array(Reason),
});
const TriedSend = z.object({
  aeTitle: z.string(),
  /** Objects that would go. */
  objects: z.number().int(),
  /** Objects that would not, and why: from there, done already, here before the rule was, stopped by a loop, no such device. */
  left: z.array(
    z.object({
      why: z.enum(['source', 'done', 'older', 'loop', 'device']),
      objects: z.number().int(),
    }),
  ),
});
const TriedPrior = z.object({
  aeTitle: z.string(),
  studyUid: z.string(),
  date: z.string(),
  description: z.string(),
  modalities: z.array(z.string()),
  /** null: it would be fetched. */
  why: z.enum(['patient', 'here', 'later', 'older', 'modality', 'bodyPart', 'enough', 'same']).nullable(),
});
const TriedChange = z.object({
  attribute: z.string(),
  tag: z.string(),
  /** null: not there. */
  before: z.string().nullable(),
  after: z.string().nullable(),
  objects: z.number().int(),
  series: z.array(z.string()),
});
export const TriedRule = z.object({
  name: z.string(),
  enabled: z.boolean(),
  kind: z.enum(['send', 'prefetch', 'coerce']),
  groups: z.array(TriedGroup),
  send: z.array(TriedSend),
  priors: z.array(TriedPrior),
  /** Archives that could not be asked. */
  troubles: z.array(z.object({ aeTitle: z.string(), code: z.string(), advice: z.string() })),
  changes: z.array(TriedChange),
});
export const RulesTried = z.object({
  studyUid: z.string(),
  patientName: PersonNameGroups.optional(),
  patientId: z.string().optional(),
  objects: z.number().int(),
  /** So many of them were looked at, the first of each series. */
  looked: z.number().int(),
  series: z.array(SeriesName),
  rules: z.array(TriedRule),
});

/** POST /api/rules/run: a rule on one study again, whatever it did before. */
export const RulesRun = z.object({ studyUid: Uid, rule: text(LIMITS.name) });
export const RulesRan = z.object({ objects: z.number().int() });

/** POST /api/rules/loops/release: what was held is sent, and the rule goes on. */
export const LoopRelease = z.object({ rule: text(LIMITS.name), aeTitle: text(16) });

export const RULE_EVENTS = [
  'sent',
  'returned',
  'loop',
  'fetched',
  'noPriors',
  'corrected',
  'problem',
] as const;
/** GET /api/rules/log, newest first. */
export const RuleLogQuery = z.object({
  before: z.coerce.number().int().optional(),
  rule: z.string().max(LIMITS.name).optional(),
  studyUid: Uid.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const RuleLogRow = z.object({
  id: z.number().int(),
  at: z.iso.datetime(),
  rule: z.string(),
  event: z.enum(RULE_EVENTS),
  studyUid: z.string(),
  patientName: PersonNameGroups.optional(),
  aeTitle: z.string().nullable(),
  objects: z.number().int(),
  transferId: z.string().nullable(),
  code: z.string().nullable(),
  message: z.string().nullable(),
});
export const RuleLog = z.array(RuleLogRow);
