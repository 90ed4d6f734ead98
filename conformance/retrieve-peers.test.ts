/**
 * Retrieving between Lightbox and other people's archives, in both directions: Orthanc pulls from us and we move to it, and
 * `lightbox get` and `move` ask Orthanc and DCMTK's dcmqrscp (PS3.4 §C.4.2, §C.4.3).
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, program } from '../tools/testing.ts';
import { contextProfile, run, storescu, temporaryFolder } from './support/dcmtk.ts';
import { EXPLICIT, writeImages, type WrittenImage } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { CT, dataSetOfFile } from './support/wire.ts';

const repository = resolve(import.meta.dirname, '..');
const COUNT = 6;

const hashOf = (bytes: Buffer): string => createHash('sha256').update(dataSetOfFile(bytes)).digest('hex');
const sorted = (files: readonly string[]): string[] => files.map((file) => hashOf(readFileSync(file))).sort();

function lightbox(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((settle) => {
    execFile(
      join(repository, 'node_modules/.bin/node'),
      [join(repository, 'server/src/cli/main.ts'), ...args],
      { timeout: 60_000, encoding: 'utf8' },
      (error, stdout, stderr) =>
        settle({ code: error ? Number(error.code ?? -1) : 0, output: stdout + stderr }),
    );
  });
}

async function ready(port: number, calledAe: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await run('echoscu', ['-aec', calledAe, '127.0.0.1', String(port)])).code === 0) return;
    await sleep(100);
  }
  throw new Error(`${calledAe} did not start`);
}

async function ended(child: ChildProcess): Promise<void> {
  const gone = new Promise((settle) => child.once('exit', settle));
  child.kill('SIGTERM');
  await gone;
}

/** A Lightbox that lets PEER do everything, and a study nobody has yet. */
async function boxFor(peerPort: number): Promise<Lightbox> {
  const box = await Lightbox.ready();
  const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  const verbs = ['echo', 'store', 'find', 'move', 'get'];
  const peer = { aeTitle: 'PEER', host: '127.0.0.1', port: peerPort, verbs };
  for (const device of [peer, { aeTitle: 'READER', verbs }])
    expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
  return box;
}

async function instancesOf(box: Lightbox, image: WrittenImage | undefined): Promise<string[]> {
  const found: string[] = [];
  const list = await box.getJson<Record<string, { Value?: string[] }>[]>(
    `/dicom-web/studies/${image?.studyUid}/instances`,
  );
  for (const one of list) {
    const sopUid = one['00080018']?.Value?.[0];
    const path = `/dicom-web/studies/${image?.studyUid}/series/${image?.seriesUid}/instances/${sopUid}`;
    const answer = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
    found.push(hashOf(Buffer.from(await answer.arrayBuffer())));
  }
  return found.sort();
}

