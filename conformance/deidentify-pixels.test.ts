/**
 * Compressed pictures with a part of them blackened by the command line: outside of it every pixel is what DCMTK, or GDCM,
 * decodes from the original, inside all is black, and dicom3tools finds nothing new wrong.
 *
 * Source: PS3.15 §E.3.1, PS3.5 Annexes A.4 and G, PS3.3 §C.7.6.1.1.5 (Lossy Image Compression), §C.7.6.3.1.2.
 */
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mapUid } from '../core/src/dicom/deidentify/pseudonyms.ts';
import { frameTable } from '../core/src/dicom/frames.ts';
import { readPart10 } from '../core/src/dicom/read.ts';
import { Tags } from '../core/src/dicom/tags.gen.ts';
import { EXPLICIT_LE, readingSyntax } from '../core/src/dicom/transfer-syntax.ts';
import { integer, text, uidValue } from '../core/src/dicom/values.ts';
import { type ImagePixel, imagePixel } from '../core/src/pixel/image-pixel.ts';
import { decodeFrame } from '../server/src/archive/render/decode.ts';
import { frameBytes } from '../server/src/archive/render/source.ts';
import { describeWith, manifest, type ManifestRow } from '../tools/testing.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';

const repository = resolve(import.meta.dirname, '..');
const KEY = 'a secret of the tests';
const [LEFT, TOP, WIDTH, HEIGHT] = [3, 2, 9, 7];

/** Who decodes the original. */
const DECODERS: Readonly<Record<string, string>> = {
  rle: 'dcmdrle',
  jpeg: 'dcmdjpeg',
  'jpeg-lossless': 'dcmdjpeg',
  'jpeg-ls': 'dcmdjpls',
};

interface Picture {
  readonly image: ImagePixel;
  readonly frames: number;
  readonly pixels: Uint8Array;
}

function pictureOf(file: string): Picture {
  const bytes = readFileSync(file);
  const { dataSet, pixelData } = readPart10(bytes);
  const { offset, length } = pixelData!;
  return {
    image: imagePixel(dataSet),
    frames: integer(dataSet, Tags.NumberOfFrames, 1) ?? 1,
    pixels: bytes.subarray(offset, offset + length),
  };
}

/** One sample, wherever the planes are. */
function sampleAt({ image, pixels }: Picture, frame: number, pixel: number, component: number): number {
  const { rows, columns, samples, bitsAllocated, planar } = image;
  const count = rows * columns;
  const at = frame * count * samples + (planar ? component * count + pixel : pixel * samples + component);
  if (bitsAllocated === 1) return ((pixels[at >> 3] ?? 0) >> (at & 7)) & 1;
  const size = bitsAllocated / 8;
  let value = 0;
  for (let byte = size - 1; byte >= 0; byte -= 1) value = value * 256 + (pixels[at * size + byte] ?? 0);
  return value;
}

const inside = (pixel: number, columns: number): boolean => {
  const [x, y] = [pixel % columns, Math.floor(pixel / columns)];
  return x >= LEFT && x < LEFT + WIDTH && y >= TOP && y < TOP + HEIGHT;
};

/** The value of black of one component; YBR that is kept has colourless middle values. */
function black(
  { photometric, bitsStored, signed, samples, bitsAllocated }: ImagePixel,
  component: number,
): number {
  if (component > 0 && photometric.startsWith('YBR')) return 2 ** (bitsStored - 1);
  if (samples > 1 || bitsAllocated === 1) return 0;
  const bright = photometric === 'MONOCHROME1';
  if (signed) return bright ? 2 ** (bitsStored - 1) - 1 : 2 ** (bitsStored - 1);
  return bright ? 2 ** bitsStored - 1 : 0;
}

/** The largest difference outside of the rectangle, and how many samples inside are not black. */
function compare(is: Picture, was: Picture): { readonly difference: number; readonly bright: number } {
  const { rows, columns, samples } = is.image;
  let [difference, bright] = [0, 0];
  for (let frame = 0; frame < is.frames; frame += 1)
    for (let pixel = 0; pixel < rows * columns; pixel += 1)
      for (let component = 0; component < samples; component += 1) {
        const value = sampleAt(is, frame, pixel, component);
        if (inside(pixel, columns)) bright += value === black(is.image, component) ? 0 : 1;
        else difference = Math.max(difference, Math.abs(value - sampleAt(was, frame, pixel, component)));
      }
  return { difference, bright };
}

