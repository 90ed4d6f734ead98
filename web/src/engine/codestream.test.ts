import { expect, it } from 'vitest';
import { hasCodestream } from './codestream.ts';

const part = (syntax: string, ...bytes: number[]): Uint8Array =>
  new Uint8Array([
    ...new TextEncoder().encode(`--b\r\nContent-Type: image/jp2; transfer-syntax=${syntax}\r\n\r\n`),
    ...bytes,
  ]);

it('refuses JPEG 2000 without SOC and SIZ, and nothing else', () => {
  expect(hasCodestream(part('1.2.840.10008.1.2.4.90', 0xff, 0x4f, 0xff, 0x51, 0))).toBe(true);
  expect(hasCodestream(part('1.2.840.10008.1.2.4.90', 0, 0, 0, 0, 0))).toBe(false);
  expect(hasCodestream(part('1.2.840.10008.1.2.4.201', 0xff, 0x4f))).toBe(false);
  expect(hasCodestream(part('1.2.840.10008.1.2.1', 0, 0))).toBe(true);
});
