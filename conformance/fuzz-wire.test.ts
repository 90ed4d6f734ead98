/**
 * The DICOM port under seeded nonsense: requests for an association and, at the same time, messages within associations.
 * Whatever comes, the process lives, answers or closes within two seconds where it is its turn, echoes in between, does not
 * grow, and what it acknowledged is whole.
 *
 * FUZZ_SECONDS is how long (60 in CI, else 5), FUZZ_SEED where to begin; a failure prints the seed and the bytes of its case,
 * and `FUZZ_SEED=<seed> FUZZ_SECONDS=1` begins with it.
 *
 * Source: PS3.8 §9.2, §9.3; PS3.7 §6.3; hostile-input catalogue C51 to C63, C75.
 */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Fault } from '../core/src/base/fault.ts';
import { checkPduLength, readPdu } from '../core/src/dimse/pdu.ts';
import { PduSplitter, type Received } from '../core/src/dimse/splitter.ts';
import { associateNonsense, CONTEXTS, Dice, image, messagesNonsense, STUDY } from './support/fuzz.ts';
import { FUZZ_SECONDS as SECONDS, FUZZ_SEED as SEED, settled } from './support/fuzz-run.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { associateRequest, ECHO_CONTEXT, storeMessage, Wire } from './support/wire.ts';

/** An answer or the end of the connection, where it is the server's turn. */
const DUE_MS = 2000;
const MAX_PDU = 131_072;
/** Of the whole Lightbox with its database, whose shared pages fill up meanwhile. */
const MAX_RISE = 64 * 1024 * 1024;
const LANES = 2;

