/**
 * The tables of the conformance statement, each from the one in the code that the program itself reads.
 *
 * Source: PS3.2 Annex N (what a statement has to say).
 */
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../../core/src/base/uid.ts';
import { METHOD_CODES, profileRows } from '../../core/src/dicom/deidentify/profile.ts';
import { lookup, storageSopClasses, Tags, tagText } from '../../core/src/dicom/dictionary.ts';
import {
  objectKeys,
  PATIENT_KEYS,
  type RecordType,
  recordType,
  SERIES_KEYS,
  STUDY_KEYS,
} from '../../core/src/dicom/dicomdir/records.ts';
import { parseMatchKey } from '../../core/src/dicom/matching.ts';
import {
  EXPLICIT_BE,
  EXPLICIT_LE,
  IMPLICIT_LE,
  transferSyntaxes,
} from '../../core/src/dicom/transfer-syntax.ts';
import type { Vr } from '../../core/src/dicom/vr.ts';
import { chooseTransferSyntax, MAX_WINDOW, serviceOf } from '../../core/src/dimse/negotiate.ts';
import { COMMON_STATUSES, SERVICE_STATUSES, type StatedStatus } from '../../core/src/dimse/service-status.ts';
import { SERVICE_CLASSES, type Service } from '../../core/src/dimse/sop-classes.ts';
import { statusKind } from '../../core/src/dimse/status.ts';
import { DECODABLE } from '../../server/src/archive/render/decode.ts';
import { orderColumn } from '../../server/src/archive/query/predicates.ts';
import { isReturned } from '../../server/src/archive/query/results.ts';
import { levelOf } from '../../server/src/archive/index/attributes.ts';
import type { Level } from '../../server/src/archive/types.ts';
import { AUDIT_MESSAGES } from '../../server/src/identity/audit-messages.ts';
import { VERB_RIGHTS } from '../../server/src/identity/rights.ts';
import { LINGER_MS } from '../../server/src/doors/dimse/association.ts';
import { MAX_PDU, TIMEOUT_MS } from '../../server/src/doors/dimse/client.ts';
import { SETTINGS } from '../../server/src/platform/settings.ts';
import { TLS_PROFILES } from '../../server/src/platform/tls-profile.ts';

/** A table in Markdown; a bar within a cell would end it. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]): string =>
    `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const yes = (value: boolean): string => (value ? 'yes' : 'no');
const hex = (status: number): string => `${status.toString(16).toUpperCase().padStart(4, '0')}H`;
const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
const NAMES = new Map(transferSyntaxes().map(({ uid, name }) => [uid, name]));
/** What a service but Storage is negotiated in, best first: found by asking the negotiation itself. */
const PLAIN = transferSyntaxes()
  .filter(
    ({ uid }) => chooseTransferSyntax({ id: 1, abstractSyntax: '', transferSyntaxes: [uid] }, 'find') === uid,
  )
  .map(({ uid }) => uid);

export const identity = (version: string): string =>
  table(
    ['Matter', 'Value'],
    [
      ['Product', 'Lightbox'],
      ['Version', version],
      ['Implementation Class UID', IMPLEMENTATION_CLASS_UID],
      ['Implementation Version Name', IMPLEMENTATION_VERSION_NAME],
      ['Application context', '1.2.840.10008.3.1.1.1'],
      ['Form of this document', 'PS3.2 Annex N'],
    ],
  );

export const overview = (): string =>
  table(
    ['Service', 'SCU', 'SCP'],
    [
      ['Storage: all classes below', 'yes', 'yes'],
      ...SERVICE_CLASSES.map(({ name, scu, scp }) => [name, yes(scu), yes(scp !== undefined)]),
    ],
  );

const setting = (name: keyof typeof SETTINGS): string =>
  `${SETTINGS[name].default} (\`${SETTINGS[name].env}\`)`;

export const associationPolicies = (): string =>
  table(
    ['Matter', 'Value'],
    [
      ['AE title', setting('aeTitle')],
      ['Port', setting('dicomPort')],
      ['Port with TLS', setting('dicomTlsPort')],
      ['Maximum PDU length we take', `${setting('maxPdu')}; as requestor ${MAX_PDU}`],
      ['Associations with us at the same time', setting('maxAssociations')],
      ['… from one address', setting('maxPerAddress')],
      ['… of one calling AE title', setting('maxPerAe')],
      ['Operations a peer may invoke at once, where it negotiates them', MAX_WINDOW],
      ['C-STOREs of a C-GET we invoke at once, where the peer performs so many', MAX_WINDOW],
      ['Operations at once without that negotiation, and as requestor', 1],
      ['C-MOVEs and C-GETs of one calling AE title carried out at once', setting('retrievesPerPeer')],
      ['Seconds for an A-ASSOCIATE-RQ (ARTIM)', setting('artimSeconds')],
      ['Seconds for the peer to close after the last PDU (ARTIM)', LINGER_MS / 1000],
      ['Seconds without a message before we abort', setting('dicomIdleSeconds')],
      ['Seconds we wait for an answer as requestor', TIMEOUT_MS / 1000],
    ],
  );

