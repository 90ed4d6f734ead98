import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import { fromBase64, toBase64 } from './base64.ts';
import type { DataSet, Element } from './data-set.ts';
import { decimalString, decimalValue } from './json-numbers.ts';
import { type DicomJson, fromJson, toJson } from './json.ts';
import { VRS, type Vr } from './vr.ts';
import { fromXml, toXml } from './xml.ts';

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const setOf = (elements: readonly Element[], over: Partial<DataSet> = {}): DataSet => ({
  elements: new Map(elements.map((element) => [element.tag, element])),
  littleEndian: true,
  charsets: [],
  ...over,
});
const UNICODE = { vr: 'CS', Value: ['ISO_IR 192'] } as const;

describe('DICOM JSON model (PS3.18 Annex F)', () => {
  it('writes every kind of value', () => {
    const json = toJson(
      setOf(
        [
          { tag: 0x00080000, vr: 'UL', bytes: ascii('\x01\0\0\0') },
          { tag: 0x00080005, vr: 'CS', bytes: ascii('ISO_IR 100') },
          { tag: 0x00080008, vr: 'CS', bytes: ascii('ORIGINAL\\\\AXIAL ') },
          { tag: 0x00080020, vr: 'DA', bytes: ascii('') },
          {
            tag: 0x00081115,
            vr: 'SQ',
            items: [setOf([{ tag: 0x0020000e, vr: 'UI', bytes: ascii('1.2\0') }]), setOf([])],
          },
          { tag: 0x00100010, vr: 'PN', bytes: ascii('J\xe9r^X^^^=\xe9\\^') },
          { tag: 0x00180050, vr: 'DS', bytes: ascii('1.50 \\x\\0.12345678901234567\\1e999') },
          { tag: 0x00200013, vr: 'IS', bytes: ascii('007') },
          { tag: 0x00209165, vr: 'AT', bytes: ascii('\x20\0\x32\x90') },
          { tag: 0x00280010, vr: 'US', bytes: ascii('\x00\x02') },
          {
            tag: 0x00340007,
            vr: 'FD',
            bytes: new Uint8Array(new Float64Array([1.5, NaN, -Infinity]).buffer),
          },
          { tag: 0x00340008, vr: 'SV', bytes: new Uint8Array(new BigInt64Array([-5n, 1n << 60n]).buffer) },
          { tag: 0x00400255, vr: 'LT', bytes: ascii(' a\\b ') },
          { tag: 0x00420011, vr: 'OB', bytes: ascii('abc') },
        ],
        { charsets: ['ISO_IR 100'] },
      ),
    );
    expect(json).toEqual({
      '00080005': UNICODE,
      '00080008': { vr: 'CS', Value: ['ORIGINAL', null, 'AXIAL'] },
      '00080020': { vr: 'DA' },
      '00081115': { vr: 'SQ', Value: [{ '0020000E': { vr: 'UI', Value: ['1.2'] } }, {}] },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Jér^X', Ideographic: 'é' }, null] },
      '00180050': { vr: 'DS', Value: [1.5, 'x', '0.12345678901234567', '1e999'] },
      '00200013': { vr: 'IS', Value: [7] },
      '00209165': { vr: 'AT', Value: ['00209032'] },
      '00280010': { vr: 'US', Value: [512] },
      '00340007': { vr: 'FD', Value: [1.5, 'NaN', '-Infinity'] },
      '00340008': { vr: 'SV', Value: [-5, '1152921504606846976'] },
      '00400255': { vr: 'LT', Value: [' a\\b'] },
      '00420011': { vr: 'OB', InlineBinary: 'YWJj' },
    });
  });

  it('gives values that lie elsewhere, and long binary ones, a URI with their path', () => {
    const inner = setOf([{ tag: 0x00089999, vr: 'OB', bytes: new Uint8Array(2000) }]);
    const seen: string[] = [];
    const json = toJson(
      setOf([
        { tag: 0x00081115, vr: 'SQ', items: [inner] },
        { tag: 0x7fe00010, vr: 'OW', bulk: { offset: 1, length: 2 } },
      ]),
      { bulkDataUri: (path) => (seen.push(path), `bulk/${path}`) },
    );
    expect(seen).toEqual(['00081115/0/00089999', '7FE00010']);
    expect(json['7FE00010']).toEqual({ vr: 'OW', BulkDataURI: 'bulk/7FE00010' });
  });

  it('writes big-endian values as little-endian ones (§F.2.7)', () => {
    const json = toJson(
      setOf(
        [
          { tag: 0x00280010, vr: 'US', bytes: ascii('\x02\x00') },
          { tag: 0x00281201, vr: 'OW', bytes: ascii('\x01\x02\x03\x04') },
        ],
        { littleEndian: false },
      ),
    );
    expect(json['00280010']?.Value).toEqual([512]);
    expect(fromBase64(json['00281201']!.InlineBinary!)).toEqual(ascii('\x02\x01\x04\x03'));
  });

  it('keeps a decimal string as a number only when nothing is lost', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^-?\d{1,9}(\.\d{1,6})?(e-?\d)?$/), (text) => {
        const value = decimalValue(text);
        if (typeof value === 'number') expect(value).toBe(Number(text) + 0);
      }),
      { seed: 1 },
    );
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = decimalString(value);
        expect(text.length).toBeLessThanOrEqual(16);
        expect(Math.abs(Number(text) - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-8 + Number.MIN_VALUE);
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['an array', []],
    ['a bad tag', { zz: { vr: 'CS' } }],
    ['no VR', { '00080005': {} }],
    ['a VR that is none', { '00080060': { vr: 'XX' } }],
    ['a number in CS', { '00080060': { vr: 'CS', Value: [1] } }],
    ['a value that is no list', { '00080060': { vr: 'CS', Value: 'CT' } }],
    ['a backslash in a value', { '00080060': { vr: 'CS', Value: ['C\\T'] } }],
    ['US out of range', { '00280010': { vr: 'US', Value: [65536] } }],
    ['bad base64', { '00420011': { vr: 'OB', InlineBinary: '!' } }],
    ['binary as values', { '00420011': { vr: 'OB', Value: [1] } }],
    [
      'a foreign bulk data URI (case 79)',
      { '00420011': { vr: 'OB', BulkDataURI: 'http://169.254.169.254/x' } },
    ],
    ['__proto__', JSON.parse('{"__proto__": {"vr":"CS"}}')],
  ])('refuses %s', (_what, json) => {
    expect(() => fromJson(json)).toThrow(Fault);
  });

  it('stops at 64 nested sequences (case 7)', () => {
    let json: DicomJson = {};
    for (let depth = 0; depth < 200; depth++) json = { '00081115': { vr: 'SQ', Value: [json] } };
    expect(() => fromJson(json)).toThrow('DICOM_DEPTH');
    expect(() => fromXml(toXml(json))).toThrow(Fault);
  });

  it('turns base64 both ways', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
      }),
      { seed: 4 },
    );
  });
});

