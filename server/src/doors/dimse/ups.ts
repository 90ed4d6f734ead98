/**
 * Workitems by DIMSE: made (N-CREATE), read (N-GET), changed (N-SET), claimed, finished, canceled and watched (N-ACTION).
 *
 * Source: PS3.4 §CC.2.1 to §CC.2.7, Tables CC.2.1-1 to CC.2.3-1 (action information), §CC.3.1 (classes), PS3.7 §10.1.
 * Layer:  server/doors/dimse. The rules are core/workflow's, the list is server/ris/workitems.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { type DicomJson, fromJson, tagHex } from '@lightbox/core/dicom/json.ts';
import { matchKeysOf } from '@lightbox/core/dicom/matching.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { COMMANDS } from '@lightbox/core/dimse/command.ts';
import { STATUS, WORKITEM_STATUS } from '@lightbox/core/dimse/status.ts';
import {
  ALL_WORKITEMS,
  FILTERED_WORKITEMS,
  UPS_ACTION,
  UPS_PUSH,
  upsHasAction,
} from '@lightbox/core/dimse/ups.ts';
import { WORKITEM_ATTRIBUTES } from '@lightbox/core/workflow/workitem-attributes.ts';
import { workitemText } from '@lightbox/core/workflow/workitem-checks.ts';
import { isWorkitemState, type WorkitemState } from '@lightbox/core/workflow/workitem-states.ts';
import type { Asker, Receiver, Watched } from '../../ris/workitems/types.ts';
import type { DoorParts } from './door.ts';
import type { Answer, Request, Task } from './services.ts';
import { jsonOf, wireDataSet } from './ups-data-set.ts';

type Answered = readonly [status: number, more?: Answer];

const DONE: Answered = [STATUS.success];
/** Attributes we know of; others are optional, and not supported where a workitem has none. */
const KNOWN: ReadonlySet<number> = new Set(WORKITEM_ATTRIBUTES.map(({ tag }) => tag));
/** Named in the command, never in the data set of an N-GET (Table CC.2.5-3). */
const NOT_READ: ReadonlySet<number> = new Set([Tags.SOPClassUID, Tags.SOPInstanceUID]);

export class UpsTask implements Task {
  readonly #parts: DoorParts;
  readonly #request: Request;
  readonly #bytes: Uint8Array | undefined;

  /** @param bytes  The data set, undefined when the request has none. */
  constructor(parts: DoorParts, request: Request, bytes: Uint8Array | undefined) {
    this.#parts = parts;
    this.#request = request;
    this.#bytes = bytes;
  }

  /** C-CANCEL has no meaning for DIMSE-N (PS3.7 §9.3.2.3). */
  cancel(): void {
    // nothing
  }

  /** What was asked is done all the same. */
  leave(): void {
    // nothing
  }

  /** Sends the answer. Faults become a status; rejects only when the connection cannot be written. */
  async run(): Promise<void> {
    const { answer } = this.#request;
    let answered: Answered;
    try {
      answered = await this.#carryOut();
    } catch (error) {
      answered = this.#refusal(asFault(error));
    }
    return answer(...answered);
  }

