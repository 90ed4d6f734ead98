import { expect, it } from 'vitest';
import { isWholeFrame } from './codestream.ts';

const answer = (syntax: string, ...bytes: number[]): Uint8Array =>
  new Uint8Array([
    ...new TextEncoder().encode(`--b\r\nContent-Type: image/jp2; transfer-syntax=${syntax}\r\n\r\n`),
    ...bytes,
    ...new TextEncoder().encode('\r\n--b--\r\n'),
  ]);
const JPEG_2000 = '1.2.840.10008.1.2.4.90';
const SOC_SIZ = [0xff, 0x4f, 0xff, 0x51, 0, 2];
/** A tile-part of 14 bytes: SOT with its length, SOD. */
const TILE = [0xff, 0x90, 0, 10, 0, 0, 0, 0, 0, 14, 0, 1, 0xff, 0x93];

it.each([
  ['JPEG 2000 to its end', JPEG_2000, [...SOC_SIZ, ...TILE, 0xff, 0xd9], true],
  ['JPEG 2000 without EOC after a whole tile-part', JPEG_2000, [...SOC_SIZ, ...TILE], true],
  ['JPEG 2000 cut inside a tile-part', JPEG_2000, [...SOC_SIZ, ...TILE.slice(0, -1)], false],
  ['JPEG 2000 without a beginning', JPEG_2000, [0, 0, 0, 0, 0, 0], false],
  ['HTJ2K cut in its header', '1.2.840.10008.1.2.4.201', [0xff, 0x4f], false],
  ['JPEG with EOI and a padding byte', '1.2.840.10008.1.2.4.50', [0xff, 0xd8, 1, 0xff, 0xd9, 0], true],
  ['JPEG cut off', '1.2.840.10008.1.2.4.50', [0xff, 0xd8, 1, 2, 3, 4], false],
  ['JPEG-LS cut off', '1.2.840.10008.1.2.4.80', [0xff, 0xd8, 1, 2, 3, 4], false],
  ['uncompressed pixels', '1.2.840.10008.1.2.1', [0, 0], true],
])('%s', (_name, syntax, bytes, whole) => expect(isWholeFrame(answer(syntax, ...bytes))).toBe(whole));
