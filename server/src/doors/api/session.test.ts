/**
 * Signing in, and the lock that falls when nobody is at the screen; time is moved in the database.
 *
 * Source: 45 CFR 164.312(a)(2)(iii) (automatic logoff), (d) (authentication).
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApiKeys } from '../../identity/api-keys.ts';
import { createAuth } from '../../identity/auth.ts';
import { guard } from '../../identity/guard.ts';
import { createPeople } from '../../identity/people.ts';
import { createSessions } from '../../identity/sessions.ts';
import { openTestIdentity, type TestIdentity } from '../../identity/testing.ts';
import { createThrottle } from '../../identity/throttle.ts';
import { createHttp, type HttpApp } from '../../platform/http.ts';
import { loadConfig } from '../../platform/config.ts';
import type { ApiContext } from './context.ts';
import { sessionRoutes } from './session.ts';

const PERSON = { name: 'Person', email: 'person@example.org', password: 'a long enough passphrase' };
const IDLE_SECONDS = 120;

describe('Sessions', () => {
  let box: TestIdentity;
  let app: HttpApp;
  let cookie = '';
  let clock = Date.now();
  const sql = (text: string): Promise<unknown> => box.database.pool.query(text);
  const ask = (method: 'GET' | 'POST', url: string, payload?: object, own = cookie) =>
    app.inject({
      ...{ method, url, headers: { cookie: own, host: 'localhost', origin: 'http://localhost' } },
      ...(payload === undefined ? {} : { payload }),
    });
  const signIn = (password = PERSON.password, email = PERSON.email) =>
    ask('POST', '/api/auth/sign-in/email', { email, password }, '');
  const cookieOf = (answer: Awaited<ReturnType<typeof signIn>>): string =>
    answer.cookies.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`).join('; ');
  const idleFor = (seconds: number): Promise<unknown> =>
    sql(`UPDATE auth_session SET "lastActiveAt" = now() - make_interval(secs => ${seconds})`);
  const idle = async (): Promise<number> => {
    const { rows } = await box.database.pool.query<{ seconds: number }>(
      `SELECT extract(epoch FROM now() - "lastActiveAt")::float AS seconds FROM auth_session`,
    );
    return rows[0]?.seconds ?? Number.NaN;
  };
  const events = async (): Promise<string[]> => {
    await box.audit.flush();
    return (await box.audit.search({ limit: 50 })).map(({ event, outcome }) => `${event} ${outcome}`);
  };

  beforeAll(async () => {
    box = await openTestIdentity();
    const { database, audit, log } = box;
    app = await createHttp({ config: { publicUrl: undefined }, log });
    const auth = await createAuth({ database, log, publicUrl: undefined });
    const keys = createApiKeys({ database, audit });
    const people = createPeople({ database, audit });
    const sessions = createSessions({ auth, database, keys, audit, idleLockSeconds: IDLE_SECONDS });
    const config = { ...loadConfig({}), idleLockSeconds: IDLE_SECONDS };
    guard(app, { sessions, audit, publicUrl: undefined });
    const throttle = createThrottle(() => clock);
    // Of what the API shares, these routes use these parts.
    sessionRoutes(app, { config, people, sessions, audit, throttle, auth } as unknown as ApiContext);
    app.get('/api/work', { config: { signedIn: true } }, () => ({}));
    app.get('/api/poll', { config: { signedIn: true, background: true } }, () => ({}));
    const token = (await people.setupToken()) ?? '';
    expect((await ask('POST', '/api/setup', { token, ...PERSON }, '')).statusCode).toBe(204);
  });
  afterAll(async () => {
    await app.close();
    await box.close();
  });
  beforeEach(async () => {
    clock += 24 * 3_600_000;
    await sql('DELETE FROM auth_session');
    cookie = cookieOf(await signIn());
  });

  it('live in a cookie that scripts and other sites cannot use, and whose token is nowhere else', async () => {
    const answer = await signIn();
    const [set] = answer.cookies;
    expect(set).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' });
    expect(answer.body).not.toContain((set?.value ?? '').split('.')[0]);
    expect((await ask('GET', '/api/session')).json()).toMatchObject({
      locked: false,
      user: { name: 'Person' },
    });
  });

  it('lock when nobody did anything for long enough, and ask for the password again', async () => {
    await idleFor(IDLE_SECONDS + 1);
    expect((await ask('GET', '/api/work')).statusCode).toBe(423);
    expect((await ask('GET', '/api/poll')).statusCode).toBe(423);
    expect((await ask('GET', '/api/session')).json()).toMatchObject({ locked: true });
    // Time alone, and activity, do not open it.
    await idleFor(0);
    expect((await ask('GET', '/api/work')).json()).toMatchObject({ code: 'SESSION_LOCKED' });
    expect((await ask('POST', '/api/session/unlock', { password: 'wrong' })).statusCode).toBe(403);
    expect((await ask('GET', '/api/work')).statusCode).toBe(423);
    expect((await ask('POST', '/api/session/unlock', { password: PERSON.password })).statusCode).toBe(204);
    expect((await ask('GET', '/api/work')).statusCode).toBe(200);
    const trail = await events();
    expect(trail.filter((event) => event === 'auth.locked success')).toHaveLength(1);
    expect(trail).toContain('access.refused refused');
    expect(trail).toContain('auth.refused refused');
  });

  it('stay open while somebody works', async () => {
    await idleFor(IDLE_SECONDS - 10);
    expect((await ask('GET', '/api/work')).statusCode).toBe(200);
    expect(await idle()).toBeLessThan(IDLE_SECONDS - 20);
  });

  it('are not kept open by what a page asks by itself', async () => {
    await idleFor(IDLE_SECONDS - 10);
    expect((await ask('GET', '/api/poll')).statusCode).toBe(200);
    expect((await ask('GET', '/api/session')).statusCode).toBe(200);
    expect(await idle()).toBeGreaterThan(IDLE_SECONDS - 11);
  });

  it('unlocking is slowed down like signing in', async () => {
    await idleFor(IDLE_SECONDS + 1);
    const statuses: number[] = [];
    for (let tries = 0; tries < 6; tries += 1)
      statuses.push((await ask('POST', '/api/session/unlock', { password: 'wrong' })).statusCode);
    expect(statuses).toEqual([403, 403, 403, 403, 403, 429]);
    const right = await ask('POST', '/api/session/unlock', { password: PERSON.password });
    expect([right.statusCode, right.headers['retry-after']]).toEqual([429, '1']);
    clock += 2000;
    expect((await ask('POST', '/api/session/unlock', { password: PERSON.password })).statusCode).toBe(204);
  });

  it('signing in is slowed down by person and by address, whatever the spelling', async () => {
    const statuses: number[] = [];
    for (const email of ['person@example.org', 'PERSON@example.org', 'person@EXAMPLE.org'])
      for (let tries = 0; tries < 2; tries += 1)
        statuses.push((await signIn('wrong wrong wrong', email)).statusCode);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    expect((await signIn('wrong', 'somebody.else@example.org')).statusCode).toBe(429);
  });

  it('end with signing out', async () => {
    expect((await ask('POST', '/api/auth/sign-out', {})).statusCode).toBe(200);
    expect((await ask('GET', '/api/work')).statusCode).toBe(401);
    expect(await events()).toContain('auth.signOut success');
  });

  it.each([
    ['a field too long', { email: `${'x'.repeat(400)}@example.org`, password: 'x' }],
    ['no e-mail', { password: 'x' }],
    ['another type', { email: ['a'], password: 'x' }],
    ['nothing', {}],
  ])('answer %s with a refusal, not a failure of ours', async (_name, body) => {
    const { statusCode } = await ask('POST', '/api/auth/sign-in/email', body, '');
    expect([400, 401]).toContain(statusCode);
  });

  it.each(['/api/auth/sign-up/email', '/api/auth/update-user', '/api/auth/list-sessions', '/api/auth/ok'])(
    'have no way in by %s',
    async (url) =>
      expect((await ask('POST', url, { ...PERSON, email: 'b@example.org' })).statusCode).toBe(404),
  );
});
