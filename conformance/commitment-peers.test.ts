/**
 * Storage commitment with other archives: we ask one written here for these tests, and Orthanc, which has both roles (PS3.4 Annex J).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDataSet } from '../core/src/dicom/read.ts';
import { Tags } from '../core/src/dicom/tags.gen.ts';
import { items, text, uidValue } from '../core/src/dicom/values.ts';
import { describeWith, program } from '../tools/testing.ts';
import {
  COMMIT_CONTEXT,
  COMMITMENT,
  COMMITMENT_INSTANCE,
  commitAssociation,
  CommitListener,
  resultMessage,
} from './support/commitment.ts';
import { temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { CT, EXPLICIT, Wire } from './support/wire.ts';

const ROOT = '1.2.826.0.1.3680043.10.1234.972';

interface Row {
  readonly id: string;
  readonly transactionUid: string;
  readonly state: string;
  readonly objects: number;
  readonly failed: number | null;
  readonly code: string | null;
}

let box: Lightbox;
let cookie: string;

const file = (study: number, number: number): { sopUid: string; bytes: Buffer } => {
  const studyUid = `${ROOT}.${study}`;
  const sopUid = `${studyUid}.1.${number}`;
  const names = { studyUid, seriesUid: `${studyUid}.1`, sopUid, number, patientId: `C${study}` };
  return { sopUid, bytes: ctImage({ ...names, side: 16, chance: () => 0.5 }) };
};
async function stored(study: number, count: number): Promise<string[]> {
  const sopUids: string[] = [];
  for (let number = 1; number <= count; number += 1) {
    const { sopUid, bytes } = file(study, number);
    const answer = await fetch(`${box.url}/dicom-web/studies`, {
      ...{ method: 'POST', body: new Uint8Array(bytes) },
      headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/dicom' },
    });
    expect(answer.status).toBe(200);
    sopUids.push(sopUid);
  }
  return sopUids;
}
const device = async (
  aeTitle: string,
  port: number,
  verbs: string[],
  offers: string[] = ['store'],
): Promise<string> => {
  const body = { aeTitle, verbs, offers, host: '127.0.0.1', port };
  const answer = await box.post('/api/devices', body, { cookie });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { id: string }).id;
};
const ask = async (deviceId: string, study: number): Promise<string> => {
  const answer = await box.post(
    `/api/devices/${deviceId}/commitments`,
    { studyUid: `${ROOT}.${study}` },
    { cookie },
  );
  expect(answer.status).toBe(200);
  const { ids } = (await answer.json()) as { ids: string[] };
  expect(ids).toHaveLength(1);
  return ids[0]!;
};
const row = async (id: string): Promise<Row | undefined> => {
  const answer = await fetch(`${box.url}/api/commitments`, { headers: { cookie } });
  return ((await answer.json()) as Row[]).find((one) => one.id === id);
};

beforeAll(async () => {
  box = await Lightbox.ready({
    env: { LIGHTBOX_COMMITMENT_RETRY_SECONDS: '1', LIGHTBOX_QUIET_SECONDS: '1' },
  });
  cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
});
afterAll(async () => {
  await box.stop();
});

describe('Asking another archive', () => {
  let archive: CommitListener;
  let id: string;
  beforeAll(async () => {
    archive = await CommitListener.start();
    id = await device('ARCHIVE2', archive.port, ['echo', 'store']);
    await device('OTHER', await freePort(), ['echo', 'store']);
  });
  afterAll(() => archive.stop());

  it('takes the result on the same association, object by object', async () => {
    const [first = '', second = '', third = ''] = await stored(1, 3);
    // Of the third it says nothing.
    archive.tells = () => ({ kept: [first], failed: { [second]: 0x0112 } });
    const asked = await ask(id, 1);
    await expect.poll(() => row(asked)).toMatchObject({ state: 'answered', objects: 3, failed: 2 });
    archive.tells = undefined;
    expect(archive.asked.at(-1)).toMatchObject({
      sopUids: [first, second, third],
      command: {
        ...{
          requestedSopClassUid: COMMITMENT,
          requestedSopInstanceUid: COMMITMENT_INSTANCE,
          actionTypeId: 1,
        },
      },
    });
    await expect.poll(() => archive.heard).toEqual([0]);
  });

  it('takes it on an association the archive opens, and from nobody else', async () => {
    const sopUids = await stored(2, 2);
    const asked = await ask(id, 2);
    await expect.poll(() => row(asked), { timeout: 10_000 }).toMatchObject({ state: 'asked', failed: null });
    const { transactionUid = '' } = (await row(asked)) ?? {};
    const tell = async (callingAe: string): Promise<number | undefined> => {
      const wire = await Wire.open(box.dicomPort);
      const roles = [{ sopClassUid: COMMITMENT, scu: false, scp: true }];
      wire.send(commitAssociation(callingAe, { roles }));
      const accept = await wire.next();
      expect(accept).toMatchObject({ type: 'associate-ac', user: { roles } });
      wire.send(resultMessage(COMMIT_CONTEXT, 1, transactionUid, sopUids));
      const { status } = (await wire.message()).command;
      await wire.release();
      wire.destroy();
      return status;
    };
    expect(await tell('OTHER')).toBe(0x0115);
    expect(await row(asked)).toMatchObject({ state: 'asked' });
    expect(await tell('ARCHIVE2')).toBe(0);
    await expect.poll(() => row(asked)).toMatchObject({ state: 'answered', failed: 0 });
    // A peer that did not hear us tells it again.
    expect(await tell('ARCHIVE2')).toBe(0);
  });

  it('asks again, with another transaction UID after a refusal', async () => {
    await stored(3, 1);
    archive.asked.length = 0;
    archive.answers.push(0x0213);
    archive.tells = ({ sopUids }) => ({ kept: sopUids });
    const asked = await ask(id, 3);
    await expect.poll(() => row(asked), { timeout: 15_000 }).toMatchObject({ state: 'answered', failed: 0 });
    archive.tells = undefined;
    expect(new Set(archive.asked.map(({ transactionUid }) => transactionUid)).size).toBe(2);
  });

  it('says so when there is no such study or device', async () => {
    const to = (path: string, studyUid: string): Promise<Response> =>
      box.post(`/api/devices/${path}/commitments`, { studyUid }, { cookie });
    expect((await to(id, '1.2.3')).status).toBe(404);
    expect((await to('nobody', `${ROOT}.1`)).status).toBe(404);
  });
});

describe('Telling a device what can be had (PS3.4 Annex R)', () => {
  it('names every object of a study that is complete, again when it was not taken', async () => {
    const arriving = async (): Promise<unknown[]> =>
      (await box.getJson<{ items: { arriving: boolean }[] }>('/api/studies')).items.filter(
        (one) => one.arriving,
      );
    // The studies of the tests before are nobody's news any more.
    await expect.poll(arriving, { timeout: 20_000 }).toEqual([]);
    const listener = await CommitListener.start();
    try {
      await device('WATCHER', listener.port, ['echo'], ['availability']);
      // Refused once; a job is tried again within seconds.
      listener.answers.push(0x0110);
      const sopUids = await stored(21, 2);
      await expect.poll(() => listener.created.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(2);
      const { command, dataSet } = listener.created.at(-1)!;
      expect(command.affectedSopClassUid).toBe('1.2.840.10008.5.1.4.33');
      const names = new Set(listener.created.map((one) => one.command.affectedSopInstanceUid));
      expect([...names]).toEqual([expect.stringMatching(/^2\.25\.\d+$/)]);
      const ds = readDataSet(dataSet ?? new Uint8Array(), EXPLICIT).dataSet;
      expect(uidValue(ds, Tags.StudyInstanceUID)).toBe(`${ROOT}.21`);
      const series = items(ds, Tags.ReferencedSeriesSequence);
      expect(series.map((one) => uidValue(one, Tags.SeriesInstanceUID))).toEqual([`${ROOT}.21.1`]);
      const objects = items(series[0]!, Tags.ReferencedSOPSequence);
      expect(objects.map((one) => uidValue(one, Tags.ReferencedSOPInstanceUID))).toEqual(sopUids);
      expect(objects.map((one) => text(one, Tags.InstanceAvailability))).toEqual(['ONLINE', 'ONLINE']);
      expect(listener.associations[0]?.contexts.map((one) => one.abstractSyntax)).toEqual([
        '1.2.840.10008.5.1.4.33',
      ]);
    } finally {
      await listener.stop();
    }
  });
});

describeWith(['Orthanc'], 'Orthanc', () => {
  const folder = temporaryFolder();
  let child: ChildProcess;
  let http: string;
  let id: string;

  const post = async (path: string, body: BodyInit): Promise<Record<string, unknown>> => {
    const answer = await fetch(http + path, { method: 'POST', body });
    expect(answer.status, await answer.clone().text()).toBe(200);
    return (await answer.json()) as Record<string, unknown>;
  };

  beforeAll(async () => {
    const [port, httpPort] = [await freePort(), await freePort()];
    http = `http://127.0.0.1:${httpPort}`;
    writeFileSync(
      join(folder.path, 'orthanc.json'),
      JSON.stringify({
        ...{
          StorageDirectory: folder.path,
          IndexDirectory: folder.path,
          DicomAet: 'ORTHANC',
          DicomPort: port,
        },
        ...{ HttpPort: httpPort, RemoteAccessAllowed: true, AuthenticationEnabled: false, Plugins: [] },
        DicomModalities: { lightbox: ['LIGHTBOX', '127.0.0.1', box.dicomPort] },
      }),
    );
    child = spawn(program('Orthanc') ?? 'Orthanc', [join(folder.path, 'orthanc.json')], { stdio: 'ignore' });
    for (let tries = 0; ; tries += 1) {
      if ((await fetch(`${http}/system`).catch(() => undefined))?.ok) break;
      if (tries > 200) throw new Error('Orthanc did not start');
      await sleep(100);
    }
    id = await device('ORTHANC', port, ['echo', 'store', 'commit'], ['store', 'commit']);
  });
  afterAll(async () => {
    const gone = new Promise((settle) => child.once('exit', settle));
    child.kill('SIGTERM');
    await gone;
    folder.dispose();
  });

  it('asks us, and hears what is kept and what is not', async () => {
    const [sopUid = ''] = await stored(11, 1);
    const DicomInstances = [
      [CT, sopUid],
      [CT, `${ROOT}.404`],
      ['1.2.840.10008.5.1.4.1.1.4', sopUid],
    ];
    const { Path } = await post(
      '/modalities/lightbox/storage-commitment',
      JSON.stringify({ DicomInstances }),
    );
    const report = async (): Promise<Record<string, unknown>> =>
      (await (await fetch(http + String(Path))).json()) as Record<string, unknown>;
    await expect.poll(async () => (await report())['Status'], { timeout: 20_000 }).toBe('Failure');
    const { Success, Failures } = (await report()) as {
      Success: { SOPInstanceUID: string }[];
      Failures: { SOPInstanceUID: string; FailureReason: number }[];
    };
    expect(Success.map((one) => one.SOPInstanceUID)).toEqual([sopUid]);
    expect(Failures.map((one) => [one.SOPInstanceUID, one.FailureReason])).toEqual([
      [`${ROOT}.404`, 0x0112],
      [sopUid, 0x0119],
    ]);
    const all = await post(
      '/modalities/lightbox/storage-commitment',
      JSON.stringify({ DicomInstances: [[CT, sopUid]] }),
    );
    const status = async (): Promise<unknown> =>
      ((await (await fetch(http + String(all['Path']))).json()) as Record<string, unknown>)['Status'];
    await expect.poll(status, { timeout: 20_000 }).toBe('Success');
  });

  it('answers us: what it has it keeps, what it has not it does not', async () => {
    await stored(12, 3);
    // It has two of the three.
    for (const number of [1, 2]) await post('/instances', new Uint8Array(file(12, number).bytes));
    const asked = await ask(id, 12);
    await expect
      .poll(() => row(asked), { timeout: 20_000 })
      .toMatchObject({ state: 'answered', objects: 3, failed: 1, code: null });
  });

  it('is asked behind what is sent to it, and keeps it', async () => {
    const sopUids = await stored(13, 4);
    const sent = await box.post(
      '/api/transfers',
      { deviceId: id, scopes: [{ studyUid: `${ROOT}.13` }] },
      { cookie },
    );
    expect(sent.status, await sent.clone().text()).toBe(200);
    const rows = async (): Promise<Row[]> => {
      const answer = await fetch(`${box.url}/api/commitments?state=answered`, { headers: { cookie } });
      return ((await answer.json()) as Row[]).filter(({ objects }) => objects === sopUids.length);
    };
    await expect.poll(rows, { timeout: 30_000 }).toMatchObject([{ failed: 0 }]);
  });
});
