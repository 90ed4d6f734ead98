/**
 * Running Lightbox: what monitoring sees, and what happens when the database goes away and comes back while it runs.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../server/src/platform/database.ts';
import { createLog } from '../server/src/platform/log.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';
import { describeWith } from '../tools/testing.ts';

const STUDY = '1.2.826.0.1.3680043.3.1';
const image = (sop: string): Buffer =>
  Buffer.from(
    ctImage({
      ...{ studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid: `${STUDY}.1.${sop}`, number: 1, side: 16 },
      ...{ patientId: 'SECRETPATIENT', chance: () => 0.5 },
    }),
  );

describe('for monitoring', () => {
  let box: Lightbox;
  let admin: string;
  const asAdmin = (path: string): Promise<Response> => fetch(box.url + path, { headers: { cookie: admin } });
  beforeAll(async () => {
    box = await Lightbox.ready();
    admin = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(() => box.stop());

  it('says that it lives and is ready, and nothing else, to anybody', async () => {
    expect(await (await fetch(`${box.url}/healthz`)).json()).toEqual({ ok: true });
    const ready = await fetch(`${box.url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true }]);
  });

  it('counts requests, objects, bytes, waiting lines and lag, without a name, an address or a UID', async () => {
    expect((await stowFile(box, image('1'))).status).toBe(200);
    expect((await stowFile(box, image('1'))).status).toBe(200);
    await box.get(`/dicom-web/studies/${STUDY}/metadata`);
    await box.get('/dicom-web/studies?PatientID=SECRETPATIENT');
    await box.get('/nowhere/SECRETPATIENT');
    const answer = await asAdmin('/metrics');
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const text = await answer.text();
    const value = (name: string): number =>
      Number(new RegExp(`^${name.replaceAll(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
    expect(value('lightbox_objects_total{door="stow",outcome="stored"}')).toBe(1);
    expect(value('lightbox_objects_total{door="stow",outcome="duplicate"}')).toBe(1);
    expect(value('lightbox_object_bytes_total{door="stow"}')).toBe(2 * image('1').length);
    expect(value('lightbox_http_requests_total{method="POST",route="/dicom-web/studies",status="200"}')).toBe(
      2,
    );
    expect(
      value(
        'lightbox_http_requests_total{method="GET",route="/dicom-web/studies/:study/metadata",status="200"}',
      ),
    ).toBe(1);
    expect(value('lightbox_http_requests_total{method="GET",route="none",status="404"}')).toBe(1);
    for (const name of [
      'lightbox_dicom_associations',
      'lightbox_audit_waiting',
      'lightbox_render_waiting',
      'lightbox_database_waiting',
      'lightbox_database_connections',
      'lightbox_disk_free_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ])
      expect(value(name), name).toBeGreaterThanOrEqual(0);
    expect(text).not.toMatch(/SECRETPATIENT|1\.2\.826|127\.0\.0\.1|conformance/i);
  });

  it('describes its API: every reference resolves and operations say who may', async () => {
    const answer = await asAdmin('/api/openapi.json');
    expect(answer.headers.get('content-type')).toContain('application/json');
    const text = await answer.text();
    const document = JSON.parse(text) as { paths: Record<string, unknown>; info: { title: string } };
    expect(document.info.title).toBe('Lightbox');
    for (const [, reference = ''] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      let at: unknown = document;
      for (const step of reference.split('/')) at = (at as Record<string, unknown> | undefined)?.[step];
      expect(at, reference).toBeDefined();
    }
    expect(JSON.stringify(document.paths['/api/studies'])).toContain('patientName');
  });
});

describeWith(['echoscu', 'storescu'], 'a database that goes away and comes back', () => {
  const log = createLog({ logLevel: 'silent' });
  const folder = temporaryFolder();
  const config = { dataDir: folder.path, databaseUrl: undefined, socketDir: undefined };
  let database: Database;
  let box: Lightbox;
  beforeAll(async () => {
    database = await openDatabase(config, log);
    box = await Lightbox.ready({ env: { DATABASE_URL: database.url } });
  });
  afterAll(async () => {
    await box.stop();
    await database.close();
    folder.dispose();
  });

  it('acknowledges nothing meanwhile, says so, and goes on by itself', async () => {
    expect((await stowFile(box, image('10'))).status).toBe(200);
    const { pid } = box;
    await database.close();

    const stored = await stowFile(box, image('11'));
    expect(stored.status, await stored.text()).toBe(503);
    const searched = await box.get('/dicom-web/studies');
    expect(searched.status).toBe(503);
    expect(await searched.json()).toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    expect(await (await fetch(`${box.url}/readyz`)).json()).toEqual({ ready: false });
    expect((await fetch(`${box.url}/healthz`)).status).toBe(200);
    const file = `${folder.path}/one.dcm`;
    writeFileSync(file, image('12'));
    const sent = await run('storescu', ['-v', '-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort), file]);
    expect(sent.output).not.toContain('(Success)');
    expect((await run('echoscu', ['127.0.0.1', String(box.dicomPort)])).code).toBe(0);

    database = await openDatabase(config, log);
    for (let tries = 0; tries < 100 && !(await fetch(`${box.url}/readyz`)).ok; tries += 1) await sleep(100);
    expect((await stowFile(box, image('13'))).status).toBe(200);
    // What was acknowledged is there; what was not may be, whole, or not.
    for (const sop of ['10', '13']) {
      const path = `/dicom-web/studies/${STUDY}/series/${STUDY}.1/instances/${STUDY}.1.${sop}`;
      const kept = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
      expect(Buffer.from(await kept.arrayBuffer()).equals(image(sop)), sop).toBe(true);
    }
    expect([box.running, box.pid]).toEqual([true, pid]);
    const verified = await box.getJson<{ ok: boolean }>('/api/audit/verify');
    expect(verified.ok).toBe(true);
  }, 120_000);
});
