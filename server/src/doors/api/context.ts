/**
 * What the routes under /api share.
 *
 * Layer:  server/doors/api.
 */
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Commitments } from '../../archive/commitment/types.ts';
import type { Exports } from '../../archive/export/exports.ts';
import type { RemoteQuery, RemoteSeries, RemoteStudy } from '@lightbox/core/contract/transfers.ts';
import type { Imports } from '../../archive/import/imports.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { Rules } from '../../archive/rules/types.ts';
import type { Transfers } from '../../archive/transfers/types.ts';
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
  readonly imports: Imports;
  readonly keys: ApiKeys;
  readonly metrics: Metrics;
  readonly people: People;
  readonly renderer: Renderer;
  readonly rules: Rules;
  readonly sessions: Sessions;
  readonly throttle: Throttle;
  readonly transfers: Transfers;
  readonly remote: Remote;
  /** C-ECHO to a device, with what went wrong in plain words. */
  readonly echo: (device: Device) => Promise<{ ok: boolean; milliseconds: number; diagnosis: string }>;
  readonly dicomDoor: () => {
    readonly port: number;
    readonly tlsPort: number | undefined;
    readonly associations: number;
    readonly listening: boolean;
  };
}

/** Other archives, asked while a person waits. */
export interface Remote {
  /** Matches as they come. @throws Fault. */
  studies(device: Device, keys: RemoteKeys, limit: number, signal: AbortSignal): AsyncIterable<FoundStudy>;
  /** @throws Fault. */
  series(device: Device, studyUid: string, signal: AbortSignal): Promise<FoundSeries[]>;
  /** What to look at when a device could not be reached or did not agree, in plain words. */
  adviceFor(fault: Fault): string;
}

export type RemoteKeys = Omit<z.output<typeof RemoteQuery>, 'deviceIds' | 'limit'>;
export type FoundStudy = Omit<z.output<typeof RemoteStudy>, 'here'>;
export type FoundSeries = Omit<z.output<typeof RemoteSeries>, 'here'>;

export function principalOf({ principal }: FastifyRequest): Principal {
  if (!principal) throw new Fault('NOT_SIGNED_IN');
  return principal;
}
