/** The frame around every page: the session decides what is drawn; bar, uploads, lock. Layer: web/app. */
import { ActionIcon, Menu, useMantineColorScheme } from '@mantine/core';
import { IconMenu2, IconMoon, IconSun, IconUser } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { useEffect, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { live } from '../api/live.ts';
import { signOut } from '../api/session.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';
import { UploadArea } from '../worklist/upload-area.tsx';
import { LockGuard } from './lock.tsx';
import { SessionProvider, useSession, useSessionQuery } from './session.tsx';

export function Root() {
  const session = useSessionQuery();
  if (session.data)
    return (
      <SessionProvider value={session.data}>
        <Outlet />
      </SessionProvider>
    );
  if (session.error) return <ProblemAlert error={session.error} onRetry={() => void session.refetch()} />;
  return <Loading />;
}

/** What people open all day, by right: always in sight. */
const DAILY = [
  { to: '/', key: 'studies', right: 'study.search' },
  { to: '/import', key: 'import', right: 'study.store' },
  { to: '/archives', key: 'archives', right: 'remote.search' },
  { to: '/transfers', key: 'transfers', right: 'transfer.manage' },
  { to: '/tasks', key: 'tasks', right: 'workitem.view' },
] as const;

/** What administrators look after: in a menu, so that the bar fits a small screen in every language. */
const MANAGED = [
  { to: '/devices', key: 'devices', right: 'device.read' },
  { to: '/rules', key: 'rules', right: 'settings.manage' },
  { to: '/certificates', key: 'certificates', right: 'settings.manage' },
  { to: '/people', key: 'people', right: 'user.manage' },
  { to: '/keys', key: 'keys', right: 'apikey.manage' },
  { to: '/quarantine', key: 'quarantine', right: 'quarantine.read' },
  { to: '/commitments', key: 'commitments', right: 'device.read' },
  { to: '/audit', key: 'audit', right: 'audit.read' },
  { to: '/status', key: 'status', right: 'settings.manage' },
] as const;

export function SignedIn() {
  const { t } = useTranslation();
  const session = useSession();
  const { pathname } = useLocation();
  const signedIn = session.user !== null;
  const locked = session.locked;
  const navigate = useNavigate();
  useEffect(() => {
    if (!signedIn || locked) return undefined;
    live.start();
    return () => live.stop();
  }, [signedIn, locked]);
  const door = session.setupRequired ? '/setup' : '/sign-in';
  useEffect(() => {
    if (!signedIn) void navigate({ to: door, replace: true });
  }, [signedIn, door, navigate]);
  if (!session.user) return <Loading />;
  const inViewer = pathname.startsWith('/viewer/');
  return (
    <LockGuard>
      <a className="skip" href="#main">
        {t('nav.skip')}
      </a>
      {/* What is dropped on the import page waits for a decision: it must not go into the archive at once. */}
      <UploadArea enabled={session.user.rights.includes('study.store') && pathname !== '/import'}>
        <div className="shell">
          {inViewer ? null : <Bar />}
          <div className="content">
            <Outlet />
          </div>
        </div>
      </UploadArea>
    </LockGuard>
  );
}

function Bar() {
  const { t } = useTranslation();
  const { user } = useSession();
  const { pathname } = useLocation();
  const daily = DAILY.filter(({ right }) => user?.rights.includes(right));
  const managed = MANAGED.filter(({ right }) => user?.rights.includes(right));
  const item = ({ to, key }: (typeof daily)[number] | (typeof managed)[number]) => (
    <Menu.Item key={key} component={Link} to={to} aria-current={pathname === to ? 'page' : undefined}>
      {t(`nav.${key}`)}
    </Menu.Item>
  );
  return (
    <header className="bar">
      <Link to="/" className="brand">
        <span className="brand-mark" aria-hidden /> Lightbox
      </Link>
      <nav className="wide-only" aria-label={t('nav.label')} style={{ display: 'flex', overflow: 'hidden' }}>
        {daily.map(({ to, key }) => (
          <Link key={key} to={to} className="nav" activeOptions={{ exact: true }}>
            {t(`nav.${key}`)}
          </Link>
        ))}
        {managed.length > 0 ? (
          <Menu position="bottom-start">
            <Menu.Target>
              <button
                type="button"
                className="nav"
                data-status={managed.some(({ to }) => to === pathname) ? 'active' : undefined}
              >
                {t('nav.manage')}
              </button>
            </Menu.Target>
            <Menu.Dropdown>{managed.map(item)}</Menu.Dropdown>
          </Menu>
        ) : null}
      </nav>
      <div style={{ flex: 1 }} />
      <LiveStatus />
      <div className="narrow-only">
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('nav.label')}>
              <IconMenu2 />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {daily.map(item)}
            {managed.length > 0 ? <Menu.Label>{t('nav.manage')}</Menu.Label> : null}
            {managed.map(item)}
          </Menu.Dropdown>
        </Menu>
      </div>
      <PersonMenu />
    </header>
  );
}

function LiveStatus() {
  const { t } = useTranslation();
  const state = useSyncExternalStore(live.onState, () => live.state);
  return (
    <span
      data-testid="live-status"
      data-state={state}
      role="status"
      title={t(`live.${state}`)}
      aria-label={t(`live.${state}`)}
      style={{ padding: '0 8px' }}
    >
      <span className="live-dot" data-state={state} aria-hidden />
    </span>
  );
}

function PersonMenu() {
  const { t } = useTranslation();
  const { user } = useSession();
  const client = useQueryClient();
  const navigate = useNavigate();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const leave = async () => {
    // Even when the server does not answer, nothing of a patient stays on the screen or in memory.
    await signOut().catch(() => undefined);
    await navigate({ to: '/sign-in' });
    client.clear();
    window.location.reload();
  };
  const dark = colorScheme !== 'light';
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('nav.person')}>
          <IconUser />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{user?.name}</Menu.Label>
        <Menu.Item component={Link} to="/account">
          {t('nav.account')}
        </Menu.Item>
        <Menu.Item
          leftSection={dark ? <IconSun size={16} /> : <IconMoon size={16} />}
          onClick={() => setColorScheme(dark ? 'light' : 'dark')}
        >
          {dark ? t('nav.light') : t('nav.dark')}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item onClick={() => void leave()}>{t('nav.signOut')}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
