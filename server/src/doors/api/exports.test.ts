/**
 * Media as people take them away and bring them back: a real archive, real downloads.
 *
 * Source: PS3.10 §8, PS3.12 Annexes F and V, PS3.15 Annex E; attacks A16, A28.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import type { ExportTicket } from '@lightbox/core/contract/api.ts';
import { readDirectory } from '@lightbox/core/dicom/dicomdir/read-directory.ts';
import { dataSet, withElements } from '@lightbox/core/dicom/element.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_BE, EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { text, uidValue } from '@lightbox/core/dicom/values.ts';
import { encapsulatedPixelData, writePart10 } from '@lightbox/core/dicom/write.ts';
import { openExports } from '../../archive/export/exports.ts';
import { createRenderer } from '../../archive/render/renderer.ts';
import type { Renderer } from '../../archive/render/types.ts';
import { openTestArchive, type TestArchive } from '../../archive/testing.ts';
import type { AuditEntry } from '../../identity/types.ts';
import { createHttp, type HttpApp } from '../../platform/http.ts';
import { createLog } from '../../platform/log.ts';
import type { ApiContext } from './context.ts';
import { exportRoutes } from './exports.ts';
import { readZip } from './unzip.ts';
import { uploadRoutes } from './upload.ts';

type Ticket = z.output<typeof ExportTicket>;

const RLE = '1.2.840.10008.1.2.5';
const CANARY = 'CANARY';
/** Everything in a header that a careless page would run or walk along. */
const HOSTILE = '</script><img src=x onerror=alert(1)>';

let box: TestArchive;
let app: HttpApp;
let renderer: Renderer;
let who = 'u';
const trail: AuditEntry[] = [];
const kept = new Map<string, Buffer>();
const scratch = mkdtempSync(join(tmpdir(), 'lightbox-exports-'));

/** 16 x 16, 8 bits, all white. */
function image(
  sop: string,
  study: string,
  more: Parameters<typeof dataSet>[0] = {},
  syntax = EXPLICIT_LE,
): Buffer {
  const ds = dataSet({
    ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.2', SOPInstanceUID: sop, StudyInstanceUID: study },
    ...{
      SeriesInstanceUID: `${study}.1`,
      SeriesNumber: 1,
      InstanceNumber: 1,
      Modality: 'CT',
      StudyID: '../../x',
    },
    ...{
      PatientID: `${CANARY}1`,
      PatientName: `${CANARY}^ANNA`,
      StudyDescription: HOSTILE,
      StudyDate: '20260102',
    },
    ...{ Rows: 16, Columns: 16, SamplesPerPixel: 1, BitsAllocated: 8, BitsStored: 8, HighBit: 7 },
    ...{
      PixelRepresentation: 0,
      PhotometricInterpretation: 'MONOCHROME2',
      WindowCenter: 128,
      WindowWidth: 256,
    },
    ...{ ImageType: ['ORIGINAL', 'PRIMARY', 'AXIAL'] },
    ...more,
  });
  const white = new Uint8Array(256).fill(255);
  // RLE: one segment (PS3.5 §G.5), two runs of 128 times white.
  const segment = new Uint8Array(64 + 4);
  new DataView(segment.buffer).setUint32(0, 1, true);
  new DataView(segment.buffer).setUint32(4, 64, true);
  segment.set([129, 255, 129, 255], 64);
  const pixels =
    syntax === RLE
      ? encapsulatedPixelData([segment])
      : ({ tag: Tags.PixelData, vr: 'OB', bytes: white } as const);
  return Buffer.from(writePart10(withElements(ds, [pixels]), syntax));
}

async function store(bytes: Buffer): Promise<void> {
  const source = { kind: 'import', by: 'test', remoteAddress: '' } as const;
  const writer = await box.archive.ingest.begin(source, { form: 'part10' });
  await writer.write(bytes);
  const { status, sopInstanceUid } = await writer.finish();
  expect(status).toBe('stored');
  kept.set(sopInstanceUid!, bytes);
}

async function choose(body: object, status = 201): Promise<Ticket> {
  const answer = await app.inject({ method: 'POST', url: '/api/exports', payload: body });
  expect(answer.statusCode, answer.body).toBe(status);
  return answer.json();
}

async function download(
  ticket: Ticket,
): Promise<{ bytes: Buffer; type: string; length: string | undefined }> {
  const answer = await app.inject({ method: 'GET', url: ticket.url });
  expect(answer.statusCode, answer.body.slice(0, 200)).toBe(200);
  const { 'content-type': type, 'content-length': length } = answer.headers;
  return {
    bytes: answer.rawPayload,
    type: String(type),
    length: length === undefined ? undefined : String(length),
  };
}

