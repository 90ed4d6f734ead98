import { describe, expect, it } from 'vitest';
import { displayWidth, formatTable, printable } from './table.ts';

describe('tables', () => {
  it.each([
    ['abc', 3],
    ['山田 太郎', 9],
    ['김희중', 6],
    ['Müller', 6],
    ['Mu\u0308ller', 6],
    ['राम', 3],
    ['ﾔﾏﾀﾞ', 4],
    ['', 0],
  ])('%s takes %i places', (text, width) => expect(displayWidth(text)).toBe(width));

  it('are aligned in every script, numbers to the right', () => {
    const table = formatTable(
      ['Patient', 'Images', 'UID'],
      [
        ['山田 太郎', '7', '1.2'],
        ['Smith', '120', '1.2.3'],
      ],
    );
    expect(table.split('\n')).toEqual([
      'Patient    Images  UID',
      '---------  ------  -----',
      '山田 太郎       7  1.2',
      'Smith         120  1.2.3',
    ]);
  });

  it('do nothing to the terminal that a peer wants (attacks C: text of others)', () => {
    expect(printable('\x1b[2JSmith\x07\r\n\u202eevil\u009b1m')).toBe('[2JSmith  evil 1m'.replace('  ', ' '));
  });
});
