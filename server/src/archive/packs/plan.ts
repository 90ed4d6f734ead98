/**
 * Which objects go into which pack: those that wait, and those of small packs of the same series, which the new one replaces.
 *
 * A pack is written again only into one at least about twice its size, so that each byte is written some ten times however its
 * series trickled in, and one late image never rewrites 50 GB.
 * Layer:  server/archive. Pure.
 */

export interface Packable {
  /** Bytes. */
  readonly length: number;
  /** Place in the series. */
  readonly rank: number;
}

export interface SmallPack<O extends Packable> {
  readonly name: string;
  readonly objects: readonly O[];
}

export interface PackLimits {
  /** A larger object has a pack of its own. */
  readonly packBytes: number;
  readonly packObjects: number;
  /** Packs up to this size are always merged: writing them again costs a moment. */
  readonly mergeBytes: number;
}

export interface PlannedPack<O extends Packable> {
  readonly objects: readonly O[];
  /** Names of packs all of whose objects are in this one. */
  readonly replaces: readonly string[];
}

/** In the order in which the keys first come. */
export function groupBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

const bytesOf = (objects: readonly Packable[]): number => objects.reduce((sum, one) => sum + one.length, 0);

export function planPacks<O extends Packable>(
  waiting: readonly O[],
  packs: readonly SmallPack<O>[],
  limits: PackLimits,
): PlannedPack<O>[] {
  const chunks = split(waiting, limits);
  const last = chunks.pop();
  if (!last) return [];
  const replaces: string[] = [];
  let objects = last;
  let total = bytesOf(last);
  const smallestFirst = packs
    .map((pack) => ({ ...pack, bytes: bytesOf(pack.objects) }))
    .sort((one, other) => one.bytes - other.bytes);
  for (const pack of smallestFirst) {
    if (pack.bytes > Math.max(limits.mergeBytes, total) || total + pack.bytes > limits.packBytes) break;
    if (objects.length + pack.objects.length > limits.packObjects) break;
    objects = [...objects, ...pack.objects];
    total += pack.bytes;
    replaces.push(pack.name);
  }
  objects = objects.toSorted((one, other) => one.rank - other.rank);
  return [...chunks.map((chunk) => ({ objects: chunk, replaces: [] })), { objects, replaces }];
}

function split<O extends Packable>(objects: readonly O[], limits: PackLimits): O[][] {
  const chunks: O[][] = [];
  let bytes = 0;
  for (const object of objects) {
    const last = chunks.at(-1);
    if (!last || bytes + object.length > limits.packBytes || last.length >= limits.packObjects) {
      chunks.push([object]);
      bytes = object.length;
    } else {
      last.push(object);
      bytes += object.length;
    }
  }
  return chunks;
}
