/**
 * Objects with elements behind Pixel Data, kept in a real archive, in their metadata and written anew.
 */
import { deflateRawSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DataSet, Element } from '@lightbox/core/dicom/data-set.ts';
import { dataSet, makeElement, withElements } from '@lightbox/core/dicom/element.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { readDataSet, readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import {
  DEFLATED_LE,
  EXPLICIT_BE,
  EXPLICIT_LE,
  IMPLICIT_LE,
  readingSyntax,
} from '@lightbox/core/dicom/transfer-syntax.ts';
import { integer, items, numbers, text } from '@lightbox/core/dicom/values.ts';
import { encapsulatedPixelData, writeFileMeta, writePart10 } from '@lightbox/core/dicom/write.ts';
import { createLog } from '../../platform/log.ts';
import type { Pieces } from '../../platform/outgoing.ts';
import { openTestArchive, type TestArchive } from '../testing.ts';
import type { InstanceRef } from '../types.ts';
import type { JobResult } from './job.ts';
import { createRenderer } from './renderer.ts';
import type { ObjectSource } from './source.ts';
import { transcodeObject } from './transcode.ts';
import type { Renderer } from './types.ts';
import { withoutBulk } from './without-bulk.ts';

const RLE = '1.2.840.10008.1.2.5';
const FRAMES = [
  [0, 1000, 2000, 4095],
  [1, 2, 3, 4],
  [4095, 3, 2, 1],
];
const PRIVATE = 0x7fe11001;
const PRIVATE_WORDS = 0x7fe11002;
const SIGNATURES = Tags.DigitalSignaturesSequence;
const PADDING = Tags.DataSetTrailingPadding;
/** Longer than what a reader keeps in memory. */
const BYTES = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
const WORDS = Array.from({ length: 40_000 }, (_, index) => index);
const source = { kind: 'import', by: 'test', remoteAddress: '' } as const;

let box: TestArchive;
let renderer: Renderer;
beforeAll(async () => {
  box = await openTestArchive();
  renderer = createRenderer({
    retrieve: box.archive.retrieve,
    log: createLog({ logLevel: 'silent' }),
    workers: 1,
  });
});
afterAll(async () => {
  await renderer.close();
  await box.close();
});

/** Literal runs only (PS3.5 §G.3.1): high bytes, then low bytes. */
function rleFrame(values: readonly number[]): Uint8Array {
  const run = (bytes: number[]): number[] => [
    bytes.length - 1,
    ...bytes,
    ...(bytes.length % 2 ? [] : [0x80]),
  ];
  const high = run(values.map((value) => value >> 8));
  const header = new Uint8Array(64);
  new Uint32Array(header.buffer).set([2, 64, 64 + high.length]);
  return Uint8Array.from([...header, ...high, ...run(values.map((value) => value & 0xff))]);
}

function file(sop: string, syntax: string): Buffer {
  const pixels: Element =
    syntax === RLE
      ? encapsulatedPixelData(FRAMES.map(rleFrame))
      : { tag: Tags.PixelData, vr: 'OW', bytes: new Uint8Array(Uint16Array.from(FRAMES.flat()).buffer) };
  const ds = dataSet({
    SpecificCharacterSet: 'ISO_IR 192',
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.7.3',
    SOPInstanceUID: sop,
    PatientID: 'P1',
    StudyInstanceUID: '1.2.5',
    SeriesInstanceUID: '1.2.5.1',
    SamplesPerPixel: 1,
    PhotometricInterpretation: 'MONOCHROME2',
    NumberOfFrames: FRAMES.length,
    ...{ Rows: 2, Columns: 2, BitsAllocated: 16, BitsStored: 12, HighBit: 11, PixelRepresentation: 0 },
    '7FE10010': { vr: 'LO', value: 'LIGHTBOX TEST' },
    '7FE11001': { vr: 'OB', value: BYTES },
    '7FE11002': { vr: 'OW', value: new Uint8Array(Uint16Array.from(WORDS).buffer) },
    DigitalSignaturesSequence: [dataSet({ MACIDNumber: 7, DigitalSignatureUID: '1.2.3.4' })],
    DataSetTrailingPadding: { vr: 'OB', value: new Uint8Array(10) },
  });
  return Buffer.from(writePart10(withElements(ds, [pixels]), syntax));
}

