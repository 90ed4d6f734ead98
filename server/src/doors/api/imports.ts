/**
 * Objects from another institution: whose they are is asked before anybody sees them.
 *
 * Layer:  server/doors/api. Their files come through the routes of upload.ts.
 */
import { PassThrough } from 'node:stream';
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import { ImportBegun, ImportDecisions, ImportPreview } from '@lightbox/core/contract/api.ts';
import { parsePersonName } from '@lightbox/core/dicom/person-name.ts';
import type { Decided } from '../../archive/import/imports.ts';
import { type HttpApp, toFault } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';
import { resultOf } from './upload.ts';

const Params = z.object({ id: z.string().max(64) });
const config = { right: 'study.store' } as const;

export function importRoutes(app: HttpApp, { imports, audit }: ApiContext): void {
  app.route({
    ...{ method: 'POST', url: '/api/imports', config },
    schema: { summary: 'Begin an import', response: { 201: ImportBegun } },
    handler: async (request, reply) =>
      reply.status(201).send({ id: await imports.begin(principalOf(request).id) }),
  });
  app.route({
    ...{ method: 'GET', url: '/api/imports/:id', config },
    schema: { params: Params, response: { 200: ImportPreview } },
    handler: async (request) => {
      const principal = principalOf(request);
      const preview = await imports.preview(request.params.id, principal.id);
      const studyUids = preview.patients.flatMap((one) => one.studies.map((study) => study.studyUid));
      // Patients of ours are shown beside those that came: somebody has looked.
      const detail = { what: 'import', objects: preview.objects };
      audit.record({ event: 'view', outcome: 'success', principal, studyUids, detail });
      return {
        ...preview,
        patients: preview.patients.map((one) => ({
          ...{ ...one, name: groupsOf(one.name), studies: [...one.studies.map(studyOf)] },
          choices: [...one.choices],
          matches: one.matches.map((match) => ({ ...match, name: groupsOf(match.name) })),
        })),
      };
    },
  });
  app.route({
    ...{ method: 'DELETE', url: '/api/imports/:id', config },
    schema: { params: Params },
    handler: async (request, reply) => {
      await imports.discard(request.params.id, principalOf(request).id);
      return reply.status(204).send();
    },
  });
  app.route({
    ...{ method: 'POST', url: '/api/imports/:id/decisions', config },
    schema: { summary: 'Take in what was decided', params: Params, body: ImportDecisions },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      const { decisions } = request.body;
      const chosen = new Map(decisions.map(({ person, choice }) => [person, choice]));
      if (chosen.size !== decisions.length) throw new Fault('BAD_REQUEST', { problem: 'decided twice' });
      const { id: by, name, remoteAddress } = principal;
      const source = { kind: 'import', by, name, remoteAddress } as const;
      const work = await imports.decide(request.params.id, source, chosen);
      const out = new PassThrough();
      const carryOut = async (): Promise<void> => {
        // To its end, also when nobody listens any more: half an import is worse than one without a witness.
        for await (const one of work) {
          if (!out.destroyed) out.write(`${JSON.stringify(lineOf(one))}\n`);
          if (one.outcome === 'skipped') continue;
          const status = one.outcome instanceof Fault ? one.outcome.code : one.outcome.status;
          const studyUid = one.outcome instanceof Fault ? undefined : one.outcome.studyUid;
          audit.record({
            ...{ event: 'store', principal, studyUids: studyUid === undefined ? [] : [studyUid] },
            outcome: status === 'stored' || status === 'duplicate' ? 'success' : 'failed',
            detail: { door: 'import', status },
          });
        }
      };
      void carryOut()
        .catch((error: unknown) =>
          request.log.error({ err: error, code: toFault(error).code }, 'import failed'),
        )
        .finally(() => out.end());
      return reply.type('application/x-ndjson').header('cache-control', 'no-store').send(out);
    },
  });
}

function lineOf({ sopUid, outcome }: Decided): object {
  if (outcome === 'skipped') return { name: sopUid, status: 'skipped' };
  if (outcome instanceof Fault)
    return { name: sopUid, status: 'refused', code: outcome.code, message: outcome.row.meaning };
  return { name: sopUid, ...resultOf(outcome) };
}

const studyOf = <T extends { readonly modalities: readonly string[] }>(study: T) => ({
  ...study,
  modalities: [...study.modalities],
});

function groupsOf(name: string): { alphabetic: string; ideographic?: string; phonetic?: string } {
  const { Alphabetic = '', Ideographic, Phonetic } = parsePersonName(name) ?? {};
  return {
    alphabetic: Alphabetic,
    ...(Ideographic === undefined ? {} : { ideographic: Ideographic }),
    ...(Phonetic === undefined ? {} : { phonetic: Phonetic }),
  };
}
