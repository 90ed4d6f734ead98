/**
 * DICOMweb as other people's programs speak it: the client library of web viewers, in a browser and against every service, and
 * Orthanc's own DICOMweb client, which pushes to us, searches here and fetches from here.
 *
 * Source: PS3.18 §9, §10.4 to §10.6, PS3.19 §A.1 (Native DICOM Model).
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromXml } from '@lightbox/core/dicom/xml.ts';
import { describeWith } from '../tools/testing.ts';
import { ORTHANC_DICOMWEB, orthancWeb, stopped, type WebService } from './support/archives.ts';
import { openBrowser } from './support/browser.ts';
import { temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';
import { dataSetOfFile } from './support/wire.ts';

const CLIENT = createRequire(import.meta.url).resolve('dicomweb-client');
const STUDY = '1.2.826.0.1.3680043.7.4';
const SERIES = `${STUDY}.1`;
const SIDE = 32;

const image = (number: number, study = STUDY): Buffer =>
  Buffer.from(
    ctImage({
      ...{ studyUid: study, seriesUid: `${study}.1`, sopUid: `${study}.1.${number}`, number, side: SIDE },
      ...{ patientId: 'STRANGER', patientName: 'Müller^Strange=山田^太郎', chance: () => 0.25 },
    }),
  );

describeWith(['chromium'], 'dicomweb-client in Chromium', () => {
  let box: Lightbox;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    box = await Lightbox.ready();
    for (const number of [1, 2]) expect((await stowFile(box, image(number))).status).toBe(200);
    browser = await openBrowser();
    // The library comes from outside, which our pages do not allow.
    page = await (await browser.newContext({ bypassCSP: true })).newPage();
    await page.goto(`${box.url}/sign-in`);
    await page.addScriptTag({ path: CLIENT });
    await page.evaluate(
      `window.client = new DICOMwebClient.api.DICOMwebClient(${JSON.stringify({
        url: `${box.url}/dicom-web`,
        headers: { Authorization: `Bearer ${box.key}` },
      })})`,
    );
  });
  afterAll(async () => {
    await browser.close();
    await box.stop();
  });

  /** What a method of the client gives; buffers as arrays of bytes. */
  const call = <T>(method: string, options: Record<string, unknown>): Promise<T> =>
    page.evaluate(`(async () => {
      const plain = (value) =>
        value instanceof ArrayBuffer ? [...new Uint8Array(value)] : Array.isArray(value) ? value.map(plain) : value;
      return plain(await window.client.${method}(${JSON.stringify(options)}));
    })()`);
  /** Of one picture, which comes alone or as the only part. */
  const bytesFrom = async (method: string, options: Record<string, unknown>): Promise<number[]> =>
    (await call<number[] | number[][]>(method, options)).flat();
  const study = { studyInstanceUID: STUDY };
  const series = { ...study, seriesInstanceUID: SERIES };
  const instance = { ...series, sopInstanceUID: `${SERIES}.1` };
  const pixels = (file: Buffer): number[] => [...file.subarray(file.length - SIDE * SIDE * 2)];

  it('searches at every level it knows', async () => {
    const queryParams = { PatientID: 'STRANGER', limit: 10, includefield: 'all' };
    const found = await call<Record<string, { Value?: unknown[] }>[]>('searchForStudies', { queryParams });
    expect(found.map((one) => one['0020000D']?.Value)).toEqual([[STUDY]]);
    expect(found[0]?.['00100010']?.Value).toEqual([
      { Alphabetic: 'Müller^Strange', Ideographic: '山田^太郎' },
    ]);
    expect(await call('searchForSeries', study)).toHaveLength(1);
    expect(await call('searchForSeries', {})).toHaveLength(1);
    expect(await call('searchForInstances', series)).toHaveLength(2);
    expect(await call('searchForInstances', {})).toHaveLength(2);
    expect(await call('searchForStudies', { queryParams: { PatientID: 'NOBODY' } })).toEqual([]);
  });

  it('retrieves metadata, and the bulk data it names', async () => {
    expect(await call('retrieveStudyMetadata', study)).toHaveLength(2);
    expect(await call('retrieveSeriesMetadata', series)).toHaveLength(2);
    const [one] = await call<Record<string, { BulkDataURI?: string }>[]>(
      'retrieveInstanceMetadata',
      instance,
    );
    const BulkDataURI = one?.['7FE00010']?.BulkDataURI;
    expect(await call('retrieveBulkData', { BulkDataURI })).toEqual([pixels(image(1))]);
  });

  it('retrieves objects, byte for byte as sent', async () => {
    expect(await call('retrieveInstance', instance)).toEqual([...image(1)]);
    const all = [1, 2].map((number) => [...image(number)]);
    expect(await call('retrieveSeries', series)).toEqual(all);
    expect(await call('retrieveStudy', study)).toEqual(all);
  });

  it('retrieves frames and pictures', async () => {
    const frames = { ...instance, frameNumbers: [1] };
    expect(await call('retrieveInstanceFrames', frames)).toEqual([pixels(image(1))]);
    const jpeg = [0xff, 0xd8, 0xff];
    const mediaTypes = [{ mediaType: 'image/jpeg' }];
    for (const [method, options] of [
      ['retrieveInstanceRendered', { ...instance, mediaTypes }],
      ['retrieveInstanceFramesRendered', { ...frames, mediaTypes }],
      ['retrieveInstanceThumbnail', { ...instance, mediaTypes }],
      ['retrieveInstanceFramesThumbnail', { ...frames, mediaTypes }],
    ] as const)
      expect((await bytesFrom(method, options)).slice(0, 3), method).toEqual(jpeg);
    const queryParams = { window: '100,200,linear', viewport: '16,16' };
    const shown = await bytesFrom('retrieveInstanceRendered', { ...instance, mediaTypes, queryParams });
    expect(shown.slice(0, 3)).toEqual(jpeg);
  });

  it('stores', async () => {
    const other = `${STUDY}.9`;
    const file = image(1, other).toString('base64');
    const answer = await page.evaluate(`(async () => {
      const bytes = Uint8Array.from(atob(${JSON.stringify(file)}), (char) => char.charCodeAt(0));
      return window.client.storeInstances({ datasets: [bytes.buffer], studyInstanceUID: '${other}' });
    })()`);
    expect(answer).toBeDefined();
    const names = {
      studyInstanceUID: other,
      seriesInstanceUID: `${other}.1`,
      sopInstanceUID: `${other}.1.1`,
    };
    expect(await call('retrieveInstance', names)).toEqual([...image(1, other)]);
  });

  it('makes addresses of WADO-URI that give the object', async () => {
    const made = await page.evaluate<string>(
      `window.client.buildInstanceWadoURIUrl(${JSON.stringify(instance)})`,
    );
    const answer = await box.get(`/wado${new URL(made).search}`);
    expect(Buffer.from(await answer.arrayBuffer()).equals(image(1))).toBe(true);
  });
});

