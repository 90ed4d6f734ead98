/**
 * Workitems by DIMSE, as a scheduler (UPS Push), a performer (Pull), a watcher (Watch, Event) and a display (Query) use them:
 * every request with its status, and the bytes of some.
 *
 * Source: PS3.4 Annex CC.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '../core/src/dicom/element.ts';
import type { DataSet } from '../core/src/dicom/data-set.ts';
import { toJson } from '../core/src/dicom/json.ts';
import { Tags } from '../core/src/dicom/tags.gen.ts';
import { text, texts } from '../core/src/dicom/values.ts';
import { COMMANDS } from '../core/src/dimse/command.ts';
import { discontinued, performed, scheduled, scheduledJson } from '../core/src/workflow/testing.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { EVENT, EventListener, type Heard, PULL, PUSH, QUERY, WATCH, Workstation } from './support/ups.ts';
import { EXPLICIT } from './support/wire.ts';

const ALL = '1.2.840.10008.5.1.4.34.5';
const FILTERED = '1.2.840.10008.5.1.4.34.5.1';
let box: Lightbox;
let cookie: string;
let listener: EventListener;
let counter = 0;
const newUid = (): string => `1.2.826.0.1.3680043.8.${(counter += 1)}`;
const statusOf = async (answer: Promise<Heard>): Promise<string> =>
  ((await answer).command.status ?? -1).toString(16).toUpperCase().padStart(4, '0');

const stateOf = (state: string, transaction?: string): DataSet =>
  dataSet({
    ProcedureStepState: state,
    ...(transaction === undefined ? {} : { TransactionUID: transaction }),
  });
const receiver = (ae: string, more: Parameters<typeof dataSet>[0] = { DeletionLock: 'FALSE' }): DataSet =>
  dataSet({ ReceivingAE: ae, ...more });

async function within<T>(work: (station: Workstation) => Promise<T>, ae = 'STATION'): Promise<T> {
  const station = await Workstation.open(box.dicomPort, ae);
  try {
    return await work(station);
  } finally {
    await station.close();
  }
}
const make = async (station: Workstation, more: Parameters<typeof scheduled>[0] = {}): Promise<string> => {
  const uid = newUid();
  expect(await statusOf(station.create(uid, scheduled(more)))).toBe('0000');
  return uid;
};
const device = async (aeTitle: string, more: object): Promise<void> => {
  const answer = await box.post('/api/devices', { aeTitle, verbs: ['workitem'], ...more }, { cookie });
  expect(answer.status).toBe(200);
};
/** Events of one workitem, as type and state. */
const told = async (uid: string, count: number): Promise<string[]> => {
  const found = (): Heard[] =>
    listener.events.filter(({ command }) => command.affectedSopInstanceUid === uid);
  for (let tries = 0; tries < 300 && found().length < count; tries += 1) await sleep(50);
  return found().map(({ command, data }) =>
    [command.eventTypeId, data && text(data, Tags.ProcedureStepState)]
      .filter((one) => one !== undefined)
      .join(' '),
  );
};

