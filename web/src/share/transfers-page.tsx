/** Transfers: what is on its way, what waits for another attempt, and what a person has to look at. Layer: web/share. */
import { Button, Group, Select, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';
import { TransferTable } from './transfer-line.tsx';
import { useTransfers } from './use-transfers.ts';

const VIEWS = {
  all: undefined,
  open: 'queued,running,waiting',
  failed: 'failed',
  done: 'done',
  cancelled: 'cancelled',
} as const;
type View = keyof typeof VIEWS;
const NAMES = Object.keys(VIEWS) as View[];

export function TransfersPage() {
  const { t } = useTranslation();
  const [view, setView] = useState<View>('all');
  const [kind, setKind] = useState<'send' | 'fetch'>();
  const [trail, setTrail] = useState<readonly string[]>([]);
  const transfers = useTransfers({ state: VIEWS[view], kind, before: trail.at(-1) });
  const counts = transfers.data?.counts ?? {};
  const countOf = (name: View): number =>
    Object.entries(counts)
      .filter(([state]) => !VIEWS[name] || VIEWS[name].split(',').includes(state))
      .reduce((sum, [, count]) => sum + count, 0);
  const rows = transfers.data?.items ?? [];
  const next = transfers.data?.next;
  return (
    <Page title={t('transfers.title')} intro={t('transfers.intro')}>
      <Group mb="md" align="flex-end" gap="md">
        <Button.Group>
          {NAMES.map((name) => (
            <Button
              key={name}
              variant={view === name ? 'filled' : 'default'}
              aria-pressed={view === name}
              data-testid={`transfers-view-${name}`}
              {...(name === 'failed' && countOf(name) && view !== name ? { c: 'red' } : {})}
              onClick={() => {
                setView(name);
                setTrail([]);
              }}
            >
              {t(`transfers.view.${name}`)} {countOf(name)}
            </Button>
          ))}
        </Button.Group>
        <Select
          label={t('transfers.what')}
          clearable
          placeholder={t('list.all')}
          data={(['send', 'fetch'] as const).map((value) => ({
            value,
            label: t(`transfers.kinds.${value}`),
          }))}
          value={kind ?? null}
          onChange={(value) => {
            setKind(value === 'send' || value === 'fetch' ? value : undefined);
            setTrail([]);
          }}
        />
      </Group>
      <ProblemAlert error={transfers.error} onRetry={() => void transfers.refetch()} />
      {transfers.isPending ? <Loading /> : null}
      {transfers.data && rows.length === 0 ? <Text c="dimmed">{t('transfers.none')}</Text> : null}
      {rows.length ? <TransferTable rows={rows} /> : null}
      <Group mt="md">
        {trail.length ? (
          <Button variant="default" onClick={() => setTrail(trail.slice(0, -1))}>
            {t('transfers.newer')}
          </Button>
        ) : null}
        {next ? (
          <Button variant="default" onClick={() => setTrail([...trail, next])}>
            {t('transfers.older')}
          </Button>
        ) : null}
      </Group>
    </Page>
  );
}
