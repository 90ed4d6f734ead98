/** The common list on a real database: claims, changes, watchers, telling, forgetting (PS3.4 Annex CC). */
import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '@lightbox/core/base/fault.ts';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { type DicomJson, toJson } from '@lightbox/core/dicom/json.ts';
import { type MatchKey, parseMatchKey, sequenceKey } from '@lightbox/core/dicom/matching.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { discontinued, performed, scheduledJson } from '@lightbox/core/workflow/testing.ts';
import { workitemText } from '@lightbox/core/workflow/workitem-checks.ts';
import type { WorkitemEvent } from '@lightbox/core/workflow/workitem-events.ts';
import { asker, openTestWorkitems, type TestWorkitems } from './testing.ts';
import type { Receiver, StoredEvent, WorkitemPort, WorkitemQuery } from './types.ts';

let box: TestWorkitems | undefined;
const open = async (options: Parameters<typeof openTestWorkitems>[0] = {}): Promise<TestWorkitems> =>
  (box = await openTestWorkitems(options));
afterEach(async () => {
  await box?.close();
  box = undefined;
});

const RIS = asker();
const web = (ae: string): Receiver => ({ ae, via: 'web', localAe: 'LIGHTBOX' });
const dimse = (ae: string): Receiver => ({ ae, via: 'dimse', localAe: 'LIGHTBOX' });
const one = (uid: string) => ({ kind: 'one', uid }) as const;
const ALL = { kind: 'all' } as const;
const statusOf = (work: Promise<unknown>): Promise<number | undefined> =>
  work.then(
    () => 0,
    (error: unknown) => (error instanceof Fault ? error.row.dimse : undefined),
  );
const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await condition()) return;
    await new Promise((settle) => setTimeout(settle, 25));
  }
  throw new Error('it did not come to that');
};
/** What is told to somebody who listens: type and state, or type alone. */
const heard = (list: string[]) => (event: WorkitemEvent) =>
  void list.push(
    [event.type, workitemText(event.information, Tags.ProcedureStepState)].filter(Boolean).join(' '),
  );
const PERFORMED = toJson(performed());

describe('claiming', () => {
  it('of many who claim at once, on two nodes, exactly one wins', async () => {
    const { workitems, another } = await open();
    const second = await another();
    for (let round = 0; round < 5; round += 1) {
      const { uid } = await workitems.create(RIS, undefined, scheduledJson());
      const claims = Array.from({ length: 10 }, (_, at) =>
        statusOf(
          (at % 2 ? workitems : second).changeState(asker(`WS${at}`), uid, 'IN PROGRESS', `1.2.${at}`),
        ),
      );
      const statuses = await Promise.all(claims);
      expect(statuses.filter((status) => status === 0)).toHaveLength(1);
      // The others do not hold the transaction UID any more.
      expect(statuses.filter((status) => status === 0xc301)).toHaveLength(9);
      const winner = statuses.indexOf(0);
      await workitems.update(RIS, uid, PERFORMED, `1.2.${winner}`);
      expect(await statusOf(second.changeState(RIS, uid, 'COMPLETED', `1.2.${(winner + 1) % 10}`))).toBe(
        0xc301,
      );
      expect(await statusOf(second.changeState(RIS, uid, 'COMPLETED', `1.2.${winner}`))).toBe(0);
    }
  });

  it('of many who create one of the same name at once exactly one does', async () => {
    const { workitems } = await open();
    const statuses = await Promise.all(
      Array.from({ length: 8 }, () => statusOf(workitems.create(RIS, '1.2.3', scheduledJson()))),
    );
    expect(statuses.sort()).toEqual([0, ...Array<number>(7).fill(0x0111)].sort());
  });

  it('keeps the transaction UID to itself', async () => {
    const { workitems } = await open();
    const { uid } = await workitems.create(RIS, undefined, scheduledJson());
    await workitems.changeState(RIS, uid, 'IN PROGRESS', '1.2.3.4.5');
    expect(JSON.stringify(await workitems.read(RIS, uid))).not.toContain('1.2.3.4.5');
    for await (const found of workitems.find({ keys: [] }))
      expect(JSON.stringify(found)).not.toContain('1.2.3.4.5');
  });
});

