/**
 * Uploads as browsers, CDs and attackers make them, into a real archive (attacks A19, A20, E101).
 */
import { existsSync, readdirSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';
import { openTestArchive, type TestArchive } from '../../archive/testing.ts';
import type { AuditEntry } from '../../identity/types.ts';
import { createHttp, type HttpApp } from '../../platform/http.ts';
import { createLog } from '../../platform/log.ts';
import type { ApiContext } from './context.ts';
import { makeZip } from './testing.ts';
import { uploadRoutes } from './upload.ts';

interface Result {
  readonly name: string;
  readonly status: string;
  readonly code?: string;
  readonly studyUid?: string;
  readonly sopInstanceUid?: string;
}

const ROOT = '1.2.826.0.1.3680043.4';
const image = (sop: string, study = `${ROOT}.1`): Buffer =>
  Buffer.from(
    writePart10(
      dataSet({
        ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.7', SOPInstanceUID: sop, Modality: 'OT' },
        ...{ PatientID: 'UPLOADED', StudyInstanceUID: study, SeriesInstanceUID: `${study}.1` },
      }),
      EXPLICIT_LE,
    ),
  );
const MIB = 1024 ** 2;

let box: TestArchive;
let app: HttpApp;
let last = 0;
const trail: AuditEntry[] = [];
const next = (): string => `${ROOT}.9.${(last += 1)}`;
const incoming = (): string[] => {
  const folder = join(box.dataDir, 'incoming');
  return existsSync(folder) ? readdirSync(folder) : [];
};
async function upload(payload: Buffer, type = 'application/zip', name = 'a.zip'): Promise<Result[]> {
  const answer = await app.inject({
    ...{ method: 'POST', url: `/api/upload?name=${encodeURIComponent(name)}`, payload },
    headers: { 'content-type': type },
  });
  expect(answer.statusCode).toBe(200);
  return answer.body
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Result);
}
const kept = async (): Promise<{ instances: number; quarantined: number }> => {
  const { instances, quarantined } = await box.archive.stats();
  return { instances, quarantined };
};

beforeAll(async () => {
  box = await openTestArchive();
  app = await createHttp({ config: { publicUrl: undefined }, log: createLog({ logLevel: 'silent' }) });
  app.addHook('onRequest', (request, _reply, done) => {
    request.principal = { kind: 'user', id: 'u', name: 'U', roles: ['technologist'], remoteAddress: '::1' };
    done();
  });
  const context = {
    ...{ archive: box.archive, config: { dataDir: box.dataDir } },
    audit: { record: (entry: AuditEntry) => trail.push(entry), flush: () => Promise.resolve() },
  };
  await app.register((part) => uploadRoutes(part, context as unknown as ApiContext));
  await app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await app.close();
  await box.close();
});

describe('One file', () => {
  it('is stored once, and written down with who brought it', async () => {
    const sop = next();
    expect(await upload(image(sop), 'application/dicom', 'a.dcm')).toMatchObject([
      { name: 'a.dcm', status: 'stored', sopInstanceUid: sop, studyUid: `${ROOT}.1` },
    ]);
    expect(await upload(image(sop), 'application/octet-stream', 'b')).toMatchObject([
      { status: 'duplicate' },
    ]);
    expect(trail.at(-1)).toMatchObject({ event: 'store', outcome: 'success', principal: { name: 'U' } });
    expect(await upload(image(sop, `${ROOT}.2`), 'application/dicom')).toMatchObject([
      { status: 'conflict', code: 'INSTANCE_CONFLICT' },
    ]);
    expect(trail.at(-1)).toMatchObject({ event: 'store', outcome: 'failed' });
  });

  it.each([
    ['text', 'text/plain', 415],
    ['a form', 'multipart/form-data; boundary=x', 415],
  ])('%s is 415', async (_name, type, status) => {
    const answer = await app.inject({
      ...{ method: 'POST', url: '/api/upload', payload: 'x', headers: { 'content-type': type } },
    });
    expect(answer.statusCode).toBe(status);
  });

  it('with a packed body is 415, with two names or a name too long 400', async () => {
    const post = (url: string, headers: Record<string, string> = {}) =>
      app.inject({
        ...{ method: 'POST', url, payload: image(next()) },
        headers: { 'content-type': 'application/dicom', ...headers },
      });
    expect((await post('/api/upload', { 'content-encoding': 'gzip' })).statusCode).toBe(415);
    expect((await post('/api/upload?name=a&name=b')).statusCode).toBe(400);
    expect((await post(`/api/upload?name=${'x'.repeat(1001)}`)).statusCode).toBe(400);
  });
});

