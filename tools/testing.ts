/**
 * What tests may find on the machine, and what happens when it is not there.
 *
 * Outside CI a missing program or data folder skips the test and says so once, by name. With CI=true it fails:
 * a green CI must have run everything.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { describe, it } from 'vitest';

const repository = resolve(import.meta.dirname, '..');

/** The folder of shared test data beside the repository, or undefined. */
export function sharedTestdata(): string | undefined {
  return shared('testdata');
}

/** A folder or file of the shared material beside the repository, or undefined. */
export function shared(name: string): string | undefined {
  const path = join(repository, '..', 'shared', name);
  return existsSync(path) ? path : undefined;
}

/** Full path of a program on PATH (or in the usual sbin folders), or undefined. */
export function program(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** Things a test may need: programs by name, 'testdata' for the shared data folder, 'shared/standard' for another one. */
export function missing(needs: readonly string[]): string[] {
  return needs.filter((need) => {
    if (need === 'testdata') return sharedTestdata() === undefined;
    return (need.startsWith('shared/') ? shared(need.slice(7)) : program(need)) === undefined;
  });
}

const told = new Set<string>();

/** `describe`, but skipped aloud when something in `needs` is absent; with CI=true that is a failure. */
export function describeWith(needs: readonly string[], name: string, body: () => void): void {
  const absent = missing(needs);
  if (absent.length === 0) {
    describe(name, body);
    return;
  }
  const reason = `needs ${absent.join(', ')}`;
  if (process.env['CI'] === 'true') {
    it(`${name}: ${reason}, absent although CI=true`, () => {
      throw new Error(`${reason}; CI must install it (.ci/run)`);
    });
    return;
  }
  if (!told.has(name)) {
    told.add(name);
    process.stderr.write(`SKIPPED ${name}: ${reason}\n`);
  }
  describe.skip(`${name} (${reason})`, body);
}

/** One row of ../shared/testdata/MANIFEST.tsv. */
export interface ManifestRow {
  readonly path: string;
  /** Absolute. */
  readonly file: string;
  readonly sopClass: string;
  readonly modality: string;
  readonly transferSyntax: string;
  readonly why: string;
  readonly expected: 'valid' | 'odd' | 'broken';
  readonly md5: string;
  readonly dcmtkParse: string;
  /** md5 of the pixel data as GDCM decodes it, '-' when GDCM could not, '' when it has none. */
  readonly gdcmPixelMd5: string;
}

/** The manifest of the shared test data; empty when the folder is absent. */
export function manifest(): ManifestRow[] {
  const folder = sharedTestdata();
  if (!folder) return [];
  const [head = '', ...lines] = readFileSync(join(folder, 'MANIFEST.tsv'), 'utf8').split('\n');
  const names = head.split('\t');
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const cells = line.split('\t');
      const cell = (name: string): string => cells[names.indexOf(name)] ?? '';
      return {
        path: cell('path'),
        file: join(folder, cell('path')),
        sopClass: cell('sop_class'),
        modality: cell('modality'),
        transferSyntax: cell('transfer_syntax'),
        why: cell('why'),
        expected: cell('expected') as ManifestRow['expected'],
        md5: cell('md5'),
        dcmtkParse: cell('dcmtk_parse'),
        gdcmPixelMd5: cell('gdcm_pixel_md5'),
      };
    });
}
