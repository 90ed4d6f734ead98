/**
 * Transfers by DIMSE: objects to another program by C-STORE, from another archive by C-GET or C-MOVE.
 *
 * Source: PS3.4 Annex B (storage), §C.4.2, §C.4.3 (retrieve).
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { STATUS, statusMeaning, statusText } from '@lightbox/core/dimse/status.ts';
import type { Carrier } from '../../archive/transfers/types.ts';
import type { Device } from '../../identity/types.ts';
import type { DoorParts } from './door.ts';
import { type Addressed, fetchFrom, type FetchParts } from './fetch.ts';
import { routeTo } from './move.ts';

/** So many objects in a row for which the destination has no room: it is left alone for a while. */
const MAX_FULL = 5;

export function dimseCarrier(parts: Pick<DoorParts, 'renderer'> & FetchParts): Carrier {
  return {
    async send(device, objects, report, signal) {
      const { aeTitle: callingAe } = parts.config;
      const route = routeTo(parts, { device: addressed(device), callingAe });
      const abort = (): void => route.abort();
      signal.addEventListener('abort', abort, { once: true });
      let full = 0;
      try {
        for (const ref of route.order([...objects])) {
          if (signal.aborted) return;
          const answer = await route.send(ref);
          const dead = route.dead();
          // What the association broke in the middle of is not known to have arrived.
          if (dead) throw dead;
          if (signal.aborted) return;
          report(ref, answer instanceof Fault ? { fault: answer } : { status: answer });
          const noRoom = typeof answer === 'number' && (answer & 0xff00) === STATUS.outOfResources;
          full = noRoom ? full + 1 : 0;
          if (noRoom && full >= MAX_FULL)
            throw new Fault('DIMSE_STATUS', { status: statusText(answer), meaning: statusMeaning(answer) });
        }
      } finally {
        signal.removeEventListener('abort', abort);
        await route.close();
      }
    },
    fetch: (device, scope, method, report, signal) =>
      fetchFrom(parts, addressed(device), scope, method, report, signal),
  };
}

/** @throws Fault TRANSFER_DEVICE. */
export function addressed(device: Device): Addressed {
  const { host, port } = device;
  if (host === undefined || port === undefined) throw new Fault('TRANSFER_DEVICE');
  return { ...device, host, port };
}
