/**
 * The archive put together: journal, index, ingest, search, retrieve.
 *
 * Layer:  server/archive.
 */
import type { Config } from '../platform/config.ts';
import type { Database, Migrations } from '../platform/database.ts';
import type { Events } from '../platform/events.ts';
import type { Log } from '../platform/log.ts';
import { Aside } from './aside.ts';
import { BlobReader } from './blobs.ts';
import { DiskGauge } from './disk.ts';
import { commitmentMigrations } from './commitment/migrations.ts';
import { Batcher } from './index/batcher.ts';
import { archiveMigrations as indexMigrations } from './index/migrations.ts';
import { markMismatches } from './index/resolve.ts';
import { exportMigrations } from './export/migrations.ts';
import { Headers } from './headers.ts';
import { importMigrations } from './import/migrations.ts';
import { ruleMigrations } from './rules/migrations.ts';
import { transferMigrations } from './transfers/migrations.ts';
import { ArchiveIngest } from './ingest.ts';
import { Journal, segmentOf } from './journal/journal.ts';
import { createCorrector, createOverlays } from './overlays/overlays.ts';
import { overlayMigrations } from './overlays/migrations.ts';
import { packMigrations } from './packs/migrations.ts';
import { createPacks, type PackStats } from './packs/packs.ts';
import { SEAL_POLICY, type SealPolicy } from './packs/seal.ts';
import { DiskPacks, packOf, type PackStore } from './packs/store.ts';
import { ArchiveSearch } from './query/query.ts';
import { reindex, replay, type ReplayParts, verify } from './replay.ts';
import { ArchiveRetrieve } from './retrieve.ts';
import { createDocuments } from './documents.ts';
import { createPresence } from './presence.ts';
import { createStudies } from './studies.ts';
import { Unsettled } from './unsettled.ts';
import type { Archive, ArchiveEvents, ArchiveStats, Coercer } from './types.ts';

/** Every table of the archive, of its index and beside it. */
export const archiveMigrations: Migrations = {
  ...indexMigrations,
  ...commitmentMigrations,
  ...exportMigrations,
  ...importMigrations,
  ...overlayMigrations,
  ...packMigrations,
  ...transferMigrations,
  ...ruleMigrations,
};

declare module '../platform/events.ts' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- augmentation
  interface EventTypes extends ArchiveEvents {}
}

export interface ArchiveParts {
  readonly config: Pick<Config, 'dataDir' | 'highWaterBytes' | 'quietSeconds' | 'sealSeconds'>;
  readonly database: Database;
  readonly events: Events;
  readonly log: Log;
  /** Rules that correct what comes in. */
  readonly coercer?: Coercer | undefined;
  /** Size at which a segment is full; tests take small ones. */
  readonly segmentBytes?: number | undefined;
  /** Seals by itself; who opens the archive for maintenance does not want it to change meanwhile. */
  readonly sealing?: boolean | undefined;
  /** Tests take small packs and are in a hurry. */
  readonly sealPolicy?: Partial<SealPolicy> | undefined;
}

/** How much a restart reads at most: what came within this time. */
const CHECKPOINT_MS = 1000;
/** One event per study in this time, however fast its images come. */
const CHANGED_MS = 200;
const STABLE_LOOK_MS = 2000;
const TELL_AT_ONCE = 500;
/** How often it is looked for series to seal, and for what can be taken away. */
const SEAL_LOOK_MS = 5000;
const RELEASE_MS = 30_000;
/** How soon a database that was away is asked again. */
const UNSETTLED_MS = 500;
const CLOSE_WAIT_MS = 10_000;

