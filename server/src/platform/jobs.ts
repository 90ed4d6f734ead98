/**
 * Jobs: work that outlives the request that asked for it. Kept in the database, done on any node, tried again until done.
 *
 * Domains name their jobs by augmenting `JobTypes`. Payloads hold ids and counts, never a patient's data. A job may run twice (the
 * process died before it said "done"): handlers look up what is left to do.
 * Layer:  server/platform.
 */
import { EventEmitter } from 'node:events';
import { Logger, run, runMigrations, type Runner, type TaskList, type WorkerEvents } from 'graphile-worker';
import type { Database } from './database.ts';
import { watchJobWorkers } from './job-workers.ts';
import type { Log } from './log.ts';

/** Augmented by each domain: `declare module '../platform/jobs.ts' { interface JobTypes { 'transfer.run': { id: string } } }`. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- filled by module augmentation
export interface JobTypes {}

export type JobName = keyof JobTypes & string;

export interface JobOptions {
  /** One waiting job per key: adding it again replaces the one that waits. */
  readonly key?: string;
  /** Not before. */
  readonly at?: Date;
  /** Smaller runs first; default 0. */
  readonly priority?: number;
}

export interface Running {
  /** From 1. */
  readonly attempt: number;
  /** Aborted when the process is to stop: leave off at the next point that can be taken up again. */
  readonly signal: AbortSignal;
}

export interface Jobs {
  /** One handler per name, before `start`. A handler that throws is called again, later and later (up to hours between). */
  handle<N extends JobName>(name: N, work: (payload: JobTypes[N], running: Running) => Promise<void>): void;
  add<N extends JobName>(name: N, payload: JobTypes[N], options?: JobOptions): Promise<void>;
  /** From here on jobs are taken. */
  start(): Promise<void>;
  /** Takes no further job and waits for those under way. */
  close(): Promise<void>;
}

const SCHEMA = 'jobs';
/** Jobs of one node at once. Each waits for a peer or a disk most of its time. */
const AT_ONCE = 8;
/** Retried for about a week: a peer may be off over the holidays. */
const ATTEMPTS = 40;
/** Waiting jobs are noticed at once by NOTIFY; this is for those that wait for their time. */
const POLL_MS = 1000;
const STOP_MS = 3000;
/** The database was away. */
const RESTART_MS = 1000;

/** The tables of the queue, brought to the newest form. Call before `openJobs`. */
export async function migrateJobs(database: Database, log: Log): Promise<void> {
  await runMigrations({ pgPool: database.pool, schema: SCHEMA, logger: quiet(log) });
}

/** @param beatMs How often this process says that it lives; tests are in a hurry. */
export function openJobs(database: Database, log: Log, beatMs?: number): Jobs {
  const handlers: TaskList = {};
  let runner: Runner | undefined;
  let closed = false;
  const workers = watchJobWorkers(database, SCHEMA, log, beatMs);
  const told = new EventEmitter() as WorkerEvents;
  told.on('pool:create', ({ workerPool }) => {
    // Should this fail, the next beat says it.
    workers.born(workerPool.id).catch(() => undefined);
  });

  async function take(): Promise<void> {
    workers.forget();
    const started = await run({
      pgPool: database.pool,
      schema: SCHEMA,
      logger: quiet(log),
      taskList: handlers,
      events: told,
      concurrency: AT_ONCE,
      pollInterval: POLL_MS,
      noHandleSignals: true,
      gracefulShutdownAbortTimeout: STOP_MS,
    });
    runner = started;
    started.promise.then(
      () => undefined,
      (error: unknown) => {
        if (closed) return;
        log.warn({ err: error }, 'the job queue stopped; it starts again');
        again();
      },
    );
  }

  function again(): void {
    setTimeout(() => {
      if (!closed) take().catch(again);
    }, RESTART_MS).unref();
  }

  return {
    handle(name, work) {
      if (handlers[name]) throw new Error(`two handlers for the job ${name}`);
      handlers[name] = async (payload, { job, abortSignal }) => {
        try {
          await work(payload as never, { attempt: job.attempts, signal: abortSignal });
        } catch (error) {
          if (!abortSignal.aborted)
            log.warn({ err: error, job: name, attempt: job.attempts }, 'a job failed');
          throw error;
        }
      };
    },
    async add(name, payload, options = {}) {
      const { key, at, priority } = options;
      await database.pool.query(
        `SELECT ${SCHEMA}.add_job($1, payload => $2::json, job_key => $3, run_at => $4, priority => $5, max_attempts => $6)`,
        [name, JSON.stringify(payload), key ?? null, at ?? null, priority ?? 0, ATTEMPTS],
      );
    },
    start: take,
    async close() {
      closed = true;
      await runner?.stop();
      runner = undefined;
      await workers.close();
    },
  };
}

/** Its own words may hold payloads: only that something went wrong is passed on, handlers tell their own failures. */
const quiet = (log: Log): Logger =>
  new Logger(() => (level, message) => {
    if (level === 'error') log.debug({ queue: message.slice(0, 200) }, 'job queue');
  });
