/**
 * Who runs the built-in PostgreSQL: PostgreSQL refuses to run as root, so as root it runs as the user "postgres".
 *
 * That user may not enter every folder root can: a checkout under /root (mode 0700) hides both the programs and the data. Then
 * the one capability that opens folders (CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where a container has only that) is passed on
 * by setpriv(1), which is part of every Debian. See docs/decisions/0010-postgres-as-root.md.
 * Layer:  server/platform.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { userInfo } from 'node:os';
import { Fault } from '@lightbox/core/base/fault.ts';

export interface RunAs {
  /** undefined: the user we are. */
  readonly ids: { readonly uid: number; readonly gid: number } | undefined;
  /** In a process group of its own, output piped. */
  spawn(program: string, args: readonly string[]): ChildProcess;
}

const CAPABILITIES = ['dac_read_search', 'dac_override'];

/** @throws Fault DATABASE_USER, DATABASE_FOLDER. */
export async function postgresUser(...folders: readonly string[]): Promise<RunAs> {
  const options: SpawnOptions = {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: environment(),
  };
  if (userInfo().uid !== 0) {
    return { ids: undefined, spawn: (program, args) => spawn(program, args, options) };
  }
  const ids = lookUp() ?? create();
  if (folders.every((folder) => mayEnter([...plain(ids)], folder))) {
    return { ids, spawn: (program, args) => spawn(program, args, { ...options, ...ids }) };
  }
  for (const capability of CAPABILITIES) {
    const prefix = [...plain(ids), '--inh-caps', `+${capability}`, '--ambient-caps', `+${capability}`];
    if (folders.every((folder) => mayEnter(prefix, folder))) {
      return { ids, spawn: (program, args) => spawn('setpriv', [...prefix, program, ...args], options) };
    }
  }
  throw new Fault('DATABASE_FOLDER', { folder: folders[0] });
}

const plain = (ids: { uid: number; gid: number }): string[] => [
  `--reuid=${ids.uid}`,
  `--regid=${ids.gid}`,
  '--clear-groups',
];

/** Asked by doing: access rules of a kernel are more than mode bits. */
function mayEnter(setpriv: readonly string[], folder: string): boolean {
  return (
    spawnSync('setpriv', [...setpriv, 'stat', `${folder}/.`], { stdio: 'ignore', cwd: '/' }).status === 0
  );
}

function lookUp(): { uid: number; gid: number } | undefined {
  try {
    const id = (flag: string): number =>
      Number(execFileSync('id', [flag, 'postgres'], { stdio: 'pipe' }).toString());
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}

function create(): { uid: number; gid: number } {
  try {
    execFileSync(
      'useradd',
      ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'],
      {
        stdio: 'pipe',
      },
    );
  } catch (error) {
    throw new Fault('DATABASE_USER', {}, { cause: error });
  }
  const ids = lookUp();
  if (!ids) throw new Fault('DATABASE_USER');
  return ids;
}

/** Only what the program needs: our own environment holds secrets. */
function environment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
