/**
 * C-STORE: an object on its way from a peer into the archive. It is answered once it is durable (law 1).
 *
 * Source: PS3.7 §9.1.1, PS3.4 §B.2.3 (statuses).
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { IngestOutcome, IngestWriter } from '../../archive/types.ts';
import type { DoorParts } from './door.ts';
import type { Receiver, Request } from './services.ts';

/** Opens the archive for one object. What is wrong with the request is answered behind its data set. */
export async function beginStore(parts: DoorParts, request: Request): Promise<Receiver> {
  let writer: IngestWriter | undefined;
  let refusal: Fault | undefined;
  try {
    writer = await open(parts, request);
  } catch (error) {
    refusal = asFault(error);
  }
  return {
    write: (bytes) => writer?.write(bytes),
    async finish() {
      let outcome: IngestOutcome | Fault;
      try {
        outcome = writer ? await writer.finish() : (refusal ?? new Fault('INTERNAL'));
      } catch (error) {
        outcome = asFault(error);
      }
      await end(parts, request, outcome);
    },
    // The peer went away in the middle: nothing of it is kept.
    abort: async () => writer?.abort(),
  };
}

function open({ archive }: DoorParts, { peer, context, command }: Request): Promise<IngestWriter> {
  const { affectedSopClassUid: sopClassUid = '', affectedSopInstanceUid: sopInstanceUid = '' } = command;
  if (sopClassUid !== context.abstractSyntax) throw new Fault('SOP_MISMATCH', { of: 'class' });
  if (!isUid(sopInstanceUid)) throw new Fault('DICOM_UID');
  return archive.ingest.begin(
    {
      ...{ kind: 'dimse', by: peer.callingAe, remoteAddress: peer.remoteAddress },
      calledAe: peer.localAe,
    },
    { form: 'dataset', transferSyntaxUid: context.transferSyntax, sopClassUid, sopInstanceUid },
  );
}

/** Audit, log, answer. */
async function end(
  { audit, log }: DoorParts,
  { peer, answer }: Request,
  outcome: IngestOutcome | Fault,
): Promise<void> {
  const fault = outcome instanceof Fault ? outcome : outcome.fault;
  const studyUid = outcome instanceof Fault ? undefined : outcome.studyUid;
  audit.record({
    ...{ event: 'store', outcome: fault ? 'failed' : 'success', principal: peer.principal },
    studyUids: studyUid === undefined ? [] : [studyUid],
    detail: {
      door: 'dicom',
      status: outcome instanceof Fault ? 'refused' : outcome.status,
      ...(fault ? { code: fault.code } : {}),
      ...(outcome instanceof Fault || !outcome.coerced ? {} : { rules: outcome.coerced.rules.join(', ') }),
    },
  });
  if (fault && fault.row.http >= 500) log.error({ code: fault.code, err: fault.cause }, 'C-STORE failed');
  // (0000,0902) LO: at most 64 characters.
  if (fault) await answer(fault.row.dimse, { comment: fault.row.meaning.slice(0, 64) });
  else if (!(outcome instanceof Fault) && outcome.coerced)
    await answer(STATUS.coerced, { comment: 'Attributes were changed by a rule.' });
  else await answer(STATUS.success);
}
