/**
 * The tables of transfers: what is to go to another system or come from it, and what of it is left.
 *
 * A row of `transfer_object` is an object still to be sent (it goes when it was taken), or a study or series still to be fetched
 * (it stays, with how many objects came). UIDs only: whose they are stands in the index.
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

export const transferMigrations: Migrations = {
  '0110_transfers': {
    async up(db) {
      await sql`
        CREATE TABLE transfer (
          id text COLLATE "C" PRIMARY KEY,
          kind text NOT NULL CHECK (kind IN ('send', 'fetch')),
          device_id text NOT NULL,
          ae_title text NOT NULL,
          method text NOT NULL DEFAULT 'auto',
          scopes jsonb NOT NULL,
          asked_kind text NOT NULL,
          asked_id text NOT NULL,
          asked_name text NOT NULL,
          priority integer NOT NULL,
          state text NOT NULL,
          total integer NOT NULL DEFAULT 0,
          sent integer NOT NULL DEFAULT 0,
          warning integer NOT NULL DEFAULT 0,
          failed integer NOT NULL DEFAULT 0,
          attempts integer NOT NULL DEFAULT 0,
          next_at timestamptz NOT NULL DEFAULT now(),
          claim text,
          lease_until timestamptz,
          fault text,
          fault_facts jsonb NOT NULL DEFAULT '{}',
          dimse_status integer,
          created_at timestamptz NOT NULL DEFAULT now(),
          started_at timestamptz,
          finished_at timestamptz
        )`.execute(db);
      await sql`
        CREATE INDEX transfer_open ON transfer (device_id, priority, created_at)
        WHERE state IN ('queued', 'running', 'waiting')`.execute(db);
      await sql`CREATE INDEX transfer_created ON transfer (created_at, id)`.execute(db);
      await sql`
        CREATE TABLE transfer_object (
          transfer_id text COLLATE "C" NOT NULL REFERENCES transfer ON DELETE CASCADE,
          study_uid text COLLATE "C" NOT NULL,
          series_uid text COLLATE "C" NOT NULL DEFAULT '',
          sop_uid text COLLATE "C" NOT NULL DEFAULT '',
          state text NOT NULL DEFAULT 'left',
          objects integer NOT NULL DEFAULT 0,
          status integer,
          fault text,
          PRIMARY KEY (transfer_id, study_uid, series_uid, sop_uid)
        )`.execute(db);
    },
  },
};
