/** The language of rules: what matches and why not, what is corrected, what is wrong with a file, and what it may cost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyEdits } from '../../dicom/edits.ts';
import { dataSet } from '../../dicom/element.ts';
import { toJson } from '../../dicom/json.ts';
import { text } from '../../dicom/values.ts';
import { tagOf } from '../../dicom/dictionary.ts';
import { attributesOfDataSet, attributesOfJson } from './attributes.ts';
import { checkRules, readRules } from './check.ts';
import { compileRules, type Subject } from './compile.ts';
import { diffRules } from './diff.ts';
import { compilePattern, PatternError } from './pattern.ts';
import type { Condition, Rule, RuleFile, Step } from './types.ts';

const SEND = { send: { devices: ['WS1'] } };
const file = (...rules: unknown[]): unknown => ({ version: 1, rules });
const rule = (more: Record<string, unknown>): unknown => ({ name: 'A', then: SEND, ...more });

const CHEST = dataSet({
  SpecificCharacterSet: 'ISO_IR 192',
  ...{
    Modality: 'CT',
    StudyDescription: 'Thorax  mit KM',
    PatientName: 'Yamada^Tarou=山田^太郎',
    PatientID: '0047',
  },
  ...{ StudyDate: '20260131', StudyTime: '073015', PatientAge: '015Y', ImageType: ['ORIGINAL', 'PRIMARY'] },
  ...{ SliceThickness: '1.50', Rows: 512, InstitutionName: 'Clinic', AccessionNumber: '' },
  RequestAttributesSequence: [
    dataSet({ ScheduledProcedureStepID: 'S1' }),
    dataSet({ ScheduledProcedureStepID: 'S2' }),
  ],
});
/** Saturday, 31 January 2026, 06:30. */
const MOMENT = { day: 6, minutes: 6 * 60 + 30, date: Date.UTC(2026, 0, 31) / 86_400_000 };
const SOURCE = { aeTitle: 'CT1', calledAe: 'LIGHTBOX', door: 'dimse' };
const subjects: [string, Subject][] = [
  ['a data set', { attributes: attributesOfDataSet(CHEST), source: SOURCE, moment: MOMENT }],
  ['DICOM JSON', { attributes: attributesOfJson(toJson(CHEST)), source: SOURCE, moment: MOMENT }],
];

function compiled(given: unknown): ReturnType<typeof compileRules> {
  const { file: good, problems } = checkRules(given);
  expect(problems).toEqual([]);
  return compileRules(good!);
}
const on = (when: Condition, subject: Subject) => {
  const [one] = compiled(file(rule({ when }))).rules;
  return { matches: one!.matches(subject), reasons: one!.explain(subject) };
};

