/**
 * Every valid image of the shared data against the pixels another decoder (GDCM) gives.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { type ImagePixel, imagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import { describeWith, manifest, sharedTestdata } from '../../../../tools/testing.ts';
import { DIFFERENT } from '../../../../tools/pixel-differences.ts';
import { decodeFrame } from './decode.ts';
import { keptFile } from './kept-file.ts';
import { frameBytes, openSource, toLittleEndian } from './source.ts';

const md5 = (...pieces: Uint8Array[]): string => {
  const hash = createHash('md5');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
};

const pixelMd5 = async (file: Buffer): Promise<string> => md5(...(await pixels(file)).frames);

/** Decoded frames as they are kept; of native pixels the value as one. */
async function pixels(file: Buffer): Promise<{ frames: Uint8Array[]; image: ImagePixel }> {
  const { retrieve, ref } = keptFile(file);
  const source = await openSource(retrieve, ref);
  const image = imagePixel(source.dataSet);
  const count = source.frames?.frameCount ?? 0;
  // Single bits run on from frame to frame: the value as a whole is what is compared.
  if (source.frames?.kind === 'native') {
    const { offset, length, frameBits } = source.frames;
    const bytes = Math.min(length, Math.ceil((frameBits * count) / 8));
    return { frames: [toLittleEndian(source, await source.read(offset, offset + bytes))], image };
  }
  const frames: Uint8Array[] = [];
  for (let index = 0; index < count; index += 1) {
    const bytes = toLittleEndian(source, await frameBytes(source, index));
    frames.push((await decodeFrame(bytes, readingSyntax(ref.transferSyntaxUid).codec, image)).bytes);
  }
  return { frames, image };
}

/** Planes one after the other to samples side by side. */
function interleaved(bytes: Uint8Array, { samples, bitsAllocated, rows, columns }: ImagePixel): Uint8Array {
  const size = bitsAllocated / 8;
  const out = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += 1) {
    const plane = Math.floor(at / (rows * columns * size));
    const within = at % (rows * columns * size);
    out[(Math.floor(within / size) * samples + plane) * size + (within % size)] = bytes[at]!;
  }
  return out;
}

/** A byte for each bit, low bit first. */
const bits = (bytes: Uint8Array, count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, at) => (bytes[at >> 3]! >> (at & 7)) & 1);

describeWith(['testdata'], 'decoded pixels', () => {
  it('equal those of GDCM', async () => {
    const rows = manifest().filter(
      (row) => row.expected === 'valid' && /^[0-9a-f]{32}$/.test(row.gdcmPixelMd5),
    );
    const differ: string[] = [];
    let equal = 0;
    for (const row of rows) {
      const found = await pixelMd5(readFileSync(row.file)).catch((error: unknown) => String(error));
      const decoded = /^[0-9a-f]{32}$/.test(found);
      if (found === row.gdcmPixelMd5) equal += 1;
      else if (!decoded || !DIFFERENT.has(row.path))
        differ.push(`${row.transferSyntax} ${row.path}: ${decoded ? 'other bytes' : found}`);
    }
    expect(differ).toEqual([]);
    expect(equal).toBe(rows.length - DIFFERENT.size);
  }, 300_000);

  it('of a JPEG-LS with preset parameters equal those of its RLE twin', async () => {
    const [jpegLs, rle] = ['JLSL', 'RLE'].map((form) =>
      readFileSync(join(sharedTestdata() ?? '', `wg04/MR1/dtf__MR1_${form}`)),
    );
    expect(await pixelMd5(jpegLs!)).toBe(await pixelMd5(rle!));
  });
});

