/**
 * Hostile objects through the real server, by the number of the case in our catalogue of attacks, part A: each is kept or
 * set aside with a reason, nothing of it is half visible, everybody else is served meanwhile, and the process lives on.
 */
import { readdirSync } from 'node:fs';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ctHeader, ctImage, element, EXPLICIT, fileMeta } from './support/images.ts';
import { residentOf } from './support/large.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const MAX_RISE = 256 * 1024 * 1024;
const CANARY_MS = 5000;

/** A part of a data set, written by hand: explicit VR little endian (PS3.5 §A.2). */
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

interface Names {
  study?: string;
  series?: string;
  sop?: string;
}
let count = 0;

/** An object without pixels and `extra` at its end, as a file. */
function object(extra: Buffer, names: Names = {}, meta = fileMeta(CT, '1.2.3')): Buffer {
  count += 1;
  const study = names.study ?? `1.2.66.${count}`;
  return Buffer.concat([
    meta,
    element(0x0008, 0x0016, 'UI', CT),
    element(0x0008, 0x0018, 'UI', names.sop ?? `${study}.1.1`),
    element(0x0008, 0x0060, 'CS', 'CT'),
    element(0x0010, 0x0010, 'PN', 'Hostile^Test'),
    element(0x0010, 0x0020, 'LO', 'HOSTILE'),
    element(0x0020, 0x000d, 'UI', study),
    element(0x0020, 0x000e, 'UI', names.series ?? `${study}.1`),
    extra,
  ]);
}

function patched(file: Buffer, at: number, bytes: Buffer): Buffer {
  const copy = Buffer.from(file);
  bytes.copy(copy, at);
  return copy;
}

/** (0040,0275) within itself, without lengths. */
function nested(depth: number): Buffer {
  return Buffer.concat(
    Array.from({ length: depth }, () => hex('4000 7502 5351 0000 ffffffff feff 00e0 ffffffff')),
  );
}

const sequenceOf = (items: Buffer): Buffer => {
  const head = hex('4000 7502 5351 0000 00000000');
  head.writeUInt32LE(items.length, 8);
  return Buffer.concat([head, items]);
};

/** Where the value of (0002,0000) lies in a file. */
const GROUP_LENGTH = 132 + 8;
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** A deflated file whose data set ends in so many zeros, which deflate makes a thousandth of (PS3.5 §A.5). */
function deflated(zeros: number): Buffer {
  const meta = fileMeta(CT, '1.2.3').toString('latin1').replace(`${EXPLICIT}\0`, `${EXPLICIT}.99`);
  const bytes = Buffer.from(meta, 'latin1');
  bytes.writeUInt16LE(`${EXPLICIT}.99`.length, bytes.indexOf(`${EXPLICIT}.99`) - 2);
  bytes.writeUInt32LE(bytes.length - GROUP_LENGTH - 4, GROUP_LENGTH);
  const names = object(Buffer.alloc(0)).subarray(fileMeta(CT, '1.2.3').length);
  const head = hex('4000 0102 4f42 0000 00000000');
  head.writeUInt32LE(zeros, 8);
  return Buffer.concat([bytes, deflateRawSync(Buffer.concat([names, head, Buffer.alloc(zeros)]))]);
}

const executable = (magic: string): Buffer =>
  patched(object(Buffer.alloc(0)), 0, Buffer.from(magic, 'latin1'));
const patientName = (value: string | Buffer): Buffer => {
  const file = object(Buffer.alloc(0));
  const name = element(0x0010, 0x0010, 'PN', 'Hostile^Test');
  const at = file.indexOf(name);
  return Buffer.concat([
    file.subarray(0, at),
    element(0x0010, 0x0010, 'PN', value),
    file.subarray(at + name.length),
  ]);
};

