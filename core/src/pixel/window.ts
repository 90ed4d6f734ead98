/**
 * Values to shown grey: a window of one of three shapes, or a VOI lookup table.
 *
 * Source: PS3.3 §C.11.2.1.2 (LINEAR), §C.11.2.1.3.1 (SIGMOID), §C.11.2.1.3.2 (LINEAR_EXACT).
 * Layer:  core/pixel.
 */

export interface Window {
  readonly center: number;
  readonly width: number;
  readonly shape: 'linear' | 'linear-exact' | 'sigmoid';
}

/** The share of white, 0 to 1. A width below what the shape allows is taken as the smallest (attack B39). */
export function windowed(x: number, { center, width, shape }: Window): number {
  switch (shape) {
    case 'linear':
      if (width <= 1) return x > center - 0.5 ? 1 : 0;
      return clamp((x - (center - 0.5)) / (width - 1) + 0.5);
    case 'linear-exact':
      if (width <= 0) return x > center ? 1 : 0;
      return clamp((x - center) / width + 0.5);
    case 'sigmoid':
      if (width <= 0) return x > center ? 1 : 0;
      return 1 / (1 + Math.exp((-4 * (x - center)) / width));
    default:
      return shape satisfies never;
  }
}

/** The shape that VOI LUT Function (0028,1056) names. */
export function windowShape(name: string | undefined): Window['shape'] {
  if (name === 'SIGMOID') return 'sigmoid';
  return name === 'LINEAR_EXACT' ? 'linear-exact' : 'linear';
}

const clamp = (share: number): number => Math.min(1, Math.max(0, share));
