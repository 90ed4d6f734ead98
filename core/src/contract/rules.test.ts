/** The schema of a file of rules says the same as what reads it. */
import { expect, it } from 'vitest';
import { checkRules } from '../translate/rules/check.ts';
import { RuleFileSchema } from './rules.ts';

const send = { send: { devices: ['WS1'] } };
const of = (rule: Record<string, unknown>): unknown => ({
  version: 1,
  rules: [{ name: 'A', then: send, ...rule }],
});

it.each<[Record<string, unknown>, boolean]>([
  [{}, true],
  [{ enabled: false, description: '' }, true],
  [{ when: { attribute: 'Modality', equals: 'CT' } }, true],
  [
    {
      when: {
        all: [
          { any: [{ not: { source: 'user', exists: true } }] },
          { time: { from: '07:00', days: ['mon'] } },
        ],
      },
    },
    true,
  ],
  [
    {
      then: {
        send: { devices: ['A', 'B'], trigger: 'object', delaySeconds: 5, priority: 3, onlyOnce: false },
      },
    },
    true,
  ],
  [
    {
      then: {
        prefetch: {
          from: ['P'],
          atMost: 2,
          newerThanMonths: 12,
          sameModality: false,
          modalities: ['CT'],
          method: 'move',
        },
      },
    },
    true,
  ],
  [{ then: { coerce: [{ op: 'set', attribute: 'InstitutionName', value: '' }] } }, true],
  [{ name: '' }, false],
  [{ when: {} }, false],
  [{ when: { attribute: 'Modality', equals: 'CT', more: 1 } }, false],
  [{ when: { source: 'nobody', equals: 'CT' } }, false],
  [{ then: {} }, false],
  [{ then: { ...send, coerce: [] } }, false],
  [{ then: { send: { devices: [] } } }, false],
  [{ then: { coerce: [] } }, false],
  [{ more: true }, false],
])('%j: %s', (rule, good) => {
  expect(checkRules(of(rule)).problems.length === 0).toBe(good);
  expect(RuleFileSchema.safeParse(of(rule)).success).toBe(good);
});
