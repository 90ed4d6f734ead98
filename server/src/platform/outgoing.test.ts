import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Outgoing, type Pieces } from './outgoing.ts';

const PIECE = 100_000;
let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** Pieces in one and the same memory: who looks at one too late sees the next. */
async function* pieces(count: number, ended: () => void = () => undefined): Pieces {
  const memory = Buffer.alloc(PIECE);
  try {
    for (let index = 0; index < count; index += 1) {
      yield await Promise.resolve(memory.fill(index));
    }
  } finally {
    ended();
  }
}

function expected(count: number): string {
  const hash = createHash('sha256');
  for (let index = 0; index < count; index += 1) hash.update(Buffer.alloc(PIECE, index));
  return hash.digest('hex');
}

async function ask(body: () => Outgoing): Promise<IncomingMessage> {
  server = createServer((_request, response) => {
    const stream = body();
    response.on('close', () => stream.destroy());
    stream.pipe(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const asking = request({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  asking.end();
  const [answer] = (await once(asking, 'response')) as [IncomingMessage];
  return answer;
}

describe('Bytes on their way out', () => {
  it('arrive whole at a slow reader, although every piece is in the same memory', async () => {
    const answer = await ask(() => new Outgoing(pieces(100)));
    const hash = createHash('sha256');
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      hash.update(chunk);
      await turn();
    }
    expect(hash.digest('hex')).toBe(expected(100));
  });

  it('stop being made when the reader leaves', async () => {
    let ended = false;
    const answer = await ask(() => new Outgoing(pieces(1_000_000, () => (ended = true))));
    await once(answer, 'data');
    answer.destroy();
    for (let tries = 0; !ended && tries < 200; tries += 1) await sleep(10);
    expect(ended).toBe(true);
  });

  it('are copied for who reads them in another way', async () => {
    const chunks = (await new Outgoing(pieces(20)).toArray()) as Buffer[];
    expect(createHash('sha256').update(Buffer.concat(chunks)).digest('hex')).toBe(expected(20));
  });

  it('go through a pipeline', async () => {
    const hash = createHash('sha256');
    const through = new PassThrough();
    const done = pipeline(new Outgoing(pieces(30)), through);
    for await (const chunk of through) hash.update(chunk as Buffer);
    await done;
    expect(hash.digest('hex')).toBe(expected(30));
  });

  it('fail as a stream does, before the first byte and after', async () => {
    async function* broken(count: number): Pieces {
      yield* pieces(count);
      throw new Error('the disk');
    }
    for (const count of [0, 3]) {
      let failed: Promise<unknown[]> | undefined;
      const answer = ask(() => {
        const stream = new Outgoing(broken(count));
        failed = once(stream, 'error').finally(() => server?.closeAllConnections());
        return stream;
      });
      await answer.then(
        (one) => one.on('error', () => undefined).resume(),
        () => undefined,
      );
      expect(await failed).toMatchObject([{ message: 'the disk' }]);
    }
  });
});
