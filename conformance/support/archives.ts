/** Archives of other people, with their data in a temporary folder: DCMTK's dcmqrscp and Orthanc. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { program } from '../../tools/testing.ts';
import { run } from './dcmtk.ts';
import { freePort } from './lightbox.ts';

/** The AE title they have when none is given. */
export const PEER = 'PEER';

export interface Destination {
  readonly aeTitle: string;
  readonly port: number;
}

export interface Archive {
  readonly needs: string;
  /** Starts it on an empty folder. `destinations` are those it may send to by C-MOVE. */
  start(
    folder: string,
    port: number,
    destinations?: readonly Destination[],
    aeTitle?: string,
  ): Promise<ChildProcess>;
}

/** Files, PEM. */
export interface DicomTls {
  readonly certificate: string;
  readonly key: string;
  readonly trusted: string;
}

export const ARCHIVES: readonly Archive[] = [
  {
    needs: 'dcmqrscp',
    async start(folder, port, destinations = [], aeTitle = PEER) {
      mkdirSync(join(folder, 'db'), { recursive: true });
      const config = [
        ...['MaxPDUSize = 16384', 'MaxAssociations = 8', 'HostTable BEGIN'],
        ...destinations.map((one, at) => `host${at} = (${one.aeTitle}, 127.0.0.1, ${one.port})`),
        ...['HostTable END', 'VendorTable BEGIN', 'VendorTable END', 'AETable BEGIN'],
        ...[`${aeTitle} ${join(folder, 'db')} RW (100, 1024mb) ANY`, 'AETable END', ''],
      ];
      writeFileSync(join(folder, 'dcmqrscp.cfg'), config.join('\n'));
      const child = spawn('dcmqrscp', ['-c', join(folder, 'dcmqrscp.cfg'), String(port)], {
        ...{ stdio: 'ignore', env: { ...process.env, TCP_NODELAY: '1' } },
      });
      return answering(child, port, aeTitle);
    },
  },
  {
    needs: 'Orthanc',
    async start(folder, port, destinations = [], aeTitle = PEER) {
      const modalities = destinations.map((one) => [one.aeTitle, [one.aeTitle, '127.0.0.1', one.port]]);
      const config = {
        ...{ StorageDirectory: folder, IndexDirectory: folder, DicomAet: aeTitle, DicomPort: port },
        ...{ HttpPort: await freePort(), RemoteAccessAllowed: false, DicomCheckCalledAet: true },
        ...{ DicomAlwaysAllowEcho: true, DicomAlwaysAllowStore: true, DicomAlwaysAllowFind: true },
        ...{ DicomAlwaysAllowGet: true, DicomAlwaysAllowMove: true, Plugins: [] },
        DicomModalities: Object.fromEntries(modalities) as Record<string, unknown>,
      };
      writeFileSync(join(folder, 'orthanc.json'), JSON.stringify(config));
      const child = spawn(program('Orthanc') ?? 'Orthanc', [join(folder, 'orthanc.json')], {
        ...{ stdio: 'ignore', env: { ...process.env, TCP_NODELAY: '1' } },
      });
      return answering(child, port, aeTitle);
    },
  },
];

/** Orthanc that takes and makes DICOM connections over TLS alone, and wants a certificate. */
export async function orthancTls(
  folder: string,
  port: number,
  tls: DicomTls,
  destinations: readonly Destination[],
): Promise<ChildProcess> {
  const config = {
    ...{ StorageDirectory: folder, IndexDirectory: folder, DicomAet: PEER, DicomPort: port, Plugins: [] },
    ...{ HttpPort: await freePort(), RemoteAccessAllowed: false, DicomCheckCalledAet: true },
    ...{ DicomAlwaysAllowEcho: true, DicomAlwaysAllowStore: true, DicomAlwaysAllowFind: true },
    ...{ DicomAlwaysAllowGet: true, DicomAlwaysAllowMove: true },
    ...{
      DicomTlsEnabled: true,
      DicomTlsRemoteCertificateRequired: true,
      DicomTlsCertificate: tls.certificate,
    },
    ...{ DicomTlsPrivateKey: tls.key, DicomTlsTrustedCertificates: tls.trusted },
    DicomModalities: Object.fromEntries(
      destinations.map((one) => [
        one.aeTitle,
        { AET: one.aeTitle, Host: '127.0.0.1', Port: one.port, UseDicomTls: true },
      ]),
    ),
  };
  writeFileSync(join(folder, 'orthanc.json'), JSON.stringify(config));
  const child = spawn(program('Orthanc') ?? 'Orthanc', [join(folder, 'orthanc.json')], {
    ...{ stdio: 'ignore', env: { ...process.env, TCP_NODELAY: '1' } },
  });
  for (let tries = 0; tries < 300; tries += 1) {
    if (await listening(port)) return child;
    await sleep(100);
  }
  child.kill();
  throw new Error('Orthanc did not start');
}

export interface WebService {
  readonly child: ChildProcess;
  /** Of its DICOMweb root. */
  readonly url: string;
}

/** Orthanc with its DICOMweb server, which wants a user and a password. */
export async function orthancWeb(
  folder: string,
  user: { readonly name: string; readonly password: string },
): Promise<WebService> {
  const port = await freePort();
  const config = {
    ...{ StorageDirectory: folder, IndexDirectory: folder, DicomServerEnabled: false, HttpPort: port },
    ...{ RemoteAccessAllowed: true, AuthenticationEnabled: true },
    RegisteredUsers: { [user.name]: user.password },
    ...{ Plugins: [ORTHANC_DICOMWEB], DicomWeb: { Enable: true, Root: '/dicom-web/' } },
  };
  writeFileSync(join(folder, 'orthanc.json'), JSON.stringify(config));
  const child = spawn(program('Orthanc') ?? 'Orthanc', [join(folder, 'orthanc.json')], { stdio: 'ignore' });
  for (let tries = 0; tries < 300; tries += 1) {
    if (await listening(port)) return { child, url: `http://127.0.0.1:${port}/dicom-web` };
    await sleep(100);
  }
  child.kill();
  throw new Error('Orthanc did not start');
}

/** Of the Debian package orthanc-dicomweb. */
export const ORTHANC_DICOMWEB = '/usr/share/orthanc/plugins/libOrthancDicomWeb.so';

const listening = (port: number): Promise<boolean> =>
  new Promise((settle) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      settle(true);
    });
    socket.once('error', () => settle(false));
  });

async function answering(child: ChildProcess, port: number, aeTitle: string): Promise<ChildProcess> {
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await run('echoscu', ['-aec', aeTitle, '127.0.0.1', String(port)])).code === 0) return child;
    await sleep(100);
  }
  child.kill();
  throw new Error('the archive did not start');
}

/** SIGTERM, and waits for the end. */
export async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((settle) => child.once('exit', settle));
  child.kill('SIGTERM');
  await gone;
}
