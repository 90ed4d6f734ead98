/**
 * Rules against programs of other people: what they send arrives byte for byte and once, also after kill -9; what would go round in a
 * circle is stopped; priors come from archives that are searched.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, program } from '../tools/testing.ts';
import { ARCHIVES, PEER, stopped } from './support/archives.ts';
import { contextProfile, run, storescu, temporaryFolder } from './support/dcmtk.ts';
import { Destination } from './support/destination.ts';
import { ctImage, EXPLICIT } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox, type LightboxOptions } from './support/lightbox.ts';
import { CT, dataSetOfFile } from './support/wire.ts';

const ROOT = '1.2.826.0.1.3680043.10.1234.97';
const PATIENCE = { timeout: 90_000, interval: 200 };

interface LogRow {
  readonly rule: string;
  readonly event: string;
  readonly aeTitle: string | null;
  readonly objects: number;
}
interface Loop {
  readonly rule: string;
  readonly aeTitle: string;
  readonly ourAe: string;
  readonly held: number;
}

/** A Lightbox with what these tests ask of it. */
class Side {
  readonly box: Lightbox;
  #cookie = '';

  private constructor(box: Lightbox) {
    this.box = box;
  }

  static async start(env: Record<string, string> = {}, options: LightboxOptions = {}): Promise<Side> {
    const quick = { LIGHTBOX_QUIET_SECONDS: '1', LIGHTBOX_TRANSFER_RETRY_SECONDS: '1' };
    const side = new Side(await Lightbox.ready({ ...options, env: { ...quick, ...env } }));
    await side.signIn();
    return side;
  }

  async signIn(): Promise<void> {
    this.#cookie = await this.box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  }

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(this.box.url + path, {
      method,
      headers: { 'content-type': 'application/json', origin: this.box.url, cookie: this.#cookie },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    expect(answer.ok, await answer.clone().text()).toBe(true);
    return (await answer.json()) as T;
  }

  device(aeTitle: string, port: number, ...offers: string[]): Promise<unknown> {
    const verbs = ['echo', 'store', 'find', 'move', 'get'];
    return this.call('POST', '/api/devices', { aeTitle, host: '127.0.0.1', port, verbs, offers });
  }

  rules(...rules: unknown[]): Promise<unknown> {
    return this.call('PUT', '/api/rules', { text: JSON.stringify({ version: 1, rules }) });
  }

  log(): Promise<LogRow[]> {
    return this.call('GET', '/api/rules/log');
  }

  async events(): Promise<string[]> {
    return (await this.log()).map(
      ({ rule, event, aeTitle, objects }) => `${rule} ${event} ${aeTitle ?? ''} ${objects}`,
    );
  }

  async loops(): Promise<Loop[]> {
    return (await this.call<{ loops: Loop[] }>('GET', '/api/rules')).loops;
  }

  async transfers(): Promise<{ state: string; aeTitle: string; sent: number }[]> {
    return (
      await this.call<{ items: { state: string; aeTitle: string; sent: number }[] }>('GET', '/api/transfers')
    ).items;
  }

  async has(studyUid: string): Promise<number> {
    const found = await this.box.getJson<unknown[]>(`/dicom-web/instances?StudyInstanceUID=${studyUid}`);
    return found.length;
  }
}

const folder = temporaryFolder();
afterAll(() => folder.dispose());
const place = (name: string): string => {
  const path = join(folder.path, name);
  mkdirSync(path, { recursive: true });
  return path;
};

function write(
  study: number,
  count: number,
  more: Partial<Parameters<typeof ctImage>[0]> = {},
): { files: string[]; studyUid: string } {
  const studyUid = `${ROOT}.${study}`;
  const files = Array.from({ length: count }, (_, at) => {
    const file = join(place('images'), `${study}-${at}.dcm`);
    const names = { studyUid, seriesUid: `${studyUid}.1`, sopUid: `${studyUid}.1.${at}`, number: at + 1 };
    const image = { patientId: 'RULED', patientName: 'Ruled^Patient', side: 32, chance: () => 0.5 };
    writeFileSync(file, ctImage({ ...names, ...image, ...more }));
    return file;
  });
  return { files, studyUid };
}

async function store(
  port: number,
  files: readonly string[],
  calledAe = 'LIGHTBOX',
  callingAe?: string,
): Promise<void> {
  const profile = contextProfile(folder.path, EXPLICIT, [CT]);
  const { answers } = await storescu(port, [...files], profile, {
    calledAe,
    ...(callingAe ? { callingAe } : {}),
  });
  expect([...answers.values()].filter((one) => one === 'Success')).toHaveLength(files.length);
}

const hashOf = (file: string): string =>
  createHash('sha256')
    .update(dataSetOfFile(readFileSync(file)))
    .digest('hex');

async function answering(child: ChildProcess, port: number, aeTitle: string): Promise<ChildProcess> {
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await run('echoscu', ['-aec', aeTitle, '127.0.0.1', String(port)])).code === 0) return child;
    await sleep(100);
  }
  child.kill();
  throw new Error(`${aeTitle} did not start`);
}

