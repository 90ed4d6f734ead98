import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../platform/log.ts';
import { createThumbnails } from './thumbnails.ts';

const log = createLog({ logLevel: 'silent' });
let data: string;
let made: number;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'lightbox-thumbnails-'));
  made = 0;
});
afterEach(() => rmSync(data, { recursive: true }));

const nameOf = (index: number): string => createHash('sha256').update(String(index)).digest('hex');

function picture(fill: number, bytes = 1000): () => Promise<Uint8Array> {
  return () => {
    made += 1;
    const jpeg = new Uint8Array(bytes).fill(fill);
    jpeg.set([0xff, 0xd8]);
    jpeg.set([0xff, 0xd9], bytes - 2);
    return Promise.resolve(jpeg);
  };
}

function files(): string[] {
  const root = join(data, 'cache', 'thumbnails');
  if (!existsSync(root)) return [];
  return (readdirSync(root, { recursive: true }) as string[])
    .map((name) => join(root, name))
    .filter((path) => statSync(path).isFile());
}

/** Pictures are written behind the answer: waits for so many. */
async function settled(count: number): Promise<void> {
  const onDisk = (): number => files().filter((path) => path.endsWith('.jpg')).length;
  for (let tries = 0; tries < 200 && onDisk() !== count; tries += 1) await sleep(10);
}

describe('Thumbnails', () => {
  it('of 50 studies are not made again after a restart', async () => {
    const first = createThumbnails(data, log);
    for (let index = 0; index < 50; index += 1) await first.get(nameOf(index), 128, picture(index));
    await settled(50);
    expect(made).toBe(50);
    const second = createThumbnails(data, log);
    for (let index = 0; index < 50; index += 1)
      expect((await second.get(nameOf(index), 128, picture(0)))[500]).toBe(index);
    expect(made).toBe(50);
  });

  it('are made once for all who ask at the same time, and once for each size', async () => {
    const thumbnails = createThumbnails(data, log);
    await Promise.all(Array.from({ length: 20 }, () => thumbnails.get(nameOf(1), 128, picture(1))));
    expect(made).toBe(1);
    await thumbnails.get(nameOf(1), 256, picture(2));
    expect(made).toBe(2);
    await settled(2);
  });

  it('that a power cut left without their end are made again', async () => {
    await createThumbnails(data, log).get(nameOf(1), 128, picture(1));
    await settled(1);
    for (const bytes of [999, 0]) {
      truncateSync(files()[0]!, bytes);
      expect((await createThumbnails(data, log).get(nameOf(1), 128, picture(7)))[500]).toBe(7);
      await sleep(50);
    }
  });

  it('take no more disk than they may: the oldest go, and what a crash left', async () => {
    const thumbnails = createThumbnails(data, log, 20_000);
    await thumbnails.get(nameOf(0), 128, picture(0));
    await settled(1);
    writeFileSync(`${files()[0]!}.0123456789ab`, 'left by a crash');
    for (let index = 1; index < 40; index += 1) await thumbnails.get(nameOf(index), 128, picture(index));
    await sleep(300);
    const left = files();
    expect(left.reduce((sum, path) => sum + statSync(path).size, 0)).toBeLessThanOrEqual(20_000);
    expect(left.every((path) => path.endsWith('.jpg'))).toBe(true);
    expect(left.some((path) => path.includes(nameOf(39)))).toBe(true);
    expect(left.some((path) => path.includes(nameOf(0)))).toBe(false);
  });

  it('are shown although the disk takes none', async () => {
    writeFileSync(join(data, 'cache'), 'a file where a folder has to be');
    expect((await createThumbnails(data, log).get(nameOf(1), 128, picture(3)))[500]).toBe(3);
    await sleep(20);
  });

  it('are for the server alone to read', async () => {
    await createThumbnails(data, log).get(nameOf(1), 128, picture(1));
    await settled(1);
    expect(statSync(files()[0]!).mode & 0o077).toBe(0);
  });
});
