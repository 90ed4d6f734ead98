import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, migrate, openDatabase } from './database.ts';
import { type Jobs, migrateJobs, openJobs } from './jobs.ts';
import { createLog } from './log.ts';

declare module './jobs.ts' {
  interface JobTypes {
    'test.add': { number: number };
    'test.fail': { id: string };
    'test.hang': { id: string };
  }
}

const folder = mkdtempSync(join(tmpdir(), 'lightbox-jobs-'));
const log = createLog({ logLevel: 'silent' });
/** Dead after six of them. */
const BEAT_MS = 200;
let database: Database;
let jobs: Jobs;
let sum = 0;
const attempts: number[] = [];

beforeAll(async () => {
  database = await openDatabase({ dataDir: folder, databaseUrl: undefined, socketDir: undefined }, log);
  await migrateJobs(database, log);
  await migrateJobs(database, log);
  await migrate(database, []);
  jobs = openJobs(database, log, BEAT_MS);
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

/** Another process of the same queue: says when it is ready, takes the job, says so, and never ends it. */
const HANGS = `
const [folder, databaseUrl, dataDir] = process.argv.slice(1);
const { openDatabase } = await import(folder + '/database.ts');
const { openJobs } = await import(folder + '/jobs.ts');
const { createLog } = await import(folder + '/log.ts');
const log = createLog({ logLevel: 'silent' });
const database = await openDatabase({ dataDir, databaseUrl, socketDir: undefined }, log);
const jobs = openJobs(database, log, ${BEAT_MS});
jobs.handle('test.hang', () => { console.log('taken'); return new Promise(() => setTimeout(() => {}, 1e8)); });
await jobs.start();
console.log('ready');
`;

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

  it('of a killed process are done by another one soon', async () => {
    const done: string[] = [];
    const other = openJobs(database, log, BEAT_MS);
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', HANGS, import.meta.dirname, database.url, folder],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    try {
      await once(child.stdout, 'data');
      await jobs.add('test.hang', { id: 'x' });
      await once(child.stdout, 'data');
      child.kill('SIGKILL');
      other.handle('test.hang', ({ id }) => {
        done.push(id);
        return Promise.resolve();
      });
      await other.start();
      await expect.poll(() => done).toEqual(['x']);
    } finally {
      child.kill('SIGKILL');
      await other.close();
    }
  });

  it('have one handler each', () => {
    expect(() => jobs.handle('test.add', () => Promise.resolve())).toThrow(/two handlers/);
  });
});
