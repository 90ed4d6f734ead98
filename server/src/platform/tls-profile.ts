/**
 * The TLS profiles of DICOM as tables: which versions, cipher suites and curves a connection may have.
 *
 * Source: PS3.15 Annex B.12 (BCP 195: RFC 8996 and RFC 9325 §3.1.1, §4.2), Annex B.13 (modified: fewer keys, more ciphers).
 * Layer:  server/platform.
 */
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

export interface TlsProfile {
  /** Of TLS 1.3, by the names of RFC 8446 §B.4; best first. */
  readonly suites13: readonly string[];
  /** Of TLS 1.2, by OpenSSL's names; best first. All of them exchange keys by ECDHE and are AEAD. */
  readonly suites12: readonly string[];
  readonly curves: readonly string[];
}

/**
 * `bcp195` is B.12, `modified` is B.13. Of B.13 the suites with Camellia are missing: the OpenSSL inside Node has none, and
 * no peer may insist on them, since the AES ones are in every list.
 */
export const TLS_PROFILES = {
  bcp195: {
    suites13: ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
    // RFC 9325 §4.2.1: the four recommended ones. Finite-field DHE and RSA key transport are not (§4.1).
    suites12: [
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES128-GCM-SHA256',
    ],
    curves: ['X25519', 'P-256', 'P-384', 'P-521'],
  },
  modified: {
    suites13: [
      ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
      ...['TLS_AES_128_CCM_SHA256', 'TLS_AES_128_CCM_8_SHA256'],
    ],
    suites12: [
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-AES256-CCM',
      'ECDHE-ECDSA-AES256-CCM8',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
      'ECDHE-RSA-CHACHA20-POLY1305',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES128-CCM',
      'ECDHE-ECDSA-AES128-CCM8',
    ],
    // At least 256 bits: X25519 has 255.
    curves: ['P-256', 'P-384', 'P-521'],
  },
} as const satisfies Record<string, TlsProfile>;
export type TlsProfileName = keyof typeof TLS_PROFILES;

/** RSA keys of certificates (B.13; RFC 9325 §4.5); elliptic ones. */
export const LEAST_RSA_BITS = 2048;
export const LEAST_EC_BITS = 256;

/**
 * What a context of either side begins with. No renegotiation (RFC 9325 §3.5) and no tickets: a resumed session would go on
 * with a certificate that is not trusted any more (§3.4).
 */
export function profileOptions(name: TlsProfileName): SecureContextOptions & { honorCipherOrder: boolean } {
  const { suites13, suites12, curves } = TLS_PROFILES[name];
  return {
    minVersion: 'TLSv1.2',
    ciphers: [...suites13, ...suites12].join(':'),
    ecdhCurve: curves.join(':'),
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
    // A certificate that was uploaded is trusted as it is, whether or not it signed itself.
    allowPartialTrustChain: true,
  };
}
