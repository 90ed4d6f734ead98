/** One rule: fields for the usual cases, JSON for all of them, and what is wrong in its place. Layer: web/admin. */
import {
  ActionIcon,
  Button,
  Group,
  Modal,
  MultiSelect,
  NumberInput,
  SegmentedControl,
  Select,
  Stack,
  Switch,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core';
import { IconPlus, IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { checkRules } from '@lightbox/core/translate/rules/check.ts';
import {
  type Condition,
  type Rule,
  SOURCES,
  type Step,
  STEPS,
  type Test,
} from '@lightbox/core/translate/rules/types.ts';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Problem } from '../api/rules.ts';
import { listArchives, listDestinations } from '../api/transfers.ts';
import { kindOf } from './rules-line.tsx';
import { ProblemList } from './rules-problems.tsx';

const TESTS = ['equals', 'oneOf', 'like', 'matches', 'exists', 'notExists', 'from', 'to'] as const;
type TestName = (typeof TESTS)[number];
/** A condition that fits on one line of the form. */
interface Line {
  readonly what: string;
  readonly test: TestName;
  readonly value: string;
}

export function RuleEditor(props: {
  rule: Rule;
  others: readonly string[];
  onClose: () => void;
  onDone: (rule: Rule) => void;
}) {
  const { t } = useTranslation();
  const [rule, setRule] = useState(props.rule);
  const [text, setText] = useState<string>();
  const shown = text ?? JSON.stringify(rule, undefined, 2);
  const read = text === undefined ? rule : parse(text);
  const problems = problemsOf(read, props.others, text);
  const lines = linesOf(rule.when);
  const change = (more: Partial<Rule>): void => setRule({ ...rule, ...more });
  return (
    <Modal
      opened
      onClose={props.onClose}
      title={t('rules.edit')}
      size="xl"
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack data-testid="rule-editor">
        <SegmentedControl
          value={text === undefined ? 'form' : 'json'}
          data={[
            { value: 'form', label: t('rules.form') },
            { value: 'json', label: 'JSON' },
          ]}
          onChange={(value) => {
            if (value === 'json') setText(shown);
            else if (read && problems.every(({ code }) => code !== 'json')) {
              setRule(read);
              setText(undefined);
            }
          }}
        />
        {text === undefined ? (
          <>
            <TextInput
              label={t('rules.name')}
              description={t('rules.nameHint')}
              value={rule.name}
              maxLength={100}
              name="rule-name"
              onChange={(event) => change({ name: event.currentTarget.value })}
            />
            <TextInput
              label={t('rules.description')}
              value={rule.description ?? ''}
              maxLength={1000}
              onChange={(event) => change({ description: event.currentTarget.value })}
            />
            {lines ? (
              <Lines lines={lines} onChange={(next) => setRule(withWhen(rule, next))} />
            ) : (
              <Text size="sm">{t('rules.whenInJson')}</Text>
            )}
            <Action rule={rule} onChange={change} />
          </>
        ) : (
          <Textarea
            label={t('rules.text')}
            value={shown}
            onChange={(event) => setText(event.currentTarget.value)}
            autosize
            minRows={10}
            maxRows={30}
            spellCheck={false}
            styles={{ input: { fontFamily: 'monospace' } }}
          />
        )}
        <ProblemList problems={problems} />
        <Group justify="flex-end">
          <Button variant="default" onClick={props.onClose}>
            {t('common.close')}
          </Button>
          <Button
            data-testid="rule-done"
            disabled={problems.length > 0}
            onClick={() => read && props.onDone(read)}
          >
            {t('rules.done')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function parse(text: string): Rule | undefined {
  try {
    return JSON.parse(text) as Rule;
  } catch {
    return undefined;
  }
}

function problemsOf(rule: Rule | undefined, others: readonly string[], text: string | undefined): Problem[] {
  if (!rule) {
    const message = `${text?.slice(0, 20) ?? ''}…`;
    return [{ path: '', code: 'json', facts: { what: message }, message: 'JSON?' }];
  }
  // With the names of the others, so that one that is used already is told.
  const rest = others.map((name) => ({ name, enabled: false, then: { send: { devices: ['X'] } } }));
  return checkRules({ version: 1, rules: [...rest, rule] }).problems.map(({ rule: of, facts, ...one }) => ({
    ...{ ...one, facts: { ...facts }, path: one.path.replace(/^rules\[\d+\]\.?/, '') },
    ...(of === undefined ? {} : { rule: of }),
  }));
}

/** Conditions as lines of a form; undefined when they are more than that. */
function linesOf(when: Condition | undefined): Line[] | undefined {
  if (!when) return [];
  const list = 'all' in when ? when.all : [when];
  const lines = list.map((one): Line | undefined => {
    if ('all' in one || 'any' in one || 'not' in one || 'time' in one) return undefined;
    const { attribute, source, ...test } = one as Test & { attribute?: string; source?: string };
    const what = attribute ?? `source:${source ?? ''}`;
    const [name, ...more] = Object.keys(test);
    if (name === undefined || more.length > 0) return undefined;
    const value = test[name as keyof Test];
    if (name === 'exists') return { what, test: value === true ? 'exists' : 'notExists', value: '' };
    const known = TESTS.find((known) => known === name);
    return known && { what, test: known, value: Array.isArray(value) ? value.join(', ') : String(value) };
  });
  return lines.every((line) => line !== undefined) ? lines : undefined;
}

function conditionOf({ what, test, value }: Line): Condition {
  const source = SOURCES.find((one) => `source:${one}` === what);
  const tested: Test =
    test === 'exists' || test === 'notExists'
      ? { exists: test === 'exists' }
      : test === 'oneOf'
        ? { oneOf: value.split(',').map((one) => one.trim()) }
        : { [test]: value };
  return source ? { source, ...tested } : { attribute: what, ...tested };
}

function withWhen({ when: _, ...rule }: Rule, lines: readonly Line[]): Rule {
  const { name, description, enabled, then } = rule;
  const [first, ...more] = lines.map(conditionOf);
  const when = first && (more.length > 0 ? { all: [first, ...more] } : first);
  return {
    ...{ name, then },
    ...(description === undefined ? {} : { description }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(when ? { when } : {}),
  };
}

function Lines({ lines, onChange }: { lines: readonly Line[]; onChange: (lines: readonly Line[]) => void }) {
  const { t } = useTranslation();
  const set = (index: number, more: Partial<Line>): void =>
    onChange(lines.map((line, at) => (at === index ? { ...line, ...more } : line)));
  return (
    <Stack gap="xs">
      <Text fw={600}>{t('rules.when')}</Text>
      {lines.length === 0 ? <Text size="sm">{t('rules.always')}</Text> : null}
      {lines.map((line, index) => (
        <Group key={index} align="flex-end" gap="xs" wrap="nowrap" data-testid="rule-condition">
          <TextInput
            label={t('rules.attribute')}
            placeholder="Modality"
            list="rule-attributes"
            value={line.what}
            flex={2}
            onChange={(event) => set(index, { what: event.currentTarget.value.trim() })}
          />
          <Select
            label={t('rules.test')}
            allowDeselect={false}
            data={TESTS.map((value) => ({ value, label: t(`rules.tests.${value}`) }))}
            value={line.test}
            flex={1}
            onChange={(value) => set(index, { test: TESTS.find((one) => one === value) ?? 'equals' })}
          />
          <TextInput
            label={t('rules.value')}
            value={line.value}
            flex={2}
            disabled={line.test === 'exists' || line.test === 'notExists'}
            onChange={(event) => set(index, { value: event.currentTarget.value })}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-label={t('common.remove')}
            onClick={() => onChange(lines.filter((_, at) => at !== index))}
          >
            <IconX size={18} />
          </ActionIcon>
        </Group>
      ))}
      <datalist id="rule-attributes">
        {[...USUAL, ...SOURCES.map((one) => `source:${one}`)].map((value) => (
          <option key={value} value={value} />
        ))}
      </datalist>
      <div>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<IconPlus size={16} />}
          onClick={() => onChange([...lines, { what: 'Modality', test: 'equals', value: '' }])}
        >
          {t('rules.addCondition')}
        </Button>
      </div>
    </Stack>
  );
}

/** Offered; any keyword may be written. */
const USUAL = [
  ...[
    'Modality',
    'BodyPartExamined',
    'StudyDescription',
    'SeriesDescription',
    'ProtocolName',
    'InstitutionName',
  ],
  ...[
    'StationName',
    'ReferringPhysicianName',
    'PatientID',
    'PatientAge',
    'StudyDate',
    'AccessionNumber',
    'SOPClassUID',
  ],
];

function Action({ rule, onChange }: { rule: Rule; onChange: (more: Partial<Rule>) => void }) {
  const { t } = useTranslation();
  const destinations = useQuery({ queryKey: ['destinations'], queryFn: listDestinations });
  const archives = useQuery({ queryKey: ['archives'], queryFn: listArchives });
  const titles = (peers: typeof destinations, chosen: readonly string[]): string[] => [
    ...new Set([...(peers.data ?? []).map(({ aeTitle }) => aeTitle), ...chosen]),
  ];
  const { then } = rule;
  return (
    <Stack gap="xs">
      <Select
        label={t('rules.what')}
        allowDeselect={false}
        data={(['send', 'prefetch', 'coerce'] as const).map((value) => ({
          value,
          label: t(`rules.kinds.${value}`),
        }))}
        value={kindOf(rule)}
        onChange={(value) =>
          onChange({
            then:
              value === 'coerce'
                ? { coerce: [{ op: 'set', attribute: 'InstitutionName', value: '' }] }
                : value === 'prefetch'
                  ? { prefetch: { from: [] } }
                  : { send: { devices: [] } },
          })
        }
      />
      {'send' in then ? (
        <>
          <MultiSelect
            label={t('rules.devices')}
            data={titles(destinations, then.send.devices)}
            value={[...then.send.devices]}
            data-testid="rule-devices"
            onChange={(devices) => onChange({ then: { send: { ...then.send, devices } } })}
          />
          <Select
            label={t('rules.trigger')}
            allowDeselect={false}
            data={(['stable', 'object'] as const).map((value) => ({
              value,
              label: t(`rules.triggers.${value}`),
            }))}
            value={then.send.trigger ?? 'stable'}
            onChange={(value) =>
              onChange({
                then: { send: { ...then.send, trigger: value === 'object' ? 'object' : 'stable' } },
              })
            }
          />
          <NumberInput
            label={t('rules.delay')}
            min={0}
            max={604_800}
            value={then.send.delaySeconds ?? 0}
            onChange={(value) =>
              onChange({ then: { send: { ...then.send, delaySeconds: Number(value) || 0 } } })
            }
          />
          <Switch
            label={t('rules.again')}
            checked={then.send.onlyOnce === false}
            onChange={(event) =>
              onChange({ then: { send: { ...then.send, onlyOnce: !event.currentTarget.checked } } })
            }
          />
        </>
      ) : 'prefetch' in then ? (
        <>
          <MultiSelect
            label={t('rules.archives')}
            data={titles(archives, then.prefetch.from)}
            value={[...then.prefetch.from]}
            onChange={(from) => onChange({ then: { prefetch: { ...then.prefetch, from } } })}
          />
          <NumberInput
            label={t('rules.atMost')}
            min={1}
            max={100}
            value={then.prefetch.atMost ?? 3}
            onChange={(value) =>
              onChange({ then: { prefetch: { ...then.prefetch, atMost: Number(value) || 1 } } })
            }
          />
          <NumberInput
            label={t('rules.months')}
            min={1}
            max={1200}
            value={then.prefetch.newerThanMonths ?? ''}
            onChange={(value) => {
              const { newerThanMonths: _, ...rest } = then.prefetch;
              onChange({
                then: { prefetch: value === '' ? rest : { ...rest, newerThanMonths: Number(value) } },
              });
            }}
          />
          {(['sameModality', 'sameBodyPart'] as const).map((name) => (
            <Switch
              key={name}
              label={t(`rules.${name}`)}
              checked={then.prefetch[name] ?? name === 'sameModality'}
              onChange={(event) =>
                onChange({ then: { prefetch: { ...then.prefetch, [name]: event.currentTarget.checked } } })
              }
            />
          ))}
        </>
      ) : (
        <Steps steps={then.coerce} onChange={(coerce) => onChange({ then: { coerce } })} />
      )}
    </Stack>
  );
}

/** What a step takes beside its attribute. A table is written in JSON. */
const ARGUMENT: Readonly<Partial<Record<Step['op'], string>>> = {
  ...{ set: 'value', copy: 'from', prefix: 'text', suffix: 'text', strip: 'characters' },
};

function Steps({ steps, onChange }: { steps: readonly Step[]; onChange: (steps: readonly Step[]) => void }) {
  const { t } = useTranslation();
  const set = (index: number, step: unknown): void =>
    onChange(steps.map((one, at) => (at === index ? (step as Step) : one)));
  return (
    <Stack gap="xs">
      {steps.map((step, index) => {
        const argument = ARGUMENT[step.op];
        const fields = step as unknown as Readonly<Record<string, unknown>>;
        const value = argument === undefined ? undefined : fields[argument];
        return (
          <Group key={index} align="flex-end" gap="xs" wrap="nowrap">
            <Select
              label={t('rules.op')}
              allowDeselect={false}
              flex={1}
              data={STEPS.map((op) => ({ value: op, label: t(`rules.ops.${op}`) }))}
              value={step.op}
              onChange={(op) => {
                const next = STEPS.find((one) => one === op) ?? 'set';
                const needed = ARGUMENT[next];
                set(index, {
                  ...{ op: next, attribute: step.attribute },
                  ...(needed === undefined || needed === 'characters' ? {} : { [needed]: '' }),
                  ...(next === 'map' ? { table: { '': '' } } : {}),
                });
              }}
            />
            <TextInput
              label={t('rules.attribute')}
              flex={2}
              list="rule-attributes"
              value={step.attribute}
              onChange={(event) => set(index, { ...step, attribute: event.currentTarget.value.trim() })}
            />
            {argument === undefined ? (
              <Text flex={2} size="sm">
                {step.op === 'map' ? t('rules.tableInJson') : ''}
              </Text>
            ) : (
              <TextInput
                label={t(`rules.arguments.${argument}`)}
                flex={2}
                value={typeof value === 'string' ? value : ''}
                onChange={(event) => set(index, { ...step, [argument]: event.currentTarget.value })}
              />
            )}
            <ActionIcon
              variant="subtle"
              color="gray"
              size="lg"
              aria-label={t('common.remove')}
              onClick={() => onChange(steps.filter((_, at) => at !== index))}
            >
              <IconX size={18} />
            </ActionIcon>
          </Group>
        );
      })}
      <div>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<IconPlus size={16} />}
          onClick={() => onChange([...steps, { op: 'set', attribute: 'InstitutionName', value: '' }])}
        >
          {t('rules.addStep')}
        </Button>
      </div>
    </Stack>
  );
}
