/**
 * The kinds of service we offer and use over DIMSE, each SOP class once: negotiation answers from this table, and the
 * conformance statement prints it.
 *
 * Source: PS3.4 (service classes), §C.5 (extended negotiation), §J.3 (storage commitment), PS3.7 §D.3.3.4 (roles).
 * Layer:  core/dimse.
 */
import { retrieveClasses } from './retrieve.ts';
import { UPS_PULL, UPS_PUSH, UPS_QUERY, UPS_WATCH } from './ups.ts';

export const VERIFICATION = '1.2.840.10008.1.1';
export const PATIENT_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.1.1';
export const STUDY_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.2.1';
/** Storage Commitment Push Model, and its one well-known instance (PS3.4 §J.3.5). */
export const STORAGE_COMMITMENT = '1.2.840.10008.1.20.1';
export const STORAGE_COMMITMENT_INSTANCE = '1.2.840.10008.1.20.1.1';
/** Instance Availability Notification (PS3.4 §R.3.3). */
export const INSTANCE_AVAILABILITY = '1.2.840.10008.5.1.4.33';

export type Service = 'echo' | 'store' | 'find' | 'move' | 'get' | 'commit' | 'workitem';

export interface ServiceClass {
  readonly uid: string;
  /** PS3.6 Table A-1, without "SOP Class". */
  readonly name: string;
  /** What it is here when a peer asks us; undefined: peers may not. */
  readonly scp: Service | undefined;
  /** We ask peers for it too. */
  readonly scu: boolean;
  /** Bytes of the service class application information we agree to, by index (Tables C.5-2, C.5-3, C.5-5). */
  readonly extended?: ReadonlySet<number>;
  /** The peer may be SCP on the same association, where it asks for that role. */
  readonly peerScp?: boolean;
}

/**
 * C-FIND: relational, combined date-time, fuzzy names, empty and multiple value matching yes; time zone adjustment and enhanced
 * conversion no (PS3.4 §C.5.1.1).
 */
const FIND_BYTES: ReadonlySet<number> = new Set([0, 1, 2, 5, 6]);
/** C-MOVE and C-GET: relational yes, enhanced conversion no (§C.5.2.1, §C.5.3.1). */
const RETRIEVE_BYTES: ReadonlySet<number> = new Set([0]);

const ROOT_NAMES = { patient: 'Patient Root', study: 'Study Root', instance: 'Composite Instance Root' };

/** Those of Storage are in dicom/dictionary.ts. */
export const SERVICE_CLASSES: readonly ServiceClass[] = [
  { uid: VERIFICATION, name: 'Verification', scp: 'echo', scu: true },
  {
    ...{ uid: PATIENT_ROOT_FIND, name: 'Patient Root Query/Retrieve Information Model - FIND' },
    ...{ scp: 'find', scu: true, extended: FIND_BYTES },
  },
  {
    ...{ uid: STUDY_ROOT_FIND, name: 'Study Root Query/Retrieve Information Model - FIND' },
    ...{ scp: 'find', scu: true, extended: FIND_BYTES },
  },
  ...[...retrieveClasses()].map(([uid, { verb, root, withoutBulk }]): ServiceClass => ({
    uid,
    name: withoutBulk
      ? 'Composite Instance Retrieve Without Bulk Data - GET'
      : root === 'instance'
        ? `Composite Instance Root Retrieve - ${verb.toUpperCase()}`
        : `${ROOT_NAMES[root]} Query/Retrieve Information Model - ${verb.toUpperCase()}`,
    scp: verb,
    ...(root === 'instance' ? { scu: false } : { scu: true, extended: RETRIEVE_BYTES }),
  })),
  {
    ...{ uid: STORAGE_COMMITMENT, name: 'Storage Commitment Push Model', scp: 'commit', scu: true },
    peerScp: true,
  },
  // Of UPS Event we are SCP too, on associations of our own (PS3.4 §CC.2.4.3).
  { uid: UPS_PUSH, name: 'Unified Procedure Step - Push', scp: 'workitem', scu: false },
  { uid: UPS_WATCH, name: 'Unified Procedure Step - Watch', scp: 'workitem', scu: false },
  { uid: UPS_PULL, name: 'Unified Procedure Step - Pull', scp: 'workitem', scu: false },
  { uid: UPS_QUERY, name: 'Unified Procedure Step - Query', scp: 'workitem', scu: false },
  { uid: INSTANCE_AVAILABILITY, name: 'Instance Availability Notification', scp: undefined, scu: true },
];

const BY_UID = new Map(SERVICE_CLASSES.map((row) => [row.uid, row]));

export function serviceClass(uid: string): ServiceClass | undefined {
  return BY_UID.get(uid);
}