/** Opens the archive: replays what the index may have lost, then takes objects. The tables have to be there (`migrate`). */
export async function openArchive(parts: ArchiveParts): Promise<Archive> {
  const { config, database, events, log } = parts;
  const journal = await Journal.open(config.dataDir, log, parts.segmentBytes);
  const store = await DiskPacks.open(config.dataDir);
  const blobs = new BlobReader((blob) => {
    const [segment, pack] = [segmentOf(blob), packOf(blob)];
    if (segment !== undefined) return journal.path(segment);
    return pack === undefined ? undefined : store.path(pack, 'pack.zip');
  });
  const disk = new DiskGauge(config.dataDir, config.highWaterBytes);
  const aside = new Aside(database, blobs);
  const changed = new Map<string, number>();
  const headers = new Headers(database, blobs);
  const correct = createCorrector(headers);
  const tell = (studyUid: string, instances: number): void =>
    void changed.set(studyUid, (changed.get(studyUid) ?? 0) + instances);
  const batcher = new Batcher(database.url, log, { changed: tell }, correct);
  const { coercer } = parts;
  const replayParts: ReplayParts = {
    ...{ journal, packs: store, batcher, aside, blobs, database, coercer, log },
  };
  const began = performance.now();
  const records = await replay(replayParts);
  if (records) log.info({ records, ms: Math.round(performance.now() - began) }, 'journal replayed');
  const unsettled = new Unsettled(log);
  const ingest = new ArchiveIngest({ journal, batcher, aside, blobs, disk, unsettled, coercer, log });

  const retrieve = new ArchiveRetrieve(database, headers);
  const packs = createPacks({
    ...{ database, journal, blobs, store, disk, log },
    policy: { ...SEAL_POLICY, quietSeconds: config.sealSeconds, ...parts.sealPolicy },
    header: (ref) => retrieve.header(ref),
    busy: () => ingest.busy,
  });
  await warnOfUnknownPacks(database, store, log);

  const tellChanged = async (): Promise<void> => {
    const told = [...changed].map(([studyUid, instances]) => ({ studyUid, instances }));
    if (told.length === 0) return;
    await events.publishAll('study.changed', told);
    for (const { studyUid, instances } of told) {
      // More may have come meanwhile.
      const more = (changed.get(studyUid) ?? 0) - instances;
      if (more > 0) changed.set(studyUid, more);
      else changed.delete(studyUid);
    }
  };
  const tellStable = async (): Promise<void> => {
    await database.pool.query(
      `UPDATE study SET stable = true, told = false
       WHERE NOT stable AND changed_at < now() - make_interval(secs => $1)`,
      [config.quietSeconds],
    );
    // Also those of which a process that died, or a database that was away, could not tell.
    const { rows } = await database.pool.query<{ id: string; study_uid: string }>(
      `SELECT id, study_uid FROM study WHERE stable AND NOT told ORDER BY id LIMIT ${TELL_AT_ONCE}`,
    );
    const studies = rows.map((row) => ({ studyUid: row.study_uid }));
    await markMismatches(
      database.pool,
      studies.map(({ studyUid }) => studyUid),
    );
    const heard = await events.carryOut('study.stable', studies);
    const told = rows.filter((_, at) => heard[at]).map((row) => row.id);
    if (told.length)
      await database.pool.query('UPDATE study SET told = true WHERE id = ANY($1) AND stable', [told]);
  };
  const saveCheckpoint = async (): Promise<void> => {
    const checkpoints = journal.checkpoint();
    await batcher.saveCheckpoint(checkpoints);
    await journal.closeSealed(checkpoints);
  };
  const tasks = [
    repeat(log, UNSETTLED_MS, () => unsettled.retry()),
    repeat(log, CHECKPOINT_MS, saveCheckpoint),
    repeat(log, CHANGED_MS, tellChanged),
    repeat(log, STABLE_LOOK_MS, tellStable),
    ...(parts.sealing === true
      ? [
          repeat(log, SEAL_LOOK_MS, async () => void (await packs.seal())),
          repeat(log, RELEASE_MS, () => packs.release()),
        ]
      : []),
  ];

  const close = async (): Promise<void> => {
    packs.stop();
    await ingest.close(CLOSE_WAIT_MS);
    for (const task of tasks) await task.stop();
    await tellChanged().catch((error: unknown) => log.warn({ err: error }, 'last events not told'));
    await saveCheckpoint().catch((error: unknown) => log.warn({ err: error }, 'last checkpoint not saved'));
    await batcher.close();
    await blobs.close();
    await journal.close();
  };
  let closing: Promise<void> | undefined;
  return {
    ingest,
    query: new ArchiveSearch(database),
    retrieve,
    quarantine: aside,
    packs,
    studies: createStudies(database),
    presence: createPresence(database),
    documents: createDocuments(retrieve),
    overlays: createOverlays({ database, correct, headers, changed: tell, log }),
    failed: journal.failed,
    verify: (options) => verify(replayParts, options?.progress),
    reindex: (options) => reindex(replayParts, options?.progress),
    stats: async () => ({ ...(await readStats(database, disk)), ...(await packs.stats()) }),
    room: async () => ({ freeBytes: await disk.free(), full: await disk.full() }),
    close: () => (closing ??= close()),
  };
}

/** A new or restored database beside an old data folder: what is in the packs is kept, and not findable. */
async function warnOfUnknownPacks(database: Database, store: PackStore, log: Log): Promise<void> {
  const { rowCount } = await database.pool.query('SELECT 1 FROM pack LIMIT 1');
  if (rowCount) return;
  const first = await store.names().next();
  if (first.done !== true)
    log.error('there are packs that the database does not know: `lightbox reindex` takes them up');
}

async function readStats(database: Database, disk: DiskGauge): Promise<Omit<ArchiveStats, keyof PackStats>> {
  const { rows } = await database.pool.query<Record<string, string>>(
    `SELECT count(*) AS studies, coalesce(sum(series_count), 0) AS series, coalesce(sum(instance_count), 0) AS instances,
       coalesce(sum(bytes), 0) AS bytes, (SELECT count(*) FROM instance_conflict) AS conflicts,
       (SELECT count(*) FROM quarantine) AS quarantined FROM study`,
  );
  const number = (name: string): number => Number(rows[0]?.[name]);
  return {
    studies: number('studies'),
    series: number('series'),
    instances: number('instances'),
    conflicts: number('conflicts'),
    quarantined: number('quarantined'),
    bytes: number('bytes'),
    freeBytes: await disk.free(),
    full: await disk.full(),
  };
}

/** Runs a task again and again, one at a time; its failure is logged and it goes on. */
function repeat(log: Log, everyMs: number, task: () => Promise<void>): { stop(): Promise<void> } {
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= task()
      .catch((error: unknown) => log.warn({ err: error }, 'a task of the archive failed; it runs again'))
      .finally(() => (running = undefined));
  }, everyMs);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}
