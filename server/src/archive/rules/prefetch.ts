/**
 * Prefetching priors: when a study begins to come, earlier ones of its patient are looked for in archives and fetched.
 *
 * A study that was fetched itself wants no priors, or every patient's whole history would come one by one.
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { CompiledRule } from '@lightbox/core/translate/rules/compile.ts';
import {
  choosePriors,
  type ChosenPrior,
  passedOver,
  type PriorStudy,
  type PriorSubject,
} from '@lightbox/core/translate/rules/priors.ts';
import { DEFAULTS, type PrefetchAction } from '@lightbox/core/translate/rules/types.ts';
import type { Audit, Device, Devices } from '../../identity/types.ts';
import type { Database } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import type { Presence } from '../presence.ts';
import { backOffMs } from '../transfers/states.ts';
import type { Transfers } from '../transfers/types.ts';
import type { RuleBook } from './book.ts';
import type { RuleJournal } from './journal.ts';
import { momentOf, type ObjectReader, type RuledObject, type RuledStudy } from './objects.ts';
import { authorOf, readsOf } from './routing.ts';
import type { Bookings, PriorArchives } from './types.ts';

export interface PrefetchParts {
  readonly database: Pick<Database, 'pool'>;
  readonly book: RuleBook;
  readonly objects: ObjectReader;
  readonly journal: RuleJournal;
  readonly devices: Pick<Devices, 'list'>;
  readonly transfers: Pick<Transfers, 'ask'>;
  readonly presence: Presence;
  readonly archives: PriorArchives;
  readonly bookings?: Bookings | undefined;
  readonly audit: Audit;
  readonly log: Log;
}

type PrefetchRule = CompiledRule & { readonly prefetch: PrefetchAction };
type Found = PriorStudy & { readonly aeTitle: string };

interface Due {
  readonly rule: string;
  readonly study_uid: string;
  readonly attempts: number;
  /** Grows each time a person asks once more. */
  readonly round: number;
}

/** Of one archive so many studies of a patient are looked at. */
const MOST_FOUND = 1000;
const SEARCH_MS = 120_000;
const FIRST_WAIT_MS = 30_000;
const MOST_ATTEMPTS = 10;
/** While one is looked for, others do not begin with it. */
const LEASE_SECONDS = 300;

export const prefetching = (rules: readonly CompiledRule[]): PrefetchRule[] =>
  rules.filter((one): one is PrefetchRule => one.enabled && one.prefetch !== undefined);

/** What was found for one rule. */
export interface Search {
  readonly chosen: readonly ChosenPrior<Found>[];
  readonly troubles: readonly { readonly aeTitle: string; readonly fault: Fault }[];
}

export class Prefetch {
  readonly #parts: PrefetchParts;
  /** Studies that were looked at by rules of the version that stands before it. */
  #seen = new Set<string>();
  #seenBy = 0;

  constructor(parts: PrefetchParts) {
    this.#parts = parts;
  }

