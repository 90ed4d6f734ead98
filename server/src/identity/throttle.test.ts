import { describe, expect, it } from 'vitest';
import { createThrottle } from './throttle.ts';

describe('Throttle (attack D87)', () => {
  it('lets five failures pass, then doubles the wait up to a quarter of an hour', () => {
    let now = 0;
    const throttle = createThrottle(() => now);
    const waits: number[] = [];
    for (let failure = 0; failure < 20; failure += 1) {
      throttle.failed('a');
      try {
        throttle.check('a');
        waits.push(0);
      } catch (error) {
        waits.push(Number((error as { facts: { retrySeconds: number } }).facts.retrySeconds));
        now += (waits.at(-1) ?? 0) * 1000;
        expect(() => throttle.check('a')).not.toThrow();
      }
    }
    expect(waits).toEqual([0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900, 900]);
  });

  it('forgets after an hour without a failure, and after success', () => {
    let now = 0;
    const throttle = createThrottle(() => now);
    for (let failure = 0; failure < 9; failure += 1) throttle.failed('a');
    expect(() => throttle.check('a')).toThrow('TOO_MANY_REQUESTS');
    expect(() => throttle.check('b')).not.toThrow();
    throttle.succeeded('a');
    expect(() => throttle.check('a')).not.toThrow();
    for (let failure = 0; failure < 4; failure += 1) throttle.failed('a');
    now = 61 * 60_000;
    throttle.failed('a');
    expect(() => throttle.check('a')).not.toThrow();
  });

  it('remembers a bounded number of names', () => {
    const throttle = createThrottle(() => 0);
    for (let failure = 0; failure < 6; failure += 1) throttle.failed('first');
    for (let name = 0; name < 20_000; name += 1) throttle.failed(`other ${name}`);
    expect(() => throttle.check('first')).not.toThrow();
  });
});
