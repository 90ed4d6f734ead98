/** Rules: the file in force, its versions, what a draft would do with a study, and what was done. Layer: web/api. */
import {
  RuleLog,
  RulesChecked,
  RulesRan,
  RulesState,
  RulesTried,
  RuleVersion,
  RuleVersionDetail,
  RuleVersions,
  type RuleLogRow,
  type RuleProblem,
  type TriedRule,
} from '@lightbox/core/contract/rules.ts';
import type { RuleFile } from '@lightbox/core/translate/rules/types.ts';
import type { z } from 'zod';
import { call, withQuery } from './client.ts';

export type RuleState = z.output<typeof RulesState>;
export type Version = z.output<typeof RuleVersion>;
export type Problem = z.output<typeof RuleProblem>;
export type Tried = z.output<typeof RulesTried>;
export type TriedOne = z.output<typeof TriedRule>;
export type LogRow = z.output<typeof RuleLogRow>;

/** The schema and the types of the language describe the same; see core/src/contract/rules.test.ts. */
export const fileOf = (file: RuleState['file']): RuleFile => file as RuleFile;

export const readRules = () => call(RulesState, '/api/rules');
export const checkRuleText = (text: string, signal?: AbortSignal) =>
  call(RulesChecked, '/api/rules/check', { method: 'POST', body: { text }, signal });
export const saveRules = (text: string, comment: string, from: number | null) =>
  call(RuleVersion, '/api/rules', { method: 'PUT', body: { text, comment, from } });
export const listVersions = () => call(RuleVersions, '/api/rules/versions');
export const readVersion = (id: number) => call(RuleVersionDetail, `/api/rules/versions/${id}`);
export const restoreVersion = (id: number) =>
  call(RuleVersion, `/api/rules/versions/${id}/restore`, { method: 'POST', body: {} });
export const tryRules = (studyUid: string, text: string, signal?: AbortSignal) =>
  call(RulesTried, '/api/rules/try', { method: 'POST', body: { studyUid, text }, signal });
export const runRule = (studyUid: string, rule: string) =>
  call(RulesRan, '/api/rules/run', { method: 'POST', body: { studyUid, rule } });
export const releaseLoop = (rule: string, aeTitle: string) =>
  call(RulesRan, '/api/rules/loops/release', { method: 'POST', body: { rule, aeTitle } });
export const listRuleLog = (filter: { before?: number | undefined; limit?: number }) =>
  call(RuleLog, withQuery('/api/rules/log', filter));
