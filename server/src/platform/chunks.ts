/**
 * Bytes of a network stream one chunk after the other, each given back to the system as soon as it was used.
 *
 * Every chunk a socket reads is memory of its own that otherwise waits for a garbage collection, and one comes only after
 * some 64 MiB of them (V8 counts memory outside its heap): a large object would cost that, and drop out of the cache.
 *
 * Layer:  server/platform.
 */
import type { Readable } from 'node:stream';

/** Below this it costs more to give memory back than to leave it to the garbage collector. */
const WORTH_RELEASING = 8 * 1024;

/**
 * Reads a stream to its end. A chunk is valid until the next is asked for: who keeps bytes has to copy them.
 *
 * The stream's own iterator would join chunks that wait, which copies every byte once more.
 *
 * @throws what the stream fails with; an Error when it closes before its end.
 */
export async function* chunksOf(stream: Readable): AsyncGenerator<Buffer, void, undefined> {
  let waiting: Buffer[] = [];
  let ended = stream.readableEnded;
  let failure: unknown = stream.errored ?? undefined;
  let wake: (() => void) | undefined;
  const look = (): void => wake?.();
  const onData = (chunk: Buffer): void => {
    waiting.push(chunk);
    stream.pause();
    look();
  };
  const onEnd = (): void => {
    ended = true;
    look();
  };
  const onError = (error: unknown): void => {
    failure = error;
    look();
  };
  const onClose = (): void => {
    if (!ended) failure ??= new Error('closed before its end');
    look();
  };
  if (stream.destroyed && !ended) onClose();
  stream.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
  stream.pause();
  try {
    for (;;) {
      const chunk = waiting.shift();
      if (chunk) {
        yield chunk;
        release(chunk);
        continue;
      }
      if (failure !== undefined) throw failure;
      if (ended) return;
      const woken = new Promise<void>((settle) => (wake = settle));
      stream.resume();
      await woken;
    }
  } finally {
    stream.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
    waiting = [];
  }
}

/**
 * Gives the memory of a chunk back now. Only of one that has memory of its own; a part of something larger is left alone.
 * All views on it are empty afterwards.
 */
export function release(chunk: Uint8Array): void {
  const { buffer } = chunk;
  if (chunk.length < WORTH_RELEASING || chunk.length !== buffer.byteLength) return;
  // A transfer to length 0 detaches the old memory and keeps none of it (ECMA-262 §25.1.6.8).
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
}
