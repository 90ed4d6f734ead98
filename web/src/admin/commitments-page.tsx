/** Storage commitments: who asked whom, what is not kept, what could not be told. Layer: web/admin. */
import { Badge, Button, Table, Text } from '@mantine/core';
import { IconShieldCheck } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { type CommitmentRow, listCommitments, retryCommitment } from '../api/admin.ts';
import { formatInstant, formatNumber } from '../ui/format.ts';
import { Empty, Loading, Page, ProblemAlert } from '../ui/page.tsx';

const COLOURS: Readonly<Record<CommitmentRow['state'], string>> = {
  ...{ checking: 'blue', checked: 'blue', told: 'green', waiting: 'blue', asked: 'blue' },
  ...{ answered: 'green', dead: 'red', gone: 'gray' },
};
/** What may be tried again by hand. */
const RETRIED: ReadonlySet<CommitmentRow['state']> = new Set(['dead', 'checked', 'waiting']);

export function CommitmentsPage() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const rows = useQuery({ queryKey: ['commitments'], queryFn: listCommitments, refetchInterval: 10_000 });
  const retry = useMutation({
    mutationFn: retryCommitment,
    onSuccess: () => client.invalidateQueries({ queryKey: ['commitments'] }),
  });
  return (
    <Page title={t('commitments.title')} intro={t('commitments.intro')}>
      <ProblemAlert error={rows.error ?? retry.error} onRetry={() => void rows.refetch()} />
      {rows.isPending ? <Loading /> : null}
      {rows.data && !rows.data.length ? (
        <Empty icon={<IconShieldCheck size={48} />} title={t('commitments.none')} />
      ) : null}
      {rows.data?.length ? (
        <Table.ScrollContainer minWidth={720}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                {['created', 'direction', 'peer', 'objects', 'failed', 'state'].map((name) => (
                  <Table.Th key={name}>{t(`commitments.${name}`)}</Table.Th>
                ))}
                <Table.Th>
                  <span className="visually-hidden">{t('common.actions')}</span>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.data.map((row) => (
                <Line key={row.id} row={row} busy={retry.isPending} onRetry={() => retry.mutate(row.id)} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
    </Page>
  );
}

function Line({ row, busy, onRetry }: { row: CommitmentRow; busy: boolean; onRetry: () => void }) {
  const { t, i18n } = useTranslation();
  const instant = (at: string): string => formatInstant(at, i18n.language);
  return (
    <Table.Tr data-testid="commitment-row" data-state={row.state}>
      <Table.Td>{instant(row.createdAt)}</Table.Td>
      <Table.Td>{t(`commitments.${row.direction}`)}</Table.Td>
      <Table.Td ff="monospace">
        {row.peer}
        {row.via === 'web' ? <Text size="xs">{t('commitments.web')}</Text> : null}
      </Table.Td>
      <Table.Td>{formatNumber(row.objects, i18n.language)}</Table.Td>
      <Table.Td fw={row.failed ? 700 : undefined}>
        {row.failed === null ? '' : formatNumber(row.failed, i18n.language)}
      </Table.Td>
      <Table.Td>
        <Badge color={COLOURS[row.state]} variant="light" tt="none">
          {t(`commitments.states.${row.state}`)}
        </Badge>
        {row.message ? <Text size="sm">{row.message}</Text> : null}
        {row.message ? (
          <Text size="xs">
            {t('commitments.attempts', { count: row.attempts })}
            {row.nextAt ? ` · ${t('commitments.next', { at: instant(row.nextAt) })}` : ''}
          </Text>
        ) : null}
      </Table.Td>
      <Table.Td>
        {RETRIED.has(row.state) ? (
          <Button size="compact-sm" variant="default" loading={busy} onClick={onRetry}>
            {t('commitments.retry')}
          </Button>
        ) : null}
      </Table.Td>
    </Table.Tr>
  );
}
