/**
 * Negotiation: which kinds of objects in which encodings an association may carry.
 *
 * Source: PS3.8 §9.3.3.2 and Table 9-18 (answers), PS3.7 §D.3.3 (user information), PS3.4 §B.5 (storage classes),
 *         §C.5 (extended negotiation of C-FIND, C-MOVE, C-GET), §J.3 (storage commitment).
 * Layer:  core/dimse.
 *
 * Storage is accepted in any transfer syntax, private ones included, because what is kept is given back byte for byte (law 2).
 * Accepted classes: those of the standard, retired ones, and private ones, which never lie under DICOM's own root.
 */
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, isUid } from '../base/uid.ts';
import { storageSopClass } from '../dicom/dictionary.ts';
import { EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, transferSyntax } from '../dicom/transfer-syntax.ts';
import {
  type AnsweredContext,
  APPLICATION_CONTEXT,
  type AssociateAccept,
  type AssociateRequest,
  type ProposedContext,
} from './pdu.ts';
import { type Service, serviceClass } from './sop-classes.ts';
import type { ExtendedNegotiation, RoleSelection } from './user-information.ts';

export {
  INSTANCE_AVAILABILITY,
  PATIENT_ROOT_FIND,
  type Service,
  STORAGE_COMMITMENT,
  STORAGE_COMMITMENT_INSTANCE,
  STUDY_ROOT_FIND,
  VERIFICATION,
} from './sop-classes.ts';

const DICOM_ROOT = '1.2.840.10008.';
/** All Storage classes of images, reports, plans and signals lie here, those too that are newer than our table. */
const STORAGE_ROOT = '1.2.840.10008.5.1.4.1.1.';

/** The service of an abstract syntax here, undefined when it is not offered. */
export function serviceOf(abstractSyntax: string): Service | undefined {
  const row = serviceClass(abstractSyntax);
  if (row) return row.scp;
  if (storageSopClass(abstractSyntax) || (isUid(abstractSyntax) && abstractSyntax.startsWith(STORAGE_ROOT)))
    return 'store';
  // A private class cannot be told from a private service; bytes of a C-STORE are kept either way.
  return isUid(abstractSyntax) && !abstractSyntax.startsWith(DICOM_ROOT) ? 'store' : undefined;
}

/** A context in use: both sides agreed. */
export interface Context {
  readonly id: number;
  readonly abstractSyntax: string;
  readonly transferSyntax: string;
  readonly service: Service;
  /** The peer takes C-STOREs of ours in it: a place for the objects of its C-GETs (PS3.7 §D.3.3.4). */
  readonly peerStores: boolean;
}

export interface Negotiated {
  readonly accept: AssociateAccept;
  readonly contexts: ReadonlyMap<number, Context>;
  /** SOP classes for which relational queries or retrieval were agreed (PS3.4 §C.5.1.1, §C.5.2.1, §C.5.3.1: byte 1). */
  readonly relational: ReadonlySet<string>;
  /** ... combined date-time matching (byte 2), ... fuzzy names (byte 3). */
  readonly combinedDateTime: ReadonlySet<string>;
  readonly fuzzy: ReadonlySet<string>;
  /** ... empty value matching (byte 6), ... multiple value matching (byte 7). */
  readonly emptyValues: ReadonlySet<string>;
  readonly multipleValues: ReadonlySet<string>;
  /** Longest P-DATA-TF variable field the peer takes; 0 is no limit. */
  readonly peerMaxPdu: number;
  /** Operations the peer may have outstanding with us, 1 to MAX_WINDOW. */
  readonly window: number;
  /** C-STOREs of ours that may wait for the peer's answer at once, 1 to MAX_WINDOW. */
  readonly performs: number;
}

/**
 * Operations one association may have outstanding (attacks C75). Eight hide the time one object needs to become durable; more
 * would only let one peer take the disk and the database from the others.
 */
export const MAX_WINDOW = 8;

/**
 * The transfer syntax to answer with. Of several the sender's first known one is taken, so that a sender who could also compress
 * is never made to; explicit little endian goes before implicit and big endian, which say less. Where only we send, what
 * everything can be decoded to goes first: nothing is ever compressed for a peer.
 */
export function chooseTransferSyntax(
  context: ProposedContext,
  service: Service,
  onlyWeSend = false,
): string | undefined {
  const proposed = context.transferSyntaxes.filter(isUid);
  const plain = [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE];
  if (service !== 'store') return plain.find((uid) => proposed.includes(uid));
  const decoded = onlyWeSend ? [EXPLICIT_LE, IMPLICIT_LE].find((uid) => proposed.includes(uid)) : undefined;
  if (decoded !== undefined) return decoded;
  const first = proposed.find((uid) => transferSyntax(uid)) ?? proposed[0];
  return (first === IMPLICIT_LE || first === EXPLICIT_BE) && proposed.includes(EXPLICIT_LE)
    ? EXPLICIT_LE
    : first;
}

