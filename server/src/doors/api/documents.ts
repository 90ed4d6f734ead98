/**
 * Documents of a study: what is in an object that is no image, and its bytes.
 *
 * Source: PS3.18 has no such resource; RFC 9110 §14 (ranges), RFC 6266 (Content-Disposition), CSP Level 3 §6.4 (sandbox).
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { Document } from '@lightbox/core/contract/api.ts';
import type { InstanceRef } from '../../archive/types.ts';
import type { Principal } from '../../identity/types.ts';
import { ViewLog } from '../../identity/view-log.ts';
import type { HttpApp } from '../../platform/http.ts';
import { notModified, sendRanged } from '../../platform/ranges.ts';
import { type ApiContext, principalOf } from './context.ts';

const Params = z.object({
  studyUid: z.string().max(64),
  seriesUid: z.string().max(64),
  sopUid: z.string().max(64),
});
const URL = '/api/studies/:studyUid/series/:seriesUid/instances/:sopUid/document';

/** An object never changes; how it is read may, with a new version of Lightbox. */
const AGE_SECONDS = 600;
/** To be raised when the answer for the same object changes. */
const FORM = 1;

/** Whatever the bytes are, a page of ours they are not: no script, no style, no frame, an origin of their own. */
const BYTES_POLICY = "sandbox; default-src 'none'; frame-ancestors 'self'";

export function documentRoutes(app: HttpApp, context: Pick<ApiContext, 'archive' | 'audit'>): void {
  const { archive, audit } = context;
  const views = new ViewLog(audit);

  async function find(
    principal: Principal,
    scope: z.infer<typeof Params>,
    what: string,
  ): Promise<InstanceRef> {
    if (!Object.values(scope).every(isUid)) throw new Fault('BAD_REQUEST', { problem: 'not a UID' });
    const [ref] = await archive.retrieve.list(scope);
    if (!ref) {
      views.missed(principal, scope.studyUid, what, 'NOT_FOUND');
      throw new Fault('NOT_FOUND');
    }
    views.viewed(principal, scope.studyUid, what);
    return ref;
  }

  app.route({
    ...{ method: 'GET', url: URL, config: { right: 'study.view' } },
    schema: { params: Params, response: { 200: Document } },
    handler: async (request, reply) => {
      const ref = await find(principalOf(request), request.params, 'document');
      // Links in a report depend on what else is here: asked for again each time.
      reply.header('cache-control', 'private, no-cache');
      return archive.documents.read(ref, fileUrl(ref));
    },
  });

  app.route({
    ...{ method: 'GET', url: `${URL}/file`, config: { right: 'study.view' } },
    schema: { params: Params, produces: ['application/pdf', 'video/mp4', 'application/octet-stream'] },
    handler: async (request, reply) => {
      const ref = await find(principalOf(request), request.params, 'document-file');
      if (notModified(request, reply, `"${ref.version}-${FORM}"`, AGE_SECONDS)) return reply.send();
      const file = await archive.documents.file(ref);
      reply
        .header('content-security-policy', BYTES_POLICY)
        .header('x-content-type-options', 'nosniff')
        // Named by UID: a patient's name does not belong into a folder of downloads.
        .header('content-disposition', `attachment; filename="${ref.sopUid}.${file.extension}"`);
      return sendRanged(request, reply, file.mediaType, file.length, (range) => file.open(range));
    },
  });
}

const fileUrl = ({ studyUid, seriesUid, sopUid }: InstanceRef): string =>
  URL.replace(':studyUid', studyUid).replace(':seriesUid', seriesUid).replace(':sopUid', sopUid) + '/file';
