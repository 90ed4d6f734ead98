/** One bench run as JSON, with the machine and the commit it was made on, and as a table for people. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';

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
  readonly serverCpuSeconds?: readonly number[];
  readonly serverPeakBytes?: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** Writes bench/results/<name>.json and prints the table with Lightbox's ratio to Orthanc, above 1 when Lightbox is better. */
export function report(
  name: string,
  figures: readonly Figure[],
  versions: Readonly<Record<string, string>>,
): void {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const result = {
    name,
    at: new Date().toISOString(),
    commit: git('rev-parse', '--short', 'HEAD'),
    changed: git('status', '--porcelain').length > 0,
    machine: {
      cpu: cpus()[0]?.model ?? '',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      arch: arch(),
      node: process.version,
    },
    versions,
    figures,
  };
  mkdirSync(join(root, 'bench/results'), { recursive: true });
  writeFileSync(join(root, 'bench/results', `${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
  const show = (value: number): string =>
    value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
  console.log(
    `\n${'work'.padEnd(46)}${'Orthanc'.padStart(22)}${'Lightbox'.padStart(22)}${'ratio'.padStart(8)}`,
  );
  for (const work of new Set(figures.map((figure) => figure.work))) {
    const of = (peer: string): Figure | undefined =>
      figures.find((figure) => figure.work === work && figure.peer === peer);
    const [theirs, ours] = [of('Orthanc'), of('Lightbox')];
    const cell = (figure: Figure | undefined): string =>
      figure
        ? `${show(median(figure.values))} (${show(Math.min(...figure.values))}-${show(Math.max(...figure.values))})`
        : '-';
    const ratio =
      theirs && ours
        ? ours.more
          ? median(ours.values) / median(theirs.values)
          : median(theirs.values) / median(ours.values)
        : undefined;
    const unit = (ours ?? theirs)?.unit ?? '';
    console.log(
      `${`${work}, ${unit}`.padEnd(46)}${cell(theirs).padStart(22)}${cell(ours).padStart(22)}${(ratio === undefined ? '-' : `${ratio.toFixed(2)}x`).padStart(8)}`,
    );
  }
  console.log(`\nbench/results/${name}.json`);
}
