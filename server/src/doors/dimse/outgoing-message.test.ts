/** Long messages out through little memory (PS3.8 §9.3.5, Annex E). */
import { describe, expect, it } from 'vitest';
import { Fault } from '@lightbox/core/base/fault.ts';
import { COMMANDS, type Command } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler } from '@lightbox/core/dimse/message.ts';
import { PduSplitter } from '@lightbox/core/dimse/splitter.ts';
import { sendMessage } from './outgoing-message.ts';

const COMMAND: Command = {
  ...{ commandField: COMMANDS.storeRequest, affectedSopClassUid: '1.2', dataSetType: 1, messageId: 7 },
  affectedSopInstanceUid: '1.2.3',
};
const bytesOf = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 7) % 251));

/** Pieces that are overwritten as soon as the next is asked for, as those of a file are. */
async function* reused(bytes: Buffer, length: number): AsyncGenerator<Uint8Array> {
  const piece = Buffer.alloc(length);
  for (let at = 0; at < bytes.length; at += length) {
    const count = bytes.copy(piece, 0, at, at + length);
    yield piece.subarray(0, count);
    piece.fill(0xee);
  }
}

/** Takes bytes slowly and looks at them only when they have "gone to the system". */
function wire(): { push: (bytes: Uint8Array) => Promise<void>; whole: () => Buffer } {
  const parts: Buffer[] = [];
  return {
    async push(bytes) {
      await new Promise<void>((settle) => setTimeout(settle, 1));
      parts.push(Buffer.from(bytes));
    },
    whole: () => Buffer.concat(parts),
  };
}

function read(
  bytes: Buffer,
  maxPdu: number,
): { command: Command | undefined; dataSet: Buffer; lengths: number[] } {
  const splitter = new PduSplitter(maxPdu);
  const assembler = new MessageAssembler();
  splitter.push(bytes);
  let command: Command | undefined;
  const parts: Buffer[] = [];
  let ended = 0;
  for (let value = splitter.next(); value; value = splitter.next()) {
    if (value.type !== 'pdv') throw new Error(value.type);
    const event = assembler.take(value);
    if (event?.kind === 'command') command = event.command;
    if (event?.kind === 'data') {
      parts.push(Buffer.from(event.bytes));
      if (event.last) ended += 1;
    }
  }
  expect(ended).toBe(1);
  expect(splitter.idle).toBe(true);
  return { command, dataSet: Buffer.concat(parts), lengths: parts.map((part) => part.length) };
}

describe('sendMessage', () => {
  it.each([
    [0, 16384, 1000],
    [2, 16384, 1000],
    [16372, 16384, 16372],
    [16378, 16384, 16378],
    [16380, 16384, 999],
    [100_000, 4096, 333],
    [1_000_000, 16384, 65_536],
    [1_000_000, 0, 262_144],
    [1_200_000, 131_072, 262_144],
    [3_000, 20, 100],
  ])('%i bytes in PDUs of %i, from pieces of %i', async (length, peerMaxPdu, piece) => {
    const bytes = bytesOf(length);
    const { push, whole } = wire();
    expect(await sendMessage({ id: 3, peerMaxPdu }, COMMAND, reused(bytes, piece), push)).toBeUndefined();
    const found = read(whole(), peerMaxPdu === 0 ? 1 << 20 : peerMaxPdu);
    expect(found.command).toMatchObject({ messageId: 7, affectedSopInstanceUid: '1.2.3' });
    expect(found.dataSet.equals(bytes)).toBe(true);
    expect(found.lengths.filter((one) => one % 2 === 1)).toEqual([]);
  });

  async function* breaking(length: number): AsyncGenerator<Uint8Array> {
    if (length > 0) yield bytesOf(length);
    throw new Fault('PIXELS_BROKEN');
  }

  it('sends nothing of an object that cannot be read', async () => {
    const { push, whole } = wire();
    const unsent = await sendMessage({ id: 3, peerMaxPdu: 16384 }, COMMAND, breaking(100_000), push);
    expect(unsent?.code).toBe('PIXELS_BROKEN');
    expect(whole()).toHaveLength(0);
  });

  it('breaks the association where it cannot end the message', async () => {
    const { push } = wire();
    const sent = sendMessage({ id: 3, peerMaxPdu: 16384 }, COMMAND, breaking(600_000), push);
    await expect(sent).rejects.toMatchObject({ code: 'DIMSE_ABORTED', facts: { what: 'PIXELS_BROKEN' } });
  });

  it('stops reading when the peer is gone', async () => {
    let asked = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        asked += 1;
        yield bytesOf(100_000);
      }
    }
    const gone = (): Promise<void> => Promise.reject(new Fault('DIMSE_ABORTED'));
    const sent = sendMessage({ id: 3, peerMaxPdu: 16384 }, COMMAND, endless(), gone);
    await expect(sent).rejects.toMatchObject({ code: 'DIMSE_ABORTED' });
    expect(asked).toBeLessThan(20);
  });
});
