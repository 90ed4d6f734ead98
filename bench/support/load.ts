/**
 * The measuring side's process: prepares the job it is given by IPC, says so, runs it when told, reports.
 * `inLoadProcess` is the other end.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { type Job, type JobResult, prepare } from './jobs.ts';

type ToParent = { readonly ready: true } | { readonly result: JobResult } | { readonly error: string };

export interface PreparedLoad {
  readonly pid: number;
  run(): Promise<JobResult>;
  close(): Promise<void>;
}

/** Starts a process that has prepared `job` and waits. */
export async function inLoadProcess(job: Job): Promise<PreparedLoad> {
  const child = fork(import.meta.filename, { stdio: 'inherit', execArgv: ['--max-old-space-size=8192'] });
  child.send(job);
  await answerOf(child, 'ready');
  return {
    pid: child.pid ?? 0,
    run: async () => {
      child.send('go');
      return (await answerOf(child, 'result')).result;
    },
    close: async () => {
      const ended = new Promise((settle) => child.once('exit', settle));
      child.send('close');
      await ended;
    },
  };
}

type AnswerOf<K extends string> = Extract<ToParent, Readonly<Record<K, unknown>>>;

function answerOf<K extends 'ready' | 'result'>(child: ChildProcess, kind: K): Promise<AnswerOf<K>> {
  return new Promise((settle, fail) => {
    const ended = (code: number | null): void => fail(new Error(`the load process ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message: ToParent) => {
      child.off('exit', ended);
      if (kind in message) return settle(message as AnswerOf<K>);
      child.kill();
      fail(new Error('error' in message ? message.error : `expected ${kind}`));
    });
  });
}

if (process.argv[1] === import.meta.filename) {
  const tell = (message: ToParent): void => void process.send?.(message);
  const failed = (error: unknown): void =>
    tell({ error: error instanceof Error ? error.message : String(error) });
  process.once('disconnect', () => process.exit(0));
  process.once('message', (job: Job) => {
    prepare(job)
      .then(({ run, close }) => {
        process.on('message', (order: 'go' | 'close') => {
          if (order === 'go') run().then((result) => tell({ result }), failed);
          else void close().finally(() => process.disconnect());
        });
        tell({ ready: true });
      })
      .catch(failed);
  });
}