/** Byte by byte as PS3.4 Table C.5-2 counts them, from 1. */
const EXTENDED = [
  'relational queries or retrieval',
  'combined date-time matching',
  'fuzzy matching of names',
  'timezone query adjustment',
  'enhanced multi-frame conversion',
  'empty value matching',
  'multiple value matching',
];

export const serviceClasses = (): string =>
  table(
    ['SOP class', 'UID', 'SCP', 'SCU', 'Extended negotiation agreed to', 'Right or box of the device'],
    SERVICE_CLASSES.map(({ uid, name, scp, scu, extended }) => [
      name,
      uid,
      yes(scp !== undefined),
      yes(scu),
      [...(extended ?? [])].map((at) => `byte ${at + 1}: ${EXTENDED[at] ?? ''}`).join('; '),
      scp === undefined ? '' : scp,
    ]),
  );

export const rights = (): string =>
  table(
    ['Box of the device', 'Rights it stands for'],
    Object.entries(VERB_RIGHTS)
      .filter(([verb]) => SERVICE_CLASSES.some(({ scp }) => scp === verb) || verb === 'store')
      .map(([verb, list]) => [verb, list.join(', ')]),
  );

export const plainSyntaxes = (): string =>
  table(
    ['Transfer syntax', 'UID'],
    // The order in which one of several is chosen.
    [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE]
      .filter((uid) => PLAIN.includes(uid))
      .map((uid) => [NAMES.get(uid) ?? '', uid]),
  );

export const storageClasses = (): string =>
  table(
    ['SOP class', 'UID', 'Retired', 'Directory record'],
    storageSopClasses()
      .filter(({ uid }) => serviceOf(uid) === 'store')
      .toSorted(byName)
      .map(({ name, uid, retired }) => [name, uid, yes(retired), recordType(uid)]),
  );

export const storageSyntaxes = (): string =>
  table(
    ['Transfer syntax', 'UID', 'Taken', 'Decoded for receivers, frames and pictures', 'With loss'],
    transferSyntaxes().map(({ uid, name, codec, lossy }) => [
      name,
      uid,
      yes(chooseTransferSyntax({ id: 1, abstractSyntax: '', transferSyntaxes: [uid] }, 'store') === uid),
      yes(DECODABLE.has(codec)),
      yes(lossy),
    ]),
  );

const SERVICE_NAMES: Readonly<Record<Service, string>> = {
  echo: 'C-ECHO',
  store: 'C-STORE',
  find: 'C-FIND',
  move: 'C-MOVE',
  get: 'C-GET',
  commit: 'Storage commitment: N-ACTION and N-EVENT-REPORT',
  workitem: 'Workitems: C-FIND, N-CREATE, N-GET, N-SET and N-ACTION',
};
const KINDS = {
  success: 'Success',
  warning: 'Warning',
  failure: 'Failure',
  cancel: 'Cancel',
  pending: 'Pending',
};
const statusTable = (rows: readonly StatedStatus[]): string =>
  table(
    ['Status', 'Kind', 'When, and what it means'],
    rows.map(({ status, when }) => [hex(status), KINDS[statusKind(status)], when]),
  );

export const statuses = (): string =>
  [
    ['**Of every service**', statusTable(COMMON_STATUSES)],
    ...(Object.keys(SERVICE_STATUSES) as Service[]).map((service) => [
      `**${SERVICE_NAMES[service]}**`,
      statusTable(SERVICE_STATUSES[service]),
    ]),
  ]
    .flat()
    .join('\n\n');

const LEVELS = ['patient', 'study', 'series', 'instance'] as const satisfies readonly Level[];
const LEVEL_NAMES: Readonly<Record<Level, string>> = {
  ...{ patient: 'PATIENT', study: 'STUDY', series: 'SERIES', instance: 'IMAGE' },
};

