/**
 * DICOMweb line by line: every resource at every level, what may be asked of it, and the status for each way it can end.
 *
 * Source: PS3.18 §8.3.3 to §8.3.5, §8.7.3, §8.9, Table 10.3-2, §10.4 to §10.6.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import sharp from 'sharp';
import { describeWith } from '../tools/testing.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const STUDY = '1.2.826.0.1.3680043.7.1';
const SERIES = `${STUDY}.1`;
const JSON_TYPE = 'application/dicom+json';
type Json = Record<string, { Value?: unknown[]; BulkDataURI?: string }>;

describe('DICOMweb (PS3.18)', () => {
  let box: Lightbox;
  const folder = temporaryFolder();
  const study = `/dicom-web/studies/${STUDY}`;
  const series = `${study}/series/${SERIES}`;
  const instance = `${series}/instances/${SERIES}.1`;
  const image = (number: number, patientId = 'WEB'): Buffer =>
    Buffer.from(
      ctImage({
        ...{ studyUid: STUDY, seriesUid: SERIES, sopUid: `${SERIES}.${number}`, number, side: 64, patientId },
        chance: () => 0.5,
      }),
    );
  beforeAll(async () => {
    box = await Lightbox.ready();
    for (const number of [1, 2, 3]) expect((await stowFile(box, image(number))).status).toBe(200);
  });
  afterAll(async () => {
    folder.dispose();
    await box.stop();
  });
  const search = async (path: string): Promise<{ rows: Json[]; answer: Response }> => {
    const answer = await box.get(path, { accept: JSON_TYPE });
    return { rows: answer.status === 200 ? ((await answer.json()) as Json[]) : [], answer };
  };

  it.each([
    ['/dicom-web/studies', 1],
    ['/dicom-web/series', 1],
    ['/dicom-web/instances', 3],
    [`${study}/series`, 1],
    [`${study}/instances`, 3],
    [`${series}/instances`, 3],
  ])('searches at %s (Table 10.6.1-1)', async (path, count) => {
    const { rows } = await search(path);
    expect(rows).toHaveLength(count);
    expect(String(rows[0]?.['00081190']?.Value?.[0])).toContain(study);
    const xml = await box.get(path, { accept: 'multipart/related; type="application/dicom+xml"' });
    expect((await xml.text()).match(/<NativeDicomModel/g)).toHaveLength(count);
  });

  it.each([
    ['studies', 'PatientID=WEB', 1],
    ['studies', '00100020=WEB', 1],
    ['studies', 'PatientID=W*', 1],
    ['studies', 'PatientID=NOBODY', 0],
    ['studies', `StudyInstanceUID=1.2.3,${STUDY}`, 1],
    ['instances', 'InstanceNumber=2', 1],
    ['instances', 'limit=2', 2],
    ['instances', 'limit=2&offset=2', 1],
    ['instances', 'offset=3', 0],
    ['studies', 'fuzzymatching=true&PatientID=WEB', 1],
    ['instances', 'RequestAttributesSequence.ScheduledProcedureStepID=X', 0],
    ['studies', 'PatientName=%22%22&emptyvaluematching=true', 0],
    ['studies', 'AccessionNumber=%22%22&emptyvaluematching=true', 1],
    ['studies', 'AccessionNumber=%22%22', 0],
    ['instances', 'AcquisitionNumber=%22%22&emptyvaluematching=true', 3],
    ['studies', 'ModalitiesInStudy=CT,MR&multiplevaluematching=true', 0],
    ['studies', 'ModalitiesInStudy=CT&multiplevaluematching=true', 1],
    ['studies', 'ModalitiesInStudy=CT%5CMR', 1],
    ['studies', 'StudyDescription=a,%20comma&multiplevaluematching=true', 0],
    ['studies', 'StudyDate=20200101-20991231&StudyTime=000000-', 1],
    ['studies', 'TimezoneOffsetFromUTC=%2B0100', 1],
  ])('matches %s by %s: %i', async (level, query, count) => {
    const { rows, answer } = await search(`/dicom-web/${level}?${query}`);
    expect(rows).toHaveLength(count);
    expect(answer.status).toBe(count === 0 ? 204 : 200);
  });

  it('says that there is more (§8.3.4.4), and includes what is asked', async () => {
    const page = await search('/dicom-web/instances?limit=2');
    expect(page.answer.headers.get('warning')).toBe(
      `299 ${box.url}/dicom-web: There are 1 additional results that can be requested`,
    );
    expect((await search('/dicom-web/instances?limit=3')).answer.headers.get('warning')).toBeNull();
    const some = await search('/dicom-web/instances?limit=3&includefield=Rows,00280011');
    expect([some.rows[0]?.['00280010']?.Value, some.rows[0]?.['00280011']?.Value]).toEqual([[64], [64]]);
    // An attribute of series is not matched at study level, and that is said (§8.3.4.1).
    const foreign = await search('/dicom-web/studies?RequestAttributesSequence.ScheduledProcedureStepID=X');
    expect(foreign.answer.headers.get('warning')).toMatch(/^299 .*ignored/);
    const fuzzy = await search('/dicom-web/studies?ReferringPhysicianName=no*&fuzzymatching=true');
    expect(fuzzy.answer.headers.get('warning')).toContain(
      'The fuzzymatching parameter is not supported. Only literal matching has been performed.',
    );
    const all = await search('/dicom-web/studies?includefield=all');
    expect(all.rows[0]?.['00201208']?.Value).toEqual([3]);
  });

  it.each([
    ['limit=x', 'limit'],
    ['offset=-1', 'offset'],
    ['fuzzymatching=yes', 'fuzzymatching'],
    ['emptyvaluematching=1', 'emptyvaluematching'],
    ['multiplevaluematching=&multiplevaluematching=', 'multiplevaluematching'],
    ['StudyDate=yesterday', '00080020'],
    ['StudyInstanceUID=1.2.*', '0020000D'],
  ])('names what is wrong with %s: %s', async (query, name) => {
    const { answer } = await search(`/dicom-web/studies?${query}`);
    expect([answer.status, JSON.stringify(await answer.json())]).toEqual([
      400,
      expect.stringContaining(name),
    ]);
  });

  it.each([
    ['study', study, 3],
    ['series', series, 3],
    ['instance', instance, 1],
  ])('retrieves a %s in every form (Table 10.3-2)', async (_name, path, count) => {
    const parts = async (url: string, accept: string): Promise<number> => {
      const answer = await box.get(url, { accept });
      expect(answer.status, `${url} ${accept}`).toBe(200);
      const bytes = Buffer.from(await answer.arrayBuffer()).toString('latin1');
      return (bytes.match(/^Content-Type: /gm) ?? []).length;
    };
    expect(await parts(path, 'multipart/related; type="application/dicom"')).toBe(count);
    expect(await parts(path, 'multipart/related; type="application/dicom"; transfer-syntax=*')).toBe(count);
    expect(await parts(`${path}/rendered`, 'multipart/related; type="image/jpeg"')).toBe(count);
    expect(await parts(`${path}/rendered`, 'multipart/related; type="image/png"')).toBe(count);
    expect(await parts(`${path}/metadata`, 'multipart/related; type="application/dicom+xml"')).toBe(count);
    const metadata = await box.get(`${path}/metadata`, { accept: JSON_TYPE });
    expect(await metadata.json()).toHaveLength(count);
    const thumbnail = await box.get(`${path}/thumbnail`, { accept: 'image/jpeg' });
    const { format } = await sharp(Buffer.from(await thumbnail.arrayBuffer())).metadata();
    expect(format).toBe('jpeg');
  });

  it('takes the accept parameter before the header (§8.3.3.1)', async () => {
    const png = await box.get(`${instance}/rendered?accept=image/png`, { accept: 'image/jpeg' });
    expect(png.headers.get('content-type')).toBe('image/png');
    // What the parameter asks for is not there: then the header counts (§8.7.8.1).
    const header = await box.get(`${instance}?accept=video/mpeg`, { accept: 'application/dicom' });
    expect([header.status, header.headers.get('content-type')]).toEqual([
      ...[200, expect.stringContaining('application/dicom;')],
    ]);
    const refused = await box.get(`${instance}?accept=video/mpeg`, { accept: 'video/mp4' });
    expect([refused.status, await refused.json()]).toEqual([
      ...[406, expect.objectContaining({ code: 'NOT_ACCEPTABLE' })],
    ]);
  });

  it.each([
    ['image/png;q=0.5, image/jpeg', 'image/jpeg'],
    ['image/png, image/jpeg;q=0.9', 'image/png'],
    ['image/*, image/jpeg;q=0', 'image/png'],
    ['*/*;q=0.1, image/gif', 'image/gif'],
    ['*/*, image/jpeg;q=0.1, image/png;q=0.1', 'image/gif'],
    ['image/bmp, image/jpeg;q=0', 406],
    ['application/dicom, image/jpeg', 400],
    ['', 'image/jpeg'],
  ])('selects from %j: %s (§8.7.8, RFC 9110 §12.5.1)', async (accept, expected) => {
    const answer = await box.get(`${instance}/rendered`, { accept });
    const { status } = answer;
    expect(status === 200 ? answer.headers.get('content-type') : status).toBe(expected);
    await answer.arrayBuffer();
  });

  it('writes UTF-8 only (§8.3.3.2)', async () => {
    expect((await box.get('/dicom-web/studies?charset=UTF-8,latin1')).status).toBe(200);
    const other = await box.get('/dicom-web/studies?charset=latin1');
    expect([other.status, await other.json()]).toEqual([
      ...[400, expect.objectContaining({ facts: { parameter: 'charset' } })],
    ]);
  });

  it('tells which annotations it does not know, and gives the colour profile asked for (§8.3.5.1)', async () => {
    const some = await box.get(`${instance}/rendered?annotation=patient,weather`, { accept: 'image/png' });
    expect([some.status, some.headers.get('warning')]).toEqual([
      ...[200, expect.stringContaining('The following annotation values are not supported: weather')],
    ]);
    for (const type of ['image/jpeg', 'image/png', 'image/webp'])
      for (const [value, has] of [
        ['no', false],
        ['yes', true],
        ['srgb', true],
        ['displayp3', true],
      ] as const) {
        const answer = await box.get(`${instance}/rendered?iccprofile=${value}`, { accept: type });
        const { icc } = await sharp(Buffer.from(await answer.arrayBuffer())).metadata();
        expect(icc !== undefined, `${type} ${value}`).toBe(has);
      }
    const gif = await box.get(`${instance}/rendered?iccprofile=srgb`, { accept: 'image/gif' });
    expect(gif.status).toBe(400);
  });

  it.each([
    ...['annotation=', 'annotation=a%20b', 'quality=', 'viewport=', 'viewport=10', 'window=1,2', 'window=40'],
    ...['iccprofile=adobergb', 'iccprofile=', 'iccprofile=no,yes', 'viewport=64,64,64'],
  ])('answers 400 to %s and names the parameter (§8.3.5.1)', async (query) => {
    const answer = await box.get(`${instance}/rendered?${query}`, { accept: 'image/jpeg' });
    const problem = (await answer.json()) as { facts?: { parameter?: string } };
    expect([answer.status, problem.facts?.parameter]).toEqual([400, query.split('=')[0]]);
  });

  it('has no regions of thumbnails (§8.3.5.1.3)', async () => {
    expect((await box.get(`${instance}/thumbnail?viewport=32,32,1,1,2,2`)).status).toBe(400);
    expect((await box.get(`${instance}/thumbnail?viewport=32,32`)).status).toBe(200);
  });

  it('burns in who it is and how it was made (§8.3.5.1.1), and windows (§8.3.5.1.4)', async () => {
    const pixels = async (query: string): Promise<Buffer> => {
      const answer = await box.get(`${instance}/rendered?${query}`, { accept: 'image/png' });
      expect(answer.status, query).toBe(200);
      return sharp(Buffer.from(await answer.arrayBuffer()))
        .removeAlpha()
        .toColourspace('b-w')
        .raw()
        .toBuffer();
    };
    const plain = await pixels('viewport=512,512');
    const patient = await pixels('viewport=512,512&annotation=patient');
    expect(plain.equals(patient)).toBe(false);
    expect(patient.equals(await pixels('viewport=512,512&annotation=technique'))).toBe(false);
    expect((await pixels('window=100000,1,linear')).every((value) => value === 0)).toBe(true);
    expect((await pixels('window=-100000,1,linear')).every((value) => value === 255)).toBe(true);
  });

  it.each(['', '/metadata', '/rendered', '/thumbnail', '/frames/1', '/pixeldata', '/bulkdata/{own}'])(
    'answers HEAD like GET without a body, OPTIONS with the methods, and 304 for %j',
    async (template) => {
      const [own] = await box.getJson<Json[]>(`${instance}/metadata`);
      const address = own?.['7FE00010']?.BulkDataURI ?? '';
      const what = template.replace('{own}', address.slice(address.lastIndexOf('/') + 1));
      const url = box.url + instance + what;
      const authorization = `Bearer ${box.key}`;
      const got = await box.get(instance + what);
      await got.arrayBuffer();
      const head = await fetch(url, { method: 'HEAD', headers: { authorization } });
      expect([head.status, head.headers.get('content-type')?.split(';')[0]]).toEqual([
        ...[got.status, got.headers.get('content-type')?.split(';')[0]],
      ]);
      expect(await head.text()).toBe('');
      const options = await fetch(url, { method: 'OPTIONS', headers: { authorization } });
      expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
      for (const method of ['DELETE', 'PATCH', 'POST']) {
        const refused = await fetch(url, {
          method,
          headers: { authorization },
          body: method === 'DELETE' ? null : 'x',
        });
        expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
        expect(await refused.json()).toMatchObject({ code: 'METHOD_NOT_ALLOWED' });
      }
      const etag = got.headers.get('etag') ?? '';
      expect(etag).not.toBe('');
      expect((await box.get(instance + what, { 'if-none-match': etag })).status).toBe(304);
    },
  );

  it('describes itself in WADL (§8.9, Annex H)', async () => {
    const headers = { authorization: `Bearer ${box.key}` };
    const answer = await fetch(`${box.url}/dicom-web/`, { method: 'OPTIONS', headers });
    expect(answer.headers.get('content-type')).toContain('application/vnd.sun.wadl+xml');
    const text = await answer.text();
    expect(text).toContain('path="studies/{study}/series/{series}/instances/{instance}/frames/{frames}"');
    expect(text).toContain('<method name="POST">');
    expect(text).toContain('<param name="multiplevaluematching" style="query"/>');
    expect(text).toContain('<param name="frames" style="template"/>');
    // Each resource that it names is there: the answer to OPTIONS has the methods that it says.
    const resources = [...text.matchAll(/<resource path="([^"]+)">(.*?)<\/resource>/g)];
    expect(resources.length).toBeGreaterThan(25);
    for (const [, path = '', body = ''] of resources) {
      const named = [...body.matchAll(/<method name="(\w+)"/g)].map(([, method = '']) => method);
      const url = `${box.url}/dicom-web/${path.replaceAll(/\{\w+\}/g, '1')}`;
      const allow =
        (await fetch(url, { method: 'OPTIONS', headers })).headers.get('allow')?.split(', ') ?? [];
      expect(allow.filter((method) => method !== 'HEAD' && method !== 'OPTIONS').sort(), path).toEqual(
        named.sort(),
      );
    }
  });

  it('stores with a result for each (§10.5.3): 200, 202, 409, 400, 415, in JSON or XML', async () => {
    const post = (body: Buffer, type: string, accept = JSON_TYPE): Promise<Response> =>
      fetch(`${box.url}/dicom-web/studies`, {
        method: 'POST',
        headers: { authorization: `Bearer ${box.key}`, 'content-type': type, accept },
        body: new Uint8Array(body),
      });
    const type = 'multipart/related; type="application/dicom"; boundary=b';
    const body = (...objects: Buffer[]): Buffer =>
      Buffer.concat([
        ...objects.flatMap((one) => [
          Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
          one,
          Buffer.from('\r\n'),
        ]),
        Buffer.from('--b--\r\n'),
      ]);
    expect((await post(body(image(1)), type)).status).toBe(200);
    const some = await post(body(image(1), Buffer.alloc(500, 'x')), type);
    expect(some.status).toBe(202);
    expect((await some.json()) as Json).toHaveProperty('00081199');
    // The same name with other content: what is kept stays, and the sender is told (0111H).
    const conflict = await post(body(image(1, 'OTHER')), type);
    const failed = ((await conflict.json()) as Json)['00081198']?.Value?.[0] as Json;
    expect([conflict.status, failed['00081197']?.Value]).toEqual([409, [0x0111]]);
    const xml = await post(body(image(2)), type, 'application/dicom+xml');
    expect([xml.status, xml.headers.get('content-type')]).toEqual([200, 'application/dicom+xml']);
    expect(await xml.text()).toContain('ReferencedSOPSequence');
    expect((await post(Buffer.from('x'), 'multipart/related; type="application/dicom"')).status).toBe(400);
    expect((await post(Buffer.from('x'), 'text/plain')).status).toBe(415);
  });

  describeWith(['dcmdump'], 'read by DCMTK', () => {
    it.each(['*', '1.2.840.10008.1.2', '1.2.840.10008.1.2.1'])(
      'is DICOM in transfer syntax %s',
      async (syntax) => {
        const answer = await box.get(instance, { accept: `application/dicom; transfer-syntax=${syntax}` });
        const file = `${folder.path}/served.dcm`;
        writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
        const { code, output } = await run('dcmdump', ['-Un', file]);
        expect([code, output.match(/^[EW]:/gm)]).toEqual([0, null]);
        expect(output).toContain(`[${SERIES}.1]`);
      },
    );
  });
});
