/**
 * Rules on a real archive and database: what is asked of transfers, once each, whatever happens in between. Transfers are real too;
 * only the other side is played, and the archives that are asked for priors.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '@lightbox/core/base/fault.ts';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import type { Rule } from '@lightbox/core/translate/rules/types.ts';
import type { AuditEntry, Device, DeviceOffer } from '../../identity/types.ts';
import { type Jobs, migrateJobs, openJobs } from '../../platform/jobs.ts';
import { createLog } from '../../platform/log.ts';
import { openTestArchive, type TestArchive } from '../testing.ts';
import { createTransfers } from '../transfers/transfers.ts';
import type { Transfer, Transfers } from '../transfers/types.ts';
import type { Ingest, IngestSource } from '../types.ts';
import { openRuleBook, type RuleBook } from './book.ts';
import { readRuleFile } from './file.ts';
import { createRules, Returns, watchReturns } from './rules.ts';
import { SendTable } from './sends.ts';
import type { FoundPrior, Rules } from './types.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const SOON = { timeout: 20_000, interval: 50 };
const log = createLog({ logLevel: 'silent' });
const by = { kind: 'user', id: 'u1', name: 'Admin' } as const;
const device = (aeTitle: string, ...offers: DeviceOffer[]): Device => ({
  ...{
    id: aeTitle.toLowerCase(),
    aeTitle,
    description: '',
    host: '192.0.2.1',
    port: 104,
    checkAddress: false,
  },
  ...{ verbs: [], offers, tls: false, tlsOnly: false, certificate: undefined },
  ...{ identity: 'optional' as const, calledAes: [], dicomweb: undefined, sendAs: 'stored' },
});

let box: TestArchive;
let jobs: Jobs;
let book: RuleBook;
let transfers: Transfers;
let rules: Rules;
let ingest: Ingest;
let devices: Device[];
let arrived: string[];
let priors: Map<string, FoundPrior[] | Fault>;
const trail: AuditEntry[] = [];

beforeEach(async () => {
  box = await openTestArchive({ quietSeconds: 1 });
  await migrateJobs(box.database, log);
  devices = [device('WS1', 'store'), device('WS2', 'store'), device('PACS', 'store', 'archive')];
  arrived = [];
  priors = new Map();
  trail.length = 0;
  await open();
});
afterEach(async () => {
  await close();
  await box.close();
});

/** Everything but the archive, as a start would have it. */
async function open(): Promise<void> {
  const { database, events, archive } = box;
  jobs = openJobs(database, log);
  book = await openRuleBook({ database, events, log });
  const audit = { record: (entry: AuditEntry) => void trail.push(entry), flush: () => Promise.resolve() };
  const list = { list: () => Promise.resolve(devices) };
  transfers = createTransfers({
    ...{ config: { perDestination: 1, retrySeconds: 1, attempts: 3 }, database, events, jobs, devices: list },
    ...{ audit, log, retrieve: archive.retrieve },
    carrier: {
      send(to, objects, report) {
        for (const ref of objects) {
          arrived.push(`${to.aeTitle} ${ref.sopUid}`);
          report(ref, { status: 0 });
        }
        return Promise.resolve();
      },
      fetch: () => Promise.resolve({ total: 1, arrived: 1, failed: 0 }),
    },
  });
  const returns = new Returns();
  ingest = watchReturns(archive.ingest, returns);
  rules = createRules({
    ...{ database, events, book, devices: list, transfers, returns, audit, log, aeTitle: 'LIGHTBOX' },
    ...{ retrieve: archive.retrieve, presence: archive.presence, fromFile: false },
    archives: {
      async *studies({ aeTitle }) {
        const found = priors.get(aeTitle) ?? [];
        if (found instanceof Fault) throw found;
        yield* found;
      },
      bodyParts: (_device, studyUid) => Promise.resolve([studyUid.endsWith('.9') ? 'HEAD' : 'CHEST']),
      adviceFor: ({ code }) => code,
    },
  });
  await jobs.start();
  transfers.start();
  rules.start();
}
async function close(): Promise<void> {
  await rules.close();
  book.close();
  await transfers.close();
  await jobs.close();
}

