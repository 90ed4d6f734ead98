/** One rule in the list: what it says in a sentence, on or off, its place. Layer: web/admin. */
import { ActionIcon, Badge, Button, Card, Group, Switch, Text } from '@mantine/core';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import type { Condition, Rule } from '@lightbox/core/translate/rules/types.ts';
import { useTranslation } from 'react-i18next';
import type { Problem } from '../api/rules.ts';
import { ProblemList } from './rules-problems.tsx';

type Translate = ReturnType<typeof useTranslation>['t'];

const COLOURS = { send: 'blue', prefetch: 'grape', coerce: 'teal' } as const;
export const kindOf = (rule: Rule): keyof typeof COLOURS =>
  'send' in rule.then ? 'send' : 'prefetch' in rule.then ? 'prefetch' : 'coerce';

export function RuleLine(props: {
  rule: Rule;
  first: boolean;
  last: boolean;
  problems: readonly Problem[];
  onMove: (by: number) => void;
  onEdit: () => void;
  onSwitch: (enabled: boolean) => void;
  onRemove: () => void;
}) {
  const { rule, first, last, problems } = props;
  const { t } = useTranslation();
  const kind = kindOf(rule);
  const enabled = rule.enabled ?? true;
  return (
    <Card withBorder padding="sm" data-testid="rule" data-rule={rule.name}>
      <Group wrap="nowrap" align="flex-start">
        <Switch
          checked={enabled}
          onChange={(event) => props.onSwitch(event.currentTarget.checked)}
          aria-label={t('rules.onOff', { name: rule.name })}
          mt={4}
        />
        <div style={{ flex: 1, minWidth: 0 }}>
          <Group gap="xs">
            <Text fw={700}>{rule.name}</Text>
            <Badge color={COLOURS[kind]} variant="light" tt="none">
              {t(`rules.kinds.${kind}`)}
            </Badge>
          </Group>
          {rule.description ? <Text size="sm">{rule.description}</Text> : null}
          <Text size="sm">{sentenceOf(rule, t)}</Text>
        </div>
        <Group gap={4} wrap="nowrap">
          <ActionIcon
            variant="subtle"
            color="gray"
            disabled={first}
            aria-label={t('rules.up', { name: rule.name })}
            onClick={() => props.onMove(-1)}
          >
            <IconArrowUp size={18} />
          </ActionIcon>
          <ActionIcon
            variant="subtle"
            color="gray"
            disabled={last}
            aria-label={t('rules.down', { name: rule.name })}
            onClick={() => props.onMove(1)}
          >
            <IconArrowDown size={18} />
          </ActionIcon>
          <Button size="compact-sm" variant="default" onClick={props.onEdit}>
            {t('common.edit')}
          </Button>
          <Button size="compact-sm" variant="default" onClick={props.onRemove}>
            {t('common.remove')}
          </Button>
        </Group>
      </Group>
      <ProblemList problems={problems} />
    </Card>
  );
}

function sentenceOf({ when, then }: Rule, t: Translate): string {
  const condition = when ? conditionText(when, t) : t('rules.always');
  if ('send' in then) return `${condition} → ${(then.send.devices ?? []).join(', ')}`;
  if ('prefetch' in then) return `${condition} ← ${(then.prefetch.from ?? []).join(', ')}`;
  return `${condition} → ${then.coerce.map((step) => `${t(`rules.ops.${step.op}`)} ${step.attribute}`).join(', ')}`;
}

/** As people would say it; what is not finished yet is left out. */
export function conditionText(condition: Condition, t: Translate): string {
  if ('all' in condition) return condition.all.map((one) => inner(one, t)).join(` ${t('rules.and')} `);
  if ('any' in condition) return condition.any.map((one) => inner(one, t)).join(` ${t('rules.or')} `);
  if ('not' in condition) return `${t('rules.not')} (${conditionText(condition.not, t)})`;
  if ('time' in condition) {
    const { from, to, days } = condition.time ?? {};
    return [
      days?.map((day) => t(`rules.days.${day}`)).join(' '),
      (from ?? to) ? `${from ?? ''}–${to ?? ''}` : '',
    ]
      .filter(Boolean)
      .join(' ');
  }
  const what = 'attribute' in condition ? condition.attribute : t(`rules.sources.${condition.source}`);
  if (condition.equals !== undefined) return `${what} = ${condition.equals}`;
  if (condition.oneOf) return `${what} ∈ ${condition.oneOf.join(', ')}`;
  if (condition.like !== undefined) return `${what} ~ ${condition.like}`;
  if (condition.matches !== undefined) return `${what} ~ /${condition.matches}/`;
  if (condition.exists !== undefined)
    return `${what} ${t(condition.exists ? 'rules.there' : 'rules.notThere')}`;
  return `${what} ${condition.from ?? ''}…${condition.to ?? ''}`;
}

const inner = (condition: Condition, t: Translate): string =>
  'all' in condition || 'any' in condition ? `(${conditionText(condition, t)})` : conditionText(condition, t);
