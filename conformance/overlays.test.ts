/**
 * Corrections as other people's programs see them: every channel gives the same values, all of them or none, and a server killed
 * in the middle of a correction has either the one or the other (PS3.4 §B.4.1.3, PS3.3 §C.12.1.1.9).
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { items, text } from '@lightbox/core/dicom/values.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { describeWith } from '../tools/testing.ts';
import { Capture, contextProfile, run, storescu, temporaryFolder } from './support/dcmtk.ts';
import { EXPLICIT, writeImages, type WrittenImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { CT } from './support/wire.ts';

const OBJECTS = 6;
/** What is seen of a patient. */
interface Seen {
  readonly name: string;
  readonly id: string;
}
const WRONG: Seen = { name: 'Test^Kill', id: 'KILL-41' };
const RIGHT: Seen = { name: 'Müller^Jörg', id: 'RIGHT-1' };
const EDITS = {
  '00100010': { vr: 'PN', Value: [{ Alphabetic: RIGHT.name }] },
  '00100020': { vr: 'LO', Value: [RIGHT.id] },
};

const inFile = (file: Uint8Array): Seen => {
  const { dataSet } = readPart10(file);
  return { name: text(dataSet, Tags.PatientName) ?? '', id: text(dataSet, Tags.PatientID) ?? '' };
};
type Json = Record<string, { Value?: unknown[] }>;
const inJson = (json: Json): Seen => ({
  name: (json['00100010']?.Value?.[0] as { Alphabetic: string } | undefined)?.Alphabetic ?? '',
  id: String(json['00100020']?.Value?.[0] ?? ''),
});
const empty = (folder: string): void => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
};
const filesIn = (folder: string): Buffer[] =>
  readdirSync(folder).map((name) => readFileSync(join(folder, name)));

