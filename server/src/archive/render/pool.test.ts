import { afterEach, describe, expect, it } from 'vitest';
import type { ImagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import type { Job } from './job.ts';
import { createPool, type Pool } from './pool.ts';

const image: ImagePixel = {
  rows: 1,
  columns: 4,
  samples: 1,
  bitsAllocated: 8,
  bitsStored: 8,
  highBit: 7,
  signed: false,
  planar: false,
  photometric: 'MONOCHROME2',
  float: false,
};
const job = (over: Partial<Job> = {}): Job => ({
  bytes: Uint8Array.of(1, 2, 3, 4),
  codec: 'none',
  image,
  show: undefined,
  ...over,
});
/** Hangs, ends or answers by the first byte. */
const script = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    parentPort.on('message', ({ bytes, image }) => {
      if (bytes[0] === 9) for (;;);
      if (bytes[0] === 8) process.exit(1);
      if (bytes[0] === 7) throw new Error('broken');
      parentPort.postMessage({ ok: true, bytes, image, channels: 1 });
    });`)}`,
);

describe('render workers', () => {
  let pool: Pool;
  afterEach(() => pool.close());

  it('give pixels back', async () => {
    pool = createPool({ workers: 1 });
    expect([...(await pool.run(job())).bytes]).toEqual([1, 2, 3, 4]);
  });
  it('refuse a codestream of another size before decoding it', async () => {
    pool = createPool({ workers: 1 });
    const bytes = Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 255, 255, 255, 255, 1, 1, 0x11, 0);
    await expect(pool.run(job({ bytes, codec: 'jpeg' }))).rejects.toMatchObject({ code: 'PIXELS_BROKEN' });
  });
  it.each([
    [9, 'RENDER_TIMEOUT'],
    [8, 'PIXELS_BROKEN'],
    [7, 'PIXELS_BROKEN'],
  ])('are replaced after %d (%s)', async (first, code) => {
    pool = createPool({ workers: 1, timeoutMs: 3000, script });
    const lost = pool.run(job({ bytes: Uint8Array.of(first) }));
    const after = pool.run(job());
    await expect(lost).rejects.toMatchObject({ code });
    expect((await after).bytes).toHaveLength(4);
  });
  it('refuse most of a hundred at once, saying when to come again, and do the others (case B50)', async () => {
    pool = createPool({ workers: 1, queue: 10 });
    const all = await Promise.allSettled(Array.from({ length: 100 }, () => pool.run(job())));
    const done = all.filter((one) => one.status === 'fulfilled');
    // One is at work, ten wait.
    expect(done).toHaveLength(11);
    for (const one of all)
      if (one.status === 'rejected')
        expect(one.reason).toMatchObject({ code: 'BUSY', facts: { retrySeconds: 2 } });
    expect([...(await pool.run(job())).bytes]).toEqual([1, 2, 3, 4]);
  });
  it('refuse frames that would fill the memory while they wait (case B50)', async () => {
    pool = createPool({ workers: 1, queue: 1000, timeoutMs: 3000, script });
    const hung = pool.run(job({ bytes: Uint8Array.of(9) }));
    // One buffer, counted as often as it waits.
    const large = job({ bytes: new Uint8Array(200 * 1024 * 1024) });
    const waits = [pool.run(large), pool.run(large)];
    await expect(pool.run(large)).rejects.toMatchObject({ code: 'BUSY' });
    await expect(hung).rejects.toMatchObject({ code: 'RENDER_TIMEOUT' });
    const closing = pool.close();
    await Promise.allSettled([...waits, closing]);
  });
  it('refuse more than may wait', async () => {
    pool = createPool({ workers: 1, queue: 1, timeoutMs: 3000, script });
    const hung = pool.run(job({ bytes: Uint8Array.of(9) }));
    const waits = pool.run(job());
    await expect(pool.run(job())).rejects.toMatchObject({ code: 'BUSY' });
    await expect(hung).rejects.toMatchObject({ code: 'RENDER_TIMEOUT' });
    await waits;
  });
});
