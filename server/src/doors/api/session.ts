/**
 * In and out: setting up, signing in by password and second factor, the lock, invitations, preferences.
 *
 * Layer:  server/doors/api.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import {
  AcceptInvitation,
  PreferenceKey,
  Session,
  SetupRequest,
  UnlockRequest,
} from '@lightbox/core/contract/api.ts';
import { AUTH_PATHS } from '../../identity/auth.ts';
import { addressOf, headersOf, stranger } from '../../identity/guard.ts';
import { rightsOf } from '../../identity/rights.ts';
import type { Principal } from '../../identity/types.ts';
import type { HttpApp } from '../../platform/http.ts';
import { type ApiContext, principalOf, VERSION } from './context.ts';

const PREFERENCE_BYTES = 64 * 1024;
/** RFC 5321 §4.5.3.1: 64 + 1 + 255 characters. */
const SignIn = z.object({ email: z.string().max(320).optional() }).loose();

export function sessionRoutes(app: HttpApp, context: ApiContext): void {
  const { config, people, sessions, audit, throttle } = context;

  app.route({
    ...{ method: 'GET', url: '/api/session', config: { public: true } },
    schema: { response: { 200: Session } },
    handler: async (request) => {
      const found = await sessions.read(headersOf(request), addressOf(request));
      const { roles } = found?.principal ?? { roles: [] };
      return {
        setupRequired: (await people.setupToken()) !== undefined,
        user: found
          ? {
              ...{ id: found.principal.id, name: found.principal.name, email: found.email },
              ...{ roles: [...roles], rights: rightsOf(roles), twoFactor: found.twoFactor },
            }
          : null,
        idleLockSeconds: config.idleLockSeconds,
        locked: found?.locked ?? false,
        version: VERSION,
      };
    },
  });

  app.route({
    ...{ method: 'POST', url: '/api/setup', config: { public: true } },
    schema: { body: SetupRequest },
    handler: async (request, reply) => {
      const address = addressOf(request);
      await guarded(`setup:${address}`, stranger(address), () => people.setUp(request.body, address));
      return reply.status(204).send();
    },
  });

  app.route({
    ...{ method: 'POST', url: '/api/invitations/accept', config: { public: true } },
    schema: { body: AcceptInvitation },
    handler: async (request, reply) => {
      const address = addressOf(request);
      await guarded(`invitation:${address}`, stranger(address), () => people.accept(request.body, address));
      return reply.status(204).send();
    },
  });

  app.route({
    ...{ method: 'POST', url: '/api/session/unlock', config: { public: true } },
    schema: { body: UnlockRequest },
    handler: async (request, reply) => {
      const found = await sessions.read(headersOf(request), addressOf(request));
      if (!found) throw new Fault('NOT_SIGNED_IN');
      await guarded(`unlock:${found.principal.id}`, found.principal, async () => {
        if (!(await people.passwordIsRight(found.principal.id, request.body.password)))
          throw new Fault('PASSWORD_WRONG');
      });
      await sessions.unlock(found.sessionId);
      audit.record({
        event: 'auth.signIn',
        outcome: 'success',
        principal: found.principal,
        detail: { how: 'unlock' },
      });
      return reply.status(204).send();
    },
  });

  app.route({
    ...{ method: 'GET', url: '/api/preferences/:key', config: { signedIn: true } },
    schema: { params: z.object({ key: PreferenceKey }) },
    handler: async (request, reply) => {
      const value = await people.preference(principalOf(request).id, request.params.key);
      return reply.type('application/json').serializer(String).send(JSON.stringify(value));
    },
  });

  app.route({
    ...{ method: 'PUT', url: '/api/preferences/:key', config: { signedIn: true } },
    ...{ bodyLimit: PREFERENCE_BYTES },
    schema: { params: z.object({ key: PreferenceKey }) },
    handler: async (request, reply) => {
      const { kind, id } = principalOf(request);
      if (kind !== 'user') throw new Fault('FORBIDDEN');
      await people.savePreference(id, request.params.key, request.body ?? null);
      return reply.status(204).send();
    },
  });

  for (const path of AUTH_PATHS.open)
    app.post(`/api/auth${path}`, { config: { public: true } }, (request, reply) =>
      signIn(request, reply, path),
    );
  for (const path of AUTH_PATHS.signedIn)
    app.post(`/api/auth${path}`, { config: { signedIn: true } }, async (request, reply) => {
      const principal = principalOf(request);
      const answer = await guarded(`change:${principal.id}`, principal, () => forward(request));
      audit.record({ event: 'user.changed', outcome: 'success', principal, detail: { what: path } });
      return hand(answer, reply);
    });

  /** Counts failures of one name, and writes refusals down. */
  async function guarded<T>(name: string, principal: Principal, run: () => Promise<T>): Promise<T> {
    throttle.check(name);
    try {
      const answer = await run();
      throttle.succeeded(name);
      return answer;
    } catch (error) {
      if (error instanceof Fault && error.row.http < 500) {
        throttle.failed(name);
        audit.record({ event: 'auth.refused', outcome: 'refused', principal, detail: { code: error.code } });
      }
      throw error;
    }
  }

  async function signIn(request: FastifyRequest, reply: FastifyReply, path: string): Promise<FastifyReply> {
    const address = addressOf(request);
    if (path === '/sign-out') return signOut(request, reply);
    const given = SignIn.safeParse(request.body ?? {});
    if (!given.success) throw new Fault('BAD_REQUEST', { part: 'body' });
    const { email } = given.data;
    const names = [`address:${address}`, ...(email === undefined ? [] : [`person:${email.toLowerCase()}`])];
    for (const name of names) throttle.check(name);
    let answer: Answer;
    try {
      answer = await forward(request);
    } catch (error) {
      for (const name of names) throttle.failed(name);
      audit.record({
        ...{ event: 'auth.refused', outcome: 'refused', principal: stranger(address) },
        detail: { path, code: error instanceof Fault ? error.code : 'INTERNAL' },
      });
      throw error;
    }
    const body = z
      .object({ user: z.object({ id: z.string(), name: z.string() }).optional() })
      .loose()
      .safeParse(answer.body);
    const user = body.success ? body.data.user : undefined;
    // With a second factor the password alone is half the way: its failures are not forgiven yet.
    if (user) {
      for (const name of names) throttle.succeeded(name);
      audit.record({
        ...{ event: 'auth.signIn', outcome: 'success' },
        principal: { kind: 'user', id: user.id, name: user.name, roles: [], remoteAddress: address },
        detail: { how: path.startsWith('/two-factor') ? 'second factor' : 'password' },
      });
    }
    return hand(answer, reply);
  }

  async function signOut(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const found = await sessions.read(headersOf(request), addressOf(request));
    const answer = await forward(request);
    if (found) audit.record({ event: 'auth.signOut', outcome: 'success', principal: found.principal });
    return hand(answer, reply);
  }

  /** The sign-in library's answer. @throws Fault for its refusals, which tell no stranger what was wrong. */
  async function forward(request: FastifyRequest): Promise<Answer> {
    const headers = headersOf(request);
    headers.delete('content-length');
    headers.set('content-type', 'application/json');
    const response = await context.auth.handler(
      new Request(new URL(request.url, config.publicUrl ?? 'http://localhost'), {
        ...{ method: 'POST', headers, body: JSON.stringify(request.body ?? {}) },
      }),
    );
    const text = await response.text();
    if (response.status >= 500) throw new Fault('INTERNAL', { from: 'sign-in' });
    if (!response.ok)
      throw new Fault(request.url.includes('/sign-in/') ? 'SIGN_IN_REFUSED' : 'PASSWORD_WRONG');
    const body: unknown = text === '' ? null : JSON.parse(text);
    return { body, cookies: response.headers.getSetCookie() };
  }
}

interface Answer {
  readonly body: unknown;
  readonly cookies: readonly string[];
}

function hand(answer: Answer, reply: FastifyReply): FastifyReply {
  for (const cookie of answer.cookies) reply.header('set-cookie', cookie);
  // The session's token travels in the cookie alone, where scripts cannot read it.
  const { token: _, ...body } = (answer.body ?? {}) as Record<string, unknown>;
  return reply.header('cache-control', 'no-store').send(body);
}
