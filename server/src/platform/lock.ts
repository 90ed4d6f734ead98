/**
 * One Lightbox per data folder: a second start is refused and told who holds it.
 *
 * The lock is a file with our process id. A process that is gone cannot hold it: then it is taken over.
 * Layer:  server/platform.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync, linkSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '@lightbox/core/base/fault.ts';

export interface DataLock {
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** Start time of the process in kernel ticks: a new process with the same number is not the holder. */
  readonly started: string;
}

/** @throws Fault DATA_LOCKED with the pid of the holder; DATA_FOLDER. */
export function lockDataFolder(dataDir: string): DataLock {
  const path = join(dataDir, 'lightbox.pid');
  const mine = JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Holder);
  const draft = `${path}.${process.pid}`;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o711 });
    writeFileSync(draft, mine, { mode: 0o600 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Fault('DATA_FOLDER', { folder: dataDir, problem: code }, { cause });
  }
  try {
    for (let tries = 0; ; tries += 1) {
      try {
        // A link appears with its content or not at all: nobody reads a half-written lock.
        linkSync(draft, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || tries > 5) throw error;
        const holder = holderOf(path);
        if (holder && isRunning(holder)) throw new Fault('DATA_LOCKED', { pid: holder.pid, folder: dataDir });
        // Moved aside first, so that of two who find it stale only one removes it.
        const stale = `${path}.stale.${process.pid}`;
        try {
          renameSync(path, stale);
        } catch (gone) {
          if ((gone as NodeJS.ErrnoException).code !== 'ENOENT') throw gone;
        }
        rmSync(stale, { force: true });
      }
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    release: () => {
      if (holderOf(path)?.pid === process.pid) rmSync(path, { force: true });
    },
  };
}

function holderOf(path: string): Holder | undefined {
  try {
    const read: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof read !== 'object' || read === null || !('pid' in read) || !('started' in read))
      return undefined;
    return { pid: Number(read.pid), started: String(read.started) };
  } catch {
    return undefined;
  }
}

function isRunning(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const started = startOf(holder.pid);
  return started === '' || holder.started === '' || started === holder.started;
}

/** Field 22 of /proc/<pid>/stat; empty where there is no /proc, or for a zombie, which holds nothing. */
export function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'gone' : (fields[19] ?? '');
  } catch {
    return '';
  }
}
