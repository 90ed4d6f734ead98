/**
 * The rules in force, compiled once for each version; every version that ever was; and since when each rule has been on.
 *
 * Opened before the archive: objects that come are corrected by it from the first one on.
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { uidValue } from '@lightbox/core/dicom/values.ts';
import { attributesOfDataSet } from '@lightbox/core/translate/rules/attributes.ts';
import { devicesOf, problem, readRules } from '@lightbox/core/translate/rules/check.ts';
import { nearest } from '@lightbox/core/translate/rules/attributes.ts';
import { type CompiledRules, compileRules } from '@lightbox/core/translate/rules/compile.ts';
import type { Problem, RuleFile } from '@lightbox/core/translate/rules/types.ts';
import type { Device } from '../../identity/types.ts';
import type { Database } from '../../platform/database.ts';
import { isReachable } from '../transfers/types.ts';
import type { Events } from '../../platform/events.ts';
import type { Log } from '../../platform/log.ts';
import type { Coercer } from '../types.ts';
import { momentOf, sourceOf } from './objects.ts';
import type { Author, RuleEvents, Saved, Version, VersionDetail } from './types.ts';

declare module '../../platform/events.ts' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- augmentation
  interface EventTypes extends RuleEvents {}
}

export const NO_RULES: RuleFile = { version: 1, rules: [] };

/** What becomes a version. */
export interface Draft {
  readonly text: string;
  readonly comment: string;
  readonly by: Author;
  /** The version it was made from; undefined: whichever. */
  readonly from?: number | null | undefined;
  readonly sourceHash?: string | undefined;
}

export interface RuleBook {
  /** In force. */
  readonly active: CompiledRules;
  readonly version: Version | undefined;
  /** When a rule was switched on; undefined: it is not. */
  since(rule: string): Date | undefined;
  /** Corrects what comes in; see `Coercer`. */
  readonly coerce: Coercer;
  /** Takes what was corrected since it was asked last: objects by rule and study. */
  takeCorrected(): { rule: string; studyUid: string; objects: number }[];
  check(
    text: string,
    devices: readonly Device[],
  ): { file: RuleFile | undefined; problems: readonly Problem[] };
  save(draft: Draft, devices: readonly Device[]): Promise<Saved>;
  /** SHA-256 of the file that was last read from the disk. */
  lastRead(): Promise<string | undefined>;
  versions(): Promise<Version[]>;
  read(id: number): Promise<VersionDetail>;
  close(): void;
}

/** Versions shown. All are kept. */
const SHOWN = 200;
/** What is counted between two looks; more rules than this do not correct so many studies in a second. */
const MOST_COUNTED = 5000;
/** How often a node that missed the news of a change looks itself. */
const LOOK_MS = 30_000;

interface Row {
  readonly id: number;
  readonly at: Date;
  readonly author_name: string;
  readonly comment: string;
  readonly file: string;
}