async function save(...list: Rule[]): Promise<void> {
  const saved = await rules.save(JSON.stringify({ version: 1, rules: list }), '', by);
  expect(saved).toMatchObject({ saved: true });
}
const sendTo = (name: string, ...devices: string[]): Rule => ({ name, then: { send: { devices } } });

async function store(
  studyUid: string,
  number: number,
  more: Record<string, string> = {},
  from = 'CT1',
): Promise<string> {
  const source: IngestSource = { kind: 'dimse', by: from, remoteAddress: '192.0.2.9', calledAe: 'LIGHTBOX' };
  const sop = `${studyUid}.1.${number}`;
  const writer = await ingest.begin(source, {
    ...{ form: 'dataset', transferSyntaxUid: EXPLICIT_LE, sopClassUid: CT, sopInstanceUid: sop },
  });
  const attributes = {
    ...{ SOPClassUID: CT, SOPInstanceUID: sop, Modality: 'CT', PatientID: 'P1', PatientName: 'Secret^Name' },
    ...{ StudyInstanceUID: studyUid, SeriesInstanceUID: `${studyUid}.1`, InstanceNumber: String(number) },
    ...{ StudyDate: '20260301', PatientBirthDate: '19700101', BodyPartExamined: 'CHEST', ...more },
  };
  await writer.write(writeDataSet(dataSet(attributes), EXPLICIT_LE));
  return (await writer.finish()).status;
}
const came = (): string[] => [...arrived].sort();
const untilCame = (...expected: string[]) => expect.poll(came, SOON).toEqual(expected.sort());
const events = async (): Promise<string[]> =>
  (await rules.log({ limit: 100 })).map(
    ({ rule, event, aeTitle, objects }) => `${rule} ${event} ${aeTitle ?? ''} ${objects}`,
  );
/** Long enough for what must not happen to happen. */
const settled = async (studyUid: string): Promise<void> => {
  await expect
    .poll(
      async () =>
        (
          await box.database.pool.query('SELECT FROM study WHERE study_uid = $1 AND ruled AND stable', [
            studyUid,
          ])
        ).rowCount,
      SOON,
    )
    .toBe(1);
  await expect.poll(async () => (await transfers.counts()).queued ?? 0, SOON).toBe(0);
};