/** Number of the case, what it is, the file, and 'stored' or the code it is set aside with. */
const CASES: readonly (readonly [string, string, () => Buffer, string])[] = [
  ['A1', 'no length where there must be one', () => object(hex('4000 0001 4c4f ffff')), 'DICOM_TRUNCATED'],
  [
    'A1',
    'no length in OB that is no pixels',
    () => object(hex('4000 0001 5554 0000 ffffffff')),
    'DICOM_LENGTH',
  ],
  [
    'A2',
    '4 GB announced, 4 bytes there',
    () => object(hex('4000 0001 4f42 0000 feffffff 00000000')),
    'DICOM_TRUNCATED',
  ],
  ['A3', 'OB with a short length', () => object(hex('4000 0001 4f42 0400 01020304')), 'DICOM_TRUNCATED'],
  ['A5', 'meta length 0', () => patched(object(Buffer.alloc(0)), GROUP_LENGTH, u32(0)), 'stored'],
  ['A5', 'meta length 4 GB', () => patched(object(Buffer.alloc(0)), GROUP_LENGTH, u32(0xffffffff)), 'stored'],
  [
    'A7',
    '50 sequences within each other',
    () =>
      object(
        Buffer.concat([
          nested(50),
          Buffer.concat(Array.from({ length: 50 }, () => hex('feff 0de0 00000000 feff dde0 00000000'))),
        ]),
      ),
    'stored',
  ],
  ['A7', '1,000 sequences within each other', () => object(nested(1000)), 'DICOM_DEPTH'],
  ['A7', '100,000 sequences within each other', () => object(nested(100_000)), 'DICOM_DEPTH'],
  [
    'A8',
    '10 million empty items',
    () => object(sequenceOf(Buffer.alloc(80_000_000, hex('feff 00e0 00000000')))),
    'DICOM_TOO_MANY',
  ],
  ['A9', 'a sequence that never ends', () => object(nested(1)), 'DICOM_TRUNCATED'],
  ['A9', 'a delimiter of nothing', () => object(hex('feff 0de0 00000000')), 'stored'],
  [
    'A13',
    'an element twice',
    () => object(Buffer.concat([element(0x0040, 0x0253, 'SH', 'A'), element(0x0040, 0x0253, 'SH', 'B')])),
    'stored',
  ],
  ['A13', 'elements out of order', () => object(element(0x0008, 0x0050, 'SH', 'LATE')), 'stored'],
  ['A13', 'a command in the data set', () => object(element(0x0000, 0x0002, 'UI', CT)), 'DICOM_STRUCTURE'],
  [
    'A15',
    'a UID of 65 characters',
    () => object(Buffer.alloc(0), { series: `1.${'2'.repeat(63)}` }),
    'DICOM_UID',
  ],
  ['A15', 'a UID with letters', () => object(Buffer.alloc(0), { study: '1.2.x' }), 'DICOM_UID'],
  ['A15', 'no UID', () => object(Buffer.alloc(0), { sop: '' }), 'DICOM_UID'],
  [
    'A16',
    'a way out of the folder for a UID',
    () => object(Buffer.alloc(0), { sop: '../../../../tmp/escape' }),
    'DICOM_UID',
  ],
  [
    'A16',
    'a coded way out of the folder',
    () => object(Buffer.alloc(0), { study: '%2e%2e%2fescape' }),
    'DICOM_UID',
  ],
  [
    'A16',
    'a way out of the folder in the patient id',
    () => object(element(0x0010, 0x1000, 'LO', '../../escape')),
    'stored',
  ],
  ['A17', 'a Windows program in the preamble', () => executable('MZ\x90\0'), 'stored'],
  ['A17', 'a Linux program in the preamble', () => executable('\x7fELF'), 'stored'],
  ['A17', 'HTML in the preamble', () => executable('<html><script>alert(1)</script>'), 'stored'],
  ['A19', 'a deflate bomb', () => deflated(200 * 1024 * 1024), 'DICOM_INFLATE'],
  ['A19', 'deflated, of ordinary size', () => deflated(100_000), 'stored'],
  ['A21', 'a name of 64 KB', () => patientName('A'.repeat(65_000)), 'stored'],
  [
    'A21',
    'numbers, dates and times that are none',
    () =>
      object(
        Buffer.concat([
          element(0x0040, 0x0002, 'DA', '99999999'),
          element(0x0040, 0x0003, 'TM', '30:99'),
          element(0x0040, 0x0306, 'DS', '1e999999'),
        ]),
      ),
    'stored',
  ],
  ['A22', 'an escape sequence cut in half', () => patientName(hex('1b2442 3b')), 'stored'],
  [
    'A22',
    'NUL in the middle, lone surrogates, overlong UTF-8',
    () => patientName(hex('4100 42 eda080 c080 fe')),
    'stored',
  ],
  [
    'A23',
    'text that runs from right to left',
    () => patientName(Buffer.from('A\u202eB\u200bC', 'utf8')),
    'stored',
  ],
];

