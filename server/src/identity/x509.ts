/**
 * Certificates as files: read and judged what people upload, made where they have none.
 *
 * Source: RFC 5280 §4 (profile), §6 (path validation), PS3.15 Annex B.12, B.13, RFC 9325 §4.5 (keys and hashes).
 * Layer:  server/identity.
 */
import { createHash, createPrivateKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type * as Library from '@peculiar/x509';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { ShownCertificate } from './types.ts';
import { LEAST_EC_BITS, LEAST_RSA_BITS } from '../platform/tls-profile.ts';

/** A certificate with its chain: the bundle of a hospital's authority has a few; a file of thousands is something else. */
const LONGEST_CHAIN = 10;
const LONGEST_PEM = 64 * 1024;
const DAY_MS = 86_400_000;
/** An authority outlives the modalities it is entered in; other certificates are renewed well before it ends. */
const AUTHORITY_DAYS = 3650;
const CERTIFICATE_DAYS = 730;
/** Clocks of modalities are rarely right to the minute. */
const CLOCK_SKEW_MS = 60 * 60_000;

export interface Pair {
  /** PEM; the certificate itself first, then those that lead to its authority. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
}

export interface CertificateFacts {
  /** SHA-256 of the DER form, lower-case hex. */
  readonly fingerprint: string;
  /** One line, as RFC 4514 writes names but in the order of the certificate. */
  readonly subject: string;
  readonly issuer: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly authority: boolean;
  readonly names: string;
}

/** SHA-256 fingerprint, lower-case hex without colons. */
export const fingerprintOf = (der: Uint8Array): string => createHash('sha256').update(der).digest('hex');

/** Node writes one attribute a line. */
export const oneLine = (name: string | undefined): string => (name ?? '').trim().replaceAll('\n', ', ');

export function factsOf(certificate: X509Certificate): CertificateFacts {
  return {
    fingerprint: fingerprintOf(certificate.raw),
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
    authority: certificate.ca,
    names: certificate.subjectAltName ?? '',
  };
}

/**
 * What of the certificate a connection showed is compared, its issuers being those the chain was built with; undefined: none.
 *
 * Not by `getPeerX509Certificate`: that one has no issuers from our side, and leaves nothing for `getPeerCertificate`.
 */
export function shownBy(
  socket: TLSSocket,
): (ShownCertificate & { readonly certificate: X509Certificate }) | undefined {
  // null once the connection is gone, empty where none was shown.
  const peer = socket.getPeerCertificate(true) as Partial<DetailedPeerCertificate> | null;
  if (!peer?.raw) return undefined;
  const authorities: string[] = [];
  let below: Partial<DetailedPeerCertificate> = peer;
  for (let count = 0; count < LONGEST_CHAIN; count += 1) {
    const above = below.issuerCertificate;
    // The top names itself as its issuer.
    if (!above?.raw || above === below) break;
    authorities.push(fingerprintOf(above.raw));
    below = above;
  }
  const certificate = new X509Certificate(peer.raw);
  return {
    fingerprint: fingerprintOf(peer.raw),
    subject: oneLine(certificate.subject),
    authorities,
    certificate,
  };
}

/** @throws Fault CERTIFICATE_UNREADABLE (facts: what). */
export function readChain(pem: string): [X509Certificate, ...X509Certificate[]] {
  if (pem.length > LONGEST_PEM) throw unreadable('too long');
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length > LONGEST_CHAIN) throw unreadable('more certificates than a chain has');
  const [first, ...rest] = blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Fault('CERTIFICATE_UNREADABLE', { what: 'not a certificate' }, { cause: error });
    }
  });
  if (!first) throw unreadable('no PEM certificate in it');
  return [first, ...rest];
}

/** What a certificate has to be like, whoever made it. @throws Fault CERTIFICATE_EXPIRED, CERTIFICATE_NOT_YET, CERTIFICATE_WEAK. */
export function judge(certificate: X509Certificate, now = new Date()): void {
  if (certificate.validToDate <= now)
    throw new Fault('CERTIFICATE_EXPIRED', { on: certificate.validToDate.toISOString() });
  if (certificate.validFromDate.getTime() > now.getTime() + CLOCK_SKEW_MS)
    throw new Fault('CERTIFICATE_NOT_YET', { from: certificate.validFromDate.toISOString() });
  const weak = weaknessOf(certificate);
  if (weak !== undefined) throw new Fault('CERTIFICATE_WEAK', { what: weak });
}

/** Of MD5 and SHA-1 forgeries are known (RFC 9325 §4.5); undefined: nothing to say against it. */
function weaknessOf({ publicKey, signatureAlgorithm = '' }: X509Certificate): string | undefined {
  const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && modulusLength < LEAST_RSA_BITS)
    return `RSA key of ${modulusLength} bits`;
  const bits = Number(/\d{3}/.exec(namedCurve ?? '')?.[0] ?? LEAST_EC_BITS);
  if (bits < LEAST_EC_BITS) return `elliptic key of ${bits} bits`;
  if (/md5|sha-?1(?!\d)/i.test(signatureAlgorithm)) return `signed with ${signatureAlgorithm}`;
  return undefined;
}

