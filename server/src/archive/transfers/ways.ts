/**
 * Which way objects travel: by DICOMweb where a device has such a service, else by DIMSE.
 *
 * Layer:  server/archive.
 */
import type { Device } from '../../identity/types.ts';
import type { Carrier, FetchMethod } from './types.ts';

/** C-GET and C-MOVE that a person asked for by name are meant, where the device can be called by DIMSE at all. */
function isByWeb({ dicomweb, host, port }: Device, method: FetchMethod = 'auto'): boolean {
  const callable = host !== undefined && port !== undefined;
  return dicomweb !== undefined && (method === 'auto' || !callable);
}

export function eitherWay(dimse: Carrier, web: Carrier): Carrier {
  const by = (device: Device, method?: FetchMethod): Carrier => (isByWeb(device, method) ? web : dimse);
  return {
    send: (device, ...rest) => by(device).send(device, ...rest),
    fetch: (device, scope, method, ...rest) => by(device, method).fetch(device, scope, method, ...rest),
  };
}
