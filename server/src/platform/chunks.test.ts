import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunksOf, release } from './chunks.ts';

let server: Server;
let sender: Socket;
let receiver: Socket;

beforeEach(async () => {
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const taken = once(server, 'connection') as Promise<[Socket]>;
  sender = connect((server.address() as AddressInfo).port, '127.0.0.1');
  [receiver] = await taken;
});
afterEach(() => {
  sender.destroy();
  receiver.destroy();
  server.close();
});

describe('Chunks of a socket', () => {
  it('come whole and in order, also to a slow reader', async () => {
    const bytes = randomBytes(5_000_000);
    sender.end(bytes);
    const hash = createHash('sha256');
    for await (const chunk of chunksOf(receiver)) {
      hash.update(chunk);
      await turn();
    }
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it('are empty once the next was asked for: their memory is given back', async () => {
    sender.end(randomBytes(1_000_000));
    const seen: Buffer[] = [];
    for await (const chunk of chunksOf(receiver)) seen.push(chunk);
    expect(seen.length).toBeGreaterThan(3);
    // Small ones are left to the garbage collector.
    expect(Math.max(...seen.map((chunk) => chunk.length))).toBeLessThan(8 * 1024);
  });

  it('end with a failure when the stream is cut off', async () => {
    sender.write('half');
    const read = async (): Promise<void> => {
      for await (const _chunk of chunksOf(receiver)) sender.resetAndDestroy();
    };
    await expect(read()).rejects.toThrow();
  });

  it('end with a failure when the stream was cut off before', async () => {
    receiver.destroy();
    await once(receiver, 'close');
    await expect(chunksOf(receiver).next()).rejects.toThrow();
  });
});

describe('Giving memory back', () => {
  it('leaves a part of something larger alone', () => {
    const whole = Buffer.alloc(100_000, 1);
    release(whole.subarray(0, 50_000));
    expect(whole[0]).toBe(1);
    release(whole);
    expect(whole).toHaveLength(0);
  });
});
