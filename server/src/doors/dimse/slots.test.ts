/** Places for retrievals: some for each peer, some for all. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { NamedSlots } from './slots.ts';

const never = new AbortController().signal;

describe('NamedSlots', () => {
  it('lets each name have its places, and no more', async () => {
    const slots = new NamedSlots(2, 10);
    const taken = [await slots.take('A', never), await slots.take('A', never), await slots.take('B', never)];
    let third = false;
    const waiting = slots.take('A', never).then((release) => {
      third = true;
      return release;
    });
    await sleep(5);
    expect(third).toBe(false);
    taken[0]?.();
    expect(await waiting).toBeTypeOf('function');
  });

  it('lets all names together have no more than there are', async () => {
    const slots = new NamedSlots(2, 2);
    const first = await slots.take('A', never);
    await slots.take('B', never);
    let third = false;
    const waiting = slots.take('C', never).then(() => (third = true));
    await sleep(5);
    expect(third).toBe(false);
    first?.();
    await waiting;
  });

  it('who stops waiting takes no place with them', async () => {
    const slots = new NamedSlots(1, 1);
    const release = await slots.take('A', never);
    const stop = new AbortController();
    const own = slots.take('A', stop.signal);
    const others = slots.take('B', stop.signal);
    stop.abort();
    expect(await own).toBeUndefined();
    expect(await others).toBeUndefined();
    release?.();
    expect(await slots.take('A', never)).toBeTypeOf('function');
  });
});
