/**
 * Section D of the catalogue of hostile input, each case with its number: asked of the running server over real sockets, with
 * somebody else being served throughout.
 *
 * Source: RFC 9110, RFC 9112, RFC 2046 §5.1.1, RFC 6266, PS3.18 §8.3.4, §8.3.5, §10.5.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

const STUDY = '1.2.826.0.1.3680043.6.1';
const INSTANCE = `/dicom-web/studies/${STUDY}/series/${STUDY}.1/instances/${STUDY}.1.1`;
const MULTIPART = 'multipart/related; type="application/dicom"; boundary=b';
const MIB = 1024 ** 2;

/** Of the server's own process: those of PostgreSQL share memory, which would count once for each. */
const ownBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

describe('hostile HTTP (attacks D76 to D90)', () => {
  let box: Lightbox;
  let cookie: string;
  let before = 0;
  const image = (sop: string): Buffer =>
    Buffer.from(
      ctImage({
        ...{ studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid: `${STUDY}.1.${sop}`, number: 1, side: 16 },
        ...{ patientId: 'D', chance: () => 0.5 },
      }),
    );
  const part = (content: Buffer | string, header = 'Content-Type: application/dicom'): Buffer =>
    Buffer.concat([Buffer.from(`--b\r\n${header}\r\n\r\n`), Buffer.from(content), Buffer.from('\r\n')]);
  const END = Buffer.from('--b--\r\n');
  const stow = (body: Buffer, type = MULTIPART, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${box.url}/dicom-web/studies`, {
      method: 'POST',
      headers: { authorization: `Bearer ${box.key}`, 'content-type': type, ...headers },
      body: new Uint8Array(body),
    });
  const status = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const answer = await box.get(path, headers);
    await answer.arrayBuffer();
    return answer.status;
  };
  /** Bytes as they are on a socket of its own; what came back, at the latest after `patience`. */
  const raw = (text: string | Buffer, patience = 3000): Promise<string> =>
    new Promise((settle) => {
      let got = '';
      const socket = connect(box.httpPort, '127.0.0.1', () => socket.write(text));
      const timer = setTimeout(() => socket.destroy(), patience);
      socket.on('data', (bytes: Buffer) => (got += bytes.toString('latin1')));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(timer);
        settle(got);
      });
    });
  const head = (lines: readonly string[], method = 'GET', path = '/dicom-web/studies'): string =>
    [`${method} ${path} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${box.key}`, ...lines, '', ''].join(
      '\r\n',
    );

  beforeAll(async () => {
    box = await Lightbox.ready();
    cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    expect((await stow(Buffer.concat([part(image('1')), END]))).status).toBe(200);
    before = ownBytes(box.pid);
  });
  afterAll(() => box.stop());
  /** The canary: the same process serves everybody else, with bounded memory. */
  afterEach(async () => {
    expect(box.running).toBe(true);
    expect(await status(`/dicom-web/studies?StudyInstanceUID=${STUDY}`)).toBe(200);
    expect(ownBytes(box.pid) - before).toBeLessThan(256 * MIB);
  });

  it('D76: a length of 4 GB without a body takes no memory and keeps nothing', async () => {
    const lines = [`Content-Type: ${MULTIPART}`, 'Content-Length: 4294967296'];
    expect(await raw(head(lines, 'POST') + '--b\r\n', 500)).toBe('');
    const json = ['Content-Type: application/json', 'Content-Length: 4294967296'];
    expect(await raw(head(json, 'POST', '/api/keys'), 1500)).toMatch(/^HTTP\/1.1 (403|413)/);
  });

  it('D77: a packed body is 415, however it is named', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * MIB));
    for (const encoding of ['gzip', 'deflate', 'br', 'zstd'])
      expect((await stow(bomb, MULTIPART, { 'content-encoding': encoding })).status, encoding).toBe(415);
  });

  it.each([
    [
      'no boundary',
      () => Buffer.concat([part(image('2')), END]),
      'multipart/related; type="application/dicom"',
    ],
    ['an empty boundary', () => END, 'multipart/related; type="application/dicom"; boundary=""'],
    ['a boundary of 8 KB', () => END, `multipart/related; boundary=${'x'.repeat(8192)}`],
    ['another boundary than announced', () => Buffer.from('--c\r\n\r\nx\r\n--c--\r\n'), MULTIPART],
    ['line feeds only', () => Buffer.from('--b\nContent-Type: application/dicom\n\nx\n--b--\n'), MULTIPART],
    ['a header of 1 MB', () => part('x', `X: ${'y'.repeat(MIB)}`), MULTIPART],
    ['no parts', () => END, MULTIPART],
    ['no end', () => part('x'), MULTIPART],
  ])('D78: %s is 400', async (_name, body, type) => expect((await stow(body(), type)).status).toBe(400));

  it('D78: the boundary within the data, without its line break, is data', async () => {
    const whole = image('3');
    const content = Buffer.concat([whole.subarray(0, -8), Buffer.from('--b--b\r\n')]);
    expect((await stow(Buffer.concat([part(content), END]))).status).toBe(200);
    const path = INSTANCE.replace(/1$/, '3');
    const kept = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
    expect(Buffer.from(await kept.arrayBuffer()).equals(content)).toBe(true);
  });

  it('D78: multipart within multipart is not looked into', async () => {
    const inner = Buffer.concat([part(image('4')), END]);
    const outer = Buffer.concat([
      ...[Buffer.from('--o\r\nContent-Type: multipart/related; boundary=b\r\n\r\n'), inner],
      Buffer.from('\r\n--o--\r\n'),
    ]);
    expect((await stow(outer, 'multipart/related; type="application/dicom"; boundary=o')).status).toBe(415);
    expect(await status(INSTANCE.replace(/1$/, '4'))).toBe(404);
  });

  it('D78: a million parts are ended at the limit', async () => {
    const one = Buffer.from('--b\r\nContent-Type: x/y\r\n\r\n\r\n');
    const body = Buffer.alloc(one.length * 1_000_000, one);
    const answer = await stow(body).catch(() => undefined);
    if (answer) expect([400, 413, 415]).toContain(answer.status);
    await answer?.body?.cancel();
  }, 120_000);

  it.each(['http://169.254.169.254/', 'file:///etc/passwd', '../../data/lightbox.lock'])(
    'D79: bulk data at %s, which is not part of the request, is not fetched',
    async (uri) => {
      const json = JSON.stringify([{ '7FE00010': { vr: 'OW', BulkDataURI: uri } }]);
      const type = 'multipart/related; type="application/dicom+json"; boundary=b';
      const answer = await stow(
        Buffer.concat([part(json, 'Content-Type: application/dicom+json'), END]),
        type,
      );
      expect(answer.status).toBe(409);
      const said = (await answer.json()) as Record<string, { Value: unknown[] }>;
      expect(said['0008119A']?.Value).toHaveLength(1);
      expect(said['00081199']).toBeUndefined();
    },
  );

  it.each([
    '../../../etc/passwd',
    '..%2f..%2fetc%2fpasswd',
    '7FE00010/../..',
    '00081115/99999999999/00081199',
    'x',
    '',
  ])('D80: bulk data at %j is not there', async (path) =>
    expect([400, 404]).toContain(await status(`${INSTANCE}/bulkdata/${path}`)),
  );

  it.each([
    ['limit=1e12', 400],
    ['limit=-1', 400],
    ['limit=9999999999999', 400],
    ['offset=-1', 400],
    ['offset=x', 400],
    ['limit=1&limit=2', 400],
    ['fuzzymatching=maybe', 400],
    ['StudyDate=notadate', 400],
    ['StudyInstanceUID=x', 400],
    [`${'PatientID=a&'.repeat(500)}x=1`, 200],
    [Array.from({ length: 500 }, (_, at) => `0010${String(at).padStart(4, '0')}=a`).join('&'), 400],
    ['NoSuchTag=1', 200],
    [`${Array(20).fill('00081115').join('.')}=1`, 200],
    [Array(10).fill('includefield=all').join('&'), 200],
    ['includefield=NoSuchField', 200],
    [`PatientName=${encodeURIComponent(`'; DROP TABLE study; --`)}`, 204],
    [`PatientName=${encodeURIComponent(`\\' OR 1=1 --`)}`, 204],
    ['PatientID=%00', 204],
    [`PatientName=${'*'.repeat(1000)}a`, 204],
    ['__proto__=1', 200],
    ['constructor=1&toString=1', 200],
  ])('D81: a search with %s is %i', async (query, expected) => {
    const answer = await box.get(`/dicom-web/studies?${query}`);
    const text = await answer.text();
    const wanted = expected === 200 || expected === 204 ? [200, 204, 400] : [expected];
    expect(wanted, text.slice(0, 300)).toContain(answer.status);
    if (/NoSuch|__proto__|00081115/.test(query)) expect(answer.headers.get('warning')).toMatch(/^299 /);
  });

  it.each([
    ['10 KB of qualities', Array(700).fill('a/b;q=0.1').join(',')],
    ['open quotation marks', '"'.repeat(4000)],
    ['semicolons', ';'.repeat(8000)],
    ['odd qualities', 'application/dicom;q=NaN, application/dicom;q=-1, x;q=1e99'],
    ['any transfer syntax of nothing', 'multipart/related; type=""; transfer-syntax=*'],
  ])('D82: an Accept of %s is answered', async (_name, accept) =>
    expect([200, 406, 431]).toContain(await status(INSTANCE, { accept })),
  );

  it.each([
    ['1,1,1', [200]],
    [Array(5000).fill('1').join(','), [200, 400, 404, 414, 431]],
    ['0', [400]],
    ['-1', [400]],
    ['2', [404]],
    ['1,2', [404]],
    ['1e0', [400]],
    ['999999999999', [400, 404]],
    ['', [400, 404]],
  ])('D83: frames %s', async (list, expected) =>
    expect(expected).toContain(await status(`${INSTANCE}/frames/${list}`)),
  );

  it.each([
    ...[
      'viewport=1e9,1e9',
      'viewport=0,0',
      'viewport=-1,5',
      'viewport=1',
      'viewport=16384,1',
      'viewport=a,b',
    ],
    ...['viewport=1,1,99999,99999,1,1', 'window=NaN,1', 'window=1,0', 'window=1', 'window=1,2,cubic'],
    ...['window=1e999,1', 'quality=101', 'quality=0', 'quality=-1', 'quality=x', 'quality=50&quality=60'],
  ])('D84: rendered with %s is 400', async (query) =>
    expect(await status(`${INSTANCE}/rendered?${query}`, { accept: 'image/jpeg' })).toBe(400),
  );

  it.each([
    [`bytes=${Array.from({ length: 1000 }, (_, at) => `${at}-${at}`).join(',')}`, [200, 416]],
    ['bytes=999999999-', [416]],
    ['bytes=5-1', [200, 416]],
    ['bytes=-0', [200, 416]],
    ['bytes=99999999999999999999-', [200, 416]],
    ['lines=1-2', [200]],
    ['bytes=a-b', [200]],
  ])('D85: Range %s', async (range, expected) =>
    expect(expected).toContain(
      await status(INSTANCE, { accept: 'application/dicom; transfer-syntax=*', range }),
    ),
  );

  it.each([
    ['a length and chunks', ['Content-Length: 5', 'Transfer-Encoding: chunked'], /^HTTP\/1.1 400/],
    ['two lengths', ['Content-Length: 5', 'Content-Length: 6'], /^HTTP\/1.1 400/],
    ['an unknown transfer coding', ['Transfer-Encoding: xchunked'], /^HTTP\/1.1 400/],
    ['a folded header', ['X-A: 1', ' folded'], /^HTTP\/1.1 (400|415)/],
    ['64 KB of header', [`X-A: ${'x'.repeat(65_536)}`], /^HTTP\/1.1 431/],
  ])('D86: %s is refused', async (_name, lines, expected) =>
    expect(await raw(`${head(lines, 'POST')}hello`)).toMatch(expected),
  );

  it('D86: ten thousand requests in one go are answered', async () => {
    const one = `GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`;
    const last = `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const got = await raw(one.repeat(9_999) + last, 60_000);
    expect(got.match(/HTTP\/1.1 200/g)).toHaveLength(10_000);
  }, 120_000);

  it('D87: guessing passwords is 429 with a time to wait', async () => {
    const guess = () =>
      box.post('/api/auth/sign-in/email', { email: 'x@example.org', password: 'x'.repeat(12) });
    const statuses: number[] = [];
    let wait: string | null = null;
    for (let tries = 0; tries < 7; tries += 1) {
      const answer = await guess();
      statuses.push(answer.status);
      wait ??= answer.headers.get('retry-after');
    }
    expect(statuses).toContain(429);
    expect(Number(wait)).toBeGreaterThan(0);
  });

  it.each([
    ['/api/studies?search=%00', 'GET', undefined],
    ['/api/audit?principal=%00', 'GET', undefined],
    ['/api/preferences/a', 'PUT', { a: '\0' }],
    ['/api/keys', 'POST', { name: 'a\0', rights: ['study.search'] }],
    ['/api/users', 'POST', { name: 'a\0', email: 'nul@example.org', roles: ['referrer'] }],
  ])('D81: a NUL in %s is not our failure', async (path, method, body) => {
    const answer = await fetch(box.url + path, {
      method,
      headers: { cookie, origin: box.url, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    expect(answer.status, await answer.text()).toBeLessThan(500);
  });

  it.each(['null', 'https://evil.example', 'http://127.0.0.1.evil.example', 'http://evil-127.0.0.1'])(
    'D88: the origin %s is not let in, with or without asking before',
    async (origin) => {
      const read = await fetch(`${box.url}/api/status`, { headers: { cookie, origin } });
      expect(read.headers.get('access-control-allow-origin')).toBeNull();
      const asked = await fetch(`${box.url}/dicom-web/studies`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
      expect(asked.headers.get('access-control-allow-origin')).toBeNull();
      const write = await fetch(`${box.url}/api/keys`, {
        ...{ method: 'POST', body: '{}' },
        headers: { cookie, origin, 'content-type': 'text/plain' },
      });
      expect(write.status).toBe(403);
    },
  );

  it('D89: no page of another site may frame ours; content is what its type says', async () => {
    for (const path of ['/', '/api/session', `${INSTANCE}/metadata`]) {
      const { headers } = await box.get(path);
      expect(headers.get('content-security-policy'), path).toContain("frame-ancestors 'self'");
      expect(headers.get('x-frame-options'), path).toBe('SAMEORIGIN');
      expect(headers.get('x-content-type-options'), path).toBe('nosniff');
      expect(headers.get('referrer-policy'), path).toBe('no-referrer');
    }
  });

  it.each(['%0d%0aSet-Cookie:%20a=b', 'a%22%0d%0a%0d%0a<script>'])(
    'D90: %s comes back in no header',
    async (text) => {
      for (const path of [
        ...[`/dicom-web/studies?${text}=1`, `/dicom-web/studies?includefield=${text}`],
        ...[`${INSTANCE}/bulkdata/${text}`, `/api/studies/${text}`, `/${text}`],
      ]) {
        const answer = await box.get(path);
        await answer.arrayBuffer();
        expect(answer.headers.get('set-cookie'), path).toBeNull();
        expect([...answer.headers.values()].join(' '), path).not.toContain('<script>');
      }
    },
  );
});
