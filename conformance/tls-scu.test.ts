/**
 * Lightbox as the one who calls over TLS: DCMTK and Orthanc answer, and what is wrong is said in plain words.
 *
 * Source: PS3.15 Annex B.12, RFC 9325 §6.1, PS3.4 §C.4.2 (C-MOVE over TLS).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issue } from '../server/src/identity/x509.ts';
import { describeWith, program } from '../tools/testing.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { foreign, issueFor, type PairFiles, selfSigned, writePair } from './support/tls.ts';

describeWith(['storescp', 'storescu', 'movescu', 'echoscu', 'openssl'], 'Lightbox calls over TLS', () => {
  const folder = temporaryFolder();
  const children: ChildProcess[] = [];
  let box: Lightbox;
  let cookie: string;
  let tlsPort: number;
  /** PEM file of our authority, as devices get it. */
  let ours: string;
  let good: PairFiles;

  const json = async <T>(method: string, path: string, body: unknown): Promise<T> => {
    const answer = await fetch(box.url + path, {
      ...{ method, body: JSON.stringify(body) },
      headers: { cookie, origin: box.url, 'content-type': 'application/json' },
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  };
  let count = 0;
  const saveDevice = (more: object): Promise<{ id: string; aeTitle: string }> =>
    json('POST', '/api/devices', { aeTitle: `PEER${(count += 1)}`, host: '127.0.0.1', tls: true, ...more });
  const echo = async (more: object): Promise<{ ok: boolean; diagnosis: string }> => {
    const { id } = await saveDevice(more);
    return json('POST', `/api/devices/${id}/echo`, {});
  };
  /** storescp on a free port, once it listens. */
  async function storescp(args: readonly string[], into = folder.path): Promise<number> {
    const port = await freePort();
    children.push(spawn('storescp', ['-od', into, ...args, String(port)], { stdio: 'ignore' }));
    for (let tries = 0; tries < 100; tries += 1) {
      const { output } = await run('sh', [
        '-c',
        `grep -i ":$(printf %04X ${port}) " /proc/net/tcp /proc/net/tcp6`,
      ]);
      if (/ 0A /.test(output)) return port;
      await sleep(50);
    }
    throw new Error('storescp does not listen');
  }
  const tls = (pair: PairFiles, trusted: string): string[] => [
    ...['+tls', pair.key, pair.certificate, '+cf', trusted],
  ];

  beforeAll(async () => {
    tlsPort = await freePort();
    box = await Lightbox.ready({ env: { LIGHTBOX_DICOM_TLS_PORT: String(tlsPort) } });
    cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGTERM');
    await box.stop();
    folder.dispose();
  });

  it('without a certificate of its own it is told what it lacks', async () => {
    const { pair, authority } = await foreign('PEER');
    await json('POST', '/api/certificates/trusted', { certificate: authority.certificate });
    const files = writePair(folder.path, 'lonely', pair);
    const port = await storescp(tls(files, files.certificate));
    const { ok, diagnosis } = await echo({ port });
    expect(ok).toBe(false);
    expect(diagnosis).toMatch(/wants a certificate from us/);
  });

  it('is answered by storescp, which wants a certificate and gets ours', async () => {
    await json('POST', '/api/certificates/own', {});
    const made = await issueFor(box, cookie, 'STORESCP', ['127.0.0.1']);
    ours = join(folder.path, 'ours.crt');
    writeFileSync(ours, made.authority);
    good = writePair(folder.path, 'good', made);
    const port = await storescp(tls(good, ours));
    expect(await echo({ port })).toMatchObject({ ok: true });
    expect(
      await echo({ port, certificate: { by: 'fingerprint', fingerprint: made.fingerprint } }),
    ).toMatchObject({
      ok: true,
    });
    const other = { by: 'fingerprint', fingerprint: '0'.repeat(64) };
    expect((await echo({ port, certificate: other })).diagnosis).toMatch(/another certificate than the one/);
  });

  describe('says what is wrong with the certificate of the device', () => {
    it.each<[string, RegExp, () => Promise<PairFiles>]>([
      ['self-signed', /signed its certificate itself/, () => selfSigned(folder.path, 'self')],
      [
        'unknown authority',
        /authority we do not trust/,
        async () => writePair(folder.path, 'foreign', (await foreign('X')).pair),
      ],
      [
        'another name',
        /names another host/,
        async () => writePair(folder.path, 'named', await issueFor(box, cookie, 'X', ['pacs.example.org'])),
      ],
      [
        'expired',
        /has expired/,
        async () => {
          const past = new Date(Date.now() - 1000 * 86_400_000);
          const { authority } = await foreign('X', past);
          await json('POST', '/api/certificates/trusted', { certificate: authority.certificate });
          const pair = await issue(authority, { commonName: 'X', names: ['127.0.0.1'] }, past);
          return writePair(folder.path, 'expired', pair);
        },
      ],
    ])('%s', async (_, words, made) => {
      const port = await storescp(tls(await made(), ours));
      const { ok, diagnosis } = await echo({ port });
      expect(ok).toBe(false);
      expect(diagnosis).toMatch(words);
    });

    it('binding the device to its self-signed certificate is enough', async () => {
      const files = await selfSigned(folder.path, 'bound');
      const { output } = await run('openssl', [
        ...['x509', '-in', files.certificate, '-noout', '-fingerprint', '-sha256'],
      ]);
      // As OpenSSL prints it: with capitals and colons.
      const fingerprint = /=([0-9A-F:]{95})/.exec(output)?.[1] ?? '';
      const port = await storescp(tls(files, ours));
      expect(await echo({ port, certificate: { by: 'fingerprint', fingerprint } })).toMatchObject({
        ok: true,
      });
    });
  });

  it('says so when the device does not trust us', async () => {
    const { authority } = await foreign('X');
    const theirs = join(folder.path, 'theirs.crt');
    writeFileSync(theirs, authority.certificate);
    const port = await storescp(tls(good, theirs));
    expect((await echo({ port })).diagnosis).toMatch(/does not accept our certificate/);
  });

  it('says so when one of the two speaks TLS and the other does not', async () => {
    const plain = await storescp([]);
    expect((await echo({ port: plain })).diagnosis).toMatch(/does not speak TLS|ended the TLS handshake/);
    expect(await echo({ port: plain, tls: false })).toMatchObject({ ok: true });
    const secure = await storescp(tls(good, ours));
    expect((await echo({ port: secure, tls: false })).diagnosis).toMatch(/wants TLS/);
  });

  it('says so when the device is silent', async () => {
    const server = createServer();
    await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    expect((await echo({ port })).diagnosis).toMatch(/did not answer the TLS handshake/);
    server.close();
  });

  it('C-MOVE goes to its destination over TLS', async () => {
    const into = join(folder.path, 'moved');
    mkdirSync(into);
    const names = { studyUid: '1.2.3.75', seriesUid: '1.2.3.75.1', sopUid: '1.2.3.75.1.1' };
    const file = join(folder.path, 'image.dcm');
    writeFileSync(file, ctImage({ ...names, number: 1, side: 64, patientId: 'TLS', chance: () => 0.5 }));
    expect((await run('storescu', ['127.0.0.1', String(box.dicomPort), file])).code).toBe(0);
    const port = await storescp([...tls(good, ours), '+xa'], into);
    const { aeTitle } = await saveDevice({ port });
    await saveDevice({ aeTitle: 'MOVER', verbs: ['echo', 'find', 'move'] });
    // DCMTK's movescu has no TLS of its own.
    const { code, output } = await run('movescu', [
      ...['-v', '-S', '-aet', 'MOVER', '-aec', 'LIGHTBOX', '-aem', aeTitle],
      ...['-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID=1.2.3.75'],
      ...['127.0.0.1', String(box.dicomPort)],
    ]);
    expect(code, output).toBe(0);
    expect(readdirSync(into)).toHaveLength(1);
  });

  describeWith(['Orthanc'], 'with Orthanc', () => {
    it('echoes both ways, each with a certificate of ours', async () => {
      const { key, certificate } = writePair(folder.path, 'orthanc', await issueFor(box, cookie, 'ORTHANC'));
      const [port, httpPort] = [await freePort(), await freePort()];
      const data = join(folder.path, 'orthanc');
      mkdirSync(data);
      await saveDevice({ aeTitle: 'ORTHANC', port, tlsOnly: true });
      writeFileSync(
        join(data, 'orthanc.json'),
        JSON.stringify({
          ...{
            StorageDirectory: data,
            IndexDirectory: data,
            DicomAet: 'ORTHANC',
            DicomPort: port,
            Plugins: [],
          },
          ...{ HttpPort: httpPort, RemoteAccessAllowed: false, AuthenticationEnabled: false },
          ...{ DicomAlwaysAllowEcho: true, DicomTlsEnabled: true, DicomTlsRemoteCertificateRequired: true },
          ...{ DicomTlsCertificate: certificate, DicomTlsPrivateKey: key, DicomTlsTrustedCertificates: ours },
          DicomModalities: {
            box: { AET: 'LIGHTBOX', Host: '127.0.0.1', Port: tlsPort, UseDicomTls: true },
          },
        }),
      );
      children.push(
        spawn(program('Orthanc') ?? 'Orthanc', [join(data, 'orthanc.json')], { stdio: 'ignore' }),
      );
      const orthanc = `http://127.0.0.1:${httpPort}`;
      for (let tries = 0; ; tries += 1) {
        if ((await fetch(`${orthanc}/system`).catch(() => undefined))?.ok) break;
        if (tries > 200) throw new Error('Orthanc did not start');
        await sleep(100);
      }
      const devices = (await (await fetch(`${box.url}/api/devices`, { headers: { cookie } })).json()) as {
        id: string;
        aeTitle: string;
      }[];
      const { id } = devices.find(({ aeTitle }) => aeTitle === 'ORTHANC') ?? { id: '' };
      expect(await json('POST', `/api/devices/${id}/echo`, {})).toMatchObject({ ok: true });
      const back = await fetch(`${orthanc}/modalities/box/echo`, { method: 'POST', body: '{}' });
      expect(back.status, await back.text()).toBe(200);
    });
  });
});
