import fc from 'fast-check';
import { deflateSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import type { DataSet } from './data-set.ts';
import { dataSet, dataSetOf, makeElement, withElements } from './element.ts';
import { frameRange, frameTable } from './frames.ts';
import type { ReadOptions } from './parsed.ts';
import { DicomReader, readDataSet, readPart10 } from './read.ts';
import { Tags } from './tags.gen.ts';
import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE } from './transfer-syntax.ts';
import { items, numbers, text, texts, uidValue } from './values.ts';
import { encapsulatedPixelData, writeDataSet, writeFileMeta, writePart10 } from './write.ts';

const JPEG = '1.2.840.10008.1.2.4.50';

const object = (more: Parameters<typeof dataSet>[0] = {}): DataSet =>
  dataSet({
    SpecificCharacterSet: 'ISO_IR 192',
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
    SOPInstanceUID: '1.2.3.4',
    PatientName: 'Müller^Jörg',
    ReferencedSeriesSequence: [dataSet({ SeriesInstanceUID: '1.2.3', ReferencedSOPSequence: [] })],
    Rows: 2,
    Columns: 2,
    BitsAllocated: 16,
    PixelData: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    ...more,
  });

function inPieces(bytes: Uint8Array, size: number, options?: ReadOptions) {
  const reader = new DicomReader(options);
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.slice(at, at + size);
    reader.push(piece);
    // The caller may use its buffer again.
    piece.fill(0xee);
  }
  return reader.end();
}

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
  return 'none';
};

