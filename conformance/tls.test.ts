/**
 * DICOM over TLS against other people's programs: who is let in, with what, and what becomes of those who are not.
 *
 * Source: PS3.15 Annex B.12, RFC 9325, PS3.8 Table 9-21, PS3.7 §D.3.3.7; attacks C59, C60, C74.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPLICIT_LE } from '../core/src/dicom/transfer-syntax.ts';
import { VERIFICATION } from '../core/src/dimse/negotiate.ts';
import { DimseClient } from '../server/src/doors/dimse/client.ts';
import { fingerprintOf, type Pair } from '../server/src/identity/x509.ts';
import { describeWith } from '../tools/testing.ts';
import { run, temporaryFolder, type ProgramResult } from './support/dcmtk.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { foreign, issueFor, type PairFiles, selfSigned, writePair } from './support/tls.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SECRET = 'one passphrase for the wire 5';

describe('DICOM over TLS', () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  let cookie: string;
  let tlsPort: number;
  let device: Pair & { authority: string; fingerprint: string };
  let files: PairFiles;
  let authority: string;

  const send = async (method: string, path: string, body?: unknown): Promise<Response> => {
    const answer = await fetch(box.url + path, {
      method,
      headers: {
        cookie,
        origin: box.url,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  const json = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
    (await send(method, path, body)).json() as Promise<T>;
  const saveDevice = (more: object): Promise<{ id: string }> =>
    json('POST', '/api/devices', { verbs: ['echo', 'store', 'find'], ...more });
  /** The newest refusals in the trail. */
  const refusals = async (): Promise<{ detail: Record<string, string> }[]> =>
    (
      await json<{ items: { detail: Record<string, string> }[] }>(
        'GET',
        '/api/audit?event=association.refused',
      )
    ).items;

  beforeAll(async () => {
    tlsPort = await freePort();
    box = await Lightbox.ready({ env: { LIGHTBOX_DICOM_TLS_PORT: String(tlsPort) } });
    cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(async () => {
    await box.stop();
    folder.dispose();
  });

  it('listens from the moment there is a certificate, without a restart', async () => {
    interface List {
      listener: { port: number | null };
      certificates: { role: string }[];
    }
    expect((await json<List>('GET', '/api/certificates')).listener.port).toBeNull();
    await json('POST', '/api/certificates/own', {});
    const after = await json<List>('GET', '/api/certificates');
    expect(after.listener.port).toBe(tlsPort);
    expect(after.certificates.map(({ role }) => role).sort()).toEqual(['authority', 'own']);
    device = await issueFor(box, cookie, 'CT1');
    files = writePair(folder.path, 'ct1', device);
    authority = join(folder.path, 'authority.crt');
    writeFileSync(authority, device.authority);
    expect(JSON.stringify(await json('GET', '/api/certificates'))).not.toContain('PRIVATE');
    await saveDevice({ aeTitle: 'CT1' });
  });

  describeWith(['openssl'], 'handshakes of OpenSSL', () => {
    const s_client = (args: readonly string[], input = ''): Promise<ProgramResult> =>
      run('sh', [
        '-c',
        `(sleep 0.3; printf '${input}'; sleep 0.7) | timeout 10 openssl s_client -connect 127.0.0.1:${tlsPort} ` +
          `-CAfile ${authority} -cert ${files.certificate} -key ${files.key} ${args.join(' ')} 2>&1`,
      ]);

    it.each([
      ['TLS 1.3', '-tls1_3', 'TLS_AES_256_GCM_SHA384'],
      ['TLS 1.2', '-tls1_2', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
      ['TLS 1.2, AES-128', '-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
    ])('%s is spoken', async (_, args, cipher) => {
      const { output } = await s_client(args.split(' '));
      expect(output).toContain('Verify return code: 0 (ok)');
      expect(output).toMatch(new RegExp(`Cipher (is|    :) ${cipher}`));
    });

    it.each([
      ['TLS 1.1', '-tls1_1 -cipher ALL:@SECLEVEL=0'],
      ['TLS 1.0', '-tls1 -cipher ALL:@SECLEVEL=0'],
      ['CBC', '-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384'],
      ['RSA key transport', '-tls1_2 -cipher AES256-GCM-SHA384:AES128-SHA'],
      ['finite-field DHE', '-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384'],
      ['no encryption', '-tls1_2 -cipher eNULL:@SECLEVEL=0'],
      ['anonymous', '-tls1_2 -cipher aNULL:@SECLEVEL=0'],
      ['a curve below 256 bits', '-tls1_2 -curves P-224'],
    ])('%s is refused (attacks C74)', async (_, args) => {
      const { output } = await s_client(args.split(' '));
      expect(output).toContain('Cipher is (NONE)');
    });

    it('does not negotiate anew, and resumes nothing: trust is asked for each time', async () => {
      const { output } = await s_client(['-tls1_2'], 'R\\n');
      expect(output).toMatch(/RENEGOTIATING[\s\S]*(no renegotiation|error)/i);
      for (const version of ['-tls1_2', '-tls1_3']) {
        const session = join(folder.path, 'session');
        await s_client([version, '-sess_out', session]);
        expect((await s_client([version, '-sess_in', session])).output).toMatch(/^New, TLSv/m);
      }
    });
  });

  describeWith(['echoscu', 'storescu', 'storescp', 'openssl'], 'with DCMTK', () => {
    const echoscu = (args: readonly string[], port = tlsPort): Promise<ProgramResult> =>
      run('echoscu', [
        '-v',
        '-to',
        '10',
        '-aet',
        'CT1',
        '-aec',
        'LIGHTBOX',
        ...args,
        '127.0.0.1',
        String(port),
      ]);
    const withKey = (pair: PairFiles): string[] => [
      ...['+tls', pair.key, pair.certificate, '+cf', authority],
    ];

    it.each(['+py', '+px', '+pz'])(
      'echoscu with a certificate of ours is answered (profile %s)',
      async (profile) => {
        const { code, output } = await echoscu([...withKey(files), profile]);
        expect(code, output).toBe(0);
        expect(output).toContain('Received Echo Response (Success)');
      },
    );

    it('storescu sends an image, byte for byte as over the plain port', async () => {
      const names = { studyUid: '1.2.3.74', seriesUid: '1.2.3.74.1', sopUid: '1.2.3.74.1.1' };
      const bytes = ctImage({ ...names, number: 1, side: 64, patientId: 'TLS', chance: () => 0.5 });
      const file = join(folder.path, 'image.dcm');
      writeFileSync(file, bytes);
      const { code, output } = await run('storescu', [
        ...['-v', '-aet', 'CT1', '-aec', 'LIGHTBOX', ...withKey(files), '127.0.0.1', String(tlsPort), file],
      ]);
      expect(code, output).toBe(0);
      expect(output).toContain('Received Store Response (Success)');
      const found = await box.getJson<unknown[]>('/dicom-web/studies?StudyInstanceUID=1.2.3.74');
      expect(found).toHaveLength(1);
    });

    it('one that shows no certificate is refused, and written down', async () => {
      const { code } = await echoscu(['+tla', '-ic']);
      expect(code).not.toBe(0);
      expect((await refusals())[0]?.detail).toMatchObject({ reason: 'TLS: shows no certificate', tls: true });
    });

    it.each<[string, string, () => Promise<PairFiles>]>([
      ['self-signed', 'self-signed', () => selfSigned(folder.path, 'self')],
      [
        'of an unknown authority',
        'authority of its certificate is not trusted',
        async () => writePair(folder.path, 'foreign', (await foreign('CT1')).pair),
      ],
    ])('a certificate that is %s is refused', async (_, words, made) => {
      const { code } = await echoscu(withKey(await made()));
      expect(code).not.toBe(0);
      expect((await refusals())[0]?.detail['reason']).toContain(words);
    });

    it('an authority or a single certificate that was entered is trusted, until it is taken away or expires', async () => {
      const house = await foreign('CT1');
      const pair = writePair(folder.path, 'house', house.pair);
      const single = await selfSigned(folder.path, 'single');
      for (const [certificate, key] of [
        [house.authority.certificate, pair],
        [readFileSync(single.certificate, 'latin1'), single],
      ] as const) {
        const trusted = await json<{ id: string }>('POST', '/api/certificates/trusted', { certificate });
        const { code, output } = await echoscu(withKey(key));
        expect(code, output).toBe(0);
        await send('DELETE', `/api/certificates/${trusted.id}`);
        expect((await echoscu(withKey(key))).code).not.toBe(0);
      }
      // An authority whose time is not over, and a certificate of it whose time is.
      const past = new Date(Date.now() - 1000 * 86_400_000);
      const old = await foreign('CT1', past);
      await json('POST', '/api/certificates/trusted', { certificate: old.authority.certificate });
      expect((await echoscu(withKey(writePair(folder.path, 'old', old.pair)))).code).not.toBe(0);
      expect((await refusals())[0]?.detail['reason']).toBe('TLS: its certificate has expired');
    });

    it('without TLS on the TLS port there is no answer', async () => {
      expect((await echoscu([])).code).not.toBe(0);
      expect((await refusals())[0]?.detail['reason']).toMatch(/without TLS|ended/);
    });

    it('counts what was refused', async () => {
      const { key } = await json<{ key: string }>('POST', '/api/keys', {
        name: 'm',
        rights: ['metrics.read'],
      });
      const answer = await fetch(`${box.url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
      expect(await answer.text()).toMatch(/lightbox_dicom_tls_refused_total\{reason="noCertificate"\} [1-9]/);
    });

    it('a device bound to its certificate gets in with it alone (attacks C60)', async () => {
      await saveDevice({
        ...{ aeTitle: 'BOUND', certificate: { by: 'fingerprint', fingerprint: device.fingerprint } },
      });
      const other = writePair(folder.path, 'other', await issueFor(box, cookie, 'OTHER'));
      const as = ['-aet', 'BOUND'];
      expect((await echoscu([...as, ...withKey(files)])).code).toBe(0);
      const wrong = await echoscu([...as, ...withKey(other)]);
      expect(wrong.output).toMatch(/Calling AE Title Not Recognized/i);
      const { certificates } = await json<{ certificates: { role: string; fingerprint: string }[] }>(
        ...(['GET', '/api/certificates'] as const),
      );
      const ours = certificates.find(({ role }) => role === 'authority')?.fingerprint.toUpperCase();
      const named = { by: 'subject', authority: ours?.replaceAll(/(..)(?=.)/g, '$1:') };
      await saveDevice({ aeTitle: 'NAMED', certificate: { ...named, subject: 'CN=OTHER, O=Lightbox' } });
      expect((await echoscu(['-aet', 'NAMED', ...withKey(other)])).code).toBe(0);
      expect((await echoscu(['-aet', 'NAMED', ...withKey(files)])).code).not.toBe(0);
      const plain = await echoscu(as, box.dicomPort);
      expect(plain.output).toMatch(/Calling AE Title Not Recognized/i);
      expect((await refusals())[0]?.detail['reason']).toBe('has to use TLS');
    });

    it('answers a search under another of our AE titles with that one (PS3.4 §C.4.1.1.3.2)', async () => {
      await json('POST', '/api/local-aes', { aeTitle: 'RESEARCH', verbs: ['echo', 'find'] });
      const search = ['-S', '-v', '-aet', 'CT1', '-aec', 'RESEARCH', ...withKey(files)];
      const keys = ['-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID=1.2.3.74'];
      const { output } = await run('findscu', [...search, ...keys, '127.0.0.1', String(tlsPort)]);
      expect(output).toMatch(/\(0008,0054\) AE \[RESEARCH/);
      const store = ['-v', '-aet', 'CT1', '-aec', 'RESEARCH', ...withKey(files)];
      const file = join(folder.path, 'image.dcm');
      const refused = await run('storescu', [...store, '127.0.0.1', String(tlsPort), file]);
      expect(refused.output).toMatch(/0x0?124/i);
    });

    it('an association goes on while certificates are changed; the next one gets the new one', async () => {
      const dial = {
        ...{ profile: 'bcp195' as const, own: device, bound: undefined },
        trusted: [device.authority],
      };
      const options = {
        ...{ host: '127.0.0.1', port: tlsPort, calledAe: 'LIGHTBOX', callingAe: 'CT1', tls: dial },
        contexts: [{ sopClassUid: VERIFICATION, transferSyntaxUids: [EXPLICIT_LE] }],
      };
      const shown = (): Promise<string> =>
        new Promise((settle, fail) => {
          const socket = connect(
            {
              host: '127.0.0.1',
              port: tlsPort,
              ca: device.authority,
              cert: device.certificate,
              key: device.privateKey,
            },
            () => {
              const seen = socket.getPeerX509Certificate();
              socket.destroy();
              settle(seen ? fingerprintOf(seen.raw) : '');
            },
          );
          socket.once('error', fail);
        });
      const before = await shown();
      const client = await DimseClient.open(options);
      const made = await json<{ fingerprint: string }>('POST', '/api/certificates/own', {});
      expect(await client.echo()).toBe(0);
      expect(await shown()).toBe(made.fingerprint);
      expect(made.fingerprint).not.toBe(before);
      await client.close();
      const again = await DimseClient.open(options);
      expect(await again.echo()).toBe(0);
      await again.close();
    });

    describe('user identity (PS3.7 §D.3.3.7)', () => {
      const store = (args: readonly string[], plain = false): Promise<ProgramResult> =>
        run('storescu', [
          ...['-v', '-aet', 'READER', '-aec', 'LIGHTBOX', ...(args.length ? ['-rsp'] : []), ...args],
          ...(plain ? [] : withKey(files)),
          ...['127.0.0.1', String(plain ? box.dicomPort : tlsPort), join(folder.path, 'image.dcm')],
        ]);

      beforeAll(async () => {
        await saveDevice({ aeTitle: 'READER', identity: 'verified' });
        for (const [name, roles] of [
          ['tech', ['technologist']],
          ['ref', ['referrer']],
        ] as const) {
          const email = `${name}@example.org`;
          const { link } = await json<{ link: string }>('POST', '/api/users', { name, email, roles });
          const token = link.split('#')[1];
          const answer = await box.post('/api/invitations/accept', { token, password: SECRET });
          expect(answer.status).toBe(204);
        }
      });

      it('a passcode that is right opens, and the trail names the person', async () => {
        const { code, output } = await store(['-usr', 'tech@example.org', '-pwd', SECRET]);
        expect(code, output).toBe(0);
        const { items } = await json<{ items: { principalName: string; outcome: string }[] }>(
          ...(['GET', '/api/audit?event=store'] as const),
        );
        expect(items[0]).toMatchObject({ principalName: 'tech', outcome: 'success' });
      });

      it('the person has no more rights than their role: a referrer stores nothing', async () => {
        const { output } = await store(['-usr', 'ref@example.org', '-pwd', SECRET]);
        expect(output).toMatch(/Not authorized|0x0?124/i);
      });

      it.each([
        ['no user', []],
        ['a name alone, where a proof is wanted', ['-usr', 'tech@example.org']],
        ['a wrong passcode', ['-usr', 'tech@example.org', '-pwd', 'wrong passphrase 12']],
        ['a user nobody knows', ['-usr', 'nobody@example.org', '-pwd', SECRET]],
        ['an empty passcode', ['-usr', 'tech@example.org', '-epw']],
      ])('%s is refused', async (_, args) => {
        const { output } = await store(args);
        expect(output).toMatch(/Association Rejected[\s\S]*No Reason/i);
      });

      it('an API key is a proof too: as passcode and as token', async () => {
        const { key } = await json<{ key: string }>('POST', '/api/keys', {
          name: 'm',
          rights: ['study.store'],
        });
        const token = join(folder.path, 'token');
        writeFileSync(token, key);
        for (const args of [
          ['--jwt', token],
          ['-usr', 'whoever', '-pwd', key],
        ]) {
          const { code, output } = await store(args);
          expect(code, output).toBe(0);
        }
      });

      it('Kerberos and SAML are refused: nothing here could check them', async () => {
        const ticket = join(folder.path, 'ticket');
        writeFileSync(ticket, 'ticket');
        for (const [option, words] of [
          ['-kt', 'Kerberos is not configured'],
          ['--saml', 'SAML is not configured'],
        ] as const) {
          expect((await store([option, ticket])).output).toMatch(/Association Rejected/i);
          expect((await refusals())[0]?.detail['reason']).toBe(words);
        }
      });

      it('guessing is slowed down, and no passcode is in the log', async () => {
        // At once, so that the wait they earn is minutes and not over before the next, however slow the machine is.
        await Promise.all(
          Array.from({ length: 12 }, () => store(['-usr', 'ref@example.org', '-pwd', 'wrong passphrase 34'])),
        );
        const { output } = await store(['-usr', 'ref@example.org', '-pwd', SECRET]);
        expect(output).toMatch(/Rejected Transient/i);
        expect(box.output).not.toMatch(/passphrase/);
      });
    });
  });
});

describeWith(['openssl', 'echoscu'], 'certificates of peers optional, profile of PS3.15 Annex B.13', () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  let tlsPort: number;
  let authority: string;

  beforeAll(async () => {
    tlsPort = await freePort();
    box = await Lightbox.ready({
      env: {
        LIGHTBOX_DICOM_TLS_PORT: String(tlsPort),
        LIGHTBOX_DICOM_TLS_CLIENTS: 'optional',
        LIGHTBOX_DICOM_TLS_PROFILE: 'modified',
      },
    });
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    expect((await box.post('/api/certificates/own', {}, { cookie })).status).toBe(200);
    authority = join(folder.path, 'authority.crt');
    writeFileSync(authority, (await issueFor(box, cookie, 'X')).authority);
  });
  afterAll(async () => {
    await box.stop();
    folder.dispose();
  });

  const handshake = async (args: string): Promise<boolean> => {
    const command = `openssl s_client -connect 127.0.0.1:${tlsPort} -CAfile ${authority} ${args} </dev/null 2>&1`;
    return !(await run('sh', ['-c', command])).output.includes('Cipher is (NONE)');
  };

  it('one without a certificate comes in, one with a bad one does not', async () => {
    const echo = (...args: string[]) => run('echoscu', ['-v', ...args, '127.0.0.1', String(tlsPort)]);
    expect((await echo('+tla', '-ic')).code).toBe(0);
    const self = await selfSigned(folder.path, 'self');
    expect((await echo('+tls', self.key, self.certificate, '+cf', authority)).code).not.toBe(0);
  });

  it.each([
    ['-tls1_2 -cipher ECDHE-ECDSA-AES256-CCM', true],
    ['-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305', true],
    ['-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256', true],
    ['-curves P-384', true],
    // 255 bits.
    ['-curves X25519', false],
    ['-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA384', false],
  ])('%s: %s', async (args, spoken) => {
    expect(await handshake(args)).toBe(spoken);
  });
});
