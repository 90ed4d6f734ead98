/**
 * Mutated PDUs and commands: a value or a Fault, never another exception, never more values than bytes (CONTRIBUTING, law 6).
 * The seed is fixed, so that a failure comes again.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Command, COMMANDS, readCommand, writeCommand } from './command.ts';
import { MessageAssembler, writeMessage } from './message.ts';
import { checkPduLength, readPdu, writePdu } from './pdu.ts';
import { PduSplitter } from './splitter.ts';
import { anyPdu, joinBytes, outcomeOf } from './testing.ts';

const SEED = 20_260_102;
const MAX = 1 << 17;
const STORE: Command = {
  ...{ commandField: COMMANDS.storeRequest, messageId: 3, dataSetType: 1, priority: 0 },
  ...{ affectedSopClassUid: '1.2.840.10008.5.1.4.1.1.2', affectedSopInstanceUid: '1.2.3' },
};

type Mutation = readonly [kind: number, at: number, value: number];
const mutations = fc.array(fc.tuple(fc.nat(4), fc.nat(0xffff), fc.nat(0xff)), { minLength: 1, maxLength: 6 });

/** Overwrite, a length field at its extreme, cut, remove, repeat. */
function mutate(bytes: Uint8Array, list: readonly Mutation[]): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (const [kind, place, value] of list) {
    if (out.length === 0) return out;
    const at = place % out.length;
    if (kind === 0) out[at] = value;
    else if (kind === 1) out.fill(value & 1 ? 0xff : 0, at, at + 4);
    else if (kind === 2) out = out.slice(0, at);
    else if (kind === 3) out = joinBytes(out.subarray(0, at), out.subarray(at + 1 + (value % 8)));
    else out = joinBytes(out.subarray(0, at), out.subarray(at, at + 32), out.subarray(at));
  }
  return out;
}

const options = { seed: SEED, numRuns: 4000 };

describe('mutation fuzzing', () => {
  it('PDU parser', () => {
    fc.assert(
      fc.property(anyPdu, mutations, (pdu, list) => {
        const bytes = mutate(writePdu(pdu), list);
        if (bytes.length >= 6) outcomeOf(() => readPdu(bytes[0]!, bytes.subarray(6)));
      }),
      options,
    );
  });

  it('PDU lengths: whatever passes is bounded', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(0xffffffff), (type, length) => {
        if (outcomeOf(() => checkPduLength(type, length, MAX)) === undefined)
          expect(length).toBeLessThanOrEqual(1024 * 1024);
      }),
      options,
    );
  });

  it('command parser', () => {
    fc.assert(
      fc.property(mutations, (list) => {
        outcomeOf(() => readCommand(mutate(writeCommand(STORE), list)));
      }),
      options,
    );
  });

  it('splitter and assembler over a stream in pieces', () => {
    const stream = fc.array(
      fc.oneof(
        anyPdu.map(writePdu),
        fc.integer({ min: 14, max: 300 }).map((max) => writeMessage(1, STORE, new Uint8Array(200), max)),
      ),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(stream, mutations, fc.integer({ min: 1, max: 90 }), (pdus, list, size) => {
        const bytes = mutate(joinBytes(...pdus), list);
        const splitter = new PduSplitter(MAX);
        const assembler = new MessageAssembler();
        let values = 0;
        outcomeOf(() => {
          for (let at = 0; at < bytes.length; at += size) {
            splitter.push(bytes.subarray(at, at + size));
            for (let value = splitter.next(); value; value = splitter.next()) {
              if (value.type === 'pdv') assembler.take(value);
              // Progress: no value without a byte of its own.
              expect(++values).toBeLessThanOrEqual(bytes.length);
            }
          }
        });
      }),
      options,
    );
  });
});
