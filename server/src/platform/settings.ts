/**
 * Every setting of Lightbox, once: its environment variable, default and meaning. docs/configuration.md is generated from it.
 *
 * Layer:  server/platform.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { TLS_PROFILES, type TlsProfileName } from './tls-profile.ts';

export interface Setting<T> {
  readonly env: string;
  /** As a person would write it in the environment; empty means "not set". */
  readonly default: string;
  /** What it does and what follows from changing it. */
  readonly meaning: string;
  /** Never shown in a log or a page. */
  readonly secret: boolean;
  readonly parse: (text: string) => T;
}

function setting<T>(
  env: string,
  fallback: string,
  parse: (text: string, env: string) => T,
  meaning: string,
  secret = false,
): Setting<T> {
  return { env, default: fallback, meaning, secret, parse: (text) => parse(text, env) };
}

const bad = (env: string, wanted: string): Fault => new Fault('CONFIG_VALUE', { env, wanted });

const text = (value: string): string => value;
const optional = (value: string): string | undefined => (value === '' ? undefined : value);

function integer(min: number, max: number): (value: string, env: string) => number {
  return (value, env) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= min && number <= max)) throw bad(env, `a whole number from ${min} to ${max}`);
    return number;
  };
}

function choice<T extends string>(...values: readonly T[]): (value: string, env: string) => T {
  return (value, env) => {
    const found = values.find((one) => one === value);
    if (found === undefined) throw bad(env, values.join(', '));
    return found;
  };
}

/** PS3.5 §6.2 AE: 1 to 16 characters without backslash and control characters. */
function aeTitle(value: string, env: string): string {
  if (!/^(?=.*[^ ])[\x20-\x5b\x5d-\x7e]{1,16}$/.test(value))
    throw bad(env, 'an AE title of 1 to 16 characters');
  return value.trim();
}

function address(value: string, env: string): string | undefined {
  if (value === '') return undefined;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw bad(env, 'an http or https address');
  return value.replace(/\/+$/, '');
}

