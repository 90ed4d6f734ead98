/**
 * Transfers: objects on their way to another system, or from one to us, until they have arrived or a person decides.
 *
 * Layer:  server/archive. How an object travels is the business of a `Carrier`, which a door brings.
 */
import type { Fault } from '@lightbox/core/base/fault.ts';
import type { Device, Principal } from '../../identity/types.ts';
import type { InstanceRef, ObjectScope } from '../types.ts';

export type TransferKind = 'send' | 'fetch';

/**
 * queued: as soon as it is its turn. running. waiting: something went wrong, tried again at `nextAt`. done: everything arrived.
 * failed: not tried again by itself, a person has to look. cancelled: by a person.
 */
export const TRANSFER_STATES = ['queued', 'running', 'waiting', 'done', 'failed', 'cancelled'] as const;
export type TransferState = (typeof TRANSFER_STATES)[number];

/** How objects are fetched: C-GET on our association, C-MOVE to our own port, or the best there is (DICOMweb, C-GET, C-MOVE). */
export type FetchMethod = 'auto' | 'get' | 'move';

export type AskedBy = Pick<Principal, 'kind' | 'id' | 'name'>;

export interface Transfer {
  readonly id: string;
  readonly kind: TransferKind;
  readonly deviceId: string;
  /** As it was when the transfer was asked for. */
  readonly aeTitle: string;
  readonly method: FetchMethod;
  readonly scopes: readonly ObjectScope[];
  readonly askedBy: AskedBy;
  readonly state: TransferState;
  /** Objects. Of a fetch, what the archive has said so far. */
  readonly total: number;
  readonly sent: number;
  /** Of `sent`: taken with a warning. */
  readonly warning: number;
  readonly failed: number;
  /** Since something last arrived. */
  readonly attempts: number;
  readonly nextAt: Date;
  readonly fault: string | undefined;
  readonly faultFacts: Readonly<Record<string, string | number | boolean>>;
  readonly dimseStatus: number | undefined;
  readonly createdAt: Date;
  readonly finishedAt: Date | undefined;
}

export interface TransferOrder {
  readonly kind: TransferKind;
  readonly device: Device;
  readonly scopes: readonly ObjectScope[];
  readonly by: AskedBy;
  readonly method?: FetchMethod | undefined;
  /** Smaller goes first; people 0, rules later. */
  readonly priority?: number | undefined;
  /** Of the caller's choice: asked again with the same one, the transfer that is there is the answer. */
  readonly id?: string | undefined;
}

export interface FailedObject {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
  /** What the other side answered. */
  readonly status: number | undefined;
  readonly fault: string | undefined;
}

export interface TransferQuery {
  readonly states?: readonly TransferState[] | undefined;
  readonly kind?: TransferKind | undefined;
  readonly deviceId?: string | undefined;
  readonly studyUid?: string | undefined;
  /** Older than this one. */
  readonly before?: string | undefined;
  readonly limit: number;
}

export interface Transfers {
  /**
   * Writes down what is to be done; it begins at once.
   *
   * @throws Fault NOT_FOUND when nothing of it is here to be sent, TRANSFER_DEVICE when the device has no address.
   */
  ask(order: TransferOrder): Promise<Transfer>;
  /** Newest first. */
  list(query: TransferQuery): Promise<Transfer[]>;
  /** @throws Fault NOT_FOUND. */
  get(id: string): Promise<Transfer>;
  /** Objects that were refused, `limit` at most. */
  failures(id: string, limit: number): Promise<FailedObject[]>;
  /** Numbers by state. */
  counts(): Promise<Readonly<Partial<Record<TransferState, number>>>>;
  /** Once more and at once, with what was refused too. @throws Fault NOT_FOUND, TRANSFER_STATE. */
  retry(id: string): Promise<Transfer>;
  /** What has arrived stays there. A failed one is put away by it. @throws Fault NOT_FOUND, TRANSFER_STATE. */
  cancel(id: string): Promise<Transfer>;
  /** From here on transfers are carried out. */
  start(): void;
  /** Leaves off; what was under way goes on at the next start. */
  close(): Promise<void>;
}

/** Whether there is a way to it. */
export const isReachable = ({ host, port, dicomweb }: Device): boolean =>
  dicomweb !== undefined || (host !== undefined && port !== undefined);

/** What became of one object: the answer of the other side, or why there is none. */
export interface ObjectResult {
  readonly status?: number | undefined;
  readonly fault?: Fault | undefined;
}

export interface FetchCounts {
  /** Everything there is, as far as the archive has said. */
  readonly total: number;
  readonly arrived: number;
  readonly failed: number;
}

/** Brings objects to another system and gets them from there. Implemented by doors. */
export interface Carrier {
  /**
   * Sends objects and reports on each. Objects not reported on are left for the next attempt.
   *
   * @throws Fault when the other side cannot be reached, does not want us or leaves.
   */
  send(
    device: Device,
    objects: readonly InstanceRef[],
    report: (object: InstanceRef, result: ObjectResult) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Gets a study or series; it comes in through ingest.
   *
   * @returns how many came. @throws Fault when not everything did.
   */
  fetch(
    device: Device,
    scope: ObjectScope,
    method: FetchMethod,
    report: (counts: FetchCounts) => void,
    signal: AbortSignal,
  ): Promise<FetchCounts>;
}
