/**
 * C-FIND, whatever is searched: takes its turn, answers match by match until the end or until it is cancelled, and is written down.
 *
 * Source: PS3.7 §9.1.2 (C-FIND), §9.3.2.3 (C-CANCEL), PS3.4 §C.4.1.3 and §CC.2.8.3 (statuses).
 * Layer:  server/doors/dimse.
 */
import { asFault, type Fault } from '@lightbox/core/base/fault.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { DoorParts } from './door.ts';
import type { Request, Task } from './services.ts';

/** For the audit trail: how many matches were sent, and which attributes were looked at. */
export interface Found {
  matches: number;
  keys: string;
}

export abstract class SearchTask implements Task {
  protected readonly parts: DoorParts;
  protected readonly request: Request;
  readonly #detail: Readonly<Record<string, string>>;
  readonly #stop = new AbortController();

  /** @param detail  More for the audit trail. */
  constructor(parts: DoorParts, request: Request, detail: Readonly<Record<string, string>> = {}) {
    this.parts = parts;
    this.request = request;
    this.#detail = detail;
  }

  /** Sends every match and counts it. Leaves off when `signal` is aborted. */
  protected abstract search(found: Found): Promise<void>;

  protected get signal(): AbortSignal {
    return this.#stop.signal;
  }

  cancel(): void {
    this.#stop.abort();
  }

  leave(): void {
    this.#stop.abort();
  }

  /** Sends every answer. Faults of the search become a status; rejects only when the connection cannot be written. */
  async run(): Promise<void> {
    const { audit, searches, log } = this.parts;
    const { answer, peer } = this.request;
    const { signal } = this;
    const found: Found = { matches: 0, keys: '' };
    let fault: Fault | undefined;
    if (await searches.take(signal)) {
      try {
        await this.search(found);
      } catch (error) {
        fault = signal.aborted ? undefined : asFault(error);
        if (fault && fault.row.http >= 500)
          log.error({ code: fault.code, err: fault.cause }, 'C-FIND failed');
      } finally {
        searches.release();
      }
    }
    audit.record({
      ...{ event: 'query', outcome: fault ? 'failed' : 'success', principal: peer.principal },
      detail: { door: 'dicom', ...this.#detail, ...found, ...(fault ? { code: fault.code } : {}) },
    });
    if (signal.aborted) return answer(STATUS.cancel);
    if (!fault) return answer(STATUS.success);
    await answer(fault.row.dimse, { comment: fault.row.meaning.slice(0, 64) });
  }
}
