/**
 * What goes to a render worker and comes back: plain data only.
 *
 * Layer:  server/archive.
 */
import type { FaultCode, FaultFacts } from '@lightbox/core/base/fault.ts';
import type { PixelCodec } from '@lightbox/core/dicom/transfer-syntax.ts';
import type { GreyTransform } from '@lightbox/core/pixel/grey.ts';
import type { ImagePixel } from '@lightbox/core/pixel/image-pixel.ts';
import type { Lut } from '@lightbox/core/pixel/lut.ts';
import type { LosslessCodec } from './lossless.ts';

export interface Job {
  readonly bytes: Uint8Array;
  readonly codec: PixelCodec;
  readonly image: ImagePixel;
  /** Compress it so, instead of giving it uncompressed. */
  readonly encode?: LosslessCodec | undefined;
  /** Make 8-bit grey or RGB of it; otherwise the pixels are given as they are. A palette with grey ones is supplemental. */
  readonly show:
    { readonly grey: GreyTransform; readonly palette: readonly [Lut, Lut, Lut] | undefined } | undefined;
}

export interface JobResult {
  readonly bytes: Uint8Array;
  readonly image: ImagePixel;
  readonly channels: 1 | 3;
}

export type JobAnswer =
  | ({ readonly ok: true } & JobResult)
  | { readonly ok: false; readonly code: FaultCode; readonly facts: FaultFacts };
