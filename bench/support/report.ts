/** One bench run as JSON, with the machine and the commit it was made on, and as a table for people. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export interface Figure {
  /** What was done, e.g. "C-STORE CT 512 KB, 4 associations". */
  readonly work: string;
  readonly peer: string;
  readonly unit: string;
  /** One value per repetition, in running order. */
  readonly values: readonly number[];
  /** True when more is better. */
  readonly more: boolean;
  /** Cores busy with other people's work during each repetition. */
  readonly otherCores: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** One run as it is kept. */
export interface Result extends Origin {
  readonly name: string;
  readonly at: string;
  readonly machine: Readonly<Record<string, string | number>>;
  /** Versions of the programs, and sizes. */
  readonly setup: Readonly<Record<string, string>>;
  readonly figures: readonly Figure[];
}

/** Where the measured code stands; asked for before a run, which may take longer than the next commit. */
export interface Origin {
  readonly commit: string;
  /** True when the working tree was not as committed. */
  readonly changed: boolean;
}

export function origin(): Origin {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  return {
    commit: git('rev-parse', '--short', 'HEAD'),
    // Results of earlier runs do not change what is measured.
    changed: git('status', '--porcelain', '--', '.', ':!bench/results').length > 0,
  };
}

export interface ReportOptions {
  readonly origin: Origin;
  /** Write it to bench/results, to be committed; otherwise to artefacts/bench. */
  readonly keep: boolean;
}

/** Writes the result and prints it. */
export function report(
  name: string,
  { figures, setup }: Pick<Result, 'figures' | 'setup'>,
  options: ReportOptions,
): void {
  const result: Result = {
    name,
    at: new Date().toISOString(),
    ...options.origin,
    machine: {
      cpu: cpus()[0]?.model ?? '',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      arch: arch(),
      node: process.version,
    },
    setup,
    figures: figures.map((figure) => ({ ...figure, values: figure.values.map(rounded) })),
  };
  const folder = join(root, options.keep ? 'bench/results' : 'artefacts/bench');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
  console.log(`\n${table(figures)}\n\n${relative(root, join(folder, `${name}.json`))}`);
}

/** Four significant digits: more would claim what no run repeats. */
const rounded = (value: number): number => Number(value.toPrecision(4));

const show = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** Median (lowest-highest). */
const cell = (figure: Figure | undefined): string =>
  figure
    ? `${show(median(figure.values))} (${show(Math.min(...figure.values))}-${show(Math.max(...figure.values))})`
    : '';

/** How many times Lightbox is better than `peer`: above 1 when it is. */
export function ratio(peer: Figure, lightbox: Figure): number {
  const [theirs, ours] = [median(peer.values), median(lightbox.values)];
  return lightbox.more ? ours / theirs : theirs / ours;
}

/** A Markdown table of all figures, a column for each peer, and how many times Lightbox is better than the first of them. */
export function table(figures: readonly Figure[]): string {
  const peers = [...new Set(figures.map(({ peer }) => peer))];
  const noise = Math.max(...figures.flatMap(({ otherCores }) => otherCores), 0);
  const rows = [...new Set(figures.map(({ work, unit }) => `${work}, ${unit}`))].map((name) => {
    const of = (peer: string): Figure | undefined =>
      figures.find((figure) => `${figure.work}, ${figure.unit}` === name && figure.peer === peer);
    const [other, lightbox] = [of(peers.find((peer) => peer !== 'Lightbox') ?? ''), of('Lightbox')];
    const times = other && lightbox ? `${ratio(other, lightbox).toFixed(2)}x` : '';
    return [name, ...peers.map((peer) => cell(of(peer))), times];
  });
  const head = ['work, median (lowest-highest)', ...peers, 'Lightbox'];
  const widths = head.map((text, at) => Math.max(text.length, ...rows.map((row) => (row[at] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, at) => (at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0))).join(' | ')} |`;
  const rule = `| ${widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line), '', `Others used up to ${noise.toFixed(2)} cores.`].join('\n');
}
