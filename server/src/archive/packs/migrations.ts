/**
 * The tables of packs: which there are, and which records of the journal they made superfluous.
 *
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

export const packMigrations: Migrations = {
  '0150_packs': {
    async up(db) {
      // writing: not yet referred to. kept: objects lie in it. replaced: another pack has its objects now.
      await sql`
        CREATE TABLE pack (
          name text COLLATE "C" PRIMARY KEY,
          kind text NOT NULL CHECK (kind IN ('series', 'aside')),
          state text NOT NULL CHECK (state IN ('writing', 'kept', 'replaced', 'dropped')),
          objects integer NOT NULL,
          bytes bigint NOT NULL,
          sha256 bytea,
          metadata_sha256 bytea,
          created_at timestamptz NOT NULL DEFAULT now(),
          verified_at timestamptz,
          state_at timestamptz NOT NULL DEFAULT now()
        )`.execute(db);
      await sql`CREATE INDEX pack_unsettled ON pack (state_at) WHERE state <> 'kept'`.execute(db);
      await sql`
        CREATE TABLE journal_spent (
          segment text COLLATE "C" NOT NULL,
          record_start bigint NOT NULL,
          spent_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (segment, record_start)
        )`.execute(db);
      await sql`ALTER TABLE journal_segment ADD released boolean NOT NULL DEFAULT false`.execute(db);
      // What waits to be packed. Small, because what is packed leaves it.
      await sql`CREATE INDEX instance_unsealed ON instance (series_fk) WHERE blob LIKE 'journal/%'`.execute(
        db,
      );
    },
  },
  '0151_pack_contents': {
    /** What lies in one pack: only packing writes to it, taking objects in does not. */
    async up(db) {
      await sql`CREATE INDEX instance_packed ON instance (blob) WHERE blob LIKE 'pack/%'`.execute(db);
    },
  },
};
