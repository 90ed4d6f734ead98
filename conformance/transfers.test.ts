/**
 * Store and forward, and fetching, against programs of other people: what arrives is what is kept, byte for byte; a destination
 * that is away, refuses, or a server that is killed in the middle lose nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { ARCHIVES, orthancTls, PEER, stopped } from './support/archives.ts';
import { dumpUids, run, temporaryFolder } from './support/dcmtk.ts';
import { ctImage, EXPLICIT, writeImages, type WrittenImage } from './support/images.ts';
import { freePort } from './support/lightbox.ts';
import { issueFor, writePair } from './support/tls.ts';
import { type Row, Side } from './support/transfers.ts';
import { CT, dataSetOfFile } from './support/wire.ts';

const hashOf = (file: string): string =>
  createHash('sha256')
    .update(dataSetOfFile(readFileSync(file)))
    .digest('hex');
const hashesIn = (folder: string): string[] =>
  readdirSync(folder)
    .map((name) => hashOf(join(folder, name)))
    .sort();

/** DCMTK's storescp on a port of its own, keeping data sets as they come. */
async function storescp(port: number, folder: string, more: readonly string[] = []): Promise<ChildProcess> {
  const child = spawn('storescp', ['+B', '-od', folder, ...more, String(port)], {
    ...{ stdio: 'ignore', env: { ...process.env, TCP_NODELAY: '1' } },
  });
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await run('echoscu', ['127.0.0.1', String(port)])).code === 0) return child;
    await sleep(50);
  }
  child.kill();
  throw new Error('storescp did not start');
}

describeWith(['storescp', 'storescu', 'echoscu', 'dcmcjpeg', 'dcmodify'], 'Transfers to storescp', () => {
  const side = new Side();
  const folder = temporaryFolder();
  let images: WrittenImage[];
  let study: string;
  const place = (name: string): string => {
    const path = join(folder.path, name);
    mkdirSync(path);
    return path;
  };

  beforeAll(async () => {
    await side.start({ LIGHTBOX_TRANSFER_ATTEMPTS: '4' });
    images = writeImages(place('images'), '900', 40, () => 0.6);
    study = images[0]?.studyUid ?? '';
    await side.store(images, folder.path);
  });
  afterAll(async () => {
    await side.box.stop();
    folder.dispose();
  });

  it('wait for a destination that is away, and bring everything byte for byte when it is back', async () => {
    const port = await freePort();
    const got = place('back');
    const device = await side.device({ aeTitle: 'AWAY', port });
    const { id, total } = await side.send(device, study);
    expect(total).toBe(40);
    const waiting = await side.until(id, 'waiting');
    expect(waiting).toMatchObject({ code: 'DIMSE_UNREACHABLE', sent: 0 });
    expect(waiting.advice).toContain('is the program running');
    const scp = await storescp(port, got);
    expect(await side.until(id, 'done')).toMatchObject({ sent: 40, failed: 0, code: null });
    await stopped(scp);
    expect(hashesIn(got)).toEqual(images.map(({ file }) => hashOf(file)).sort());
  });

  it('become a dead letter after the last attempt; a person tries again', async () => {
    const port = await freePort();
    const got = place('dead');
    const device = await side.device({ aeTitle: 'DEAD', port });
    const { id } = await side.send(device, study);
    expect(await side.until(id, 'failed')).toMatchObject({ attempts: 4, code: 'DIMSE_UNREACHABLE' });
    const scp = await storescp(port, got);
    await side.post(`/api/transfers/${id}/retry`, {});
    await side.until(id, 'done');
    await stopped(scp);
    expect(hashesIn(got)).toHaveLength(40);
  });

  it('decode for a destination that takes no compression', async () => {
    const port = await freePort();
    const got = place('plain');
    const device = await side.device({ aeTitle: 'PLAIN', port });
    const compressed = join(folder.path, 'compressed.dcm');
    expect((await run('dcmcjpeg', [images[0]?.file ?? '', compressed])).code).toBe(0);
    // A study of its own, so that one object is compressed and nothing else is sent.
    const uid = '1.2.826.0.1.3680043.10.1234.901';
    const set = ['-nb', '-m', `StudyInstanceUID=${uid}`, '-m', `SeriesInstanceUID=${uid}.1`];
    expect((await run('dcmodify', [...set, '-m', `SOPInstanceUID=${uid}.1.1`, compressed])).code).toBe(0);
    await side.upload(compressed);
    const scp = await storescp(port, got, ['+xe']);
    const { id } = await side.send(device, uid);
    await side.until(id, 'done');
    await stopped(scp);
    const [file = ''] = readdirSync(got);
    const { output } = await run('dcmdump', ['+P', 'TransferSyntaxUID', '+P', 'PixelData', join(got, file)]);
    expect(output).toContain('LittleEndianExplicit');
    const pixels = (path: string): Buffer => readFileSync(path).subarray(-2 * 16 * 16);
    expect(pixels(join(got, file))).toEqual(pixels(images[0]?.file ?? ''));
  });

  it('end with what was refused in sight, and try only that again', async () => {
    // This one takes CT only.
    const port = await freePort();
    const got = place('choosy');
    const config = join(folder.path, 'choosy.cfg');
    writeFileSync(
      config,
      `[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = ${EXPLICIT}\nTransferSyntax2 = 1.2.840.10008.1.2\n[[PresentationContexts]]\n[Some]\n` +
        `PresentationContext1 = 1.2.840.10008.1.1\\Plain\nPresentationContext2 = ${CT}\\Plain\n` +
        `[[Profiles]]\n[Choosy]\nPresentationContexts = Some\n`,
    );
    const secondary = '1.2.840.10008.5.1.4.1.1.7';
    const file = join(folder.path, 'secondary.dcm');
    const names = { studyUid: study, seriesUid: `${study}.9`, sopUid: `${study}.9.1`, number: 1 };
    const image = ctImage({ ...names, patientId: 'KILL-900', side: 16, chance: () => 0.5 });
    writeFileSync(file, image);
    expect((await run('dcmodify', ['-nb', '-m', `SOPClassUID=${secondary}`, file])).code).toBe(0);
    await side.upload(file);
    const device = await side.device({ aeTitle: 'CHOOSY', port });
    let scp = await storescp(port, got, ['-xf', config, 'Choosy']);
    const { id } = await side.send(device, study);
    const failed = await side.until(id, 'failed');
    expect(failed).toMatchObject({ sent: 40, failed: 1, total: 41, code: 'TRANSFER_REFUSED' });
    expect(failed.advice).toContain('did not accept this kind of object');
    await stopped(scp);
    expect(hashesIn(got)).toHaveLength(40);
    const rest = place('rest');
    scp = await storescp(port, rest);
    await side.post(`/api/transfers/${id}/retry`, {});
    await side.until(id, 'done');
    await stopped(scp);
    expect(
      (await dumpUids(readdirSync(rest).map((name) => join(rest, name)))).map((one) => one.sopUid),
    ).toEqual([`${study}.9.1`]);
  });

  it('go on after kill -9 in the middle, and lose nothing', async () => {
    const many = writeImages(place('many'), '902', 300, () => 0.9);
    await side.store(many, folder.path);
    const port = await freePort();
    const got = place('killed');
    const scp = await storescp(port, got);
    const device = await side.device({ aeTitle: 'KILLED', port });
    const { id } = await side.send(device, many[0]?.studyUid ?? '');
    await expect.poll(() => readdirSync(got).length, { timeout: 60_000, interval: 5 }).toBeGreaterThan(20);
    await side.box.kill();
    const before = readdirSync(got).length;
    expect(before).toBeLessThan(300);
    await side.box.run();
    await side.until(id, 'done');
    await stopped(scp);
    expect(new Set(hashesIn(got))).toEqual(new Set(many.map(({ file }) => hashOf(file))));
  });
});

