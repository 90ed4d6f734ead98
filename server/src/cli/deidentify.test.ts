import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { dataSet, withElements } from '@lightbox/core/dicom/element.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { text } from '@lightbox/core/dicom/values.ts';
import {
  encapsulatedPixelData,
  writeDataSet,
  writeFileMeta,
  writePart10,
} from '@lightbox/core/dicom/write.ts';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { deidentifyFiles } from './deidentify.ts';

const US = '1.2.840.10008.5.1.4.1.1.3.1';
const object = (uid: string, over: Parameters<typeof dataSet>[0] = {}) =>
  dataSet({
    ...{ SOPClassUID: US, SOPInstanceUID: uid, StudyInstanceUID: '1.2.3', Modality: 'US' },
    ...{ PatientName: 'Canary^Quixote', PatientID: '4711', StudyDescription: 'Canary' },
    ...{
      Rows: 10,
      Columns: 8,
      SamplesPerPixel: 1,
      BitsAllocated: 8,
      BitsStored: 8,
      HighBit: 7,
      NumberOfFrames: 3,
    },
    ...{ PhotometricInterpretation: 'MONOCHROME2', PixelRepresentation: 0 },
    SequenceOfUltrasoundRegions: [
      dataSet({
        RegionLocationMinX0: 0,
        RegionLocationMinY0: 4,
        RegionLocationMaxX1: 7,
        RegionLocationMaxY1: 9,
      }),
    ],
    PixelData: new Uint8Array(240).fill(9),
    ...over,
  });

