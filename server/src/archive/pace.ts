/**
 * Work in the background that reads and writes no faster than the disk can spare.
 *
 * Layer:  server/archive.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Sleeping for less is not exact. */
const SHORTEST_SLEEP_MS = 20;

export class Pace {
  readonly #bytesPerSecond: () => number;
  #free = 0;

  constructor(bytesPerSecond: () => number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Resolves when so many further bytes may be on their way. */
  async spend(bytes: number): Promise<void> {
    const now = performance.now();
    this.#free = Math.max(this.#free, now) + (bytes / this.#bytesPerSecond()) * 1000;
    if (this.#free - now > SHORTEST_SLEEP_MS) await sleep(this.#free - now);
  }
}
