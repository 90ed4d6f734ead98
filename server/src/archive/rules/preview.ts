/**
 * What rules would do with a study, and why not: for each rule, nothing left out and nothing done.
 *
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Tag } from '@lightbox/core/dicom/data-set.ts';
import { keywordOf, tagText } from '@lightbox/core/dicom/dictionary.ts';
import { attributesOfDataSet, type Attributes } from '@lightbox/core/translate/rules/attributes.ts';
import { coercionOf } from '@lightbox/core/translate/rules/coerce.ts';
import type { CompiledRule, CompiledRules, Reason } from '@lightbox/core/translate/rules/compile.ts';
import type { PrefetchAction, SendAction } from '@lightbox/core/translate/rules/types.ts';
import type { Device } from '../../identity/types.ts';
import type { Database } from '../../platform/database.ts';
import { isReachable } from '../transfers/types.ts';
import type { InstanceRef, Retrieve } from '../types.ts';
import type { RuleBook } from './book.ts';
import type { ObjectReader, RuledObject } from './objects.ts';
import type { Prefetch } from './prefetch.ts';
import { keyOf, type SendTable } from './sends.ts';
import type { PriorArchives, Tried } from './types.ts';

export interface PreviewParts {
  readonly database: Pick<Database, 'pool'>;
  readonly book: RuleBook;
  readonly objects: ObjectReader;
  readonly sends: SendTable;
  readonly prefetch: Prefetch;
  readonly archives: PriorArchives;
  readonly retrieve: Pick<Retrieve, 'list' | 'header'>;
}

type Rule = Tried['rules'][number];
type Why = Rule['send'][number]['left'][number]['why'];

/** A person waits: of larger studies the first objects of each series are looked at. */
const MOST_OBJECTS = 2000;
const MOST_HEADERS = 600;
/** What is shown of a value. */
const LONGEST = 200;

interface Looked {
  readonly object: RuledObject;
  /** As it came. */
  readonly header: Attributes;
}

export async function tryRules(
  parts: PreviewParts,
  rules: CompiledRules,
  studyUid: string,
  options: {
    readonly devices: readonly Device[];
    readonly askArchives: boolean;
    readonly signal: AbortSignal;
  },
): Promise<Tried> {
  const { objects, sends } = parts;
  const studies = await objects.studies(studyUid);
  if (studies.length === 0) throw new Fault('NOT_FOUND');
  const found: RuledObject[] = [];
  let total = 0;
  for (const study of studies) {
    total += await countOf(parts, study.id);
    for await (const page of objects.pages(
      study,
      rules.rules.flatMap(({ reads }) => reads),
    )) {
      found.push(...page);
      if (found.length >= MOST_OBJECTS) break;
    }
  }
  const looked = await headersOf(parts, studyUid, found.slice(0, MOST_OBJECTS));
  const known = await sends.known(studyUid);
  const loops = new Set((await sends.loops()).map(({ rule, aeTitle }) => JSON.stringify([rule, aeTitle])));
  const seriesRows = await seriesOf(parts, studyUid);
  const tried: Rule[] = [];
  for (const rule of rules.rules) {
    const { name } = rule.rule;
    // Corrections see an object as it came, everything else what it has become.
    const subjectOf = ({ object, header }: Looked): RuledObject['subject'] =>
      rule.steps ? { ...object.subject, attributes: header } : object.subject;
    const reasons = looked.map((one) => rule.explain(subjectOf(one)));
    const matching = looked.filter((_, at) => reasons[at]?.length === 0);
    const row: Rule = {
      ...{
        name,
        enabled: rule.enabled,
        groups: groupsOf(looked, reasons),
        send: [],
        priors: [],
        troubles: [],
        changes: [],
      },
      kind: rule.send ? 'send' : rule.prefetch ? 'prefetch' : 'coerce',
    };
    if (rule.send)
      row.send.push(
        ...rule.send.devices.map((ae) =>
          sendOf(rule, ae, matching, {
            known,
            loops,
            devices: options.devices,
            since: parts.book.since(name),
          }),
        ),
      );
    if (rule.prefetch && matching.length > 0 && options.askArchives)
      await addPriors(parts, row, rule.prefetch, studyUid, options.signal);
    if (rule.steps) row.changes.push(...changesOf(rule, matching));
    tried.push(row);
  }
  return { studyUid, objects: total, looked: looked.length, series: seriesRows, rules: tried };
}

async function countOf({ database }: PreviewParts, studyFk: string): Promise<number> {
  const { rows } = await database.pool.query<{ instance_count: number }>(
    'SELECT instance_count FROM study WHERE id = $1',
    [studyFk],
  );
  return rows[0]?.instance_count ?? 0;
}

async function seriesOf({ database }: PreviewParts, studyUid: string): Promise<Tried['series']> {
  const { rows } = await database.pool.query<{
    series_uid: string;
    number: number | null;
    modality: string;
    description: string;
  }>(
    `SELECT e.series_uid, e.number, e.modality, e.description FROM series e JOIN study s ON s.id = e.study_fk
     WHERE s.study_uid = $1 ORDER BY e.number NULLS LAST, e.series_uid`,
    [studyUid],
  );
  return rows.map((row) => ({
    seriesUid: row.series_uid,
    number: row.number,
    modality: row.modality,
    description: row.description,
  }));
}