export async function openRuleBook(parts: {
  readonly database: Pick<Database, 'pool'>;
  readonly events: Events;
  readonly log: Log;
}): Promise<RuleBook> {
  const { database, events, log } = parts;
  const { pool } = database;
  let active: CompiledRules = compileRules(NO_RULES);
  let version: Version | undefined;
  let since = new Map<string, Date>();
  const corrected = new Map<string, { rule: string; studyUid: string; objects: number }>();

  async function load(): Promise<void> {
    const { rows } = await pool.query<Row>('SELECT * FROM rule_version ORDER BY id DESC LIMIT 1');
    const [row] = rows;
    if (!row || row.id === version?.id) return;
    const times = await pool.query<{ rule: string; since: Date }>('SELECT * FROM rule_since');
    const { file, problems } = readRules(row.file);
    if (!file) {
      // Written by another version of this program: nothing is done rather than something else.
      log.error(
        { version: row.id, problem: problems[0]?.code },
        'the rules in force cannot be read; none is applied',
      );
    }
    active = compileRules(file ?? NO_RULES);
    since = new Map(times.rows.map((one) => [one.rule, one.since]));
    version = versionOf(row);
  }
  await load();
  const reload = (): Promise<void> =>
    load().catch((error: unknown) => log.error({ err: error }, 'rules could not be read again'));
  const end = events.subscribe('rules.changed', reload);
  const timer = setInterval(() => void reload(), LOOK_MS).unref();

  const check: RuleBook['check'] = (text, devices) => {
    const { file, problems } = readRules(text);
    if (!file) return { file, problems };
    const missing = missingDevices(file, devices);
    return { file: missing.length > 0 ? undefined : file, problems: missing };
  };

  return {
    get active() {
      return active;
    },
    get version() {
      return version;
    },
    since: (rule) => since.get(rule),
    coerce(header, source) {
      const made = active.coerce({
        attributes: attributesOfDataSet(header),
        source: sourceOf(source),
        moment: momentOf(new Date()),
      });
      if (!made) return undefined;
      const studyUid = uidValue(header, Tags.StudyInstanceUID) ?? '';
      for (const rule of made.rules) {
        const key = `${studyUid} ${rule}`;
        const counted = corrected.get(key);
        if (counted) counted.objects += 1;
        else if (corrected.size < MOST_COUNTED) corrected.set(key, { rule, studyUid, objects: 1 });
      }
      return made;
    },
    takeCorrected() {
      const taken = [...corrected.values()];
      corrected.clear();
      return taken;
    },
    check,
    async lastRead() {
      const { rows } = await pool.query<{ source_hash: string }>(
        'SELECT source_hash FROM rule_version WHERE source_hash IS NOT NULL ORDER BY id DESC LIMIT 1',
      );
      return rows[0]?.source_hash;
    },
    async save(draft, devices) {
      const { file, problems } = check(draft.text, devices);
      if (!file) return { saved: false, problems };
      const row = await insert(pool, file, draft);
      await load();
      await events.publish('rules.changed', { version: row.id });
      return { saved: true, version: versionOf(row) };
    },
    async versions() {
      const { rows } = await pool.query<Row>('SELECT * FROM rule_version ORDER BY id DESC LIMIT $1', [SHOWN]);
      return rows.map(versionOf);
    },
    async read(id) {
      const { rows } = await pool.query<Row>('SELECT * FROM rule_version WHERE id = $1', [id]);
      const [row] = rows;
      if (!row) throw new Fault('NOT_FOUND');
      return { ...versionOf(row), file: JSON.parse(row.file) as VersionDetail['file'] };
    },
    close() {
      clearInterval(timer);
      end();
    },
  };
}

/** One after the other: what a rule was before decides since when it has been on. @throws Fault RULES_CHANGED. */
async function insert(
  pool: Database['pool'],
  file: RuleFile,
  { comment, by, from, sourceHash }: Draft,
): Promise<Row> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE rule_version IN EXCLUSIVE MODE');
    const before = (await client.query<Row>('SELECT * FROM rule_version ORDER BY id DESC LIMIT 1')).rows[0];
    if (from !== undefined && from !== (before?.id ?? null)) throw new Fault('RULES_CHANGED');
    const was = before ? (readRules(before.file).file ?? NO_RULES) : NO_RULES;
    const wasOn = new Set(was.rules.filter(({ enabled }) => enabled ?? true).map(({ name }) => name));
    const on = file.rules.filter(({ enabled }) => enabled ?? true).map(({ name }) => name);
    await client.query(
      `INSERT INTO rule_since (rule, since) SELECT unnest($1::text[]), now()
       ON CONFLICT (rule) DO UPDATE SET since = now()`,
      [on.filter((name) => !wasOn.has(name))],
    );
    const { rows } = await client.query<Row>(
      `INSERT INTO rule_version (author_kind, author_id, author_name, comment, file, source_hash)
       VALUES ($1, $2, $3, $4, $5, $6) RETURNING *`,
      [by.kind, by.id, by.name, comment, JSON.stringify(file, undefined, 2), sourceHash ?? null],
    );
    await client.query('COMMIT');
    const [row] = rows;
    if (!row) throw new Fault('INTERNAL');
    return row;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

const versionOf = (row: Row): Version => ({
  ...{ id: row.id, at: row.at.toISOString(), author: row.author_name, comment: row.comment },
  rules: (JSON.parse(row.file) as { rules?: unknown[] }).rules?.length ?? 0,
});

/** Devices of rules that are on which are not there, or cannot do what is wanted of them. */
export function missingDevices(file: RuleFile, devices: readonly Device[]): Problem[] {
  const off = new Set(file.rules.filter(({ enabled }) => enabled === false).map(({ name }) => name));
  return devicesOf(file).flatMap(({ rule, path, aeTitle, for: use }) => {
    if (off.has(rule)) return [];
    const able = devices
      .filter((one) => one.offers.includes(use) && isReachable(one))
      .map((one) => one.aeTitle);
    if (able.includes(aeTitle)) return [];
    const meant = nearest(aeTitle, able);
    const may = use === 'store' ? 'objects may be sent to' : 'can be searched as an archive';
    const suggestion =
      meant === undefined
        ? 'Add it under Devices first, with host, port and what it offers'
        : `Write ${meant}, or add it under Devices first`;
    return [problem(rule, path, 'device', { may, suggestion, aeTitle })];
  });
}
