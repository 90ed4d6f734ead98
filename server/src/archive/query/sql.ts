/**
 * Text and parameters of one SQL statement, kept apart: no value of a search ever becomes SQL.
 *
 * Layer:  server/archive.
 */
export class Statement {
  readonly values: unknown[] = [];

  /** The placeholder of a value. */
  bind(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** `LIKE` with the escape that `likePattern` uses. */
export const like = (column: string, placeholder: string): string =>
  `${column} LIKE ${placeholder} ESCAPE '\\'`;

/** A prefix or substring for LIKE, standing for itself. */
export const escapeLike = (text: string): string => text.replace(/[\\%_]/g, (char) => `\\${char}`);