describeWith(['storescp', 'storescu', 'echoscu', 'Orthanc'], 'Routing rules', () => {
  const children: ChildProcess[] = [];
  let side: Side;
  const got = place('got');

  beforeAll(async () => {
    side = await Side.start();
    const port = await freePort();
    children.push(
      await answering(
        spawn('storescp', ['+B', '-od', got, '-aet', 'WS1', String(port)], { stdio: 'ignore' }),
        port,
        'WS1',
      ),
    );
    const orthanc = ARCHIVES.find(({ needs }) => needs === 'Orthanc');
    const other = await freePort();
    children.push(await orthanc!.start(place('orthanc'), other, [], 'ORTHANC'));
    await side.device('WS1', port, 'store');
    await side.device('ORTHANC', other, 'store', 'archive');
  });
  afterAll(async () => {
    await side.box.stop();
    for (const child of children) await stopped(child);
  });

  it('send what matches to storescp byte for byte, and to Orthanc, and what comes late too', async () => {
    await side.rules(
      { name: 'ct', when: { attribute: 'Modality', equals: 'CT' }, then: { send: { devices: ['WS1'] } } },
      { name: 'early', then: { send: { devices: ['ORTHANC'], trigger: 'object' } } },
      { name: 'mr', when: { attribute: 'Modality', equals: 'MR' }, then: { send: { devices: ['WS1'] } } },
    );
    const { files, studyUid } = write(1, 6);
    await store(side.box.dicomPort, files.slice(0, 4));
    await expect.poll(() => readdirSync(got).length, PATIENCE).toBe(4);
    await store(side.box.dicomPort, files.slice(4));
    await expect.poll(() => readdirSync(got).length, PATIENCE).toBe(6);
    expect(
      readdirSync(got)
        .map((name) => hashOf(join(got, name)))
        .sort(),
    ).toEqual(files.map(hashOf).sort());
    const inOrthanc = async (): Promise<number | null> => {
      const devices = await side.call<{ id: string; aeTitle: string }[]>('GET', '/api/devices');
      const deviceId = devices.find(({ aeTitle }) => aeTitle === 'ORTHANC')?.id;
      const series = await side.call<{ instanceCount: number | null }[]>('POST', '/api/remote/series', {
        deviceId,
        studyUid,
      });
      return series[0]?.instanceCount ?? null;
    };
    await expect.poll(inOrthanc, PATIENCE).toBe(6);
    const events = await side.events();
    expect(events.filter((one) => one.startsWith('ct sent WS1'))).toEqual(['ct sent WS1 2', 'ct sent WS1 4']);
    expect(events.some((one) => one.startsWith('mr'))).toBe(false);
  });
});

