/**
 * What the handlers of the DICOMweb door share.
 *
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { Archive, InstanceRef, ObjectScope } from '../../archive/types.ts';
import type { Audit } from '../../identity/types.ts';
import { principalOf } from './answer.ts';
import { BulkLinks } from './bulk-links.ts';
import type { SpoolParts } from './store-metadata.ts';
import { ViewLog } from '../../identity/view-log.ts';

export interface DoorContext {
  readonly archive: Archive;
  readonly renderer: Renderer;
  readonly audit: Audit;
  readonly views: ViewLog;
  readonly links: BulkLinks;
  /** Where bulk data waits for the metadata it belongs to. */
  readonly spool: SpoolParts;
  readonly log: FastifyBaseLogger;
  /** Path the door is mounted at: `/dicom-web`. */
  readonly prefix: string;
}

export interface DoorOptions {
  readonly archive: Archive;
  readonly renderer: Renderer;
  readonly audit: Audit;
  /** Seals the addresses of bulk data, and makes the names of what is given anonymously. */
  readonly secret: string;
  /** A folder of ours on the disk of the archive; what is in it is gone when a request is over. */
  readonly spoolFolder: string;
  readonly log: FastifyBaseLogger;
}

export function contextOf(options: DoorOptions & { readonly prefix: string }): DoorContext {
  const { archive, renderer, audit, log, secret, spoolFolder } = options;
  return {
    ...{ archive, renderer, audit, log, prefix: options.prefix.replace(/\/$/, '') },
    views: new ViewLog(audit),
    links: new BulkLinks(secret),
    spool: { folder: spoolFolder, room: () => archive.room() },
  };
}

/** Study, series and instance of the path; a name that is no UID is nobody's object (PS3.5 §9.1). */
export function scopeOf(request: FastifyRequest): ObjectScope {
  const { study, series, instance } = request.params as Record<string, string | undefined>;
  for (const uid of [study, series, instance]) {
    if (uid !== undefined && !isUid(uid)) throw new Fault('BAD_REQUEST', { problem: 'not a UID' });
  }
  return { studyUid: study ?? '', seriesUid: series, sopUid: instance };
}

/** The objects that the path names; see `findIn`. */
export const find = (
  context: DoorContext,
  request: FastifyRequest,
  what: string,
): Promise<[InstanceRef, ...InstanceRef[]]> => findIn(context, request, scopeOf(request), what);

/**
 * The objects of a scope, and the look written down.
 *
 * @throws Fault NOT_FOUND when there are none.
 */
export async function findIn(
  context: DoorContext,
  request: FastifyRequest,
  scope: ObjectScope,
  what: string,
): Promise<[InstanceRef, ...InstanceRef[]]> {
  const principal = principalOf(request);
  const [first, ...rest] = await context.archive.retrieve.list(scope);
  if (!first) {
    context.views.missed(principal, scope.studyUid, what, 'NOT_FOUND');
    throw new Fault('NOT_FOUND');
  }
  context.views.viewed(principal, scope.studyUid, what);
  return [first, ...rest];
}
