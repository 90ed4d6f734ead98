/** The directory of a stored ZIP: what we write is read as it was written, and nothing damaged is believed. */
import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { memoryFile } from './medium.ts';
import { type RandomAccess, readZipIndex } from './zip-index.ts';
import { writeZip, zipLayout } from './zip-out.ts';

const AT = new Date('2026-01-02T03:04:06Z');

const inMemory = (bytes: Buffer): RandomAccess => ({
  size: bytes.length,
  read: (at, length) => Promise.resolve(bytes.subarray(at, at + length)),
});

async function zipOf(contents: readonly Uint8Array[]): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of writeZip(
    contents.map((one, index) => memoryFile([`${index}.dcm`], one)),
    AT,
  ))
    pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

describe('The directory of a ZIP (APPNOTE §4.3)', () => {
  it('names every file with its place and checksum, where the layout said it would be', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), async (contents) => {
        const zip = await zipOf(contents);
        const layout = zipLayout(
          contents.map((one, index) => ({ path: [`${index}.dcm`], bytes: one.length })),
        );
        expect(layout?.bytes).toBe(zip.length);
        const entries = await readZipIndex(inMemory(zip));
        expect(entries).toEqual(
          contents.map((one, index) => ({
            ...{ name: `${index}.dcm`, start: layout?.starts[index], length: one.length, crc: crc32(one) },
          })),
        );
        entries.forEach(({ start, length }, index) =>
          expect(zip.subarray(start, start + length).equals(Buffer.from(contents[index]!))).toBe(true),
        );
      }),
    );
  });

  it('refuses what is cut, and never says a place outside of the file', async () => {
    const zip = await zipOf([Buffer.alloc(100, 1), Buffer.alloc(50, 2)]);
    for (let length = 0; length < zip.length; length += 1)
      await expect(readZipIndex(inMemory(zip.subarray(0, length)))).rejects.toMatchObject({
        code: 'PACK_DAMAGED',
      });
    await fc.assert(
      fc.asyncProperty(fc.nat(zip.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = Buffer.from(zip);
        damaged[at]! ^= flip;
        const entries = await readZipIndex(inMemory(damaged)).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'PACK_DAMAGED' });
          return [];
        });
        for (const one of entries) expect(one.start + one.length).toBeLessThanOrEqual(zip.length);
      }),
      { numRuns: 2000 },
    );
  });
});