describe.each(subjects)('A condition on %s', (_, subject) => {
  it.each<[Condition, boolean]>([
    [{ attribute: 'Modality', equals: 'CT' }, true],
    [{ attribute: '00080060', equals: 'CT' }, true],
    [{ attribute: '(0008,0060)', equals: 'ct' }, false],
    [{ attribute: 'Modality', equals: 'ct', ignoreCase: true }, true],
    [{ attribute: 'Modality', oneOf: ['MR', 'CT'] }, true],
    [{ attribute: 'ImageType', equals: 'PRIMARY' }, true],
    [{ attribute: 'StudyDescription', like: 'Thorax*' }, true],
    [{ attribute: 'StudyDescription', like: 'thorax*', ignoreCase: true }, true],
    [{ attribute: 'StudyDescription', matches: '(mit|ohne) KM$' }, true],
    [{ attribute: 'PatientName', equals: '山田^太郎' }, true],
    [{ attribute: 'PatientName', like: 'Yamada^*' }, true],
    [{ attribute: 'RequestAttributesSequence.ScheduledProcedureStepID', equals: 'S2' }, true],
    [{ attribute: 'RequestAttributesSequence.ScheduledProcedureStepID', equals: 'S3' }, false],
    [{ attribute: 'RequestAttributesSequence', exists: true }, true],
    [{ attribute: 'AccessionNumber', exists: false }, true],
    [{ attribute: 'SeriesDescription', exists: true }, false],
    [{ attribute: 'SliceThickness', from: 0, to: 1.5 }, true],
    [{ attribute: 'SliceThickness', equals: 1.5 }, true],
    [{ attribute: 'Rows', from: 513 }, false],
    [{ attribute: 'PatientAge', to: '015Y' }, true],
    [{ attribute: 'PatientAge', to: '014Y' }, false],
    [{ attribute: 'PatientAge', from: '179M', to: '181M' }, true],
    [{ attribute: 'StudyDate', from: '2026-01-01', to: '20260131' }, true],
    [{ attribute: 'StudyDate', from: 'today-7' }, true],
    [{ attribute: 'StudyDate', to: 'today-1' }, false],
    [{ attribute: 'StudyTime', from: '07:30', to: '07:30' }, true],
    [{ attribute: 'StudyTime', from: '07:31' }, false],
    [{ source: 'aeTitle', equals: 'CT1' }, true],
    [{ source: 'aeTitle', like: 'MR*' }, false],
    [{ source: 'user', exists: true }, false],
    [{ source: 'door', oneOf: ['stow', 'upload'] }, false],
    [{ time: { from: '18:00', to: '07:00' } }, true],
    // Saturday morning is the end of the night that began on Friday.
    [{ time: { from: '18:00', to: '07:00', days: ['fri'] } }, true],
    [{ time: { from: '18:00', to: '07:00', days: ['sat'] } }, false],
    [{ time: { days: ['sat', 'sun'] } }, true],
    [{ time: { from: '08:00' } }, false],
    [{ not: { attribute: 'Modality', equals: 'MR' } }, true],
    [
      {
        any: [
          { attribute: 'Modality', equals: 'MR' },
          { source: 'aeTitle', equals: 'CT1' },
        ],
      },
      true,
    ],
    [
      {
        all: [
          { attribute: 'Modality', equals: 'CT' },
          { source: 'aeTitle', equals: 'CT2' },
        ],
      },
      false,
    ],
  ])('%j: %s', (when, holds) => {
    const { matches, reasons } = on(when, subject);
    expect(matches).toBe(holds);
    expect(reasons.length === 0).toBe(holds);
  });

  it('says every reason why it does not hold, and what is there instead', () => {
    const { reasons } = on(
      {
        all: [
          { attribute: 'Modality', equals: 'CT' },
          { attribute: 'StudyDescription', like: 'Abdomen*' },
          {
            any: [
              { attribute: 'BodyPartExamined', equals: 'CHEST' },
              { not: { source: 'aeTitle', equals: 'CT1' } },
            ],
          },
        ],
      },
      subject,
    );
    expect(reasons).toEqual([
      {
        ...{ path: 'when.all[1]', what: 'StudyDescription', test: 'like', wanted: 'Abdomen*' },
        found: ['Thorax  mit KM'],
      },
      {
        ...{
          path: 'when.all[2].any[0]',
          what: 'BodyPartExamined',
          test: 'equals',
          wanted: 'CHEST',
          found: [],
        },
      },
      { path: 'when.all[2].any[1].not', what: 'aeTitle', test: 'not', wanted: 'CT1', found: ['CT1'] },
    ]);
  });
});

describe('A condition', () => {
  const leaf = fc.constantFrom<Condition>(
    { attribute: 'Modality', equals: 'CT' },
    { attribute: 'Modality', equals: 'MR' },
    { source: 'aeTitle', like: 'C*' },
    { time: { days: ['mon'] } },
  );
  const tree = fc.letrec<{ node: Condition }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.record({ all: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ any: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ not: tie('node') }),
    ),
  })).node;
  const subject = subjects[0]![1];

  it('and its opposite never hold together, and reasons are there exactly when it does not hold', () => {
    fc.assert(
      fc.property(tree, (when) => {
        const { matches, reasons } = on(when, subject);
        expect(on({ not: when }, subject).matches).toBe(!matches);
        expect(reasons.length > 0).toBe(!matches);
      }),
    );
  });

  it('answers the same on a data set and on its JSON', () => {
    fc.assert(
      fc.property(tree, (when) => {
        expect(on(when, subjects[1]![1])).toEqual(on(when, subject));
      }),
      { numRuns: 50 },
    );
  });
});