describe(`the DICOM port under nonsense for ${SECONDS} s, from seed ${SEED}`, () => {
  let box: Lightbox;
  let pid: number;
  const counts = new Map<string, number>();
  const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  /** Acknowledged, as sent: to be found again byte for byte. */
  const kept = new Map<string, Buffer>();
  /** Acknowledged after their bytes were tampered with: to be found, and readable. */
  const odd = new Set<string>();

  beforeAll(async () => {
    box = await Lightbox.ready({
      env: {
        ...{ LIGHTBOX_DICOM_ARTIM_SECONDS: '5', LIGHTBOX_DICOM_IDLE_SECONDS: '10' },
        ...{ LIGHTBOX_DICOM_MAX_PDU: String(MAX_PDU), LIGHTBOX_LOG_LEVEL: 'warn' },
      },
    });
    pid = box.pid;
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const verbs = ['echo', 'store', 'find', 'move', 'get', 'commit'];
    expect((await box.post('/api/devices', { aeTitle: 'FUZZER', verbs }, { cookie })).ok).toBe(true);
  });
  afterAll(async () => {
    await box.stop();
  });

  /** The next answer, in time. */
  async function due(wire: Wire, what: string): Promise<Received | 'closed'> {
    const began = performance.now();
    const answer = await wire.next(DUE_MS).catch(() => undefined);
    if (answer === undefined) throw new Error(`${what}: nothing within ${DUE_MS} ms`);
    const took = performance.now() - began;
    counts.set('slowest answer in ms', Math.max(counts.get('slowest answer in ms') ?? 0, Math.round(took)));
    return answer;
  }
  /** Until the connection is closed; whoever is sent an A-ABORT has to close it (AA-8, Sta13). */
  async function over(wire: Wire): Promise<void> {
    for (;;) {
      const last = await due(wire, 'the end');
      if (last === 'closed') return;
      if (last.type === 'abort') wire.socket.end();
    }
  }
  /** In pieces, as a network might deliver them. */
  async function sendInPieces(wire: Wire, bytes: Buffer, dice: Dice): Promise<void> {
    const pieces = dice.one([1, 1, 2, 7]);
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      wire.send(bytes.subarray(at, at + size));
      if (pieces > 1) await new Promise((settle) => setImmediate(settle));
    }
  }

  /** One request; whether it is our turn afterwards is read from its header alone. */
  async function associateCase(dice: Dice, bytes: Buffer): Promise<void> {
    const wire = await Wire.open(box.dicomPort);
    try {
      await sendInPieces(wire, bytes, dice);
      if (!isWhole(bytes)) {
        // More was announced than came: the server waits for it, and we leave.
        count('A-ASSOCIATE: cut short');
        wire.socket.end();
        await over(wire);
        return;
      }
      const answer = await due(wire, 'an answer to A-ASSOCIATE-RQ');
      if (answer === 'closed') throw new Error('closed without a word');
      count(`A-ASSOCIATE: ${answer.type}`);
      if (answer.type === 'associate-ac') {
        const asked = readPdu(1, bytes.subarray(6, 6 + bytes.readUInt32BE(2)));
        if (asked.type === 'associate-rq')
          expect(answer.contexts.map(({ id }) => id)).toEqual(asked.contexts.map(({ id }) => id));
      } else expect(['associate-rj', 'abort']).toContain(answer.type);
      if (answer.type === 'associate-ac') wire.send({ type: 'abort', source: 0, reason: 0 });
      else wire.socket.end();
      await over(wire);
    } finally {
      wire.destroy();
    }
  }

  /** First an object as it should be, then nonsense in the same association. */
  async function messagesCase(
    dice: Dice,
    bytes: Buffer,
    sopUids: readonly string[],
    name: string,
  ): Promise<void> {
    const wire = await Wire.open(box.dicomPort);
    try {
      const request = associateRequest({
        callingAe: 'FUZZER',
        user: { window: { invoked: 8, performed: 8 } },
      });
      wire.send({ ...request, contexts: CONTEXTS });
      const accepted = await due(wire, 'an answer to A-ASSOCIATE-RQ');
      expect(accepted).toMatchObject({ type: 'associate-ac' });
      if (dice.rarely(3)) {
        const sopUid = `${STUDY}.1.${name}.99`;
        const whole = image(sopUid, dice);
        wire.send(storeMessage(77, sopUid, whole));
        const { command } = await wire.message();
        expect(command).toMatchObject({ messageIdRespondedTo: 77, status: 0 });
        kept.set(sopUid, whole);
        count('objects acknowledged before the nonsense');
      }
      await sendInPieces(wire, bytes, dice);
      const broken = breaks(bytes);
      count(broken === undefined ? 'messages: PDUs whole' : `messages: ${broken}`);
      // Where a PDU cannot be read the abort is due; otherwise we have said all we want, and the end is.
      if (broken === undefined) wire.send({ type: 'release-rq' });
      if (broken === 'cut short') wire.socket.end();
      let end: Received | 'closed' = await due(wire, 'an answer');
      while (end !== 'closed' && end.type === 'pdv') {
        if (end.command && end.last) noteStored(end.bytes, sopUids);
        end = await due(wire, 'an answer');
      }
      if (end !== 'closed') {
        expect(['abort', 'release-rp']).toContain(end.type);
        count(`messages: answered with ${end.type}`);
        wire.socket.end();
        await over(wire);
      }
    } finally {
      wire.destroy();
    }
  }
  /** A C-STORE-RSP with success; the names are ours, so that looking for them in its bytes is enough. */
  function noteStored(command: Uint8Array, sopUids: readonly string[]): void {
    const text = Buffer.from(command).toString('latin1');
    const success = text.includes('\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00');
    const stored = text.includes('\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80');
    for (const uid of sopUids) if (success && stored && text.includes(uid)) odd.add(uid);
  }

  async function canary(): Promise<void> {
    const wire = await Wire.open(box.dicomPort);
    try {
      expect(await wire.associate({ callingAe: 'CANARY' })).toMatchObject({ type: 'associate-ac' });
      wire.echo();
      const answer = await due(wire, 'a C-ECHO in between');
      expect(answer).toMatchObject({ type: 'pdv', contextId: ECHO_CONTEXT });
      expect(await wire.release()).toEqual({ type: 'release-rp' });
      count('C-ECHO in between');
    } finally {
      wire.destroy();
    }
  }

  async function lane(first: number, until: number, work: (seed: number) => Promise<void>): Promise<void> {
    for (let seed = first; performance.now() < until; seed += LANES) await work(seed);
  }
  const shown = (seed: number, bytes: Buffer, error: unknown): Error =>
    new Error(
      `FUZZ_SEED=${seed}, running: ${box.running}\n${bytes.length} bytes: ${bytes.subarray(0, 4096).toString('hex')}` +
        `\n${box.output.slice(-2000)}`,
      { cause: error },
    );
  const openFiles = (): number => readdirSync(`/proc/${pid}/fd`).length;

  async function fuzz(first: number, seconds: number): Promise<void> {
    const until = performance.now() + seconds * 1000;
    const lanes: Promise<void>[] = [];
    for (let at = 0; at < LANES; at += 1) {
      lanes.push(
        lane(first + at, until, async (seed) => {
          const dice = new Dice(seed);
          const bytes = associateNonsense(dice);
          await associateCase(dice, bytes).catch((error: unknown) => {
            throw shown(seed, bytes, error);
          });
          count('requests');
        }),
        lane(first + at, until, async (seed) => {
          const dice = new Dice(seed + 0x40000000);
          const { bytes, sopUids } = messagesNonsense(dice, String(seed));
          await messagesCase(dice, bytes, sopUids, String(seed)).catch((error: unknown) => {
            throw shown(seed, bytes, error);
          });
          count('streams of messages');
        }),
      );
    }
    const echoing = (async () => {
      while (performance.now() < until) {
        await canary();
        await sleep(200);
      }
    })();
    await Promise.all([...lanes, echoing]);
  }

  it(
    'lives, answers in time, and does not grow',
    async () => {
      const third = Math.max(1, SECONDS / 3);
      await fuzz(SEED, third);
      const before = await settled(pid);
      const files = openFiles();
      await fuzz(SEED + 1_000_000, third);
      const between = await settled(pid);
      await fuzz(SEED + 2_000_000, third);
      // What leaks grows in both; a heap that finds its size on a crowded machine grows once.
      const rises = [between - before, (await settled(pid)) - between];
      const rise = Math.min(...rises);
      process.stderr.write(
        `fuzz on the wire, seed ${SEED}, ${SECONDS} s: ${[...counts].map(([what, so]) => `${what} ${so}`).join('; ')}; ` +
          `memory ${(before / 2 ** 20).toFixed(0)} MiB, then ${rises.map((one) => (one / 2 ** 20).toFixed(1)).join(' and ')} MiB more\n`,
      );
      expect(box.running).toBe(true);
      expect(box.pid).toBe(pid);
      // Every answer was one of those in the conformance statement.
      expect(box.output).not.toContain('a status not stated');
      expect(rise).toBeLessThan(MAX_RISE);
      await expect.poll(openFiles).toBeLessThan(files + 20);
      for (const what of ['A-ASSOCIATE: associate-ac', 'A-ASSOCIATE: associate-rj', 'A-ASSOCIATE: abort'])
        expect(counts.get(what), what).toBeGreaterThan(0);
      expect(counts.get('messages: answered with abort')).toBeGreaterThan(0);
    },
    SECONDS * 1000 + 120_000,
  );

  it('has every object it acknowledged, whole', async () => {
    expect(kept.size).toBeGreaterThan(0);
    const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    const path = (sopUid: string): string =>
      `/dicom-web/studies/${STUDY}/series/${STUDY}.1/instances/${sopUid}`;
    const accept = { accept: 'application/dicom; transfer-syntax=*' };
    for (const [sopUid, sent] of kept) {
      const answer = await box.get(path(sopUid), accept);
      expect(answer.status, sopUid).toBe(200);
      const file = Buffer.from(await answer.arrayBuffer());
      expect(hash(file.subarray(readPart10(file).dataSetOffset)), sopUid).toBe(hash(sent));
    }
    for (const sopUid of odd) {
      const found = await box.getJson<unknown[]>(`/dicom-web/instances?SOPInstanceUID=${sopUid}`);
      expect(found, sopUid).toHaveLength(1);
    }
    process.stderr.write(`${kept.size} objects found again whole, ${odd.size} of the nonsense findable\n`);
  });
});

/** All of the PDU came that its header announces, or its header is enough to refuse it. */
function isWhole(bytes: Buffer): boolean {
  if (bytes.length < 6) return false;
  const size = bytes.readUInt32BE(2);
  try {
    checkPduLength(bytes[0] ?? 0, size, MAX_PDU);
  } catch {
    return true;
  }
  return bytes.length >= 6 + size;
}

/** The fault of the first PDU that cannot be read; `cut short` where the last one is not whole. */
function breaks(bytes: Buffer): string | undefined {
  const splitter = new PduSplitter(MAX_PDU);
  splitter.push(bytes);
  try {
    let value = splitter.next();
    while (value) value = splitter.next();
    return splitter.idle ? undefined : 'cut short';
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
}
