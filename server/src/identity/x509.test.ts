/** Certificates as files (RFC 5280): what is made holds, what people bring is judged in words. */
import { generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { asFault } from '@lightbox/core/base/fault.ts';
import { factsOf, issue, judge, makeAuthority, type Pair, readChain, readPair } from './x509.ts';

const NOW = new Date('2026-11-24T12:00:00Z');
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return '';
  } catch (error) {
    return asFault(error).code;
  }
};

/** Made by OpenSSL: RSA of 1024 bits; RSA of 2048 bits signed with SHA-1. */
const RSA_1024 = `-----BEGIN CERTIFICATE-----
MIIB/DCCAWWgAwIBAgIUOAhplnTtnnp5CIhqEHCbsKc4mQowDQYJKoZIhvcNAQEL
BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjQyMzU3MTVaGA8yMTI2MTAzMTIz
NTcxNVowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
gYEA9b0y1AVnfC4kiiG7vddiLd07xvqg/xXqmbvTIGgvP64pHKKXXCoicvWN8xZ+
v+IWQ3ZhwFcIy39GR1ceiAylsygg85m17VvafqbHewTOJaE6aXj19xnJ92oqGV6V
/XvAsq2qgGk9F6pjAs/J8opyhPXHaR03XxpPILHH7lpX2+0CAwEAAaNTMFEwHQYD
VR0OBBYEFBPoQUt9+rp4IksPBxx0v8l4e3iGMB8GA1UdIwQYMBaAFBPoQUt9+rp4
IksPBxx0v8l4e3iGMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEA
rKrRbaR3sh57Fl+1BOOt7Ht0twr+g/EKDVRcjyOCZkJkEKSi7qE1RMdtbhukgW7t
5lzuANNYWm6w0mK38ZJDYP5yQZ2TABdxTEiCfM7oMGX1ncCNlxulHKtEblX2VHx3
mP0d+qUV5xJDFaLK7qUv4uw/CbQjHp8PScOvLo0uvtE=
-----END CERTIFICATE-----
`;
const SHA_1 = `-----BEGIN CERTIFICATE-----
MIIDATCCAemgAwIBAgIURDncjePWUcV1JUvurqfq2+UOi/AwDQYJKoZIhvcNAQEF
BQAwDzENMAsGA1UEAwwEc2hhMTAgFw0yNjExMjQyMzU3MTVaGA8yMTI2MTAzMTIz
NTcxNVowDzENMAsGA1UEAwwEc2hhMTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC
AQoCggEBALpF+va0U+3LkSV5MWN7oyENXrMdXgv/yeSMDmMjPsLO6HACFZ+TeRKh
65fBIGTTIaueerByLZ1ok/Y7fyP/+mHV3Vn0trI4/WHYDi0ECuA9Huo2nPEknFMU
QWE6Do6QrReP13WDWTTuorTH/L685JTbydWwnN3qY0HbGUf12/q9CZDOTTAD2oLr
LXsFk96EtFMfNigXgocNkhFRyM4zlvCz3hqvwrXlyJ3/ucZfzwY486Em2YI+gmMv
I9qrpQxZBJhU/VbB/QlWDyX1D5GA4O5VUh44YjHRiubH7M0a/GCkzX6HjB30Hwmp
h9djQLQkUX3aAmIANkBfAVgA6nY8VMECAwEAAaNTMFEwHQYDVR0OBBYEFHseUq3M
rvOP1LgXLV67FDVb5bZtMB8GA1UdIwQYMBaAFHseUq3MrvOP1LgXLV67FDVb5bZt
MA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQEFBQADggEBAIdwvNc/eOeoZ8eA
TGXYIxCsIp1K2ifwmPNMnr9coMJz6KQ/1s7LJyuhtQC7HiBQPUPb7IBVtqEZFRQ4
Z9zN1L6pLC7Q9q5DnF9/CRrL2FCPSqvhhdmdOGtcIvwt5OLyWqlpYlFm7hj4K1tZ
k3GzFWGhm7lXg5kszdTXQtTzFzBiBaqAOrdxuQzPLwYgjuW9kM2w1HqktxtJE4ML
XhWZHuNruu2F5XcGYuMYHYxTaw4ECcq8oOAF84YRcS8So3UN8yNMBVY3DxG52Wom
2MsbUeJnmP1B2qEEIXo+h7Iv2XVdAtiAGLwSqR8fLwi1Y/G1ENeaX2xlr+GhQLTX
VG3fO+c=
-----END CERTIFICATE-----
`;

