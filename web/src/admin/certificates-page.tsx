/** Certificates: what Lightbox presents on DICOM connections, whom it trusts, and certificates for devices. Layer: web/admin. */
import { Alert, Anchor, Badge, Button, Code, Group, Stack, Table, Text, Title } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import {
  certificateFile,
  listCertificates,
  makeAuthority,
  removeCertificate,
  type CertificateRow,
} from '../api/certificates.ts';
import { formatInstant } from '../ui/format.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';
import { GiveOwnForm, IssueForm, MakeOwnForm, TrustForm } from './certificate-forms.tsx';

const DAY_MS = 86_400_000;
/** Long enough to get one from an authority of the house. */
const WARN_DAYS = 30;

export function CertificatesPage() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const query = useQuery({ queryKey: ['certificates'], queryFn: listCertificates });
  const renew = () => client.invalidateQueries({ queryKey: ['certificates'] });
  const authority = useMutation({ mutationFn: makeAuthority, onSuccess: renew });
  const remove = useMutation({ mutationFn: removeCertificate, onSuccess: renew });
  const all = query.data?.certificates ?? [];
  const of = (role: CertificateRow['role']) => all.filter((one) => one.role === role);
  const hasAuthority = of('authority').length > 0;
  return (
    <Page title={t('certificates.title')} intro={t('certificates.intro')}>
      <ProblemAlert
        error={query.error ?? authority.error ?? remove.error}
        onRetry={() => {
          authority.reset();
          remove.reset();
          void renew();
        }}
      />
      {query.isPending ? <Loading /> : null}
      {query.data ? <Listener {...query.data.listener} /> : null}
      <Expiring rows={all} />
      <Section title={t('certificates.own')} intro={t('certificates.ownIntro')}>
        <CertificateTable rows={of('own')} onRemove={remove.mutate} />
        <MakeOwnForm onDone={renew} />
        <GiveOwnForm onDone={renew} />
      </Section>
      <Section title={t('certificates.trusted')} intro={t('certificates.trustedIntro')}>
        <CertificateTable rows={of('trusted')} onRemove={remove.mutate} />
        <TrustForm onDone={renew} />
      </Section>
      <Section title={t('certificates.authority')} intro={t('certificates.authorityIntro')}>
        <CertificateTable rows={of('authority')} />
        <NewAuthority exists={hasAuthority} pending={authority.isPending} onMake={() => authority.mutate()} />
        {hasAuthority ? <IssueForm /> : null}
      </Section>
    </Page>
  );
}

function Section({ title, intro, children }: { title: string; intro: string; children: ReactNode }) {
  return (
    <Stack component="section" mb="xl" gap="sm">
      <Title order={2} fz="h3">
        {title}
      </Title>
      <Text c="dimmed" maw={760}>
        {intro}
      </Text>
      {children}
    </Stack>
  );
}

function Listener({ port, off, clients }: { port: number | null; off: boolean; clients: string }) {
  const { t } = useTranslation();
  if (port !== null)
    return (
      <Alert color="teal" mb="md" data-testid="tls-listening">
        {t('certificates.listening', { port })} {t(`certificates.clients.${clients}`)}
      </Alert>
    );
  return (
    <Alert color="yellow" mb="md">
      {t(off ? 'certificates.off' : 'certificates.silent')}
    </Alert>
  );
}

const daysLeft = (row: CertificateRow): number =>
  Math.floor((new Date(row.notAfter).getTime() - Date.now()) / DAY_MS);

function Expiring({ rows }: { rows: readonly CertificateRow[] }) {
  const { t } = useTranslation();
  const soon = rows.filter((row) => daysLeft(row) < WARN_DAYS);
  if (!soon.length) return null;
  return (
    <Alert color="red" mb="md" title={t('certificates.expiring')}>
      {soon.map((row) => (
        <Text key={row.id} size="sm">
          {row.label}:{' '}
          {daysLeft(row) < 0
            ? t('certificates.expired')
            : t('certificates.daysLeft', { count: daysLeft(row) })}
        </Text>
      ))}
    </Alert>
  );
}

function CertificateTable(props: { rows: readonly CertificateRow[]; onRemove?: (id: string) => void }) {
  const { t, i18n } = useTranslation();
  if (!props.rows.length) return <Text c="dimmed">{t('certificates.none')}</Text>;
  return (
    <Table.ScrollContainer minWidth={720}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {['label', 'subject', 'notAfter', 'fingerprint'].map((name) => (
              <Table.Th key={name}>{t(`certificates.${name}`)}</Table.Th>
            ))}
            <Table.Th>
              <span className="visually-hidden">{t('common.actions')}</span>
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {props.rows.map((row) => (
            <Table.Tr key={row.id} data-testid={`certificate-${row.role}`}>
              <Table.Td>
                {row.label} {row.aeTitle ? <Badge tt="none">{row.aeTitle}</Badge> : null}
              </Table.Td>
              <Table.Td>
                {row.subject}
                <Text size="sm" c="dimmed">
                  {t('certificates.by', { issuer: row.issuer })}
                </Text>
              </Table.Td>
              <Table.Td>{formatInstant(row.notAfter, i18n.language)}</Table.Td>
              <Table.Td>
                <Code style={{ overflowWrap: 'anywhere' }}>
                  {row.fingerprint.match(/.{1,4}/g)?.join(' ')}
                </Code>
              </Table.Td>
              <Table.Td>
                <Group gap="xs" wrap="nowrap" justify="flex-end">
                  <Anchor href={certificateFile(row.id)} download aria-label={t('certificates.download')}>
                    <IconDownload size={18} />
                  </Anchor>
                  {props.onRemove ? (
                    <Removal label={row.label} onRemove={() => props.onRemove?.(row.id)} />
                  ) : null}
                </Group>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

/** Twice: devices may stand still afterwards. */
function Removal({ label, onRemove }: { label: string; onRemove: () => void }) {
  const { t } = useTranslation();
  const [asked, setAsked] = useState(false);
  return (
    <Button
      size="compact-sm"
      color="red"
      variant={asked ? 'filled' : 'subtle'}
      aria-label={`${t(asked ? 'certificates.removeSure' : 'common.remove')}: ${label}`}
      onBlur={() => setAsked(false)}
      onClick={() => (asked ? onRemove() : setAsked(true))}
    >
      {t(asked ? 'certificates.removeSure' : 'common.remove')}
    </Button>
  );
}

function NewAuthority(props: { exists: boolean; pending: boolean; onMake: () => void }) {
  const { t } = useTranslation();
  const [asked, setAsked] = useState(false);
  const sure = asked || !props.exists;
  return (
    <Group>
      <Button
        variant="default"
        loading={props.pending}
        onClick={() => {
          setAsked(!sure);
          if (sure) props.onMake();
        }}
      >
        {t(props.exists ? 'certificates.newAuthority' : 'certificates.makeAuthority')}
      </Button>
      {asked ? <Text size="sm">{t('certificates.newAuthoritySure')}</Text> : null}
    </Group>
  );
}
