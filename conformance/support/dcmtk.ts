/** Driving DCMTK's programs: the other side of the wire in these tests, written by strangers. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './lightbox.ts';

/** Without this DCMTK stalls 44 ms per message on Linux (Nagle against delayed acknowledgement). */
const environment = { ...process.env, TCP_NODELAY: '1' };

export interface ProgramResult {
  readonly code: number;
  readonly output: string;
}

/** Runs a program to its end; stdout and stderr together. Never rejects for a non-zero exit. */
export function run(
  name: string,
  args: readonly string[],
  options: { timeout?: number } = {},
): Promise<ProgramResult> {
  return new Promise((settle) => {
    execFile(
      name,
      [...args],
      {
        env: environment,
        timeout: options.timeout ?? 120_000,
        maxBuffer: 256 * 1024 * 1024,
        encoding: 'latin1',
      },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
        settle({ code, output: stdout + stderr });
      },
    );
  });
}

/** A temporary folder that `dispose` removes. */
export function temporaryFolder(): { path: string; dispose(): void } {
  const path = mkdtempSync(join(tmpdir(), 'lightbox-peer-'));
  return { path, dispose: () => rmSync(path, { recursive: true, force: true }) };
}

export interface FileNames {
  readonly file: string;
  readonly sopClassUid: string;
  readonly sopUid: string;
  readonly studyUid: string;
  readonly seriesUid: string;
}

/**
 * The identifying UIDs of files as dcmdump reads them; files it cannot read are left out.
 *
 * @param reading  `+fo`: only files with meta that DCMTK finds right; `+f`: also those of transfer syntaxes it does not know.
 */
export async function dumpUids(
  files: readonly string[],
  reading: '+fo' | '+f' = '+fo',
): Promise<FileNames[]> {
  const found: FileNames[] = [];
  for (const file of files) {
    const { output } = await run('dcmdump', [
      '-q',
      // Names of enclosing sequences before nested elements, so that only those of the object itself match.
      '+p',
      reading,
      '+P',
      '0008,0016',
      '+P',
      '0008,0018',
      '+P',
      '0020,000d',
      '+P',
      '0020,000e',
      '-Un',
      file,
    ]);
    const value = (tag: string): string =>
      new RegExp(`^\\(${tag}\\) UI \\[([0-9.]+)\\]`, 'm').exec(output)?.[1] ?? '';
    const sopUid = value('0008,0018');
    if (sopUid)
      found.push({
        file,
        sopClassUid: value('0008,0016'),
        sopUid,
        studyUid: value('0020,000d'),
        seriesUid: value('0020,000e'),
      });
  }
  return found;
}

/** Syntaxes DCMTK 3.6.7 can put on the wire; the rest are sent by our own `send` (send.test.ts). */
export const DCMTK_SENDS: ReadonlySet<string> = new Set([
  '1.2.840.10008.1.2',
  '1.2.840.10008.1.2.1',
  '1.2.840.10008.1.2.2',
  '1.2.840.10008.1.2.1.99',
  '1.2.840.10008.1.2.5',
  '1.2.840.10008.1.2.4.50',
  '1.2.840.10008.1.2.4.51',
  '1.2.840.10008.1.2.4.53',
  '1.2.840.10008.1.2.4.55',
  '1.2.840.10008.1.2.4.57',
  '1.2.840.10008.1.2.4.70',
  '1.2.840.10008.1.2.4.80',
  '1.2.840.10008.1.2.4.81',
  '1.2.840.10008.1.2.4.90',
  '1.2.840.10008.1.2.4.91',
  '1.2.840.10008.1.2.4.100',
  '1.2.840.10008.1.2.4.102',
  '1.2.840.10008.1.2.4.107',
]);

/** A storescu/storescp configuration with one profile: these SOP classes, each with exactly one transfer syntax. */
export function contextProfile(
  folder: string,
  transferSyntaxUid: string,
  sopClassUids: readonly string[],
): string {
  const path = join(folder, `contexts-${transferSyntaxUid}.cfg`);
  const contexts = sopClassUids
    .map((uid, index) => `PresentationContext${index + 1} = ${uid}\\Only`)
    .join('\n');
  writeFileSync(
    path,
    `[[TransferSyntaxes]]\n[Only]\nTransferSyntax1 = ${transferSyntaxUid}\n` +
      `[[PresentationContexts]]\n[All]\n${contexts}\n[[Profiles]]\n[Default]\nPresentationContexts = All\n`,
  );
  return path;
}

export interface SendResult {
  /** Files in sending order with the status word of the answer: 'Success', 'Warning: …', 'Error: …' or a hex status. */
  readonly answers: ReadonlyMap<string, string>;
  readonly output: string;
}

/** storescu over one association per call, proposing exactly `transferSyntaxUid`. Goes on after a refused object. */
export async function storescu(
  port: number,
  files: readonly string[],
  profile: string,
  options: { callingAe?: string; calledAe?: string } = {},
): Promise<SendResult> {
  const { output } = await run(
    'storescu',
    [
      '-v',
      '-nh',
      '-xf',
      profile,
      'Default',
      '-aet',
      options.callingAe ?? 'MODALITY',
      '-aec',
      options.calledAe ?? 'LIGHTBOX',
      '127.0.0.1',
      String(port),
      ...files,
    ],
    { timeout: 600_000 },
  );
  return { answers: readStorescu(output), output };
}

/** File -> answer, read from storescu's verbose output. A file without an answer is not in the map. */
export function readStorescu(output: string): Map<string, string> {
  const answers = new Map<string, string>();
  let current = '';
  for (const line of output.split('\n')) {
    const sending = /^I: Sending file: (.*)$/.exec(line);
    if (sending) current = sending[1] ?? '';
    const answer = /^[IWE]: Received Store Response \((.*)\)\s*$/.exec(line);
    if (answer && current) answers.set(current, answer[1] ?? '');
  }
  return answers;
}

/** storescp keeping every data set exactly as it came over the wire: what DCMTK really sends. */
export class Capture {
  readonly port: number;
  readonly folder: string;
  #process: ChildProcess;

  private constructor(port: number, folder: string, child: ChildProcess) {
    this.port = port;
    this.folder = folder;
    this.#process = child;
  }

  static async start(folder: string): Promise<Capture> {
    const port = await freePort();
    const child = spawn('storescp', ['+B', '+xa', '+uf', '-pm', '-od', folder, String(port)], {
      env: environment,
      stdio: 'ignore',
    });
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await run('echoscu', ['127.0.0.1', String(port)])).code === 0)
        return new Capture(port, folder, child);
      await sleep(50);
    }
    child.kill();
    throw new Error('storescp did not start');
  }

  /** Captured files in the order they came. */
  files(): string[] {
    return readdirSync(this.folder)
      .map((name) => join(this.folder, name))
      .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs);
  }

  stop(): void {
    this.#process.kill('SIGTERM');
  }
}
