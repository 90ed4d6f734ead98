/**
 * C-GET and C-MOVE as DCMTK asks for them (PS3.4 §C.4.2, §C.4.3): what arrives is what is kept, byte for byte, and what is counted
 * is what happened.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { Capture, contextProfile, run, storescu, temporaryFolder } from './support/dcmtk.ts';
import { ctHeader, EXPLICIT, fileMeta, writeImages, type WrittenImage } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';
import { CT, dataSetOfFile } from './support/wire.ts';

const repository = resolve(import.meta.dirname, '..');
const hashOf = (file: string): string =>
  createHash('sha256')
    .update(dataSetOfFile(readFileSync(file)))
    .digest('hex');
const hashesIn = (folder: string): string[] =>
  readdirSync(folder)
    .map((name) => hashOf(join(folder, name)))
    .sort();

describeWith(['getscu', 'movescu', 'findscu', 'storescp', 'storescu', 'echoscu'], 'Retrieve by DCMTK', () => {
  let box: Lightbox;
  let sink: Capture;
  const folder = temporaryFolder();
  const captured = temporaryFolder();
  let images: WrittenImage[];
  let sent: string[];
  let count = 0;

  beforeAll(async () => {
    box = await Lightbox.ready();
    sink = await Capture.start(captured.path);
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const devices = [
      { aeTitle: 'READER', verbs: ['echo', 'find', 'move', 'get'] },
      { aeTitle: 'FINDER', verbs: ['echo', 'find'] },
      { aeTitle: 'SINK', host: '127.0.0.1', port: sink.port, verbs: ['echo'] },
      { aeTitle: 'DOWN', host: '127.0.0.1', port: await freePort(), verbs: ['echo'] },
      { aeTitle: 'NOPLACE', verbs: ['echo'] },
      { aeTitle: 'LIGHTBOX', host: '127.0.0.1', port: box.dicomPort, verbs: ['echo', 'store'] },
    ];
    for (const device of devices) {
      const answer = await box.post('/api/devices', device, { cookie });
      expect(answer.ok, await answer.clone().text()).toBe(true);
    }
    images = writeImages(folder.path, '31', 12, () => 0.4);
    sent = images.map(({ file }) => hashOf(file)).sort();
    const profile = contextProfile(folder.path, EXPLICIT, [CT]);
    const { answers } = await storescu(
      box.dicomPort,
      images.map(({ file }) => file),
      profile,
    );
    expect([...answers.values()].every((answer) => answer === 'Success')).toBe(true);
  });
  afterAll(async () => {
    sink.stop();
    folder.dispose();
    captured.dispose();
    await box.stop();
  });

  const study = (): string => `0020,000D=${images[0]?.studyUid}`;

  async function getscu(root: '-S' | '-P', keys: readonly string[], options: readonly string[] = []) {
    const place = join(folder.path, `got-${(count += 1)}`);
    mkdirSync(place);
    const peer = ['-aet', 'READER', '-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort)];
    const answer = await run('getscu', [
      ...['-v', '-d', root, '+B', '-od', place, ...options],
      ...keys.flatMap((key) => ['-k', key]),
      ...peer,
    ]);
    return { ...answer, place };
  }

  async function movescu(destination: string, keys: readonly string[], aet = 'READER') {
    return run('movescu', [
      ...['-d', '-S', '-aet', aet, '-aec', 'LIGHTBOX', '-aem', destination],
      ...keys.flatMap((key) => ['-k', key]),
      ...['127.0.0.1', String(box.dicomPort)],
    ]);
  }

  it('getscu gets a study byte for byte', async () => {
    const got = await getscu('-S', ['0008,0052=STUDY', study()]);
    expect(hashesIn(got.place), got.output).toEqual(sent);
    expect(got.output).toContain('Number of Completed Suboperations : 12');
  });

  it.each([
    ['-P', 'PATIENT', ['0010,0020=KILL-31'], 12],
    ['-P', 'STUDY', ['0010,0020=KILL-31', 'study'], 12],
    ['-P', 'STUDY', ['0010,0020=SOMEBODY', 'study'], 0],
    ['-S', 'SERIES', ['study', 'series'], 12],
    ['-S', 'IMAGE', ['study', 'series', 'images'], 2],
  ] as const)('getscu %s at the %s level', async (root, level, keys, expected) => {
    const value = (key: string): string =>
      key === 'study'
        ? study()
        : key === 'series'
          ? `0020,000E=${images[0]?.seriesUid}`
          : key === 'images'
            ? `0008,0018=${images[0]?.sopUid}\\${images[3]?.sopUid}`
            : key;
    const got = await getscu(root, [`0008,0052=${level}`, ...keys.map(value)]);
    expect(hashesIn(got.place), got.output).toHaveLength(expected);
  });

  it('getscu is told what is wrong with an identifier', async () => {
    const got = await getscu('-S', ['0008,0052=SERIES', study()]);
    expect(got.output).toMatch(/0xa900/i);
    expect(got.output).toContain('no unique key of the series level');
    expect(readdirSync(got.place)).toEqual([]);
  });

  it('movescu moves a study byte for byte to storescp', async () => {
    const moved = await movescu('SINK', ['0008,0052=STUDY', study()]);
    expect(moved.code, moved.output).toBe(0);
    expect(hashesIn(captured.path)).toEqual(sent);
    expect(moved.output).toMatch(/Completed Suboperations\s*: 12/);
  });

  it('says that a destination is not known (A801H)', async () => {
    for (const destination of ['NOBODY', 'NOPLACE']) {
      const moved = await movescu(destination, ['0008,0052=STUDY', study()]);
      expect(moved.output).toMatch(/0xa801/i);
    }
  });

  it('counts every object as failed when the destination is down (A702H)', async () => {
    const moved = await movescu('DOWN', ['0008,0052=STUDY', study()]);
    expect(moved.output).toMatch(/0xa702/i);
    expect(moved.output).toMatch(/Failed Suboperations\s*: 12/);
    expect(moved.output).toContain('The peer cannot be reached');
    expect(moved.output).toContain('FailedSOPInstanceUIDList');
  });

  it('moves to itself, where everything is already', async () => {
    const moved = await movescu('LIGHTBOX', ['0008,0052=STUDY', study()]);
    expect(moved.code, moved.output).toBe(0);
    expect(moved.output).toMatch(/Completed Suboperations\s*: 12/);
  });

  it('lightbox get takes kinds too that have no place in its first association', async () => {
    const studyUid = '1.2.826.0.1.3680043.10.1234.32';
    const kinds = [CT, '1.2.840.10008.5.1.4.1.1.9.2.1', '1.2.840.10008.5.1.4.1.1.82.1'];
    for (const [index, sopClassUid] of kinds.entries()) {
      const names = {
        studyUid,
        seriesUid: `${studyUid}.${index}`,
        sopUid: `${studyUid}.${index}.1`,
        number: 1,
      };
      const head = ctHeader({ ...names, sopClassUid, patientId: 'P32', side: 4 });
      const file = Buffer.concat([fileMeta(sopClassUid, names.sopUid), head, Buffer.alloc(32)]);
      expect((await stowFile(box, file)).status).toBe(200);
    }
    const into = join(folder.path, 'kinds');
    const got = await run(join(repository, 'node_modules/.bin/node'), [
      ...[join(repository, 'server/src/cli/main.ts'), 'get', '--at', `LIGHTBOX@127.0.0.1:${box.dicomPort}`],
      ...['--calling', 'READER', '--into', into, `StudyInstanceUID=${studyUid}`],
    ]);
    expect(got.output).toContain('3 retrieved, 0 failed');
    expect(got.code).toBe(0);
    expect(readdirSync(into)).toHaveLength(3);
  });

  it('says where objects are, and that they can be had at once (PS3.4 §C.4.1.1.3.2)', async () => {
    const keys = ['0008,0052=STUDY', study(), '0008,0054', '0008,0056'].flatMap((key) => ['-k', key]);
    const peer = ['-aet', 'READER', '-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort)];
    const { output } = await run('findscu', ['-S', ...keys, ...peer]);
    expect(output).toMatch(/\(0008,0054\) AE \[LIGHTBOX/);
    expect(output).toMatch(/\(0008,0056\) CS \[ONLINE/);
    const [found] = await box.getJson<Record<string, { Value?: unknown[] }>[]>(
      `/dicom-web/studies?StudyInstanceUID=${images[0]?.studyUid}`,
    );
    expect(found?.['00080056']?.Value).toEqual(['ONLINE']);
  });

  it('refuses who may not (0124H)', async () => {
    const moved = await movescu('SINK', ['0008,0052=STUDY', study()], 'FINDER');
    expect(moved.output).toMatch(/0x0124|not authorized/i);
  });
});
