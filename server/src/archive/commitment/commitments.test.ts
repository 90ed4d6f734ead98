/**
 * Storage commitments on a real archive and database: what a peer on the other side cannot show from outside.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Fault } from '@lightbox/core/base/fault.ts';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';
import { commitmentResult } from '@lightbox/core/translate/commitment.ts';
import type { AuditEntry, Principal } from '../../identity/types.ts';
import { openTestArchive, type TestArchive } from '../testing.ts';
import { CommitmentTable } from './table.ts';
import { device, openTestCommitments, type TestCommitments } from './testing.ts';
import type { CommitmentPort, Report, Requester } from './types.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const principal: Principal = {
  kind: 'device',
  id: 'CT1',
  name: 'CT1',
  roles: [],
  remoteAddress: '192.0.2.1',
};
const ct1: Requester = { via: 'dimse', peer: 'CT1', localAe: 'RESEARCH', principal };
const item = (number: number) => ({ sopClassUid: CT, sopUid: `1.2.3.1.${number}` });

describe('Storage commitments', () => {
  let box: TestArchive;
  const open: TestCommitments[] = [];
  const trail: AuditEntry[] = [];
  const told: { readonly callingAe: string; readonly report: Report }[] = [];
  let fault: Fault | undefined;
  const port: CommitmentPort = {
    report(_device, callingAe, report) {
      if (fault) return Promise.reject(fault);
      told.push({ callingAe, report });
      return Promise.resolve();
    },
    request: () => (fault ? Promise.reject(fault) : Promise.resolve()),
  };
  let transactions = 0;
  const transaction = (): string => `1.9.${(transactions += 1)}`;

  async function opened(options: Parameters<typeof openTestCommitments>[1] = {}): Promise<TestCommitments> {
    const audit = { record: (entry: AuditEntry) => void trail.push(entry), flush: () => Promise.resolve() };
    const one = await openTestCommitments(box, { port, audit, known: ['CT1'], ...options });
    open.push(one);
    return one;
  }
  const stateOf = async (id: string): Promise<string | undefined> =>
    new CommitmentTable(box.database, 'test').stateOf(id);
  const change = (id: string, what: string): Promise<unknown> =>
    box.database.pool.query(`UPDATE storage_commitment SET ${what} WHERE id = $1`, [id]);

  beforeAll(async () => {
    box = await openTestArchive();
    for (const number of [1, 2]) {
      const source = { kind: 'upload', by: 'test', remoteAddress: '' } as const;
      const writer = await box.archive.ingest.begin(source, { form: 'part10' });
      const object = dataSet({
        ...{ SOPClassUID: CT, SOPInstanceUID: item(number).sopUid, Modality: 'CT', PatientID: 'P' },
        ...{ StudyInstanceUID: '1.2.3', SeriesInstanceUID: '1.2.3.1' },
      });
      await writer.write(writePart10(object));
      expect((await writer.finish()).status).toBe('stored');
    }
  });
  afterEach(async () => {
    fault = undefined;
    told.length = 0;
    for (const one of open.splice(0)) await one.close();
  });
  afterAll(() => box.close());

  it('are told in the name of the AE title that was asked', async () => {
    const commitments = await opened();
    const { id } = await commitments.accept(ct1, transaction(), [item(1), item(2)]);
    await expect.poll(() => stateOf(id), { timeout: 10_000 }).toBe('told');
    expect(told).toMatchObject([{ callingAe: 'RESEARCH', report: { eventTypeId: 1 } }]);
  });

  it('are given up after days, shown, and told after all when a person says so', async () => {
    fault = new Fault('DIMSE_REJECTED');
    const commitments = await opened();
    const { id } = await commitments.accept(ct1, transaction(), [item(1)]);
    await expect.poll(() => stateOf(id)).toBe('checked');
    await change(id, `give_up_at = now()`);
    await expect.poll(() => stateOf(id), { timeout: 10_000 }).toBe('dead');
    expect(await commitments.list(10, ['dead'])).toMatchObject([{ id, fault: 'DIMSE_REJECTED', failed: 0 }]);
    expect(trail.at(-1)).toMatchObject({
      outcome: 'failed',
      detail: { what: 'given up', code: 'DIMSE_REJECTED' },
    });
    fault = undefined;
    await commitments.retry(id, principal);
    await expect.poll(() => stateOf(id), { timeout: 10_000 }).toBe('told');
    await expect(commitments.retry(id, principal)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(commitments.retry('x', principal)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('wait for a device that is not known, or has no address, as for one that is off', async () => {
    const commitments = await opened({ known: [] });
    const { id } = await commitments.accept(ct1, transaction(), [item(1)]);
    await expect
      .poll(async () => (await commitments.list(1))[0]?.fault, { timeout: 10_000 })
      .toBe('RETRIEVE_DESTINATION');
    expect(await stateOf(id)).toBe('checked');
  });

  it('are left to the node that works on them; those of a node that died go on when it starts again', async () => {
    const { id } = await (await opened()).accept(ct1, transaction(), [item(1)]);
    await expect.poll(() => stateOf(id), { timeout: 10_000 }).toBe('told');
    await open.pop()?.close();
    const table = new CommitmentTable(box.database, 'another');
    await change(id, `state = 'checked', finished_at = NULL, next_at = now()`);
    expect(await table.claim(id, 'checked')).toMatchObject({ id });
    expect(await table.claim(id, 'checked')).toBeUndefined();
    await (await opened()).close();
    expect(await stateOf(id)).toBe('checked');
    await table.releaseMine();
    told.length = 0;
    await opened();
    await expect.poll(() => stateOf(id), { timeout: 10_000 }).toBe('told');
    expect(told).toHaveLength(1);
  });

  it('do not take a silent archive for a promise', async () => {
    const commitments = await opened();
    const [id = ''] = await commitments.ask(device('CT1'), [item(1), item(2)], principal);
    await expect.poll(() => stateOf(id), { timeout: 10_000 }).toBe('asked');
    const [row] = await commitments.list(1);
    const uid = row?.transactionUid ?? '';
    const answer = (reasons: number[]) =>
      commitmentResult(
        uid,
        'CT1',
        reasons.map((reason, at) => ({ item: item(at + 1), reason })),
      ).dataSet;
    await expect(commitments.receive({ ...principal, id: 'CT2' }, answer([0, 0]))).rejects.toMatchObject({
      code: 'COMMIT_UNKNOWN',
    });
    await commitments.receive(principal, answer([0]));
    expect((await commitments.list(1))[0]).toMatchObject({ state: 'answered', objects: 2, failed: 1 });
    // What was said once stays said.
    await commitments.receive(principal, answer([0, 0]));
    expect((await commitments.list(1))[0]).toMatchObject({ failed: 1 });
  });

  it('are asked in parts when there are many', async () => {
    const commitments = await opened();
    const many = Array.from({ length: 5001 }, (_, at) => item(at));
    expect(await commitments.ask(device('CT1'), many, principal)).toHaveLength(2);
    expect((await commitments.list(2)).map(({ objects }) => objects).sort()).toEqual([1, 5000]);
  });
});
