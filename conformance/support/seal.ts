/** What tests of sealing look at: packs on the disk, and whether everything is given back as it was sent. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import type { WrittenImage } from './images.ts';
import type { Lightbox } from './lightbox.ts';

const repository = resolve(import.meta.dirname, '../..');

/** The ZIPs under packs/, whole paths. */
export function packsOf(box: Lightbox): string[] {
  return under(join(box.data, 'packs')).filter(
    (path) => path.endsWith('/pack.zip') && !path.includes('/incoming/'),
  );
}

/** What is being written, or was left by a process that died. */
export const incomingOf = (box: Lightbox): string[] => under(join(box.data, 'packs', 'incoming'));

export function segmentsOf(box: Lightbox): string[] {
  return readdirSync(join(box.data, 'journal')).filter((name) => name.endsWith('.lbj'));
}

function under(folder: string): string[] {
  if (!existsSync(folder)) return [];
  // Folders come and go meanwhile.
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path));
  } catch {
    return under(folder);
  }
}

export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 60_000,
): Promise<void> {
  for (const began = performance.now(); !(await condition());) {
    if (performance.now() - began > ms) throw new Error(`${what} did not come within ${ms} ms`);
    await sleep(100);
  }
}

/** Objects that are not in a pack, as the monitoring sees them. */
export async function unsealed(box: Lightbox): Promise<number> {
  const { unsealed: count } = await box.getJson<{ unsealed: number }>('/api/status');
  return count;
}

export const isSealed = (box: Lightbox): Promise<void> =>
  until('sealing', async () => (await unsealed(box)) === 0, 120_000);

/** The data set as it was sent: file meta may be another's. */
export const dataSetHash = (file: Buffer): string =>
  createHash('sha256')
    .update(file.subarray(readPart10(file).dataSetOffset))
    .digest('hex');

/** Names and reasons of images that are not given back as they were sent. */
export async function notEqual(box: Lightbox, images: readonly WrittenImage[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { file, studyUid, seriesUid, sopUid } of images) {
    const path = `/dicom-web/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`;
    const answer = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (!answer.ok) wrong.push(`${sopUid}: ${answer.status}`);
    else if (dataSetHash(bytes) !== dataSetHash(readFileSync(file))) wrong.push(`${sopUid}: other bytes`);
  }
  return wrong;
}

/** verify or reindex on the data of a server that does not run. */
export function maintain(
  box: Lightbox,
  command: 'verify' | 'reindex',
): { status: number | null; output: string } {
  const program = [join(repository, 'server/src/cli/main.ts'), command];
  const { status, stdout, stderr } = spawnSync(join(repository, 'node_modules/.bin/node'), program, {
    ...{ cwd: repository, encoding: 'utf8', timeout: 120_000 },
    env: { ...process.env, LIGHTBOX_DATA: box.data },
  });
  return { status, output: stdout + stderr };
}

/** Makes a system call of a running server fail, or kills the server at it, by strace. @returns a function that ends it. */
export async function inject(pid: number, rule: string): Promise<() => Promise<void>> {
  const calls = rule.split(':')[0] ?? '';
  const child = spawn(
    'strace',
    ['-f', '-q', '-p', String(pid), '-e', `trace=${calls}`, '-e', `inject=${rule}`, '-o', '/dev/null'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let told = '';
  child.stderr.on('data', (bytes: Buffer) => (told += bytes.toString()));
  const ended = new Promise<void>((settle) => child.once('exit', () => settle()));
  // It has every thread when it traces the first.
  await until(
    'strace',
    () => /TracerPid:\s+[1-9]/.test(readFileSync(`/proc/${pid}/status`, 'utf8')),
    20_000,
  ).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(told, { cause: error });
  });
  return async () => {
    child.kill('SIGTERM');
    await ended;
  };
}