async function unzip(zip: Buffer): Promise<Map<string, Buffer>> {
  const path = join(scratch, `${createHash('sha1').update(zip).digest('hex')}.zip`);
  writeFileSync(path, zip);
  const files = new Map<string, Buffer>();
  for await (const member of readZip(path, zip.length)) {
    const parts: Buffer[] = [];
    for await (const part of member.open()) parts.push(Buffer.from(part));
    files.set(member.name, Buffer.concat(parts));
  }
  return files;
}

const zipOf = async (body: object): Promise<Map<string, Buffer>> =>
  unzip((await download(await choose(body))).bytes);
const objectsIn = (files: ReadonlyMap<string, Buffer>): Buffer[] =>
  [...files].filter(([name]) => name.startsWith('DICOM/')).map(([, bytes]) => bytes);

beforeAll(async () => {
  box = await openTestArchive();
  const log = createLog({ logLevel: 'silent' });
  renderer = createRenderer({ retrieve: box.archive.retrieve, log, workers: 1 });
  app = await createHttp({ config: { publicUrl: undefined }, log });
  app.addHook('onRequest', (request, _reply, done) => {
    request.principal = { kind: 'user', id: who, name: 'U', roles: ['radiologist'], remoteAddress: '::1' };
    done();
  });
  const { archive, database, dataDir } = box;
  const context = {
    ...{ archive, config: { dataDir } },
    exports: await openExports({ database, retrieve: archive.retrieve, renderer, dataDir, log }),
    audit: { record: (entry: AuditEntry) => trail.push(entry), flush: () => Promise.resolve() },
  } as unknown as ApiContext;
  exportRoutes(app, context);
  await app.register((part) => uploadRoutes(part, context));
  await app.listen({ host: '127.0.0.1', port: 0 });
  await store(image('1.9.1.1', '1.9.1'));
  await store(image('1.9.1.2', '1.9.1', { InstanceNumber: 2 }, RLE));
  await store(
    image('1.9.1.3', '1.9.1', {
      SeriesInstanceUID: '1.9.1.2',
      SOPClassUID: '1.2.840.10008.5.1.4.1.1.88.11',
      Rows: undefined,
    }),
  );
  await store(image('1.9.1.4', '1.9.1', { InstanceNumber: 4 }, EXPLICIT_BE));
  await store(image('1.9.2.1', '1.9.2', { Modality: 'SC', SOPClassUID: '1.2.840.10008.5.1.4.1.1.7' }));
});
afterAll(async () => {
  await app.close();
  await renderer.close();
  await box.close();
  rmSync(scratch, { recursive: true, force: true });
});

describe('A ZIP of a study', () => {
  it('holds every object byte for byte, under names of our own, with a directory that leads to them', async () => {
    const files = await zipOf({ studies: [{ studyUid: '1.9.1' }] });
    const read = readDirectory(files.get('DICOMDIR')!);
    expect(read).toMatchObject({ brokenOffsets: 0, unreachable: 0 });
    expect(read.files).toHaveLength(4);
    for (const { fileId, sopInstanceUid } of read.files) {
      expect(fileId.join('/')).toMatch(/^DICOM\/ST\d{6}\/SE\d{6}\/IM\d{6}$/);
      expect(files.get(fileId.join('/'))!.equals(kept.get(sopInstanceUid!)!)).toBe(true);
    }
    expect(trail.at(-1)).toMatchObject({
      ...{ event: 'export', outcome: 'success', studyUids: ['1.9.1'] },
      detail: { format: 'zip', deidentified: false, objects: 4 },
    });
  });

  it('has a page whose texts cannot become markup, and its pictures', async () => {
    const files = await zipOf({ studies: [{ studyUid: '1.9.1' }] });
    const page = files.get('index.html')!.toString();
    expect(page).not.toContain(HOSTILE);
    const data = JSON.parse(/id="data">(.*?)<\/script>/s.exec(page)![1]!) as {
      patients: { studies: { description: string; series: { pictures: string[] }[] }[] }[];
    };
    const [study] = data.patients[0]!.studies;
    expect(study!.description).toBe(HOSTILE);
    const pictures = study!.series.flatMap((one) => one.pictures);
    expect(pictures).toHaveLength(3);
    for (const name of pictures) expect(files.get(name)!.subarray(0, 2).toString('hex')).toBe('ffd8');
  });

  it('comes back: every object is known already', async () => {
    const { bytes } = await download(await choose({ studies: [{ studyUid: '1.9.1' }] }));
    const answer = await app.inject({
      ...{ method: 'POST', url: '/api/upload?name=a.zip', payload: bytes },
      headers: { 'content-type': 'application/zip' },
    });
    const lines = answer.body.trim().split('\n');
    const states = lines.map((line) => (JSON.parse(line) as { status: string }).status);
    expect(states.filter((one) => one === 'duplicate')).toHaveLength(4);
    expect(states.filter((one) => one !== 'duplicate' && one !== 'skipped')).toEqual([]);
  });

  it('says its length before when nothing has to be made', async () => {
    const { bytes, length } = await download(
      await choose({ studies: [{ studyUid: '1.9.1' }], viewer: false }),
    );
    expect(length).toBe(String(bytes.length));
  });

  it('is of the series that were chosen', async () => {
    const files = await zipOf({ studies: [{ studyUid: '1.9.1', seriesUids: ['1.9.1.2'] }], viewer: false });
    expect(objectsIn(files).map((one) => one.equals(kept.get('1.9.1.3')!))).toEqual([true]);
  });

  it('uncompressed: what was compressed is not, the rest is as kept (PS3.11 Annex D)', async () => {
    const files = await zipOf({ studies: [{ studyUid: '1.9.1' }], pixels: 'uncompressed', viewer: false });
    const read = objectsIn(files).map((one) => readPart10(one, { keepBytes: 1e6 }));
    expect(new Set(read.map((one) => one.transferSyntaxUid))).toEqual(new Set([EXPLICIT_LE]));
    const was = read.find((one) => uidValue(one.dataSet, Tags.SOPInstanceUID) === '1.9.1.2')!;
    expect(was.pixelData).toMatchObject({ length: 256, fragments: undefined });
  });
});

