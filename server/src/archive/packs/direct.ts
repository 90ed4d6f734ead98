/**
 * Reading what was just written from the disk itself, not from the memory the system still has of it: a disk that lost or
 * changed it is noticed before anything depends on it.
 *
 * Source: open(2), O_DIRECT: buffer, offset and length have to be aligned. Where the file system does not offer it, reading is ordinary.
 * Layer:  server/archive.
 */
import { constants } from 'node:fs';
import { open as openHandle, type FileHandle } from 'node:fs/promises';
import type { OpenPart } from './store.ts';

/** Aligned for every disk: a page. */
const ALIGNED = 4096;
const WINDOW_BYTES = 1024 * 1024;
const WASM_PAGE = 65_536;

declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
};

export async function openDirect(path: string): Promise<OpenPart> {
  let { handle, direct } = await openEither(path);
  const { size } = await handle.stat();
  // Memory of WebAssembly begins on a page; that of a Buffer anywhere.
  const window = Buffer.from(new WebAssembly.Memory({ initial: WINDOW_BYTES / WASM_PAGE }).buffer);
  let from = -1;
  let filled = 0;

  async function fill(at: number): Promise<void> {
    from = Math.floor(at / ALIGNED) * ALIGNED;
    filled = 0;
    try {
      while (filled < WINDOW_BYTES && from + filled < size) {
        const { bytesRead } = await handle.read(window, filled, WINDOW_BYTES - filled, from + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
        // The end of the file: what is left is not aligned.
        if (bytesRead % ALIGNED !== 0) break;
      }
    } catch (error) {
      if (!direct || (error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      await handle.close();
      handle = await openHandle(path, 'r');
      direct = false;
      await fill(at);
    }
  }

  return {
    size,
    async read(at, length, into) {
      const bytes = Math.max(0, Math.min(length, size - at));
      const out = into?.subarray(0, bytes) ?? Buffer.allocUnsafe(bytes);
      for (let done = 0; done < out.length;) {
        const place = at + done;
        if (from < 0 || place < from || place >= from + filled) await fill(place);
        const count = window.copy(
          out,
          done,
          place - from,
          Math.min(filled, place - from + out.length - done),
        );
        if (count === 0) return out.subarray(0, done);
        done += count;
      }
      return out;
    },
    close: () => handle.close(),
  };
}

async function openEither(path: string): Promise<{ handle: FileHandle; direct: boolean }> {
  try {
    return { handle: await openHandle(path, constants.O_RDONLY | constants.O_DIRECT), direct: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    return { handle: await openHandle(path, 'r'), direct: false };
  }
}