  /** A study has come, or begins to: rules that match one of its objects want priors. */
  async want(study: RuledStudy, complete: boolean): Promise<void> {
    const { book, objects } = this.#parts;
    const rules = prefetching(book.active.rules);
    if (rules.length === 0) return;
    const version = book.version?.id ?? 0;
    if (this.#seenBy !== version || this.#seen.size > 10_000)
      [this.#seen, this.#seenBy] = [new Set(), version];
    // Looked at with its first objects and again when it is complete: a series that matches may come last.
    if (!complete && this.#seen.has(study.id)) return;
    this.#seen.add(study.id);
    const open = new Set(rules);
    for await (const page of objects.pages(study, readsOf(rules))) {
      for (const rule of [...open])
        if (this.#matches(rule, page)) {
          open.delete(rule);
          await this.#wanted(rule.rule.name, study.studyUid);
        }
      if (open.size === 0 || !complete) return;
    }
  }

  /** A booking: rules without conditions on what is not known yet want its priors. */
  async wantBooked(studyUid: string): Promise<void> {
    for (const { rule } of prefetching(this.#parts.book.active.rules))
      if (rule.when === undefined) await this.#wanted(rule.name, studyUid);
  }

  #matches(rule: PrefetchRule, page: readonly RuledObject[]): boolean {
    const since = this.#parts.book.since(rule.rule.name);
    return since !== undefined && page.some((one) => one.receivedAt >= since && rule.matches(one.subject));
  }

  async #wanted(rule: string, studyUid: string): Promise<void> {
    await this.#parts.database.pool.query(
      `INSERT INTO rule_prefetch (rule, study_uid)
       SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM transfer WHERE kind = 'fetch' AND scopes @> $3::jsonb)
       ON CONFLICT DO NOTHING`,
      [rule, studyUid, JSON.stringify([{ studyUid }])],
    );
  }

  /** Once more. */
  async again(rule: string, studyUid: string): Promise<void> {
    await this.#parts.database.pool.query(
      `INSERT INTO rule_prefetch (rule, study_uid) VALUES ($1, $2)
       ON CONFLICT (rule, study_uid) DO UPDATE SET state = 'due', attempts = 0, round = rule_prefetch.round + 1, next_at = now()`,
      [rule, studyUid],
    );
  }

  /** Looks for the priors of what is due and asks for them. */
  async fetch(stop: AbortSignal): Promise<void> {
    const { pool } = this.#parts.database;
    while (!stop.aborted) {
      const { rows } = await pool.query<Due>(
        `UPDATE rule_prefetch p SET attempts = attempts + 1, next_at = now() + make_interval(secs => $1)
         FROM (SELECT rule, study_uid FROM rule_prefetch WHERE state = 'due' AND next_at <= now()
           ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED) AS first
         WHERE p.rule = first.rule AND p.study_uid = first.study_uid
         RETURNING p.*`,
        [LEASE_SECONDS],
      );
      const [row] = rows;
      if (!row) return;
      await this.#fetch(row, stop);
    }
  }

  async #fetch({ rule: name, study_uid: studyUid, attempts, round }: Due, stop: AbortSignal): Promise<void> {
    const { book, journal, log, database } = this.#parts;
    const set = (state: string, waitMs = 0): Promise<unknown> =>
      database.pool.query(
        `UPDATE rule_prefetch SET state = $3, next_at = now() + make_interval(secs => $4) WHERE rule = $1 AND study_uid = $2`,
        [name, studyUid, state, waitMs / 1000],
      );
    const rule = prefetching(book.active.rules).find((one) => one.rule.name === name);
    const subject = rule && (await this.subject(studyUid));
    if (!rule || !subject) return void (await set('done'));
    const { chosen, troubles } = await this.search(rule.prefetch, subject, stop);
    if (stop.aborted) return void (await set('due'));
    const asked = await this.#ask(rule, studyUid, round, chosen);
    for (const { aeTitle, fault } of troubles) {
      log.warn(
        { rule: name, archive: aeTitle, code: fault.code },
        'an archive could not be asked for priors',
      );
      await journal.note({ rule: name, event: 'problem', studyUid, aeTitle, code: fault.code });
    }
    if (troubles.length > 0)
      return void (attempts < MOST_ATTEMPTS
        ? await set('due', backOffMs(attempts, FIRST_WAIT_MS))
        : await set('failed'));
    if (asked === 0) await journal.note({ rule: name, event: 'noPriors', studyUid });
    await set('done');
  }

