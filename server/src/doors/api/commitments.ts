/**
 * Storage commitments as people see them: who asked for what, what was told, and what could not be told.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import { Fault, FAULTS } from '@lightbox/core/base/fault.ts';
import {
  Commitment,
  CommitmentInput,
  CommitmentQuery,
  CommitmentsAsked,
} from '@lightbox/core/contract/api.ts';
import type { CommitmentRow } from '../../archive/commitment/types.ts';
import type { HttpApp } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';

const Id = z.object({ id: z.string().min(1).max(100) });

export function commitmentRoutes(app: HttpApp, { archive, commitments, devices }: ApiContext): void {
  app.route({
    ...{ method: 'GET', url: '/api/commitments', config: { right: 'device.read' } },
    schema: { querystring: CommitmentQuery, response: { 200: z.array(Commitment) } },
    handler: async ({ query: { limit, state } }) =>
      (await commitments.list(limit, state && [state])).map(commitmentOf),
  });
  app.route({
    ...{ method: 'POST', url: '/api/commitments/:id/retry', config: { right: 'device.manage' } },
    schema: { params: Id },
    handler: async (request, reply) => {
      await commitments.retry(request.params.id, principalOf(request));
      return reply.status(204).send();
    },
  });
  app.route({
    ...{ method: 'POST', url: '/api/devices/:id/commitments', config: { right: 'study.export' } },
    schema: { params: Id, body: CommitmentInput, response: { 200: CommitmentsAsked } },
    handler: async (request) => {
      const device = (await devices.list()).find(({ id }) => id === request.params.id);
      const objects = await archive.retrieve.list({ studyUid: request.body.studyUid });
      if (!device || objects.length === 0) throw new Fault('NOT_FOUND');
      const items = objects.map(({ sopClassUid, sopUid }) => ({ sopClassUid, sopUid }));
      return { ids: await commitments.ask(device, items, principalOf(request)) };
    },
  });
}

const commitmentOf = (row: CommitmentRow): z.output<typeof Commitment> => ({
  ...{ id: row.id, direction: row.direction, via: row.via, peer: row.peerName, state: row.state },
  ...{ transactionUid: row.transactionUid, objects: row.objects, failed: row.failed ?? null },
  ...{ attempts: row.attempts, nextAt: row.nextAt?.toISOString() ?? null, code: row.fault ?? null },
  message:
    row.fault !== undefined && row.fault in FAULTS ? FAULTS[row.fault as keyof typeof FAULTS].meaning : null,
  ...{ createdAt: row.createdAt.toISOString(), finishedAt: row.finishedAt?.toISOString() ?? null },
});
