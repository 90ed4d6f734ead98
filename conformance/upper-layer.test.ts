/**
 * PS3.8 Table 9-10 on the wire: in every state that can be reached from outside every PDU, the end of the connection and of the
 * waiting time, with the exact answer: which PDU, source and reason of an A-ABORT, and which side closes.
 *
 * Source: PS3.8 §9.2 (Tables 9-6 to 9-10), §9.3.8 (Table 9-26). The cells are in support/table-9-10.ts.
 */
import { createServer, type AddressInfo, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '../core/src/dicom/element.ts';
import { COMMANDS, NO_DATA_SET } from '../core/src/dimse/command.ts';
import { writeMessage } from '../core/src/dimse/message.ts';
import { VERIFICATION } from '../core/src/dimse/negotiate.ts';
import { APPLICATION_CONTEXT, type AssociateAccept, writePdu } from '../core/src/dimse/pdu.ts';
import type { Received } from '../core/src/dimse/splitter.ts';
import { EVENTS, type State, transition, type UpperLayerEvent } from '../core/src/dimse/state.ts';
import { DimseClient } from '../server/src/doors/dimse/client.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { type Cell, CELLS, UNREACHABLE } from './support/table-9-10.ts';
import { associateRequest, dataSetOfFile, ECHO_CONTEXT, EXPLICIT, Wire } from './support/wire.ts';

const ACCEPT: AssociateAccept = {
  ...associateRequest(),
  type: 'associate-ac',
  contexts: [{ id: ECHO_CONTEXT, result: 0, transferSyntax: EXPLICIT }],
};
const REJECT = { type: 'associate-rj', result: 1, source: 1, reason: 1 } as const;
const echo = (commandField: number, messageId: number): Uint8Array =>
  writeMessage(
    ECHO_CONTEXT,
    { commandField, messageId, messageIdRespondedTo: messageId, status: 0, dataSetType: NO_DATA_SET },
    undefined,
    16384,
  );
const bytes = (hex: string): Uint8Array => Buffer.from(hex.replace(/\s/g, ''), 'hex');
const CLOSED = 'closed';

/** What is sent for an event, with the reason an A-ABORT of the provider gives it (PS3.8 Table 9-26). */
interface Stimulus {
  readonly name: string;
  readonly sent: Uint8Array | typeof CLOSED;
  readonly reason: number;
}
const PDUS: Readonly<Partial<Record<UpperLayerEvent, readonly Stimulus[]>>> = {
  'associate-ac': [{ name: 'A-ASSOCIATE-AC', sent: writePdu(ACCEPT), reason: 2 }],
  'associate-rj': [{ name: 'A-ASSOCIATE-RJ', sent: writePdu(REJECT), reason: 2 }],
  'associate-rq': [{ name: 'A-ASSOCIATE-RQ', sent: writePdu(associateRequest()), reason: 2 }],
  'p-data': [{ name: 'P-DATA-TF', sent: echo(COMMANDS.echoRequest, 9), reason: 2 }],
  'release-rq': [{ name: 'A-RELEASE-RQ', sent: writePdu({ type: 'release-rq' }), reason: 2 }],
  'release-rp': [{ name: 'A-RELEASE-RP', sent: writePdu({ type: 'release-rp' }), reason: 2 }],
  abort: [
    { name: 'A-ABORT of the user', sent: writePdu({ type: 'abort', source: 0, reason: 0 }), reason: 2 },
    { name: 'A-ABORT of the provider', sent: writePdu({ type: 'abort', source: 2, reason: 6 }), reason: 2 },
  ],
  closed: [{ name: 'the connection closes', sent: CLOSED, reason: 0 }],
  invalid: [
    { name: 'an unrecognized PDU (08H)', sent: bytes('08 00 00000004 00000000'), reason: 1 },
    { name: 'an unrecognized PDU (00H)', sent: bytes('00 00 00000000'), reason: 1 },
    { name: 'an A-RELEASE-RQ of 5 bytes', sent: bytes('05 00 00000005 0000000000'), reason: 6 },
    { name: 'a P-DATA-TF of 4 GB', sent: bytes('04 00 ffffffff 00000004 01 03'), reason: 6 },
    { name: 'a PDV longer than its PDU', sent: bytes('04 00 00000008 000000ff 01 03 0000'), reason: 6 },
    {
      name: 'an item that runs out',
      sent: bytes(`01 00 00000048 0001${'00'.repeat(66)}1000ffff`),
      reason: 6,
    },
  ],
};
const stimuli = (event: UpperLayerEvent): readonly Stimulus[] => PDUS[event] ?? [];

/** The next PDU that is no part of a message. */
async function past(wire: Wire): Promise<Received | 'closed'> {
  for (;;) {
    const value = await wire.next();
    if (value === 'closed' || value.type !== 'pdv') return value;
  }
}

/** AA-1, AA-7, AA-8: the A-ABORT comes, and it is for us to close. */
async function aborted(wire: Wire, source: number, reason: number): Promise<void> {
  expect(await past(wire)).toEqual({ type: 'abort', source, reason });
}
/** The other side closes, without a word and at once. */
async function closedByThem(wire: Wire, within = 1500): Promise<void> {
  const began = performance.now();
  expect(await past(wire)).toBe(CLOSED);
  expect(performance.now() - began).toBeLessThan(within);
}
/** The other side waits for us to close. */
async function waitsForUs(wire: Wire): Promise<void> {
  await sleep(150);
  expect(wire.closed).toBe(false);
  wire.socket.end();
  expect(await wire.next()).toBe(CLOSED);
}

const cellsOf = (proof: Cell['proof'], state: number): Cell[] =>
  CELLS.filter((cell) => cell.proof === proof && cell.state === state && stimuli(cell.event).length > 0);
const cases = (proof: Cell['proof'], state: number): [string, Cell, Stimulus][] =>
  cellsOf(proof, state).flatMap((cell) =>
    stimuli(cell.event).map((one): [string, Cell, Stimulus] => [
      `Evt${cell.number} ${one.name}: ${cell.action}`,
      cell,
      one,
    ]),
  );

describe('the cells', () => {
  it('are those of the table in the code, one for one', () => {
    const named = new Set(CELLS.map(({ number, state }) => `Evt${number} Sta${state}`));
    expect(named.size).toBe(CELLS.length);
    for (const { event, state, action, next, number } of CELLS)
      expect(transition(state as State, event), `Evt${number} Sta${state}`).toEqual({ action, next });
    const inCode = EVENTS.flatMap((event) =>
      Array.from({ length: 13 }, (_, at) => transition((at + 1) as State, event)).filter(Boolean),
    );
    expect(inCode).toHaveLength(CELLS.length);
  });

  it('are proven on the wire, or it is said why not', () => {
    const count = (proof: Cell['proof']): number => CELLS.filter((cell) => cell.proof === proof).length;
    const lines = [
      `PS3.8 Table 9-10: 247 cells, ${247 - CELLS.length} of them empty; of the others on the wire ${count('acceptor')} as acceptor and ${count('requestor')} as requestor`,
      ...Object.entries(UNREACHABLE).map(([proof, why]) => {
        const names = CELLS.filter((cell) => cell.proof === proof).map(
          ({ number, state }) => `Sta${state}/Evt${number}`,
        );
        return `  by core/src/dimse/state.test.ts ${names.length}: ${why}: ${names.join(' ')}`;
      }),
    ];
    process.stderr.write(`${lines.join('\n')}\n`);
    expect(count('acceptor') + count('requestor')).toBeGreaterThan(75);
  });
});

describe('as the acceptor (PS3.8 §9.2)', () => {
  const STUDY = '1.2.826.0.1.3680043.10.1234.910';
  let box: Lightbox;
  const wires: Wire[] = [];

  async function connected(): Promise<Wire> {
    const wire = await Wire.open(box.dicomPort);
    wires.push(wire);
    return wire;
  }
  async function associated(callingAe = 'WIRE'): Promise<Wire> {
    const wire = await connected();
    expect(await wire.associate({ callingAe, user: { window: { invoked: 8, performed: 8 } } })).toMatchObject(
      {
        type: 'associate-ac',
      },
    );
    return wire;
  }
  /** Sta8: answers under way are not read by us, so that our release cannot be answered yet. */
  async function releasing(): Promise<Wire> {
    const wire = await associated('FINDER');
    wire.socket.pause();
    for (let id = 1; id <= 8; id += 1) wire.find(id, everything());
    await sleep(400);
    wire.send({ type: 'release-rq' });
    await sleep(100);
    return wire;
  }
  /** Sta13, by each of the ways that lead there from our side. */
  const enders: readonly (readonly [string, () => Promise<Wire>])[] = [
    [
      'after A-RELEASE-RP (AR-4)',
      async () => {
        const wire = await associated();
        expect(await wire.release()).toEqual({ type: 'release-rp' });
        return wire;
      },
    ],
    [
      'after A-ASSOCIATE-RJ (AE-8)',
      async () => {
        const wire = await connected();
        wire.send({ ...associateRequest(), protocolVersion: 2 });
        expect(await wire.next()).toEqual({ type: 'associate-rj', result: 1, source: 2, reason: 2 });
        return wire;
      },
    ],
    [
      'after A-ABORT (AA-8)',
      async () => {
        const wire = await associated();
        wire.send(REJECT);
        await aborted(wire, 2, 2);
        return wire;
      },
    ],
  ];
  const associations = async (): Promise<number> => {
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const text = await (await fetch(`${box.url}/metrics`, { headers: { cookie } })).text();
    return Number(/^lightbox_dicom_associations (\d+)$/m.exec(text)?.[1] ?? -1);
  };

  beforeAll(async () => {
    box = await Lightbox.ready({
      env: { LIGHTBOX_DICOM_ARTIM_SECONDS: '2', LIGHTBOX_DICOM_IDLE_SECONDS: '4' },
    });
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const verbs = ['echo', 'store', 'find'];
    expect((await box.post('/api/devices', { aeTitle: 'FINDER', verbs }, { cookie })).ok).toBe(true);
    const wire = await associated();
    for (let at = 1; at <= 120; at += 1) {
      const sopUid = `${STUDY}.1.${at}`;
      const names = { studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid, number: at, patientId: 'UPPER' };
      wire.store(at, sopUid, dataSetOfFile(ctImage({ ...names, side: 8, chance: () => 0.5 })));
      expect((await wire.message()).command.status).toBe(0);
    }
  });
  afterEach(() => {
    for (const wire of wires.splice(0)) wire.destroy();
  });
  afterAll(async () => {
    expect(box.running).toBe(true);
    await box.stop();
  });

  /** Answers of some 15 KB: those of eight searches do not fit into the buffers of both sides. */
  function everything(): ReturnType<typeof dataSet> {
    const wanted = dataSet({
      ...{ QueryRetrieveLevel: 'IMAGE', StudyInstanceUID: STUDY, SeriesInstanceUID: `${STUDY}.1` },
      ...{ SOPInstanceUID: '' },
    });
    for (let at = 0; at < 1900; at += 1) {
      const tag = 0x00431000 + at;
      (wanted.elements as Map<number, unknown>).set(tag, { tag, vr: 'LO', bytes: new Uint8Array(0) });
    }
    return wanted;
  }

  async function send(wire: Wire, { sent }: Stimulus): Promise<void> {
    if (sent === CLOSED) wire.socket.destroy();
    else wire.send(sent);
    await sleep(0);
  }
  /** What follows from an action, seen from the wire. */
  async function follows(wire: Wire, { action, state }: Cell, { reason }: Stimulus): Promise<void> {
    switch (action) {
      case 'AA-1':
        await aborted(wire, 0, 0);
        return waitsForUs(wire);
      case 'AA-7':
      case 'AA-8':
        await aborted(wire, 2, reason);
        return waitsForUs(wire);
      case 'AA-6':
        return waitsForUs(wire);
      case 'AA-2':
      case 'AA-3':
        // In Sta8 the answers that were on their way are read first.
        return closedByThem(wire, state === 8 ? 15_000 : 1500);
      case 'AA-4':
      case 'AA-5':
      case 'AR-5':
        // Nothing can be said any more; what is seen is that the place is free.
        return void (await expect.poll(associations, { message: `Sta${state}` }).toBe(0));
      default:
        throw new Error(`${action} has a test of its own`);
    }
  }

  it('Sta1: AE-5 waits for an A-ASSOCIATE-RQ; Sta2: AE-6, Sta3: AE-7 and AE-8', async () => {
    const wire = await connected();
    await sleep(100);
    expect(wire.received).toBe(0);
    expect(await wire.associate()).toMatchObject({ type: 'associate-ac', protocolVersion: 1 });
    const other = await connected();
    other.send({ ...associateRequest(), applicationContext: '1.2.3' });
    expect(await other.next()).toEqual({ type: 'associate-rj', result: 1, source: 1, reason: 2 });
    await waitsForUs(other);
  });

  describe('Sta2', () => {
    it.each(cases('acceptor', 2).filter(([, cell]) => cell.action !== 'AE-6'))('%s', async (_, cell, one) => {
      const wire = await connected();
      await send(wire, one);
      await follows(wire, cell, one);
    });

    it('Evt18 the waiting time is over: AA-2', async () => {
      const wire = await connected();
      await sleep(1500);
      expect(wire.closed).toBe(false);
      await closedByThem(wire, 3000);
      expect(wire.received).toBe(0);
    });
  });

  describe('Sta6', () => {
    const own = ['DT-2', 'AR-2'];
    it.each(cases('acceptor', 6).filter(([, cell]) => !own.includes(cell.action)))(
      '%s',
      async (_, cell, one) => {
        const wire = await associated();
        await send(wire, one);
        await follows(wire, cell, one);
      },
    );

    it('Evt10 P-DATA-TF: DT-2, answered by DT-1', async () => {
      const wire = await associated();
      wire.echo(3);
      expect((await wire.message()).command).toMatchObject({ messageIdRespondedTo: 3, status: 0 });
    });

    it('Evt15 we have waited long enough: AA-1', async () => {
      const wire = await associated();
      await aborted(wire, 0, 0);
      await waitsForUs(wire);
    });
  });

  describe('Sta8', () => {
    it.each(cases('acceptor', 8))('%s', async (_, cell, one) => {
      const wire = await releasing();
      await send(wire, one);
      await sleep(50);
      wire.socket.resume();
      await follows(wire, cell, one);
    });

    it('Evt9, Evt14: answers under way still come (AR-7), then the A-RELEASE-RP (AR-4)', async () => {
      const wire = await releasing();
      const before = wire.received;
      wire.socket.resume();
      expect(await past(wire)).toEqual({ type: 'release-rp' });
      expect(wire.received - before).toBeGreaterThan(100_000);
      await waitsForUs(wire);
    });
  });

  describe.each(enders)('Sta13 %s', (_, enter) => {
    it.each(cases('acceptor', 13))('%s', async (__, cell, one) => {
      const wire = await enter();
      await send(wire, one);
      await follows(wire, cell, one);
    });

    it('Evt18 the waiting time is over: AA-2', async () => {
      const wire = await enter();
      await sleep(1000);
      expect(wire.closed).toBe(false);
      await closedByThem(wire, 4000);
    });
  });

  it.each(Object.values(PDUS).flat())(
    'Sta3: $name right behind the A-ASSOCIATE-RQ waits for the answer',
    async (one) => {
      const wire = await connected();
      wire.send(Buffer.concat([writePdu(associateRequest()), one.sent === CLOSED ? bytes('') : one.sent]));
      if (one.sent === CLOSED) wire.socket.end();
      const answer = await wire.next();
      expect(answer === 'closed' ? answer : answer.type).toBe('associate-ac');
      wire.socket.end();
      await past(wire);
    },
  );

  it('and serves everybody else, with every place free again', async () => {
    await expect.poll(associations).toBe(0);
    const wire = await associated();
    wire.echo();
    expect((await wire.message()).command.status).toBe(0);
    expect(await wire.release()).toEqual({ type: 'release-rp' });
  });
});

describe('as the requestor (PS3.8 §9.2)', () => {
  const TIMEOUT_MS = 1000;
  let server: Server;
  let port: number;
  let arrived: (wire: Wire) => void = () => undefined;
  const wires: Wire[] = [];

  interface Meeting {
    readonly wire: Wire;
    readonly opening: Promise<DimseClient>;
  }
  /** Sta5: our request has come to the acceptor. */
  async function requested(timeoutMs = 10_000): Promise<Meeting> {
    const coming = new Promise<Wire>((settle) => (arrived = settle));
    const opening = DimseClient.open({
      ...{ host: '127.0.0.1', port, calledAe: 'SCRIPT', callingAe: 'LIGHTBOX', timeoutMs },
      contexts: [{ sopClassUid: VERIFICATION, transferSyntaxUids: [EXPLICIT] }],
    });
    opening.catch(() => undefined);
    const wire = await coming;
    expect(await wire.next()).toMatchObject({
      type: 'associate-rq',
      applicationContext: APPLICATION_CONTEXT,
    });
    return { wire, opening };
  }
  /** Sta6. */
  async function open(timeoutMs?: number): Promise<{ wire: Wire; client: DimseClient }> {
    const { wire, opening } = await requested(timeoutMs);
    wire.send(ACCEPT);
    return { wire, client: await opening };
  }
  /** Sta7: we have asked for the release. */
  async function releasing(timeoutMs?: number): Promise<{ wire: Wire; closing: Promise<void> }> {
    const { wire, client } = await open(timeoutMs);
    const closing = client.close();
    expect(await wire.next()).toEqual({ type: 'release-rq' });
    return { wire, closing };
  }
  /** Sta11: both asked at once, and we have answered (AR-8, AR-9). */
  async function collided(timeoutMs?: number): Promise<{ wire: Wire; closing: Promise<void> }> {
    const meeting = await releasing(timeoutMs);
    meeting.wire.send({ type: 'release-rq' });
    expect(await meeting.wire.next()).toEqual({ type: 'release-rp' });
    return meeting;
  }
  async function follows(wire: Wire, { action }: Cell, one: Stimulus): Promise<void> {
    if (one.sent === CLOSED) wire.socket.end();
    else wire.send(one.sent);
    if (action === 'AA-8') await aborted(wire, 2, one.reason);
    else expect(['AA-3', 'AA-4', 'AE-4', 'AR-3']).toContain(action);
    await closedByThem(wire);
  }

  beforeAll(async () => {
    server = createServer((socket) => {
      const wire = Wire.over(socket);
      wires.push(wire);
      arrived(wire);
    });
    await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => {
    for (const wire of wires.splice(0)) wire.destroy();
  });
  afterAll(() => {
    server.close();
  });

  it('Sta1 Evt1: AE-1; Sta4 Evt2: AE-2 sends the request; Sta4 Evt17: AA-4 where nobody listens', async () => {
    const { wire, opening } = await requested();
    wire.send(ACCEPT);
    const client = await opening;
    client.abort();
    const nobody = await freePort();
    await expect(
      DimseClient.open({ host: '127.0.0.1', port: nobody, calledAe: 'X', callingAe: 'Y', contexts: [] }),
    ).rejects.toMatchObject({ code: 'DIMSE_UNREACHABLE' });
  });

  describe('Sta5', () => {
    it.each(cases('requestor', 5).filter(([, cell]) => cell.action !== 'AE-3'))(
      '%s',
      async (_, cell, one) => {
        const { wire, opening } = await requested();
        await follows(wire, cell, one);
        await expect(opening).rejects.toMatchObject({
          code:
            cell.action === 'AE-4'
              ? 'DIMSE_REJECTED'
              : (expect.stringMatching(/^(DIMSE_ABORTED|PDU_)/) as string),
        });
      },
    );

    it('Evt3 A-ASSOCIATE-AC: AE-3', async () => {
      const { client } = await open();
      expect(client.transferSyntaxOf(VERIFICATION)).toBe(EXPLICIT);
      client.abort();
    });

    it('Evt15 the answer is late: AA-1', async () => {
      const { wire, opening } = await requested(TIMEOUT_MS);
      await aborted(wire, 0, 0);
      await closedByThem(wire);
      await expect(opening).rejects.toMatchObject({ code: 'DIMSE_TIMEOUT' });
    });
  });

  describe('Sta6', () => {
    // The acceptor proves these cells too; here it is our requestor in the middle of an operation.
    it.each(
      cases('acceptor', 6).filter(
        ([, { action }]) => action === 'AA-8' || action === 'AA-3' || action === 'AA-4',
      ),
    )('%s', async (_, cell, one) => {
      const { wire, client } = await open();
      const asking = client.echo();
      asking.catch(() => undefined);
      expect((await wire.message()).command.commandField).toBe(COMMANDS.echoRequest);
      await follows(wire, cell, one);
      await expect(asking).rejects.toMatchObject({
        code: expect.stringMatching(/^(DIMSE_ABORTED|PDU_)/) as string,
      });
      expect(client.usable).toBe(false);
    });

    it('Evt9, Evt10: DT-1, DT-2', async () => {
      const { wire, client } = await open();
      const asking = client.echo();
      await wire.message();
      wire.send(echo(COMMANDS.echoResponse, 1));
      expect(await asking).toBe(0);
      client.abort();
    });

    it('Evt12 A-RELEASE-RQ while we wait for an answer: AR-2, and the peer is let go (AR-4)', async () => {
      const { wire, client } = await open();
      const asking = client.echo();
      asking.catch(() => undefined);
      await wire.message();
      wire.send({ type: 'release-rq' });
      expect(await wire.next()).toEqual({ type: 'release-rp' });
      await expect(asking).rejects.toMatchObject({ code: 'DIMSE_ABORTED' });
      await closedByThem(wire);
    });

    it('Evt15 an answer is late, or we do not want any more: AA-1', async () => {
      const { wire, client } = await open(TIMEOUT_MS);
      await expect(client.echo()).rejects.toMatchObject({ code: 'DIMSE_TIMEOUT' });
      await aborted(wire, 0, 0);
      const other = await open();
      other.client.abort();
      await aborted(other.wire, 0, 0);
      await closedByThem(other.wire);
    });
  });

  describe('Sta7, after Sta6 Evt11: AR-1', () => {
    const own = ['AR-6', 'AR-8'];
    it.each(cases('requestor', 7).filter(([, cell]) => !own.includes(cell.action)))(
      '%s',
      async (_, cell, one) => {
        const { wire, closing } = await releasing();
        await follows(wire, cell, one);
        await closing;
      },
    );

    it('Evt10 P-DATA-TF: AR-6, it is taken and the release goes on', async () => {
      const { wire, closing } = await releasing();
      wire.send(echo(COMMANDS.echoRequest, 9));
      await sleep(100);
      expect(wire.closed).toBe(false);
      wire.send({ type: 'release-rp' });
      await closedByThem(wire);
      await closing;
    });

    it('Evt15 the answer is late: AA-1', async () => {
      const { wire, closing } = await releasing(TIMEOUT_MS);
      await aborted(wire, 0, 0);
      await closing;
    });
  });

  describe('Sta11, after a release collision: AR-8 to Sta9, Evt14: AR-9', () => {
    it.each(cases('requestor', 11))('%s', async (_, cell, one) => {
      const { wire, closing } = await collided();
      await follows(wire, cell, one);
      await closing;
    });

    it('Evt15 the answer is late: AA-1', async () => {
      const { wire, closing } = await collided(TIMEOUT_MS);
      await aborted(wire, 0, 0);
      await closing;
    });
  });
});
