/**
 * The work of the measuring side. A job is prepared first (objects made, messages encoded, connections open), so that the
 * clock sees nothing but the exchange with the server. Jobs run in a process of their own: see `load.ts`.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { BenchAssociation, type DimseTarget } from './association.ts';
import { ctSlice, part10, type Sample, tinyStudy } from './data.ts';
import { HttpConnection } from './http.ts';

/** Which objects of `data.ts`; the tag makes them new. */
export type Objects =
  | { readonly kind: 'ct'; readonly tag: number; readonly count: number }
  | { readonly kind: 'tiny'; readonly tag: number; readonly count: number };

export interface HttpTarget {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Goes on until the time is up, but at least once and at most `limit` times. */
interface Repeated {
  readonly seconds: number;
  readonly limit: number;
}

export type Job =
  | {
      readonly kind: 'store';
      readonly target: DimseTarget;
      readonly associations: number;
      readonly objects: Objects;
    }
  | {
      readonly kind: 'storescu';
      readonly target: DimseTarget;
      readonly associations: number;
      readonly objects: Objects;
      readonly folder: string;
    }
  | {
      readonly kind: 'stow';
      readonly target: HttpTarget;
      readonly path: string;
      readonly connections: number;
      /** Objects in one request. */
      readonly batch: number;
      readonly objects: Objects;
    }
  | ({
      readonly kind: 'get';
      readonly target: HttpTarget;
      readonly connections: number;
      /** Taken in turn. */
      readonly paths: readonly string[];
      readonly headers: Readonly<Record<string, string>>;
    } & Repeated)
  | ({
      readonly kind: 'find';
      readonly target: DimseTarget;
      /** Identifiers by keyword, taken in turn. */
      readonly identifiers: readonly Readonly<Record<string, string>>[];
    } & Repeated);

export interface JobResult {
  readonly seconds: number;
  /** Objects stored, or requests answered. */
  readonly done: number;
  /** Payload moved. */
  readonly bytes: number;
  /** Milliseconds per request, sorted; empty where requests are not measured one by one. */
  readonly latencies: readonly number[];
  /** Connections the server closed and the client had to open again. */
  readonly reopened: number;
}

type Outcome = Partial<Omit<JobResult, 'seconds'>> & { readonly done: number };

export function makeObjects(objects: Objects): Sample[] {
  const { kind, tag, count } = objects;
  return Array.from({ length: count }, (_, index) =>
    kind === 'ct' ? ctSlice(tag, index) : tinyStudy(tag, index, count),
  );
}

/** Prepares a job. @returns what is to be timed, and what closes it. */
export async function prepare(job: Job): Promise<{ run(): Promise<JobResult>; close(): Promise<void> }> {
  const prepared = await preparations[job.kind](job as never);
  return {
    close: prepared.close,
    run: async () => {
      const began = performance.now();
      const outcome = await prepared.run();
      const seconds = (performance.now() - began) / 1000;
      const latencies = [...(outcome.latencies ?? [])].sort((a, b) => a - b);
      return { bytes: 0, reopened: 0, ...outcome, seconds, latencies };
    },
  };
}

interface Prepared {
  run(): Promise<Outcome>;
  close(): Promise<void>;
}

type Of<K extends Job['kind']> = Extract<Job, { kind: K }>;

const preparations: { readonly [K in Job['kind']]: (job: Of<K>) => Promise<Prepared> } = {
  store: prepareStore,
  storescu: prepareStorescu,
  stow: prepareStow,
  get: prepareGet,
  find: prepareFind,
};

/** Each worker takes the next of `items` until none is left. */
async function shared<W, T>(
  workers: readonly W[],
  items: readonly T[],
  work: (worker: W, item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    workers.map(async (worker) => {
      while (next < items.length) await work(worker, items[next++] as T);
    }),
  );
}

async function prepareStore(job: Of<'store'>): Promise<Prepared> {
  const objects = makeObjects(job.objects);
  const classes = [...new Set(objects.map(({ sopClassUid }) => sopClassUid))];
  const open = (): Promise<BenchAssociation> => BenchAssociation.open(job.target, classes);
  const associations = await Promise.all(Array.from({ length: job.associations }, open));
  const messages = objects.map((object) => associations[0]!.encodeStore(object));
  return {
    run: async () => {
      await shared(associations, messages, async (association, message) => {
        await association.request(message);
      });
      return { done: messages.length, bytes: messages.reduce((sum, { length }) => sum + length, 0) };
    },
    close: async () => {
      await Promise.all(associations.map((association) => association.close()));
    },
  };
}

/** DCMTK's sender, one process for each association. TCP_NODELAY, or it waits 44 ms for every answer. */
async function prepareStorescu(job: Of<'storescu'>): Promise<Prepared> {
  const { folder, associations, target } = job;
  let bytes = 0;
  makeObjects(job.objects).forEach((object, at) => {
    const into = join(folder, String(at % associations));
    mkdirSync(into, { recursive: true });
    const file = part10(object);
    bytes += file.length;
    writeFileSync(join(into, `${at}.dcm`), file);
  });
  const send = (at: number): Promise<void> =>
    new Promise((settle, fail) => {
      const args = ['-R', '-aet', 'BENCH', '-aec', target.aeTitle, '-pdu', '131072', '+sd', '+r'];
      const child = spawn('storescu', [...args, '127.0.0.1', String(target.port), join(folder, String(at))], {
        env: { ...process.env, TCP_NODELAY: '1' },
        stdio: 'ignore',
      });
      child.once('error', fail);
      child.once('exit', (code) => (code === 0 ? settle() : fail(new Error(`storescu ended with ${code}`))));
    });
  await turn();
  return {
    run: async () => {
      await Promise.all(Array.from({ length: associations }, (_, at) => send(at)));
      return { done: job.objects.count, bytes };
    },
    close: async () => {
      rmSync(folder, { recursive: true, force: true });
      await turn();
    },
  };
}

const BOUNDARY = 'lightbox-bench';

async function prepareStow(job: Of<'stow'>): Promise<Prepared> {
  const objects = makeObjects(job.objects);
  const bodies: Uint8Array[][] = [];
  for (let at = 0; at < objects.length; at += job.batch) {
    const parts = objects.slice(at, at + job.batch).flatMap((object) => {
      const file = part10(object);
      return [
        Buffer.from(`--${BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n`),
        file,
        Buffer.from('\r\n'),
      ];
    });
    bodies.push([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]);
  }
  const connections = Array.from({ length: job.connections }, () => new HttpConnection(job.target.port));
  const headers = {
    ...job.target.headers,
    'content-type': `multipart/related; type="application/dicom"; boundary=${BOUNDARY}`,
    accept: 'application/dicom+json',
  };
  await turn();
  return {
    run: async () => {
      await shared(connections, bodies, async (connection, body) => {
        const answer = await connection.ask({ path: job.path, method: 'POST', headers, body });
        if (answer.status !== 200) throw new Error(`STOW-RS was answered with ${answer.status}`);
      });
      const bytes = bodies.flat().reduce((sum, { length }) => sum + length, 0);
      return { done: objects.length, bytes };
    },
    close: async () => {
      for (const connection of connections) connection.close();
      await turn();
    },
  };
}

async function prepareGet(job: Of<'get'>): Promise<Prepared> {
  const connections = Array.from({ length: job.connections }, () => new HttpConnection(job.target.port));
  const headers = { ...job.target.headers, ...job.headers };
  let next = 0;
  const one = async (connection: HttpConnection): Promise<number> => {
    const path = job.paths[next++ % job.paths.length]!;
    const answer = await connection.ask({ path, headers });
    // 204: a search without a match.
    if (answer.status !== 200 && answer.status !== 204)
      throw new Error(`GET was answered with ${answer.status}`);
    return answer.bytes;
  };
  // Connections open, and whoever compiles or caches on the first request has done so.
  for (const connection of connections) await one(connection);
  return {
    run: async () => {
      const latencies: number[] = [];
      let bytes = 0;
      const until = performance.now() + job.seconds * 1000;
      await Promise.all(
        connections.map(async (connection) => {
          do {
            const began = performance.now();
            bytes += await one(connection);
            latencies.push(performance.now() - began);
          } while (performance.now() < until && latencies.length < job.limit);
        }),
      );
      const reopened = connections.reduce((sum, connection) => sum + connection.reopened, 0);
      return { done: latencies.length, bytes, latencies, reopened };
    },
    close: async () => {
      for (const connection of connections) connection.close();
      await turn();
    },
  };
}

async function prepareFind(job: Of<'find'>): Promise<Prepared> {
  const association = await BenchAssociation.openFind(job.target);
  const messages = job.identifiers.map((keys) => association.encodeFind(dataSet(keys)));
  await association.request(messages[0]!);
  return {
    run: async () => {
      const latencies: number[] = [];
      const until = performance.now() + job.seconds * 1000;
      do {
        const message = messages[latencies.length % messages.length]!;
        const began = performance.now();
        await association.request(message);
        latencies.push(performance.now() - began);
      } while (performance.now() < until && latencies.length < job.limit);
      return { done: latencies.length, latencies };
    },
    close: () => association.close(),
  };
}
