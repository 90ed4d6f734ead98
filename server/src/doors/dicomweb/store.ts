/**
 * STOW-RS: objects sent over HTTP, each streamed to the archive while it arrives, each with a result of its own.
 *
 * Source: PS3.18 §10.5 (Store transaction), §10.5.3 (response), Annex I (Store Instances Response Module), PS3.4 §B.2.3.
 * Layer:  server/doors/dicomweb.
 */
import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { emptyDataSet } from '@lightbox/core/dicom/element.ts';
import { type DicomJson, elementJson } from '@lightbox/core/dicom/json.ts';
import { toXml } from '@lightbox/core/dicom/xml.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import { toFault } from '../../platform/http.ts';
import type { Archive, IngestOutcome, IngestSource, IngestWriter } from '../../archive/types.ts';
import { chunksOf } from '../../platform/chunks.ts';
import { acceptOf, instancePath, principalOf, rootUrl } from './answer.ts';
import { type DoorContext, scopeOf } from './context.ts';
import { covers, parseMediaType } from './media.ts';
import { type BodyPart, readMultipart } from './multipart-in.ts';
import { isMetadata } from './one-data-set.ts';
import { objectsFromMetadata } from './store-metadata.ts';

/** Objects whose durability one connection waits for while the next arrive: fdatasync takes a few ms each. */
const MAX_FINISHING = 8;

/** What became of one part: an outcome, or the fault that ended it. */
export interface Stored {
  outcome?: IngestOutcome | undefined;
  fault?: Fault | undefined;
}

/** POST /studies and /studies/{study}. */
export async function store(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const principal = principalOf(request);
  const { studyUid } = scopeOf(request);
  const expected = studyUid === '' ? undefined : studyUid;
  const { id: by, name, remoteAddress } = principal;
  const source: IngestSource = { kind: 'stow', by, name, remoteAddress };
  const results: Stored[] = [];
  const finishing = new Set<Promise<void>>();
  let broken: Fault | undefined;
  try {
    for await (const body of objectsOf(context, request)) {
      const result: Stored = {};
      results.push(result);
      const taken = await take(context.archive, source, expected, body, result);
      if (!taken) continue;
      const done = taken.finished.then(() => void finishing.delete(done));
      finishing.add(done);
      if (finishing.size >= MAX_FINISHING) await Promise.race(finishing);
    }
  } catch (error) {
    broken = toFault(error);
  }
  await Promise.all(finishing);
  const stored = results.filter(
    ({ outcome }) => outcome?.status === 'stored' || outcome?.status === 'duplicate',
  );
  context.audit.record({
    event: 'store',
    outcome: stored.length > 0 ? 'success' : 'failed',
    principal,
    studyUids: [...new Set(stored.map(({ outcome }) => outcome?.studyUid ?? ''))].filter((uid) => uid !== ''),
    detail: { stored: stored.length, failed: results.length - stored.length },
  });
  if (broken) {
    if (stored.length === 0) throw broken;
    results.push({ fault: broken });
  }
  return answer(context, request, reply, results, expected);
}

/** The objects of a body: every part of multipart/related, what metadata in it describes, or the body itself. */
async function* objectsOf(
  context: DoorContext,
  request: FastifyRequest,
): AsyncGenerator<AsyncIterable<Uint8Array> | Fault> {
  const body = chunksOf(request.body as Readable);
  // Nothing is unpacked here: what a few bytes become is not ours to find out (attack D77).
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new Fault('UNSUPPORTED_MEDIA', { problem: 'content-encoding' });
  const { type, params } = parseMediaType(request.headers['content-type'] ?? '');
  if (type === 'application/dicom') {
    yield body;
    return;
  }
  if (isMetadata(type)) {
    yield* objectsFromMetadata(only({ type, location: '', body }), type, context.spool);
    return;
  }
  const inner = params.get('type')?.toLowerCase() ?? 'application/dicom';
  if (type === 'multipart/related' && isMetadata(inner)) {
    yield* objectsFromMetadata(readMultipart(body, params.get('boundary')), inner, context.spool);
    return;
  }
  if (type !== 'multipart/related' || inner !== 'application/dicom')
    throw new Fault('UNSUPPORTED_MEDIA', { problem: `stored are ${STORED_TYPES.join(', ')}` });
  let parts = 0;
  for await (const part of readMultipart(body, params.get('boundary'))) {
    parts += 1;
    const partType = parseMediaType(part.type).type;
    yield partType === '' || partType === 'application/dicom' ? part.body : new Fault('UNSUPPORTED_MEDIA');
  }
  if (parts === 0) throw new Fault('BAD_REQUEST', { problem: 'no parts' });
}

/** Each alone, or as the type of multipart/related. */
export const STORED_TYPES = ['application/dicom', 'application/dicom+json', 'application/dicom+xml'] as const;

async function* only(part: BodyPart): AsyncGenerator<BodyPart> {
  yield part;
}

/**
 * Streams one object in. Resolves when its bytes are taken; `finished` when it is durable.
 * A failure of this object alone is put into `result`; only a broken connection is thrown.
 */
