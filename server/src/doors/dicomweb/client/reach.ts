/**
 * Whether a DICOMweb service can be reached, and in plain words why not.
 *
 * Source: PS3.18 §10.6 (a search for one study), RFC 9110 §15 (statuses).
 * Layer:  server/doors/dicomweb.
 */
import { asFault, type Fault } from '@lightbox/core/base/fault.ts';
import type { Device } from '../../../identity/types.ts';
import { ADVICE, type TlsReason } from '../../../platform/tls-words.ts';
import {
  DICOM_JSON,
  exchange,
  jsonOf,
  PATIENCE,
  refusal,
  type WebParts,
  webPeerOf,
  wrongType,
} from './http.ts';

const TRY_MS = 10_000;

/** A search for one study: it needs the address, the secret and a service that understands. */
export async function tryService(
  parts: WebParts,
  device: Device,
): Promise<{ ok: boolean; milliseconds: number; diagnosis: string }> {
  const began = performance.now();
  const done = (ok: boolean, diagnosis: string): Awaited<ReturnType<typeof tryService>> => ({
    ...{ ok, milliseconds: Math.round(performance.now() - began), diagnosis },
  });
  const patience = { ...PATIENCE, answerMs: TRY_MS, idleMs: TRY_MS, wholeMs: TRY_MS };
  try {
    const peer = webPeerOf({ ...parts, patience: parts.patience ?? patience }, device);
    const response = await exchange(peer, {
      ...{
        method: 'GET',
        path: '/studies?limit=1',
        accept: DICOM_JSON,
        signal: new AbortController().signal,
      },
    });
    if (response.statusCode === 204) response.destroy();
    else if (response.statusCode !== 200) throw refusal(response);
    else {
      const type = response.headers['content-type'] ?? '';
      if (!Array.isArray((await jsonOf(peer, response)) ?? [])) throw wrongType(type);
    }
    return done(true, 'The DICOMweb service answered.');
  } catch (error) {
    return done(false, webAdvice(asFault(error)));
  }
}

/** What to look at when a DICOMweb service could not be reached or did not agree. */
export function webAdvice({ code, facts, row }: Fault): string {
  switch (code) {
    case 'TLS_FAILED':
      return ADVICE[facts['reason'] as TlsReason];
    case 'WEB_UNREACHABLE':
      return unreachable(facts['reason']);
    case 'WEB_TIMEOUT':
      return facts['step'] === 'body'
        ? 'The server began to answer and then fell silent: try again later.'
        : 'No answer in time: a firewall may drop the connection, or the server is overloaded.';
    case 'WEB_STATUS':
      return refused(Number(facts['status']));
    case 'WEB_ANSWER':
      return ANSWERS[String(facts['what'])] ?? row.meaning;
    case 'MULTIPART_BROKEN':
      return 'The answer broke off in the middle: the connection was lost, or something between cuts it.';
    default:
      return row.meaning;
  }
}

const ANSWERS: Readonly<Record<string, string>> = {
  html: 'A web page answers at this address, not a DICOMweb service: enter the address of its DICOMweb root, which often ends in /dicom-web.',
  type: 'The answer is of another type than DICOMweb has here: is this the DICOMweb root?',
  json: 'The answer is no DICOM JSON: is this the DICOMweb root?',
  notHttp: 'What answers there is no web server: is this its port for HTTP?',
  length: 'The answer is longer than any of this kind should be, and was cut off.',
  file: 'What came is no DICOM file.',
  unnamed:
    'The server took the objects but did not say of all of them that they are stored: they are sent again.',
};

function unreachable(reason: unknown): string {
  if (reason === 'ECONNREFUSED')
    return 'The connection was refused: is the server running, and is this its port?';
  if (reason === 'ENOTFOUND' || reason === 'EAI_AGAIN')
    return 'The host name is not known: check its spelling, or use its IP address.';
  if (reason === 'ECONNRESET' || reason === 'EPIPE' || reason === 'ended')
    return 'The server ended the connection: does it want TLS (https), or did it refuse so large a body?';
  return 'The server cannot be reached: check the address, the network and the firewall.';
}

function refused(status: number): string {
  if (status === 401)
    return 'The server wants to know who we are: enter the user and password, or the token.';
  if (status === 403)
    return 'The server knows us, but does not allow this: ask its administrator for the right to.';
  if (status === 404)
    return 'Nothing is at this address: check the path of the DICOMweb root, which often ends in /dicom-web.';
  if (status >= 300 && status < 400)
    return 'The server sends us on to another address. That is not followed: enter the final address here.';
  if (status === 413) return 'The server does not take so large a body: raise its limit.';
  if (status === 415 || status === 406) return 'The server does not take or give objects in this form.';
  if (status === 429 || status === 503) return 'The server is busy: it is tried again later.';
  if (status === 405 || status === 501) return 'The server does not offer this service.';
  if (status >= 500) return `The server has a problem of its own (HTTP ${status}): its log says which.`;
  return `The server refused with HTTP ${status}.`;
}
