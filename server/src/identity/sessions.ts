/**
 * From a request's cookie or key to who is asking; and the lock that falls when nobody is at the screen.
 *
 * Layer:  server/identity.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import type { ApiKeys } from './api-keys.ts';
import type { Auth } from './auth.ts';
import type { Audit, Principal, Role } from './types.ts';

/** Activity is written down at most this often. */
const TOUCH_MS = 10_000;

export interface SignedIn {
  readonly principal: Principal;
  readonly sessionId: string;
  readonly email: string;
  readonly twoFactor: boolean;
  readonly locked: boolean;
}

export interface Sessions {
  /** Who the cookie stands for; undefined when signed out. Locks the session when it was idle too long. */
  read(headers: Headers, remoteAddress: string): Promise<SignedIn | undefined>;
  /** A person did something. */
  touch(sessionId: string): Promise<void>;
  unlock(sessionId: string): Promise<void>;
  /** @returns who holds the key; undefined when it is not valid. */
  byKey(key: string, remoteAddress: string): Promise<Principal | undefined>;
}

interface Row {
  locked: boolean;
  idle: boolean;
  stale: boolean;
  roles: Role[];
  active: boolean;
}

export function createSessions(options: {
  readonly auth: Auth;
  readonly database: Database;
  readonly keys: ApiKeys;
  readonly audit: Audit;
  readonly idleLockSeconds: number;
}): Sessions {
  const { auth, database, keys, audit, idleLockSeconds } = options;
  const touched = new Map<string, number>();
  return {
    async read(headers, remoteAddress) {
      if (!headers.has('cookie')) return undefined;
      const found = await auth.api.getSession({ headers });
      if (!found) return undefined;
      const { session, user } = found;
      const { rows } = await database.pool.query<Row>(
        `SELECT s."lockedAt" IS NOT NULL AS locked, u.roles, u.active,
           s."lastActiveAt" < now() - make_interval(secs => $2) AS idle
         FROM auth_session s JOIN auth_user u ON u.id = s."userId" WHERE s.id = $1`,
        [session.id, idleLockSeconds],
      );
      const row = rows[0];
      if (!row?.active) return undefined;
      const principal: Principal = {
        ...{ kind: 'user', id: user.id, name: user.name, roles: row.roles, remoteAddress },
      };
      if (row.idle && !row.locked) {
        await database.pool.query(
          'UPDATE auth_session SET "lockedAt" = now() WHERE id = $1 AND "lockedAt" IS NULL',
          [session.id],
        );
        audit.record({ event: 'auth.locked', outcome: 'success', principal });
      }
      return {
        principal,
        sessionId: session.id,
        email: user.email,
        twoFactor: user.twoFactorEnabled === true,
        locked: row.locked || row.idle,
      };
    },
    async touch(sessionId) {
      const now = Date.now();
      if (now - (touched.get(sessionId) ?? 0) < TOUCH_MS) return;
      if (touched.size > 10_000) touched.clear();
      touched.set(sessionId, now);
      await database.pool.query(
        `WITH seen AS (UPDATE auth_session SET "lastActiveAt" = now() WHERE id = $1 RETURNING "userId")
         UPDATE auth_user SET "lastSeenAt" = now() FROM seen WHERE auth_user.id = seen."userId"`,
        [sessionId],
      );
    },
    async unlock(sessionId) {
      const { rowCount } = await database.pool.query(
        'UPDATE auth_session SET "lockedAt" = NULL, "lastActiveAt" = now() WHERE id = $1',
        [sessionId],
      );
      if (!rowCount) throw new Fault('NOT_SIGNED_IN');
    },
    byKey: (key, remoteAddress) => keys.principal(key, remoteAddress),
  };
}
