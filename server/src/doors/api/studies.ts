/**
 * The study list, one study, and live news.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { type LiveEvent, StudyDetail, StudyListQuery, StudyPage } from '@lightbox/core/contract/api.ts';
import type { HttpApp } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';

const HEARTBEAT_MS = 20_000;
/** Pages open at once; each holds a socket. */
const MAX_LISTENERS = 2000;
/** So many bytes waiting for one page: it has gone to sleep. */
const MAX_WAITING_BYTES = 1024 * 1024;

export const StudyParams = z.object({ studyUid: z.string().max(64) });

export function studyRoutes(app: HttpApp, context: ApiContext): void {
  const { archive, audit, events } = context;

  app.route({
    ...{ method: 'GET', url: '/api/studies', config: { right: 'study.search' } },
    schema: { querystring: StudyListQuery, response: { 200: StudyPage } },
    handler: async (request) => {
      const { query } = request;
      const page = await archive.studies.list(query);
      const keys = Object.keys(query).filter(
        (key) => !['sort', 'descending', 'limit', 'cursor'].includes(key),
      );
      audit.record({
        ...{ event: 'query', outcome: 'success', principal: principalOf(request) },
        detail: { door: 'list', keys: keys.join(' '), matches: page.items.length },
      });
      return page;
    },
  });

  app.route({
    ...{ method: 'GET', url: '/api/studies/:studyUid', config: { right: 'study.view' } },
    schema: { params: StudyParams, response: { 200: StudyDetail } },
    handler: async (request) => {
      const { studyUid } = request.params;
      if (!isUid(studyUid)) throw new Fault('BAD_REQUEST', { problem: 'not a UID' });
      const detail = await archive.studies.detail(studyUid);
      audit.record({
        ...{ event: 'view', outcome: 'success', principal: principalOf(request), studyUids: [studyUid] },
        detail: { what: 'study' },
      });
      return detail;
    },
  });

  let listeners = 0;
  app.route({
    ...{ method: 'GET', url: '/api/events', config: { right: 'study.search', background: true } },
    schema: { summary: 'Live news as server-sent events' },
    handler: (request, reply) => {
      if (listeners >= MAX_LISTENERS) throw new Fault('BUSY');
      listeners += 1;
      reply.hijack();
      const { raw } = reply;
      raw.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      });
      raw.write(': here\n\n');
      const write = (text: string): void => {
        if (raw.writableLength > MAX_WAITING_BYTES) raw.destroy();
        else raw.write(text);
      };
      const tell = (event: z.infer<typeof LiveEvent>): void => write(`data: ${JSON.stringify(event)}\n\n`);
      const ends = [
        events.subscribe('study.changed', (payload) => tell({ type: 'study.changed', ...payload })),
        events.subscribe('study.stable', (payload) => tell({ type: 'study.stable', ...payload })),
        events.subscribe('device.refused', ({ callingAe }) => tell({ type: 'device.refused', callingAe })),
        events.subscribe('transfer.changed', (payload) => tell({ type: 'transfer.changed', ...payload })),
        events.subscribe('workitem.changed', (payload) => tell({ type: 'workitem.changed', ...payload })),
      ];
      const beat = setInterval(() => write(': still here\n\n'), HEARTBEAT_MS);
      raw.on('close', () => {
        listeners -= 1;
        clearInterval(beat);
        for (const end of ends) end();
      });
      const stop = (): void => void raw.end();
      closing.add(stop);
      raw.on('close', () => closing.delete(stop));
    },
  });
  const closing = new Set<() => void>();
  app.addHook('preClose', (done) => {
    for (const stop of closing) stop();
    done();
  });
}
