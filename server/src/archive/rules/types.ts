/**
 * Rules in force: their versions, what they would do, what they did, and what a person has to decide.
 *
 * Layer:  server/archive. How archives are searched is the business of a `PriorArchives`, which a door brings.
 */
import type { z } from 'zod';
import type { Fault } from '@lightbox/core/base/fault.ts';
import type {
  RuleLogQuery,
  RuleLogRow,
  RulesState,
  RulesTried,
  RuleVersion,
  RuleVersionDetail,
} from '@lightbox/core/contract/rules.ts';
import type { PriorSubject } from '@lightbox/core/translate/rules/priors.ts';
import type { Problem, RuleFile } from '@lightbox/core/translate/rules/types.ts';
import type { Device, Principal } from '../../identity/types.ts';

export type Version = z.output<typeof RuleVersion>;
export type VersionDetail = z.output<typeof RuleVersionDetail>;
export type State = z.output<typeof RulesState>;
export type Tried = z.output<typeof RulesTried>;
export type LogQuery = z.output<typeof RuleLogQuery>;
export type LogRow = Omit<z.output<typeof RuleLogRow>, 'patientName' | 'message'>;
export type Author = Pick<Principal, 'kind' | 'id' | 'name'>;

export type Saved =
  | { readonly saved: true; readonly version: Version }
  | { readonly saved: false; readonly problems: readonly Problem[] };

export interface Rules {
  state(): Promise<State>;
  /** What is wrong with a file, here: devices that do not exist are. */
  check(text: string): Promise<readonly Problem[]>;
  /**
   * A new version, in force at once.
   *
   * @param from  The version it was made from. @throws Fault RULES_CHANGED when another is in force by now.
   */
  save(text: string, comment: string, by: Author, from?: number | null): Promise<Saved>;
  /** Newest first. */
  versions(): Promise<Version[]>;
  /** @throws Fault NOT_FOUND. */
  version(id: number): Promise<VersionDetail>;
  /** What rules would do with a study, and why not. Nothing is changed. @throws Fault NOT_FOUND. */
  try(
    studyUid: string,
    file: RuleFile | undefined,
    askArchives: boolean,
    signal: AbortSignal,
  ): Promise<Tried>;
  /** A rule on a study again, whatever it did before. @returns for how many objects. @throws Fault NOT_FOUND. */
  run(studyUid: string, rule: string): Promise<number>;
  log(query: LogQuery): Promise<LogRow[]>;
  /** What a loop held is sent, and the rule goes on. @throws Fault NOT_FOUND. */
  release(rule: string, aeTitle: string): Promise<number>;
  start(): void;
  close(): Promise<void>;
}

/** A study as an archive tells of it. */
export interface FoundPrior {
  readonly studyUid: string;
  readonly patientId: string;
  readonly issuer: string;
  readonly birthDate: string;
  readonly date: string;
  readonly description: string;
  readonly modalities: readonly string[];
  readonly instanceCount: number | null;
}

/** Other archives, asked for what they have of a patient. Implemented by doors. */
export interface PriorArchives {
  /** @throws Fault. */
  studies(device: Device, patientId: string, signal: AbortSignal): AsyncIterable<FoundPrior>;
  /** Body parts of the series of a study. @throws Fault. */
  bodyParts(device: Device, studyUid: string, signal: AbortSignal): Promise<readonly string[]>;
  adviceFor(fault: Fault): string;
}

/** Whose priors are wanted before a study is here: a booking names the study it will become. */
export type Bookings = (studyUid: string) => Promise<PriorSubject | undefined>;

export interface RuleEvents {
  /** Another version is in force. */
  'rules.changed': { version: number };
  /** A study is coming or has come: priors are to be here when it is read. */
  'priors.wanted': { studyUid: string };
}
