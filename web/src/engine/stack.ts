/**
 * The frames of a series in reading order: along the normal of the slices when all share one direction,
 * else by instance number.
 *
 * Source: PS3.3 §C.7.6.2.1.1 (Image Position and Orientation).
 * Layer:  web/engine.
 */
import { planeOf, type Instance } from './instance.ts';

export interface Frame {
  readonly instance: Instance;
  /** Zero-based within its object. */
  readonly index: number;
  readonly imageId: string;
}

/** Two direction cosines differ by less than this when the planes are parallel (about half a degree). */
const PARALLEL = 1e-2;

export function sortInstances(instances: readonly Instance[]): Instance[] {
  const byNumber = [...instances].sort(
    (a, b) => (a.number ?? Infinity) - (b.number ?? Infinity) || (a.sopUid < b.sopUid ? -1 : 1),
  );
  if (byNumber.some((instance) => instance.frames > 1)) return byNumber;
  const planes = byNumber.map((instance) => planeOf(instance.json, 0));
  const first = planes[0]?.orientation;
  if (!first) return byNumber;
  const normal = cross(first);
  const depths = planes.map(({ orientation, position }) =>
    position && orientation?.every((value, at) => Math.abs(value - (first[at] ?? 0)) < PARALLEL)
      ? dot(normal, position)
      : null,
  );
  // A mixed series (scout and slices), or several images at one place (phases): the number is the order.
  if (depths.includes(null) || new Set(depths.map((depth) => depth?.toFixed(3))).size < depths.length)
    return byNumber;
  const ordered = byNumber
    .map((instance, at) => ({ instance, depth: depths[at] ?? 0 }))
    .sort((a, b) => a.depth - b.depth)
    .map(({ instance }) => instance);
  // Same run as the scanner numbered them: head first or feet first.
  const [start, end] = [ordered[0]?.number, ordered.at(-1)?.number];
  return start !== undefined && start !== null && end !== undefined && end !== null && start > end
    ? ordered.reverse()
    : ordered;
}

export function buildStack(studyUid: string, instances: readonly Instance[]): Frame[] {
  return sortInstances(instances.filter((instance) => instance.hasPixels)).flatMap((instance) =>
    Array.from({ length: instance.frames }, (_, index) => ({
      instance,
      index,
      imageId: `wadors:/dicom-web/studies/${studyUid}/series/${instance.seriesUid}/instances/${instance.sopUid}/frames/${index + 1}`,
    })),
  );
}

/** Of the images still to fetch the nearest to `at`, the next one before the one before; undefined when none is left. */
export function nearest(waiting: ReadonlySet<number>, at: number): number | undefined {
  let found: number | undefined;
  const away = (one: number): number => Math.abs(one - at) * 2 + (one < at ? 1 : 0);
  for (const one of waiting) if (found === undefined || away(one) < away(found)) found = one;
  return found;
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
function cross(o: readonly number[]): number[] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = o;
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

/** Letters of a direction in patient space (LPS), the strongest first: PS3.3 §C.7.6.1.1.1. */
export function directionLetters(direction: readonly number[]): string {
  const [x = 0, y = 0, z = 0] = direction;
  return [
    { size: Math.abs(x), letter: x > 0 ? 'L' : 'R' },
    { size: Math.abs(y), letter: y > 0 ? 'P' : 'A' },
    { size: Math.abs(z), letter: z > 0 ? 'H' : 'F' },
  ]
    .filter(({ size }) => size > 0.1)
    .sort((a, b) => b.size - a.size)
    .map(({ letter }) => letter)
    .join('');
}
