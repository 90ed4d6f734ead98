/**
 * The certificates of this house: our own authority, what we present on DICOM connections, and whom we trust.
 *
 * Private keys lie in the database, so that all nodes have them and a backup is whole (docs/decisions/0031-tls.md); they leave
 * it only into TLS. The one of a device is handed out once and not kept.
 *
 * Source: PS3.15 Annex B.12, B.13 (certificates of both sides), RFC 5280.
 * Layer:  server/identity.
 */
import { randomUUID, type X509Certificate } from 'node:crypto';
import { networkInterfaces, hostname } from 'node:os';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { PoolClient } from 'pg';
import type { Database } from '../platform/database.ts';
import type { Events } from '../platform/events.ts';
import { isUniqueViolation } from './devices.ts';
import type { Audit, Principal } from './types.ts';
import {
  type CertificateFacts,
  factsOf,
  issue,
  judge,
  makeAuthority,
  type Pair,
  readChain,
  readPair,
} from './x509.ts';

declare module '../platform/events.ts' {
  interface EventTypes {
    /** Certificates or trust changed: every node takes the new ones for its next connections. */
    'certificate.changed': { id: string };
  }
}

export interface KnownCertificate extends CertificateFacts {
  readonly id: string;
  readonly role: 'authority' | 'own' | 'trusted';
  /** Own ones: the AE title that presents it; undefined: every one that has none of its own. */
  readonly aeTitle: string | undefined;
  readonly label: string;
}

/** What a TLS connection of ours needs. */
export interface TlsMaterial {
  readonly own: Pair;
  /** Further ones by AE title. */
  readonly byAeTitle: ReadonlyMap<string, Pair>;
}

export interface Certificates {
  list(): KnownCertificate[];
  /** undefined until there is a certificate to present. */
  material(): TlsMaterial | undefined;
  /** PEM: our authority, and authorities and single certificates that were entered. */
  trusted(): readonly string[];
  /** The public part. @throws Fault NOT_FOUND. */
  pem(id: string): { readonly label: string; readonly certificate: string };
  /** Called after every change, on every node. */
  onChange(listener: () => Promise<void>): () => void;
  /** A new authority. The one before stays trusted until it is removed, so that devices go on until they have new certificates. */
  makeAuthority(by: Principal): Promise<KnownCertificate>;
  /** A new certificate of ours from our own authority, which is made when there is none; takes the place of the one before. */
  makeOwn(
    input: { aeTitle: string | undefined; names: readonly string[] },
    by: Principal,
  ): Promise<KnownCertificate>;
  /** One that a person brings. @throws Fault CERTIFICATE_*. */
  takeOwn(input: { aeTitle: string | undefined } & Pair, by: Principal): Promise<KnownCertificate>;
  trust(input: { label: string; certificate: string }, by: Principal): Promise<KnownCertificate>;
  /** @throws Fault NOT_FOUND; also for our authority, which is only replaced. */
  remove(id: string, by: Principal): Promise<void>;
  /** For a device. Not kept: this is the only time its key is seen. @throws Fault CERTIFICATE_NONE. */
  issueFor(
    input: { commonName: string; names: readonly string[] },
    by: Principal,
  ): Promise<Pair & { readonly authority: string; readonly facts: CertificateFacts }>;
  close(): void;
}

interface Row {
  id: string;
  role: 'authority' | 'own' | 'trusted';
  ae_title: string | null;
  label: string;
  certificate: string;
  private_key: string | null;
}

/** Making an authority and certificates of it happens one at a time. */
const CERTIFICATE_LOCK = 0x4c425843;

