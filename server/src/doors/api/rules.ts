/**
 * Rules as administrators see them: the file in force and its versions, what is wrong with a draft, what it would do with a study,
 * what was done, and loops that wait for a decision.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import { Fault, FAULTS, type FaultCode } from '@lightbox/core/base/fault.ts';
import {
  LoopRelease,
  RuleLog,
  RuleLogQuery,
  RulesCheck,
  RulesChecked,
  RulesRan,
  RulesRun,
  RulesSave,
  RulesState,
  RulesTried,
  RulesTry,
  RuleVersion,
  RuleVersionDetail,
  RuleVersions,
} from '@lightbox/core/contract/rules.ts';
import { readRules } from '@lightbox/core/translate/rules/check.ts';
import type { Problem } from '@lightbox/core/translate/rules/types.ts';
import type { AuditEvent, Principal } from '../../identity/types.ts';
import type { HttpApp } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';

const Id = z.object({ id: z.coerce.number().int().min(1).max(0x7fffffff) });

export function ruleRoutes(app: HttpApp, { archive, audit, rules }: ApiContext): void {
  const config = { right: 'settings.manage' as const };
  const record = (
    event: AuditEvent,
    principal: Principal,
    detail: Readonly<Record<string, string | number>>,
    studyUids: readonly string[] = [],
    outcome: 'success' | 'failed' = 'success',
  ): void => audit.record({ event, outcome, principal, studyUids, detail: { part: 'rules', ...detail } });

  app.route({
    ...{ method: 'GET', url: '/api/rules', config },
    schema: { response: { 200: RulesState } },
    handler: () => rules.state(),
  });
  app.route({
    ...{ method: 'GET', url: '/api/rules/file', config },
    schema: { summary: 'The rules in force as a file.' },
    handler: async (_request, reply) => {
      const { file } = await rules.state();
      return reply
        .type('application/json; charset=utf-8')
        .header('content-disposition', 'attachment; filename="rules.json"')
        .header('cache-control', 'no-store')
        .send(`${JSON.stringify(file, undefined, 2)}\n`);
    },
  });
  app.route({
    ...{ method: 'POST', url: '/api/rules/check', config },
    schema: { body: RulesCheck, response: { 200: RulesChecked } },
    handler: async (request) => ({ problems: (await rules.check(request.body.text)).map(told) }),
  });
  app.route({
    ...{ method: 'PUT', url: '/api/rules', config },
    schema: { body: RulesSave, response: { 200: RuleVersion } },
    handler: async (request) => {
      const { text, comment, from } = request.body;
      return save(principalOf(request), text, comment, from);
    },
  });
  app.route({
    ...{ method: 'GET', url: '/api/rules/versions', config },
    schema: { response: { 200: RuleVersions } },
    handler: () => rules.versions(),
  });
  app.route({
    ...{ method: 'GET', url: '/api/rules/versions/:id', config },
    schema: { params: Id, response: { 200: RuleVersionDetail } },
    handler: (request) => rules.version(request.params.id),
  });
  app.route({
    ...{ method: 'POST', url: '/api/rules/versions/:id/restore', config },
    schema: {
      summary: 'A new version that says what an old one said.',
      params: Id,
      response: { 200: RuleVersion },
    },
    handler: async (request) => {
      const { id, file } = await rules.version(request.params.id);
      return save(principalOf(request), JSON.stringify(file), `version ${id} again`);
    },
  });

  async function save(
    principal: Principal,
    text: string,
    comment: string,
    from?: number | null,
  ): Promise<z.output<typeof RuleVersion>> {
    const saved = await rules.save(text, comment, principal, from);
    if (!saved.saved) {
      record('settings.changed', principal, { problems: saved.problems.length }, [], 'failed');
      throw invalid(saved.problems);
    }
    record('settings.changed', principal, { version: saved.version.id, rules: saved.version.rules });
    return saved.version;
  }

  app.route({
    ...{ method: 'POST', url: '/api/rules/try', config },
    schema: { body: RulesTry, response: { 200: RulesTried } },
    handler: async (request, reply) => {
      const { studyUid, text, askArchives } = request.body;
      const draft = text === undefined ? undefined : readRules(text);
      if (draft && !draft.file) throw invalid(draft.problems);
      const stop = new AbortController();
      reply.raw.on('close', () => stop.abort());
      const tried = await rules.try(studyUid, draft?.file, askArchives, stop.signal);
      record('view', principalOf(request), { rules: tried.rules.length }, [studyUid]);
      return { ...tried, ...(await archive.studies.names([studyUid])).get(studyUid) };
    },
  });
  app.route({
    ...{ method: 'POST', url: '/api/rules/run', config },
    schema: { body: RulesRun, response: { 200: RulesRan } },
    handler: async (request) => {
      const { studyUid, rule } = request.body;
      const objects = await rules.run(studyUid, rule);
      record('transfer.asked', principalOf(request), { rule, objects }, [studyUid]);
      return { objects };
    },
  });
  app.route({
    ...{ method: 'POST', url: '/api/rules/loops/release', config },
    schema: { body: LoopRelease, response: { 200: RulesRan } },
    handler: async (request) => {
      const { rule, aeTitle } = request.body;
      const objects = await rules.release(rule, aeTitle);
      record('settings.changed', principalOf(request), { what: 'loop released', rule, aeTitle, objects });
      return { objects };
    },
  });

  app.route({
    ...{ method: 'GET', url: '/api/rules/log', config },
    schema: { querystring: RuleLogQuery, response: { 200: RuleLog } },
    handler: async (request) => {
      const rows = await rules.log(request.query);
      const names = await archive.studies.names([...new Set(rows.map(({ studyUid }) => studyUid))]);
      record('query', principalOf(request), { matches: rows.length });
      return rows.map((row) => {
        const { patientName } = names.get(row.studyUid) ?? {};
        return { ...row, ...(patientName ? { patientName } : {}), message: meaningOf(row.code) };
      });
    },
  });
}

const told = ({ rule, facts, ...problem }: Problem): z.input<typeof RulesChecked>['problems'][number] => ({
  ...{ ...problem, facts: { ...facts } },
  ...(rule === undefined ? {} : { rule }),
});

const invalid = (problems: readonly Problem[]): Fault =>
  new Fault('RULES_INVALID', { problems: problems.length, first: problems[0]?.message });

const meaningOf = (code: string | null): string | null =>
  code !== null && code in FAULTS ? FAULTS[code as FaultCode].meaning : null;