describe('Corrections', () => {
  const after = (steps: Step[], keyword: string, ds = CHEST): string | undefined => {
    const rules = compiled(file(rule({ then: { coerce: steps } })));
    const subject = { ...subjects[0]![1], attributes: attributesOfDataSet(ds) };
    return text(applyEdits(ds, rules.coerce(subject)?.edits ?? []), tagOf(keyword)!);
  };

  it.each<[string, Step[], string, string | undefined]>([
    ['sets', [{ op: 'set', attribute: 'InstitutionName', value: 'Ost' }], 'InstitutionName', 'Ost'],
    [
      'sets when empty',
      [{ op: 'set', attribute: 'AccessionNumber', value: 'X', ifEmpty: true }],
      'AccessionNumber',
      'X',
    ],
    [
      'leaves what is there',
      [{ op: 'set', attribute: 'PatientID', value: 'X', ifEmpty: true }],
      'PatientID',
      '0047',
    ],
    ['copies', [{ op: 'copy', attribute: 'AccessionNumber', from: 'PatientID' }], 'AccessionNumber', '0047'],
    [
      'copies out of a sequence',
      [{ op: 'copy', attribute: 'StudyID', from: 'RequestAttributesSequence.ScheduledProcedureStepID' }],
      ...(['StudyID', 'S1'] as const),
    ],
    [
      'copies nothing from nothing',
      [{ op: 'copy', attribute: 'PatientID', from: 'StudyID' }],
      'PatientID',
      '0047',
    ],
    ['deletes', [{ op: 'delete', attribute: 'InstitutionName' }], 'InstitutionName', undefined],
    ['maps', [{ op: 'map', attribute: 'Modality', table: { CT: 'CT', DR: 'DX' } }], 'Modality', 'CT'],
    [
      'maps what is not in the table to nothing when told so',
      [{ op: 'map', attribute: 'InstitutionName', table: { a: 'b' }, otherwise: 'delete' }],
      ...(['InstitutionName', undefined] as const),
    ],
    ['puts before', [{ op: 'prefix', attribute: 'PatientID', text: 'A-' }], 'PatientID', 'A-0047'],
    ['puts before once', [{ op: 'prefix', attribute: 'PatientID', text: '00' }], 'PatientID', '0047'],
    ['puts behind', [{ op: 'suffix', attribute: 'PatientID', text: '-A' }], 'PatientID', '0047-A'],
    ['makes upper case', [{ op: 'upper', attribute: 'InstitutionName' }], 'InstitutionName', 'CLINIC'],
    ['makes lower case', [{ op: 'lower', attribute: 'InstitutionName' }], 'InstitutionName', 'clinic'],
    ['strips', [{ op: 'strip', attribute: 'PatientID', characters: '0', at: 'start' }], 'PatientID', '47'],
    [
      'makes no value that is none: 64 characters are the limit of LO',
      [{ op: 'prefix', attribute: 'PatientID', text: 'x'.repeat(62) }],
      ...(['PatientID', '0047'] as const),
    ],
    [
      'takes one step after the other',
      [
        { op: 'strip', attribute: 'PatientID', characters: '0', at: 'start' },
        { op: 'prefix', attribute: 'PatientID', text: 'B' },
        { op: 'copy', attribute: 'StudyID', from: 'PatientID' },
      ],
      ...(['StudyID', 'B47'] as const),
    ],
  ])('%s', (_, steps, keyword, expected) => expect(after(steps, keyword)).toBe(expected));

  it('are made in the order of the rules, by those that match what came; what is changed back is no correction', () => {
    const rules = compiled(
      file(
        { name: 'one', then: { coerce: [{ op: 'set', attribute: 'StudyID', value: '1' }] } },
        { name: 'off', enabled: false, then: { coerce: [{ op: 'set', attribute: 'StudyID', value: '0' }] } },
        {
          name: 'two',
          when: { attribute: 'StudyID', exists: false },
          then: { coerce: [{ op: 'suffix', attribute: 'StudyID', text: '2' }] },
        },
        {
          name: 'other',
          when: { attribute: 'StudyID', equals: '1' },
          then: { coerce: [{ op: 'delete', attribute: 'StudyID' }] },
        },
      ),
    );
    const made = rules.coerce(subjects[0]![1]);
    expect(made?.rules).toEqual(['one', 'two']);
    expect(made?.edits).toMatchObject([{ op: 'set', value: ['12'] }]);
    const back = compiled(
      file(
        rule({ then: { coerce: [{ op: 'set', attribute: 'PatientID', value: '1' }] } }),
        rule({ name: 'B', then: { coerce: [{ op: 'set', attribute: 'PatientID', value: '0047' }] } }),
      ),
    );
    expect(back.coerce(subjects[0]![1])).toBeUndefined();
  });
});

