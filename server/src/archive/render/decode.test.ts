/**
 * Every valid image of the shared data against the pixels another decoder (GDCM) gives.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { frameTable } from '@lightbox/core/dicom/frames.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { imagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import type { InstanceRef, Retrieve } from '../types.ts';
import { describeWith, manifest, sharedTestdata } from '../../../../tools/testing.ts';
import { DIFFERENT } from '../../../../tools/pixel-differences.ts';
import { decodeFrame } from './decode.ts';
import { frameBytes, openSource, toLittleEndian } from './source.ts';

/** A file on disk as the archive would give it. */
function retrieveOf(file: Buffer, ref: InstanceRef): Retrieve {
  const parsed = readPart10(file, { onMismatch: 'warn' });
  return {
    header: () => Promise.resolve(parsed.dataSet),
    frames: () => Promise.resolve(frameTable(parsed)),
    read: (_ref: InstanceRef, start: number, end: number) => Promise.resolve(file.subarray(start, end)),
    ref,
  } as unknown as Retrieve;
}

async function pixelMd5(file: Buffer): Promise<string> {
  const parsed = readPart10(file, { onMismatch: 'warn' });
  const ref = {
    transferSyntaxUid: parsed.transferSyntaxUid,
    dataSetOffset: parsed.dataSetOffset,
    length: file.length,
  } as InstanceRef;
  const source = await openSource(retrieveOf(file, ref), ref);
  const hash = createHash('md5');
  const image = imagePixel(source.dataSet);
  const count = source.frames?.frameCount ?? 0;
  // Single bits run on from frame to frame: the value as a whole is what is compared.
  if (source.frames?.kind === 'native') {
    const { offset, length, frameBits } = source.frames;
    const bytes = Math.min(length, Math.ceil((frameBits * count) / 8));
    return hash.update(toLittleEndian(source, await source.read(offset, offset + bytes))).digest('hex');
  }
  for (let index = 0; index < count; index += 1) {
    const bytes = toLittleEndian(source, await frameBytes(source, index));
    hash.update((await decodeFrame(bytes, readingSyntax(ref.transferSyntaxUid).codec, image)).bytes);
  }
  return hash.digest('hex');
}

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
