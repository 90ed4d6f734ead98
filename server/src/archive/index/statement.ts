/**
 * The statement that puts objects into the index, whole or not at all: their rows, the counts of their series and studies, and,
 * where they are the first of it, the patient, study and series themselves. One statement is one change of hands with the
 * database and one transaction.
 *
 * Counts come from what was really inserted. A study or patient that somebody else makes, or takes away, at the same moment
 * breaks a foreign key (23503), and the whole is tried again with what is there then.
 * Layer:  server/archive.
 */

/** Makes what is not there: `fresh` has a new number for each study and series of which nothing is known under that UID. */
const FRESH = `
  given AS (
    SELECT * FROM json_to_recordset($5::json) AS t (at int, key text, "patientId" text, issuer text, name text,
      "nameA" text, "nameI" text, "nameP" text, "birthDate" text, sex text, "patientAttributes" jsonb, "studyUid" text,
      date text, time text, "timeTo" text, "studyId" text, description text, accession text, referrer text,
      "referrerFold" text, search text, "studyAttributes" jsonb, "receivedAt" timestamptz, "seriesUid" text, number int,
      modality text, "seriesDescription" text, "bodyPart" text, laterality text, "seriesAttributes" jsonb)
  ), fresh_study AS MATERIALIZED (
    SELECT uid, nextval('study_id_seq') AS study_fk FROM (SELECT DISTINCT "studyUid" AS uid FROM given) AS named
    WHERE NOT EXISTS (SELECT 1 FROM study WHERE study_uid = uid)
  ), fresh AS MATERIALIZED (
    SELECT given.*, study_fk, nextval('series_id_seq') AS series_fk FROM given JOIN fresh_study ON uid = "studyUid"
  ),`;

const MAKE = `,
  new_patient AS (
    INSERT INTO patient (key, patient_id, issuer, name_a, name_i, name_p, search, birth_date, sex, attributes)
    SELECT DISTINCT ON (key) key, "patientId", issuer, "nameA", "nameI", "nameP", search, "birthDate", sex,
      "patientAttributes" FROM fresh JOIN of_study USING (study_fk) ORDER BY key, at
    ON CONFLICT (key) DO NOTHING
    RETURNING id, key
  ), patients AS (
    SELECT id, key FROM new_patient
    UNION ALL SELECT p.id, p.key FROM patient p WHERE p.key IN (SELECT key FROM fresh)
  ), new_study AS (
    INSERT INTO study (id, study_uid, patient_fk, patient_id, issuer, name, name_a, name_i, name_p, search, birth_date, sex,
      study_date, study_time, study_time_to, study_id, description, accession, referrer, referrer_fold, attributes,
      received_at, changed_at, modalities, modality_text, sop_classes, series_count, instance_count, bytes, corrected)
    OVERRIDING SYSTEM VALUE
    SELECT DISTINCT ON (study_fk) study_fk, "studyUid", p.id, "patientId", issuer, name, "nameA", "nameI", "nameP", search,
      "birthDate", sex, date, time, "timeTo", "studyId", description, accession, referrer, "referrerFold",
      "patientAttributes" || "studyAttributes", "receivedAt", now(),
      m.names, array_to_string(m.names, ','), of_study.classes, of_study.series, of_study.instances, of_study.bytes,
      coalesce(of_study.corrected, false)
    FROM fresh JOIN of_study USING (study_fk) JOIN patients p ON p.key = fresh.key,
      LATERAL (SELECT ARRAY(SELECT DISTINCT f.modality FROM fresh f JOIN of_series USING (series_fk)
        WHERE f.study_fk = fresh.study_fk AND f.modality <> '' ORDER BY 1) AS names) AS m
    ORDER BY study_fk, at
    ON CONFLICT (study_uid, patient_fk) DO NOTHING
  ), new_series AS (
    INSERT INTO series (id, study_fk, series_uid, number, modality, description, body_part, laterality, attributes,
      created_at, changed_at, sop_classes, instance_count, frame_count)
    OVERRIDING SYSTEM VALUE
    SELECT series_fk, study_fk, "seriesUid", number, modality, "seriesDescription", "bodyPart", laterality,
      "seriesAttributes", "receivedAt", now(), of_series.classes, of_series.instances, of_series.frames
    FROM fresh JOIN of_series USING (series_fk)
  )`;

