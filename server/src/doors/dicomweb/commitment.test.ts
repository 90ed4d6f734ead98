/**
 * Storage commitment over the web (PS3.18 §13) on a real archive, with every status of Tables 13.4.3-1 and 13.5.3-1.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LightMyRequestResponse } from 'fastify';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { fromXml, toXml } from '@lightbox/core/dicom/xml.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';
import { openTestCommitments, type TestCommitments } from '../../archive/commitment/testing.ts';
import { createRenderer } from '../../archive/render/renderer.ts';
import type { Renderer } from '../../archive/render/types.ts';
import { openTestArchive, type TestArchive } from '../../archive/testing.ts';
import type { AuditEntry, Principal } from '../../identity/types.ts';
import { createHttp } from '../../platform/http.ts';
import { createLog } from '../../platform/log.ts';
import { dicomwebDoor } from './door.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const JSON_TYPE = 'application/dicom+json';
const XML_TYPE = 'application/dicom+xml';
const log = createLog({ logLevel: 'silent' });
const trail: AuditEntry[] = [];
const audit = { record: (entry: AuditEntry) => void trail.push(entry), flush: () => Promise.resolve() };
const people = new Map<string, Principal>(
  ['u1', 'u2'].map((id) => [
    id,
    { kind: 'user', id, name: id.toUpperCase(), roles: ['radiologist'], remoteAddress: '127.0.0.1' },
  ]),
);

let box: TestArchive;
let renderer: Renderer;
let commitments: TestCommitments;
let app: Awaited<ReturnType<typeof createHttp>>;

beforeAll(async () => {
  box = await openTestArchive();
  renderer = createRenderer({ retrieve: box.archive.retrieve, log, workers: 1 });
  commitments = await openTestCommitments(box, { audit });
  app = await createHttp({ config: { publicUrl: undefined }, log });
  app.addHook('onRequest', (request, _reply, done) => {
    const who = people.get(String(request.headers['x-who'] ?? 'u1'));
    (request as unknown as { principal: Principal | undefined }).principal = who;
    done();
  });
  await app.register(dicomwebDoor, {
    ...{ prefix: '/dicom-web', archive: box.archive, renderer, commitments, audit, log },
    secret: 'a secret of the test',
    spoolFolder: join(box.dataDir, 'incoming'),
    allows: () => true,
  });
  for (const number of [1, 2]) {
    const stored = await app.inject({
      ...{ method: 'POST', url: '/dicom-web/studies', headers: { 'content-type': 'application/dicom' } },
      payload: Buffer.from(
        writePart10(
          dataSet({
            ...{ SOPClassUID: CT, SOPInstanceUID: `1.2.3.1.${number}`, PatientID: 'P1', Modality: 'CT' },
            ...{ StudyInstanceUID: '1.2.3', SeriesInstanceUID: '1.2.3.1' },
          }),
        ),
      ),
    });
    expect(stored.statusCode).toBe(200);
  }
});
afterAll(async () => {
  await app.close();
  await commitments.close();
  await renderer.close();
  await box.close();
});

const reference = (sopUid: string, sopClass = CT): DicomJson => ({
  '00081150': { vr: 'UI', Value: [sopClass] },
  '00081155': { vr: 'UI', Value: [sopUid] },
});
const asking = (...sopUids: string[]): DicomJson => ({
  '00081199': { vr: 'SQ', Value: sopUids.map((sopUid) => reference(sopUid)) },
});
const inStudy = (...sopUids: string[]): object => {
  const instances = sopUids.map((uid) => ({ '00081155': { vr: 'UI', Value: [uid] } }));
  const group = { '00081150': { vr: 'UI', Value: [CT] }, '0008114A': { vr: 'SQ', Value: instances } };
  const series = { '0020000E': { vr: 'UI', Value: ['1.2.3.1'] }, '00081112': { vr: 'SQ', Value: [group] } };
  const study = { '0020000D': { vr: 'UI', Value: ['1.2.3'] }, '00081115': { vr: 'SQ', Value: [series] } };
  return { '00081110': { vr: 'SQ', Value: [study] } };
};
const uids = (json: DicomJson, tag: string): unknown[] =>
  (json[tag]?.Value ?? []).map((item) => (item as DicomJson)['00081155']?.Value?.[0]);
const post = (
  transaction: string,
  payload: string | object,
  headers: Record<string, string> = {},
): Promise<LightMyRequestResponse> =>
  app.inject({
    ...{ method: 'POST', url: `/dicom-web/commitment-requests/${transaction}` },
    payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    headers: { 'content-type': JSON_TYPE, ...headers },
  });
const check = (transaction: string, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> =>
  app.inject({ method: 'GET', url: `/dicom-web/commitment-requests/${transaction}`, headers });

describe('A request (PS3.18 §13.4)', () => {
  it('200: says at once what is kept and what is not, without a transaction UID', async () => {
    const answer = await post('1.9.1', asking('1.2.3.1.1', '1.2.3.1.2', '1.2.3.1.99'));
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toContain(JSON_TYPE);
    const json = answer.json<DicomJson>();
    expect(uids(json, '00081199')).toEqual(['1.2.3.1.1', '1.2.3.1.2']);
    expect(uids(json, '00081198')).toEqual(['1.2.3.1.99']);
    expect(json['00081198']?.Value?.[0]).toMatchObject({ '00081197': { Value: [0x0112] } });
    expect(json).not.toHaveProperty('00081195');
    expect(trail.filter(({ event }) => event === 'commitment').map(({ detail }) => detail?.['what'])).toEqual(
      [...['requested', 'checked']],
    );
    expect(trail.at(-1)?.studyUids).toEqual(['1.2.3']);
  });

  it('200: takes and gives XML, and the array form of JSON', async () => {
    const xml = toXml(asking('1.2.3.1.1'));
    const answer = await post('1.9.2', xml, { 'content-type': XML_TYPE, accept: XML_TYPE });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toContain(XML_TYPE);
    expect(uids(fromXml(answer.body), '00081199')).toEqual(['1.2.3.1.1']);
    expect((await post('1.9.2.1', [asking('1.2.3.1.1')])).statusCode).toBe(200);
  });

  it('200: objects within their study come back within it; one of another study is not there', async () => {
    const json = (await post('1.9.3', inStudy('1.2.3.1.1', '1.2.3.1.77'))).json<DicomJson>();
    expect(Object.keys(json)).toEqual(['00081110', '0008119B']);
    expect(JSON.stringify(json['00081110'])).toContain('1.2.3.1.1');
    expect(JSON.stringify(json['0008119B'])).toContain('[274]');
    const moved = JSON.parse(
      JSON.stringify(inStudy('1.2.3.1.1')).replace('["1.2.3"]', '["1.2.4"]'),
    ) as object;
    expect(Object.keys((await post('1.9.4', moved)).json<DicomJson>())).toEqual(['0008119B']);
  });

  it('202: has no body while bytes are read; the result is there later', async () => {
    // A job that nobody runs yet: what takes long to read looks the same from outside.
    await commitments.close();
    const answer = await post('1.9.5', asking('1.2.3.1.1'));
    expect([answer.statusCode, answer.body]).toEqual([202, '']);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    const waiting = await check('1.9.5');
    expect([waiting.statusCode, waiting.body]).toEqual([202, '']);
    const again = await openTestCommitments(box, { audit });
    Object.assign(commitments, again);
    await expect.poll(async () => (await check('1.9.5')).statusCode, { timeout: 10_000 }).toBe(200);
    expect(uids((await check('1.9.5')).json(), '00081199')).toEqual(['1.2.3.1.1']);
  });

  it.each<[string, string | object, Record<string, string>, number]>([
    ['no objects', {}, {}, 400],
    ['an empty sequence', { '00081199': { vr: 'SQ' } }, {}, 400],
    ['no JSON', '{', {}, 400],
    ['two data sets', [asking('1.2'), asking('1.3')], {}, 400],
    ['an instance that is no UID', asking("1.2' OR 1"), {}, 400],
    ['XML that is none', '<a', { 'content-type': XML_TYPE }, 400],
    ['another media type', 'x', { 'content-type': 'application/dicom' }, 415],
    ['a packed body', '{}', { 'content-encoding': 'gzip' }, 415],
    ['an answer nobody can give', asking('1.2'), { accept: 'image/png' }, 406],
  ])('is refused: %s', async (_, payload, headers, status) => {
    expect((await post('1.9.60', payload, headers)).statusCode).toBe(status);
    // Nothing of it was kept.
    expect((await check('1.9.60')).statusCode).toBe(404);
  });

  it('400: a transaction UID that is none', async () => {
    expect((await post('1.9.x', asking('1.2'))).statusCode).toBe(400);
  });

  it('409: a transaction UID in use, the same request too; of another principal it is another one', async () => {
    expect((await post('1.9.1', asking('1.2.3.1.1'))).json()).toMatchObject({ code: 'COMMIT_DUPLICATE' });
    const same = await post('1.9.1', asking('1.2.3.1.1', '1.2.3.1.2', '1.2.3.1.99'));
    expect(same.statusCode).toBe(409);
    expect((await post('1.9.1', asking('1.2.3.1.1'), { 'x-who': 'u2' })).statusCode).toBe(200);
  });

  it('503: too many at once, and when to come back', async () => {
    await box.database.pool.query(
      `INSERT INTO storage_commitment (id, direction, via, peer, peer_name, local_ae, transaction_uid, sop_classes, sop_uids,
         objects, state, give_up_at, next_at)
       SELECT 'busy' || n, 'received', 'web', 'u2', 'U2', '', '1.8.' || n, '{}', '{}', 0, 'checking', now(), now() + interval '1 h'
       FROM generate_series(1, 100) AS n`,
    );
    const answer = await post('1.9.7', asking('1.2.3.1.1'), { 'x-who': 'u2' });
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '5']);
    await box.database.pool.query(`DELETE FROM storage_commitment WHERE id LIKE 'busy%'`);
  });
});

describe('A result check (PS3.18 §13.5)', () => {
  it('200: gives the same result again, in the form asked for', async () => {
    const json = await check('1.9.1');
    expect(json.statusCode).toBe(200);
    expect(uids(json.json(), '00081198')).toEqual(['1.2.3.1.99']);
    const xml = await check('1.9.1', { accept: XML_TYPE });
    expect(uids(fromXml(xml.body), '00081198')).toEqual(['1.2.3.1.99']);
  });

  it('404: nobody asked, or somebody else did', async () => {
    expect((await check('1.9.404')).statusCode).toBe(404);
    expect((await check('1.9.3', { 'x-who': 'u2' })).statusCode).toBe(404);
  });

  it('410: the result is no longer kept; and 404 when even that is forgotten', async () => {
    const age = (days: number): Promise<unknown> =>
      box.database.pool.query(
        `UPDATE storage_commitment SET finished_at = now() - make_interval(days => $1) WHERE transaction_uid = '1.9.2'`,
        [days],
      );
    await age(31);
    await (await openTestCommitments(box)).close();
    expect((await check('1.9.2')).statusCode).toBe(410);
    await age(61);
    await (await openTestCommitments(box)).close();
    expect((await check('1.9.2')).statusCode).toBe(404);
  });
});