/**
 * A certificate and key that a person gives us to present, put in order.
 *
 * @throws Fault CERTIFICATE_UNREADABLE, CERTIFICATE_EXPIRED, CERTIFICATE_NOT_YET, CERTIFICATE_WEAK, CERTIFICATE_KEY,
 *         CERTIFICATE_CHAIN.
 */
export function readPair(given: Pair, now = new Date()): Pair {
  const chain = readChain(given.certificate);
  const [leaf] = chain;
  const key = readKey(given.privateKey);
  if (!leaf.checkPrivateKey(key))
    throw new Fault('CERTIFICATE_KEY', { what: 'belongs to another certificate' });
  for (const one of chain) judge(one, now);
  if (leaf.ca && chain.length > 1)
    throw new Fault('CERTIFICATE_CHAIN', { what: 'the first is an authority' });
  for (let index = 0; index + 1 < chain.length; index += 1) {
    const [below, above] = [chain[index], chain[index + 1]];
    if (!below || !above) break;
    if (!above.ca)
      throw new Fault('CERTIFICATE_CHAIN', { what: 'an issuer that is no authority', at: index + 2 });
    if (!below.checkIssued(above) || !below.verify(above.publicKey))
      throw new Fault('CERTIFICATE_CHAIN', { what: 'not issued by the next one', at: index + 1 });
  }
  return {
    certificate: chain.map((one) => one.toString().trim()).join('\n') + '\n',
    privateKey: key.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

function readKey(pem: string): KeyObject {
  if (pem.length > LONGEST_PEM) throw new Fault('CERTIFICATE_KEY', { what: 'too long' });
  if (/ENCRYPTED/.test(pem)) throw new Fault('CERTIFICATE_KEY', { what: 'protected by a password' });
  try {
    return createPrivateKey(pem);
  } catch {
    // Its cause may quote the key.
    throw new Fault('CERTIFICATE_KEY', { what: 'not a PEM private key' });
  }
}

const unreadable = (what: string): Fault => new Fault('CERTIFICATE_UNREADABLE', { what });

// --- making

/** An elliptic key of P-256: every TLS 1.2 program of the last ten years takes it, and both profiles do. */
const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** The library is large and needed a few times a year. */
async function library(): Promise<typeof Library> {
  // It asks for this polyfill to be there before it (its dependency container reads decorators' metadata).
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

/** Our own authority, for houses that have none. */
export async function makeAuthority(commonName: string, now = new Date()): Promise<Pair> {
  const x509 = await library();
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: serial(), name: nameOf(commonName), keys, signingAlgorithm: SIGNATURE },
    ...{ notBefore: new Date(now.getTime() - CLOCK_SKEW_MS), notAfter: after(now, AUTHORITY_DAYS) },
    extensions: [
      // It signs certificates and no further authorities.
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, privateKey: await pemOf(keys.privateKey) };
}

/**
 * A certificate of `authority` for a program that is called, calls, or both: in DICOM nearly all do both.
 *
 * @param names  Host names and addresses under which it is reached.
 */
export async function issue(
  authority: Pair,
  subject: { readonly commonName: string; readonly names: readonly string[] },
  now = new Date(),
): Promise<Pair> {
  const x509 = await library();
  const [issuer] = readChain(authority.certificate);
  judge(issuer, now);
  const signingKey = await crypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(authority.privateKey).export({ type: 'pkcs8', format: 'der' }),
    KEY,
    false,
    ['sign'],
  );
  const issuing = new x509.X509Certificate(issuer.raw);
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const end = after(now, CERTIFICATE_DAYS);
  const certificate = await x509.X509CertificateGenerator.create({
    ...{ serialNumber: serial(), subject: nameOf(subject.commonName), issuer: issuing.subjectName },
    ...{ publicKey: keys.publicKey, signingKey, signingAlgorithm: SIGNATURE },
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MS),
    notAfter: end < issuer.validToDate ? end : issuer.validToDate,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      ...(subject.names.length === 0
        ? []
        : [
            new x509.SubjectAlternativeNameExtension(
              subject.names.map((value) => ({
                type: isIP(value) ? ('ip' as const) : ('dns' as const),
                value,
              })),
            ),
          ]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuing),
    ],
  });
  return {
    certificate: `${certificate.toString('pem')}\n`,
    privateKey: await pemOf(keys.privateKey),
  };
}

/** As structure, not as text: a comma in a description is no separator. */
const nameOf = (commonName: string): { CN?: string[]; O?: string[] }[] => [
  { CN: [commonName] },
  { O: ['Lightbox'] },
];

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes, not to be guessed. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

const after = (now: Date, days: number): Date => new Date(now.getTime() + days * DAY_MS);

async function pemOf(key: Parameters<typeof crypto.subtle.exportKey>[1]): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
}
