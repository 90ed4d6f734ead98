/**
 * The DICOM port: listens, counts, and gives every connection an association of its own.
 *
 * Layer:  server/doors/dimse.
 */
import { createServer, type Socket } from 'node:net';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Archive } from '../../archive/types.ts';
import type { Audit, Devices } from '../../identity/types.ts';
import type { Config } from '../../platform/config.ts';
import type { Log } from '../../platform/log.ts';
import { Association } from './association.ts';

export interface DimseDoorOptions {
  readonly config: Config['dicom'];
  readonly archive: Archive;
  readonly devices: Devices;
  readonly audit: Audit;
  readonly log: Log;
}

export interface DimseDoor {
  readonly port: number;
  /** Open now. */
  associations(): number;
  /** False once it was closed, or lost its port. */
  listening(): boolean;
  /** No new associations; those under way may finish what they are at, then they are aborted. */
  close(): Promise<void>;
}

const CLOSE_MS = 5000;

/** @throws Fault PORT_BUSY. */
export async function startDimseDoor(options: DimseDoorOptions): Promise<DimseDoor> {
  const { config, log } = options;
  const open = new Set<Association>();
  const server = createServer({ noDelay: true, pauseOnConnect: false }, (socket: Socket) => {
    socket.on('error', (error) =>
      log.debug({ code: (error as NodeJS.ErrnoException).code }, 'dicom connection'),
    );
    const association = new Association(socket, options, open.size >= config.maxAssociations);
    open.add(association);
    void association.run().finally(() => open.delete(association));
  });
  await new Promise<void>((settle, fail) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      fail(
        error.code === 'EADDRINUSE'
          ? new Fault('PORT_BUSY', { port: config.port, setting: 'LIGHTBOX_DICOM_PORT' }, { cause: error })
          : error,
      ),
    );
    server.listen(config.port, config.host, settle);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : config.port,
    associations: () => open.size,
    listening: () => server.listening,
    async close() {
      const closed = new Promise<void>((settle) => server.close(() => settle()));
      for (const association of open) association.stop();
      const patience = setTimeout(() => {
        for (const association of open) association.abort();
      }, CLOSE_MS);
      await closed;
      clearTimeout(patience);
    },
  };
}