/** Kinds of matching an attribute of this VR takes beside universal matching, found by asking the parser of keys. */
function matchingOf(tag: number, vr: Vr): string {
  if (vr === 'SQ') return 'sequence';
  const kinds = (samples: readonly (readonly string[])[]): string[] =>
    samples.flatMap((values) => {
      try {
        return [parseMatchKey(tag, vr, values).kind];
      } catch {
        return [];
      }
    });
  const found = [
    kinds([['1'], ['20260102'], ['0900']]).length > 0 ? ['single'] : [],
    kinds([
      ['1', '2'],
      ['20260101', '20260102'],
      ['0900', '1000'],
    ]).includes('list')
      ? ['list']
      : [],
    kinds([['1*']]).includes('wildcard') ? ['wildcard'] : [],
    kinds([['20260101-20260102'], ['0900-1000']]).includes('range') ? ['range'] : [],
  ];
  return found.flat().join(', ');
}

/** Attributes by the level they belong to: matched and returned there and below. */
export function queryAttributes(): string {
  const known = Object.values(Tags).toSorted((a, b) => a - b);
  return LEVELS.map((level, at) => {
    const above = LEVELS[at - 1];
    const rows = known.flatMap((tag) => {
      if (!isReturned(tag, level) || (above && isReturned(tag, above))) return [];
      const entry = lookup(tag);
      const vr = (entry?.vr ?? 'UN') as Vr;
      const kept = levelOf(tag) !== undefined;
      const matched = kept || orderColumn(tag, level) !== undefined;
      const matching = matched ? matchingOf(tag, vr) : 'none: returned only';
      return [[tagText(tag), entry?.name ?? '', vr, kept ? 'object' : 'computed', matching]];
    });
    return `**${LEVEL_NAMES[level]}** (${rows.length} attributes)\n\n${table(['Tag', 'Attribute', 'VR', 'From', 'Matching beside universal'], rows)}`;
  }).join('\n\n');
}

const keyRows = (type: string, keys: readonly (readonly [number, unknown])[]): string[][] =>
  keys.map(([tag, need]) => [type, tagText(tag), lookup(tag)?.name ?? '', String(need)]);

export function directoryRecords(): string {
  const types = [...new Set(storageSopClasses().map(({ uid }) => recordType(uid)))].toSorted();
  return table(
    ['Record', 'Tag', 'Attribute', 'Type'],
    [
      ...keyRows('PATIENT', PATIENT_KEYS),
      ...keyRows('STUDY', STUDY_KEYS),
      ...keyRows('SERIES', SERIES_KEYS),
      ...types.flatMap((type: RecordType) => {
        const keys = objectKeys(type);
        return keys.length ? keyRows(type, keys) : [[type, '', 'no keys of its own', '']];
      }),
    ],
  );
}

export const tlsProfiles = (): string =>
  table(
    ['Matter', ...Object.keys(TLS_PROFILES).map((name) => `\`${name}\``)],
    [
      ['TLS 1.3', ...Object.values(TLS_PROFILES).map(({ suites13 }) => suites13.join(', '))],
      ['TLS 1.2', ...Object.values(TLS_PROFILES).map(({ suites12 }) => suites12.join(', '))],
      ['Curves', ...Object.values(TLS_PROFILES).map(({ curves }) => curves.join(', '))],
    ],
  );

export const auditMessages = (): string =>
  table(
    ['Entry', 'Audit message (PS3.15 §A.5.3)', 'Event type', 'Written when'],
    Object.entries(AUDIT_MESSAGES).map(([event, { id, type, when }]) => [
      event,
      id ? `${id[1]} (${id[0]})` : 'none in the standard',
      type ? `${type[1]} (${type[0]})` : '',
      when,
    ]),
  );

export const deidentifyOptions = (): string =>
  table(
    ['Profile or option', 'Code (DCM)', 'Name in the commands'],
    Object.entries(METHOD_CODES).map(([name, [code, meaning]]) => [meaning, code, `\`${name}\``]),
  );

const nameOf = (pattern: string): string =>
  /^[0-9A-F]{8}$/.test(pattern) ? (lookup(Number.parseInt(pattern, 16))?.name ?? '') : '';
const placeOf = (pattern: string): string =>
  pattern.length === 8 ? `(${pattern.slice(0, 4)},${pattern.slice(4)})` : pattern;

export const deidentifyAttributes = (): string =>
  table(
    ['Tag', 'Attribute', 'Profile', 'Carried out', 'Options that keep (K) or clean (C)'],
    profileRows().map(({ pattern, code, basic, options }) => [
      placeOf(pattern),
      nameOf(pattern),
      code,
      basic,
      Object.entries(options)
        .map(([option, letter]) => `${option} ${letter}`)
        .join(', '),
    ]),
  );

export const configuration = (): string =>
  table(
    ['Parameter', 'Default', 'Meaning'],
    Object.values(SETTINGS).map(({ env, default: fallback, meaning }) => [
      `\`${env}\``,
      fallback === '' ? 'none' : fallback,
      meaning,
    ]),
  );
