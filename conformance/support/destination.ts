/**
 * A storage SCP that does as it is told: takes, refuses, warns, breaks off or keeps silent. Where C-MOVEs end.
 *
 * It writes and reads with core/dimse, which is proven against recorded bytes; what is tested with it is the door.
 */
import { createHash, type Hash } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { Command } from '@lightbox/core/dimse/command.ts';
import { COMMANDS, NO_DATA_SET } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, writeMessage } from '@lightbox/core/dimse/message.ts';
import { type AssociateRequest, type ProposedContext, writePdu } from '@lightbox/core/dimse/pdu.ts';
import { PduSplitter } from '@lightbox/core/dimse/splitter.ts';

export interface Arrived {
  readonly command: Command;
  readonly transferSyntaxUid: string;
  readonly sha256: string;
}

export interface Behaviour {
  /** Which contexts are accepted; default all. */
  readonly accepts?: (context: ProposedContext) => boolean;
  /** The status of an answer; 'abort' and 'silent' instead of one. Default success. */
  readonly answer?: (command: Command, index: number) => number | 'abort' | 'silent';
  readonly delayMs?: number;
}

export class Destination {
  readonly arrived: Arrived[] = [];
  readonly requests: AssociateRequest[] = [];
  /** Most associations that were open at once. */
  most = 0;
  behaviour: Behaviour = {};
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      this.most = Math.max(this.most, this.#sockets.size);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      this.#serve(socket).catch(() => socket.destroy());
    });
  }

  static async start(): Promise<Destination> {
    const destination = new Destination();
    await new Promise<void>((settle) => destination.#server.listen(0, '127.0.0.1', settle));
    return destination;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** Forgets what came, and behaves otherwise from now on. */
  reset(behaviour: Behaviour = {}): void {
    this.arrived.length = 0;
    this.requests.length = 0;
    this.most = this.#sockets.size;
    this.behaviour = behaviour;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  async #serve(socket: Socket): Promise<void> {
    const splitter = new PduSplitter(1 << 20);
    const assembler = new MessageAssembler();
    const syntaxes = new Map<number, string>();
    let open: { command: Command; contextId: number; hash: Hash } | undefined;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      splitter.push(chunk);
      for (let value = splitter.next(); value; value = splitter.next()) {
        if (value.type === 'associate-rq') this.#accept(socket, value, syntaxes);
        else if (value.type === 'release-rq') {
          socket.end(writePdu({ type: 'release-rp' }));
          return;
        } else if (value.type !== 'pdv') return void socket.destroy();
        else {
          const event = assembler.take(value);
          if (event?.kind === 'command') open = { ...event, hash: createHash('sha256') };
          if (event?.kind !== 'data' || !open) continue;
          open.hash.update(event.bytes);
          if (event.last && !(await this.#answer(socket, open, syntaxes))) return;
        }
      }
    }
  }

  #accept(socket: Socket, request: AssociateRequest, syntaxes: Map<number, string>): void {
    this.requests.push(request);
    const contexts = request.contexts.map((context) => {
      const transferSyntax = context.transferSyntaxes[0] ?? '';
      const taken = this.behaviour.accepts?.(context) ?? true;
      if (taken) syntaxes.set(context.id, transferSyntax);
      return { id: context.id, result: taken ? 0 : 4, transferSyntax };
    });
    socket.write(writePdu({ ...request, type: 'associate-ac', contexts, user: { maxPdu: 65536 } }));
  }

  /** @returns whether the association goes on. */
  async #answer(
    socket: Socket,
    { command, contextId, hash }: { command: Command; contextId: number; hash: Hash },
    syntaxes: ReadonlyMap<number, string>,
  ): Promise<boolean> {
    const { delayMs = 0, answer } = this.behaviour;
    const status = answer?.(command, this.arrived.length) ?? 0;
    this.arrived.push({
      ...{ command, sha256: hash.digest('hex'), transferSyntaxUid: syntaxes.get(contextId) ?? '' },
    });
    if (delayMs > 0) await new Promise<void>((settle) => setTimeout(settle, delayMs));
    if (status === 'silent') return true;
    if (status === 'abort') {
      socket.end(writePdu({ type: 'abort', source: 0, reason: 0 }));
      return false;
    }
    const response: Command = {
      ...{ commandField: COMMANDS.storeResponse, messageIdRespondedTo: command.messageId, status },
      ...{ affectedSopClassUid: command.affectedSopClassUid, dataSetType: NO_DATA_SET },
      affectedSopInstanceUid: command.affectedSopInstanceUid,
    };
    socket.write(writeMessage(contextId, response, undefined, 65536));
    return true;
  }
}