/** By our own decoder, which conformance/pixels.test.ts compares with GDCM. */
async function decodedByUs(row: ManifestRow): Promise<Picture> {
  const bytes = readFileSync(row.file);
  const parsed = readPart10(bytes, { onMismatch: 'warn' });
  const table = frameTable(parsed);
  if (table?.kind !== 'encapsulated') throw new Error(`${row.path}: no frames`);
  const read = (start: number, end: number): Promise<Uint8Array> =>
    Promise.resolve(bytes.subarray(start, end));
  const frames: Uint8Array[] = [];
  const { codec } = readingSyntax(row.transferSyntax);
  let image = imagePixel(parsed.dataSet);
  for (let index = 0; index < table.frameCount; index += 1) {
    const frame = await frameBytes({ frames: table, read }, index);
    const decoded = await decodeFrame(frame, codec, imagePixel(parsed.dataSet));
    image = decoded.image;
    frames.push(decoded.bytes);
  }
  return { image, frames: frames.length, pixels: joined(frames, image) };
}

/** Single bits run on from frame to frame (PS3.5 §8.1.1). */
function joined(frames: readonly Uint8Array[], { rows, columns, bitsAllocated }: ImagePixel): Uint8Array {
  const bits = rows * columns;
  if (bitsAllocated !== 1 || bits % 8 === 0) return Buffer.concat(frames);
  const out = new Uint8Array(Math.ceil((bits * frames.length) / 8));
  frames.forEach((frame, at) => {
    for (let bit = 0; bit < bits; bit += 1)
      if (((frame[bit >> 3] ?? 0) >> (bit & 7)) & 1)
        out[(at * bits + bit) >> 3] = (out[(at * bits + bit) >> 3] ?? 0) | (1 << ((at * bits + bit) & 7));
  });
  return out;
}

interface Sample {
  readonly row: ManifestRow;
  readonly sopUid: string;
  readonly codec: string;
}

function samples(): Sample[] {
  const found = new Map<string, Sample>();
  for (const row of manifest()) {
    const { codec, encapsulated } = readingSyntax(row.transferSyntax);
    if (row.expected !== 'valid' || !encapsulated || codec === 'video' || codec === 'unknown') continue;
    const { dataSet, pixelData } = readPart10(readFileSync(row.file), { onMismatch: 'warn' });
    const sopUid = uidValue(dataSet, Tags.SOPInstanceUID);
    const large = (integer(dataSet, Tags.Rows) ?? 0) * (integer(dataSet, Tags.Columns) ?? 0) > 1024 * 1024;
    if (pixelData?.fragments && sopUid !== undefined && !large && !found.has(sopUid))
      found.set(sopUid, { row, sopUid, codec });
  }
  return [...found.values()];
}

