import { describe, expect, it } from 'vitest';
import { Fault } from '@lightbox/core/base/fault.ts';
import { backOffMs, verdictOf } from './states.ts';

const MINUTE = 60_000;

describe('Waiting between attempts', () => {
  it('doubles from a minute to six hours', () => {
    const waits = Array.from({ length: 12 }, (_, at) => backOffMs(at + 1, MINUTE) / MINUTE);
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]);
    expect(backOffMs(1_000_000, MINUTE)).toBe(360 * MINUTE);
  });

  it('takes twenty attempts about three days', () => {
    const all = Array.from({ length: 19 }, (_, at) => backOffMs(at + 1, MINUTE));
    expect(all.reduce((sum, one) => sum + one) / (24 * 60 * MINUTE)).toBeCloseTo(2.9, 1);
  });
});

describe('What an answer means for an object (PS3.4 §B.2.3)', () => {
  it.each([
    [0x0000, 'taken'],
    [0xb000, 'warning'],
    [0xb006, 'warning'],
    [0xb007, 'warning'],
    [0x0111, 'warning'],
    [0xa700, 'later'],
    [0xa7ff, 'later'],
    [0x0110, 'later'],
    [0x0213, 'later'],
    [0xa900, 'refused'],
    [0xc000, 'refused'],
    [0xc123, 'refused'],
    [0x0122, 'refused'],
    [0x0124, 'refused'],
  ] as const)('%i is %s', (status, verdict) => {
    expect(verdictOf({ status })).toBe(verdict);
  });

  it.each([
    ['DIMSE_NO_CONTEXT', 'refused'],
    ['PIXELS_BROKEN', 'refused'],
    ['NOT_FOUND', 'refused'],
    ['DIMSE_ABORTED', 'later'],
    ['DIMSE_TIMEOUT', 'later'],
    ['INTERNAL', 'later'],
  ] as const)('%s is %s', (code, verdict) => {
    expect(verdictOf({ fault: new Fault(code) })).toBe(verdict);
  });
});
