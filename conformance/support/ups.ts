/**
 * A workstation that works on workitems by DIMSE, byte by byte: as the one who asks, and as the listener that is told events.
 * Neither DCMTK nor Orthanc speaks UPS.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { DataSet } from '../../core/src/dicom/data-set.ts';
import { type DicomJson, toJson } from '../../core/src/dicom/json.ts';
import { readDataSet } from '../../core/src/dicom/read.ts';
import { writeDataSet } from '../../core/src/dicom/write.ts';
import { type Command, COMMANDS, NO_DATA_SET } from '../../core/src/dimse/command.ts';
import type { AssociateRequest } from '../../core/src/dimse/pdu.ts';
import { answerTo } from './commitment.ts';
import { associateRequest, EXPLICIT, Wire } from './wire.ts';

/** PS3.4 Table CC.3-1. */
export const PUSH = '1.2.840.10008.5.1.4.34.6.1';
export const WATCH = '1.2.840.10008.5.1.4.34.6.2';
export const PULL = '1.2.840.10008.5.1.4.34.6.3';
export const EVENT = '1.2.840.10008.5.1.4.34.6.4';
export const QUERY = '1.2.840.10008.5.1.4.34.6.5';
export const CONTEXTS: Readonly<Record<string, number>> = {
  [PUSH]: 21,
  [WATCH]: 23,
  [PULL]: 25,
  [QUERY]: 27,
};

export interface Heard {
  readonly command: Command;
  readonly data: DataSet | undefined;
}

/** An association in which each class has a context. */
export class Workstation {
  readonly wire: Wire;
  #messageId = 0;

  private constructor(wire: Wire) {
    this.wire = wire;
  }

  static async open(
    port: number,
    callingAe: string,
    classes = [PUSH, WATCH, PULL, QUERY],
  ): Promise<Workstation> {
    const wire = await Wire.open(port);
    const request: AssociateRequest = {
      ...associateRequest({ callingAe }),
      contexts: classes.map((abstractSyntax, at) => ({
        ...{ id: CONTEXTS[abstractSyntax] ?? 101 + 2 * at, abstractSyntax, transferSyntaxes: [EXPLICIT] },
      })),
    };
    wire.send(request);
    const answer = await wire.next();
    if (answer === 'closed' || answer.type !== 'associate-ac')
      throw new Error(`no association but ${JSON.stringify(answer)}`);
    return new Workstation(wire);
  }

  async ask(
    sopClass: string,
    command: Omit<Command, 'messageId' | 'dataSetType'>,
    data?: DataSet,
  ): Promise<Heard> {
    this.#messageId += 1;
    const whole: Command = {
      ...command,
      ...{ messageId: this.#messageId, dataSetType: data ? 1 : NO_DATA_SET },
    };
    this.wire.request(CONTEXTS[sopClass] ?? 0, whole, data && writeDataSet(data, EXPLICIT));
    return this.answer();
  }

  async answer(): Promise<Heard> {
    const { command, dataSet } = await this.wire.message();
    return { command, data: dataSet && readDataSet(dataSet, EXPLICIT).dataSet };
  }

  create(uid: string | undefined, data: DataSet): Promise<Heard> {
    const commandField = COMMANDS.createRequest;
    return this.ask(PUSH, { commandField, affectedSopClassUid: PUSH, affectedSopInstanceUid: uid }, data);
  }

  get(uid: string, tags?: readonly number[], sopClass = WATCH): Promise<Heard> {
    const commandField = COMMANDS.getAttributesRequest;
    return this.ask(sopClass, { ...requested(uid), commandField, attributeIdentifiers: tags });
  }

  set(uid: string, data: DataSet): Promise<Heard> {
    return this.ask(PULL, { ...requested(uid), commandField: COMMANDS.setRequest }, data);
  }

  action(sopClass: string, uid: string, actionTypeId: number, data?: DataSet): Promise<Heard> {
    return this.ask(
      sopClass,
      { ...requested(uid), commandField: COMMANDS.actionRequest, actionTypeId },
      data,
    );
  }

  async find(
    sopClass: string,
    identifier: DataSet,
  ): Promise<{ matches: DicomJson[]; status: number | undefined }> {
    const commandField = COMMANDS.findRequest;
    let heard = await this.ask(
      sopClass,
      { commandField, affectedSopClassUid: sopClass, priority: 0 },
      identifier,
    );
    const matches: DicomJson[] = [];
    for (; heard.data; heard = await this.answer()) {
      if (heard.command.status !== 0xff00) throw new Error(`not pending: ${heard.command.status}`);
      matches.push(toJson(heard.data));
    }
    return { matches, status: heard.command.status };
  }

  async close(): Promise<void> {
    await this.wire.release();
    this.wire.destroy();
  }
}

const requested = (uid: string): Pick<Command, 'requestedSopClassUid' | 'requestedSopInstanceUid'> => ({
  ...{ requestedSopClassUid: PUSH, requestedSopInstanceUid: uid },
});

/** The port of a watcher: is told events, several on one association. */
export class EventListener {
  readonly port: number;
  readonly events: Heard[] = [];
  readonly associations: AssociateRequest[] = [];
  /** Answers in their order; 0 when there are no more. `undefined`: the connection is cut instead. */
  readonly answers: (number | undefined)[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(): Promise<EventListener> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
    const address = server.address();
    const listener = new EventListener(server, typeof address === 'object' && address ? address.port : 0);
    server.on('connection', (socket) => {
      listener.#sockets.add(socket);
      void listener
        .#serve(Wire.over(socket))
        .catch(() => undefined)
        .finally(() => listener.#sockets.delete(socket));
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
    for (;;) {
      // The release is no message: the association ends with it.
      const message = await wire.message().catch(() => undefined);
      if (!message) break;
      const answer = this.answers.length ? this.answers.shift() : 0;
      if (answer === undefined) return wire.destroy();
      const { command, dataSet } = message;
      this.events.push({ command, data: dataSet && readDataSet(dataSet, EXPLICIT).dataSet });
      wire.send(answerTo(message, answer));
    }
    wire.send({ type: 'release-rp' });
    wire.socket.end();
  }

  stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((settle) => this.#server.close(() => settle()));
  }
}
