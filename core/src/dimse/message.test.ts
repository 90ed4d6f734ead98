/** Messages and the splitter under them (PS3.7 §6.3, PS3.8 §9.3.5, Annex E). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Command, COMMANDS, NO_DATA_SET, writeCommand } from './command.ts';
import { fragments, fragmentSize, MessageAssembler, type MessageEvent, writeMessage } from './message.ts';
import { type Pdu, type Pdv, readPdu, writePdu } from './pdu.ts';
import { PduSplitter, type PdvPart, type Received } from './splitter.ts';
import { anyPdu, joinBytes, outcomeOf } from './testing.ts';

const MAX = 1 << 20;
const FIND: Command = { commandField: COMMANDS.findRequest, messageId: 7, dataSetType: 1 };
const ECHO: Command = { commandField: COMMANDS.echoRequest, messageId: 1, dataSetType: NO_DATA_SET };

/** What comes out of a splitter fed in pieces of these sizes, the last one repeated. */
function split(bytes: Uint8Array, sizes: readonly number[]): Received[] {
  const splitter = new PduSplitter(MAX);
  const found: Received[] = [];
  let piece = 0;
  for (let at = 0; at < bytes.length; piece++) {
    const size = sizes[Math.min(piece, sizes.length - 1)] ?? bytes.length;
    splitter.push(bytes.slice(at, at + size));
    for (let value = splitter.next(); value; value = splitter.next()) found.push(value);
    at += size;
  }
  expect(splitter.idle).toBe(true);
  return found;
}

/** The same values whichever way the bytes were cut: parts of one PDV put together. */
function whole(found: readonly Received[], pdus: readonly Pdu[]): unknown[] {
  const lengths = pdus.flatMap((pdu) =>
    pdu.type === 'p-data' ? pdu.pdvs.map((pdv) => pdv.bytes.length) : [],
  );
  const out: unknown[] = [];
  let open: { pdv: Pdv; parts: Uint8Array[]; left: number } | undefined;
  for (const value of found) {
    if (value.type !== 'pdv') {
      out.push(value);
      continue;
    }
    const { contextId, command, bytes } = value;
    open ??= { pdv: { contextId, command, last: false, bytes }, parts: [], left: lengths.shift() ?? 0 };
    open.parts.push(bytes);
    open.left -= bytes.length;
    if (open.left > 0) continue;
    out.push({ ...open.pdv, last: value.last, bytes: joinBytes(...open.parts) });
    open = undefined;
  }
  return out;
}

describe('PduSplitter', () => {
  it('gives the same whichever way the bytes were cut', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(anyPdu, { minLength: 1, maxLength: 6 }), sizes, (pdus, cuts) => {
        const bytes = joinBytes(...pdus.map(writePdu));
        const wanted = pdus.flatMap((pdu): unknown[] => (pdu.type === 'p-data' ? [...pdu.pdvs] : [pdu]));
        expect(whole(split(bytes, [bytes.length]), pdus)).toEqual(wanted);
        expect(whole(split(bytes, cuts), pdus)).toEqual(wanted);
      }),
      { numRuns: 300 },
    );
  });

  it('passes pixel data through as views on the chunk', () => {
    const chunk = writePdu({
      type: 'p-data',
      pdvs: [{ contextId: 1, command: false, last: true, bytes: new Uint8Array(1000) }],
    });
    const splitter = new PduSplitter(MAX);
    splitter.push(chunk);
    const value = splitter.next();
    expect(value?.type === 'pdv' && value.bytes.buffer).toBe(chunk.buffer);
  });

  it('says that a data set ends only with the last part of its last PDV', () => {
    const bytes = joinBytes(...fragments(1, false, new Uint8Array(100), 40));
    const parts = split(bytes, [7]) as PdvPart[];
    expect(parts.filter((part) => part.last)).toHaveLength(1);
    expect(parts.at(-1)?.last).toBe(true);
  });

  it.each([
    ['a PDV longer than its PDU', '04000000000a00000010010241424344'],
    ['a PDV header that does not fit', '04000000000d0000000301024100000000010241'],
    ['a PDV of length 0', '040000000006000000000102'],
  ])('%s is a fault', (_, text) => {
    const splitter = new PduSplitter(MAX);
    splitter.push(Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
    expect(
      outcomeOf(() => {
        while (splitter.next());
      }),
    ).toBe('PDU_ITEM_LENGTH');
  });
});