async function keep(bytes: Buffer, sop: string, status = 'stored'): Promise<InstanceRef> {
  const writer = await box.archive.ingest.begin(source, { form: 'part10' });
  await writer.write(bytes);
  expect(await writer.finish()).toMatchObject({ status });
  const [ref] = await box.archive.retrieve.list({ studyUid: '1.2.5', seriesUid: '1.2.5.1', sopUid: sop });
  return ref!;
}

const KEPT = [
  ['explicit little endian', EXPLICIT_LE, '1.2.5.1.1'],
  ['implicit little endian', IMPLICIT_LE, '1.2.5.1.2'],
  ['explicit big endian', EXPLICIT_BE, '1.2.5.1.3'],
  ['RLE', RLE, '1.2.5.1.4'],
] as const;

describe.each(KEPT)('Elements behind Pixel Data, kept in %s (PS3.5 §7.1)', (_, syntax, sop) => {
  let ref: InstanceRef;
  beforeAll(async () => {
    ref = await keep(file(sop, syntax), sop);
  });

  it('are in the header, large ones by their place', async () => {
    const ds = await box.archive.retrieve.header(ref);
    expect(integer(items(ds, SIGNATURES)[0]!, Tags.MACIDNumber)).toBe(7);
    expect(ds.elements.get(PADDING)?.bytes).toHaveLength(10);
    const { offset = 0, length = 0 } = ds.elements.get(PRIVATE)?.bulk ?? {};
    expect(Buffer.from(BYTES).equals(await box.archive.retrieve.read(ref, offset, offset + length))).toBe(
      true,
    );
  });

  it('are in the metadata (PS3.18 §10.4.1.1.2)', async () => {
    const { gzip } = await box.archive.retrieve.metadata({ studyUid: '1.2.5', sopUid: sop });
    const [json] = JSON.parse(gunzipSync(gzip).toString()) as DicomJson[];
    expect(json?.['FFFAFFFA']?.Value).toHaveLength(1);
    expect(json?.['7FE11001']?.BulkDataURI).toContain('7FE11001');
    expect(json).toHaveProperty('FFFCFFFC');
  });

  it.each([
    ['explicit', EXPLICIT_LE],
    ['implicit', IMPLICIT_LE],
  ])('are written anew in %s little endian, with the same pixels', async (_name, wanted) => {
    const stream = await renderer.transcode(ref, wanted);
    const written = readPart10(Buffer.concat((await stream.toArray()) as Buffer[]), {
      keepBytes: 1_000_000,
    });
    expect(written.transferSyntaxUid).toBe(wanted);
    const { dataSet: ds, warnings } = written;
    expect(warnings).toEqual([]);
    expect(text(ds, Tags.PatientID)).toBe('P1');
    expect(integer(items(ds, SIGNATURES)[0]!, Tags.MACIDNumber)).toBe(7);
    expect(ds.elements.get(PADDING)?.bytes).toHaveLength(10);
    expect(Buffer.from(BYTES).equals(ds.elements.get(PRIVATE)?.bytes ?? Buffer.alloc(0))).toBe(true);
    expect(wordsOf(ds)).toEqual(WORDS);
    expect(await pixelsOf(ref, wanted)).toEqual(FRAMES.flat());
  });
});

/** Private, so UN in implicit VR: the bytes are what counts. */
function wordsOf(ds: DataSet): number[] {
  const { bytes = new Uint8Array() } = ds.elements.get(PRIVATE_WORDS) ?? {};
  return numbers({ ...ds, elements: new Map([[1, { tag: 1, vr: 'US', bytes }]]) }, 1);
}

async function pixelsOf(ref: InstanceRef, wanted: string): Promise<number[]> {
  const whole = Buffer.concat((await (await renderer.transcode(ref, wanted)).toArray()) as Buffer[]);
  const { offset = 0, length = 0 } = readPart10(whole).pixelData ?? {};
  return [...new Uint16Array(Uint8Array.from(whole.subarray(offset, offset + length)).buffer)];
}