describe('A file', () => {
  it.each<[unknown, string, string]>([
    [[], '', 'object'],
    [{ rules: [] }, 'version', 'missing'],
    [{ version: 2, rules: [] }, 'version', 'version'],
    [file(rule({}), rule({})), 'rules[1].name', 'twice'],
    [file(rule({ name: '' })), 'rules[0].name', 'text'],
    [file(rule({ then: undefined })), 'rules[0].then', 'missing'],
    [file(rule({ then: { send: { devices: ['A'] }, coerce: [] } })), 'rules[0].then', 'oneAction'],
    [file(rule({ then: { sned: {} } })), 'rules[0].then.sned', 'unknownField'],
    [file(rule({ enable: true })), 'rules[0].enable', 'unknownField'],
    [file(rule({ when: {} })), 'rules[0].when', 'oneKind'],
    [file(rule({ when: { attribute: 'Modalty', equals: 'CT' } })), 'rules[0].when.attribute', 'keyword'],
    [file(rule({ when: { attribute: '00091001', equals: 'CT' } })), 'rules[0].when.attribute', 'privateTag'],
    [
      file(rule({ when: { attribute: 'Modality.CodeValue', equals: 'CT' } })),
      'rules[0].when.attribute',
      'notSequence',
    ],
    [
      file(rule({ when: { attribute: 'ProcedureCodeSequence', equals: 'A' } })),
      'rules[0].when.attribute',
      'sequence',
    ],
    [file(rule({ when: { attribute: 'PixelData', equals: 'A' } })), 'rules[0].when.attribute', 'noText'],
    [file(rule({ when: { attribute: 'Modality' } })), 'rules[0].when', 'oneTest'],
    [file(rule({ when: { attribute: 'Modality', equals: 'CT', like: 'C*' } })), 'rules[0].when', 'oneTest'],
    [file(rule({ when: { attribute: 'Modality', oneOf: [] } })), 'rules[0].when.oneOf', 'list'],
    [file(rule({ when: { attribute: 'Modality', from: 'CT' } })), 'rules[0].when', 'range'],
    [
      file(rule({ when: { attribute: 'StudyDate', from: '2026-13-01' } })),
      'rules[0].when.from',
      'rangeValue',
    ],
    [
      file(rule({ when: { attribute: 'StudyDate', from: '20260102', to: '20260101' } })),
      'rules[0].when',
      'rangeOrder',
    ],
    [file(rule({ when: { attribute: 'Modality', matches: '(?=a)' } })), 'rules[0].when.matches', 'pattern'],
    [file(rule({ when: { source: 'ae', equals: 'CT' } })), 'rules[0].when.source', 'choice'],
    [file(rule({ when: { time: { from: '25:00' } } })), 'rules[0].when.time.from', 'clock'],
    [file(rule({ when: { time: {} } })), 'rules[0].when.time', 'emptyTime'],
    [file(rule({ then: { send: { devices: ['A', 'A'] } } })), 'rules[0].then.send.devices[1]', 'twiceInList'],
    [
      file(rule({ then: { send: { devices: ['A'], delaySeconds: -1 } } })),
      'rules[0].then.send.delaySeconds',
      'number',
    ],
    [
      file(rule({ then: { coerce: [{ op: 'set', attribute: 'StudyInstanceUID', value: '1' }] } })),
      'rules[0].then.coerce[0].attribute',
      'protected',
    ],
    [
      file(rule({ then: { coerce: [{ op: 'set', attribute: 'Rows', value: '1' }] } })),
      'rules[0].then.coerce[0].attribute',
      'protected',
    ],
    [
      file(rule({ then: { coerce: [{ op: 'set', attribute: 'StudyDate', value: '31.1.2026' }] } })),
      'rules[0].then.coerce[0].value',
      'value',
    ],
    [
      file(rule({ then: { coerce: [{ op: 'map', attribute: 'Modality', table: { DR: 'x-ray' } }] } })),
      'rules[0].then.coerce[0].table["DR"]',
      'value',
    ],
    [
      file(rule({ then: { coerce: [{ op: 'sett', attribute: 'Modality' }] } })),
      'rules[0].then.coerce[0].op',
      'choice',
    ],
  ])('%j: %s %s', (json, path, code) => {
    const { file: good, problems } = checkRules(json);
    expect(good).toBeUndefined();
    expect(problems.map((one) => [one.path, one.code])).toContainEqual([path, code]);
  });

  it('is told about in one sentence with rule, place and what to write', () => {
    const { problems } = checkRules(file(rule({ when: { attribute: 'Modalty', equals: 'CT' } })));
    expect(problems[0]).toMatchObject({
      ...{ rule: 'A', facts: { suggestion: 'Write Modality?' } },
      message: 'Rule "A", rules[0].when.attribute is no attribute that DICOM knows. Write Modality?.',
    });
    expect(readRules('{').problems[0]?.message).toContain('is not JSON');
  });

  it('that came through is what was given, and may be written and read again', () => {
    const given = file(rule({ when: { attribute: 'Modality', equals: 'CT' } })) as RuleFile;
    expect(readRules(JSON.stringify(given)).file).toEqual(given);
  });
});

