/**
 * A few places for many who want one, in the order they came; and a few for each of many.
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

/** So many places for each name, and for all names together. */
export class NamedSlots {
  readonly #each: number;
  readonly #all: Slots;
  readonly #byName = new Map<string, { readonly slots: Slots; users: number }>();

  constructor(each: number, all: number) {
    this.#each = each;
    this.#all = new Slots(all);
  }

  /** Waits for a place. @returns how to give it back, or undefined when `signal` was aborted meanwhile. */
  async take(name: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    const own = this.#byName.get(name) ?? { slots: new Slots(this.#each), users: 0 };
    this.#byName.set(name, own);
    own.users += 1;
    const leave = (): void => {
      own.users -= 1;
      if (own.users === 0) this.#byName.delete(name);
    };
    // First among one's own: who waits there holds no place of the others.
    if (!(await own.slots.take(signal))) {
      leave();
      return undefined;
    }
    const giveBack = (): void => {
      own.slots.release();
      leave();
    };
    if (!(await this.#all.take(signal))) {
      giveBack();
      return undefined;
    }
    return () => {
      this.#all.release();
      giveBack();
    };
  }
}
