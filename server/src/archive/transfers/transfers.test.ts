/**
 * Transfers on a real database: what is left after each kind of trouble, and who may take it up. The other side is played by
 * `Other`, which takes or refuses what the test says.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '@lightbox/core/base/fault.ts';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import type { AuditEntry, Device } from '../../identity/types.ts';
import { type Jobs, migrateJobs, openJobs } from '../../platform/jobs.ts';
import { createLog } from '../../platform/log.ts';
import { openTestArchive, type TestArchive } from '../testing.ts';
import type { InstanceRef } from '../types.ts';
import { createTransfers } from './transfers.ts';
import { TransferTable } from './table.ts';
import type { Carrier, ObjectResult, Transfer, TransferOrder, Transfers } from './types.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const STUDY = '1.2.7';
const COUNT = 6;
const SOON = { timeout: 20_000 };
const log = createLog({ logLevel: 'silent' });
const device = (id: string): Device => ({
  ...{ id, aeTitle: id.toUpperCase(), description: '', host: '192.0.2.1', port: 104, checkAddress: false },
  ...{ verbs: [], offers: ['store', 'archive'], tls: false, tlsOnly: false, certificate: undefined },
  ...{ identity: 'optional', calledAes: [], dicomweb: undefined, sendAs: 'stored' },
});
const by = { kind: 'user', id: 'u1', name: 'Reader' } as const;

class Other implements Carrier {
  readonly came: string[] = [];
  readonly devices: string[] = [];
  /** What to answer to the nth object that comes; default success. */
  answer: (ref: InstanceRef, nth: number) => ObjectResult | Fault = () => ({ status: 0 });
  fetched: () => Promise<{ total: number; arrived: number; failed: number }> = () =>
    Promise.resolve({ total: 3, arrived: 3, failed: 0 });
  hold: Promise<void> | undefined;
  signal: AbortSignal | undefined;
  most = 0;
  #now = 0;

  async send(
    to: Device,
    objects: readonly InstanceRef[],
    report: (object: InstanceRef, result: ObjectResult) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.signal = signal;
    this.#now += 1;
    this.most = Math.max(this.most, this.#now);
    this.devices.push(to.id);
    try {
      for (const ref of objects) {
        await this.hold;
        if (signal.aborted) return;
        const answer = this.answer(ref, this.came.length + 1);
        if (answer instanceof Fault) throw answer;
        this.came.push(ref.sopUid);
        report(ref, answer);
      }
    } finally {
      this.#now -= 1;
    }
  }

  async fetch(
    _from: Device,
    _scope: unknown,
    _method: unknown,
    report: (counts: { total: number; arrived: number; failed: number }) => void,
  ): Promise<{ total: number; arrived: number; failed: number }> {
    report({ total: 3, arrived: 1, failed: 0 });
    return this.fetched();
  }
}

let box: TestArchive;
let jobs: Jobs;
let table: TransferTable;
let other: Other;
let transfers: Transfers;
const trail: AuditEntry[] = [];

beforeAll(async () => {
  box = await openTestArchive();
  await migrateJobs(box.database, log);
  table = new TransferTable(box.database);
  for (let at = 1; at <= COUNT; at += 1) {
    const sop = `${STUDY}.1.${at}`;
    const writer = await box.archive.ingest.begin(
      { kind: 'dimse', by: 'CT1', remoteAddress: '127.0.0.1' },
      { form: 'dataset', transferSyntaxUid: EXPLICIT_LE, sopClassUid: CT, sopInstanceUid: sop },
    );
    await writer.write(
      writeDataSet(
        dataSet({
          ...{
            SOPClassUID: CT,
            SOPInstanceUID: sop,
            Modality: 'CT',
            PatientID: 'P1',
            PatientName: 'Secret^Name',
          },
          ...{ StudyInstanceUID: STUDY, SeriesInstanceUID: `${STUDY}.1`, InstanceNumber: String(at) },
        }),
        EXPLICIT_LE,
      ),
    );
    await writer.finish();
  }
});
afterAll(() => box.close());

/** A queue and a transfers of its own, so that a test may stop and start it. */
async function open(attempts = 3): Promise<void> {
  jobs = openJobs(box.database, log);
  other = new Other();
  const known = ['a', 'b', 'c'].map(device);
  transfers = createTransfers({
    ...{
      config: { perDestination: 1, retrySeconds: 1, attempts },
      database: box.database,
      events: box.events,
    },
    ...{ jobs, log, carrier: other, retrieve: box.archive.retrieve },
    devices: { list: () => Promise.resolve(known) },
    audit: { record: (entry) => void trail.push(entry), flush: () => Promise.resolve() },
  });
  await jobs.start();
  transfers.start();
}
async function close(): Promise<void> {
  await transfers.close();
  await jobs.close();
}

const send = (to = 'a', more: Partial<TransferOrder> = {}): Promise<Transfer> =>
  transfers.ask({ kind: 'send', device: device(to), scopes: [{ studyUid: STUDY }], by, ...more });
