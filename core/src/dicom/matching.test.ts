import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import { parseDate, parseDateTime, parseDateTimeRange, parseTime } from './date-time.ts';
import { type DicomJson, fromJson } from './json.ts';
import {
  combineDateTime,
  likePattern,
  matches,
  matchKeysOf,
  parseMatchKey,
  type MatchKey,
  wildcardMatches,
} from './matching.ts';
import { Tags } from './tags.gen.ts';
import { type Vr, VRS } from './vr.ts';

describe('dates and times (PS3.5 §6.2)', () => {
  it.each([
    ['20240229', '20240229'],
    ['1998.03.04', '19980304'],
    [' 20240101 ', '20240101'],
    ['20230229', undefined],
    ['19000229', undefined],
    ['00000000', undefined],
    ['99999999', undefined],
    ['2024-01-01', undefined],
    ['', undefined],
  ])('DA %j', (text, date) => expect(parseDate(text)).toBe(date));

  it.each([
    ['10', '100000.000000', '105959.999999'],
    ['1011', '101100.000000', '101159.999999'],
    ['10:11:12', '101112.000000', '101112.999999'],
    ['101112.5', '101112.500000', '101112.599999'],
    ['235960', '235960.000000', '235960.999999'],
  ])('TM %j', (text, from, to) => expect(parseTime(text)).toEqual({ from, to }));

  it.each(['30:99', '2400', '1', '101112.1234567', 'x'])('TM %j is none', (text) =>
    expect(parseTime(text)).toBeUndefined(),
  );

  it('DT with any precision and zone; a hyphen may be either', () => {
    expect(parseDateTime('2024')).toEqual({ from: '20240101000000.000000', to: '20241231235959.999999' });
    expect(parseDateTime('202402')?.to).toBe('20240229235959.999999');
    expect(parseDateTime('20240203101112.5+0530')).toEqual({
      from: '20240203101112.500000',
      to: '20240203101112.599999',
      offset: 330,
    });
    expect(parseDateTime('20240203-0000')).toBeUndefined();
    expect(parseDateTimeRange('20060101-0500')).toMatchObject({ offset: -300 });
    expect(parseDateTimeRange('2006-2007')).toEqual({
      from: '20060101000000.000000',
      to: '20071231235959.999999',
    });
    expect(parseDateTimeRange('20060101-0500-20070101-0500')).toMatchObject({
      from: '20060101000000.000000',
      to: '20070101235959.999999',
    });
  });
});

