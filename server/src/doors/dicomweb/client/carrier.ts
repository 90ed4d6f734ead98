/**
 * Transfers by DICOMweb: objects to another system by STOW-RS, from one by WADO-RS.
 *
 * Source: PS3.18 §10.4, §10.5.
 * Layer:  server/doors/dicomweb.
 */
import type { Carrier } from '../../../archive/transfers/types.ts';
import { fetchFrom, type FetchParts } from './fetch.ts';
import { type WebParts, webPeerOf } from './http.ts';
import { pushTo, type PushParts } from './push.ts';

export type CarrierParts = WebParts & FetchParts & Pick<PushParts, 'renderer'>;

export function webCarrier(parts: CarrierParts): Carrier {
  const { archive, renderer, log } = parts;
  const pushing = { retrieve: archive.retrieve, renderer, log };
  return {
    send: async (device, objects, report, signal) =>
      pushTo(pushing, webPeerOf(parts, device), objects, device.sendAs, report, signal),
    fetch: async (device, scope, _method, report, signal) =>
      fetchFrom(parts, webPeerOf(parts, device), device, scope, report, signal),
  };
}
