/**
 * The DICOM port as a careless, slow or hostile peer finds it (PS3.8 §9.2, PS3.7 §9; hostile-input catalogue C51 to C63, C75).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '../core/src/dicom/element.ts';
import { Tags } from '../core/src/dicom/tags.gen.ts';
import { text } from '../core/src/dicom/values.ts';
import { COMMANDS, NO_DATA_SET, writeCommand } from '../core/src/dimse/command.ts';
import { writeMessage } from '../core/src/dimse/message.ts';
import { MAX_WINDOW, STUDY_ROOT_FIND } from '../core/src/dimse/negotiate.ts';
import { writePdu } from '../core/src/dimse/pdu.ts';
import type { Received } from '../core/src/dimse/splitter.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox, residentBytes } from './support/lightbox.ts';
import {
  associateRequest,
  CT,
  dataSetOfFile,
  ECHO_CONTEXT,
  FIND_CONTEXT,
  STORE_CONTEXT,
  storeMessage,
  Wire,
} from './support/wire.ts';

const ROOT = '1.2.826.0.1.3680043.10.1234.900';
const SECRET = 'correct horse battery staple';

const image = (study: number, number: number): { sopUid: string; bytes: Buffer } => {
  const studyUid = `${ROOT}.${study}`;
  const sopUid = `${studyUid}.1.${number}`;
  const names = { studyUid, seriesUid: `${studyUid}.1`, sopUid, number, patientId: `W${study}` };
  return { sopUid, bytes: dataSetOfFile(ctImage({ ...names, side: 16, chance: () => 0.5 })) };
};

const bytes = (hex: string): Uint8Array => Buffer.from(hex.replace(/\s/g, ''), 'hex');
const pdv = (contextId: number, control: number, value: Uint8Array): Uint8Array => {
  const out = Buffer.alloc(12 + value.length);
  out[0] = 4;
  out.writeUInt32BE(6 + value.length, 2);
  out.writeUInt32BE(2 + value.length, 6);
  out[10] = contextId;
  out[11] = control;
  out.set(value, 12);
  return out;
};
const ECHO = writeMessage(
  ECHO_CONTEXT,
  { commandField: COMMANDS.echoRequest, messageId: 1, dataSetType: NO_DATA_SET },
  undefined,
  16384,
);
const FIND_COMMAND = writeCommand({
  ...{ commandField: COMMANDS.findRequest, messageId: 1, dataSetType: 1 },
  affectedSopClassUid: STUDY_ROOT_FIND,
});

describe('The DICOM port', () => {
  let box: Lightbox;
  const wires: Wire[] = [];

  async function connected(): Promise<Wire> {
    const wire = await Wire.open(box.dicomPort);
    wires.push(wire);
    return wire;
  }
  async function associated(options: Parameters<typeof associateRequest>[0] = {}): Promise<Wire> {
    const wire = await connected();
    const answer = await wire.associate(options);
    expect(answer === 'closed' ? answer : answer.type).toBe('associate-ac');
    return wire;
  }
  const canary = async (): Promise<void> => {
    const wire = await associated();
    wire.echo();
    expect((await wire.message()).command.status).toBe(0);
    expect(await wire.release()).toEqual({ type: 'release-rp' });
  };
  const instances = async (study: number): Promise<unknown[]> =>
    box.getJson(`/dicom-web/studies/${ROOT}.${study}/instances`);

  beforeAll(async () => {
    box = await Lightbox.ready({
      env: {
        ...{ LIGHTBOX_DICOM_ARTIM_SECONDS: '2', LIGHTBOX_DICOM_IDLE_SECONDS: '3' },
        ...{ LIGHTBOX_DICOM_MAX_ASSOCIATIONS: '12', LIGHTBOX_LOG_LEVEL: 'trace' },
      },
    });
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const verbs = ['echo', 'store', 'find'];
    expect((await box.post('/api/devices', { aeTitle: 'FINDER', verbs }, { cookie })).ok).toBe(true);
  });
  afterEach(async () => {
    for (const wire of wires.splice(0)) wire.destroy();
    // Until the server has seen it: a place among the associations is one test's only.
    await sleep(50);
  });
  afterAll(async () => {
    await box.stop();
  });

  describe('aborts with the reason of PS3.8 Table 9-26', () => {
    const ends = async (wire: Wire, source: number, reason: number): Promise<void> => {
      expect(await wire.next()).toEqual({ type: 'abort', source, reason });
      wire.socket.end();
      expect(await wire.next()).toBe('closed');
    };

    it.each([
      ['a request of 4 GB', bytes('01 00 ffffffff 0001')],
      ['a request of length 0', bytes('01 00 00000000')],
      ['a request whose item runs out', bytes(`01 00 00000048 0001 ${'00'.repeat(66)} 1000ffff`)],
    ])('before an association, without one: %s (AA-1)', async (_, sent) => {
      const wire = await connected();
      wire.send(sent);
      await ends(wire, 0, 0);
    });

    it.each([
      ['an unknown PDU', bytes('00 00 00000004 00000000'), 1],
      ['a second request', writePdu(associateRequest()), 2],
      ['an A-ASSOCIATE-RJ', writePdu({ type: 'associate-rj', result: 1, source: 1, reason: 1 }), 2],
      ['a release reply nobody asked for', writePdu({ type: 'release-rp' }), 2],
      ['P-DATA of 4 GB', bytes('04 00 ffffffff 00000004 01 03'), 6],
      ['P-DATA longer than agreed', bytes('04 00 00020001 00000004 01 03'), 6],
      ['an empty P-DATA', bytes('04 00 00000000'), 6],
      ['a PDV of length 0', bytes('04 00 00000006 00000000 01 03'), 6],
      ['a PDV longer than its PDU', bytes('04 00 00000008 000000ff 01 03 0000'), 6],
      ['an even context', pdv(2, 3, FIND_COMMAND), 6],
      ['a context that was not agreed on', pdv(99, 3, FIND_COMMAND), 6],
      ['a command that is none', pdv(1, 3, bytes('0102030405060708')), 6],
      ['a data set without a command', pdv(STORE_CONTEXT, 2, bytes('00')), 2],
      ['interleaved contexts', Buffer.concat([pdv(1, 1, FIND_COMMAND), pdv(3, 3, FIND_COMMAND)]), 2],
      [
        'a command where its data set is due',
        Buffer.concat([pdv(FIND_CONTEXT, 3, FIND_COMMAND), pdv(FIND_CONTEXT, 3, FIND_COMMAND)]),
        2,
      ],
    ])('within one: %s', async (_, sent, reason) => {
      const wire = await associated({ callingAe: 'FINDER' });
      wire.send(sent);
      await ends(wire, 2, reason);
    });

    it('closes without a word on the abort of a peer (AA-2, AA-3)', async () => {
      for (const wire of [await connected(), await associated()]) {
        wire.send({ type: 'abort', source: 0, reason: 0 });
        expect(await wire.next()).toBe('closed');
      }
    });

    it('and serves everybody else', canary);
  });

  describe('waits only so long', () => {
    it('for a request, sent byte by byte or not at all (ARTIM)', async () => {
      const silent = await connected();
      const slow = await connected();
      const request = writePdu(associateRequest());
      for (let at = 0; at < 40 && !slow.closed; at += 1) {
        slow.send(request.subarray(at, at + 1));
        await sleep(100);
      }
      expect(slow.closed).toBe(true);
      expect(await silent.next()).toBe('closed');
    });

    it('for a message within an association, and for the rest of one', async () => {
      const silent = await associated();
      const slow = await associated();
      const { sopUid, bytes: object } = image(1, 1);
      const message = storeMessage(1, sopUid, object);
      slow.send(message.subarray(0, 300));
      for (let at = 300; at < 360 && !slow.closed; at += 1) {
        slow.send(message.subarray(at, at + 1));
        await sleep(100);
      }
      expect(slow.closed).toBe(true);
      expect(await silent.next()).toEqual({ type: 'abort', source: 0, reason: 0 });
      expect(await instances(1)).toEqual([]);
    });

    it('but not while messages come', async () => {
      const wire = await associated();
      for (let count = 1; count <= 5; count += 1) {
        await sleep(1000);
        wire.echo(count);
        expect((await wire.message()).command.status).toBe(0);
      }
      await wire.release();
    });

    it('for a peer that sends and never reads', async () => {
      const wire = await associated();
      wire.socket.pause();
      const before = await residentBytes(box.pid);
      const questions = Buffer.concat(Array.from({ length: 500 }, () => ECHO));
      // Up to 180 MB; their answers do not fit into the buffers of both sides.
      for (let count = 0; count < 4000 && !wire.closed; count += 1) {
        wire.send(questions);
        await wire.drained();
      }
      expect(wire.closed).toBe(true);
      expect((await residentBytes(box.pid)) - before).toBeLessThan(96 * 1024 * 1024);
      await canary();
    });
  });

  describe('has room for so many', () => {
    const full = { type: 'associate-rj', result: 2, source: 3, reason: 2 };

    it('of one address, this machine too, and of one AE title; counts and logs it without saying whose', async () => {
      const small = await Lightbox.ready({
        env: { LIGHTBOX_DICOM_MAX_PER_ADDRESS: '5', LIGHTBOX_DICOM_MAX_PER_AE: '3' },
      });
      try {
        const ask = async (callingAe: string): Promise<[Wire, Received | 'closed']> => {
          const wire = await Wire.open(small.dicomPort);
          wires.push(wire);
          return [wire, await wire.associate({ callingAe })];
        };
        const accepted = { type: 'associate-ac' };
        const [first] = await ask('GREEDY');
        for (let more = 0; more < 2; more += 1) expect((await ask('GREEDY'))[1]).toMatchObject(accepted);
        expect((await ask('GREEDY'))[1]).toEqual(full);
        // Another name still finds a place, until the address has used up its own.
        for (let more = 0; more < 2; more += 1) expect((await ask('MODEST'))[1]).toMatchObject(accepted);
        expect((await ask('LATE'))[1]).toEqual(full);
        expect(await first.release()).toEqual({ type: 'release-rp' });
        expect(await first.next()).toBe('closed');
        await expect.poll(async () => (await ask('GREEDY'))[1]).toMatchObject(accepted);
        const cookie = await small.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
        const metrics = await (await fetch(`${small.url}/metrics`, { headers: { cookie } })).text();
        for (const limit of ['address', 'aeTitle'])
          expect(metrics).toMatch(new RegExp(`lightbox_dicom_refused_total\\{limit="${limit}"\\} [1-9]`));
        expect(small.output).toContain('too many at the same time');
        expect(small.output).not.toMatch(/GREEDY|MODEST|LATE/);
      } finally {
        await small.stop();
      }
    });

    it('rejects the next for the moment (RJ 2/3/2), and takes it when one has gone', async () => {
      const open = await Promise.all(Array.from({ length: 12 }, () => associated()));
      const late = await connected();
      expect(await late.associate()).toEqual(full);
      expect(await open[0]?.release()).toEqual({ type: 'release-rp' });
      expect(await open[0]?.next()).toBe('closed');
      await sleep(50);
      await canary();
      for (const wire of open) wire.destroy();
    });

    it('connections that ask for nothing do not keep others out', async () => {
      const idle = await Promise.all(Array.from({ length: 100 }, () => connected()));
      await canary();
      for (const wire of idle) wire.destroy();
    });
  });

  describe('keeps what a message means apart', () => {
    it.each([
      [
        'C-MOVE, with a data set',
        FIND_CONTEXT,
        { commandField: COMMANDS.moveRequest, affectedSopClassUid: STUDY_ROOT_FIND },
        true,
        0x0211,
      ],
      [
        'N-EVENT-REPORT, with a data set',
        STORE_CONTEXT,
        { commandField: COMMANDS.eventReportRequest, affectedSopClassUid: CT },
        true,
        0x0211,
      ],
      [
        'C-STORE in a context of another service',
        ECHO_CONTEXT,
        { commandField: COMMANDS.storeRequest },
        true,
        0x0211,
      ],
      ['C-FIND of one who may not', FIND_CONTEXT, { commandField: COMMANDS.findRequest }, true, 0x0124],
      ['C-ECHO with a data set', ECHO_CONTEXT, { commandField: COMMANDS.echoRequest }, true, 0x0212],
      ['C-STORE without one', STORE_CONTEXT, { commandField: COMMANDS.storeRequest }, false, 0x0212],
      [
        'C-STORE of another class',
        STORE_CONTEXT,
        { commandField: COMMANDS.storeRequest, affectedSopClassUid: '1.2' },
        true,
        0xa900,
      ],
      [
        'C-STORE without an instance',
        STORE_CONTEXT,
        { commandField: COMMANDS.storeRequest, affectedSopClassUid: CT },
        true,
        0xc000,
      ],
    ] as const)('%s', async (_, contextId, command, hasData, status) => {
      const wire = await associated();
      const dataSetType = hasData ? 1 : NO_DATA_SET;
      wire.request(
        contextId,
        { messageId: 9, dataSetType, ...command },
        hasData ? new Uint8Array(40_000) : undefined,
      );
      const { command: answer } = await wire.message();
      expect(answer).toMatchObject({
        ...{ commandField: command.commandField | 0x8000, status, messageIdRespondedTo: 9 },
      });
      wire.echo(10);
      expect((await wire.message()).command).toMatchObject({ status: 0, messageIdRespondedTo: 10 });
    });

    it('a missing message ID, a C-CANCEL and an answer that belong to nothing', async () => {
      const wire = await associated();
      wire.request(ECHO_CONTEXT, { commandField: COMMANDS.echoRequest, dataSetType: NO_DATA_SET });
      expect((await wire.message()).command.status).toBe(0x0212);
      wire.cancel(77);
      wire.request(
        STORE_CONTEXT,
        { commandField: COMMANDS.storeResponse, messageIdRespondedTo: 1, status: 0, dataSetType: 1 },
        new Uint8Array(100),
      );
      wire.echo(3);
      expect((await wire.message()).command).toMatchObject({ status: 0, messageIdRespondedTo: 3 });
    });
  });

  it('an object that breaks off at any PDV leaves nothing, and can be sent again', async () => {
    const { sopUid, bytes: object } = image(2, 1);
    const message = storeMessage(1, sopUid, object, 128);
    const cuts: number[] = [];
    for (let at = 0; at < message.length; at += 6 + Buffer.from(message).readUInt32BE(at + 2)) cuts.push(at);
    expect(cuts.length).toBeGreaterThan(8);
    for (const cut of cuts) {
      const wire = await associated();
      wire.send(message.subarray(0, cut));
      await sleep(5);
      wire.destroy();
    }
    expect(await instances(2)).toEqual([]);
    expect(await box.getJson('/api/quarantine')).toEqual([]);
    const wire = await associated();
    wire.send(message);
    expect((await wire.message()).command.status).toBe(0);
    expect(await instances(2)).toHaveLength(1);
  });

  describe('several operations at once (PS3.7 §D.3.3.3)', () => {
    it('agrees to at most eight', async () => {
      const wire = await connected();
      const answer = await wire.associate({ user: { window: { invoked: 0, performed: 0 } } });
      expect(answer).toMatchObject({ user: { window: { invoked: MAX_WINDOW, performed: MAX_WINDOW } } });
    });

    it.each([8, undefined])('stores 40 objects sent in one go, window %s', async (invoked) => {
      const study = invoked ?? 9;
      const window = invoked === undefined ? {} : { window: { invoked, performed: MAX_WINDOW } };
      const wire = await associated({ user: window });
      const objects = Array.from({ length: 40 }, (_, at) => image(study * 10, at + 1));
      wire.send(Buffer.concat(objects.map((one, at) => storeMessage(at + 1, one.sopUid, one.bytes))));
      const answered: number[] = [];
      for (const _ of objects) {
        const { command } = await wire.message();
        expect(command.status).toBe(0);
        expect(command.affectedSopInstanceUid).toBe(objects[(command.messageIdRespondedTo ?? 0) - 1]?.sopUid);
        answered.push(command.messageIdRespondedTo ?? 0);
      }
      expect(new Set(answered).size).toBe(40);
      // Who did not ask for a window gets the answers in order.
      if (invoked === undefined) expect(answered).toEqual(answered.toSorted((a, b) => a - b));
      expect(await instances(study * 10)).toHaveLength(40);
    });

    it('answers all that is under way before it lets go', async () => {
      const wire = await associated({ user: { window: { invoked: 8, performed: MAX_WINDOW } } });
      const objects = Array.from({ length: 8 }, (_, at) => image(70, at + 1));
      wire.send(Buffer.concat(objects.map((one, at) => storeMessage(at + 1, one.sopUid, one.bytes))));
      wire.send({ type: 'release-rq' });
      for (const _ of objects) expect((await wire.message()).command.status).toBe(0);
      expect(await wire.next()).toEqual({ type: 'release-rp' });
    });
  });

  describe('a large answer to C-FIND', () => {
    const COUNT = 1200;
    /** 900 attributes nobody has make each answer some 8 KB: more than the buffers of both sides hold. */
    const everything = dataSet({
      ...{ QueryRetrieveLevel: 'IMAGE', StudyInstanceUID: `${ROOT}.5`, SeriesInstanceUID: `${ROOT}.5.1` },
      ...{ SOPInstanceUID: '' },
    });
    for (let at = 0; at < 900; at += 1) {
      const tag = 0x00430000 + 0x1000 + at;
      (everything.elements as Map<number, unknown>).set(tag, { tag, vr: 'LO', bytes: new Uint8Array(0) });
    }

    beforeAll(async () => {
      const wire = await associated({ user: { window: { invoked: 8, performed: MAX_WINDOW } } });
      for (let at = 1; at <= COUNT; at += 1) {
        const one = image(5, at);
        wire.store(at, one.sopUid, one.bytes);
      }
      for (let at = 1; at <= COUNT; at += 1) expect((await wire.message()).command.status).toBe(0);
      await wire.release();
    });

    it('comes whole, with a warning that some keys are not known (FF01)', async () => {
      const wire = await associated({ callingAe: 'FINDER' });
      wire.find(1, everything);
      const { matches, pending, status } = await wire.answers();
      expect(status).toBe(0);
      expect([...pending]).toEqual([0xff01]);
      expect(new Set(matches.map((one) => text(one, Tags.SOPInstanceUID))).size).toBe(COUNT);
    });

    it('ends soon after C-CANCEL, with FE00; the association goes on', async () => {
      const wire = await associated({ callingAe: 'FINDER' });
      wire.find(5, everything);
      for (let count = 0; count < 10; count += 1) expect((await wire.message()).command.status).toBe(0xff01);
      wire.cancel(5);
      let more = 0;
      for (;;) {
        const { command } = await wire.message();
        if (command.status === 0xfe00) break;
        expect(command.status).toBe(0xff01);
        more += 1;
      }
      expect(more).toBeLessThan(COUNT - 200);
      wire.echo(6);
      expect((await wire.message()).command.status).toBe(0);
    });

    it('eight searches of one peer run at once; a ninth and a number in use are refused', async () => {
      const wire = await associated({
        callingAe: 'FINDER',
        user: { window: { invoked: 8, performed: MAX_WINDOW } },
      });
      for (let id = 1; id <= 8; id += 1) wire.find(id, everything);
      wire.find(3, everything);
      wire.find(9, everything);
      const counts = new Map<number, number>();
      const ended = new Map<number, (number | undefined)[]>();
      for (let left = 10; left > 0;) {
        const { command, dataSet: found } = await wire.message();
        const id = command.messageIdRespondedTo ?? 0;
        if (found) counts.set(id, (counts.get(id) ?? 0) + 1);
        else {
          left -= 1;
          ended.set(id, [...(ended.get(id) ?? []), command.status]);
        }
      }
      expect([...counts.values()]).toEqual(new Array(8).fill(COUNT));
      expect(ended.get(3)).toEqual([0x0210, 0]);
      expect(ended.get(9)).toEqual([0xa700]);
    });

    it('waits for a slow reader without filling memory, then gives up; others are served meanwhile', async () => {
      const before = await residentBytes(box.pid);
      const slow = await Promise.all(Array.from({ length: 4 }, () => associated({ callingAe: 'FINDER' })));
      for (const wire of slow) {
        wire.socket.pause();
        for (let id = 1; id <= 4; id += 1) wire.find(id, everything);
      }
      await sleep(1500);
      expect((await residentBytes(box.pid)) - before).toBeLessThan(160 * 1024 * 1024);
      const other = await associated();
      const one = image(6, 1);
      other.store(1, one.sopUid, one.bytes);
      expect((await other.message()).command.status).toBe(0);
      await other.release();
      expect((await box.get('/dicom-web/studies?limit=1')).status).toBe(200);
      await sleep(5500);
      for (const wire of slow) {
        wire.socket.resume();
        let value: Received | 'closed' = await wire.next();
        while (value !== 'closed') value = await wire.next();
        expect(wire.received).toBeLessThan(COUNT * 4 * 8000);
      }
      const after = await associated({ callingAe: 'FINDER' });
      after.find(1, dataSet({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '' }));
      expect((await after.answers()).status).toBe(0);
    }, 60_000);
  });

  it.each([1, 2, 3, 4, 5])(
    'a user of type %i whom nobody knows is refused, and never written down',
    async (type) => {
      const secret = Buffer.from(`${SECRET} ${type}`);
      const identity = {
        type,
        responseRequested: true,
        primary: Buffer.from(`name ${SECRET}`),
        secondary: secret,
      };
      const wire = await connected();
      // PS3.8 Table 9-21: permanent, the service user, no reason: there is none for users.
      expect(await wire.associate({ user: { identity } })).toMatchObject({
        ...{ type: 'associate-rj', result: 1, source: 1, reason: 1 },
      });
      // Also where it goes wrong.
      const broken = await connected();
      broken.send(writePdu({ ...associateRequest({ user: { identity } }), protocolVersion: 1 }));
      await broken.next();
      broken.send(bytes('09 00 00000004 00000000'));
      await sleep(100);
      expect(box.output).not.toContain(SECRET);
      expect(box.output).not.toContain(secret.toString('base64'));
    },
  );

  it('answers role selection: the peer is SCU, and SCP of Storage too where it asks (PS3.7 §D.3.3.4)', async () => {
    const wire = await connected();
    const answer = await wire.associate({ user: { roles: [{ sopClassUid: CT, scu: true, scp: true }] } });
    expect(answer).toMatchObject({ user: { roles: [{ sopClassUid: CT, scu: true, scp: true }] } });
  });
});
