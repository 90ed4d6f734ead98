/**
 * Writes docs/errors.md, docs/configuration.md and docs/conformance-statement.md from the tables in the code. `node tools/docs.ts`;
 * tools/docs.test.ts fails when they are not up to date.
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FAULTS } from '../core/src/base/fault.ts';
import { SETTINGS } from '../server/src/platform/settings.ts';
import { statement } from './statement/statement.ts';

export const ROOT = resolve(import.meta.dirname, '..');

export async function pages(): Promise<Readonly<Record<string, string>>> {
  const errors = Object.entries(FAULTS).map(
    ([code, { http, dimse, meaning }]) =>
      `- \`${code}\` (HTTP ${http}, DIMSE 0x${dimse.toString(16).toUpperCase().padStart(4, '0')}): ${meaning}`,
  );
  const settings = Object.values(SETTINGS).map(
    ({ env, default: fallback, meaning }) =>
      `- \`${env}\` (default ${fallback === '' ? 'none' : `\`${fallback}\``}): ${meaning}`,
  );
  return {
    'docs/errors.md': [
      '# Errors',
      '',
      'Every failure Lightbox reports has one of these codes: in the body of an HTTP answer, in the log, and as the status of a',
      'DICOM answer. Written from `core/src/base/fault.ts` by `node tools/docs.ts`.',
      '',
      ...errors,
      '',
    ].join('\n'),
    'docs/configuration.md': [
      '# Configuration',
      '',
      'Set in the environment of the process; read once at start. Written from `server/src/platform/settings.ts` by',
      '`node tools/docs.ts`.',
      '',
      ...settings,
      '',
    ].join('\n'),
    'docs/conformance-statement.md': await statement(),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(await pages())) writeFileSync(join(ROOT, name), text);
}
