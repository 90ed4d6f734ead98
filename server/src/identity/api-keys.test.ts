import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiKeys, type ApiKeys } from './api-keys.ts';
import { openTestIdentity, type TestIdentity } from './testing.ts';
import type { Principal } from './types.ts';

const admin: Principal = { kind: 'user', id: 'u', name: 'U', roles: ['administrator'], remoteAddress: '::1' };
const input = { name: 'n', rights: ['study.search', 'study.view'] as const, expiresInDays: 30 };

describe('API keys', () => {
  let box: TestIdentity;
  let keys: ApiKeys;
  /** As another node, or this one a while later, sees them: without what is remembered. */
  const afresh = (): ApiKeys => createApiKeys(box);
  beforeAll(async () => {
    box = await openTestIdentity();
    keys = afresh();
  });
  afterAll(() => box.close());

  it('stands for exactly its rights, and shows itself once', async () => {
    const { key, start, id } = await keys.create(input, admin);
    expect(await keys.principal(key, '192.0.2.1')).toMatchObject({
      ...{ kind: 'apiKey', id, roles: [], rights: ['study.search', 'study.view'] },
      remoteAddress: '192.0.2.1',
    });
    expect(key.startsWith(start)).toBe(true);
    expect(JSON.stringify(await keys.list())).not.toContain(key);
  });

  it('is nowhere in the database, nor in the audit trail', async () => {
    const { key } = await keys.create(input, admin);
    await keys.principal(key, '::1');
    await box.audit.flush();
    const secret = key.slice('lbx_'.length + 8);
    const { rows: tables } = await box.database.pool.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
    );
    expect(tables.length).toBeGreaterThan(10);
    for (const { name } of tables) {
      const { rows } = await box.database.pool.query(`SELECT t::text AS row FROM "${name}" t`);
      expect(JSON.stringify(rows), name).not.toContain(secret);
      expect(JSON.stringify(rows), name).not.toContain(Buffer.from(secret).toString('hex'));
    }
  });

  it('is refused when revoked at once, when expired, when made up, when cut', async () => {
    const { key, id } = await keys.create(input, admin);
    expect(await keys.principal(key, '::1')).toBeDefined();
    expect(await keys.principal(key.slice(0, -1), '::1')).toBeUndefined();
    expect(await keys.principal(`${key}a`, '::1')).toBeUndefined();
    expect(await keys.principal(`lbx_${'a'.repeat(43)}`, '::1')).toBeUndefined();
    expect(await keys.principal('x'.repeat(1_000_000), '::1')).toBeUndefined();
    await box.database.pool.query(`UPDATE api_key SET expires_at = now() - interval '1 s' WHERE id = $1`, [
      id,
    ]);
    expect(await afresh().principal(key, '::1')).toBeUndefined();
    await box.database.pool.query('UPDATE api_key SET expires_at = NULL WHERE id = $1', [id]);
    const other = afresh();
    expect(await other.principal(key, '::1')).toBeDefined();
    await other.revoke(id, admin);
    expect(await other.principal(key, '::1')).toBeUndefined();
    await expect(other.revoke(id, admin)).rejects.toThrow('NOT_FOUND');
  });

  it('expires while it is remembered', async () => {
    const { key, id } = await keys.create(input, admin);
    await box.database.pool.query(`UPDATE api_key SET expires_at = now() + interval '1 s' WHERE id = $1`, [
      id,
    ]);
    expect(await keys.principal(key, '::1')).toBeDefined();
    await new Promise((settle) => setTimeout(settle, 1100));
    expect(await keys.principal(key, '::1')).toBeUndefined();
  });

  it('nobody hands out a right they have not', async () => {
    const by: Principal = { ...admin, roles: ['radiologist'] };
    await expect(keys.create({ ...input, rights: ['user.manage'] }, by)).rejects.toThrow('FORBIDDEN');
  });
});
