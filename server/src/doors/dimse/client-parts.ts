/**
 * What a client of DIMSE takes and gives, and the connection under it.
 *
 * Source: PS3.8 §9.1.1 (TCP), §9.3.3.2 (contexts accepted), PS3.7 Annex C (statuses).
 * Layer:  server/doors/dimse.
 */
import { connect, type Socket } from 'node:net';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import type { Command } from '@lightbox/core/dimse/command.ts';
import type { AssociateAccept } from '@lightbox/core/dimse/pdu.ts';
import type { SubOperations } from '@lightbox/core/dimse/retrieve.ts';
import { statusMeaning, statusText } from '@lightbox/core/dimse/status.ts';
import type { TlsDial } from './tls-client.ts';

export interface ClientOptions {
  readonly host: string;
  readonly port: number;
  readonly calledAe: string;
  readonly callingAe: string;
  /** Kinds of objects wanted, each with the transfer syntaxes offered. At most 128. */
  readonly contexts: readonly {
    readonly sopClassUid: string;
    readonly transferSyntaxUids: readonly string[];
  }[];
  /** For connecting and for each answer. Default 30 s. */
  readonly timeoutMs?: number | undefined;
  /** By TLS, with this; undefined: without. */
  readonly tls?: TlsDial | undefined;
  /** Ask for relational queries (PS3.4 §C.5.1.1) of these SOP classes. */
  readonly relational?: readonly string[] | undefined;
  /** SOP classes whose objects are taken on this association, for C-GET (role selection, PS3.7 §D.3.3.4). */
  readonly takes?: readonly string[] | undefined;
  /** SOP classes of which we want to be SCP, and only that: to tell results, for example. */
  readonly provides?: readonly string[] | undefined;
}

export interface AcceptedContext {
  readonly id: number;
  readonly abstractSyntax: string;
  readonly transferSyntax: string;
}

export interface StoreOptions {
  readonly transferSyntax?: string | undefined;
  /** Whose C-MOVE it belongs to (PS3.7 §9.1.1.1.6, .7). */
  readonly originator?: { readonly ae: string; readonly messageId: number } | undefined;
}

export interface Message {
  readonly contextId: number;
  readonly command: Command;
  /** Undefined when there is none, or when it was taken while it came. */
  readonly dataSet: Buffer | undefined;
}

export interface RetrieveOptions {
  /** The counters as the peer tells them. */
  readonly progress?: ((counts: Partial<SubOperations>) => void) | undefined;
  /** Sends C-CANCEL when aborted; what the peer still sends is taken. */
  readonly signal?: AbortSignal | undefined;
}

/** How a retrieval ended, in the peer's words. */
export interface RetrieveAnswer {
  readonly status: number;
  readonly comment: string | undefined;
  readonly counts: Partial<SubOperations>;
  readonly failedUids: readonly string[];
}

/** Something the peer asks or tells us; `answer` it. */
export interface PeerRequest {
  readonly command: Command;
  readonly dataSet: DataSet | undefined;
}

export const statusFault = (status: number, comment: string | undefined): Fault =>
  new Fault('DIMSE_STATUS', {
    ...{ status: statusText(status) },
    ...{ meaning: statusMeaning(status), comment },
  });

export function acceptedOf(
  answer: AssociateAccept,
  asked: readonly { id: number; abstractSyntax: string }[],
): AcceptedContext[] {
  return answer.contexts.flatMap(({ id, result, transferSyntax }) => {
    const context = asked.find((one) => one.id === id);
    return result === 0 && context ? [{ id, abstractSyntax: context.abstractSyntax, transferSyntax }] : [];
  });
}

export function connected({ host, port }: ClientOptions, timeoutMs: number): Promise<Socket> {
  return new Promise((settle, fail) => {
    const socket = connect({ host, port, noDelay: true, timeout: timeoutMs });
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.removeAllListeners('error');
      // Later errors end the reading; without a listener they would end the process.
      socket.on('error', () => undefined);
      settle(socket);
    });
    socket.once('timeout', () => {
      socket.destroy();
      fail(new Fault('DIMSE_TIMEOUT', { step: 'connect' }));
    });
    socket.once('error', (error: NodeJS.ErrnoException) =>
      fail(new Fault('DIMSE_UNREACHABLE', { reason: error.code }, { cause: error })),
    );
  });
}