describe.each([...KEPT, ['deflated', DEFLATED_LE, '1.2.5.1.5'] as const])(
  'With another data set in front, kept in %s',
  (_, syntax, sop) => {
    let ref: InstanceRef;
    beforeAll(async () => {
      const bytes = file(sop, syntax === DEFLATED_LE ? EXPLICIT_LE : syntax);
      if (syntax === DEFLATED_LE) {
        const { dataSetOffset } = readPart10(bytes);
        const meta = { sopClassUid: '1.2.840.10008.5.1.4.1.1.7.3', sopInstanceUid: sop };
        const deflated = deflateRawSync(bytes.subarray(dataSetOffset));
        ref = await keep(
          Buffer.concat([writeFileMeta({ ...meta, transferSyntaxUid: syntax }), deflated]),
          sop,
        );
      } else ref = await keep(bytes, sop, 'duplicate');
    });

    it.each([
      ['as they are', undefined, FRAMES.flat()],
      [
        'with a part blackened',
        { rectangles: [{ left: 0, top: 0, width: 1, height: 2 }], clearUnusedBits: false },
        FRAMES.flatMap(([, b = 0, , d = 0]) => [0, b, 0, d]),
      ],
    ])('the pixels are written %s', async (_name, edit, pixels) => {
      const header = await box.archive.retrieve.header(ref);
      const changed = withElements(header, [makeElement(Tags.PatientID, 'ANOTHER')]);
      const written = await renderer.rewritten(ref, EXPLICIT_LE, { dataSet: changed, edit });
      const all: Uint8Array[] = [];
      for await (const piece of written.open()) all.push(Uint8Array.from(piece));
      const whole = Buffer.concat(all);
      expect(whole).toHaveLength(written.bytes);
      const { dataSet: ds, pixelData } = readPart10(whole, { keepBytes: 1_000_000 });
      const { offset = 0, length = 0 } = pixelData ?? {};
      expect(text(ds, Tags.PatientID)).toBe('ANOTHER');
      expect([...new Uint16Array(Uint8Array.from(whole.subarray(offset, offset + length)).buffer)]).toEqual(
        pixels,
      );
      expect(wordsOf(ds)).toEqual(WORDS);
    });
  },
);

describe('The data set alone, as a C-STORE carries it', () => {
  const piecesOf = async (pieces: Pieces): Promise<Buffer> => {
    const all: Buffer[] = [];
    for await (const piece of pieces) all.push(Buffer.from(piece));
    return Buffer.concat(all);
  };
  const refOf = async (sop: string): Promise<InstanceRef> => {
    const [ref] = await box.archive.retrieve.list({ studyUid: '1.2.5', seriesUid: '1.2.5.1', sopUid: sop });
    return ref!;
  };

  it.each(KEPT)('is as kept in %s', async (_, syntax, sop) => {
    const ref = await refOf(sop);
    const kept = await box.archive.retrieve.read(ref, ref.dataSetOffset, ref.length);
    expect((await piecesOf(await renderer.dataSet(ref, syntax))).equals(kept)).toBe(true);
  });

  it.each(KEPT)(
    'has neither pixels nor less than that without bulk data, from %s (PS3.4 Table Z.1-1)',
    async (...[, , sop]) => {
      const ref = await refOf(sop);
      for (const wanted of [EXPLICIT_LE, IMPLICIT_LE, RLE]) {
        const bytes = await piecesOf(await renderer.dataSetWithoutBulk(ref, wanted));
        const { dataSet: ds, warnings } = readDataSet(bytes, wanted, { keepBytes: 1_000_000 });
        expect(warnings).toEqual([]);
        expect(ds.elements.has(Tags.PixelData)).toBe(false);
        expect(text(ds, Tags.PatientID)).toBe('P1');
        expect(integer(items(ds, SIGNATURES)[0]!, Tags.MACIDNumber)).toBe(7);
        expect(ds.elements.get(PRIVATE)?.bytes).toHaveLength(BYTES.length);
      }
      await expect(renderer.dataSetWithoutBulk(ref, EXPLICIT_BE)).rejects.toMatchObject({
        code: 'PIXELS_UNSUPPORTED',
      });
    },
  );

  it('leaves out samples of waveforms, overlays and documents, and keeps what describes them', () => {
    const overlay = 0x60023000;
    const rows = 0x60020010;
    const source = {
      dataSet: withElements(
        dataSet({
          ...{
            PatientID: 'P1',
            EncapsulatedDocument: Uint8Array.of(1, 2),
            MIMETypeOfEncapsulatedDocument: 'x',
          },
          WaveformSequence: [dataSet({ NumberOfWaveformSamples: 2, WaveformData: Uint8Array.of(1, 2) })],
        }),
        [
          { tag: overlay, vr: 'OW', bytes: Uint8Array.of(1, 2) },
          { tag: rows, vr: 'US', bytes: Uint8Array.of(1, 0) },
        ],
      ),
    } as unknown as ObjectSource;
    const { dataSet: ds } = withoutBulk(source);
    const [wave] = items(ds, Tags.WaveformSequence);
    expect(wave && integer(wave, Tags.NumberOfWaveformSamples)).toBe(2);
    expect(wave?.elements.has(Tags.WaveformData)).toBe(false);
    expect([overlay, Tags.EncapsulatedDocument].map((tag) => ds.elements.has(tag))).toEqual([false, false]);
    expect([rows, Tags.MIMETypeOfEncapsulatedDocument].map((tag) => ds.elements.has(tag))).toEqual([
      true,
      true,
    ]);
  });
});

