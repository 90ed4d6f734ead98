/**
 * The DICOM port: listens, counts, and gives every connection an association of its own.
 *
 * Layer:  server/doors/dimse.
 */
import { createServer, type Socket } from 'node:net';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Commitments } from '../../archive/commitment/types.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { Archive } from '../../archive/types.ts';
import type { Certificates } from '../../identity/certificates.ts';
import type { Audit, Channel, Devices } from '../../identity/types.ts';
import type { UserIdentities } from '../../identity/user-identity.ts';
import type { Config } from '../../platform/config.ts';
import type { Log } from '../../platform/log.ts';
import type { Workitems } from '../../ris/workitems/types.ts';
import { Association } from './association.ts';
import { ByteBudget, REQUEST_BYTES } from './commit.ts';
import { type PlaceLimit, Places } from './places.ts';
import { NamedSlots, Slots } from './slots.ts';
import { startTlsListener } from './tls-listener.ts';
import type { TlsReason } from '../../platform/tls-words.ts';

export interface DimseDoorOptions {
  readonly config: Config['dicom'];
  readonly archive: Archive;
  readonly renderer: Renderer;
  readonly commitments: Commitments;
  readonly workitems: Workitems;
  readonly devices: Devices;
  readonly certificates: Certificates;
  readonly identities: UserIdentities;
  /** Counts TLS handshakes that were refused. */
  readonly tlsRefused: (reason: TlsReason) => void;
  /** Counts associations for which there was no place. */
  readonly full: (limit: PlaceLimit) => void;
  readonly audit: Audit;
  readonly log: Log;
}

/** What every association works with. */
export interface DoorParts extends DimseDoorOptions {
  /** Each search holds a connection to the database; a peer that reads slowly holds it long. */
  readonly searches: Slots;
  /** Retrievals, by calling AE title. */
  readonly retrieves: NamedSlots;
  /** Memory for storage commitments that are being received. */
  readonly requests: ByteBudget;
  readonly places: Places;
}

export interface DimseDoor {
  readonly port: number;
  /** undefined: not listening with TLS. */
  tlsPort(): number | undefined;
  /** Asked for and let in, now. */
  associations(): number;
  /** False once it was closed, or lost its port. */
  listening(): boolean;
  /** No new associations; those under way may finish what they are at, then they are aborted. */
  close(): Promise<void>;
}

const CLOSE_MS = 5000;
/** Less than half of the database connections, so that storing and the pages never wait for searches. */
const SEARCHES = 8;
/** Each reads a disk and holds the list of its objects: at worst some 16 MB for the most that can be counted. */
const RETRIEVES = 16;
/**
 * Connections that have not asked for an association yet. Programs ask at once, so that more than this is an attack or a port
 * scan, and the one that has waited longest is closed (attacks C51, C52).
 */
const WAITING = 64;

/** @throws Fault PORT_BUSY. */
export async function startDimseDoor(options: DimseDoorOptions): Promise<DimseDoor> {
  const { config, log } = options;
  const parts: DoorParts = {
    ...options,
    searches: new Slots(SEARCHES),
    retrieves: new NamedSlots(config.retrievesPerPeer, RETRIEVES),
    requests: new ByteBudget(REQUEST_BYTES),
    places: new Places(config),
  };
  const open = new Set<Association>();
  const waiting = new Set<Association>();
  const accept = (socket: Socket, channel: Channel): void => {
    const association: Association = new Association(socket, channel, parts, () =>
      waiting.delete(association),
    );
    open.add(association);
    waiting.add(association);
    const [longest] = waiting;
    if (waiting.size > WAITING) {
      if (longest) waiting.delete(longest);
      longest?.abort();
    }
    void association.run().finally(() => {
      for (const set of [open, waiting]) set.delete(association);
    });
  };
  const server = createServer({ noDelay: true }, (socket: Socket) => {
    socket.on('error', (error) =>
      log.debug({ code: (error as NodeJS.ErrnoException).code }, 'dicom connection'),
    );
    accept(socket, { tls: false });
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
  const secure = await startTlsListener({ ...options, refused: options.tlsRefused }, accept).catch(
    (error: unknown) => {
      server.close();
      throw error;
    },
  );
  const address = server.address();
  return {
    tlsPort: () => secure.port(),
    port: typeof address === 'object' && address ? address.port : config.port,
    associations: () => parts.places.taken,
    listening: () => server.listening,
    async close() {
      const closed = new Promise<void>((settle) => server.close(() => settle()));
      for (const association of open) association.stop();
      const patience = setTimeout(() => {
        for (const association of open) association.abort();
      }, CLOSE_MS);
      await Promise.all([closed, secure.close()]);
      clearTimeout(patience);
    },
  };
}