describe('A hostile file', () => {
  const nested = (depth: number): unknown => {
    let condition: unknown = { attribute: 'Modality', equals: 'CT' };
    for (let at = 0; at < depth; at += 1) condition = { not: condition };
    return condition;
  };
  it.each<[string, unknown, string]>([
    ['nested deeply', file(rule({ when: nested(5000) })), 'tooDeep'],
    ['with very many rules', file(...Array.from({ length: 10_000 }, () => 0)), 'tooMany'],
    [
      'with very many conditions',
      file(
        rule({
          when: { all: Array.from({ length: 100_000 }, () => ({ attribute: 'Modality', exists: true })) },
        }),
      ),
      'tooMany',
    ],
    [
      'with a very long list',
      file(rule({ when: { attribute: 'Modality', oneOf: Array(100_000).fill('CT') } })),
      'tooMany',
    ],
    [
      'with a very long text',
      file(rule({ when: { attribute: 'Modality', equals: 'x'.repeat(100_000) } })),
      'text',
    ],
    [
      'with a pattern that grows',
      file(rule({ when: { attribute: 'Modality', matches: '((a{99}){99}){99}' } })),
      'patternSize',
    ],
    [
      'with very many unknown fields',
      file(rule(Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`x${at}`, 1])))),
      'unknownField',
    ],
  ])('%s is refused, with few words', (_, json, code) => {
    const { file: good, problems } = checkRules(json);
    expect(good).toBeUndefined();
    expect(problems.map((one) => one.code)).toContain(code);
    expect(problems.length).toBeLessThanOrEqual(50);
  });

  it('whatever it holds is answered with problems, never with an exception', () => {
    const word = fc.constantFrom(
      ...[
        'version',
        'rules',
        'name',
        'when',
        'then',
        'all',
        'any',
        'not',
        'attribute',
        'source',
        'time',
        'equals',
      ],
      ...[
        'oneOf',
        'like',
        'matches',
        'from',
        'to',
        'exists',
        'send',
        'devices',
        'prefetch',
        'coerce',
        'op',
        'table',
        '__proto__',
      ],
    );
    const value: fc.Arbitrary<unknown> = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom<unknown>(1, null, true, 'Modality', 'CT', 'set', '(a|b)*', '[', ''),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(word, tie('any'), { maxKeys: 4 }),
      ),
    })).any;
    fc.assert(
      fc.property(value, (any) => {
        const { file: good, problems } = checkRules({ version: 1, rules: [any] });
        expect(good === undefined).toBe(problems.length > 0);
        if (good) compileRules(good).coerce(subjects[0]![1]);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('A pattern', () => {
  const piece = fc.letrec<{ node: string }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        'a',
        'b',
        'c',
        '.',
        '[ab]',
        '[^a]',
        '[a-c]',
        '\\d',
        '\\D',
        '\\w',
        '\\s',
        '\\.',
        '1',
        ' ',
        'é',
        '^',
        '$',
      ),
      fc.tuple(tie('node'), tie('node')).map(([one, other]) => one + other),
      fc.tuple(tie('node'), tie('node')).map(([one, other]) => `(?:${one}|${other})`),
      fc
        .tuple(
          fc.constantFrom('a', '[bc]', '(ab)', '(?:a|b)'),
          fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '{2,}', '*?'),
        )
        .map(([one, times]) => one + times),
    ),
  })).node;

  it('finds what a regular expression of the language finds', () => {
    fc.assert(
      fc.property(
        piece,
        fc
          .array(fc.constantFrom('a', 'b', 'c', '1', ' ', '.', 'é', '\n'), { maxLength: 12 })
          .map((all) => all.join('')),
        fc.boolean(),
        (text, given, ignoreCase) => {
          fc.pre(text.length <= 200);
          expect(compilePattern(text, ignoreCase).test(given)).toBe(
            new RegExp(text, ignoreCase ? 'iu' : 'u').test(given),
          );
        },
      ),
      { numRuns: 5000 },
    );
  });

  it.each(['(a+)+$', '(a|aa)+$', '(.*)*x', '(a*)*b', '(\\w|\\d)*!'])(
    '%s takes no longer on a text made to be slow',
    (text) => {
      // Exponential ways would not end within the life of this machine.
      expect(compilePattern(text).test('a'.repeat(1000) + '\n')).toBe(false);
    },
  );

  it.each([
    '(',
    ')',
    '[',
    'a**',
    '*',
    '(?<a>b)',
    '\\1',
    '\\b',
    'a{',
    'a{3,1}',
    '[b-a]',
    '[\\d-z]',
    'a]',
    '(?!a)',
    '\\',
    '^*',
  ])('%s is refused', (text) => expect(() => compilePattern(text)).toThrow(PatternError));
});

