/** One's own account: password, one-time codes, language. Layer: web/app. */
import {
  Alert,
  Anchor,
  Button,
  Code,
  Group,
  Paper,
  PasswordInput,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { renderSVG } from 'uqr';
import { changePassword, disableTwoFactor, enableTwoFactor, verifyCode } from '../api/session.ts';
import { Page, ProblemAlert } from '../ui/page.tsx';
import { chooseLanguage, LANGUAGES } from './i18n.ts';
import { SESSION_KEY, useSession } from './session.tsx';

export function AccountPage() {
  const { t, i18n } = useTranslation();
  const { user } = useSession();
  return (
    <Page title={t('account.title')} intro={`${user?.name ?? ''} · ${user?.email ?? ''}`}>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <PasswordCard />
        <CodesCard enabled={user?.twoFactor ?? false} />
        <Paper withBorder p="md">
          <Select
            label={t('account.language')}
            allowDeselect={false}
            data={LANGUAGES.map(({ code, name }) => ({ value: code, label: name }))}
            value={i18n.language}
            onChange={(value) => {
              const language = LANGUAGES.find(({ code }) => code === value);
              if (language) void chooseLanguage(language.code);
            }}
          />
        </Paper>
      </SimpleGrid>
    </Page>
  );
}

function Card(props: { title: string; onSubmit: () => void; children: ReactNode }) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    props.onSubmit();
  };
  return (
    <Paper component="form" withBorder p="md" onSubmit={submit}>
      <Stack>
        <Title order={2} fz="h4">
          {props.title}
        </Title>
        {props.children}
      </Stack>
    </Paper>
  );
}

function Password(props: {
  label: string;
  fresh?: boolean;
  value: string;
  onChange: (value: string) => void;
}) {
  const { t } = useTranslation();
  return (
    <PasswordInput
      label={props.label}
      required
      autoComplete={props.fresh ? 'new-password' : 'current-password'}
      {...(props.fresh ? { minLength: 12, description: t('field.passwordHint', { count: 12 }) } : {})}
      maxLength={200}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
      visibilityToggleButtonProps={{ 'aria-label': t('field.showPassword') }}
    />
  );
}

function PasswordCard() {
  const { t } = useTranslation();
  const [old, setOld] = useState('');
  const [fresh, setFresh] = useState('');
  const change = useMutation({
    mutationFn: () => changePassword(old, fresh),
    onSuccess: () => {
      setOld('');
      setFresh('');
    },
  });
  return (
    <Card title={t('account.password')} onSubmit={() => change.mutate()}>
      <Password label={t('account.oldPassword')} value={old} onChange={setOld} />
      <Password label={t('account.newPassword')} fresh value={fresh} onChange={setFresh} />
      <ProblemAlert error={change.error} />
      {change.isSuccess ? <Alert color="teal">{t('account.passwordChanged')}</Alert> : null}
      <Button type="submit" loading={change.isPending}>
        {t('common.save')}
      </Button>
    </Card>
  );
}

function CodesCard({ enabled }: { enabled: boolean }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const begin = useMutation({ mutationFn: () => enableTwoFactor(password) });
  const finish = useMutation({
    mutationFn: async () => {
      if (enabled) await disableTwoFactor(password);
      else await verifyCode(code.replace(/\s/g, ''));
      setPassword('');
      setCode('');
      begin.reset();
      await client.refetchQueries({ queryKey: SESSION_KEY });
    },
  });
  const started = begin.data;
  return (
    <Card title={t('account.codes')} onSubmit={() => (enabled || started ? finish.mutate() : begin.mutate())}>
      <Text c="dimmed">{enabled ? t('account.codesOn') : t('account.codesOff')}</Text>
      {started && !enabled ? (
        <>
          <img
            alt={t('account.qr')}
            width={200}
            height={200}
            src={`data:image/svg+xml,${encodeURIComponent(renderSVG(started.totpURI, { border: 2 }))}`}
          />
          <Text size="sm">
            <Anchor href={started.totpURI}>{t('account.openApp')}</Anchor>{' '}
            <Code>{new URL(started.totpURI).searchParams.get('secret')}</Code>
          </Text>
          <Text size="sm">{t('account.backup')}</Text>
          <Code block>{started.backupCodes.join('\n')}</Code>
          <TextInput
            label={t('signIn.code')}
            required
            inputMode="numeric"
            autoComplete="one-time-code"
            value={code}
            onChange={(event) => setCode(event.currentTarget.value)}
          />
        </>
      ) : (
        <Password label={t('field.password')} value={password} onChange={setPassword} />
      )}
      <ProblemAlert error={begin.error ?? finish.error} />
      <Group>
        <Button type="submit" color={enabled ? 'red' : 'beam'} loading={begin.isPending || finish.isPending}>
          {enabled ? t('account.disable') : started ? t('signIn.verify') : t('account.enable')}
        </Button>
      </Group>
    </Card>
  );
}
