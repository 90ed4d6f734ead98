/**
 * A Lightbox of its own for a test: a child process on free loopback ports with its data in a temporary folder,
 * set up through the same pages' API a person would use.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const repository = resolve(import.meta.dirname, '../..');

/** As `npm start` has it. */
const YOUNG_SPACE = '--max-semi-space-size=8';

export const ADMINISTRATOR = {
  name: 'Conformance',
  email: 'conformance@example.org',
  password: 'a long enough passphrase 7',
};

export interface LightboxOptions {
  /** Extra environment, e.g. limits. */
  readonly env?: Record<string, string>;
  /** An existing data folder to start on; kept by `stop`. */
  readonly data?: string;
}

export class Lightbox {
  readonly data: string;
  readonly httpPort: number;
  readonly dicomPort: number;
  /** Everything the server printed, for the assertion message of a failed start. */
  output = '';
  #process: ChildProcess | undefined;
  #ownsData: boolean;
  #env: Record<string, string>;
  /** API key with every right a machine can have; set by `setUp`. */
  key = '';

  private constructor(
    data: string,
    ownsData: boolean,
    httpPort: number,
    dicomPort: number,
    env: Record<string, string>,
  ) {
    this.data = data;
    this.#ownsData = ownsData;
    this.httpPort = httpPort;
    this.dicomPort = dicomPort;
    this.#env = env;
  }

  static async start(options: LightboxOptions = {}): Promise<Lightbox> {
    const data = options.data ?? mkdtempSync(join(tmpdir(), 'lightbox-conformance-'));
    const box = new Lightbox(
      data,
      options.data === undefined,
      await freePort(),
      await freePort(),
      options.env ?? {},
    );
    await box.run();
    return box;
  }

  /** Starts with an administrator and an API key. */
  static async ready(options: LightboxOptions = {}): Promise<Lightbox> {
    const box = await Lightbox.start(options);
    await box.setUp();
    return box;
  }

  get url(): string {
    return `http://127.0.0.1:${this.httpPort}`;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('the server is not running');
    return pid;
  }

  get running(): boolean {
    return (
      this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
    );
  }

  /** Starts the process on the same data and ports and waits until HTTP and DICOM answer. @returns milliseconds. */
  async run(): Promise<number> {
    const began = performance.now();
    const child = spawn(
      join(repository, 'node_modules/.bin/node'),
      [YOUNG_SPACE, join(repository, 'server/src/main.ts')],
      {
        cwd: repository,
        env: {
          ...process.env,
          LIGHTBOX_DATA: this.data,
          LIGHTBOX_HTTP_PORT: String(this.httpPort),
          LIGHTBOX_DICOM_PORT: String(this.dicomPort),
          // The default port is one for the whole machine.
          LIGHTBOX_DICOM_TLS_PORT: '0',
          LIGHTBOX_HTTP_HOST: '127.0.0.1',
          ...this.#env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#process = child;
    child.stdout.on('data', (bytes: Buffer) => (this.output += bytes.toString()));
    child.stderr.on('data', (bytes: Buffer) => (this.output += bytes.toString()));
    for (;;) {
      if (!this.running) throw new Error(`the server stopped while starting:\n${this.output}`);
      if (performance.now() - began > 120_000)
        throw new Error(`the server did not start in 120 s:\n${this.output}`);
      const answer = await fetch(`${this.url}/healthz`).catch(() => undefined);
      if (answer?.ok) break;
      await sleep(50);
    }
    return performance.now() - began;
  }

  /** Follows the one-time link, creates the administrator and an API key. */
  async setUp(): Promise<void> {
    const token = await this.setupToken();
    const created = await this.post('/api/setup', { token, ...ADMINISTRATOR });
    if (!created.ok) throw new Error(`setup failed: ${created.status} ${await created.text()}`);
    const cookie = await this.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const answer = await this.post(
      '/api/keys',
      {
        name: 'conformance',
        rights: [
          'study.search',
          'study.view',
          'study.store',
          'study.export',
          'workitem.view',
          'workitem.manage',
          'quarantine.read',
          'audit.read',
        ],
      },
      { cookie },
    );
    if (!answer.ok) throw new Error(`no API key: ${answer.status} ${await answer.text()}`);
    this.key = ((await answer.json()) as { key: string }).key;
  }

  /** The token of the one-time setup link the server prints. */
  async setupToken(): Promise<string> {
    for (let tries = 0; tries < 100; tries += 1) {
      const token = /\/setup#([\w.~-]+)/.exec(this.output)?.[1];
      if (token) return token;
      await sleep(50);
    }
    throw new Error(`no setup link was printed:\n${this.output}`);
  }

  /** @returns the Cookie header of a signed-in session. */
  async signIn(email: string, password: string): Promise<string> {
    const answer = await this.post('/api/auth/sign-in/email', { email, password });
    if (!answer.ok) throw new Error(`sign-in failed: ${answer.status} ${await answer.text()}`);
    return answer.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';')[0])
      .join('; ');
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: this.url, ...headers },
      body: JSON.stringify(body),
    });
  }

  /** A request with the API key. */
  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { headers: { authorization: `Bearer ${this.key}`, ...headers } });
  }

  async getJson<T>(path: string): Promise<T> {
    const answer = await this.get(path, { accept: 'application/dicom+json, application/json' });
    if (answer.status === 204) return [] as T;
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  /** kill -9, as a power cut would for the process. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM, waits for the clean end, removes the data unless it was given. @returns the exit code. */
  async stop(): Promise<number | null> {
    const code = await this.#end('SIGTERM');
    if (this.#ownsData) rmSync(this.data, { recursive: true, force: true });
    return code;
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process;
    if (!child || !this.running) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((settle) => child.once('exit', (code) => settle(code)));
    child.kill(signal);
    return ended;
  }
}

/** A loopback port nobody listens on just now. */
export function freePort(): Promise<number> {
  return new Promise((settle, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => settle(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Memory of a process and all its descendants in bytes; pages they share are counted once (proportional set size). */
export async function residentBytes(pid: number): Promise<number> {
  const { readFileSync, readdirSync } = await import('node:fs');
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // ended meanwhile
    }
  }
  const wanted = new Set([pid]);
  for (let grew = true; grew;) {
    grew = false;
    for (const [child, parent] of parents) {
      if (wanted.has(parent) && !wanted.has(child)) {
        wanted.add(child);
        grew = true;
      }
    }
  }
  let total = 0;
  for (const one of wanted) {
    try {
      total +=
        Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024;
    } catch {
      // ended meanwhile
    }
  }
  return total;
}
