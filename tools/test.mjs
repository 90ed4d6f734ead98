// `npm test`: builds the web application if needed, runs every test, and ends with one plain line of counts.
// Arguments are handed to vitest (`npm test -- core/src/dicom`).
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildWeb, webIsStale } from './start.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
if (webIsStale()) buildWeb();

const report = join(root, 'artefacts/test-report.json');
mkdirSync(dirname(report), { recursive: true });
rmSync(report, { force: true });
const run = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);

const counts = JSON.parse(readFileSync(report, 'utf8'));
const skipped = counts.testResults.flatMap((file) =>
  file.assertionResults.filter((test) => test.status === 'skipped' || test.status === 'pending'),
);
if (skipped.length > 0) {
  console.log('\nSkipped here:');
  for (const name of new Set(skipped.map((test) => test.ancestorTitles[0] ?? test.title)))
    console.log(`  ${name}`);
}
const broken = counts.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
).length;
const failed = counts.numFailedTests + broken;
console.log(`\n${counts.numPassedTests} passed, ${failed} failed, ${skipped.length} skipped`);
process.exit(run.status !== 0 || failed > 0 ? 1 : 0);