/**
 * Our answer to a request that is let in.
 *
 * @param maxPdu         The longest P-DATA-TF we take.
 * @param userAccepted   The user it names was checked and is content: said when it asks (PS3.7 §D.3.3.7.2).
 */
export function negotiate(request: AssociateRequest, maxPdu: number, userAccepted = false): Negotiated {
  const contexts = new Map<number, Context>();
  const ids = new Map<number, number>();
  const asked = new Map((request.user.roles ?? []).map((role) => [role.sopClassUid, role]));
  for (const { id } of request.contexts) ids.set(id, (ids.get(id) ?? 0) + 1);
  const answers: AnsweredContext[] = request.contexts.map((proposed) => {
    const transferSyntaxShown = proposed.transferSyntaxes[0] ?? IMPLICIT_LE;
    const refuse = (result: number): AnsweredContext => ({
      id: proposed.id,
      result,
      transferSyntax: transferSyntaxShown,
    });
    // Two contexts of one id: neither can be meant (attacks C57).
    if (ids.get(proposed.id) !== 1) return refuse(2);
    const service = serviceOf(proposed.abstractSyntax);
    if (!service) return refuse(3);
    const role = asked.get(proposed.abstractSyntax);
    const peerStores = service === 'store' && role?.scp === true;
    const chosen = chooseTransferSyntax(proposed, service, peerStores && !role.scu);
    if (chosen === undefined) return refuse(4);
    contexts.set(proposed.id, {
      id: proposed.id,
      abstractSyntax: proposed.abstractSyntax,
      transferSyntax: chosen,
      service,
      peerStores,
    });
    return { id: proposed.id, result: 0, transferSyntax: chosen };
  });
  const extended = answerExtended(request.user.extended ?? []);
  const byte = (index: number): ReadonlySet<string> =>
    new Set(extended.filter(({ info }) => info[index] === 1).map(({ sopClassUid }) => sopClassUid));
  const roles = answerRoles(request.user.roles ?? []);
  const { window, identity } = request.user;
  const invoked = window ? windowOf(window.invoked) : 1;
  const performed = window ? windowOf(window.performed) : 1;
  const accept: AssociateAccept = {
    type: 'associate-ac',
    protocolVersion: 1,
    calledAe: request.calledAe,
    callingAe: request.callingAe,
    applicationContext: APPLICATION_CONTEXT,
    contexts: answers,
    user: {
      maxPdu,
      implementationClassUid: IMPLEMENTATION_CLASS_UID,
      implementationVersion: IMPLEMENTATION_VERSION_NAME,
      // The second number is what we invoke: the C-STOREs of the peer's C-GETs.
      ...(window ? { window: { invoked, performed } } : {}),
      ...(roles.length ? { roles } : {}),
      ...(extended.length ? { extended } : {}),
      // PS3.7 §D.3.3.7.2: empty for names, passcodes and tokens. Its absence leaves the decision to the peer.
      ...(userAccepted && identity?.responseRequested ? { identityResponse: new Uint8Array(0) } : {}),
    },
  };
  return {
    accept,
    contexts,
    relational: byte(0),
    combinedDateTime: byte(1),
    fuzzy: byte(2),
    emptyValues: byte(5),
    multipleValues: byte(6),
    peerMaxPdu: request.user.maxPdu,
    window: invoked,
    performs: performed,
  };
}

/** 0 asks for no limit (PS3.7 §D.3.3.3.1). */
const windowOf = (asked: number): number => (asked === 0 ? MAX_WINDOW : Math.min(asked, MAX_WINDOW));

/**
 * The peer is SCU of everything. It is SCP of Storage too where it wants to be, for the objects of its C-GETs, and of storage
 * commitment, for results that we have asked for (PS3.7 §D.3.3.4, PS3.4 §C.5.3, §J.3.3.1.3).
 */
function answerRoles(roles: readonly RoleSelection[]): RoleSelection[] {
  return roles.flatMap(({ sopClassUid, scu, scp }) => {
    const service = serviceOf(sopClassUid);
    const may = service === 'store' || serviceClass(sopClassUid)?.peerScp === true;
    return service ? [{ sopClassUid, scu, scp: scp && may }] : [];
  });
}

/** As the table of SOP classes has it; Composite Instance Root has none. */
function answerExtended(asked: readonly ExtendedNegotiation[]): ExtendedNegotiation[] {
  return asked.flatMap(({ sopClassUid, info }) => {
    const row = serviceClass(sopClassUid);
    const bytes = row?.extended;
    if (!bytes) return [];
    const agreed = Uint8Array.from(info.subarray(0, row.scp === 'find' ? 7 : 5), (value, index) =>
      bytes.has(index) && value === 1 ? 1 : 0,
    );
    return [{ sopClassUid, info: agreed }];
  });
}
