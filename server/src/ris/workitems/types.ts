/**
 * Workitems: tasks that systems put on a common list, claim, work on and finish, while others watch.
 *
 * Source: PS3.4 Annex CC (Unified Procedure Step), PS3.18 §11 (UPS-RS).
 * Layer:  server/ris. One domain behind two doors; data sets are DICOM JSON in UTF-8.
 */
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import type { MatchKey } from '@lightbox/core/dicom/matching.ts';
import type { WorkitemState } from '@lightbox/core/workflow/workitem-states.ts';
import type { WorkitemEvent } from '@lightbox/core/workflow/workitem-events.ts';
import type { Device, Principal } from '../../identity/types.ts';

/** Who asks, and by which door. */
export interface Asker {
  readonly principal: Principal;
  readonly door: 'dicom' | 'dicomweb';
  /** AE title that is told to others as the one who asks. */
  readonly ae: string;
}

export interface WorkitemQuery {
  readonly keys: readonly MatchKey[];
  /** Names by the beginnings of their words (PS3.18 §8.3.4.2). */
  readonly fuzzy?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Who is to be told, and how. */
export interface Receiver {
  readonly ae: string;
  /** dimse: we call it; web: it listens. The latest way it subscribed by counts. */
  readonly via: 'dimse' | 'web';
  /** Ours, which it subscribed at. */
  readonly localAe: string;
}

/** One workitem, all, or those of a filter. */
export type Watched =
  | { readonly kind: 'one'; readonly uid: string }
  | { readonly kind: 'all' }
  | { readonly kind: 'filtered'; readonly filter: readonly MatchKey[] };

export interface StoredEvent extends WorkitemEvent {
  readonly id: string;
}

/** N-EVENT-REPORT on an association of our own; DIMSE's door brings it. */
export interface WorkitemPort {
  /**
   * Tells events in their order. `told` is called after each, with the fault of one that the device refuses.
   *
   * @throws Fault DIMSE_ codes when the association fails; what was told is told.
   */
  report(
    device: Device,
    callingAe: string,
    events: readonly StoredEvent[],
    told: (event: StoredEvent, refused?: string) => Promise<void>,
  ): Promise<void>;
}

export interface Workitems {
  /**
   * @param uid  undefined: a new one is made.
   * @returns changed: something was filled in (B300).
   * @throws Fault WORKITEM_EXISTS, WORKITEM_NOT_SCHEDULED, WORKITEM_MISSING, WORKITEM_EMPTY, WORKITEM_VALUE.
   */
  create(
    by: Asker,
    uid: string | undefined,
    given: DicomJson,
  ): Promise<{ readonly uid: string; readonly changed: boolean }>;
  /** Without the transaction UID, which only its performer knows. @throws Fault WORKITEM_UNKNOWN, WORKITEM_GONE. */
  read(by: Asker, uid: string): Promise<DicomJson>;
  /** @throws Fault WORKITEM_UNKNOWN, _GONE, _FINAL, _TRANSACTION, _UNCLAIMED, _VALUE, _EMPTY, _MISSING. */
  update(by: Asker, uid: string, changes: DicomJson, transactionUid: string | undefined): Promise<void>;
  /**
   * @returns the state when it is in it already.
   * @throws Fault WORKITEM_UNKNOWN, _GONE, _FINAL, _TRANSACTION, _CLAIMED, _TO_SCHEDULED, _UNCLAIMED, _UNFINISHED.
   */
  changeState(
    by: Asker,
    uid: string,
    state: WorkitemState,
    transactionUid: string | undefined,
  ): Promise<WorkitemState | undefined>;
  /**
   * A workitem nobody works on is canceled; of others the performer is told.
   *
   * @returns the state when it is CANCELED already.
   * @throws Fault WORKITEM_UNKNOWN, _GONE, _COMPLETED, _UNREACHABLE.
   */
  requestCancel(by: Asker, uid: string, reasons: DicomJson): Promise<WorkitemState | undefined>;
  /** By start and name; the reading stops with the loop. */
  find(query: WorkitemQuery): AsyncGenerator<DicomJson>;
  /** @throws Fault WORKITEM_UNKNOWN, _GONE, _RECEIVER. */
  subscribe(by: Asker, watched: Watched, receiver: Receiver, lock: boolean): Promise<void>;
  /** @throws Fault WORKITEM_UNKNOWN, _GONE, _RECEIVER. */
  unsubscribe(by: Asker, watched: Watched, receiver: Receiver): Promise<void>;
  /** No further workitems are subscribed to; those that are stay. @throws Fault WORKITEM_ACTION for one workitem. */
  suspend(by: Asker, watched: Watched, receiver: Receiver): Promise<void>;
  /** Events of this AE title from now on. @returns a function that ends it. */
  listen(ae: string, take: (event: WorkitemEvent) => void): () => void;
  close(): Promise<void>;
}
