/** Every version of the rules: who changed what when, what differs, and back to one. Layer: web/admin. */
import { Badge, Button, Group, Stack, Table, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { diffRules } from '@lightbox/core/translate/rules/diff.ts';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { fileOf, listVersions, readVersion, restoreVersion, type Version } from '../api/rules.ts';
import { formatInstant } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';

export function RuleVersions({ inForce, onRestored }: { inForce: number; onRestored: () => Promise<void> }) {
  const { t, i18n } = useTranslation();
  const [shown, setShown] = useState<number>();
  const versions = useQuery({ queryKey: ['rules-versions', inForce], queryFn: listVersions });
  const restore = useMutation({ mutationFn: restoreVersion, onSuccess: onRestored });
  const rows = versions.data ?? [];
  const before = (row: Version): number | undefined => rows[rows.indexOf(row) + 1]?.id;
  return (
    <>
      <ProblemAlert error={versions.error ?? restore.error} onRetry={() => void versions.refetch()} />
      {versions.isPending ? <Loading /> : null}
      {versions.data && rows.length === 0 ? <Text c="dimmed">{t('rules.versions.none')}</Text> : null}
      <Stack>
        {rows.map((row) => (
          <div key={row.id} data-testid="rules-version" data-version={row.id}>
            <Group>
              <Text fw={700}>{t('rules.versions.version', { id: row.id })}</Text>
              {row.id === inForce ? (
                <Badge tt="none" color="green" variant="light">
                  {t('rules.versions.inForce')}
                </Badge>
              ) : null}
              <Text size="sm" flex={1}>
                {formatInstant(row.at, i18n.language)} · {row.author} ·{' '}
                {t('rules.versions.rules', { count: row.rules })}
                {row.comment ? ` · ${row.comment}` : ''}
              </Text>
              <Button
                size="compact-sm"
                variant="default"
                aria-expanded={shown === row.id}
                onClick={() => setShown(shown === row.id ? undefined : row.id)}
              >
                {t('rules.versions.diff')}
              </Button>
              {row.id === inForce ? null : (
                <Button
                  size="compact-sm"
                  variant="default"
                  loading={restore.isPending && restore.variables === row.id}
                  onClick={() => restore.mutate(row.id)}
                >
                  {t('rules.versions.restore')}
                </Button>
              )}
            </Group>
            {shown === row.id ? <Difference from={before(row)} to={row.id} /> : null}
          </div>
        ))}
      </Stack>
    </>
  );
}

function Difference({ from, to }: { from: number | undefined; to: number }) {
  const { t } = useTranslation();
  const both = useQuery({
    queryKey: ['rules-diff', from, to],
    queryFn: async () => {
      const [old, now] = await Promise.all([
        from === undefined ? undefined : readVersion(from),
        readVersion(to),
      ]);
      return diffRules(old ? fileOf(old.file) : { version: 1, rules: [] }, fileOf(now.file));
    },
    staleTime: Infinity,
  });
  if (both.error) return <ProblemAlert error={both.error} />;
  if (!both.data) return <Loading />;
  if (both.data.length === 0) return <Text size="sm">{t('rules.versions.same')}</Text>;
  return (
    <Table mt="xs" withTableBorder>
      <Table.Tbody>
        {both.data.map(({ rule, change, fields }) => (
          <Table.Tr key={rule} data-testid="rules-change" data-change={change}>
            <Table.Td fw={700}>{rule}</Table.Td>
            <Table.Td>{t(`rules.versions.changes.${change}`)}</Table.Td>
            <Table.Td>
              {fields.map(({ path, before, after }) => (
                <Text key={path} size="sm" ff="monospace">
                  {path}: {before ?? '∅'} → {after ?? '∅'}
                </Text>
              ))}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