it('the example of the types is one', () => {
  const example: Rule = {
    name: 'CT to the workstation',
    when: { all: [{ attribute: 'Modality', equals: 'CT' }, { not: { source: 'aeTitle', equals: 'WS1' } }] },
    then: { send: { devices: ['WS1'], trigger: 'object', delaySeconds: 60, priority: 5, onlyOnce: false } },
  };
  expect(checkRules(file(example)).problems).toEqual([]);
});

describe('The difference of two files', () => {
  const named = (...names: string[]): Rule[] => names.map((name) => ({ name, then: SEND }));
  const of = (...rules: Rule[]): RuleFile => ({ version: 1, rules });

  it('names what was added, removed, moved and changed, with each place', () => {
    const before = of(...named('a', 'b', 'c', 'd'));
    const changed: Rule = {
      ...{ name: 'c', enabled: false, when: { attribute: 'Modality', oneOf: ['CT', 'MR'] } },
      then: { send: { devices: ['WS1', 'WS2'] } },
    };
    expect(diffRules(before, of(...named('b', 'a'), changed, ...named('e')))).toEqual([
      { rule: 'a', change: 'moved', fields: [] },
      {
        ...{ rule: 'c', change: 'changed' },
        fields: [
          { path: 'then.send.devices', before: '["WS1"]', after: '["WS1","WS2"]' },
          { path: 'enabled', before: undefined, after: 'false' },
          { path: 'when.attribute', before: undefined, after: '"Modality"' },
          { path: 'when.oneOf', before: undefined, after: '["CT","MR"]' },
        ],
      },
      { rule: 'e', change: 'added', fields: [] },
      { rule: 'd', change: 'removed', fields: [] },
    ]);
    expect(diffRules(before, before)).toEqual([]);
  });
});
