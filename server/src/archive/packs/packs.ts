/**
 * Packs put together: sealing, releasing, and how far they are.
 *
 * Layer:  server/archive.
 */
import type { Database } from '../../platform/database.ts';
import type { Journal } from '../journal/journal.ts';
import { Releaser } from './release.ts';
import { Sealer, type SealerParts, type SealReport } from './seal.ts';

export interface PackStats {
  /** Files of the journal on this disk. */
  readonly journalBytes: number;
  readonly packs: number;
  readonly packBytes: number;
  /** Objects that lie in the journal. */
  readonly unsealed: number;
  /** How long the series that waits longest could have been sealed already, in seconds; 0 when none waits. */
  readonly sealLagSeconds: number;
}

export interface Packs {
  /** Seals every series that is quiet. */
  seal(): Promise<SealReport>;
  /** Takes away what is not needed any more. */
  release(): Promise<void>;
  stats(): Promise<PackStats>;
  /** Leaves off at the next piece. */
  stop(): void;
}

/** Counting goes over every pack: the pages and the monitoring ask more often than it changes. */
const COUNTED_MS = 10_000;

export function createPacks(parts: SealerParts): Packs {
  const sealer = new Sealer(parts);
  const releaser = new Releaser({ ...parts, writer: sealer.writer });
  const stopping = new AbortController();
  let counted: { at: number; stats: Promise<PackStats> } | undefined;
  let releasing: Promise<void> | undefined;
  return {
    seal: () => sealer.sealDue(stopping.signal),
    release: () => (releasing ??= releaser.run(stopping.signal).finally(() => (releasing = undefined))),
    stats() {
      if (!counted || performance.now() - counted.at > COUNTED_MS) {
        const stats = readStats(parts.database, parts.journal, parts.policy.quietSeconds);
        const made = { at: performance.now(), stats };
        stats.catch(() => {
          if (counted === made) counted = undefined;
        });
        counted = made;
      }
      return counted.stats;
    },
    stop: () => stopping.abort(),
  };
}

async function readStats(database: Database, journal: Journal, quietSeconds: number): Promise<PackStats> {
  const [segments, { rows }] = await Promise.all([
    journal.segments(),
    database.pool.query<Record<'packs' | 'bytes' | 'unsealed' | 'lag', string>>(
      `SELECT (SELECT count(*) FROM pack WHERE state = 'kept') AS packs,
         (SELECT coalesce(sum(bytes), 0) FROM pack WHERE state = 'kept') AS bytes,
         (SELECT count(*) FROM instance WHERE blob LIKE 'journal/%') AS unsealed,
         (SELECT coalesce(extract(epoch FROM now() - min(changed_at)), 0) FROM series
          WHERE id IN (SELECT series_fk FROM instance WHERE blob LIKE 'journal/%')) AS lag`,
    ),
  ]);
  const row = rows[0];
  return {
    journalBytes: segments.reduce((sum, one) => sum + one.bytes, 0),
    packs: Number(row?.packs),
    packBytes: Number(row?.bytes),
    unsealed: Number(row?.unsealed),
    sealLagSeconds: Math.max(0, Math.round(Number(row?.lag) - quietSeconds)),
  };
}
