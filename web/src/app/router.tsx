/** All addresses of the web. The viewer and the administration load when they are opened. Layer: web/app. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router';
import { Loading } from '../ui/page.tsx';
import { StudyListPage } from '../worklist/study-list-page.tsx';
import { InvitePage, SetupPage, SignInPage } from './entrance.tsx';
import { useSession } from './session.tsx';
import { Root, SignedIn } from './shell.tsx';

const root = createRootRoute({ component: Root, notFoundComponent: () => null });
const inside = createRoute({ getParentRoute: () => root, id: 'inside', component: SignedIn });

const lazy = <T extends Record<string, unknown>, K extends keyof T & string>(
  load: () => Promise<T>,
  name: K,
) => lazyRouteComponent(load, name);

function ListRoute() {
  const rights = useSession().user?.rights ?? [];
  return (
    <StudyListPage
      mayStore={rights.includes('study.store')}
      mayExport={rights.includes('study.export')}
      maySend={rights.includes('study.send')}
    />
  );
}

const outsideRoutes = [
  createRoute({ getParentRoute: () => root, path: '/setup', component: SetupPage }),
  createRoute({ getParentRoute: () => root, path: '/sign-in', component: SignInPage }),
  createRoute({ getParentRoute: () => root, path: '/invite', component: InvitePage }),
];
const insideRoutes = [
  createRoute({ getParentRoute: () => inside, path: '/', component: ListRoute }),
  createRoute({
    getParentRoute: () => inside,
    path: '/studies/$studyUid',
    component: lazy(() => import('./study-route.tsx'), 'StudyRoute'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/viewer/$studyUid',
    validateSearch: (search: Record<string, unknown>): { series?: string } =>
      typeof search['series'] === 'string' ? { series: search['series'] } : {},
    component: lazy(() => import('./viewer-route.tsx'), 'ViewerRoute'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/import',
    component: lazy(() => import('../worklist/import-page.tsx'), 'ImportPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/archives',
    component: lazy(() => import('./archives-route.tsx'), 'ArchivesRoute'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/transfers',
    component: lazy(() => import('../share/transfers-page.tsx'), 'TransfersPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/tasks',
    component: lazy(() => import('./tasks-route.tsx'), 'TasksRoute'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/devices',
    component: lazy(() => import('../admin/devices-page.tsx'), 'DevicesPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/certificates',
    component: lazy(() => import('../admin/certificates-page.tsx'), 'CertificatesPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/people',
    component: lazy(() => import('../admin/people-page.tsx'), 'PeoplePage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/keys',
    component: lazy(() => import('../admin/keys-page.tsx'), 'KeysPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/audit',
    component: lazy(() => import('../admin/audit-page.tsx'), 'AuditPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/quarantine',
    component: lazy(() => import('../admin/quarantine-page.tsx'), 'QuarantinePage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/rules',
    component: lazy(() => import('../admin/rules-page.tsx'), 'RulesPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/commitments',
    component: lazy(() => import('../admin/commitments-page.tsx'), 'CommitmentsPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/status',
    component: lazy(() => import('../admin/status-page.tsx'), 'StatusPage'),
  }),
  createRoute({
    getParentRoute: () => inside,
    path: '/account',
    component: lazy(() => import('./account-page.tsx'), 'AccountPage'),
  }),
];
const rest = createRoute({
  getParentRoute: () => root,
  path: '$',
  beforeLoad: () => {
    throw redirect({ to: '/', replace: true });
  },
});

export const router = createRouter({
  routeTree: root.addChildren([...outsideRoutes, inside.addChildren(insideRoutes), rest]),
  defaultPendingComponent: Loading,
});