describe('Routing', () => {
  it('sends what matches when a study is complete, what comes late too, and nothing twice', async () => {
    await save(
      { ...sendTo('thin', 'WS1'), when: { attribute: 'SliceThickness', to: 1 } },
      sendTo('all', 'WS2'),
    );
    await store('1.2.1', 1, { SliceThickness: '0.5' });
    await store('1.2.1', 2, { SliceThickness: '5' });
    await untilCame('WS1 1.2.1.1.1', 'WS2 1.2.1.1.1', 'WS2 1.2.1.1.2');
    await store('1.2.1', 3, { SliceThickness: '1.0' });
    await untilCame('WS1 1.2.1.1.1', 'WS2 1.2.1.1.1', 'WS2 1.2.1.1.2', 'WS1 1.2.1.1.3', 'WS2 1.2.1.1.3');
    await settled('1.2.1');
    expect(came()).toHaveLength(5);
    expect(await events()).toEqual(
      expect.arrayContaining(['thin sent WS1 1', 'all sent WS2 2', 'all sent WS2 1']),
    );
    const [first] = await transfers.list({ limit: 1 });
    expect(first?.askedBy).toMatchObject({ kind: 'system', id: 'rules' });
    expect(trail.some(({ event, detail }) => event === 'transfer.asked' && detail?.['rule'] === 'all')).toBe(
      true,
    );
    expect(JSON.stringify(trail)).not.toContain('Secret');
  });

  it('begins as objects come where a rule says so', async () => {
    await close();
    await box.close();
    box = await openTestArchive({ quietSeconds: 3600 });
    await migrateJobs(box.database, log);
    await open();
    await save(
      { name: 'now', then: { send: { devices: ['WS1'], trigger: 'object' } } },
      sendTo('later', 'WS2'),
    );
    await store('1.2.1', 1);
    await untilCame('WS1 1.2.1.1.1');
    await store('1.2.1', 2);
    await untilCame('WS1 1.2.1.1.1', 'WS1 1.2.1.1.2');
  });

  it('leaves alone what came before the rule was switched on, until a person says so', async () => {
    await store('1.2.1', 1);
    await settled('1.2.1');
    await save(sendTo('new', 'WS1'), { ...sendTo('off', 'WS2'), enabled: false });
    await store('1.2.1', 2);
    await untilCame('WS1 1.2.1.1.2');
    await settled('1.2.1');
    expect(came()).toEqual(['WS1 1.2.1.1.2']);
    expect(await rules.run('1.2.1', 'new')).toBe(2);
    await untilCame('WS1 1.2.1.1.1', 'WS1 1.2.1.1.2', 'WS1 1.2.1.1.2');
    await expect(rules.run('1.2.1', 'off')).rejects.toThrow('NOT_FOUND');
    await expect(rules.run('1.9.9', 'new')).rejects.toThrow('NOT_FOUND');
  });

  it('sends the whole of what matches again when it is told to', async () => {
    await save({ name: 'whole', then: { send: { devices: ['WS1'], onlyOnce: false } } });
    await store('1.2.1', 1);
    await untilCame('WS1 1.2.1.1.1');
    await settled('1.2.1');
    await store('1.2.1', 2);
    await untilCame('WS1 1.2.1.1.1', 'WS1 1.2.1.1.1', 'WS1 1.2.1.1.2');
  });

  it('never sends back where an object came from, and says so', async () => {
    await save(sendTo('all', 'WS1', 'WS2'));
    await store('1.2.1', 1, {}, 'WS1');
    await untilCame('WS2 1.2.1.1.1');
    await settled('1.2.1');
    expect(came()).toEqual(['WS2 1.2.1.1.1']);
    expect(await events()).toContain('all returned WS1 1');
  });

  it('waits as long as it is told, and drops what the rule no longer says', async () => {
    await save({ name: 'late', then: { send: { devices: ['WS1', 'WS2'], delaySeconds: 3 } } });
    await store('1.2.1', 1);
    await settled('1.2.1');
    expect(came()).toEqual([]);
    await save({ name: 'late', then: { send: { devices: ['WS2'], delaySeconds: 3 } } });
    await untilCame('WS2 1.2.1.1.1');
    const { rows } = await box.database.pool.query('SELECT ae_title, state FROM rule_send ORDER BY 1');
    expect(rows).toEqual([
      { ae_title: 'WS1', state: 'dropped' },
      { ae_title: 'WS2', state: 'asked' },
    ]);
  });

  it('keeps what is for a device that went away, and tells people', async () => {
    await save(sendTo('all', 'WS1'));
    devices = devices.filter(({ aeTitle }) => aeTitle !== 'WS1');
    await store('1.2.1', 1);
    await expect.poll(events, SOON).toContain('all problem WS1 1');
    expect((await rules.state()).warnings).toMatchObject([{ rule: 'all', code: 'device' }]);
    const { rows } = await box.database.pool.query('SELECT state FROM rule_send');
    expect(rows).toEqual([{ state: 'due' }]);
  });

  it('asks for one transfer only, wherever the process died between the two', async () => {
    const sends = new SendTable(box.database);
    await rules.close();
    await save(sendTo('all', 'WS1'));
    const wanted = {
      rule: 'all',
      aeTitle: 'WS1',
      sopUid: '1.2.1.1.1',
      studyUid: '1.2.1',
      seriesUid: '1.2.1.1',
    };
    await store('1.2.1', 1);
    await sends.want([wanted], 0);
    // It died after it gave the transfer a name and asked for it, and before it wrote down that it had.
    const batch = await sends.claim();
    await transfers.ask({
      kind: 'send',
      device: device('WS1', 'store'),
      scopes: batch!.scopes,
      by,
      id: batch!.transferId,
    });
    await untilCame('WS1 1.2.1.1.1');
    await box.database.pool.query(`UPDATE rule_send SET changed_at = now() - interval '1 hour'`);
    await close();
    await open();
    await expect
      .poll(async () => (await box.database.pool.query('SELECT state FROM rule_send')).rows, SOON)
      .toEqual([{ state: 'asked' }]);
    await settled('1.2.1');
    expect(came()).toEqual(['WS1 1.2.1.1.1']);
    expect(await transfers.list({ limit: 10 })).toHaveLength(1);
  });
});

