/** `npm run lightbox -- …`, as a program of its own. */
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';

const repository = resolve(import.meta.dirname, '../..');

export interface CliResult {
  readonly code: number;
  /** What it said, and what it complained of. */
  readonly output: string;
}

export function cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return new Promise((settle) => {
    execFile(
      join(repository, 'node_modules/.bin/node'),
      [join(repository, 'server/src/cli/main.ts'), ...args],
      { timeout: 60_000, encoding: 'utf8', env: { ...process.env, ...env } },
      (error, stdout, stderr) =>
        settle({ code: error ? Number(error.code ?? -1) : 0, output: stdout + stderr }),
    );
  });
}