describe('lightbox deidentify', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lightbox-deidentify-'));
  const said: string[] = [];
  const spies = (['error', 'log'] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((line: string) => void said.push(line)),
  );
  afterAll(() => {
    for (const spy of spies) spy.mockRestore();
    rmSync(folder, { recursive: true, force: true });
  });
  const key = 'a secret of the tests';
  const given = { rectangles: [], pixelsReviewed: false, key };
  let count = 0;
  /** Writes the files, runs the command, and reads what it wrote. */
  async function runOn(files: readonly Uint8Array[], options: readonly string[] = []) {
    const [from, to] = [join(folder, `in${++count}`), join(folder, `out${count}`)];
    mkdirSync(from);
    files.forEach((bytes, at) => writeFileSync(join(from, `${at}`), bytes));
    said.length = 0;
    const code = await deidentifyFiles({ ...given, paths: [from, to], options });
    const written = readdirSync(to).map((name) => ({ name, bytes: readFileSync(join(to, name)) }));
    return { code, written };
  }

  it('blackens what is outside the regions, in every frame, and says nothing of the patient', async () => {
    const file = writePart10(object('1.2.3.4'));
    file.set(Buffer.from('Canary in the preamble'));
    const { code, written } = await runOn([file], ['cleanPixelData']);
    expect([code, said]).toEqual([0, ['1 written, 0 failed, 0 to look at']]);
    const { bytes, name } = written[0]!;
    expect(bytes.toString('latin1')).not.toMatch(/canary|quixote|4711/i);
    const { dataSet: ds, pixelData, meta, warnings } = readPart10(bytes);
    expect(name).toBe(`${text(ds, Tags.SOPInstanceUID)}.dcm`);
    expect(text(meta, Tags.MediaStorageSOPInstanceUID)).toBe(text(ds, Tags.SOPInstanceUID));
    expect(warnings).toEqual([]);
    const pixels = bytes.subarray(pixelData!.offset, pixelData!.offset + pixelData!.length);
    const frame = [...Array<number>(32).fill(0), ...Array<number>(48).fill(9)];
    expect([...pixels]).toEqual([...frame, ...frame, ...frame]);
  });

  const RLE = '1.2.840.10008.1.2.5';
  /** One segment of literal runs (PS3.5 §G.3.1): 80 pixels of one grey. */
  const rleFrame = (grey: number): Uint8Array => {
    const header = new Uint8Array(64);
    new Uint32Array(header.buffer).set([1, 64]);
    return Uint8Array.from([...header, 79, ...Array<number>(80).fill(grey), 0x80]);
  };
  const compressed = (uid: string, frames: readonly Uint8Array[], syntax = RLE): Uint8Array =>
    writePart10(withElements(object(uid), [encapsulatedPixelData([...frames])]), syntax);

  it('decodes what is compressed, frame by frame, and writes it uncompressed', async () => {
    const { code, written } = await runOn(
      [compressed('1.2.20', [7, 8, 9].map(rleFrame))],
      ['cleanPixelData'],
    );
    expect([code, said]).toEqual([0, ['1 written, 0 failed, 0 to look at']]);
    const { bytes } = written[0]!;
    const { dataSet: ds, pixelData, transferSyntaxUid, warnings } = readPart10(bytes);
    expect([transferSyntaxUid, warnings]).toEqual([EXPLICIT_LE, []]);
    expect(text(ds, Tags.PatientID)).toMatch(/^P/);
    const pixels = [...bytes.subarray(pixelData!.offset, pixelData!.offset + pixelData!.length)];
    const frame = (grey: number) => [...Array<number>(32).fill(0), ...Array<number>(48).fill(grey)];
    expect(pixels).toEqual([7, 8, 9].flatMap(frame));
  });

  it('leaves nothing of a file whose second frame is broken, or for which there is no decoder', async () => {
    const broken = compressed('1.2.21', [rleFrame(7), new Uint8Array(70), rleFrame(9)]);
    const video = compressed('1.2.22', [7, 8, 9].map(rleFrame), '1.2.840.10008.1.2.4.102');
    const { code, written } = await runOn([broken, video], ['cleanPixelData']);
    expect([code, written]).toEqual([1, []]);
    expect(said.at(-1)).toBe('0 written, 2 failed, 0 to look at');
  });

  it('keeps compressed pixels as they are when nothing is to be blackened', async () => {
    const frames = [7, 8, 9].map(rleFrame);
    const { written } = await runOn([compressed('1.2.23', frames)]);
    const { transferSyntaxUid } = readPart10(written[0]!.bytes);
    expect(transferSyntaxUid).toBe(RLE);
    expect(written[0]!.bytes.includes(Buffer.from(frames[1]!))).toBe(true);
  });

  it('keeps the transfer syntax and the pixels, and inflates what is deflated', async () => {
    const ct = (uid: string) => object(uid, { Modality: 'CT', SequenceOfUltrasoundRegions: undefined });
    const meta = writeFileMeta({ sopClassUid: US, sopInstanceUid: '1.2.7', transferSyntaxUid: DEFLATED_LE });
    const { code, written } = await runOn([
      writePart10(ct('1.2.5')),
      writePart10(ct('1.2.6'), EXPLICIT_BE),
      Buffer.concat([meta, deflateRawSync(writeDataSet(ct('1.2.7'), EXPLICIT_LE))]),
    ]);
    expect(code).toBe(0);
    const read = written.map(({ bytes }) => ({ bytes, parsed: readPart10(bytes) }));
    expect(read.map(({ parsed }) => parsed.transferSyntaxUid).sort()).toEqual([
      EXPLICIT_LE,
      EXPLICIT_LE,
      EXPLICIT_BE,
    ]);
    for (const { bytes, parsed } of read) {
      const { offset, length } = parsed.pixelData!;
      expect([...bytes.subarray(offset, offset + length)]).toEqual(Array(240).fill(9));
      expect(text(parsed.dataSet, Tags.PatientID)).toMatch(/^P/);
    }
  });

  it('says which files it did not do, and does not lay one over another', async () => {
    const { code, written } = await runOn([
      writePart10(object('1.2.8')),
      writePart10(object('1.2.8', { PatientID: 'other' })),
      Buffer.from('no DICOM'.repeat(40)),
    ]);
    expect(code).toBe(1);
    expect(written).toHaveLength(1);
    expect(said.join('\n')).toContain('1 written, 2 failed');
    expect(said.join('\n')).toContain('already');
  });

  it('says when a person has to look, and refuses to call such pixels clean', async () => {
    const capture = writePart10(object('1.2.9', { SequenceOfUltrasoundRegions: undefined }));
    expect((await runOn([capture])).code).toBe(0);
    expect(said.at(-1)).toBe('1 written, 0 failed, 1 to look at');
    expect((await runOn([capture], ['cleanPixelData'])).written).toEqual([]);
    // Regions are known, but nobody asked to blacken what is outside.
    await runOn([writePart10(object('1.2.11'))]);
    expect(said.at(-1)).toBe('1 written, 0 failed, 1 to look at');
  });

  it('wants a key, and options that exist', async () => {
    const refused = (over: object, message: RegExp) =>
      expect(deidentifyFiles({ ...given, paths: ['a', 'b'], options: [], ...over })).rejects.toThrow(message);
    await refused({ key: 'short' }, /at least 16/);
    await refused({ options: ['no-such-option'] }, /no option "no-such-option"/);
    await refused({ rectangles: ['1,2,3'] }, /left,top/);
    await refused({ paths: ['a'] }, /Name files/);
  });
});
