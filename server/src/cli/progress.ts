/**
 * How far long work has come: a bar that moves in a terminal, a plain line now and then where output goes to a file.
 *
 * Layer:  server/cli.
 */

/** The part of a terminal or file that is needed; process.stderr is one. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export interface Unit {
  /** After the numbers: "12 of 30 files". */
  readonly name: string;
  /** Numbers are divided by this before they are shown. */
  readonly of: number;
}

export const FILES: Unit = { name: 'files', of: 1 };
export const MEGABYTES: Unit = { name: 'MB', of: 1e6 };

/** A person sees no more than ten pictures a second. */
const BAR_MS = 100;
const LINE_MS = 10_000;
const BAR_WIDTH = 30;
const CLEAR = '\r\x1b[K';

export class Progress {
  readonly #what: string;
  readonly #unit: Unit;
  readonly #out: Output;
  readonly #now: () => number;
  readonly #began: number;
  #shown: number;
  #drawn = false;

  constructor(what: string, unit: Unit, out: Output = process.stderr, now: () => number = Date.now) {
    this.#what = what;
    this.#unit = unit;
    this.#out = out;
    this.#now = now;
    this.#began = now();
    // The first line of a file comes only when the work is really long; the bar at once.
    this.#shown = out.isTTY ? -Infinity : this.#began;
  }

  set(done: number, total: number): void {
    const now = this.#now();
    const tty = this.#out.isTTY === true;
    if (now - this.#shown < (tty ? BAR_MS : LINE_MS) && !(tty && done >= total)) return;
    this.#shown = now;
    const share = total > 0 ? Math.min(done / total, 1) : 0;
    const seconds = (now - this.#began) / 1000;
    const left = share > 0.01 && seconds > 1 ? `, ${duration((seconds * (1 - share)) / share)} left` : '';
    const { name, of } = this.#unit;
    const numbers = `${Math.floor(share * 100)} % (${count(done, of)} of ${count(total, of)} ${name}${left})`;
    if (!tty) {
      this.#out.write(`${this.#what}: ${numbers}\n`);
      return;
    }
    const full = Math.round(share * BAR_WIDTH);
    const bar = `[${'#'.repeat(full)}${'-'.repeat(BAR_WIDTH - full)}]`;
    const line = `${this.#what} ${bar} ${numbers}`;
    // A line that wraps could not be drawn over.
    this.#out.write(CLEAR + line.slice(0, (this.#out.columns ?? 80) - 1));
    this.#drawn = true;
  }

  /** Something to be read later on, above the bar. */
  note(text: string): void {
    this.end();
    this.#out.write(`${text}\n`);
  }

  /** Takes the bar away; what became of it is said by others. */
  end(): void {
    if (this.#drawn) this.#out.write(CLEAR);
    this.#drawn = false;
  }
}

const count = (value: number, of: number): string => String(Math.round(value / of));

const duration = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
