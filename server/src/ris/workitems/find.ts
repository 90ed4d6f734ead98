/**
 * Searching workitems: the database narrows down what it can, the reference matcher decides.
 *
 * Source: PS3.4 §CC.2.8 (C-FIND), §C.2.2.2 (attribute matching), PS3.18 §11.9 (Search Transaction).
 * Layer:  server/ris.
 */
import { type DicomJson, tagHex } from '@lightbox/core/dicom/json.ts';
import { type MatchKey, matches, wildcardMatches } from '@lightbox/core/dicom/matching.ts';
import type { PersonNameGroups } from '@lightbox/core/dicom/person-name.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { foldWords } from '../../archive/index/describe.ts';
import { narrow } from '../../archive/query/predicates.ts';
import { Statement } from '../../archive/query/sql.ts';
import type { Database } from '../../platform/database.ts';
import type { WorkitemQuery } from './types.ts';

/** Read at once: a page of them is a megabyte at most, and a reader that stops early has cost no more. */
const PAGE = 200;

export async function* findWorkitems(
  database: Database,
  { keys, fuzzy = false, signal }: WorkitemQuery,
): AsyncGenerator<DicomJson> {
  let after: readonly [start: string, uid: string] = ['', ''];
  for (;;) {
    if (signal?.aborted) return;
    const statement = new Statement();
    const conditions = [
      'removed_at IS NULL',
      `(start_from, uid) > (${statement.bind(after[0])}, ${statement.bind(after[1])})`,
      ...keys.flatMap((key) => conditionOf(key, statement) ?? []),
    ];
    const { rows } = await database.pool.query<{ uid: string; start_from: string; attributes: DicomJson }>(
      `SELECT uid, start_from, attributes FROM workitem w WHERE ${conditions.join(' AND ')}
       ORDER BY start_from, uid LIMIT ${PAGE}`,
      statement.values,
    );
    for (const { attributes } of rows) {
      if (signal?.aborted) return;
      if (keys.every((key) => matchesWorkitem(key, attributes, fuzzy))) yield attributes;
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = [last.start_from, last.uid];
  }
}

/** What has to be true in the database of everything the matcher would take. */
function conditionOf(key: MatchKey, statement: Statement): string | undefined {
  if (key.kind === 'single' && key.tag === Tags.ProcedureStepState)
    return `state = ${statement.bind(key.value)}`;
  if (key.kind === 'single' && key.tag === Tags.SOPInstanceUID) return `uid = ${statement.bind(key.value)}`;
  if (key.kind === 'list' && key.tag === Tags.SOPInstanceUID)
    return `uid = ANY(${statement.bind(key.values)}::text[])`;
  if (key.kind === 'range' && key.tag === Tags.ScheduledProcedureStepStartDateTime) {
    const sides = [
      key.from === undefined ? [] : [`start_to >= ${statement.bind(key.from)}`],
      key.to === undefined ? [] : [`start_from <= ${statement.bind(key.to)}`],
    ];
    return sides.flat().join(' AND ') || undefined;
  }
  return narrow(key, 'w', statement);
}

export function matchesWorkitem(key: MatchKey, attributes: DicomJson, fuzzy: boolean): boolean {
  if (!fuzzy || key.vr !== 'PN' || (key.kind !== 'single' && key.kind !== 'wildcard'))
    return matches(key, attributes);
  const asked = foldWords(key.kind === 'single' ? key.value : key.pattern.replaceAll('?', '*'));
  const names = (attributes[tagHex(key.tag)]?.Value ?? []) as (PersonNameGroups | null)[];
  return names.some((name) => {
    const words = foldWords(Object.values(name ?? {}).join('^'));
    return asked.every((word) => words.some((one) => wildcardMatches(`${word}*`, one)));
  });
}
