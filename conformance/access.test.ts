/**
 * Who gets in and what they may do, asked of the running server as a stranger, a person and a machine would.
 *
 * Source: 45 CFR 164.312 (access control, audit controls), RFC 6238 (TOTP).
 */
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROLE_RIGHTS } from '../server/src/identity/rights.ts';
import { ROLES, type Right, type Role } from '../server/src/identity/types.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

/** Every kind of route, and the right it asks for. */
const ROUTES: readonly (readonly [method: string, path: string, right: Right | 'anyone signed in'])[] = [
  ['GET', '/api/studies', 'study.search'],
  ['GET', '/api/studies/1.2.3', 'study.view'],
  ['POST', '/api/upload', 'study.store'],
  ['GET', '/api/devices', 'device.read'],
  ['GET', '/api/devices/refused', 'device.read'],
  ['POST', '/api/devices', 'device.manage'],
  ['PUT', '/api/devices/none', 'device.manage'],
  ['DELETE', '/api/devices/none', 'device.manage'],
  ['GET', '/api/users', 'user.manage'],
  ['POST', '/api/users', 'user.manage'],
  ['PUT', '/api/users/none', 'user.manage'],
  ['GET', '/api/keys', 'apikey.manage'],
  ['POST', '/api/keys', 'apikey.manage'],
  ['DELETE', '/api/keys/none', 'apikey.manage'],
  ['GET', '/api/audit', 'audit.read'],
  ['GET', '/api/audit/verify', 'audit.read'],
  ['GET', '/api/quarantine', 'quarantine.read'],
  ['GET', '/api/quarantine/999/file', 'quarantine.read'],
  ['GET', '/api/status', 'anyone signed in'],
  ['GET', '/dicom-web/studies', 'study.search'],
  ['GET', '/dicom-web/studies/1.2.3', 'study.view'],
  ['GET', '/dicom-web/studies/1.2.3/metadata', 'study.view'],
  ['GET', '/dicom-web/studies/1.2.3/rendered', 'study.view'],
  ['GET', '/dicom-web/studies/1.2.3/series/1.2/instances/1.2/frames/1', 'study.view'],
  ['POST', '/dicom-web/studies', 'study.store'],
];
const PASSWORD = 'another long passphrase 9';

/** RFC 6238 with SHA-1, 30 s, 6 digits, as authenticator apps do. */
function totp(secret: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret.replace(/=+$/, '')]
    .map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = (mac.at(-1) ?? 0) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

describe('access', () => {
  let box: Lightbox;
  let admin: string;

  const ask = (method: string, path: string, headers: Record<string, string>): Promise<Response> =>
    fetch(box.url + path, {
      method,
      headers: {
        origin: box.url,
        ...(method === 'GET' || method === 'DELETE' ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(method === 'GET' || method === 'DELETE' ? {} : { body: '{}' }),
    });
  const statusOf = async (method: string, path: string, headers: Record<string, string>): Promise<number> => {
    const answer = await ask(method, path, headers);
    await answer.arrayBuffer();
    return answer.status;
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

  it('strangers reach nothing', async () => {
    for (const [method, path] of ROUTES) expect(await statusOf(method, path, {}), path).toBe(401);
    expect(await statusOf('GET', '/api/studies', { authorization: 'Bearer lbx_invented' })).toBe(401);
    expect(await statusOf('GET', '/api/studies', { cookie: 'lightbox.session_token=invented.x' })).toBe(401);
  });

  it('setting up is possible once', async () => {
    const again = { token: 'guess', ...ADMINISTRATOR };
    expect((await box.post('/api/setup', again)).status).toBe(409);
  });

  it.each(ROLES)('a %s reaches what the table of rights says', async (role) => {
    const cookie = await person(role);
    for (const [method, path, right] of ROUTES) {
      const status = await statusOf(method, path, { cookie });
      const may = right === 'anyone signed in' || ROLE_RIGHTS[role].includes(right);
      if (may) expect([401, 403, 423], `${method} ${path}`).not.toContain(status);
      else expect(status, `${method} ${path}`).toBe(403);
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
