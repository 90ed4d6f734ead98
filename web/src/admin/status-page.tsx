/** How the archive is: counts, room, the DICOM door. Layer: web/admin. */
import { Alert, Anchor, Paper, SimpleGrid, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { readStatus } from '../api/admin.ts';
import { formatBytes, formatDuration, formatNumber } from '../ui/format.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';

export function StatusPage() {
  const { t, i18n } = useTranslation();
  const query = useQuery({ queryKey: ['status'], queryFn: readStatus, refetchInterval: 10_000 });
  const status = query.data;
  const count = (value: number) => formatNumber(value, i18n.language);
  const facts: [string, string][] = status
    ? [
        ['version', status.version],
        ['uptime', formatDuration(status.uptimeSeconds)],
        ['studies', count(status.studies)],
        ['series', count(status.series)],
        ['instances', count(status.instances)],
        ['bytes', formatBytes(status.bytes, i18n.language)],
        ['free', formatBytes(status.freeBytes, i18n.language)],
        ['journal', formatBytes(status.journalBytes, i18n.language)],
        ['packed', formatBytes(status.packBytes, i18n.language)],
        ['packs', count(status.packs)],
        ['sealLag', formatDuration(status.sealLagSeconds)],
        ['quarantined', count(status.quarantined)],
        ['conflicts', count(status.conflicts)],
        ['dicom', `${status.dicom.aeTitle} : ${status.dicom.port}`],
        ['associations', count(status.dicom.associations)],
      ]
    : [];
  return (
    <Page title={t('status.title')}>
      <ProblemAlert error={query.error} onRetry={() => void query.refetch()} />
      {query.isPending ? <Loading /> : null}
      {status?.full ? <Alert color="red" title={t('status.full')} mb="md" /> : null}
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 4 }}>
        {facts.map(([key, value]) => (
          <Paper key={key} withBorder p="md">
            <Text size="sm" c="dimmed">
              {t(`status.${key}`)}
            </Text>
            <Text fz="xl" fw={600} style={{ overflowWrap: 'anywhere' }}>
              {value}
            </Text>
          </Paper>
        ))}
      </SimpleGrid>
      <Anchor href="/docs/conformance-statement" target="_blank" mt="md" display="inline-block">
        {t('status.statement')}
      </Anchor>
    </Page>
  );
}
