/**
 * A TLS connection to a device: it has to be the one that is meant, and gets our certificate to see who we are.
 *
 * Source: PS3.15 Annex B.12, B.13, RFC 9325 §6.1 (the name is checked).
 * Layer:  server/doors/dimse.
 */
import { isIP } from 'node:net';
import { checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Certificates } from '../../identity/certificates.ts';
import { isBound } from '../../identity/devices.ts';
import type { BoundCertificate, Device } from '../../identity/types.ts';
import { judge, shownBy } from '../../identity/x509.ts';
import { profileOptions, type TlsProfileName } from '../../platform/tls-profile.ts';
import { tlsReason, type TlsReason } from '../../platform/tls-words.ts';

export interface TlsDial {
  readonly profile: TlsProfileName;
  /** PEM. */
  readonly trusted: readonly string[];
  /** Ours; undefined: we show none. */
  readonly own: { readonly certificate: string; readonly privateKey: string } | undefined;
  /** The certificate the device has to show. Its name is not checked then: it says more than a name. */
  readonly bound: BoundCertificate | undefined;
}

/** How to reach a device; undefined: without TLS. */
export function dialOf(
  device: Pick<Device, 'tls' | 'certificate'>,
  callingAe: string,
  certificates: Certificates,
  profile: TlsProfileName,
): TlsDial | undefined {
  if (!device.tls) return undefined;
  const material = certificates.material();
  return {
    ...{ profile, bound: device.certificate, trusted: certificates.trusted() },
    own: material?.byAeTitle.get(callingAe) ?? material?.own,
  };
}

/** @throws Fault DIMSE_UNREACHABLE, DIMSE_TIMEOUT, TLS_FAILED (facts: reason, a TlsReason). */
export function connectTls(
  { host, port, timeoutMs }: { readonly host: string; readonly port: number; readonly timeoutMs: number },
  { profile, trusted, own, bound }: TlsDial,
): Promise<TLSSocket> {
  return new Promise((settle, fail) => {
    const failed = (reason: TlsReason, cause?: unknown): void => {
      socket.destroy();
      fail(new Fault('TLS_FAILED', { reason }, { cause }));
    };
    const socket = connect({
      ...{ host, port, ...profileOptions(profile), ca: [...trusted] },
      // RFC 6066 §3: addresses are no server names.
      ...(isIP(host) ? {} : { servername: host }),
      ...(own ? { cert: own.certificate, key: own.privateKey } : {}),
      // Judged below, where it can be said what was wrong.
      rejectUnauthorized: false,
    });
    let connected = false;
    socket.setNoDelay(true);
    const timer = setTimeout(() => {
      if (connected) failed('timeout');
      else {
        socket.destroy();
        fail(new Fault('DIMSE_TIMEOUT', { step: 'connect' }));
      }
    }, timeoutMs);
    socket.once('connect', () => (connected = true));
    const ended = (error?: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      if (connected) failed(tlsReason(error?.code) ?? 'ended', error);
      else fail(new Fault('DIMSE_UNREACHABLE', { reason: error?.code }, { cause: error }));
    };
    const closed = (): void => ended();
    socket.once('error', ended);
    socket.once('close', closed);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      const reason = objection(socket, host, bound);
      if (reason) return failed(reason);
      socket.off('close', closed);
      socket.off('error', ended);
      // Later errors end the reading; without a listener they would end the process.
      socket.on('error', () => undefined);
      settle(socket);
    });
  });
}

/** Why this is not the device that is meant; undefined: it is. */
function objection(
  socket: TLSSocket,
  host: string,
  bound: BoundCertificate | undefined,
): TlsReason | undefined {
  const shown = shownBy(socket);
  if (!shown) return 'untrusted';
  const isIt = bound && isBound(bound, { tls: true, certificate: shown });
  if (bound && !isIt) return 'otherCertificate';
  // The very certificate was named: who issued it says nothing more. Its time still counts.
  if (bound?.by === 'fingerprint') {
    try {
      judge(shown.certificate);
      return undefined;
    } catch (error) {
      const code = error instanceof Fault ? error.code : '';
      return code === 'CERTIFICATE_EXPIRED'
        ? 'expired'
        : code === 'CERTIFICATE_NOT_YET'
          ? 'notYetValid'
          : 'weak';
    }
  }
  if (!socket.authorized) return tlsReason(String(socket.authorizationError)) ?? 'untrusted';
  return isIt || !checkServerIdentity(host, socket.getPeerCertificate()) ? undefined : 'nameMismatch';
}