describe('A disc image', () => {
  it('is as long as announced and holds the same bytes', async () => {
    const { bytes, type, length } = await download(
      await choose({ studies: [{ studyUid: '1.9.1' }], format: 'iso' }),
    );
    expect(type).toBe('application/x-iso9660-image');
    expect(length).toBe(String(bytes.length));
    for (const sop of ['1.9.1.1', '1.9.1.2', '1.9.1.3', '1.9.1.4'])
      expect(bytes.includes(kept.get(sop)!)).toBe(true);
    // Pictures had to be made before: nothing of them stays.
    await sleep(50);
    expect(readdirSync(join(box.dataDir, 'outgoing'))).toEqual([]);
  });
});

describe('A de-identified export (PS3.15 Annex E)', () => {
  const body = (deidentify: object, study = '1.9.1'): object => ({
    studies: [{ studyUid: study }],
    deidentify,
  });

  it('names nobody anywhere: objects, directory, page, file names', async () => {
    const { bytes } = await download(await choose(body({ options: ['cleanDescriptors'] })));
    expect(bytes.includes(CANARY)).toBe(false);
    expect(bytes.includes('1.9.1.1')).toBe(false);
    const files = await unzip(bytes);
    const objects = objectsIn(files).map((one) => readPart10(one));
    expect(objects).toHaveLength(4);
    for (const { dataSet: ds } of objects) expect(text(ds, Tags.PatientIdentityRemoved)).toBe('YES');
    // Pixels that are not decoded go on as they are.
    expect(objects.filter((one) => one.transferSyntaxUid === RLE)[0]?.pixelData?.fragments).toHaveLength(1);
    const named = readDirectory(files.get('DICOMDIR')!).files.map((one) => one.sopInstanceUid);
    expect(new Set(named)).toEqual(new Set(objects.map((one) => uidValue(one.dataSet, Tags.SOPInstanceUID))));
  });

  it('blackens rectangles, in compressed frames too, and shows no picture of what was there', async () => {
    const rectangles = [{ left: 0, top: 0, width: 16, height: 4 }];
    const files = await zipOf(body({ rectangles }));
    const images = objectsIn(files)
      .map((one) => readPart10(one))
      .filter((one) => one.pixelData && text(one.dataSet, Tags.Rows) === '16');
    expect(images).toHaveLength(3);
    const whole = objectsIn(files).filter((one) => readPart10(one).dataSet.elements.has(Tags.Rows));
    for (const bytes of whole) {
      const { pixelData } = readPart10(bytes);
      const pixels = bytes.subarray(pixelData!.offset, pixelData!.offset + 256);
      expect([...new Set(pixels.subarray(0, 64))]).toEqual([0]);
      expect([...new Set(pixels.subarray(64))]).toEqual([255]);
    }
    expect([...files.keys()].filter((name) => name.startsWith('VIEWER/'))).toEqual([]);
  });

  it('leaves out, and says so, what may hold a name in its pixels', async () => {
    await store(image('1.9.3.1', '1.9.3'));
    await store(
      image('1.9.3.2', '1.9.3', {
        SeriesInstanceUID: '1.9.3.2',
        Modality: 'OT',
        SOPClassUID: '1.2.840.10008.5.1.4.1.1.7',
        ImageType: ['DERIVED', 'SECONDARY'],
      }),
    );
    const ticket = await choose(body({ options: ['cleanPixelData'] }, '1.9.3'));
    expect(ticket).toMatchObject({ objects: 1, notes: [{ code: 'DEIDENTIFY_PIXELS', objects: 1 }] });
    expect(objectsIn(await unzip((await download(ticket)).bytes))).toHaveLength(1);
    const nothing = { studies: [{ studyUid: '1.9.2' }], deidentify: { options: ['cleanPixelData'] } };
    expect(await choose(nothing, 422)).toMatchObject({ code: 'DEIDENTIFY_PIXELS' });
  });

  it('gives the same pseudonyms with the same key, others without', async () => {
    const idOf = async (deidentify: object): Promise<string | undefined> => {
      const [first] = objectsIn(await zipOf(body(deidentify)));
      return text(readPart10(first!).dataSet, Tags.PatientID);
    };
    const key = 'a secret of sixteen';
    expect(await idOf({ key })).toBe(await idOf({ key }));
    expect(await idOf({})).not.toBe(await idOf({}));
  });
});