describe('matching keys (PS3.4 §C.2.2.2)', () => {
  it.each<[Vr, string[], object]>([
    ['LO', [''], { kind: 'universal' }],
    ['LO', ['**'], { kind: 'universal' }],
    ['DA', ['*'], { kind: 'universal' }],
    ['PN', ['SMI*'], { kind: 'wildcard', pattern: 'SMI*' }],
    ['LO', ['12345 '], { kind: 'single', value: '12345' }],
    ['UI', ['1.2', '1.3\0'], { kind: 'list', values: ['1.2', '1.3'] }],
    ['CS', ['CT', 'MR'], { kind: 'list', values: ['CT', 'MR'] }],
    ['DA', ['2024.01.02'], { kind: 'single', value: '20240102' }],
    ['DA', ['20240101-20240107'], { kind: 'range', from: '20240101', to: '20240107' }],
    ['DA', ['-20240107'], { kind: 'range', from: undefined, to: '20240107' }],
    ['DA', ['20240101-'], { kind: 'range', from: '20240101', to: undefined }],
    ['TM', ['10'], { kind: 'range', from: '100000.000000', to: '105959.999999' }],
    ['IS', ['7'], { kind: 'single', value: '7' }],
  ])('%s %j', (vr, values, expected) => {
    const tag = 0x00100020;
    expect(parseMatchKey(tag, vr, values)).toEqual({ tag, vr, ...expected });
  });

  it.each<[Vr, string[]]>([
    ['DA', ['yesterday']],
    ['DA', ['-']],
    ['TM', ['2561']],
    ['UI', ['1.2.*']],
    ['UI', ['1; drop']],
    ['IS', ['seven']],
    ['LO', ['*'.repeat(2000) + 'a']],
    ['UI', Array.from({ length: 10_001 }, () => '1.2')],
    ['CS', ['C*', 'MR']],
  ])('refuses %s %j (cases 65, 67, 81)', (vr, values) => {
    expect(() => parseMatchKey(0x00100020, vr, values)).toThrow(Fault);
  });

  it('means "empty" by two quotation marks only when that was agreed (§C.2.2.2.7)', () => {
    expect(parseMatchKey(0x00100020, 'LO', ['""'], { emptyValues: true })).toMatchObject({ kind: 'empty' });
    expect(parseMatchKey(0x00100020, 'LO', ['""'])).toMatchObject({ kind: 'single' });
  });

  it('means all of several values only when that was agreed, and of attributes that may have several (§C.2.2.2.8)', () => {
    const ofStudy = (values: string[]): MatchKey =>
      parseMatchKey(Tags.ModalitiesInStudy, 'CS', values, { multipleValues: true });
    expect(ofStudy(['CT', 'PT'])).toMatchObject({ kind: 'every', values: ['CT', 'PT'] });
    expect(ofStudy(['CT'])).toMatchObject({ kind: 'single' });
    expect(() => ofStudy(['C*', 'PT'])).toThrow(Fault);
    expect(parseMatchKey(Tags.ModalitiesInStudy, 'CS', ['CT', 'PT'])).toMatchObject({ kind: 'list' });
    // One value only (VM 1), and a list of UIDs: any of them, as ever.
    const agreed = { multipleValues: true };
    expect(parseMatchKey(Tags.Modality, 'CS', ['CT', 'PT'], agreed)).toMatchObject({ kind: 'list' });
    expect(parseMatchKey(Tags.SOPClassesInStudy, 'UI', ['1.2', '1.3'], agreed)).toMatchObject({
      kind: 'list',
    });
    const having = (...Value: string[]): boolean =>
      matches(ofStudy(['CT', 'PT']), { '00080061': { vr: 'CS', Value } });
    expect([having('PT', 'SR', 'CT'), having('CT'), having('PT'), having()]).toEqual([
      ...[true, false, false, false],
    ]);
  });

  it('reads an identifier with sequences and leaves its control elements out', () => {
    const keys = matchKeysOf(
      fromJson({
        '00080052': { vr: 'CS', Value: ['STUDY'] },
        '00080061': { vr: 'CS', Value: ['CT', 'MR'] },
        '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Ju*' }] },
        '00401012': { vr: 'SQ', Value: [{ '00080100': { vr: 'SH', Value: ['A'] } }] },
        '00081110': { vr: 'SQ', Value: [{ '00081150': { vr: 'UI' } }] },
        '00321032': { vr: 'PN' },
      }),
    );
    expect(keys.map((key) => key.kind)).toEqual(['list', 'universal', 'wildcard', 'universal', 'sequence']);
  });

  const patient: DicomJson = {
    '00080020': { vr: 'DA', Value: ['20240105'] },
    '00080030': { vr: 'TM', Value: ['0930'] },
    '00080061': { vr: 'CS', Value: ['CT', 'PT'] },
    '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^Anna^', Ideographic: '山田^太郎' }] },
    '00100020': { vr: 'LO', Value: ['A_1%'] },
    '00200011': { vr: 'IS', Value: [7] },
    '00401012': {
      vr: 'SQ',
      Value: [{ '00080100': { vr: 'SH', Value: ['B'] } }, { '00080100': { vr: 'SH', Value: ['A'] } }],
    },
  };
  it.each<[number, Vr, string[], boolean]>([
    [0x00100010, 'PN', ['müller^anna'], true],
    [0x00100010, 'PN', ['MÜLLER^ANNA^^^'], true],
    [0x00100010, 'PN', ['müller'], false],
    [0x00100010, 'PN', ['mü*'], true],
    [0x00100010, 'PN', ['山田*'], true],
    [0x00100010, 'PN', ['=山田*'], true],
    [0x00100010, 'PN', ['山田*='], true],
    [0x00100010, 'PN', ['X*=山田*'], false],
    [0x00100020, 'LO', ['A_1%'], true],
    [0x00100020, 'LO', ['a_1%'], false],
    [0x00100020, 'LO', ['A?1*'], true],
    [0x00080061, 'CS', ['MR', 'PT'], true],
    [0x00080061, 'CS', ['MR'], false],
    [0x00200011, 'IS', ['007'], true],
    [0x00080020, 'DA', ['20240101-20240107'], true],
    [0x00080020, 'DA', ['-20240104'], false],
    [0x00080030, 'TM', ['0900-0930'], true],
    [0x00080030, 'TM', ['2200-1000'], true],
    [0x00080030, 'TM', ['10-'], false],
    [0x00081030, 'LO', ['x'], false],
    [0x00081030, 'LO', [''], true],
  ])('%i %s %j: %j', (tag, vr, values, expected) => {
    expect(matches(parseMatchKey(tag, vr, values), patient)).toBe(expected);
  });

  it('matches items as a whole, and a date with its time as one instant when combined', () => {
    const code = parseMatchKey(0x00080100, 'SH', ['A']);
    expect(matches({ kind: 'sequence', tag: 0x00401012, vr: 'SQ', keys: [code] }, patient)).toBe(true);
    const keys = [
      parseMatchKey(0x00080020, 'DA', ['20240104-20240105']),
      parseMatchKey(0x00080030, 'TM', ['1000-0930']),
    ];
    const combined = combineDateTime(keys, 0x00080020, 0x00080030);
    expect(combined).toHaveLength(1);
    expect(matches(combined[0]!, patient)).toBe(true);
    const later = [keys[0]!, parseMatchKey(0x00080030, 'TM', ['1000-0900'])];
    expect(matches(combineDateTime(later, 0x00080020, 0x00080030)[0]!, patient)).toBe(false);
  });

  it('translates wildcards to LIKE with everything else escaped', () => {
    expect(likePattern('A_*%?\\')).toBe('A\\_%\\%_\\\\');
    expect(likePattern('a***b')).toBe('a%b');
    expect(likePattern('%*')).toBe('\\%%');
  });

  it('agrees with a regular expression, and does not blow up (case 65)', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ab*?]{0,8}$/), fc.stringMatching(/^[ab]{0,10}$/), (pattern, text) => {
        const expression = new RegExp(`^${pattern.replaceAll(/\*+/g, '.*').replaceAll('?', '.')}$`);
        expect(wildcardMatches(pattern, text)).toBe(expression.test(text));
      }),
      { seed: 65, numRuns: 3000 },
    );
    // Exponential in the number of stars this would not end within the time of a test.
    expect(wildcardMatches('*a'.repeat(500) + 'b', 'a'.repeat(2000))).toBe(false);
  });

  it('reads any key of any VR, or refuses it as a key; matching never throws (cases 65 and 67, seeded fuzz)', () => {
    const text = fc
      .array(
        fc.constantFrom(
          '*',
          '?',
          'A',
          '1.2',
          '-',
          '=',
          '^',
          '"',
          '"',
          '20240101',
          '10',
          ' ',
          '\0',
          '山',
          '%',
        ),
        {
          maxLength: 8,
        },
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        fc.constantFrom(...VRS),
        fc.array(text, { maxLength: 3 }),
        text,
        fc.boolean(),
        (vr, values, value, emptyValues) => {
          const tag = 0x00091001;
          let key;
          try {
            key = parseMatchKey(tag, vr, values, { emptyValues });
          } catch (error) {
            expect(error).toBeInstanceOf(Fault);
            expect((error as Fault).code).toBe('QUERY_KEY');
            return;
          }
          const Value = vr === 'PN' ? [{ Alphabetic: value }] : [value];
          expect(typeof matches(key, { '00091001': { vr, Value } })).toBe('boolean');
          // What asks for nothing finds everything, an absent element too.
          if (key.kind === 'universal') expect(matches(key, {})).toBe(true);
          else if (key.kind !== 'empty') expect(matches(key, {})).toBe(false);
        },
      ),
      { seed: 67, numRuns: 5000 },
    );
  });
});
