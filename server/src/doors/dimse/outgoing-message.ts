/**
 * A message whose data set is longer than memory should be: a C-STORE request on its way to a peer.
 *
 * Source: PS3.7 §6.3 (messages), PS3.8 §9.3.5 and Annex E (P-DATA-TF), §D.1.1 (maximum length).
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { type Command, writeCommand } from '@lightbox/core/dimse/command.ts';
import { fragments, fragmentSize, pDataHeader } from '@lightbox/core/dimse/message.ts';
import { givePiece, PIECE_BYTES, takePiece } from '../../archive/journal/pieces.ts';

const HEADER = 12;
/** No P-DATA-TF is begun for fewer bytes than this, but for the last. */
const SHORTEST = 1024;

/** Resolves when the bytes have left our memory; rejects when they cannot any more. */
export type Push = (bytes: Uint8Array) => Promise<void>;

/**
 * Sends a command and its data set, through two pieces of memory: one is filled while the other is on its way.
 *
 * @param dataSet  Pieces may be valid only until the next is asked for.
 * @returns what went wrong with the data set before anything of it was sent: the association is as it was.
 * @throws Fault when the message broke off in the middle: the association is of no use any more.
 */
export async function sendMessage(
  context: { readonly id: number; readonly peerMaxPdu: number },
  command: Command,
  dataSet: AsyncIterable<Uint8Array>,
  push: Push,
): Promise<Fault | undefined> {
  const size = Math.min(fragmentSize(context.peerMaxPdu), PIECE_BYTES - HEADER);
  const pieces = [takePiece()];
  let piece = pieces[0]!;
  let at = 0;
  let sending: Promise<void> | undefined;
  const flush = async (): Promise<void> => {
    await sending;
    sending = push(piece.subarray(0, at));
    // Looked at in its turn.
    sending.catch(() => undefined);
    const other = pieces.find((one) => one !== piece) ?? takePiece();
    if (!pieces.includes(other)) pieces.push(other);
    piece = other;
    at = 0;
  };
  for (const part of fragments(context.id, true, writeCommand(command), size)) {
    if (at + part.length > piece.length) await flush();
    piece.set(part, at);
    at += part.length;
  }
  /** Where the header of the open P-DATA-TF stands. It is closed when it is known whether more follows. */
  let header = at;
  let filled = 0;
  const close = (last: boolean): void => piece.set(pDataHeader(context.id, false, last, filled), header);
  const open = async (): Promise<void> => {
    // All lengths here are even, so that those of the fragments are too (PS3.8 Annex F).
    if (at + HEADER + SHORTEST > piece.length) await flush();
    header = at;
    at += HEADER;
    filled = 0;
  };
  await open();
  try {
    for await (const bytes of dataSet) {
      for (let from = 0; from < bytes.length;) {
        if (filled === size || at === piece.length) {
          close(false);
          await open();
        }
        const count = Math.min(size - filled, piece.length - at, bytes.length - from);
        piece.set(bytes.subarray(from, from + count), at);
        at += count;
        filled += count;
        from += count;
      }
    }
  } catch (error) {
    if (sending) throw new Fault('DIMSE_ABORTED', { what: asFault(error).code }, { cause: error });
    pieces.forEach(givePiece);
    return asFault(error);
  }
  close(true);
  await flush();
  await sending;
  // Only now is it sure that nobody reads from them any more.
  pieces.forEach(givePiece);
  return undefined;
}
