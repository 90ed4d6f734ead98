/**
 * What came from outside and waits for a person to say whose it is.
 *
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

export const importMigrations: Migrations = {
  '0140_imports': {
    async up(db) {
      await sql`
        CREATE TABLE import_batch (
          id uuid PRIMARY KEY,
          made_by text NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now(),
          deciding boolean NOT NULL DEFAULT false
        )`.execute(db);
      await sql`
        CREATE TABLE import_object (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          batch uuid NOT NULL REFERENCES import_batch ON DELETE CASCADE,
          file text NOT NULL,
          bytes bigint NOT NULL,
          sop_uid text NOT NULL,
          person text NOT NULL,
          patient jsonb NOT NULL,
          study jsonb NOT NULL
        )`.execute(db);
      await sql`CREATE INDEX import_object_batch ON import_object (batch)`.execute(db);
      await sql`
        CREATE TABLE import_listed (
          batch uuid NOT NULL REFERENCES import_batch ON DELETE CASCADE,
          sop_uid text NOT NULL,
          PRIMARY KEY (batch, sop_uid)
        )`.execute(db);
    },
  },
};