describeWith(['storescu', 'echoscu', 'storescp', 'dcmdump'], 'Correcting rules', () => {
  it('correct what comes, for searches and for where it is sent on; the preview shows it as it came beside it', async () => {
    const side = await Side.start();
    const got = place('corrected');
    const port = await freePort();
    const scp = spawn('storescp', ['-od', got, '-aet', 'WS1', String(port)], { stdio: 'ignore' });
    try {
      await answering(scp, port, 'WS1');
      await side.device('WS1', port, 'store');
      await side.rules(
        {
          name: 'site',
          when: { source: 'aeTitle', equals: 'EAST_CT' },
          then: { coerce: [{ op: 'prefix', attribute: 'PatientID', text: 'E-' }] },
        },
        { name: 'on', when: { attribute: 'PatientID', like: 'E-*' }, then: { send: { devices: ['WS1'] } } },
      );
      const { files, studyUid } = write(71, 1);
      await storescu(side.box.dicomPort, files, contextProfile(folder.path, EXPLICIT, [CT]), {
        ...{ callingAe: 'EAST_CT', calledAe: 'LIGHTBOX' },
      });
      const found = (): Promise<unknown[]> =>
        side.box.getJson(`/dicom-web/studies?PatientID=E-RULED&StudyInstanceUID=${studyUid}`);
      await expect.poll(async () => (await found()).length, PATIENCE).toBe(1);
      await expect.poll(() => readdirSync(got).length, PATIENCE).toBe(1);
      await sleep(500);
      const { output } = await run('dcmdump', ['+P', '0010,0020', join(got, readdirSync(got)[0] ?? '')]);
      expect(output).toContain('[E-RULED]');
      const tried = await side.call<{
        rules: { name: string; changes: { before: string; after: string }[] }[];
      }>('POST', '/api/rules/try', {
        studyUid,
      });
      expect(tried.rules[0]?.changes).toMatchObject([
        { attribute: 'PatientID', before: 'RULED', after: 'E-RULED' },
      ]);
      await expect
        .poll(async () => (await side.events()).sort(), PATIENCE)
        .toEqual(['on sent WS1 1', 'site corrected  1']);
    } finally {
      await side.box.stop();
      await stopped(scp);
    }
  });
});

describeWith(['storescu', 'echoscu'], 'Rules and kill -9', () => {
  it('lose nothing and send nothing twice: before a study is complete, and between match and send', async () => {
    const side = await Side.start();
    const destination = await Destination.start();
    try {
      await side.device('WS1', destination.port, 'store');
      await side.rules({ name: 'all', then: { send: { devices: ['WS1'], delaySeconds: 4 } } });
      const first = write(11, 5);
      await store(side.box.dicomPort, first.files);
      // Nobody has looked at it yet.
      await side.box.kill();
      await side.box.run();
      await side.signIn();
      const wanted = async (): Promise<number> => {
        const tried = await side.call<{ rules: { send: { left: { why: string; objects: number }[] }[] }[] }>(
          'POST',
          '/api/rules/try',
          {
            studyUid: first.studyUid,
          },
        );
        return tried.rules[0]?.send[0]?.left.find(({ why }) => why === 'done')?.objects ?? 0;
      };
      await expect.poll(wanted, PATIENCE).toBe(5);
      expect(destination.arrived).toHaveLength(0);
      // Written down as wanted, not sent.
      await side.box.kill();
      await side.box.run();
      await side.signIn();
      await expect.poll(() => destination.arrived.length, PATIENCE).toBe(5);
      await sleep(5000);
      expect(new Set(destination.arrived.map(({ command }) => command.affectedSopInstanceUid)).size).toBe(5);
      expect(destination.arrived).toHaveLength(5);
      expect(await side.transfers()).toMatchObject([{ state: 'done', sent: 5 }]);
    } finally {
      destination.stop();
      await side.box.stop();
    }
  });
});

describeWith(['storescu', 'echoscu'], 'Two Lightboxes that send everything to each other', () => {
  it('send each object once, and say that it came from there', async () => {
    const [a, b] = [
      await Side.start({ LIGHTBOX_AE_TITLE: 'BOX_A' }),
      await Side.start({ LIGHTBOX_AE_TITLE: 'BOX_B' }),
    ];
    try {
      await a.device('BOX_B', b.box.dicomPort, 'store');
      await b.device('BOX_A', a.box.dicomPort, 'store');
      for (const [side, to] of [
        [a, 'BOX_B'],
        [b, 'BOX_A'],
      ] as const)
        await side.rules({ name: 'everything', then: { send: { devices: [to] } } });
      const { files, studyUid } = write(21, 4);
      await store(a.box.dicomPort, files, 'BOX_A');
      await expect.poll(() => b.has(studyUid), PATIENCE).toBe(4);
      await expect.poll(() => b.events(), PATIENCE).toEqual(['everything returned BOX_A 4']);
      await sleep(5000);
      expect(await a.transfers()).toMatchObject([{ aeTitle: 'BOX_B', sent: 4, state: 'done' }]);
      expect(await b.transfers()).toEqual([]);
    } finally {
      await a.box.stop();
      await b.box.stop();
    }
  });
});

