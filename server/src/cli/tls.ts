/**
 * TLS to another program from the command line: whose authority is trusted, what we show, and what went wrong in words.
 *
 * Source: PS3.15 Annex B.12, B.13.
 * Layer:  server/cli.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import type { Fault } from '@lightbox/core/base/fault.ts';
import type { TlsDial } from '../doors/dimse/tls-client.ts';
import { readPair } from '../identity/x509.ts';
import { TLS_PROFILES, type TlsProfileName } from '../platform/tls-profile.ts';
import { ADVICE, tlsReason, type TlsReason } from '../platform/tls-words.ts';
import { UsageError } from './usage.ts';

export interface TlsArguments {
  readonly tls: boolean;
  readonly ca?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
  readonly profile?: string | undefined;
}

export const TLS_HELP = `  --tls               over TLS; the options below mean it too
  --tls-ca FILE       authorities or certificates to trust, PEM (default: those of Node.js)
  --tls-cert FILE     our certificate with its chain, PEM
  --tls-key FILE      its key, PEM
  --tls-profile NAME  bcp195 (PS3.15 B.12, default) or modified (B.13)`;

/** undefined: without TLS. @throws UsageError, Fault CERTIFICATE_*. */
export function tlsDialOf({ tls, ca, certificate, key, profile }: TlsArguments): TlsDial | undefined {
  if (!tls && [ca, certificate, key, profile].every((one) => one === undefined)) return undefined;
  if ((certificate === undefined) !== (key === undefined))
    throw new UsageError('--tls-cert and --tls-key go together.');
  const name = profile ?? ('bcp195' satisfies TlsProfileName);
  if (!isProfile(name))
    throw new UsageError(`There is no profile "${name}": ${Object.keys(TLS_PROFILES).join(' or ')}.`);
  return {
    ...{ profile: name, bound: undefined },
    trusted: ca === undefined ? getCACertificates('default') : certificatesIn(ca),
    own:
      certificate === undefined || key === undefined
        ? undefined
        : readPair({ certificate: fileAt('--tls-cert', certificate), privateKey: fileAt('--tls-key', key) }),
  };
}

const isProfile = (name: string): name is TlsProfileName => Object.hasOwn(TLS_PROFILES, name);

/** In any order: a bundle is no chain. */
function certificatesIn(path: string): string[] {
  const found = fileAt('--tls-ca', path).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (!found) throw new UsageError(`There is no certificate in PEM form in "${path}".`);
  for (const pem of found)
    try {
      new X509Certificate(pem);
    } catch {
      throw new UsageError(`A certificate in "${path}" cannot be read.`);
    }
  return found;
}

function fileAt(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(
      `${option}: "${path}" cannot be read (${(error as NodeJS.ErrnoException).code ?? ''}).`,
    );
  }
}

/** Where the page says "on the page Certificates", a command line has options. */
const HERE: Readonly<Partial<Record<TlsReason, string>>> = {
  noCertificate: 'The other side wants a certificate from us: give one with --tls-cert and --tls-key.',
  selfSigned:
    'The other side signed its certificate itself: name it with --tls-ca, after comparing the fingerprint.',
  unknownAuthority:
    'The certificate of the other side is from an authority we do not trust: name that with --tls-ca.',
  nameMismatch:
    'The certificate of the other side names another host than the one given: use the name in the certificate.',
  notTls:
    'The other side does not speak TLS on this port: is it the port for TLS? If it has none, leave --tls out.',
  rejectsOurs: 'The other side does not accept our certificate: it has to trust the authority of it.',
  ended:
    'The other side ended the TLS handshake without saying why: does it want a certificate (--tls-cert), and is this its port for TLS?',
};

/** undefined when it was not about TLS. With TLS 1.3 the other side judges our certificate after we are done with the handshake. */
export function tlsAdvice({ code, facts, cause }: Fault, overTls: boolean): string | undefined {
  const late = overTls ? tlsReason((cause as NodeJS.ErrnoException | undefined)?.code) : undefined;
  const reason = code === 'TLS_FAILED' ? (facts['reason'] as TlsReason) : late;
  return reason && (HERE[reason] ?? ADVICE[reason]);
}
