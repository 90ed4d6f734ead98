/**
 * Sealed series, looked at by strangers: packs that any program opens, the same answers and bytes on every door while objects move
 * and segments go, damage that is found and named, and an index made again from packs (laws 1 and 2; R16, R18 of the safeguards).
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { contextProfile, run, storescu, temporaryFolder } from './support/dcmtk.ts';
import { EXPLICIT, writeImages, type WrittenImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { dataSetHash, isSealed, maintain, notEqual, packsOf, segmentsOf, until } from './support/seal.ts';
import { stowFile } from './support/stow.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const READERS = 3;

describeWith(['storescu', 'getscu', 'dcmdump', 'unzip', 'zipinfo', 'bsdtar'], 'A sealed series', () => {
  const folder = temporaryFolder();
  const data = temporaryFolder();
  let box: Lightbox;
  let images: WrittenImage[];
  let profile: string;

  const send = async (name: string, count: number, size: number): Promise<WrittenImage[]> => {
    const place = join(folder.path, name);
    mkdirSync(place);
    const made = writeImages(place, name, count, () => size);
    const half = Math.ceil(count / 2);
    const { answers } = await storescu(
      box.dicomPort,
      made.slice(0, half).map(({ file }) => file),
      profile,
    );
    expect([...answers.values()].every((answer) => answer === 'Success')).toBe(true);
    for (const { file } of made.slice(half))
      expect((await stowFile(box, readFileSync(file))).status).toBe(200);
    return made;
  };

  beforeAll(async () => {
    box = await Lightbox.ready({ data: data.path, env: { LIGHTBOX_SEAL_SECONDS: '1' } });
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const device = { aeTitle: 'READER', verbs: ['echo', 'find', 'get'] };
    expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
    profile = contextProfile(folder.path, EXPLICIT, [CT]);
    images = await send('41', 16, 0.5);
    await isSealed(box);
  });
  afterAll(async () => {
    folder.dispose();
    await box.stop();
    data.dispose();
  });

  it('is one ZIP that unzip, zipinfo and bsdtar find whole, from a file and from a pipe', async () => {
    expect(packsOf(box)).toHaveLength(1);
    const [pack = ''] = packsOf(box);
    const tested = await run('unzip', ['-tq', pack]);
    expect(tested, tested.output).toMatchObject({ code: 0 });
    expect(tested.output).toContain('No errors detected');
    // Stored: not compressed.
    expect((await run('zipinfo', [pack])).output.match(/ stor /g)).toHaveLength(17);
    const place = join(folder.path, 'unpacked');
    mkdirSync(place);
    execFileSync('bsdtar', ['-x', '-f', '-', '-C', place], { input: readFileSync(pack) });
    const names = readdirSync(place).sort();
    expect(names.slice(0, 2)).toEqual(['000001.dcm', '000002.dcm']);
    expect(names.at(-1)).toBe('manifest.json');
    const sent = images.map(({ file }) => dataSetHash(readFileSync(file))).sort();
    const packed = names.filter((name) => name.endsWith('.dcm'));
    expect(packed.map((name) => dataSetHash(readFileSync(join(place, name)))).sort()).toEqual(sent);
    for (const name of packed) {
      const dump = await run('dcmdump', ['-q', '+P', '0008,0018', join(place, name)]);
      expect(dump, name).toMatchObject({ code: 0 });
      expect(images.some(({ sopUid }) => dump.output.includes(`[${sopUid}]`))).toBe(true);
    }
  });

  it('has its DICOM JSON beside it, and nothing of a person in a path', async () => {
    const [pack = ''] = packsOf(box);
    const text = gunzipSync(readFileSync(join(dirname(pack), 'metadata.json.gz'))).toString();
    const beside = JSON.parse(text) as Record<string, { Value?: unknown[] }>[];
    expect(beside.map((one) => one['00080018']?.Value?.[0])).toEqual(images.map(({ sopUid }) => sopUid));
    const served = await box.getJson<unknown>(`/dicom-web/studies/${images[0]?.studyUid}/metadata`);
    // The same, but that a server's addresses name the version they are of.
    const plain = (json: unknown): unknown =>
      JSON.parse(JSON.stringify(json).replaceAll(/"[^"]*(studies[^"]*\/bulkdata\/)[^"]*"/g, '"$1"'));
    expect(plain(served)).toEqual(plain(beside));
    expect(pack.slice(box.data.length)).toMatch(/^\/packs\/(..)\/(..)\/\1\2[0-9a-f]{28}\/pack\.zip$/);
  });

  it('comes back byte for byte by WADO-RS, frames and C-GET', async () => {
    expect(await notEqual(box, images)).toEqual([]);
    const [{ studyUid = '', seriesUid = '', sopUid = '', file = '' } = {}] = images;
    const path = `/dicom-web/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`;
    const frame = await box.get(`${path}/frames/1`, {
      accept: 'application/octet-stream; transfer-syntax=*',
    });
    expect(frame.status).toBe(200);
    expect(
      readFileSync(file)
        .subarray(-64)
        .equals(Buffer.from(await frame.arrayBuffer()).subarray(-64)),
    ).toBe(true);
    expect((await box.get(`${path}/rendered`, { accept: 'image/png' })).status).toBe(200);
    const place = join(folder.path, 'got');
    mkdirSync(place);
    const got = await run('getscu', [
      ...['-S', '+B', '-od', place, '-k', '0008,0052=STUDY', '-k', `0020,000D=${studyUid}`],
      ...['-aet', 'READER', '-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort)],
    ]);
    const hashes = readdirSync(place).map((name) => dataSetHash(readFileSync(join(place, name))));
    expect(hashes.sort(), got.output).toEqual(
      images.map((one) => dataSetHash(readFileSync(one.file))).sort(),
    );
  });

  it('is read on without a gap while it is sealed, packed again with late objects, and its segments and packs go', async () => {
    // 15 MB: of less than 4 the journal keeps its file.
    const first = await send('42', 30, 0.99);
    let reading = true;
    let read = 0;
    const wrong: string[] = [];
    const hammer = async (): Promise<void> => {
      while (reading) {
        const some = first
          .slice(0, 30)
          .sort(() => Math.random() - 0.5)
          .slice(0, 10);
        wrong.push(...(await notEqual(box, some)));
        read += some.length;
        await sleep(50);
      }
    };
    const before = packsOf(box).length;
    const readers = Array.from({ length: READERS }, hammer);
    // Late objects of the same series, twice: the second pack of them replaces the first.
    const late = join(folder.path, 'late');
    mkdirSync(late);
    const more = writeImages(late, '42', 32, () => 0.7).slice(30);
    try {
      await until('the pack', () => packsOf(box).length > before);
      for (const { file } of more) {
        expect((await stowFile(box, readFileSync(file))).status).toBe(200);
        await isSealed(box);
      }
      // Released after a minute: the journal is empty, and the series has one pack again.
      await until('release', () => segmentsOf(box).length === 0 && packsOf(box).length === 2, 200_000);
      await sleep(1000);
    } finally {
      reading = false;
      await Promise.all(readers);
    }
    expect(wrong).toEqual([]);
    expect(await notEqual(box, [...images, ...first, ...more])).toEqual([]);
    process.stderr.write(`${read} objects read while theirs moved, 0 wrong\n`);
    images = [...images, ...first, ...more];
  }, 400_000);

  it('answers the same after its tables were dropped and made again from packs', async () => {
    const ask = (): Promise<unknown[]> =>
      Promise.all(
        ['studies', 'series', 'instances'].map(async (level) =>
          (await box.getJson<unknown[]>(`/dicom-web/${level}?includefield=all&limit=500`))
            .map((row) => JSON.stringify(row))
            .sort(),
        ),
      );
    const before = await ask();
    await box.stop();
    const again = maintain(box, 'reindex');
    expect(again.output).toContain(`${images.length} objects indexed`);
    expect(maintain(box, 'verify')).toMatchObject({ status: 0 });
    await box.run();
    expect(await ask()).toEqual(before);
    expect(await notEqual(box, images)).toEqual([]);
  });

  it('with one flipped bit is found by verify, named', async () => {
    await box.stop();
    const [pack = ''] = packsOf(box);
    copyFileSync(pack, `${folder.path}/whole.zip`);
    const bytes = readFileSync(pack);
    bytes[Math.floor(bytes.length / 2)]! ^= 4;
    writeFileSync(pack, bytes);
    const found = maintain(box, 'verify');
    expect(found.status).toBe(1);
    expect(found.output).toMatch(/1 damaged, 0 missing, 0 not indexed/);
    expect(found.output).toMatch(/pack\/[0-9a-f]{32} at \d+: flipped/);
    copyFileSync(`${folder.path}/whole.zip`, pack);
    expect(maintain(box, 'verify')).toMatchObject({ status: 0 });
    await box.run();
  });
});
