import { describe, expect, it } from 'vitest';
import { planeOf, readInstance, type DicomJson } from './instance.ts';
import { buildStack, directionLetters, nearest, sortInstances } from './stack.ts';

const AXIAL = [1, 0, 0, 0, 1, 0];
function slice(number: number, z: number | null, extra: Record<string, unknown[]> = {}): DicomJson {
  const values: Record<string, unknown[]> = {
    '00080018': [`1.2.${number}`],
    '0020000E': ['1.2.9'],
    '00200013': [number],
    '00280010': [4],
    '00280011': [4],
    ...(z === null ? {} : { '00200032': [0, 0, z], '00200037': AXIAL }),
    ...extra,
  };
  return Object.fromEntries(Object.entries(values).map(([tag, Value]) => [tag, { vr: 'UN', Value }]));
}
const numbers = (list: DicomJson[]): (number | null)[] =>
  sortInstances(list.map(readInstance)).map((one) => one.number);

describe('order of a series', () => {
  it('goes by position along the normal, in the direction of the numbers', () => {
    expect(numbers([slice(3, 10), slice(1, 30), slice(2, 20)])).toEqual([1, 2, 3]);
    // Numbers that lie: the position wins.
    expect(numbers([slice(1, 0), slice(3, 5), slice(2, 10), slice(4, 20)])).toEqual([1, 3, 2, 4]);
  });
  it('goes by number when positions repeat (phases), are missing or planes differ', () => {
    expect(numbers([slice(2, 5), slice(1, 5)])).toEqual([1, 2]);
    expect(numbers([slice(2, 1), slice(1, null)])).toEqual([1, 2]);
    expect(numbers([slice(2, 1), slice(1, 9, { '00200037': [0, 1, 0, 0, 0, -1] }), slice(3, 0)])).toEqual([
      1, 2, 3,
    ]);
  });
  it('gives every frame of a multi-frame object and leaves out objects without pixels', () => {
    const stack = buildStack('1.2', [
      readInstance(slice(1, 0, { '00280008': ['3'] })),
      readInstance(slice(2, 0, { '00280010': [] })),
    ]);
    expect(stack.map(({ imageId }) => imageId.split('/').at(-1))).toEqual(['1', '2', '3']);
  });
});

describe('plane of a frame (PS3.3 §C.7.6.16)', () => {
  const sq = (tag: string, item: DicomJson): DicomJson => ({ [tag]: { vr: 'SQ', Value: [item] } });
  it('takes functional groups of the frame, then the shared ones', () => {
    const json: DicomJson = {
      '52009230': {
        vr: 'SQ',
        Value: [{}, sq('00209113', { '00200032': { vr: 'DS', Value: [1, 2, 3] } })],
      },
      ...sq('52009229', sq('00289110', { '00280030': { vr: 'DS', Value: ['0.5', '0.25'] } })),
    };
    expect(planeOf(json, 1)).toMatchObject({ position: [1, 2, 3], spacing: [0.5, 0.25] });
    expect(planeOf(json, 0).position).toBeNull();
  });
  it('never takes Imager Pixel Spacing for Pixel Spacing', () => {
    expect(planeOf({ '00181164': { vr: 'DS', Value: [0.1, 0.1] } }, 0).spacing).toBeNull();
    expect(planeOf({ '00280030': { vr: 'DS', Value: [0, 0] } }, 0).spacing).toBeNull();
  });
});

it('fetches what is nearest to the image on the screen, wherever that has gone', () => {
  const waiting = new Set([0, 1, 2, 3, 4]);
  const order = [3, 3, 0, 0, 0].map((at) => {
    const next = nearest(waiting, at) ?? -1;
    waiting.delete(next);
    return next;
  });
  expect(order).toEqual([3, 4, 0, 1, 2]);
  expect(nearest(waiting, 0)).toBeUndefined();
});

it('names directions by the strongest axis first (LPS)', () => {
  expect(directionLetters([1, 0, 0])).toBe('L');
  expect(directionLetters([0, -0.8, 0.6])).toBe('AH');
});
