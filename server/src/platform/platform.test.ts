import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from './config.ts';
import { describeError } from './log.ts';
import { lockDataFolder } from './lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'lightbox-platform-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('Configuration', () => {
  it('has defaults for everything', () => {
    const config = loadConfig({});
    expect([config.http.port, config.dicom.port, config.dicom.aeTitle]).toEqual([8080, 11112, 'LIGHTBOX']);
    expect(config.databaseUrl).toBeUndefined();
  });

  it.each([
    ['LIGHTBOX_HTTP_PORT', '99999'],
    ['LIGHTBOX_DICOM_PORT', 'x'],
    ['LIGHTBOX_AE_TITLE', 'LONGER THAN SIXTEEN'],
    ['DATABASE_URL', 'mysql://secret'],
  ])('refuses a bad %s by name, without repeating it', (name, value) => {
    expect(() => loadConfig({ [name]: value })).toThrow(name);
    expect(() => loadConfig({ [name]: value })).not.toThrow(value);
  });
});

describe('The lock of the data folder', () => {
  it('names the process that holds it', () => {
    const lock = lockDataFolder(folder);
    expect(() => lockDataFolder(folder)).toThrow(`pid=${process.pid}`);
    lock.release();
    lockDataFolder(folder).release();
  });

  it('is taken over from a process that is gone', () => {
    writeFileSync(join(folder, 'lightbox.pid'), JSON.stringify({ pid: 4_000_000, started: '1' }));
    lockDataFolder(folder).release();
  });
});

describe('The log', () => {
  it('does not repeat what PostgreSQL says about a row', () => {
    const error = Object.assign(new Error('Key (patient_id)=(123)'), {
      severity: 'ERROR',
      routine: 'x',
      code: '23505',
    });
    expect(JSON.stringify(describeError(error))).not.toContain('123)');
  });
});
