/** API keys: how machines come in over HTTP. A key is shown once. Layer: web/admin. */
import { Alert, Button, Code, Group, MultiSelect, NumberInput, Stack, Table, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Right } from '@lightbox/core/contract/api.ts';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { createKey, listKeys, removeKey } from '../api/admin.ts';
import { formatInstant } from '../ui/format.ts';
import { Page, ProblemAlert } from '../ui/page.tsx';

const KEY = ['keys'] as const;

export function KeysPage() {
  const { t, i18n } = useTranslation();
  const client = useQueryClient();
  const keys = useQuery({ queryKey: KEY, queryFn: listKeys });
  const renew = () => client.invalidateQueries({ queryKey: KEY });
  const remove = useMutation({ mutationFn: removeKey, onSuccess: renew });
  const at = (value: string | null) => (value ? formatInstant(value, i18n.language) : '–');
  return (
    <Page title={t('keys.title')} intro={t('keys.intro')}>
      <KeyForm onDone={renew} />
      <ProblemAlert error={keys.error ?? remove.error} />
      <Table.ScrollContainer minWidth={720}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              {['name', 'start', 'rights', 'created', 'expires', 'used'].map((name) => (
                <Table.Th key={name}>{t(`keys.${name}`)}</Table.Th>
              ))}
              <Table.Th />
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {keys.data?.map((key) => (
              <Table.Tr key={key.id}>
                <Table.Td>{key.name}</Table.Td>
                <Table.Td>
                  <Code>{key.start}…</Code>
                </Table.Td>
                <Table.Td>
                  {key.rights.map((right) => t(`right.${right.replace('.', '_')}`)).join(', ')}
                </Table.Td>
                <Table.Td>{at(key.createdAt)}</Table.Td>
                <Table.Td>{at(key.expiresAt)}</Table.Td>
                <Table.Td>{at(key.lastUsedAt)}</Table.Td>
                <Table.Td>
                  <Button
                    size="compact-sm"
                    color="red"
                    variant="subtle"
                    onClick={() => remove.mutate(key.id)}
                  >
                    {t('common.remove')}
                  </Button>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Page>
  );
}

function KeyForm({ onDone }: { onDone: () => Promise<void> }) {
  const { t } = useTranslation();
  const [name, setName] = useState('');
  const [rights, setRights] = useState<string[]>([]);
  const [days, setDays] = useState<number | string>(365);
  const create = useMutation({
    mutationFn: () =>
      createKey({
        name,
        rights: Right.options.filter((right) => rights.includes(right)),
        expiresInDays: typeof days === 'number' ? days : null,
      }),
    onSuccess: onDone,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <Stack mb="lg">
      <form onSubmit={submit}>
        <Group align="flex-end">
          <TextInput
            label={t('keys.name')}
            required
            maxLength={100}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <MultiSelect
            label={t('keys.rights')}
            miw={260}
            data={Right.options.map((right) => ({
              value: right,
              label: t(`right.${right.replace('.', '_')}`),
            }))}
            value={rights}
            onChange={setRights}
          />
          <NumberInput label={t('keys.days')} min={1} max={3650} value={days} onChange={setDays} />
          <Button type="submit" loading={create.isPending} disabled={!rights.length}>
            {t('keys.create')}
          </Button>
        </Group>
      </form>
      <ProblemAlert error={create.error} />
      {create.data ? (
        <Alert color="teal" title={t('keys.once')}>
          <Code block>{create.data.key}</Code>
        </Alert>
      ) : null}
    </Stack>
  );
}