const word = fc.stringMatching(/^[A-Za-z0-9éЖ山<&>"'一][A-Za-z éЖ山<&>"']{0,6}[a-zé山]$/);
const group = fc.stringMatching(/^[A-Z山][a-z]{0,5}(\^[A-Z][a-zé]{1,5})?$/);
const valueOf: Partial<Record<Vr, fc.Arbitrary<unknown>>> = {
  // Only what has Specific Character Set can hold more than ASCII (PS3.5 §6.1.2.3).
  CS: fc.stringMatching(/^[A-Z0-9_]{1,8}$/),
  LO: word,
  UC: word,
  DS: fc
    .double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })
    .map((n) => Number(n.toPrecision(7)) + 0),
  IS: fc.integer(),
  US: fc.nat(65535),
  SL: fc.integer(),
  FD: fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
    fc.constantFrom('NaN', 'Infinity'),
  ),
  UV: fc.oneof(fc.nat(), fc.constant('18446744073709551615')),
  AT: fc.nat(0xffffffff).map((n) => n.toString(16).toUpperCase().padStart(8, '0')),
  PN: fc.record({ Alphabetic: group, Ideographic: group }, { requiredKeys: ['Alphabetic'] }),
};
const tagText = fc
  .integer({ min: 0x00090010, max: 0x7fdfffff })
  .filter((tag) => (tag & 0xffff) !== 0)
  .map((tag) => tag.toString(16).toUpperCase().padStart(8, '0'));
const { model } = fc.letrec<{ model: DicomJson; element: unknown }>((tie) => ({
  element: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    ...Object.entries(valueOf).map(([vr, value]) =>
      fc.array(value, { minLength: 1, maxLength: 3 }).map((Value) => ({ vr, Value })),
    ),
    fc.constantFrom(...VRS).map((vr) => ({ vr })),
    fc.constantFrom('LT', 'UT').chain((vr) => word.map((text) => ({ vr, Value: [`a\\${text}`] }))),
    fc
      .uint8Array({ minLength: 1, maxLength: 9 })
      .map((bytes) => ({ vr: 'OB', InlineBinary: toBase64(bytes) })),
    fc.array(tie('model'), { minLength: 1, maxLength: 2 }).map((Value) => ({ vr: 'SQ', Value })),
  ),
  model: fc.dictionary(tagText, tie('element'), { maxKeys: 5 }) as fc.Arbitrary<DicomJson>,
}));

