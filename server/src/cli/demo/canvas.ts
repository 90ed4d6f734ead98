/**
 * One slice of a body being painted: ellipsoids with soft edges, in millimetres of patient space.
 *
 * Layer:  server/cli.
 */

export interface Grid {
  readonly columns: number;
  readonly rows: number;
  /** mm between the centres of two cells. */
  readonly spacing: number;
}

export interface Ellipsoid {
  /** mm, patient space: left, posterior, head (PS3.3 §C.7.6.2.1.1); the middle of the body is 0. */
  readonly at: readonly [number, number, number];
  readonly radius: readonly [number, number, number];
  /** Degrees in the plane of the slice. */
  readonly turn?: number;
}

/** A value, or what it is at a place. `depth` is 0 at the edge of the shape and 1 in its middle. */
export type Paint = number | ((x: number, y: number, depth: number) => number);

export class Slice {
  readonly grid: Grid;
  readonly z: number;
  readonly values: Float32Array;

  constructor(grid: Grid, z: number, background: number) {
    this.grid = grid;
    this.z = z;
    this.values = new Float32Array(grid.columns * grid.rows).fill(background);
  }

  /** mm of the centre of a column and of a row. */
  x(column: number): number {
    return (column - (this.grid.columns - 1) / 2) * this.grid.spacing;
  }

  y(row: number): number {
    return (row - (this.grid.rows - 1) / 2) * this.grid.spacing;
  }

  /** Paints over what is there. The edge is as soft as a cell is wide. */
  fill({ at, radius, turn = 0 }: Ellipsoid, paint: Paint): this {
    const height = 1 - ((this.z - at[2]) / radius[2]) ** 2;
    if (height <= 0) return this;
    const { columns, rows, spacing } = this.grid;
    const [cos, sin] = [Math.cos((turn * Math.PI) / 180), Math.sin((turn * Math.PI) / 180)];
    const reach = Math.max(radius[0], radius[1]) + spacing;
    const cell = (mm: number, count: number): number => mm / spacing + (count - 1) / 2;
    const [left, right] = [cell(at[0] - reach, columns), cell(at[0] + reach, columns)];
    const [top, bottom] = [cell(at[1] - reach, rows), cell(at[1] + reach, rows)];
    const soft = (Math.min(radius[0], radius[1]) * Math.sqrt(height)) / spacing;
    for (let row = Math.max(0, Math.floor(top)); row <= Math.min(rows - 1, Math.ceil(bottom)); row++) {
      for (
        let column = Math.max(0, Math.floor(left));
        column <= Math.min(columns - 1, Math.ceil(right));
        column++
      ) {
        const [x, y] = [this.x(column), this.y(row)];
        const [dx, dy] = [x - at[0], y - at[1]];
        const distance =
          Math.hypot((dx * cos + dy * sin) / radius[0], (dy * cos - dx * sin) / radius[1]) /
          Math.sqrt(height);
        const cover = Math.min(1, Math.max(0, (1 - distance) * soft + 0.5));
        if (cover === 0) continue;
        const value = typeof paint === 'number' ? paint : paint(x, y, Math.max(0, 1 - distance));
        const index = row * columns + column;
        this.values[index] = (this.values[index] ?? 0) * (1 - cover) + value * cover;
      }
    }
    return this;
  }

  /** The same on the other side of the body. */
  both(shape: Ellipsoid, paint: Paint): this {
    const { at, radius, turn = 0 } = shape;
    return this.fill(shape, paint).fill({ at: [-at[0], at[1], at[2]], radius, turn: -turn }, paint);
  }
}