async function take(
  archive: Archive,
  source: IngestSource,
  expected: string | undefined,
  body: AsyncIterable<Uint8Array> | Fault,
  result: Stored,
): Promise<{ readonly finished: Promise<void> } | undefined> {
  if (body instanceof Fault) {
    result.fault = body;
    return undefined;
  }
  let writer: IngestWriter;
  try {
    writer = await archive.ingest.begin(source, { form: 'part10', studyUid: expected });
  } catch (error) {
    result.fault = toFault(error);
    for await (const _skipped of body) continue;
    return undefined;
  }
  try {
    for await (const chunk of body) {
      const pressed = writer.write(chunk);
      if (pressed) await pressed;
    }
  } catch (error) {
    result.fault = toFault(error);
    await writer.abort();
    throw error;
  }
  const finished = writer.finish().then(
    (outcome) => {
      result.outcome = outcome;
      if (expected !== undefined && outcome.studyUid !== undefined && outcome.studyUid !== expected)
        result.fault = outcome.fault ?? new Fault('STUDY_MISMATCH');
    },
    (error: unknown) => {
      result.fault = toFault(error);
    },
  );
  // In an object, so that awaiting `take` does not wait for the disk.
  return { finished };
}

/** The Store Instances Response (Annex I) with the status of §10.5.3.1. */
function answer(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  results: readonly Stored[],
  expected: string | undefined,
): FastifyReply {
  const root = rootUrl(request, context.prefix);
  const { json, status } = storeResponse(results, root, expected);
  reply.status(status).header('cache-control', 'no-store');
  const accept = acceptOf(request);
  const xml = accept.find(
    (one) => covers(one, 'application/dicom+json') || covers(one, 'application/dicom+xml'),
  );
  if (xml && !covers(xml, 'application/dicom+json'))
    return reply.header('content-type', 'application/dicom+xml').send(toXml(json));
  return reply.header('content-type', 'application/dicom+json').send(JSON.stringify(json));
}

/** Status and data set of a Store response; pure. */
export function storeResponse(
  results: readonly Stored[],
  root: string,
  expected?: string,
): { readonly json: DicomJson; readonly status: number } {
  const referenced: DicomJson[] = [];
  const failed: DicomJson[] = [];
  const nameless: DicomJson[] = [];
  const studies = new Set<string>();
  const statuses = new Set<number>();
  let coerced = 0;
  for (const { outcome, fault } of results) {
    const failure = fault ?? failureOf(outcome);
    const names: DicomJson = {
      '00081150': uid(outcome?.sopClassUid),
      '00081155': uid(outcome?.sopInstanceUid),
    };
    const named = outcome?.sopClassUid !== undefined && outcome.sopInstanceUid !== undefined;
    if (failure) {
      statuses.add(failure.row.http);
      const reason: DicomJson = { '00081197': { vr: 'US', Value: [failure.row.dimse] } };
      if (named) failed.push({ ...names, ...reason });
      else nameless.push(reason);
      continue;
    }
    const studyUid = outcome?.studyUid ?? '';
    studies.add(studyUid);
    const url =
      root +
      instancePath({ studyUid, seriesUid: outcome?.seriesUid ?? '', sopUid: outcome?.sopInstanceUid ?? '' });
    const item: DicomJson = { ...names, '00081190': { vr: 'UR', Value: [url] } };
    if (outcome?.coerced) {
      // Table I.2-1: what was changed, and the values that were sent.
      item['00081196'] = { vr: 'US', Value: [STATUS.coerced] };
      item['04000561'] = elementJson(outcome.coerced.original, emptyDataSet(), {}, '');
      coerced += 1;
    }
    referenced.push(item);
  }
  const study = studies.size === 1 ? [...studies][0] : expected;
  const json: DicomJson = {};
  if (study !== undefined && referenced.length > 0)
    json['00081190'] = { vr: 'UR', Value: [`${root}/studies/${study}`] };
  if (failed.length > 0) json['00081198'] = { vr: 'SQ', Value: failed };
  if (referenced.length > 0) json['00081199'] = { vr: 'SQ', Value: referenced };
  if (nameless.length > 0) json['0008119A'] = { vr: 'SQ', Value: nameless };
  const failures = failed.length + nameless.length;
  const status =
    referenced.length === 0 ? statusOfFailures([...statuses]) : failures + coerced > 0 ? 202 : 200;
  return { json, status };
}

/** §10.5.3.1: 409 when nothing could be stored; but what is our own failure, or a wrong kind of body, is told as that. */
function statusOfFailures(statuses: readonly number[]): number {
  const [first = 409] = statuses;
  if (statuses.every((status) => status >= 500)) return statuses.length === 1 ? first : 500;
  return statuses.length === 1 && first === 415 ? 415 : 409;
}

const uid = (value: string | undefined): DicomJson[string] =>
  value === undefined ? { vr: 'UI' } : { vr: 'UI', Value: [value] };

function failureOf(outcome: IngestOutcome | undefined): Fault | undefined {
  if (!outcome) return new Fault('INTERNAL');
  switch (outcome.status) {
    case 'stored':
    case 'duplicate':
      return undefined;
    // Set aside, so what a retrieve gives is the other object: the sender must not take it for its own (law 1).
    case 'conflict':
      return outcome.fault ?? new Fault('INSTANCE_CONFLICT');
    case 'quarantined':
    case 'refused':
      return outcome.fault ?? new Fault('DICOM_STRUCTURE');
    default:
      return outcome.status satisfies never;
  }
}
