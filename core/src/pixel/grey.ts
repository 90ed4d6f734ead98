/**
 * Stored grey values to 8-bit grey: modality transform, VOI transform, inversion.
 *
 * Source: PS3.4 §N.2 (grayscale transformations in order), PS3.3 §C.11.1, §C.11.2, §C.7.5.1.1.2 (padding),
 *         §C.7.6.3.1.2 (MONOCHROME1).
 * Layer:  core/pixel.
 */
import type { DataSet } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { decimalsInPlace, integer, items, number, text, uidValue } from '../dicom/values.ts';
import type { ImagePixel } from './image-pixel.ts';
import { type Lut, lookUp, readLut } from './lut.ts';
import type { Samples } from './samples.ts';
import { type Window, windowed, windowShape } from './window.ts';

export type Modality =
  | { readonly kind: 'rescale'; readonly slope: number; readonly intercept: number }
  | { readonly kind: 'lut'; readonly lut: Lut };

export type Voi =
  | { readonly kind: 'window'; readonly window: Window }
  | { readonly kind: 'lut'; readonly lut: Lut }
  /** Between two stored values; without them from the smallest to the largest that is there and no padding. */
  | { readonly kind: 'full'; readonly between?: readonly [number, number] | undefined };

export interface GreyTransform {
  readonly modality: Modality;
  readonly voi: Voi;
  /** MONOCHROME1, or Presentation LUT Shape INVERSE: the smallest value is white. */
  readonly inverse: boolean;
  /** Smallest and largest stored padding value, shown black. */
  readonly padding: readonly [number, number] | undefined;
  /** Stored values from here on are indices of colours and no greys (PS3.3 §C.8.16.2.1.1.1). */
  readonly colourFrom?: number | undefined;
}

/**
 * What the object says about showing it.
 *
 * @param sets   Where an attribute may stand, the closest first: per-frame items, shared items, the object. Tables in
 *               memory, whatever their size.
 * @param image  Of the stored pixels.
 */
export function greyTransform(sets: readonly DataSet[], image: ImagePixel): GreyTransform {
  const { signed, photometric } = image;
  const whole = sets.at(-1);
  const modality = modalityOf(sets, signed);
  return {
    modality,
    voi: voiOf(sets, modality, image),
    inverse:
      photometric === 'MONOCHROME1' ||
      (whole !== undefined &&
        photometric !== 'MONOCHROME2' &&
        text(whole, Tags.PresentationLUTShape) === 'INVERSE'),
    padding: whole && (image.float ? floatPaddingOf(whole) : paddingOf(whole, signed)),
  };
}

/** XA and XRF: their Modality LUT makes values linear to X-ray intensity, and is not for showing (PS3.17 §FFF.2.3.1.3.4). */
const NOT_FOR_DISPLAY: ReadonlySet<string> = new Set([
  '1.2.840.10008.5.1.4.1.1.12.1',
  '1.2.840.10008.5.1.4.1.1.12.2',
]);

function modalityOf(sets: readonly DataSet[], signed: boolean): Modality {
  const whole = sets.at(-1);
  const linearising = whole !== undefined && NOT_FOR_DISPLAY.has(uidValue(whole, Tags.SOPClassUID) ?? '');
  for (const set of sets) {
    const item = items(set, Tags.ModalityLUTSequence)[0];
    const lut = item && !linearising ? readLut(item, signed) : undefined;
    if (lut) return { kind: 'lut', lut };
    const slope = number(set, Tags.RescaleSlope);
    if (slope !== undefined && slope !== 0)
      return { kind: 'rescale', slope, intercept: number(set, Tags.RescaleIntercept) ?? 0 };
  }
  return { kind: 'rescale', slope: 1, intercept: 0 };
}

function voiOf(sets: readonly DataSet[], modality: Modality, image: ImagePixel): Voi {
  for (const set of sets) {
    const centers = decimalsInPlace(set, Tags.WindowCenter);
    const widths = decimalsInPlace(set, Tags.WindowWidth);
    // The first pair that is one: centers and widths belong together by their place (§C.11.2.1.2).
    const place = centers.findIndex((center, at) => !Number.isNaN(center) && (widths[at] ?? 0) > 0);
    const [center, width] = [centers[place], widths[place]];
    if (center !== undefined && width !== undefined)
      return {
        kind: 'window',
        window: { center, width, shape: windowShape(text(set, Tags.VOILUTFunction)) },
      };
    const item = items(set, Tags.VOILUTSequence)[0];
    const lut = item && readLut(item, mayBeNegative(modality, image.signed));
    if (lut) return { kind: 'lut', lut };
  }
  // Without a VOI the values are shown as they are (§C.11.2). Of more than 8 bits few are ever used: what is there.
  if (image.bitsStored > 8 || image.float) return { kind: 'full' };
  const count = 2 ** image.bitsStored;
  return { kind: 'full', between: image.signed ? [-count / 2, count / 2 - 1] : [0, count - 1] };
}

/** A Modality LUT gives no negative values; a rescale may (PS3.3 §C.11.2.1.1: the first input value is then SS). */
const mayBeNegative = (modality: Modality, signed: boolean): boolean =>
  modality.kind === 'rescale' && (signed || modality.slope < 0 || modality.intercept < 0);

/** PS3.3 §C.7.6.24: as Pixel Padding Value, of float and double pixels. */
function floatPaddingOf(set: DataSet): readonly [number, number] | undefined {
  const value = number(set, Tags.FloatPixelPaddingValue) ?? number(set, Tags.DoubleFloatPixelPaddingValue);
  if (value === undefined) return undefined;
  const limit =
    number(set, Tags.FloatPixelPaddingRangeLimit) ??
    number(set, Tags.DoubleFloatPixelPaddingRangeLimit) ??
    value;
  return [Math.min(value, limit), Math.max(value, limit)];
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
  const { modality, inverse, padding, colourFrom = Infinity } = transform;
  const toModality = (value: number): number =>
    modality.kind === 'lut' ? lookUp(modality.lut, value) : value * modality.slope + modality.intercept;
  const isPadding = (value: number): boolean =>
    value >= colourFrom || (padding !== undefined && value >= padding[0] && value <= padding[1]);
  const voi =
    transform.voi.kind === 'full' ? full(transform.voi.between ?? ends(samples, isPadding)) : transform.voi;
  function full([low, high]: readonly [number, number]): ReturnType<typeof fullWindow> {
    return fullWindow(toModality(low), toModality(high));
  }
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

/** A picture of one value only is black. */
function fullWindow(a: number, b: number): { readonly kind: 'window'; readonly window: Window } {
  return {
    kind: 'window',
    window:
      a === b
        ? { center: a + 0.5, width: 1, shape: 'linear-exact' }
        : { center: (a + b) / 2, width: Math.abs(b - a), shape: 'linear-exact' },
  };
}
