/**
 * Stored grey values to 8-bit grey: rescale, then window.
 *
 * Source: PS3.3 §C.11.1.1.2 (rescale), §C.11.2.1.2 (LINEAR), §C.11.2.1.3 (LINEAR_EXACT, SIGMOID), §C.7.5.1.1.2 (padding).
 * Layer:  server/archive. No I/O.
 */
import type { WindowOption } from './types.ts';

export interface GreyInput {
  readonly count: number;
  readonly bitsAllocated: 8 | 16;
  readonly bitsStored: number;
  readonly signed: boolean;
  readonly slope: number;
  readonly intercept: number;
  readonly padding: number | undefined;
  /** Undefined: from the smallest to the largest value that is not padding. */
  readonly window: WindowOption | undefined;
  /** MONOCHROME1: the smallest value is white. */
  readonly inverse: boolean;
}

/** One byte per pixel; through a table of every possible stored value. `bytes` are little endian; may be short. */
export function grey(bytes: Uint8Array, input: GreyInput): Uint8Array {
  const { bitsAllocated, bitsStored, signed } = input;
  const size = bitsAllocated / 8;
  const count = Math.min(input.count, Math.floor(bytes.length / size));
  const mask = 2 ** bitsStored - 1;
  const half = 2 ** (bitsStored - 1);
  const raw = (at: number): number =>
    (size === 1 ? (bytes[at] ?? 0) : (bytes[at * 2] ?? 0) | ((bytes[at * 2 + 1] ?? 0) << 8)) & mask;
  const value = (stored: number): number => (signed && stored >= half ? stored - mask - 1 : stored);
  const modality = (stored: number): number => value(stored) * input.slope + input.intercept;
  const window = input.window ?? range();
  const table = new Uint8Array(mask + 1);
  for (let stored = 0; stored <= mask; stored += 1) {
    const share = windowed(modality(stored), window);
    table[stored] = Math.round(255 * (input.inverse ? 1 - share : share));
  }
  const out = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) out[at] = table[raw(at)] ?? 0;
  return out;

  function range(): WindowOption {
    let low = Infinity;
    let high = -Infinity;
    for (let at = 0; at < count; at += 1) {
      const stored = value(raw(at));
      if (stored === input.padding) continue;
      if (stored < low) low = stored;
      if (stored > high) high = stored;
    }
    if (high < low) return { center: 0, width: 1, shape: 'linear-exact' };
    const ends = [low, high].map((end) => end * input.slope + input.intercept);
    const [first = 0, last = 0] = ends;
    return { center: (first + last) / 2, width: Math.abs(last - first) || 1, shape: 'linear-exact' };
  }
}

/** 0 to 1. */
export function windowed(x: number, { center, width, shape }: WindowOption): number {
  switch (shape) {
    case 'linear':
      if (width <= 1) return x > center - 0.5 ? 1 : 0;
      return clamp((x - (center - 0.5)) / (width - 1) + 0.5);
    case 'linear-exact':
      return clamp((x - center) / width + 0.5);
    case 'sigmoid':
      return 1 / (1 + Math.exp((-4 * (x - center)) / width));
    default:
      return shape satisfies never;
  }
}

const clamp = (share: number): number => Math.min(1, Math.max(0, share));
