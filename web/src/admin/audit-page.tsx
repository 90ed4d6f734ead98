/** The audit trail: who did what, when, from where; and whether nobody changed it. Layer: web/admin. */
import { Alert, Badge, Button, Group, Select, Table, Text, TextInput } from '@mantine/core';
import { useInfiniteQuery, useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { listAudit, verifyAudit, type AuditFilter } from '../api/admin.ts';
import { formatInstant } from '../ui/format.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';

const OUTCOMES = ['success', 'refused', 'failed'] as const;
const COLOR = { success: 'teal', refused: 'yellow', failed: 'red' } as const;

export function AuditPage() {
  const { t, i18n } = useTranslation();
  const [filter, setFilter] = useState<AuditFilter>({});
  const set = (key: 'event' | 'principal' | 'studyUid', value: string) => {
    const { [key]: _old, ...rest } = filter;
    setFilter(value ? { ...rest, [key]: value } : rest);
  };
  const audit = useInfiniteQuery({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam }) => listAudit({ ...filter, ...(pageParam ? { before: pageParam } : {}) }),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next ?? undefined,
    placeholderData: (previous) => previous,
  });
  const verify = useMutation({ mutationFn: verifyAudit });
  return (
    <Page
      title={t('audit.title')}
      intro={t('audit.intro')}
      actions={
        <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
          {t('audit.verify')}
        </Button>
      }
    >
      <ProblemAlert error={verify.error ?? audit.error} />
      {verify.data ? (
        <Alert color={verify.data.ok ? 'teal' : 'red'} role="status" mb="md">
          {verify.data.ok
            ? t('audit.whole', { count: verify.data.rows })
            : t('audit.broken', { row: verify.data.brokenAt ?? 0 })}
        </Alert>
      ) : null}
      <Group mb="md" align="flex-end">
        <TextInput
          label={t('audit.event')}
          onChange={(event) => set('event', event.currentTarget.value.trim())}
        />
        <TextInput
          label={t('audit.who')}
          onChange={(event) => set('principal', event.currentTarget.value.trim())}
        />
        <TextInput
          label={t('audit.study')}
          onChange={(event) => set('studyUid', event.currentTarget.value.trim())}
        />
        <Select
          label={t('audit.outcome')}
          clearable
          data={OUTCOMES.map((value) => ({ value, label: t(`audit.outcomes.${value}`) }))}
          onChange={(value) => {
            const { outcome: _old, ...rest } = filter;
            const outcome = OUTCOMES.find((known) => known === value);
            setFilter(outcome ? { ...rest, outcome } : rest);
          }}
        />
      </Group>
      {audit.isPending ? <Loading /> : null}
      <Table.ScrollContainer minWidth={760}>
        <Table stickyHeader>
          <Table.Thead>
            <Table.Tr>
              {['at', 'event', 'outcome', 'who', 'from', 'details'].map((name) => (
                <Table.Th key={name}>{t(`audit.${name}`)}</Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {audit.data?.pages
              .flatMap(({ items }) => items)
              .map((row) => (
                <Table.Tr key={row.seq}>
                  <Table.Td>{formatInstant(row.at, i18n.language)}</Table.Td>
                  <Table.Td>{row.event}</Table.Td>
                  <Table.Td>
                    <Badge variant="light" color={COLOR[row.outcome]}>
                      {t(`audit.outcomes.${row.outcome}`)}
                    </Badge>
                  </Table.Td>
                  <Table.Td>{row.principalName || row.principalId}</Table.Td>
                  <Table.Td>{row.remoteAddress}</Table.Td>
                  <Table.Td>
                    <Text size="xs" style={{ wordBreak: 'break-all' }}>
                      {[
                        ...row.studyUids,
                        ...Object.entries(row.detail).map(([key, value]) => `${key}=${value}`),
                      ].join(' ')}
                    </Text>
                  </Table.Td>
                </Table.Tr>
              ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {audit.hasNextPage ? (
        <Button
          variant="default"
          loading={audit.isFetchingNextPage}
          onClick={() => void audit.fetchNextPage()}
        >
          {t('common.more')}
        </Button>
      ) : null}
    </Page>
  );
}
