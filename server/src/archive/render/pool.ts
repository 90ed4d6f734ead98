/**
 * A fixed number of render workers, each with one job at a time, and a bounded line before them.
 *
 * Layer:  server/archive.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Job, JobAnswer, JobResult } from './job.ts';

export interface PoolOptions {
  readonly workers?: number | undefined;
  /** Jobs that may wait; more are refused with BUSY (attack B50). */
  readonly queue?: number | undefined;
  /** A job that takes longer ends its worker. */
  readonly timeoutMs?: number | undefined;
  /** Only for tests of the pool: what the workers run. */
  readonly script?: URL | undefined;
}

export interface Pool {
  /** @throws Fault BUSY, RENDER_TIMEOUT, PIXELS_BROKEN and what the job throws. */
  run(job: Job): Promise<JobResult>;
  /** Jobs not yet begun. */
  waiting(): number;
  close(): Promise<void>;
}

interface Waiting {
  readonly job: Job;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (fault: Fault) => void;
}

interface Seat {
  worker: Worker | undefined;
  current: Waiting | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** Said to who is refused: by then a queue of ordinary frames is empty. */
const RETRY_SECONDS = 2;
/** A queue of 256 MiB frames must not fill the memory. */
const MAX_WAITING_BYTES = 512 * 1024 * 1024;

export function createPool(options: PoolOptions = {}): Pool {
  const { queue = 256, timeoutMs = 10_000, script = new URL('./worker.ts', import.meta.url) } = options;
  const count = Math.max(1, options.workers ?? availableParallelism());
  const seats: Seat[] = Array.from({ length: count }, () => ({
    worker: undefined,
    current: undefined,
    timer: undefined,
  }));
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let closed = false;

  function start(seat: Seat): Worker {
    const worker = new Worker(script, {
      execArgv: [],
      stdout: true,
      resourceLimits: { maxOldGenerationSizeMb: 1024 },
    });
    // Some codecs print to the standard output.
    worker.stdout.resume();
    worker.unref();
    worker.on('message', (answer: JobAnswer) => {
      const { current } = seat;
      release(seat);
      if (answer.ok)
        current?.resolve({ bytes: answer.bytes, image: answer.image, channels: answer.channels });
      else current?.reject(new Fault(answer.code, answer.facts));
      next();
    });
    worker.on('error', () =>
      lose(seat, worker, new Fault('PIXELS_BROKEN', { problem: 'the decoder crashed' })),
    );
    worker.on('exit', () => lose(seat, worker, new Fault('PIXELS_BROKEN', { problem: 'the decoder ended' })));
    seat.worker = worker;
    return worker;
  }

  function release(seat: Seat): void {
    clearTimeout(seat.timer);
    seat.timer = undefined;
    seat.current = undefined;
    seat.worker?.unref();
  }

  /** The worker is gone or is being ended; the seat gets a new one with its next job. */
  function lose(seat: Seat, worker: Worker, fault: Fault): void {
    if (seat.worker !== worker) return;
    const { current } = seat;
    release(seat);
    seat.worker = undefined;
    void worker.terminate();
    current?.reject(fault);
    next();
  }

  function next(): void {
    if (closed) return;
    for (const seat of seats) {
      if (seat.current) continue;
      const first = waiting.shift();
      if (!first) return;
      waitingBytes -= first.job.bytes.length;
      const worker = seat.worker ?? start(seat);
      worker.ref();
      seat.current = first;
      seat.timer = setTimeout(
        () => lose(seat, worker, new Fault('RENDER_TIMEOUT', { timeoutMs })),
        timeoutMs,
      );
      worker.postMessage(first.job);
    }
  }

  return {
    run(job) {
      if (closed || waiting.length >= queue || waitingBytes + job.bytes.length > MAX_WAITING_BYTES)
        return Promise.reject(new Fault('BUSY', { waiting: waiting.length, retrySeconds: RETRY_SECONDS }));
      return new Promise<JobResult>((resolve, reject) => {
        waiting.push({ job, resolve, reject });
        waitingBytes += job.bytes.length;
        next();
      });
    },
    waiting: () => waiting.length,
    async close() {
      closed = true;
      for (const { reject } of waiting.splice(0)) reject(new Fault('BUSY'));
      await Promise.all(
        seats.map(async (seat) => {
          seat.current?.reject(new Fault('BUSY'));
          const { worker } = seat;
          release(seat);
          seat.worker = undefined;
          await worker?.terminate();
        }),
      );
    },
  };
}
