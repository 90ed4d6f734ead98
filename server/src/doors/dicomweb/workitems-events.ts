/**
 * Notifications over the web: a WebSocket on which a watcher hears of workitems as long as it listens.
 *
 * Nothing is kept for who does not listen: a watcher that connects again looks at the list (PS3.18 §8.10.4, PS3.17 §GGG.1).
 * Source: PS3.18 §8.10.4 (Open Notification Connection), §8.10.5 (Send Event Report), RFC 6455.
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyInstance } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { eventJson } from '@lightbox/core/workflow/workitem-events.ts';
import type { StillAllowed } from '../../identity/guard.ts';
import type { Workitems } from '../../ris/workitems/types.ts';
import { principalOf } from './answer.ts';
import type { Resource } from './capabilities.ts';
import type { DoorContext } from './context.ts';
import { aeOf } from './workitems-request.ts';

export interface NotificationParts {
  readonly workitems: Workitems;
  /** Asked again and again while it listens: a session may end, a key may be revoked. */
  readonly stillAllowed: StillAllowed;
}

const RIGHT = 'workitem.view';
/** Each holds a socket and some kilobytes. */
const MAX_LISTENERS = 500;
/** A watcher that does not read what it asked for is let go. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** How long somebody hears on who may not any more; and whether anybody is there. */
const CHECK_MS = 15_000;
/** RFC 6455 §7.4.1: policy violation, internal error. */
const CLOSE = { notAllowed: 1008, failed: 1011 } as const;

const URL = '/ws/subscribers/:aetitle';
const SUMMARY = 'Open a notification connection, as a WebSocket (PS3.18 §8.10.4)';

export function offerNotifications(
  app: FastifyInstance,
  context: DoorContext,
  { workitems, stillAllowed }: NotificationParts,
): Resource {
  let listening = 0;
  app.route({
    ...{ method: 'GET', url: URL, config: { right: RIGHT, background: true } },
    schema: { summary: SUMMARY, tags: ['DICOMweb'] },
    // Before the connection becomes a WebSocket a refusal is an ordinary answer (Table 8.10.4-2).
    preValidation: (request, _reply, done) => {
      aeOf(request);
      if (request.ws && listening >= MAX_LISTENERS) throw new Fault('BUSY');
      done();
    },
    handler: () => {
      throw new Fault('WEBSOCKET_WANTED');
    },
    wsHandler: (socket, request) => {
      const ae = aeOf(request);
      listening += 1;
      let messageId = 0;
      let alive = true;
      const end = workitems.listen(ae, (event) => {
        messageId = (messageId % 0xffff) + 1;
        if (socket.bufferedAmount > MAX_WAITING_BYTES) socket.terminate();
        else socket.send(JSON.stringify(eventJson(event, messageId)));
      });
      context.audit.record({
        ...{ event: 'workitem', outcome: 'success', principal: principalOf(request) },
        detail: { what: 'listening', door: 'dicomweb', peer: ae },
      });
      const timer = setInterval(() => {
        if (!alive) return socket.terminate();
        alive = false;
        socket.ping();
        stillAllowed(request, RIGHT).then(
          (may) => {
            if (!may) socket.close(CLOSE.notAllowed);
          },
          () => socket.close(CLOSE.failed),
        );
      }, CHECK_MS);
      socket.on('pong', () => (alive = true));
      socket.on('close', () => {
        listening -= 1;
        clearInterval(timer);
        end();
      });
    },
  });
  return { method: 'GET', url: URL, summary: SUMMARY, answerTypes: [] };
}
