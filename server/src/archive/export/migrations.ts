/**
 * What somebody wants to take away, between choosing it and the last byte.
 *
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

export const exportMigrations: Migrations = {
  '0130_exports': {
    async up(db) {
      await sql`
        CREATE TABLE export_request (
          id uuid PRIMARY KEY,
          made_by text NOT NULL,
          request jsonb NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now(),
          state text NOT NULL DEFAULT 'ready',
          sent_bytes bigint NOT NULL DEFAULT 0,
          total_bytes bigint
        )`.execute(db);
    },
  },
};
