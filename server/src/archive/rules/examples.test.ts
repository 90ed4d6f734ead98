/** Every example of docs/rules.md is a rule, and does what is said above it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { attributesOfDataSet } from '@lightbox/core/translate/rules/attributes.ts';
import { checkRules } from '@lightbox/core/translate/rules/check.ts';
import { type CompiledRule, compileRules, type Subject } from '@lightbox/core/translate/rules/compile.ts';
import { editsJson } from '@lightbox/core/dicom/edits.ts';
import { momentOf, sourceOf } from './objects.ts';

const text = readFileSync(join(import.meta.dirname, '../../../../docs/rules.md'), 'utf8');
const examples = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(
  ([, json]) => JSON.parse(json ?? '') as { name: string },
);
const { file, problems } = checkRules({ version: 1, rules: examples });

/** A Wednesday at noon; `from` is the sender. */
function object(
  attributes: Record<string, string>,
  from = 'CT1',
  called = 'LIGHTBOX',
  at = '2026-03-04T12:00:00',
): Subject {
  return {
    attributes: attributesOfDataSet(dataSet(attributes)),
    source: sourceOf({ kind: 'dimse', by: from, calledAe: called }),
    moment: momentOf(new Date(at)),
  };
}
const rule = (name: string): CompiledRule => {
  const found = file && compileRules(file).rules.find((one) => one.rule.name === name);
  if (!found) throw new Error(`no example ${name}`);
  return found;
};

it('there are a dozen, and nothing is wrong with them', () => {
  expect(problems).toEqual([]);
  expect(examples).toHaveLength(12);
});

const CT = { Modality: 'CT' };
const CASES: [string, Subject, boolean][] = [
  ['Thin CT to the workstation', object({ ...CT, SliceThickness: '0.75' }), true],
  ['Thin CT to the workstation', object({ ...CT, SliceThickness: '5' }), false],
  ['Copy to the second archive', object({}), true],
  ['Nights to the reading service', object(CT, 'ER_CT'), false],
  ['Nights to the reading service', object(CT, 'ER_CT', '', '2026-03-05T03:00:00'), true],
  ['Nights to the reading service', object(CT, 'ER_CT', '', '2026-03-07T12:00:00'), true],
  ['Nights to the reading service', object(CT, 'CT1', '', '2026-03-05T03:00:00'), false],
  ['Mammography reading', object({ Modality: 'MG' }), true],
  ['Mammography reading', object(CT), false],
  ['Children', object({ PatientAge: '015Y' }), true],
  ['Children', object({ PatientAge: '016Y' }), false],
  ['Children', object({ StudyDescription: 'PAEDIATRIC HIP' }), true],
  ['Images only', object(CT), true],
  ['Images only', object({ Modality: 'SR' }), false],
  ['Stroke to the AI', object({ BodyPartExamined: 'HEAD', SeriesDescription: 'Angio 0.6' }), true],
  ['Stroke to the AI', object({ BodyPartExamined: 'HEAD', SeriesDescription: 'Bone' }), false],
  ['Fresh studies to the readers', object({ StudyDate: '20260301' }), true],
  ['Fresh studies to the readers', object({ StudyDate: '20250301' }), false],
  ['Fresh studies to the readers', object({ StudyDate: '20260301' }, 'MIGRATION'), false],
  ['Priors', object(CT), true],
  ['Mammography priors', object({ Modality: 'MG' }), true],
  ['IDs of the east clinic', object({}, 'CT1', 'LIGHTBOX_EAST'), true],
  ['IDs of the east clinic', object({}), false],
  ['Old ultrasound', object({ Modality: 'US' }, 'US_OLD'), true],
  ['Old ultrasound', object({ AccessionNumber: 'A1' }, 'US_OLD'), false],
];
it.each(CASES)('%s', (name, subject, matches) => expect(rule(name).matches(subject)).toBe(matches));

it('every one of them is looked at', () => {
  expect(new Set(CASES.map(([name]) => name))).toEqual(new Set(examples.map(({ name }) => name)));
});

it.each([
  [
    ...(['LIGHTBOX_EAST', 'CT1', { PatientID: '004711' }] as const),
    {
      '00100020': { vr: 'LO', Value: ['EAST-4711'] },
      '00100021': { vr: 'LO', Value: ['EAST'] },
      '00080080': { vr: 'LO', Value: ['East clinic'] },
    },
  ],
  [
    ...([
      'LIGHTBOX',
      'US_OLD',
      { StudyID: 'A77', BodyPartExamined: 'BAUCH', PatientName: 'Meier^Eva' },
    ] as const),
    {
      '00080050': { vr: 'SH', Value: ['A77'] },
      '00180015': { vr: 'CS', Value: ['ABDOMEN'] },
      '00100010': { vr: 'PN', Value: ['MEIER^EVA'] },
    },
  ],
])('corrections for %s from %s', (called, from, attributes, expected) => {
  const made = compileRules(file!).coerce(object(attributes, from, called));
  expect(editsJson(made?.edits ?? [])).toEqual(expected);
});
