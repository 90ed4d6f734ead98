/**
 * Who gets in and what they may do, asked of the running server as a stranger, a person and a machine would.
 *
 * Source: 45 CFR 164.312 (access control, audit controls), RFC 6238 (TOTP).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROLE_RIGHTS } from '../server/src/identity/rights.ts';
import { ROLES, type Role } from '../server/src/identity/types.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { totp } from './support/totp.ts';
import { OPTIONS_OF, pathOf, ROUTES } from './support/routes.ts';

const BODIES = new Set(['POST', 'PUT']);
const PASSWORD = 'another long passphrase 9';

describe('access', () => {
  let box: Lightbox;
  let admin: string;

  const ask = (method: string, path: string, headers: Record<string, string>): Promise<Response> =>
    fetch(box.url + path, {
      method,
      headers: {
        origin: box.url,
        ...(BODIES.has(method) ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      ...(BODIES.has(method) ? { body: '{}' } : {}),
    });
  const statusOf = async (method: string, path: string, headers: Record<string, string>): Promise<number> => {
    const answer = await ask(method, path, headers);
    await answer.body?.cancel();
    return answer.status;
  };
  /** The code of a refusal, '' when it was none. News never end, so that only refusals are read. */
  const refusalOf = async (
    method: string,
    path: string,
    headers: Record<string, string>,
  ): Promise<string> => {
    const answer = await ask(method, path, headers);
    if (![401, 403, 423].includes(answer.status)) {
      await answer.body?.cancel();
      return '';
    }
    const { code } = (await answer.json()) as { code: string };
    return ['NOT_SIGNED_IN', 'FORBIDDEN', 'SESSION_LOCKED', 'ORIGIN_REFUSED'].includes(code) ? code : '';
  };

  beforeAll(async () => {
    box = await Lightbox.ready({ env: { LIGHTBOX_IDLE_LOCK_SECONDS: '60' } });
    admin = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(() => box.stop());

  async function person(role: Role, email = `${role}@example.org`): Promise<string> {
    const invited = await box.post('/api/users', { name: role, email, roles: [role] }, { cookie: admin });
    const { link } = (await invited.json()) as { link: string };
    const token = link.split('#')[1];
    expect((await box.post('/api/invitations/accept', { token, password: PASSWORD })).status).toBe(204);
    expect((await box.post('/api/invitations/accept', { token, password: PASSWORD })).status).toBe(403);
    return box.signIn(email, PASSWORD);
  }

  it('every route of the server is in the table of these tests, with its right', async () => {
    const document = (await (await ask('GET', '/api/openapi.json', { cookie: admin })).json()) as {
      openapi: string;
      paths: Record<string, Record<string, { description: string; security: unknown[] }>>;
    };
    expect(document.openapi).toMatch(/^3\.1/);
    const served = Object.entries(document.paths).flatMap(([url, methods]) =>
      Object.entries(methods).map(([method, { description }]) => {
        const who = /(Anyone|Whoever is signed in|Right: [\w.]+)\.$/.exec(description)?.[1] ?? 'not said';
        return `${method.toUpperCase()} ${url} ${who}`;
      }),
    );
    const words = (who: string): string =>
      who === 'anyone' ? 'Anyone' : who === 'anyone signed in' ? 'Whoever is signed in' : `Right: ${who}`;
    const expected = ROUTES.map(({ method, url, who }) => `${method} ${url} ${words(who)}`);
    const options = [...new Set(ROUTES.map(({ url }) => url)), `${OPTIONS_OF}/`]
      .filter((url) => url.startsWith(OPTIONS_OF))
      .map((url) => `OPTIONS ${url} Whoever is signed in`);
    expect(served.sort()).toEqual([...expected, ...options].sort());
  });

  it('strangers reach nothing', async () => {
    for (const { method, url, who } of ROUTES.filter((row) => row.who !== 'anyone'))
      expect(await refusalOf(method, pathOf(url), {}), `${method} ${url} (${who})`).toBe('NOT_SIGNED_IN');
    expect(await statusOf('OPTIONS', '/dicom-web/studies', {})).toBe(401);
    expect(await statusOf('GET', '/api/studies', { authorization: 'Bearer lbx_invented' })).toBe(401);
    expect(await statusOf('GET', '/api/studies', { cookie: 'lightbox.session_token=invented.x' })).toBe(401);
  });

  it('setting up is possible once', async () => {
    const again = { token: 'guess', ...ADMINISTRATOR };
    expect((await box.post('/api/setup', again)).status).toBe(409);
  });

  it.each(ROLES)('a %s reaches what the table of rights says', async (role) => {
    const cookie = await person(role);
    for (const { method, url, who } of ROUTES) {
      if (who === 'anyone') continue;
      const may = who === 'anyone signed in' || ROLE_RIGHTS[role].includes(who);
      expect(await refusalOf(method, pathOf(url), { cookie }), `${method} ${url}`).toBe(
        may ? '' : 'FORBIDDEN',
      );
      if (method === 'GET' && !may)
        expect(await statusOf('HEAD', pathOf(url), { cookie }), `HEAD ${url}`).toBe(403);
    }
  });

  it('another site cannot make a browser change anything', async () => {
    const cookie = admin;
    expect(await statusOf('POST', '/api/keys', { cookie, origin: 'https://evil.example' })).toBe(403);
    const bare = await fetch(`${box.url}/api/keys`, { method: 'POST', headers: { cookie }, body: '{}' });
    expect(bare.status).toBe(403);
  });

  it('a key has only its own rights, until it is revoked', async () => {
    const made = await box.post(
      '/api/keys',
      { name: 'search only', rights: ['study.search'] },
      { cookie: admin },
    );
    const { id, key } = (await made.json()) as { id: string; key: string };
    const authorization = `Bearer ${key}`;
    expect(await statusOf('GET', '/dicom-web/studies', { authorization })).not.toBe(403);
    expect(await statusOf('GET', '/dicom-web/studies/1.2.3', { authorization })).toBe(403);
    expect(await statusOf('DELETE', `/api/keys/${id}`, { cookie: admin })).toBe(204);
    expect(await statusOf('GET', '/dicom-web/studies', { authorization })).toBe(401);
  });

  it('the last administrator stays; who was deactivated is out at once', async () => {
    const users = (await (await ask('GET', '/api/users', { cookie: admin })).json()) as {
      id: string;
      email: string;
    }[];
    const put = (email: string, body: unknown): Promise<Response> =>
      fetch(`${box.url}/api/users/${users.find((one) => one.email === email)?.id}`, {
        method: 'PUT',
        headers: { origin: box.url, cookie: admin, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const out = await box.signIn('referrer@example.org', PASSWORD);
    expect((await put('referrer@example.org', { active: false })).status).toBe(200);
    expect(await statusOf('GET', '/api/status', { cookie: out })).toBe(401);
    await expect(box.signIn('referrer@example.org', PASSWORD)).rejects.toThrow();
    expect((await put('administrator@example.org', { roles: ['referrer'] })).status).toBe(200);
    expect((await put(ADMINISTRATOR.email, { active: false })).status).toBe(409);
  });

  it('with a second factor the password alone opens nothing', async () => {
    const email = 'careful@example.org';
    const cookie = await person('radiologist', email);
    const enabled = await box.post('/api/auth/two-factor/enable', { password: PASSWORD }, { cookie });
    const { totpURI } = (await enabled.json()) as { totpURI: string };
    const secret = new URL(totpURI).searchParams.get('secret') ?? '';
    const confirmed = await box.post('/api/auth/two-factor/verify-totp', { code: totp(secret) }, { cookie });
    expect(confirmed.status).toBe(200);
    const half = await box.post('/api/auth/sign-in/email', { email, password: PASSWORD });
    expect(await half.json()).toMatchObject({ twoFactorRedirect: true });
    const halfCookie = half.headers
      .getSetCookie()
      .map((one) => one.split(';')[0])
      .join('; ');
    expect(await statusOf('GET', '/api/status', { cookie: halfCookie })).toBe(401);
    const wrong = await box.post(
      '/api/auth/two-factor/verify-totp',
      { code: '000000' },
      { cookie: halfCookie },
    );
    expect(wrong.status).not.toBe(200);
    const whole = await box.post(
      '/api/auth/two-factor/verify-totp',
      { code: totp(secret) },
      { cookie: halfCookie },
    );
    expect(whole.status).toBe(200);
    const full = whole.headers
      .getSetCookie()
      .map((one) => one.split(';')[0])
      .join('; ');
    expect(await statusOf('GET', '/api/status', { cookie: full })).toBe(200);
  });

  it('guessing is slowed down, for the right password too', async () => {
    const email = 'radiologist@example.org';
    const statuses: number[] = [];
    for (let tries = 0; tries < 8; tries += 1)
      statuses.push(
        (await box.post('/api/auth/sign-in/email', { email, password: 'wrong wrong wrong' })).status,
      );
    expect(statuses[0]).toBe(401);
    expect(statuses.at(-1)).toBe(429);
    expect((await box.post('/api/auth/sign-in/email', { email, password: PASSWORD })).status).toBe(429);
  });

  it('all of it is in the audit trail, whose chain holds', async () => {
    const trail = async (query: string): Promise<unknown[]> =>
      ((await (await ask('GET', `/api/audit?${query}`, { cookie: admin })).json()) as { items: unknown[] })
        .items;
    for (const event of [
      'auth.setup',
      'auth.signIn',
      'auth.refused',
      'access.refused',
      'user.changed',
      'apikey.changed',
      'query',
    ])
      expect(await trail(`event=${event}`), event).not.toHaveLength(0);
    const verified = (await (await ask('GET', '/api/audit/verify', { cookie: admin })).json()) as {
      ok: boolean;
    };
    expect(verified.ok).toBe(true);
  });
});
