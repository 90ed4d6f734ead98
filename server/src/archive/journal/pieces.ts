/**
 * The pieces of memory in which bytes are gathered before they are written, used again and again: without this each would
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

/** The first piece is as large as what comes, later ones are for a stream. */
export function takePiece(first: boolean, wanted: number): Buffer {
  if (first && wanted < PIECE_BYTES) return Buffer.allocUnsafeSlow(Math.max(SMALLEST_BYTES, wanted));
  return free.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
}

/** The piece must not be looked at afterwards. */
export function givePiece(piece: Buffer): void {
  if (piece.length === PIECE_BYTES && free.length < MOST_FREE) free.push(piece);
  else release(piece);
}