/**
 * $1 objects as JSON, $2 overlays that hold corrections, $3 buckets of the fence, $4 their numbers, $5 (`fresh` only) what may
 * have to be made, as JSON.
 *
 * @param fresh  Some objects have no series yet but a `place` in $5; those whose study is there already are left out.
 * @returns rows of whether the fence was open, and of each object that was inserted.
 */
const insertStatement = (fresh: boolean): string => `
  WITH ${fresh ? FRESH : ''}
  fence AS (
    -- FOR SHARE waits for a correction under way and looks again at what it left: see overlays/fence.ts.
    SELECT f.bucket FROM overlay_fence f JOIN unnest($3::int[], $4::bigint[]) AS known (bucket, epoch)
      ON f.bucket = known.bucket AND f.epoch = known.epoch
    FOR SHARE OF f
  ), open AS (
    SELECT count(*) = cardinality($3::int[]) AS yes FROM fence
  ), object AS (
    SELECT * FROM json_to_recordset($1::json) AS t ("seriesFk" bigint, "studyFk" bigint, place int, "sopUid" text,
      "sopClassUid" text, "transferSyntaxUid" text, number int, rows int, columns int, "frameCount" int, blob text,
      "offset" bigint, length bigint, "dataSetOffset" int, "headerEnd" bigint, sha256 text, pixels text, warnings text[],
      "receivedAt" timestamptz, "sourceKind" text, "sourceBy" text, "sourceName" text, "calledAe" text, overlay text,
      coercion text, attributes jsonb)
  ), new AS (
    INSERT INTO instance (series_fk, study_fk, sop_uid, sop_class_uid, transfer_syntax_uid, number, rows, columns,
      frame_count, blob, blob_offset, blob_length, data_set_offset, header_end, sha256, pixels, attributes, warnings,
      received_at, source_kind, source_by, source_name, called_ae, overlay)
    SELECT ${fresh ? 'coalesce("seriesFk", fresh.series_fk), coalesce("studyFk", fresh.study_fk)' : '"seriesFk", "studyFk"'},
      "sopUid", "sopClassUid", "transferSyntaxUid", object.number, rows, columns, "frameCount", blob, "offset", length,
      "dataSetOffset", "headerEnd", decode(sha256, 'hex'), pixels, attributes, warnings, object."receivedAt", "sourceKind",
      "sourceBy", "sourceName", "calledAe", overlay
    FROM object ${fresh ? 'LEFT JOIN fresh ON fresh.at = object.place' : ''}, open
    WHERE open.yes ${fresh ? 'AND coalesce("seriesFk", fresh.series_fk) IS NOT NULL' : ''}
    ON CONFLICT (sop_uid) DO NOTHING
    RETURNING series_fk, study_fk, sop_uid, sop_class_uid, frame_count, blob_length, sha256, overlay
  ), coerced AS (
    INSERT INTO coercion (sop_uid, sha256, steps)
    SELECT new.sop_uid, new.sha256, object.coercion FROM new JOIN object ON object."sopUid" = new.sop_uid
    WHERE object.coercion IS NOT NULL
    ON CONFLICT DO NOTHING
  ), of_series AS (
    SELECT series_fk, count(*) AS instances, sum(frame_count) AS frames,
      array_agg(DISTINCT sop_class_uid::text ORDER BY sop_class_uid::text) AS classes
    FROM new GROUP BY series_fk ORDER BY series_fk
  ), of_study AS (
    SELECT study_fk, count(*) AS instances, count(DISTINCT series_fk) AS series, sum(blob_length) AS bytes,
      array_agg(DISTINCT sop_class_uid::text ORDER BY sop_class_uid::text) AS classes,
      bool_or(overlay = ANY($2::text[])) AS corrected
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
  )${fresh ? MAKE : ''}
  SELECT open.yes, new.sop_uid, new.study_fk, new.series_fk FROM open LEFT JOIN new ON true`;

export const INSERT = { name: 'index-objects', text: insertStatement(false) } as const;
export const INSERT_FRESH = { name: 'index-first-objects', text: insertStatement(true) } as const;
