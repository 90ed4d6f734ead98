/**
 * Auto-routing: looks at the objects of studies that changed, and has what rules want sent.
 *
 * The truth is in tables: a study that rules have not looked at since it changed is marked so by the index, in the same statement
 * that counts its objects; what is wanted is a row. So nothing is lost when the process dies between two of its steps, and nothing
 * is sent twice.
 * Layer:  server/archive.
 */
import { asFault } from '@lightbox/core/base/fault.ts';
import type { CompiledRule } from '@lightbox/core/translate/rules/compile.ts';
import { DEFAULTS, type SendAction } from '@lightbox/core/translate/rules/types.ts';
import type { Audit, Device, Devices, Principal } from '../../identity/types.ts';
import type { Database } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import { isReachable, type Transfers } from '../transfers/types.ts';
import type { RuleBook } from './book.ts';
import type { RuleJournal } from './journal.ts';
import type { ObjectReader, RuledObject, RuledStudy } from './objects.ts';
import type { Batch, SendTable, Wanted } from './sends.ts';

export interface RoutingParts {
  readonly database: Pick<Database, 'pool'>;
  readonly book: RuleBook;
  readonly objects: ObjectReader;
  readonly sends: SendTable;
  readonly journal: RuleJournal;
  readonly devices: Pick<Devices, 'list'>;
  readonly transfers: Pick<Transfers, 'ask'>;
  readonly audit: Audit;
  readonly log: Log;
}

/** A device that is not there, or has no address, is tried again after. */
const PUT_OFF_SECONDS = 300;
const LOOK_AT = 100;

export const sending = (rules: readonly CompiledRule[]): (CompiledRule & { send: SendAction })[] =>
  rules.filter((one): one is CompiledRule & { send: SendAction } => one.enabled && one.send !== undefined);

export class Routing {
  readonly #parts: RoutingParts;
  /** Of studies that grow: the last object that was looked at as it came. Lost with the process; then all are looked at again. */
  readonly #looked = new Map<string, string>();

  constructor(parts: RoutingParts) {
    this.#parts = parts;
  }

  /** Studies that are complete and were not looked at since. @returns whether there may be more. */
  async sweep(each: (study: RuledStudy) => Promise<void>): Promise<boolean> {
    const { pool } = this.#parts.database;
    const { rows } = await pool.query<{ id: string; study_uid: string; changed_at: string }>(
      `SELECT id, study_uid, changed_at::text FROM study WHERE NOT ruled AND stable ORDER BY id LIMIT ${LOOK_AT}`,
    );
    for (const row of rows) {
      const study = { id: row.id, studyUid: row.study_uid, changedAt: row.changed_at };
      await this.wantAll(study);
      await each(study);
      // Objects that came meanwhile have moved `changed_at`: then it is looked at again.
      await pool.query('UPDATE study SET ruled = true WHERE id = $1 AND changed_at = $2::timestamptz', [
        study.id,
        study.changedAt,
      ]);
      this.#looked.delete(study.id);
    }
    return rows.length === LOOK_AT;
  }

