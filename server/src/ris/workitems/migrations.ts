/**
 * The tables of workitems: the items, who watches them, what happened, and who still has to be told.
 *
 * Layer:  server/ris.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

export const workitemMigrations: Migrations = {
  '0400_workitems': {
    async up(db) {
      // What was removed stays as a name without content for a while, so that it is known to be gone.
      await sql`
        CREATE TABLE workitem (
          uid text COLLATE "C" PRIMARY KEY,
          state text NOT NULL CHECK (state IN ('SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED')),
          transaction_uid text COLLATE "C",
          attributes jsonb NOT NULL,
          start_from text COLLATE "C" NOT NULL,
          start_to text COLLATE "C" NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now(),
          finished_at timestamptz,
          removed_at timestamptz
        )`.execute(db);
      await sql`CREATE INDEX workitem_start ON workitem (state, start_from, uid) WHERE removed_at IS NULL`.execute(
        db,
      );
      await sql`CREATE INDEX workitem_attributes ON workitem USING gin (attributes jsonb_path_ops)`.execute(
        db,
      );
      await sql`CREATE INDEX workitem_finished ON workitem (finished_at) WHERE finished_at IS NOT NULL`.execute(
        db,
      );
      await sql`
        CREATE TABLE workitem_subscription (
          uid text COLLATE "C" NOT NULL REFERENCES workitem ON DELETE CASCADE,
          ae text COLLATE "C" NOT NULL,
          via text NOT NULL CHECK (via IN ('dimse', 'web')),
          local_ae text NOT NULL,
          lock boolean NOT NULL,
          PRIMARY KEY (uid, ae)
        )`.execute(db);
      await sql`CREATE INDEX workitem_subscription_ae ON workitem_subscription (ae)`.execute(db);
      await sql`
        CREATE TABLE workitem_global_subscription (
          ae text COLLATE "C" PRIMARY KEY,
          via text NOT NULL CHECK (via IN ('dimse', 'web')),
          local_ae text NOT NULL,
          lock boolean NOT NULL,
          filter jsonb
        )`.execute(db);
      await sql`
        CREATE TABLE workitem_event (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          uid text COLLATE "C" NOT NULL,
          type smallint NOT NULL,
          information jsonb NOT NULL,
          at timestamptz NOT NULL DEFAULT now()
        )`.execute(db);
      await sql`CREATE INDEX workitem_event_at ON workitem_event USING brin (at)`.execute(db);
      // To devices, which are called; over the web nothing waits (PS3.18 §8.10.4).
      await sql`
        CREATE TABLE workitem_delivery (
          ae text COLLATE "C" NOT NULL,
          event_id bigint NOT NULL REFERENCES workitem_event ON DELETE CASCADE,
          PRIMARY KEY (ae, event_id)
        )`.execute(db);
      await sql`CREATE INDEX workitem_delivery_event ON workitem_delivery (event_id)`.execute(db);
      await sql`
        CREATE TABLE workitem_receiver (
          ae text COLLATE "C" PRIMARY KEY,
          local_ae text NOT NULL,
          attempts integer NOT NULL DEFAULT 0,
          next_at timestamptz NOT NULL DEFAULT now(),
          fault text,
          lease_node text,
          lease_until timestamptz
        )`.execute(db);
    },
  },
};
