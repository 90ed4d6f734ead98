/**
 * The table of storage commitments: what somebody asked us to keep, and what we asked others to keep.
 *
 * Objects stand in arrays, each in its place: a request of a hundred thousand is one row of a few megabytes. UIDs only.
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

export const commitmentMigrations: Migrations = {
  '0120_storage_commitment': {
    async up(db) {
      await sql`
        CREATE TABLE storage_commitment (
          id text COLLATE "C" PRIMARY KEY,
          direction text NOT NULL CHECK (direction IN ('received', 'requested')),
          via text NOT NULL CHECK (via IN ('dimse', 'web')),
          peer text COLLATE "C" NOT NULL,
          peer_name text NOT NULL,
          local_ae text NOT NULL,
          transaction_uid text COLLATE "C" NOT NULL,
          sop_classes text[] COLLATE "C" NOT NULL,
          sop_uids text[] COLLATE "C" NOT NULL,
          study_uids text[] COLLATE "C",
          series_uids text[] COLLATE "C",
          reasons integer[],
          objects integer NOT NULL,
          failed integer,
          state text NOT NULL,
          attempts integer NOT NULL DEFAULT 0,
          next_at timestamptz NOT NULL DEFAULT now(),
          give_up_at timestamptz NOT NULL,
          lease_node text,
          lease_until timestamptz,
          fault text,
          created_at timestamptz NOT NULL DEFAULT now(),
          checked_at timestamptz,
          finished_at timestamptz,
          UNIQUE (direction, via, peer, transaction_uid)
        )`.execute(db);
      await sql`
        CREATE INDEX storage_commitment_open ON storage_commitment (next_at)
        WHERE finished_at IS NULL`.execute(db);
      await sql`CREATE INDEX storage_commitment_created ON storage_commitment (created_at, id)`.execute(db);
    },
  },
};
