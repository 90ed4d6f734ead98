/**
 * Taking studies away: a choice is made, then the medium is downloaded.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { ExportInput, ExportState, ExportTicket } from '@lightbox/core/contract/api.ts';
import type { HttpApp } from '../../platform/http.ts';
import { Outgoing } from '../../platform/outgoing.ts';
import { toFault } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';

const Params = z.object({ id: z.string().max(64) });
/** An export is prepared in seconds, and read for minutes: more is no person. */
const RATE = { max: 30, timeWindow: '1 minute' };

export function exportRoutes(app: HttpApp, { exports, audit }: ApiContext): void {
  app.route({
    ...{ method: 'POST', url: '/api/exports', config: { right: 'study.export', rateLimit: RATE } },
    schema: { summary: 'Choose what to export', body: ExportInput, response: { 201: ExportTicket } },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      for (const { studyUid, seriesUids = [] } of request.body.studies)
        if (![studyUid, ...seriesUids].every(isUid)) throw new Fault('BAD_REQUEST', { problem: 'not a UID' });
      const studyUids = request.body.studies.map((one) => one.studyUid);
      try {
        const { id, objects, bytes, notes } = await exports.choose(request.body, principal.id);
        const url = `/api/exports/${id}/file`;
        return await reply.status(201).send({
          ...{ id, url, name: nameOf(request.body.format, new Date()), objects, bytes },
          notes: [...notes].map(([code, count]) => ({
            ...{ code, message: new Fault(code).row.meaning, objects: count },
          })),
        });
      } catch (error) {
        const detail = { code: toFault(error).code };
        audit.record({ event: 'export', outcome: 'failed', principal, studyUids, detail });
        throw error;
      }
    },
  });

  app.route({
    ...{ method: 'GET', url: '/api/exports/:id', config: { right: 'study.export', background: true } },
    schema: { params: Params, response: { 200: ExportState } },
    handler: (request) => exports.progress(request.params.id, principalOf(request).id),
  });

  app.route({
    ...{ method: 'GET', url: '/api/exports/:id/file', config: { right: 'study.export', rateLimit: RATE } },
    schema: { summary: 'The medium: application/zip or a disc image', params: Params },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      const sending = await exports.send(request.params.id, principal.id);
      const { format, deidentified, objects, studyUids, totalBytes } = sending;
      // However it ends: sent, broken off by us, or left by who asked.
      reply.raw.once('close', () => {
        const { bytes, whole } = sending.state();
        audit.record({
          ...{ event: 'export', outcome: whole ? 'success' : 'failed', principal, studyUids },
          detail: { door: 'media', format, deidentified, objects, bytes },
        });
        sending
          .close()
          .catch((error: unknown) => request.log.warn({ err: error }, 'an export was not closed'));
      });
      if (totalBytes !== undefined) reply.header('content-length', totalBytes);
      return reply
        .type(format === 'iso' ? 'application/x-iso9660-image' : 'application/zip')
        .header('content-disposition', `attachment; filename="${nameOf(format, new Date())}"`)
        .header('cache-control', 'no-store')
        .send(new Outgoing(sending.pieces));
    },
  });
}

const nameOf = (format: 'zip' | 'iso', at: Date): string =>
  `lightbox-${at.toISOString().slice(0, 10)}.${format}`;
