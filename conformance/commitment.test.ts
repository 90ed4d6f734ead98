/**
 * Storage commitment by DIMSE (PS3.4 Annex J; hostile-input catalogue C71): what is promised was read again, and the word of it
 * arrives, whatever happens in between.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '../core/src/dicom/element.ts';
import { writeDataSet } from '../core/src/dicom/write.ts';
import { type Command, COMMANDS } from '../core/src/dimse/command.ts';
import {
  actionCommand,
  answerTo,
  askCommitment,
  COMMITMENT,
  COMMITMENT_INSTANCE,
  COMMIT_CONTEXT,
  commitAssociation,
  CommitListener,
  requestOf,
  toldBy,
} from './support/commitment.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox, residentBytes } from './support/lightbox.ts';
import { CT, dataSetOfFile, EXPLICIT, Wire } from './support/wire.ts';

const ROOT = '1.2.826.0.1.3680043.10.1234.971';
const AE = 'MODALITY1';
const MEGABYTE = 1024 * 1024;

let box: Lightbox;
let cookie: string;
let listener: CommitListener;
let port: number;
const wires: Wire[] = [];
let transactions = 0;
const newTransaction = (): string => `${ROOT}.9.${(transactions += 1)}`;

const image = (study: number, number: number, value = 0.5): { sopUid: string; bytes: Buffer } => {
  const studyUid = `${ROOT}.${study}`;
  const sopUid = `${studyUid}.1.${number}`;
  const names = { studyUid, seriesUid: `${studyUid}.1`, sopUid, number, patientId: `W${study}` };
  return { sopUid, bytes: dataSetOfFile(ctImage({ ...names, side: 16, chance: () => value })) };
};

async function associated(callingAe = AE): Promise<Wire> {
  const wire = await Wire.open(box.dicomPort);
  wires.push(wire);
  wire.send(commitAssociation(callingAe));
  const answer = await wire.next();
  expect(answer === 'closed' ? answer : answer.type).toBe('associate-ac');
  return wire;
}

async function stored(study: number, count: number): Promise<string[]> {
  const wire = await associated();
  const sopUids: string[] = [];
  for (let number = 1; number <= count; number += 1) {
    const { sopUid, bytes } = image(study, number);
    wire.store(number, sopUid, bytes);
    expect((await wire.message()).command.status).toBe(0);
    sopUids.push(sopUid);
  }
  await wire.release();
  return sopUids;
}

/** Asks and leaves, as most modalities do. */
async function askAndLeave(transactionUid: string, sopUids: readonly string[], sopClass = CT): Promise<void> {
  const wire = await associated();
  expect((await askCommitment(wire, transactionUid, sopUids, 1, sopClass)).status).toBe(0);
  await wire.release();
}

const told = async (transactionUid: string, timeout = 15_000) => {
  const find = () => listener.told.find((one) => one.transactionUid === transactionUid);
  await expect.poll(find, { timeout }).toBeDefined();
  return find()!;
};
const rows = async (transactionUid: string): Promise<Record<string, unknown>[]> => {
  const answer = await fetch(`${box.url}/api/commitments`, { headers: { cookie } });
  const all = (await answer.json()) as Record<string, unknown>[];
  return all.filter((row) => row['transactionUid'] === transactionUid);
};
const device = async (aeTitle: string, verbs: string[], more: object = {}): Promise<string> => {
  const answer = await box.post('/api/devices', { aeTitle, verbs, ...more }, { cookie });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { id: string }).id;
};

beforeAll(async () => {
  port = await freePort();
  box = await Lightbox.ready({ env: { LIGHTBOX_COMMITMENT_RETRY_SECONDS: '1' } });
  cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  await device(AE, ['echo', 'store', 'commit'], { host: '127.0.0.1', port });
  await device('NOVERB', ['echo', 'store']);
});
afterEach(async () => {
  for (const wire of wires.splice(0)) wire.destroy();
  await listener?.stop();
});
afterAll(async () => {
  await box.stop();
});
const listen = async (): Promise<void> => {
  listener = await CommitListener.start(port);
};

