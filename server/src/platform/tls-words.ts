/**
 * Why a TLS handshake ended, from the codes of Node and OpenSSL to a few reasons of ours and what to do about each.
 *
 * Source: RFC 8446 §6 (alerts), X.509 verification results of OpenSSL (openssl-verification-options(1)).
 * Layer:  server/platform.
 */
export type TlsReason =
  | 'noCertificate'
  | 'expired'
  | 'notYetValid'
  | 'selfSigned'
  | 'unknownAuthority'
  | 'notForThis'
  | 'weak'
  | 'nameMismatch'
  | 'otherCertificate'
  | 'version'
  | 'cipher'
  | 'notTls'
  | 'timeout'
  | 'rejectsOurs'
  | 'untrusted'
  | 'ended';

/** Parts of codes; the first that fits counts. ALERT: the other side said so, about us. */
const CODES: readonly (readonly [pattern: RegExp, reason: TlsReason])[] = [
  [/ALERT_CERTIFICATE_REQUIRED|DID_NOT_RETURN_A_CERTIFICATE|^UNABLE_TO_GET_ISSUER_CERT$/, 'noCertificate'],
  [
    /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS|VERSION_TOO_LOW|INAPPROPRIATE_FALLBACK/,
    'version',
  ],
  [
    /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERT|DECRYPT_ERROR|ACCESS_DENIED)/,
    'rejectsOurs',
  ],
  [/NO_SHARED_CIPHER|NO_SUITABLE|HANDSHAKE_FAILURE|INSUFFICIENT_SECURITY|NO_SHARED_GROUP/, 'cipher'],
  [
    /WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL/,
    'notTls',
  ],
  [/HANDSHAKE_TIMEOUT/, 'timeout'],
  [/^CERT_HAS_EXPIRED/, 'expired'],
  [/^CERT_NOT_YET_VALID/, 'notYetValid'],
  // The chain ends in an authority that signed itself, as all of them do, and is not one we trust.
  [/^SELF_SIGNED_CERT_IN_CHAIN/, 'unknownAuthority'],
  [/SELF_SIGNED_CERT/, 'selfSigned'],
  [
    /UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY_LEAF|CERT_UNTRUSTED|CERT_CHAIN_TOO_LONG|INVALID_CA|CERT_SIGNATURE_FAILURE/,
    'unknownAuthority',
  ],
  [/INVALID_PURPOSE/, 'notForThis'],
  [/KEY_TOO_SMALL|MD_TOO_WEAK/, 'weak'],
  [/CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH/, 'nameMismatch'],
];

/** @param code  Of an error, or the verification result. undefined: the connection just ended. */
export const tlsReason = (code: string | undefined): TlsReason | undefined =>
  code === undefined ? undefined : CODES.find(([pattern]) => pattern.test(code))?.[1];

/** What a peer that called us did wrong: for the list of refusals and the audit trail. */
export const REFUSED_WORDS: Readonly<Record<TlsReason, string>> = {
  noCertificate: 'TLS: shows no certificate',
  expired: 'TLS: its certificate has expired',
  notYetValid: 'TLS: its certificate is not valid yet',
  selfSigned: 'TLS: its certificate is self-signed and not trusted',
  unknownAuthority: 'TLS: the authority of its certificate is not trusted',
  notForThis: 'TLS: its certificate is not for this use',
  weak: 'TLS: its key or signature is too weak',
  nameMismatch: 'TLS: its certificate has another name',
  otherCertificate: 'TLS: shows another certificate than its own',
  version: 'TLS: older than TLS 1.2',
  cipher: 'TLS: no cipher suite or curve in common',
  notTls: 'TLS: speaks without TLS on the TLS port',
  timeout: 'TLS: did not finish the handshake in time',
  rejectsOurs: 'TLS: does not trust our certificate',
  untrusted: 'TLS: its certificate is not trusted',
  ended: 'TLS: ended the handshake',
};

/** What to do when a device that we called did not agree: for the echo test. */
export const ADVICE: Readonly<Record<TlsReason, string>> = {
  noCertificate:
    'The device wants a certificate from us: make one on the page Certificates, and let the device trust our authority.',
  expired: 'The certificate of the device has expired: renew it there.',
  notYetValid: 'The certificate of the device is not valid yet: is a clock wrong, there or here?',
  selfSigned:
    'The device signed its certificate itself: add it to the trusted ones on the page Certificates, after comparing the fingerprint.',
  unknownAuthority:
    'The certificate of the device is from an authority we do not trust: add that authority on the page Certificates.',
  notForThis:
    'The certificate of the device is not made for being called: its extended key usage lacks server authentication.',
  weak: 'The key or signature of the certificate of the device is too weak: it needs RSA with 2048 bits, or an elliptic key with 256.',
  nameMismatch:
    'The certificate of the device names another host than the one entered here: use the name in the certificate, or bind the device to this certificate.',
  otherCertificate:
    'The device shows another certificate than the one it is bound to: was it renewed, or is this another device?',
  version: 'The device speaks only versions of TLS older than 1.2, which are not safe any more: update it.',
  cipher: 'The device and Lightbox have no cipher suite in common: allow ECDHE with AES-GCM there.',
  notTls:
    'The device does not speak TLS on this port: is it the port for TLS? If it has none, turn TLS off for this device.',
  timeout: 'The device took the connection but did not answer the TLS handshake: is this its port for TLS?',
  rejectsOurs:
    'The device does not accept our certificate: let it trust our authority, from the page Certificates.',
  untrusted: 'The certificate of the device cannot be trusted.',
  ended:
    'The device ended the TLS handshake without saying why: does it trust our certificate, and is this its port for TLS?',
};
