/**
 * Slows guessing of passwords: after a few failures each further one doubles the wait.
 *
 * Kept in memory of each node: a restart forgets, which costs an attacker more than it gives.
 * Layer:  server/identity.
 */
import { Fault } from '@lightbox/core/base/fault.ts';

const FREE_FAILURES = 5;
const LONGEST_MS = 15 * 60_000;
/** Without a failure for so long all is forgotten. */
const FORGET_MS = 60 * 60_000;
const NAMES = 20_000;

export interface Throttle {
  /** @throws Fault TOO_MANY_REQUESTS with retrySeconds while `name` has to wait. */
  check(name: string): void;
  failed(name: string): void;
  succeeded(name: string): void;
}

export function createThrottle(now: () => number = Date.now): Throttle {
  const failures = new Map<string, { count: number; at: number }>();
  const waits = (count: number): number =>
    count < FREE_FAILURES ? 0 : Math.min(LONGEST_MS, 1000 * 2 ** (count - FREE_FAILURES));
  return {
    check(name) {
      const known = failures.get(name);
      if (!known) return;
      const left = known.at + waits(known.count) - now();
      if (left > 0) throw new Fault('TOO_MANY_REQUESTS', { retrySeconds: Math.ceil(left / 1000) });
    },
    failed(name) {
      const known = failures.get(name);
      const count = known && now() - known.at < FORGET_MS ? known.count + 1 : 1;
      failures.delete(name);
      if (failures.size >= NAMES) failures.delete(failures.keys().next().value ?? '');
      failures.set(name, { count, at: now() });
    },
    succeeded(name) {
      failures.delete(name);
    },
  };
}