async function deidentifyByCommand(files: readonly string[], out: string): Promise<string> {
  const child = spawn(
    join(repository, 'node_modules/.bin/node'),
    [
      join(repository, 'server/src/cli/main.ts'),
      ...['deidentify', ...files, out, '--rectangles', [LEFT, TOP, WIDTH, HEIGHT].join()],
      ...['--options', 'cleanPixelData,retainFullDates'],
    ],
    { cwd: repository, env: { ...process.env, LIGHTBOX_DEIDENTIFY_KEY: KEY } },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
  await new Promise((settle) => child.once('close', settle));
  return said;
}

const errors = async (file: string): Promise<string[]> =>
  (await run('dciodvfy', ['-new', file])).output.split('\n').filter((line) => line.startsWith('Error'));

/** The pictures of WG-04, which came uncompressed too: what lossless JPEG 2000 of the same picture has to be. */
const UNCOMPRESSED: Readonly<Record<string, string>> = {
  CT1: 'dicomparser__CT1_UNC.explicit_little_endian.dcm',
  MR1: 'dtf__MR1_UNC',
  MR2: 'dcm4che__MR2_UNC',
  NM1: 'dtf__NM1_UNC',
  US1: 'pydicomdata__US1_UNCR.dcm',
  VL1: 'dtf__VL1_UNC',
  XA1: 'dtf__XA1_UNC',
};

/** The original as a stranger decodes it; undefined when none here can. */
async function decodedByOthers({ row, codec }: Sample, out: string): Promise<Picture | undefined> {
  const [, set] = /^wg04\/([A-Z0-9]+)\//.exec(row.path) ?? [];
  const { lossy } = readingSyntax(row.transferSyntax);
  if ((codec === 'jpeg2000' || codec === 'htj2k') && !lossy && set !== undefined && set in UNCOMPRESSED)
    return pictureOf(join(dirname(row.file), UNCOMPRESSED[set] ?? ''));
  const decoder = DECODERS[codec];
  if (!decoder || CANNOT.has(row.path)) return undefined;
  const done = await run(decoder, [row.file, out]);
  if (done.code !== 0) throw new Error(`${row.path}: ${done.output.slice(0, 200)}`);
  return pictureOf(out);
}

/** DCMTK takes single bits in RLE for impossible, and this JPEG-LS for broken; they are compared with our own decoder only. */
const CANNOT = new Set([
  'image/ot/pydicomdata__JLSL_08_07_0_1F.dcm',
  'seg-paramap/pydicomdata__liver_rle.dcm',
  'seg-paramap/pydicomdata__liver_nonbyte_aligned_rle.dcm',
]);

/**
 * The ultrasound IOD wants YBR_FULL of RLE and JPEG only (PS3.3 §C.8.5.6.1.2). Turned into RGB the pixels would be other ones;
 * dcmdrle keeps it as well.
 */
const isExpected = (line: string, path: string): boolean =>
  path === 'image/us/dcm4che__YBR_FULL-RLE.dcm' && line.includes('enumerated value = <YBR_FULL>');

describeWith(
  ['testdata', 'dcmdjpeg', 'dcmdjpls', 'dcmdrle', 'dciodvfy'],
  'Compressed pixels blackened by the command line (PS3.15 §E.3.1)',
  () => {
    const folder = temporaryFolder();
    const all = samples();
    const written = new Map<string, string>();

    beforeAll(async () => {
      const files = all.map(({ row }) => row.file);
      const said = await deidentifyByCommand(files, folder.path);
      expect(said).toContain(`${files.length} written, 0 failed, 0 to look at`);
      for (const { row, sopUid } of all) {
        const uid = mapUid(sopUid, (text) => createHmac('sha256', KEY).update(text).digest());
        written.set(row.path, join(folder.path, `${uid}.dcm`));
      }
    }, 300_000);
    afterAll(() => {
      folder.dispose();
    });

    it('are the same outside of the rectangle and black inside', async () => {
      const wrong: string[] = [];
      const count: Record<string, number> = {};
      for (const sample of all) {
        const { row, codec } = sample;
        const is = pictureOf(written.get(row.path) ?? '');
        const was =
          (await decodedByOthers(sample, join(folder.path, 'original'))) ?? (await decodedByUs(row));
        const { difference, bright } = compare(is, was);
        // Two decoders of lossy colours may round differently.
        const allowed = codec === 'jpeg' && is.image.samples === 3 ? 1 : 0;
        if (difference > allowed || bright > 0 || was.image.photometric !== is.image.photometric)
          wrong.push(`${row.path} ${is.image.photometric}: ${difference} outside, ${bright} not black`);
        count[codec] = (count[codec] ?? 0) + 1;
      }
      expect(wrong).toEqual([]);
      for (const codec of ['rle', 'jpeg', 'jpeg-lossless', 'jpeg-ls', 'jpeg2000', 'htj2k'])
        expect(count[codec], codec).toBeGreaterThan(10);
    }, 300_000);

    it('are valid objects that say whether something was lost (PS3.3 §C.7.6.1.1.5)', async () => {
      const wrong: string[] = [];
      for (const { row, codec } of all) {
        const file = written.get(row.path) ?? '';
        const { dataSet, transferSyntaxUid } = readPart10(readFileSync(file));
        const { dataSet: original } = readPart10(readFileSync(row.file), { onMismatch: 'warn' });
        expect(transferSyntaxUid).toBe(EXPLICIT_LE);
        const lost = codec === 'jpeg' ? '01' : text(original, Tags.LossyImageCompression);
        if (text(dataSet, Tags.LossyImageCompression) !== lost) wrong.push(`${row.path}: lossy is lost`);
        const [before, after] = await Promise.all([errors(row.file), errors(file)]);
        const added = after.filter((line) => !before.includes(line) && !isExpected(line, row.path));
        if (added.length > 0) wrong.push(`${row.path}: ${added.join(' ; ')}`);
      }
      expect(wrong).toEqual([]);
    }, 300_000);
  },
);