describeWith(['storescu', 'echoscu', 'Orthanc'], 'An Orthanc that sends everything back', () => {
  it('is found as a loop: the rule stops for it, holds what comes, and goes on when a person says so', async () => {
    const side = await Side.start();
    const [port, http] = [await freePort(), await freePort()];
    const home = place('orthanc-back');
    const lua = join(home, 'back.lua');
    writeFileSync(lua, "function OnStoredInstance(id, tags, metadata) SendToModality(id, 'LIGHTBOX') end\n");
    const config = {
      ...{ StorageDirectory: home, IndexDirectory: home, DicomAet: 'BACK', DicomPort: port, HttpPort: http },
      ...{ RemoteAccessAllowed: false, DicomAlwaysAllowStore: true, LuaScripts: [lua], Plugins: [] },
      DicomModalities: { LIGHTBOX: ['LIGHTBOX', '127.0.0.1', side.box.dicomPort] },
    };
    writeFileSync(join(home, 'orthanc.json'), JSON.stringify(config));
    const child = spawn(program('Orthanc') ?? 'Orthanc', [join(home, 'orthanc.json')], {
      ...{ stdio: 'ignore', env: { ...process.env, TCP_NODELAY: '1' } },
    });
    const destination = await Destination.start();
    try {
      await answering(child, port, 'BACK');
      await side.device('BACK', port, 'store');
      await side.device('WS1', destination.port, 'store');
      await side.rules({ name: 'everything', then: { send: { devices: ['BACK', 'WS1'] } } });
      const first = write(31, 3);
      await store(side.box.dicomPort, first.files);
      await expect
        .poll(() => side.loops(), PATIENCE)
        .toMatchObject([{ rule: 'everything', aeTitle: 'BACK', ourAe: 'LIGHTBOX', held: 0 }]);
      expect((await side.events()).some((one) => one.startsWith('everything loop BACK'))).toBe(true);
      const second = write(32, 2);
      await store(side.box.dicomPort, second.files);
      // The other device goes on getting everything.
      await expect.poll(() => destination.arrived.length, PATIENCE).toBe(5);
      await expect.poll(async () => (await side.loops())[0]?.held, PATIENCE).toBe(2);
      const count = async (): Promise<number> =>
        ((await (await fetch(`http://127.0.0.1:${http}/instances`)).json()) as unknown[]).length;
      expect(await count()).toBe(3);
      const released = await side.call('POST', '/api/rules/loops/release', {
        rule: 'everything',
        aeTitle: 'BACK',
      });
      expect(released).toEqual({ objects: 2 });
      await expect.poll(count, PATIENCE).toBe(5);
    } finally {
      destination.stop();
      await side.box.stop();
      await stopped(child);
    }
  });
});

describeWith(['storescu', 'echoscu', ...ARCHIVES.map(({ needs }) => needs)], 'Prefetching of priors', () => {
  it('finds those of the patient in dcmqrscp and Orthanc, and fetches them alone', async () => {
    const side = await Side.start();
    const children: ChildProcess[] = [];
    try {
      const priors: string[] = [];
      const others: string[] = [];
      for (const [at, archive] of ARCHIVES.entries()) {
        const port = await freePort();
        const title = `${PEER}${at}`;
        const ourselves = { aeTitle: 'LIGHTBOX', port: side.box.dicomPort };
        children.push(await archive.start(place(`prior-${at}`), port, [ourselves], title));
        await side.device(title, port, 'archive');
        const mine = write(41 + at, 2);
        const other = write(51 + at, 2, { patientId: 'OTHER' });
        priors.push(mine.studyUid);
        others.push(other.studyUid);
        await store(port, [...mine.files, ...other.files], title);
      }
      await side.rules({
        name: 'priors',
        when: { attribute: 'Modality', oneOf: ['CT', 'MR'] },
        then: { prefetch: { from: [`${PEER}0`, `${PEER}1`], atMost: 5 } },
      });
      const fresh = write(61, 1);
      await store(side.box.dicomPort, fresh.files);
      for (const studyUid of priors) await expect.poll(() => side.has(studyUid), PATIENCE).toBe(2);
      await expect
        .poll(async () => (await side.events()).sort(), PATIENCE)
        .toEqual([`priors fetched ${PEER}0 1`, `priors fetched ${PEER}1 1`]);
      await sleep(3000);
      for (const studyUid of others) expect(await side.has(studyUid)).toBe(0);
      expect(await side.transfers()).toHaveLength(2);
    } finally {
      await side.box.stop();
      for (const child of children) await stopped(child);
    }
  });
});
