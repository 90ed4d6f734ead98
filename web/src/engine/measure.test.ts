import { describe, expect, it } from 'vitest';
import { measurementLines } from './measure.ts';
import type { DicomJson } from './instance.ts';

const WORDS = { area: 'Area', mean: 'Mean', deviation: 'SD', range: 'Range' };
const header = (values: Record<string, unknown[]>): DicomJson =>
  Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: 'UN', Value }]));

describe('lines beside a measurement', () => {
  const roi = { mean: 120.04, stdDev: 1.26, min: 118, max: 122, area: 200, areaUnit: 'mm²' };
  it('calls values HU only where they are', () => {
    const ct = { '00080060': ['CT'], '00281053': [1] };
    expect(measurementLines(header(ct), roi, WORDS)).toEqual([
      'Mean 120.0 HU',
      'SD 1.3 HU',
      'Range 118.0 … 122.0 HU',
      'Area 200.0 mm²',
    ]);
    expect(measurementLines(header({ ...ct, '00281054': ['US'] }), roi, WORDS)[0]).toBe('Mean 120.0');
    expect(measurementLines(header({ '00080060': ['MR'] }), roi, WORDS)[0]).toBe('Mean 120.0');
  });
  it('keeps the unit of a length, and says px without one', () => {
    expect(measurementLines({}, { length: 50.04, unit: 'mm' }, WORDS)).toEqual(['50.0 mm']);
    expect(measurementLines({}, { length: 2, unit: 'cm US Region' }, WORDS)).toEqual(['20.0 mm']);
    expect(measurementLines({}, { length: 12 }, WORDS)).toEqual(['12.0 px']);
    expect(measurementLines({}, { length: Number.NaN, angle: 90 }, WORDS)).toEqual(['90.0°']);
  });
});
