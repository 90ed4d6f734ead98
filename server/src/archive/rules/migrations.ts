/**
 * The tables of rules: their versions, what each has done, and what stands in its way. UIDs only: whose they are stands in the index.
 *
 * Layer:  server/archive.
 */
import { sql } from 'kysely';
import type { Migrations } from '../../platform/database.ts';

export const ruleMigrations: Migrations = {
  '0150_rules': {
    async up(db) {
      // The newest is in force. None is ever changed.
      await sql`
        CREATE TABLE rule_version (
          id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          at timestamptz NOT NULL DEFAULT now(),
          author_kind text NOT NULL,
          author_id text NOT NULL,
          author_name text NOT NULL,
          comment text NOT NULL,
          file text NOT NULL,
          -- SHA-256 of the file of the disk it was read from.
          source_hash text
        )`.execute(db);
      // Objects that came before a rule was switched on are none of its business.
      await sql`
        CREATE TABLE rule_since (rule text COLLATE "C" PRIMARY KEY, since timestamptz NOT NULL)`.execute(db);
      // due, asking (for its transfer), asked, held (by a loop), dropped (the rule no longer says so), gone (the object is).
      await sql`
        CREATE TABLE rule_send (
          rule text COLLATE "C" NOT NULL,
          ae_title text COLLATE "C" NOT NULL,
          sop_uid text COLLATE "C" NOT NULL,
          study_uid text COLLATE "C" NOT NULL,
          series_uid text COLLATE "C" NOT NULL,
          state text NOT NULL,
          due_at timestamptz NOT NULL,
          changed_at timestamptz NOT NULL DEFAULT now(),
          transfer_id text COLLATE "C",
          PRIMARY KEY (sop_uid, rule, ae_title)
        )`.execute(db);
      await sql`CREATE INDEX rule_send_due ON rule_send (due_at) WHERE state = 'due'`.execute(db);
      await sql`CREATE INDEX rule_send_asking ON rule_send (transfer_id) WHERE state = 'asking'`.execute(db);
      await sql`CREATE INDEX rule_send_held ON rule_send (rule, ae_title) WHERE state = 'held'`.execute(db);
      await sql`CREATE INDEX rule_send_study ON rule_send (study_uid)`.execute(db);
      // due, done, failed.
      await sql`
        CREATE TABLE rule_prefetch (
          rule text COLLATE "C" NOT NULL,
          study_uid text COLLATE "C" NOT NULL,
          state text NOT NULL DEFAULT 'due',
          attempts integer NOT NULL DEFAULT 0,
          round integer NOT NULL DEFAULT 0,
          next_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (rule, study_uid)
        )`.execute(db);
      await sql`CREATE INDEX rule_prefetch_due ON rule_prefetch (next_at) WHERE state = 'due'`.execute(db);
      await sql`
        CREATE TABLE rule_loop (
          rule text COLLATE "C" NOT NULL,
          ae_title text COLLATE "C" NOT NULL,
          first_at timestamptz NOT NULL DEFAULT now(),
          last_at timestamptz NOT NULL DEFAULT now(),
          objects integer NOT NULL,
          PRIMARY KEY (rule, ae_title)
        )`.execute(db);
      await sql`
        CREATE TABLE rule_log (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          at timestamptz NOT NULL DEFAULT now(),
          rule text COLLATE "C" NOT NULL,
          event text NOT NULL,
          study_uid text COLLATE "C" NOT NULL,
          ae_title text COLLATE "C" NOT NULL DEFAULT '',
          objects integer NOT NULL DEFAULT 0,
          transfer_id text COLLATE "C" NOT NULL DEFAULT '',
          code text NOT NULL DEFAULT '',
          UNIQUE (study_uid, rule, event, ae_title, transfer_id, code)
        )`.execute(db);
    },
  },
};
