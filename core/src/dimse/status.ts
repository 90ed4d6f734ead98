/**
 * Statuses: how a DIMSE answer says what became of a request.
 *
 * Source: PS3.7 Annex C (general), PS3.4 §B.2.3 (storage), §C.4.1.1.4 (C-FIND), §C.4.2.1.5 (C-MOVE), §C.4.3.1.4 (C-GET),
 *         PS3.3 §C.14.1.1 (failure reasons of a storage commitment), PS3.4 Tables CC.2.1-2 to CC.2.7-1 (unified procedure steps).
 * Layer:  core/dimse.
 */
export const STATUS = {
  success: 0x0000,
  cancel: 0xfe00,
  pending: 0xff00,
  /** Matches go on, but one or more optional keys were not supported (PS3.4 Table C.4-1). */
  pendingWarning: 0xff01,
  invalidAttribute: 0x0106,
  processingFailure: 0x0110,
  duplicateInstance: 0x0111,
  noSuchInstance: 0x0112,
  noSuchEventType: 0x0113,
  invalidArgument: 0x0115,
  invalidInstance: 0x0117,
  noSuchSopClass: 0x0118,
  /** The object has another SOP class than the one named. */
  classConflict: 0x0119,
  missingAttribute: 0x0120,
  missingAttributeValue: 0x0121,
  noSuchAction: 0x0123,
  notAuthorized: 0x0124,
  duplicateTransaction: 0x0131,
  duplicateInvocation: 0x0210,
  unrecognizedOperation: 0x0211,
  mistypedArgument: 0x0212,
  resourceLimitation: 0x0213,
  outOfResources: 0xa700,
  /** C-MOVE and C-GET: every sub-operation failed (PS3.4 Tables C.4-2, C.4-3). */
  noSubOperation: 0xa702,
  doesNotMatch: 0xa900,
  /** C-MOVE and C-GET: some sub-operations failed or ended with a warning. */
  someFailed: 0xb000,
  /** C-STORE: kept, and shown with other values than it came with (PS3.4 Table B.2-1). */
  coerced: 0xb000,
  cannotUnderstand: 0xc000,
} as const;

/** Statuses of the Unified Procedure Step service alone (PS3.4 Tables CC.2.1-2, CC.2.2-2, CC.2.3-2, CC.2.5-2, CC.2.6-1). */
export const WORKITEM_STATUS = {
  /** N-GET, N-SET: optional attributes are not supported. */
  attributesNotSupported: 0x0001,
  createdWithChanges: 0xb300,
  lockNotGranted: 0xb301,
  alreadyCanceled: 0xb304,
  coerced: 0xb305,
  alreadyCompleted: 0xb306,
} as const;

export type StatusKind = 'success' | 'warning' | 'failure' | 'cancel' | 'pending';

/** The class of a status (PS3.7 §C.1 to C.6). */
export function statusKind(status: number): StatusKind {
  if (status === STATUS.success) return 'success';
  if (status === STATUS.pending || status === STATUS.pendingWarning) return 'pending';
  if (status === STATUS.cancel) return 'cancel';
  if (status === 0x0001 || (status & 0xf000) === 0xb000 || status === 0x0107 || status === 0x0116)
    return 'warning';
  return 'failure';
}

const MEANINGS: readonly (readonly [mask: number, value: number, meaning: string])[] = [
  [0xffff, 0x0000, 'success'],
  [0xffff, 0x0110, 'processing failure'],
  [0xffff, 0x0111, 'another object with this SOP Instance UID is kept there already'],
  [0xffff, 0x0112, 'no such object'],
  [0xffff, 0x0105, 'no such attribute'],
  [0xffff, 0x0106, 'invalid attribute value'],
  [0xffff, 0x0107, 'some attributes were ignored'],
  [0xffff, 0x0113, 'no such kind of event'],
  [0xffff, 0x0114, 'no such argument'],
  [0xffff, 0x0115, 'invalid argument'],
  [0xffff, 0x0116, 'an attribute value is out of range'],
  [0xffff, 0x0117, 'invalid object instance'],
  [0xffff, 0x0118, 'no such SOP class'],
  [0xffff, 0x0119, 'the object is of another SOP class'],
  [0xffff, 0x0120, 'an attribute is missing'],
  [0xffff, 0x0121, 'an attribute has no value'],
  [0xffff, 0x0122, 'SOP class not supported'],
  [0xffff, 0x0123, 'no such action'],
  [0xffff, 0x0124, 'not authorized'],
  [0xffff, 0x0131, 'the transaction UID is in use already'],
  [0xffff, 0x0210, 'duplicate invocation'],
  [0xffff, 0x0211, 'unrecognized operation'],
  [0xffff, 0x0212, 'mistyped argument'],
  [0xffff, 0x0213, 'resource limitation'],
  [0xffff, 0xa701, 'out of resources: the number of matches cannot be calculated'],
  [0xffff, 0xa702, 'none of the objects could be sent'],
  [0xff00, 0xa700, 'out of resources'],
  [0xffff, 0xa801, 'the move destination is not known there'],
  [0xff00, 0xa900, 'the data set does not match its SOP class or level'],
  [0xffff, 0xb000, 'done with changes, or only in part'],
  [0xffff, 0xb006, 'stored, some elements were left out'],
  [0xffff, 0xb007, 'stored, although the data set does not match its SOP class'],
  [0xffff, 0xb300, 'the workitem was created with changes'],
  [0xffff, 0xb301, 'the deletion lock was not granted'],
  [0xffff, 0xb304, 'the workitem is canceled already'],
  [0xffff, 0xb305, 'some values were made valid'],
  [0xffff, 0xb306, 'the workitem is completed already'],
  [0xffff, 0xc300, 'the workitem may not be updated any more'],
  [0xffff, 0xc301, 'the transaction UID of the workitem was not given'],
  [0xffff, 0xc302, 'the workitem is in progress already'],
  [0xffff, 0xc303, 'a workitem becomes scheduled when it is created only'],
  [0xffff, 0xc304, 'the workitem does not hold yet what its final state demands'],
  [0xffff, 0xc307, 'no such workitem'],
  [0xffff, 0xc308, 'the receiving AE title is not known there'],
  [0xffff, 0xc309, 'a workitem has to be created as scheduled'],
  [0xffff, 0xc310, 'the workitem is not in progress'],
  [0xffff, 0xc311, 'the workitem is completed already'],
  [0xffff, 0xc312, 'the performer cannot be contacted'],
  [0xffff, 0xc313, 'the performer chooses not to cancel'],
  [0xffff, 0xc314, 'the action does not fit this instance'],
  [0xffff, 0xc315, 'no event reports are sent there'],
  [0xf000, 0xc000, 'cannot understand'],
  [0xffff, 0xfe00, 'cancelled'],
  [0xffff, 0xff00, 'pending'],
  [0xffff, 0xff01, 'pending, some optional keys are not supported'],
];

/** What a status says, in words for a person. */
export function statusMeaning(status: number): string {
  const found = MEANINGS.find(([mask, value]) => (status & mask) === value);
  return found?.[2] ?? 'unknown status';
}

/** As people who know DICOM write it: `0xA700`. */
export const statusText = (status: number): string =>
  `0x${status.toString(16).toUpperCase().padStart(4, '0')}`;
