/**
 * How everything is measured: peers take turns within one run (A B A B), each turn begins on a quiet machine with nothing
 * left to write, and what a server did is checked before its time counts.
 */
import { execFileSync } from 'node:child_process';
import { inLoadProcess } from './load.ts';
import type { Job, JobResult } from './jobs.ts';
import type { Peer } from './peers.ts';
import { quiet, watch, type Watched } from './processes.ts';
import type { Figure } from './report.ts';

export type Size = 'full' | 'quick' | 'smoke';

export interface BenchOptions {
  /** `quick` says roughly how things are; `smoke` only that everything works. */
  readonly size: Size;
  /** Turns of each peer that count; one more is for warming up. */
  readonly repetitions: number;
  /** Seconds to wait, at most, for a quiet machine before each turn. */
  readonly patience: number;
  /** `query`: studies in each archive. */
  readonly studies: number;
  /** Work whose name it does not match is left out. */
  readonly only: RegExp;
  /** `viewer`: the `dist` folder of @ohif/app, to measure it in front of Orthanc. */
  readonly ohif: string | undefined;
}

export interface Measurements {
  readonly figures: readonly Figure[];
  /** Versions of the programs, and sizes. */
  readonly setup: Readonly<Record<string, string>>;
}

export const versionsOf = (...peers: readonly Pick<Peer, 'name' | 'version'>[]): Record<string, string> =>
  Object.fromEntries(peers.map(({ name, version }) => [name, version]));

/** Cores that may be busy when a turn begins: other people's work shall not be our figure. */
const QUIET_CORES = 0.3;

export interface Turn<T> {
  /** 0 is the warm-up. */
  readonly repetition: number;
  readonly peer: T;
}

/** Runs `turn` for each peer in turn, once for warming up (but for `smoke`) and then `repetitions` times. */
export async function alternate<T>(
  peers: readonly T[],
  { repetitions, size }: BenchOptions,
  turn: (turn: Turn<T>) => Promise<void>,
): Promise<void> {
  for (let repetition = size === 'smoke' ? 1 : 0; repetition <= repetitions; repetition += 1)
    for (const peer of peers) await turn({ repetition, peer });
}

/** Dirty pages one peer left must not be written out on the other's time. */
function writeOut(): void {
  execFileSync('sync');
}

/** Prepares a job in a process of its own, waits for quiet, runs it while watching the server. */
export async function measure(
  serverPid: number,
  job: Job,
  options: BenchOptions,
): Promise<Watched<JobResult>> {
  const load = await inLoadProcess(job);
  try {
    if (options.size !== 'smoke') writeOut();
    await calm(options);
    return await watch(serverPid, load.pid, () => load.run());
  } finally {
    await load.close();
  }
}

/** Waits for a quiet machine, but not for ever: each figure carries the noise it was taken in. */
export const calm = ({ patience }: BenchOptions): Promise<void> => quiet(QUIET_CORES, patience);

/** Gathers values until they are figures. */
export class Figures {
  readonly #rows = new Map<
    string,
    Omit<Figure, 'values' | 'otherCores'> & { values: number[]; otherCores: number[] }
  >();

  add(figure: Omit<Figure, 'values' | 'otherCores'>, value: number, otherCores: number): void {
    const key = `${figure.work}|${figure.unit}|${figure.peer}`;
    const row = this.#rows.get(key) ?? { ...figure, values: [], otherCores: [] };
    this.#rows.set(key, row);
    row.values.push(value);
    row.otherCores.push(Math.round(otherCores * 100) / 100);
  }

  list(): Figure[] {
    return [...this.#rows.values()];
  }
}

/** The value below which `share` of the sorted values lie. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

/** A check of the bench itself: a fast server that did something else has not been fast. */
export function check(fine: boolean, problem: string): void {
  if (!fine) throw new Error(problem);
}
