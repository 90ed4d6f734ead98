/**
 * The devices that may call us by DIMSE, and those that were turned away.
 *
 * Source: PS3.8 §9.3.4 (rejection reasons), PS3.5 §6.2 (AE).
 * Layer:  server/identity.
 */
import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import type { Events } from '../platform/events.ts';
import type { Log } from '../platform/log.ts';
import { VERB_RIGHTS } from './rights.ts';
import type { LocalAes } from './local-aes.ts';
import {
  type AdmitAnswer,
  type Audit,
  type BoundCertificate,
  type Channel,
  type Device,
  type DeviceDraft,
  type DeviceOffer,
  type Devices,
  type DeviceVerb,
  IDENTITY_WANTED,
  type IdentityWanted,
  type Principal,
  type RefusedDevice,
  type SendForm,
  type WebAddress,
} from './types.ts';

declare module '../platform/events.ts' {
  interface EventTypes {
    'device.refused': { callingAe: string };
    /** The table of devices changed: forget what is cached. */
    'device.changed': { id: string };
  }
}

/** Anybody can make up names: only so many are remembered, the oldest are forgotten. */
const REFUSED_LIMIT = 500;
const REFUSED_FLUSH_MS = 250;
/** A host name is asked again after this. */
const ADDRESS_MS = 60_000;
const LOOPBACK_VERBS: readonly DeviceVerb[] = ['echo', 'store'];

interface DeviceRow {
  id: string;
  ae_title: string;
  description: string;
  host: string | null;
  port: number | null;
  check_address: boolean;
  verbs: DeviceVerb[];
  tls: boolean;
  tls_only: boolean;
  certificate_fingerprint: string | null;
  certificate_subject: string | null;
  certificate_authority: string | null;
  identity: string;
  called_aes: string[];
  offers: DeviceOffer[];
  send_as: SendForm;
  web_url: string | null;
  web_auth: WebAddress['auth'];
  web_user: string;
  web_secret: string;
}

/** Who asks to be let in, as far as it says. */
interface Caller {
  readonly callingAe: string;
  readonly calledAe: string;
  readonly remoteAddress: string;
  readonly channel: Channel;
}

export interface OpenDevices extends Devices {
  close(): Promise<void>;
}

