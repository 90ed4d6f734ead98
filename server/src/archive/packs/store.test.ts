/** Packs on the disk: whole under their name or not there, whatever is left over goes, and what was written is read as it is. */
import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pieces } from '../../platform/outgoing.ts';
import { DiskPacks, newPackName, packBlob, packOf } from './store.ts';

let folder: string;
let packs: DiskPacks;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lightbox-packs-'));
  packs = await DiskPacks.open(folder);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pattern = (bytes: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, at) => (at * 7) % 251));

/** In pieces of an odd length. */
async function* piecesOf(bytes: Buffer): Pieces {
  for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
  await Promise.resolve();
}

async function names(): Promise<string[]> {
  const all: string[] = [];
  for await (const name of packs.names()) all.push(name);
  return all;
}

const MIB = 1024 * 1024;

describe('A pack on the disk', () => {
  it.each([0, 1, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 2 * MIB + 4096, 3 * MIB + 5])(
    'of %i bytes is read back from the disk byte for byte, anywhere',
    async (bytes) => {
      const content = pattern(bytes);
      const draft = await packs.draft(newPackName());
      await draft.write('pack.zip', piecesOf(content));
      const part = await draft.open('pack.zip');
      try {
        expect(part.size).toBe(bytes);
        const whole: Buffer[] = [];
        for (let at = 0; at < bytes; at += 700_001) whole.push(await part.read(at, 700_001));
        expect(Buffer.concat(whole).equals(content)).toBe(true);
        for (const at of [0, 1, 4095, 4096, MIB - 10, bytes - 1, bytes, bytes + 10].filter((one) => one >= 0))
          expect((await part.read(at, 30)).equals(content.subarray(at, at + 30)), String(at)).toBe(true);
      } finally {
        await part.close();
      }
    },
  );

  it('is there under its name only when it is published, and gone when it is removed', async () => {
    const name = newPackName();
    const draft = await packs.draft(name);
    await draft.write('pack.zip', piecesOf(pattern(1000)));
    expect(await names()).toEqual([]);
    await expect(packs.open(name, 'pack.zip')).rejects.toMatchObject({ code: 'ENOENT' });
    await draft.publish();
    expect(await names()).toEqual([name]);
    expect(readdirSync(join(folder, 'packs', 'incoming'))).toEqual([]);
    const part = await packs.open(name, 'pack.zip');
    expect((await part.read(990, 100)).equals(pattern(1000).subarray(990))).toBe(true);
    await part.close();
    await packs.remove(name);
    await packs.remove(name);
    expect(await names()).toEqual([]);
    expect(readdirSync(join(folder, 'packs', 'incoming'))).toEqual([]);
  });

  it('leaves no name twice', async () => {
    const name = newPackName();
    await packs.draft(name);
    await expect(packs.draft(name)).rejects.toMatchObject({ code: 'EEXIST' });
  });

  it('that was not finished goes after its time, unless it is under way', async () => {
    const [old, young, busy] = [newPackName(), newPackName(), newPackName()];
    for (const name of [old, young, busy]) await packs.draft(name);
    for (const name of [old, busy])
      utimesSync(join(folder, 'packs', 'incoming', name), new Date(0), new Date(0));
    expect(await packs.sweep(60_000, new Set([busy]))).toBe(1);
    expect(readdirSync(join(folder, 'packs', 'incoming')).sort()).toEqual([young, busy].sort());
  });
});

describe('Names of packs', () => {
  it('are ours alone: nothing else leads to a path', () => {
    const name = newPackName();
    expect(packOf(packBlob(name))).toBe(name);
    for (const blob of [
      'pack/',
      'pack/../../etc/passwd',
      `pack/${name}/x`,
      `journal/${name}`,
      `pack/${name.toUpperCase()}A`,
    ])
      expect(packOf(blob), blob).toBeUndefined();
  });
});
