/**
 * Unified Procedure Step: its SOP classes, which operations each has, and the numbers of its actions and events.
 *
 * Source: PS3.4 Tables CC.2-1 to CC.2-5 (operations), CC.2.1-1, CC.2.2-1, CC.2.3-1 (actions), CC.2.4-1 (events), §CC.3.1.
 * Layer:  core/dimse.
 *
 * All workitems are instances of UPS Push; the other classes are ways to look at them and to work on them.
 */
import { COMMANDS } from './command.ts';

export const UPS_PUSH = '1.2.840.10008.5.1.4.34.6.1';
export const UPS_WATCH = '1.2.840.10008.5.1.4.34.6.2';
export const UPS_PULL = '1.2.840.10008.5.1.4.34.6.3';
export const UPS_EVENT = '1.2.840.10008.5.1.4.34.6.4';
export const UPS_QUERY = '1.2.840.10008.5.1.4.34.6.5';

/** Stands for all workitems in subscriptions (§CC.2.3.1). */
export const ALL_WORKITEMS = '1.2.840.10008.5.1.4.34.5';
/** Stands for those that match a filter. */
export const FILTERED_WORKITEMS = '1.2.840.10008.5.1.4.34.5.1';

export const UPS_ACTION = {
  changeState: 1,
  requestCancel: 2,
  subscribe: 3,
  unsubscribe: 4,
  suspend: 5,
} as const;
export const UPS_EVENT_TYPE = {
  state: 1,
  cancelRequested: 2,
  progress: 3,
  scpStatus: 4,
  assigned: 5,
} as const;

/** A request that a class has: `N-ACTION 3`, or just `N-GET`. */
interface Operation {
  readonly command: number;
  readonly actions?: readonly number[];
}

const { changeState, requestCancel, subscribe, unsubscribe, suspend } = UPS_ACTION;
const FIND: Operation = { command: COMMANDS.findRequest };
const GET: Operation = { command: COMMANDS.getAttributesRequest };

/** What a peer may ask in a context of each class. UPS Event is ours to speak: we open the association (§CC.2.4.3). */
export const UPS_OPERATIONS: Readonly<Partial<Record<string, readonly Operation[]>>> = {
  [UPS_PUSH]: [
    { command: COMMANDS.createRequest },
    { command: COMMANDS.actionRequest, actions: [requestCancel] },
    GET,
  ],
  [UPS_WATCH]: [
    { command: COMMANDS.actionRequest, actions: [subscribe, unsubscribe, suspend, requestCancel] },
    GET,
    FIND,
  ],
  [UPS_PULL]: [
    FIND,
    GET,
    { command: COMMANDS.setRequest },
    { command: COMMANDS.actionRequest, actions: [changeState] },
  ],
  [UPS_QUERY]: [FIND],
};

/** Whether a class of ours has this command at all, whatever its action. */
export const upsHas = (sopClassUid: string, command: number): boolean =>
  UPS_OPERATIONS[sopClassUid]?.some((one) => one.command === command) ?? false;

/** Whether an N-ACTION of this type belongs to the class. */
export const upsHasAction = (sopClassUid: string, actionTypeId: number | undefined): boolean =>
  UPS_OPERATIONS[sopClassUid]?.some(({ actions }) => actions?.includes(actionTypeId ?? 0)) ?? false;