describe('Hostile objects (attacks, part A)', () => {
  let box: Lightbox;
  let pid: number;
  let before: number;

  beforeAll(async () => {
    box = await Lightbox.ready();
    pid = box.pid;
    expect((await stowFile(box, canary())).status).toBe(200);
    before = residentOf(pid);
  });
  afterAll(async () => {
    await box.stop();
  });

  it.each(CASES)('%s: %s', async (_id, _what, make, expected) => {
    const file = make();
    const sending = stowFile(box, file);
    const began = performance.now();
    const others = await Promise.all([stowFile(box, canary()), box.get('/dicom-web/studies?limit=1')]);
    expect(others.map((one) => one.status)).toEqual([200, 200]);
    expect(performance.now() - began, 'others had to wait').toBeLessThan(CANARY_MS);
    const answer = await sending;
    const text = await answer.text();
    if (expected === 'stored') expect(answer.status, text).toBe(200);
    else {
      expect(answer.status, text).toBe(409);
      const [newest] = await box.getJson<{ faultCode?: string; code?: string }[]>('/api/quarantine?limit=1');
      expect(JSON.stringify(newest)).toContain(expected);
    }
    expect(box.running).toBe(true);
    expect(box.pid).toBe(pid);
  });

  it('A12: a file cut within an element is never shown', async () => {
    const whole = Buffer.concat([
      fileMeta(CT, '1.2.67.1.1'),
      ctHeader({
        ...{ studyUid: '1.2.67', seriesUid: '1.2.67.1', sopUid: '1.2.67.1.1', number: 1, side: 4 },
        patientId: 'CUT',
      }),
      Buffer.alloc(32, 1),
    ]);
    // Between two elements what is there is a whole data set without pixels: nobody can tell that more was to come.
    // Nor that spaces or zeros behind it are no padding.
    const borders = bordersOf(whole, 132).flatMap((at) => {
      const rest = whole.subarray(at, at + 7);
      const padding = rest.findIndex((byte) => byte !== 0 && byte !== 0x20);
      return Array.from({ length: padding + 1 }, (_, index) => at + index);
    });
    for (let at = 1; at < whole.length; at += 1) {
      const answer = await stowFile(box, whole.subarray(0, at));
      await answer.arrayBuffer();
      if (answer.status === 200) expect(borders, `cut at ${at}`).toContain(at);
      else expect(answer.status).toBe(409);
      if (borders.includes(at)) continue;
      const [newest] = await box.getJson<unknown[]>('/api/quarantine');
      expect(JSON.stringify(newest), `cut at ${at}`).toMatch(/DICOM_(TRUNCATED|NOT_PART10)/);
    }
  });

  it('A16: nothing of the input is in the name of a file', () => {
    const names = (readdirSync(box.data, { recursive: true }) as string[]).filter((name) =>
      /escape|HOSTILE|1\.2\.66/.test(name),
    );
    expect(names).toEqual([]);
  });

  it('A17: what may be a program is given out as DICOM only, and no browser guesses', async () => {
    const [row] = await box.getJson<Record<string, { Value?: string[] }>[]>(
      '/dicom-web/instances?PatientID=HOSTILE&limit=1',
    );
    const uid = (tag: string): string => row?.[tag]?.Value?.[0] ?? '';
    const path = `/dicom-web/studies/${uid('0020000D')}/series/${uid('0020000E')}/instances/${uid('00080018')}`;
    const answer = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
    expect(answer.headers.get('content-type')).toContain('application/dicom');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    await answer.arrayBuffer();
  });

  it('A22: every answer about them is JSON that can be read, without NUL', async () => {
    const found = await box.get('/dicom-web/instances?includefield=all&limit=5000', {
      accept: 'application/dicom+json',
    });
    const text = await found.text();
    expect(text).not.toMatch(/\\u0000/);
    expect((JSON.parse(text) as unknown[]).length).toBeGreaterThan(10);
  });

  it('A25: a study of two patients is shown apart', async () => {
    for (const [number, patientId] of ['ONE', 'TWO'].entries()) {
      const image = ctImage({
        ...{
          studyUid: '1.2.68',
          seriesUid: `1.2.68.${number}`,
          sopUid: `1.2.68.${number}.1`,
          number,
          side: 4,
        },
        ...{ patientId, chance: () => 0.5 },
      });
      expect((await stowFile(box, image)).status).toBe(200);
    }
    const rows = await box.getJson<Record<string, { Value?: string[] }>[]>(
      '/dicom-web/studies?StudyInstanceUID=1.2.68',
    );
    expect(rows.map((row) => row['00100020']?.Value?.[0]).sort()).toEqual(['ONE', 'TWO']);
  });

  it('leaves memory where it was', () => {
    expect(residentOf(pid) - before).toBeLessThan(MAX_RISE);
  });
});

/** Where elements end, from the first one at `from` on (PS3.5 §7.1.2). */
function bordersOf(file: Buffer, from: number): number[] {
  const borders: number[] = [from];
  for (let at = from; at < file.length; borders.push(at)) {
    const long = ['OB', 'OW', 'SQ', 'UN', 'UT'].includes(file.toString('latin1', at + 4, at + 6));
    at += long ? 12 + file.readUInt32LE(at + 8) : 8 + file.readUInt16LE(at + 6);
  }
  return borders;
}

/** An image as any other, of its own name each time. */
function canary(): Buffer {
  count += 1;
  return ctImage({
    ...{ studyUid: '1.2.69', seriesUid: '1.2.69.1', sopUid: `1.2.69.1.${count}`, number: 1, side: 32 },
    ...{ patientId: 'CANARY', chance: () => 0.5 },
  });
}
