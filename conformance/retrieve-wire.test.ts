/**
 * C-GET and C-MOVE with peers and destinations that behave badly: what is counted is what happened, and nobody else waits
 * (PS3.4 §C.4.2, §C.4.3, PS3.7 §9.1.3, §9.1.4).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DataSet, Tag } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { readDataSet } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { text } from '@lightbox/core/dicom/values.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { COMMANDS, NO_DATA_SET } from '@lightbox/core/dimse/command.ts';
import { writeMessage } from '@lightbox/core/dimse/message.ts';
import {
  COMPOSITE_ROOT_GET,
  COMPOSITE_ROOT_MOVE,
  STUDY_ROOT_GET,
  STUDY_ROOT_MOVE,
  WITHOUT_BULK_GET,
} from '@lightbox/core/dimse/retrieve.ts';
import { DimseClient, type RetrieveAnswer, type RetrieveOptions } from '../server/src/doors/dimse/client.ts';
import { Destination } from './support/destination.ts';
import { ctImage } from './support/images.ts';
import { LargeObject, residentOf, storeLarge } from './support/large.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { associateRequest, CT, dataSetOfFile, EXPLICIT, type Message, Wire } from './support/wire.ts';

const IMPLICIT = '1.2.840.10008.1.2';
const STUDY = '1.2.826.0.1.3680043.10.1234.90';
const COUNT = 500;
const IDLE_SECONDS = 3;
const GET_CONTEXT = 1;
const STORE_CONTEXT = 3;
const ECHO_CONTEXT = 5;
const MEBIBYTE = 1024 * 1024;

describe('Retrieving', () => {
  let box: Lightbox;
  let destination: Destination;
  let cookie: string;
  const large = new LargeObject(
    {
      studyUid: `${STUDY}.9`,
      seriesUid: `${STUDY}.9.1`,
      sopUid: `${STUDY}.9.1.1`,
      number: 1,
      patientId: 'BIG',
    },
    800,
  );

  beforeAll(async () => {
    box = await Lightbox.ready({
      env: { LIGHTBOX_DICOM_IDLE_SECONDS: String(IDLE_SECONDS), LIGHTBOX_DICOM_MAX_PER_AE: '64' },
    });
    destination = await Destination.start();
    cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    for (const device of [
      { aeTitle: 'READER', verbs: ['echo', 'find', 'move', 'get'] },
      { aeTitle: 'OTHER', verbs: ['echo', 'find', 'move', 'get'] },
      { aeTitle: 'SINK', host: '127.0.0.1', port: destination.port, verbs: ['echo'] },
    ])
      expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
    const sender = await DimseClient.open({
      ...{ host: '127.0.0.1', port: box.dicomPort, calledAe: 'LIGHTBOX', callingAe: 'SENDER' },
      contexts: [{ sopClassUid: CT, transferSyntaxUids: [EXPLICIT] }],
    });
    for (let number = 1; number <= COUNT; number += 1) {
      const sopUid = `${STUDY}.1.${number}`;
      const file = ctImage({
        ...{ studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid, number, side: 64, patientId: 'P90' },
        chance: () => 0.5,
      });
      const stored = await sender.store({ sopClassUid: CT, sopInstanceUid: sopUid }, dataSetOfFile(file));
      expect(stored.status).toBe(0);
    }
    await sender.close();
    expect(await storeLarge(box.dicomPort, large)).toBe(0);
  }, 300_000);
  afterAll(async () => {
    destination.stop();
    await box.stop();
  });

  const identifier = (level: string, ...keys: (readonly [Tag, string])[]): DataSet =>
    dataSetOf([
      makeElement(Tags.QueryRetrieveLevel, level),
      ...keys.map(([tag, value]) => makeElement(tag, value.split('\\'))),
    ]);
  const wholeStudy = identifier('STUDY', [Tags.StudyInstanceUID, STUDY]);
  const images = (...numbers: number[]): DataSet =>
    identifier(
      'IMAGE',
      [Tags.StudyInstanceUID, STUDY],
      [Tags.SeriesInstanceUID, `${STUDY}.1`],
      [Tags.SOPInstanceUID, numbers.map((number) => `${STUDY}.1.${number}`).join('\\')],
    );

  function reader(
    sopClassUid: string,
    more: { takes?: string[]; syntaxes?: string[]; callingAe?: string; relational?: boolean } = {},
  ): Promise<DimseClient> {
    const { takes = [], syntaxes = [EXPLICIT], callingAe = 'READER' } = more;
    return DimseClient.open({
      ...{ host: '127.0.0.1', port: box.dicomPort, calledAe: 'LIGHTBOX', callingAe, takes },
      contexts: [
        { sopClassUid, transferSyntaxUids: [EXPLICIT] },
        ...takes.map((uid) => ({ sopClassUid: uid, transferSyntaxUids: syntaxes })),
      ],
      relational: more.relational === true ? [sopClassUid] : undefined,
    });
  }

  async function move(
    wanted: DataSet,
    options: RetrieveOptions = {},
    callingAe?: string,
  ): Promise<RetrieveAnswer> {
    const client = await reader(STUDY_ROOT_MOVE, callingAe === undefined ? {} : { callingAe });
    try {
      return await client.move(STUDY_ROOT_MOVE, wanted, 'SINK', options);
    } finally {
      await client.close();
    }
  }

  /** The data sets a C-GET brings. */
  async function get(
    sopClassUid: string,
    wanted: DataSet,
    more: Parameters<typeof reader>[1] = {},
  ): Promise<{ answer: RetrieveAnswer; got: DataSet[] }> {
    const client = await reader(sopClassUid, { takes: [CT], ...more });
    const got: DataSet[] = [];
    const answer = await client.get(sopClassUid, wanted, (object) => {
      const parts: Buffer[] = [];
      return Promise.resolve({
        write: (bytes: Uint8Array) => void parts.push(Buffer.from(bytes)),
        finish: () => {
          got.push(readDataSet(Buffer.concat(parts), object.transferSyntaxUid).dataSet);
          return Promise.resolve();
        },
        abort: () => Promise.resolve(),
      });
    });
    await client.close();
    return { answer, got };
  }

  /** Associations that are open there. */
  const associations = async (): Promise<number> => {
    const metrics = await (await fetch(`${box.url}/metrics`, { headers: { cookie } })).text();
    return Number(/^lightbox_dicom_associations (\d+)/m.exec(metrics)?.[1] ?? Number.NaN);
  };

  it('counts exactly while 500 objects are moved, and tells the destination who asked', async () => {
    destination.reset();
    const seen: number[] = [];
    const answer = await move(wholeStudy, {
      progress: ({ remaining, completed = 0, failed = 0, warnings = 0 }) => {
        if (remaining === undefined) return;
        expect(remaining + completed + failed + warnings).toBe(COUNT);
        seen.push(remaining);
      },
    });
    expect(answer).toMatchObject({ status: 0, counts: { completed: COUNT, failed: 0, warnings: 0 } });
    expect(answer.counts.remaining).toBeUndefined();
    expect(seen[0]).toBe(COUNT);
    expect(seen).toEqual([...seen].sort((one, other) => other - one));
    expect(destination.arrived).toHaveLength(COUNT);
    expect(new Set(destination.arrived.map(({ command }) => command.affectedSopInstanceUid)).size).toBe(
      COUNT,
    );
    for (const { command } of destination.arrived)
      expect(command).toMatchObject({ moveOriginatorAe: 'READER', moveOriginatorMessageId: 1, priority: 0 });
    expect(destination.requests).toHaveLength(1);
    expect(destination.requests[0]).toMatchObject({ callingAe: 'LIGHTBOX', calledAe: 'SINK' });
  });

  it('counts failures and warnings of the destination, and names what failed', async () => {
    destination.reset({ answer: (_, index) => [0, 0xa700, 0xb000, 0xc001, 0][index] ?? 0 });
    const answer = await move(images(1, 2, 3, 4, 5));
    expect(answer.status).toBe(0xb000);
    expect(answer.counts).toEqual({ completed: 2, failed: 2, warnings: 1 });
    const uids = destination.arrived.map(({ command }) => command.affectedSopInstanceUid);
    expect(answer.failedUids).toEqual([uids[1], uids[3]]);
  });

  it('says so when nothing could be sent (A702H)', async () => {
    destination.reset({ answer: () => 0xa700 });
    expect(await move(images(1, 2))).toMatchObject({ status: 0xa702, counts: { failed: 2 } });
    destination.reset({ accepts: () => false });
    expect(await move(images(1, 2))).toMatchObject({ status: 0xa702, counts: { completed: 0, failed: 2 } });
    expect(destination.arrived).toEqual([]);
  });

  it('writes anew what a destination takes in another transfer syntax only', async () => {
    destination.reset({ accepts: ({ transferSyntaxes }) => transferSyntaxes[0] === IMPLICIT });
    expect(await move(images(1, 2))).toMatchObject({ status: 0, counts: { completed: 2 } });
    expect(destination.arrived.map((one) => one.transferSyntaxUid)).toEqual([IMPLICIT, IMPLICIT]);
  });

  it('goes on over a new association when one is broken', async () => {
    destination.reset({ answer: (_, index) => (index === 2 ? 'abort' : 0) });
    expect(await move(images(1, 2, 3, 4, 5))).toMatchObject({ status: 0, counts: { completed: 5 } });
    expect(destination.requests).toHaveLength(2);
    // One object it always breaks off at fails, and the others arrive.
    const bad = `${STUDY}.1.3`;
    destination.reset({ answer: (command) => (command.affectedSopInstanceUid === bad ? 'abort' : 0) });
    const answer = await move(images(1, 2, 3, 4, 5));
    expect(answer).toMatchObject({ status: 0xb000, counts: { completed: 4, failed: 1 }, failedUids: [bad] });
  });

  it('gives a destination up that never answers, and tells the peer meanwhile that it is alive', async () => {
    destination.reset({ answer: () => 'silent' });
    let pending = 0;
    const answer = await move(images(1, 2, 3, 4, 5, 6), {
      progress: ({ remaining }) => void (pending += remaining === undefined ? 0 : 1),
    });
    expect(answer).toMatchObject({ status: 0xa702, counts: { failed: 6 } });
    expect(pending).toBeGreaterThanOrEqual(3);
    expect(destination.requests).toHaveLength(3);
  }, 60_000);

  it('stops soon after C-CANCEL (FE00H)', async () => {
    destination.reset({ delayMs: 5 });
    const stop = new AbortController();
    const answer = await move(wholeStudy, {
      signal: stop.signal,
      progress: ({ completed = 0 }) => {
        if (completed > 5) stop.abort();
      },
    });
    expect(answer.status).toBe(0xfe00);
    const { remaining = 0, completed = 0 } = answer.counts;
    expect(remaining).toBeGreaterThan(100);
    expect(completed).toBe(destination.arrived.length);
    expect(remaining + completed).toBe(COUNT);
  });

  it('carries out four of one peer at once, others beside them, and the rest in turn', async () => {
    destination.reset({ delayMs: 20 });
    const all = Array.from({ length: 50 }, (_, index) => move(images(index + 1, index + 2, index + 3)));
    await sleep(300);
    const other = await move(images(7), {}, 'OTHER');
    expect(other.status).toBe(0);
    const answers = await Promise.all(all);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([0]));
    expect(destination.arrived).toHaveLength(151);
    // Closing takes a moment: one that ends may overlap with one that begins.
    expect(destination.most).toBeLessThanOrEqual(8);
  }, 60_000);

  it('says that nothing matched: success, without any object', async () => {
    destination.reset();
    const answer = await move(identifier('STUDY', [Tags.StudyInstanceUID, '1.2.3.4']));
    expect(answer).toMatchObject({ status: 0, counts: { completed: 0, failed: 0, warnings: 0 } });
    expect(destination.requests).toEqual([]);
  });

  it('gets single instances by Composite Instance Root, not frames (PS3.4 Annex Y)', async () => {
    const sop = identifier('IMAGE', [Tags.SOPInstanceUID, `${STUDY}.1.7\\${STUDY}.1.8`]);
    const { answer, got } = await get(COMPOSITE_ROOT_GET, sop);
    expect(answer).toMatchObject({ status: 0, counts: { completed: 2 } });
    expect(got.map((one) => text(one, Tags.SOPInstanceUID))).toEqual([`${STUDY}.1.7`, `${STUDY}.1.8`]);
    const frame = identifier('FRAME', [Tags.SOPInstanceUID, `${STUDY}.1.7`]);
    expect((await get(COMPOSITE_ROOT_GET, frame)).answer.status).toBe(0xa900);
    destination.reset();
    const client = await reader(COMPOSITE_ROOT_MOVE);
    expect(await client.move(COMPOSITE_ROOT_MOVE, sop, 'SINK')).toMatchObject({ counts: { completed: 2 } });
    await client.close();
  });

  it.each([
    ['explicit', [EXPLICIT]],
    ['implicit', [IMPLICIT]],
    ['a compressed transfer syntax', ['1.2.840.10008.1.2.4.90']],
  ])('gets headers without bulk data in %s (PS3.4 Annex Z)', async (_, syntaxes) => {
    const wanted = identifier('IMAGE', [Tags.SOPInstanceUID, `${STUDY}.1.7`]);
    const { answer, got } = await get(WITHOUT_BULK_GET, wanted, { syntaxes });
    expect(answer).toMatchObject({ status: 0, counts: { completed: 1 } });
    const [header] = got;
    expect(header?.elements.has(Tags.PixelData)).toBe(false);
    expect(header && text(header, Tags.PatientID)).toBe('P90');
    expect(header && text(header, Tags.Rows)).toBe('64');
  });

  it('relational retrieval needs no keys above the level; without it they are needed (PS3.4 §C.5.3.1)', async () => {
    const sop = identifier('IMAGE', [Tags.SOPInstanceUID, `${STUDY}.1.9`]);
    expect((await get(STUDY_ROOT_GET, sop, { relational: true })).got).toHaveLength(1);
    const { answer } = await get(STUDY_ROOT_GET, sop);
    expect(answer).toMatchObject({ status: 0xa900, comment: 'no unique key of the study level' });
  });

  describe('C-GET, by hand', () => {
    async function opened(performed = 1): Promise<Wire> {
      const wire = await Wire.open(box.dicomPort);
      const window = performed > 1 ? { window: { invoked: 1, performed } } : {};
      const roles = [{ sopClassUid: CT, scu: false, scp: true }];
      wire.send({
        ...associateRequest({ callingAe: 'READER', user: { roles, ...window } }),
        contexts: [
          { id: GET_CONTEXT, abstractSyntax: STUDY_ROOT_GET, transferSyntaxes: [EXPLICIT] },
          { id: STORE_CONTEXT, abstractSyntax: CT, transferSyntaxes: [EXPLICIT] },
          { id: ECHO_CONTEXT, abstractSyntax: '1.2.840.10008.1.1', transferSyntaxes: [EXPLICIT] },
        ],
      });
      expect(await wire.next()).toMatchObject({ type: 'associate-ac', user: { roles } });
      return wire;
    }
    const ask = (wire: Wire, wanted: DataSet, messageId = 7): void =>
      wire.request(
        GET_CONTEXT,
        {
          ...{ commandField: COMMANDS.getRequest, messageId, affectedSopClassUid: STUDY_ROOT_GET },
          ...{ priority: 0, dataSetType: 1 },
        },
        writeDataSet(wanted, EXPLICIT),
      );
    const stored = (wire: Wire, { contextId, command }: Message, status = 0): void =>
      wire.send(
        writeMessage(
          contextId,
          {
            ...{ commandField: COMMANDS.storeResponse, messageIdRespondedTo: command.messageId, status },
            dataSetType: NO_DATA_SET,
          },
          undefined,
          16384,
        ),
      );
    const isStore = ({ command }: Message): boolean => command.commandField === COMMANDS.storeRequest;
    async function nextStore(wire: Wire): Promise<Message> {
      for (;;) {
        const message = await wire.message();
        if (isStore(message)) return message;
        if (message.command.status !== 0xff00) throw new Error(`ended with ${message.command.status}`);
      }
    }
    async function final(wire: Wire): Promise<Message> {
      for (;;) {
        const message = await wire.message();
        if (!isStore(message) && message.command.status !== 0xff00) return message;
      }
    }

    it('sends the next object when the last was answered', async () => {
      const wire = await opened();
      ask(wire, images(1, 2, 3));
      for (let count = 0; count < 3; count += 1) {
        const message = await nextStore(wire);
        expect(message.contextId).toBe(STORE_CONTEXT);
        const before = wire.received;
        await sleep(50);
        expect(wire.received).toBe(before);
        stored(wire, message, count === 1 ? 0xa700 : 0);
      }
      const { command, dataSet } = await final(wire);
      expect(command).toMatchObject({ status: 0xb000, completed: 2, failed: 1, warnings: 0 });
      expect(dataSet && text(readDataSet(dataSet, EXPLICIT).dataSet, Tags.FailedSOPInstanceUIDList)).toBe(
        `${STUDY}.1.2`,
      );
      wire.destroy();
    });

    it('sends as many at once as the peer performs (PS3.7 §D.3.3.3)', async () => {
      const wire = await opened(4);
      ask(wire, images(1, 2, 3, 4, 5, 6));
      const first = [];
      for (let count = 0; count < 4; count += 1) first.push(await nextStore(wire));
      const before = wire.received;
      await sleep(100);
      expect(wire.received).toBe(before);
      // Answers may come in any order.
      for (const message of first.reverse()) stored(wire, message);
      for (let count = 0; count < 2; count += 1) stored(wire, await nextStore(wire));
      expect((await final(wire)).command).toMatchObject({ status: 0, completed: 6 });
      wire.destroy();
    });

    it('ends with FE00H after C-CANCEL; the association goes on', async () => {
      const wire = await opened();
      ask(wire, wholeStudy);
      stored(wire, await nextStore(wire));
      const second = await nextStore(wire);
      wire.request(GET_CONTEXT, {
        ...{ commandField: COMMANDS.cancelRequest, messageIdRespondedTo: 7, dataSetType: NO_DATA_SET },
      });
      await sleep(20);
      stored(wire, second);
      const { command } = await final(wire);
      expect(command).toMatchObject({ status: 0xfe00, completed: 2, failed: 0, remaining: COUNT - 2 });
      wire.request(ECHO_CONTEXT, {
        ...{ commandField: COMMANDS.echoRequest, messageId: 9, affectedSopClassUid: '1.2.840.10008.1.1' },
        dataSetType: NO_DATA_SET,
      });
      expect((await wire.message()).command).toMatchObject({ messageIdRespondedTo: 9, status: 0 });
      wire.destroy();
    });

    it('is over when the peer releases or goes, in the middle of an object too', async () => {
      const released = await opened();
      ask(released, images(1, 2));
      await nextStore(released);
      released.send({ type: 'release-rq' });
      for (let value = await released.next(); value !== 'closed'; value = await released.next())
        if (value.type === 'release-rp') break;
      const gone = await opened();
      ask(gone, identifier('STUDY', [Tags.StudyInstanceUID, `${STUDY}.9`]));
      await sleep(50);
      gone.destroy();
      released.destroy();
      for (let tries = 0; (await associations()) > 0 && tries < 100; tries += 1) await sleep(50);
      expect(await associations()).toBe(0);
    });

    it('waits only so long for an answer', async () => {
      const wire = await opened();
      ask(wire, images(1, 2));
      await nextStore(wire);
      const began = performance.now();
      for (let value = await wire.next(); value !== 'closed'; value = await wire.next());
      expect(performance.now() - began).toBeLessThan(IDLE_SECONDS * 4000);
    }, 30_000);
  });

  it('waits for a slow reader without filling memory, then gives up', async () => {
    const wire = await Wire.open(box.dicomPort);
    const enhanced = '1.2.840.10008.5.1.4.1.1.2.1';
    const roles = [{ sopClassUid: enhanced, scu: false, scp: true }];
    wire.send({
      ...associateRequest({ callingAe: 'READER', user: { roles } }),
      contexts: [
        { id: GET_CONTEXT, abstractSyntax: STUDY_ROOT_GET, transferSyntaxes: [EXPLICIT] },
        { id: STORE_CONTEXT, abstractSyntax: enhanced, transferSyntaxes: [EXPLICIT] },
      ],
    });
    await wire.next();
    const before = residentOf(box.pid);
    wire.socket.pause();
    wire.request(
      GET_CONTEXT,
      {
        ...{ commandField: COMMANDS.getRequest, messageId: 1, affectedSopClassUid: STUDY_ROOT_GET },
        ...{ priority: 0, dataSetType: 1 },
      },
      writeDataSet(identifier('STUDY', [Tags.StudyInstanceUID, `${STUDY}.9`]), EXPLICIT),
    );
    await sleep(1000);
    expect(residentOf(box.pid) - before).toBeLessThan(32 * MEBIBYTE);
    await sleep(IDLE_SECONDS * 2000 + 3000);
    wire.socket.resume();
    for (let value = await wire.next(); value !== 'closed'; value = await wire.next());
    expect(wire.received).toBeLessThan(large.dataSetBytes / 2);
  }, 60_000);

  it('writes down who took what, and who was refused', async () => {
    destination.reset();
    await move(images(1, 2));
    const client = await reader(STUDY_ROOT_MOVE);
    const answer = await client.move(STUDY_ROOT_MOVE, images(1), 'NOBODY');
    expect(answer).toMatchObject({ status: 0xa801 });
    await client.close();
    await sleep(500);
    const trail = await (await fetch(`${box.url}/api/audit?limit=50`, { headers: { cookie } })).text();
    expect(trail).toContain('"transfer.begin"');
    expect(trail).toMatch(/"transfer".*"success".*SINK|SINK.*"transfer"/s);
    expect(trail).toContain('RETRIEVE_DESTINATION');
    expect(trail).toContain(STUDY);
  });
});