describeWith(['Orthanc'], "Orthanc's DICOMweb client", () => {
  const USER = { name: 'lightbox', password: 'not-to-be-seen-4712' };
  const folder = temporaryFolder();
  const study = `${STUDY}.5`;
  let box: Lightbox;
  let service: WebService;

  beforeAll(async () => {
    expect(existsSync(ORTHANC_DICOMWEB), 'needs the package orthanc-dicomweb').toBe(true);
    box = await Lightbox.ready();
    service = await orthancWeb(folder.path, USER);
    const server = { Url: `${box.url}/dicom-web/`, HttpHeaders: { Authorization: `Bearer ${box.key}` } };
    expect((await orthanc('PUT', '/dicom-web/servers/lightbox', JSON.stringify(server))).status).toBe(200);
  });
  afterAll(async () => {
    await stopped(service.child);
    folder.dispose();
    await box.stop();
  });

  function orthanc(method: string, path: string, body?: string | Buffer): Promise<Response> {
    const authorization = `Basic ${Buffer.from(`${USER.name}:${USER.password}`).toString('base64')}`;
    return fetch(service.url.replace(/\/dicom-web$/, '') + path, {
      ...{ method, headers: { authorization } },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : new Uint8Array(body) }),
    });
  }
  const ask = (what: string, body: unknown): Promise<Response> =>
    orthanc('POST', `/dicom-web/servers/lightbox/${what}`, JSON.stringify(body));
  const kept = async (): Promise<string[]> => (await (await orthanc('GET', '/instances')).json()) as string[];

  it('pushes to us (STOW-RS)', async () => {
    for (const number of [1, 2])
      expect((await orthanc('POST', '/instances', image(number, study))).status).toBe(200);
    const sent = await ask('stow', { Resources: await kept(), Synchronous: true });
    expect(sent.status, await sent.clone().text()).toBe(200);
    for (const number of [1, 2]) {
      const path = `/dicom-web/studies/${study}/series/${study}.1/instances/${study}.1.${number}`;
      const answer = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
      const bytes = Buffer.from(await answer.arrayBuffer());
      expect(dataSetOfFile(bytes).equals(dataSetOfFile(image(number, study))), path).toBe(true);
    }
  });

  it('searches here (QIDO-RS), and reads metadata', async () => {
    const found = await ask('qido', { Uri: '/studies', Arguments: { PatientID: 'STRANGER' } });
    expect(found.status, await found.clone().text()).toBe(200);
    expect(JSON.stringify(await found.json())).toContain(study);
    const metadata = await ask('get', { Uri: `/studies/${study}/metadata` });
    expect(((await metadata.json()) as unknown[]).length).toBe(2);
  });

  it('fetches from here (WADO-RS), whole', async () => {
    for (const id of await kept()) await orthanc('DELETE', `/instances/${id}`);
    expect(await kept()).toEqual([]);
    const fetched = await ask('retrieve', { Resources: [{ Study: study }], Synchronous: true });
    expect(fetched.status, await fetched.clone().text()).toBe(200);
    const ids = await kept();
    expect(ids).toHaveLength(2);
    const files = await Promise.all(
      ids.map(async (id) => Buffer.from(await (await orthanc('GET', `/instances/${id}/file`)).arrayBuffer())),
    );
    for (const number of [1, 2])
      expect(files.some((file) => dataSetOfFile(file).equals(dataSetOfFile(image(number, study))))).toBe(
        true,
      );
  });
});

