/**
 * C-STORE: an object on its way from a peer into the archive. It is answered once it is durable (law 1).
 *
 * Source: PS3.7 §9.1.1, PS3.4 §B.2.3 (statuses).
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import type { Command } from '@lightbox/core/dimse/command.ts';
import type { Context } from '@lightbox/core/dimse/negotiate.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { IngestOutcome, IngestSource, IngestWriter } from '../../archive/types.ts';
import type { Peer } from './association.ts';
import type { DimseDoorOptions } from './door.ts';

type Answer = (status: number, errorComment?: string) => Promise<void>;

export class StoreTask {
  readonly #writer: IngestWriter | undefined;
  readonly #end: ((outcome: IngestOutcome | Fault) => Promise<void>) | undefined;
  readonly #fault: Fault | undefined;

  private constructor(
    writer: IngestWriter | undefined,
    end?: (outcome: IngestOutcome | Fault) => Promise<void>,
    fault?: Fault,
  ) {
    this.#writer = writer;
    this.#end = end;
    this.#fault = fault;
  }

  /** Reads a data set away that was answered already. */
  static discarding(): StoreTask {
    return new StoreTask(undefined);
  }

  static async begin(
    options: DimseDoorOptions,
    peer: Peer,
    context: Context,
    command: Command,
    answer: Answer,
  ): Promise<StoreTask> {
    const { archive, audit, log } = options;
    const end = async (outcome: IngestOutcome | Fault): Promise<void> => {
      const fault = outcome instanceof Fault ? outcome : outcome.fault;
      const status = fault ? fault.row.dimse : STATUS.success;
      const studyUid = outcome instanceof Fault ? undefined : outcome.studyUid;
      audit.record({
        ...{ event: 'store', outcome: fault ? 'failed' : 'success', principal: peer.principal },
        studyUids: studyUid === undefined ? [] : [studyUid],
        detail: {
          door: 'dicom',
          status: outcome instanceof Fault ? 'refused' : outcome.status,
          ...(fault ? { code: fault.code } : {}),
        },
      });
      if (fault && fault.row.http >= 500) log.error({ code: fault.code, err: fault.cause }, 'C-STORE failed');
      await answer(status, fault ? comment(fault) : undefined);
    };
    const sopClassUid = command.affectedSopClassUid ?? '';
    const sopInstanceUid = command.affectedSopInstanceUid ?? '';
    try {
      if (sopClassUid !== context.abstractSyntax) throw new Fault('SOP_MISMATCH', { of: 'class' });
      if (!isUid(sopInstanceUid)) throw new Fault('DICOM_UID');
      const source: IngestSource = {
        ...{ kind: 'dimse', by: peer.callingAe, remoteAddress: peer.remoteAddress },
      };
      const { transferSyntax: transferSyntaxUid } = context;
      const form = { form: 'dataset', transferSyntaxUid, sopClassUid, sopInstanceUid } as const;
      return new StoreTask(await archive.ingest.begin(source, form), end);
    } catch (error) {
      // The data set is read away first: the answer belongs behind it.
      return new StoreTask(undefined, end, asFault(error));
    }
  }

  write(bytes: Uint8Array): Promise<void> | void {
    return this.#writer?.write(bytes);
  }

  async finish(): Promise<void> {
    if (!this.#end) return;
    let outcome: IngestOutcome | Fault;
    try {
      outcome = this.#writer ? await this.#writer.finish() : (this.#fault ?? new Fault('INTERNAL'));
    } catch (error) {
      outcome = asFault(error);
    }
    await this.#end(outcome);
  }

  /** The peer went away in the middle: nothing of it is kept. */
  async abort(): Promise<void> {
    await this.#writer?.abort();
  }
}

/** (0000,0902) LO: at most 64 characters. */
const comment = (fault: Fault): string => fault.row.meaning.slice(0, 64);
