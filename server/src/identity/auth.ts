/**
 * Passwords, sessions and the second factor: better-auth, closed to strangers, on our tables.
 *
 * Layer:  server/identity.
 */

import { hash, verify } from '@node-rs/argon2';
import { betterAuth } from 'better-auth';
import { APIError } from 'better-auth/api';
import { twoFactor } from 'better-auth/plugins/two-factor';
import type { Database } from '../platform/database.ts';
import type { Log } from '../platform/log.ts';
import { secretFor } from './secrets.ts';

/** RFC 9106 §4 in the smaller form OWASP names: 19 MiB, 2 passes; about 30 ms here. */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;
export const SHORTEST_PASSWORD = 12;
export const LONGEST_PASSWORD = 200;
/** A shift. Then people sign in again, whether they were idle or not. */
const SESSION_SECONDS = 12 * 60 * 60;
export const COOKIE_PREFIX = 'lightbox';

export const hashPassword = (password: string): Promise<string> => hash(password, ARGON2);
export const verifyPassword = (stored: string, password: string): Promise<boolean> =>
  verify(stored, password);

export type Auth = Awaited<ReturnType<typeof createAuth>>;

/** What of better-auth is reachable under /api/auth. Everything else (sign-up, e-mail change, …) does not exist. */
export const AUTH_PATHS = {
  /** Without a session. */
  open: ['/sign-in/email', '/sign-out', '/two-factor/verify-totp', '/two-factor/verify-backup-code'],
  /** With one that is not locked. */
  signedIn: [
    '/change-password',
    '/revoke-other-sessions',
    '/two-factor/enable',
    '/two-factor/disable',
    '/two-factor/generate-backup-codes',
  ],
} as const;

export async function createAuth(options: {
  readonly database: Database;
  readonly log: Log;
  readonly publicUrl: string | undefined;
}) {
  const { database, log, publicUrl } = options;
  return betterAuth({
    appName: 'Lightbox',
    baseURL: publicUrl ?? 'http://localhost',
    basePath: '/api/auth',
    secret: await secretFor(database, 'sign-in'),
    database: { db: database.kysely, type: 'postgres' },
    telemetry: { enabled: false },
    logger: {
      level: 'warn',
      // Its messages may quote e-mail addresses; the level and its existence are enough beside our audit trail.
      log: (level) => log[level === 'error' ? 'error' : 'warn']({ from: 'better-auth' }, 'sign-in library'),
    },
    user: { modelName: 'auth_user' },
    account: { modelName: 'auth_account' },
    verification: { modelName: 'auth_verification' },
    session: { modelName: 'auth_session', expiresIn: SESSION_SECONDS, disableSessionRefresh: true },
    emailAndPassword: {
      enabled: true,
      disableSignUp: true,
      minPasswordLength: SHORTEST_PASSWORD,
      maxPasswordLength: LONGEST_PASSWORD,
      password: {
        hash: hashPassword,
        verify: ({ hash: stored, password }) => verifyPassword(stored, password),
      },
    },
    // Both are ours, over all routes alike: throttle.ts and guard.ts.
    rateLimit: { enabled: false },
    advanced: {
      cookiePrefix: COOKIE_PREFIX,
      useSecureCookies: publicUrl?.startsWith('https://') ?? false,
      disableCSRFCheck: true,
      disableOriginCheck: true,
      defaultCookieAttributes: { sameSite: 'strict', httpOnly: true, path: '/' },
      ipAddress: { ipAddressHeaders: ['x-lightbox-address'] },
    },
    databaseHooks: {
      session: {
        create: {
          before: async (session) => {
            const { rows } = await database.pool.query<{ active: boolean }>(
              'SELECT active FROM auth_user WHERE id = $1',
              [session.userId],
            );
            if (rows[0]?.active !== true) throw new APIError('FORBIDDEN', { code: 'INACTIVE' });
          },
        },
      },
    },
    plugins: [twoFactor({ issuer: 'Lightbox', schema: { twoFactor: { modelName: 'auth_two_factor' } } })],
  });
}