describe('A loop', () => {
  it('stops the rule for the device that sends back, holds what comes, and goes on when a person says so', async () => {
    await save(sendTo('all', 'WS1', 'WS2'));
    await store('1.2.1', 1);
    await untilCame('WS1 1.2.1.1.1', 'WS2 1.2.1.1.1');
    // A modality that sends again makes no loop, nor does a device that we did not send to.
    expect(await store('1.2.1', 1)).toBe('duplicate');
    expect(await store('1.2.1', 1, {}, 'WS1')).toBe('duplicate');
    await expect
      .poll(async () => (await rules.state()).loops, SOON)
      .toMatchObject([{ rule: 'all', aeTitle: 'WS1', ourAe: 'LIGHTBOX', objects: 1, held: 0 }]);
    expect(await events()).toContain('all loop WS1 1');
    await store('1.2.2', 1);
    await untilCame('WS1 1.2.1.1.1', 'WS2 1.2.1.1.1', 'WS2 1.2.2.1.1');
    await settled('1.2.2');
    expect((await rules.state()).loops).toMatchObject([{ held: 1 }]);
    expect(await rules.release('all', 'WS1')).toBe(1);
    await untilCame('WS1 1.2.1.1.1', 'WS2 1.2.1.1.1', 'WS2 1.2.2.1.1', 'WS1 1.2.2.1.1');
    expect((await rules.state()).loops).toEqual([]);
    await expect(rules.release('all', 'WS1')).rejects.toThrow('NOT_FOUND');
  });

  it('is also one when what comes back was changed on the way; later it is a person who sends', async () => {
    await save(sendTo('all', 'WS1', 'WS2'));
    await store('1.2.1', 1);
    await untilCame('WS1 1.2.1.1.1', 'WS2 1.2.1.1.1');
    await expect.poll(async () => (await transfers.counts()).done, SOON).toBe(2);
    await box.database.pool.query(
      `UPDATE transfer SET finished_at = now() - interval '1 hour' WHERE ae_title = 'WS2'`,
    );
    expect(await store('1.2.1', 1, { InstitutionName: 'Elsewhere' }, 'WS2')).toBe('conflict');
    expect(await store('1.2.1', 1, { InstitutionName: 'Elsewhere' }, 'WS1')).toBe('conflict');
    await expect
      .poll(async () => (await rules.state()).loops.map(({ aeTitle }) => aeTitle), SOON)
      .toEqual(['WS1']);
  });
});