describe('certificates', () => {
  let authority: Pair;
  let leaf: Pair;
  beforeAll(async () => {
    authority = await makeAuthority('House', NOW);
    leaf = await issue(
      authority,
      { commonName: 'CT, left', names: ['ct.example.org', '192.0.2.1', '2001:db8::1'] },
      NOW,
    );
  });
  const one = (pair: Pair): X509Certificate => readChain(pair.certificate)[0];

  it('an authority signs certificates, and no further authorities', () => {
    const made = one(authority);
    expect(made.ca).toBe(true);
    expect(made.verify(made.publicKey)).toBe(true);
    expect(made.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: 'prime256v1' });
  });

  it('a certificate is of its authority, for both directions, under its names; a comma separates nothing', () => {
    const made = one(leaf);
    expect(made.checkIssued(one(authority)) && made.verify(one(authority).publicKey)).toBe(true);
    expect(made.ca).toBe(false);
    expect(made.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(made.checkHost('ct.example.org')).toBe('ct.example.org');
    expect(made.checkIP('192.0.2.1')).toBe('192.0.2.1');
    expect(made.checkIP('2001:db8::1')).toBe('2001:db8::1');
    expect(made.subject.split('\n')).toHaveLength(2);
    expect(factsOf(made).fingerprint).toBe(made.fingerprint256.replaceAll(':', '').toLowerCase());
  });

  it('outlives no authority', async () => {
    const late = new Date(NOW.getTime() + 3500 * 86_400_000);
    const made = one(await issue(authority, { commonName: 'late', names: [] }, late));
    expect(made.validToDate).toEqual(one(authority).validToDate);
    const over = new Date(NOW.getTime() + 3700 * 86_400_000);
    await expect(issue(authority, { commonName: 'too late', names: [] }, over)).rejects.toThrow(
      'CERTIFICATE_EXPIRED',
    );
  });

  it('takes a certificate with its chain and key, as others write them', () => {
    const given = {
      certificate: `subject=x\r\n${leaf.certificate}\n\n${authority.certificate}`,
      privateKey: leaf.privateKey,
    };
    const taken = readPair(given, NOW);
    expect(readChain(taken.certificate).map((found) => found.fingerprint256)).toEqual(
      [leaf, authority].map((pair) => one(pair).fingerprint256),
    );
    expect(taken.privateKey).toContain('BEGIN PRIVATE KEY');
  });

  it.each<[string, string, () => Partial<Pair>, Date?]>([
    ['the key of another', 'CERTIFICATE_KEY', () => ({ privateKey: authority.privateKey })],
    ['no key', 'CERTIFICATE_KEY', () => ({ privateKey: 'x' })],
    ['a key with a password', 'CERTIFICATE_KEY', () => ({ privateKey: encrypted() })],
    ['a key of a megabyte', 'CERTIFICATE_KEY', () => ({ privateKey: 'x'.repeat(1 << 20) })],
    ['no certificate', 'CERTIFICATE_UNREADABLE', () => ({ certificate: leaf.privateKey })],
    [
      'a broken certificate',
      'CERTIFICATE_UNREADABLE',
      () => ({ certificate: leaf.certificate.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA') }),
    ],
    ['a chain without end', 'CERTIFICATE_UNREADABLE', () => ({ certificate: leaf.certificate.repeat(11) })],
    ['a chain that is none', 'CERTIFICATE_CHAIN', () => ({ certificate: leaf.certificate.repeat(2) })],
    ['an expired one', 'CERTIFICATE_EXPIRED', () => ({}), new Date(NOW.getTime() + 800 * 86_400_000)],
    ['one of tomorrow', 'CERTIFICATE_NOT_YET', () => ({}), new Date(NOW.getTime() - 86_400_000)],
  ])('refuses %s', (_, code, change, at = NOW) => {
    expect(codeOf(() => readPair({ ...leaf, ...change() }, at))).toBe(code);
  });

  it('refuses a chain of another authority of the same name', async () => {
    const other = await makeAuthority('House', NOW);
    const chain = { ...leaf, certificate: leaf.certificate + other.certificate };
    expect(codeOf(() => readPair(chain, NOW))).toBe('CERTIFICATE_CHAIN');
  });

  it.each([
    ['RSA of 1024 bits', RSA_1024],
    ['SHA-1', SHA_1],
  ])('calls %s weak', (_, pem) => {
    const [found] = readChain(pem);
    expect(codeOf(() => judge(found, found.validFromDate))).toBe('CERTIFICATE_WEAK');
  });
});

function encrypted(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  }) as string;
}
