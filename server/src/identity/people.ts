/**
 * People: the first administrator, invitations, roles, and what each likes to see.
 *
 * Layer:  server/identity.
 */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { PoolClient } from 'pg';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import { hashPassword, verifyPassword } from './auth.ts';
import { isUniqueViolation } from './devices.ts';
import type { Audit, Principal, Role } from './types.ts';

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly roles: readonly Role[];
  readonly active: boolean;
  readonly twoFactor: boolean;
  readonly lastSeenAt: Date | null;
}

export interface People {
  /** The one-time token of the setup link while there is nobody; undefined afterwards. */
  setupToken(): Promise<string | undefined>;
  setUp(
    request: { token: string; name: string; email: string; password: string },
    address: string,
  ): Promise<void>;
  list(): Promise<Person[]>;
  /** @returns the token of the invitation, shown once. */
  invite(
    input: { name: string; email: string; roles: readonly Role[] },
    by: Principal,
  ): Promise<{ person: Person; token: string }>;
  accept(request: { token: string; password: string }, address: string): Promise<void>;
  /** @throws Fault LAST_ADMINISTRATOR when nobody would be left who can manage people. */
  change(
    id: string,
    change: { name?: string | undefined; roles?: readonly Role[] | undefined; active?: boolean | undefined },
    by: Principal,
  ): Promise<Person>;
  passwordIsRight(id: string, password: string): Promise<boolean>;
  /** Who signs in with this e-mail address; undefined when nobody (any more) does. */
  byEmail(email: string): Promise<Person | undefined>;
  preference(userId: string, key: string): Promise<unknown>;
  savePreference(userId: string, key: string, value: unknown): Promise<void>;
}

const INVITATION_DAYS = 7;
/** Setting up and taking administrators away happen one at a time. */
const PEOPLE_LOCK = 0x4c425850;

interface Row {
  id: string;
  name: string;
  email: string;
  roles: Role[];
  active: boolean;
  twoFactorEnabled: boolean;
  lastSeenAt: Date | null;
}

const COLUMNS = 'id, name, email, roles, active, "twoFactorEnabled", "lastSeenAt"';