/** Without Specific Character Set, which writing adds where it is needed, and in tag order. */
function plain(json: DicomJson): unknown {
  const keys = Object.keys(json)
    .filter((key) => key !== '00080005')
    .sort();
  return keys.map((key) => [
    key,
    json[key]?.vr === 'SQ' ? json[key].Value?.map((item) => plain(item as DicomJson)) : json[key],
  ]);
}

describe('JSON, data set and XML (PS3.18 Annex F, PS3.19 §A.1)', () => {
  it('give back the same model', () => {
    fc.assert(
      fc.property(model, (json) => {
        const round = toJson(fromJson(json), { inlineBytes: Infinity });
        expect(plain(round)).toEqual(plain(json));
        expect(plain(toJson(fromJson(fromXml(toXml(json)))))).toEqual(plain(json));
      }),
      { seed: 18, numRuns: 500 },
    );
  });

  it('survive mutation: the answer is a data set or a Fault (seeded fuzz)', () => {
    const mutation = fc.array(
      fc.tuple(
        fc.nat(),
        fc.constantFrom('<', '>', '&', '"', '/', '=', '{', '[', '\0', 'DicomAttribute', '0', '<!', '&#x41;'),
      ),
      { maxLength: 4 },
    );
    const mutate = (text: string, edits: readonly (readonly [number, string])[]): string => {
      for (const [at, insert] of edits) {
        const here = at % (text.length + 1);
        text = text.slice(0, here) + insert + text.slice(here + (at % 3));
      }
      return text;
    };
    fc.assert(
      fc.property(model, mutation, (json, edits) => {
        for (const run of [
          () => fromJson(fromXml(mutate(toXml(json), edits))),
          () => {
            let parsed: unknown;
            try {
              parsed = JSON.parse(mutate(JSON.stringify(json), edits));
            } catch {
              return;
            }
            toJson(fromJson(parsed));
          },
        ]) {
          try {
            run();
          } catch (error) {
            expect(error).toBeInstanceOf(Fault);
          }
        }
      }),
      { seed: 96, numRuns: 2000 },
    );
  });
});

describe('XML that attacks (case 96)', () => {
  const wrap = (inside: string): string => `<NativeDicomModel>${inside}</NativeDicomModel>`;
  it.each([
    ['a DTD', '<!DOCTYPE x [<!ENTITY a "b">]><NativeDicomModel/>'],
    ['an external entity', '<!DOCTYPE x SYSTEM "file:///etc/passwd"><NativeDicomModel/>'],
    [
      'an undeclared entity',
      wrap('<DicomAttribute tag="00080060" vr="CS"><Value>&lol;</Value></DicomAttribute>'),
    ],
    ['an instruction', '<?xml-stylesheet href="x"?><NativeDicomModel/>'],
    ['CDATA', wrap('<![CDATA[x]]>')],
    ['XInclude', wrap('<xi:include href="/etc/passwd"/>')],
    ['depth', wrap('<DicomAttribute>'.repeat(5000))],
    [
      'many attributes',
      wrap(`<DicomAttribute ${Array.from({ length: 100 }, (_, n) => `a${n}="1"`).join(' ')}/>`),
    ],
    [
      'a huge value number',
      wrap('<DicomAttribute tag="00080060" vr="CS"><Value number="1000000000"/></DicomAttribute>'),
    ],
    ['a surrogate reference', wrap('<DicomAttribute tag="00080060" vr="&#xD800;"/>')],
    ['two roots', '<NativeDicomModel/><NativeDicomModel/>'],
    ['nothing', ''],
    ['an open end', '<NativeDicomModel>'],
  ])('refuses %s', (_what, text) => {
    expect(() => fromXml(text)).toThrow(Fault);
  });

  it('reads what other programs write: prefixes, comments, declaration, keyword, private creator', () => {
    const text =
      '\ufeff<?xml version="1.0"?><!-- x --><n:NativeDicomModel xmlns:n="y">\r\n <n:DicomAttribute tag="00100010" vr="PN" keyword="PatientName">' +
      '<n:PersonName number="1"><n:Alphabetic><n:FamilyName>O&apos;Neil</n:FamilyName><n:GivenName>A&#xe9;</n:GivenName></n:Alphabetic></n:PersonName></n:DicomAttribute></n:NativeDicomModel>';
    expect(fromXml(text)).toEqual({ '00100010': { vr: 'PN', Value: [{ Alphabetic: "O'Neil^Aé" }] } });
    const written = toXml({
      '00090010': { vr: 'LO', Value: ['A&B'] },
      '00091001': { vr: 'LO', Value: ['x\r\x01'] },
    });
    expect(written).toContain('tag="00091001" vr="LO" privateCreator="A&amp;B"');
    expect(fromXml(written)['00091001']?.Value).toEqual(['x\r\ufffd'.trim()]);
  });
});