describe('a life', () => {
  it('to the end, with what each step needs', async () => {
    const { workitems, audited } = await open();
    const { uid } = await workitems.create(RIS, '1.2.3', scheduledJson());
    expect(await statusOf(workitems.changeState(RIS, uid, 'COMPLETED', '1.9'))).toBe(0xc310);
    expect(await statusOf(workitems.changeState(RIS, uid, 'SCHEDULED', '1.9'))).toBe(0xc303);
    expect(await statusOf(workitems.update(RIS, uid, PERFORMED, '1.9'))).toBe(0xc310);
    await workitems.changeState(RIS, uid, 'IN PROGRESS', '1.9');
    expect(await statusOf(workitems.changeState(RIS, uid, 'IN PROGRESS', '1.9'))).toBe(0xc302);
    expect(await statusOf(workitems.changeState(RIS, uid, 'COMPLETED', '1.9'))).toBe(0xc304);
    expect(await statusOf(workitems.update(RIS, uid, PERFORMED, undefined))).toBe(0xc301);
    await workitems.update(RIS, uid, PERFORMED, '1.9');
    expect(await workitems.changeState(RIS, uid, 'COMPLETED', '1.9')).toBeUndefined();
    expect(await workitems.changeState(RIS, uid, 'COMPLETED', '1.9')).toBe('COMPLETED');
    expect(await statusOf(workitems.update(RIS, uid, PERFORMED, '1.9'))).toBe(0xc300);
    expect(await statusOf(workitems.requestCancel(RIS, uid, {}))).toBe(0xc311);
    expect(await statusOf(workitems.read(RIS, '1.2.4'))).toBe(0xc307);
    expect(workitemText(await workitems.read(RIS, uid), Tags.ProcedureStepState)).toBe('COMPLETED');
    const refusals = audited.filter(({ outcome }) => outcome === 'refused');
    expect(refusals).toHaveLength(9);
    expect(audited.find(({ outcome }) => outcome === 'success')).toMatchObject({
      event: 'workitem',
      studyUids: ['1.2.826.0.1.3680043.2.1'],
      detail: { what: 'created', workitem: uid },
    });
    expect(JSON.stringify(audited)).not.toMatch(/Grün|Erika|P-1/);
  });

  it('is canceled by its performer with a reason, and the time is filled in', async () => {
    const { workitems } = await open();
    const { uid } = await workitems.create(RIS, undefined, scheduledJson());
    await workitems.changeState(RIS, uid, 'IN PROGRESS', '1.9');
    expect(await statusOf(workitems.changeState(RIS, uid, 'CANCELED', '1.9'))).toBe(0xc304);
    await workitems.update(RIS, uid, toJson(discontinued()), '1.9');
    await workitems.changeState(RIS, uid, 'CANCELED', '1.9');
    expect(await workitems.changeState(RIS, uid, 'CANCELED', '1.9')).toBe('CANCELED');
    expect(JSON.stringify(await workitems.read(RIS, uid))).toContain('00404052');
  });

  it('is canceled at once when nobody works on it; of others the performer is told', async () => {
    const { workitems } = await open();
    const { uid } = await workitems.create(RIS, undefined, scheduledJson());
    const list: string[] = [];
    workitems.listen('WATCHER', heard(list));
    await workitems.subscribe(RIS, one(uid), web('WATCHER'), false);
    const reasons = toJson(dataSet({ ReasonForCancellation: 'Wrong patient' }));
    expect(await workitems.requestCancel(RIS, uid, reasons)).toBeUndefined();
    expect(await workitems.requestCancel(RIS, uid, reasons)).toBe('CANCELED');
    await until(() => list.length === 3);
    expect(list).toEqual(['1 SCHEDULED', '1 IN PROGRESS', '1 CANCELED']);

    const busy = await workitems.create(RIS, undefined, scheduledJson());
    await workitems.changeState(RIS, busy.uid, 'IN PROGRESS', '1.9');
    expect(await statusOf(workitems.requestCancel(RIS, busy.uid, {}))).toBe(0xc312);
    await workitems.subscribe(RIS, one(busy.uid), web('WATCHER'), false);
    expect(await statusOf(workitems.requestCancel(RIS, busy.uid, {}))).toBe(0);
    await until(() => list.length === 5);
    expect(list.slice(3)).toEqual(['1 IN PROGRESS', '2']);
    expect(workitemText(await workitems.read(RIS, busy.uid), Tags.ProcedureStepState)).toBe('IN PROGRESS');
  });
});

