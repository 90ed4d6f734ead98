/** The benches themselves, in the smallest size: what they start, send, check and stop. Nothing here says how fast. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { ingest } from './ingest.ts';
import { query } from './query.ts';
import { retrieve } from './retrieve.ts';
import { ArchiveReader } from './support/archive.ts';
import { ctSlice } from './support/data.ts';
import { type Peers, withPeers } from './support/peers.ts';
import { ratio, table, type Figure } from './support/report.ts';
import { type BenchOptions, type Measurements, quantile } from './support/run.ts';
import { viewer } from './viewer.ts';

const BOTH = ['Orthanc', 'Lightbox'];
const options: BenchOptions = {
  size: 'smoke',
  repetitions: 1,
  patience: 0,
  studies: 400,
  only: /./,
  ohif: undefined,
};

/** Works of which a peer has no figure, or one that cannot be. */
function unmeasured({ figures }: Measurements, peers: readonly string[]): string[] {
  const works = new Set(figures.map(({ work, unit }) => `${work}, ${unit}`));
  return [...works].filter((name) =>
    peers.some((peer) => {
      const figure = figures.find((one) => one.peer === peer && `${one.work}, ${one.unit}` === name);
      return figure?.values.length !== 1 || !figure.values.every((value) => value >= 0 && value < 1e9);
    }),
  );
}

describeWith(['Orthanc', 'storescu', 'chromium'], 'the benches against Orthanc', () => {
  let peers: Peers;
  let stop: () => void;
  let stopped: Promise<void>;

  beforeAll(
    () =>
      new Promise<void>((settle, fail) => {
        stopped = withPeers((started) => {
          peers = started;
          settle();
          return new Promise<void>((end) => (stop = end));
        });
        stopped.catch(fail);
      }),
  );
  afterAll(async () => {
    stop();
    await stopped;
  });

  it('ingest: stores, and finds again what was stored', async () => {
    const measured = await ingest(peers, options);
    expect(unmeasured(measured, BOTH)).toEqual([]);
    expect(measured.figures.filter(({ unit }) => unit === 'objects/s')).toHaveLength(6 * 3);
  }, 300_000);

  it('query: both archives find the same studies', async () => {
    const measured = await query(peers, options);
    expect(unmeasured(measured, BOTH)).toEqual([]);
    expect(measured.figures).toHaveLength(5 * 2 * 2 * 2);
  }, 300_000);

  it('retrieve: both archives give back what was sent', async () => {
    const measured = await retrieve(peers, options);
    expect(unmeasured(measured, BOTH)).toEqual([]);
    expect(measured.figures).toHaveLength(6 * 2);
  }, 300_000);

  it('retrieve: says so when an archive does not hold what was sent', async () => {
    const reader = new ArchiveReader(peers.lightbox);
    const sent = ctSlice(2001, 0);
    await expect(reader.checkCtSeries(sent, 7)).rejects.toThrow('Lightbox has 6 of 7 images');
    reader.close();
  });

  it('viewer: sees images on the screen', async () => {
    const measured = await viewer(peers, options);
    expect(unmeasured(measured, ['Lightbox'])).toEqual([]);
    expect(measured.figures.filter(({ unit }) => unit === 'ms')).toHaveLength(8);
  }, 300_000);
});

describe('figures', () => {
  const figure = (peer: string, more: boolean, ...values: number[]): Figure => ({
    ...{ work: 'lifting', unit: 'stones', peer, more, values, otherCores: [0.1] },
  });

  it('calls Lightbox better above 1, whichever way the unit counts', () => {
    expect(ratio(figure('Orthanc', true, 10), figure('Lightbox', true, 20))).toBe(2);
    expect(ratio(figure('Orthanc', false, 10), figure('Lightbox', false, 20))).toBe(0.5);
  });

  it('shows median and spread of each peer', () => {
    const text = table([figure('Orthanc', true, 3, 1, 200), figure('Lightbox', true, 6, 6, 9)]);
    expect(text).toContain('| 3.00 (1.00-200) |');
    expect(text).toContain('| 6.00 (6.00-9.00) |');
    expect(text).toContain('2.00x |');
  });

  it('takes the value below which a share lies', () => {
    const sorted = Array.from({ length: 100 }, (_, at) => at);
    expect([quantile(sorted, 0.5), quantile(sorted, 0.99), quantile([7], 0.99)]).toEqual([50, 99, 7]);
  });
});