export function createPeople(options: { readonly database: Database; readonly audit: Audit }): People {
  const { database, audit } = options;
  const token = randomBytes(24).toString('base64url');

  async function alone<T>(run: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await database.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT pg_advisory_xact_lock($1)', [PEOPLE_LOCK]);
      const answer = await run(client);
      await client.query('COMMIT');
      return answer;
    } catch (error) {
      await client.query('ROLLBACK');
      if (isUniqueViolation(error)) throw new Fault('USER_EXISTS', {}, { cause: error });
      throw error;
    } finally {
      client.release();
    }
  }

  async function add(
    client: PoolClient,
    input: { name: string; email: string; roles: readonly Role[] },
  ): Promise<Row> {
    const { rows } = await client.query<Row>(
      `INSERT INTO auth_user (id, name, email, roles) VALUES ($1, $2, $3, $4) RETURNING ${COLUMNS}`,
      [randomUUID(), input.name, input.email.toLowerCase(), input.roles],
    );
    return must(rows[0]);
  }

  async function setPassword(client: PoolClient, userId: string, password: string): Promise<void> {
    await client.query(
      `INSERT INTO auth_account (id, "userId", "accountId", "providerId", password)
       VALUES ($1, $2, $2, 'credential', $3)
       ON CONFLICT ("providerId", "accountId") DO UPDATE SET password = excluded.password, "updatedAt" = now()`,
      [randomUUID(), userId, await hashPassword(password)],
    );
  }

  async function anyone(): Promise<boolean> {
    const { rows } = await database.pool.query<{ any: boolean }>(
      'SELECT EXISTS (SELECT FROM auth_user) AS any',
    );
    return rows[0]?.any === true;
  }

  const changed = (by: Principal, what: string, id: string): void =>
    audit.record({ event: 'user.changed', outcome: 'success', principal: by, detail: { what, id } });

  return {
    setupToken: async () => ((await anyone()) ? undefined : token),

    async setUp(request, address) {
      if (await anyone()) throw new Fault('SETUP_DONE');
      if (!same(request.token, token)) throw new Fault('SETUP_TOKEN');
      const person = await alone(async (client) => {
        const { rowCount } = await client.query('SELECT 1 FROM auth_user LIMIT 1');
        if (rowCount) throw new Fault('SETUP_DONE');
        const row = await add(client, { ...request, roles: ['administrator', 'radiologist'] });
        await setPassword(client, row.id, request.password);
        return row;
      });
      const principal: Principal = {
        ...{ kind: 'user', id: person.id, name: person.name, roles: person.roles, remoteAddress: address },
      };
      audit.record({ event: 'auth.setup', outcome: 'success', principal });
    },

    async list() {
      const { rows } = await database.pool.query<Row>(`SELECT ${COLUMNS} FROM auth_user ORDER BY name, id`);
      return rows.map(fromRow);
    },

    async invite(input, by) {
      const secret = randomBytes(24).toString('base64url');
      const row = await alone(async (client) => {
        const person = await add(client, input);
        await client.query(
          'INSERT INTO invitation (token_hash, user_id, expires_at) VALUES ($1, $2, now() + make_interval(days => $3))',
          [digest(secret), person.id, INVITATION_DAYS],
        );
        return person;
      });
      changed(by, 'invited', row.id);
      return { person: fromRow(row), token: secret };
    },

    async accept(request, address) {
      const row = await alone(async (client) => {
        const { rows } = await client.query<{ user_id: string }>(
          'DELETE FROM invitation WHERE token_hash = $1 AND expires_at > now() RETURNING user_id',
          [digest(request.token)],
        );
        const id = rows[0]?.user_id;
        if (id === undefined) throw new Fault('INVITATION_INVALID');
        await setPassword(client, id, request.password);
        const found = await client.query<Row>(`SELECT ${COLUMNS} FROM auth_user WHERE id = $1`, [id]);
        return must(found.rows[0]);
      });
      const by: Principal = {
        ...{ kind: 'user', id: row.id, name: row.name, roles: row.roles, remoteAddress: address },
      };
      changed(by, 'invitation accepted', row.id);
    },

    async change(id, change, by) {
      const row = await alone(async (client) => {
        const { rows } = await client.query<Row>(
          `UPDATE auth_user SET name = coalesce($2, name), roles = coalesce($3, roles), active = coalesce($4, active),
             "updatedAt" = now() WHERE id = $1 RETURNING ${COLUMNS}`,
          [id, change.name ?? null, change.roles ?? null, change.active ?? null],
        );
        if (!rows[0]) throw new Fault('NOT_FOUND');
        const left = await client.query(
          `SELECT 1 FROM auth_user u JOIN auth_account a ON a."userId" = u.id AND a.password IS NOT NULL
           WHERE u.active AND 'administrator' = ANY (u.roles) LIMIT 1`,
        );
        if (!left.rowCount) throw new Fault('LAST_ADMINISTRATOR');
        if (change.active === false) await client.query('DELETE FROM auth_session WHERE "userId" = $1', [id]);
        return rows[0];
      });
      changed(by, 'changed', id);
      return fromRow(row);
    },

    async passwordIsRight(id, password) {
      const { rows } = await database.pool.query<{ password: string | null }>(
        `SELECT password FROM auth_account WHERE "userId" = $1 AND "providerId" = 'credential'`,
        [id],
      );
      const stored = rows[0]?.password;
      return typeof stored === 'string' && verifyPassword(stored, password);
    },

    async byEmail(email) {
      const { rows } = await database.pool.query<Row>(
        `SELECT ${COLUMNS} FROM auth_user WHERE email = $1 AND active`,
        [email.toLowerCase()],
      );
      return rows[0] && fromRow(rows[0]);
    },

    async preference(userId, key) {
      const { rows } = await database.pool.query<{ value: unknown }>(
        'SELECT value FROM preference WHERE user_id = $1 AND key = $2',
        [userId, key],
      );
      return rows[0]?.value ?? null;
    },

    async savePreference(userId, key, value) {
      await database.pool.query(
        `INSERT INTO preference (user_id, key, value) VALUES ($1, $2, $3::jsonb)
         ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value`,
        [userId, key, JSON.stringify(value)],
      );
    },
  };
}

const fromRow = (row: Row): Person => ({
  ...{ id: row.id, name: row.name, email: row.email, roles: row.roles, active: row.active },
  ...{ twoFactor: row.twoFactorEnabled, lastSeenAt: row.lastSeenAt },
});

function must(row: Row | undefined): Row {
  if (!row) throw new Fault('INTERNAL', { what: 'a person was not written' });
  return row;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
const same = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other));
