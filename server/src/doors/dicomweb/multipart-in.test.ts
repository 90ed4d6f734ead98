import { describe, expect, it } from 'vitest';
import { readMultipart } from './multipart-in.ts';

/** Looks like a delimiter until its last byte, and ends in what may begin one. */
const CONTENTS = ['first\r\n--b\r\n--boun', '', '\r\n\r\n--boundar', 'x'.repeat(500) + '\r', 'last\r\n--'];

function message(): Buffer {
  const parts = CONTENTS.map(
    (text) => `\r\n--boundary\r\nContent-Type: application/dicom\r\n\r\n${text}`,
  ).join('');
  return Buffer.from(`preamble${parts}\r\n--boundary--\r\nepilogue`);
}

/** In pieces of one size, each overwritten as soon as the next is asked for: as memory of a socket would be. */
async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    const piece = Buffer.from(bytes.subarray(at, at + size));
    yield await Promise.resolve(piece);
    piece.fill(0xee);
  }
}

describe('multipart/related while it arrives (RFC 2046 §5.1.1)', () => {
  it('gives every part whole, wherever the chunks are cut', async () => {
    const bytes = message();
    for (let size = 1; size <= bytes.length; size += 1) {
      const parts: string[] = [];
      for await (const part of readMultipart(inPieces(bytes, size), 'boundary')) {
        expect(part.type).toBe('application/dicom');
        let text = '';
        for await (const piece of part.body) text += Buffer.from(piece).toString('latin1');
        parts.push(text);
      }
      expect(parts, `pieces of ${size}`).toEqual(CONTENTS);
    }
  });

  it.each([
    ['read to its end', 'boundary'],
    ['refused', 'other'],
  ])('lets go of a body that was %s', async (_name, boundary) => {
    let released = false;
    async function* body(): AsyncGenerator<Uint8Array> {
      try {
        yield* inPieces(message(), 50);
        yield* inPieces(message(), 50);
      } finally {
        released = true;
      }
    }
    const read = async (): Promise<void> => {
      for await (const _part of readMultipart(body(), boundary)) continue;
    };
    await read().catch(() => undefined);
    expect(released).toBe(true);
  });

  it('skips what nobody reads', async () => {
    let parts = 0;
    for await (const _part of readMultipart(inPieces(message(), 7), 'boundary')) parts += 1;
    expect(parts).toBe(CONTENTS.length);
  });

  it.each([
    ['no boundary', undefined, 'BAD_REQUEST'],
    ['a boundary of 201 characters', 'x'.repeat(201), 'BAD_REQUEST'],
    ['another boundary', 'other', 'MULTIPART_BROKEN'],
  ])('refuses %s', async (_, boundary, code) => {
    const read = async (): Promise<void> => {
      for await (const _part of readMultipart(inPieces(message(), 50), boundary)) continue;
    };
    await expect(read()).rejects.toMatchObject({ code });
  });
});
