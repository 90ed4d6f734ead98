/** Data sets and files that attack or merely stumble, by the number of the case they have in our catalogue of attacks. */
import { deflateSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import { isUid } from '../base/uid.ts';
import type { DataSet } from './data-set.ts';
import { parseDate, parseDateTime, parseTime } from './date-time.ts';
import { dataSet, dataSetOf, makeElement, privateTag, withElements } from './element.ts';
import { toJson } from './json.ts';
import { formatPersonName, parsePersonName } from './person-name.ts';
import { DicomReader, readDataSet, readPart10 } from './read.ts';
import type { ReadOptions } from './parsed.ts';
import { Tags } from './tags.gen.ts';
import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from './transfer-syntax.ts';
import { integer, items, number, numbers, text, texts } from './values.ts';
import { encapsulatedPixelData, writeDataSet, writeFileMeta, writePart10 } from './write.ts';

const hex = (digits: string): Uint8Array =>
  Uint8Array.from(digits.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const read = (digits: string, syntax = EXPLICIT_LE, options?: ReadOptions) =>
  readDataSet(hex(digits), syntax, options);
const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
  return 'none';
};
const warnings = (digits: string, syntax = EXPLICIT_LE): string[] =>
  read(digits, syntax).warnings.map((one) => one.code);

const IMAGE = dataSet({
  SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
  SOPInstanceUID: '1.2.3.4',
  PatientName: 'A^B',
  ReferencedSeriesSequence: [dataSet({ SeriesInstanceUID: '1.2.3' })],
  Rows: 1,
  Columns: 2,
  BitsAllocated: 16,
  PixelData: Uint8Array.of(1, 2, 3, 4),
});
/** (0010,0020) LO "A ", to stand before or behind something. */
const ID = '1000 2000 4c4f 0200 4120';

describe('lengths that lie (cases 1 to 3)', () => {
  it.each(['LO', 'PN', 'DS', 'US', 'FD', 'UI', 'UT', 'UC', 'UR', 'OF', 'AT', 'SV'])(
    'case 1: a %s of undefined length is refused',
    (vr) => {
      const letters = [...vr].map((one) => one.charCodeAt(0).toString(16)).join('');
      const long = ['UT', 'UC', 'UR', 'OF', 'SV'].includes(vr);
      // Of the short form 0xFFFF is a length like any other: it runs past the end.
      expect(code(() => read(`1000 0040 ${letters} ${long ? '0000 ffffffff' : 'ffff'} 4141`))).toBe(
        long ? 'DICOM_LENGTH' : 'DICOM_TRUNCATED',
      );
    },
  );
  it.each(['feffffff', '00000080', 'ffffff7f'])('case 2: %s bytes announced, none there', (length) => {
    for (const header of [
      '1000 0040 5554 0000',
      '4200 1100 4f42 0000',
      '0900 0110 554e 0000',
      'e07f 1000 4f57 0000',
    ])
      expect(code(() => read(`${header} ${length} 4141`))).toBe('DICOM_TRUNCATED');
    expect(code(() => read(`0800 4011 5351 0000 ${length}`))).toBe('DICOM_TRUNCATED');
    expect(code(() => read(`1000 2000 ${length} 4141`, IMPLICIT_LE))).toMatch(
      /DICOM_(TRUNCATED|SYNTAX_MISMATCH)/,
    );
  });
  it('case 3: OB in the short form never reads past the end', () => {
    // Two bytes of length, then the value: as the long form wants it, the value becomes the length.
    expect(code(() => read('4200 1100 4f42 0400 01020304'))).toBe('DICOM_TRUNCATED');
    expect(warnings(`4200 1100 4f42 0400 02000000 4141 ${ID}`)).toEqual(['LENGTH_FORM', 'ORDER']);
  });
  it('an element that runs past its item is refused, header included', () => {
    for (const inside of [
      ['0c000000', '0800 5011 5549 ffff 31002e00'],
      // Half a header of the short form, and one of the long form, in what is left of the item.
      ['04000000', '0800 5011'],
      ['08000000', '0800 4011 5351 0000 ffffffff feff dde0 00000000'],
      ['04000000', 'feff 0de0 00000000'],
    ])
      expect(code(() => read(`0800 1511 5351 0000 ffffffff feff 00e0 ${inside.join(' ')} ${ID}`))).toBe(
        'DICOM_LENGTH',
      );
  });
  it('an item and a sequence that end elsewhere than they say are refused', () => {
    expect(code(() => read('0800 4011 5351 0000 04000000 feff 00e0 00000000'))).toBe('DICOM_LENGTH');
    expect(code(() => read('0800 4011 5351 0000 0c000000 feff 00e0 00000000 feff00e0'))).toBe('DICOM_LENGTH');
  });
});

describe('delimiters (cases 4 and 9)', () => {
  it('case 4: one with a length counts as without, and is told', () => {
    expect(warnings(`0800 4011 5351 0000 ffffffff feff dde0 08000000 ${ID}`)).toEqual(['DELIMITER_LENGTH']);
    expect(warnings(`0800 4011 5351 0000 ffffffff feff dde0 ffffffff ${ID}`)).toEqual(['DELIMITER_LENGTH']);
  });
  it('case 9: strays are passed over, an open end is refused', () => {
    expect(warnings(`feff dde0 00000000 ${ID}`)).toEqual(['DELIMITER_STRAY']);
    expect(warnings(`feff 0de0 00000000 ${ID}`)).toEqual(['DELIMITER_STRAY']);
    expect(code(() => read(`0800 4011 5351 0000 ffffffff feff 00e0 ffffffff 0800 5011 5549 0200 3100`))).toBe(
      'DICOM_TRUNCATED',
    );
  });
  it('case 9: an item without its own delimiter ends with its sequence', () => {
    const found = read(
      `0800 4011 5351 0000 ffffffff feff 00e0 ffffffff 0800 5011 5549 0200 3100 feff dde0 00000000 ${ID}`,
    );
    expect(found.warnings.map((one) => one.code)).toEqual(['DELIMITER_MISSING']);
    expect(items(found.dataSet, Tags.ReferencedImageSequence)).toHaveLength(1);
    expect(text(found.dataSet, Tags.PatientID)).toBe('A');
  });
});

describe('file meta information (cases 5 and 6)', () => {
  const file = writePart10(IMAGE, EXPLICIT_LE);
  const withMeta = (change: (meta: Uint8Array) => Uint8Array): Uint8Array => {
    const end = readPart10(file).dataSetOffset;
    return Uint8Array.from([
      ...file.subarray(0, 132),
      ...change(file.slice(132, end)),
      ...file.subarray(end),
    ]);
  };
  it.each<[string, (meta: Uint8Array) => Uint8Array]>([
    ['missing', (meta) => meta.subarray(12)],
    ['zero', (meta) => (meta.fill(0, 8, 12), meta)],
    ['huge', (meta) => (meta.fill(0xff, 8, 12), meta)],
    ['wrong', (meta) => (meta.fill(1, 8, 9), meta)],
  ])('case 5: a group length that is %s changes nothing', (_what, change) => {
    const found = readPart10(withMeta(change));
    expect(text(found.dataSet, Tags.PatientName)).toBe('A^B');
    expect(found.pixelData?.length).toBe(4);
  });
  it.each([
    ['ZZ', [0x5a, 0x5a], /none|DICOM_/],
    ['two zeros', [0, 0], /none|DICOM_/],
    ['bytes above ASCII', [0xc3, 0x85], /none|DICOM_/],
  ])('case 6: a VR that is %s ends in an object or a Fault', (_what, letters, expected) => {
    for (let at = 0; at < 60; at++) {
      const bytes = withMeta((meta) => (meta.set(letters, at), meta));
      expect(code(() => readPart10(bytes))).toMatch(expected);
    }
  });
});

describe('depth and number (cases 7, 8, 32, 44)', () => {
  const nested = (depth: number): Uint8Array => {
    const step = hex('0800 4011 5351 0000 ffffffff feff 00e0 ffffffff');
    const out = new Uint8Array(step.length * depth + 16 * depth);
    for (let level = 0; level < depth; level++) out.set(step, level * step.length);
    for (let level = 0; level < depth; level++)
      out.set(hex('feff 0de0 00000000 feff dde0 00000000'), step.length * depth + 16 * level);
    return out;
  };
  it.each([
    [50, 'none'],
    [64, 'none'],
    [65, 'DICOM_DEPTH'],
    [1000, 'DICOM_DEPTH'],
    [100_000, 'DICOM_DEPTH'],
  ])('case 7: %d sequences within each other: %s', (depth, expected) => {
    expect(code(() => readDataSet(nested(depth), EXPLICIT_LE))).toBe(expected);
  });
  it('case 7: UN within UN counts as well', () => {
    const step = '0900 0110 554e 0000 ffffffff feff 00e0 ffffffff';
    const implicit = '0900 0110 ffffffff feff 00e0 ffffffff'.repeat(80);
    expect(code(() => read(step + implicit))).toBe('DICOM_DEPTH');
  });
  it.each([
    ['items', '0800 4011 5351 0000 ffffffff', 'feff 00e0 00000000'],
    ['fragments', 'e07f 1000 4f42 0000 ffffffff', 'feff 00e0 00000000'],
  ])('case 8 and 44: a million %s and no more', (_what, head, one) => {
    const reader = new DicomReader({ transferSyntaxUid: EXPLICIT_LE });
    reader.push(hex(head));
    const chunk = new Uint8Array(80_000);
    for (let at = 0; at < chunk.length; at += 8) chunk.set(hex(one), at);
    let pushed = 0;
    expect(
      code(() => {
        for (; pushed < 1000; pushed++) reader.push(chunk);
      }),
    ).toBe('DICOM_TOO_MANY');
    expect(pushed).toBe(100);
  });
  it('case 8: so many elements and no more, however they are spread over items', () => {
    const reader = new DicomReader({ transferSyntaxUid: EXPLICIT_LE, limits: { elements: 5000 } });
    reader.push(hex('0800 4011 5351 0000 ffffffff'));
    const item = hex(`feff 00e0 ffffffff ${ID} feff 0de0 00000000`);
    let count = 0;
    expect(
      code(() => {
        for (; count < 10_000; count++) reader.push(item);
      }),
    ).toBe('DICOM_TOO_MANY');
    expect(count).toBe(4999);
  });
});

describe('case 12: cut at every byte', () => {
  const frames = [Uint8Array.of(0xff, 0xd8, 1, 2), Uint8Array.of(0xff, 0xd8, 3, 4)];
  const deflated = (): Uint8Array =>
    Uint8Array.from([
      ...writeFileMeta({ sopClassUid: '1.2', sopInstanceUid: '1.3', transferSyntaxUid: DEFLATED_LE }),
      ...deflateSync(writeDataSet(IMAGE, DEFLATED_LE)),
    ]);
  it.each<[string, Uint8Array]>([
    ['explicit little endian', writePart10(IMAGE, EXPLICIT_LE)],
    ['implicit little endian', writePart10(IMAGE, IMPLICIT_LE)],
    ['explicit big endian', writePart10(IMAGE, EXPLICIT_BE)],
    ['deflated', deflated()],
    [
      'encapsulated',
      writePart10(
        withElements(IMAGE, [makeElement(Tags.NumberOfFrames, 2), encapsulatedPixelData(frames)]),
        '1.2.840.10008.1.2.4.50',
      ),
    ],
  ])('%s: never the whole object, never anything but a Fault', (_what, file) => {
    const whole = readPart10(file);
    expect(whole.pixelData).toBeDefined();
    for (let at = 0; at < file.length; at++) {
      let found;
      try {
        found = readPart10(file.slice(0, at));
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
        continue;
      }
      // Between two elements nobody can tell, and the last delimiter alone may be missing.
      const missing = found.warnings.some((one) => one.code === 'DELIMITER_MISSING');
      // Zeros beyond the end read as the end mark of a deflate block: then the last byte alone may be missing.
      const mark = found.deflated && at === file.length - 1;
      expect(found.pixelData === undefined || missing || mark, `cut at ${at}`).toBe(true);
    }
  });
});

describe('order and groups (case 13)', () => {
  it('keeps the first of two, sorts what comes late, and tells', () => {
    const found = read(`2000 1300 4953 0200 3120 ${ID} 1000 2000 4c4f 0200 4220`);
    expect(found.warnings.map((one) => one.code)).toEqual(['ORDER', 'ORDER', 'DUPLICATE']);
    expect(text(found.dataSet, Tags.PatientID)).toBe('A');
    expect([...found.dataSet.elements.keys()]).toEqual([Tags.PatientID, Tags.InstanceNumber]);
  });
  it('refuses a command in a data set, at the top and in an item (PS3.7 §6.3.1)', () => {
    expect(code(() => read(`${ID} 0000 0001 5553 0200 0100`))).toBe('DICOM_STRUCTURE');
    expect(code(() => read(`0000 0200 0a000000 312e322e382e3100 0000`, IMPLICIT_LE))).toBe('DICOM_STRUCTURE');
    expect(code(() => read('0800 4011 5351 0000 12000000 feff 00e0 0a000000 0000 0001 5553 0200 0100'))).toBe(
      'DICOM_STRUCTURE',
    );
  });
  it('takes zeros behind the last element for what they are', () => {
    expect(warnings(`${ID} ${'00'.repeat(300)}`)).toEqual(['TRAILING_BYTES']);
    expect(warnings(`1000 2000 02000000 4120 ${'00'.repeat(300)}`, IMPLICIT_LE)).toEqual(['TRAILING_BYTES']);
  });
  it('leaves meta elements out, keeps group FFFF, and tells of both', () => {
    const found = read(`0200 1000 5549 0200 3100 ${ID} ffff 0100 4c4f 0200 4220`);
    expect(found.warnings.map((one) => one.code)).toEqual(['GROUP', 'GROUP']);
    expect([...found.dataSet.elements.keys()]).toEqual([Tags.PatientID, 0xffff0001]);
  });
});

describe('private elements (cases 10 and 14)', () => {
  it('case 10: a private sequence in UN, with and without a length', () => {
    // Without a length it can only be a sequence; with one nobody knows, and the bytes stay.
    const inside = 'feff 00e0 0a000000 1000 2000 02000000 4120';
    const open = read(`0900 0110 554e 0000 ffffffff ${inside} feff dde0 00000000`).dataSet;
    expect(text(items(open, 0x00091001)[0]!, Tags.PatientID)).toBe('A');
    const closed = read(`0900 0110 554e 0000 12000000 ${inside}`).dataSet.elements.get(0x00091001);
    expect(closed?.vr).toBe('UN');
    expect(closed?.bytes).toEqual(hex(inside));
  });
  it('case 10: a sequence of the standard in UN, in whatever pieces it comes and however long it is', () => {
    const body = dataSet({ TextValue: 'x'.repeat(300) });
    const item = writeDataSet(body, IMPLICIT_LE);
    const length = (count: number): string =>
      [0, 8, 16, 24].map((shift) => ((count >> shift) & 255).toString(16).padStart(2, '0')).join('');
    const bytes = Uint8Array.from([
      ...hex(`0800 4011 554e 0000 ${length(item.length + 8)} feff 00e0 ${length(item.length)}`),
      ...item,
    ]);
    for (const size of [1, 7, 12, 13, 15, 16, 4096]) {
      const reader = new DicomReader({ transferSyntaxUid: EXPLICIT_LE, keepBytes: 64 });
      for (let at = 0; at < bytes.length; at += size) reader.push(bytes.slice(at, at + size));
      expect(items(reader.end().dataSet, Tags.ReferencedImageSequence), `pieces of ${size}`).toHaveLength(1);
    }
  });
  it('case 14: 240 blocks, some without a creator, come back to the byte', () => {
    const elements = Array.from({ length: 240 }, (_, index) => index + 0x10).flatMap((block) => [
      ...(block % 3 ? [makeElement(0x00090000 + block, `MAKER ${block}`, { vr: 'LO' })] : []),
      makeElement(privateTag(0x0009, block, block), Uint8Array.of(block, 1, 2, 3), { vr: 'UN' }),
    ]);
    const bytes = writeDataSet(dataSetOf(elements), EXPLICIT_LE);
    const found = readDataSet(bytes, EXPLICIT_LE);
    expect(found.warnings).toEqual([]);
    expect(writeDataSet(found.dataSet, EXPLICIT_LE)).toEqual(bytes);
  });
});

describe('VRs that are none (case 6)', () => {
  it.each([
    ['two capitals have the long form', '0900 0110 5a5a 0000 02000000 4142', 'UNKNOWN_VR'],
    ['anything else the short one', '0900 0110 3f3f 0200 4142', 'UNKNOWN_VR'],
  ])('%s (PS3.5 §6.2.2)', (_what, digits, warning) => {
    const found = read(`0800 6000 4353 0200 4354 ${digits} 1100 2000 4c4f 0200 4120`);
    expect(found.warnings.map((one) => one.code)).toEqual([warning]);
    expect(found.dataSet.elements.get(0x00091001)).toMatchObject({ vr: 'UN', bytes: hex('4142') });
  });
  it('another VR than the dictionary has is believed: it says how the bytes are written', () => {
    const found = read('2800 1000 554c 0400 02000000').dataSet;
    expect(found.elements.get(Tags.Rows)?.vr).toBe('UL');
    expect(integer(found, Tags.Rows)).toBe(2);
  });
  it('odd lengths are read and told', () => {
    const found = read(`1000 2000 4c4f 0300 414243 1000 4000 4353 0200 4d20`);
    expect(found.warnings.map((one) => one.code)).toEqual(['ODD_LENGTH']);
    expect(text(found.dataSet, Tags.PatientID)).toBe('ABC');
  });
});

describe('deflate (cases 19 and 20)', () => {
  const head = writeFileMeta({ sopClassUid: '1.2', sopInstanceUid: '1.3', transferSyntaxUid: DEFLATED_LE });
  const packed = deflateSync(writeDataSet(IMAGE, DEFLATED_LE));
  it.each([
    ['a pad byte', [0]],
    ['a sector of zeros', new Array<number>(512).fill(0)],
    ['another stream', [...packed]],
    ['noise', Array.from({ length: 5000 }, (_, at) => (at * 73) & 255)],
  ])('reads the stream and not %s behind it', (_what, tail) => {
    const found = readPart10(Uint8Array.from([...head, ...packed, ...tail]));
    expect(text(found.dataSet, Tags.PatientName)).toBe('A^B');
    expect(found.pixelData?.length).toBe(4);
  });
  it.each([
    ['noise', Uint8Array.from({ length: 4000 }, (_, at) => (at * 151 + 7) & 255)],
    ['a zlib header, which PS3.5 §A.5 does not have', Uint8Array.from([0x78, 0x9c, ...packed])],
  ])('refuses %s', (_what, bytes) => {
    expect(code(() => readPart10(Uint8Array.from([...head, ...bytes])))).toMatch(/^DICOM_/);
  });
  it('stops a stream that inflates to sequences without end', () => {
    const bomb = new Uint8Array(16 * 200_000);
    for (let at = 0; at < bomb.length; at += 20)
      bomb.set(hex('0800 4011 5351 0000 ffffffff feff 00e0 ffffffff').subarray(0, bomb.length - at), at);
    expect(code(() => readPart10(Uint8Array.from([...head, ...deflateSync(bomb)])))).toBe('DICOM_DEPTH');
  });
});

describe('values that are none (cases 15 and 21)', () => {
  const uids: readonly (readonly [string, boolean])[] = [
    ['1.2.840.10008', true],
    ['1.02.3', true],
    ['1'.repeat(64), true],
    ['1'.repeat(65), false],
    ['', false],
    ['1..2', false],
    ['.1', false],
    ['1.', false],
    ['1.2/../3', false],
    ['..', false],
    ['1.2\0', false],
    ['1.2%2e%2e', false],
    ['1.2 ', false],
    ['1.a', false],
    ['١.٢', false],
    ['1.2\n', false],
  ];
  it.each(uids)('case 15: %j as a UID: %s', (value, ok) => expect(isUid(value)).toBe(ok));

  const values = dataSet({
    PatientName: 'N'.repeat(64_000),
    PatientID: 'I'.repeat(64_000),
    PatientBirthDate: '00000000',
    StudyTime: '30:99',
    SliceThickness: '1e999999',
    WindowCenter: ['', 'abc', '40'],
    InstanceNumber: '99999999999999999999',
    NumberOfFrames: '-1',
    ImagePositionPatient: ['1', '', '3'],
  });
  it('case 21: are left out, never thrown', () => {
    const found = readDataSet(writeDataSet(values, EXPLICIT_LE), EXPLICIT_LE).dataSet;
    expect(text(found, Tags.PatientName)).toHaveLength(64_000);
    expect(number(found, Tags.SliceThickness)).toBeUndefined();
    expect(integer(found, Tags.NumberOfFrames, 1)).toBeUndefined();
    expect(integer(found, Tags.InstanceNumber)).toBeUndefined();
    expect(numbers(found, Tags.ImagePositionPatient)).toEqual([1, 3]);
    expect(parseDate(text(found, Tags.PatientBirthDate)!)).toBeUndefined();
    expect(parseTime(text(found, Tags.StudyTime)!)).toBeUndefined();
    const json = toJson(found);
    expect(json['00180050']?.Value).toEqual(['1e999999']);
    expect(json['00281050']?.Value).toEqual([null, 'abc', 40]);
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  });
  it('case 21: a megabyte of PN is read once, in the time of its length', () => {
    const name = '^='.repeat(500_000);
    const ds: DataSet = { elements: new Map(), littleEndian: true, charsets: ['', 'ISO 2022 IR 87'] };
    ds.elements.set(Tags.PatientName, {
      tag: Tags.PatientName,
      vr: 'PN',
      bytes: new TextEncoder().encode(name),
    });
    expect(texts(ds, Tags.PatientName)[0]).toHaveLength(1_000_000);
    expect(formatPersonName(parsePersonName(name) ?? {})).toBe('');
  });
  it.each(['99999999', '20240230', '20230229', '2024', '2024-01-01', '２０２４0101', '00000101x', ''])(
    'case 21: %j is no date',
    (value) => expect(parseDate(value)).toBeUndefined(),
  );
  it.each(['24', '2360', '9', '12:', '120000.', '120000.1234567', '-1', ''])(
    'case 21: %j is no time',
    (value) => expect(parseTime(value)).toBeUndefined(),
  );
  it.each(['202413', '20240101+1500', '20240101-1300', '20240101-0000', '2024010', '20240101+0560'])(
    'case 21: %j is no date and time',
    (value) => expect(parseDateTime(value)).toBeUndefined(),
  );
});
