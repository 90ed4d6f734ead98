/**
 * A carrier that asks for storage commitment behind what it sends, of devices that are to be asked.
 *
 * Source: PS3.4 §J.3.2.1 (the SCU chooses when to ask).
 * Layer:  server/archive.
 */
import type { Principal } from '../../identity/types.ts';
import type { Log } from '../../platform/log.ts';
import { verdictOf } from '../transfers/states.ts';
import type { Carrier } from '../transfers/types.ts';
import type { InstanceRef } from '../types.ts';
import type { Commitments } from './types.ts';

const SYSTEM: Principal = { kind: 'system', id: 'system', name: 'Lightbox', roles: [], remoteAddress: '' };

export function askAfterSending(
  carrier: Carrier,
  { commitments, log }: { readonly commitments: Pick<Commitments, 'ask'>; readonly log: Log },
): Carrier {
  return {
    ...carrier,
    async send(device, objects, report, signal) {
      if (!device.offers.includes('commit')) return carrier.send(device, objects, report, signal);
      const taken: InstanceRef[] = [];
      try {
        await carrier.send(
          device,
          objects,
          (object, result) => {
            const verdict = verdictOf(result);
            if (verdict === 'taken' || verdict === 'warning') taken.push(object);
            report(object, result);
          },
          signal,
        );
      } finally {
        // Of a transfer that broke off, what had arrived: the rest is asked for when it has.
        if (taken.length > 0)
          await commitments.ask(device, taken, SYSTEM).catch((error: unknown) => {
            log.error({ err: error, device: device.aeTitle }, 'storage commitment could not be asked for');
          });
      }
    },
  };
}