describe('Unified Procedure Step by DIMSE', () => {
  beforeAll(async () => {
    box = await Lightbox.ready({ env: { LIGHTBOX_WORKITEM_RETRY_SECONDS: '1' } });
    cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    listener = await EventListener.start();
    await device('STATION', {});
    await device('WATCHER', { host: '127.0.0.1', port: listener.port });
    await device('FINDER', { verbs: ['find'] });
  });
  afterAll(async () => {
    await listener.stop();
    await box.stop();
  });

  it('accepts the classes of a provider, and tells events on associations of its own only', async () => {
    const station = await Workstation.open(box.dicomPort, 'STATION', [PUSH, WATCH, PULL, EVENT, QUERY]);
    await expect(station.find(PULL, dataSet({ SOPInstanceUID: [] }))).resolves.toMatchObject({ status: 0 });
    await station.close();
    const { wire } = await Workstation.open(box.dicomPort, 'STATION', [EVENT]);
    wire.destroy();
  });

  it('N-CREATE: made, named, refused (Table CC.2.5-2)', () =>
    within(async (station) => {
      const uid = newUid();
      const made = await station.create(uid, scheduled());
      expect(made.command).toMatchObject({
        ...{ commandField: COMMANDS.createResponse, status: 0, affectedSopClassUid: PUSH },
        affectedSopInstanceUid: uid,
      });
      const unnamed = await station.create(undefined, scheduled());
      expect(unnamed.command.affectedSopInstanceUid).toMatch(/^2\.25\.\d+$/);
      expect(await statusOf(station.create(newUid(), scheduled({ WorklistLabel: [] })))).toBe('B300');
      expect(await statusOf(station.create(uid, scheduled()))).toBe('0111');
      expect(await statusOf(station.create(newUid(), scheduled({ ProcedureStepState: 'COMPLETED' })))).toBe(
        'C309',
      );
      const missing = await station.create(
        newUid(),
        scheduled({ ScheduledProcedureStepPriority: undefined }),
      );
      expect(missing.command).toMatchObject({ status: 0x0120, offendingElements: [0x00741200] });
      expect(await statusOf(station.create(newUid(), scheduled({ ProcedureStepLabel: [] })))).toBe('0121');
      expect(await statusOf(station.create(newUid(), scheduled({ InputReadinessState: 'X' })))).toBe('0106');
      expect(await statusOf(station.create(newUid(), scheduled({ TransactionUID: '1.2' })))).toBe('0106');
    }));

  it('N-GET: all, some, never the transaction UID (Table CC.2.7-1)', () =>
    within(async (station) => {
      const uid = await make(station, { PatientName: 'Müller^Anna' });
      await station.action(PULL, uid, 1, stateOf('IN PROGRESS', '1.2.3.4'));
      const { command, data } = await station.get(uid);
      expect(command).toMatchObject({ status: 0, affectedSopClassUid: PUSH, affectedSopInstanceUid: uid });
      expect(data && text(data, Tags.PatientName)).toBe('Müller^Anna');
      expect(data && texts(data, Tags.SpecificCharacterSet)).toEqual(['ISO_IR 192']);
      expect(data?.elements.has(Tags.TransactionUID)).toBe(false);
      expect(data?.elements.has(Tags.SOPInstanceUID)).toBe(false);
      const some = await station.get(uid, [Tags.ProcedureStepState], PULL);
      expect([...(some.data?.elements.keys() ?? [])]).toEqual([Tags.ProcedureStepState]);
      const secret = await station.get(uid, [Tags.TransactionUID, Tags.ProcedureStepState], PUSH);
      expect(secret.command.status).toBe(0x0001);
      expect([...(secret.data?.elements.keys() ?? [])]).toEqual([Tags.ProcedureStepState]);
      expect(await statusOf(station.get(newUid()))).toBe('C307');
    }));

  it('N-ACTION Change State and N-SET: every move with its status (Tables CC.1.1-2, CC.2.1-2, CC.2.6-1)', () =>
    within(async (station) => {
      const uid = await make(station);
      const go = (state: string, transaction?: string): Promise<string> =>
        statusOf(station.action(PULL, uid, 1, stateOf(state, transaction)));
      const set = (data: DataSet): Promise<string> => statusOf(station.set(uid, data));
      const label = dataSet({ ProcedureStepLabel: 'Other' });
      const withUid = (transaction: string) =>
        dataSet({ ProcedureStepLabel: 'Mine', TransactionUID: transaction });
      expect(await go('IN PROGRESS')).toBe('C301');
      expect(await go('SCHEDULED', '1.2.3')).toBe('C303');
      expect(await go('COMPLETED', '1.2.3')).toBe('C310');
      expect(await go('CANCELED', '1.2.3')).toBe('C310');
      expect(await go('NONSENSE', '1.2.3')).toBe('0115');
      expect(await set(label)).toBe('0000');
      expect(await set(withUid('1.2.3'))).toBe('C310');
      expect(await set(dataSet({ PatientID: 'P-2' }))).toBe('0106');
      expect(await go('IN PROGRESS', '1.2.3')).toBe('0000');
      expect(await go('IN PROGRESS', '1.2.3')).toBe('C302');
      expect(await go('IN PROGRESS', '1.2.4')).toBe('C301');
      expect(await go('SCHEDULED', '1.2.3')).toBe('C303');
      expect(await set(label)).toBe('C301');
      expect(await set(withUid('1.2.4'))).toBe('C301');
      expect(await set(withUid('1.2.3'))).toBe('0000');
      expect(await go('COMPLETED', '1.2.4')).toBe('C301');
      expect(await go('COMPLETED', '1.2.3')).toBe('C304');
      expect(await go('CANCELED', '1.2.3')).toBe('C304');
      expect(await set(performed({ TransactionUID: '1.2.3' }))).toBe('0000');
      expect(await go('COMPLETED', '1.2.3')).toBe('0000');
      expect(await go('COMPLETED', '1.2.3')).toBe('B306');
      expect(await go('CANCELED', '1.2.3')).toBe('C300');
      expect(await go('IN PROGRESS', '1.2.3')).toBe('C300');
      expect(await go('COMPLETED', '1.2.4')).toBe('C301');
      expect(await set(withUid('1.2.3'))).toBe('C300');
      expect(await statusOf(station.action(PULL, newUid(), 1, stateOf('IN PROGRESS', '1.2')))).toBe('C307');
      expect(await statusOf(station.set(newUid(), label))).toBe('C307');
    }));

  it('N-ACTION Change State to CANCELED, and Request Cancel (Table CC.2.2-2)', () =>
    within(async (station) => {
      const uid = await make(station);
      await station.action(PULL, uid, 1, stateOf('IN PROGRESS', '1.2.3'));
      const reasons = toJson(discontinued());
      expect(Object.keys(reasons)).toEqual(['00741002']);
      expect(await statusOf(station.action(WATCH, uid, 2))).toBe('C312');
      const [item] = discontinued().elements.get(Tags.ProcedureStepProgressInformationSequence)?.items ?? [];
      const progress = dataSet({
        TransactionUID: '1.2.3',
        ProcedureStepProgressInformationSequence: item ? [item] : [],
      });
      expect(await statusOf(station.set(uid, progress))).toBe('0000');
      expect(await statusOf(station.action(PULL, uid, 1, stateOf('CANCELED', '1.2.3')))).toBe('0000');
      expect(await statusOf(station.action(PULL, uid, 1, stateOf('CANCELED', '1.2.3')))).toBe('B304');
      expect(await statusOf(station.action(PULL, uid, 1, stateOf('COMPLETED', '1.2.3')))).toBe('C300');
      expect(await statusOf(station.action(WATCH, uid, 2))).toBe('B304');
      const idle = await make(station);
      const why = dataSet({ ReasonForCancellation: 'Wrong patient' });
      expect(await statusOf(station.action(PUSH, idle, 2, why))).toBe('0000');
      const { data } = await station.get(idle, [Tags.ProcedureStepState]);
      expect(data && text(data, Tags.ProcedureStepState)).toBe('CANCELED');
      const done = await make(station);
      await station.action(PULL, done, 1, stateOf('IN PROGRESS', '1.2.3'));
      await station.set(done, performed({ TransactionUID: '1.2.3' }));
      await station.action(PULL, done, 1, stateOf('COMPLETED', '1.2.3'));
      expect(await statusOf(station.action(WATCH, done, 2))).toBe('C311');
      expect(await statusOf(station.action(WATCH, newUid(), 2))).toBe('C307');
    }));

  it('of two performers on two associations exactly one claims', async () => {
    const uid = await within((station) => make(station));
    const statuses = await Promise.all(
      Array.from({ length: 6 }, (_, at) =>
        within((station) => statusOf(station.action(PULL, uid, 1, stateOf('IN PROGRESS', `1.2.${at}`)))),
      ),
    );
    expect(statuses.sort()).toEqual(['0000', 'C301', 'C301', 'C301', 'C301', 'C301']);
  });

  it('C-FIND: keys, sequences, what was asked for and no more', () =>
    within(async (station) => {
      const label = `List ${counter}`;
      const first = await make(station, { WorklistLabel: label, PatientName: 'Müller^Anna' });
      const second = await make(station, {
        ...{ WorklistLabel: label, ScheduledProcedureStepStartDateTime: '20260401080000' },
      });
      const uids = async (sopClass: string, more: Parameters<typeof dataSet>[0]): Promise<unknown[]> => {
        const identifier = dataSet({ WorklistLabel: label, SOPInstanceUID: [], ...more });
        const { matches, status } = await station.find(sopClass, identifier);
        expect(status).toBe(0);
        return matches.map((match) => match['00080018']?.Value?.[0]);
      };
      for (const sopClass of [PULL, WATCH, QUERY]) expect(await uids(sopClass, {})).toEqual([first, second]);
      expect(await uids(PULL, { ScheduledProcedureStepStartDateTime: '20260331-' })).toEqual([second]);
      expect(await uids(PULL, { SpecificCharacterSet: 'ISO_IR 192', PatientName: 'müller*' })).toEqual([
        first,
      ]);
      const station1 = [dataSet({ CodeValue: 'WS1', CodingSchemeDesignator: '99TEST' })];
      expect(await uids(PULL, { ScheduledStationNameCodeSequence: station1 })).toEqual([first, second]);
      expect(await uids(PULL, { ScheduledStationNameCodeSequence: [dataSet({ CodeValue: 'WS2' })] })).toEqual(
        [],
      );
      expect(await uids(PULL, { ProcedureStepState: 'IN PROGRESS' })).toEqual([]);
      const { matches } = await station.find(
        QUERY,
        dataSet({
          SOPInstanceUID: first,
          AdmissionID: [],
          TransactionUID: [],
          ScheduledWorkitemCodeSequence: [],
        }),
      );
      expect(matches).toEqual([
        {
          '00080018': { vr: 'UI', Value: [first] },
          '00081195': { vr: 'UI' },
          '00380010': { vr: 'LO' },
          '00404018': scheduledJson()['00404018'],
        },
      ]);
    }));

  it('what a class does not have is not understood; who may not may not', async () => {
    await within(async (station) => {
      const uid = await make(station);
      const commandField = COMMANDS.createRequest;
      const inWatch = station.ask(WATCH, { commandField, affectedSopClassUid: PUSH }, scheduled());
      expect(await statusOf(inWatch)).toBe('0211');
      expect(await statusOf(station.action(PUSH, uid, 1, stateOf('IN PROGRESS', '1.2')))).toBe('0123');
      expect(await statusOf(station.action(WATCH, uid, 1, stateOf('IN PROGRESS', '1.2')))).toBe('0123');
      expect(await statusOf(station.action(PULL, uid, 9, stateOf('IN PROGRESS', '1.2')))).toBe('0123');
      const other = station.ask(
        PUSH,
        { commandField, affectedSopClassUid: '1.2.840.10008.1.1' },
        scheduled(),
      );
      expect(await statusOf(other)).toBe('0118');
    });
    const uid = newUid();
    await within(async (station) => {
      expect(await statusOf(station.create(uid, scheduled()))).toBe('0124');
      expect(await statusOf(station.get(uid))).toBe('0124');
      expect(await station.find(QUERY, dataSet({ SOPInstanceUID: [] }))).toMatchObject({ status: 0x0124 });
    }, 'FINDER');
    const { items } = await box.getJson<{ items: { principalName: string; detail: object }[] }>(
      '/api/audit?event=access.refused',
    );
    expect(items[0]).toMatchObject({ principalName: 'FINDER', detail: { door: 'dicom', verb: 'workitem' } });
  });

  it('the bytes of a refusal are those of PS3.7 §10.3.4.2', () =>
    within(async (station) => {
      const uid = '1.2.826.0.1.36';
      await station.create(uid, scheduled());
      const pieces: Buffer[] = [];
      station.wire.socket.on('data', (piece: Buffer) => pieces.push(piece));
      await station.action(PULL, uid, 1, stateOf('COMPLETED', '1.2.3'));
      const ascii = (value: string): string => Buffer.from(value, 'latin1').toString('hex');
      expect(Buffer.concat(pieces).toString('hex')).toBe(
        [
          // P-DATA-TF of 180 bytes, one PDV of 176 in context 25 (19H): command, last fragment (03H)
          '0400' + '000000b4' + '000000b0' + '19' + '03',
          // (0000,0000) Command Group Length: 162
          '00000000' + '04000000' + 'a2000000',
          // (0000,0002) Affected SOP Class UID: UPS Push, 26 bytes
          '00000200' + '1a000000' + ascii(PUSH),
          // (0000,0100) Command Field 8130H, (0000,0120) Message ID Being Responded To 2
          '00000001' + '02000000' + '3081' + '00002001' + '02000000' + '0200',
          // (0000,0800) no data set, (0000,0900) Status C310H
          '00000008' + '02000000' + '0101' + '00000009' + '02000000' + '10c3',
          // (0000,0902) Error Comment, 48 bytes
          '00000209' + '30000000' + ascii('The workitem is not IN PROGRESS: claim it first.'),
          // (0000,1000) Affected SOP Instance UID, 14 bytes, (0000,1008) Action Type ID 1
          '00000010' + '0e000000' + ascii(uid) + '00000810' + '02000000' + '0100',
        ].join(''),
      );
    }));

  describe('N-ACTION Subscribe and N-EVENT-REPORT (Tables CC.2.3-2, CC.2.4-1)', () => {
    it('a watcher is told on an association of ours, in order, with its role and class', () =>
      within(async (station) => {
        const uid = await make(station);
        expect(await statusOf(station.action(WATCH, uid, 3, receiver('WATCHER')))).toBe('0000');
        expect(await told(uid, 1)).toEqual(['1 SCHEDULED']);
        await station.action(PULL, uid, 1, stateOf('IN PROGRESS', '1.2.3'));
        const progress = [dataSet({ ProcedureStepProgress: '30' })];
        await station.set(
          uid,
          dataSet({ TransactionUID: '1.2.3', ProcedureStepProgressInformationSequence: progress }),
        );
        const why = dataSet({ ReasonForCancellation: 'Wrong patient' });
        expect(await statusOf(station.action(WATCH, uid, 2, why))).toBe('0000');
        await station.set(uid, performed({ TransactionUID: '1.2.3' }));
        await station.action(PULL, uid, 1, stateOf('COMPLETED', '1.2.3'));
        expect(await told(uid, 5)).toEqual(['1 SCHEDULED', '1 IN PROGRESS', '3', '2', '1 COMPLETED']);
        const asked = listener.events.find(
          ({ command }) => command.affectedSopInstanceUid === uid && command.eventTypeId === 2,
        );
        expect(asked?.command).toMatchObject({ commandField: 0x0100, affectedSopClassUid: PUSH });
        expect(asked?.data && text(asked.data, Tags.RequestingAE)).toBe('STATION');
        expect(asked?.data && text(asked.data, Tags.ReasonForCancellation)).toBe('Wrong patient');
        const association = listener.associations.at(-1);
        expect(association).toMatchObject({ calledAe: 'WATCHER', callingAe: 'LIGHTBOX' });
        expect(association?.contexts[0]?.abstractSyntax).toBe(EVENT);
        expect(association?.user.roles).toEqual([{ sopClassUid: EVENT, scu: false, scp: true }]);
        expect(association?.contexts[0]?.transferSyntaxes[0]).toBe(EXPLICIT);
      }));

    it('is told again what it did not take, and not again what it refused', () =>
      within(async (station) => {
        const uid = await make(station);
        listener.answers.push(undefined, 0x0110, 0);
        await station.action(WATCH, uid, 3, receiver('WATCHER'));
        expect(await told(uid, 1)).toEqual(['1 SCHEDULED']);
        await station.action(PULL, uid, 1, stateOf('IN PROGRESS', '1.2.3'));
        expect(await told(uid, 2)).toEqual(['1 SCHEDULED', '1 IN PROGRESS']);
        await sleep(1500);
        expect(await told(uid, 2)).toHaveLength(2);
      }));

    it('all, those of a filter, suspended, unsubscribed', () =>
      within(async (station) => {
        expect(await statusOf(station.action(WATCH, ALL, 3, receiver('WATCHER')))).toBe('0000');
        const first = await make(station);
        expect(await told(first, 2)).toEqual(['1 SCHEDULED', '5']);
        expect(await statusOf(station.action(WATCH, ALL, 5, receiver('WATCHER', {})))).toBe('0000');
        const second = await make(station);
        await station.action(PULL, first, 1, stateOf('IN PROGRESS', '1.2.3'));
        expect(await told(first, 3)).toEqual(['1 SCHEDULED', '5', '1 IN PROGRESS']);
        expect(await told(second, 0)).toEqual([]);
        expect(await statusOf(station.action(WATCH, ALL, 4, receiver('WATCHER', {})))).toBe('0000');
        const keys = { DeletionLock: 'FALSE', WorklistLabel: 'Reading' };
        expect(await statusOf(station.action(WATCH, FILTERED, 3, receiver('WATCHER', keys)))).toBe('0000');
        const third = await make(station);
        const fourth = await make(station, { WorklistLabel: 'Reading' });
        expect(await told(fourth, 2)).toEqual(['1 SCHEDULED', '5']);
        expect(await told(third, 0)).toEqual([]);
        expect(await statusOf(station.action(WATCH, FILTERED, 4, receiver('WATCHER', {})))).toBe('0000');
      }));

    it('refuses a receiver that is not known (C308), one workitem to suspend (C314), what is not there (C307)', () =>
      within(async (station) => {
        const uid = await make(station);
        expect(await statusOf(station.action(WATCH, uid, 3, receiver('NOBODY')))).toBe('C308');
        // Known, but nobody knows where.
        expect(await statusOf(station.action(WATCH, uid, 3, receiver('STATION')))).toBe('C308');
        expect(await statusOf(station.action(WATCH, uid, 5, receiver('WATCHER', {})))).toBe('C314');
        expect(await statusOf(station.action(WATCH, newUid(), 3, receiver('WATCHER')))).toBe('C307');
        expect(await statusOf(station.action(WATCH, newUid(), 4, receiver('WATCHER', {})))).toBe('C307');
        expect(await statusOf(station.action(WATCH, uid, 3, dataSet({ DeletionLock: 'TRUE' })))).toBe('0115');
      }));
  });

  it('what the web made a workstation claims, and the other way round', () =>
    within(async (station) => {
      const uid = newUid();
      const made = await fetch(`${box.url}/dicom-web/workitems?workitem=${uid}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/dicom+json' },
        body: JSON.stringify(scheduledJson({ PatientName: 'Müller^Anna' })),
      });
      expect(made.status).toBe(201);
      expect(await statusOf(station.action(PULL, uid, 1, stateOf('IN PROGRESS', '1.2.3')))).toBe('0000');
      const [workitem] = await box.getJson<Record<string, { Value?: unknown[] }>[]>(
        `/dicom-web/workitems/${uid}`,
      );
      expect(workitem?.['00741000']?.Value).toEqual(['IN PROGRESS']);
      const { data } = await station.get(uid, [Tags.PatientName]);
      expect(data && text(data, Tags.PatientName)).toBe('Müller^Anna');
    }));
});
