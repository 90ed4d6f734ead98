/**
 * The DICOMweb door on a real archive, through HTTP requests as clients send them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import sharp from 'sharp';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';
import { createRenderer } from '../../archive/render/renderer.ts';
import type { Renderer } from '../../archive/render/types.ts';
import { openTestCommitments, type TestCommitments } from '../../archive/commitment/testing.ts';
import { openTestArchive, type TestArchive } from '../../archive/testing.ts';
import type { Audit, Principal } from '../../identity/types.ts';
import { createHttp } from '../../platform/http.ts';
import { createLog } from '../../platform/log.ts';
import { dicomwebDoor } from './door.ts';
import { describeWith, sharedTestdata } from '../../../../tools/testing.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const STUDY = '1.2.3';
const SERIES = '1.2.3.1';
const RED = [0, 1000, 2000, 4095];
const log = createLog({ logLevel: 'silent' });
/** The audit trail is identity's, one row below: here it only has to be called. */
const audit: Audit = { record: () => undefined, flush: () => Promise.resolve() };
const principal: Principal = {
  kind: 'user',
  id: 'u1',
  name: 'U',
  roles: ['radiologist'],
  remoteAddress: '127.0.0.1',
};

let box: TestArchive;
let renderer: Renderer;
let commitments: TestCommitments;
let app: Awaited<ReturnType<typeof createHttp>>;

function image(sop: string, syntax = EXPLICIT_LE, study = STUDY, pixels = RED): Buffer {
  return Buffer.from(
    writePart10(
      dataSet({
        SOPClassUID: CT,
        SOPInstanceUID: sop,
        Modality: 'CT',
        PatientID: 'P1',
        PatientName: 'Door^Test',
        StudyInstanceUID: study,
        SeriesInstanceUID: study === STUDY ? SERIES : `${study}.1`,
        SamplesPerPixel: 1,
        PhotometricInterpretation: 'MONOCHROME2',
        Rows: 2,
        Columns: 2,
        BitsAllocated: 16,
        BitsStored: 12,
        HighBit: 11,
        PixelRepresentation: 0,
        WindowCenter: '2048',
        WindowWidth: '4096',
        PixelData: { vr: 'OW', value: new Uint8Array(Uint16Array.from(pixels).buffer) },
      }),
      syntax,
    ),
  );
}

const multipart = (...parts: Buffer[]): Buffer =>
  Buffer.concat([
    ...parts.flatMap((part) => [
      Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
      part,
      Buffer.from('\r\n'),
    ]),
    Buffer.from('--b--\r\n'),
  ]);
const TYPE = 'multipart/related; type="application/dicom"; boundary=b';

const post = (payload: Buffer, url = '/dicom-web/studies', type = TYPE) =>
  app.inject({ method: 'POST', url, payload, headers: { 'content-type': type } });
const get = (path: string, accept?: string, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'GET',
    url: `/dicom-web${path}`,
    headers: { ...(accept === undefined ? {} : { accept }), ...headers },
  });
const instance = (sop: string): string => `/studies/${STUDY}/series/${SERIES}/instances/${sop}`;
const dicom = (syntax: string): string => `application/dicom; transfer-syntax=${syntax}`;

beforeAll(async () => {
  box = await openTestArchive();
  renderer = createRenderer({ retrieve: box.archive.retrieve, log, workers: 1 });
  commitments = await openTestCommitments(box);
  app = await createHttp({ config: { publicUrl: undefined }, log });
  app.addHook('onRequest', (request, _reply, done) => {
    (request as unknown as { principal: Principal }).principal = principal;
    done();
  });
  await app.register(dicomwebDoor, {
    prefix: '/dicom-web',
    archive: box.archive,
    renderer,
    commitments,
    audit,
    allows: () => true,
    secret: 'a secret of the test',
    spoolFolder: join(box.dataDir, 'incoming'),
    log,
  });
  const answer = await post(
    multipart(image('1.2.3.1.1'), image('1.2.3.1.2', IMPLICIT_LE), image('1.2.3.1.3', EXPLICIT_BE)),
  );
  expect(answer.statusCode).toBe(200);
});
afterAll(async () => {
  await app.close();
  await commitments.close();
  await renderer.close();
  await box.close();
});

