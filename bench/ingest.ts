/**
 * How fast objects come in: C-STORE and STOW-RS, by our own sender and by DCMTK's, what they cost the server's processor and
 * memory, and how fast the senders are against a receiver that keeps nothing.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArchiveReader } from './support/archive.ts';
import { accessionOf, ctSlice } from './support/data.ts';
import type { Job, Objects } from './support/jobs.ts';
import { type Peer, type Peers } from './support/peers.ts';
import {
  alternate,
  type BenchOptions,
  check,
  Figures,
  measure,
  type Measurements,
  versionsOf,
} from './support/run.ts';
import { startSink } from './support/sink.ts';

/** Objects of one turn: at 600 a second a turn of 600 lasts a second, of which starting up is not a part. */
const SIZES = {
  full: { ct: 600, tiny: 2000 },
  quick: { ct: 120, tiny: 400 },
  smoke: { ct: 8, tiny: 12 },
} as const;
/** STOW-RS: objects in one request. */
const BATCH = 25;

type Receiver = Pick<Peer, 'name' | 'pid' | 'dicomPort' | 'httpPort' | 'aeTitle' | 'dicomweb' | 'headers'>;

interface Work {
  readonly name: string;
  readonly kind: Objects['kind'];
  /** Also says what 1,000 objects cost. */
  readonly costs?: boolean;
  job(to: Receiver, objects: Objects): Job;
}

const store = (associations: number, kind: 'store'): Work['job'] => {
  return (to, objects) => ({
    kind,
    target: { port: to.dicomPort, aeTitle: to.aeTitle },
    associations,
    objects,
  });
};

const storescu = (associations: number): Work['job'] => {
  return (to, objects) => ({
    kind: 'storescu',
    target: { port: to.dicomPort, aeTitle: to.aeTitle },
    associations,
    objects,
    folder: mkdtempSync(join(tmpdir(), 'bench-send-')),
  });
};

const stow = (connections: number): Work['job'] => {
  return (to, objects) => ({
    kind: 'stow',
    target: { port: to.httpPort, headers: to.headers },
    path: `${to.dicomweb}/studies`,
    connections,
    batch: BATCH,
    objects,
  });
};

const WORK: readonly Work[] = [
  { name: 'C-STORE CT 512 KB, 1 association', kind: 'ct', job: store(1, 'store') },
  { name: 'C-STORE CT 512 KB, 4 associations', kind: 'ct', costs: true, job: store(4, 'store') },
  { name: 'C-STORE tiny, new study each, 4 associations', kind: 'tiny', costs: true, job: store(4, 'store') },
  { name: 'STOW-RS CT 512 KB, 4 connections', kind: 'ct', costs: true, job: stow(4) },
  { name: 'storescu CT 512 KB, 1 process', kind: 'ct', job: storescu(1) },
  { name: 'storescu CT 512 KB, 4 processes', kind: 'ct', job: storescu(4) },
];

export async function ingest(
  { orthanc, lightbox, alsoStop }: Peers,
  options: BenchOptions,
): Promise<Measurements> {
  const sink = await startSink();
  alsoStop(() => sink.stop());
  const peers: readonly Peer[] = [orthanc, lightbox];
  const nothing: Receiver = { ...sink, name: 'sink', aeTitle: 'SINK', dicomweb: '', headers: {} };
  const figures = new Figures();
  const sizes = SIZES[options.size];
  for (const [at, work] of WORK.entries()) {
    if (!options.only.test(work.name)) continue;
    await alternate([...peers, nothing], options, async ({ repetition, peer }) => {
      const count = repetition === 0 ? Math.ceil(sizes[work.kind] / 4) : sizes[work.kind];
      const objects: Objects = { kind: work.kind, tag: (at + 1) * 100 + repetition, count };
      const { result, ...cost } = await measure(peer.pid, work.job(peer, objects), options);
      const archive = peers.find((one) => one === peer);
      if (archive) await checkKept(archive, objects);
      if (repetition === 0) return;
      const add = (unit: string, value: number, more: boolean): void =>
        figures.add({ work: work.name, peer: peer.name, unit, more }, value, cost.otherCores);
      add('objects/s', result.done / result.seconds, true);
      if (work.costs !== true || !archive) return;
      add('server CPU s per 1,000', (cost.serverCpuSeconds / result.done) * 1000, false);
      add('server peak memory MiB', cost.serverPeakBytes / 2 ** 20, false);
    });
  }
  return { figures: figures.list(), setup: versionsOf(orthanc, lightbox) };
}

/** Everything that was sent is there, and is what was sent. */
async function checkKept(peer: Peer, objects: Objects): Promise<void> {
  const reader = new ArchiveReader(peer);
  try {
    if (objects.kind === 'ct') return await reader.checkCtSeries(ctSlice(objects.tag, 0), objects.count);
    const found = new Set(await reader.studies(`AccessionNumber=${accessionOf(objects.tag, '*')}`));
    check(found.size === objects.count, `${peer.name} has ${found.size} of ${objects.count} studies`);
  } finally {
    reader.close();
  }
}
