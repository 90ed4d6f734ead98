/**
 * Rules at work: routing, prefetching and what came back, looked after by one loop on each node.
 *
 * Events only say that there may be something to do now; a look every few seconds finds what they did not say.
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { compileRules } from '@lightbox/core/translate/rules/compile.ts';
import type { Audit, Devices } from '../../identity/types.ts';
import type { Database } from '../../platform/database.ts';
import type { Events } from '../../platform/events.ts';
import type { Log } from '../../platform/log.ts';
import type { Presence } from '../presence.ts';
import type { Transfers } from '../transfers/types.ts';
import type { Ingest, IngestOutcome, IngestSource, Retrieve } from '../types.ts';
import { missingDevices, type RuleBook } from './book.ts';
import { RuleJournal } from './journal.ts';
import { createObjectReader } from './objects.ts';
import { Prefetch } from './prefetch.ts';
import { tryRules } from './preview.ts';
import { Routing, sending } from './routing.ts';
import { SendTable } from './sends.ts';
import type { Bookings, PriorArchives, Rules } from './types.ts';

export interface RuleParts {
  readonly database: Pick<Database, 'pool'>;
  readonly events: Events;
  readonly book: RuleBook;
  readonly retrieve: Pick<Retrieve, 'list' | 'header'>;
  readonly presence: Presence;
  readonly devices: Pick<Devices, 'list'>;
  readonly transfers: Pick<Transfers, 'ask'>;
  readonly archives: PriorArchives;
  readonly bookings?: Bookings | undefined;
  readonly returns: Returns;
  readonly audit: Audit;
  readonly log: Log;
  /** Ours, as people know it. */
  readonly aeTitle: string;
  /** A file of the disk is read at each start. */
  readonly fromFile: boolean;
}

const LOOK_MS = 2000;
const CLEAN_MS = 3_600_000;
/** News of growing studies are gathered so long: each look reads what came since the last one. */
const GROWING_MS = 500;
const MOST_RETURNS = 20_000;

/** Objects that came again, until somebody looks whether a rule sent them there. */
export class Returns {
  #byAe = new Map<string, Set<string>>();
  #count = 0;