describe('Who asks', () => {
  it('gets what they chose, and nobody else does', async () => {
    const ticket = await choose({ studies: [{ studyUid: '1.9.1' }] });
    who = 'other';
    const answer = await app.inject({ method: 'GET', url: ticket.url });
    who = 'u';
    expect(answer.statusCode).toBe(404);
  });

  it.each([
    ['a study that is not here', { studies: [{ studyUid: '1.2.3.4.5' }] }, 404, 'EXPORT_EMPTY'],
    ['no UID', { studies: [{ studyUid: '../x' }] }, 400, 'BAD_REQUEST'],
    ['nothing', { studies: [] }, 400, 'BAD_REQUEST'],
    [
      'options that contradict',
      {
        studies: [{ studyUid: '1.9.1' }],
        deidentify: { options: ['retainFullDates', 'retainModifiedDates'] },
      },
      400,
      'DEIDENTIFY_OPTIONS',
    ],
  ])('for %s is refused, and that is written down', async (_, body, status, code) => {
    expect(await choose(body, status)).toMatchObject({ code });
  });

  it('and leaves in the middle gives its place to others', async () => {
    const ticket = await choose({ studies: [{ studyUid: '1.9.1' }] });
    const { port } = app.server.address() as AddressInfo;
    for (let time = 0; time < 6; time += 1) {
      await new Promise<void>((settle) => {
        const request = get({ host: '127.0.0.1', port, path: ticket.url }, (answer) => {
          expect(answer.statusCode).toBe(200);
          answer.destroy();
          settle();
        });
        request.on('error', () => settle());
      });
      await sleep(100);
    }
    expect((await download(ticket)).bytes.length).toBeGreaterThan(1000);
  });
});

describe('500 objects', () => {
  it('go through in little memory, every one whole', async () => {
    const big = new Uint8Array(512 * 512 * 2).fill(7);
    for (let at = 1; at <= 500; at += 1) {
      const ds = dataSet({
        ...{
          SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
          SOPInstanceUID: `1.9.5.1.${at}`,
          StudyInstanceUID: '1.9.5',
        },
        ...{ SeriesInstanceUID: '1.9.5.1', PatientID: 'BIG', InstanceNumber: at },
        ...{ Rows: 512, Columns: 512, SamplesPerPixel: 1, BitsAllocated: 16, BitsStored: 12, HighBit: 11 },
        ...{
          PixelRepresentation: 0,
          PhotometricInterpretation: 'MONOCHROME2',
          PixelData: { vr: 'OW', value: big },
        },
      });
      const source = { kind: 'import', by: 'test', remoteAddress: '' } as const;
      const writer = await box.archive.ingest.begin(source, { form: 'part10' });
      await writer.write(writePart10(ds));
      expect((await writer.finish()).status).toBe('stored');
    }
    const ticket = await choose({ studies: [{ studyUid: '1.9.5' }], viewer: false });
    const { port } = app.server.address() as AddressInfo;
    const before = process.memoryUsage();
    let most = 0;
    let total = 0;
    await new Promise<void>((settle, fail) => {
      get({ host: '127.0.0.1', port, path: ticket.url }, (answer) => {
        answer.on('data', (chunk: Buffer) => {
          total += chunk.length;
          const { heapUsed, external } = process.memoryUsage();
          most = Math.max(most, heapUsed + external - before.heapUsed - before.external);
        });
        answer.on('end', settle).on('error', fail);
      }).on('error', fail);
    });
    expect(total).toBeGreaterThan(500 * big.length);
    // Chunks this test receives wait for the garbage collector too; the medium has 260 MB.
    expect(most).toBeLessThan(160 * 1024 * 1024);
  }, 120_000);
});