/** The reasons of tools/pixel-differences.ts, proved: what is said to be the difference is all of it. */
describeWith(['testdata', 'dcmdjpeg'], 'pixels that differ from those of GDCM', () => {
  const file = (path: string): Buffer => readFileSync(join(sharedTestdata() ?? '', path));
  const theirs = (path: string): string => manifest().find((row) => row.path === path)?.gdcmPixelMd5 ?? '';
  /** All of the value, as GDCM takes it: with pad and what else is behind the last frame. */
  const value = (path: string): Uint8Array => {
    const { pixelData } = readPart10(file(path));
    return file(path).subarray(pixelData!.offset, pixelData!.offset + pixelData!.length);
  };
  const proved = new Set<string>();

  it.each([
    'image/dx/highdicom__dx_image.dcm',
    'image/mr/pydicom__MR_small_padded.dcm',
    'microscopy/highdicom__seg_image_sm_dots.dcm',
    'microscopy/highdicom__seg_image_sm_dots_tiled_full.dcm',
  ])('%s: the bytes behind the last frame', async (path) => {
    const [ours] = (await pixels(file(path))).frames;
    expect(value(path).subarray(0, ours!.length)).toEqual(ours);
    const whole = value(path);
    const zero = Uint8Array.of(0);
    expect([md5(whole), md5(whole.subarray(0, -1)), md5(whole, zero)]).toContain(theirs(path));
    proved.add(path);
  });

  it.each([
    ['image/ot/pydicom__SC_rgb_rle_16bit.dcm', 'image/ot/pydicomdata__SC_rgb_16bit.dcm'],
    ['image/ot/pydicom__SC_rgb_rle_32bit.dcm', 'image/ot/pylibjpeg__SC_rgb_32bit.dcm'],
    ['rt/pydicom__rtdose_expb.dcm', 'rt/pydicom__rtdose.dcm'],
    ['rt/pydicom__rtdose_expb_1frame.dcm', 'rt/pydicom__rtdose_1frame.dcm'],
  ])('%s: equal to its twin %s, which is uncompressed little endian', async (path, twin) => {
    expect(await pixelMd5(file(path))).toBe(theirs(twin));
    proved.add(path);
  });

  it.each(['image/us/dcm4che__YBR_FULL-RLE.dcm'])('%s: planes, which GDCM interleaves', async (path) => {
    const { frames, image } = await pixels(file(path));
    expect(image.planar).toBe(true);
    expect(md5(...frames.map((frame) => interleaved(frame, image)))).toBe(theirs(path));
    proved.add(path);
  });

  it.each([
    'seg-paramap/pydicomdata__liver_j2k.dcm',
    'seg-paramap/pydicomdata__liver_nonbyte_aligned_j2k.dcm',
  ])('%s: bits, of which GDCM makes bytes, and equal to its native twin', async (path) => {
    const { frames, image } = await pixels(file(path));
    const count = image.rows * image.columns;
    const ours = frames.map((frame) => bits(frame, count));
    expect(md5(...ours)).toBe(theirs(path));
    const twin = bits(value(path.replace('_j2k', '')), count * frames.length);
    expect(Buffer.concat(ours).equals(twin)).toBe(true);
    proved.add(path);
  });

  it('wg04/RG3/dtf__RG3_JPLY: one step at most from what DCMTK decodes', async () => {
    const path = 'wg04/RG3/dtf__RG3_JPLY';
    const folder = mkdtempSync(join(tmpdir(), 'lightbox-jpeg-'));
    try {
      execFileSync('dcmdjpeg', [join(sharedTestdata() ?? '', path), join(folder, 'native.dcm')]);
      const native = readFileSync(join(folder, 'native.dcm'));
      const [ours, dcmtk] = await Promise.all(
        [file(path), native].map(async (one) => {
          const frame = Uint8Array.from((await pixels(one)).frames[0]!);
          return new Uint16Array(frame.buffer);
        }),
      );
      expect(ours).toHaveLength(dcmtk!.length);
      let most = 0;
      ours!.forEach((sample, at) => (most = Math.max(most, Math.abs(sample - dcmtk![at]!))));
      expect(most).toBeLessThanOrEqual(1);
      proved.add(path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('are all proved', () => expect([...DIFFERENT.keys()].filter((path) => !proved.has(path))).toEqual([]));
});
