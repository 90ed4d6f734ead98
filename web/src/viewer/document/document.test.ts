import { describe, expect, it } from 'vitest';
import type { SrNode } from '@lightbox/core/contract/api.ts';
import { fitsGrid, LEADS, layOut, type EcgLead } from './ecg.ts';
import { firstNodes, groupNodes } from './sr-document.tsx';
import { extremes, tracePath, type Trace, valuesOf } from './traces.ts';

const trace = (values: number[], rate = 1, skew = 0): Trace => ({
  values: Float32Array.from(values),
  rate,
  skew,
});
const placing = { from: 0, to: 10, x: 0, y: 100, perSecond: 10, perUnit: 1 };

describe('traces', () => {
  it('are little endian floats', () => {
    const bytes = new Uint8Array(Float32Array.from([1, -2]).buffer);
    expect([...valuesOf(btoa(String.fromCharCode(...bytes, 9)))]).toEqual([1, -2]);
  });
  it('go up where values do, and leave a gap where there are none', () => {
    expect(tracePath(trace([0, 10, NaN, 5, 5]), placing)).toBe(
      'M0.00 100.00L10.00 90.00M30.00 95.00L40.00 95.00',
    );
    expect(tracePath(trace([]), placing)).toBe('');
  });
  it('begin later by their skew', () => {
    expect(tracePath(trace([1], 1, 2), placing)).toBe('M20.00 99.00');
  });
  it('keep a spike among more samples than can be drawn', () => {
    const values = Array.from({ length: 10_000 }, (_, at) => (at === 4321 ? 50 : 0));
    const path = tracePath(trace(values, 1000), placing);
    expect(path).toContain(' 50.00');
    expect(path.length).toBeLessThan(80_000);
  });
  it('tell their extremes within a time', () => {
    expect(extremes(trace([9, 1, 5, -7]), 1, 2)).toEqual({ least: 1, greatest: 5 });
    expect(extremes(trace([NaN]), 0, 1)).toBeUndefined();
  });
});

describe('ECG paper', () => {
  const leads = (seconds: number): EcgLead[] =>
    LEADS.map((lead) => ({ ...trace(Array<number>(seconds * 100).fill(0.5), 100), lead }));
  const settings = { layout: 'grid', speed: 25, gain: 10, from: 0, seconds: 10 } as const;

  it('is three by four and a rhythm strip, one column after the other in time', () => {
    const { strips, pulses, width } = layOut(leads(10), settings);
    expect(strips.map(({ label }) => label).join(' ')).toBe('I aVR V1 V4 II aVL V2 V5 III aVF V3 V6 II');
    expect(pulses.length).toBe(4);
    expect(width).toBe(12 + 250 + 5);
    const at = (label: string): number =>
      Number(/^M([\d.]+)/.exec(strips.find((one) => one.label === label)?.path ?? '')?.[1]);
    expect(at('V1') - at('I')).toBeCloseTo(125, 5);
  });
  it('shows an averaged beat whole in every column', () => {
    const { strips } = layOut(leads(1), { ...settings, seconds: 1 });
    expect(strips.length).toBe(12);
    expect(strips.map(({ path }) => path.split('L').length)).toEqual(Array<number>(12).fill(100));
  });
  it('has a row for each lead when leads are missing or more', () => {
    const some = leads(10).slice(0, 3);
    expect([fitsGrid(some), layOut(some, settings).strips.length]).toEqual([false, 3]);
  });
  it('makes room for a peak of 8 mV', () => {
    const high = leads(10).slice(0, 2);
    high[0]?.values.fill(8, 50, 51);
    expect(layOut(high, settings).height).toBeGreaterThan(95);
  });
});

describe('a report', () => {
  const node = (id: string, type: string, children: SrNode[] = []): SrNode => ({
    ...{ id, type, relationship: 'CONTAINS', name: '', value: '', children },
  });
  it('groups neighbours into lists and tables and keeps the order', () => {
    const nodes = ['TEXT', 'NUM', 'NUM', 'CONTAINER', 'CONTAINER', 'CODE'].map((type, at) =>
      node(String(at), type),
    );
    expect(groupNodes(nodes).map((one) => [one.kind, one.nodes.length])).toEqual([
      ...[
        ['list', 1],
        ['table', 2],
        ['section', 1],
        ['section', 1],
        ['list', 1],
      ],
    ]);
  });
  it('is cut in reading order', () => {
    const tree = [node('1', 'CONTAINER', [node('2', 'TEXT'), node('3', 'TEXT')]), node('4', 'TEXT')];
    expect(firstNodes(tree, 2)).toEqual([{ ...tree[0], children: [node('2', 'TEXT')] }]);
  });
});
