/**
 * The Upper Layer state machine: what may happen when, and what follows, as the standard's own table.
 *
 * Source: PS3.8 Table 9-10 (transitions), Tables 9-6 to 9-9 (actions), §9.2.1 (states).
 * Layer:  core/dimse. Actions are names; server/doors/dimse carries them out.
 */
export type State = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13;

/** Events in the order of Table 9-10. */
export const EVENTS = [
  'associate-request', // local user asks
  'connected', // transport connection confirmed
  'associate-ac', // PDU received
  'associate-rj', // PDU received
  'connection', // transport connection indicated
  'associate-rq', // PDU received
  'accept', // local user answers
  'reject', // local user answers
  'data-request', // local user sends
  'p-data', // PDU received
  'release-request', // local user asks
  'release-rq', // PDU received
  'release-rp', // PDU received
  'release-response', // local user answers
  'abort-request', // local user aborts
  'abort', // PDU received
  'closed', // transport closed
  'artim', // timer expired
  'invalid', // unrecognized or invalid PDU received
] as const;
export type UpperLayerEvent = (typeof EVENTS)[number];

/** Next state of each action; AE-6 and AR-8 choose between two. */
const NEXT = {
  'AE-1': 4,
  'AE-2': 5,
  'AE-3': 6,
  'AE-4': 1,
  'AE-5': 2,
  'AE-6': 3,
  'AE-7': 6,
  'AE-8': 13,
  'DT-1': 6,
  'DT-2': 6,
  'AR-1': 7,
  'AR-2': 8,
  'AR-3': 1,
  'AR-4': 13,
  'AR-5': 1,
  'AR-6': 7,
  'AR-7': 8,
  'AR-8': 9,
  'AR-9': 11,
  'AR-10': 12,
  'AA-1': 13,
  'AA-2': 1,
  'AA-3': 1,
  'AA-4': 1,
  'AA-5': 1,
  'AA-6': 13,
  'AA-7': 13,
  'AA-8': 13,
} as const;
export type Action = keyof typeof NEXT;

/** Columns are Sta1 to Sta13, rows are EVENTS. A dash: cannot happen. */
const TABLE = `
AE-1 -    -    -    -    -    -    -    -    -     -    -    -
-    -    -    AE-2 -    -    -    -    -    -     -    -    -
-    AA-1 AA-8 -    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
-    AA-1 AA-8 -    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
AE-5 -    -    -    -    -    -    -    -    -     -    -    -
-    AE-6 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
-    -    AE-7 -    -    -    -    -    -    -     -    -    -
-    -    AE-8 -    -    -    -    -    -    -     -    -    -
-    -    -    -    -    DT-1 -    AR-7 -    -     -    -    -
-    AA-1 AA-8 -    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
-    -    -    -    -    AR-1 -    -    -    -     -    -    -
-    AA-1 AA-8 -    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
-    AA-1 AA-8 -    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
-    -    -    -    -    -    -    AR-4 AR-9 -     -    AR-4 -
-    -    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 -
-    AA-2 AA-3 -    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-2
-    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AR-5
-    AA-2 -    -    -    -    -    -    -    -     -    -    AA-2
-    AA-1 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
`
  .trim()
  .split('\n')
  .map((line) => line.split(/ +/));

export interface Transition {
  readonly action: Action;
  readonly next: State;
}

/**
 * What Table 9-10 says, or undefined where it has no entry.
 *
 * @param acceptor  For AR-8: this side accepted the association, and goes to Sta10 on a release collision.
 */
export function transition(state: State, event: UpperLayerEvent, acceptor = false): Transition | undefined {
  const action = TABLE[EVENTS.indexOf(event)]?.[state - 1];
  if (action === undefined || action === '-') return undefined;
  const named = action as Action;
  return { action: named, next: named === 'AR-8' && acceptor ? 10 : NEXT[named] };
}
