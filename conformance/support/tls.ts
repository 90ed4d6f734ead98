/** Keys and certificates as files, for programs that take them so. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { issue, makeAuthority, type Pair } from '../../server/src/identity/x509.ts';
import type { Lightbox } from './lightbox.ts';
import { run } from './dcmtk.ts';

export interface PairFiles {
  readonly certificate: string;
  readonly key: string;
}

export function writePair(folder: string, name: string, pair: Pair): PairFiles {
  const files = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  writeFileSync(files.certificate, pair.certificate);
  writeFileSync(files.key, pair.privateKey, { mode: 0o600 });
  return files;
}

/** As the administrator would ask for it. */
export async function issueFor(
  box: Lightbox,
  cookie: string,
  commonName: string,
  names: readonly string[] = ['127.0.0.1', 'localhost'],
): Promise<Pair & { authority: string; fingerprint: string }> {
  const answer = await box.post('/api/certificates/issued', { commonName, names }, { cookie });
  if (!answer.ok) throw new Error(`not issued: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Pair & { authority: string; fingerprint: string };
}

/** TLS in front of a web server, as a reverse proxy does it: wants a certificate of `clients` when those are given. */
export async function tlsInFront(
  url: string,
  { certificate, privateKey }: Pair,
  clients?: string,
): Promise<{ readonly url: string; readonly shown: (string | undefined)[]; close(): void }> {
  const { port } = new URL(url);
  const shown: (string | undefined)[] = [];
  const server = createServer(
    {
      ...{ cert: certificate, key: privateKey },
      ...(clients === undefined ? {} : { requestCert: true, rejectUnauthorized: true, ca: clients }),
    },
    (socket) => {
      shown.push(new Map(Object.entries(socket.getPeerCertificate())).get('fingerprint256') as string);
      const behind = connect(Number(port), '127.0.0.1');
      socket.pipe(behind).pipe(socket);
      for (const one of [socket, behind])
        one.on('error', () => {
          socket.destroy();
          behind.destroy();
        });
    },
  );
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  const address = server.address();
  const at = typeof address === 'object' && address ? address.port : 0;
  return {
    url: url.replace(`http://127.0.0.1:${port}`, `https://127.0.0.1:${at}`),
    shown,
    close: () => void server.close(),
  };
}

/** An authority of another house and what it issues, at any time. */
export async function foreign(
  commonName: string,
  now = new Date(),
): Promise<{ authority: Pair; pair: Pair }> {
  const authority = await makeAuthority('Another house', now);
  return { authority, pair: await issue(authority, { commonName, names: ['127.0.0.1'] }, now) };
}

/** A certificate that signed itself, made by OpenSSL. */
export async function selfSigned(folder: string, name: string): Promise<PairFiles> {
  const files = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  const { code, output } = await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`, '-days', '30'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', files.key, '-out', files.certificate],
  ]);
  if (code !== 0) throw new Error(output);
  return files;
}
