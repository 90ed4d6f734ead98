/**
 * Who is asking, what they may do, and what is written down about it.
 *
 * Source: PS3.15 §A.5 (audit messages), 45 CFR 164.312.
 * Layer:  server/identity. Doors turn a request or an association into a Principal, then ask `allows`.
 */

export const ROLES = ['administrator', 'radiologist', 'technologist', 'referrer'] as const;
export type Role = (typeof ROLES)[number];

/** What can be allowed. Doors name one of these; the table of who may lives in rights.ts. */
export const RIGHTS = [
  'study.search',
  'study.view',
  'study.store',
  'study.export',
  'study.send',
  'study.correct',
  'remote.search',
  'remote.retrieve',
  'transfer.manage',
  'workitem.view',
  'workitem.manage',
  'device.read',
  'device.manage',
  'user.manage',
  'audit.read',
  'quarantine.read',
  'settings.manage',
  'apikey.manage',
  'metrics.read',
] as const;
export type Right = (typeof RIGHTS)[number];

export interface Principal {
  readonly kind: 'user' | 'apiKey' | 'device' | 'system';
  /** User id, API key id, device AE title, or 'system'. */
  readonly id: string;
  /** What people see in the audit trail. */
  readonly name: string;
  readonly roles: readonly Role[];
  /** For devices and API keys: exactly these; for users undefined (roles decide). */
  readonly rights?: readonly Right[] | undefined;
  readonly remoteAddress: string;
}

/** DIMSE services a device may use. */
export const DEVICE_VERBS = [
  'echo',
  'store',
  'find',
  'move',
  'get',
  'worklist',
  'mpps',
  'commit',
  'workitem',
] as const;
export type DeviceVerb = (typeof DEVICE_VERBS)[number];

/** What we may ask of a device: to keep objects, to be searched and fetched from, to promise what it keeps, to hear what we have. */
export const DEVICE_OFFERS = ['store', 'archive', 'commit', 'availability'] as const;
export type DeviceOffer = (typeof DEVICE_OFFERS)[number];

export interface Device {
  readonly id: string;
  readonly aeTitle: string;
  readonly description: string;
  /** undefined: not known, then the address is not checked and the device cannot be sent to. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  /** When true a calling AE must come from `host`. */
  readonly checkAddress: boolean;
  readonly verbs: readonly DeviceVerb[];
  readonly offers: readonly DeviceOffer[];
  /** We reach it by TLS. */
  readonly tls: boolean;
  /** It has to reach us by TLS. */
  readonly tlsOnly: boolean;
  /** The certificate it has to show, in both directions; then its AE title alone opens nothing. undefined: any trusted one. */
  readonly certificate: BoundCertificate | undefined;
  /** Which users it has to name (PS3.7 §D.3.3.7): none, one we know, or one that proves it. One that is named is always checked. */
  readonly identity: IdentityWanted;
  /** Which of our AE titles it may call; empty: all. */
  readonly calledAes: readonly string[];
  /** Its DICOMweb service; then objects travel to it and from it by HTTP. undefined: by DIMSE. */
  readonly dicomweb: WebAddress | undefined;
  readonly sendAs: SendForm;
}

/** In which form a device gets images: as they are kept, uncompressed, or compressed without loss. */
export const SEND_FORMS = ['stored', 'uncompressed', 'jpeg-ls', 'jpeg2000', 'htj2k', 'rle'] as const;
export type SendForm = (typeof SEND_FORMS)[number];

export const WEB_AUTHS = ['none', 'basic', 'bearer'] as const;

/** Where a DICOMweb service is (the URL before `/studies`), and how it knows us. The secret itself: `Devices.webSecret`. */
export interface WebAddress {
  readonly url: string;
  readonly auth: (typeof WEB_AUTHS)[number];
  readonly user: string;
  readonly hasSecret: boolean;
}

/** A device on its way into the table. */
export type DeviceDraft = Omit<Device, 'id' | 'dicomweb'> & {
  readonly id?: string | undefined;
  readonly dicomweb?:
    | (Omit<WebAddress, 'hasSecret'> & {
        /** Password or token; undefined: the one that is kept. */
        readonly secret?: string | undefined;
      })
    | undefined;
};

