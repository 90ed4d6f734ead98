/**
 * A receiver that throws away what it is sent and says Success at once: what the senders reach against it is the most the
 * harness can show on this machine. Runs in a process of its own: `node bench/support/sink.ts`, tells its ports by IPC.
 *
 * Source: PS3.8 §9.2 (acceptor), PS3.7 §9.3.1 (C-STORE-RSP).
 */
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { fork } from 'node:child_process';
import { COMMANDS, NO_DATA_SET, type Command } from '@lightbox/core/dimse/command.ts';
import { MessageAssembler, writeMessage } from '@lightbox/core/dimse/message.ts';
import { negotiate } from '@lightbox/core/dimse/negotiate.ts';
import { writePdu } from '@lightbox/core/dimse/pdu.ts';
import { PduSplitter, type Received } from '@lightbox/core/dimse/splitter.ts';

/** The same as Lightbox's default (LIGHTBOX_DICOM_MAX_PDU). */
const MAX_PDU = 128 * 1024;

export interface Sink {
  readonly pid: number;
  readonly dicomPort: number;
  readonly httpPort: number;
  stop(): Promise<void>;
}

export async function startSink(): Promise<Sink> {
  const child = fork(import.meta.filename, { stdio: 'inherit' });
  const ports = await new Promise<{ dicomPort: number; httpPort: number }>((settle, fail) => {
    child.once('message', (message) => settle(message as { dicomPort: number; httpPort: number }));
    child.once('exit', (code) => fail(new Error(`the sink ended with ${code}`)));
  });
  return {
    ...ports,
    pid: child.pid ?? 0,
    stop: async () => {
      const ended = new Promise((settle) => child.once('exit', settle));
      child.kill();
      await ended;
    },
  };
}

function discard(socket: Socket): void {
  const splitter = new PduSplitter(MAX_PDU);
  const assembler = new MessageAssembler();
  let peerMaxPdu = 0;
  let contextId = 0;
  let command: Command | undefined;
  const take = (value: Received): void => {
    if (value.type === 'associate-rq') {
      const negotiated = negotiate(value, MAX_PDU);
      peerMaxPdu = negotiated.peerMaxPdu;
      socket.write(writePdu(negotiated.accept));
    } else if (value.type === 'release-rq') socket.end(writePdu({ type: 'release-rp' }));
    else if (value.type !== 'pdv') socket.destroy();
    else {
      const event = assembler.take(value);
      if (event?.kind === 'command') {
        command = event.command;
        contextId = event.contextId;
      } else if (event?.last && command) {
        const { affectedSopClassUid, affectedSopInstanceUid, messageId } = command;
        const answer = {
          ...{ commandField: COMMANDS.storeRequest | 0x8000, dataSetType: NO_DATA_SET, status: 0 },
          ...{ affectedSopClassUid, affectedSopInstanceUid, messageIdRespondedTo: messageId },
        };
        socket.write(writeMessage(contextId, answer, undefined, peerMaxPdu));
      }
    }
  };
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    splitter.push(chunk);
    for (let value = splitter.next(); value; value = splitter.next()) take(value);
  });
}

const listening = (server: Server): Promise<number> =>
  new Promise((settle) =>
    server.listen(0, '127.0.0.1', () => settle((server.address() as AddressInfo).port)),
  );

if (process.argv[1] === import.meta.filename) {
  const dicom = createServer({ noDelay: true }, discard);
  const http = createHttpServer((request, response) => {
    request.resume().once('end', () => response.end('{}'));
  });
  const [dicomPort, httpPort] = [await listening(dicom), await listening(http)];
  process.send?.({ dicomPort, httpPort });
  process.once('disconnect', () => process.exit(0));
}
