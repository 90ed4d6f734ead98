/** Processor time and memory of a server and all its children, read from /proc; the machine's own noise beside it. */
import { readFileSync, readdirSync } from 'node:fs';

/** Clock ticks per second of /proc/<pid>/stat; 100 on every Linux we run on (getconf CLK_TCK). */
const TICKS = 100;

interface Stat {
  readonly parent: number;
  readonly ticks: number;
}

function stats(): Map<number, Stat> {
  const found = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      const number = (index: number): number => Number(fields[index] ?? 0);
      // utime, stime and those of children already waited for (proc(5), fields 14-17).
      found.set(Number(name), {
        parent: number(1),
        ticks: number(11) + number(12) + number(13) + number(14),
      });
    } catch {
      // ended meanwhile
    }
  }
  return found;
}

/** The process and all its descendants. */
export function tree(pid: number): number[] {
  const all = stats();
  const found = [pid];
  for (let at = 0; at < found.length; at += 1) {
    for (const [child, stat] of all) if (stat.parent === found[at]) found.push(child);
  }
  return found;
}

/** Processor seconds used so far by a process tree. */
export function cpuSeconds(pid: number): number {
  const all = stats();
  return tree(pid).reduce((sum, one) => sum + (all.get(one)?.ticks ?? 0), 0) / TICKS;
}

/** Proportional set size of a tree in bytes: shared pages counted once. */
export function memoryBytes(pid: number): number {
  let total = 0;
  for (const one of tree(pid)) {
    try {
      total +=
        Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024;
    } catch {
      // ended meanwhile
    }
  }
  return total;
}

export interface Watched<T> {
  readonly result: T;
  readonly seconds: number;
  readonly serverCpuSeconds: number;
  readonly serverPeakBytes: number;
}

/** Runs `work` while sampling the server's memory five times a second. */
export async function watch<T>(pid: number, work: () => Promise<T>): Promise<Watched<T>> {
  let peak = memoryBytes(pid);
  const timer = setInterval(() => (peak = Math.max(peak, memoryBytes(pid))), 200);
  const cpu = cpuSeconds(pid);
  const began = performance.now();
  try {
    const result = await work();
    const seconds = (performance.now() - began) / 1000;
    return {
      result,
      seconds,
      serverCpuSeconds: cpuSeconds(pid) - cpu,
      serverPeakBytes: Math.max(peak, memoryBytes(pid)),
    };
  } finally {
    clearInterval(timer);
  }
}
