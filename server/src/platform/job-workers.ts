/**
 * Which workers of the job queue live: what a process had in hand when it was killed is given to others within a minute.
 *
 * The queue itself gives such jobs free after four hours only. Each process says every few seconds that its workers live; workers
 * that nobody spoke for are taken for dead. One that only slept finds that its job was done twice, which handlers allow.
 * Layer:  server/platform.
 */
import type { Database } from './database.ts';
import type { Log } from './log.ts';

const BEAT_MS = 5000;
/** Without a word for so long, a worker is dead. */
const DEAD_SECONDS = 30;
/** After a pause longer than this the database was away, or we slept: others get the time to speak first. */
const GAP_MS = 3 * BEAT_MS;

export interface JobWorkers {
  /** A pool of workers of this process, by the name with which it signs for jobs. */
  born(workerId: string): Promise<void>;
  /** Those of before are no longer spoken for: the queue broke down and starts anew. */
  forget(): void;
  /** The workers of this process have left off. */
  close(): Promise<void>;
}

/** @param schema Of the queue. */
export function watchJobWorkers(database: Database, schema: string, log: Log, beatMs = BEAT_MS): JobWorkers {
  const { pool } = database;
  const ours = new Set<string>();
  let last = 0;
  let running: Promise<void> | undefined;

  async function beat(): Promise<void> {
    if (ours.size > 0)
      await pool.query(
        `INSERT INTO job_worker (worker_id) SELECT unnest($1::text[])
         ON CONFLICT (worker_id) DO UPDATE SET seen_at = clock_timestamp()`,
        [[...ours]],
      );
    const steady = performance.now() - last < GAP_MS;
    last = performance.now();
    if (!steady) return;
    const dead = await pool.query<{ worker_id: string }>(
      `DELETE FROM job_worker WHERE seen_at < clock_timestamp() - make_interval(secs => $1) RETURNING worker_id`,
      [(DEAD_SECONDS * beatMs) / BEAT_MS],
    );
    const names = dead.rows.map((row) => row.worker_id);
    if (names.length === 0) return;
    await pool.query(`SELECT ${schema}.force_unlock_workers($1::text[])`, [names]);
    log.info({ workers: names.length }, 'jobs of a process that ended are free again');
  }

  const timer = setInterval(() => {
    running ??= beat()
      .catch((error: unknown) => log.warn({ err: error }, 'the job queue could not say that it lives'))
      .finally(() => (running = undefined));
  }, beatMs);
  timer.unref();

  return {
    async born(workerId) {
      ours.add(workerId);
      await pool.query('INSERT INTO job_worker (worker_id) VALUES ($1) ON CONFLICT DO NOTHING', [workerId]);
    },
    forget: () => ours.clear(),
    async close() {
      clearInterval(timer);
      await running;
      await pool.query('DELETE FROM job_worker WHERE worker_id = ANY($1::text[])', [[...ours]]);
      ours.clear();
    },
  };
}
