/**
 * What a DICOMweb server says became of the objects it was sent, object by object, as the statuses a C-STORE would have had.
 *
 * Source: PS3.18 §10.5.3 (response), Table 10.5.3-1 (statuses 200, 202, 409), Annex I.2 (Store Instances Response Module),
 *         Table I.2-2 (failure reasons), PS3.4 Table B.2-1.
 * Layer:  server/doors/dicomweb.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet, Tag } from '@lightbox/core/dicom/data-set.ts';
import { fromJson, tagHex } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { integer, items, uidValue } from '@lightbox/core/dicom/values.ts';
import { STATUS, statusKind } from '@lightbox/core/dimse/status.ts';

/** Table I.2-2: the server does not take the transfer syntax. */
export const NO_SUCH_SYNTAX = 0xc122;
/** Table I.2-1: coercion of data elements, the warning without further words. */
const COERCED = 0xb000;
const LISTS: readonly Tag[] = [Tags.ReferencedSOPSequence, Tags.FailedSOPSequence];

/**
 * Status by SOP Instance UID. An object that is in no list is in here neither: nobody has promised anything about it.
 *
 * @throws Fault WEB_ANSWER.
 */
export function readStoreAnswer(json: unknown): Map<string, number> {
  const answer = dataSetIn(json);
  const statuses = new Map<string, number>();
  for (const item of items(answer, Tags.ReferencedSOPSequence)) {
    const uid = uidValue(item, Tags.ReferencedSOPInstanceUID);
    if (uid !== undefined) statuses.set(uid, warningIn(item));
  }
  // What is in both lists has failed: an object too many is sent again, none is lost.
  for (const item of items(answer, Tags.FailedSOPSequence)) {
    const uid = uidValue(item, Tags.ReferencedSOPInstanceUID);
    if (uid !== undefined) statuses.set(uid, failureIn(item));
  }
  return statuses;
}

function dataSetIn(json: unknown): DataSet {
  // A single data set is an array of one (Annex F.2.1); some servers leave the brackets out.
  const one: unknown = Array.isArray(json) ? json[0] : json;
  if (typeof one !== 'object' || one === null) throw new Fault('WEB_ANSWER', { what: 'json' });
  const given = one as Readonly<Record<string, unknown>>;
  const lists = LISTS.map(tagHex).flatMap((name) => (name in given ? [[name, given[name]] as const] : []));
  try {
    return fromJson(Object.fromEntries(lists));
  } catch (error) {
    throw new Fault('WEB_ANSWER', { what: 'json' }, { cause: error });
  }
}

function warningIn(item: DataSet): number {
  const reason = integer(item, Tags.WarningReason, 0, 0xffff) ?? 0;
  if (reason === 0) return STATUS.success;
  return statusKind(reason) === 'warning' ? reason : COERCED;
}

function failureIn(item: DataSet): number {
  const reason = integer(item, Tags.FailureReason, 0, 0xffff) ?? 0;
  return statusKind(reason) === 'failure' ? reason : STATUS.processingFailure;
}
