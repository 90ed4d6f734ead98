/**
 * Whether another program can be reached, and in plain words why not.
 *
 * Source: PS3.8 Table 9-21 (reasons of a rejection), PS3.7 §9.1.5 (C-ECHO).
 * Layer:  server/doors/dimse.
 */
import { asFault, type Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { VERIFICATION } from '@lightbox/core/dimse/negotiate.ts';
import { STATUS, statusMeaning } from '@lightbox/core/dimse/status.ts';
import { DimseClient } from './client.ts';
import type { TlsDial } from './tls-client.ts';
import { ADVICE, tlsReason, type TlsReason } from '../../platform/tls-words.ts';

const ECHO_TIMEOUT_MS = 10_000;

/** C-ECHO, and what went wrong in words that lead on. */
export async function echoDevice(
  device: { readonly aeTitle: string; readonly host: string | undefined; readonly port: number | undefined },
  callingAe: string,
  tls?: TlsDial,
): Promise<{ ok: boolean; milliseconds: number; diagnosis: string }> {
  const began = performance.now();
  const done = (
    ok: boolean,
    diagnosis: string,
  ): { ok: boolean; milliseconds: number; diagnosis: string } => ({
    ...{ ok, milliseconds: Math.round(performance.now() - began), diagnosis },
  });
  const { host, port, aeTitle } = device;
  if (host === undefined || port === undefined)
    return done(false, 'No host and port are known for this device. Enter them to test it.');
  try {
    const client = await DimseClient.open({
      ...{ host, port, calledAe: aeTitle, callingAe, timeoutMs: ECHO_TIMEOUT_MS, tls },
      contexts: [{ sopClassUid: VERIFICATION, transferSyntaxUids: [IMPLICIT_LE, EXPLICIT_LE] }],
    });
    const status = await client.echo();
    await client.close();
    return status === STATUS.success
      ? done(true, 'The device answered.')
      : done(false, `The device answered with a failure: ${statusMeaning(status)}.`);
  } catch (error) {
    return done(false, adviceFor(asFault(error), callingAe, tls !== undefined));
  }
}

/** What to look at when a peer could not be reached or did not agree. */
export function adviceFor(fault: Fault, callingAe: string, overTls = false): string {
  const { code, facts } = fault;
  if (code === 'TLS_FAILED') return ADVICE[facts['reason'] as TlsReason];
  // With TLS 1.3 the other side judges our certificate after we are done with the handshake.
  const late = overTls ? tlsReason((fault.cause as NodeJS.ErrnoException | undefined)?.code) : undefined;
  if (late) return ADVICE[late];
  if (code === 'DIMSE_UNREACHABLE') {
    if (facts['reason'] === 'ECONNREFUSED')
      return 'The connection was refused: is the program running, and is this its port?';
    if (facts['reason'] === 'ENOTFOUND' || facts['reason'] === 'EAI_AGAIN')
      return 'The host name is not known: check its spelling, or use its IP address.';
    return 'The host cannot be reached: check the address, the network and the firewall.';
  }
  if (code === 'DIMSE_TIMEOUT')
    return 'No answer in time: a firewall may drop the connection, or the port belongs to another program.';
  if (code === 'DIMSE_REJECTED') {
    if (facts['source'] === 1 && facts['reason'] === 3)
      return `The device does not know our AE title ${callingAe}: enter it there.`;
    if (facts['source'] === 1 && facts['reason'] === 7)
      return 'The device has another AE title than the one entered here.';
    if (facts['source'] === 1 && facts['reason'] === 1)
      return 'The device refuses us without a reason: it may want a user name, or a certificate it knows.';
    if (facts['result'] === 2) return 'The device is busy: try again later.';
    return 'The device does not accept our association.';
  }
  if (code === 'DIMSE_NO_CONTEXT') return 'The device is there, but does not support this service.';
  if (code === 'DIMSE_STATUS') {
    const { status, meaning, comment } = facts;
    return `The device answered ${String(status)}, ${String(meaning)}${comment === undefined ? '' : `: ${String(comment)}`}.`;
  }
  if (overTls) return ADVICE.ended;
  return 'The device ended the connection: it may not be a DICOM program, or it wants TLS: try with TLS turned on for this device.';
}
