/**
 * The pages: files of the built web application, and its one page for every address it knows.
 *
 * Layer:  server/doors.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { HttpApp } from '../platform/http.ts';

const BUILT = resolve(import.meta.dirname, '../../../web/dist');

/** Addresses of web/src/app/router.tsx. */
const PAGES = [
  ...[
    '/',
    '/setup',
    '/sign-in',
    '/invite',
    '/studies/*',
    '/viewer/*',
    '/devices',
    '/people',
    '/keys',
    '/audit',
  ],
  ...['/quarantine', '/status', '/account'],
];

export async function webDoor(app: HttpApp): Promise<void> {
  app.route({
    ...{ method: 'GET', url: '/healthz', config: { public: true }, schema: { hide: true } },
    handler: (_request, reply) => reply.header('cache-control', 'no-store').send({ ok: true }),
  });
  if (!existsSync(resolve(BUILT, 'index.html'))) {
    app.log.warn('the web application is not built: run "npm run build"');
    return;
  }
  await app.register(async (pages) => {
    pages.addHook('onRoute', (route) => {
      route.config = { ...route.config, public: true };
    });
    await pages.register(fastifyStatic, {
      root: BUILT,
      wildcard: false,
      index: false,
      cacheControl: false,
      setHeaders: (response, path) => {
        // Names of assets hold a hash of what is in them.
        const lasting = path.includes('/assets/');
        void response.header('cache-control', lasting ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
    });
    for (const url of PAGES)
      pages.route({
        ...{ method: 'GET', url, config: { public: true }, schema: { hide: true } },
        handler: (_request, reply) => reply.header('cache-control', 'no-cache').sendFile('index.html'),
      });
  });
}
