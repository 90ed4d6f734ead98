/**
 * The life of a workitem: four states, and what every request makes of each.
 *
 * Source: PS3.4 Table CC.1.1-1 (states), Table CC.1.1-2 (transitions), §CC.2.1.3, §CC.2.2.3.
 * Layer:  core/workflow.
 */
import type { FaultCode } from '../base/fault.ts';
import { WORKITEM_STATUS } from '../dimse/status.ts';

export const WORKITEM_STATES = ['SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED'] as const;
export type WorkitemState = (typeof WORKITEM_STATES)[number];

export const isWorkitemState = (text: string | undefined): text is WorkitemState =>
  WORKITEM_STATES.includes(text as WorkitemState);
export const isFinal = (state: WorkitemState): boolean => state === 'COMPLETED' || state === 'CANCELED';

/** What is asked; `!` where the transaction UID is not that of the claim, or missing. */
export type Move =
  | 'create'
  | 'to IN PROGRESS'
  | 'to IN PROGRESS !'
  | 'to SCHEDULED'
  | 'to COMPLETED'
  | 'to COMPLETED !'
  | 'to CANCELED'
  | 'to CANCELED !'
  | 'request cancel';

export type Outcome =
  /** The states it goes through; each is reported. */
  | { readonly kind: 'change'; readonly through: readonly WorkitemState[] }
  /** The performer is told and decides. */
  | { readonly kind: 'told' }
  /** Nothing changes, since it is so already. */
  | { readonly kind: 'already'; readonly state: WorkitemState; readonly status: number }
  | { readonly kind: 'refused'; readonly code: FaultCode };

const to = (...through: WorkitemState[]): Outcome => ({ kind: 'change', through });
const no = (code: FaultCode): Outcome => ({ kind: 'refused', code });
const TOLD: Outcome = { kind: 'told' };
const COMPLETED: Outcome = {
  ...{ kind: 'already', state: 'COMPLETED', status: WORKITEM_STATUS.alreadyCompleted },
};
const CANCELED: Outcome = {
  ...{ kind: 'already', state: 'CANCELED', status: WORKITEM_STATUS.alreadyCanceled },
};

/** No workitem of this UID, or one in each of the states. */
type Row = readonly [
  none: Outcome,
  scheduled: Outcome,
  inProgress: Outcome,
  completed: Outcome,
  canceled: Outcome,
];

const UNKNOWN = no('WORKITEM_UNKNOWN');
const EXISTS = no('WORKITEM_EXISTS');
const WRONG = no('WORKITEM_TRANSACTION');
const NOT_BACK = no('WORKITEM_TO_SCHEDULED');
const FINAL = no('WORKITEM_FINAL');
const UNCLAIMED = no('WORKITEM_UNCLAIMED');

/** Table CC.1.1-2, row by row. That a final state is complete in itself is asked beside it (C304). */
const TRANSITIONS: Readonly<Record<Move, Row>> = {
  create: [to('SCHEDULED'), EXISTS, EXISTS, EXISTS, EXISTS],
  'to IN PROGRESS': [UNKNOWN, to('IN PROGRESS'), no('WORKITEM_CLAIMED'), FINAL, FINAL],
  'to IN PROGRESS !': [UNKNOWN, WRONG, WRONG, WRONG, WRONG],
  'to SCHEDULED': [UNKNOWN, NOT_BACK, NOT_BACK, NOT_BACK, NOT_BACK],
  'to COMPLETED': [UNKNOWN, UNCLAIMED, to('COMPLETED'), COMPLETED, FINAL],
  'to COMPLETED !': [UNKNOWN, WRONG, WRONG, WRONG, WRONG],
  'request cancel': [UNKNOWN, to('IN PROGRESS', 'CANCELED'), TOLD, no('WORKITEM_COMPLETED'), CANCELED],
  'to CANCELED': [UNKNOWN, UNCLAIMED, to('CANCELED'), FINAL, CANCELED],
  'to CANCELED !': [UNKNOWN, WRONG, WRONG, WRONG, WRONG],
};

/** @param state  undefined: there is no such workitem. */
export function transition(move: Move, state: WorkitemState | undefined): Outcome {
  const row = TRANSITIONS[move];
  return row[state === undefined ? 0 : 1 + WORKITEM_STATES.indexOf(state)] ?? UNKNOWN;
}

/**
 * The row of a Change UPS State.
 *
 * @param given  The transaction UID of the request.
 * @param held   That of the claim; undefined while nobody has claimed it: then any will do.
 */
export function moveTo(state: WorkitemState, given: string | undefined, held: string | undefined): Move {
  if (state === 'SCHEDULED') return 'to SCHEDULED';
  const right = given !== undefined && given !== '' && (held === undefined || held === given);
  return right ? `to ${state}` : `to ${state} !`;
}

/**
 * Whether attributes may be set (§CC.2.6.3): by anybody while it is SCHEDULED, by who claimed it while it is IN PROGRESS.
 *
 * @returns why not, undefined when they may.
 */
export function updateRefusal(
  state: WorkitemState,
  given: string | undefined,
  held: string | undefined,
): FaultCode | undefined {
  if (isFinal(state)) return 'WORKITEM_FINAL';
  if (state === 'SCHEDULED') return given === undefined ? undefined : 'WORKITEM_UNCLAIMED';
  return given !== undefined && given === held ? undefined : 'WORKITEM_TRANSACTION';
}