describe('XML (PS3.19 §A.1)', () => {
  let box: Lightbox;
  beforeAll(async () => {
    box = await Lightbox.ready();
    expect((await stowFile(box, image(1))).status).toBe(200);
  });
  afterAll(() => box.stop());

  /** Documents of a multipart answer. */
  const documents = async (path: string): Promise<string[]> => {
    const answer = await box.get(path, { accept: 'multipart/related; type="application/dicom+xml"' });
    expect(answer.status).toBe(200);
    return [...(await answer.text()).matchAll(/<\?xml[^]*?<\/NativeDicomModel>/g)].map(([text]) => text);
  };

  it.each([`/dicom-web/studies/${STUDY}/metadata`, '/dicom-web/studies', '/dicom-web/instances'])(
    '%s has the structure of the schema, and says what the JSON says',
    async (path) => {
      const [text = ''] = await documents(path);
      const [json] = await box.getJson<object[]>(path);
      expect(JSON.parse(JSON.stringify(fromXml(text)))).toEqual(json);
      expect(text).toMatch(
        /^<\?xml version="1\.0" encoding="UTF-8"\?>\s*<NativeDicomModel xmlns="http:\/\/dicom\.nema\.org\/PS3\.19\/models\/NativeDICOM"/,
      );
      for (const [, attributes = ''] of text.matchAll(/<DicomAttribute ([^>]*)>/g))
        expect(attributes).toMatch(
          /^tag="[0-9A-F]{8}" vr="[A-Z]{2}"( keyword="\w+")?( privateCreator="[^"]*")?$/,
        );
      // Only elements of the schema, and each in its place.
      const inside: Record<string, RegExp> = {
        NativeDicomModel: /^DicomAttribute$/,
        DicomAttribute: /^(Value|PersonName|Item|BulkData|InlineBinary)$/,
        Item: /^DicomAttribute$/,
        PersonName: /^(Alphabetic|Ideographic|Phonetic)$/,
        Alphabetic: /^(FamilyName|GivenName|MiddleName|NamePrefix|NameSuffix)$/,
        Ideographic: /^(FamilyName|GivenName|MiddleName|NamePrefix|NameSuffix)$/,
        Phonetic: /^(FamilyName|GivenName|MiddleName|NamePrefix|NameSuffix)$/,
      };
      const open: string[] = [];
      for (const [, close, name = '', empty] of text.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
        if (close === '/') expect(open.pop()).toBe(name);
        else {
          const parent = open.at(-1);
          if (parent !== undefined) expect(name, parent).toMatch(inside[parent] ?? /^$/);
          if (empty !== '/') open.push(name);
        }
      }
      expect(open).toEqual([]);
    },
  );
});
