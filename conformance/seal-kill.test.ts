/**
 * The server killed while it seals: at random moments, when a file of a pack appears, at the rename and at the deletion; a disk that
 * fails or is full in the middle of a pack. Everything acknowledged is there and equal each time (I1, I7; R1, R2, R4, R5).
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { temporaryFolder } from './support/dcmtk.ts';
import { writeImages, type WrittenImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';
import {
  incomingOf,
  inject,
  isSealed,
  maintain,
  notEqual,
  packsOf,
  segmentsOf,
  until,
} from './support/seal.ts';
import { stowFile } from './support/stow.ts';

const KILLS = Number(process.env['KILLS'] ?? (process.env['CI'] === 'true' ? 16 : 4));
const IMAGES = 12;
/** Looking at the disk without a pause: a pack of this size takes some ten milliseconds. */
const now = (condition: () => boolean, ms: number): boolean => {
  for (const began = performance.now(); performance.now() - began < ms;) if (condition()) return true;
  return false;
};

describeWith(['strace'], `Killed while sealing, ${KILLS} times`, () => {
  const folder = temporaryFolder();
  const data = temporaryFolder();
  const env = { LIGHTBOX_SEAL_SECONDS: '1' };
  const kept: WrittenImage[] = [];
  let box: Lightbox;
  let round = 0;

  async function send(size: () => number = Math.random): Promise<void> {
    round += 1;
    const place = join(folder.path, String(round));
    mkdirSync(place);
    for (const image of writeImages(place, `51.${round}`, IMAGES, size)) {
      expect((await stowFile(box, readFileSync(image.file))).status).toBe(200);
      kept.push(image);
    }
  }

  const ended = (): Promise<void> => until('the end of the server', () => !box.running, 90_000);

  beforeAll(async () => {
    box = await Lightbox.ready({ data: data.path, env });
  });
  afterAll(async () => {
    folder.dispose();
    await box.stop();
    data.dispose();
  });

  it('at a random moment, and whenever a step shows on the disk', async () => {
    const seen: Record<string, number> = {};
    for (let kill = 0; kill < KILLS; kill += 1) {
      await send();
      const before = packsOf(box).length;
      const step = ['draft', 'metadata', 'published', 'random'][kill % 4]!;
      const old = new Set(incomingOf(box));
      const fresh = (): string[] => incomingOf(box).filter((path) => !old.has(path));
      if (step === 'random') await sleep(Math.random() * 7000);
      else {
        // The next look is within five seconds.
        const found = now(
          {
            draft: () => fresh().some((path) => path.endsWith('pack.zip')),
            metadata: () => fresh().some((path) => path.endsWith('metadata.json.gz')),
            published: () => packsOf(box).length > before,
          }[step as 'draft'],
          15_000,
        );
        if (found) seen[step] = (seen[step] ?? 0) + 1;
      }
      await box.kill();
      await box.run();
      expect(await notEqual(box, kept.slice(-IMAGES)), `${step}, kill ${kill}`).toEqual([]);
    }
    await isSealed(box);
    expect(await notEqual(box, kept)).toEqual([]);
    expect(Object.values(seen).reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(
      Math.floor(KILLS / 4),
    );
    process.stderr.write(
      `${KILLS} kills while sealing (${JSON.stringify(seen)}), ${kept.length} objects, 0 lost\n`,
    );
  }, 900_000);

  it('at the rename that publishes a pack', async () => {
    const end = await inject(box.pid, 'rename,renameat,renameat2:signal=KILL:when=1');
    await send();
    await ended();
    await end();
    await box.run();
    expect(await notEqual(box, kept)).toEqual([]);
    await isSealed(box);
    expect(await notEqual(box, kept)).toEqual([]);
  }, 300_000);

  it('an fsync that fails while a pack is written ends the server, and nothing is believed of the pack', async () => {
    await send();
    const packs = packsOf(box).length;
    const end = await inject(box.pid, 'fdatasync,fsync:error=EIO:when=1+');
    await ended();
    await end();
    expect(packsOf(box)).toHaveLength(packs);
    await box.run();
    expect(await notEqual(box, kept)).toEqual([]);
    await isSealed(box);
  }, 300_000);

  it('a disk that is full in the middle of a pack leaves the series in the journal until there is room', async () => {
    await send();
    const end = await inject(box.pid, 'pwrite64,pwritev,pwritev2:error=ENOSPC:when=1+');
    await until('the notice', () => box.output.includes('no room to seal'), 60_000);
    expect(box.running).toBe(true);
    expect(await notEqual(box, kept.slice(-IMAGES))).toEqual([]);
    await end();
    await isSealed(box);
    expect(await notEqual(box, kept)).toEqual([]);
  }, 300_000);

  it('while segments are deleted; afterwards nothing is left over, and verify finds everything whole', async () => {
    // More than 4 MB, of which the journal gives its file back; a minute after the last object moved.
    await send(() => 0.99);
    await isSealed(box);
    const end = await inject(box.pid, 'unlink,unlinkat,rmdir:signal=KILL:when=1');
    await ended();
    await end();
    await box.run();
    expect(await notEqual(box, kept)).toEqual([]);
    await until('release', () => segmentsOf(box).length === 0 && incomingOf(box).length === 0, 200_000);
    expect(await notEqual(box, kept)).toEqual([]);
    await box.stop();
    const verified = maintain(box, 'verify');
    expect(verified, verified.output).toMatchObject({ status: 0 });
    expect(verified.output).toContain(`${kept.length} objects, `);
    await box.run();
  }, 500_000);
});