describeWith(['Orthanc', 'storescu', 'echoscu', 'movescu'], 'Retrieving with Orthanc', () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  let child: ChildProcess;
  let url: string;
  let peerPort: number;
  let ours: WrittenImage[];
  let theirs: WrittenImage[];

  beforeAll(async () => {
    peerPort = await freePort();
    const httpPort = await freePort();
    url = `http://127.0.0.1:${httpPort}`;
    box = await boxFor(peerPort);
    const store = join(folder.path, 'orthanc');
    mkdirSync(store);
    const config = {
      ...{ StorageDirectory: store, IndexDirectory: store, DicomAet: 'PEER', DicomPort: peerPort },
      ...{ HttpPort: httpPort, RemoteAccessAllowed: false, AuthenticationEnabled: false, Plugins: [] },
      ...{ DicomAlwaysAllowEcho: true, DicomAlwaysAllowStore: true, DicomAlwaysAllowGet: true },
      ...{ DicomAlwaysAllowMove: true, DicomCheckCalledAet: true, OverwriteInstances: true },
      DicomModalities: {
        lightbox: ['LIGHTBOX', '127.0.0.1', box.dicomPort],
        reader: ['READER', '127.0.0.1', 1],
      },
    };
    writeFileSync(join(folder.path, 'orthanc.json'), JSON.stringify(config));
    child = spawn(program('Orthanc') ?? 'Orthanc', [join(folder.path, 'orthanc.json')], { stdio: 'ignore' });
    await ready(peerPort, 'PEER');
    const places = ['ours', 'theirs'].map((name) => join(folder.path, name));
    for (const place of places) mkdirSync(place);
    ours = writeImages(places[0] ?? '', '41', COUNT, () => 0.4);
    theirs = writeImages(places[1] ?? '', '42', COUNT, () => 0.6);
    const profile = contextProfile(folder.path, EXPLICIT, [CT]);
    const files = (images: readonly WrittenImage[]): string[] => images.map(({ file }) => file);
    const sent = await storescu(box.dicomPort, files(ours), profile);
    expect([...sent.answers.values()]).toEqual(Array(COUNT).fill('Success'));
    const there = await storescu(peerPort, files(theirs), profile, { calledAe: 'PEER' });
    expect([...there.answers.values()]).toEqual(Array(COUNT).fill('Success'));
  });
  afterAll(async () => {
    await ended(child);
    await box.stop();
    folder.dispose();
  });

  const post = async (path: string, body: unknown): Promise<Response> =>
    fetch(url + path, { method: 'POST', body: JSON.stringify(body) });

  /** Data sets of one study as Orthanc has them; then it forgets the study. */
  async function takenFrom(studyUid: string | undefined): Promise<string[]> {
    const found = (await (
      await post('/tools/find', { Level: 'Instance', Query: { StudyInstanceUID: studyUid } })
    ).json()) as string[];
    const hashes: string[] = [];
    for (const id of found) {
      const file = Buffer.from(await (await fetch(`${url}/instances/${id}/file`)).arrayBuffer());
      hashes.push(hashOf(file));
      await fetch(`${url}/instances/${id}`, { method: 'DELETE' });
    }
    return hashes.sort();
  }

  it('Orthanc pulls a study by C-MOVE', async () => {
    const query = (await (
      await post('/modalities/lightbox/query', {
        ...{ Level: 'Study', Query: { StudyInstanceUID: ours[0]?.studyUid } },
      })
    ).json()) as { ID: string };
    const answer = await post(`/queries/${query.ID}/retrieve`, {
      ...{ TargetAet: 'PEER', Synchronous: true },
    });
    expect(answer.status, await answer.clone().text()).toBe(200);
    expect(await takenFrom(ours[0]?.studyUid)).toEqual(sorted(ours.map(({ file }) => file)));
  });

  it('we move a study to Orthanc', async () => {
    const moved = await run('movescu', [
      ...['-d', '-S', '-aet', 'READER', '-aec', 'LIGHTBOX', '-aem', 'PEER', '-k', '0008,0052=STUDY'],
      ...['-k', `0020,000D=${ours[0]?.studyUid}`, '127.0.0.1', String(box.dicomPort)],
    ]);
    expect(moved.code, moved.output).toBe(0);
    expect(await takenFrom(ours[0]?.studyUid)).toEqual(sorted(ours.map(({ file }) => file)));
  });

  it('lightbox get gets files from Orthanc', async () => {
    const into = join(folder.path, 'got');
    const at = `PEER@127.0.0.1:${peerPort}`;
    const got = await lightbox(
      ...['get', '--at', at, '--calling', 'READER', '--into', into],
      `StudyInstanceUID=${theirs[0]?.studyUid}`,
    );
    expect(got.output).toContain(`${COUNT} retrieved, 0 failed`);
    expect(got.code).toBe(0);
    expect(sorted(readdirSync(into).map((name) => join(into, name)))).toEqual(
      sorted(theirs.map(({ file }) => file)),
    );
  });

  it('lightbox move has Orthanc send to us', async () => {
    const at = `PEER@127.0.0.1:${peerPort}`;
    const moved = await lightbox(
      ...['move', '--at', at, '--calling', 'READER', '--to', 'LIGHTBOX'],
      `StudyInstanceUID=${theirs[0]?.studyUid}`,
    );
    expect(moved.output).toContain('0 failed');
    expect(moved.code).toBe(0);
    expect(await instancesOf(box, theirs[0])).toEqual(sorted(theirs.map(({ file }) => file)));
  });
});