describe('watching over the web', () => {
  it('several at once hear the same, on any node, in order', async () => {
    const { workitems, another } = await open();
    const second = await another();
    const lists: string[][] = [[], [], []];
    workitems.listen('A', heard(lists[0]!));
    second.listen('A', heard(lists[1]!));
    second.listen('B', heard(lists[2]!));
    await workitems.subscribe(RIS, ALL, web('A'), false);
    await second.subscribe(RIS, ALL, web('B'), false);
    const { uid } = await workitems.create(RIS, undefined, scheduledJson());
    await workitems.changeState(RIS, uid, 'IN PROGRESS', '1.9');
    const progress = [dataSet({ ProcedureStepProgress: '50' })];
    await second.update(
      RIS,
      uid,
      toJson(dataSet({ ProcedureStepProgressInformationSequence: progress })),
      '1.9',
    );
    await workitems.update(RIS, uid, PERFORMED, '1.9');
    await second.changeState(RIS, uid, 'COMPLETED', '1.9');
    const expected = ['1 SCHEDULED', '5', '1 IN PROGRESS', '3', '1 COMPLETED'];
    await until(() => lists.every((list) => list.length === expected.length));
    for (const list of lists) expect(list).toEqual(expected);
  });

  it('all from now on and those there are; one alone; no more; suspended', async () => {
    const { workitems } = await open();
    const first = await workitems.create(RIS, undefined, scheduledJson());
    const list: string[] = [];
    workitems.listen('A', heard(list));
    await workitems.subscribe(RIS, ALL, web('A'), false);
    await workitems.changeState(RIS, first.uid, 'IN PROGRESS', '1.9');
    await until(() => list.length === 1);
    await workitems.suspend(RIS, ALL, web('A'));
    const second = await workitems.create(RIS, undefined, scheduledJson());
    await workitems.changeState(RIS, second.uid, 'IN PROGRESS', '1.9');
    await workitems.update(RIS, first.uid, PERFORMED, '1.9');
    await workitems.changeState(RIS, first.uid, 'COMPLETED', '1.9');
    await until(() => list.length === 2);
    expect(list).toEqual(['1 IN PROGRESS', '1 COMPLETED']);
    await workitems.subscribe(RIS, one(second.uid), web('A'), false);
    await until(() => list.length === 3);
    await workitems.unsubscribe(RIS, ALL, web('A'));
    await workitems.update(RIS, second.uid, toJson(dataSet({ InputReadinessState: 'INCOMPLETE' })), '1.9');
    const third = await workitems.create(RIS, undefined, scheduledJson());
    await workitems.subscribe(RIS, one(third.uid), web('A'), false);
    await until(() => list.length === 4);
    expect(list[3]).toBe('1 SCHEDULED');
    expect(await statusOf(workitems.suspend(RIS, one(third.uid), web('A')))).toBe(0xc314);
  });

  it('those of a filter only', async () => {
    const { workitems } = await open();
    const list: string[] = [];
    workitems.listen('A', heard(list));
    const filter = [parseMatchKey(Tags.WorklistLabel, 'LO', ['Read*'])];
    await workitems.subscribe(RIS, { kind: 'filtered', filter }, web('A'), false);
    await workitems.create(RIS, undefined, scheduledJson());
    await workitems.create(
      RIS,
      undefined,
      scheduledJson({ WorklistLabel: 'Reading', InputReadinessState: 'INCOMPLETE' }),
    );
    await until(() => list.length === 2);
    expect(list).toEqual(['1 SCHEDULED', '5']);
  });

  it('who subscribes to all with a lock is told of each there is', async () => {
    const { workitems } = await open();
    for (let count = 0; count < 3; count += 1) await workitems.create(RIS, undefined, scheduledJson());
    const list: string[] = [];
    workitems.listen('A', heard(list));
    await workitems.subscribe(RIS, ALL, web('A'), true);
    await until(() => list.length === 3);
  });
});

