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
  readonly config: { -readonly [K in keyof ArchiveParts['config']]: ArchiveParts['config'][K] };
  /** Opens another archive on the same data, as a start after a crash would; the first is not closed. */
  reopen(): Promise<Archive>;
  /** Waits until what was taken in so far is in a checkpoint. */
  checkpoint(): Promise<void>;
  /** @param options.keep  The data stays, for another one. */
  close(options?: { readonly keep?: boolean }): Promise<void>;
}

export async function openTestArchive(
  options: Partial<ArchiveParts['config']> &
    Pick<ArchiveParts, 'coercer' | 'segmentBytes' | 'sealing' | 'sealPolicy'> = {},
): Promise<TestArchive> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'lightbox-archive-')));
  const log = createLog({ logLevel: 'silent' });
  const database = await openDatabase({ dataDir, databaseUrl: undefined, socketDir: undefined }, log);
  await migrate(database, [archiveMigrations]);
  const events = await openEvents(database, log);
  const { segmentBytes, sealing, sealPolicy, coercer, ...settings } = options;
  const config = { highWaterBytes: 0, quietSeconds: 60, sealSeconds: 60, ...settings, dataDir };
  const parts: ArchiveParts = { config, database, events, log, segmentBytes, sealing, sealPolicy, coercer };
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
    // The task runs each second; a checkpoint is there when its run after now has ended.
    checkpoint: () => new Promise((settle) => setTimeout(settle, 1200)),
    async close(end) {
      for (const archive of opened) await archive.close();
      await events.close();
      await database.close();
      if (end?.keep !== true) await rm(dataDir, { recursive: true, force: true });
    },
  };
  return box;
}