describe('Priors', () => {
  const prior = (studyUid: string, more: Partial<FoundPrior> = {}): FoundPrior => ({
    ...{ studyUid, patientId: 'P1', issuer: '', birthDate: '19700101', date: '20250101', description: '' },
    ...{ modalities: ['CT'], instanceCount: 1, ...more },
  });
  const fetched = async (): Promise<string[]> =>
    (await transfers.list({ kind: 'fetch', limit: 50 }))
      .map(({ aeTitle, scopes, method }: Transfer) => `${aeTitle} ${scopes[0]?.studyUid ?? ''} ${method}`)
      .sort();

  it('are looked for when a study begins to come, chosen and fetched once', async () => {
    priors.set('PACS', [
      prior('1.3.1'),
      prior('1.3.2', { patientId: 'P2' }),
      prior('1.3.3', { modalities: ['MR'] }),
      prior('1.3.4', { date: '20200101' }),
    ]);
    await save({
      name: 'priors',
      then: { prefetch: { from: ['PACS'], newerThanMonths: 24, method: 'move' } },
    });
    await store('1.2.1', 1);
    await expect.poll(fetched, SOON).toEqual(['PACS 1.3.1 move']);
    await store('1.2.1', 2);
    await settled('1.2.1');
    // The prior itself comes, and wants none.
    await store('1.3.1', 1, { StudyDate: '20250101' }, 'PACS');
    await settled('1.3.1');
    expect(await fetched()).toEqual(['PACS 1.3.1 move']);
    expect(await events()).toEqual(['priors fetched PACS 1']);
  });

  it('that are here already are not fetched; a person may have them looked for again', async () => {
    priors.set('PACS', [prior('1.3.1')]);
    await store('1.3.1', 1, { StudyDate: '20250101' });
    await settled('1.3.1');
    await save({ name: 'priors', then: { prefetch: { from: ['PACS'], sameBodyPart: true } } });
    await store('1.2.1', 1);
    await expect.poll(events, SOON).toEqual(['priors noPriors  0']);
    priors.set('PACS', [prior('1.3.2'), prior('1.3.9')]);
    await rules.run('1.2.1', 'priors');
    await expect.poll(fetched, SOON).toEqual(['PACS 1.3.2 auto']);
  });

  it('are looked for again later in an archive that is away', async () => {
    priors.set('PACS', new Fault('DIMSE_UNREACHABLE'));
    await save({ name: 'priors', then: { prefetch: { from: ['PACS'] } } });
    await store('1.2.1', 1);
    await expect.poll(events, SOON).toEqual(['priors problem PACS 0']);
    priors.set('PACS', [prior('1.3.1')]);
    await box.database.pool.query('UPDATE rule_prefetch SET next_at = now()');
    await expect.poll(fetched, SOON).toEqual(['PACS 1.3.1 auto']);
  });

  it('of a booking are wanted by an event, before anything is here', async () => {
    await save({ name: 'priors', then: { prefetch: { from: ['PACS'] } } });
    await box.events.publish('priors.wanted', { studyUid: '1.2.99' });
    await expect
      .poll(
        async () => (await box.database.pool.query('SELECT study_uid, state FROM rule_prefetch')).rows,
        SOON,
      )
      .toEqual([{ study_uid: '1.2.99', state: 'done' }]);
  });
});

describe('Corrections', () => {
  it('are given for what comes, compiled once, and counted', async () => {
    await save({
      ...{ name: 'site', when: { source: 'calledAe', equals: 'EAST' } },
      then: { coerce: [{ op: 'prefix', attribute: 'PatientID', text: 'E-' }] },
    });
    const header = dataSet({ PatientID: '4711', StudyInstanceUID: '1.2.1' });
    const source = { kind: 'dimse', by: 'CT1', remoteAddress: '' } as const;
    expect(book.coerce(header, { ...source, calledAe: 'WEST' })).toBeUndefined();
    for (let count = 0; count < 3; count += 1)
      expect(book.coerce(header, { ...source, calledAe: 'EAST' })).toMatchObject({
        ...{ rules: ['site'], edits: [{ op: 'set', value: ['E-4711'] }] },
      });
    await expect.poll(events, SOON).toEqual(['site corrected  3']);
  });
});

