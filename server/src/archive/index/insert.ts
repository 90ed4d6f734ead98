/**
 * Puts objects into the index by one statement: it is there whole or not at all, and not while its study is being corrected.
 *
 * Layer:  server/archive.
 */
import type pg from 'pg';
import type { Kept } from '../journal/append.ts';
import type { Fence } from '../overlays/fence.ts';
import { hashOf, type Overlay, type Step } from '../overlays/steps.ts';
import type { IngestSource } from '../types.ts';
import { cleanText, jsonText } from './attributes.ts';
import type { ObjectEntry } from './describe.ts';
import { type Fresh, PATIENT_MISMATCH, type Place, type Resolver } from './resolve.ts';
import { INSERT, INSERT_FRESH } from './statement.ts';

export interface NewObject {
  /** With what rules did to it. */
  readonly entry: ObjectEntry;
  readonly kept: Pick<Kept, 'offset' | 'length' | 'sha256' | 'receivedAt'> & { readonly blob: string };
  readonly dataSetOffset: number;
  readonly source: IngestSource;
  /** What rules did to it; kept beside it for ever. */
  readonly coercion?: readonly Step[] | undefined;
}

/** An object with what people decided about its study. */
export interface CorrectedObject {
  readonly entry: ObjectEntry;
  readonly steps: readonly Step[];
}

/** Reads the header of a kept object again and puts coercion and corrections over it. */
export type Corrector = (object: NewObject, overlays: readonly Overlay[]) => Promise<CorrectedObject>;

/** Headers read at the same time. */
const AT_ONCE = 16;

/** The corrections of the studies changed while the objects were on their way: nothing was inserted. */
export class FenceClosed extends Error {
  /** As a serialization failure: it is tried again. */
  readonly code = '40001';

  constructor() {
    super('corrections changed meanwhile');
  }
}

export interface PresentObject {
  readonly blob: string;
  readonly offset: number;
  readonly length: number;
  readonly dataSetOffset: number;
  readonly sha256: Buffer;
}

export interface Inserted {
  /** By SOP Instance UID. */
  readonly added: ReadonlySet<string>;
  /** What was there before under the names of the others. */
  readonly present: ReadonlyMap<string, PresentObject>;
  /** Of each object, in order; undefined where it was there before and nobody had to look for one. */
  readonly places: readonly (Place | undefined)[];
}

export interface InsertParts {
  readonly client: pg.ClientBase;
  readonly resolver: Resolver;
  readonly fence: Fence;
  readonly correct: Corrector;
  /** The entries are to be made from the kept headers, whether there are corrections or not. */
  readonly again?: boolean | undefined;
}

/**
 * @throws FenceClosed
 */
export async function insertObjects(parts: InsertParts, objects: readonly NewObject[]): Promise<Inserted> {
  const { client, resolver, fence, correct } = parts;
  const { epochs, overlays } = await fence.look(client, objects);
  const shown: (NewObject & CorrectedObject)[] = [];
  for (let at = 0; at < objects.length; at += AT_ONCE) {
    const some = objects.slice(at, at + AT_ONCE).map(async (object) => {
      const decided = overlays.get(object.entry.study.studyUid);
      if (!decided && parts.again !== true) return { ...object, steps: object.coercion ?? [] };
      return { ...object, ...(await correct(object, decided ?? [])) };
    });
    shown.push(...(await Promise.all(some)));
  }
  const steps = await keepSteps(client, shown);
  const objectsWithSteps = shown.map((object, at) => ({ ...object, hashes: steps[at]! }));
  const corrected = objectsWithSteps.flatMap(({ steps, hashes }) =>
    steps.some((step) => step.overlay !== undefined) ? [hashes.shown] : [],
  );
  const fenced = [corrected, [...epochs.keys()], [...epochs.values()]];
  resolver.makeRoom();
  const fresh = await resolver.resolveOrNumber(client, objectsWithSteps);
  const added = new Set<string>();
  for (const row of await insert(client, rowsOf(objectsWithSteps, resolver, fresh), fenced, fresh)) {
    added.add(row.sop_uid);
    const made = fresh.get(row.sop_uid);
    if (made)
      resolver.remember(made.entry, { studyFk: row.study_fk, seriesFk: row.series_fk, mismatch: false });
  }
  let present = await presentOf(client, objects, added);
  // Their study was there already.
  const left = objectsWithSteps.filter(
    ({ entry: { instance } }) =>
      fresh.has(instance.sopUid) && !added.has(instance.sopUid) && !present.has(instance.sopUid),
  );
  if (left.length) {
    await resolver.resolve(client, left);
    for (const row of await insert(client, rowsOf(left, resolver), fenced)) added.add(row.sop_uid);
    present = await presentOf(client, objects, added);
  }
  return { added, present, places: objectsWithSteps.map(({ entry }) => resolver.known(entry)) };
}

interface WithSteps extends NewObject {
  readonly hashes: { readonly shown: string | null; readonly coercion: string | null };
}

interface InsertedRow {
  readonly sop_uid: string;
  readonly study_fk: string;
  readonly series_fk: string;
}