export async function openDevices(options: {
  readonly database: Database;
  readonly events: Events;
  readonly audit: Audit;
  readonly log: Log;
  /** Ours: what a device has to call. */
  readonly localAes: Pick<LocalAes, 'byAeTitle' | 'main'>;
}): Promise<OpenDevices> {
  const { database, events, audit, log, localAes } = options;
  let known = new Map<string, Device>();
  let secrets = new Map<string, string>();
  const addresses = new Map<string, { at: number; found: readonly string[] }>();
  const refusals = new Map<string, RefusedDevice>();
  let flushing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  async function load(): Promise<void> {
    const { rows } = await database.pool.query<DeviceRow>('SELECT * FROM device ORDER BY ae_title');
    known = new Map(rows.map((row) => [row.ae_title, fromRow(row)]));
    secrets = new Map(rows.map((row) => [row.id, row.web_secret]));
  }

  await load();
  const unsubscribe = events.subscribe('device.changed', load);

  async function addressesOf(host: string): Promise<readonly string[]> {
    if (isIP(host)) return [host];
    const kept = addresses.get(host);
    if (kept && Date.now() - kept.at < ADDRESS_MS) return kept.found;
    const found = await lookup(host, { all: true }).then(
      (all) => all.map((one) => one.address),
      () => kept?.found ?? [],
    );
    addresses.set(host, { at: Date.now(), found });
    return found;
  }

  async function writeRefusals(): Promise<void> {
    const batch = [...refusals.values()];
    refusals.clear();
    await database.pool.query(
      `INSERT INTO refused_device (calling_ae, called_ae, remote_address, reason, count, last_at, fingerprint)
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::text[])
       ON CONFLICT (calling_ae, called_ae, remote_address) DO UPDATE
       SET reason = excluded.reason, fingerprint = excluded.fingerprint, count = refused_device.count + excluded.count, last_at = excluded.last_at`,
      [
        batch.map((one) => one.callingAe),
        batch.map((one) => one.calledAe),
        batch.map((one) => one.remoteAddress),
        batch.map((one) => one.reason),
        batch.map((one) => one.count),
        batch.map((one) => one.lastAt),
        batch.map((one) => one.fingerprint),
      ],
    );
    await database.pool.query(
      `DELETE FROM refused_device WHERE (calling_ae, called_ae, remote_address) IN
       (SELECT calling_ae, called_ae, remote_address FROM refused_device ORDER BY last_at DESC OFFSET $1)`,
      [REFUSED_LIMIT],
    );
    for (const callingAe of new Set(batch.map((one) => one.callingAe)))
      await events.publish('device.refused', { callingAe });
  }

  async function flushRefusals(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    await flushing;
    if (refusals.size === 0) return;
    flushing = writeRefusals()
      .catch((error: unknown) => log.error({ err: error }, 'refused devices not written'))
      .finally(() => (flushing = undefined));
    await flushing;
  }

  function refuse(caller: Caller, reason: 3 | 7, words: string): AdmitAnswer {
    const callingAe = tidy(caller.callingAe);
    const calledAe = tidy(caller.calledAe);
    const { remoteAddress, channel } = caller;
    const key = JSON.stringify([callingAe, calledAe, remoteAddress]);
    const before = refusals.get(key);
    if (before || refusals.size < REFUSED_LIMIT) {
      refusals.set(key, {
        ...{ callingAe, calledAe, remoteAddress, reason: words },
        ...{ count: (before?.count ?? 0) + 1, lastAt: new Date() },
        fingerprint: channel.certificate?.fingerprint ?? '',
      });
      timer ??= setTimeout(() => void flushRefusals(), REFUSED_FLUSH_MS);
    }
    const { fingerprint } = channel.certificate ?? {};
    audit.record({
      ...{ event: 'association.refused', outcome: 'refused' },
      principal: {
        ...{ kind: 'device', id: callingAe, name: callingAe, roles: [], rights: [], remoteAddress },
      },
      detail: {
        ...{ reason: words, calledAe, tls: channel.tls },
        ...(fingerprint === undefined ? {} : { fingerprint }),
      },
    });
    return { admitted: false, reason };
  }

  /** Why a known device may not come in over this connection; undefined: it may. */
  async function objection(device: Device, caller: Caller): Promise<string | undefined> {
    const { channel } = caller;
    if (!channel.tls && (device.tlsOnly || device.certificate)) return 'has to use TLS';
    if (device.certificate && !isBound(device.certificate, channel))
      return channel.certificate ? 'shows another certificate than its own' : 'shows no certificate';
    if (!device.checkAddress) return undefined;
    const from = plainAddress(caller.remoteAddress);
    const allowed = device.host === undefined ? [] : await addressesOf(device.host);
    return allowed.some((one) => plainAddress(one) === from) ? undefined : 'not from its own address';
  }

  return {
    async admit(request) {
      const callingAe = request.callingAe.trim();
      const loopback = isLoopback(request.remoteAddress);
      const device = known.get(callingAe);
      if (!device && !loopback) return refuse(request, 3, 'calling AE title not known');
      // From this machine a stranger may echo and send, and nothing else.
      if (!device && request.services?.every((verb) => !LOOPBACK_VERBS.includes(verb)))
        return refuse(request, 3, 'calling AE title not known');
      const calledAe = request.calledAe.trim();
      const local = localAes.byAeTitle(calledAe);
      // A newcomer tries storescu with its default called AE title on the same machine.
      if (!local && !loopback) return refuse(request, 7, 'called AE title is not ours');
      if (device && device.calledAes.length > 0 && !device.calledAes.includes(calledAe))
        return refuse(request, 7, 'may not call this AE title');
      const why = device && (await objection(device, request));
      if (why !== undefined) return refuse(request, 3, why);
      const offered = local?.verbs;
      const verbs = (device?.verbs ?? LOOPBACK_VERBS).filter((verb) => offered?.includes(verb) ?? true);
      return {
        admitted: true,
        verbs,
        identity: device?.identity ?? 'optional',
        localAe: local?.aeTitle ?? localAes.main,
        principal: {
          kind: 'device',
          id: callingAe,
          name: callingAe,
          roles: [],
          rights: [...new Set(verbs.flatMap((verb) => VERB_RIGHTS[verb]))],
          remoteAddress: request.remoteAddress,
        },
      };
    },
    refuseIdentity: (caller, why) => void refuse(caller, 3, why),
    refuseHandshake(remoteAddress, why, fingerprint) {
      audit.record({
        ...{ event: 'association.refused', outcome: 'refused' },
        principal: { kind: 'device', id: '', name: '', roles: [], rights: [], remoteAddress },
        detail: { reason: why, tls: true, ...(fingerprint === undefined ? {} : { fingerprint }) },
      });
    },
    list: () => Promise.resolve([...known.values()]),
    byAeTitle: (title) => Promise.resolve(known.get(title.trim())),
    webSecret: (id) => secrets.get(id) ?? '',
    async save(device, by) {
      const id = device.id ?? randomUUID();
      const { dicomweb } = device;
      const before = [...known.values()].find((one) => one.id === id)?.dicomweb;
      const secret = dicomweb ? secretFor(dicomweb, before, secrets.get(id) ?? '') : '';
      const values = [
        id,
        device.aeTitle.trim(),
        device.description,
        device.host ?? null,
        device.port ?? null,
        device.checkAddress,
        device.verbs,
        device.tls,
        device.tlsOnly,
        device.certificate?.by === 'fingerprint' ? device.certificate.fingerprint : null,
        device.certificate?.by === 'subject' ? device.certificate.subject : null,
        device.certificate?.by === 'subject' ? device.certificate.authority : null,
        device.identity,
        device.calledAes,
        device.offers,
        dicomweb?.url ?? null,
        dicomweb?.auth ?? 'none',
        dicomweb?.user ?? '',
        secret,
        device.sendAs,
      ];
      const { rows } = await database.pool
        .query<DeviceRow>(
          device.id === undefined
            ? `INSERT INTO device (${DEVICE_COLUMNS}) VALUES (${DEVICE_VALUES}) RETURNING *`
            : `UPDATE device SET (${DEVICE_COLUMNS}) = (${DEVICE_VALUES}) WHERE id = $1 RETURNING *`,
          values,
        )
        .catch((error: unknown) => {
          throw isUniqueViolation(error) ? new Fault('DEVICE_EXISTS') : error;
        });
      const row = rows[0];
      if (!row) throw new Fault('NOT_FOUND');
      await load();
      // From here on it is admitted; what waits to be written names other devices too, and is kept.
      await flushRefusals();
      await database.pool.query('DELETE FROM refused_device WHERE calling_ae = $1', [row.ae_title]);
      await events.publish('device.changed', { id });
      changed(by, device.id === undefined ? 'added' : 'changed', row.ae_title);
      return fromRow(row);
    },
    async remove(id, by) {
      const { rows } = await database.pool.query<DeviceRow>('DELETE FROM device WHERE id = $1 RETURNING *', [
        id,
      ]);
      const row = rows[0];
      if (!row) throw new Fault('NOT_FOUND');
      await load();
      await events.publish('device.changed', { id });
      changed(by, 'removed', row.ae_title);
    },
    async refused() {
      await flushRefusals();
      const { rows } = await database.pool.query<{
        calling_ae: string;
        called_ae: string;
        remote_address: string;
        reason: string;
        count: number;
        last_at: Date;
        fingerprint: string;
      }>('SELECT * FROM refused_device ORDER BY last_at DESC');
      return rows.map((row) => ({
        callingAe: row.calling_ae,
        calledAe: row.called_ae,
        remoteAddress: row.remote_address,
        reason: row.reason,
        count: row.count,
        lastAt: row.last_at,
        fingerprint: row.fingerprint,
      }));
    },
    async close() {
      unsubscribe();
      await flushRefusals();
    },
  };

  function changed(by: Principal, what: string, title: string): void {
    audit.record({
      event: 'device.changed',
      outcome: 'success',
      principal: by,
      detail: { what, aeTitle: title },
    });
  }
}

