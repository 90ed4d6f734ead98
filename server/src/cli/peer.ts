/**
 * The other program, as one names it on a command line.
 *
 * Source: PS3.5 §6.2 (AE).
 * Layer:  server/cli.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { adviceFor } from '../doors/dimse/reach.ts';
import type { TlsDial } from '../doors/dimse/tls-client.ts';
import { tlsAdvice } from './tls.ts';
import { UsageError } from './usage.ts';

export interface PeerAddress {
  readonly calledAe: string;
  readonly host: string;
  readonly port: number;
}

/** @throws UsageError. An IPv6 address stands in brackets. */
export function parsePeer(option: string, text: string | undefined): PeerAddress {
  if (text === undefined) throw new UsageError(`Say whom to call: ${option} AE@host:port`);
  const [, calledAe, bare, bracketed, port] =
    /^([^@\\]{1,16})@(?:([^\s:[\]]+)|\[([0-9a-fA-F:.%]+)\]):(\d{1,5})$/.exec(text) ?? [];
  const host = bare ?? bracketed;
  if (calledAe === undefined || host === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new UsageError(`"${text}" is not of the form AE@host:port, e.g. ${option} PACS@192.168.1.10:104`);
  return { calledAe: calledAe.trim(), host, port: Number(port) };
}

/** Runs `work`, which speaks to a peer; what goes wrong there is said in words that lead on. @returns the exit code. */
export async function withAdvice(
  { calling, tls }: { readonly calling: string; readonly tls?: TlsDial | undefined },
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const advice = tlsAdvice(error, tls !== undefined);
    if (advice === undefined && !error.code.startsWith('DIMSE_')) throw error;
    console.error(
      `${error.row.meaning} [${error.code}]\n${advice ?? adviceFor(error, calling, tls !== undefined)}`,
    );
    return 1;
  }
}
