/** What rules did, newest first, with their transfers. Layer: web/admin. */
import { Anchor, Badge, Button, Group, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { listRuleLog, type LogRow } from '../api/rules.ts';
import { formatInstant, personName } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';

const PAGE = 50;
const COLOURS: Readonly<Record<LogRow['event'], string>> = {
  ...{ sent: 'green', fetched: 'green', corrected: 'teal', returned: 'gray', noPriors: 'gray' },
  ...{ loop: 'red', problem: 'red' },
};

export function RuleLog() {
  const { t, i18n } = useTranslation();
  const [trail, setTrail] = useState<readonly number[]>([]);
  const before = trail.at(-1);
  const log = useQuery({
    queryKey: ['rules-log', before],
    queryFn: () => listRuleLog({ before, limit: PAGE }),
    refetchInterval: 5000,
  });
  const rows = log.data ?? [];
  const last = rows.at(-1);
  return (
    <>
      <ProblemAlert error={log.error} onRetry={() => void log.refetch()} />
      {log.isPending ? <Loading /> : null}
      {log.data && rows.length === 0 ? <Text c="dimmed">{t('rules.log.none')}</Text> : null}
      {rows.length > 0 ? (
        <Table.ScrollContainer minWidth={720}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                {['at', 'rule', 'event', 'study', 'device', 'objects'].map((name) => (
                  <Table.Th key={name}>{t(`rules.log.${name}`)}</Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map((row) => (
                <Table.Tr key={row.id} data-testid="rule-log-row" data-event={row.event}>
                  <Table.Td>{formatInstant(row.at, i18n.language)}</Table.Td>
                  <Table.Td>{row.rule}</Table.Td>
                  <Table.Td>
                    <Badge color={COLOURS[row.event]} variant="light" tt="none">
                      {t(`rules.log.events.${row.event}`)}
                    </Badge>
                    {row.transferId ? (
                      <>
                        {' '}
                        <Anchor component={Link} to="/transfers" size="sm">
                          {t('rules.log.transfer')}
                        </Anchor>
                      </>
                    ) : null}
                    {row.message ? <Text size="sm">{row.message}</Text> : null}
                  </Table.Td>
                  <Table.Td>
                    <Anchor component={Link} to={`/studies/${row.studyUid}`} size="sm">
                      {row.patientName ? personName(row.patientName).main : row.studyUid}
                    </Anchor>
                  </Table.Td>
                  <Table.Td ff="monospace">{row.aeTitle}</Table.Td>
                  <Table.Td>{row.objects || ''}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
      <Group mt="md">
        {trail.length > 0 ? (
          <Button variant="default" onClick={() => setTrail(trail.slice(0, -1))}>
            {t('transfers.newer')}
          </Button>
        ) : null}
        {last && rows.length === PAGE ? (
          <Button variant="default" onClick={() => setTrail([...trail, last.id])}>
            {t('transfers.older')}
          </Button>
        ) : null}
      </Group>
    </>
  );
}
