/** Users named on an association (PS3.7 §D.3.3.7): checked, never more than the device, never less than proven. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UserIdentity } from '@lightbox/core/dimse/user-information.ts';
import { createApiKeys } from './api-keys.ts';
import { createPeople, type People } from './people.ts';
import { openTestIdentity, type TestIdentity } from './testing.ts';
import { createThrottle } from './throttle.ts';
import type { DeviceVerb, IdentityWanted, Principal } from './types.ts';
import { createUserIdentities, type UserIdentities } from './user-identity.ts';

const PASSWORD = 'a passphrase for the wire';
const admin: Principal = { kind: 'user', id: 'u', name: 'U', roles: ['administrator'], remoteAddress: '::1' };
const identity = (type: number, primary: string, secondary = ''): UserIdentity => ({
  ...{ type, responseRequested: true, primary: Buffer.from(primary), secondary: Buffer.from(secondary) },
});

describe('user identity', () => {
  let box: TestIdentity;
  let people: People;
  let users: UserIdentities;
  let key: string;
  let now = 0;

  beforeAll(async () => {
    box = await openTestIdentity();
    people = createPeople(box);
    const keys = createApiKeys(box);
    users = createUserIdentities({ people, keys, audit: box.audit, throttle: createThrottle(() => now) });
    for (const [name, role] of [
      ['tech', 'technologist'],
      ['ref', 'referrer'],
      ['careful', 'radiologist'],
      ['gone', 'technologist'],
    ] as const) {
      const email = `${name}@example.org`;
      const { person, token } = await people.invite({ name, email, roles: [role] }, admin);
      await people.accept({ token, password: PASSWORD }, '::1');
      if (name === 'careful')
        await box.database.pool.query('UPDATE auth_user SET "twoFactorEnabled" = true WHERE id = $1', [
          person.id,
        ]);
    }
    // Somebody has to be left who can manage people before one can be turned off.
    const chief = await people.invite(
      { name: 'chief', email: 'chief@example.org', roles: ['administrator'] },
      admin,
    );
    await people.accept({ token: chief.token, password: PASSWORD }, '::1');
    const gone = (await people.list()).find(({ name }) => name === 'gone');
    await people.change(gone?.id ?? '', { active: false }, admin);
    key = (await keys.create({ name: 'robot', rights: ['study.search'], expiresInDays: 1 }, admin)).key;
  });
  afterAll(() => box.close());

  const check = (
    given: UserIdentity | undefined,
    more: { identity?: IdentityWanted; tls?: boolean; remoteAddress?: string } = {},
  ) => {
    // Longer than any wait: each test begins without the failures of the one before.
    now += 2 * 60 * 60_000;
    const verbs: DeviceVerb[] = ['echo', 'store', 'find'];
    const { remoteAddress = '192.0.2.1', tls = true } = more;
    const principal: Principal = {
      ...admin,
      kind: 'device',
      id: 'CT1',
      name: 'CT1',
      rights: [],
      remoteAddress,
    };
    return users.check(given, { principal, verbs, identity: more.identity ?? 'optional', tls });
  };

  it.each<[string, UserIdentity | undefined, object, object]>([
    ['nobody named, nobody wanted', undefined, {}, { ok: true, accepted: false, principal: { name: 'CT1' } }],
    ['nobody named', undefined, { identity: 'named' }, { ok: false, why: 'names no user' }],
    [
      'a name, which stays the word of the device',
      identity(1, 'Tech@example.org'),
      { identity: 'named' },
      { ok: true, accepted: true, principal: { kind: 'device', id: 'CT1', name: 'CT1 (tech)' } },
    ],
    ['a name with less rights', identity(1, 'ref@example.org'), {}, { ok: true, verbs: ['echo', 'find'] }],
    [
      'a name nobody has',
      identity(1, 'x@example.org'),
      {},
      { ok: false, why: 'names a user who is not known' },
    ],
    ['the name of one who left', identity(1, 'gone@example.org'), {}, { ok: false }],
    [
      'a name where proof is wanted',
      identity(1, 'tech@example.org'),
      { identity: 'verified' },
      { ok: false },
    ],
    [
      'a passcode',
      identity(2, 'tech@example.org', PASSWORD),
      { identity: 'verified' },
      {
        ok: true,
        accepted: true,
        principal: { kind: 'user', name: 'tech', rights: ['study.store', 'study.search'] },
      },
    ],
    [
      'a passcode of one with less rights',
      identity(2, 'ref@example.org', PASSWORD),
      {},
      { ok: true, verbs: ['echo', 'find'] },
    ],
    [
      'a wrong passcode',
      identity(2, 'tech@example.org', 'x'),
      {},
      { ok: false, why: 'user or passcode is not right' },
    ],
    [
      'a name nobody has, same words',
      identity(2, 'x@example.org', PASSWORD),
      {},
      { ok: false, why: 'user or passcode is not right' },
    ],
    ['the passcode of one who left', identity(2, 'gone@example.org', PASSWORD), {}, { ok: false }],
    [
      'half of a sign-in',
      identity(2, 'careful@example.org', PASSWORD),
      {},
      { ok: false, why: /second factor/ },
    ],
    [
      'a passcode in clear',
      identity(2, 'tech@example.org', PASSWORD),
      { tls: false },
      { ok: false, why: /without TLS/ },
    ],
    [
      'a passcode in clear within one machine',
      identity(2, 'tech@example.org', PASSWORD),
      { tls: false, remoteAddress: '127.0.0.1' },
      { ok: true },
    ],
    ['Kerberos', identity(3, 'ticket'), {}, { ok: false, why: /Kerberos/ }],
    ['SAML', identity(4, '<x/>'), {}, { ok: false, why: /SAML/ }],
    [
      'a token of somebody else',
      identity(5, 'eyJhbGciOiJub25lIn0.e30.'),
      {},
      { ok: false, why: 'token is no valid API key' },
    ],
    ['an unknown type', identity(9, 'x'), {}, { ok: false }],
    ['a name of 64 KB', identity(2, 'x'.repeat(65_535), PASSWORD), {}, { ok: false }],
  ])('%s', async (_, given, more, expected) => {
    const { why, ...rest } = expected as { why?: string | RegExp };
    const answer = await check(given, more);
    expect(answer).toMatchObject(rest);
    if (why !== undefined) expect('why' in answer ? answer.why : '').toMatch(why);
  });

  it('an API key as token or passcode is a proof, with the rights of the key', async () => {
    for (const given of [identity(5, key), identity(2, 'whoever', key)])
      expect(await check(given, { identity: 'verified' })).toMatchObject({
        ...{ ok: true, verbs: ['echo', 'find'], principal: { kind: 'apiKey', name: 'robot' } },
      });
  });

  it('slows guessing down, also for the right passcode, and writes down neither', async () => {
    const right = identity(2, 'tech@example.org', PASSWORD);
    await check(right);
    const wait = now;
    for (let times = 0; times < 6; times += 1) {
      await check(identity(2, 'tech@example.org', `guess ${times}`));
      now = wait;
    }
    now = wait - 2 * 60 * 60_000;
    expect(await check(right)).toMatchObject({ ok: false, later: true });
    await box.audit.flush();
    const { rows } = await box.database.pool.query<{ line: string }>(
      'SELECT audit_trail::text AS line FROM audit_trail',
    );
    const trail = rows.map(({ line }) => line).join('\n');
    expect(trail).toContain('auth.refused');
    expect(trail).not.toMatch(/guess|passphrase/);
  });
});
