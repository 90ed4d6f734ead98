/**
 * A disk at the mark: every door refuses new objects with the status of its standard, reading goes on, and after there is
 * room objects are kept again (PS3.4 §B.2.3: 0xA700; PS3.18 §10.5.3, RFC 4918 §11.5: 507).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { contextProfile, storescu, temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const image = (number: number): Buffer =>
  ctImage({
    ...{ studyUid: '1.2.3.5', seriesUid: '1.2.3.5.1', sopUid: `1.2.3.5.1.${number}`, number, side: 64 },
    ...{ patientId: 'FULL', chance: () => 0.5 },
  });
const PATH = '/dicom-web/studies/1.2.3.5/series/1.2.3.5.1/instances/1.2.3.5.1.1';

describeWith(['storescu'], 'A full disk', () => {
  const folder = temporaryFolder();
  const env: Record<string, string> = {};
  let box: Lightbox;

  beforeAll(async () => {
    box = await Lightbox.ready({ env });
    expect((await stowFile(box, image(1))).status).toBe(200);
    await box.kill();
    env['LIGHTBOX_MIN_FREE_BYTES'] = String(Number.MAX_SAFE_INTEGER);
    await box.run();
  });
  afterAll(async () => {
    folder.dispose();
    await box.stop();
  });

  it('refuses by STOW-RS, upload and C-STORE', async () => {
    expect((await stowFile(box, image(2))).status).toBe(507);
    const upload = await fetch(`${box.url}/api/upload?name=full.dcm`, {
      method: 'POST',
      headers: { authorization: `Bearer ${box.key}`, origin: box.url, 'content-type': 'application/dicom' },
      body: Uint8Array.from(image(2)),
    });
    expect(await upload.text()).toContain('ARCHIVE_FULL');
    const file = join(folder.path, 'full.dcm');
    writeFileSync(file, image(2));
    const profile = contextProfile(folder.path, '1.2.840.10008.1.2.1', ['1.2.840.10008.5.1.4.1.1.2']);
    const { answers, output } = await storescu(box.dicomPort, [file], profile);
    // DCMTK's words for 0xA700.
    expect(answers.get(file), output).toMatch(/OutOfResources/);
  });

  it('still gives what is kept, and shows nothing of what was refused', async () => {
    const answer = await box.get(PATH, { accept: 'application/dicom; transfer-syntax=*' });
    expect(Buffer.from(await answer.arrayBuffer()).equals(image(1))).toBe(true);
    const found = await box.getJson<unknown[]>('/dicom-web/instances?StudyInstanceUID=1.2.3.5');
    expect(found).toHaveLength(1);
  });

  it('keeps objects again when there is room', async () => {
    await box.kill();
    env['LIGHTBOX_MIN_FREE_BYTES'] = '0';
    await box.run();
    expect((await stowFile(box, image(2))).status).toBe(200);
  });
});
