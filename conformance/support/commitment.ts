/**
 * A modality that asks for storage commitment, byte by byte: on an association of its own, and as the listener that the archive calls
 * back with the result. DCMTK has neither.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { DataSet } from '../../core/src/dicom/data-set.ts';
import { dataSet } from '../../core/src/dicom/element.ts';
import { readDataSet } from '../../core/src/dicom/read.ts';
import { Tags } from '../../core/src/dicom/tags.gen.ts';
import { items, number, uidValue } from '../../core/src/dicom/values.ts';
import { writeDataSet } from '../../core/src/dicom/write.ts';
import { type Command, COMMANDS, NO_DATA_SET } from '../../core/src/dimse/command.ts';
import { writeMessage } from '../../core/src/dimse/message.ts';
import type { AssociateRequest } from '../../core/src/dimse/pdu.ts';
import { associateRequest, CT, EXPLICIT, type Message, Wire } from './wire.ts';

export const COMMITMENT = '1.2.840.10008.1.20.1';
export const COMMITMENT_INSTANCE = '1.2.840.10008.1.20.1.1';
export const COMMIT_CONTEXT = 9;

/** Also stores and echoes. */
export function commitAssociation(
  callingAe: string,
  more: Partial<AssociateRequest['user']> = {},
): AssociateRequest {
  const request = associateRequest({ callingAe, user: more });
  const context = { id: COMMIT_CONTEXT, abstractSyntax: COMMITMENT, transferSyntaxes: [EXPLICIT] };
  return { ...request, contexts: [...request.contexts, context] };
}

/** What was told of a transaction. */
export interface Told {
  readonly eventTypeId: number | undefined;
  readonly transactionUid: string | undefined;
  readonly kept: string[];
  /** Reason by SOP Instance UID. */
  readonly failed: Record<string, number | undefined>;
}

export function toldBy({ command, dataSet: bytes }: Message): Told {
  if (command.commandField !== COMMANDS.eventReportRequest || !bytes)
    throw new Error(`no N-EVENT-REPORT but ${JSON.stringify(command)}`);
  const ds = readDataSet(bytes, EXPLICIT).dataSet;
  const name = (item: DataSet): string => uidValue(item, Tags.ReferencedSOPInstanceUID) ?? '';
  return {
    ...{ eventTypeId: command.eventTypeId, transactionUid: uidValue(ds, Tags.TransactionUID) },
    kept: items(ds, Tags.ReferencedSOPSequence).map(name),
    failed: Object.fromEntries(
      items(ds, Tags.FailedSOPSequence).map((item) => [name(item), number(item, Tags.FailureReason)]),
    ),
  };
}

export const requestOf = (
  transactionUid: string | undefined,
  sopUids: readonly string[],
  sopClass = CT,
): Uint8Array =>
  writeDataSet(
    dataSet({
      TransactionUID: transactionUid,
      ReferencedSOPSequence: sopUids.map((uid) =>
        dataSet({ ReferencedSOPClassUID: sopClass, ReferencedSOPInstanceUID: uid }),
      ),
    }),
    EXPLICIT,
  );

export const actionCommand = (messageId: number, more: Partial<Command> = {}): Command => ({
  ...{ commandField: COMMANDS.actionRequest, messageId, actionTypeId: 1, dataSetType: 1 },
  ...{ requestedSopClassUid: COMMITMENT, requestedSopInstanceUid: COMMITMENT_INSTANCE, ...more },
});

export const answerTo = ({ contextId, command }: Message, status = 0): Uint8Array =>
  writeMessage(
    contextId,
    {
      ...{ commandField: command.commandField | 0x8000, messageIdRespondedTo: command.messageId },
      affectedSopClassUid: command.affectedSopClassUid ?? COMMITMENT,
      affectedSopInstanceUid: command.affectedSopInstanceUid ?? COMMITMENT_INSTANCE,
      ...{ eventTypeId: command.eventTypeId, dataSetType: NO_DATA_SET, status },
    },
    undefined,
    16384,
  );

/** Asks, and gives the answer to the question. */
export async function askCommitment(
  wire: Wire,
  transactionUid: string | undefined,
  sopUids: readonly string[],
  messageId = 1,
  sopClass = CT,
): Promise<Command> {
  wire.request(COMMIT_CONTEXT, actionCommand(messageId), requestOf(transactionUid, sopUids, sopClass));
  return (await wire.message()).command;
}

