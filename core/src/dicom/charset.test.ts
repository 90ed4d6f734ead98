import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeWith, sharedTestdata } from '../../../tools/testing.ts';
import { canEncode, decodeText, encodeText } from './charset.ts';
import { toJson } from './json.ts';
import {
  displayName,
  formatPersonName,
  nameComponents,
  parsePersonName,
  type PersonNameGroups,
} from './person-name.ts';
import { readPart10 } from './read.ts';
import { Tags } from './tags.gen.ts';
import { items, text } from './values.ts';
import type { Vr } from './vr.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const raw = (encoded: Uint8Array): string => String.fromCharCode(...encoded);

/** [where it is from, Specific Character Set, VR, bytes, text]: the standard's own examples, byte for byte. */
const EXAMPLES: readonly (readonly [string, readonly string[], Vr, string, string])[] = [
  [
    'PS3.5 H.3.1',
    ['', 'ISO 2022 IR 87'],
    'PN',
    'Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B',
    'Yamada^Tarou=山田^太郎=やまだ^たろう',
  ],
  [
    'PS3.5 H.3.2',
    ['ISO 2022 IR 13', 'ISO 2022 IR 87'],
    'PN',
    '\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J',
    'ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう',
  ],
  [
    'PS3.5 I.2',
    ['', 'ISO 2022 IR 149'],
    'PN',
    'Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf',
    'Hong^Gildong=洪^吉洞=홍^길동',
  ],
  [
    'PS3.5 J.1',
    ['ISO_IR 192'],
    'PN',
    'Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=',
    'Wang^XiaoDong=王^小東=',
  ],
  ['PS3.5 J.3', ['GB18030'], 'PN', 'Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=', 'Wang^XiaoDong=王^小东='],
  ['PS3.5 J.3 as GBK', ['GBK'], 'PN', 'Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=', 'Wang^XiaoDong=王^小东='],
  [
    'PS3.5 K.2',
    ['', 'ISO 2022 IR 58'],
    'PN',
    'Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=',
    'Zhang^XiaoDong=张^小东=',
  ],
  ['Latin-1', ['ISO_IR 100'], 'PN', 'Buc^J\xe9r\xf4me', 'Buc^Jérôme'],
  ['Latin-1', ['ISO_IR 100'], 'PN', '\xc4neas^R\xfcdiger', 'Äneas^Rüdiger'],
  ['Latin-2', ['ISO_IR 101'], 'PN', 'Wa\xb3\xeasa', 'Wałęsa'],
  ['Latin-3', ['ISO_IR 109'], 'PN', '\xc6a\xfei', 'Ĉaŝi'],
  ['Latin-4', ['ISO_IR 110'], 'PN', '\xc0s\xb3', 'Āsŗ'],
  ['Cyrillic', ['ISO_IR 144'], 'PN', '\xbb\xee\xdace\xdc\xd1yp\xd3', 'Люкceмбypг'],
  ['Arabic', ['ISO_IR 127'], 'PN', '\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1', 'قباني^لنزار'],
  ['Greek', ['ISO_IR 126'], 'PN', '\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2', 'Διονυσιος'],
  ['Hebrew', ['ISO_IR 138'], 'PN', '\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4', 'שרון^דבורה'],
  ['Latin-5', ['ISO_IR 148'], 'PN', '\xc7avu\xfeo\xf0lu', 'Çavuşoğlu'],
  ['Latin-9', ['ISO_IR 203'], 'LO', '\xa4 \xbd', '€ œ'],
  ['Thai', ['ISO_IR 166'], 'PN', '\xb9\xd2\xc2', 'นาย'],
  [
    'two single-byte sets by escape (§6.1.2.5)',
    ['ISO 2022 IR 100', 'ISO 2022 IR 144', 'ISO 2022 IR 126'],
    'PN',
    'Buc^J\xe9r\xf4me=\x1b-L\xbb\xee\xda\x1b-A=\x1b-F\xc4\xe9\xef\x1b-A',
    'Buc^Jérôme=Люк=Διο',
  ],
  ['JIS X 0212', ['', 'ISO 2022 IR 159'], 'LO', '\x1b$(D0!\x1b(B', '丂'],
];

