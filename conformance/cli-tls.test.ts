/**
 * The command line over TLS: send, find, get and move with our own listener and with DCMTK, and what is said when a certificate is
 * not right. (PS3.15 Annex B.12, B.13)
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { stopped } from './support/archives.ts';
import { cli, type CliResult } from './support/cli.ts';
import { temporaryFolder } from './support/dcmtk.ts';
import { writeImages, type WrittenImage } from './support/images.ts';
import { freePort } from './support/lightbox.ts';
import { foreign, issueFor, type PairFiles, writePair } from './support/tls.ts';
import { Side } from './support/transfers.ts';
import { dataSetOfFile } from './support/wire.ts';

describeWith(['storescp'], 'The command line over TLS', () => {
  const side = new Side();
  const folder = temporaryFolder();
  let images: WrittenImage[];
  let study: string;
  let at: string;
  let authority: string;
  let own: PairFiles;
  let strange: PairFiles;
  let strangeAuthority: string;
  const place = (name: string): string => {
    const path = join(folder.path, name);
    mkdirSync(path);
    return path;
  };
  const good = (): string[] => ['--tls-ca', authority, '--tls-cert', own.certificate, '--tls-key', own.key];

  beforeAll(async () => {
    const tlsPort = await freePort();
    await side.start({ LIGHTBOX_DICOM_TLS_PORT: String(tlsPort) });
    at = `LIGHTBOX@127.0.0.1:${tlsPort}`;
    await side.post('/api/certificates/own', { names: ['127.0.0.1'] });
    const made = await issueFor(side.box, side.cookie, 'TERMINAL');
    authority = join(folder.path, 'authority.crt');
    writeFileSync(authority, made.authority);
    own = writePair(folder.path, 'own', made);
    const other = await foreign('TERMINAL');
    strange = writePair(folder.path, 'strange', other.pair);
    strangeAuthority = join(folder.path, 'strange-authority.crt');
    writeFileSync(strangeAuthority, other.authority.certificate);
    images = writeImages(place('images'), '980', 6, () => 0.4);
    study = images[0]?.studyUid ?? '';
    await side.device({
      aeTitle: 'TERMINAL',
      tlsOnly: true,
      verbs: ['echo', 'store', 'find', 'get', 'move'],
    });
  });
  afterAll(async () => {
    await side.box.stop();
    folder.dispose();
  });

  it.each(['bcp195', 'modified'])('sends, finds and gets with profile %s, byte for byte', async (profile) => {
    const tls = [...good(), '--tls-profile', profile];
    const sent = await cli(['send', join(folder.path, 'images'), '--to', at, '--from', 'TERMINAL', ...tls]);
    expect(sent.output).toContain('6 sent, 0 failed');
    const found = await cli([
      'find',
      '--at',
      at,
      '--calling',
      'TERMINAL',
      ...tls,
      `StudyInstanceUID=${study}`,
    ]);
    expect(found.output).toContain('1 match');
    const into = place(`got-${profile}`);
    const got = await cli([
      ...['get', '--at', at, '--calling', 'TERMINAL', '--into', into, ...tls, `StudyInstanceUID=${study}`],
    ]);
    expect(got.output).toContain('6 retrieved, 0 failed');
    for (const { sopUid, file } of images)
      expect(dataSetOfFile(readFileSync(join(into, `${sopUid}.dcm`)))).toEqual(
        dataSetOfFile(readFileSync(file)),
      );
  });

  it('moves to a third over TLS, and sends to storescp, which wants a certificate', async () => {
    const into = place('storescp');
    const port = await freePort();
    const peer = writePair(folder.path, 'peer', await issueFor(side.box, side.cookie, 'STORESCP'));
    const child = await listening(
      spawn('storescp', ['+tls', peer.key, peer.certificate, '+cf', authority, '-od', into, String(port)], {
        stdio: 'ignore',
      }),
      port,
    );
    try {
      await side.device({ aeTitle: 'STORESCP', port, tls: true });
      const moved = await cli([
        ...['move', '--at', at, '--calling', 'TERMINAL', '--to', 'STORESCP', ...good()],
        `StudyInstanceUID=${study}`,
      ]);
      expect(moved.output).toContain('6 retrieved, 0 failed');
      expect(readdirSync(into)).toHaveLength(6);
      const to = `STORESCP@127.0.0.1:${port}`;
      const sent = await cli(['send', images[0]?.file ?? '', '--to', to, ...good()]);
      expect(sent.output).toContain('1 sent, 0 failed');
      // DCMTK ends the handshake: nobody has shown a certificate.
      const nobody = await cli(['send', images[0]?.file ?? '', '--to', to, '--tls-ca', authority]);
      expect(nobody).toMatchObject({ code: 1 });
      expect(nobody.output).toMatch(/--tls-cert/);
    } finally {
      await stopped(child);
    }
  });

  it.each<[string, () => string[], RegExp, number]>([
    ['an authority that is not named', () => ['--tls'], /name that with --tls-ca/, 1],
    ['another authority', () => ['--tls-ca', strangeAuthority], /name that with --tls-ca/, 1],
    ['no certificate', () => ['--tls-ca', authority], /give one with --tls-cert and --tls-key/, 1],
    [
      'a certificate of another house',
      () => ['--tls-ca', authority, '--tls-cert', strange.certificate, '--tls-key', strange.key],
      /does not accept our certificate|ended the TLS handshake/,
      1,
    ],
    [
      'a key of another certificate',
      () => ['--tls-cert', own.certificate, '--tls-key', strange.key],
      /CERTIFICATE_KEY/,
      1,
    ],
    ['a certificate without key', () => ['--tls-cert', own.certificate], /go together/, 2],
    ['a file that is not there', () => ['--tls-ca', '/nowhere/ca.pem'], /cannot be read \(ENOENT\)/, 2],
    ['a file without certificates', () => ['--tls-ca', own.key], /no certificate in PEM form/, 2],
    ['an unknown profile', () => ['--tls-profile', 'ssl3'], /bcp195 or modified/, 2],
  ])('says what is wrong: %s', async (_name, options, words, code) => {
    const said = await cli(['find', '--at', at, '--calling', 'TERMINAL', ...options(), 'PatientID=X']);
    expect(said.output).toMatch(words);
    expect(said.code).toBe(code);
  });

  it('says so when there is no TLS on that port, or only TLS', async () => {
    const plain = `LIGHTBOX@127.0.0.1:${side.box.dicomPort}`;
    const find = (where: string, ...more: string[]): Promise<CliResult> =>
      cli(['find', '--at', where, '--calling', 'TERMINAL', '--timeout', '5', ...more, 'PatientID=X']);
    expect((await find(plain, ...good())).output).toMatch(/does not speak TLS|ended the TLS handshake/);
    expect((await find(at)).output).toMatch(/wants TLS/);
  });
});

async function listening(child: ChildProcess, port: number): Promise<ChildProcess> {
  for (let tries = 0; tries < 100; tries += 1) {
    const open = await new Promise<boolean>((settle) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        settle(true);
      });
      socket.once('error', () => settle(false));
    });
    if (open) return child;
    await sleep(50);
  }
  child.kill();
  throw new Error('nobody listens');
}