describe('STOW-RS (PS3.18 §10.5)', () => {
  it('takes a single application/dicom body', async () => {
    const answer = await post(image('1.2.9.1.1', EXPLICIT_LE, '1.2.9'), undefined, 'application/dicom');
    expect(answer.statusCode).toBe(200);
    expect(answer.json<Record<string, { Value: unknown[] }>>()['00081199']?.Value).toHaveLength(1);
  });
  it("takes Orthanc's boundary of 73 characters", async () => {
    const boundary = 'fbdfe81d-f618-465e-9db2-66724c12e703-fbdfe81d-f618-465e-9db2-66724c12e703';
    const body = multipart(image('1.2.3.1.1')).toString('latin1').replaceAll('--b', `--${boundary}`);
    const answer = await post(Buffer.from(body, 'latin1'), undefined, TYPE.replace(/b$/, boundary));
    expect(answer.statusCode).toBe(200);
  });
  it('answers 202 when some fail, naming the reason', async () => {
    const answer = await post(multipart(image('1.2.3.1.1'), Buffer.from('not DICOM at all')));
    expect(answer.statusCode).toBe(202);
  });
  it('refuses objects of another study and keeps nothing of them', async () => {
    const answer = await post(
      multipart(image('1.2.8.1.1', EXPLICIT_LE, '1.2.8')),
      '/dicom-web/studies/1.2.7',
    );
    expect(answer.statusCode).toBe(409);
    const failed =
      answer.json<Record<string, { Value: Record<string, { Value: unknown[] }>[] }>>()['00081198'];
    expect(failed?.Value[0]?.['00081197']?.Value).toEqual([0xa900]);
    expect((await get('/studies/1.2.8', 'multipart/related; type="application/dicom"')).statusCode).toBe(404);
    expect((await get('/studies?StudyInstanceUID=1.2.8')).statusCode).toBe(204);
  });
  it.each([
    ['no boundary', multipart(), 'multipart/related; type="application/dicom"'],
    ['a boundary too long', multipart(), `${TYPE.slice(0, -1)}${'x'.repeat(201)}`],
    ['no parts', Buffer.from('--b--\r\n'), TYPE],
    ['line feeds only', Buffer.from('--b\nContent-Type: application/dicom\n\nDATA\n--b--\n'), TYPE],
    ['no end', Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\nDATA'), TYPE],
    ['a header without end', Buffer.from(`--b\r\n${'X: y\r\n'.repeat(10_000)}`), TYPE],
    ['an empty body', Buffer.alloc(0), TYPE],
  ])('answers 400 to %s (attack D78)', async (_name, body, type) =>
    expect((await post(body, undefined, type)).statusCode).toBe(400),
  );
  it('answers 415 to form data', async () =>
    expect((await post(multipart(), undefined, 'multipart/form-data; boundary=b')).statusCode).toBe(415));
});

describe('QIDO-RS (PS3.18 §10.6)', () => {
  it('finds studies, series and instances', async () => {
    const studies = (await get('/studies?PatientID=P1')).json<Record<string, { Value: string[] }>[]>();
    expect(studies.map((study) => study['0020000D']?.Value[0])).toContain(STUDY);
    expect((await get(`/studies/${STUDY}/series`)).json<unknown[]>()).toHaveLength(1);
    expect((await get(`/studies/${STUDY}/instances`)).json<unknown[]>()).toHaveLength(3);
  });
  it.each(['limit=x', 'offset=-1'])('answers 400 to %s', async (query) =>
    expect((await get(`/studies?${query}`)).statusCode).toBe(400),
  );
  it('ignores a key it does not know, and says so', async () =>
    expect(String((await get('/studies?NoSuchKey=1')).headers['warning'])).toContain('ignored'));
  it('answers 406 to a type it has not', async () =>
    expect((await get('/studies', 'image/png')).statusCode).toBe(406));
});

describe('WADO-RS objects (PS3.18 §10.4)', () => {
  it('gives back the bytes as kept, with ranges and entity tags', async () => {
    const whole = await get(instance('1.2.3.1.1'), dicom('*'));
    expect(whole.statusCode).toBe(200);
    const etag = String(whole.headers['etag']);
    const part = await get(instance('1.2.3.1.1'), dicom('*'), { range: 'bytes=128-131' });
    expect([part.statusCode, part.body]).toEqual([206, 'DICM']);
    expect((await get(instance('1.2.3.1.1'), dicom('*'), { 'if-none-match': etag })).statusCode).toBe(304);
    const beyond = await get(instance('1.2.3.1.1'), dicom('*'), { range: 'bytes=999999-' });
    expect(beyond.statusCode).toBe(416);
    const { length } = whole.rawPayload;
    expect(beyond.headers['content-range']).toBe(`bytes */${length}`);
    const several = await get(instance('1.2.3.1.1'), dicom('*'), { range: 'bytes=128-131, -2, 999999-' });
    expect(several.statusCode).toBe(206);
    const boundary = /boundary=(.+)$/.exec(String(several.headers['content-type']))?.[1] ?? '';
    const pieces = several.rawPayload.toString('latin1').split(`--${boundary}`);
    expect(pieces).toHaveLength(4);
    expect(pieces[1]).toContain(`Content-Range: bytes 128-131/${length}\r\n\r\nDICM\r\n`);
    expect(pieces[2]).toContain(`Content-Range: bytes ${length - 2}-${length - 1}/${length}\r\n`);
    // More than the whole, too many, or none that can be understood: the whole.
    for (const range of [
      'bytes=0-,0-',
      `bytes=${'0-0,'.repeat(20)}0-0`,
      'bytes=9-1',
      'bytes=a-b',
      'lines=1-2',
    ])
      expect((await get(instance('1.2.3.1.1'), dicom('*'), { range })).statusCode, range).toBe(200);
  });
  it.each(['1.2.3.1.2', '1.2.3.1.3'])(
    'gives %s in explicit little endian when nothing is asked',
    async (sop) => {
      const answer = await get(instance(sop), 'application/dicom');
      expect(answer.statusCode).toBe(200);
      const parsed = readPart10(answer.rawPayload);
      expect(parsed.transferSyntaxUid).toBe(EXPLICIT_LE);
      const { offset = 0, length = 0 } = parsed.pixelData ?? {};
      expect([
        ...new Uint16Array(Uint8Array.from(answer.rawPayload.subarray(offset, offset + length)).buffer),
      ]).toEqual(RED);
      expect(parsed.dataSet.elements.has(Tags.PatientID)).toBe(true);
    },
  );
  it('gives implicit little endian when that is asked', async () => {
    const answer = await get(instance('1.2.3.1.1'), dicom(IMPLICIT_LE));
    expect(readPart10(answer.rawPayload).transferSyntaxUid).toBe(IMPLICIT_LE);
  });
  it('answers 406 with a reason to what it cannot write', async () => {
    const answer = await get(instance('1.2.3.1.1'), dicom('1.2.840.10008.1.2.4.90'));
    expect(answer.statusCode).toBe(406);
    expect(answer.body).toContain('NOT_ACCEPTABLE');
  });
  it('gives a whole study in parts', async () => {
    const answer = await get(`/studies/${STUDY}`, 'multipart/related; type="application/dicom"');
    expect(answer.body.match(/Content-Type: application\/dicom/g)).toHaveLength(3);
  });
  it('says by 206 that some objects are not there in the form asked for (§10.4.3.1)', async () => {
    const study = '1.2.6';
    // JPIP: the pixels are somewhere else, and nothing here decodes them.
    const elsewhere = image(`${study}.1.2`, EXPLICIT_LE, study);
    const at = elsewhere.indexOf(`${EXPLICIT_LE}\0`);
    const jpip = Buffer.concat([
      ...[elsewhere.subarray(0, at - 2), Buffer.from([22, 0]), Buffer.from('1.2.840.10008.1.2.4.94')],
      elsewhere.subarray(at + 20),
    ]);
    jpip.writeUInt32LE(jpip.readUInt32LE(140) + 2, 140);
    const stored = await post(multipart(image(`${study}.1.1`, EXPLICIT_LE, study), jpip));
    expect(stored.statusCode, stored.body).toBe(200);
    const whole = await get(
      `/studies/${study}`,
      'multipart/related; type="application/dicom"; transfer-syntax=*',
    );
    expect([whole.statusCode, whole.body.match(/Content-Location/g)?.length]).toEqual([200, 2]);
    const some = `multipart/related; type="application/dicom"; transfer-syntax=${IMPLICIT_LE}`;
    const part = await get(`/studies/${study}`, some);
    expect([part.statusCode, part.body.match(/Content-Location/g)?.length]).toEqual([206, 1]);
    expect((await get(`/studies/${study}/series/${study}.1/instances/${study}.1.2`, some)).statusCode).toBe(
      406,
    );
  });
  it('answers 404 and 400', async () => {
    expect((await get('/studies/1.2.404', 'application/dicom')).statusCode).toBe(404);
    expect((await get('/studies/..%2Fetc', 'application/dicom')).statusCode).toBe(400);
  });
});

describe('WADO-RS pixels and metadata', () => {
  it.each(['1.2.3.1.1', '1.2.3.1.2', '1.2.3.1.3'])(
    'frames of %s are little endian and say so',
    async (sop) => {
      const answer = await get(`${instance(sop)}/frames/1`, 'application/octet-stream');
      expect(answer.headers['content-type']).toContain(`transfer-syntax=${EXPLICIT_LE}`);
      expect([...new Uint16Array(Uint8Array.from(answer.rawPayload).buffer)]).toEqual(RED);
    },
  );
  it.each([
    ['2', 404],
    ['0', 400],
    ['x', 400],
  ])('frame %s is %d', async (frame, status) =>
    expect((await get(`${instance('1.2.3.1.1')}/frames/${frame}`)).statusCode).toBe(status),
  );
  it('renders through the window', async () => {
    const answer = await get(`${instance('1.2.3.1.1')}/rendered`, 'image/png');
    expect(answer.statusCode).toBe(200);
    const grey = await sharp(answer.rawPayload).toColourspace('b-w').raw().toBuffer();
    expect([...grey]).toEqual([0, 62, 125, 255]);
  });
  it('renders a region, flipped, and with annotation', async () => {
    const flipped = await get(`${instance('1.2.3.1.1')}/rendered?viewport=2,2,0,0,-2,2`, 'image/png');
    const grey = await sharp(flipped.rawPayload).toColourspace('b-w').raw().toBuffer();
    expect([...grey]).toEqual([62, 0, 255, 125]);
    const named = await get(`${instance('1.2.3.1.1')}/rendered?annotation=patient,technique`, 'image/jpeg');
    expect(named.statusCode).toBe(200);
  });
  it.each(['viewport=1e9,1e9', 'window=NaN,1', 'quality=101'])(
    'answers 400 to %s (attack D84)',
    async (query) =>
      expect((await get(`${instance('1.2.3.1.1')}/rendered?${query}`, 'image/jpeg')).statusCode).toBe(400),
  );
  it('gives thumbnails', async () => {
    const answer = await get(`/studies/${STUDY}/thumbnail`, 'image/jpeg');
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'image/jpeg']);
  });
  it('gives metadata, gzipped when taken', async () => {
    const answer = await get(`${instance('1.2.3.1.1')}/metadata`, 'application/dicom+json', {
      'accept-encoding': 'gzip',
    });
    expect([answer.statusCode, answer.headers['content-encoding']]).toEqual([200, 'gzip']);
    const plain = await get(`${instance('1.2.3.1.1')}/metadata`, 'application/dicom+json');
    expect(plain.json<unknown[]>()).toHaveLength(1);
  });
  it('gives bulk data by the address in the metadata, and by no other', async () => {
    const uriOf = async (sop: string): Promise<string> => {
      const all = await get(`${instance(sop)}/metadata`, 'application/dicom+json');
      const [one] = all.json<Record<string, { BulkDataURI?: string }>[]>();
      return new URL(one?.['7FE00010']?.BulkDataURI ?? '').pathname.replace('/dicom-web', '');
    };
    const uri = await uriOf('1.2.3.1.3');
    const answer = await get(uri, 'application/octet-stream');
    expect([...new Uint16Array(Uint8Array.from(answer.rawPayload).buffer)]).toEqual(RED);
    const middle = await get(uri, 'application/octet-stream', { range: 'bytes=1-4' });
    expect([middle.statusCode, middle.rawPayload]).toEqual([206, answer.rawPayload.subarray(1, 5)]);
    const token = uri.slice(uri.lastIndexOf('/') + 1);
    const other = token[0] === 'A' ? 'B' : 'A';
    for (const wrong of [
      ...['7FE00010', '00100010', other + token.slice(1), token.slice(0, -2), `${token}=`, ''],
      Buffer.concat([Buffer.from(token, 'base64url').subarray(0, 16), Buffer.from('00100010')]).toString(
        'base64url',
      ),
    ])
      expect(
        (await get(`${instance('1.2.3.1.3')}/bulkdata/${wrong}`, 'application/octet-stream')).statusCode,
      ).toBe(404);
    // Made for one object, it opens no other.
    expect((await get(`${instance('1.2.3.1.1')}/bulkdata/${token}`)).statusCode).toBe(404);
  });
  it('gives all bulk data and pixel data of objects, series and studies', async () => {
    const type = 'multipart/related; type="application/octet-stream"';
    for (const what of ['bulkdata', 'pixeldata']) {
      for (const url of [`/studies/${STUDY}`, `/studies/${STUDY}/series/${SERIES}`]) {
        const answer = await get(`${url}/${what}`, type);
        expect([answer.statusCode, answer.body.match(/^Content-Location: .*bulkdata/gm)?.length]).toEqual([
          ...[200, 3],
        ]);
        expect(answer.rawPayload.includes(Buffer.from(Uint16Array.from(RED).buffer))).toBe(true);
      }
      expect((await get(`/studies/${STUDY}/${what}`, 'image/png')).statusCode).toBe(406);
    }
    const one = await get(`${instance('1.2.3.1.3')}/pixeldata`, 'application/octet-stream');
    expect([...new Uint16Array(Uint8Array.from(one.rawPayload).buffer)]).toEqual(RED);
  });
});

