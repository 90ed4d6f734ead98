/** One transfer: what, where to or from, how far, what went wrong, and what can be done. Layer: web/share. */
import { Badge, Button, Group, Progress, Table, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { changeTransfer, type State, type TransferView } from '../api/transfers.ts';
import { formatInstant, personName } from '../ui/format.ts';
import { ProblemAlert } from '../ui/page.tsx';

const COLOR: Readonly<Record<State, string>> = {
  queued: 'gray',
  running: 'blue',
  waiting: 'yellow',
  done: 'teal',
  failed: 'red',
  cancelled: 'gray',
};
const OPEN: ReadonlySet<State> = new Set(['queued', 'running', 'waiting']);
const AGAIN: ReadonlySet<State> = new Set(['waiting', 'failed', 'cancelled']);

/** What the server says is in English; where the page speaks another language, its own words go first. */
export function useAdvice() {
  const { t, i18n } = useTranslation();
  return (code: string | null | undefined, advice: string | null | undefined): string => {
    const own = code && i18n.exists(`problem.${code}`) ? t(`problem.${code}`) : '';
    return (i18n.language === 'en' ? advice || own : own || advice) || '';
  };
}

export function TransferLine({ row }: { row: TransferView }) {
  const { t, i18n } = useTranslation();
  const client = useQueryClient();
  const adviceOf = useAdvice();
  const change = useMutation({
    mutationFn: (what: 'retry' | 'cancel') => changeTransfer(row.id, what),
    onSuccess: () => client.invalidateQueries({ queryKey: ['transfers'] }),
  });
  const name = row.patientName ? personName(row.patientName) : undefined;
  const [first = ''] = row.studyUids;
  const share = row.total ? (100 * row.sent) / row.total : 0;
  const advice = row.state === 'done' ? '' : adviceOf(row.code, row.advice);
  return (
    <Table.Tr data-testid="transfer-row" data-state={row.state} data-kind={row.kind}>
      <Table.Td>
        {t(`transfers.kind.${row.kind}`)}{' '}
        <Text span ff="monospace" fw={600}>
          {row.aeTitle}
        </Text>
      </Table.Td>
      <Table.Td maw={260}>
        {name ? (
          <Link to="/studies/$studyUid" params={{ studyUid: first }} dir="auto">
            {name.main || t('list.noName')}
          </Link>
        ) : (
          <Text span size="xs" style={{ overflowWrap: 'anywhere' }}>
            {first}
          </Text>
        )}
        <Text size="xs" c="dimmed" dir="auto">
          {[row.patientId, row.description].filter(Boolean).join(' · ')}
          {row.studyUids.length > 1
            ? ` ${t('transfers.moreStudies', { count: row.studyUids.length - 1 })}`
            : ''}
        </Text>
      </Table.Td>
      <Table.Td miw={150}>
        <Progress
          value={row.state === 'done' ? 100 : share}
          color={COLOR[row.state]}
          aria-label={t('transfers.progress')}
          size="sm"
        />
        <Text size="xs" style={{ fontVariantNumeric: 'tabular-nums' }}>
          {t('transfers.counts', { sent: row.sent, total: row.total })}
          {row.warning ? ` · ${t('transfers.warnings', { count: row.warning })}` : ''}
          {row.failed ? ` · ${t('transfers.failures', { count: row.failed })}` : ''}
        </Text>
      </Table.Td>
      <Table.Td maw={340}>
        <Badge variant="light" color={COLOR[row.state]} tt="none">
          {t(`transfers.state.${row.state}`)}
        </Badge>
        {advice ? (
          <Text size="xs" data-testid="transfer-advice">
            {advice}
          </Text>
        ) : null}
        {row.state === 'waiting' && row.nextAt ? (
          <Text size="xs" c="dimmed">
            {t('transfers.next', { at: formatInstant(row.nextAt, i18n.language), attempt: row.attempts })}
          </Text>
        ) : null}
      </Table.Td>
      <Table.Td>
        <Text size="xs">{formatInstant(row.createdAt, i18n.language)}</Text>
        <Text size="xs" c="dimmed">
          {row.askedBy}
        </Text>
      </Table.Td>
      <Table.Td>
        <Group gap="xs" justify="flex-end" wrap="nowrap">
          {AGAIN.has(row.state) ? (
            <Button
              size="compact-sm"
              variant="default"
              data-testid="transfer-retry"
              loading={change.isPending && change.variables === 'retry'}
              onClick={() => change.mutate('retry')}
            >
              {t('transfers.retry')}
            </Button>
          ) : null}
          {OPEN.has(row.state) || row.state === 'failed' ? (
            <Button
              size="compact-sm"
              variant="subtle"
              color="red"
              data-testid="transfer-cancel"
              loading={change.isPending && change.variables === 'cancel'}
              onClick={() => change.mutate('cancel')}
            >
              {row.state === 'failed' ? t('transfers.discard') : t('transfers.cancel')}
            </Button>
          ) : null}
        </Group>
        <ProblemAlert error={change.error} />
      </Table.Td>
    </Table.Tr>
  );
}

export function TransferTable({ rows }: { rows: readonly TransferView[] }) {
  const { t } = useTranslation();
  return (
    <Table.ScrollContainer minWidth={940}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {['what', 'study', 'progress', 'status', 'asked'].map((name) => (
              <Table.Th key={name}>{t(`transfers.${name}`)}</Table.Th>
            ))}
            <Table.Th>
              <span className="visually-hidden">{t('common.actions')}</span>
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <TransferLine key={row.id} row={row} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
