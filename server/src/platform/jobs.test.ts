import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from './database.ts';
import { type Jobs, migrateJobs, openJobs } from './jobs.ts';
import { createLog } from './log.ts';

declare module './jobs.ts' {
  interface JobTypes {
    'test.add': { number: number };
    'test.fail': { id: string };
  }
}

const folder = mkdtempSync(join(tmpdir(), 'lightbox-jobs-'));
const log = createLog({ logLevel: 'silent' });
let database: Database;
let jobs: Jobs;
let sum = 0;
const attempts: number[] = [];

beforeAll(async () => {
  database = await openDatabase({ dataDir: folder, databaseUrl: undefined, socketDir: undefined }, log);
  await migrateJobs(database, log);
  await migrateJobs(database, log);
  jobs = openJobs(database, log);
  jobs.handle('test.add', ({ number }) => {
    sum += number;
    return Promise.resolve();
  });
  jobs.handle('test.fail', (_, { attempt }) => {
    attempts.push(attempt);
    return attempt < 2 ? Promise.reject(new Error('not yet')) : Promise.resolve();
  });
});
afterAll(async () => {
  await jobs.close();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('Jobs', () => {
  it('are done once they may be, those that waited too', async () => {
    await jobs.add('test.add', { number: 1 });
    await jobs.add('test.add', { number: 10 }, { key: 'ten' });
    await jobs.add('test.add', { number: 100 }, { key: 'ten' });
    await jobs.add('test.add', { number: 1000 }, { at: new Date(Date.now() + 3_600_000) });
    await jobs.start();
    await expect.poll(() => sum).toBe(101);
    await jobs.add('test.add', { number: 2 });
    await expect.poll(() => sum).toBe(103);
  });

  it('are tried again when they fail', async () => {
    await jobs.add('test.fail', { id: 'x' });
    await expect.poll(() => attempts, { timeout: 20_000 }).toEqual([1, 2]);
  });

  it('have one handler each', () => {
    expect(() => jobs.handle('test.add', () => Promise.resolve())).toThrow(/two handlers/);
  });
});