/** Those whose headers are read, the first of each series when there are too many. */
async function headersOf(
  parts: PreviewParts,
  studyUid: string,
  found: readonly RuledObject[],
): Promise<Looked[]> {
  const series = new Map<string, number>();
  for (const { seriesUid } of found) series.set(seriesUid, 0);
  const each =
    found.length <= MOST_HEADERS ? found.length : Math.max(1, Math.floor(MOST_HEADERS / series.size));
  const chosen = found
    .filter(({ seriesUid }) => {
      const count = (series.get(seriesUid) ?? 0) + 1;
      series.set(seriesUid, count);
      return count <= each;
    })
    .slice(0, MOST_OBJECTS);
  const refs = new Map<string, InstanceRef>(
    (await parts.retrieve.list({ studyUid })).map((ref) => [ref.sopUid, ref]),
  );
  const looked: Looked[] = [];
  for (const object of chosen) {
    const ref = refs.get(object.sopUid);
    if (ref)
      looked.push({
        object,
        header: attributesOfDataSet(await parts.retrieve.header({ ...ref, corrections: undefined })),
      });
  }
  return looked;
}

/** Objects with the same reasons together. */
function groupsOf(looked: readonly Looked[], reasons: readonly (readonly Reason[])[]): Rule['groups'] {
  const groups = new Map<string, { objects: number; series: Set<string>; reasons: readonly Reason[] }>();
  looked.forEach(({ object }, at) => {
    const why = reasons[at] ?? [];
    const key = JSON.stringify(why);
    const group = groups.get(key) ?? { objects: 0, series: new Set<string>(), reasons: why };
    group.objects += 1;
    group.series.add(object.seriesUid);
    groups.set(key, group);
  });
  return [...groups.values()].map((group) => ({
    ...{ objects: group.objects, series: [...group.series] },
    reasons: group.reasons.map((one) => ({ ...one, found: one.found.map(short) })),
  }));
}

const short = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

function sendOf(
  { rule }: CompiledRule & { readonly send?: SendAction | undefined },
  aeTitle: string,
  matching: readonly Looked[],
  context: {
    readonly known: ReadonlySet<string>;
    readonly loops: ReadonlySet<string>;
    readonly devices: readonly Device[];
    readonly since: Date | undefined;
  },
): Rule['send'][number] {
  const { known, loops, devices, since } = context;
  const left = new Map<Why, number>();
  let objects = 0;
  const there = devices.some(
    (one) => one.aeTitle === aeTitle && one.offers.includes('store') && isReachable(one),
  );
  const stopped = loops.has(JSON.stringify([rule.name, aeTitle]));
  for (const { object } of matching) {
    const why: Why | undefined =
      object.fromAe === aeTitle
        ? 'source'
        : known.has(keyOf(rule.name, aeTitle, object.sopUid))
          ? 'done'
          : since && object.receivedAt < since
            ? 'older'
            : stopped
              ? 'loop'
              : there
                ? undefined
                : 'device';
    if (why) left.set(why, (left.get(why) ?? 0) + 1);
    else objects += 1;
  }
  return { aeTitle, objects, left: [...left].map(([why, count]) => ({ why, objects: count })) };
}

async function addPriors(
  { prefetch, archives }: PreviewParts,
  row: Rule,
  action: PrefetchAction,
  studyUid: string,
  signal: AbortSignal,
): Promise<void> {
  const subject = await prefetch.subject(studyUid);
  if (!subject) return;
  const { chosen, troubles } = await prefetch.search(action, subject, signal);
  for (const { study, why } of chosen) {
    const { aeTitle, date, description, modalities } = study;
    row.priors.push({
      aeTitle,
      studyUid: study.studyUid,
      date,
      description: short(description),
      modalities: [...modalities],
      why,
    });
  }
  for (const { aeTitle, fault } of troubles)
    row.troubles.push({ aeTitle, code: fault.code, advice: archives.adviceFor(fault) });
}

/** Attributes before and after, the same change of several objects together. */
function changesOf(rule: CompiledRule, matching: readonly Looked[]): Rule['changes'] {
  const changes = new Map<string, Rule['changes'][number] & { readonly of: Set<string> }>();
  for (const { object, header } of matching) {
    for (const edit of coercionOf([rule], header)?.edits ?? []) {
      const before = header.whole([edit.tag]) ?? null;
      const after =
        edit.op === 'delete'
          ? null
          : edit.value.map((one) => (typeof one === 'string' ? one : '')).join('\\');
      const key = JSON.stringify([edit.tag, before, after]);
      const change = changes.get(key) ?? {
        ...{
          attribute: nameOf(edit.tag),
          tag: tagText(edit.tag),
          objects: 0,
          series: [],
          of: new Set<string>(),
        },
        ...{ before: before === null ? null : short(before), after: after === null ? null : short(after) },
      };
      change.objects += 1;
      change.of.add(object.seriesUid);
      changes.set(key, change);
    }
  }
  return [...changes.values()].map(({ of, ...change }) => ({ ...change, series: [...of] }));
}

const nameOf = (tag: Tag): string => keywordOf(tag) ?? tagText(tag);