  note(source: IngestSource, outcome: IngestOutcome): void {
    const { status, sopInstanceUid } = outcome;
    if (source.kind !== 'dimse' || (status !== 'duplicate' && status !== 'conflict')) return;
    if (sopInstanceUid === undefined || this.#count >= MOST_RETURNS) return;
    const set = this.#byAe.get(source.by) ?? new Set();
    this.#byAe.set(source.by, set.add(sopInstanceUid));
    this.#count += 1;
  }

  take(): [string, string[]][] {
    const taken = [...this.#byAe].map(([ae, uids]): [string, string[]] => [ae, [...uids]]);
    this.#byAe = new Map();
    this.#count = 0;
    return taken;
  }
}

/** The same ingest, with what comes again noted. */
export const watchReturns = (ingest: Ingest, returns: Returns): Ingest => ({
  async begin(source, form) {
    const writer = await ingest.begin(source, form);
    return {
      write: (chunk) => writer.write(chunk),
      abort: () => writer.abort(),
      async finish() {
        const outcome = await writer.finish();
        returns.note(source, outcome);
        return outcome;
      },
    };
  },
});

export function createRules(parts: RuleParts): Rules {
  const { book, events, log, devices, database, retrieve, returns } = parts;
  const objects = createObjectReader(database, retrieve);
  const sends = new SendTable(database);
  const journal = new RuleJournal(database);
  const routing = new Routing({ ...parts, objects, sends, journal });
  const prefetch = new Prefetch({ ...parts, objects, journal });
  const closing = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const ends: (() => void)[] = [];
  const growing = new Set<string>();

  /** One at a time; asked again meanwhile, once more after it. */
  const looper = (
    what: string,
    work: () => Promise<void>,
  ): (() => void) & { readonly ended: () => Promise<void> } => {
    let running: Promise<void> | undefined;
    let again = false;
    const run = (): void => {
      again = true;
      running ??= (async () => {
        while (again && !closing.signal.aborted) {
          again = false;
          await work().catch((error: unknown) => log.warn({ err: error }, `${what}; it is looked at again`));
        }
      })().finally(() => (running = undefined));
    };
    return Object.assign(run, { ended: async () => running });
  };

  const route = looper('rules could not look at studies', async () => {
    await tellLoops();
    for (const { rule, studyUid, objects: count } of book.takeCorrected())
      await journal.note({ rule, event: 'corrected', studyUid, objects: count, add: true });
    const grown = [...growing];
    growing.clear();
    for (const studyUid of grown)
      for (const study of await objects.studies(studyUid)) {
        await routing.wantNew(study);
        await prefetch.want(study, false);
      }
    while (!closing.signal.aborted && (await routing.sweep((study) => prefetch.want(study, true)))) continue;
    await routing.ask();
    fetch();
  });
  const fetch = looper('priors could not be looked for', () => prefetch.fetch(closing.signal));

  async function tellLoops(): Promise<void> {
    const targets = new Set(sending(book.active.rules).flatMap(({ send }) => send.devices));
    for (const [aeTitle, sopUids] of returns.take()) {
      if (!targets.has(aeTitle)) continue;
      for (const loop of await sends.cameAgain(aeTitle, sopUids)) {
        const { rule, studyUid, objects: count } = loop;
        log.error(
          { rule, device: aeTitle, objects: count },
          'a device sends back what a rule sends to it: the rule is stopped',
        );
        await journal.note({ rule, event: 'loop', studyUid, aeTitle, objects: count, add: true });
      }
    }
  }

  const state: Rules['state'] = async () => ({
    version: book.version ?? null,
    file: book.active.file as Awaited<ReturnType<Rules['state']>>['file'],
    warnings: missingDevices(book.active.file, await devices.list()).map((one) => ({
      ...one,
      facts: { ...one.facts },
    })),
    loops: (await sends.loops()).map((loop) => ({
      ...loop,
      ...{ ourAe: parts.aeTitle, firstAt: loop.firstAt.toISOString(), lastAt: loop.lastAt.toISOString() },
    })),
    fromFile: parts.fromFile,
  });

  return {
    state,
    check: async (text) => book.check(text, await devices.list()).problems,
    async save(text, comment, by, from) {
      const saved = await book.save({ text, comment, by, from }, await devices.list());
      if (saved.saved) route();
      return saved;
    },
    versions: () => book.versions(),
    version: (id) => book.read(id),
    async try(studyUid, file, askArchives, signal) {
      const rules = file ? compileRules(file) : book.active;
      const stop = AbortSignal.any([signal, closing.signal]);
      return tryRules({ ...parts, objects, sends, prefetch }, rules, studyUid, {
        ...{ devices: await devices.list(), askArchives, signal: stop },
      });
    },
    async run(studyUid, name) {
      const rule = book.active.rules.find((one) => one.rule.name === name && one.enabled);
      const studies = await objects.studies(studyUid);
      if (!rule || rule.steps || studies.length === 0) throw new Fault('NOT_FOUND');
      let count = 0;
      for (const study of studies)
        for (const one of sending([rule])) count += await routing.again(study, one);
      if (rule.prefetch) await prefetch.again(name, studyUid);
      route();
      return count;
    },
    log: (query) => journal.list(query),
    async release(rule, aeTitle) {
      const count = await sends.release(rule, aeTitle);
      if (count === undefined) throw new Fault('NOT_FOUND');
      route();
      return count;
    },
    start() {
      const every = (milliseconds: number, work: () => void): void => {
        timers.push(setInterval(work, milliseconds).unref());
        work();
      };
      let soon: NodeJS.Timeout | undefined;
      ends.push(
        events.subscribe('study.changed', ({ studyUid }) => {
          if (
            !book.active.rules.some((one) => one.enabled && (one.prefetch || one.send?.trigger === 'object'))
          )
            return;
          growing.add(studyUid);
          soon ??= setTimeout(() => {
            soon = undefined;
            route();
          }, GROWING_MS).unref();
        }),
        events.subscribe('study.stable', () => route()),
        events.subscribe('rules.changed', () => route()),
        events.subscribe('priors.wanted', async ({ studyUid }) => {
          if ((await objects.studies(studyUid)).length > 0) growing.add(studyUid);
          else await prefetch.wantBooked(studyUid);
          route();
        }),
        () => clearTimeout(soon),
      );
      every(LOOK_MS, route);
      every(CLEAN_MS, () => {
        journal
          .forgetOld()
          .catch((error: unknown) => log.warn({ err: error }, 'old news of rules not forgotten'));
      });
    },
    async close() {
      for (const timer of timers) clearInterval(timer);
      for (const end of ends) end();
      closing.abort();
      await Promise.all([route.ended(), fetch.ended()]);
    },
  };
}