  #refusal({ code, row, facts, cause }: Fault): Answered {
    if (row.http >= 500) this.#parts.log.error({ code, err: cause }, 'workitem');
    const { tag } = facts;
    const status = code.startsWith('DICOM_') ? STATUS.invalidArgument : row.dimse;
    return [
      // Statuses of DIMSE-N are fewer than those of storage (PS3.7 §10.1.5.1.6).
      status === STATUS.outOfResources ? STATUS.resourceLimitation : status,
      {
        // (0000,0902) LO: at most 64 characters.
        comment: row.meaning.slice(0, 64),
        ...(typeof tag === 'number' ? { offendingElements: [tag] } : {}),
      },
    ];
  }

  #carryOut(): Promise<Answered> {
    const { command, context } = this.#request;
    const named = command.affectedSopClassUid ?? command.requestedSopClassUid;
    // Every workitem is of UPS Push (§CC.3.1); some programs name the class they negotiated.
    if (named !== UPS_PUSH && named !== context.abstractSyntax)
      return Promise.resolve([STATUS.noSuchSopClass]);
    switch (command.commandField) {
      case COMMANDS.createRequest:
        return this.#create();
      case COMMANDS.getAttributesRequest:
        return this.#read();
      case COMMANDS.setRequest:
        return this.#set();
      case COMMANDS.actionRequest:
        return this.#act();
      default:
        // C-FIND without an identifier.
        return Promise.resolve([STATUS.mistypedArgument]);
    }
  }

  async #create(): Promise<Answered> {
    const { affectedSopInstanceUid } = this.#request.command;
    const { uid, changed } = await this.#parts.workitems.create(
      ...([this.#asker, affectedSopInstanceUid, this.#dataSet()] as const),
    );
    return [changed ? WORKITEM_STATUS.createdWithChanges : STATUS.success, { sopInstanceUid: uid }];
  }

  async #read(): Promise<Answered> {
    const { command, context } = this.#request;
    const workitem = await this.#parts.workitems.read(this.#asker, this.#uid);
    const asked = command.attributeIdentifiers;
    const found: DicomJson = {};
    for (const [hex, element] of Object.entries(workitem)) {
      const tag = Number.parseInt(hex, 16);
      if (!NOT_READ.has(tag) && (!asked || asked.includes(tag))) found[hex] = element;
    }
    const unsupported = asked?.some(
      (tag) =>
        tag === Tags.TransactionUID || NOT_READ.has(tag) || !(KNOWN.has(tag) || tagHex(tag) in workitem),
    );
    const dataSet = writeDataSet(wireDataSet(found), context.transferSyntax);
    return [unsupported ? WORKITEM_STATUS.attributesNotSupported : STATUS.success, { dataSet }];
  }

  async #set(): Promise<Answered> {
    const changes = this.#dataSet();
    const transaction = workitemText(changes, Tags.TransactionUID);
    await this.#parts.workitems.update(this.#asker, this.#uid, changes, transaction);
    return DONE;
  }

  async #act(): Promise<Answered> {
    const { command, context } = this.#request;
    const { workitems } = this.#parts;
    const type = command.actionTypeId;
    if (!upsHasAction(context.abstractSyntax, type)) return [STATUS.noSuchAction];
    const information = this.#bytes ? this.#dataSet() : {};
    if (type === UPS_ACTION.changeState) {
      const state = workitemText(information, Tags.ProcedureStepState);
      if (!isWorkitemState(state)) throw new Fault('BAD_REQUEST', { tag: Tags.ProcedureStepState });
      const transaction = workitemText(information, Tags.TransactionUID);
      return alreadyOr(await workitems.changeState(this.#asker, this.#uid, state, transaction));
    }
    if (type === UPS_ACTION.requestCancel)
      return alreadyOr(await workitems.requestCancel(this.#asker, this.#uid, information));
    const receiver = this.#receiver(information);
    const watched = this.#watched(information);
    if (type === UPS_ACTION.subscribe) {
      const lock = workitemText(information, Tags.DeletionLock) === 'TRUE';
      await workitems.subscribe(this.#asker, watched, receiver, lock);
    } else if (type === UPS_ACTION.unsubscribe) await workitems.unsubscribe(this.#asker, watched, receiver);
    else await workitems.suspend(this.#asker, watched, receiver);
    return DONE;
  }

  get #asker(): Asker {
    const { principal, callingAe } = this.#request.peer;
    return { principal, door: 'dicom', ae: callingAe };
  }

  /** @throws Fault WORKITEM_UNKNOWN. */
  get #uid(): string {
    const { requestedSopInstanceUid } = this.#request.command;
    if (requestedSopInstanceUid === undefined) throw new Fault('WORKITEM_UNKNOWN');
    return requestedSopInstanceUid;
  }

  /** @throws Fault DICOM_. */
  #dataSet(): DicomJson {
    if (!this.#bytes) throw new Fault('DICOM_STRUCTURE', { what: 'a data set is missing' });
    return jsonOf(this.#bytes, this.#request.context.transferSyntax);
  }

  /** @throws Fault BAD_REQUEST. */
  #receiver(information: DicomJson): Receiver {
    const ae = workitemText(information, Tags.ReceivingAE);
    if (ae === undefined) throw new Fault('BAD_REQUEST', { tag: Tags.ReceivingAE });
    return { ae, via: 'dimse', localAe: this.#request.peer.localAe };
  }

  /** Beside receiver and lock the action information of a filtered subscription holds its matching keys. */
  #watched(information: DicomJson): Watched {
    const uid = this.#uid;
    if (uid === ALL_WORKITEMS) return { kind: 'all' };
    if (uid !== FILTERED_WORKITEMS) return { kind: 'one', uid };
    const { [tagHex(Tags.ReceivingAE)]: _, [tagHex(Tags.DeletionLock)]: __, ...keys } = information;
    return {
      kind: 'filtered',
      filter: matchKeysOf(fromJson(keys)).filter(({ kind }) => kind !== 'universal'),
    };
  }
}

const alreadyOr = (already: WorkitemState | undefined): Answered =>
  already === undefined
    ? DONE
    : [already === 'COMPLETED' ? WORKITEM_STATUS.alreadyCompleted : WORKITEM_STATUS.alreadyCanceled];
