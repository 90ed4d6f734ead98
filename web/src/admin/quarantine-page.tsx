/** What could not be understood: kept, and shown to a person. Layer: web/admin. */
import { Anchor, Table, Text } from '@mantine/core';
import { IconShieldCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { listQuarantine } from '../api/admin.ts';
import { formatBytes, formatInstant } from '../ui/format.ts';
import { Empty, Loading, Page, ProblemAlert } from '../ui/page.tsx';

export function QuarantinePage() {
  const { t, i18n } = useTranslation();
  const items = useQuery({ queryKey: ['quarantine'], queryFn: listQuarantine });
  return (
    <Page title={t('quarantine.title')} intro={t('quarantine.intro')}>
      <ProblemAlert error={items.error} onRetry={() => void items.refetch()} />
      {items.isPending ? <Loading /> : null}
      {items.data && !items.data.length ? (
        <Empty icon={<IconShieldCheck size={48} />} title={t('quarantine.none')} />
      ) : null}
      {items.data?.length ? (
        <Table.ScrollContainer minWidth={720}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                {['received', 'source', 'by', 'size', 'reason', 'file'].map((name) => (
                  <Table.Th key={name}>{t(`quarantine.${name}`)}</Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.data.map((item) => (
                <Table.Tr key={item.id}>
                  <Table.Td>{formatInstant(item.receivedAt, i18n.language)}</Table.Td>
                  <Table.Td>{item.source}</Table.Td>
                  <Table.Td>{item.by}</Table.Td>
                  <Table.Td>{formatBytes(item.bytes, i18n.language)}</Table.Td>
                  <Table.Td>
                    {item.message}
                    <Text size="xs" c="dimmed">
                      {item.code}
                    </Text>
                  </Table.Td>
                  <Table.Td>
                    <Anchor href={`/api/quarantine/${encodeURIComponent(item.id)}/file`} download>
                      {t('quarantine.download')}
                    </Anchor>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
    </Page>
  );
}
