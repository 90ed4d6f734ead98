/**
 * The database: PostgreSQL, our own in the data folder or the one named by DATABASE_URL.
 *
 * Layer:  server/platform.
 */
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import pg from 'pg';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Config } from './config.ts';
import type { Log } from './log.ts';
import { startPostgres } from './postgres.ts';

/** Each domain sees its own tables: `database.kysely.withTables<ArchiveTables>()`. */
export interface Database {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- domains bring their tables by withTables
  readonly kysely: Kysely<{}>;
  readonly pool: pg.Pool;
  /** For clients with a connection of their own (LISTEN, jobs). Holds a password: never log it. */
  readonly url: string;
  close(): Promise<void>;
}

export type DatabaseConfig = Pick<Config, 'dataDir' | 'databaseUrl' | 'socketDir'>;

const CONNECTIONS = 20;
/** A search may take a minute; who waits longer for a connection is told to come again. */
const CONNECT_MS = 15_000;
const OLDEST_SERVER = 160_000;

/**
 * Starts the built-in server or connects to the given one.
 *
 * @throws Fault DATABASE_START, DATABASE_UNREACHABLE, DATABASE_VERSION.
 */
export async function openDatabase(config: DatabaseConfig, log: Log): Promise<Database> {
  const own = config.databaseUrl === undefined ? await startPostgres(config, log) : undefined;
  try {
    return await connect(own?.url ?? config.databaseUrl ?? '', log, async () => own?.stop());
  } catch (error) {
    await own?.stop();
    if (config.databaseUrl !== undefined && error instanceof Fault && error.code === 'DATABASE_UNREACHABLE')
      throw new Fault('DATABASE_UNREACHABLE', { setting: 'DATABASE_URL' }, { cause: error.cause });
    throw error;
  }
}

/** A database at an address, without starting anything. `after` runs when it has been closed. */
export async function connect(
  url: string,
  log: Log,
  after: () => Promise<void> = async () => {},
): Promise<Database> {
  const pool = new pg.Pool({
    ...{ connectionString: url, max: CONNECTIONS },
    ...{ idleTimeoutMillis: 60_000, connectionTimeoutMillis: CONNECT_MS },
  });
  pool.on('error', (error) => log.warn({ err: error }, 'database connection lost'));
  // Also those that are lent out: whoever waits for an answer hears of it, and it must not end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const kysely = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
  try {
    const answer = await pool.query<{ server_version_num: string }>('SHOW server_version_num');
    const version = Number(answer.rows[0]?.server_version_num);
    if (!(version >= OLDEST_SERVER)) throw new Fault('DATABASE_VERSION', { version });
  } catch (error) {
    await kysely.destroy();
    throw error instanceof Fault ? error : new Fault('DATABASE_UNREACHABLE', {}, { cause: error });
  }
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await kysely.destroy();
    await after();
  };
  return { kysely, pool, url, close: () => (closing ??= close()) };
}

export type Migrations = Readonly<Record<string, Migration>>;

export const platformMigrations: Migrations = {
  '0001_outbox': {
    async up(db) {
      await sql`
        CREATE TABLE outbox (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          at timestamptz NOT NULL DEFAULT now(),
          node text NOT NULL,
          name text NOT NULL,
          payload jsonb NOT NULL
        )`.execute(db);
      await sql`CREATE INDEX outbox_at ON outbox USING brin (at)`.execute(db);
    },
  },
  '0002_job_workers': {
    async up(db) {
      await sql`
        CREATE TABLE job_worker (
          worker_id text PRIMARY KEY,
          seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )`.execute(db);
    },
  },
};

/**
 * Brings the database to the newest form: the platform's migrations and those of each domain, in the order of their names,
 * under a lock so that two nodes may start at once.
 *
 * @throws Fault DATABASE_MIGRATION; a failed migration leaves the database as it was.
 */
export async function migrate(database: Database, sets: readonly Migrations[]): Promise<void> {
  const all: Record<string, Migration> = {};
  for (const set of [platformMigrations, ...sets]) {
    for (const [name, migration] of Object.entries(set)) {
      if (all[name]) throw new Fault('DATABASE_MIGRATION', { name, what: 'two of the same name' });
      all[name] = migration;
    }
  }
  const migrator = new Migrator({
    db: database.kysely,
    provider: { getMigrations: () => Promise.resolve(all) },
    migrationTableName: 'migration',
    migrationLockTableName: 'migration_lock',
    // Each domain counts on in its own hundred: its next one comes after another domain's later number was applied.
    allowUnorderedMigrations: true,
  });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) {
    const failed = results?.find((one) => one.status === 'Error')?.migrationName;
    throw new Fault('DATABASE_MIGRATION', { name: failed }, { cause: error });
  }
}

/**
 * The server went away, hangs, is starting (57P03) or was told to stop (57P01, 57P02): the statement may have been carried out or
 * not. Any other error of a statement means that it was not.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: string }).code ?? '';
  return (
    code.startsWith('08') ||
    LOST.has(code) ||
    /Connection terminated|not queryable|Query read timeout|timeout expired|timeout exceeded|connection error/i.test(
      error.message,
    )
  );
}

const LOST: ReadonlySet<string> = new Set([
  ...['57P01', '57P02', '57P03', '57P05'],
  ...['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT'],
]);