const fromRow = (row: DeviceRow): Device => ({
  id: row.id,
  aeTitle: row.ae_title,
  description: row.description,
  host: row.host ?? undefined,
  port: row.port ?? undefined,
  checkAddress: row.check_address,
  verbs: row.verbs,
  tls: row.tls,
  tlsOnly: row.tls_only,
  certificate: boundOf(row),
  identity: IDENTITY_WANTED.find((one) => one === row.identity) ?? ('verified' satisfies IdentityWanted),
  calledAes: row.called_aes,
  offers: row.offers,
  sendAs: row.send_as,
  dicomweb:
    row.web_url === null
      ? undefined
      : { url: row.web_url, auth: row.web_auth, user: row.web_user, hasSecret: row.web_secret !== '' },
});

/**
 * The secret to keep. The one that is kept never goes to another address than the one it was entered for: who may change devices
 * could otherwise have it sent to themselves.
 */
function secretFor(
  { url, auth, user, secret }: NonNullable<DeviceDraft['dicomweb']>,
  before: WebAddress | undefined,
  kept: string,
): string {
  if (auth === 'none') return '';
  if (secret !== undefined) return secret;
  const same =
    before?.auth === auth && before.user === user && new URL(before.url).origin === new URL(url).origin;
  if (!same || kept === '') throw new Fault('DEVICE_SECRET');
  return kept;
}

