/** The whole of PS3.8 Table 9-10: 19 events in 13 states, written down from the standard a second time. */
import { describe, expect, it } from 'vitest';
import { EVENTS, type State, transition } from './state.ts';

/** Row by row as the standard prints it: for each event the states in which it has an action. Sta4 takes only Evt2, 15, 17. */
const IN_3_AND_5_TO_12 = [3, 5, 6, 7, 8, 9, 10, 11, 12];
const but = (...out: readonly number[]): number[] => IN_3_AND_5_TO_12.filter((state) => !out.includes(state));

type Row = readonly (readonly [action: string, next: number, states: readonly number[]])[];
const TABLE_9_10: readonly Row[] = [
  /* Evt1  A-ASSOCIATE request */ [['AE-1', 4, [1]]],
  /* Evt2  connection confirmed */ [['AE-2', 5, [4]]],
  /* Evt3  A-ASSOCIATE-AC */ [
    ['AA-1', 13, [2]],
    ['AA-8', 13, but(5)],
    ['AE-3', 6, [5]],
    ['AA-6', 13, [13]],
  ],
  /* Evt4  A-ASSOCIATE-RJ */ [
    ['AA-1', 13, [2]],
    ['AA-8', 13, but(5)],
    ['AE-4', 1, [5]],
    ['AA-6', 13, [13]],
  ],
  /* Evt5  connection indicated */ [['AE-5', 2, [1]]],
  /* Evt6  A-ASSOCIATE-RQ */ [
    ['AE-6', 3, [2]],
    ['AA-8', 13, IN_3_AND_5_TO_12],
    ['AA-7', 13, [13]],
  ],
  /* Evt7  response, accept */ [['AE-7', 6, [3]]],
  /* Evt8  response, reject */ [['AE-8', 13, [3]]],
  /* Evt9  P-DATA request */ [
    ['DT-1', 6, [6]],
    ['AR-7', 8, [8]],
  ],
  /* Evt10 P-DATA-TF */ [
    ['AA-1', 13, [2]],
    ['AA-8', 13, but(6, 7)],
    ['DT-2', 6, [6]],
    ['AR-6', 7, [7]],
    ['AA-6', 13, [13]],
  ],
  /* Evt11 A-RELEASE request */ [['AR-1', 7, [6]]],
  /* Evt12 A-RELEASE-RQ */ [
    ['AA-1', 13, [2]],
    ['AA-8', 13, but(6, 7)],
    ['AR-2', 8, [6]],
    ['AR-8', 9, [7]],
    ['AA-6', 13, [13]],
  ],
  /* Evt13 A-RELEASE-RP */ [
    ['AA-1', 13, [2]],
    ['AA-8', 13, but(7, 10, 11)],
    ['AR-3', 1, [7, 11]],
    ['AR-10', 12, [10]],
    ['AA-6', 13, [13]],
  ],
  /* Evt14 A-RELEASE response */ [
    ['AR-4', 13, [8, 12]],
    ['AR-9', 11, [9]],
  ],
  /* Evt15 A-ABORT request */ [
    ['AA-1', 13, IN_3_AND_5_TO_12],
    ['AA-2', 1, [4]],
  ],
  /* Evt16 A-ABORT */ [
    ['AA-2', 1, [2, 13]],
    ['AA-3', 1, IN_3_AND_5_TO_12],
  ],
  /* Evt17 connection closed */ [
    ['AA-5', 1, [2]],
    ['AA-4', 1, [3, 4, ...but(3)]],
    ['AR-5', 1, [13]],
  ],
  /* Evt18 ARTIM expired */ [['AA-2', 1, [2, 13]]],
  /* Evt19 unrecognized or invalid PDU */ [
    ['AA-1', 13, [2]],
    ['AA-8', 13, IN_3_AND_5_TO_12],
    ['AA-7', 13, [13]],
  ],
];

describe('the Upper Layer state machine (PS3.8 Table 9-10)', () => {
  it('has the 19 events of the table', () => expect(EVENTS).toHaveLength(19));

  it.each(EVENTS.map((event, index) => [index + 1, event] as const))('Evt%i %s', (number, event) => {
    for (let state = 1; state <= 13; state++) {
      const found = TABLE_9_10[number - 1]?.find(([, , states]) => states.includes(state));
      expect(transition(state as State, event), `Sta${state}`).toEqual(
        found && { action: found[0], next: found[1] },
      );
    }
  });

  it('a release collision leads the acceptor to Sta10, the requestor to Sta9 (AR-8)', () => {
    expect(transition(7, 'release-rq', true)).toEqual({ action: 'AR-8', next: 10 });
    expect(transition(7, 'release-rq', false)).toEqual({ action: 'AR-8', next: 9 });
  });
});
