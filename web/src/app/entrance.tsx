/** The ways in: first administrator, sign-in with password and one-time code, invitation. Layer: web/app. */
import {
  Alert,
  Box,
  Button,
  Center,
  Paper,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState, type FormEvent, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { acceptInvitation, setUp, signIn, verifyCode } from '../api/session.ts';
import { ProblemAlert, usePageTitle } from '../ui/page.tsx';
import { useSession } from './session.tsx';

const PASSWORD_MIN = 12;

/** The token of the link; a fragment never leaves the browser, so it is in no log. */
const fragment = (): string => decodeURIComponent(window.location.hash.replace(/^#/, ''));

function Door(props: {
  title: string;
  intro?: string;
  testId: string;
  onSubmit: () => void;
  children: ReactNode;
}) {
  usePageTitle(props.title);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    props.onSubmit();
  };
  return (
    <Center component="main" mih="100dvh" p="md">
      <Box w="100%" maw={420}>
        <Text ta="center" fz={32} fw={700} mb="lg">
          <span className="brand-mark" aria-hidden /> Lightbox
        </Text>
        <Paper component="form" p="xl" withBorder data-testid={props.testId} onSubmit={submit}>
          <Stack>
            <Title order={1} fz="h3">
              {props.title}
            </Title>
            {props.intro ? <Text c="dimmed">{props.intro}</Text> : null}
            {props.children}
          </Stack>
        </Paper>
      </Box>
    </Center>
  );
}

/** After a door was passed: in by a fresh page, so that nothing of whoever was here before stays in memory. */
function enter(): void {
  window.location.assign('/');
}

export function SetupPage() {
  const { t } = useTranslation();
  const session = useSession();
  const [token] = useState(fragment);
  const [name, setName] = useState('');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const create = useMutation({
    mutationFn: async () => {
      await setUp({ token, name, email, password });
      await signIn(email, password);
      enter();
    },
  });
  return (
    <Door
      title={t('setup.title')}
      intro={t('setup.intro')}
      testId="setup-form"
      onSubmit={() => create.mutate()}
    >
      {!session.setupRequired ? <Alert color="yellow">{t('setup.done')}</Alert> : null}
      {!token ? <Alert color="yellow">{t('setup.noToken')}</Alert> : null}
      <TextInput
        label={t('field.name')}
        name="name"
        autoComplete="name"
        required
        maxLength={200}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <EmailInput value={email} onChange={setEmail} />
      <NewPassword value={password} onChange={setPassword} />
      <ProblemAlert error={create.error} />
      <Button type="submit" loading={create.isPending} disabled={!token}>
        {t('setup.create')}
      </Button>
    </Door>
  );
}

export function SignInPage() {
  const { t } = useTranslation();
  const session = useSession();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [codeNeeded, setCodeNeeded] = useState(false);
  const go = useMutation({
    mutationFn: async () => {
      if (codeNeeded) await verifyCode(code.replace(/\s/g, ''));
      else if ((await signIn(email, password)).codeNeeded) {
        setCodeNeeded(true);
        return;
      }
      enter();
    },
  });
  return (
    <Door title={t('signIn.title')} testId="sign-in-form" onSubmit={() => go.mutate()}>
      {session.setupRequired ? <Alert color="yellow">{t('signIn.setupFirst')}</Alert> : null}
      {codeNeeded ? (
        <TextInput
          key="code"
          label={t('signIn.code')}
          description={t('signIn.codeHint')}
          name="code"
          autoComplete="one-time-code"
          inputMode="numeric"
          autoFocus
          required
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
      ) : (
        <>
          <EmailInput value={email} onChange={setEmail} autoFocus />
          <PasswordInput
            label={t('field.password')}
            name="password"
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            visibilityToggleButtonProps={{ 'aria-label': t('field.showPassword') }}
          />
        </>
      )}
      <ProblemAlert error={go.error} />
      <Button type="submit" loading={go.isPending}>
        {codeNeeded ? t('signIn.verify') : t('signIn.submit')}
      </Button>
      {codeNeeded ? (
        <Button variant="subtle" onClick={() => setCodeNeeded(false)}>
          {t('common.back')}
        </Button>
      ) : null}
    </Door>
  );
}

export function InvitePage() {
  const { t } = useTranslation();
  const [token] = useState(fragment);
  const [password, setPassword] = useState('');
  const accept = useMutation({
    mutationFn: async () => {
      await acceptInvitation({ token, password });
      window.location.assign('/sign-in');
    },
  });
  return (
    <Door
      title={t('invite.title')}
      intro={t('invite.intro')}
      testId="invite-form"
      onSubmit={() => accept.mutate()}
    >
      {!token ? <Alert color="yellow">{t('problem.INVITATION_INVALID')}</Alert> : null}
      <NewPassword value={password} onChange={setPassword} />
      <ProblemAlert error={accept.error} />
      <Button type="submit" loading={accept.isPending} disabled={!token}>
        {t('invite.submit')}
      </Button>
    </Door>
  );
}

function EmailInput(props: { value: string; onChange: (value: string) => void; autoFocus?: boolean }) {
  const { t } = useTranslation();
  return (
    <TextInput
      label={t('field.email')}
      name="email"
      type="email"
      autoComplete="username"
      required
      autoFocus={props.autoFocus ?? false}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
    />
  );
}

function NewPassword(props: { value: string; onChange: (value: string) => void }) {
  const { t } = useTranslation();
  return (
    <PasswordInput
      label={t('field.password')}
      description={t('field.passwordHint', { count: PASSWORD_MIN })}
      name="password"
      autoComplete="new-password"
      required
      minLength={PASSWORD_MIN}
      maxLength={200}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
      visibilityToggleButtonProps={{ 'aria-label': t('field.showPassword') }}
    />
  );
}
