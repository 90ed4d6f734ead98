/**
 * The clock beside an association: how long a peer may take before we stop waiting for it.
 *
 * Source: PS3.8 §9.1.5 (ARTIM), §9.2.
 * Layer:  server/doors/dimse.
 */

/** A peer that sends or takes fewer bytes than this within the idle time counts as silent: a trickle holds nothing open. */
const PROGRESS_BYTES = 4096;

export class Watch {
  #timer: NodeJS.Timeout;
  #bytes = 0;
  #stopped = false;
  readonly #expired: () => void;

  /** Runs out after `seconds`, whatever comes, until `idle` is called. */
  constructor(seconds: number, expired: () => void) {
    this.#expired = expired;
    this.#timer = setTimeout(expired, seconds * 1000);
  }

  /** From now on runs out after `seconds` without progress. */
  idle(seconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#expired, seconds * 1000);
  }

  /** A whole message came or went, or the work of ours that made the peer wait is done. */
  progress(): void {
    this.#bytes = 0;
    // `refresh` would wake a timer that was cleared.
    if (!this.#stopped) this.#timer.refresh();
  }

  /** Part of a message came. */
  received(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= PROGRESS_BYTES) this.progress();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