describe('character sets (PS3.3 §C.12.1.1.2)', () => {
  it.each(EXAMPLES)('%s %j: bytes to text and back', (_from, charsets, vr, encoded, text) => {
    expect(decodeText(bytes(encoded), charsets, vr)).toBe(text);
    expect(raw(encodeText(text, charsets, vr))).toBe(encoded);
  });

  it('reads lines that designate anew, as in PS3.5 I.3 and K.3', () => {
    const korean =
      '\x1b$)CThe first line includes \xb1\xe6\xb5\xbf.\r\n\x1b$)CThe second line includes \xb1\xe6\xb5\xbf, too.\r\nThe third line.';
    expect(decodeText(bytes(korean), ['', 'ISO 2022 IR 149'], 'LT')).toBe(
      'The first line includes 길동.\r\nThe second line includes 길동, too.\r\nThe third line.',
    );
    const chinese =
      '1. \x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n2. \x1b$)A\xb5\xda\xb6\xfe\xd0\xd0';
    expect(decodeText(bytes(chinese), ['', 'ISO 2022 IR 58'], 'UT')).toBe('1. 第一行文字。\r\n2. 第二行');
  });

  it('reads the long texts of PS3.5 J.2 and J.4', () => {
    const said = 'The first line includes 中文.\r\nThe second line includes 中文, too.\r\nThe third line.';
    const written = (chinese: string): Uint8Array => bytes(said.replaceAll('中文', chinese));
    expect(decodeText(written('\xe4\xb8\xad\xe6\x96\x87'), ['ISO_IR 192'], 'UT')).toBe(said);
    expect(decodeText(written('\xd6\xd0\xce\xc4'), ['GB18030'], 'UT')).toBe(said);
    expect(decodeText(written('\xd6\xd0\xce\xc4'), ['GBK'], 'LT')).toBe(said);
  });

  it('cut at every byte gives replacement, never a wrong character before the cut', () => {
    for (const [, charsets, vr, encoded, text] of EXAMPLES) {
      const whole = bytes(encoded);
      for (let at = 0; at < whole.length; at++) {
        const cut = decodeText(whole.subarray(0, at), charsets, vr);
        // What an escape sequence cut in half leaves behind is of ASCII: ESC ( becomes "\ufffd(".
        expect(text.startsWith(cut.replace(/\ufffd.*$/s, '')), `${encoded} at ${at}`).toBe(true);
      }
    }
  });

  it('falls back to the initial sets after every delimiter (§6.1.2.5.3)', () => {
    for (const delimiter of ['\r', '\n', '\f', '\t', '\\']) {
      const text = decodeText(
        bytes(`\x1b-L\xbb${delimiter}\xe9`),
        ['ISO 2022 IR 100', 'ISO 2022 IR 144'],
        'LO',
      );
      expect(text).toBe(`Л${delimiter}é`);
    }
    for (const delimiter of ['^', '=']) {
      const encoded = bytes(`\x1b-L\xbb${delimiter}\xe9`);
      expect(decodeText(encoded, ['ISO 2022 IR 100', 'ISO 2022 IR 144'], 'PN')).toBe(`Л${delimiter}é`);
      expect(decodeText(encoded, ['ISO 2022 IR 100', 'ISO 2022 IR 144'], 'LO')).toBe(`Л${delimiter}щ`);
    }
  });

  it('does not take half of a character for a backslash', () => {
    // GB18030 0x95 0x5C, and JIS X 0208 row 60: both have 0x5C as a byte.
    expect(decodeText(bytes('\x95\x5c\\x'), ['GBK']).split('\\')).toHaveLength(2);
    expect(decodeText(bytes('\x1b$B\x5c\x5c\x1b(B\\b'), ['', 'ISO 2022 IR 87']).split('\\')).toHaveLength(2);
  });

  it('keeps the yen sign and the overline of JIS X 0201 apart from the delimiter (PS3.5 §6.1.2.2)', () => {
    const set = ['ISO_IR 13'];
    expect(decodeText(bytes('a\\b~'), set, 'LO')).toBe('a\\b\u203e');
    expect(decodeText(bytes('a\\b~'), set, 'LT')).toBe('a¥b\u203e');
    expect(raw(encodeText('¥\u203e', set, 'LT'))).toBe('\\~');
    expect(canEncode('¥', set, 'LO')).toBe(false);
    expect(canEncode('¥', set, 'LT')).toBe(true);
  });

  it.each([
    ['ISO-IR 100'],
    ['ISO_IR_100'],
    ['ISO IR 100'],
    ['ISO_IR100'],
    ['iso_ir 100'],
    ['IR 100'],
    ['ISO-2022-IR 100'],
    ['ISO_2022_IR_100'],
    ['ISO2022IR100'],
    ['ISO 8859-1'],
    [' ISO_IR 100 '],
  ])('understands the misspelt term %j', (term) => {
    expect(decodeText(bytes('Buc^J\xe9r\xf4me'), [term], 'PN')).toBe('Buc^Jérôme');
  });

  it('reads a lone or misplaced extension term as the set it names', () => {
    expect(decodeText(bytes('\x1b$)C\xb1\xe6'), ['ISO 2022 IR 149'], 'PN')).toBe('길');
    expect(decodeText(bytes('\xb1\xe6'), ['ISO 2022 IR 149'], 'PN')).toBe('길');
    expect(decodeText(bytes('\x1b$B;3\x1b(B'), ['ISO_IR 100'], 'PN')).toBe('山');
    expect(decodeText(bytes('\xe5\xb1\xb1'), ['ISO 2022 IR 6', 'ISO_IR 192'], 'PN')).toBe('山');
  });

  it('takes undeclared high bytes for UTF-8 when they are, else for Latin-1', () => {
    for (const charsets of [[], [''], ['NONSENSE 9'], ['ISO_IR 999']]) {
      expect(decodeText(bytes('J\xc3\xa9r'), charsets)).toBe('Jér');
      expect(decodeText(bytes('J\xe9r'), charsets)).toBe('Jér');
    }
    expect(decodeText(bytes('J\xe9r'), ['ISO_IR 6'])).toBe('J\ufffdr');
  });

  it.each([
    ['overlong UTF-8', ['ISO_IR 192'], '\xc0\xafa', '\ufffd\ufffda'],
    ['a surrogate in UTF-8', ['ISO_IR 192'], '\xed\xa0\x80', '\ufffd\ufffd\ufffd'],
    ['a cut UTF-8 character', ['ISO_IR 192'], 'a\xe5\xb1', 'a\ufffd'],
    ['half an escape sequence', ['', 'ISO 2022 IR 87'], 'a\x1b$', 'a\ufffd$'],
    ['an unknown escape sequence', ['', 'ISO 2022 IR 87'], '\x1b%Gx', '\ufffd%Gx'],
    ['half a kanji', ['', 'ISO 2022 IR 87'], '\x1b$B;', '\ufffd'],
    ['half a Hangul', ['', 'ISO 2022 IR 149'], '\x1b$)C\xb1', '\ufffd'],
    ['an unassigned byte', ['ISO_IR 127'], '\xa1', '\ufffd'],
    ['embedded NUL', ['ISO_IR 100'], 'a\0\xe9\0', 'aé'],
    ['embedded NUL in ASCII', [], 'a\0b', 'ab'],
  ])('decodes %s with replacement', (_what, charsets, encoded, text) => {
    expect(decodeText(bytes(encoded), charsets)).toBe(text);
  });

  it('reads VRs of the default repertoire without the declared set', () => {
    expect(decodeText(bytes('1.2.3'), ['ISO 2022 IR 13'], 'UI')).toBe('1.2.3');
    expect(raw(encodeText('CT\\MR', ['', 'ISO 2022 IR 87'], 'CS'))).toBe('CT\\MR');
  });

  it('writes what no declared set has as a question mark, and says so beforehand', () => {
    expect(raw(encodeText('a山b', ['ISO_IR 100'], 'LO'))).toBe('a?b');
    expect(canEncode('a山b', ['ISO_IR 100'], 'LO')).toBe(false);
    expect(canEncode('a山b', ['GB18030'], 'LO')).toBe(true);
    expect(canEncode('😀', ['GBK'], 'LO')).toBe(false);
    // Windows has it at 0x80, no set of DICOM has: read so, never written so.
    expect(decodeText(bytes('\x80'), ['ISO_IR 100'], 'LO')).toBe('€');
    expect(canEncode('€', ['ISO_IR 100'], 'LO')).toBe(false);
    expect(raw(encodeText('€', ['ISO_IR 100', 'ISO 2022 IR 203'], 'LO'))).toBe('\x1b-b\xa4\x1b-A');
    expect(raw(encodeText('😀', ['GB18030'], 'LO'))).toBe('\x94\x39\xfc\x36');
  });

  const single: readonly (readonly [string, string])[] = [
    ['ISO_IR 100', 'ÀÿéßØ'],
    ['ISO_IR 101', 'ĄłŠž'],
    ['ISO_IR 109', 'ĦĉŭŜ'],
    ['ISO_IR 110', 'ĸŖķŧ'],
    ['ISO_IR 126', 'ΑΒΓωψ'],
    ['ISO_IR 127', 'ابتث'],
    ['ISO_IR 138', 'אבגד'],
    ['ISO_IR 144', 'БЖЯыё'],
    ['ISO_IR 148', 'ĞİŞğ'],
    ['ISO_IR 166', 'กขฃ๙'],
    ['ISO_IR 203', '€ŠŽœŸ'],
    ['ISO_IR 13', 'ｱｲｳﾝ'],
    ['ISO_IR 192', '山é😀Ж'],
    ['GB18030', '王é😀Ж한'],
    ['GBK', '王小东'],
    ['\\ISO 2022 IR 87', '山田やЖ'],
    ['ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159', '山ｱ丂'],
    ['\\ISO 2022 IR 149', '홍길동洪'],
    ['\\ISO 2022 IR 58', '张小东'],
    ['ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 87\\ISO 2022 IR 149', 'éЖ山길'],
  ];
  it.each(single)('round-trips any text of %s', (term, letters) => {
    const charsets = term.split('\\');
    const alphabet = [...letters, ...'Az 09^=,', '\r', '\n', '\\'];
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...alphabet)),
        fc.constantFrom<Vr>('PN', 'LO', 'SH', 'UC'),
        (chars, vr) => {
          const text = chars.join('');
          expect(decodeText(encodeText(text, charsets, vr), charsets, vr)).toBe(text);
        },
      ),
      { seed: 2, numRuns: 300 },
    );
  });

  it('never throws, never yields NUL or half a surrogate, whatever the bytes (case 22)', () => {
    const terms = fc.constantFrom(
      ...single.map(([term]) => term),
      '',
      'ISO_IR 6',
      'rubbish',
      '\\\\',
      'ISO 2022 IR 58',
    );
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc
        .constantFrom('\x1b$B', '\x1b$)C', '\x1b(J', '\x1b-L', '\x1b$(D', '\x1b$)A', '\x1b', '^', '\\')
        .map(bytes),
    );
    fc.assert(
      fc.property(
        terms,
        fc.array(piece, { maxLength: 12 }),
        fc.constantFrom<Vr | undefined>('PN', 'LT', undefined),
        (term, pieces, vr) => {
          const text = decodeText(Uint8Array.from(pieces.flatMap((part) => [...part])), term.split('\\'), vr);
          expect(text.includes('\0')).toBe(false);
          expect(/\p{Surrogate}/u.test(text)).toBe(false);
        },
      ),
      { seed: 22, numRuns: 5000 },
    );
  });

  it('reads a megabyte of any set, a character for every code there is', () => {
    const long = new Uint8Array(1 << 20).fill(0xb1);
    for (const [term, width] of [
      ['ISO_IR 100', 1],
      ['\\ISO 2022 IR 149', 1],
      ['GB18030', 2],
      ['ISO_IR 192', 1],
      ['', 1],
    ] as const)
      expect(decodeText(long, term.split('\\')), term).toHaveLength((1 << 20) / width);
  });
});

