/**
 * The built-in database dies in the middle of four parallel sends, again and again: nothing acknowledged is lost, and
 * Lightbox goes on by itself (safety: R6). The index runs with synchronous_commit off, so a crash really forgets commits.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { describeWith } from '../tools/testing.ts';
import { contextProfile, storescu, temporaryFolder } from './support/dcmtk.ts';
import { writeImages, type WrittenImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';

const KILLS = Number(process.env['DATABASE_KILLS'] ?? (process.env['CI'] === 'true' ? 6 : 2));
const SENDERS = 4;
const IMAGES_PER_SENDER = 60;

describeWith(['storescu'], `kill -9 of the database during four parallel sends, ${KILLS} times`, () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  const acknowledged = new Map<string, WrittenImage>();

  beforeAll(async () => {
    box = await Lightbox.ready();
  });
  afterAll(async () => {
    folder.dispose();
    await box.stop();
  });

  it('loses nothing that was acknowledged and needs no restart', async () => {
    const profile = contextProfile(folder.path, '1.2.840.10008.1.2.1', ['1.2.840.10008.5.1.4.1.1.2']);
    const server = box.pid;
    for (let round = 0; round < KILLS; round += 1) {
      const sends = Array.from({ length: SENDERS }, (_, sender) => {
        const place = join(folder.path, `${round}-${sender}`);
        mkdirSync(place);
        const images = writeImages(place, `66.${round}.${sender}`, IMAGES_PER_SENDER, Math.random);
        const files = images.map((image) => image.file);
        return { images, sending: storescu(box.dicomPort, files, profile) };
      });
      await sleep(100 + Math.random() * 900);
      // In turn the whole server, and one of its processes (which makes it recover from its log).
      const postmaster = Number(
        readFileSync(join(box.data, 'postgres/postmaster.pid'), 'utf8').split('\n')[0],
      );
      process.kill(round % 2 === 0 ? postmaster : (children(postmaster).at(-1) ?? postmaster), 'SIGKILL');
      for (const { images, sending } of sends) {
        const { answers, output } = await sending;
        expect(answers.size, output).toBe(images.length);
        for (const image of images)
          if (answers.get(image.file) === 'Success') acknowledged.set(image.sopUid, image);
      }
    }
    await expect
      .poll(async () => (await box.get('/dicom-web/studies?limit=1')).status, { timeout: 30_000 })
      .toBe(200);
    expect(box.pid).toBe(server);
    expect(box.running).toBe(true);
    expect(acknowledged.size).toBeGreaterThan(KILLS * IMAGES_PER_SENDER);
    const wrong: string[] = [];
    for (const image of acknowledged.values()) {
      const answer = await box.get(
        `/dicom-web/studies/${image.studyUid}/series/${image.seriesUid}/instances/${image.sopUid}`,
        { accept: 'application/dicom; transfer-syntax=*' },
      );
      const same =
        answer.ok && hash(Buffer.from(await answer.arrayBuffer())) === hash(readFileSync(image.file));
      if (!same) wrong.push(`${image.sopUid}: ${answer.status}`);
    }
    expect(wrong).toEqual([]);
    process.stderr.write(
      `${KILLS} kills of the database, ${acknowledged.size} acknowledged objects, 0 lost\n`,
    );
  }, 600_000);

  it('says the same after a restart', async () => {
    await box.kill();
    await box.run();
    const counted = await box.getJson<Record<string, { Value?: number[] }>[]>(
      '/dicom-web/studies?includefield=00201208&limit=1000',
    );
    const total = counted.reduce((sum, one) => sum + (one['00201208']?.Value?.[0] ?? 0), 0);
    expect(total).toBeGreaterThanOrEqual(acknowledged.size);
  });
});

function hash(file: Buffer): string {
  return createHash('sha256')
    .update(file.subarray(readPart10(file).dataSetOffset))
    .digest('hex');
}

function children(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        const stat = readFileSync(`/proc/${child}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
      } catch {
        return false;
      }
    });
}
