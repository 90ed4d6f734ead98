/**
 * An archive of its own for a test, on a real PostgreSQL in a temporary folder.
 *
 * Layer:  server/archive. For tests only.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '../platform/log.ts';
import { type Database, migrate, openDatabase } from '../platform/database.ts';
import { type Events, openEvents } from '../platform/events.ts';
import { type ArchiveParts, archiveMigrations, openArchive } from './archive.ts';
import type { Archive } from './types.ts';

export interface TestArchive {
  archive: Archive;
  readonly database: Database;
  readonly events: Events;
  readonly dataDir: string;
  readonly config: ArchiveParts['config'];
  /** Opens another archive on the same data, as a start after a crash would; the first is not closed. */
  reopen(): Promise<Archive>;
  close(): Promise<void>;
}

export async function openTestArchive(
  options: Partial<ArchiveParts['config']> & { readonly segmentBytes?: number } = {},
): Promise<TestArchive> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'lightbox-archive-')));
  const log = createLog({ logLevel: 'silent' });
  const database = await openDatabase({ dataDir, databaseUrl: undefined, socketDir: undefined }, log);
  await migrate(database, [archiveMigrations]);
  const events = await openEvents(database, log);
  const config = { highWaterBytes: 0, quietSeconds: 60, ...options, dataDir };
  const parts: ArchiveParts = { config, database, events, log, segmentBytes: options.segmentBytes };
  const opened: Archive[] = [await openArchive(parts)];
  const box: TestArchive = {
    archive: opened[0]!,
    database,
    events,
    dataDir,
    config,
    async reopen() {
      const archive = await openArchive(parts);
      opened.push(archive);
      box.archive = archive;
      return archive;
    },
    async close() {
      for (const archive of opened) await archive.close();
      await events.close();
      await database.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return box;
}
