/**
 * Images compressed without loss for a peer (PS3.5 §8.2): by C-STORE, C-GET and STOW-RS, read by the decoders of others (DCMTK for
 * RLE and JPEG-LS, OpenJPEG for JPEG 2000, OpenJPH for HTJ2K) and equal to the bit; and what cannot be compressed goes as it is kept.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { frameTable } from '@lightbox/core/dicom/frames.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { integer, text, uidValue } from '@lightbox/core/dicom/values.ts';
import { describeWith, sharedTestdata } from '../tools/testing.ts';
import { stopped } from './support/archives.ts';
import { cli } from './support/cli.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { HostileWeb, json, storeAnswer } from './support/hostile-web.ts';
import { ctImage } from './support/images.ts';
import { freePort } from './support/lightbox.ts';
import { Side } from './support/transfers.ts';

const SYNTAX = {
  rle: '1.2.840.10008.1.2.5',
  'jpeg-ls': '1.2.840.10008.1.2.4.80',
  jpeg2000: '1.2.840.10008.1.2.4.90',
  htj2k: '1.2.840.10008.1.2.4.201',
} as const;
type Form = keyof typeof SYNTAX;
/** Uncompressed, of each kind that can be compressed: grey, palette, colour, colour in planes, several frames. */
const FILES = [
  'image/ot/cs3d__TestPattern_RGB.dcm',
  'image/ot/cs3d__TestPattern_Palette.dcm',
  'image/us/pydicomdata__color-pl.dcm',
  'multiframe/dcm4che__NM-MONO2-16-13x-heart',
  'multiframe/pydicomdata__SC_rgb_2frame.dcm',
];
/** Colour of 16 bits is not compressed here. */
const AS_KEPT = 'image/ot/pydicomdata__SC_rgb_16bit.dcm';

interface Read {
  readonly sopUid: string;
  readonly studyUid: string;
  readonly transferSyntax: string;
  readonly photometric: string;
  readonly planar: number;
  /** Interleaved, as one run of frames. */
  readonly pixels: Buffer;
  readonly frames: readonly Buffer[];
}

function read(file: Buffer): Read {
  const parsed = readPart10(file);
  const { dataSet } = parsed;
  const table = frameTable(parsed);
  const element = dataSet.elements.get(Tags.PixelData);
  const frames =
    table?.kind === 'encapsulated'
      ? table.frames.map((ranges) =>
          Buffer.concat(ranges.map(({ offset, length }) => file.subarray(offset, offset + length))),
        )
      : [];
  const { offset = 0, length = 0 } = element?.bulk ?? {};
  const [rows, columns] = [integer(dataSet, Tags.Rows) ?? 0, integer(dataSet, Tags.Columns) ?? 0];
  const samples = integer(dataSet, Tags.SamplesPerPixel) ?? 1;
  const planar = integer(dataSet, Tags.PlanarConfiguration) ?? 0;
  const bytes =
    (rows *
      columns *
      samples *
      (integer(dataSet, Tags.BitsAllocated) ?? 8) *
      Number(text(dataSet, Tags.NumberOfFrames) ?? 1)) /
    8;
  const native = element?.bytes ?? file.subarray(offset, offset + length);
  return {
    sopUid: uidValue(dataSet, Tags.SOPInstanceUID) ?? '',
    studyUid: uidValue(dataSet, Tags.StudyInstanceUID) ?? '',
    transferSyntax: parsed.transferSyntaxUid,
    photometric: text(dataSet, Tags.PhotometricInterpretation) ?? '',
    ...{ planar, frames },
    pixels:
      frames.length > 0
        ? Buffer.alloc(0)
        : interleaved(Buffer.from(native).subarray(0, bytes), planar, rows * columns),
  };
}

/** 8-bit colour in planes, pixel by pixel. */
function interleaved(pixels: Buffer, planar: number, count: number): Buffer {
  if (planar === 0) return pixels;
  const out = Buffer.alloc(pixels.length);
  for (let at = 0; at < pixels.length; at += 1) {
    const frame = Math.floor(at / (count * 3));
    const within = at % (count * 3);
    out[at] = pixels[frame * count * 3 + (within % 3) * count + Math.floor(within / 3)] ?? 0;
  }
  return out;
}

interface WasmDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getDecodedBuffer(): Uint8Array;
}
const load = createRequire(import.meta.url);
async function openjpeg(frame: Buffer): Promise<Buffer> {
  const open = load('@cornerstonejs/codec-openjpeg/decodewasmjs') as () => Promise<{
    J2KDecoder: new () => WasmDecoder;
  }>;
  return decodedBy(new (await open()).J2KDecoder(), frame);
}
async function openjph(frame: Buffer): Promise<Buffer> {
  const open = load('@cornerstonejs/codec-openjph/wasmjs') as () => Promise<{
    HTJ2KDecoder: new () => WasmDecoder;
  }>;
  return decodedBy(new (await open()).HTJ2KDecoder(), frame);
}
function decodedBy(decoder: WasmDecoder, frame: Buffer): Buffer {
  decoder.getEncodedBuffer(frame.length).set(frame);
  decoder.decode();
  return Buffer.from(decoder.getDecodedBuffer());
}

