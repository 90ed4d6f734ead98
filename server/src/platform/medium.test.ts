import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeWith, program } from '../../../tools/testing.ts';
import { planIso } from './iso9660.ts';
import { memoryFile, type MediumFile } from './medium.ts';
import type { Pieces } from './outgoing.ts';
import { writeZip, zipLength } from './zip-out.ts';

const AT = new Date('2026-03-04T05:06:08Z');
const folder = mkdtempSync(join(tmpdir(), 'lightbox-medium-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 31) % 251);
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function whole(pieces: Pieces): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
}

/** More files in one folder than a directory sector holds, odd lengths, an empty one, lower case. */
const FILES: readonly MediumFile[] = [
  memoryFile(['DICOMDIR'], bytesOf(3001)),
  memoryFile(['index.html'], bytesOf(10)),
  memoryFile(['EMPTY'], bytesOf(0)),
  ...Array.from({ length: 90 }, (_, at) =>
    memoryFile(
      ['DICOM', 'ST000001', `SE00000${at % 3}`, `IM${String(at).padStart(6, '0')}`],
      bytesOf(at * 97),
    ),
  ),
];

/** Says one size and has another. */
const liar = (says: number, bytes: number): MediumFile => ({
  ...memoryFile(['LIAR'], bytesOf(bytes)),
  bytes: says,
  open: async () => ({ ...(await memoryFile(['LIAR'], bytesOf(bytes)).open()), bytes: says }),
});

describe('ZIP while it is sent (APPNOTE 6.3)', () => {
  it('is as long as it says before', async () => {
    const zip = await whole(writeZip(FILES, AT));
    expect(zip.length).toBe(zipLength(FILES));
  });

  it('does not know its length while one of its files does not', () => {
    expect(zipLength([{ ...memoryFile(['A'], bytesOf(1)), bytes: undefined }])).toBeUndefined();
  });

  it.each([
    [10, 9],
    [10, 11],
  ])('breaks off when a file of %i bytes has %i', async (says, has) => {
    await expect(whole(writeZip([liar(says, has)], AT))).rejects.toMatchObject({ code: 'MEDIA_SIZE' });
  });

  it('says sizes beyond 4 GiB in 64 bits, and the right length', async () => {
    const piece = new Uint8Array(16 * 1024 * 1024);
    const bytes = 0xffffffff + 5;
    async function* zeros(): Pieces {
      for (let left = bytes; left > 0; left -= piece.length)
        yield piece.subarray(0, Math.min(left, piece.length));
    }
    const large: MediumFile = {
      path: ['BIG'],
      bytes,
      open: () => Promise.resolve({ bytes, pieces: zeros() }),
    };
    const files = [large, memoryFile(['AFTER'], bytesOf(7))];
    let total = 0;
    let last = Buffer.alloc(0);
    for await (const one of writeZip(files, AT)) {
      total += one.length;
      if (one.length < 4096) last = Buffer.concat([last, one]).subarray(-4096);
    }
    expect(total).toBe(zipLength(files));
    // ZIP64 end of central directory, its locator, and the second file's own offset beyond 4 GiB.
    expect(last.includes(Buffer.from('PK\x06\x06'))).toBe(true);
    expect(last.readUInt32LE(last.length - 6)).toBe(0xffffffff);
  });

  describeWith(['unzip', 'bsdtar'], 'read by others', () => {
    it('unzip and bsdtar find every byte', async () => {
      const path = join(folder, 'medium.zip');
      writeFileSync(path, await whole(writeZip(FILES, AT)));
      execFileSync(program('unzip')!, ['-tq', path]);
      for (const [tool, args] of [
        ['unzip', ['-q', path, '-d', join(folder, 'unzip')]],
        // From a pipe: no seeking, the sizes in front have to be right.
        ['bsdtar', ['-xf', path, '-C', join(folder, 'bsdtar')]],
      ] as const) {
        const out = join(folder, tool);
        mkdirSync(out);
        execFileSync(program(tool)!, args);
        for (const file of FILES) await sameAs(file, join(out, ...file.path));
      }
    });
  });
});

async function sameAs(file: MediumFile, path: string): Promise<void> {
  const { pieces } = await file.open();
  expect(sha(readFileSync(path)), path).toBe(sha(await whole(pieces)));
}

describe('ISO 9660 (ECMA-119)', () => {
  it('is as long as it says before, and its volume descriptor says so', async () => {
    const plan = planIso(FILES, { volume: 'LIGHTBOX', created: AT });
    const iso = await whole(plan.write());
    expect(iso.length).toBe(plan.bytes);
    expect(iso.readUInt32LE(16 * 2048 + 80) * 2048).toBe(iso.length);
    expect(iso.toString('latin1', 16 * 2048 + 1, 16 * 2048 + 6)).toBe('CD001');
  });

  it.each([
    [['toolongname']],
    [['..']],
    [['A B']],
    [['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H']],
    [['DIR.X', 'A']],
  ])('refuses the path %j', (path) => {
    expect(() => planIso([memoryFile(path, bytesOf(1))], { volume: 'X', created: AT })).toThrow();
  });

  it('breaks off when a file has another size than announced', async () => {
    const plan = planIso([liar(10, 12)], { volume: 'X', created: AT });
    await expect(whole(plan.write())).rejects.toMatchObject({ code: 'MEDIA_SIZE' });
  });

  it('writes a file beyond 4 GiB as several extents (§9.1.6)', async () => {
    const bytes = 0xffffffff + 4097;
    const large: MediumFile = {
      ...{ path: ['BIG'], bytes },
      open: () => Promise.reject(new Error('not asked')),
    };
    const plan = planIso([large], { volume: 'X', created: AT });
    const pieces = plan.write();
    const head: Buffer[] = [];
    for (let at = 0; at < 10; at += 1) head.push(Buffer.from((await pieces.next()).value as Uint8Array));
    const records = Buffer.concat(head).toString('latin1').split('BIG.;1').length - 1;
    expect(records).toBe(2);
    expect(plan.bytes).toBeGreaterThan(bytes);
    await pieces.return();
  });

  describeWith(['xorriso', 'bsdtar'], 'read by others', () => {
    it('xorriso and bsdtar find every byte', async () => {
      const path = join(folder, 'medium.iso');
      writeFileSync(path, await whole(planIso(FILES, { volume: 'LIGHTBOX', created: AT }).write()));
      const out = join(folder, 'iso');
      mkdirSync(out);
      execFileSync(program('bsdtar')!, ['-xf', path, '-C', out]);
      for (const file of FILES) await sameAs(file, join(out, ...file.path));
      const plain = join(folder, 'plain');
      execFileSync(
        program('xorriso')!,
        [
          '-abort_on',
          'WARNING',
          '-read_fs',
          'nojoliet',
          '-indev',
          path,
          '-osirrox',
          'on',
          '-extract',
          '/',
          plain,
        ],
        { stdio: 'pipe' },
      );
      for (const file of FILES) await sameAs(file, join(plain, ...file.path.map((one) => one.toUpperCase())));
    });
  });
});
