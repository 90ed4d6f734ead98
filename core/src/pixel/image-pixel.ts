/**
 * The Image Pixel module of an object: how many pixels there are and how each is written.
 *
 * Source: PS3.3 §C.7.6.3 (Image Pixel), §C.7.6.24 (Floating Point Image Pixel), PS3.5 §8.1.1.
 * Layer:  core/pixel.
 */
import { Fault } from '../base/fault.ts';
import type { DataSet } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { integer, text } from '../dicom/values.ts';

export interface ImagePixel {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly bitsAllocated: 1 | 8 | 12 | 16 | 32 | 64;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  /** Colour by plane: all red, then all green, then all blue. */
  readonly planar: boolean;
  readonly photometric: string;
  readonly float: boolean;
}

/** Larger pictures are asked for by tiles and frames. */
export const MAX_FRAME_BYTES = 512 * 1024 * 1024;

/**
 * Reads the module and checks it before anything is allocated by it (attacks B34 to B36).
 *
 * @throws Fault PIXELS_NONE without rows or columns, PIXELS_UNSUPPORTED for bits that are not possible, TOO_LARGE.
 */
export function imagePixel(ds: DataSet): ImagePixel {
  const rows = integer(ds, Tags.Rows, 1, 65535);
  const columns = integer(ds, Tags.Columns, 1, 65535);
  if (rows === undefined || columns === undefined) throw new Fault('PIXELS_NONE');
  const float = ds.elements.has(Tags.FloatPixelData) || ds.elements.has(Tags.DoubleFloatPixelData);
  const samples = integer(ds, Tags.SamplesPerPixel, 1, 4) ?? 1;
  const implied = ds.elements.has(Tags.DoubleFloatPixelData) ? 64 : float ? 32 : undefined;
  const bitsAllocated = implied ?? integer(ds, Tags.BitsAllocated, 0, 65535) ?? 0;
  if (!isWidth(bitsAllocated) || (bitsAllocated === 64 && !float))
    throw new Fault('PIXELS_UNSUPPORTED', { bitsAllocated });
  const bitsStored = float ? bitsAllocated : (integer(ds, Tags.BitsStored, 0, 65535) ?? bitsAllocated);
  const highBit = float ? bitsAllocated - 1 : (integer(ds, Tags.HighBit, 0, 65535) ?? bitsStored - 1);
  if (bitsStored < 1 || bitsStored > bitsAllocated || highBit >= bitsAllocated || highBit < bitsStored - 1)
    throw new Fault('PIXELS_UNSUPPORTED', { bitsAllocated, bitsStored, highBit });
  const bytes = Math.ceil((rows * columns * samples * bitsAllocated) / 8);
  if (bytes > MAX_FRAME_BYTES) throw new Fault('TOO_LARGE', { bytes });
  return {
    rows,
    columns,
    samples,
    bitsAllocated,
    bitsStored,
    highBit,
    signed: integer(ds, Tags.PixelRepresentation, 0, 1) === 1,
    planar: samples > 1 && integer(ds, Tags.PlanarConfiguration, 0, 1) === 1,
    photometric: text(ds, Tags.PhotometricInterpretation) ?? (samples === 1 ? 'MONOCHROME2' : 'RGB'),
    float,
  };
}

const isWidth = (bits: number): bits is ImagePixel['bitsAllocated'] =>
  bits === 1 || bits === 8 || bits === 12 || bits === 16 || bits === 32 || bits === 64;

/** Samples of one frame as they are written: YBR_FULL_422 has two of colour to two of luminance (PS3.3 §C.7.6.3.1.2). */
export function writtenSamples(image: ImagePixel): number {
  const pixels = image.rows * image.columns;
  return isSubsampled(image) ? pixels * 2 : pixels * image.samples;
}

export const isSubsampled = ({ photometric, samples }: ImagePixel): boolean =>
  samples === 3 && (photometric === 'YBR_FULL_422' || photometric === 'YBR_PARTIAL_422');