describe('Versions', () => {
  it('are kept, checked against the devices, and not made from one that is no longer in force', async () => {
    const text = (...list: Rule[]): string => JSON.stringify({ version: 1, rules: list });
    expect(await rules.save(text(sendTo('a', 'WS3')), '', by)).toMatchObject({
      saved: false,
      problems: [
        {
          rule: 'a',
          path: 'rules[0].then.send.devices[0]',
          code: 'device',
          facts: { suggestion: expect.stringContaining('WS1') as string },
        },
      ],
    });
    expect(await rules.save(text({ ...sendTo('a', 'WS3'), enabled: false }), 'off', by, null)).toMatchObject({
      saved: true,
    });
    await expect(rules.save(text(), '', by, null)).rejects.toThrow('RULES_CHANGED');
    await save(sendTo('a', 'WS1'));
    expect((await rules.versions()).map(({ comment, author }) => `${author} ${comment}`)).toEqual([
      'Admin ',
      'Admin off',
    ]);
    const [, first] = await rules.versions();
    expect((await rules.version(first!.id)).file.rules).toMatchObject([{ enabled: false }]);
    await expect(rules.version(9999)).rejects.toThrow('NOT_FOUND');
    expect((await rules.state()).file.rules).toMatchObject([
      { name: 'a', then: { send: { devices: ['WS1'] } } },
    ]);
  });

  it('come from a file of the disk when it has changed, and a bad one changes nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lightbox-rules-'));
    const path = join(folder, 'rules.json');
    const parts = { book, devices: { list: () => Promise.resolve(devices) }, log };
    const names = (): string[] => book.active.file.rules.map(({ name }) => name);
    try {
      expect(await readRuleFile(path, parts)).toBe(false);
      writeFileSync(path, JSON.stringify({ version: 1, rules: [sendTo('file', 'WS1')] }));
      expect(await readRuleFile(path, parts)).toBe(true);
      expect(names()).toEqual(['file']);
      await save(sendTo('page', 'WS1'));
      await readRuleFile(path, parts);
      expect(names()).toEqual(['page']);
      writeFileSync(path, '{');
      await readRuleFile(path, parts);
      expect(names()).toEqual(['page']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('Trying rules on a study', () => {
  it('says what each would do and why not, and does nothing', async () => {
    await store('1.2.1', 1, { InstitutionName: 'west' });
    await store('1.2.1', 2, { Modality: 'SR', SeriesInstanceUID: '1.2.1.2' }, 'WS1');
    await settled('1.2.1');
    await save({ ...sendTo('ct', 'WS1', 'WS2'), when: { attribute: 'Modality', equals: 'CT' } });
    const draft: Rule[] = [
      sendTo('ct', 'WS1'),
      { ...sendTo('draft', 'WS1', 'WS9'), when: { attribute: 'Modality', equals: 'CT' } },
      { name: 'all', enabled: false, then: { send: { devices: ['WS1'] } } },
      { name: 'priors', then: { prefetch: { from: ['PACS', 'GONE'] } } },
      { name: 'upper', then: { coerce: [{ op: 'upper', attribute: 'InstitutionName' }] } },
    ];
    priors.set('PACS', [
      {
        studyUid: '1.3.1',
        patientId: 'P1',
        issuer: '',
        birthDate: '',
        date: '20250101',
        description: 'Old',
        modalities: ['CT'],
        instanceCount: 1,
      },
      {
        studyUid: '1.3.2',
        patientId: 'P2',
        issuer: '',
        birthDate: '',
        date: '20250101',
        description: '',
        modalities: [],
        instanceCount: 1,
      },
    ]);
    const before = (await box.database.pool.query('SELECT count(*) FROM rule_send')).rows;
    const tried = await rules.try('1.2.1', { version: 1, rules: draft }, true, new AbortController().signal);
    expect(tried).toMatchObject({ objects: 2, looked: 2 });
    const [ct, narrow, all, prefetch, upper] = tried.rules;
    // In force since later than these objects came.
    expect(ct?.send).toEqual([
      {
        aeTitle: 'WS1',
        objects: 0,
        left: [
          { why: 'older', objects: 1 },
          { why: 'source', objects: 1 },
        ],
      },
    ]);
    expect(narrow?.groups).toEqual([
      { objects: 1, series: ['1.2.1.1'], reasons: [] },
      {
        ...{ objects: 1, series: ['1.2.1.2'] },
        reasons: [{ path: 'when', what: 'Modality', test: 'equals', wanted: 'CT', found: ['SR'] }],
      },
    ]);
    expect(narrow?.send).toEqual([
      { aeTitle: 'WS1', objects: 1, left: [] },
      { aeTitle: 'WS9', objects: 0, left: [{ why: 'device', objects: 1 }] },
    ]);
    expect(all).toMatchObject({
      enabled: false,
      send: [{ objects: 1, left: [{ why: 'source', objects: 1 }] }],
    });
    expect(prefetch?.priors).toMatchObject([
      { studyUid: '1.3.1', why: null },
      { studyUid: '1.3.2', why: 'patient' },
    ]);
    expect(prefetch?.troubles).toMatchObject([{ aeTitle: 'GONE', code: 'TRANSFER_DEVICE' }]);
    expect(upper?.changes).toEqual([
      {
        ...{ attribute: 'InstitutionName', tag: '(0008,0080)', before: 'west', after: 'WEST' },
        ...{ objects: 1, series: ['1.2.1.1'] },
      },
    ]);
    expect((await box.database.pool.query('SELECT count(*) FROM rule_send')).rows).toEqual(before);
    expect(await transfers.list({ limit: 10 })).toEqual([]);
    await expect(rules.try('1.9', undefined, false, new AbortController().signal)).rejects.toThrow(
      'NOT_FOUND',
    );
  });
});
