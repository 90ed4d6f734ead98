import { describe, expect, it } from 'vitest';
import type { Series } from '../api/studies.ts';
import { readInstance, type DicomJson } from '../engine/instance.ts';
import type { Frame } from '../engine/stack.ts';
import type { GreyChoice } from '../engine/voi.ts';
import { greyOfKey } from './keys.ts';
import { corners } from './overlays.ts';
import { hang } from './presets.ts';

const WORDS = {
  image: 'Image',
  window: 'C / W',
  thickness: 'Thickness',
  position: 'Position',
  lossy: 'Lossy',
  pixels: 'uncalibrated',
  table: 'LUT',
  zoom: 'Zoom',
};
const header = (values: Record<string, unknown[]>): DicomJson =>
  Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: 'UN', Value }]));

describe('corners', () => {
  const frame = (values: Record<string, unknown[]>): Frame => ({
    instance: readInstance(header(values)),
    index: 0,
    imageId: '',
  });
  it('shows the name in both scripts, id, birth date and sex', () => {
    const { topLeft } = corners(
      frame({
        '00100010': [{ Alphabetic: 'Yamada^Tarou', Ideographic: '山田^太郎' }],
        '00100020': ['T-1'],
        '00100030': ['19700102'],
        '00100040': ['M'],
      }),
      0,
      10,
      null,
      'en',
      WORDS,
    );
    expect(topLeft).toEqual(['Yamada, Tarou · 山田 太郎', 'T-1', '1970-01-02 M']);
  });
  it('tells lossy compression and missing calibration', () => {
    const shown = corners(
      frame({ '00282110': ['01'] }),
      1,
      3,
      {
        index: 1,
        shown: 1,
        window: { centre: 40, width: 400 },
        zoom: 1.5,
        letters: null,
        inverted: false,
        table: false,
      },
      'en',
      WORDS,
    );
    expect(shown.bottomLeft).toEqual(['Image 2/3', 'Zoom 150 %', 'C / W 40 / 400', 'uncalibrated']);
    expect(shown.bottomRight).toEqual(['Lossy']);
  });
});

describe('hanging', () => {
  const series = [
    { seriesUid: 'report', kind: 'sr' },
    { seriesUid: 'a', kind: 'image' },
    { seriesUid: 'b', kind: 'image' },
  ] as Series[];
  it('puts images before documents and starts with the asked one', () => {
    expect(hang(series, 4)).toEqual(['a', 'b', 'report', null]);
    expect(hang(series, 2, 'b')).toEqual(['b', 'report']);
  });
  it('puts what is made from images after them', () => {
    const dose = { seriesUid: 'dose', kind: 'image', modality: 'RTDOSE' } as Series;
    const ct = { seriesUid: 'ct', kind: 'image', modality: 'CT' } as Series;
    expect(hang([dose, ct], 2)).toEqual(['ct', 'dose']);
  });
});

describe('keys of windows', () => {
  const file: GreyChoice = { kind: 'file', at: 0, explanation: '', centre: 1, width: 2 };
  const lung: GreyChoice = { kind: 'window', key: 'lung', centre: -600, width: 1500 };
  it('are of the usual windows, whatever the file brings', () => {
    expect(greyOfKey([file, lung, { kind: 'full' }], '1')).toBe(lung);
    expect(greyOfKey([file, lung], '2')).toBeUndefined();
  });
  it('count through all where there are no usual ones', () => {
    expect(greyOfKey([file, { kind: 'full' }], '2')).toEqual({ kind: 'full' });
    expect(greyOfKey([file], '0')).toBeUndefined();
  });
});
