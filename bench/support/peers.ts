/**
 * The servers under measurement: Lightbox and Debian's Orthanc, each with its own empty data folder on the same disk.
 * Orthanc runs with TCP_NODELAY=1: without it every DIMSE message stalls 44 ms and a win against it is hollow.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ADMINISTRATOR, freePort, Lightbox } from '../../conformance/support/lightbox.ts';

export interface Peer {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly dicomPort: number;
  readonly aeTitle: string;
  readonly httpPort: number;
  /** Path of the DICOMweb services, without trailing slash. */
  readonly dicomweb: string;
  readonly headers: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface LightboxPeer extends Peer {
  /** The Cookie header of a signed-in administrator. */
  readonly cookie: string;
}

/**
 * Starts Orthanc and Lightbox, each empty, runs `work` and stops them, whatever happens, a Ctrl-C included.
 */
export async function withPeers<T>(work: (peers: Peers) => Promise<T>): Promise<T> {
  const stops: Stop[] = [];
  const stopAll = async (): Promise<void> => {
    await Promise.allSettled(stops.splice(0).map((stop) => stop()));
  };
  const interrupted = (): void => void stopAll().finally(() => process.exit(130));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    const orthanc = await startOrthancPeer();
    stops.push(() => orthanc.stop());
    const lightbox = await startLightboxPeer();
    stops.push(() => lightbox.stop());
    return await work({ orthanc, lightbox, alsoStop: (stop) => stops.push(stop) });
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    await stopAll();
  }
}

type Stop = () => Promise<void>;

export interface Peers {
  readonly orthanc: Peer;
  readonly lightbox: LightboxPeer;
  /** Stops something else with them. */
  alsoStop(stop: Stop): void;
}

async function startLightboxPeer(): Promise<LightboxPeer> {
  const box = await Lightbox.ready();
  const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  const allowed = await box.post(
    '/api/devices',
    { aeTitle: 'BENCH', verbs: ['echo', 'store', 'find'] },
    { cookie },
  );
  if (!allowed.ok) throw new Error(`the bench device was not allowed: ${await allowed.text()}`);
  const session = (await (await fetch(`${box.url}/api/session`)).json()) as { version: string };
  return {
    name: 'Lightbox',
    version: session.version,
    pid: box.pid,
    dicomPort: box.dicomPort,
    aeTitle: 'LIGHTBOX',
    httpPort: box.httpPort,
    dicomweb: '/dicom-web',
    headers: { authorization: `Bearer ${box.key}` },
    cookie,
    stop: async () => {
      await box.stop();
    },
  };
}

async function startOrthancPeer(): Promise<Peer> {
  const plugins = '/usr/share/orthanc/plugins/libOrthancDicomWeb.so';
  if (!existsSync(plugins))
    throw new Error('Orthanc is not installed: apt-get install orthanc orthanc-dicomweb');
  const folder = mkdtempSync(join(tmpdir(), 'bench-orthanc-'));
  const [dicomPort, httpPort] = [await freePort(), await freePort()];
  const config = join(folder, 'orthanc.json');
  writeFileSync(
    config,
    JSON.stringify({
      Name: 'BENCH',
      StorageDirectory: join(folder, 'db'),
      IndexDirectory: join(folder, 'db'),
      Plugins: [plugins],
      DicomAet: 'ORTHANC',
      DicomPort: dicomPort,
      DicomCheckCalledAet: false,
      DicomAlwaysAllowEcho: true,
      DicomAlwaysAllowStore: true,
      DicomAlwaysAllowFind: true,
      DicomModalities: { BENCH: ['BENCH', '127.0.0.1', 1] },
      HttpPort: httpPort,
      RemoteAccessAllowed: false,
      AuthenticationEnabled: false,
      KeepAlive: true,
      TcpNoDelay: true,
      DicomWeb: { Enable: true, Root: '/dicom-web/' },
    }),
  );
  const child = spawn('Orthanc', [config], { env: { ...process.env, TCP_NODELAY: '1' }, stdio: 'ignore' });
  const url = `http://127.0.0.1:${httpPort}`;
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(`${url}/system`).catch(() => undefined);
    if (answer?.ok) {
      const system = (await answer.json()) as { Version: string };
      return {
        name: 'Orthanc',
        version: system.Version,
        pid: child.pid ?? 0,
        dicomPort,
        aeTitle: 'ORTHANC',
        httpPort,
        dicomweb: '/dicom-web',
        headers: {},
        stop: async () => {
          const ended = new Promise((settle) => child.once('exit', settle));
          child.kill('SIGTERM');
          await ended;
          rmSync(folder, { recursive: true, force: true });
        },
      };
    }
    if (tries > 200) {
      child.kill('SIGKILL');
      throw new Error('Orthanc did not start within 20 s');
    }
    await sleep(100);
  }
}
