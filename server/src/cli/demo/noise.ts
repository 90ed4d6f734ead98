/**
 * Chance that is the same each time: smooth noise in space for tissue, grain for detectors.
 *
 * Layer:  server/cli.
 */

/** 0 to 1, from a place on the lattice. */
function lattice(x: number, y: number, z: number, seed: number): number {
  let value =
    Math.imul(x, 374_761_393) ^
    Math.imul(y, 668_265_263) ^
    Math.imul(z, 2_147_483_647) ^
    Math.imul(seed, 974_634_777);
  value = Math.imul(value ^ (value >>> 13), 1_274_126_177);
  return ((value ^ (value >>> 16)) >>> 0) / 4_294_967_296;
}

const ease = (t: number): number => t * t * (3 - 2 * t);
const mix = (a: number, b: number, t: number): number => a + (b - a) * t;

/** Value noise, -1 to 1; neighbours one unit apart are independent. */
export function noise(x: number, y: number, z: number, seed: number): number {
  const [i, j, k] = [Math.floor(x), Math.floor(y), Math.floor(z)];
  const [u, v, w] = [ease(x - i), ease(y - j), ease(z - k)];
  const edge = (dj: number, dk: number): number =>
    mix(lattice(i, j + dj, k + dk, seed), lattice(i + 1, j + dj, k + dk, seed), u);
  return mix(mix(edge(0, 0), edge(1, 0), v), mix(edge(0, 1), edge(1, 1), v), w) * 2 - 1;
}

const TILE = 512;
let tile: Float32Array | undefined;

/** Grain with a standard deviation of 1, a little smooth as a reconstruction kernel leaves it. */
export function grain(column: number, row: number, seed: number): number {
  tile ??= makeTile();
  const x = (column + Math.imul(seed, 197)) & (TILE - 1);
  const y = (row + Math.imul(seed, 311)) & (TILE - 1);
  return tile[y * TILE + x] ?? 0;
}

function makeTile(): Float32Array {
  const raw = Float32Array.from({ length: TILE * TILE }, (_, at) => {
    // The sum of four is near enough to a bell.
    const part = (seed: number): number => lattice(at % TILE, Math.floor(at / TILE), seed, 17);
    return (part(1) + part(2) + part(3) + part(4) - 2) * 1.73;
  });
  const at = (x: number, y: number): number =>
    raw[((y + TILE) & (TILE - 1)) * TILE + ((x + TILE) & (TILE - 1))] ?? 0;
  return Float32Array.from({ length: TILE * TILE }, (_, index) => {
    const [x, y] = [index % TILE, Math.floor(index / TILE)];
    return (at(x, y) + (at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1)) * 0.5) / 1.42;
  });
}
