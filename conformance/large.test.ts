/**
 * A multi-frame of more than 2 GB comes in by C-STORE, STOW-RS and the upload page and goes out by WADO-RS, C-GET and C-MOVE, byte for byte,
 * and the server takes no more than 64 MB for it (issue 2: streaming to disk).
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { STUDY_ROOT_GET, STUDY_ROOT_MOVE } from '@lightbox/core/dimse/retrieve.ts';
import { DimseClient } from '../server/src/doors/dimse/client.ts';
import { temporaryFolder } from './support/dcmtk.ts';
import { Destination } from './support/destination.ts';
import { ctImage, EXPLICIT } from './support/images.ts';
import {
  ENHANCED_CT,
  hashAnswer,
  highestDuring,
  LargeObject,
  residentOf,
  sendStreaming,
  storeLarge,
} from './support/large.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const repository = resolve(import.meta.dirname, '..');
const MAX_RISE = 64 * 1024 * 1024;
/** 2.05 GiB: lengths beyond 2^31, where signed arithmetic fails. */
const FRAMES = 4200;
/** The program alone takes 190 MB, most of it code. */
const SENDER_BYTES = 400 * 1024 * 1024;
const NORMAL_FRAMES = 4;
const WARM_UP = 10;

describe('A multi-frame of more than 2 GB', () => {
  let box: Lightbox;
  let destination: Destination;
  /** The one that came by C-STORE. */
  let kept: LargeObject;
  /** What the server takes when it has seen a few objects of ordinary size, in bytes. */
  let before: number;

  beforeAll(async () => {
    box = await Lightbox.ready();
    destination = await Destination.start();
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    for (const device of [
      { aeTitle: 'READER', verbs: ['move', 'get'] },
      { aeTitle: 'SINK', host: '127.0.0.1', port: destination.port, verbs: ['echo'] },
    ])
      expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
    for (let index = 1; index <= WARM_UP; index += 1) {
      const normal = largeObject(`1.${index}`, NORMAL_FRAMES);
      expect(await storeLarge(box.dicomPort, normal)).toBe(0);
      expect(await sendBack(normal)).toBe(normal.sha256);
      const image = ctImage({ ...largeObject(`2.${index}`, 1).names, side: 512, chance: () => 0.5 });
      expect((await stowFile(box, image)).status).toBe(200);
    }
    before = residentOf(box.pid);
  });
  afterAll(async () => {
    destination.stop();
    await box.stop();
  });

  it('is kept over DIMSE in bounded memory (PS3.4 Annex B)', async () => {
    const object = largeObject('3', FRAMES);
    await bounded(async () => expect(await storeLarge(box.dicomPort, object)).toBe(0));
    await bounded(async () => expect(await sendBack(object)).toBe(object.sha256));
    kept = object;
  }, 300_000);

  it('goes out by C-GET in bounded memory (PS3.4 §C.4.3)', async () => {
    const { sopClassUid, studyUid } = { sopClassUid: ENHANCED_CT, studyUid: kept.names.studyUid };
    const client = await DimseClient.open({
      ...{ host: '127.0.0.1', port: box.dicomPort, calledAe: 'LIGHTBOX', callingAe: 'READER' },
      contexts: [STUDY_ROOT_GET, sopClassUid].map((uid) => ({
        ...{ sopClassUid: uid, transferSyntaxUids: [EXPLICIT] },
      })),
      takes: [sopClassUid],
    });
    const hash = createHash('sha256');
    await bounded(async () => {
      const answer = await client.get(STUDY_ROOT_GET, study(studyUid), () =>
        Promise.resolve({
          write: (bytes) => void hash.update(bytes),
          finish: () => Promise.resolve(),
          abort: () => Promise.resolve(),
        }),
      );
      expect(answer).toMatchObject({ status: 0, counts: { completed: 1 } });
    });
    await client.close();
    expect(hash.digest('hex')).toBe(kept.sha256);
  }, 300_000);

  it('goes out by C-MOVE in bounded memory (PS3.4 §C.4.2)', async () => {
    const client = await DimseClient.open({
      ...{ host: '127.0.0.1', port: box.dicomPort, calledAe: 'LIGHTBOX', callingAe: 'READER' },
      contexts: [{ sopClassUid: STUDY_ROOT_MOVE, transferSyntaxUids: [EXPLICIT] }],
    });
    await bounded(async () => {
      const answer = await client.move(STUDY_ROOT_MOVE, study(kept.names.studyUid), 'SINK');
      expect(answer).toMatchObject({ status: 0, counts: { completed: 1 } });
    });
    await client.close();
    expect(destination.arrived.map(({ sha256 }) => sha256)).toEqual([kept.sha256]);
  }, 300_000);

  it('is kept by STOW-RS in bounded memory (PS3.18 §10.5)', async () => {
    const object = largeObject('4', FRAMES);
    await bounded(async () => {
      const headers = {
        ...{ authorization: `Bearer ${box.key}`, accept: 'application/dicom+json' },
        'content-type': 'multipart/related; type="application/dicom"; boundary=large',
      };
      const answer = await sendStreaming(`${box.url}/dicom-web/studies`, headers, multipart(object));
      expect(answer.status, answer.text).toBe(200);
    });
    await bounded(async () => expect(await sendBack(object)).toBe(object.sha256));
  }, 300_000);

  it('is kept by the upload page in bounded memory', async () => {
    const object = largeObject('5', FRAMES);
    await bounded(async () => {
      const headers = {
        ...{ authorization: `Bearer ${box.key}`, origin: box.url, 'content-type': 'application/dicom' },
      };
      const answer = await sendStreaming(`${box.url}/api/upload?name=large`, headers, object.file());
      expect(answer.text).toContain('"stored"');
    });
    await bounded(async () => expect(await sendBack(object)).toBe(object.sha256));
  }, 300_000);

  it('goes from a file by `lightbox send`, which never holds it in memory', async () => {
    const object = largeObject('6', FRAMES);
    const folder = temporaryFolder();
    try {
      const file = join(folder.path, 'large.dcm');
      await pipeline(copies(object.file()), createWriteStream(file));
      const program = [join(repository, 'server/src/cli/main.ts'), 'send', file];
      const child = spawn(join(repository, 'node_modules/.bin/node'), [
        ...[...program, '--to', `LIGHTBOX@127.0.0.1:${box.dicomPort}`],
      ]);
      let highest = 0;
      while (child.exitCode === null && child.signalCode === null) {
        highest = Math.max(highest, residentIfAny(child.pid ?? 0));
        await sleep(20);
      }
      expect(child.exitCode).toBe(0);
      expect(highest).toBeGreaterThan(0);
      expect(highest).toBeLessThan(SENDER_BYTES);
      expect(await sendBack(object)).toBe(object.sha256);
    } finally {
      folder.dispose();
    }
  }, 300_000);

  /** Runs something; the server may not take more than the limit beyond what it took before all of them. */
  async function bounded(work: () => Promise<void>): Promise<void> {
    const { highest, perSecond } = await highestDuring(box.pid, work);
    expect(perSecond).toBeGreaterThan(10);
    expect(highest - before).toBeLessThanOrEqual(MAX_RISE);
  }

  /** SHA-256 of the data set as WADO-RS gives it back (PS3.18 §10.4). */
  async function sendBack(object: LargeObject): Promise<string> {
    const headers = {
      authorization: `Bearer ${box.key}`,
      accept: 'application/dicom; transfer-syntax=*',
    };
    const answer = await hashAnswer(box.url + object.path, headers, object.dataSetBytes);
    expect(answer.status).toBe(200);
    return answer.sha256;
  }
});

/** 0 when it has ended already. */
function residentIfAny(pid: number): number {
  try {
    return residentOf(pid);
  } catch {
    return 0;
  }
}

/** Each piece is used again by who makes it. */
function* copies(pieces: Iterable<Buffer>): Generator<Buffer> {
  for (const piece of pieces) yield Buffer.from(piece);
}

const study = (studyUid: string): DataSet =>
  dataSetOf([makeElement(Tags.QueryRetrieveLevel, 'STUDY'), makeElement(Tags.StudyInstanceUID, studyUid)]);

function largeObject(name: string, frames: number): LargeObject {
  const studyUid = `1.2.826.0.1.3680043.10.1234.9.${name}`;
  const names = { studyUid, seriesUid: `${studyUid}.1`, sopUid: `${studyUid}.1.1`, number: 1 };
  return new LargeObject({ ...names, patientId: 'LARGE' }, frames);
}

function* multipart(object: LargeObject): Generator<Buffer> {
  yield Buffer.from('--large\r\nContent-Type: application/dicom\r\n\r\n');
  yield* object.file();
  yield Buffer.from('\r\n--large--\r\n');
}
