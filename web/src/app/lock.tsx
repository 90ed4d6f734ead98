/**
 * The idle lock: after a time without activity the content is taken off the screen until the password is entered.
 *
 * Source: 45 CFR 164.312(a)(2)(iii) automatic logoff. Layer: web/app.
 */
import { Button, Center, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState, type FormEvent, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { SESSION_EVENT } from '../api/client.ts';
import { readSession, signOut, unlock } from '../api/session.ts';
import { ProblemAlert, usePageTitle } from '../ui/page.tsx';
import { SESSION_KEY, useSession } from './session.tsx';

const ACTIVITY = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'] as const;
/** How often the clock is looked at: a lock may come this much late. */
const CHECK_MS = 1000;
/** The server keeps its own idle clock; while a person works without requests it is told this often at most. */
const TELL_MS = 30_000;

export function LockGuard({ children }: { children: ReactNode }) {
  const session = useSession();
  const [locked, setLocked] = useState(session.locked);
  const idleMs = session.idleLockSeconds * 1000;
  useEffect(() => {
    if (locked) {
      window.dispatchEvent(new Event('lightbox:lock'));
      return undefined;
    }
    let last = Date.now();
    let told = last;
    const active = () => {
      last = Date.now();
    };
    const check = () => {
      if (Date.now() - last >= idleMs) setLocked(true);
      else if (last > told && Date.now() - told > Math.min(TELL_MS, idleMs / 3)) {
        told = Date.now();
        readSession().then(
          (answer) => (answer.locked ? setLocked(true) : undefined),
          () => undefined,
        );
      }
    };
    const onSession = (event: Event) => {
      if ((event as CustomEvent<number>).detail === 423) setLocked(true);
    };
    for (const name of ACTIVITY) window.addEventListener(name, active, { passive: true, capture: true });
    window.addEventListener(SESSION_EVENT, onSession);
    const timer = setInterval(check, CHECK_MS);
    return () => {
      clearInterval(timer);
      for (const name of ACTIVITY) window.removeEventListener(name, active, { capture: true });
      window.removeEventListener(SESSION_EVENT, onSession);
    };
  }, [locked, idleMs]);
  // Unmounting is the blanking: no pixel or name stays in the page behind the lock.
  return locked ? <LockScreen onUnlocked={() => setLocked(false)} /> : children;
}

function LockScreen({ onUnlocked }: { onUnlocked: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { user } = useSession();
  const [password, setPassword] = useState('');
  usePageTitle(t('lock.title'));
  const open = useMutation({
    mutationFn: async () => {
      await unlock(password);
      await client.refetchQueries({ queryKey: SESSION_KEY });
      onUnlocked();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    open.mutate();
  };
  const leave = async () => {
    await signOut().catch(() => undefined);
    window.location.assign('/sign-in');
  };
  return (
    <Center component="main" mih="100dvh" p="md">
      <Paper component="form" p="xl" withBorder w="100%" maw={420} data-testid="lock-form" onSubmit={submit}>
        <Stack>
          <Title order={1} fz="h3">
            {t('lock.title')}
          </Title>
          <Text c="dimmed">{t('lock.intro', { name: user?.name ?? '' })}</Text>
          <PasswordInput
            label={t('field.password')}
            autoComplete="current-password"
            name="password"
            required
            autoFocus
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            visibilityToggleButtonProps={{ 'aria-label': t('field.showPassword') }}
          />
          <ProblemAlert error={open.error} />
          <Button type="submit" loading={open.isPending}>
            {t('lock.open')}
          </Button>
          <Button variant="subtle" onClick={() => void leave()}>
            {t('nav.signOut')}
          </Button>
        </Stack>
      </Paper>
    </Center>
  );
}