describe('telling devices', () => {
  class Fake {
    readonly told: string[] = [];
    readonly callers: string[] = [];
    failures: Fault[] = [];
    refuses = new Set<number>();
    readonly port: WorkitemPort = {
      report: async (device, callingAe, events: readonly StoredEvent[], told) => {
        this.callers.push(`${callingAe} ${device.aeTitle}`);
        for (const event of events) {
          const failure = this.failures.shift();
          if (failure) throw failure;
          heard(this.told)(event);
          await told(event, this.refuses.has(event.type) ? 'DIMSE_STATUS' : undefined);
        }
      },
    };
  }

  it('in order, and again after a failure, without telling anything twice', async () => {
    const fake = new Fake();
    const { workitems, database } = await open({ port: fake.port, known: ['CT1'] });
    const { uid } = await workitems.create(RIS, undefined, scheduledJson());
    fake.failures = [new Fault('DIMSE_UNREACHABLE'), new Fault('DIMSE_TIMEOUT')];
    await workitems.subscribe(RIS, one(uid), dimse('CT1'), false);
    await workitems.changeState(RIS, uid, 'IN PROGRESS', '1.9');
    await until(() => fake.told.length === 2);
    expect(fake.told).toEqual(['1 SCHEDULED', '1 IN PROGRESS']);
    expect(fake.callers[0]).toBe('LIGHTBOX CT1');
    await until(async () => (await database.pool.query('SELECT 1 FROM workitem_delivery')).rowCount === 0);
    const { rows } = await database.pool.query<{ attempts: number }>(
      'SELECT attempts FROM workitem_receiver',
    );
    await until(async () => {
      const found = await database.pool.query('SELECT 1 FROM workitem_receiver WHERE lease_node IS NULL');
      return found.rowCount === 1;
    });
    expect(rows[0]?.attempts).toBeLessThanOrEqual(2);
  });

  it('an event that is refused does not hold up the next', async () => {
    const fake = new Fake();
    fake.refuses.add(5);
    const { workitems, audited } = await open({ port: fake.port, known: ['CT1'] });
    await workitems.subscribe(RIS, ALL, dimse('CT1'), false);
    await workitems.create(RIS, undefined, scheduledJson());
    await until(() => fake.told.length === 2);
    await until(() => audited.some(({ outcome, detail }) => outcome === 'failed' && detail?.['type'] === 5));
  });

  it('one that is not known cannot subscribe (C308)', async () => {
    const { workitems } = await open({ known: ['CT1'] });
    const { uid } = await workitems.create(RIS, undefined, scheduledJson());
    expect(await statusOf(workitems.subscribe(RIS, one(uid), dimse('CT9'), false))).toBe(0xc308);
    expect(await statusOf(workitems.unsubscribe(RIS, one(uid), dimse('CT9')))).toBe(0xc308);
    expect(await statusOf(workitems.subscribe(RIS, one('1.9.9'), dimse('CT1'), false))).toBe(0xc307);
  });

  it('after a restart those who watch all hear of it, and what waited is told', async () => {
    const fake = new Fake();
    const { workitems, another } = await open({ known: ['CT1'] });
    await workitems.subscribe(RIS, ALL, dimse('CT1'), false);
    await workitems.create(RIS, undefined, scheduledJson());
    await workitems.close();
    await another({ port: fake.port, known: ['CT1'] });
    await until(() => fake.told.length >= 3);
    expect(fake.told.slice(0, 3)).toEqual(['1 SCHEDULED', '5', '4']);
  });
});