/** What an assembler makes of the bytes of whole P-DATA-TFs. */
function assemble(bytes: Uint8Array, assembler = new MessageAssembler()): MessageEvent[] {
  return split(bytes, [bytes.length]).flatMap((value) =>
    value.type === 'pdv' ? (assembler.take(value) ?? []) : [],
  );
}

const part = (over: Partial<PdvPart>): PdvPart => ({
  ...{ type: 'pdv', contextId: 1, command: true, last: true, bytes: writeCommand(ECHO), ...over },
});

describe('writeMessage and MessageAssembler', () => {
  it('a message comes back whole for every length of the peer’s PDUs, none longer than it takes', () => {
    fc.assert(
      fc.property(
        fc.option(fc.uint8Array({ maxLength: 600 }), { nil: undefined }),
        fc.integer({ min: 14, max: 700 }),
        (dataSet, maxPdu) => {
          const command = { ...FIND, dataSetType: dataSet ? 1 : NO_DATA_SET };
          const bytes = writeMessage(3, command, dataSet, maxPdu);
          const view = new DataView(bytes.buffer);
          for (let at = 0; at < bytes.length; at += 6 + view.getUint32(at + 2))
            expect(view.getUint32(at + 2)).toBeLessThanOrEqual(maxPdu);
          const [first, ...rest] = assemble(bytes);
          expect(first).toEqual({ kind: 'command', contextId: 3, command });
          const data = rest.map((event) => (event.kind === 'data' ? event.bytes : new Uint8Array(0)));
          expect(joinBytes(...data)).toEqual(dataSet ?? new Uint8Array(0));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('puts command and data set into one P-DATA-TF where they fit', () => {
    const bytes = writeMessage(1, FIND, new Uint8Array(20), 16384);
    const pdu = readPdu(bytes[0]!, bytes.subarray(6));
    expect(pdu.type === 'p-data' && pdu.pdvs.map(({ command, last }) => [command, last])).toEqual([
      [true, true],
      [false, true],
    ]);
  });

  it('cuts into an even number of bytes, whatever the peer says (PS3.8 Annex F)', () => {
    expect([0, 1, 7, 16384, 16383, 0xffffffff].map((max) => fragmentSize(max) % 2)).toEqual(
      new Array(6).fill(0),
    );
  });

  it.each([
    ['another context within a command', [part({ last: false }), part({ contextId: 3 })]],
    [
      'another context for the data set',
      [part({ bytes: writeCommand(FIND) }), part({ contextId: 3, command: false })],
    ],
    ['a command where a data set is due', [part({ bytes: writeCommand(FIND) }), part({})]],
    ['a data set without a command', [part({ command: false })]],
    ['a data set after a command without one', [part({}), part({ command: false })]],
  ])('%s is a fault', (_, parts) => {
    const assembler = new MessageAssembler();
    expect(outcomeOf(() => parts.forEach((one) => assembler.take(one)))).toBe('PDU_UNEXPECTED');
  });

  it('keeps nothing of a chunk but copies, also of a Buffer, whose slice is a view', () => {
    const bytes = Buffer.from(writeMessage(1, ECHO, undefined, 0));
    const splitter = new PduSplitter(MAX);
    const assembler = new MessageAssembler();
    const events: MessageEvent[] = [];
    for (let at = 0; at < bytes.length; at += 20) {
      const chunk = Buffer.from(bytes.subarray(at, at + 20));
      splitter.push(chunk);
      for (let value = splitter.next(); value; value = splitter.next())
        if (value.type === 'pdv') events.push(...[assembler.take(value) ?? []].flat());
      chunk.fill(0xee);
    }
    expect(events).toEqual([{ kind: 'command', contextId: 1, command: ECHO }]);
  });

  it('a command that never ends is a fault, and empty parts of one take no memory', () => {
    const assembler = new MessageAssembler();
    const empty = part({ last: false, bytes: new Uint8Array(0) });
    for (let count = 0; count < 100_000; count++) assembler.take(empty);
    const long = part({ last: false, bytes: new Uint8Array(32 * 1024) });
    assembler.take(long);
    assembler.take(long);
    expect(outcomeOf(() => assembler.take(long))).toBe('DIMSE_COMMAND');
  });
});
