/**
 * One HTTP request to the DICOMweb service of another system, streamed in both directions.
 *
 * Only what an administrator entered is called: redirects are not followed, so that neither images nor the secret go to an address
 * nobody chose, and a proxy of the environment is not used.
 *
 * Source: RFC 9110, RFC 7617 (Basic), RFC 6750 §2.1 (Bearer), PS3.18 §8.
 * Layer:  server/doors/dicomweb.
 */
import { request as plainRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { getCACertificates } from 'node:tls';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Certificates } from '../../../identity/certificates.ts';
import type { Device, Devices } from '../../../identity/types.ts';
import { chunksOf } from '../../../platform/chunks.ts';
import { tlsReason } from '../../../platform/tls-words.ts';

export interface Patience {
  readonly connectMs: number;
  /** Until the answer begins: archives bring studies back from slow stores before they answer. */
  readonly answerMs: number;
  /** Without a byte in the middle of a body. */
  readonly idleMs: number;
  /** For an answer that is read as a whole. */
  readonly wholeMs: number;
}
export const PATIENCE: Patience = {
  ...{ connectMs: 10_000, answerMs: 5 * 60_000, idleMs: 60_000, wholeMs: 2 * 60_000 },
};
/** A page of a search, or what became of a batch of objects: some hundreds of entries. */
const MAX_JSON_BYTES = 32 * 1024 * 1024;
const JSON_TYPES = /^application\/(dicom\+)?json\b/i;
export const DICOM_JSON = 'application/dicom+json';

/** Where a service is and how it is called. */
export interface WebPeer {
  readonly url: string;
  readonly authorization: string | undefined;
  /** PEM, beyond those every program here trusts. */
  readonly trusted: readonly string[];
  /** Shown to a server that asks for one. */
  readonly own: { readonly certificate: string; readonly privateKey: string } | undefined;
  readonly patience: Patience;
}

export interface WebRequest {
  readonly method: 'GET' | 'POST';
  /** Behind the URL of the service, with its query. */
  readonly path: string;
  readonly accept: string;
  readonly body?:
    | {
        readonly type: string;
        readonly bytes: number;
        /** Each valid until the next is asked for. */
        readonly pieces: AsyncIterable<Uint8Array>;
      }
    | undefined;
  readonly signal: AbortSignal;
}

export interface WebParts {
  readonly devices: Pick<Devices, 'webSecret'>;
  readonly certificates: Pick<Certificates, 'material' | 'trusted'>;
  readonly patience?: Patience | undefined;
}

/** @throws Fault TRANSFER_DEVICE when it has no DICOMweb service. */
export function webPeerOf({ devices, certificates, patience = PATIENCE }: WebParts, device: Device): WebPeer {
  const { dicomweb } = device;
  if (!dicomweb) throw new Fault('TRANSFER_DEVICE');
  const secret = devices.webSecret(device.id);
  const { url, auth, user } = dicomweb;
  const authorization = {
    none: () => undefined,
    basic: () => `Basic ${Buffer.from(`${user}:${secret}`, 'utf8').toString('base64')}`,
    bearer: () => `Bearer ${secret}`,
  }[auth]();
  return {
    ...{ url, authorization, patience },
    ...{ trusted: certificates.trusted(), own: certificates.material()?.own },
  };
}

/**
 * The head of the answer, whatever its status. Its body has to be read or destroyed.
 *
 * @throws Fault WEB_UNREACHABLE, WEB_TIMEOUT, WEB_ANSWER (no HTTP), TLS_FAILED; and what the body throws.
 */
