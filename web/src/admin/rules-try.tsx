/** Trying rules on a study: for each rule whether it matches and why not, and what it would do. Nothing is done. Layer: web/admin. */
import { Alert, Badge, Button, Card, Group, Select, Stack, Table, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { runRule, type Tried, type TriedOne, tryRules } from '../api/rules.ts';
import { listStudies, type Study } from '../api/studies.ts';
import { formatDate, personName } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';

export function TryRules({ text, draft }: { text: string; draft: boolean }) {
  const { t, i18n } = useTranslation();
  const [search, setSearch] = useState('');
  const [wanted] = useDebouncedValue(search, 250);
  const [chosen, setChosen] = useState<string | null>(null);
  const studies = useQuery({
    queryKey: ['rules-studies', wanted],
    queryFn: ({ signal }) =>
      listStudies({ search: wanted || undefined, limit: 20, sort: 'received', descending: true }, signal),
    placeholderData: (before) => before,
  });
  const tried = useQuery({
    queryKey: ['rules-try', chosen, text],
    queryFn: ({ signal }) => tryRules(chosen ?? '', text, signal),
    enabled: chosen !== null,
    staleTime: 0,
    retry: false,
  });
  const label = ({ patientName, date, description, modalities }: Study): string =>
    [personName(patientName).main, formatDate(date, i18n.language), modalities.join(' '), description]
      .filter(Boolean)
      .join(' · ');
  return (
    <Stack data-testid="rules-try">
      <Text>{t(draft ? 'rules.try.draft' : 'rules.try.intro')}</Text>
      <Select
        label={t('rules.try.study')}
        placeholder={t('rules.try.search')}
        searchable
        filter={({ options }) => options}
        searchValue={search}
        onSearchChange={setSearch}
        data={(studies.data?.items ?? []).map((study) => ({ value: study.studyUid, label: label(study) }))}
        value={chosen}
        onChange={setChosen}
        nothingFoundMessage={t('rules.try.nothing')}
        maw={760}
        data-testid="rules-try-study"
      />
      <ProblemAlert error={studies.error ?? tried.error} onRetry={() => void tried.refetch()} />
      {tried.isFetching ? <Loading /> : null}
      {tried.data && !tried.isFetching ? <Outcome tried={tried.data} draft={draft} /> : null}
    </Stack>
  );
}

function Outcome({ tried, draft }: { tried: Tried; draft: boolean }) {
  const { t } = useTranslation();
  return (
    <Stack>
      {tried.looked < tried.objects ? (
        <Text size="sm">{t('rules.try.looked', { looked: tried.looked, objects: tried.objects })}</Text>
      ) : null}
      {tried.rules.length === 0 ? <Text c="dimmed">{t('rules.none')}</Text> : null}
      {tried.rules.map((rule) => (
        <OneRule key={rule.name} rule={rule} tried={tried} draft={draft} />
      ))}
    </Stack>
  );
}

function OneRule({ rule, tried, draft }: { rule: TriedOne; tried: Tried; draft: boolean }) {
  const { t } = useTranslation();
  const run = useMutation({ mutationFn: () => runRule(tried.studyUid, rule.name) });
  const matching = rule.groups
    .filter(({ reasons }) => reasons.length === 0)
    .reduce((sum, one) => sum + one.objects, 0);
  const state = !rule.enabled ? 'off' : matching === 0 ? 'no' : matching === tried.looked ? 'yes' : 'partly';
  const seriesText = (uids: readonly string[]): string =>
    uids.length === tried.series.length
      ? t('rules.try.allSeries')
      : tried.series
          .filter(({ seriesUid }) => uids.includes(seriesUid))
          .map(({ number, modality, description }) =>
            [number ?? '', modality, description].filter(Boolean).join(' '),
          )
          .join('; ');
  return (
    <Card withBorder data-testid="tried-rule" data-rule={rule.name} data-state={state}>
      <Group>
        <Text fw={700}>{rule.name}</Text>
        <Badge tt="none" variant="light" color={state === 'no' || state === 'off' ? 'gray' : 'green'}>
          {t(`rules.try.states.${state}`, { count: matching })}
        </Badge>
        <div style={{ flex: 1 }} />
        {!draft && rule.enabled && rule.kind !== 'coerce' && matching > 0 ? (
          <Button size="compact-sm" variant="default" loading={run.isPending} onClick={() => run.mutate()}>
            {t('rules.try.run')}
          </Button>
        ) : null}
      </Group>
      <ProblemAlert error={run.error} />
      {run.data ? <Text size="sm">{t('rules.try.ran')}</Text> : null}
      {rule.groups
        .filter(({ reasons }) => reasons.length > 0)
        .map((group) => (
          <div key={JSON.stringify(group.reasons)}>
            <Text size="sm" mt="xs">
              {t('rules.try.notFor', { count: group.objects, series: seriesText(group.series) })}
            </Text>
            <ul style={{ margin: 0 }}>
              {group.reasons.map((one) => (
                <li key={one.path} data-testid="tried-reason">
                  <Text size="sm" span>
                    {t(`rules.reasons.${one.test}`, { what: one.what, wanted: one.wanted })} —{' '}
                    {one.found.length > 0
                      ? t('rules.reasons.found', { found: one.found.join(' \\ ') })
                      : t('rules.reasons.empty')}
                  </Text>{' '}
                  <Text size="xs" c="dimmed" span ff="monospace">
                    {one.path}
                  </Text>
                </li>
              ))}
            </ul>
          </div>
        ))}
      {rule.send.map((one) => (
        <Text key={one.aeTitle} size="sm" mt="xs" data-testid="tried-send">
          {t('rules.try.send', { count: one.objects, device: one.aeTitle })}
          {one.left
            .map(({ why, objects }) => ` · ${t(`rules.try.left.${why}`, { count: objects })}`)
            .join('')}
        </Text>
      ))}
      {rule.troubles.map((one) => (
        <Alert
          key={one.aeTitle}
          color="yellow"
          mt="xs"
          title={t('rules.try.trouble', { device: one.aeTitle })}
        >
          {one.advice}
        </Alert>
      ))}
      {rule.priors.length > 0 ? <Priors priors={rule.priors} /> : null}
      {rule.changes.length > 0 ? <Changes rule={rule} seriesText={seriesText} /> : null}
    </Card>
  );
}

function Priors({ priors }: { priors: TriedOne['priors'] }) {
  const { t, i18n } = useTranslation();
  return (
    <Table mt="xs" withTableBorder>
      <Table.Thead>
        <Table.Tr>
          {['archive', 'date', 'modalities', 'description', 'what'].map((name) => (
            <Table.Th key={name}>{t(`rules.try.prior.${name}`)}</Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {priors.map((one) => (
          <Table.Tr key={one.studyUid} data-testid="tried-prior" data-why={one.why ?? 'fetch'}>
            <Table.Td>{one.aeTitle}</Table.Td>
            <Table.Td>{formatDate(one.date, i18n.language)}</Table.Td>
            <Table.Td>{one.modalities.join(' ')}</Table.Td>
            <Table.Td>{one.description}</Table.Td>
            <Table.Td>{t(`rules.try.passed.${one.why ?? 'fetch'}`)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Changes({ rule, seriesText }: { rule: TriedOne; seriesText: (uids: readonly string[]) => string }) {
  const { t } = useTranslation();
  const shown = (value: string | null): string => value ?? t('rules.try.notThere');
  return (
    <Table mt="xs" withTableBorder>
      <Table.Thead>
        <Table.Tr>
          {['attribute', 'before', 'after', 'where'].map((name) => (
            <Table.Th key={name}>{t(`rules.try.change.${name}`)}</Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rule.changes.map((one) => (
          <Table.Tr key={`${one.tag} ${one.before ?? ''} ${one.after ?? ''}`} data-testid="tried-change">
            <Table.Td>
              {one.attribute}{' '}
              <Text size="xs" c="dimmed" span ff="monospace">
                {one.tag}
              </Text>
            </Table.Td>
            <Table.Td>{shown(one.before)}</Table.Td>
            <Table.Td fw={700}>{shown(one.after)}</Table.Td>
            <Table.Td>
              {t('rules.try.objects', { count: one.objects })} · {seriesText(one.series)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
