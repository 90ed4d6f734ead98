import { describe, expect, it } from 'vitest';
import { parseRectangles } from './exports.ts';

describe('Rectangles as people write them', () => {
  it.each([
    ['', []],
    ['0,0,640,40', [{ left: 0, top: 0, width: 640, height: 40 }]],
    [
      '1 2 3 4\n\n 5; 6; 7; 8 ',
      [
        { left: 1, top: 2, width: 3, height: 4 },
        { left: 5, top: 6, width: 7, height: 8 },
      ],
    ],
  ])('%j', (text, expected) => expect(parseRectangles(text)).toEqual(expected));

  it.each([['0,0,640'], ['0,0,0,40'], ['-1,0,1,1'], ['a'], ['0,0,1,99999'], ['1,2,3,4,5']])(
    '%j is not understood, and so nothing is blackened by halves',
    (text) => expect(parseRectangles(text)).toBeUndefined(),
  );
});
