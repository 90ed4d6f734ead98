/**
 * Keys by which programs call our HTTP doors. Only a hash of each is kept; the key itself is shown once.
 *
 * Layer:  server/identity.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import { allows } from './rights.ts';
import { RIGHTS, type Audit, type Principal, type Right } from './types.ts';

/** So that a leaked key is recognised by secret scanners and people. */
const PREFIX = 'lbx_';
/** A revoked key stops working on other nodes within this time; on this one at once. */
const CACHE_MS = 5000;
const CACHE_SIZE = 10_000;
const USED_MS = 60_000;

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly rights: readonly Right[];
  /** First characters, to tell keys apart. */
  readonly start: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
}

export interface ApiKeys {
  list(): Promise<ApiKey[]>;
  /** @throws Fault FORBIDDEN when `by` would hand out a right of which they have none. */
  create(
    input: { name: string; rights: readonly Right[]; expiresInDays: number | null },
    by: Principal,
  ): Promise<ApiKey & { key: string }>;
  revoke(id: string, by: Principal): Promise<void>;
  /** @returns who the key stands for; undefined when it is not valid (any more). */
  principal(key: string, remoteAddress: string): Promise<Principal | undefined>;
}

interface Row {
  id: string;
  name: string;
  rights: Right[];
  start: string;
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
}

export function createApiKeys(options: { readonly database: Database; readonly audit: Audit }): ApiKeys {
  const { database, audit } = options;
  const cache = new Map<string, { at: number; row: Row | undefined }>();
  const usedAt = new Map<string, number>();

  async function find(hash: Buffer): Promise<Row | undefined> {
    const name = hash.toString('base64');
    const kept = cache.get(name);
    if (kept && Date.now() - kept.at < CACHE_MS) return kept.row;
    const { rows } = await database.pool.query<Row>(
      'SELECT * FROM api_key WHERE hash = $1 AND revoked_at IS NULL',
      [hash],
    );
    if (cache.size >= CACHE_SIZE) cache.clear();
    cache.set(name, { at: Date.now(), row: rows[0] });
    return rows[0];
  }

  async function touch(id: string): Promise<void> {
    const now = Date.now();
    if (now - (usedAt.get(id) ?? 0) < USED_MS) return;
    usedAt.set(id, now);
    await database.pool.query('UPDATE api_key SET last_used_at = now() WHERE id = $1', [id]);
  }

  return {
    async list() {
      const { rows } = await database.pool.query<Row>(
        'SELECT * FROM api_key WHERE revoked_at IS NULL ORDER BY created_at DESC',
      );
      return rows.map(fromRow);
    },
    async create(input, by) {
      const missing = input.rights.filter((right) => !allows(by, right));
      if (missing.length > 0) throw new Fault('FORBIDDEN', { right: missing.join(' ') });
      const key = PREFIX + randomBytes(32).toString('base64url');
      const { rows } = await database.pool.query<Row>(
        `INSERT INTO api_key (id, name, hash, start, rights, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(days => $7::int)) RETURNING *`,
        [
          randomUUID(),
          input.name,
          digest(key),
          key.slice(0, PREFIX.length + 4),
          RIGHTS.filter((right) => input.rights.includes(right)),
          by.id,
          input.expiresInDays,
        ],
      );
      const row = rows[0];
      if (!row) throw new Fault('INTERNAL', { what: 'the key was not written' });
      audit.record({
        event: 'apikey.changed',
        outcome: 'success',
        principal: by,
        detail: { what: 'created', id: row.id, name: row.name, rights: row.rights.join(' ') },
      });
      return { ...fromRow(row), key };
    },
    async revoke(id, by) {
      const { rowCount } = await database.pool.query(
        'UPDATE api_key SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL',
        [id],
      );
      if (!rowCount) throw new Fault('NOT_FOUND');
      cache.clear();
      audit.record({
        event: 'apikey.changed',
        outcome: 'success',
        principal: by,
        detail: { what: 'revoked', id },
      });
    },
    async principal(key, remoteAddress) {
      if (!key.startsWith(PREFIX) || key.length > 100) return undefined;
      const row = await find(digest(key));
      if (!row || (row.expires_at !== null && row.expires_at.getTime() <= Date.now())) return undefined;
      await touch(row.id);
      return { kind: 'apiKey', id: row.id, name: row.name, roles: [], rights: row.rights, remoteAddress };
    },
  };
}

/** The key has 256 bits of chance: a plain hash cannot be turned back, and none slower is needed. */
const digest = (key: string): Buffer => createHash('sha256').update(key).digest();

const fromRow = (row: Row): ApiKey => ({
  id: row.id,
  name: row.name,
  rights: row.rights,
  start: row.start,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
});