describeWith(['dcmqrscp', 'storescu', 'echoscu'], 'Retrieving from dcmqrscp', () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  let child: ChildProcess;
  let at: string;
  let images: WrittenImage[];

  beforeAll(async () => {
    const port = await freePort();
    at = `PEER@127.0.0.1:${port}`;
    box = await boxFor(port);
    mkdirSync(join(folder.path, 'db'));
    const config = [
      ...['MaxPDUSize = 16384', 'MaxAssociations = 8', 'HostTable BEGIN'],
      ...[`box = (LIGHTBOX, 127.0.0.1, ${box.dicomPort})`, 'HostTable END'],
      ...['VendorTable BEGIN', 'VendorTable END', 'AETable BEGIN'],
      ...[`PEER ${join(folder.path, 'db')} RW (100, 1024mb) ANY`, 'AETable END', ''],
    ];
    writeFileSync(join(folder.path, 'dcmqrscp.cfg'), config.join('\n'));
    child = spawn('dcmqrscp', ['-c', join(folder.path, 'dcmqrscp.cfg'), String(port)], { stdio: 'ignore' });
    await ready(port, 'PEER');
    const place = join(folder.path, 'theirs');
    mkdirSync(place);
    images = writeImages(place, '43', COUNT, () => 0.5);
    const files = images.map(({ file }) => file);
    const sent = await storescu(port, files, contextProfile(folder.path, EXPLICIT, [CT]), {
      calledAe: 'PEER',
    });
    expect([...sent.answers.values()]).toEqual(Array(COUNT).fill('Success'));
  });
  afterAll(async () => {
    await ended(child);
    await box.stop();
    folder.dispose();
  });

  it.each([
    ['a patient', ['--level', 'patient', 'PatientID=KILL-43'], COUNT],
    ['a study', ['StudyInstanceUID'], COUNT],
    ['two images', ['--level', 'image', 'StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID'], 2],
    ['nothing', ['StudyInstanceUID=1.2.3'], 0],
  ] as const)('lightbox get: %s', async (name, args, count) => {
    const into = join(folder.path, name);
    const values: Readonly<Record<string, string | undefined>> = {
      StudyInstanceUID: images[0]?.studyUid,
      SeriesInstanceUID: images[0]?.seriesUid,
      SOPInstanceUID: `${images[0]?.sopUid}\\${images[1]?.sopUid}`,
    };
    const filled = args.map((one) => (one in values ? `${one}=${values[one]}` : one));
    const got = await lightbox('get', '--at', at, '--calling', 'READER', '--into', into, ...filled);
    expect(got.output).toContain(`${count} retrieved, 0 failed`);
    expect(readdirSync(into)).toHaveLength(count);
    const all = new Set(sorted(images.map(({ file }) => file)));
    for (const hash of sorted(readdirSync(into).map((file) => join(into, file)))) expect(all).toContain(hash);
  });

  it('lightbox move: to us', async () => {
    const moved = await lightbox(
      ...['move', '--at', at, '--calling', 'READER', '--to', 'LIGHTBOX'],
      `StudyInstanceUID=${images[0]?.studyUid}`,
    );
    expect(moved.output).toContain(`${COUNT} retrieved, 0 failed`);
    expect(await instancesOf(box, images[0])).toEqual(sorted(images.map(({ file }) => file)));
  });

  it('lightbox move says why not, and what it needs', async () => {
    const study = `StudyInstanceUID=${images[0]?.studyUid}`;
    const unknown = await lightbox('move', '--at', at, '--calling', 'READER', '--to', 'NOBODY', study);
    expect(unknown.output).toContain('the move destination is not known there (0xA801)');
    expect(unknown.code).toBe(1);
    const other = await lightbox('get', '--at', at, '--into', join(folder.path, 'x'), 'PatientName=A*');
    expect(other.output).toContain('Only unique keys say what to retrieve at this level: StudyInstanceUID');
    expect(other.code).toBe(2);
    const none = await lightbox('get', '--at', at, '--into', join(folder.path, 'x'));
    expect(none.output).toContain('Say which: StudyInstanceUID=VALUE');
  });
});