/** One certificate, or whichever an authority issues to a name: that one may be renewed without telling us. */
export type BoundCertificate =
  | { readonly by: 'fingerprint'; readonly fingerprint: string }
  | { readonly by: 'subject'; readonly subject: string; /** Fingerprint. */ readonly authority: string };

export const IDENTITY_WANTED = ['optional', 'named', 'verified'] as const;
export type IdentityWanted = (typeof IDENTITY_WANTED)[number];

/** How a peer reached us. */
export interface Channel {
  readonly tls: boolean;
  /** The trusted certificate it showed. */
  readonly certificate?: ShownCertificate | undefined;
}

/** What of a trusted certificate is compared; fingerprints are SHA-256, lower-case hex. */
export interface ShownCertificate {
  readonly fingerprint: string;
  readonly subject: string;
  /** Of those above it, up to the one that is trusted. */
  readonly authorities: readonly string[];
}

/** A device that was turned away, kept so that a person can allow it with one click. */
export interface RefusedDevice {
  readonly callingAe: string;
  readonly calledAe: string;
  readonly remoteAddress: string;
  readonly reason: string;
  readonly count: number;
  readonly lastAt: Date;
  /** SHA-256 of the certificate it showed; '' when none. */
  readonly fingerprint: string;
}

export type AdmitAnswer =
  | {
      readonly admitted: true;
      readonly principal: Principal;
      readonly verbs: readonly DeviceVerb[];
      readonly identity: IdentityWanted;
      /** Which of our AE titles it means; the main one for a newcomer that called another. */
      readonly localAe: string;
    }
  /** PS3.8 §9.3.4: source 1 (service user), reason 3 (calling AE not recognized) or 7 (called AE not recognized). */
  | { readonly admitted: false; readonly reason: 3 | 7 };

export interface Devices {
  /** Decides on an association request. Unknown calling AE titles from loopback get ['echo','store']; others are refused and remembered. */
  admit(request: {
    callingAe: string;
    calledAe: string;
    remoteAddress: string;
    /** What it proposes to do; undefined: not known. */
    services?: readonly DeviceVerb[] | undefined;
    channel: Channel;
  }): Promise<AdmitAnswer>;
  /** A peer that was let in so far, but whose user was not. */
  refuseIdentity(
    request: { callingAe: string; calledAe: string; remoteAddress: string; channel: Channel },
    why: string,
  ): void;
  /** A connection that ended in the handshake: nobody gave a name yet. */
  refuseHandshake(remoteAddress: string, why: string, fingerprint?: string): void;
  list(): Promise<Device[]>;
  byAeTitle(aeTitle: string): Promise<Device | undefined>;
  /** The password or token of its DICOMweb service; leaves the server only in a request to that. */
  webSecret(id: string): string;
  /** @throws Fault DEVICE_EXISTS, NOT_FOUND, DEVICE_SECRET when the address of its DICOMweb service is another and no secret came. */
  save(device: DeviceDraft, by: Principal): Promise<Device>;
  remove(id: string, by: Principal): Promise<void>;
  refused(): Promise<RefusedDevice[]>;
}

export const AUDIT_EVENTS = [
  'application.start',
  'application.stop',
  'auth.setup',
  'auth.signIn',
  'auth.signOut',
  'auth.locked',
  'auth.refused',
  'user.changed',
  'apikey.changed',
  'device.changed',
  'certificate.changed',
  'association.refused',
  'query',
  'view',
  'store',
  'correct',
  'export',
  'transfer.begin',
  'transfer',
  'commitment',
  'workitem',
  'transfer.asked',
  'transfer.changed',
  'access.refused',
  'settings.changed',
  'audit.used',
] as const;
export type AuditEvent = (typeof AUDIT_EVENTS)[number];

export interface AuditEntry {
  readonly event: AuditEvent;
  readonly outcome: 'success' | 'refused' | 'failed';
  readonly principal: Principal;
  /** Study Instance UIDs concerned; the audit trail is the one place where who saw what is kept. */
  readonly studyUids?: readonly string[] | undefined;
  /** Counts, codes, query key names. No patient values. */
  readonly detail?: Readonly<Record<string, string | number | boolean>> | undefined;
}

export interface Audit {
  /** Queues the entry and returns; entries are written in order, hash-chained, in batches within 100 ms. */
  record(entry: AuditEntry): void;
  /** Waits until everything recorded so far is written. */
  flush(): Promise<void>;
}

export type Allows = (principal: Principal, right: Right) => boolean;
