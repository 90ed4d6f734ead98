/**
 * Fuzzing a running server: seeded inputs one after the other for some time, and what has to hold whatever they are. A failing
 * input is printed so that it can be sent again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Dice } from './fuzz.ts';
import { type Lightbox, residentBytes } from './lightbox.ts';

/** How long each kind of input is sent: a minute in CI. */
export const FUZZ_SECONDS = Number(process.env['FUZZ_SECONDS'] ?? (process.env['CI'] === 'true' ? 60 : 5));
/** Of the first input; each next has the next. A failure prints its own: `FUZZ_SEED=<seed> FUZZ_SECONDS=1` begins with it. */
export const FUZZ_SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_125);

/** No answer may take longer. */
const SLOWEST_MS = 2000;
/** Tables and caches have their full size by then. */
const WARM_UP_SHARE = 0.4;
/** Of the whole Lightbox with its database, whose shared pages fill up meanwhile. */
const SWING_BYTES = 64 * 1024 * 1024;

/** What became of one input: an HTTP status, or the connection was closed. */
export type Outcome = number | 'closed';

export interface FuzzReport {
  readonly inputs: number;
  readonly outcomes: ReadonlyMap<Outcome, number>;
  readonly slowestMs: number;
  readonly grewBytes: number;
}

/**
 * Sends inputs until the time is over.
 *
 * @param send   Makes an input from dice of its own and sends it.
 * @param tell   The input once more, in a form that can be sent again.
 * @throws at the first input that breaks a promise: a status of 500 and up that is not in `allowed`, an answer slower than two
 *   seconds, a server that stopped; and in the end when its memory grew.
 */
export async function fuzz(
  name: string,
  box: Lightbox,
  send: (dice: Dice) => Promise<Outcome>,
  tell: (dice: Dice) => string,
  allowed: readonly number[],
): Promise<FuzzReport> {
  const outcomes = new Map<Outcome, number>();
  const ends = performance.now() + FUZZ_SECONDS * 1000;
  const warm = performance.now() + FUZZ_SECONDS * 1000 * WARM_UP_SHARE;
  let slowestMs = 0;
  let inputs = 0;
  let before: number | undefined;
  while (performance.now() < ends) {
    const seed = FUZZ_SEED + inputs;
    const fail = (what: string): Error =>
      new Error(`${name}: ${what}; FUZZ_SEED=${seed}\n${tell(new Dice(seed))}`);
    const began = performance.now();
    const outcome = await send(new Dice(seed)).catch((error: unknown) => {
      throw fail(String(error));
    });
    const took = performance.now() - began;
    slowestMs = Math.max(slowestMs, took);
    inputs += 1;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (!box.running) throw fail('the server stopped');
    if (typeof outcome === 'number' && outcome >= 500 && !allowed.includes(outcome))
      throw fail(`status ${outcome}`);
    // Measured again: on a shared machine everything is slow now and then, and such an input is slow every time.
    if (took > SLOWEST_MS && (await slowAgain(send, seed))) throw fail(`${Math.round(took)} ms`);
    if (before === undefined && performance.now() > warm) before = await settled(box.pid);
  }
  const grewBytes = (await settled(box.pid)) - (before ?? 0);
  if (before !== undefined && grewBytes > SWING_BYTES)
    throw new Error(`${name}: memory grew by ${grewBytes} bytes; seed ${FUZZ_SEED}`);
  const counts = [...outcomes].sort(([a], [b]) => String(a).localeCompare(String(b)));
  console.log(
    `${name}: from seed ${FUZZ_SEED}, ${inputs} inputs in ${FUZZ_SECONDS} s, slowest ${Math.round(slowestMs)} ms, ` +
      `memory ${(grewBytes / 1_048_576).toFixed(1)} MiB; ${counts.map(([key, count]) => `${key}: ${count}`).join(', ')}`,
  );
  return { inputs, outcomes, slowestMs, grewBytes };
}

async function slowAgain(send: (dice: Dice) => Promise<Outcome>, seed: number): Promise<boolean> {
  for (let tries = 0; tries < 3; tries += 1) {
    const began = performance.now();
    await send(new Dice(seed));
    if (performance.now() - began <= SLOWEST_MS) return false;
  }
  return true;
}

/** Memory of a server with its children when nothing is asked of it: the least of some looks, so that no collection is just due. */
export async function settled(pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let looks = 0; looks < 8; looks += 1) {
    await sleep(250);
    least = Math.min(least, await residentBytes(pid));
  }
  return least;
}
