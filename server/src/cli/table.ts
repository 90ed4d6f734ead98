/**
 * Tables in a terminal, aligned whatever script the words are in, and safe to print: what a peer sent cannot move the cursor.
 *
 * Source: Unicode UAX #11 (East Asian Width), UAX #9 (bidirectional controls).
 * Layer:  server/cli.
 */

/** Two places each: CJK, Hangul, full-width forms, emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Places a text takes in a terminal. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += NO_WIDTH.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
  return width;
}

/** Without control characters and without marks that turn the direction of what follows. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ').trim();
}

/** Rows under their headings; a column with numbers only is set to the right. The last column is not padded. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => headings.map((_, at) => printable(row[at] ?? '')));
  const widths = headings.map((heading, at) =>
    Math.max(displayWidth(heading), ...cells.map((row) => displayWidth(row[at] ?? ''))),
  );
  const numeric = headings.map(
    (_, at) => cells.length > 0 && cells.every((row) => /^\d*$/.test(row[at] ?? '')),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => {
        const room = ' '.repeat((widths[at] ?? 0) - displayWidth(cell));
        return numeric[at] ? room + cell : cell + room;
      })
      .join('  ')
      .trimEnd();
  return [headings, widths.map((width) => '-'.repeat(width)), ...cells].map(line).join('\n');
}
