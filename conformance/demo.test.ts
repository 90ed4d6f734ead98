/** The synthetic studies: valid by a stranger's judge, taken by the archive, found by names of every script. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { Lightbox } from './support/lightbox.ts';

const repository = resolve(import.meta.dirname, '..');

describeWith(['dciodvfy'], 'demo', () => {
  const folder = temporaryFolder();
  let box: Lightbox;

  beforeAll(async () => {
    box = await Lightbox.ready();
  });
  afterAll(async () => {
    await box.stop();
    folder.dispose();
  });

  it('paints six studies and sends them', async () => {
    const child = spawn(
      join(repository, 'node_modules/.bin/node'),
      [
        join(repository, 'server/src/cli/main.ts'),
        ...['demo', folder.path, '--to', `LIGHTBOX@127.0.0.1:${box.dicomPort}`],
      ],
      { cwd: repository, stdio: 'ignore' },
    );
    const code = await new Promise((settle) => child.once('exit', settle));
    expect(code).toBe(0);
    const studies = await box.getJson<Record<string, { Value?: unknown[] }>[]>(
      '/dicom-web/studies?PatientID=DEMO-*&includefield=00201208',
    );
    const modalities = studies.map((study) => (study['00080061']?.Value ?? []).join('+')).sort();
    expect(modalities).toEqual(['CR', 'CT', 'CT', 'CT+PT', 'MR', 'US']);
  });

  it.each(['試験*', 'Образцова*', 'Δοκιμή*', '표본*', 'نموذج*'])('is found as %s', async (name) => {
    const found = await box.getJson<unknown[]>(`/dicom-web/studies?PatientName=${encodeURIComponent(name)}`);
    expect(found).toHaveLength(1);
  });

  it('makes objects without an error by dciodvfy', async () => {
    const firsts = readdirSync(folder.path).filter((name) => name.endsWith('-001.dcm'));
    expect(firsts).toHaveLength(8);
    for (const name of firsts) {
      const { output } = await run('dciodvfy', [join(folder.path, name)]);
      expect(
        output.split('\n').filter((line) => line.startsWith('Error')),
        name,
      ).toEqual([]);
    }
  });
});
