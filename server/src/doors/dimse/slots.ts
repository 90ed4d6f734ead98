/**
 * A few places for many who want one, in the order they came.
 *
 * Layer:  server/doors/dimse.
 */
export class Slots {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Waits for a place. @returns false when `signal` was aborted meanwhile; else `release` has to be called once. */
  async take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    return new Promise((settle) => {
      const called = (): void => {
        signal.removeEventListener('abort', gone);
        settle(true);
      };
      const gone = (): void => {
        this.#waiting.delete(called);
        settle(false);
      };
      this.#waiting.add(called);
      signal.addEventListener('abort', gone, { once: true });
    });
  }

  release(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