export async function openCertificates(options: {
  readonly database: Database;
  readonly events: Events;
  readonly audit: Audit;
}): Promise<Certificates> {
  const { database, events, audit } = options;
  const listeners = new Set<() => Promise<void>>();
  let rows: Row[] = [];

  async function load(): Promise<void> {
    const found = await database.pool.query<Row>(
      `SELECT id, role, ae_title, label, certificate, private_key FROM tls_certificate ORDER BY role, label, created_at`,
    );
    rows = found.rows;
  }

  async function renew(): Promise<void> {
    await load();
    for (const listener of listeners) await listener();
  }

  await load();
  const unsubscribe = events.subscribe('certificate.changed', renew);

  /** Writes under a lock, then lets all nodes know and writes down who did what. */
  async function change<T extends { id: string }>(
    by: Principal,
    what: string,
    write: (client: PoolClient) => Promise<T>,
    more: (answer: T) => Readonly<Record<string, string>>,
  ): Promise<T> {
    const client = await database.pool.connect();
    let answer: T;
    try {
      await client.query('BEGIN');
      await client.query('SELECT pg_advisory_xact_lock($1)', [CERTIFICATE_LOCK]);
      answer = await write(client);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw isUniqueViolation(error) ? new Fault('CERTIFICATE_KNOWN', {}, { cause: error }) : error;
    } finally {
      client.release();
    }
    audit.record({
      ...{ event: 'certificate.changed', outcome: 'success', principal: by },
      detail: { what, ...more(answer) },
    });
    await events.publish('certificate.changed', { id: answer.id });
    // The caller hears when the new ones cannot be put to use, e.g. because the port is taken.
    await renew();
    return answer;
  }

  const put = async (client: PoolClient, row: Omit<Row, 'id'>): Promise<KnownCertificate> => {
    const id = randomUUID();
    const known = knownOf({ ...row, id });
    await client.query(
      `INSERT INTO tls_certificate (id, role, ae_title, label, certificate, private_key, fingerprint)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [id, row.role, row.ae_title, row.label, row.certificate, row.private_key, known.fingerprint],
    );
    return known;
  };

  const authorityIn = async (client: PoolClient): Promise<Pair | undefined> => {
    const { rows: found } = await client.query<Row>(`SELECT * FROM tls_certificate WHERE role = 'authority'`);
    return pairOf(found[0]);
  };

  async function putAuthority(client: PoolClient): Promise<Pair & { known: KnownCertificate }> {
    const made = await makeAuthority(`Lightbox CA ${hostname().slice(0, 40)}`);
    await client.query(
      `UPDATE tls_certificate SET role = 'trusted', private_key = NULL, label = label || ' (' || created_at::date || ')'
       WHERE role = 'authority'`,
    );
    const known = await put(client, {
      ...{ role: 'authority', ae_title: null, label: 'Lightbox CA' },
      ...{ certificate: made.certificate, private_key: made.privateKey },
    });
    // What we present stays as it is until it is made anew: until then peers that know the old authority are content.
    return { ...made, known };
  }

  async function putOwn(
    client: PoolClient,
    aeTitle: string | undefined,
    pair: Pair,
  ): Promise<KnownCertificate> {
    await client.query(
      `DELETE FROM tls_certificate WHERE role = 'own' AND ae_title IS NOT DISTINCT FROM $1`,
      [aeTitle ?? null],
    );
    return put(client, {
      ...{ role: 'own', ae_title: aeTitle ?? null, label: aeTitle ?? 'Lightbox' },
      ...{ certificate: pair.certificate, private_key: pair.privateKey },
    });
  }

  const facts = ({ fingerprint, aeTitle, label }: KnownCertificate): Record<string, string> => ({
    ...{ fingerprint, label },
    ...(aeTitle === undefined ? {} : { aeTitle }),
  });

  return {
    list: () => rows.map(knownOf),
    material() {
      const owns = rows.filter(({ role }) => role === 'own');
      const general = pairOf(owns.find((row) => row.ae_title === null) ?? owns[0]);
      if (!general) return undefined;
      const byAeTitle = new Map<string, Pair>();
      for (const row of owns) {
        const pair = pairOf(row);
        if (row.ae_title !== null && pair) byAeTitle.set(row.ae_title, pair);
      }
      return { own: general, byAeTitle };
    },
    trusted: () => rows.filter(({ role }) => role !== 'own').map(({ certificate }) => certificate),
    pem(id) {
      const row = rows.find((one) => one.id === id);
      if (!row) throw new Fault('NOT_FOUND');
      return { label: row.label, certificate: row.certificate };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    makeAuthority: (by) =>
      change(by, 'authority made', async (client) => (await putAuthority(client)).known, facts),
    makeOwn: ({ aeTitle, names }, by) =>
      change(
        by,
        'certificate made',
        async (client) => {
          const authority = (await authorityIn(client)) ?? (await putAuthority(client));
          const commonName = aeTitle ?? 'Lightbox';
          const wanted = names.length === 0 ? ownNames() : names;
          return putOwn(client, aeTitle, await issue(authority, { commonName, names: wanted }));
        },
        facts,
      ),
    takeOwn({ aeTitle, certificate, privateKey }, by) {
      const pair = readPair({ certificate, privateKey });
      return change(by, 'certificate given', (client) => putOwn(client, aeTitle, pair), facts);
    },
    trust({ label, certificate }, by) {
      const chain = readChain(certificate);
      const [first] = chain;
      judge(first);
      return change(
        by,
        'trusted',
        (client) =>
          put(client, {
            ...{ role: 'trusted', ae_title: null, private_key: null },
            // Of a chain the first is meant: trusting its authority as well would trust all of its other customers.
            ...{ label: label === '' ? oneNameOf(first) : label, certificate: first.toString() },
          }),
        facts,
      );
    },
    async remove(id, by) {
      await change(
        by,
        'removed',
        async (client) => {
          const { rows: gone } = await client.query<Row>(
            `DELETE FROM tls_certificate WHERE id = $1 AND role <> 'authority' RETURNING *`,
            [id],
          );
          if (!gone[0]) throw new Fault('NOT_FOUND');
          return knownOf(gone[0]);
        },
        facts,
      );
    },
    async issueFor({ commonName, names }, by) {
      const authority = pairOf(rows.find(({ role }) => role === 'authority'));
      if (!authority) throw new Fault('CERTIFICATE_NONE');
      const made = await issue(authority, { commonName, names });
      const [leaf] = readChain(made.certificate);
      const known = factsOf(leaf);
      audit.record({
        ...{ event: 'certificate.changed', outcome: 'success', principal: by },
        detail: { what: 'issued', label: commonName, fingerprint: known.fingerprint },
      });
      return { ...made, authority: authority.certificate, facts: known };
    },
    close: unsubscribe,
  };
}

function knownOf(row: Row): KnownCertificate {
  const [first] = readChain(row.certificate);
  return {
    ...factsOf(first),
    ...{ id: row.id, role: row.role, aeTitle: row.ae_title ?? undefined, label: row.label },
  };
}

const pairOf = (row: Row | undefined): Pair | undefined =>
  row && row.private_key !== null ? { certificate: row.certificate, privateKey: row.private_key } : undefined;

const oneNameOf = (certificate: X509Certificate): string =>
  (/CN=(.*)/.exec(certificate.subject)?.[1] ?? certificate.subject.split('\n').at(-1) ?? '').slice(0, 100);

/** Under which this machine is reached, as far as it knows. */
function ownNames(): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ address }) => !address.startsWith('fe80:'))
    .map(({ address }) => address);
  return [...new Set([hostname(), 'localhost', ...addresses])].filter((name) => name !== '');
}
