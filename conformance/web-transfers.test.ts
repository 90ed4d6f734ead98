/**
 * Transfers by DICOMweb (PS3.18 §10.4 to §10.6) with Orthanc as the other archive, in both directions and byte for byte, over TLS
 * too; what is said when an address is wrong; and that a server that lies, breaks off or never ends costs no object and no memory.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { text } from '@lightbox/core/dicom/values.ts';
import { describeWith } from '../tools/testing.ts';
import { ORTHANC_DICOMWEB, orthancWeb, stopped, type WebService } from './support/archives.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { HostileWeb, json, multipart, MULTIPART, storeAnswer } from './support/hostile-web.ts';
import { ctImage, writeImages, type WrittenImage } from './support/images.ts';
import { freePort, residentBytes } from './support/lightbox.ts';
import { foreign, issueFor, tlsInFront } from './support/tls.ts';
import { type Row, Side } from './support/transfers.ts';
import { dataSetOfFile } from './support/wire.ts';

const SECRET = 'not-to-be-seen-4711';
const USER = { name: 'lightbox', password: SECRET };
const EXPLICIT = '1.2.840.10008.1.2.1';
const ROOT = '1.2.826.0.1.3680043.10.1234.97';

interface Echo {
  readonly ok: boolean;
  readonly diagnosis: string;
}
const echo = (side: Side, id: string): Promise<Echo> => side.post(`/api/devices/${id}/echo`, {});

/** A device that is reached by DICOMweb alone. */
const webDevice = (side: Side, aeTitle: string, url: string, more: object = {}): Promise<string> =>
  side.device({
    ...{ aeTitle, host: null, offers: ['store', 'archive'] },
    dicomweb: { url, auth: 'basic', user: USER.name, secret: SECRET, ...more },
  });

const fetchStudy = (side: Side, deviceId: string, studyUid: string): Promise<Row> =>
  side.post('/api/remote/retrieve', { deviceId, scopes: [{ studyUid }] });