/** @throws FenceClosed: nothing was inserted. */
async function insert(
  client: pg.ClientBase,
  objects: string,
  fenced: readonly unknown[],
  fresh?: Fresh,
): Promise<InsertedRow[]> {
  const values = [objects, ...fenced];
  const { rows } = await client.query<InsertedRow & { yes: boolean; sop_uid: string | null }>(
    fresh?.size ? { ...INSERT_FRESH, values: [...values, freshRows(fresh)] } : { ...INSERT, values },
  );
  if (rows[0]?.yes !== true) throw new FenceClosed();
  return rows.filter((row) => row.sop_uid !== null);
}

/** What is there under the names of those that were not added. */
async function presentOf(
  client: pg.ClientBase,
  objects: readonly NewObject[],
  added: ReadonlySet<string>,
): Promise<Map<string, PresentObject>> {
  const names = objects.map(({ entry }) => entry.instance.sopUid).filter((name) => !added.has(name));
  if (names.length === 0) return new Map();
  const found = await client.query<Record<string, string> & { sha256: Buffer }>({
    name: 'present-objects',
    text: `SELECT sop_uid, blob, blob_offset, blob_length, data_set_offset, sha256 FROM instance WHERE sop_uid = ANY($1)`,
    values: [names],
  });
  return new Map(
    found.rows.map((row) => [
      row['sop_uid'] ?? '',
      {
        blob: row['blob'] ?? '',
        offset: Number(row['blob_offset']),
        length: Number(row['blob_length']),
        dataSetOffset: Number(row['data_set_offset']),
        sha256: row.sha256,
      },
    ]),
  );
}

/** Attributes are JSON already: they are not made into a string of a string. */
function rowsOf(objects: readonly WithSteps[], resolver: Resolver, fresh?: Fresh): string {
  const rows = objects.map(({ entry, kept, dataSetOffset, source, hashes }) => {
    const { instance } = entry;
    const place = resolver.known(entry);
    const text = JSON.stringify({
      ...{ seriesFk: place?.seriesFk, studyFk: place?.studyFk, place: fresh?.get(instance.sopUid)?.at },
      ...{ sopUid: instance.sopUid, sopClassUid: instance.sopClassUid },
      ...{ transferSyntaxUid: instance.transferSyntaxUid, number: instance.number, rows: instance.rows },
      ...{ columns: instance.columns, frameCount: instance.frameCount, headerEnd: instance.headerEnd },
      ...{ blob: kept.blob, offset: kept.offset, length: kept.length, dataSetOffset },
      sha256: kept.sha256.toString('hex'),
      pixels: instance.pixels && JSON.stringify(instance.pixels),
      warnings: warningsOf(entry, place?.mismatch),
      receivedAt: kept.receivedAt.toISOString(),
      sourceKind: source.kind,
      sourceBy: cleanText(source.by, 120),
      sourceName: source.name === undefined ? undefined : cleanText(source.name, 120),
      calledAe: source.calledAe === undefined ? undefined : cleanText(source.calledAe),
      ...{ overlay: hashes.shown, coercion: hashes.coercion },
    });
    return `${text.slice(0, -1)},"attributes":${instance.attributes}}`;
  });
  return `[${rows.join(',')}]`;
}

/** What may have to be made, each once. */
function freshRows(fresh: Fresh): string {
  const rows = [...new Set(fresh.values())].map(({ at, entry: { patient, study, series }, receivedAt }) => {
    const { attributes: patientAttributes, ...ofPatient } = patient;
    const { attributes: studyAttributes, ...ofStudy } = study;
    const { attributes: seriesAttributes, description: seriesDescription, ...ofSeries } = series;
    const text = JSON.stringify({
      ...{ at, receivedAt: receivedAt.toISOString(), seriesDescription },
      ...ofPatient,
      ...ofStudy,
      ...ofSeries,
    });
    const attributes = Object.entries({ patientAttributes, studyAttributes, seriesAttributes });
    return `${text.slice(0, -1)},${attributes.map(([name, json]) => `"${name}":${json}`).join(',')}}`;
  });
  return `[${rows.join(',')}]`;
}

/** Most objects have none, and cost nothing. */
async function keepSteps(
  client: pg.ClientBase,
  objects: readonly (NewObject & CorrectedObject)[],
): Promise<readonly { readonly shown: string | null; readonly coercion: string | null }[]> {
  const sets = new Map<string, string>();
  const named = (steps: readonly Step[] | undefined): string | null => {
    if (!steps?.length) return null;
    const hash = hashOf(steps);
    sets.set(hash, jsonText(steps));
    return hash;
  };
  const hashes = objects.map(({ steps, coercion }) => ({ shown: named(steps), coercion: named(coercion) }));
  if (sets.size) {
    await client.query(
      `INSERT INTO overlay_steps (hash, steps) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING`,
      [[...sets.keys()], [...sets.values()]],
    );
  }
  return hashes;
}

export const warningsOf = (entry: ObjectEntry, mismatch: boolean | undefined): string[] =>
  mismatch ? [...entry.instance.warnings, PATIENT_MISMATCH] : [...entry.instance.warnings];