const until = (id: string, state: string) =>
  expect.poll(async () => (await transfers.get(id)).state, SOON).toBe(state);

describe('Transfers', () => {
  beforeEach(async () => {
    await box.database.pool.query('TRUNCATE transfer CASCADE');
    trail.length = 0;
    await open();
    return close;
  });

  it('send everything there is, and say so', async () => {
    const { id, total } = await send();
    expect(total).toBe(COUNT);
    await until(id, 'done');
    expect(other.came).toHaveLength(COUNT);
    expect(await transfers.get(id)).toMatchObject({ sent: COUNT, failed: 0, fault: undefined });
    expect(await table.left(id)).toEqual([]);
    expect(trail.map(({ event }) => event)).toEqual(['transfer.begin', 'transfer']);
    expect(JSON.stringify(trail)).not.toContain('Secret');
  });

  it('asked for twice by the same name are one, also of objects by their own names', async () => {
    const scopes = [1, 2].map((at) => ({ studyUid: STUDY, sopUid: `${STUDY}.1.${at}` }));
    const first = await send('a', { id: 'mine', scopes });
    expect(first).toMatchObject({ id: 'mine', total: 2 });
    await until('mine', 'done');
    expect(await send('a', { id: 'mine', scopes })).toMatchObject({ id: 'mine', state: 'done', sent: 2 });
    expect(other.came.sort()).toEqual([`${STUDY}.1.1`, `${STUDY}.1.2`]);
  });

  it('begin with nothing that is not here, and with no device without an address', async () => {
    await expect(send('a', { scopes: [{ studyUid: '9.9.9' }] })).rejects.toThrow('NOT_FOUND');
    await expect(send('a', { device: { ...device('a'), host: undefined } })).rejects.toThrow(
      'TRANSFER_DEVICE',
    );
    expect(await transfers.list({ limit: 10 })).toEqual([]);
  });

  it('wait when the other side is away, then send only what is left', async () => {
    other.answer = (_, nth) => (nth === 3 ? new Fault('DIMSE_ABORTED') : { status: 0 });
    const { id } = await send();
    await until(id, 'waiting');
    expect(await transfers.get(id)).toMatchObject({ sent: 2, fault: 'DIMSE_ABORTED', attempts: 1 });
    expect(await table.left(id)).toHaveLength(COUNT - 2);
    other.answer = () => ({ status: 0 });
    await until(id, 'done');
    expect(other.came.sort()).toEqual([...new Set(other.came)].sort());
    expect(other.came).toHaveLength(COUNT);
  });

  it('keep what was refused for a person, who can try it again', async () => {
    const bad = `${STUDY}.1.2`;
    other.answer = ({ sopUid }) => ({ status: sopUid === bad ? 0xa900 : 0 });
    const { id } = await send();
    await until(id, 'failed');
    expect(await transfers.get(id)).toMatchObject({
      ...{ sent: COUNT - 1, failed: 1, fault: 'TRANSFER_REFUSED', dimseStatus: 0xa900 },
    });
    other.answer = () => ({ status: 0xb000 });
    await transfers.retry(id);
    await until(id, 'done');
    expect(await transfers.get(id)).toMatchObject({ sent: COUNT, failed: 0, warning: 1 });
    expect(other.came.filter((one) => one === bad)).toHaveLength(2);
    expect(other.came).toHaveLength(COUNT + 1);
  });

  it('are given up after the last attempt, and begin anew when a person says so', async () => {
    other.answer = () => new Fault('DIMSE_UNREACHABLE', { reason: 'ECONNREFUSED' });
    const { id } = await send();
    await until(id, 'failed');
    expect(await transfers.get(id)).toMatchObject({
      ...{ attempts: 3, fault: 'DIMSE_UNREACHABLE', faultFacts: { reason: 'ECONNREFUSED' } },
    });
    await expect(transfers.retry(id)).resolves.toMatchObject({ state: 'queued', attempts: 0 });
    await until(id, 'waiting');
    await expect(transfers.cancel(id)).resolves.toMatchObject({ state: 'cancelled' });
    await expect(transfers.cancel(id)).rejects.toThrow('TRANSFER_STATE');
  });

  it('stop in the middle when they are cancelled', async () => {
    let go = (): void => undefined;
    other.answer = (_, nth) => {
      if (nth === 2) other.hold = new Promise((settle) => (go = settle));
      return { status: 0 };
    };
    const { id } = await send();
    await expect.poll(() => other.came.length, SOON).toBe(2);
    await transfers.cancel(id);
    // The carrier hears of it with the next writing of progress.
    await expect.poll(() => other.signal?.aborted, SOON).toBe(true);
    go();
    await close();
    expect(other.came).toHaveLength(2);
    expect((await transfers.get(id)).state).toBe('cancelled');
  });

  it('go one at a time to a device, by priority, and side by side to several', async () => {
    let go = (): void => undefined;
    other.hold = new Promise((settle) => (go = settle));
    const first = await send('a');
    await expect.poll(() => other.devices, SOON).toEqual(['a']);
    const later = await send('a', { priority: 5 });
    const sooner = await send('a', { priority: -1 });
    await send('b');
    await expect.poll(() => other.devices, SOON).toEqual(['a', 'b']);
    other.hold = undefined;
    go();
    for (const { id } of [first, later, sooner]) await until(id, 'done');
    const [one, two, three] = await Promise.all(
      [first, sooner, later].map(async ({ id }) => (await transfers.get(id)).finishedAt?.getTime() ?? 0),
    );
    expect(one).toBeLessThanOrEqual(two ?? 0);
    expect(two).toBeLessThan(three ?? 0);
    expect(other.most).toBe(2);
  });

  it('are left off when the server stops, and go on where they were', async () => {
    let go = (): void => undefined;
    other.answer = (_, nth) => {
      if (nth === 2) other.hold = new Promise((settle) => (go = settle));
      return { status: 0 };
    };
    const { id } = await send();
    await expect.poll(() => other.came.length, SOON).toBe(2);
    const closed = close();
    go();
    await closed;
    const before = await table.get(id);
    expect(before).toMatchObject({ state: 'queued', sent: 2, attempts: 0 });
    await open();
    await until(id, 'done');
    expect(other.came).toHaveLength(COUNT - 2);
  });

  it('of a node that died are taken up when its lease has run out', async () => {
    await close();
    const { id } = await table.insert({
      kind: 'send',
      device: device('a'),
      scopes: [{ studyUid: STUDY }],
      by,
    });
    const dead = await table.claim('a', 1);
    expect(dead?.transfer.id).toBe(id);
    expect(await table.claim('a', 2)).toBeUndefined();
    expect(await table.dueDevices()).toEqual([]);
    await box.database.pool.query(`UPDATE transfer SET lease_until = now() - interval '1 second'`);
    expect(await table.dueDevices()).toEqual(['a']);
    await open();
    await until(id, 'done');
    // The dead one comes back: nothing it says counts.
    const nothing = { taken: [], refused: [], warnings: 3 };
    expect(await table.progress(id, dead!.claim, nothing)).toBe(false);
    expect(await table.finish(id, dead!.claim, { state: 'failed' })).toBeUndefined();
    expect(await transfers.get(id)).toMatchObject({ state: 'done', warning: 0 });
  });

  it('of objects that are gone fail with what is missing', async () => {
    await close();
    const { id } = await table.insert({
      kind: 'send',
      device: device('a'),
      scopes: [{ studyUid: STUDY }],
      by,
    });
    await box.database.pool.query(
      `INSERT INTO transfer_object (transfer_id, study_uid, series_uid, sop_uid) VALUES ($1, $2, $2, '5.5.5')`,
      [id, STUDY],
    );
    await open();
    await until(id, 'failed');
    expect(await transfers.get(id)).toMatchObject({
      failed: 1,
      sent: COUNT,
      faultFacts: { why: 'NOT_FOUND' },
    });
  });

  it('to a device that is no more wait for a person', async () => {
    const { id } = await send('gone');
    await until(id, 'failed');
    expect((await transfers.get(id)).fault).toBe('TRANSFER_DEVICE');
  });

  it('fetch part by part; what is complete is not fetched again', async () => {
    let asked = 0;
    other.fetched = () => {
      asked += 1;
      return asked === 2
        ? Promise.reject(new Fault('DIMSE_STATUS', { status: '0xB000', failed: 2 }))
        : Promise.resolve({ total: 3, arrived: 3, failed: 0 });
    };
    const { id } = await send('a', { kind: 'fetch', scopes: [{ studyUid: '1.1' }, { studyUid: '1.2' }] });
    await until(id, 'waiting');
    expect(await transfers.get(id)).toMatchObject({ fault: 'DIMSE_STATUS', sent: 4 });
    await until(id, 'done');
    expect(asked).toBe(3);
    expect(await transfers.get(id)).toMatchObject({ total: 6, sent: 6, failed: 0 });
  });

  it('are listed by state, study and kind, newest first', async () => {
    let go = (): void => undefined;
    other.hold = new Promise((settle) => (go = settle));
    const one = await send('a');
    const two = await send('c', { scopes: [{ studyUid: STUDY, sopUid: `${STUDY}.1.1` }] });
    expect(two.total).toBe(1);
    const ids = async (query: object) => (await transfers.list({ limit: 10, ...query })).map(({ id }) => id);
    expect(await ids({})).toEqual([two.id, one.id]);
    expect(await ids({ before: two.id })).toEqual([one.id]);
    expect(await ids({ deviceId: 'c' })).toEqual([two.id]);
    expect(await ids({ kind: 'fetch' })).toEqual([]);
    expect(await ids({ studyUid: STUDY })).toHaveLength(2);
    expect(await ids({ studyUid: '9.9' })).toEqual([]);
    await expect.poll(() => transfers.counts(), SOON).toEqual({ running: 2 });
    go();
  });
});