async function found(side: Side, deviceId: string, query: object): Promise<Record<string, unknown>[]> {
  const body = { deviceIds: [deviceId], ...query };
  const answer = await side.box.post('/api/remote/studies', body, { cookie: side.cookie });
  return (await answer.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The data set of a file is in what a Lightbox gives back as kept. */
async function keeps(side: Side, { studyUid, seriesUid, sopUid, file }: WrittenImage): Promise<boolean> {
  const path = `/dicom-web/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`;
  const answer = await side.box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
  const kept = Buffer.from(await answer.arrayBuffer());
  return answer.ok && dataSetOfFile(kept).equals(dataSetOfFile(readFileSync(file)));
}

describeWith(['Orthanc', 'dcmcjpls', 'storescu'], 'Orthanc by DICOMweb', () => {
  const side = new Side();
  const folder = temporaryFolder();
  let plain: WebService;
  let images: WrittenImage[];
  let study: string;
  let device: string;

  beforeAll(async () => {
    expect(existsSync(ORTHANC_DICOMWEB), 'needs the package orthanc-dicomweb').toBe(true);
    await side.start();
    await side.post('/api/certificates/authority', {});
    for (const name of ['plain', 'images']) mkdirSync(join(folder.path, name));
    plain = await orthancWeb(join(folder.path, 'plain'), USER);
    // So many that one batch does not hold them; one of them compressed.
    images = writeImages(join(folder.path, 'images'), '970', 130, () => 0.6);
    const [first] = images;
    if (!first) throw new Error('no image');
    const compressed = join(folder.path, 'compressed.dcm');
    expect((await run('dcmcjpls', ['+un', first.file, compressed])).code).toBe(0);
    images[0] = { ...first, file: compressed };
    study = first.studyUid;
    await side.store(images.slice(1), folder.path);
    await side.upload(compressed);
    device = await webDevice(side, 'ORTHANC', plain.url);
  });
  afterAll(async () => {
    await side.box.stop();
    await stopped(plain.child);
    folder.dispose();
  });

  it('is sent to', async () => {
    expect(await echo(side, device)).toMatchObject({ ok: true });
    const { id } = await side.send(device, study);
    expect(await side.until(id, 'done')).toMatchObject({ sent: 130, failed: 0, total: 130 });
  });

  it('is searched, and what is here is marked', async () => {
    expect(await found(side, device, { patientName: 'test', modality: 'CT' })).toMatchObject([
      {
        type: 'match',
        study: {
          ...{ studyUid: study, patientId: 'KILL-970', birthDate: '19700101', modalities: ['CT'] },
          here: { series: 1, instances: 130, samePatient: true },
        },
      },
      { type: 'end', matches: 1, more: false },
    ]);
    expect(await found(side, device, { patientName: 'Nobody' })).toMatchObject([{ type: 'end', matches: 0 }]);
    const series = await side.post<unknown[]>('/api/remote/series', { deviceId: device, studyUid: study });
    expect(series).toMatchObject([{ seriesUid: `${study}.1`, modality: 'CT', here: 130 }]);
  });

  it('is fetched from, byte for byte, what is compressed too', async () => {
    const other = new Side();
    await other.start();
    try {
      const source = await webDevice(other, 'ORTHANC', plain.url);
      const { id } = await fetchStudy(other, source, study);
      expect(await other.until(id, 'done')).toMatchObject({ sent: 130, total: 130, failed: 0 });
      for (const image of images) expect(await keeps(other, image), image.sopUid).toBe(true);
    } finally {
      await other.box.stop();
    }
  });

  // Orthanc of Debian 12 dies of a TLS connection of its own, so that something in front of it speaks TLS, as in many houses.
  it('is reached by TLS with a certificate of ours, and shown one', async () => {
    const own = await issueFor(side.box, side.cookie, 'orthanc');
    await side.post('/api/certificates/own', { aeTitle: null, names: [] });
    const secured = await tlsInFront(plain.url, own, own.authority);
    try {
      const trusted = await webDevice(side, 'SECURED', secured.url);
      expect(await echo(side, trusted)).toMatchObject({ ok: true });
      const { id } = await side.send(trusted, study);
      expect(await side.until(id, 'done')).toMatchObject({ sent: 130 });
      expect(new Set(secured.shown).size).toBe(1);
    } finally {
      secured.close();
    }
  });

  it('is not believed over TLS with a certificate of another house, an old one, or one of another name', async () => {
    const [unknown, old] = [await foreign('orthanc'), await foreign('orthanc', new Date('2020-01-01'))];
    const other = await issueFor(side.box, side.cookie, 'orthanc', ['pacs.example.org']);
    await side.post('/api/certificates/trusted', { label: 'old', certificate: old.authority.certificate });
    for (const [at, pair, words] of [
      [1, unknown.pair, 'authority'],
      [2, old.pair, 'expired'],
      [3, other, 'names another host'],
    ] as const) {
      const secured = await tlsInFront(plain.url, pair);
      try {
        const said = await echo(side, await webDevice(side, `STRANGE${at}`, secured.url));
        expect(said.ok).toBe(false);
        expect(said.diagnosis).toContain(words);
      } finally {
        secured.close();
      }
    }
  });

  it('refuses a wrong password, and says so', async () => {
    const wrong = await webDevice(side, 'WRONG', plain.url, { secret: 'another' });
    expect(await echo(side, wrong)).toMatchObject({
      ...{ ok: false, diagnosis: expect.stringContaining('wants to know who we are') as string },
    });
  });

  it('is served by another Lightbox, with an API key', async () => {
    const other = new Side();
    await other.start();
    try {
      const url = `${other.box.url}/dicom-web`;
      const to = await webDevice(side, 'LIGHTBOX2', url, { auth: 'bearer', user: '', secret: other.box.key });
      expect(await echo(side, to)).toMatchObject({ ok: true });
      const { id } = await side.send(to, study);
      expect(await side.until(id, 'done')).toMatchObject({ sent: 130, failed: 0 });
      for (const image of images.slice(0, 3)) expect(await keeps(other, image)).toBe(true);
    } finally {
      await other.box.stop();
    }
  });
});

describeWith(['storescu', 'dcmcjpls'], 'A DICOMweb server that is not what it should be', () => {
  const side = new Side();
  const folder = temporaryFolder();
  const web = new HostileWeb();
  let images: WrittenImage[];
  let study: string;
  let device: string;

  beforeAll(async () => {
    await web.start();
    await side.start({ LIGHTBOX_TRANSFER_ATTEMPTS: '1' });
    images = writeImages(folder.path, '971', 10, () => 0.6);
    study = images[0]?.studyUid ?? '';
    await side.store(images, folder.path);
    device = await webDevice(side, 'HOSTILE', web.url);
  });
  beforeEach(() => {
    web.asked.length = 0;
    web.early = () => false;
  });
  afterAll(async () => {
    await side.box.stop();
    await web.stop();
    folder.dispose();
  });

  describe('keeps its secret', () => {
    it('out of every answer and of the log', async () => {
      const answer = await fetch(`${side.box.url}/api/devices`, { headers: { cookie: side.cookie } });
      const listed = await answer.text();
      expect(listed).toContain('"hasSecret":true');
      expect(listed).not.toContain(SECRET);
      web.answer = (_asked, response) => json(response, 200, []);
      await echo(side, device);
      expect(web.asked[0]?.headers.authorization).toBe(
        `Basic ${Buffer.from(`${USER.name}:${SECRET}`).toString('base64')}`,
      );
      const trail = await fetch(`${side.box.url}/api/audit?limit=100`, { headers: { cookie: side.cookie } });
      expect(await trail.text()).not.toContain(SECRET);
      expect(side.box.output).not.toContain(SECRET);
    });

    it('when the device is saved without it, and loses it with another address', async () => {
      const put = (dicomweb: object): Promise<Response> =>
        fetch(`${side.box.url}/api/devices/${device}`, {
          method: 'PUT',
          headers: { cookie: side.cookie, 'content-type': 'application/json', origin: side.box.url },
          body: JSON.stringify({ aeTitle: 'HOSTILE', offers: ['store', 'archive'], dicomweb }),
        });
      const kept = { url: web.url, auth: 'basic', user: USER.name };
      expect((await put(kept)).status).toBe(200);
      const moved = await put({ ...kept, url: 'http://127.0.0.2:1/dicom-web' });
      expect(moved.status).toBe(400);
      expect(await moved.text()).toContain('DEVICE_SECRET');
      for (const url of ['ftp://127.0.0.1/', 'file:///etc/passwd', 'http://u:p@127.0.0.1/', 'http://h/?a=b'])
        expect((await put({ ...kept, url })).status, url).toBe(400);
    });
  });

  describe('is told from one that is, in plain words', () => {
    it.each([
      ['401', 401, {}, 'wants to know who we are'],
      ['403', 403, {}, 'does not allow this'],
      ['404', 404, {}, 'check the path'],
      ['a redirect', 302, { location: 'http://127.0.0.1:1/stolen' }, 'That is not followed'],
      ['a failure of its own', 500, {}, 'HTTP 500'],
      ['a web page', 200, { 'content-type': 'text/html' }, 'A web page answers'],
      ['another type', 200, { 'content-type': 'application/xml' }, 'another type'],
      ['broken JSON', 200, { 'content-type': 'application/dicom+json' }, 'no DICOM JSON'],
    ])('%s', async (_name, status, headers, words) => {
      web.answer = (_asked, response) => void response.writeHead(status, headers).end('<html>[');
      const said = await echo(side, device);
      expect(said.ok).toBe(false);
      expect(said.diagnosis).toContain(words);
    });

    it('nobody there, no such host, no web server, no TLS', async () => {
      const port = await freePort();
      const of = async (aeTitle: string, url: string): Promise<string> =>
        (await echo(side, await webDevice(side, aeTitle, url))).diagnosis;
      expect(await of('NOBODY', `http://127.0.0.1:${port}/dicom-web`)).toContain('is the server running');
      expect(await of('NOHOST', 'http://no-such-host.invalid/')).toContain('host name is not known');
      const other = (await import('node:net')).createServer((socket) => void socket.end('* OK IMAP\r\n'));
      await new Promise<void>((settle) => other.listen(0, '127.0.0.1', settle));
      const address = other.address() as { port: number };
      expect(await of('NOWEB', `http://127.0.0.1:${address.port}/`)).toContain('no web server');
      other.close();
      expect(await of('NOTLS', web.url.replace('http:', 'https:'))).toContain('does not speak TLS');
    });
  });

  describe('as a destination', () => {
    const uids = (): string[] => images.map(({ sopUid }) => sopUid);

    it('that refuses half of the objects has taken the others', async () => {
      web.answer = ({ objects }, response) => {
        const all = objects.map(({ sopUid }) => sopUid);
        const refused = all.filter((_, at) => at % 2 === 1);
        const stored = all.filter((_, at) => at % 2 === 0);
        json(
          response,
          202,
          storeAnswer(
            stored.map((uid, at) => (at === 0 ? [uid, 0xb000] : uid)),
            refused.map((uid) => [uid, 0xa900]),
          ),
        );
      };
      const { id } = await side.send(device, study);
      const failed = await side.until(id, 'failed');
      expect(failed).toMatchObject({ total: 10, sent: 5, failed: 5, warning: 1, code: 'TRANSFER_REFUSED' });
      // Byte for byte what is kept, in one request.
      expect(web.asked).toHaveLength(1);
      for (const { sopUid, file } of web.asked[0]?.objects ?? []) {
        const image = images.find((one) => one.sopUid === sopUid);
        expect(dataSetOfFile(file)).toEqual(dataSetOfFile(readFileSync(image?.file ?? '')));
      }
      // Only those that were refused go again.
      web.answer = ({ objects }, response) =>
        json(response, 200, storeAnswer(objects.map(({ sopUid }) => sopUid)));
      await side.post(`/api/transfers/${id}/retry`, {});
      expect(await side.until(id, 'done')).toMatchObject({ sent: 10 });
      expect(web.asked[1]?.objects).toHaveLength(5);
    });

    it.each([
      ['names none of them', storeAnswer([]), 'WEB_ANSWER'],
      ['names others', storeAnswer(['1.2.3']), 'WEB_ANSWER'],
      ['answers with a list of nothing', [], 'WEB_ANSWER'],
    ])('that says 200 and %s has taken nothing', async (_name, body, code) => {
      web.answer = (_asked, response) => json(response, 200, body);
      const { id } = await side.send(device, study);
      expect(await side.until(id, 'failed')).toMatchObject({ sent: 0, code });
    });

    it.each([
      ['a web page', 200, { 'content-type': 'text/html' }, 'WEB_ANSWER'],
      ['503', 503, { 'retry-after': '1' }, 'WEB_STATUS'],
      ['401', 401, {}, 'WEB_STATUS'],
      ['a redirect', 307, { location: 'http://127.0.0.1:1/' }, 'WEB_STATUS'],
    ])('that answers %s has taken nothing', async (_name, status, headers, code) => {
      web.answer = (_asked, response) => void response.writeHead(status, headers).end('<html>');
      const { id } = await side.send(device, study);
      expect(await side.until(id, 'failed')).toMatchObject({ sent: 0, code });
      expect(web.asked).toHaveLength(1);
    });

    it('that breaks off in the middle of the body has taken nothing', async () => {
      web.early = (request) => {
        request.once('data', () => request.socket.destroy());
        return true;
      };
      const { id } = await side.send(device, study);
      expect(await side.until(id, 'failed')).toMatchObject({ sent: 0, code: 'WEB_UNREACHABLE' });
    });

    it('that says no before it has read anything is heard', async () => {
      web.early = (_request, response) => {
        response.writeHead(401, { connection: 'close' }).end();
        return true;
      };
      const { id } = await side.send(device, study);
      expect(await side.until(id, 'failed')).toMatchObject({ sent: 0 });
    });

    it('gets what people have corrected', async () => {
      const uid = `${ROOT}.7`;
      const names = { studyUid: uid, seriesUid: `${uid}.1`, sopUid: `${uid}.1.1`, number: 1 };
      const file = join(folder.path, 'wrong.dcm');
      const wrong = { patientId: 'WRONG-7', patientName: 'Wrong^Name' };
      writeFileSync(file, ctImage({ ...names, ...wrong, side: 16, chance: () => 0.2 }));
      await side.upload(file);
      await side.post(`/api/studies/${uid}/overlays`, {
        ...{ level: 'study', reason: 'typed wrongly' },
        edits: { '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Right^Name' }] } },
      });
      web.answer = ({ objects }, response) =>
        json(response, 200, storeAnswer(objects.map(({ sopUid }) => sopUid)));
      const { id } = await side.send(device, uid);
      await side.until(id, 'done');
      const sent = web.asked[0]?.objects[0]?.file ?? Buffer.alloc(0);
      // The old name is said by Original Attributes Sequence (PS3.3 §C.12.1.1.9), which comes after it.
      expect(text(readPart10(sent).dataSet, Tags.PatientName)).toBe('Right^Name');
    });

    it('that takes no large body gets each object alone', async () => {
      web.answer = ({ objects }, response) => {
        if (objects.length > 1) response.writeHead(413).end();
        else json(response, 200, storeAnswer(objects.map(({ sopUid }) => sopUid)));
      };
      const { id } = await side.send(device, study);
      expect(await side.until(id, 'done')).toMatchObject({ sent: 10 });
      expect(web.asked.map(({ objects }) => objects.length)).toEqual([10, ...uids().map(() => 1)]);
    });

    it('that does not know a transfer syntax gets the object decoded', async () => {
      const [first] = images;
      const compressed = join(folder.path, 'compressed.dcm');
      expect((await run('dcmcjpls', ['+un', first?.file ?? '', compressed])).code).toBe(0);
      const uid = `${ROOT}.1`;
      const set = ['-nb', '-m', `StudyInstanceUID=${uid}`, '-m', `SeriesInstanceUID=${uid}.1`];
      expect((await run('dcmodify', [...set, '-m', `SOPInstanceUID=${uid}.1.1`, compressed])).code).toBe(0);
      await side.upload(compressed);
      web.answer = ({ objects }, response) => {
        const plain = objects.every(({ transferSyntax }) => transferSyntax === EXPLICIT);
        const all = objects.map(({ sopUid }) => sopUid);
        if (plain) json(response, 200, storeAnswer(all));
        else
          json(
            response,
            409,
            storeAnswer(
              [],
              all.map((one) => [one, 0xc122]),
            ),
          );
      };
      const { id } = await side.send(device, uid);
      expect(await side.until(id, 'done')).toMatchObject({ sent: 1, failed: 0 });
      const sent = web.asked[1]?.objects[0]?.file ?? Buffer.alloc(0);
      // The end of a data set of explicit little endian is its pixels.
      const pixels = readFileSync(first?.file ?? '').subarray(-2 * 32 * 32);
      expect(sent.subarray(-pixels.length).equals(pixels)).toBe(true);
    });
  });

  describe('as an archive', () => {
    const objects = [1, 2, 3].map((number) => {
      const names = {
        studyUid: `${ROOT}.5`,
        seriesUid: `${ROOT}.5.1`,
        sopUid: `${ROOT}.5.1.${number}`,
        number,
      };
      return ctImage({ ...names, patientId: 'HOSTILE', side: 64, chance: () => 0.3 });
    });
    const series = [
      {
        '0020000E': { vr: 'UI', Value: [`${ROOT}.5.1`] },
        '00201209': { vr: 'IS', Value: [3] },
      },
    ];
    /** The list of series is as it should be, the objects come as `body` says. */
    const giving = (body: (response: Parameters<HostileWeb['answer']>[1]) => void): void => {
      web.answer = ({ url }, response) => {
        if (url.includes('/series?')) json(response, 200, series);
        else body(response);
      };
    };
    const here = async (): Promise<number> =>
      (await side.box.getJson<unknown[]>(`/dicom-web/studies/${ROOT}.5/instances`).catch(() => [])).length;

    it.each<[string, (response: Parameters<HostileWeb['answer']>[1]) => void, string]>([
      [
        'a web page',
        (one) => one.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
        'WEB_ANSWER',
      ],
      ['another type', (one) => one.writeHead(200, { 'content-type': 'image/png' }).end('x'), 'WEB_ANSWER'],
      [
        'no boundary',
        (one) => one.writeHead(200, { 'content-type': 'multipart/related; a=b' }).end(),
        'WEB_ANSWER',
      ],
      [
        'files that are none',
        (one) => one.writeHead(200, MULTIPART).end(multipart([Buffer.alloc(500)])),
        'WEB_ANSWER',
      ],
      [
        'an empty file',
        (one) => one.writeHead(200, MULTIPART).end(multipart([Buffer.alloc(0)])),
        'WEB_ANSWER',
      ],
      ['404', (one) => one.writeHead(404).end(), 'WEB_STATUS'],
      ['nothing', (one) => one.writeHead(200, MULTIPART).end(multipart([])), 'TRANSFER_MISSING'],
      [
        'a preamble without end',
        (one) => void endless(one.writeHead(200, MULTIPART), 'x'),
        'MULTIPART_BROKEN',
      ],
    ])('that gives %s is not believed', async (_name, body, code) => {
      giving(body);
      const { id } = await fetchStudy(side, device, `${ROOT}.5`);
      expect(await side.until(id, 'failed')).toMatchObject({ code, sent: 0 });
      expect(await here()).toBe(0);
    });

    it('that gives objects of another study is not believed', async () => {
      giving((response) => response.writeHead(200, MULTIPART).end(multipart(objects)));
      const { id } = await fetchStudy(side, device, `${ROOT}.6`);
      expect(await side.until(id, 'failed')).toMatchObject({ code: 'STUDY_MISMATCH', sent: 0, failed: 3 });
      expect(await here()).toBe(0);
    });

    it('that breaks off in the second object has given the first', async () => {
      const whole = multipart(objects);
      giving((response) => response.writeHead(200, MULTIPART).end(whole.subarray(0, whole.length / 2)));
      const cut = await fetchStudy(side, device, `${ROOT}.5`);
      expect(await side.until(cut.id, 'failed')).toMatchObject({ code: 'MULTIPART_BROKEN', sent: 1 });
      expect(await here()).toBe(1);
      giving((response) => {
        response.writeHead(200, MULTIPART).write(whole.subarray(0, whole.length / 2));
        setTimeout(() => response.destroy(), 50);
      });
      const lost = await fetchStudy(side, device, `${ROOT}.5`);
      expect(await side.until(lost.id, 'failed')).toMatchObject({ code: 'WEB_UNREACHABLE', sent: 1 });
    });

    it('that gives fewer than it has said is not believed; what came is kept, the rest comes later', async () => {
      giving((response) => response.writeHead(200, MULTIPART).end(multipart(objects.slice(0, 2))));
      const { id } = await fetchStudy(side, device, `${ROOT}.5`);
      expect(await side.until(id, 'failed')).toMatchObject({ code: 'TRANSFER_MISSING', sent: 2 });
      giving((response) => response.writeHead(200, MULTIPART).end(multipart(objects)));
      await side.post(`/api/transfers/${id}/retry`, {});
      expect(await side.until(id, 'done')).toMatchObject({ sent: 3, total: 3 });
      expect(await here()).toBe(3);
    });

    it('that never ends its answer to a search is left, and costs no memory', async () => {
      const before = await residentBytes(side.box.pid);
      web.answer = (_asked, response) =>
        void endless(response.writeHead(200, { 'content-type': 'application/dicom+json' }), '[{}, ');
      const lines = await found(side, device, { patientName: 'A' });
      expect(lines).toMatchObject([{ type: 'end', code: 'WEB_ANSWER', matches: 0 }]);
      expect((await residentBytes(side.box.pid)) - before).toBeLessThan(150 * 1024 * 1024);
    });

    it('that knows no pages and says the same again and again is heard once', async () => {
      const study = (uid: string): object => ({ '0020000D': { vr: 'UI', Value: [uid] } });
      const all = Array.from({ length: 400 }, (_, at) => study(`1.2.${at + 1}`));
      web.answer = (_asked, response) => json(response, 200, all);
      const lines = await found(side, device, { patientName: 'A', limit: 1000 });
      expect(lines).toHaveLength(401);
      expect(web.asked.length).toBeLessThanOrEqual(3);
    });
  });
});

/** Writes until nobody listens. */
function endless(response: Parameters<HostileWeb['answer']>[1], text: string): void {
  const piece = text.repeat(Math.ceil(65_536 / text.length));
  const more = (): void => {
    while (!response.destroyed && response.write(piece)) continue;
    if (!response.destroyed) response.once('drain', more);
  };
  more();
}