describe('finding', () => {
  const code = (value: string): DicomJson => ({
    '00404018': {
      vr: 'SQ',
      Value: [{ '00080100': { vr: 'SH', Value: [value] }, '00080102': { vr: 'SH', Value: ['99TEST'] } }],
    },
  });
  const sh = (tag: number, value: string): MatchKey => parseMatchKey(tag, 'SH', [value]);

  it('by every kind of key', async () => {
    const { workitems } = await open();
    const make = async (uid: string, more: Parameters<typeof scheduledJson>[0], extra: DicomJson = {}) =>
      workitems.create(RIS, uid, { ...scheduledJson(more), ...extra });
    await make('1.1', {
      ScheduledProcedureStepStartDateTime: '20260302080000',
      PatientName: 'Müller^Anna=毛^安',
    });
    await make('1.2', { ScheduledProcedureStepStartDateTime: '20260301', PatientID: 'P-2' }, code('READ'));
    await make('1.3', { ScheduledProcedureStepStartDateTime: '202603031200', WorklistLabel: 'Reading' });
    await workitems.changeState(RIS, '1.3', 'IN PROGRESS', '9.9');
    const found = async (query: Partial<WorkitemQuery>): Promise<string[]> => {
      const uids: string[] = [];
      for await (const item of workitems.find({ keys: [], ...query }))
        uids.push(workitemText(item, Tags.SOPInstanceUID) ?? '');
      return uids;
    };
    const key = (...given: Parameters<typeof parseMatchKey>) => found({ keys: [parseMatchKey(...given)] });
    expect(await found({})).toEqual(['1.2', '1.1', '1.3']);
    expect(await key(Tags.ProcedureStepState, 'CS', ['SCHEDULED'])).toEqual(['1.2', '1.1']);
    expect(await key(Tags.ProcedureStepState, 'CS', ['IN PROGRESS'])).toEqual(['1.3']);
    expect(await key(Tags.SOPInstanceUID, 'UI', ['1.1', '1.3'])).toEqual(['1.1', '1.3']);
    expect(await key(Tags.PatientID, 'LO', ['P-2'])).toEqual(['1.2']);
    expect(await key(Tags.WorklistLabel, 'LO', ['read*'])).toEqual([]);
    expect(await key(Tags.WorklistLabel, 'LO', ['Read*'])).toEqual(['1.3']);
    const start = Tags.ScheduledProcedureStepStartDateTime;
    expect(await key(start, 'DT', ['20260302-'])).toEqual(['1.1', '1.3']);
    expect(await key(start, 'DT', ['20260301-20260302'])).toEqual(['1.2', '1.1']);
    expect(await key(start, 'DT', ['-2026030207'])).toEqual(['1.2']);
    expect(await key(Tags.PatientName, 'PN', ['müller*'])).toEqual(['1.1']);
    expect(await key(Tags.PatientName, 'PN', ['anna'])).toEqual([]);
    expect(await found({ keys: [parseMatchKey(Tags.PatientName, 'PN', ['anna mul'])], fuzzy: true })).toEqual(
      ['1.1'],
    );
    const codes = sequenceKey(Tags.ScheduledWorkitemCodeSequence, [sh(Tags.CodeValue, 'READ')]);
    expect(await found({ keys: [codes] })).toEqual(['1.2']);
    const station = sequenceKey(Tags.ScheduledStationNameCodeSequence, [
      ...[sh(Tags.CodeValue, 'WS1'), sh(Tags.CodingSchemeDesignator, '99TEST')],
    ]);
    expect(await found({ keys: [station] })).toEqual(['1.2', '1.1', '1.3']);
  });

  it('more than one page of them, each once', async () => {
    const { workitems } = await open();
    for (let at = 0; at < 205; at += 1) await workitems.create(RIS, `1.2.${at}`, scheduledJson());
    const uids = new Set<string>();
    for await (const item of workitems.find({ keys: [] }))
      uids.add(workitemText(item, Tags.SOPInstanceUID) ?? '');
    expect(uids.size).toBe(205);
  });
});

describe('forgetting', () => {
  it('what ended long ago is gone, unless somebody holds a deletion lock', async () => {
    const { workitems, database, another } = await open();
    for (const uid of ['1.1', '1.2', '1.3']) {
      await workitems.create(RIS, uid, scheduledJson());
      if (uid !== '1.3') await workitems.requestCancel(RIS, uid, {});
    }
    await workitems.subscribe(RIS, one('1.1'), web('A'), true);
    await database.pool.query(
      `UPDATE workitem SET finished_at = now() - interval '31 days' WHERE state = 'CANCELED'`,
    );
    const second = await another();
    expect(workitemText(await second.read(RIS, '1.1'), Tags.ProcedureStepState)).toBe('CANCELED');
    await expect(second.read(RIS, '1.2')).rejects.toMatchObject({ code: 'WORKITEM_GONE' });
    expect(workitemText(await second.read(RIS, '1.3'), Tags.ProcedureStepState)).toBe('SCHEDULED');
    expect(await statusOf(second.create(RIS, '1.2', scheduledJson()))).toBe(0x0111);
    await second.unsubscribe(RIS, one('1.1'), web('A'));
    await another();
    await expect(second.read(RIS, '1.1')).rejects.toMatchObject({ code: 'WORKITEM_GONE' });
  });
});
