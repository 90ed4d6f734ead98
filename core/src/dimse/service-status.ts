/**
 * Which statuses each service answers with, and when: what the conformance statement prints, and what the door is held to.
 *
 * Source: PS3.7 Annex C, PS3.4 §B.2.3 (storage), §C.4.1.1.4 (C-FIND), §C.4.2.1.5 (C-MOVE), §C.4.3.1.4 (C-GET), §J.3.2, §J.3.3,
 *         Tables CC.2.1-2 to CC.2.7-1 (unified procedure steps).
 * Layer:  core/dimse.
 */
import type { Service } from './sop-classes.ts';
import { STATUS, WORKITEM_STATUS } from './status.ts';

export interface StatedStatus {
  readonly status: number;
  /** What brings it about, and what it means for the object or the operation. */
  readonly when: string;
}

const row = (status: number, when: string): StatedStatus => ({ status, when });

/** Of every service; the association goes on. */
export const COMMON_STATUSES: readonly StatedStatus[] = [
  row(STATUS.notAuthorized, 'The calling AE title, or the user it named, may not use this service.'),
  row(STATUS.duplicateInvocation, 'The message ID is that of an operation still under way.'),
  row(
    STATUS.unrecognizedOperation,
    'The operation is not offered, or not in the presentation context it came in.',
  ),
  row(
    STATUS.mistypedArgument,
    'The message ID is missing, a data set is missing, or there is one where none belongs.',
  ),
];

const FAILED = row(STATUS.processingFailure, 'Something of ours went wrong; it is in our log.');
const NO_ROOM =
  'More than 8 searches, retrievals or requests at once on the association, or the database cannot be reached.';

const retrieve = (verb: 'move' | 'get'): readonly StatedStatus[] => [
  row(
    STATUS.pending,
    'At the start, as objects are sent (at most ten a second), and every four seconds; with the counters.',
  ),
  row(STATUS.success, 'All were sent; also when nothing matched.'),
  row(
    STATUS.someFailed,
    'Some failed or were stored with a warning; Failed SOP Instance UID List names those that failed.',
  ),
  row(STATUS.noSubOperation, 'None could be sent.'),
  row(
    STATUS.cancel,
    'Cancelled: what was on its way arrives, nothing more begins; Remaining says how many are left.',
  ),
  row(0xa701, 'More than 65,535 objects match: they cannot be counted.'),
  ...(verb === 'move' ? [row(0xa801, 'The destination is no known device with an address.')] : []),
  row(STATUS.outOfResources, NO_ROOM),
  row(STATUS.doesNotMatch, 'The identifier is wrong; Offending Element says where.'),
  row(STATUS.cannotUnderstand, 'The identifier cannot be read.'),
  FAILED,
];