  /** @returns how many transfers were asked for. */
  async #ask(rule: PrefetchRule, studyUid: string, round: number, chosen: Search['chosen']): Promise<number> {
    const { transfers, journal, audit, devices } = this.#parts;
    const name = rule.rule.name;
    const by = authorOf(name);
    const wanted = chosen.filter(({ why }) => why === null).map(({ study }) => study);
    const all = await devices.list();
    let asked = 0;
    for (const aeTitle of new Set(wanted.map((one) => one.aeTitle))) {
      const device = all.find((one) => one.aeTitle === aeTitle);
      if (!device) continue;
      for (const prior of wanted.filter((one) => one.aeTitle === aeTitle)) {
        // The same prior for the same study is the same transfer, however often it is asked for.
        const id = createHash('sha256')
          .update(JSON.stringify([name, studyUid, round, aeTitle, prior.studyUid]))
          .digest('hex')
          .slice(0, 32);
        const transfer = await transfers.ask({
          ...{ kind: 'fetch', device, scopes: [{ studyUid: prior.studyUid }], by, id },
          ...{
            method: rule.prefetch.method ?? 'auto',
            priority: rule.prefetch.priority ?? DEFAULTS.prefetchPriority,
          },
        });
        asked += 1;
        await journal.note({
          rule: name,
          event: 'fetched',
          studyUid,
          aeTitle,
          objects: 1,
          transferId: transfer.id,
        });
        audit.record({
          ...{
            event: 'transfer.asked',
            outcome: 'success',
            principal: by,
            studyUids: [studyUid, prior.studyUid],
          },
          detail: { kind: 'fetch', transfer: transfer.id, aeTitle, rule: name },
        });
      }
    }
    return asked;
  }

  /** Whose priors are wanted: of a study that is here, or of a booking. */
  async subject(studyUid: string): Promise<PriorSubject | undefined> {
    const { rows } = await this.#parts.database.pool.query<{
      patient_id: string;
      issuer: string;
      birth_date: string;
      study_date: string;
      modalities: string[];
      body_parts: string[] | null;
    }>(
      `SELECT patient_id, issuer, birth_date, study_date, modalities,
         (SELECT array_agg(DISTINCT body_part) FROM series e WHERE e.study_fk = study.id AND body_part <> '') AS body_parts
       FROM study WHERE study_uid = $1 ORDER BY id`,
      [studyUid],
    );
    const [row, ...others] = rows;
    if (!row) return this.#parts.bookings?.(studyUid);
    // Of two patients in one study nobody knows whose priors are meant.
    if (others.length > 0) return undefined;
    return {
      ...{
        studyUid,
        patientId: row.patient_id,
        issuer: row.issuer,
        birthDate: row.birth_date,
        date: row.study_date,
      },
      ...{ modalities: row.modalities, bodyParts: row.body_parts ?? [] },
    };
  }

  /** Asks every archive of a rule, one after the other. */
  async search(action: PrefetchAction, subject: PriorSubject, stop: AbortSignal): Promise<Search> {
    const troubles: { aeTitle: string; fault: Fault }[] = [];
    const found = new Map<string, Found>();
    const today = momentOf(new Date()).date;
    const known = await this.#parts.devices.list();
    // Without a number everybody would match.
    for (const aeTitle of subject.patientId === '' ? [] : action.from) {
      const device = known.find((one) => one.aeTitle === aeTitle && one.offers.includes('archive'));
      try {
        if (!device) throw new Fault('TRANSFER_DEVICE');
        const signal = AbortSignal.any([stop, AbortSignal.timeout(SEARCH_MS)]);
        for (const one of await this.#ofArchive(device, action, subject, today, signal))
          if (!found.has(one.studyUid)) found.set(one.studyUid, one);
      } catch (error) {
        troubles.push({ aeTitle, fault: asFault(error) });
      }
    }
    return { chosen: choosePriors(action, subject, [...found.values()], today), troubles };
  }

  async #ofArchive(
    device: Device,
    action: PrefetchAction,
    subject: PriorSubject,
    today: number,
    signal: AbortSignal,
  ): Promise<Found[]> {
    const { archives, presence } = this.#parts;
    const found: Found[] = [];
    for await (const one of archives.studies(device, subject.patientId, signal)) {
      const present = await presence.study(one);
      const here = present !== null && (one.instanceCount === null || present.instances >= one.instanceCount);
      found.push({ ...one, here, aeTitle: device.aeTitle });
      if (found.length === MOST_FOUND) break;
    }
    if (!action.sameBodyPart) return found;
    const asked: Found[] = [];
    for (const one of found) {
      const bodyParts =
        passedOver(action, subject, one, today) === null && !signal.aborted
          ? await archives.bodyParts(device, one.studyUid, signal)
          : undefined;
      asked.push({ ...one, bodyParts });
    }
    return asked;
  }
}
