/** People: who may come in, with which roles; invitations. Layer: web/admin. */
import {
  Alert,
  Badge,
  Button,
  Code,
  Group,
  MultiSelect,
  Stack,
  Switch,
  Table,
  TextInput,
} from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Role } from '@lightbox/core/contract/api.ts';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { changePerson, invite, listPeople, type Person } from '../api/admin.ts';
import { formatInstant } from '../ui/format.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';

const KEY = ['people'] as const;

function useRoles() {
  const { t } = useTranslation();
  return Role.options.map((role) => ({ value: role, label: t(`role.${role}`) }));
}
const asRoles = (values: readonly string[]) => Role.options.filter((role) => values.includes(role));

export function PeoplePage() {
  const { t } = useTranslation();
  const people = useQuery({ queryKey: KEY, queryFn: listPeople });
  return (
    <Page title={t('people.title')} intro={t('people.intro')}>
      <InviteForm />
      <ProblemAlert error={people.error} onRetry={() => void people.refetch()} />
      {people.isPending ? <Loading /> : null}
      <Table.ScrollContainer minWidth={720}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('field.name')}</Table.Th>
              <Table.Th>{t('field.email')}</Table.Th>
              <Table.Th>{t('people.roles')}</Table.Th>
              <Table.Th>{t('people.lastSeen')}</Table.Th>
              <Table.Th>{t('people.active')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {people.data?.map((person) => (
              <PersonLine key={person.id} person={person} />
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Page>
  );
}

function PersonLine({ person }: { person: Person }) {
  const { t, i18n } = useTranslation();
  const client = useQueryClient();
  const roles = useRoles();
  const change = useMutation({
    mutationFn: (patch: Parameters<typeof changePerson>[1]) => changePerson(person.id, patch),
    onSettled: () => client.invalidateQueries({ queryKey: KEY }),
  });
  return (
    <Table.Tr>
      <Table.Td>
        {person.name} {person.twoFactor ? <Badge variant="light">TOTP</Badge> : null}
        <ProblemAlert error={change.error} />
      </Table.Td>
      <Table.Td>{person.email}</Table.Td>
      <Table.Td>
        <MultiSelect
          aria-label={t('people.roles')}
          data={roles}
          value={person.roles}
          onChange={(value) => (value.length ? change.mutate({ roles: asRoles(value) }) : undefined)}
        />
      </Table.Td>
      <Table.Td>{person.lastSeenAt ? formatInstant(person.lastSeenAt, i18n.language) : '–'}</Table.Td>
      <Table.Td>
        <Switch
          aria-label={t('people.active')}
          checked={person.active}
          onChange={(event) => change.mutate({ active: event.currentTarget.checked })}
        />
      </Table.Td>
    </Table.Tr>
  );
}

function InviteForm() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const options = useRoles();
  const [name, setName] = useState('');
  const [email, setEmail] = useState('');
  const [roles, setRoles] = useState<string[]>([]);
  const go = useMutation({
    mutationFn: () => invite({ name, email, roles: asRoles(roles) }),
    onSuccess: async () => {
      setName('');
      setEmail('');
      await client.invalidateQueries({ queryKey: KEY });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    go.mutate();
  };
  return (
    <Stack mb="lg">
      <Group component="form" align="flex-end" onSubmit={submit as never} data-testid="invite-person-form">
        <TextInput
          label={t('field.name')}
          required
          maxLength={200}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <TextInput
          label={t('field.email')}
          type="email"
          required
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <MultiSelect label={t('people.roles')} miw={200} data={options} value={roles} onChange={setRoles} />
        <Button type="submit" loading={go.isPending} disabled={!roles.length}>
          {t('people.invite')}
        </Button>
      </Group>
      <ProblemAlert error={go.error} />
      {go.data ? (
        <Alert color="teal" title={t('people.link', { name: go.data.user.name })}>
          <Code block data-testid="invitation-link">
            {go.data.link}
          </Code>
        </Alert>
      ) : null}
    </Stack>
  );
}
