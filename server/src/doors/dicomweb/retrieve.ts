/**
 * WADO-RS: whole studies, series and instances, as kept or in the transfer syntax asked for.
 *
 * Source: PS3.18 §10.4 (Retrieve transaction), §8.7.3.2 (application/dicom), §10.4.3 (statuses).
 * Layer:  server/doors/dicomweb.
 */
import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { notModified, sendRanged } from '../../platform/ranges.ts';
import { acceptOf, etagOf, instancePath, type Part, rootUrl, sendMultipart } from './answer.ts';
import { type DoorContext, find } from './context.ts';
import { covers, type Wanted } from './media.ts';

export interface ObjectForm {
  readonly multipart: boolean;
  /** '*': as kept. */
  readonly syntax: string;
  /** The client named no transfer syntax: what cannot be given uncompressed is given as kept (§8.7.3.5.2). */
  readonly orAsKept: boolean;
}

/** GET on a study, series or instance. */
export async function retrieve(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const refs = await find(context, request, 'objects');
  const accept = acceptOf(request);
  const forms = accept
    .map((wanted) => objectForm(wanted, refs.length === 1))
    .filter((form) => form !== undefined);
  if (forms.length === 0) throw new Fault('NOT_ACCEPTABLE');
  for (const form of forms) {
    const given = refs.filter((ref) => syntaxFor(context, ref, form) !== undefined);
    if (given.length === 0) continue;
    if (notModified(request, reply, etagOf(given, JSON.stringify(form)))) return reply.send();
    const [only] = given;
    if (!form.multipart && only) return sendOne(context, request, reply, only, form);
    // Some of the objects are not there in this form: 206 says so (§10.4.3.1).
    if (given.length < refs.length) reply.status(206);
    return sendMultipart(
      request,
      reply,
      'application/dicom',
      partsOf(context, given, form, rootUrl(request, context.prefix)),
    );
  }
  throw new Fault('NOT_ACCEPTABLE', {
    problem: 'the objects cannot be decoded to this transfer syntax',
    keptAs: refs[0].transferSyntaxUid,
  });
}

/** How a media range wants objects; undefined when it wants something else. */
export function objectForm(wanted: Wanted, single: boolean): ObjectForm | undefined {
  if (!covers(wanted, 'application/dicom')) return undefined;
  if (wanted.form === 'single' && !single) return undefined;
  return {
    multipart: wanted.form !== 'single',
    syntax: wanted.transferSyntax ?? EXPLICIT_LE,
    orAsKept: wanted.transferSyntax === undefined,
  };
}

/** The transfer syntax an object is sent in, '*' for its own bytes; undefined when that cannot be done. */
function syntaxFor(context: DoorContext, ref: InstanceRef, form: ObjectForm): string | undefined {
  if (form.syntax === '*' || form.syntax === ref.transferSyntaxUid) return '*';
  if (context.renderer.canProduceObject(ref, form.syntax)) return form.syntax;
  return form.orAsKept ? '*' : undefined;
}

/** One object as the whole body. */
export async function sendOne(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: InstanceRef,
  form: ObjectForm,
): Promise<FastifyReply> {
  const syntax = syntaxFor(context, ref, form);
  if (syntax === undefined) throw new Fault('NOT_ACCEPTABLE', { keptAs: ref.transferSyntaxUid });
  if (syntax !== '*') {
    const body = await transcoded(context, ref, syntax, form);
    if (body) return reply.header('content-type', `application/dicom; transfer-syntax=${syntax}`).send(body);
  }
  const type = `application/dicom; transfer-syntax=${ref.transferSyntaxUid}`;
  const served = await context.archive.retrieve.served(ref);
  return sendRanged(request, reply, type, served.bytes, (range) => served.open(range));
}

async function* partsOf(
  context: DoorContext,
  refs: readonly InstanceRef[],
  form: ObjectForm,
  root: string,
): AsyncGenerator<Part> {
  for (const ref of refs) {
    const syntax = syntaxFor(context, ref, form) ?? '*';
    const changed = syntax === '*' ? undefined : await transcoded(context, ref, syntax, form);
    yield {
      type: `application/dicom; transfer-syntax=${changed ? syntax : ref.transferSyntaxUid}`,
      location: root + instancePath(ref),
      body: changed ?? (await context.archive.retrieve.served(ref)).open(),
    };
  }
}

/** Undefined: it cannot be given so (more than a value can hold, broken frames), and as kept is better than nothing. */
async function transcoded(
  context: DoorContext,
  ref: InstanceRef,
  syntax: string,
  form: ObjectForm,
): Promise<Readable | undefined> {
  try {
    return await context.renderer.transcode(ref, syntax);
  } catch (error) {
    if (form.orAsKept && asFault(error).row.http < 500) return undefined;
    throw error;
  }
}
