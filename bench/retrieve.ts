/**
 * How fast images are given back: single frames, metadata, whole studies and pictures over WADO-RS, from one CT series both
 * archives hold.
 */
import { ArchiveReader, DICOM_JSON, FRAMES, sha256 } from './support/archive.ts';
import { CT_SIDE, ctPixels, ctSlice } from './support/data.ts';
import { partsOf } from './support/http.ts';
import type { Job } from './support/jobs.ts';
import { inLoadProcess } from './support/load.ts';
import { type Peer, type Peers } from './support/peers.ts';
import {
  alternate,
  type BenchOptions,
  check,
  Figures,
  measure,
  type Measurements,
  quantile,
  versionsOf,
} from './support/run.ts';

const IMAGES = { full: 500, quick: 300, smoke: 6 } as const;
const SECONDS = { full: 3, quick: 1, smoke: 0.05 } as const;
/** Apart from the tags of the other benches: an archive may hold the objects of several. */
const TAG = 2001;
const OBJECTS = 'multipart/related; type="application/dicom"; transfer-syntax=*';

interface Work {
  readonly name: string;
  readonly connections: number;
  /** Below the DICOMweb root. */
  readonly paths: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly unit: 'requests/s' | 'MB/s' | 'p50 ms';
}

function workOf(count: number): readonly Work[] {
  const { studyUid, seriesUid } = ctSlice(TAG, 0);
  const series = `/studies/${studyUid}/series/${seriesUid}`;
  // Not in order: a reader that only ever reads ahead should not win by that.
  const instances = Array.from(
    { length: count },
    (_, at) => `${series}/instances/${seriesUid}.${((at * 7) % count) + 1}`,
  );
  const each = (suffix: string): string[] => instances.map((path) => path + suffix);
  return [
    ...[1, 8].map((connections): Work => {
      const name = `one frame, ${connections} connection${connections > 1 ? 's' : ''}`;
      return { name, connections, paths: each('/frames/1'), headers: { accept: FRAMES }, unit: 'requests/s' };
    }),
    {
      ...{ name: `series metadata, ${count} instances`, connections: 1, paths: [`${series}/metadata`] },
      ...{ headers: { accept: DICOM_JSON, 'accept-encoding': 'gzip' }, unit: 'p50 ms' },
    },
    {
      ...{ name: `study, ${count} CT`, connections: 1, paths: [`/studies/${studyUid}`] },
      ...{ headers: { accept: OBJECTS }, unit: 'MB/s' },
    },
    {
      ...{ name: 'rendered JPEG, 1 connection', connections: 1, paths: each('/rendered') },
      ...{ headers: { accept: 'image/jpeg' }, unit: 'requests/s' },
    },
    {
      ...{
        name: 'rendered JPEG 128 px, 1 connection',
        connections: 1,
        paths: each('/rendered?viewport=128,128'),
      },
      ...{ headers: { accept: 'image/jpeg' }, unit: 'requests/s' },
    },
  ];
}

export async function retrieve({ orthanc, lightbox }: Peers, options: BenchOptions): Promise<Measurements> {
  const peers = [orthanc, lightbox];
  const count = IMAGES[options.size];
  const seconds = SECONDS[options.size];
  const figures = new Figures();
  for (const peer of peers) await fill(peer, count);
  for (const work of workOf(count).filter(({ name }) => options.only.test(name))) {
    await alternate(peers, options, async ({ repetition, peer }) => {
      const job: Job = {
        kind: 'get',
        target: { port: peer.httpPort, headers: peer.headers },
        connections: work.connections,
        paths: work.paths.map((path) => peer.dicomweb + path),
        headers: work.headers,
        ...{ seconds, limit: 50_000 },
      };
      const { result, otherCores } = await measure(peer.pid, job, options);
      if (repetition === 0) return;
      const { latencies } = result;
      const value = {
        'requests/s': result.done / result.seconds,
        'MB/s': result.bytes / result.seconds / 1e6,
        'p50 ms': quantile(latencies, 0.5),
      }[work.unit];
      const row = { work: `WADO-RS ${work.name}`, peer: peer.name };
      figures.add({ ...row, unit: work.unit, more: work.unit !== 'p50 ms' }, value, otherCores);
    });
  }
  return { figures: figures.list(), setup: versionsOf(...peers) };
}

/** Stores the series, and holds everything that will be timed against what was sent. */
async function fill(peer: Peer, count: number): Promise<void> {
  const load = await inLoadProcess({
    kind: 'store',
    target: { port: peer.dicomPort, aeTitle: peer.aeTitle },
    associations: 1,
    objects: { kind: 'ct', tag: TAG, count },
  });
  try {
    await load.run();
  } finally {
    await load.close();
  }
  const reader = new ArchiveReader(peer);
  try {
    await checkAnswers(reader, peer.name, count);
  } finally {
    reader.close();
  }
}

async function checkAnswers(reader: ArchiveReader, name: string, count: number): Promise<void> {
  const some = ctSlice(TAG, 0);
  await reader.checkCtSeries(some, count);
  const series = `/studies/${some.studyUid}/series/${some.seriesUid}`;
  const metadata = await reader.json(`${series}/metadata`);
  check(metadata.length === count, `${name}: metadata of ${metadata.length} of ${count} instances`);
  const parts = partsOf(await reader.get(`/studies/${some.studyUid}`, OBJECTS));
  check(parts.length === count, `${name}: the study has ${parts.length} of ${count} parts`);
  const sent = new Set(Array.from({ length: count }, (_, index) => sha256(ctPixels(index))));
  // The pixels are the last element of our objects.
  for (const part of parts) sent.delete(sha256(part.subarray(part.length - CT_SIDE * CT_SIDE * 2)));
  check(sent.size === 0, `${name}: the study lacks the pixels of ${sent.size} images`);
  for (const [suffix, side] of [
    ['/rendered', CT_SIDE],
    ['/rendered?viewport=128,128', 128],
  ] as const) {
    const { body } = await reader.get(`${series}/instances/${some.sopUid}${suffix}`, 'image/jpeg');
    const size = body ? jpegSize(body) : undefined;
    check(size?.width === side && size.height === side, `${name}: ${suffix} is ${JSON.stringify(size)}`);
  }
}

/** Width and height from the frame header of a baseline or extended JPEG (ITU-T T.81 §B.2.2). */
function jpegSize(bytes: Buffer): { width: number; height: number } | undefined {
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1] ?? 0;
    if (marker >= 0xc0 && marker <= 0xc2)
      return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return undefined;
}
