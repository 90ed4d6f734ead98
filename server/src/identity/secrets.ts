/**
 * Secrets of this installation: made at the first start, shared by all nodes of one database, never shown.
 *
 * Layer:  server/identity.
 */
import { randomBytes } from 'node:crypto';
import type { Database } from '../platform/database.ts';

/** The secret of one purpose, so that who learns one has not learned the others. */
export async function secretFor(database: Database, purpose: 'sign-in' | 'DICOMweb'): Promise<string> {
  await database.pool.query(
    `INSERT INTO identity_secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`,
    [purpose, randomBytes(48).toString('base64url')],
  );
  const { rows } = await database.pool.query<{ value: string }>(
    `SELECT value FROM identity_secret WHERE name = $1`,
    [purpose],
  );
  const [row] = rows;
  if (!row) throw new Error(`there is no secret for ${purpose}`);
  return row.value;
}