  /** Every object of a complete study, by every rule that sends. */
  async wantAll(study: RuledStudy): Promise<void> {
    const rules = sending(this.#parts.book.active.rules);
    if (rules.length === 0) return;
    const news = new Map<CompiledRule, number>();
    for await (const page of this.#parts.objects.pages(study, readsOf(rules)))
      for (const rule of rules) news.set(rule, (news.get(rule) ?? 0) + (await this.#want(study, rule, page)));
    for (const rule of rules)
      if (rule.send.onlyOnce === false && (news.get(rule) ?? 0) > 0)
        await this.#parts.sends.resend(study.studyUid, rule.rule.name, rule.send);
  }

  /** New objects of a growing study, by rules that do not wait until it is complete. */
  async wantNew(study: RuledStudy): Promise<void> {
    const rules = sending(this.#parts.book.active.rules).filter(({ send }) => send.trigger === 'object');
    if (rules.length === 0) return;
    for await (const page of this.#parts.objects.pages(study, readsOf(rules), this.#looked.get(study.id))) {
      for (const rule of rules) await this.#want(study, rule, page);
      this.#looked.set(study.id, page.at(-1)?.id ?? '0');
    }
    if (this.#looked.size > 10_000) this.#looked.clear();
  }

  /** All that match of a study, whatever was done before. @returns how many objects to how many devices. */
  async again(study: RuledStudy, rule: CompiledRule & { send: SendAction }): Promise<number> {
    let count = 0;
    for await (const page of this.#parts.objects.pages(study, rule.reads)) {
      const matching = page.filter(({ subject }) => rule.matches(subject));
      count += await this.#parts.sends.again(wantedOf(study, rule, matching).wanted);
    }
    return count;
  }

  /** @returns how many were not wanted before. */
  async #want(
    study: RuledStudy,
    rule: CompiledRule & { send: SendAction },
    page: readonly RuledObject[],
  ): Promise<number> {
    const { book, sends, journal } = this.#parts;
    const { name } = rule.rule;
    const since = book.since(name);
    if (!since) return 0;
    const matching = page.filter(({ receivedAt, subject }) => receivedAt >= since && rule.matches(subject));
    const { wanted, returned } = wantedOf(study, rule, matching);
    const news = await sends.want(wanted, rule.send.delaySeconds ?? 0);
    for (const [aeTitle, objects] of returned)
      await journal.note({ rule: name, event: 'returned', studyUid: study.studyUid, aeTitle, objects });
    return news;
  }

  /** Asks for the transfers of what is due. */
  async ask(): Promise<void> {
    const { sends } = this.#parts;
    for (let batch = await sends.forgotten(); batch; batch = await sends.forgotten()) await this.#ask(batch);
    for (let batch = await sends.claim(); batch; batch = await sends.claim()) await this.#ask(batch);
  }

  async #ask(batch: Batch): Promise<void> {
    const { sends, journal, transfers, audit, log } = this.#parts;
    const { rule: name, aeTitle, studyUid, scopes, transferId } = batch;
    // The rule may say something else by now.
    const rule = sending(this.#parts.book.active.rules).find((one) => one.rule.name === name);
    if (!rule?.send.devices.includes(aeTitle)) return sends.settle(transferId, 'dropped');
    const by = authorOf(name);
    try {
      const device = await this.#device(aeTitle);
      if (!device) {
        await journal.note({
          rule: name,
          event: 'problem',
          studyUid,
          aeTitle,
          objects: scopes.length,
          code: 'TRANSFER_DEVICE',
        });
        return await sends.putOff(transferId, PUT_OFF_SECONDS);
      }
      const priority = rule.send.priority ?? DEFAULTS.sendPriority;
      await transfers.ask({ kind: 'send', device, scopes, by, priority, id: transferId });
      await sends.settle(transferId, 'asked');
      await journal.note({
        rule: name,
        event: 'sent',
        studyUid,
        aeTitle,
        objects: scopes.length,
        transferId,
      });
      audit.record({
        ...{ event: 'transfer.asked', outcome: 'success', principal: by, studyUids: [studyUid] },
        detail: { kind: 'send', transfer: transferId, aeTitle, objects: scopes.length, rule: name },
      });
    } catch (error) {
      const { code } = asFault(error);
      if (code === 'NOT_FOUND') return sends.settle(transferId, 'gone');
      log.warn(
        { err: error, rule: name, to: aeTitle },
        'what a rule sends could not be asked for; it is tried again',
      );
      await sends.putOff(transferId, PUT_OFF_SECONDS);
    }
  }

  async #device(aeTitle: string): Promise<Device | undefined> {
    const all = await this.#parts.devices.list();
    return all.find((one) => one.aeTitle === aeTitle && one.offers.includes('store') && isReachable(one));
  }
}

/** Who asks for what a rule wants. */
export const authorOf = (rule: string): Principal => ({
  ...{ kind: 'system', id: 'rules', name: `Rule: ${rule}`, roles: [], rights: [], remoteAddress: '' },
});

export const readsOf = (rules: readonly CompiledRule[]): CompiledRule['reads'] =>
  rules.flatMap(({ reads }) => reads);

/** Objects for each device of a rule; never back to the one an object came from. */
export function wantedOf(
  { studyUid }: Pick<RuledStudy, 'studyUid'>,
  { rule, send }: CompiledRule & { send: SendAction },
  objects: readonly RuledObject[],
): { readonly wanted: Wanted[]; readonly returned: ReadonlyMap<string, number> } {
  const wanted: Wanted[] = [];
  const returned = new Map<string, number>();
  for (const aeTitle of send.devices)
    for (const { fromAe, sopUid, seriesUid } of objects) {
      if (fromAe === aeTitle) returned.set(aeTitle, (returned.get(aeTitle) ?? 0) + 1);
      else wanted.push({ rule: rule.name, aeTitle, sopUid, studyUid, seriesUid });
    }
  return { wanted, returned };
}