function databaseUrl(value: string, env: string): string | undefined {
  if (value === '') return undefined;
  if (!/^postgres(ql)?:\/\//.test(value)) throw bad(env, 'an address that begins with postgresql://');
  return value;
}

const PORT = integer(0, 65535);
const GIB = 1024 ** 3;

export const SETTINGS = {
  dataDir: setting(
    'LIGHTBOX_DATA',
    './data',
    text,
    'Folder of everything Lightbox keeps: journal, packs and the built-in database.',
  ),
  httpHost: setting(
    'LIGHTBOX_HTTP_HOST',
    '0.0.0.0',
    text,
    'Address the web server listens on. 127.0.0.1 hides it behind a reverse proxy on the same machine.',
  ),
  httpPort: setting('LIGHTBOX_HTTP_PORT', '8080', PORT, 'Port of the web server: pages, API and DICOMweb.'),
  publicUrl: setting(
    'LIGHTBOX_PUBLIC_URL',
    '',
    address,
    'Address people open in the browser, e.g. https://pacs.example.org. Needed behind a proxy: sign-in accepts requests from it only. Default: http://localhost and the port.',
  ),
  dicomHost: setting('LIGHTBOX_DICOM_HOST', '0.0.0.0', text, 'Address the DICOM listener is bound to.'),
  dicomPort: setting('LIGHTBOX_DICOM_PORT', '11112', PORT, 'Port of the DICOM listener.'),
  dicomTlsPort: setting(
    'LIGHTBOX_DICOM_TLS_PORT',
    '2762',
    PORT,
    'Port of the DICOM listener with TLS (PS3.8 §9.1.1: 2762, dicom-tls). It listens as soon as there is a certificate; 0 turns it off.',
  ),
  dicomTlsClients: setting(
    'LIGHTBOX_DICOM_TLS_CLIENTS',
    'required',
    choice('required', 'optional'),
    'Whether a peer on the TLS port has to show a certificate that we trust. With optional one that shows none is let in, encrypted, on its AE title alone; one that is not trusted is refused either way.',
  ),
  dicomTlsProfile: setting(
    'LIGHTBOX_DICOM_TLS_PROFILE',
    'bcp195',
    choice(...(Object.keys(TLS_PROFILES) as TlsProfileName[])),
    'Cipher suites and curves: bcp195 (PS3.15 Annex B.12) or modified (Annex B.13, without Camellia). TLS 1.2 is the oldest version in both.',
  ),
  aeTitle: setting(
    'LIGHTBOX_AE_TITLE',
    'LIGHTBOX',
    aeTitle,
    'Our AE title: modalities have to call this name.',
  ),
  maxAssociations: setting(
    'LIGHTBOX_DICOM_MAX_ASSOCIATIONS',
    '100',
    integer(1, 100_000),
    'DICOM associations at the same time; further ones are rejected for the moment (PS3.8 §9.3.4 source 3, reason 2).',
  ),
  maxPerAddress: setting(
    'LIGHTBOX_DICOM_MAX_PER_ADDRESS',
    '64',
    integer(1, 100_000),
    'DICOM associations at the same time from one address, this machine too; further ones are rejected for the moment. Raise it where a router or gateway brings many modalities to us under one address.',
  ),
  maxPerAe: setting(
    'LIGHTBOX_DICOM_MAX_PER_AE',
    '64',
    integer(1, 100_000),
    'DICOM associations at the same time of one calling AE title, wherever it calls from; further ones are rejected for the moment.',
  ),
  maxPdu: setting(
    'LIGHTBOX_DICOM_MAX_PDU',
    '131072',
    integer(4096, 16 * 1024 * 1024),
    'Longest PDU we ask peers to send, in bytes. Each association may hold one in memory.',
  ),
  dicomIdleSeconds: setting(
    'LIGHTBOX_DICOM_IDLE_SECONDS',
    '60',
    integer(1, 86_400),
    'An association without any message for so long is aborted.',
  ),
  artimSeconds: setting(
    'LIGHTBOX_DICOM_ARTIM_SECONDS',
    '30',
    integer(1, 3600),
    'A connection that does not ask for an association, or does not close, within this time is closed (PS3.8 ARTIM).',
  ),
  retrievesPerPeer: setting(
    'LIGHTBOX_DICOM_RETRIEVES_PER_PEER',
    '4',
    integer(1, 16),
    'C-MOVEs and C-GETs of one calling AE title carried out at the same time; more wait their turn. 16 in all, so that with 16 one device can make all others wait.',
  ),
  commitmentDays: setting(
    'LIGHTBOX_COMMITMENT_DAYS',
    '7',
    integer(1, 365),
    'The result of a storage commitment is told again and again for so many days while the device cannot be reached, and so long we wait for that of another archive. Then it is given up and shown to people.',
  ),
  commitmentRetrySeconds: setting(
    'LIGHTBOX_COMMITMENT_RETRY_SECONDS',
    '60',
    integer(1, 86_400),
    'A storage commitment that could not be told is told again after so long, then after twice as long each time, up to six hours.',
  ),
  commitmentKeepDays: setting(
    'LIGHTBOX_COMMITMENT_KEEP_DAYS',
    '30',
    integer(1, 3650),
    'Results of storage commitments are kept so long; asked for later over the web they are gone (HTTP 410).',
  ),
  workitemKeepDays: setting(
    'LIGHTBOX_WORKITEM_KEEP_DAYS',
    '30',
    integer(1, 3650),
    'Workitems that are COMPLETED or CANCELED are kept so long, longer only under a deletion lock of a watcher; asked for later they are gone (HTTP 410).',
  ),
  workitemRetrySeconds: setting(
    'LIGHTBOX_WORKITEM_RETRY_SECONDS',
    '30',
    integer(1, 86_400),
    'Events of workitems that a device did not take are told again after so long, then after twice as long each time, up to an hour; after seven days they are given up.',
  ),
  transfersPerDestination: setting(
    'LIGHTBOX_TRANSFERS_PER_DESTINATION',
    '1',
    integer(1, 8),
    'Transfers to or from one device at the same time, each on an association of its own. With 1 they keep their order; more is faster where the device takes it.',
  ),
  transferRetrySeconds: setting(
    'LIGHTBOX_TRANSFER_RETRY_SECONDS',
    '60',
    integer(1, 86_400),
    'A transfer that did not go through is tried again after so long, then after twice as long each time, up to six hours.',
  ),
  transferAttempts: setting(
    'LIGHTBOX_TRANSFER_ATTEMPTS',
    '20',
    integer(1, 1000),
    'After so many attempts in a row without an object taken a transfer is given up and shown to people as failed. With the other defaults 20 take about three days.',
  ),
  rulesFile: setting(
    'LIGHTBOX_RULES_FILE',
    '',
    optional,
    'File of rules that is read at each start and taken over as a new version when it has changed. Default: rules.json in the data folder, when it is there.',
  ),
  databaseUrl: setting(
    'DATABASE_URL',
    '',
    databaseUrl,
    'PostgreSQL (16 or newer) to use, e.g. postgresql://user:password@host/lightbox. Default: one of our own, started in the data folder.',
    true,
  ),
  minFreeBytes: setting(
    'LIGHTBOX_MIN_FREE_BYTES',
    String(GIB),
    integer(0, Number.MAX_SAFE_INTEGER),
    'Below so many free bytes on the disk of the data folder new objects are refused (0xA700, HTTP 507); reading goes on.',
  ),
  quietSeconds: setting(
    'LIGHTBOX_QUIET_SECONDS',
    '60',
    integer(1, 86_400),
    'A study counts as complete when no object came for so long.',
  ),
  sealSeconds: setting(
    'LIGHTBOX_SEAL_SECONDS',
    '60',
    integer(1, 31_536_000),
    'A series is written as one pack (a plain ZIP of its original files, under packs/ of the data folder) when no object of it came for so long. Sooner means that a series whose images come slowly is written several times.',
  ),
  idleLockSeconds: setting(
    'LIGHTBOX_IDLE_LOCK_SECONDS',
    '900',
    integer(30, 86_400),
    'A session without activity for so long locks and asks for the password again.',
  ),
  logLevel: setting(
    'LIGHTBOX_LOG_LEVEL',
    'info',
    choice('silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'),
    'How much is logged.',
  ),
  processFolder: setting(
    'LIGHTBOX_SOCKET_DIR',
    '',
    optional,
    'Folder for the socket of the built-in database, when the path of the data folder is too long for one.',
  ),
} as const;

export type SettingName = keyof typeof SETTINGS;
