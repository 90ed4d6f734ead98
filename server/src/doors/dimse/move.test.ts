/** What an association to a move destination proposes (PS3.8 §9.3.2.2: at most 128 contexts). */
import { describe, expect, it } from 'vitest';
import { contextGroups } from './move.ts';

const EXPLICIT = '1.2.840.10008.1.2.1';
const IMPLICIT = '1.2.840.10008.1.2';
const JPEG = '1.2.840.10008.1.2.4.70';
const ref = (sopClassUid: string, transferSyntaxUid: string) => ({
  ...{ sopClassUid, transferSyntaxUid, rows: 16, frameCount: 1 },
});

describe('contextGroups', () => {
  it('proposes what the objects have and what they can be decoded to, each in a context of its own', () => {
    const [group, ...more] = contextGroups([ref('1.1', JPEG), ref('1.1', EXPLICIT), ref('1.2', IMPLICIT)]);
    expect(more).toEqual([]);
    expect(group?.contexts.map((one) => [one.sopClassUid, ...one.transferSyntaxUids])).toEqual([
      ['1.1', EXPLICIT],
      ['1.1', IMPLICIT],
      ['1.1', JPEG],
      ['1.2', EXPLICIT],
      ['1.2', IMPLICIT],
    ]);
  });

  it('proposes what a peer is to get compressed, for images alone', () => {
    const document = { ...ref('1.3', EXPLICIT), rows: undefined, frameCount: 0 };
    const [group] = contextGroups([ref('1.1', EXPLICIT), document], 'jpeg-ls');
    const proposed = group?.contexts.map((one) => [one.sopClassUid, ...one.transferSyntaxUids]);
    expect(proposed).toContainEqual(['1.1', '1.2.840.10008.1.2.4.80']);
    expect(proposed).not.toContainEqual(['1.3', '1.2.840.10008.1.2.4.80']);
  });

  it('splits what one association cannot propose, and keeps a class together', () => {
    const refs = Array.from({ length: 50 }, (_, index) => ref(`1.${index}`, JPEG));
    const groups = contextGroups(refs);
    expect(groups.map(({ contexts }) => contexts.length)).toEqual([126, 24]);
    expect(groups.flatMap(({ classes }) => [...classes])).toHaveLength(50);
    for (const { classes, contexts } of groups)
      expect(new Set(contexts.map(({ sopClassUid }) => sopClassUid))).toEqual(classes);
  });

  it('never proposes more than there can be, however many private transfer syntaxes a class has', () => {
    const [group, ...more] = contextGroups(
      Array.from({ length: 300 }, (_, index) => ref('1.1', `1.3.6.1.${index}`)),
    );
    expect(more).toEqual([]);
    expect(group?.contexts).toHaveLength(128);
  });
});
