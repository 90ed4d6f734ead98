/**
 * Stored grey values to 8-bit grey: modality transform, VOI transform, inversion.
 *
 * Source: PS3.4 §N.2 (grayscale transformations in order), PS3.3 §C.11.1, §C.11.2, §C.7.5.1.1.2 (padding),
 *         §C.7.6.3.1.2 (MONOCHROME1).
 * Layer:  core/pixel.
 */
import type { DataSet } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { integer, items, number, text } from '../dicom/values.ts';
import { type Lut, lookUp, readLut } from './lut.ts';
import type { Samples } from './samples.ts';
import { type Window, windowed, windowShape } from './window.ts';

export type Modality =
  | { readonly kind: 'rescale'; readonly slope: number; readonly intercept: number }
  | { readonly kind: 'lut'; readonly lut: Lut };

export type Voi =
  | { readonly kind: 'window'; readonly window: Window }
  | { readonly kind: 'lut'; readonly lut: Lut }
  /** From the smallest to the largest value that is not padding. */
  | { readonly kind: 'full' };

export interface GreyTransform {
  readonly modality: Modality;
  readonly voi: Voi;
  /** MONOCHROME1, or Presentation LUT Shape INVERSE: the smallest value is white. */
  readonly inverse: boolean;
  /** Smallest and largest stored padding value, shown black. */
  readonly padding: readonly [number, number] | undefined;
}

/**
 * What the object says about showing it.
 *
 * @param sets    Where an attribute may stand, the closest first: per-frame items, shared items, the object.
 */
export function greyTransform(sets: readonly DataSet[], signed: boolean, photometric: string): GreyTransform {
  const whole = sets.at(-1);
  const padding = whole && paddingOf(whole, signed);
  return {
    modality: modalityOf(sets, signed),
    voi: voiOf(sets),
    inverse:
      photometric === 'MONOCHROME1' ||
      (whole !== undefined &&
        photometric !== 'MONOCHROME2' &&
        text(whole, Tags.PresentationLUTShape) === 'INVERSE'),
    padding,
  };
}

function modalityOf(sets: readonly DataSet[], signed: boolean): Modality {
  for (const set of sets) {
    const item = items(set, Tags.ModalityLUTSequence)[0];
    const lut = item && readLut(item, signed);
    if (lut) return { kind: 'lut', lut };
    const slope = number(set, Tags.RescaleSlope);
    if (slope !== undefined && slope !== 0)
      return { kind: 'rescale', slope, intercept: number(set, Tags.RescaleIntercept) ?? 0 };
  }
  return { kind: 'rescale', slope: 1, intercept: 0 };
}

function voiOf(sets: readonly DataSet[]): Voi {
  for (const set of sets) {
    const center = number(set, Tags.WindowCenter);
    const width = number(set, Tags.WindowWidth);
    if (center !== undefined && width !== undefined && width > 0)
      return {
        kind: 'window',
        window: { center, width, shape: windowShape(text(set, Tags.VOILUTFunction)) },
      };
    const item = items(set, Tags.VOILUTSequence)[0];
    // Whether modality values may be negative cannot be told from the item; a first entry beyond 2^15 is taken so.
    const lut = item && readLut(item, true);
    if (lut) return { kind: 'lut', lut };
  }
  return { kind: 'full' };
}

function paddingOf(set: DataSet, signed: boolean): readonly [number, number] | undefined {
  const value = stored(integer(set, Tags.PixelPaddingValue, -32768, 65535), signed);
  if (value === undefined) return undefined;
  const limit = stored(integer(set, Tags.PixelPaddingRangeLimit, -32768, 65535), signed) ?? value;
  return [Math.min(value, limit), Math.max(value, limit)];
}

/** The VR of a padding value in a header without VRs is a guess: US or SS by Pixel Representation. */
const stored = (value: number | undefined, signed: boolean): number | undefined =>
  value === undefined ? undefined : signed ? (value > 32767 ? value - 65536 : value) : value & 0xffff;

/** One byte to a pixel. At most 16 bits go through a table of the values that are there. */
export function grey(samples: Samples, transform: GreyTransform): Uint8Array {
  const { modality, inverse, padding } = transform;
  const toModality = (value: number): number =>
    modality.kind === 'lut' ? lookUp(modality.lut, value) : value * modality.slope + modality.intercept;
  const isPadding = (value: number): boolean =>
    padding !== undefined && value >= padding[0] && value <= padding[1];
  const [low, high] = ends(samples, isPadding);
  const voi = transform.voi.kind === 'full' ? fullWindow(toModality(low), toModality(high)) : transform.voi;
  const shown = (value: number): number => {
    if (isPadding(value)) return 0;
    const x = toModality(value);
    const share = voi.kind === 'lut' ? lookUp(voi.lut, x) / (2 ** voi.lut.bits - 1) : windowed(x, voi.window);
    return Math.round(255 * (inverse ? 1 - share : share));
  };
  const out = new Uint8Array(samples.length);
  if (samples.BYTES_PER_ELEMENT > 2) {
    for (let at = 0; at < samples.length; at += 1) out[at] = shown(samples[at] ?? 0);
    return out;
  }
  const offset = samples instanceof Int16Array ? 32768 : samples instanceof Int8Array ? 128 : 0;
  const table = new Int16Array(samples.BYTES_PER_ELEMENT === 1 ? 256 : 65536).fill(-1);
  for (let at = 0; at < samples.length; at += 1) {
    const value = samples[at] ?? 0;
    let byte = table[value + offset] ?? -1;
    if (byte < 0) {
      byte = shown(value);
      table[value + offset] = byte;
    }
    out[at] = byte;
  }
  return out;
}

function ends(samples: Samples, isPadding: (value: number) => boolean): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (let at = 0; at < samples.length; at += 1) {
    const value = samples[at] ?? 0;
    if ((value >= low && value <= high) || !Number.isFinite(value) || isPadding(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high < low ? [0, 0] : [low, high];
}

function fullWindow(a: number, b: number): { readonly kind: 'window'; readonly window: Window } {
  return {
    kind: 'window',
    window: { center: (a + b) / 2, width: Math.abs(b - a) || 1, shape: 'linear-exact' },
  };
}