describe('A ZIP', () => {
  it('gives a result for every file, and passes over what is none of a study', async () => {
    const [one, two] = [next(), next()];
    const results = await upload(
      makeZip([
        { name: 'DICOM/', bytes: Buffer.alloc(0), stored: true },
        { name: 'DICOM/IM1', bytes: image(one) },
        { name: 'DICOM/IM2', bytes: image(two), stored: true },
        { name: 'DICOM/IM2 again', bytes: image(two) },
        { name: 'DICOMDIR', bytes: Buffer.from('index') },
        { name: '__MACOSX/DICOM/._IM1', bytes: Buffer.from('Mac OS X') },
        { name: 'DICOM/._IM1', bytes: Buffer.from('Mac OS X') },
        { name: 'Thumbs.db', bytes: Buffer.from('x') },
        { name: 'viewer/viewer.exe', bytes: Buffer.concat([Buffer.from('MZ'), Buffer.alloc(5000)]) },
        { name: 'index.html', bytes: Buffer.from('<html></html>') },
        { name: 'inner.zip', bytes: makeZip([{ name: 'x', bytes: Buffer.alloc(1000) }]) },
        { name: 'empty', bytes: Buffer.alloc(0) },
        { name: 'IM3', bytes: image(next()).subarray(0, 250) },
      ]),
    );
    const of = (name: string): Result[] => results.filter((one) => one.name === name);
    expect(of('DICOM/IM1')).toMatchObject([{ status: 'stored', sopInstanceUid: one }]);
    expect([...of('DICOM/IM2'), ...of('DICOM/IM2 again')].map(({ status }) => status).sort()).toEqual([
      ...['duplicate', 'stored'],
    ]);
    expect(of('DICOMDIR')).toMatchObject([{ status: 'skipped' }]);
    for (const name of ['viewer/viewer.exe', 'index.html', 'inner.zip', 'empty'])
      expect(of(name), name).toMatchObject([{ status: 'skipped', code: 'DICOM_NOT_PART10' }]);
    expect(of('IM3')).toMatchObject([{ status: 'quarantined' }]);
    expect(results).toHaveLength(9);
    expect(incoming()).toEqual([]);
  });

  it('with sizes and offsets of 64 bits is read', async () => {
    const sop = next();
    expect(await upload(makeZip([{ name: 'a', bytes: image(sop) }], true))).toMatchObject([
      { status: 'stored', sopInstanceUid: sop },
    ]);
  });

  it.each([
    '../../../../etc/cron.d/x',
    '/etc/passwd',
    'C:\\Windows\\x.dcm',
    '..\\..\\x',
    'a\0b',
    'nul\r\nX: y',
  ])('with a file called %j stores it, and makes no path of the name', async (name) => {
    const before = incoming();
    const [result] = await upload(makeZip([{ name, bytes: image(next()) }]));
    expect(result).toMatchObject({ status: 'stored' });
    expect(result?.name).not.toMatch(/[\0\r\n]/);
    expect(incoming()).toEqual(before);
    expect(existsSync('/etc/cron.d/x')).toBe(false);
  });

  it.each([
    ['an encrypted file', { flags: 0x801 }, 'UPLOAD_ENCRYPTED'],
    ['a method nobody knows', { method: 14 }, 'UPLOAD_ZIP'],
    ['a wrong checksum', { crc: 1 }, 'UPLOAD_ZIP'],
    ['a size that is too small', { size: 200 }, 'UPLOAD_ZIP'],
    ['a size that is too large', { size: 100_000 }, 'UPLOAD_ZIP'],
  ])('with %s refuses that one alone', async (_name, says, code) => {
    const before = await kept();
    const [bad, good] = await upload(
      makeZip([
        { name: 'bad', bytes: image(next()), says },
        { name: 'good', bytes: image(next()) },
      ]),
    );
    expect(bad).toMatchObject({ name: 'bad', status: 'refused', code });
    expect(good).toMatchObject({ name: 'good', status: 'stored' });
    expect(await kept()).toEqual({ ...before, instances: before.instances + 1 });
  });

  it('whose file unpacks to a thousand times its size is refused unread', async () => {
    const bomb = Buffer.alloc(70 * MIB);
    image(next()).copy(bomb);
    const before = await kept();
    const results = await upload(
      makeZip([
        { name: 'bomb', bytes: bomb },
        { name: 'good', bytes: image(next()) },
      ]),
    );
    expect(results).toMatchObject([
      { name: 'bomb', status: 'refused', code: 'UPLOAD_ZIP_LIMIT' },
      { name: 'good', status: 'stored' },
    ]);
    expect(await kept()).toEqual({ ...before, instances: before.instances + 1 });
  });

  it('whose bomb says it is small is ended at the size it says', async () => {
    const bomb = Buffer.alloc(70 * MIB);
    image(next()).copy(bomb);
    const results = await upload(makeZip([{ name: 'bomb', bytes: bomb, says: { size: 1000 } }]));
    expect(results).toMatchObject([{ status: 'refused', code: 'UPLOAD_ZIP' }]);
  });

  it('of many harmless bombs is ended at two hundred times its own size', async () => {
    const bytes = Buffer.alloc(30 * MIB);
    const results = await upload(makeZip(Array.from({ length: 5 }, (_, at) => ({ name: `b${at}`, bytes }))));
    expect(results.map(({ status, code }) => `${status} ${code}`)).toEqual([
      ...['skipped DICOM_NOT_PART10', 'skipped DICOM_NOT_PART10', 'refused UPLOAD_ZIP_LIMIT'],
    ]);
  });

  it('of a hundred thousand files is read; of more than the limit it is not', async () => {
    const bytes = Buffer.from('x');
    const entries = Array.from({ length: 100_000 }, (_, at) => ({
      name: `t/${at}.txt`,
      bytes,
      stored: true,
    }));
    const sop = next();
    const results = await upload(makeZip([...entries, { name: 'last', bytes: image(sop) }]));
    expect(results).toHaveLength(100_001);
    expect(results.at(-1)).toMatchObject({ name: 'last', status: 'stored', sopInstanceUid: sop });
    const more = [...entries, ...entries, { name: 'one too many', bytes, stored: true }];
    expect(await upload(makeZip(more))).toMatchObject([{ name: 'a.zip', code: 'UPLOAD_ZIP_LIMIT' }]);
  }, 120_000);

  it('of two thousand small objects stores all of them', async () => {
    const entries = Array.from({ length: 2000 }, () => {
      const sop = next();
      return { name: sop, bytes: image(sop, `${ROOT}.5`) };
    });
    const results = await upload(makeZip(entries));
    expect(results.filter(({ status }) => status === 'stored')).toHaveLength(2000);
    expect(new Set(results.map(({ name }) => name)).size).toBe(2000);
    const found = await box.archive.retrieve.list({ studyUid: `${ROOT}.5` });
    expect(found).toHaveLength(2000);
  }, 120_000);

  it('that is none, that is cut, or that is empty is refused as a whole', async () => {
    const whole = makeZip([{ name: 'a', bytes: image(next()) }]);
    for (const bytes of [Buffer.from('not a zip'), image(next()), Buffer.alloc(0), Buffer.from('PK\x03\x04')])
      expect(await upload(bytes)).toMatchObject([{ name: 'a.zip', status: 'refused', code: 'UPLOAD_ZIP' }]);
    for (let length = 1; length < whole.length; length += 7)
      expect(await upload(whole.subarray(0, length)), String(length)).toMatchObject([
        { status: 'refused', code: 'UPLOAD_ZIP' },
      ]);
    expect(incoming()).toEqual([]);
  });

  it('with any byte turned over ends in an answer, and never stores a changed object', async () => {
    const sop = next();
    const whole = makeZip([{ name: 'a', bytes: image(sop) }]);
    for (let at = 0; at < whole.length; at += 1) {
      const broken = Buffer.from(whole);
      broken[at] = (broken[at] ?? 0) ^ 0xff;
      const results = await upload(broken);
      for (const { status } of results)
        expect(['refused', 'stored', 'duplicate', 'skipped'], `byte ${at}`).toContain(status);
    }
    const { instances } = await kept();
    await upload(whole);
    expect((await kept()).instances - instances).toBeLessThanOrEqual(1);
    expect(await box.archive.retrieve.list({ studyUid: `${ROOT}.1` })).toContainEqual(
      expect.objectContaining({ sopUid: sop, length: image(sop).length }),
    );
  }, 120_000);
});

describe('A client that goes away', () => {
  it.each(['application/dicom', 'application/zip'])('in the middle of %s leaves nothing', async (type) => {
    const before = await kept();
    const address = app.server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const sop = next();
    const payload = type === 'application/zip' ? makeZip([{ name: 'a', bytes: image(sop) }]) : image(sop);
    const request = httpRequest({
      ...{ host: '127.0.0.1', port, path: '/api/upload', method: 'POST' },
      headers: { 'content-type': type, 'content-length': payload.length },
    });
    request.on('error', () => undefined);
    request.write(payload.subarray(0, payload.length - 10));
    await sleep(200);
    request.destroy();
    for (let tries = 0; tries < 50 && incoming().length > 0; tries += 1) await sleep(20);
    await sleep(100);
    expect(incoming()).toEqual([]);
    expect(await kept()).toEqual(before);
    expect(await upload(image(sop), 'application/dicom')).toMatchObject([{ status: 'stored' }]);
  });
});