describeWith(['testdata'], 'character sets in files of other programs', () => {
  const yamada = 'ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう';
  const names: [file: string, name: string, path: readonly number[]][] = [
    ['chrArab', 'قباني^لنزار', []],
    ['chrFren', 'Buc^Jérôme', []],
    ['chrFrenMulti', 'Buc^Jérôme', []],
    ['chrGerm', 'Äneas^Rüdiger', []],
    ['chrGreek', 'Διονυσιος', []],
    ['chrH31', 'Yamada^Tarou=山田^太郎=やまだ^たろう', []],
    ['chrH32', yamada, []],
    ['chrHbrw', 'שרון^דבורה', []],
    ['chrI2', 'Hong^Gildong=洪^吉洞=홍^길동', []],
    ['chrJapMulti', 'やまだ^たろう', []],
    ['chrJapMultiExplicitIR6', 'やまだ^たろう', []],
    ['chrKoreanMulti', '김희중', []],
    ['chrRuss', 'Люкceмбypг', []],
    ['chrX1', 'Wang^XiaoDong=王^小東=', []],
    ['chrX2', 'Wang^XiaoDong=王^小东=', []],
    // An item with a set of its own, and one that inherits (PS3.3 §C.12.1.1.2).
    ['chrSQEncoding', yamada, [0x00321064]],
    ['chrSQEncoding1', yamada, [0x00321064]],
  ];
  it.each(names)('%s is read as %s', (file, name, path) => {
    let { dataSet } = readPart10(readFileSync(join(sharedTestdata() ?? '', `charset/pydicom__${file}.dcm`)));
    for (const tag of path) dataSet = items(dataSet, tag)[0]!;
    expect(text(dataSet, Tags.PatientName)).toBe(name);
    // And the JSON model says the same in its own way (PS3.18 §F.2.2).
    const groups = toJson(dataSet)['00100010']?.Value?.[0] as PersonNameGroups;
    expect(formatPersonName(groups)).toBe(name.replace(/=+$/, ''));
  });
});

