/**
 * Identity's tables for a test, on a real PostgreSQL in a temporary folder.
 *
 * Layer:  server/identity. For tests only.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, migrate, openDatabase } from '../platform/database.ts';
import { type Events, openEvents } from '../platform/events.ts';
import { createLog, type Log } from '../platform/log.ts';
import { type AuditTrail, openAudit } from './audit.ts';
import { identityMigrations } from './migrations.ts';

export interface TestIdentity {
  readonly database: Database;
  readonly events: Events;
  readonly audit: AuditTrail;
  readonly log: Log;
  close(): Promise<void>;
}

export async function openTestIdentity(): Promise<TestIdentity> {
  const dataDir = await mkdtemp(join(tmpdir(), 'lightbox-identity-'));
  const log = createLog({ logLevel: 'silent' });
  const database = await openDatabase({ dataDir, databaseUrl: undefined, socketDir: undefined }, log);
  await migrate(database, [identityMigrations]);
  const events = await openEvents(database, log);
  const audit = openAudit(database, log);
  return {
    ...{ database, events, audit, log },
    async close() {
      await audit.close();
      await events.close();
      await database.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