const hex = (digits: string): Uint8Array =>
  Uint8Array.from(digits.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

describe('reading a file (PS3.10 §7.1)', () => {
  it.each([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])('in %s, cut at every byte', (syntax) => {
    const file = writePart10(object(), syntax);
    for (const size of [1, 2, 3, 7, 64, 4096]) {
      const read = inPieces(file, size);
      expect(read.transferSyntaxUid).toBe(syntax);
      expect(read.warnings).toEqual([]);
      expect(text(read.dataSet, Tags.PatientName)).toBe('Müller^Jörg');
      expect(numbers(read.dataSet, Tags.Rows)).toEqual([2]);
      expect(uidValue(items(read.dataSet, Tags.ReferencedSeriesSequence)[0]!, Tags.SeriesInstanceUID)).toBe(
        '1.2.3',
      );
      const { offset, length } = read.pixelData!;
      expect([...file.subarray(offset, offset + length)].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(read.totalLength).toBe(file.length);
    }
  });

  it('deflated, with offsets in the inflated data set (PS3.5 §A.5)', () => {
    const inflated = writeDataSet(object(), DEFLATED_LE);
    const meta = writeFileMeta({
      sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
      sopInstanceUid: '1.2.3.4',
      transferSyntaxUid: DEFLATED_LE,
    });
    const file = new Uint8Array([...meta, ...deflateSync(inflated)]);
    for (const size of [1, 5, 10_000]) {
      const read = inPieces(file, size);
      expect(read.deflated).toBe(true);
      expect(text(read.dataSet, Tags.PatientName)).toBe('Müller^Jörg');
      const { offset, length } = read.pixelData!;
      expect([...inflated.subarray(offset, offset + length)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    }
  });

  it('refuses a deflate bomb before it fills the memory', () => {
    const meta = writeFileMeta({ sopClassUid: '1.2', sopInstanceUid: '1.3', transferSyntaxUid: DEFLATED_LE });
    const bomb = deflateSync(new Uint8Array(80 * 1024 * 1024));
    expect(code(() => readPart10(new Uint8Array([...meta, ...bomb])))).toMatch(/^DICOM_/);
  });

  it('finds fragments and the Basic Offset Table (PS3.5 §A.4)', () => {
    const frames = [Uint8Array.of(0xff, 0xd8, 1), Uint8Array.of(0xff, 0xd8, 2, 3)];
    const ds = withElements(object({ NumberOfFrames: 2 }), [encapsulatedPixelData(frames)]);
    const file = writePart10(ds, JPEG);
    const read = inPieces(file, 5);
    expect(read.warnings).toEqual([]);
    expect(read.pixelData?.fragments).toHaveLength(2);
    expect([...read.pixelData!.basicOffsetTable!]).toEqual([0, 0, 0, 0, 12, 0, 0, 0]);
    const table = frameTable(read)!;
    const range = frameRange(table, 1)!.ranges[0]!;
    expect([...file.subarray(range.offset, range.offset + range.length)]).toEqual([0xff, 0xd8, 2, 3]);
  });

  it('goes on without the last delimiter only when every frame is there', () => {
    const frames = [Uint8Array.of(0xff, 0xd8), Uint8Array.of(0xff, 0xd9)];
    const whole = (count: number) =>
      writePart10(withElements(object({ NumberOfFrames: count }), [encapsulatedPixelData(frames)]), JPEG);
    const cut = readPart10(whole(2).slice(0, -8));
    expect(cut.warnings.map((one) => one.code)).toEqual(['DELIMITER_MISSING']);
    expect(code(() => readPart10(whole(3).slice(0, -8)))).toBe('DICOM_TRUNCATED');
  });

  it('without preamble, without meta', () => {
    const file = writePart10(object(), EXPLICIT_LE);
    expect(readPart10(file.slice(132)).warnings.map((one) => one.code)).toEqual(['NO_PREAMBLE']);
    const bare = readPart10(writeDataSet(object(), IMPLICIT_LE));
    expect(bare.transferSyntaxUid).toBe(IMPLICIT_LE);
    expect(bare.warnings.map((one) => one.code)).toEqual([
      'NO_PREAMBLE',
      'NO_META',
      'TRANSFER_SYNTAX_MISSING',
    ]);
    expect(readPart10(writeDataSet(object(), EXPLICIT_BE)).transferSyntaxUid).toBe(EXPLICIT_BE);
  });

  it.each([
    ['text', new TextEncoder().encode('Hello, this is no DICOM file at all. '.repeat(10))],
    ['nothing', new Uint8Array(0)],
    ['zeros', new Uint8Array(500)],
  ])('refuses %s', (_what, bytes) => {
    expect(code(() => readPart10(bytes))).toBe('DICOM_NOT_PART10');
  });

  it('refuses an object that ends early, wherever it is cut before its pixels', () => {
    const file = writePart10(object(), EXPLICIT_LE);
    for (let at = 140; at < file.length; at++) {
      const found = code(() => readPart10(file.slice(0, at)));
      // Between two elements nobody can tell; the archive then misses its UIDs or pixels.
      if (found !== 'none') expect(found).toMatch(/^DICOM_(TRUNCATED|NOT_PART10)$/);
      if (at > readPart10(file).pixelData!.offset) expect(found).toBe('DICOM_TRUNCATED');
    }
  });

  it('passes pixel data over: a gigabyte takes no memory', () => {
    const head = writeDataSet(withElements(dataSet({ Rows: 1 }), []), EXPLICIT_LE);
    const reader = new DicomReader({ transferSyntaxUid: EXPLICIT_LE });
    reader.push(head);
    reader.push(hex('e07f 1000 4f57 0000 0000 0040'));
    const chunk = new Uint8Array(1024 * 1024);
    for (let count = 0; count < 1024; count++) reader.push(chunk);
    expect(reader.headerDone).toBe(true);
    expect(reader.end().pixelData?.length).toBe(1024 ** 3);
  });
});

describe('data sets as they are met', () => {
  const read = (digits: string, syntax = EXPLICIT_LE, options?: ReadOptions) =>
    readDataSet(hex(digits), syntax, options);

  it('UN of undefined length holds implicit items (PS3.5 §6.2.2, CP-246)', () => {
    const ds = read(`0900 0110 554e 0000 ffffffff  feff 00e0 ffffffff  1000 2000 04000000 41424320
      feff 0de0 00000000  feff dde0 00000000  2000 0d00 5549 0400 312e3200`).dataSet;
    expect(texts(items(ds, 0x00091001)[0]!, Tags.PatientID)).toEqual(['ABC']);
    expect(uidValue(ds, Tags.StudyInstanceUID)).toBe('1.2');
  });

  it('UN of a tag the dictionary knows is read as that', () => {
    const ds = read('1000 2000 554e 0000 04000000 41424320').dataSet;
    expect(ds.elements.get(Tags.PatientID)?.vr).toBe('LO');
  });

  it('implicit items within explicit VR', () => {
    const found =
      read(`0800 4011 5351 0000 ffffffff feff 00e0 14000000 0800 5011 0c000000 312e322e332e342e352e3600
      feff dde0 00000000`);
    expect(uidValue(items(found.dataSet, Tags.ReferencedImageSequence)[0]!, Tags.ReferencedSOPClassUID)).toBe(
      '1.2.3.4.5.6',
    );
    expect(found.warnings.map((one) => one.code)).toEqual(['IMPLICIT_ITEM']);
  });

  it('keeps the first of two elements of one tag, and says so', () => {
    const found = read('1000 2000 4c4f 0200 4120  1000 2000 4c4f 0200 4220');
    expect(text(found.dataSet, Tags.PatientID)).toBe('A');
    expect(found.warnings.map((one) => one.code)).toEqual(['DUPLICATE']);
  });

  it('another transfer syntax than announced is refused, or read with a warning', () => {
    const implicit = writeDataSet(object(), IMPLICIT_LE);
    expect(code(() => readDataSet(implicit, EXPLICIT_LE))).toBe('DICOM_SYNTAX_MISMATCH');
    expect(code(() => readDataSet(writeDataSet(object(), EXPLICIT_LE), IMPLICIT_LE))).toBe(
      'DICOM_SYNTAX_MISMATCH',
    );
    expect(code(() => readDataSet(writeDataSet(object(), EXPLICIT_BE), EXPLICIT_LE))).toBe(
      'DICOM_SYNTAX_MISMATCH',
    );
    const found = readDataSet(implicit, EXPLICIT_LE, { onMismatch: 'warn' });
    expect(found.warnings[0]?.code).toBe('TRANSFER_SYNTAX_MISMATCH');
    expect(text(found.dataSet, Tags.PatientName)).toBe('Müller^Jörg');
  });

  it.each([
    [
      'depth',
      '0900 0110 554e 0000 ffffffff feff 00e0 ffffffff'.repeat(2) +
        '0900 0110 ffffffff feff00e0 ffffffff'.repeat(200),
      'DICOM_DEPTH|DICOM_TRUNCATED|DICOM_STRUCTURE',
    ],
    [
      'an item longer than its sequence',
      '0800 4011 5351 0000 0c000000 feff 00e0 ff000000 0000 0000',
      'DICOM_LENGTH',
    ],
    ['an undefined length of text', '1000 0040 5554 0000 ffffffff', 'DICOM_LENGTH'],
    ['an item where an element should be', '1000 2000 4c4f 0200 4120 feff 00e0 00000000', 'DICOM_STRUCTURE'],
    ['four gigabytes announced', '1000 0040 5554 0000 feffffff 41414141', 'DICOM_TRUNCATED'],
  ])('refuses %s', (_what, digits, expected) => {
    expect(code(() => read(digits))).toMatch(new RegExp(`^(${expected})$`));
  });

  it('keeps its limits', () => {
    const many = Array.from({ length: 50 }, (_, index) => makeElement(0x00090010 + index, 'A', { vr: 'LO' }));
    const bytes = writeDataSet(dataSetOf(many), EXPLICIT_LE);
    expect(code(() => readDataSet(bytes, EXPLICIT_LE, { limits: { elements: 20 } }))).toBe('DICOM_TOO_MANY');
    expect(code(() => readDataSet(bytes, EXPLICIT_LE, { limits: { headerBytes: 100 } }))).toBe(
      'DICOM_HEADER_SIZE',
    );
  });

  it('leaves large values where they are', () => {
    const bytes = writeDataSet(dataSet({ TextValue: 'x'.repeat(100_000), Rows: 5 }), EXPLICIT_LE);
    const found = readDataSet(bytes, EXPLICIT_LE);
    const { bulk } = found.dataSet.elements.get(Tags.TextValue)!;
    expect(bulk?.length).toBe(100_000);
    expect(bytes[bulk!.offset]).toBe(0x78);
    const kept = readDataSet(bytes, EXPLICIT_LE, { keep: new Set([Tags.TextValue]) });
    expect(kept.dataSet.elements.get(Tags.TextValue)?.bytes).toHaveLength(100_000);
  });
});

// --- properties

const value: fc.Arbitrary<Parameters<typeof makeElement>> = fc.oneof(
  fc
    .tuple(fc.constantFrom<'LO' | 'SH'>('LO', 'SH'), fc.stringMatching(/^[A-Za-z0-9éß]{1,12}$/))
    .map(([vr, one]): Parameters<typeof makeElement> => [0, one, { vr, charsets: ['ISO_IR 192'] }]),
  fc
    .array(fc.nat(65535), { maxLength: 5 })
    .map((list): Parameters<typeof makeElement> => [0, list, { vr: 'US' }]),
  fc
    .array(fc.double({ noNaN: true }), { maxLength: 3 })
    .map((list): Parameters<typeof makeElement> => [0, list, { vr: 'FD' }]),
  fc.uint8Array({ maxLength: 40 }).map((bytes): Parameters<typeof makeElement> => [0, bytes, { vr: 'OB' }]),
);
const { set } = fc.letrec<{ set: DataSet }>((tie) => ({
  set: fc
    .dictionary(
      fc.integer({ min: 0x1000, max: 0xffff }).map(String),
      fc.oneof(
        { maxDepth: 3 },
        value,
        fc
          .array(tie('set'), { maxLength: 2 })
          .map((list): Parameters<typeof makeElement> => [0, list, { vr: 'SQ' }]),
      ),
      { maxKeys: 6 },
    )
    .map((map) =>
      dataSetOf(
        Object.entries(map).map(([tag, [, values, options]]) =>
          makeElement(0x00090000 + Number(tag), values, options),
        ),
        ['ISO_IR 192'],
      ),
    ),
}));

/** What a data set says, whatever it was written in. */
function plain(ds: DataSet): unknown {
  return [...ds.elements.values()].map((element) => {
    if (element.items) return [element.tag, 'SQ', element.items.map(plain)];
    const bytes = [...(element.bytes ?? [])];
    return [element.tag, element.vr, ds.littleEndian ? bytes : unitsReversed(bytes, element.vr)];
  });
}
const unitsReversed = (bytes: number[], vr: string): number[] => {
  const unit = vr === 'US' ? 2 : vr === 'FD' ? 8 : 1;
  return bytes.flatMap((_, at) => (at % unit ? [] : bytes.slice(at, at + unit).reverse()));
};

describe('properties', () => {
  it('what is written is read again, in explicit little and big endian', () => {
    fc.assert(
      fc.property(
        set,
        fc.constantFrom(EXPLICIT_LE, EXPLICIT_BE),
        fc.integer({ min: 1, max: 40 }),
        (ds, syntax, size) => {
          const bytes = writeDataSet(ds, syntax);
          const read = inPieces(bytes, size, { transferSyntaxUid: syntax });
          expect(plain(read.dataSet)).toEqual(plain(ds));
          expect(writeDataSet(read.dataSet, syntax)).toEqual(bytes);
        },
      ),
      { seed: 7, numRuns: 500 },
    );
  });

  it('survives mutation: an object or a Fault, the same in one piece and in many (seeded fuzz)', () => {
    const base = [
      writePart10(object(), EXPLICIT_LE),
      writePart10(object(), IMPLICIT_LE),
      writePart10(object(), EXPLICIT_BE),
      writePart10(
        withElements(object(), [encapsulatedPixelData([Uint8Array.of(1, 2), Uint8Array.of(3, 4)])]),
        JPEG,
      ),
    ];
    const edit = fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(0, 0xff, 0xfe, 0x7f)));
    const limits = { headerBytes: 1024 * 1024, elements: 10_000 };
    const outcome = (run: () => { dataSet: DataSet }): unknown => {
      try {
        return plain(run().dataSet);
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
        return (error as Fault).code;
      }
    };
    fc.assert(
      fc.property(
        fc.nat(base.length - 1),
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 300 }),
        (which, edits, size) => {
          const bytes = base[which]!.slice();
          for (const [at, byte] of edits) bytes[132 + (at % (bytes.length - 132))] = byte;
          const whole = outcome(() => readPart10(bytes, { limits }));
          expect(outcome(() => inPieces(bytes, size, { limits }))).toEqual(whole);
        },
      ),
      { seed: 11, numRuns: 5000 },
    );
  });
});
