/**
 * Fetches a study or series by WADO-RS: series by series, each object straight into ingest while it arrives.
 *
 * Source: PS3.18 §10.4 (Retrieve transaction; 206 when a part is not available), §8.7.3.5.2 (transfer-syntax=*), §8.6.1 (multipart).
 * Layer:  server/doors/dicomweb.
 */
import type { IncomingMessage } from 'node:http';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { FetchCounts } from '../../../archive/transfers/types.ts';
import type { Archive, ObjectScope } from '../../../archive/types.ts';
import type { Audit, Device, Principal } from '../../../identity/types.ts';
import type { Log } from '../../../platform/log.ts';
import { readMultipart } from '../multipart-in.ts';
import { bodyOf, exchange, refusal, type WebPeer, wrongType } from './http.ts';
import { seriesAt } from './search.ts';

export interface FetchParts {
  readonly archive: Archive;
  readonly audit: Audit;
  readonly log: Log;
}

/** As kept there, whatever that is; one range alone, because servers are known to read the rest of the header as its parameter. */
const AS_KEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*';
/** For servers that do not know `*`. */
const AS_GIVEN = 'multipart/related; type="application/dicom"';
const NO_STAR: ReadonlySet<number> = new Set([400, 406, 415]);
/** Preamble and prefix (PS3.10 §7.1). */
const HEAD_BYTES = 132;
/** How often the room on the disk is looked at: a body may have no end. */
const LOOK_BYTES = 64 * 1024 ** 2;
/** A server without a search for series: then the study comes as one body. */
const NO_SEARCH: ReadonlySet<number> = new Set([400, 404, 405, 406, 501]);

/** What is fetched by one request; `expected`: objects, as far as the server says. */
interface Step {
  readonly path: string;
  readonly expected: number | undefined;
}

/** As `Carrier.fetch`. */
export async function fetchFrom(
  parts: FetchParts,
  peer: WebPeer,
  device: Device,
  scope: ObjectScope,
  report: (counts: FetchCounts) => void,
  signal: AbortSignal,
): Promise<FetchCounts> {
  const steps = await stepsOf(peer, scope, signal);
  const announced = steps.reduce((sum, { expected = 0 }) => sum + expected, 0);
  let arrived = 0;
  let failed = 0;
  let trouble: Fault | undefined;
  const counts = (): FetchCounts => ({ total: Math.max(announced, arrived + failed), arrived, failed });
  report(counts());
  for (const { path, expected } of steps) {
    if (signal.aborted) return counts();
    const before = arrived + failed;
    const response = await asked(peer, path, signal);
    for await (const body of objectsIn(response)) {
      const fault = await takeIn(parts, device, peer, scope.studyUid, body);
      if (fault) {
        trouble = fault;
        failed += 1;
      } else arrived += 1;
      report(counts());
    }
    const came = arrived + failed - before;
    if (signal.aborted) return counts();
    if (response.statusCode === 206 || came < (expected ?? 1))
      trouble ??= new Fault('TRANSFER_MISSING', { counted: expected, here: came });
  }
  if (trouble) throw trouble;
  return counts();
}

async function asked(peer: WebPeer, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  const first = await exchange(peer, { method: 'GET', path, accept: AS_KEPT, signal });
  if (!NO_STAR.has(first.statusCode ?? 0)) return first;
  first.destroy();
  return exchange(peer, { method: 'GET', path, accept: AS_GIVEN, signal });
}

async function stepsOf(
  peer: WebPeer,
  { studyUid, seriesUid, sopUid }: ObjectScope,
  signal: AbortSignal,
): Promise<Step[]> {
  const study = `/studies/${studyUid}`;
  if (seriesUid !== undefined) {
    const path = `${study}/series/${seriesUid}${sopUid === undefined ? '' : `/instances/${sopUid}`}`;
    return [{ path, expected: undefined }];
  }
  try {
    const found = await seriesAt(peer, studyUid, signal);
    if (found.length > 0)
      return found.map((one) => ({
        path: `${study}/series/${one.seriesUid}`,
        expected: one.instanceCount ?? undefined,
      }));
  } catch (error) {
    const { code, facts } = asFault(error);
    if (code !== 'WEB_STATUS' || !NO_SEARCH.has(Number(facts['status']))) throw error;
  }
  return [{ path: study, expected: undefined }];
}

/** The bodies of an answer's objects, one after the other. @throws Fault WEB_STATUS, WEB_ANSWER, MULTIPART_BROKEN. */
async function* objectsIn(response: IncomingMessage): AsyncGenerator<AsyncIterable<Uint8Array>> {
  const { statusCode } = response;
  if (statusCode !== 200 && statusCode !== 206) throw refusal(response);
  const type = response.headers['content-type'] ?? '';
  if (/^application\/dicom\s*(;|$)/i.test(type)) {
    yield bodyOf(response);
    return;
  }
  if (!/^multipart\/related\s*;/i.test(type)) {
    response.destroy();
    throw wrongType(type);
  }
  const found = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(type);
  const boundary = found?.[1] ?? found?.[2];
  if (!boundary) throw new Fault('WEB_ANSWER', { what: 'type' });
  for await (const part of readMultipart(bodyOf(response), boundary)) {
    if (part.type !== '' && !/^application\/dicom\s*(;|$)/i.test(part.type)) throw wrongType(part.type);
    yield part.body;
  }
}

/** One object through ingest. @returns why it was not kept. @throws Fault when the body broke off, or is no DICOM file. */
async function takeIn(
  { archive, audit, log }: FetchParts,
  device: Device,
  peer: WebPeer,
  studyUid: string,
  body: AsyncIterable<Uint8Array>,
): Promise<Fault | undefined> {
  const by = device.aeTitle;
  const remoteAddress = new URL(peer.url).hostname;
  const principal: Principal = { kind: 'device', id: by, name: by, roles: [], rights: [], remoteAddress };
  const writer = await archive.ingest.begin(
    { kind: 'wado', by, remoteAddress },
    { form: 'part10', studyUid },
  );
  try {
    let bytes = 0;
    let looked = 0;
    for await (const chunk of withHead(body)) {
      bytes += chunk.length;
      const pressed = writer.write(chunk);
      if (pressed) await pressed;
      if (bytes - looked < LOOK_BYTES) continue;
      looked = bytes;
      if ((await archive.room()).full) throw new Fault('ARCHIVE_FULL');
    }
  } catch (error) {
    await writer.abort();
    throw error;
  }
  const { status, studyUid: kept, fault } = await writer.finish();
  audit.record({
    ...{ event: 'store', outcome: fault ? 'failed' : 'success', principal },
    studyUids: kept === undefined ? [] : [kept],
    detail: { door: 'dicomweb', status, what: 'WADO-RS', ...(fault ? { code: fault.code } : {}) },
  });
  if (fault) log.warn({ code: fault.code, from: by }, 'a fetched object was not kept');
  return fault;
}

/** The same bytes, once it is sure that a DICOM file begins there: what an error page says is not kept for a person to look at. */
async function* withHead(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of body) {
    if (!head) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < HEAD_BYTES) continue;
    if (head.toString('latin1', 128, HEAD_BYTES) !== 'DICM') throw new Fault('WEB_ANSWER', { what: 'file' });
    yield head;
    head = undefined;
  }
  if (head) throw new Fault('WEB_ANSWER', { what: 'file' });
}
