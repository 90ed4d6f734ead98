/**
 * The tables of identity. Those named auth_* have the columns better-auth expects, and a few of ours.
 *
 * Layer:  server/identity.
 */
import { sql } from 'kysely';
import type { Migrations } from '../platform/database.ts';

export const identityMigrations: Migrations = {
  '0201_people': {
    async up(db) {
      await sql`
        CREATE TABLE auth_user (
          id text PRIMARY KEY,
          name text NOT NULL,
          email text NOT NULL UNIQUE,
          "emailVerified" boolean NOT NULL DEFAULT false,
          image text,
          "createdAt" timestamptz NOT NULL DEFAULT now(),
          "updatedAt" timestamptz NOT NULL DEFAULT now(),
          "twoFactorEnabled" boolean NOT NULL DEFAULT false,
          roles text[] NOT NULL DEFAULT '{}',
          active boolean NOT NULL DEFAULT true,
          "lastSeenAt" timestamptz
        )`.execute(db);
      await sql`
        CREATE TABLE auth_session (
          id text PRIMARY KEY,
          "userId" text NOT NULL REFERENCES auth_user ON DELETE CASCADE,
          token text NOT NULL UNIQUE,
          "expiresAt" timestamptz NOT NULL,
          "ipAddress" text,
          "userAgent" text,
          "createdAt" timestamptz NOT NULL DEFAULT now(),
          "updatedAt" timestamptz NOT NULL DEFAULT now(),
          "lastActiveAt" timestamptz NOT NULL DEFAULT now(),
          "lockedAt" timestamptz
        )`.execute(db);
      await sql`CREATE INDEX auth_session_user ON auth_session ("userId")`.execute(db);
      await sql`
        CREATE TABLE auth_account (
          id text PRIMARY KEY,
          "userId" text NOT NULL REFERENCES auth_user ON DELETE CASCADE,
          "accountId" text NOT NULL,
          "providerId" text NOT NULL,
          "accessToken" text,
          "refreshToken" text,
          "idToken" text,
          "accessTokenExpiresAt" timestamptz,
          "refreshTokenExpiresAt" timestamptz,
          scope text,
          password text,
          "createdAt" timestamptz NOT NULL DEFAULT now(),
          "updatedAt" timestamptz NOT NULL DEFAULT now(),
          UNIQUE ("providerId", "accountId")
        )`.execute(db);
      await sql`CREATE INDEX auth_account_user ON auth_account ("userId")`.execute(db);
      await sql`
        CREATE TABLE auth_verification (
          id text PRIMARY KEY,
          identifier text NOT NULL,
          value text NOT NULL,
          "expiresAt" timestamptz NOT NULL,
          "createdAt" timestamptz NOT NULL DEFAULT now(),
          "updatedAt" timestamptz NOT NULL DEFAULT now()
        )`.execute(db);
      await sql`CREATE INDEX auth_verification_identifier ON auth_verification (identifier)`.execute(db);
      await sql`
        CREATE TABLE auth_two_factor (
          id text PRIMARY KEY,
          "userId" text NOT NULL REFERENCES auth_user ON DELETE CASCADE,
          secret text NOT NULL,
          "backupCodes" text NOT NULL,
          verified boolean NOT NULL DEFAULT true,
          "failedVerificationCount" integer NOT NULL DEFAULT 0,
          "lockedUntil" timestamptz
        )`.execute(db);
      await sql`CREATE INDEX auth_two_factor_user ON auth_two_factor ("userId")`.execute(db);
      await sql`
        CREATE TABLE invitation (
          token_hash bytea PRIMARY KEY,
          user_id text NOT NULL REFERENCES auth_user ON DELETE CASCADE,
          expires_at timestamptz NOT NULL
        )`.execute(db);
      await sql`
        CREATE TABLE preference (
          user_id text NOT NULL REFERENCES auth_user ON DELETE CASCADE,
          key text NOT NULL,
          value jsonb NOT NULL,
          PRIMARY KEY (user_id, key)
        )`.execute(db);
      await sql`
        CREATE TABLE api_key (
          id text PRIMARY KEY,
          name text NOT NULL,
          hash bytea NOT NULL UNIQUE,
          start text NOT NULL,
          rights text[] NOT NULL,
          created_by text NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now(),
          expires_at timestamptz,
          last_used_at timestamptz,
          revoked_at timestamptz
        )`.execute(db);
      await sql`CREATE TABLE identity_secret (name text PRIMARY KEY, value text NOT NULL)`.execute(db);
    },
  },
  '0202_devices': {
    async up(db) {
      await sql`
        CREATE TABLE device (
          id text PRIMARY KEY,
          ae_title text NOT NULL UNIQUE,
          description text NOT NULL DEFAULT '',
          host text,
          port integer,
          check_address boolean NOT NULL DEFAULT false,
          verbs text[] NOT NULL
        )`.execute(db);
      await sql`
        CREATE TABLE refused_device (
          calling_ae text NOT NULL,
          called_ae text NOT NULL,
          remote_address text NOT NULL,
          reason text NOT NULL,
          count integer NOT NULL,
          last_at timestamptz NOT NULL,
          PRIMARY KEY (calling_ae, called_ae, remote_address)
        )`.execute(db);
    },
  },
  '0203_audit': {
    async up(db) {
      await sql`
        CREATE TABLE audit_trail (
          seq bigint PRIMARY KEY,
          at timestamptz(3) NOT NULL,
          event text NOT NULL,
          outcome text NOT NULL,
          principal_kind text NOT NULL,
          principal_id text NOT NULL,
          principal_name text NOT NULL,
          remote_address text NOT NULL,
          study_uids text[] NOT NULL,
          detail jsonb NOT NULL,
          hash bytea NOT NULL
        )`.execute(db);
      await sql`CREATE INDEX audit_trail_at ON audit_trail (at)`.execute(db);
      await sql`CREATE INDEX audit_trail_study ON audit_trail USING gin (study_uids)`.execute(db);
      await sql`CREATE INDEX audit_trail_principal ON audit_trail (principal_id, seq)`.execute(db);
      // The last row's number and hash: without it, cutting rows off the end would leave a chain that still holds.
      await sql`
        CREATE TABLE audit_head (
          one boolean PRIMARY KEY DEFAULT true CHECK (one),
          seq bigint NOT NULL,
          hash bytea NOT NULL
        )`.execute(db);
      await sql`INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'))`.execute(db);
      await sql`
        CREATE FUNCTION audit_trail_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
        END $$`.execute(db);
      await sql`
        CREATE TRIGGER audit_trail_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail
        FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse()`.execute(db);
      await sql`
        CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head
        FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse()`.execute(db);
    },
  },
  '0204_tls': {
    async up(db) {
      // Keys lie beside the passwords' hashes and the sign-in secret: see docs/decisions/0031-tls.md.
      await sql`
        CREATE TABLE tls_certificate (
          id text PRIMARY KEY,
          role text NOT NULL CHECK (role IN ('authority', 'own', 'trusted')),
          ae_title text,
          label text NOT NULL,
          certificate text NOT NULL,
          private_key text,
          fingerprint text NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now(),
          CHECK ((role = 'trusted') = (private_key IS NULL))
        )`.execute(db);
      await sql`CREATE UNIQUE INDEX tls_certificate_authority ON tls_certificate (role) WHERE role = 'authority'`.execute(
        db,
      );
      await sql`CREATE UNIQUE INDEX tls_certificate_own ON tls_certificate (coalesce(ae_title, '')) WHERE role = 'own'`.execute(
        db,
      );
      await sql`CREATE UNIQUE INDEX tls_certificate_trusted ON tls_certificate (fingerprint) WHERE role = 'trusted'`.execute(
        db,
      );
      await sql`
        ALTER TABLE device
          ADD tls boolean NOT NULL DEFAULT false,
          ADD tls_only boolean NOT NULL DEFAULT false,
          ADD certificate_fingerprint text,
          ADD certificate_subject text,
          ADD certificate_authority text,
          ADD identity text NOT NULL DEFAULT 'optional' CHECK (identity IN ('optional', 'named', 'verified')),
          ADD called_aes text[] NOT NULL DEFAULT '{}'`.execute(db);
      await sql`ALTER TABLE refused_device ADD fingerprint text NOT NULL DEFAULT ''`.execute(db);
      await sql`
        CREATE TABLE local_ae (
          ae_title text PRIMARY KEY,
          description text NOT NULL DEFAULT '',
          verbs text[] NOT NULL
        )`.execute(db);
    },
  },
  '0205_device_offers': {
    /** What is there already may be sent to, as far as it has an address. */
    async up(db) {
      await sql`ALTER TABLE device ADD COLUMN offers text[] NOT NULL DEFAULT '{store}'`.execute(db);
    },
  },
  '0206_device_dicomweb': {
    /** The secret lies beside the private keys and for the same reasons: docs/decisions/0031-tls.md. */
    async up(db) {
      await sql`
        ALTER TABLE device
          ADD web_url text,
          ADD web_auth text NOT NULL DEFAULT 'none' CHECK (web_auth IN ('none', 'basic', 'bearer')),
          ADD web_user text NOT NULL DEFAULT '',
          ADD web_secret text NOT NULL DEFAULT ''`.execute(db);
    },
  },
  '0207_device_send_as': {
    async up(db) {
      await sql`
        ALTER TABLE device ADD send_as text NOT NULL DEFAULT 'stored'
          CHECK (send_as IN ('stored', 'uncompressed', 'jpeg-ls', 'jpeg2000', 'htj2k', 'rle'))`.execute(db);
    },
  },
};
