/**
 * Colour of any photometric interpretation to 8-bit interleaved RGB.
 *
 * Source: PS3.3 §C.7.6.3.1.2 (photometric interpretations and their equations), §C.7.6.3.1.3 (planar configuration).
 * Layer:  core/pixel.
 */
import { Fault } from '../base/fault.ts';
import { type ImagePixel, isSubsampled } from './image-pixel.ts';
import { type Lut, lookUp } from './lut.ts';
import type { Samples } from './samples.ts';

/**
 * @param samples  As `unpack` gives them. JPEG 2000's ICT and RCT are undone by the codec: those come as RGB.
 * @throws Fault PIXELS_UNSUPPORTED for an interpretation without an equation.
 */
export function toRgb(samples: Samples, image: ImagePixel): Uint8Array {
  const pixels = image.rows * image.columns;
  const out = new Uint8Array(pixels * 3);
  const down = Math.max(0, image.bitsStored - 8);
  const byte = (value: number | undefined): number =>
    (down === 0 ? (value ?? 0) : (value ?? 0) >>> down) & 255;
  const convert = conversion(image.photometric);
  if (image.samples !== 3) throw new Fault('PIXELS_UNSUPPORTED', { samples: image.samples });
  if (isSubsampled(image) && samples.length < pixels * 3) {
    // Two luminances, then their one pair of colour differences.
    for (let at = 0; at < pixels; at += 1) {
      const group = (at >> 1) * 4;
      convert(
        byte(samples[group + (at & 1)]),
        byte(samples[group + 2]),
        byte(samples[group + 3]),
        out,
        at * 3,
      );
    }
    return out;
  }
  const [step, plane] = image.planar ? [1, pixels] : [3, 1];
  for (let at = 0; at < pixels; at += 1) {
    const from = at * step;
    convert(byte(samples[from]), byte(samples[from + plane]), byte(samples[from + 2 * plane]), out, at * 3);
  }
  return out;
}

/** PALETTE COLOR to RGB; one index to a pixel. */
export function paletteToRgb(samples: Samples, palette: readonly [Lut, Lut, Lut]): Uint8Array {
  const out = new Uint8Array(samples.length * 3);
  palette.forEach((lut, channel) => {
    const most = 2 ** lut.bits - 1;
    for (let at = 0; at < samples.length; at += 1)
      out[at * 3 + channel] = Math.round((lookUp(lut, samples[at] ?? 0) * 255) / most);
  });
  return out;
}

/**
 * Grey with some values in colour: those from the first that the palettes map (PS3.3 §C.8.16.2.1.1.1).
 *
 * @param shown  One grey byte to a pixel.
 */
export function withPalette(
  samples: Samples,
  shown: Uint8Array,
  palette: readonly [Lut, Lut, Lut],
): Uint8Array {
  const out = paletteToRgb(samples, palette);
  const { first } = palette[0];
  for (let at = 0; at < samples.length; at += 1)
    if ((samples[at] ?? 0) < first) out.fill(shown[at] ?? 0, at * 3, at * 3 + 3);
  return out;
}

type Convert = (a: number, b: number, c: number, out: Uint8Array, at: number) => void;

function conversion(photometric: string): Convert {
  switch (photometric) {
    case 'RGB':
    case 'YBR_ICT':
    case 'YBR_RCT':
      return rgb;
    case 'YBR_FULL':
    case 'YBR_FULL_422':
      return ybrFull;
    case 'YBR_PARTIAL_422':
    case 'YBR_PARTIAL_420':
      return ybrPartial;
    default:
      throw new Fault('PIXELS_UNSUPPORTED', { photometric: photometric.slice(0, 16) });
  }
}

const rgb: Convert = (a, b, c, out, at) => {
  out[at] = a;
  out[at + 1] = b;
  out[at + 2] = c;
};

const ybrFull: Convert = (y, cb, cr, out, at) => {
  out[at] = clamp(y + 1.402 * (cr - 128));
  out[at + 1] = clamp(y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128));
  out[at + 2] = clamp(y + 1.772 * (cb - 128));
};

/** Luminance from 16 to 235, colour differences from 16 to 240. */
const ybrPartial: Convert = (y, cb, cr, out, at) => {
  const luminance = 1.1644 * (y - 16);
  out[at] = clamp(luminance + 1.596 * (cr - 128));
  out[at + 1] = clamp(luminance - 0.3917 * (cb - 128) - 0.8129 * (cr - 128));
  out[at + 2] = clamp(luminance + 2.0173 * (cb - 128));
};

const clamp = (value: number): number => Math.max(0, Math.min(255, Math.round(value)));