function boundOf(row: DeviceRow): BoundCertificate | undefined {
  const { certificate_fingerprint: fingerprint, certificate_subject: subject } = row;
  if (fingerprint !== null) return { by: 'fingerprint', fingerprint };
  return subject === null
    ? undefined
    : { by: 'subject', subject, authority: row.certificate_authority ?? '' };
}

/** Whether the connection showed the certificate the device is bound to. */
export function isBound(bound: BoundCertificate, { certificate }: Channel): boolean {
  if (!certificate) return false;
  return bound.by === 'fingerprint'
    ? certificate.fingerprint === bound.fingerprint
    : certificate.subject === bound.subject && certificate.authorities.includes(bound.authority);
}

const COLUMNS = [
  ...['id', 'ae_title', 'description', 'host', 'port', 'check_address', 'verbs', 'tls', 'tls_only'],
  ...['certificate_fingerprint', 'certificate_subject', 'certificate_authority', 'identity', 'called_aes'],
  ...['offers', 'web_url', 'web_auth', 'web_user', 'web_secret', 'send_as'],
];
const DEVICE_COLUMNS = COLUMNS.join(', ');
const DEVICE_VALUES = COLUMNS.map((_, index) => `$${index + 1}`).join(', ');

/** The database answers 23505 when a unique column holds the value already. */
export const isUniqueViolation = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === '23505';

/** IPv4 in IPv6 notation (::ffff:10.0.0.1) as IPv4, so that both sockets' spellings compare equal. */
export const plainAddress = (address: string): string =>
  address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');

export function isLoopback(address: string): boolean {
  const plain = plainAddress(address);
  return plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

/** At most an AE's 16 characters, printable: what a stranger sends ends up on the administrator's screen. */
const tidy = (title: string): string =>
  title
    .trim()
    .slice(0, 16)
    .replaceAll(/[\x00-\x1f\x7f-\uffff]/g, '?');