describe('Writing frames while they are decoded', () => {
  const image = (rows: number, bitsAllocated: number): JobResult['image'] =>
    ({ rows, columns: rows, bitsAllocated, samples: 1, photometric: 'MONOCHROME2' }) as JobResult['image'];
  const compressed = (frameCount: number): ObjectSource =>
    ({
      syntax: readingSyntax(RLE),
      dataSet: dataSet({ SOPClassUID: '1.2', SOPInstanceUID: '1.2.3', PixelData: new Uint8Array(0) }),
      frames: { kind: 'encapsulated', frameCount, source: 'one-each', frames: [] },
    }) as unknown as ObjectSource;

  it('refuses more than a value can hold before the first byte (PS3.5 §7.1.1)', async () => {
    const bytes = new Uint8Array(1024 * 1024);
    const decode = (): Promise<JobResult> => Promise.resolve({ bytes, image: image(1024, 8), channels: 1 });
    await expect(transcodeObject(compressed(4096), EXPLICIT_LE, decode)).rejects.toMatchObject({
      code: 'TOO_LARGE',
    });
    await expect(transcodeObject(compressed(4095), EXPLICIT_LE, decode)).resolves.toBeDefined();
  });

  it('decodes one frame ahead and no more', async () => {
    let asked = 0;
    let given = 0;
    const decode = (): Promise<JobResult> => {
      asked += 1;
      return Promise.resolve({ bytes: new Uint8Array(1000), image: image(32, 8), channels: 1 });
    };
    for await (const piece of await transcodeObject(compressed(50), EXPLICIT_LE, decode)) {
      if (piece.length === 1000) given += 1;
      expect(asked - given).toBeLessThanOrEqual(1);
    }
    expect(given).toBe(50);
  });

  it('breaks off when a frame has another size, instead of shifting those behind it', async () => {
    const decode = (index: number): Promise<JobResult> =>
      Promise.resolve({ bytes: new Uint8Array(index === 2 ? 999 : 1000), image: image(32, 8), channels: 1 });
    const pieces = await transcodeObject(compressed(4), EXPLICIT_LE, decode);
    const read = async (): Promise<void> => {
      for await (const _piece of pieces) continue;
    };
    await expect(read()).rejects.toMatchObject({ code: 'PIXELS_BROKEN' });
  });

  it('packs single bits without gaps between frames (PS3.5 §8.1.1)', async () => {
    const decode = (): Promise<JobResult> =>
      Promise.resolve({ bytes: Uint8Array.of(0xff, 0x01), image: image(3, 1), channels: 1 });
    const all: Uint8Array[] = [];
    for await (const piece of await transcodeObject(compressed(3), EXPLICIT_LE, decode))
      all.push(Uint8Array.from(piece));
    const whole = Buffer.concat(all);
    const { offset = 0, length = 0 } = readPart10(whole).pixelData ?? {};
    expect([...whole.subarray(offset, offset + length)]).toEqual([0xff, 0xff, 0xff, 0x07]);
  });
});