describeWith(
  ['storescp', 'echoscu', 'dcmodify', 'dcmdrle', 'dcmdjpls', 'dcmcjpls', 'testdata'],
  'Compressing for peers',
  () => {
    const side = new Side();
    const folder = temporaryFolder();
    const web = new HostileWeb();
    const originals = new Map<string, Read>();
    const place = (name: string): string => {
      const path = join(folder.path, name);
      mkdirSync(path);
      return path;
    };

    /** Pixels of a compressed file, decoded by a program of other people. */
    async function decoded(form: Form, path: string): Promise<Buffer> {
      const { frames } = read(readFileSync(path));
      if (form === 'jpeg2000') return Buffer.concat(await Promise.all(frames.map(openjpeg)));
      if (form === 'htj2k') return Buffer.concat(await Promise.all(frames.map(openjph)));
      const out = `${path}.out`;
      const { code, output } = await run(form === 'rle' ? 'dcmdrle' : 'dcmdjpls', ['+te', path, out]);
      expect(code, output).toBe(0);
      return read(readFileSync(out)).pixels;
    }

    /** Everything that arrived is one of ours, in the form, and the same picture. */
    async function checked(form: Form, files: readonly string[]): Promise<void> {
      const kept = new Set<string>();
      for (const path of files) {
        const got = read(readFileSync(path));
        const original = originals.get(got.sopUid);
        if (!original) throw new Error(`${got.sopUid} is none of ours`);
        kept.add(got.sopUid);
        const name = `${form} ${got.sopUid}`;
        if (original.sopUid === exception) {
          expect(got.transferSyntax, name).toBe(original.transferSyntax);
          continue;
        }
        expect(got.transferSyntax, name).toBe(SYNTAX[form]);
        expect(got.planar, name).toBe(0);
        const colour = original.photometric === 'RGB' && (form === 'jpeg2000' || form === 'htj2k');
        expect(colour ? ['RGB', 'YBR_RCT'] : [original.photometric], name).toContain(got.photometric);
        expect((await decoded(form, path)).equals(original.pixels), `${name}: other pixels`).toBe(true);
      }
      expect(kept).toEqual(new Set(originals.keys()));
    }

    let exception: string;
    let studies: string[];

    beforeAll(async () => {
      await web.start();
      await side.start({ LIGHTBOX_TRANSFER_ATTEMPTS: '1' });
      const ct = join(folder.path, 'ct.dcm');
      const names = { studyUid: '1.2.3.990', seriesUid: '1.2.3.990.1', sopUid: '1.2.3.990.1.1', number: 1 };
      writeFileSync(
        ct,
        ctImage({ ...names, patientId: 'C', side: 128, chance: () => 0, value: (x, y) => (x * y) % 4096 }),
      );
      const all = [ct];
      // Several of the test files have the same UIDs.
      for (const [at, path] of [...FILES, AS_KEPT].entries()) {
        const copy = join(folder.path, `${at}.dcm`);
        copyFileSync(join(sharedTestdata() ?? '', path), copy);
        const uid = `1.2.3.992.${at}`;
        const set = ['-nb', '-m', `StudyInstanceUID=${uid}`, '-m', `SeriesInstanceUID=${uid}.1`];
        const { code, output } = await run('dcmodify', [...set, '-m', `SOPInstanceUID=${uid}.1.1`, copy]);
        expect(code, output).toBe(0);
        if (path === AS_KEPT) exception = `${uid}.1.1`;
        all.push(copy);
      }
      for (const file of all) {
        const original = read(readFileSync(file));
        originals.set(original.sopUid, original);
        await side.upload(file);
      }
      studies = [...new Set([...originals.values()].map(({ studyUid }) => studyUid))];
    });
    afterAll(async () => {
      await side.box.stop();
      await web.stop();
      folder.dispose();
    });

    async function sentTo(device: string): Promise<void> {
      const scopes = studies.map((studyUid) => ({ studyUid }));
      const { id } = await side.post<{ id: string }>('/api/transfers', { deviceId: device, scopes });
      expect(await side.until(id, 'done')).toMatchObject({ sent: originals.size, failed: 0 });
    }

    // DCMTK 3.6 cannot take HTJ2K.
    it.each<Form>(['rle', 'jpeg-ls', 'jpeg2000'])('by C-STORE to storescp: %s', async (form) => {
      const port = await freePort();
      const into = place(`storescp-${form}`);
      const scp = spawn('storescp', ['+xa', '+B', '-od', into, String(port)], { stdio: 'ignore' });
      try {
        for (let tries = 0; (await run('echoscu', ['127.0.0.1', String(port)])).code !== 0; tries += 1) {
          if (tries > 100) throw new Error('storescp did not start');
          await sleep(50);
        }
        await sentTo(await side.device({ aeTitle: `C-${form}`.slice(0, 16), port, sendAs: form }));
        await checked(
          form,
          readdirSync(into).map((name) => join(into, name)),
        );
      } finally {
        await stopped(scp);
      }
    });

    it.each<Form>(['rle', 'jpeg-ls', 'jpeg2000', 'htj2k'])('by STOW-RS: %s', async (form) => {
      web.asked.length = 0;
      web.answer = ({ objects }, response) =>
        json(response, 200, storeAnswer(objects.map(({ sopUid }) => sopUid)));
      const device = {
        aeTitle: `W-${form}`.slice(0, 16),
        host: null,
        dicomweb: { url: web.url },
        sendAs: form,
      };
      await sentTo(await side.device(device));
      const into = place(`web-${form}`);
      const files = web.asked
        .flatMap(({ objects }) => objects)
        .map(({ sopUid, file }) => {
          const path = join(into, `${sopUid}.dcm`);
          writeFileSync(path, file);
          return path;
        });
      await checked(form, files);
    });

    it('by C-GET, where the peer proposes it', async () => {
      await side.device({ aeTitle: 'GETTER', verbs: ['echo', 'get'], sendAs: 'htj2k' });
      const into = place('got');
      for (const study of studies) {
        const { output } = await cli([
          ...['get', '--at', `LIGHTBOX@127.0.0.1:${side.box.dicomPort}`, '--calling', 'GETTER'],
          ...['--into', into, '--syntax', SYNTAX.htj2k, `StudyInstanceUID=${study}`],
        ]);
        expect(output).toMatch(/retrieved/);
      }
      const files = readdirSync(into).map((name) => join(into, name));
      // Neither what is not compressed, which was not proposed otherwise, nor a retired kind of object, which `get` does not propose.
      expect(files).toHaveLength(originals.size - 2);
      for (const path of files) {
        const got = read(readFileSync(path));
        expect(got.transferSyntax).toBe(SYNTAX.htj2k);
        expect(
          (await decoded('htj2k', path)).equals(originals.get(got.sopUid)?.pixels ?? Buffer.alloc(0)),
        ).toBe(true);
      }
    });

    it('to a peer that does not take it, as they are kept', async () => {
      const port = await freePort();
      const into = place('plain');
      const scp = spawn('storescp', ['+x=', '+B', '-od', into, String(port)], { stdio: 'ignore' });
      try {
        for (let tries = 0; (await run('echoscu', ['127.0.0.1', String(port)])).code !== 0; tries += 1) {
          if (tries > 100) throw new Error('storescp did not start');
          await sleep(50);
        }
        await sentTo(await side.device({ aeTitle: 'PLAIN', port, sendAs: 'jpeg-ls' }));
        const files = readdirSync(into).map((name) => read(readFileSync(join(into, name))));
        expect(files).toHaveLength(originals.size);
        for (const { sopUid, pixels } of files)
          expect(pixels.equals(originals.get(sopUid)?.pixels ?? Buffer.alloc(0))).toBe(true);
      } finally {
        await stopped(scp);
      }
    });

    it('uncompressed, when that is what a peer is to get', async () => {
      const compressed = join(folder.path, 'compressed.dcm');
      expect((await run('dcmcjpls', ['+un', join(folder.path, 'ct.dcm'), compressed])).code).toBe(0);
      const uid = '1.2.3.991';
      const set = ['-nb', '-m', `StudyInstanceUID=${uid}`, '-m', `SeriesInstanceUID=${uid}.1`];
      expect((await run('dcmodify', [...set, '-m', `SOPInstanceUID=${uid}.1.1`, compressed])).code).toBe(0);
      await side.upload(compressed);
      web.asked.length = 0;
      web.answer = ({ objects }, response) =>
        json(response, 200, storeAnswer(objects.map(({ sopUid }) => sopUid)));
      const device = await side.device({
        ...{ aeTitle: 'RAW', host: null, dicomweb: { url: web.url }, sendAs: 'uncompressed' },
      });
      const { id } = await side.send(device, uid);
      await side.until(id, 'done');
      const [object] = web.asked.flatMap(({ objects }) => objects);
      const got = read(object?.file ?? Buffer.alloc(0));
      expect(got.transferSyntax).toBe('1.2.840.10008.1.2.1');
      expect(got.pixels.equals(originals.get('1.2.3.990.1.1')?.pixels ?? Buffer.alloc(0))).toBe(true);
    });
  },
);
