import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HttpConnection, partsOf } from './http.ts';

describe('the measuring HTTP connection (RFC 9112)', () => {
  let server: Server;
  let connection: HttpConnection;
  let sockets = 0;
  const long = Buffer.alloc(300_000, 'abc\r\n');

  beforeAll(async () => {
    server = createServer((request, response) => {
      let received = 0;
      request.on('data', (chunk: Buffer) => (received += chunk.length));
      request.on('end', () => {
        if (request.url === '/counted') response.setHeader('content-length', long.length).end(long);
        else if (request.url === '/empty') response.writeHead(204).end();
        else if (request.url === '/close') response.setHeader('connection', 'close').end('last');
        else if (request.url === '/silent') return;
        else if (request.url === '/posted') response.end(String(received));
        else if (request.url === '/parts') {
          response.setHeader('content-type', 'multipart/related; type="a/b"; boundary=cut');
          response.end(
            '--cut\r\nContent-Type: a/b\r\n\r\none\r\n--cut\r\nContent-Type: a/b\r\n\r\n\r\n--cut--\r\n',
          );
        } else {
          // Chunked, in pieces of many sizes.
          for (let at = 0, size = 1; at < long.length; at += size, size = (size * 7) % 9973)
            response.write(long.subarray(at, at + size));
          response.end();
        }
      });
    });
    server.on('connection', () => (sockets += 1));
    await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
    connection = new HttpConnection((server.address() as AddressInfo).port);
  });
  afterAll(() => {
    connection.close();
    server.close();
  });

  it('reads bodies with a length, in chunks, and empty ones, one after the other on one connection', async () => {
    for (const path of ['/counted', '/chunked', '/empty', '/chunked', '/counted']) {
      const { status, bytes, body } = await connection.ask({ path, keep: true });
      const wanted = path === '/empty' ? Buffer.alloc(0) : long;
      expect([path, status, bytes, body?.equals(wanted)]).toEqual([
        ...[path, path === '/empty' ? 204 : 200, wanted.length, true],
      ]);
    }
    expect([sockets, connection.reopened]).toEqual([1, 0]);
  });

  it('sends a body of several pieces', async () => {
    const body = [long, Buffer.from('xyz')];
    const answer = await connection.ask({ path: '/posted', method: 'POST', body, keep: true });
    expect(answer.body?.toString()).toBe(String(long.length + 3));
  });

  it('opens a connection again that the server ended, and says so', async () => {
    expect((await connection.ask({ path: '/close', keep: true })).body?.toString()).toBe('last');
    expect((await connection.ask({ path: '/counted' })).bytes).toBe(long.length);
    expect(connection.reopened).toBe(1);
  });

  it('takes a multipart answer apart (RFC 2046 §5.1.1)', async () => {
    const parts = partsOf(await connection.ask({ path: '/parts', keep: true }));
    expect(parts.map(String)).toEqual(['one', '']);
  });

  it('says when the server goes away in the middle', async () => {
    const fresh = new HttpConnection((server.address() as AddressInfo).port);
    const answer = fresh.ask({ path: '/silent' });
    const failed = expect(answer).rejects.toThrow(/closed the connection/);
    await new Promise((settle) => setTimeout(settle, 50));
    server.closeAllConnections();
    await failed;
  });
});
