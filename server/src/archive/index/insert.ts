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
import { PATIENT_MISMATCH, type Place, type Resolver } from './resolve.ts';

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

const INSERT = {
  name: 'index-objects',
  text: `
    WITH fence AS (
      -- FOR SHARE waits for a correction under way and looks again at what it left: see overlays/fence.ts.
      SELECT f.bucket FROM overlay_fence f JOIN unnest($27::int[], $28::bigint[]) AS known (bucket, epoch)
        ON f.bucket = known.bucket AND f.epoch = known.epoch
      FOR SHARE OF f
    ), open AS (
      SELECT count(*) = cardinality($27::int[]) AS yes FROM fence
    ), new AS (
      INSERT INTO instance (series_fk, study_fk, sop_uid, sop_class_uid, transfer_syntax_uid, number, rows, columns,
        frame_count, blob, blob_offset, blob_length, data_set_offset, header_end, sha256, pixels, attributes, warnings,
        received_at, source_kind, source_by, source_name, called_ae, overlay)
      SELECT series_fk, study_fk, sop_uid, sop_class_uid, transfer_syntax_uid, number, rows, columns,
        frame_count, blob, blob_offset, blob_length, data_set_offset, header_end, decode(sha256, 'hex'), pixels,
        attributes::jsonb, string_to_array(warnings, ','), received_at,
        source_kind, source_by, source_name, called_ae, overlay
      FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[],
        $9::int[], $10::text[], $11::bigint[], $12::bigint[], $13::int[], $14::bigint[], $15::text[], $16::text[],
        $17::text[], $18::text[], $19::timestamptz[], $20::text[], $21::text[], $22::text[], $23::text[],
        $24::text[])
        AS t (series_fk, study_fk, sop_uid, sop_class_uid, transfer_syntax_uid, number, rows, columns, frame_count, blob,
          blob_offset, blob_length, data_set_offset, header_end, sha256, pixels, attributes, warnings, received_at,
          source_kind, source_by, source_name, called_ae, overlay), open
      WHERE open.yes
      ON CONFLICT (sop_uid) DO NOTHING
      RETURNING series_fk, study_fk, sop_uid, sop_class_uid, frame_count, blob_length, sha256, overlay
    ), coerced AS (
      INSERT INTO coercion (sop_uid, sha256, steps)
      SELECT new.sop_uid, new.sha256, given.steps FROM new
      JOIN unnest($3::text[], $25::text[]) AS given (sop_uid, steps) ON given.sop_uid = new.sop_uid
      WHERE given.steps IS NOT NULL
      ON CONFLICT DO NOTHING
    ), of_series AS (
      SELECT series_fk, count(*) AS instances, sum(frame_count) AS frames, array_agg(DISTINCT sop_class_uid) AS classes
      FROM new GROUP BY series_fk ORDER BY series_fk
    ), of_study AS (
      SELECT study_fk, count(*) AS instances, sum(blob_length) AS bytes, array_agg(DISTINCT sop_class_uid) AS classes,
        bool_or(overlay = ANY($26::text[])) AS corrected
      FROM new GROUP BY study_fk ORDER BY study_fk
    ), series_counts AS (
      UPDATE series SET
        instance_count = instance_count + of_series.instances,
        frame_count = frame_count + of_series.frames,
        changed_at = now(),
        sop_classes = CASE WHEN sop_classes @> classes THEN sop_classes
          ELSE ARRAY(SELECT DISTINCT unnest(sop_classes || classes) ORDER BY 1) END
      FROM of_series WHERE series.id = of_series.series_fk
    ), study_counts AS (
      UPDATE study SET
        instance_count = instance_count + of_study.instances,
        bytes = study.bytes + of_study.bytes,
        changed_at = now(),
        stable = false,
        ruled = false,
        corrected = study.corrected OR coalesce(of_study.corrected, false),
        sop_classes = CASE WHEN sop_classes @> classes THEN sop_classes
          ELSE ARRAY(SELECT DISTINCT unnest(sop_classes || classes) ORDER BY 1) END
      FROM of_study WHERE study.id = of_study.study_fk
    )
    SELECT open.yes, new.sop_uid FROM open LEFT JOIN new ON true`,
} as const;

/** The corrections of the studies changed while the objects were on their way: nothing was inserted. */
export class FenceClosed extends Error {
  /** As a serialization failure: it is tried again. */
  readonly code = '40001';

  constructor() {
    super('corrections changed meanwhile');
  }
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
 * @returns which were added; names that were there before are left out.
 * @throws FenceClosed
 */
export async function insertObjects(
  parts: InsertParts,
  objects: readonly NewObject[],
): Promise<{ readonly added: ReadonlySet<string>; readonly places: readonly Place[] }> {
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
  const hashes = await keepSteps(client, shown);
  const places = await resolver.resolve(client, shown);
  const column = <T>(read: (object: NewObject, index: number) => T): T[] => shown.map(read);
  const corrected = shown.flatMap(({ steps }, at) =>
    steps.some((step) => step.overlay !== undefined) ? [hashes[at]?.shown] : [],
  );
  const answer = await client.query<{ yes: boolean; sop_uid: string | null }>({
    ...INSERT,
    values: [
      places.map((place) => place.seriesFk),
      places.map((place) => place.studyFk),
      column(({ entry }) => entry.instance.sopUid),
      column(({ entry }) => entry.instance.sopClassUid),
      column(({ entry }) => entry.instance.transferSyntaxUid),
      column(({ entry }) => entry.instance.number ?? null),
      column(({ entry }) => entry.instance.rows ?? null),
      column(({ entry }) => entry.instance.columns ?? null),
      column(({ entry }) => entry.instance.frameCount),
      column(({ kept }) => kept.blob),
      column(({ kept }) => kept.offset),
      column(({ kept }) => kept.length),
      column(({ dataSetOffset }) => dataSetOffset),
      column(({ entry }) => entry.instance.headerEnd),
      column(({ kept }) => kept.sha256.toString('hex')),
      column(({ entry }) => (entry.instance.pixels ? JSON.stringify(entry.instance.pixels) : null)),
      column(({ entry }) => entry.instance.attributes),
      column(({ entry }, at) => warningsOf(entry, places[at]?.mismatch).join(',')),
      column(({ kept }) => kept.receivedAt.toISOString()),
      column(({ source }) => source.kind),
      column(({ source }) => cleanText(source.by, 120)),
      column(({ source }) => (source.name === undefined ? null : cleanText(source.name, 120))),
      column(({ source }) => source.calledAe ?? null),
      hashes.map((one) => one.shown),
      hashes.map((one) => one.coercion),
      corrected,
      [...epochs.keys()],
      [...epochs.values()],
    ],
  });
  if (answer.rows[0]?.yes !== true) throw new FenceClosed();
  return { added: new Set(answer.rows.flatMap((row) => row.sop_uid ?? [])), places };
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
