/** Rules: the list in its order, on and off, changed and saved as a new version; loops that wait. Layer: web/admin. */
import { Alert, Button, FileButton, Group, Stack, Tabs, Text, Textarea, TextInput } from '@mantine/core';
import { IconDownload, IconPlus, IconUpload } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { Rule, RuleFile } from '@lightbox/core/translate/rules/types.ts';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import {
  checkRuleText,
  fileOf,
  type Problem,
  readRules,
  releaseLoop,
  type RuleState,
  saveRules,
} from '../api/rules.ts';
import { formatInstant } from '../ui/format.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';
import { RuleEditor } from './rules-editor.tsx';
import { RuleLog } from './rules-log.tsx';
import { ProblemList } from './rules-problems.tsx';
import { RuleLine } from './rules-line.tsx';
import { TryRules } from './rules-try.tsx';
import { RuleVersions } from './rules-versions.tsx';

const NEW: Rule = { name: '', then: { send: { devices: [] } } };
const textOf = (file: RuleFile): string => JSON.stringify(file, undefined, 2);

export function RulesPage() {
  const { t } = useTranslation();
  const state = useQuery({ queryKey: ['rules'], queryFn: readRules });
  return (
    <Page title={t('rules.title')} intro={t('rules.intro')}>
      <ProblemAlert error={state.error} onRetry={() => void state.refetch()} />
      {state.isPending ? <Loading /> : null}
      {state.data ? <Rules key={state.data.version?.id ?? 0} state={state.data} /> : null}
    </Page>
  );
}

