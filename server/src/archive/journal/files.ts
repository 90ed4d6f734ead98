/**
 * The few file calls the journal makes, as promises on plain descriptors: less overhead per object than FileHandle.
 *
 * Layer:  server/archive.
 */
import { close, fdatasync, fsync, open, read, write, writev } from 'node:fs';
import { promisify } from 'node:util';

export const openFile = promisify(open) as (path: string, flags: string, mode?: number) => Promise<number>;
export const closeFile = promisify(close);
export const syncData = promisify(fdatasync);
export const syncAll = promisify(fsync);

/** Writes all of the buffers, however many calls that takes. */
export function writeAll(fd: number, buffers: readonly Uint8Array[], position: number): Promise<void> {
  return new Promise((settle, fail) => {
    const next = (left: readonly Uint8Array[], at: number): void => {
      const total = left.reduce((sum, one) => sum + one.length, 0);
      if (total === 0) return settle();
      const done = (error: Error | null, written: number): void => {
        if (error) return fail(error);
        if (written === total) return settle();
        next(after(left, written), at + written);
      };
      const [only] = left;
      if (left.length === 1 && only) write(fd, only, 0, only.length, at, done);
      else writev(fd, left as Uint8Array[], at, done);
    };
    next(buffers, position);
  });
}

function after(buffers: readonly Uint8Array[], written: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = written;
  for (const one of buffers) {
    if (skip >= one.length) skip -= one.length;
    else {
      left.push(skip ? one.subarray(skip) : one);
      skip = 0;
    }
  }
  return left;
}

/** Reads until the buffer is full or the file ends. @returns the bytes read, a view on `into`. */
export function readInto(fd: number, into: Buffer, position: number): Promise<Buffer> {
  return new Promise((settle, fail) => {
    const next = (filled: number): void => {
      read(fd, into, filled, into.length - filled, position + filled, (error, count) => {
        if (error) fail(error);
        else if (count === 0) settle(into.subarray(0, filled));
        else if (filled + count === into.length) settle(into);
        else next(filled + count);
      });
    };
    if (into.length === 0) settle(into);
    else next(0);
  });
}

/** A folder's own entries on disk: a new file is only there for good when its folder is. */
export async function syncFolder(path: string): Promise<void> {
  const fd = await openFile(path, 'r');
  try {
    await syncAll(fd);
  } finally {
    await closeFile(fd);
  }
}