export async function exchange(peer: WebPeer, wanted: WebRequest): Promise<IncomingMessage> {
  const { patience } = peer;
  const url = new URL(peer.url + wanted.path);
  const { body, signal } = wanted;
  const request: ClientRequest = (url.protocol === 'https:' ? tlsRequest : plainRequest)(url, {
    ...{ method: wanted.method, agent: false, signal },
    headers: {
      accept: wanted.accept,
      ...(peer.authorization === undefined ? {} : { authorization: peer.authorization }),
      ...(body ? { 'content-type': body.type, 'content-length': body.bytes } : {}),
    },
    ...(url.protocol === 'https:'
      ? {
          ca: [...getCACertificates('default'), ...peer.trusted],
          // A single certificate that was entered as trusted is, though its authority is not.
          allowPartialTrustChain: true,
          ...(peer.own ? { cert: peer.own.certificate, key: peer.own.privateKey } : {}),
        }
      : {}),
  });
  const timedOut = (step: string): void => void request.destroy(new Fault('WEB_TIMEOUT', { step }));
  const connecting = setTimeout(() => timedOut('connect'), patience.connectMs);
  request.once('socket', (socket) => {
    socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(connecting));
    socket.setNoDelay(true);
  });
  const unanswered = (): void => timedOut('answer');
  request.setTimeout(patience.answerMs, unanswered);
  let answered = false;
  const answer = new Promise<IncomingMessage>((settle, fail) => {
    request.once('response', (response) => {
      answered = true;
      request.off('timeout', unanswered);
      response.setTimeout(patience.idleMs, () => {
        response.destroy(new Fault('WEB_TIMEOUT', { step: 'body' }));
      });
      settle(response);
    });
    request.on('error', fail);
  });
  // Looked at below; it may fail before.
  answer.catch(() => undefined);
  try {
    if (body)
      for await (const piece of body.pieces) {
        // A server that has said no need not hear the rest; of a connection that broke `answer` says how.
        if (answered || !(await written(request, piece))) break;
      }
    if (!answered) request.end();
  } catch (error) {
    // Our own bytes cannot be had: what was begun must not look whole.
    request.destroy();
    clearTimeout(connecting);
    throw error;
  }
  try {
    const response = await answer;
    response.once('close', () => request.destroy());
    return response;
  } catch (error) {
    throw toWebFault(error);
  } finally {
    clearTimeout(connecting);
  }
}

/** Resolves when the bytes have left our memory: true; or cannot any more: false. */
function written(request: ClientRequest, bytes: Uint8Array): Promise<boolean> {
  return new Promise((settle) => {
    const done = (well: boolean): void => {
      request.off('close', closed).off('response', heard);
      settle(well);
    };
    const closed = (): void => done(false);
    const heard = (): void => done(true);
    request.once('close', closed).once('response', heard);
    request.write(bytes, (error) => done(!error));
  });
}

/** The body of an answer, chunk by chunk; each is valid until the next is asked for. */
export async function* bodyOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* chunksOf(response);
  } catch (error) {
    throw toWebFault(error);
  } finally {
    response.destroy();
  }
}

/** A JSON answer as a whole; undefined when there is none. @throws Fault WEB_ANSWER (facts: what), WEB_TIMEOUT. */
export async function jsonOf(peer: WebPeer, response: IncomingMessage): Promise<unknown> {
  const type = response.headers['content-type'] ?? '';
  const timer = setTimeout(
    () => response.destroy(new Fault('WEB_TIMEOUT', { step: 'body' })),
    peer.patience.wholeMs,
  );
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of bodyOf(response)) {
      bytes += chunk.length;
      if (bytes > MAX_JSON_BYTES) throw new Fault('WEB_ANSWER', { what: 'length', limit: MAX_JSON_BYTES });
      chunks.push(Buffer.from(chunk));
    }
  } finally {
    clearTimeout(timer);
  }
  if (bytes === 0) return undefined;
  if (!JSON_TYPES.test(type)) throw wrongType(type);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    throw new Fault('WEB_ANSWER', { what: 'json' });
  }
}

/** An answer of another type than DICOMweb has here: most often the page of a web application. */
export const wrongType = (type: string): Fault =>
  new Fault('WEB_ANSWER', { what: /^text\/html\b/i.test(type) ? 'html' : 'type' });

/** Lets go of an answer that says no. @returns why, with what the server wishes (RFC 9110 §10.2.3). */
export function refusal(response: IncomingMessage): Fault {
  const { statusCode: status = 0, headers } = response;
  response.destroy();
  const wished = headers['retry-after'] ?? '';
  const date = Date.parse(wished);
  const seconds = /^\d{1,6}$/.test(wished)
    ? Number(wished)
    : Number.isNaN(date)
      ? undefined
      : Math.max(0, Math.round((date - Date.now()) / 1000));
  return new Fault('WEB_STATUS', { status, retryAfter: seconds });
}

/** What went wrong with a connection, without what it carried. */
export function toWebFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  // OpenSSL's own words, where Node has no code for them.
  const words = /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1];
  const tls = tlsReason(code) ?? tlsReason(words?.toUpperCase().replaceAll(' ', '_'));
  if (tls) return new Fault('TLS_FAILED', { reason: tls }, { cause: error });
  if (code?.startsWith('HPE_') === true)
    return new Fault('WEB_ANSWER', { what: 'notHttp' }, { cause: error });
  return new Fault('WEB_UNREACHABLE', { reason: code ?? 'ended' }, { cause: error });
}
