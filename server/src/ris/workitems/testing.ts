/**
 * Workitems for a test, on a real PostgreSQL in a temporary folder, with jobs that run.
 *
 * Layer:  server/ris. For tests only.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '@lightbox/core/base/fault.ts';
import { device } from '../../archive/commitment/testing.ts';
import type { AuditEntry } from '../../identity/types.ts';
import { type Database, migrate, openDatabase } from '../../platform/database.ts';
import { type Events, openEvents } from '../../platform/events.ts';
import { migrateJobs, openJobs } from '../../platform/jobs.ts';
import { createLog } from '../../platform/log.ts';
import { risMigrations } from '../migrations.ts';
import type { Asker, WorkitemPort, Workitems } from './types.ts';
import { openWorkitems } from './workitems.ts';

export const asker = (ae = 'RIS', door: Asker['door'] = 'dicom'): Asker => ({
  ...{ door, ae, principal: { kind: 'device', id: ae, name: ae, roles: [], remoteAddress: '127.0.0.1' } },
});

/** Nobody can be reached. */
const NOBODY: WorkitemPort = { report: () => Promise.reject(new Fault('DIMSE_UNREACHABLE')) };

export interface TestWorkitems {
  readonly workitems: Workitems;
  readonly database: Database;
  readonly events: Events;
  readonly audited: AuditEntry[];
  /** Another node on the same database; ended with the rest. */
  another(options?: TestOptions): Promise<Workitems>;
  close(): Promise<void>;
}

interface TestOptions {
  readonly port?: WorkitemPort;
  /** AE titles that are known, with an address. */
  readonly known?: readonly string[];
  readonly keepDays?: number;
}

export async function openTestWorkitems(options: TestOptions = {}): Promise<TestWorkitems> {
  const dataDir = await mkdtemp(join(tmpdir(), 'lightbox-workitems-'));
  const log = createLog({ logLevel: 'silent' });
  const database = await openDatabase({ dataDir, databaseUrl: undefined, socketDir: undefined }, log);
  await migrate(database, [risMigrations]);
  await migrateJobs(database, log);
  const ends: (() => Promise<void>)[] = [];
  const audited: AuditEntry[] = [];

  async function node(name: string, given: TestOptions): Promise<{ workitems: Workitems; events: Events }> {
    const jobs = openJobs(database, log);
    const events = await openEvents(database, log);
    const known = new Set(given.known ?? []);
    const workitems = await openWorkitems({
      config: {
        dataDir: join(dataDir, name),
        workitems: { retrySeconds: 1, keepDays: given.keepDays ?? 30 },
      },
      ...{ database, jobs, events, log, port: given.port ?? NOBODY },
      audit: { record: (entry) => void audited.push(entry), flush: () => Promise.resolve() },
      devices: { byAeTitle: (title) => Promise.resolve(known.has(title) ? device(title) : undefined) },
    });
    await jobs.start();
    ends.push(async () => {
      await jobs.close();
      await workitems.close();
      await events.close();
    });
    return { workitems, events };
  }

  const first = await node('one', options);
  return {
    ...{ ...first, database, audited },
    another: async (given = options) => (await node(`node ${ends.length}`, given)).workitems,
    async close() {
      for (const end of ends) await end();
      await database.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
