/**
 * Storage commitment: the promise that objects are kept, given only after their bytes were read again.
 *
 * Source: PS3.4 §J.3 (DIMSE), PS3.18 §13 (web).
 * Layer:  server/archive.
 */
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import type { CommitmentAnswer, CommitmentItem } from '@lightbox/core/translate/commitment.ts';
import type { Device, Principal } from '../../identity/types.ts';

/**
 * received: checking (bytes are being read), checked (the result is known; of DIMSE it is still to be told), told, dead (could not be
 * told), gone (the result is no longer kept).
 * requested: waiting (to be asked), asked, answered, dead, gone.
 */
export type CommitmentState =
  'checking' | 'checked' | 'told' | 'waiting' | 'asked' | 'answered' | 'dead' | 'gone';

export interface CommitmentRow {
  readonly id: string;
  readonly direction: 'received' | 'requested';
  readonly via: 'dimse' | 'web';
  /** AE title; of the web the principal's id. */
  readonly peer: string;
  readonly peerName: string;
  /** Which of our AE titles it is about. */
  readonly localAe: string;
  readonly transactionUid: string;
  readonly objects: number;
  /** Undefined until the result is known. */
  readonly failed: number | undefined;
  readonly state: CommitmentState;
  readonly attempts: number;
  readonly nextAt: Date | undefined;
  readonly fault: string | undefined;
  readonly createdAt: Date;
  readonly finishedAt: Date | undefined;
}

/** Who asks. */
export interface Requester {
  readonly via: 'dimse' | 'web';
  /** AE title, or id of the principal. */
  readonly peer: string;
  /** Ours that it asked. */
  readonly localAe: string;
  readonly principal: Principal;
}

export interface Report {
  readonly eventTypeId: number;
  readonly dataSet: DataSet;
}

/** Tells the peer on the association it asked on. @returns whether it has taken it. */
export type Teller = (report: Report) => Promise<boolean>;

/** The way to other systems; DIMSE's door brings it. */
export interface CommitmentPort {
  /** N-EVENT-REPORT on an association of our own, as SCP. @throws Fault DIMSE_ codes. */
  report(device: Device, callingAe: string, report: Report): Promise<void>;
  /**
   * N-ACTION. Resolves when the peer has taken the request, and what it reports on this association meanwhile was given to
   * `received`. @throws Fault DIMSE_ codes.
   */
  request(
    device: Device,
    callingAe: string,
    dataSet: DataSet,
    received: (report: DataSet) => Promise<void>,
  ): Promise<void>;
}

export interface Commitments {
  /**
   * Keeps a request durably and begins to check it. The same request again begins again where it was answered already.
   *
   * @throws Fault COMMIT_DUPLICATE: the transaction UID is in use, over the web always; COMMIT_BUSY.
   */
  accept(
    requester: Requester,
    transactionUid: string,
    items: readonly CommitmentItem[],
  ): Promise<{ readonly id: string }>;
  /** Until the returned function is called, the result of `id` is offered to `teller` before a new association is opened. */
  tellOn(id: string, teller: Teller): () => void;
  /**
   * The result over the web; undefined: not known yet, after at most `waitMs`.
   *
   * @throws Fault COMMIT_UNKNOWN, COMMIT_GONE.
   */
  result(
    requester: Requester,
    transactionUid: string,
    waitMs?: number,
  ): Promise<readonly CommitmentAnswer[] | undefined>;
  /** Asks a device to keep what was sent to it. @returns the ids, one for each transaction. */
  ask(device: Device, items: readonly CommitmentItem[], by: Principal): Promise<string[]>;
  /** A result that a peer tells us. @throws Fault COMMIT_UNKNOWN for one that nobody asked this peer for, COMMIT_REQUEST. */
  receive(from: Principal, report: DataSet): Promise<void>;
  /** Newest first. */
  list(limit: number, states?: readonly CommitmentState[]): Promise<CommitmentRow[]>;
  /** Tries one again that was given up, or at once one that waits. @throws Fault NOT_FOUND. */
  retry(id: string, by: Principal): Promise<void>;
  close(): Promise<void>;
}