describe('A result', () => {
  it('comes on the association it was asked on, while that is open (PS3.4 §J.3.3.1)', async () => {
    const sopUids = await stored(1, 3);
    await listen();
    const wire = await associated();
    const transactionUid = newTransaction();
    const answer = await askCommitment(wire, transactionUid, sopUids, 7);
    expect(answer).toMatchObject({
      ...{ commandField: COMMANDS.actionResponse, messageIdRespondedTo: 7, status: 0, actionTypeId: 1 },
      ...{ affectedSopClassUid: COMMITMENT, affectedSopInstanceUid: COMMITMENT_INSTANCE },
    });
    const message = await wire.message();
    expect(message.contextId).toBe(COMMIT_CONTEXT);
    expect(toldBy(message)).toEqual({ eventTypeId: 1, transactionUid, kept: sopUids, failed: {} });
    wire.send(answerTo(message));
    await expect.poll(() => rows(transactionUid)).toMatchObject([{ state: 'told', failed: 0, objects: 3 }]);
    // The association goes on.
    wire.echo(9);
    expect((await wire.message()).command.status).toBe(0);
    await wire.release();
    expect(listener.associations).toEqual([]);
  });

  it('comes on an association of ours, as SCP, when the peer has left; and says why what is not kept is not', async () => {
    const [first = '', second = ''] = await stored(2, 2);
    await listen();
    const transactionUid = newTransaction();
    await askAndLeave(transactionUid, [first, `${ROOT}.404`, second]);
    expect(await told(transactionUid)).toEqual({
      ...{ eventTypeId: 2, transactionUid, kept: [first, second], failed: { [`${ROOT}.404`]: 0x0112 } },
    });
    expect(listener.associations).toMatchObject([
      {
        ...{ callingAe: 'LIGHTBOX', calledAe: AE, contexts: [{ abstractSyntax: COMMITMENT }] },
        user: { roles: [{ sopClassUid: COMMITMENT, scu: false, scp: true }] },
      },
    ]);
    const wrongClass = newTransaction();
    await askAndLeave(wrongClass, [first], '1.2.840.10008.5.1.4.1.1.4');
    expect((await told(wrongClass)).failed).toEqual({ [first]: 0x0119 });
  });

  it('is no promise for bytes that are damaged on the disk, although the index knows them (0110H)', async () => {
    const [good = '', damaged = ''] = await stored(3, 2);
    damage(damaged);
    await listen();
    const transactionUid = newTransaction();
    await askAndLeave(transactionUid, [good, damaged]);
    expect(await told(transactionUid)).toMatchObject({ kept: [good], failed: { [damaged]: 0x0110 } });
  });

  it('is no promise for an object of theirs that lies aside, because another one has its name', async () => {
    const [sopUid = ''] = await stored(4, 1);
    const wire = await associated();
    wire.store(1, sopUid, image(4, 1, 0.25).bytes);
    expect((await wire.message()).command.status).toBe(0x0111);
    await wire.release();
    await listen();
    const transactionUid = newTransaction();
    await askAndLeave(transactionUid, [sopUid]);
    expect((await told(transactionUid)).failed).toEqual({ [sopUid]: 0x0110 });
  });

  it('comes after a kill -9 between our answer and the result', async () => {
    const sopUids = await stored(5, 5);
    const transactionUid = newTransaction();
    const wire = await associated();
    expect((await askCommitment(wire, transactionUid, sopUids)).status).toBe(0);
    await box.kill();
    await listen();
    await box.run();
    expect(await told(transactionUid, 40_000)).toMatchObject({ eventTypeId: 1, kept: sopUids });
  });

  it('is told again and again: nobody listens, then it is cut off, then refused, then taken', async () => {
    const sopUids = await stored(6, 1);
    const transactionUid = newTransaction();
    await askAndLeave(transactionUid, sopUids);
    await expect
      .poll(() => rows(transactionUid), { timeout: 10_000 })
      .toMatchObject([{ state: 'checked', code: 'DIMSE_UNREACHABLE' }]);
    await listen();
    listener.answers.push(undefined, 0x0110);
    expect(await told(transactionUid, 60_000)).toMatchObject({ kept: sopUids });
    expect(listener.associations.length).toBeGreaterThanOrEqual(3);
    await expect.poll(() => rows(transactionUid)).toMatchObject([{ state: 'told', code: null }]);
  });

  it('goes to an association of ours when the peer leaves in the middle of being told', async () => {
    const sopUids = await stored(7, 1);
    await listen();
    const transactionUid = newTransaction();
    const wire = await associated();
    expect((await askCommitment(wire, transactionUid, sopUids)).status).toBe(0);
    expect(toldBy(await wire.message()).kept).toEqual(sopUids);
    wire.destroy();
    expect(await told(transactionUid)).toMatchObject({ kept: sopUids });
  });

  it('is told once more when the same is asked again; another list under the same UID is refused (0131H)', async () => {
    const sopUids = await stored(8, 2);
    await listen();
    const transactionUid = newTransaction();
    await askAndLeave(transactionUid, sopUids);
    await told(transactionUid);
    await expect.poll(() => rows(transactionUid)).toMatchObject([{ state: 'told' }]);
    await askAndLeave(transactionUid, sopUids);
    await expect
      .poll(() => listener.told.filter((one) => one.transactionUid === transactionUid), { timeout: 15_000 })
      .toHaveLength(2);
    const wire = await associated();
    expect((await askCommitment(wire, transactionUid, sopUids.slice(1))).status).toBe(0x0131);
    await wire.release();
  });
});

