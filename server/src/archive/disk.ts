/**
 * How much room is left: at the mark new objects are refused, reading goes on (design rule 9).
 *
 * Layer:  server/archive.
 */
import { statfs } from 'node:fs/promises';
import { Fault } from '@lightbox/core/base/fault.ts';

/** Four connections at full speed write about 300 MB between two looks: the mark leaves more than that. */
const LOOK_AGAIN_MS = 500;

export class DiskGauge {
  readonly #folder: string;
  readonly #minFree: number;
  #free = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(folder: string, minFree: number) {
    this.#folder = folder;
    this.#minFree = minFree;
  }

  async free(): Promise<number> {
    if (performance.now() - this.#lookedAt >= LOOK_AGAIN_MS) {
      const { bavail, bsize } = await statfs(this.#folder);
      this.#free = bavail * bsize;
      this.#lookedAt = performance.now();
    }
    return this.#free;
  }

  async full(): Promise<boolean> {
    return (await this.free()) < this.#minFree;
  }

  /**
   * @param bytes  More that is to fit without reaching the mark.
   * @throws Fault ARCHIVE_FULL.
   */
  async demandRoom(bytes = 0): Promise<void> {
    if ((await this.free()) - bytes < this.#minFree)
      throw new Fault('ARCHIVE_FULL', { freeBytes: this.#free, minFreeBytes: this.#minFree });
  }
}