function Rules({ state }: { state: RuleState }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [text, setText] = useState(() => textOf(fileOf(state.file)));
  const [comment, setComment] = useState('');
  const [edited, setEdited] = useState<{ index: number; rule: Rule }>();
  const [asText, setAsText] = useState(false);
  const changed = text !== textOf(fileOf(state.file));
  const renew = () => client.invalidateQueries({ queryKey: ['rules'] });
  const check = useQuery({
    queryKey: ['rules-check', text],
    queryFn: ({ signal }) => checkRuleText(text, signal),
    enabled: changed,
    staleTime: 0,
  });
  const save = useMutation({
    mutationFn: () => saveRules(text, comment, state.version?.id ?? null),
    onSuccess: renew,
  });
  const file = readFile(text);
  const rules = file?.rules ?? [];
  const problems: readonly Problem[] = changed ? (check.data?.problems ?? []) : state.warnings;
  const put = (list: readonly Rule[]): void => setText(textOf({ version: 1, rules: list }));
  const move = (index: number, by: number): void => {
    const list = [...rules];
    const [rule] = list.splice(index, 1);
    if (rule) list.splice(index + by, 0, rule);
    put(list);
  };
  return (
    <>
      <Loops loops={state.loops} onDone={renew} />
      <Tabs defaultValue="list" keepMounted={false}>
        <Tabs.List mb="md">
          {(['list', 'try', 'log', 'versions'] as const).map((name) => (
            <Tabs.Tab key={name} value={name} data-testid={`rules-tab-${name}`}>
              {t(`rules.tabs.${name}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="list">
          {state.fromFile ? <Text size="sm">{t('rules.fromFile')}</Text> : null}
          <Group mb="md" gap="xs">
            <Button
              leftSection={<IconPlus size={18} />}
              disabled={!file}
              onClick={() => setEdited({ index: rules.length, rule: NEW })}
            >
              {t('rules.add')}
            </Button>
            <Button variant="default" onClick={() => setAsText(!asText)} aria-pressed={asText}>
              {asText ? t('rules.asList') : t('rules.asText')}
            </Button>
            <FileButton
              accept="application/json,.json"
              onChange={(chosen) => {
                void chosen?.text().then((read) => setText(pretty(read)));
              }}
            >
              {(props) => (
                <Button variant="default" leftSection={<IconUpload size={18} />} {...props}>
                  {t('rules.upload')}
                </Button>
              )}
            </FileButton>
            <Button
              variant="default"
              component="a"
              href="/api/rules/file"
              download="rules.json"
              leftSection={<IconDownload size={18} />}
            >
              {t('rules.download')}
            </Button>
          </Group>
          {asText || !file ? (
            <Textarea
              label={t('rules.text')}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
              autosize
              minRows={12}
              maxRows={40}
              spellCheck={false}
              data-testid="rules-text"
              styles={{ input: { fontFamily: 'monospace' } }}
            />
          ) : (
            <Stack gap="xs">
              {rules.length === 0 ? <Text c="dimmed">{t('rules.none')}</Text> : null}
              {rules.map((rule, index) => (
                <RuleLine
                  key={`${index} ${rule.name}`}
                  rule={rule}
                  first={index === 0}
                  last={index === rules.length - 1}
                  problems={problems.filter(({ path }) => path.startsWith(`rules[${index}]`))}
                  onMove={(by) => move(index, by)}
                  onEdit={() => setEdited({ index, rule })}
                  onSwitch={(enabled) =>
                    put(rules.map((one, at) => (at === index ? { ...one, enabled } : one)))
                  }
                  onRemove={() => put(rules.filter((_, at) => at !== index))}
                />
              ))}
            </Stack>
          )}
          <ProblemList
            problems={problems.filter(({ path }) => asText || !file || !path.startsWith('rules['))}
          />
          <ProblemAlert error={check.error ?? save.error} />
          {changed ? (
            <Group mt="md" align="flex-end" data-testid="rules-unsaved">
              <TextInput
                label={t('rules.comment')}
                value={comment}
                onChange={(event) => setComment(event.currentTarget.value)}
                maxLength={500}
                flex={1}
              />
              <Button
                data-testid="rules-save"
                loading={save.isPending}
                disabled={check.isPending || problems.length > 0}
                onClick={() => save.mutate()}
              >
                {t('rules.save')}
              </Button>
              <Button variant="default" onClick={() => setText(textOf(fileOf(state.file)))}>
                {t('rules.discard')}
              </Button>
            </Group>
          ) : null}
        </Tabs.Panel>
        <Tabs.Panel value="try">
          <TryRules text={text} draft={changed} />
        </Tabs.Panel>
        <Tabs.Panel value="log">
          <RuleLog />
        </Tabs.Panel>
        <Tabs.Panel value="versions">
          <RuleVersions inForce={state.version?.id ?? 0} onRestored={renew} />
        </Tabs.Panel>
      </Tabs>
      {edited ? (
        <RuleEditor
          rule={edited.rule}
          others={rules.filter((_, at) => at !== edited.index).map(({ name }) => name)}
          onClose={() => setEdited(undefined)}
          onDone={(rule) => {
            const list = [...rules];
            list[edited.index] = rule;
            put(list);
            setEdited(undefined);
          }}
        />
      ) : null}
    </>
  );
}

function Loops({ loops, onDone }: { loops: RuleState['loops']; onDone: () => Promise<void> }) {
  const { t, i18n } = useTranslation();
  const release = useMutation({
    mutationFn: ({ rule, aeTitle }: RuleState['loops'][number]) => releaseLoop(rule, aeTitle),
    onSuccess: onDone,
  });
  if (loops.length === 0) return null;
  return (
    <Alert color="red" title={t('rules.loops')} mb="md" data-testid="rules-loops">
      <ProblemAlert error={release.error} />
      <Stack gap="xs">
        {loops.map((loop) => (
          <Group key={`${loop.rule} ${loop.aeTitle}`}>
            <Text flex={1}>
              {t('rules.loop', {
                ...{ rule: loop.rule, device: loop.aeTitle, ours: loop.ourAe, count: loop.held },
                at: formatInstant(loop.lastAt, i18n.language),
              })}
            </Text>
            <Button size="compact-sm" loading={release.isPending} onClick={() => release.mutate(loop)}>
              {t('rules.release')}
            </Button>
          </Group>
        ))}
      </Stack>
    </Alert>
  );
}

/** The rules as they stand in the text; undefined while it is none that can be shown as a list. */
function readFile(text: string): RuleFile | undefined {
  try {
    const read = JSON.parse(text) as Partial<RuleFile> | null;
    const rules: unknown = read?.rules;
    const fine =
      Array.isArray(rules) &&
      rules.every(
        (one: unknown) =>
          typeof one === 'object' &&
          one !== null &&
          'then' in one &&
          typeof one.then === 'object' &&
          one.then !== null,
      );
    return fine ? (read as RuleFile) : undefined;
  } catch {
    return undefined;
  }
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}