describeWith(['testdata'], 'compressed objects', () => {
  it.each([
    ['JPEG 2000', 'wg04/CT1/cs3d__CT1_J2KR'],
    ['HTJ2K', 'wg04/CT1/htj2k__CT1_JPH'],
    ['JPEG-LS', 'wg04/CT1/dtf__CT1_JLSL'],
    ['RLE', 'wg04/VL1/dtf__VL1_RLE'],
    ['JPEG, YBR_FULL_422', 'image/ot/cs3d__TestPattern_JPEG-Baseline_YBR422.dcm'],
    ['JPEG Lossless', 'image/ct/dcm4che__CT-JPEGLosslessSV1.dcm'],
    ['JPEG 12 bit', 'image/nm/pydicom__JPGExtended.dcm'],
  ])('%s is given as kept, uncompressed and as a picture', async (_name, path) => {
    const file = readFileSync(join(sharedTestdata() ?? '', path));
    const kept = readPart10(file);
    const stored = await post(file, undefined, 'application/dicom');
    const url =
      stored.json<Record<string, { Value: Record<string, { Value: string[] }>[] }>>()['00081199']?.Value[0]?.[
        '00081190'
      ]?.Value[0];
    const at = new URL(String(url)).pathname.replace('/dicom-web', '');
    const own = await get(
      `${at}/frames/1`,
      'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    );
    expect(own.body).toContain(`transfer-syntax=${kept.transferSyntaxUid}`);
    const plain = await get(at, 'application/dicom');
    const given = readPart10(plain.rawPayload);
    expect(given.transferSyntaxUid).toBe(EXPLICIT_LE);
    const frame = await get(`${at}/frames/1`, 'application/octet-stream');
    const { offset = 0 } = given.pixelData ?? {};
    expect(frame.rawPayload.length).toBeGreaterThan(1000);
    expect(frame.rawPayload.equals(plain.rawPayload.subarray(offset, offset + frame.rawPayload.length))).toBe(
      true,
    );
    expect((await get(`${at}/rendered`, 'image/jpeg')).statusCode).toBe(200);
  });
});