describeWith(['getscu', 'movescu', 'findscu', 'storescp', 'storescu', 'dciodvfy'], 'Corrections', () => {
  let box: Lightbox;
  let sink: Capture;
  let images: WrittenImage[];
  let cookie: string;
  const folder = temporaryFolder();
  const captured = temporaryFolder();
  let count = 0;

  beforeAll(async () => {
    box = await Lightbox.ready();
    sink = await Capture.start(captured.path);
    cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    for (const device of [
      { aeTitle: 'READER', verbs: ['echo', 'find', 'move', 'get'] },
      { aeTitle: 'SINK', host: '127.0.0.1', port: sink.port, verbs: ['echo'], offers: ['store'] },
    ]) {
      const answer = await box.post('/api/devices', device, { cookie });
      expect(answer.ok, await answer.clone().text()).toBe(true);
    }
    images = writeImages(folder.path, '41', OBJECTS, () => 0.4);
    const profile = contextProfile(folder.path, EXPLICIT, [CT]);
    const sent = await storescu(
      box.dicomPort,
      images.map(({ file }) => file),
      profile,
    );
    expect([...sent.answers.values()].every((answer) => answer === 'Success')).toBe(true);
  });
  afterAll(async () => {
    sink.stop();
    folder.dispose();
    captured.dispose();
    await box.stop();
  });

  const study = (): string => images[0]!.studyUid;
  const peer = (): string[] => ['-aet', 'READER', '-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort)];
  const place = (): string => {
    const path = join(folder.path, `place-${(count += 1)}`);
    mkdirSync(path);
    return path;
  };
  const correct = (edits: object = EDITS): Promise<Response> =>
    box.post(`/api/studies/${study()}/overlays`, { level: 'patient', edits, reason: 'mixed up' }, { cookie });

  async function found(level: 'PATIENT' | 'STUDY' | 'SERIES' | 'IMAGE'): Promise<Seen[]> {
    const path = place();
    const unique: Record<typeof level, string[]> = {
      PATIENT: ['0010,0020=*'],
      STUDY: [`0020,000D=${study()}`, '0010,0020'],
      SERIES: [`0020,000D=${study()}`, '0020,000E', '0010,0020'],
      IMAGE: [`0020,000D=${study()}`, `0020,000E=${images[0]!.seriesUid}`, '0008,0018', '0010,0020'],
    };
    const keys = [`0008,0052=${level}`, '0010,0010', ...unique[level]];
    const root = level === 'PATIENT' ? '-P' : '-S';
    await run('findscu', [root, '-X', '-od', path, ...keys.flatMap((key) => ['-k', key]), ...peer()]);
    return filesIn(path).map(inFile);
  }

  const get = async (url: string, accept: string): Promise<Buffer> => {
    const answer = await box.get(url, { accept });
    expect(answer.status, url).toBe(200);
    return Buffer.from(await answer.arrayBuffer());
  };
  /** Part 10 files in a multipart body or a ZIP of stored files: each begins 128 bytes before its prefix. */
  const within = (body: Buffer): Seen[] => {
    const seen: Seen[] = [];
    for (let at = body.indexOf('DICM'); at >= 0; at = body.indexOf('DICM', at + 4)) {
      const next = body.indexOf('DICM', at + 4);
      const file = body.subarray(at - 128, next < 0 ? body.length : next - 128);
      const end = file.lastIndexOf(Buffer.from([0xe0, 0x7f, 0x10, 0x00]));
      if (end < 0) continue;
      const length = file.readUInt32LE(end + 8);
      seen.push(inFile(file.subarray(0, end + 12 + length)));
    }
    return seen;
  };

  const channels: readonly (readonly [string, () => Promise<Seen[]>])[] = [
    ['C-FIND of patients', () => found('PATIENT')],
    ['C-FIND of studies', () => found('STUDY')],
    ['C-FIND of series', () => found('SERIES')],
    ['C-FIND of images', () => found('IMAGE')],
    [
      'C-GET',
      async () => {
        const path = place();
        await run('getscu', [
          ...['-S', '+B', '-od', path, '-k', '0008,0052=STUDY', '-k', `0020,000D=${study()}`, ...peer()],
        ]);
        return filesIn(path).map(inFile);
      },
    ],
    [
      'C-GET in implicit little endian',
      async () => {
        const path = place();
        await run('getscu', [
          ...['-S', '+xi', '-od', path, '-k', '0008,0052=STUDY', '-k', `0020,000D=${study()}`, ...peer()],
        ]);
        return filesIn(path).map(inFile);
      },
    ],
    [
      'C-MOVE',
      async () => {
        empty(captured.path);
        await run('movescu', [
          ...['-S', '-aem', 'SINK', '-k', '0008,0052=STUDY', '-k', `0020,000D=${study()}`, ...peer()],
        ]);
        return filesIn(captured.path).map(inFile);
      },
    ],
    ...(['studies', 'series', 'instances'] as const).map(
      (level) =>
        [
          `QIDO-RS of ${level}`,
          async (): Promise<Seen[]> =>
            (
              await box.getJson<Json[]>(
                `/dicom-web/${level}?StudyInstanceUID=${study()}&includefield=00100010,00100020`,
              )
            ).map(inJson),
        ] as const,
    ),
    [
      'WADO-RS metadata',
      async () => (await box.getJson<Json[]>(`/dicom-web/studies/${study()}/metadata`)).map(inJson),
    ],
    [
      'WADO-RS metadata of an instance',
      async () =>
        (
          await box.getJson<Json[]>(
            `/dicom-web/studies/${study()}/series/${images[0]!.seriesUid}/instances/${images[0]!.sopUid}/metadata`,
          )
        ).map(inJson),
    ],
    [
      'WADO-RS metadata as XML',
      async () => {
        const body = await get(
          `/dicom-web/studies/${study()}/metadata`,
          'multipart/related; type="application/dicom+xml"',
        );
        const xml = body.toString();
        const family = [...xml.matchAll(/<FamilyName>([^<]*)<\/FamilyName><GivenName>([^<]*)</g)];
        const ids = [...xml.matchAll(/tag="00100020"[^>]*><Value number="1">([^<]*)</g)];
        // The first of each object is its own; what it was before stands behind, in Original Attributes.
        return [{ name: `${family[0]?.[1]}^${family[0]?.[2]}`, id: ids[0]?.[1] ?? '' }];
      },
    ],
    [
      'WADO-RS',
      async () =>
        within(
          await get(
            `/dicom-web/studies/${study()}`,
            'multipart/related; type="application/dicom"; transfer-syntax=*',
          ),
        ),
    ],
    [
      'WADO-RS of one instance',
      async () => [
        inFile(
          await get(
            `/dicom-web/studies/${study()}/series/${images[0]!.seriesUid}/instances/${images[0]!.sopUid}`,
            'application/dicom; transfer-syntax=*',
          ),
        ),
      ],
    ],
    [
      'the study list',
      async () => {
        const page = await box.getJson<{ items: Row[] }>(`/api/studies?sort=date&descending=true&limit=50`);
        return page.items.map(rowSeen);
      },
    ],
    ['the study page', async () => [rowSeen(await box.getJson<Row>(`/api/studies/${study()}`))]],
    [
      'a ZIP with DICOMDIR',
      async () => {
        const chosen = await box.post(
          '/api/exports',
          { studies: [{ studyUid: study() }], format: 'zip', viewer: false, pixels: 'kept' },
          { cookie },
        );
        expect(chosen.status, await chosen.clone().text()).toBe(201);
        const { url } = (await chosen.json()) as { url: string };
        const file = await fetch(box.url + url, { headers: { cookie } });
        const zip = Buffer.from(await file.arrayBuffer());
        writeFileSync(join(folder.path, 'export.zip'), zip);
        const path = place();
        await run('unzip', ['-q', join(folder.path, 'export.zip'), '-d', path]);
        const directory = await run('dcmdump', ['+P', '0010,0020', join(path, 'DICOMDIR')]);
        const ids = [...directory.output.matchAll(/\[([^\]]*)\]/g)].map((one) => one[1]!.trim());
        const listed = readdirSync(path, { recursive: true, withFileTypes: true }).filter(
          (one) => one.isFile() && one.name.startsWith('IM'),
        );
        const seen = listed.map((one) => inFile(readFileSync(join(one.parentPath, one.name))));
        return [...seen, ...ids.map((id) => ({ name: seen[0]!.name, id }))];
      },
    ],
    [
      'sending to another system',
      async () => {
        empty(captured.path);
        const listed = await fetch(`${box.url}/api/destinations`, { headers: { cookie } });
        const destinations = (await listed.json()) as { id: string; aeTitle: string }[];
        const { id } = destinations.find((one) => one.aeTitle === 'SINK')!;
        const asked = await box.post(
          '/api/transfers',
          { kind: 'send', deviceId: id, scopes: [{ studyUid: study() }] },
          { cookie },
        );
        expect(asked.ok, await asked.clone().text()).toBe(true);
        for (let tries = 0; tries < 300 && readdirSync(captured.path).length < OBJECTS; tries += 1)
          await sleep(100);
        // The last one may still be written.
        await sleep(300);
        return filesIn(captured.path).map(inFile);
      },
    ],
  ];

  interface Row {
    readonly patientName: { readonly alphabetic: string };
    readonly patientId: string;
  }
  const rowSeen = (row: Row): Seen => ({ name: row.patientName.alphabetic, id: row.patientId });

  it.each(channels)('are not there before: %s', async (_, look) => {
    const seen = await look();
    expect(seen.length).toBeGreaterThan(0);
    for (const one of seen) expect(one).toEqual(WRONG);
  });

  it('are made by a person with a reason, and written down', async () => {
    const refused = await box.post(
      `/api/studies/${study()}/overlays`,
      { level: 'patient', edits: EDITS, reason: 'mixed up' },
      { authorization: `Bearer ${box.key}` },
    );
    // The API key of the test may not.
    expect(refused.status).toBe(403);
    expect((await correct({ '00080018': null })).status).toBe(422);
    const answer = await correct();
    expect(answer.status, await answer.clone().text()).toBe(201);
    const history = await fetch(`${box.url}/api/studies/${study()}/overlays`, { headers: { cookie } });
    const { overlays } = (await history.json()) as { overlays: { author: object; objects: number }[] };
    expect(overlays).toMatchObject([
      { objects: OBJECTS, author: { kind: 'person', name: ADMINISTRATOR.name } },
    ]);
  });

  it.each(channels)('are the same everywhere: %s', async (_, look) => {
    const seen = await look();
    expect(seen.length).toBeGreaterThan(0);
    for (const one of seen) expect(one).toEqual(RIGHT);
  });

  it('are valid objects that say what was there before', async () => {
    const url = `/dicom-web/studies/${study()}/series/${images[0]!.seriesUid}/instances/${images[0]!.sopUid}`;
    const file = await get(url, 'application/dicom; transfer-syntax=*');
    const path = join(place(), 'corrected.dcm');
    writeFileSync(path, file);
    const errors = async (of: string): Promise<string[]> =>
      (await run('dciodvfy', [of])).output
        .split('\n')
        .filter((line) => line.startsWith('Error'))
        .sort();
    const known = new Set(await errors(images[0]!.file));
    expect((await errors(path)).filter((line) => !known.has(line))).toEqual([]);
    const [item] = items(readPart10(file).dataSet, Tags.OriginalAttributesSequence);
    expect(text(items(item!, Tags.ModifiedAttributesSequence)[0]!, Tags.PatientID)).toBe(WRONG.id);
    const part = await box.get(url, {
      accept: 'application/dicom; transfer-syntax=*',
      range: 'bytes=100-199',
    });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer()).equals(file.subarray(100, 200))).toBe(true);
  });

  it('survive kill -9 in the middle, whole or not at all', async () => {
    for (let round = 0; round < 4; round += 1) {
      const name = `Round^${round}`;
      const before = (await found('STUDY'))[0]!;
      const asked = correct({ '00100010': { vr: 'PN', Value: [{ Alphabetic: name }] } }).catch(
        () => undefined,
      );
      await sleep(5 + round * 12);
      await box.kill();
      await asked;
      await box.run();
      const seen = new Set((await found('IMAGE')).map((one) => one.name));
      const files = await box.getJson<Json[]>(`/dicom-web/studies/${study()}/metadata`);
      for (const one of files) seen.add(inJson(one).name);
      expect(seen.size, [...seen].join(', ')).toBe(1);
      expect([before.name, name]).toContain([...seen][0]);
      expect(files).toHaveLength(OBJECTS);
    }
  });
});
