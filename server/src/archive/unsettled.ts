/**
 * Objects that are durable in the journal while nobody knows whether the index has them: the database went away before it
 * answered. Their senders heard a refusal; their bytes stay until the database is back and says.
 *
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Log } from '../platform/log.ts';

/** Puts a record into the index, or gives its bytes back. @throws Fault DATABASE_UNREACHABLE when still nobody knows. */
export type Settle = () => Promise<void>;

export class Unsettled {
  readonly #log: Log;
  readonly #waiting: Settle[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  add(settle: Settle): void {
    this.#waiting.push(settle);
  }

  /** While objects wait here the database is away: further ones would only wait beside them. @throws Fault DATABASE_UNREACHABLE. */
  demandNone(): void {
    if (this.#waiting.length) throw new Fault('DATABASE_UNREACHABLE');
  }

  /** Tries again, oldest first. What is left at the end of the process the next start reads from the journal. */
  async retry(): Promise<void> {
    for (let settle = this.#waiting[0]; settle; settle = this.#waiting[0]) {
      try {
        await settle();
      } catch (error) {
        if (isUnreachable(error)) return;
        this.#log.error({ err: error }, 'an object nobody was told of could not be put into the index');
      }
      this.#waiting.shift();
      if (this.#waiting.length === 0) this.#log.info('the index is reachable again');
    }
  }
}

export const isUnreachable = (error: unknown): boolean =>
  error instanceof Fault && error.code === 'DATABASE_UNREACHABLE';
