/**
 * Asks of every request who is asking and whether they may, before anything of it is read.
 *
 * Layer:  server/identity.
 */
import type { FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { HttpApp } from '../platform/http.ts';
import { plainAddress } from './devices.ts';
import { allows } from './rights.ts';
import type { Sessions, SignedIn } from './sessions.ts';
import type { Audit, Principal, Right } from './types.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is asking; set on every route that is not public. */
    principal?: Principal | undefined;
    /** The session the cookie names; undefined for keys and strangers. */
    signedIn?: SignedIn | undefined;
  }
}

export interface GuardOptions {
  readonly sessions: Sessions;
  readonly audit: Audit;
  /** As browsers name it; undefined: whatever host the request was sent to. */
  readonly publicUrl: string | undefined;
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

export function guard(app: HttpApp, options: GuardOptions): void {
  const { sessions, audit, publicUrl } = options;
  app.decorateRequest('principal', undefined);
  app.decorateRequest('signedIn', undefined);
  app.addHook('onRequest', async (request) => {
    if (request.is404) return;
    const { config } = request.routeOptions;
    const address = addressOf(request);
    // Browsers let any site open a WebSocket with our cookie, and have it read what comes (RFC 6455 §10.2).
    const unsafe = !SAFE.has(request.method) || request.headers.upgrade !== undefined;
    if (unsafe && isFromElsewhere(request, publicUrl)) {
      refused(request, stranger(address), 'ORIGIN_REFUSED');
      throw new Fault('ORIGIN_REFUSED');
    }
    if (config.public) return;
    const key = keyOf(request);
    if (key !== undefined) request.principal = await sessions.byKey(key, address);
    else await useSession(request, address);
    const { principal } = request;
    if (!principal) {
      refused(request, stranger(address), 'NOT_SIGNED_IN');
      throw new Fault('NOT_SIGNED_IN');
    }
    const right = config.right as Right | undefined;
    if (right === undefined || allows(principal, right)) return;
    refused(request, principal, 'FORBIDDEN');
    throw new Fault('FORBIDDEN');
  });

  async function useSession(request: FastifyRequest, address: string): Promise<void> {
    const found = await sessions.read(headersOf(request), address);
    if (!found) return;
    if (found.locked) {
      // An open page goes on asking by itself: that is nobody's attempt.
      if (!request.routeOptions.config.background) refused(request, found.principal, 'SESSION_LOCKED');
      throw new Fault('SESSION_LOCKED');
    }
    request.signedIn = found;
    request.principal = found.principal;
    if (!request.routeOptions.config.background) await sessions.touch(found.sessionId);
  }

  function refused(request: FastifyRequest, principal: Principal, code: string): void {
    const route = `${request.method} ${request.routeOptions.url ?? ''}`;
    audit.record({ event: 'access.refused', outcome: 'refused', principal, detail: { code, route } });
  }
}

/** Whether who asked may still: for answers that go on for hours. A locked session may not. */
export type StillAllowed = (request: FastifyRequest, right: Right) => Promise<boolean>;

export const stillAllowed =
  (sessions: Sessions): StillAllowed =>
  async (request, right) => {
    const address = addressOf(request);
    const key = keyOf(request);
    if (key !== undefined) return may(await sessions.byKey(key, address), right);
    const found = await sessions.read(headersOf(request), address);
    return found?.locked === false && may(found.principal, right);
  };

const may = (principal: Principal | undefined, right: Right): boolean =>
  principal !== undefined && allows(principal, right);

const keyOf = (request: FastifyRequest): string | undefined =>
  /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];

/** Someone who is not signed in. */
export const stranger = (remoteAddress: string): Principal => ({
  ...{ kind: 'user', id: '', name: '', roles: [], rights: [], remoteAddress },
});

export const addressOf = (request: FastifyRequest): string => plainAddress(request.ip);

/** The request's headers as the sign-in library takes them; the address is ours, never the sender's. */
export function headersOf(request: FastifyRequest): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name === 'x-lightbox-address') continue;
    headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  headers.set('x-lightbox-address', addressOf(request));
  return headers;
}

/**
 * A change asked for with a cookie has to come from our own pages: browsers name the origin of every such request.
 * Programs use a key, which no other site can make a browser send.
 */
function isFromElsewhere(request: FastifyRequest, publicUrl: string | undefined): boolean {
  const { origin, host } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (request.headers.authorization !== undefined && request.headers.cookie === undefined) return false;
  if (origin === undefined)
    return site !== 'same-origin' && (site !== undefined || request.headers.cookie !== undefined);
  const from = URL.canParse(origin) ? new URL(origin).host : '';
  return from !== host && from !== (publicUrl === undefined ? undefined : new URL(publicUrl).host);
}