/** A result as an archive tells it: what is kept, and the reason of what is not. */
export function resultMessage(
  contextId: number,
  messageId: number,
  transactionUid: string,
  kept: readonly string[],
  failed: Readonly<Record<string, number>> = {},
): Uint8Array {
  const reference = (uid: string): Record<string, string> => ({
    ...{ ReferencedSOPClassUID: CT, ReferencedSOPInstanceUID: uid },
  });
  const failures = Object.entries(failed);
  const ds = dataSet({
    TransactionUID: transactionUid,
    ReferencedSOPSequence: kept.map((uid) => dataSet(reference(uid))),
    FailedSOPSequence: failures.map(([uid, reason]) => dataSet({ ...reference(uid), FailureReason: reason })),
  });
  return writeMessage(
    contextId,
    {
      ...{ commandField: COMMANDS.eventReportRequest, messageId, dataSetType: 1 },
      ...{ affectedSopClassUid: COMMITMENT, affectedSopInstanceUid: COMMITMENT_INSTANCE },
      eventTypeId: failures.length ? 2 : 1,
    },
    writeDataSet(ds, EXPLICIT),
    16384,
  );
}

/** What an archive was asked for. */
export interface Asked {
  readonly command: Command;
  readonly transactionUid: string;
  readonly sopUids: string[];
}

function askedBy({ command, dataSet: bytes }: Message): Asked {
  const ds = readDataSet(bytes ?? new Uint8Array(), EXPLICIT).dataSet;
  return {
    ...{ command, transactionUid: uidValue(ds, Tags.TransactionUID) ?? '' },
    sopUids: items(ds, Tags.ReferencedSOPSequence).map(
      (item) => uidValue(item, Tags.ReferencedSOPInstanceUID) ?? '',
    ),
  };
}

/** The port of a modality, or of another archive: is told results of ours, and asked for its own. */
export class CommitListener {
  readonly port: number;
  readonly told: Told[] = [];
  readonly associations: AssociateRequest[] = [];
  /** Answers in their order; 0 when there are no more. `undefined`: the connection is cut instead. */
  readonly answers: (number | undefined)[] = [];
  readonly asked: Asked[] = [];
  /** N-CREATEs: of notices of availability. */
  readonly created: Message[] = [];
  /** What to tell on the association of a request, behind its answer. */
  tells: ((asked: Asked) => { kept: string[]; failed?: Record<string, number> }) | undefined;
  /** Statuses of the answers to what was told. */
  readonly heard: (number | undefined)[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(port = 0): Promise<CommitListener> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((settle) => server.listen(port, '127.0.0.1', settle));
    const address = server.address();
    const listener = new CommitListener(server, typeof address === 'object' && address ? address.port : port);
    server.on('connection', (socket) => {
      listener.#sockets.add(socket);
      void listener.#serve(Wire.over(socket)).finally(() => listener.#sockets.delete(socket));
    });
    return listener;
  }

  async #serve(wire: Wire): Promise<void> {
    const request = await wire.next();
    if (request === 'closed' || request.type !== 'associate-rq') return wire.destroy();
    this.associations.push(request);
    wire.send({
      ...{ ...request, type: 'associate-ac' },
      user: { maxPdu: 16384, ...(request.user.roles ? { roles: request.user.roles } : {}) },
      contexts: request.contexts.map(({ id, transferSyntaxes }) => ({
        ...{ id, result: 0, transferSyntax: transferSyntaxes[0] ?? EXPLICIT },
      })),
    });
    const message = await wire.message();
    const answer = this.answers.length ? this.answers.shift() : 0;
    if (answer === undefined) return wire.destroy();
    const { commandField } = message.command;
    const isRequest = commandField === COMMANDS.actionRequest;
    if (commandField === COMMANDS.createRequest) this.created.push(message);
    else if (isRequest) this.asked.push(askedBy(message));
    else if (answer === 0) this.told.push(toldBy(message));
    wire.send(answerTo(message, answer));
    const asked = this.asked.at(-1);
    if (isRequest && answer === 0 && this.tells && asked) {
      const { kept, failed } = this.tells(asked);
      wire.send(resultMessage(message.contextId, 77, asked.transactionUid, kept, failed));
      this.heard.push((await wire.message()).command.status);
    }
    if ((await wire.next()) !== 'closed') wire.send({ type: 'release-rp' });
    wire.socket.end();
  }

  stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((settle) => this.#server.close(() => settle()));
  }
}
