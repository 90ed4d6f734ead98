/**
 * Broken and fuzzed files: a clear answer, nothing half visible, the bytes kept for a human, the process alive with
 * bounded memory, and everybody else served meanwhile (hostile-input catalogue, global oracle).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, manifest } from '../tools/testing.ts';
import { contextProfile, run, storescu, temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { Lightbox, residentBytes } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

describeWith(['storescu', 'echoscu', 'testdata'], 'Broken and fuzzed objects', () => {
  let box: Lightbox;
  const folder = temporaryFolder();
  const rows = manifest().filter(
    (row) =>
      (row.expected === 'broken' || row.path.startsWith('fuzz/') || row.path.startsWith('odd/')) &&
      !row.path.startsWith('hl7/') &&
      !row.path.startsWith('fhir/'),
  );

  beforeAll(async () => {
    box = await Lightbox.ready();
  });
  afterAll(async () => {
    folder.dispose();
    await box.stop();
  });

  it('answers every one by STOW-RS with a clear status, and stays up', async () => {
    const pid = box.pid;
    const before = await residentBytes(pid);
    const statuses = new Map<string, number>();
    for (const row of rows) {
      const answer = await stowFile(box, readFileSync(row.file));
      statuses.set(row.path, answer.status);
      expect([200, 202, 409, 400], row.path).toContain(answer.status);
      if (answer.status !== 200)
        expect(await answer.text(), row.path).toMatch(/00081198|0008119A|00081196|code|Failed/);
      else await answer.arrayBuffer();
    }
    expect(box.running).toBe(true);
    expect(box.pid).toBe(pid);
    expect((await residentBytes(pid)) - before).toBeLessThan(256 * 1024 * 1024);
    const broken = rows.filter((row) => row.expected === 'broken');
    expect(broken.length).toBeGreaterThan(10);
  }, 300_000);

  it('keeps what it could not understand for a human', async () => {
    const kept = await box.getJson<unknown[]>('/api/quarantine');
    expect(kept.length).toBeGreaterThan(5);
  });

  it('shows nothing half: every listed instance can be read whole', async () => {
    const instances = await box.getJson<Record<string, { Value?: unknown[] }>[]>(
      '/dicom-web/instances?limit=5000',
    );
    for (const row of instances) {
      const uid = (tag: string): string => String(row[tag]?.Value?.[0]);
      const path = `/dicom-web/studies/${uid('0020000D')}/series/${uid('0020000E')}/instances/${uid('00080018')}`;
      const whole = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
      expect(whole.status, path).toBe(200);
      await whole.arrayBuffer();
      const metadata = await box.get(`${path}/metadata`, { accept: 'application/dicom+json' });
      expect(metadata.status, path).toBe(200);
      await metadata.arrayBuffer();
      const rendered = await box.get(`${path}/rendered`, { accept: 'image/jpeg' });
      expect([200, 400, 406, 413], `${path}/rendered`).toContain(rendered.status);
      await rendered.arrayBuffer();
    }
    expect(box.running).toBe(true);
  }, 300_000);

  it('answers broken objects over DIMSE with a failure status and goes on with the association', async () => {
    const good = `${folder.path}/good.dcm`;
    writeFileSync(
      good,
      ctImage({
        studyUid: '1.2.3.1',
        seriesUid: '1.2.3.1.1',
        sopUid: '1.2.3.1.1.1',
        number: 1,
        side: 64,
        patientId: 'CANARY',
        chance: () => 0.5,
      }),
    );
    // No Study Instance UID: refused by PS3.4 §B.2.3 with 0xC000, while the same association stores the next one.
    const bad = `${folder.path}/bad.dcm`;
    writeFileSync(
      bad,
      ctImage({
        studyUid: '',
        seriesUid: '1.2.3.2.1',
        sopUid: '1.2.3.2.1.1',
        number: 1,
        side: 64,
        patientId: 'BAD',
        chance: () => 0.5,
      }),
    );
    const profile = contextProfile(folder.path, '1.2.840.10008.1.2.1', ['1.2.840.10008.5.1.4.1.1.2']);
    const sent = await storescu(box.dicomPort, [bad, good], profile);
    expect(sent.answers.get(bad)).not.toBe('Success');
    expect(sent.answers.get(bad)).toBeDefined();
    expect(sent.answers.get(good)).toBe('Success');
    expect((await run('echoscu', ['-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort)])).code).toBe(0);
  });
});
