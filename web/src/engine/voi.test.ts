import { describe, expect, it } from 'vitest';
import type { DicomJson } from './instance.ts';
import { greyChoices, greyTable, isHounsfield, valuePerSuv } from './voi.ts';

const header = (values: Record<string, unknown[]>): DicomJson =>
  Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: 'UN', Value }]));

describe('choices of grey (PS3.3 §C.11.2)', () => {
  it('puts all windows of the file first, with their explanations', () => {
    const json = header({
      '00080060': ['CT'],
      '00281050': [40, -600],
      '00281051': [400, 1500],
      '00281053': [1],
      '00281055': ['SOFT', 'LUNG '],
    });
    const choices = greyChoices(json, 0);
    expect(choices.slice(0, 2)).toEqual([
      { kind: 'file', at: 0, explanation: 'SOFT', centre: 40, width: 400 },
      { kind: 'file', at: 1, explanation: 'LUNG', centre: -600, width: 1500 },
    ]);
    expect(choices.at(2)).toMatchObject({ kind: 'window', key: 'soft' });
    expect(choices.at(-1)).toEqual({ kind: 'full' });
  });
  it('takes the window of the frame where there is one (PS3.3 §C.7.6.16.2.10)', () => {
    const voi = header({ '00281050': [7], '00281051': [9] });
    const json = header({ '52009230': [{}, header({ '00289132': [voi] })] });
    expect(greyChoices(json, 1)[0]).toMatchObject({ kind: 'file', centre: 7, width: 9 });
    expect(greyChoices(json, 0)[0]).toEqual({ kind: 'full' });
  });
  it('offers HU windows only where values are HU', () => {
    const ct = { '00080060': ['CT'], '00281053': [1] };
    expect(isHounsfield(header(ct))).toBe(true);
    expect(isHounsfield(header({ ...ct, '00281054': ['HU'] }))).toBe(true);
    expect(isHounsfield(header({ ...ct, '00281054': ['US'] }))).toBe(false);
    expect(isHounsfield(header({ '00080060': ['CT'] }))).toBe(false);
    expect(isHounsfield(header({ ...ct, '00080060': ['MR'] }))).toBe(false);
    expect(greyChoices(header({ '00080060': ['MR'], '00281053': [1] }), 0)).toEqual([{ kind: 'full' }]);
  });
  it('has none for colour', () => {
    expect(greyChoices(header({ '00280002': [3], '00281050': [1], '00281051': [1] }), 0)).toEqual([]);
  });
});

describe('SUV by body weight (PS3.3 §C.8.9)', () => {
  const pet = {
    '00080060': ['PT'],
    '00541001': ['BQML'],
    '00541102': ['START'],
    '00101030': [70],
    '00080031': ['111500'],
    '00540016': [header({ '00181072': ['101500.00'], '00181074': [370e6], '00181075': [6586.2] })],
  };
  it('corrects the dose to the start of the series', () => {
    // 370 MBq after 3600 s at a half-life of 6586.2 s is 253.3 MBq; over 70 kg 3618 Bq/g.
    expect(valuePerSuv(header(pet))).toBeCloseTo(3618.7, 0);
  });
  it.each([
    ['other units', { '00541001': ['CNTS'] }],
    ['correction to another time', { '00541102': ['ADMIN'] }],
    ['no weight', { '00101030': [] }],
    ['an injection after the scan', { '00080031': ['091500'] }],
  ])('gives none with %s', (_name, change) => {
    expect(valuePerSuv(header({ ...pet, ...change }))).toBeNull();
  });
});

describe('lookup tables (PS3.3 §C.11.2.1.1)', () => {
  it('reads 16-bit and 8-bit entries, and refuses too few', () => {
    const item = header({ '00283002': [2, -5, 12] });
    expect(greyTable(item, Uint8Array.of(0xff, 0x0f, 0, 0))).toEqual({ first: -5, shares: [1, 0] });
    expect(greyTable(header({ '00283002': [2, 0, 8] }), Uint8Array.of(0, 255))?.shares).toEqual([0, 1]);
    expect(greyTable(item, Uint8Array.of(1))).toBeNull();
  });
});
