/**
 * Each guard of the house rejects a bad sample: the linter's rules, the check of layers, the purity of core.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ESLint } from 'eslint';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');

describe('the linter', () => {
  let found: string[] = [];
  beforeAll(async () => {
    // The rules as they are; of the projects only the one with the sample, so that this takes seconds.
    const overrideConfig = {
      files: ['tools/**/*.ts'],
      languageOptions: { parserOptions: { project: ['./tsconfig.root.json'] } },
    };
    const eslint = new ESLint({ cwd: root, ignore: false, overrideConfig });
    const [result] = await eslint.lintFiles(['tools/bad-samples/lint.ts']);
    found = (result?.messages ?? []).map(({ ruleId, line }) => `${ruleId} ${line}`);
  });
  it.each([
    ['a promise nobody waits for', '@typescript-eslint/no-floating-promises 5'],
    ['a promise where none is expected', '@typescript-eslint/no-misused-promises 8'],
    ['waiting for nothing', '@typescript-eslint/await-thenable 11'],
    ['a switch that forgets a case', '@typescript-eslint/switch-exhaustiveness-check 15'],
    ['a loose comparison', 'eqeqeq 22'],
    ['a default export', 'no-restricted-syntax 24'],
    ['printing', 'no-console 25'],
  ])('refuses %s', (_name, message) => expect(found).toContain(message));
});

describe('the check of layers (law 4)', () => {
  const house = mkdtempSync(join(tmpdir(), 'lightbox-layers-'));
  const layers = {
    core: [['base'], ['dicom']],
    server: [['platform'], ['archive'], ['doors/dimse', 'doors/api'], ['main']],
    web: [['ui'], ['worklist', 'viewer']],
  };
  const good: Readonly<Record<string, string>> = {
    'layers.json': JSON.stringify(layers),
    'core/src/base/fault.ts': '',
    'core/src/dicom/read.ts': `import '../base/fault.ts';`,
    'server/src/platform/http.ts': `import { a } from '@lightbox/core/base/fault.ts';`,
    'server/src/archive/archive.ts': `import { a } from '../platform/http.ts';`,
    'server/src/doors/dimse/door.ts': `import type { A } from '../../archive/archive.ts';`,
    'server/src/doors/api/door.ts': `import { a } from '../../archive/archive.ts';`,
    'server/src/main.ts': `import './doors/api/door.ts';`,
    'web/src/ui/page.tsx': '',
    'web/src/viewer/page.tsx': `import { a } from '../ui/page.tsx';`,
    'web/src/worklist/page.tsx': '',
  };
  function check(samples: Readonly<Record<string, string>> = {}): { status: number | null; output: string } {
    rmSync(house, { recursive: true, force: true });
    for (const [name, text] of Object.entries({ ...good, ...samples })) {
      mkdirSync(dirname(join(house, name)), { recursive: true });
      writeFileSync(join(house, name), text);
    }
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'tools/layers.mjs'), house], {
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  }
  afterAll(() => rmSync(house, { recursive: true, force: true }));

  it('accepts imports that go down', () => expect(check()).toMatchObject({ status: 0 }));
  it.each([
    [
      'an import that goes up',
      { 'server/src/platform/http.ts': `import { a } from '../archive/archive.ts';` },
      'platform imports up into archive',
    ],
    [
      'a type that goes up',
      { 'core/src/base/fault.ts': `export type { A } from '../dicom/read.ts';` },
      'base imports up into dicom',
    ],
    [
      'an import of a sibling',
      { 'server/src/doors/api/door.ts': `import { a } from '../dimse/door.ts';` },
      'doors/api imports its sibling doors/dimse',
    ],
    [
      'a sibling loaded late',
      { 'web/src/viewer/page.tsx': `const a = await import('../worklist/page.tsx');` },
      'viewer imports its sibling worklist',
    ],
    [
      'an import for its effect alone',
      { 'server/src/archive/archive.ts': `import '../main.ts';` },
      'archive imports up into main',
    ],
    [
      'the pages using the server',
      { 'web/src/ui/page.tsx': `import type { A } from '@lightbox/server/archive/types.ts';` },
      'web must not import server',
    ],
    [
      'core using a package above it',
      { 'core/src/base/fault.ts': `import { a } from '@lightbox/server/main.ts';` },
      'core must not import server',
    ],
    ['core using Node', { 'core/src/base/fault.ts': `import fs from 'node:fs';` }, 'core is pure'],
    [
      'a path out of the package',
      { 'web/src/ui/page.tsx': `import { a } from '../../../server/src/main.ts';` },
      'leaves its package',
    ],
    ['a file that is in no layer', { 'server/src/extra/thing.ts': '' }, 'is in no layer'],
  ])('refuses %s', (_name, samples, message) => {
    const { status, output } = check(samples as Record<string, string>);
    expect(output).toContain(message);
    expect(output).toContain('1 faults');
    expect(status).toBe(1);
  });
});

describe('core is pure (law 3)', () => {
  it.each(['process.exit(1)', 'document.title', 'setTimeout(() => 1, 1)', 'Buffer.alloc(1)'])(
    'its compiler does not know %s',
    (text) => {
      const { config } = ts.readConfigFile(join(root, 'core/tsconfig.json'), ts.sys.readFile) as {
        config: unknown;
      };
      const { options } = ts.parseJsonConfigFileContent(config, ts.sys, join(root, 'core'));
      const name = join(root, 'core/src/sample.ts');
      const host = ts.createCompilerHost(options);
      const { getSourceFile, fileExists } = host;
      host.fileExists = (path) => path === name || fileExists(path);
      host.getSourceFile = (path, version) =>
        path === name
          ? ts.createSourceFile(path, `export const a = ${text};`, version)
          : getSourceFile(path, version);
      const program = ts.createProgram([name], options, host);
      const errors = program.getSemanticDiagnostics(program.getSourceFile(name)).map(({ code }) => code);
      // 2304, 2580, 2584, 2591: cannot find name.
      expect(errors.some((code) => [2304, 2580, 2584, 2591].includes(code))).toBe(true);
    },
  );
});
