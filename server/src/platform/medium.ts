/**
 * Files on their way onto a medium: what a ZIP and a disc image are made of.
 *
 * Layer:  server/platform.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Pieces } from './outgoing.ts';

export interface MediumFile {
  /** Folders and name; the writers take what they get, so it is ours and never from outside. */
  readonly path: readonly string[];
  /** Bytes, when they are known before the file is opened. */
  readonly bytes: number | undefined;
  /** Once, in the order of the list. */
  open(): Promise<{ readonly bytes: number; readonly pieces: Pieces }>;
}

/** A file that is in memory. */
export function memoryFile(path: readonly string[], content: Uint8Array): MediumFile {
  async function* pieces(): Pieces {
    yield content;
  }
  const bytes = content.length;
  return { path, bytes, open: () => Promise.resolve({ bytes, pieces: pieces() }) };
}

/** @throws Fault MEDIA_SIZE when the file has other bytes than announced: the directory around it would be wrong. */
export async function* exactly(bytes: number, pieces: Pieces): Pieces {
  let left = bytes;
  for await (const piece of pieces) {
    left -= piece.length;
    if (left < 0) break;
    yield piece;
  }
  if (left !== 0) throw new Fault('MEDIA_SIZE', { announced: bytes, left });
}
