/**
 * The pages: files of the built web application, and its one page for every address it knows.
 *
 * Layer:  server/doors.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyReply } from 'fastify';
import type { HttpApp } from '../../platform/http.ts';
import { docsPages } from './docs.ts';

const BUILT = resolve(import.meta.dirname, '../../../../web/dist');

/** Addresses of web/src/app/router.tsx. */
const PAGES = [
  ...[
    '/',
    '/setup',
    '/sign-in',
    '/invite',
    '/studies/*',
    '/viewer/*',
    '/import',
    '/devices',
    '/certificates',
    '/people',
    '/keys',
    '/audit',
  ],
  ...['/quarantine', '/commitments', '/status', '/account', '/archives', '/transfers', '/tasks', '/rules'],
];

export async function webDoor(app: HttpApp): Promise<void> {
  docsPages(app);
  const open = { config: { public: true as const }, schema: { hide: true } };
  if (!existsSync(join(BUILT, 'index.html'))) {
    app.log.warn('the web application is not built: run "npm run build"');
    return;
  }
  // The build lays .br and .gz beside every file (web/vite.config.ts).
  await app.register(fastifyStatic, { root: BUILT, serve: false, cacheControl: false, preCompressed: true });
  const page = (reply: FastifyReply, name: string, cache: string, folder = BUILT): FastifyReply =>
    reply.header('cache-control', cache).header('vary', 'accept-encoding').sendFile(name, folder);
  for (const url of PAGES) app.get(url, open, (_request, reply) => page(reply, 'index.html', 'no-cache'));
  // Names of assets hold a hash of what is in them.
  app.get<{ Params: { '*': string } }>('/assets/*', open, (request, reply) =>
    page(reply, request.params['*'], 'public, max-age=31536000, immutable', join(BUILT, 'assets')),
  );
  for (const file of readdirSync(BUILT, { withFileTypes: true })) {
    if (!file.isFile() || /^index\.html$|\.(?:br|gz)$/.test(file.name)) continue;
    app.get(`/${file.name}`, open, (_request, reply) => page(reply, file.name, 'no-cache'));
  }
}