export const SERVICE_STATUSES: Readonly<Record<Service, readonly StatedStatus[]>> = {
  echo: [row(STATUS.success, 'Always.')],
  store: [
    row(STATUS.success, 'The object is durable and findable; also when the very same one was kept before.'),
    row(
      STATUS.coerced,
      'The object is durable and findable as it came; a rule of this site shows some attributes with other values (3.10).',
    ),
    row(
      STATUS.duplicateInstance,
      'Another object with this SOP Instance UID is kept. It stays; the new one is set aside for a person.',
    ),
    row(STATUS.outOfResources, 'Not enough room on the disk, or we are stopping: try again later.'),
    row(STATUS.doesNotMatch, 'The data set is not the object that the command announced.'),
    row(STATUS.cannotUnderstand, 'The data set cannot be understood; its bytes are set aside for a person.'),
    FAILED,
  ],
  find: [
    row(STATUS.pending, 'A match; every key is supported at this level.'),
    row(STATUS.pendingWarning, 'A match; at least one optional key is not known at this level.'),
    row(STATUS.success, 'No more matches.'),
    row(STATUS.cancel, 'Ended by C-CANCEL.'),
    row(STATUS.outOfResources, NO_ROOM),
    row(STATUS.doesNotMatch, 'The level, a unique key above it, or the value of a key is wrong.'),
    row(STATUS.cannotUnderstand, 'The identifier cannot be read.'),
    FAILED,
  ],
  move: retrieve('move'),
  get: retrieve('get'),
  commit: [
    row(STATUS.success, 'N-ACTION: the request is kept durably. N-EVENT-REPORT: the result is noted.'),
    row(STATUS.noSuchInstance, 'N-ACTION: not the well-known instance.'),
    row(STATUS.noSuchEventType, 'N-EVENT-REPORT: another event than 1 or 2.'),
    row(
      STATUS.invalidArgument,
      'No transaction UID, no objects, not readable; or a result we have not asked this device for.',
    ),
    row(STATUS.noSuchAction, 'N-ACTION: another action than 1.'),
    row(STATUS.duplicateTransaction, 'N-ACTION: the transaction UID is in use for other objects.'),
    row(
      STATUS.resourceLimitation,
      'Too many objects in one request, or too many requests of this device being checked: try again later.',
    ),
    row(STATUS.outOfResources, NO_ROOM),
    FAILED,
  ],
  workitem: [
    row(STATUS.success, 'Done; C-FIND: no more matches.'),
    row(STATUS.pending, 'C-FIND: a match; every key is supported.'),
    row(STATUS.cancel, 'C-FIND: ended by C-CANCEL.'),
    row(WORKITEM_STATUS.attributesNotSupported, 'N-GET: some attributes asked for are not known here.'),
    row(
      WORKITEM_STATUS.createdWithChanges,
      'N-CREATE: made; a worklist label, or attributes that may be empty, were filled in.',
    ),
    row(WORKITEM_STATUS.alreadyCanceled, 'N-ACTION: it is CANCELED already.'),
    row(WORKITEM_STATUS.alreadyCompleted, 'N-ACTION: it is COMPLETED already.'),
    row(STATUS.invalidAttribute, 'An attribute may not be set here, or not to this value.'),
    row(STATUS.duplicateInstance, 'N-CREATE: there is a workitem of this UID.'),
    row(STATUS.invalidArgument, 'Not readable; N-ACTION: no state, or no receiving AE title.'),
    row(STATUS.noSuchSopClass, 'The class named is neither UPS Push nor that of the presentation context.'),
    row(STATUS.missingAttribute, 'N-CREATE, N-SET: an attribute that has to be there is not.'),
    row(STATUS.missingAttributeValue, 'N-CREATE, N-SET: an attribute needs a value.'),
    row(STATUS.noSuchAction, 'N-ACTION: the action is not one of the class.'),
    row(STATUS.resourceLimitation, 'The database cannot be reached: try again later.'),
    row(STATUS.outOfResources, NO_ROOM),
    row(STATUS.doesNotMatch, 'C-FIND: the value of a key is wrong.'),
    row(STATUS.cannotUnderstand, 'C-FIND: the identifier cannot be read.'),
    row(0xc300, 'It is COMPLETED or CANCELED and does not change any more.'),
    row(0xc301, 'The transaction UID is missing, or not that of the claim.'),
    row(0xc302, 'N-ACTION: it is IN PROGRESS already.'),
    row(0xc303, 'N-ACTION: nothing becomes SCHEDULED again.'),
    row(0xc304, 'N-ACTION: what the final state demands is not there yet.'),
    row(0xc307, 'There is no such workitem, or it is no longer kept.'),
    row(0xc308, 'N-ACTION: the receiving AE title is no known device with an address.'),
    row(0xc309, 'N-CREATE: the state is not SCHEDULED.'),
    row(0xc310, 'It is SCHEDULED, and only who claimed it may do this.'),
    row(0xc311, 'N-ACTION: to be canceled, and COMPLETED already.'),
    row(0xc312, 'N-ACTION: to be canceled, IN PROGRESS, and nobody watches it.'),
    row(0xc314, 'N-ACTION: a subscription to one workitem cannot be suspended.'),
    FAILED,
  ],
};

const STATED = new Map(
  Object.entries(SERVICE_STATUSES).map(([service, rows]) => [
    service as Service,
    new Set([...COMMON_STATUSES, ...rows].map(({ status }) => status)),
  ]),
);

/** Whether the conformance statement names the status for the service. Asked of every answer. */
export function isStated(service: Service, status: number): boolean {
  return STATED.get(service)?.has(status) === true;
}