for (const archive of ARCHIVES) {
  describeWith([archive.needs, 'storescu', 'echoscu'], `Archives of others: ${archive.needs}`, () => {
    const side = new Side();
    const folder = temporaryFolder();
    let child: ChildProcess;
    let images: WrittenImage[];
    let study: string;
    let device: string;
    let port: number;

    beforeAll(async () => {
      await side.start();
      port = await freePort();
      const ourselves = { aeTitle: 'LIGHTBOX', port: side.box.dicomPort };
      const place = join(folder.path, 'archive');
      mkdirSync(place);
      child = await archive.start(place, port, [ourselves]);
      device = await side.device({
        ...{ aeTitle: PEER, port, verbs: ['echo', 'store'], offers: ['store', 'archive'] },
      });
      const place2 = join(folder.path, 'images');
      mkdirSync(place2);
      images = writeImages(place2, '910', 12, () => 0.6);
      study = images[0]?.studyUid ?? '';
      await side.store(images, folder.path);
    });
    afterAll(async () => {
      await side.box.stop();
      await stopped(child);
      folder.dispose();
    });

    const lines = async (query: Record<string, unknown>): Promise<Record<string, unknown>[]> => {
      const answer = await side.box.post(
        '/api/remote/studies',
        { deviceIds: [device], ...query },
        { cookie: side.cookie },
      );
      expect(answer.status).toBe(200);
      return (await answer.text())
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    };

    it('are sent to', async () => {
      const { id } = await side.send(device, study);
      expect(await side.until(id, 'done')).toMatchObject({ sent: 12, failed: 0 });
    });

    it('are searched, and what is here is marked', async () => {
      const found = await lines({ patientName: 'Test', modality: 'CT' });
      expect(found).toMatchObject([
        {
          type: 'match',
          study: {
            ...{ studyUid: study, patientId: 'KILL-910', birthDate: '19700101' },
            here: { series: 1, instances: 12, samePatient: true },
          },
        },
        { type: 'end', matches: 1, more: false },
      ]);
      expect(await lines({ patientName: 'Nobody' })).toMatchObject([{ type: 'end', matches: 0 }]);
      const series = await side.post<unknown[]>('/api/remote/series', { deviceId: device, studyUid: study });
      expect(series).toMatchObject([{ seriesUid: `${study}.1`, modality: 'CT', here: 12 }]);
    });

    it.each(['get', 'move'] as const)('are fetched from by C-%s, byte for byte', async (method) => {
      // A Lightbox that has nothing yet takes the place of the first, whose AE title and port the archive knows.
      await side.box.stop();
      const other = new Side();
      await other.start({ LIGHTBOX_DICOM_PORT: String(side.box.dicomPort) });
      try {
        const source = await other.device({
          ...{ aeTitle: PEER, port, verbs: ['echo', 'store'], offers: ['archive'] },
        });
        const body = { deviceId: source, scopes: [{ studyUid: study }], method };
        const { id } = await other.post<Row>('/api/remote/retrieve', body);
        expect(await other.until(id, 'done')).toMatchObject({ sent: 12, total: 12, failed: 0 });
        for (const image of images) {
          const answer = await other.box.get(
            `/dicom-web/studies/${study}/series/${image.seriesUid}/instances/${image.sopUid}`,
            { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' },
          );
          const bytes = Buffer.from(await answer.arrayBuffer());
          expect(bytes.includes(dataSetOfFile(readFileSync(image.file)))).toBe(true);
        }
      } finally {
        await other.box.stop();
      }
    });
  });
}

describeWith(['Orthanc', 'storescu'], 'Transfers over mutual TLS', () => {
  const folder = temporaryFolder();
  const place = (name: string): string => {
    const path = join(folder.path, name);
    mkdirSync(path);
    return path;
  };

  it('send, and fetch by C-GET and C-MOVE, byte for byte; nothing without a certificate', async () => {
    const tlsPort = await freePort();
    const env = { LIGHTBOX_DICOM_TLS_PORT: String(tlsPort), LIGHTBOX_TRANSFER_ATTEMPTS: '2' };
    const side = new Side();
    await side.start(env);
    const port = await freePort();
    await side.post('/api/certificates/own', { names: ['127.0.0.1'] });
    const made = await issueFor(side.box, side.cookie, PEER);
    const trusted = join(folder.path, 'authority.crt');
    writeFileSync(trusted, made.authority);
    const files = writePair(folder.path, 'peer', made);
    const images = writeImages(place('images'), '920', 12, () => 0.6);
    const study = images[0]?.studyUid ?? '';
    const ourselves = { aeTitle: 'LIGHTBOX', port: tlsPort };
    const child = await orthancTls(place('archive'), port, { ...files, trusted }, [ourselves]);
    const secured = {
      ...{ aeTitle: PEER, port, tls: true, tlsOnly: true, verbs: ['echo', 'store'] },
      ...{ offers: ['store', 'archive'], certificate: { by: 'fingerprint', fingerprint: made.fingerprint } },
    };
    const boxes = [side];
    try {
      await side.store(images, folder.path);
      const bound = await side.device(secured);
      const sent = await side.send(bound, study);
      expect(await side.until(sent.id, 'done')).toMatchObject({ sent: 12, failed: 0 });
      // Without TLS nothing arrives there, and it is said why.
      const open = await side.device({ aeTitle: 'OPEN', port, offers: ['store'] });
      const refused = await side.send(open, study);
      expect((await side.until(refused.id, 'failed')).advice).toMatch(/wants TLS/);
      const { certificate, privateKey } = await issueFor(side.box, side.cookie, 'LIGHTBOX');
      for (const method of ['get', 'move']) {
        // One that has nothing yet takes the place of the one before, with a certificate of the same authority.
        const before = boxes.at(-1) ?? side;
        await before.box.stop();
        const other = new Side();
        await other.start({ ...env, LIGHTBOX_DICOM_PORT: String(side.box.dicomPort) });
        boxes.push(other);
        await other.post('/api/certificates/trusted', { certificate: made.authority });
        const put = await fetch(`${other.box.url}/api/certificates/own`, {
          method: 'PUT',
          headers: { cookie: other.cookie, origin: other.box.url, 'content-type': 'application/json' },
          body: JSON.stringify({ certificate, privateKey }),
        });
        expect(put.ok, await put.text()).toBe(true);
        const source = await other.device(secured);
        const body = { deviceId: source, scopes: [{ studyUid: study }], method };
        const { id } = await other.post<Row>('/api/remote/retrieve', body);
        expect(await other.until(id, 'done')).toMatchObject({ sent: 12, total: 12, failed: 0 });
        for (const image of images) {
          const answer = await other.box.get(
            `/dicom-web/studies/${study}/series/${image.seriesUid}/instances/${image.sopUid}`,
            { accept: 'application/dicom; transfer-syntax=*' },
          );
          const kept = dataSetOfFile(Buffer.from(await answer.arrayBuffer()));
          expect(kept.equals(dataSetOfFile(readFileSync(image.file)))).toBe(true);
        }
      }
    } finally {
      for (const { box } of boxes) if (box.running) await box.stop();
      await stopped(child);
      folder.dispose();
    }
  });
});