describe('A careless or hostile peer', () => {
  const raw = writeDataSet(dataSet({ PatientID: 'X' }), EXPLICIT);
  it.each<[string, Command, Uint8Array, number]>([
    ['no transaction UID', actionCommand(1), requestOf(undefined, ['1.2']), 0x0115],
    ['an empty sequence', actionCommand(1), requestOf('1.2.9', []), 0x0115],
    ['another data set', actionCommand(1), raw, 0x0115],
    ['no data set at all', actionCommand(1), Buffer.from('0123456789'), 0x0115],
    ['another action', actionCommand(1, { actionTypeId: 2 }), requestOf('1.2.9', ['1.2']), 0x0123],
    [
      'another object',
      actionCommand(1, { requestedSopInstanceUid: '1.2.3' }),
      requestOf('1.2.9', ['1.2']),
      0x0112,
    ],
  ])('is answered and nothing is kept: %s', async (_, command, bytes, status) => {
    const wire = await associated();
    wire.request(COMMIT_CONTEXT, command, bytes);
    expect((await wire.message()).command.status).toBe(status);
    wire.echo(2);
    expect((await wire.message()).command.status).toBe(0);
    expect(await rows('1.2.9')).toEqual([]);
    await wire.release();
  });

  it('may not ask without the right to (0124H)', async () => {
    const wire = await associated('NOVERB');
    expect((await askCommitment(wire, '1.2.9', ['1.2'])).status).toBe(0x0124);
    await wire.release();
  });

  it('cannot tell us results that we did not ask it for', async () => {
    const wire = await associated();
    wire.request(
      COMMIT_CONTEXT,
      {
        ...{ commandField: COMMANDS.eventReportRequest, messageId: 1, eventTypeId: 1, dataSetType: 1 },
        ...{ affectedSopClassUid: COMMITMENT, affectedSopInstanceUid: COMMITMENT_INSTANCE },
      },
      requestOf('1.2.9', ['1.2']),
    );
    expect((await wire.message()).command).toMatchObject({ status: 0x0115, eventTypeId: 1 });
    await wire.release();
  });

  it('asks for 100,000 objects that are not there: each is named, others are served meanwhile, memory stays', async () => {
    await listen();
    const before = await residentBytes(box.pid);
    const sopUids = Array.from({ length: 100_000 }, (_, at) => `${ROOT}.77.${at}`);
    const transactionUid = newTransaction();
    const other = await associated();
    const wire = await associated();
    wire.request(COMMIT_CONTEXT, actionCommand(1), requestOf(transactionUid, sopUids));
    let longest = 0;
    let answered: number | undefined;
    const answer = wire.message().then(({ command }) => (answered = command.status));
    for (let id = 1; answered === undefined; id += 1) {
      const began = performance.now();
      other.echo(id);
      await other.message();
      longest = Math.max(longest, performance.now() - began);
    }
    await answer;
    expect(answered).toBe(0);
    await wire.release();
    const { eventTypeId, failed, kept } = await told(transactionUid, 60_000);
    expect([eventTypeId, kept]).toEqual([2, []]);
    expect(Object.keys(failed)).toHaveLength(100_000);
    expect(new Set(Object.values(failed))).toEqual(new Set([0x0112]));
    process.stdout.write(`100,000 objects: an echo beside them took at most ${Math.round(longest)} ms\n`);
    expect((await residentBytes(box.pid)) - before).toBeLessThan(600 * MEGABYTE);
    await other.release();
  });
});

/** One bit of the pixels of this object, where it lies in the journal. */
function damage(sopUid: string): void {
  const folder = join(box.data, 'journal');
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const at = bytes.lastIndexOf(sopUid);
    if (at < 0) continue;
    const pixels = bytes.indexOf(Buffer.from('e07f1000', 'hex'), at) + 100;
    const file = openSync(path, 'r+');
    writeSync(file, Uint8Array.of((bytes[pixels] ?? 0) ^ 1), 0, 1, pixels);
    closeSync(file);
    return;
  }
  throw new Error('the object is not in the journal');
}
