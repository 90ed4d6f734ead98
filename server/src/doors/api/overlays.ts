/**
 * Corrections of a study: what was decided, a new one, and taking one back.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { NewOverlay, Overlay, OverlayHistory, OverlayUndo } from '@lightbox/core/contract/overlays.ts';
import { readEdits } from '@lightbox/core/dicom/edits.ts';
import type { Author, OverlayRow } from '../../archive/overlays/history.ts';
import type { Principal } from '../../identity/types.ts';
import { type HttpApp, toFault } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';
import { StudyParams } from './studies.ts';

const URL = '/api/studies/:studyUid/overlays';
const OverlayParams = StudyParams.extend({ id: z.string().regex(/^\d{1,18}$/) });

export function overlayRoutes(app: HttpApp, { archive, audit }: ApiContext): void {
  const { overlays } = archive;

  /** Runs a decision and writes down what became of it. */
  async function decided(
    principal: Principal,
    studyUid: string,
    action: 'correct' | 'undo',
    work: () => Promise<OverlayRow>,
  ): Promise<OverlayRow> {
    const record = (outcome: 'success' | 'failed', detail: Record<string, string | number>): void =>
      audit.record({
        ...{ event: 'correct', outcome, principal, studyUids: [studyUid] },
        detail: { action, ...detail },
      });
    try {
      if (!isUid(studyUid)) throw new Fault('BAD_REQUEST', { problem: 'not a UID' });
      const row = await work();
      record('success', {
        ...{ overlay: row.id, level: row.level, objects: row.objects },
        // Which attributes, not what they say.
        ...(row.edits ? { tags: Object.keys(row.edits).join(' ') } : { undoes: row.undoes ?? '' }),
      });
      return row;
    } catch (error) {
      record('failed', { code: toFault(error).code });
      throw error;
    }
  }

  app.route({
    ...{ method: 'GET', url: URL, config: { right: 'study.view' } },
    schema: { params: StudyParams, response: { 200: OverlayHistory } },
    handler: async (request) => {
      const { studyUid } = request.params;
      if (!isUid(studyUid)) throw new Fault('BAD_REQUEST', { problem: 'not a UID' });
      const [rows, coercions] = await Promise.all([overlays.history(studyUid), overlays.coercions(studyUid)]);
      audit.record({
        ...{ event: 'view', outcome: 'success', principal: principalOf(request), studyUids: [studyUid] },
        detail: { what: 'corrections' },
      });
      return {
        overlays: rows.map((row) => shown(row, rows)),
        coercions: coercions.map(({ rules, objects }) => ({ rules: [...rules], objects })),
      };
    },
  });

  app.route({
    ...{ method: 'POST', url: URL, config: { right: 'study.correct' } },
    schema: { params: StudyParams, body: NewOverlay, response: { 201: Overlay } },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      const { studyUid } = request.params;
      const { edits, ...asked } = request.body;
      const row = await decided(principal, studyUid, 'correct', async () =>
        overlays.correct({ ...asked, studyUid, edits: readEdits(edits), author: authorOf(principal) }),
      );
      return reply.status(201).send(shown(row, [row]));
    },
  });

  app.route({
    ...{ method: 'POST', url: `${URL}/:id/undo`, config: { right: 'study.correct' } },
    schema: { params: OverlayParams, body: OverlayUndo, response: { 201: Overlay } },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      const { studyUid, id } = request.params;
      const row = await decided(principal, studyUid, 'undo', async () =>
        overlays.undo(studyUid, id, request.body.reason, authorOf(principal)),
      );
      return reply.status(201).send(shown(row, [row]));
    },
  });
}

const authorOf = ({ id, name }: Principal): Author => ({ kind: 'person', id, name });

function shown(row: OverlayRow, history: readonly OverlayRow[]): z.input<typeof Overlay> {
  const undone = history.find((one) => one.undoes === row.id);
  return {
    ...{ id: row.id, level: row.level, objects: row.objects, reason: row.reason },
    ...(row.series_uid === null ? {} : { seriesUid: row.series_uid }),
    ...(row.sop_uid === null ? {} : { sopUid: row.sop_uid }),
    edits: row.edits as z.input<typeof Overlay>['edits'],
    before: row.before as z.input<typeof Overlay>['before'],
    author: { kind: row.author.kind, name: row.author.name },
    at: row.made_at.toISOString(),
    ...(row.undoes === null ? {} : { undoes: row.undoes }),
    ...(undone ? { undoneBy: undone.id } : {}),
  };
}
