/** Processor time and memory of a server and all its children, read from /proc; the machine's own noise beside it. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** Processor seconds the whole machine has been busy since it started, by anybody (proc(5), /proc/stat). */
export function machineSeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync(
    '/proc/stat',
    'utf8',
  )
    .split('\n', 1)[0]!
    .split(/ +/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS;
}

/** Waits until less than `cores` are busy over 0.7 s, at most `seconds`. */
export async function quiet(cores: number, seconds: number): Promise<void> {
  for (const began = performance.now(); performance.now() - began < seconds * 1000;) {
    const before = machineSeconds();
    await sleep(700);
    if ((machineSeconds() - before) / 0.7 < cores) return;
  }
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
  /** Cores that were busy with neither the server nor the measuring side: the machine's noise. */
  readonly otherCores: number;
}

/** Reading a tree of twenty processes takes some milliseconds of the same two cores that are measured. */
const SAMPLE_MS = 500;
/** What a server does just after its last answer (audit trail, caches) belongs to the bill. */
const AFTERWORK_MS = 500;

/**
 * Runs `work` while sampling the server's memory.
 *
 * @param loadPid  The measuring side's process; its share, and our own, is not noise.
 */
export async function watch<T>(pid: number, loadPid: number, work: () => Promise<T>): Promise<Watched<T>> {
  let peak = memoryBytes(pid);
  const timer = setInterval(() => (peak = Math.max(peak, memoryBytes(pid))), SAMPLE_MS);
  const ours = (): number =>
    cpuSeconds(loadPid) + process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6;
  const before = { server: cpuSeconds(pid), ours: ours(), machine: machineSeconds() };
  const began = performance.now();
  try {
    const result = await work();
    const seconds = (performance.now() - began) / 1000;
    const known = cpuSeconds(pid) - before.server + ours() - before.ours;
    const others = machineSeconds() - before.machine - known;
    peak = Math.max(peak, memoryBytes(pid));
    await sleep(AFTERWORK_MS);
    return {
      ...{ result, seconds, serverCpuSeconds: cpuSeconds(pid) - before.server, serverPeakBytes: peak },
      otherCores: Math.max(0, others / seconds),
    };
  } finally {
    clearInterval(timer);
  }
}
