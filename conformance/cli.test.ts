/**
 * The commands of the terminal, and starting and stopping, as an administrator meets them.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from './support/dcmtk.ts';
import { writeImages } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';

const repository = resolve(import.meta.dirname, '..');
const node = join(repository, 'node_modules/.bin/node');

function lightbox(args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(node, [join(repository, 'server/src/cli/main.ts'), ...args], {
    ...{ cwd: repository, encoding: 'utf8', env: { ...process.env, ...env }, timeout: 60_000 },
  });
  return { status, output: stdout + stderr };
}

describe('commands', () => {
  let box: Lightbox;
  const folder = temporaryFolder();
  const data = temporaryFolder();

  beforeAll(async () => {
    box = await Lightbox.ready({ data: data.path });
  });
  afterAll(async () => {
    await box.stop();
    folder.dispose();
    data.dispose();
  });

  it('send stores a folder and says what is no DICOM', async () => {
    const images = writeImages(folder.path, '5', 4, () => 0.5);
    writeFileSync(join(folder.path, 'notes.txt'), 'x'.repeat(300));
    const to = `LIGHTBOX@127.0.0.1:${box.dicomPort}`;
    const sent = lightbox(['send', folder.path, '--to', to]);
    expect(sent.output).toContain('4 sent, 1 failed');
    expect(sent.output).toContain('notes.txt: The file does not begin with a DICOM preamble');
    expect(sent.status).toBe(1);
    const found = await box.getJson<unknown[]>(`/dicom-web/studies/${images[0]?.studyUid}/instances`);
    expect(found).toHaveLength(4);
  });

  it('send to nobody says what to look for', () => {
    const sent = lightbox(['send', folder.path, '--to', 'NOBODY@127.0.0.1:1']);
    expect(sent.status).toBe(1);
    expect(sent.output).toContain('DIMSE_UNREACHABLE');
  });

  it('a second start on the same data is refused, a busy port too', async () => {
    const second = lightbox(['serve'], { LIGHTBOX_DATA: data.path });
    expect(second.output).toContain('DATA_LOCKED');
    expect(second.status).toBe(1);
    const other = temporaryFolder();
    const busy = lightbox(['serve'], { LIGHTBOX_DATA: other.path, LIGHTBOX_HTTP_PORT: String(box.httpPort) });
    expect(busy.output).toContain('PORT_BUSY');
    expect(busy.output).toContain('LIGHTBOX_HTTP_PORT');
    expect(busy.status).toBe(1);
    other.dispose();
  });

  it('stops cleanly; verify and reindex agree with what was stored; it starts again', async () => {
    expect(await box.stop()).toBe(0);
    const env = { LIGHTBOX_DATA: data.path };
    expect(lightbox(['verify'], env).output).toContain('4 objects');
    expect(lightbox(['reindex'], env).output).toContain('4 objects indexed');
    expect(lightbox(['verify'], env)).toMatchObject({ status: 0 });
    await box.run();
    expect(await box.getJson<unknown[]>('/dicom-web/instances')).toHaveLength(4);
  });
});
