/**
 * The tables of the index. The journal is the truth: everything here can be made again from it (`lightbox reindex`).
 *
 * Text that is compared is COLLATE "C": it sorts by code point everywhere, and an ordinary index serves a prefix.
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

/** Half-full pages: counts of a study change with each batch, and then stay on their page without touching an index (HOT). */
const FILL = 70;

export const archiveMigrations: Migrations = {
  '0101_archive': {
    async up(db) {
      await sql`
        CREATE TABLE patient (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          key text COLLATE "C" NOT NULL UNIQUE,
          patient_id text COLLATE "C" NOT NULL,
          issuer text COLLATE "C" NOT NULL,
          name_a text COLLATE "C" NOT NULL,
          name_i text COLLATE "C" NOT NULL,
          name_p text COLLATE "C" NOT NULL,
          search text COLLATE "C" NOT NULL,
          birth_date text COLLATE "C" NOT NULL,
          sex text COLLATE "C" NOT NULL,
          attributes jsonb NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now()
        )`.execute(db);
      await sql`CREATE INDEX patient_patient_id ON patient (patient_id)`.execute(db);
      await sql`CREATE INDEX patient_name ON patient (name_a)`.execute(db);
      await sql`
        CREATE TABLE study (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          study_uid text COLLATE "C" NOT NULL,
          patient_fk bigint NOT NULL REFERENCES patient,
          patient_id text COLLATE "C" NOT NULL,
          issuer text COLLATE "C" NOT NULL,
          name text NOT NULL,
          name_a text COLLATE "C" NOT NULL,
          name_i text COLLATE "C" NOT NULL,
          name_p text COLLATE "C" NOT NULL,
          search text COLLATE "C" NOT NULL,
          birth_date text COLLATE "C" NOT NULL,
          sex text COLLATE "C" NOT NULL,
          study_date text COLLATE "C" NOT NULL,
          study_time text COLLATE "C" NOT NULL,
          study_time_to text COLLATE "C" NOT NULL,
          study_id text COLLATE "C" NOT NULL,
          description text COLLATE "C" NOT NULL,
          accession text COLLATE "C" NOT NULL,
          referrer text NOT NULL,
          referrer_fold text COLLATE "C" NOT NULL,
          modalities text[] NOT NULL DEFAULT '{}',
          modality_text text COLLATE "C" NOT NULL DEFAULT '',
          sop_classes text[] NOT NULL DEFAULT '{}',
          series_count integer NOT NULL DEFAULT 0,
          instance_count integer NOT NULL DEFAULT 0,
          bytes bigint NOT NULL DEFAULT 0,
          warnings text[] NOT NULL DEFAULT '{}',
          attributes jsonb NOT NULL,
          received_at timestamptz NOT NULL,
          changed_at timestamptz NOT NULL,
          stable boolean NOT NULL DEFAULT false,
          UNIQUE (study_uid, patient_fk)
        ) WITH (fillfactor = ${sql.lit(FILL)})`.execute(db);
      for (const columns of [
        'patient_fk',
        'study_date, study_time, study_uid',
        'name_a, study_uid',
        'patient_id, study_uid',
        'birth_date, study_uid',
        'lower(description), study_uid',
        'accession, study_uid',
        'modality_text, study_uid',
        'received_at, study_uid',
      ]) {
        await sql`CREATE INDEX ON study (${sql.raw(columns)})`.execute(db);
      }
      await sql`CREATE INDEX study_arriving ON study (id) WHERE NOT stable`.execute(db);
      await sql`CREATE INDEX study_attributes ON study USING gin (attributes jsonb_path_ops)`.execute(db);
      await sql`
        CREATE TABLE series (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          study_fk bigint NOT NULL REFERENCES study,
          series_uid text COLLATE "C" NOT NULL,
          number integer,
          modality text COLLATE "C" NOT NULL,
          description text COLLATE "C" NOT NULL,
          body_part text COLLATE "C" NOT NULL,
          laterality text COLLATE "C" NOT NULL,
          sop_classes text[] NOT NULL DEFAULT '{}',
          instance_count integer NOT NULL DEFAULT 0,
          frame_count integer NOT NULL DEFAULT 0,
          attributes jsonb NOT NULL,
          created_at timestamptz NOT NULL,
          changed_at timestamptz NOT NULL,
          UNIQUE (study_fk, series_uid)
        ) WITH (fillfactor = ${sql.lit(FILL)})`.execute(db);
      await sql`CREATE INDEX series_uid ON series (series_uid)`.execute(db);
      await sql`CREATE INDEX series_attributes ON series USING gin (attributes jsonb_path_ops)`.execute(db);
      await sql`
        CREATE TABLE instance (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          series_fk bigint NOT NULL REFERENCES series,
          study_fk bigint NOT NULL REFERENCES study,
          sop_uid text COLLATE "C" NOT NULL UNIQUE,
          sop_class_uid text COLLATE "C" NOT NULL,
          transfer_syntax_uid text COLLATE "C" NOT NULL,
          number integer,
          rows integer,
          columns integer,
          frame_count integer NOT NULL,
          blob text COLLATE "C" NOT NULL,
          blob_offset bigint NOT NULL,
          blob_length bigint NOT NULL,
          data_set_offset integer NOT NULL,
          header_end bigint NOT NULL,
          sha256 bytea NOT NULL,
          pixels text,
          attributes jsonb NOT NULL,
          warnings text[] NOT NULL DEFAULT '{}',
          received_at timestamptz NOT NULL
        )`.execute(db);
      await sql`CREATE INDEX instance_series ON instance (series_fk)`.execute(db);
      await sql`CREATE INDEX instance_study ON instance (study_fk)`.execute(db);
      // Already compressed, and read whole.
      await sql`
        CREATE TABLE series_metadata (
          series_fk bigint PRIMARY KEY REFERENCES series ON DELETE CASCADE,
          instance_count integer NOT NULL,
          changed_at timestamptz NOT NULL,
          gzip bytea NOT NULL
        )`.execute(db);
      await sql`ALTER TABLE series_metadata ALTER COLUMN gzip SET STORAGE EXTERNAL`.execute(db);
      await sql`
        CREATE TABLE instance_conflict (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          sop_uid text COLLATE "C" NOT NULL,
          study_uid text COLLATE "C" NOT NULL,
          series_uid text COLLATE "C" NOT NULL,
          blob text COLLATE "C" NOT NULL,
          blob_offset bigint NOT NULL,
          blob_length bigint NOT NULL,
          data_set_offset integer NOT NULL,
          sha256 bytea NOT NULL,
          source jsonb NOT NULL,
          received_at timestamptz NOT NULL,
          UNIQUE (blob, blob_offset)
        )`.execute(db);
      await sql`CREATE INDEX instance_conflict_sop ON instance_conflict (sop_uid)`.execute(db);
      await sql`
        CREATE TABLE quarantine (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          blob text COLLATE "C" NOT NULL,
          blob_offset bigint NOT NULL,
          blob_length bigint NOT NULL,
          sha256 bytea NOT NULL,
          fault text NOT NULL,
          source jsonb NOT NULL,
          received_at timestamptz NOT NULL,
          UNIQUE (blob, blob_offset)
        )`.execute(db);
      await sql`CREATE INDEX quarantine_sha256 ON quarantine (sha256)`.execute(db);
      await sql`
        CREATE TABLE journal_segment (
          segment text COLLATE "C" PRIMARY KEY,
          indexed_to bigint NOT NULL,
          sealed boolean NOT NULL
        )`.execute(db);
    },
  },
  '0102_trigram': {
    /** Trigrams make `*MIT*` and word search fast. Without the extension (a server that does not allow it) they are slower. */
    async up(db) {
      await sql`
        DO $$
        BEGIN
          CREATE EXTENSION IF NOT EXISTS pg_trgm;
          CREATE INDEX study_names ON study USING gin
            (name_a gin_trgm_ops, name_i gin_trgm_ops, name_p gin_trgm_ops);
          CREATE INDEX study_search ON study USING gin (search gin_trgm_ops);
          CREATE INDEX patient_search ON patient USING gin (search gin_trgm_ops);
        EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
          RAISE WARNING 'pg_trgm is not available: searching in the middle of names will be slow';
        END $$`.execute(db);
    },
  },
  '0103_list_filters': {
    /** Filters of the study list that no order of it serves: words inside a description, a rare modality. */
    async up(db) {
      await sql`CREATE INDEX study_modalities ON study USING gin (modalities)`.execute(db);
      await sql`
        DO $$
        BEGIN
          CREATE INDEX study_description ON study USING gin (lower(description) gin_trgm_ops);
        EXCEPTION WHEN undefined_object THEN
          RAISE WARNING 'pg_trgm is not available: searching descriptions will be slow';
        END $$`.execute(db);
    },
  },
  '0104_object_sources': {
    /** Who brought each object, for rules; and which studies the rules have not looked at since they changed. */
    async up(db) {
      await sql`
        ALTER TABLE instance ADD source_kind text, ADD source_by text COLLATE "C", ADD source_name text,
          ADD called_ae text COLLATE "C"`.execute(db);
      // What is there already was kept before there were rules.
      await sql`ALTER TABLE study ADD ruled boolean NOT NULL DEFAULT true`.execute(db);
      await sql`ALTER TABLE study ALTER ruled SET DEFAULT false`.execute(db);
      await sql`CREATE INDEX study_unruled ON study (id) WHERE NOT ruled`.execute(db);
    },
  },
  '0105_stable_told': {
    /** That a study is complete is told at least once to whoever waits for it, whatever dies in between. */
    async up(db) {
      await sql`ALTER TABLE study ADD told boolean NOT NULL DEFAULT true`.execute(db);
      await sql`CREATE INDEX study_untold ON study (id) WHERE NOT told`.execute(db);
    },
  },
};
