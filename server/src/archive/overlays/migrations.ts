/**
 * The tables of corrections. Nothing in them is ever changed or deleted, and none hangs on a row of the index: that is made
 * again from the journal and these (`lightbox reindex`).
 *
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';
import { BUCKETS } from './fence.ts';

export const overlayMigrations: Migrations = {
  '0131_overlays': {
    async up(db) {
      // What people and imports decided about studies. An undo is a row of its own.
      await sql`
        CREATE TABLE overlay (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          study_uid text COLLATE "C" NOT NULL,
          level text NOT NULL CHECK (level IN ('patient', 'study', 'series', 'instance')),
          patient_keys text[] NOT NULL DEFAULT '{}',
          series_uid text COLLATE "C",
          sop_uid text COLLATE "C",
          edits jsonb,
          before jsonb,
          objects integer NOT NULL,
          reason text NOT NULL,
          author jsonb NOT NULL,
          made_at timestamptz NOT NULL DEFAULT now(),
          undoes bigint UNIQUE REFERENCES overlay,
          CHECK ((edits IS NULL) = (undoes IS NOT NULL))
        )`.execute(db);
      await sql`CREATE INDEX overlay_study ON overlay (study_uid)`.execute(db);
      // What rules did to one object when it came in; by its bytes too, because another object of its name may come later.
      await sql`
        CREATE TABLE coercion (
          sop_uid text COLLATE "C" NOT NULL,
          sha256 bytea NOT NULL,
          steps text COLLATE "C" NOT NULL,
          PRIMARY KEY (sop_uid, sha256)
        )`.execute(db);
      // What is put over an object, by its hash: a thousand images of one study share one row.
      await sql`
        CREATE TABLE overlay_steps (
          hash text COLLATE "C" PRIMARY KEY,
          steps text NOT NULL
        )`.execute(db);
      await sql`CREATE TABLE overlay_fence (bucket integer PRIMARY KEY, epoch bigint NOT NULL DEFAULT 0)`.execute(
        db,
      );
      await sql`INSERT INTO overlay_fence (bucket) SELECT generate_series(0, ${sql.lit(BUCKETS - 1)})`.execute(
        db,
      );
      await sql`ALTER TABLE instance ADD COLUMN overlay text COLLATE "C"`.execute(db);
      await sql`ALTER TABLE study ADD COLUMN corrected boolean NOT NULL DEFAULT false`.execute(db);
      await sql`
        CREATE FUNCTION refuse_overlay_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          RAISE EXCEPTION 'corrections are only added';
        END $$`.execute(db);
      for (const table of ['overlay', 'coercion', 'overlay_steps']) {
        await sql`
          CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON ${sql.table(table)}
          FOR EACH ROW EXECUTE FUNCTION refuse_overlay_change()`.execute(db);
      }
    },
  },
};
