/**
 * What the routes under /api share.
 *
 * Layer:  server/doors/api.
 */
import type { FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Commitments } from '../../archive/commitment/types.ts';
import type { Exports } from '../../archive/export/exports.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { Archive } from '../../archive/types.ts';
import type { ApiKeys } from '../../identity/api-keys.ts';
import type { AuditTrail } from '../../identity/audit.ts';
import type { Auth } from '../../identity/auth.ts';
import type { Certificates } from '../../identity/certificates.ts';
import type { LocalAes } from '../../identity/local-aes.ts';
import type { People } from '../../identity/people.ts';
import type { Sessions } from '../../identity/sessions.ts';
import type { Throttle } from '../../identity/throttle.ts';
import type { Device, Devices, Principal } from '../../identity/types.ts';
import type { Config } from '../../platform/config.ts';
import type { Database } from '../../platform/database.ts';
import type { Events } from '../../platform/events.ts';
import type { Metrics } from '../../platform/metrics.ts';

export { VERSION } from '../../platform/openapi.ts';

export interface ApiContext {
  readonly config: Config;
  readonly certificates: Certificates;
  readonly localAes: LocalAes;
  readonly archive: Archive;
  readonly audit: AuditTrail;
  readonly auth: Auth;
  readonly commitments: Commitments;
  readonly database: Database;
  readonly devices: Devices;
  readonly events: Events;
  readonly exports: Exports;
  readonly keys: ApiKeys;
  readonly metrics: Metrics;
  readonly people: People;
  readonly renderer: Renderer;
  readonly sessions: Sessions;
  readonly throttle: Throttle;
  /** C-ECHO to a device, with what went wrong in plain words. */
  readonly echo: (device: Device) => Promise<{ ok: boolean; milliseconds: number; diagnosis: string }>;
  readonly dicomDoor: () => {
    readonly port: number;
    readonly tlsPort: number | undefined;
    readonly associations: number;
    readonly listening: boolean;
  };
}

export function principalOf({ principal }: FastifyRequest): Principal {
  if (!principal) throw new Fault('NOT_SIGNED_IN');
  return principal;
}
