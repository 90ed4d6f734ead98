/**
 * The pieces of memory through which bytes go to the disk and come from it, used again and again: without this each would
 * wait for a garbage collection.
 *
 * Layer:  server/archive.
 */
import { release } from '../../platform/chunks.ts';

export const PIECE_BYTES = 256 * 1024;
/** The smallest first piece: most objects of a structured report or a header alone fit. */
const SMALLEST_BYTES = 16 * 1024;
/** 8 MiB: four senders at full speed gather and write that much at once; more is given back to the system. */
const MOST_FREE = 32;

const free: Buffer[] = [];

/** A piece for so many bytes; at most, and for a stream always, `PIECE_BYTES`. */
export function takePiece(wanted: number = PIECE_BYTES): Buffer {
  if (wanted < PIECE_BYTES) return Buffer.allocUnsafeSlow(Math.max(SMALLEST_BYTES, wanted));
  return free.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
}

/** The piece must not be looked at afterwards. */
export function givePiece(piece: Buffer): void {
  if (piece.length === PIECE_BYTES && free.length < MOST_FREE) free.push(piece);
  else release(piece);
}