describe('person names (PS3.5 §6.2.1)', () => {
  const part = fc.stringMatching(/^[A-Za-zé山ｱ.' -]{0,8}$/).map((one) => one.trim());
  const group = fc
    .array(part, { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join('^').replace(/\^+$/, ''));
  it('come back from their groups and components', () => {
    fc.assert(
      fc.property(fc.array(group, { minLength: 1, maxLength: 3 }), (groups) => {
        const value = groups.join('=').replace(/=+$/, '');
        const parsed = parsePersonName(value);
        expect(formatPersonName(parsed ?? {})).toBe(value);
        const name = nameComponents(groups[0] ?? '');
        expect(
          [name.family, name.given, name.middle, name.prefix, name.suffix].join('^').replace(/\^+$/, ''),
        ).toBe(groups[0]);
      }),
      { seed: 5, numRuns: 1000 },
    );
  });
  it('never throw, whatever they are (seeded fuzz)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('^', '=', ' ', '\\', 'A', '山', '\0', '\ud800', '__proto__'), {
          maxLength: 30,
        }),
        (pieces) => {
          const parsed = parsePersonName(pieces.join(''));
          for (const key of Object.keys(parsed ?? {}))
            expect(['Alphabetic', 'Ideographic', 'Phonetic']).toContain(key);
          expect(typeof displayName(parsed ?? {})).toBe('string');
          // Read again it is the same: nothing is lost by and by.
          expect(parsePersonName(formatPersonName(parsed ?? {}))).toEqual(parsed);
        },
      ),
      { seed: 6, numRuns: 3000 },
    );
  });
});
