/**
 * The DICOM port with TLS: opens as soon as there is a certificate, and takes new certificates without a pause.
 *
 * Source: PS3.8 §9.1.1 (port 2762, dicom-tls), PS3.15 Annex B.12, B.13, RFC 9325.
 * Layer:  server/doors/dimse.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Certificates, TlsMaterial } from '../../identity/certificates.ts';
import { plainAddress } from '../../identity/devices.ts';
import type { Channel, Devices } from '../../identity/types.ts';
import { type Pair, readChain, shownBy } from '../../identity/x509.ts';
import type { Config } from '../../platform/config.ts';
import type { Log } from '../../platform/log.ts';
import { profileOptions } from '../../platform/tls-profile.ts';
import { REFUSED_WORDS, tlsReason, type TlsReason } from '../../platform/tls-words.ts';

export interface TlsListenerOptions {
  readonly config: Config['dicom'];
  readonly certificates: Certificates;
  readonly devices: Pick<Devices, 'refuseHandshake'>;
  readonly log: Log;
  /** Counts refused handshakes. */
  readonly refused: (reason: TlsReason) => void;
}

export interface TlsListener {
  /** undefined while it is not listening. */
  port(): number | undefined;
  /** No new connections; those there are stay. */
  close(): Promise<void>;
}

/** In the middle of a handshake at the same time; further ones end the one that has waited longest (attacks C51, C52). */
const HANDSHAKES = 64;

/**
 * @param accept  Gets every connection whose peer is who the configuration asks for.
 * @throws Fault PORT_BUSY.
 */
export async function startTlsListener(
  options: TlsListenerOptions,
  accept: (socket: Socket, channel: Channel) => void,
): Promise<TlsListener> {
  const { config, certificates, devices, log, refused } = options;
  const { tls } = config;
  let server: Server | undefined;
  let contexts: { readonly names: X509Certificate; readonly context: SecureContext }[] = [];
  let turn = Promise.resolve();
  let closed = false;

  const contextOf = ({ certificate, privateKey }: Pair) => ({
    ...profileOptions(tls.profile),
    ...{ cert: certificate, key: privateKey, ca: [...certificates.trusted()] },
  });

  function refuse(socket: TLSSocket, reason: TlsReason): void {
    refused(reason);
    const from = plainAddress(socket.remoteAddress ?? '');
    devices.refuseHandshake(from, REFUSED_WORDS[reason], shownBy(socket)?.fingerprint);
    log.info({ reason }, 'dicom TLS handshake refused');
  }

  function open(material: TlsMaterial): Server {
    const handshakes = new Map<string, Socket>();
    const made = createServer({
      ...contextOf(material.own),
      ...{ requestCert: true, rejectUnauthorized: tls.clients === 'required', noDelay: true },
      handshakeTimeout: config.artimSeconds * 1000,
      SNICallback: (name, answer) =>
        answer(null, contexts.find(({ names }) => names.checkHost(name) !== undefined)?.context),
    });
    made.on('connection', (socket: Socket) => {
      const key = endOf(socket);
      handshakes.set(key, socket);
      socket.once('close', () => handshakes.delete(key));
      const [longest] = handshakes.values();
      if (handshakes.size > HANDSHAKES) longest?.destroy();
    });
    made.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      // Of a certificate that does not hold, the verification says more than the error, which is only the end it led to.
      // Typed as an Error, it is the name of one, or null.
      const verification = (socket.authorizationError as unknown as string | null) ?? undefined;
      refuse(socket, tlsReason(error.code) ?? tlsReason(verification) ?? 'ended');
    });
    made.on('secureConnection', (socket) => {
      handshakes.delete(endOf(socket));
      socket.on('error', (error: NodeJS.ErrnoException) =>
        log.debug({ code: error.code }, 'dicom connection'),
      );
      const certificate = shownBy(socket);
      if (certificate && !socket.authorized) {
        // Only where certificates are optional: showing none would have been better.
        refuse(socket, tlsReason(String(socket.authorizationError)) ?? 'untrusted');
        socket.destroy();
        return;
      }
      accept(socket, { tls: true, certificate });
    });
    return made;
  }

  async function refresh(): Promise<void> {
    if (closed || tls.port === PORT_OFF) return;
    const material = certificates.material();
    if (!material) {
      // The last certificate was taken away: there is nothing to present any more.
      server?.close();
      server = undefined;
      return;
    }
    contexts = [...material.byAeTitle.values()].map((pair) => ({
      names: readChain(pair.certificate)[0],
      context: createSecureContext(contextOf(pair)),
    }));
    if (server) {
      server.setSecureContext(contextOf(material.own));
      return;
    }
    const made = open(material);
    await new Promise<void>((settle, fail) => {
      made.once('error', (error: NodeJS.ErrnoException) =>
        fail(
          error.code === 'EADDRINUSE'
            ? new Fault('PORT_BUSY', { port: tls.port, setting: 'LIGHTBOX_DICOM_TLS_PORT' }, { cause: error })
            : error,
        ),
      );
      made.listen(tls.port, config.host, settle);
    });
    server = made;
    log.info({ port: portOf(made) }, 'dicom TLS listening');
  }

  /** One after the other: two changes at once would open two. */
  const next = (): Promise<void> => {
    const mine = turn.then(refresh);
    turn = mine.catch(() => undefined);
    return mine;
  };

  await next();
  const unsubscribe = certificates.onChange(next);
  return {
    port: () => (server?.listening ? portOf(server) : undefined),
    async close() {
      closed = true;
      unsubscribe();
      await turn;
      const open = server;
      server = undefined;
      if (open) await new Promise<void>((settle) => open.close(() => settle()));
    },
  };
}

const PORT_OFF = 0;

const endOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`;

function portOf(server: Server): number | undefined {
  const address = server.address();
  return typeof address === 'object' && address ? address.port : undefined;
}
