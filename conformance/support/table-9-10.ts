/**
 * The cells of PS3.8 Table 9-10, one by one, with the place where each is proven: on the wire against our acceptor, on the wire
 * against our requestor, or, where nobody outside can bring it about, by the unit test of the table alone.
 *
 * Source: PS3.8 Table 9-10 (transitions), Tables 9-6 to 9-9 (actions).
 */
import { EVENTS, type UpperLayerEvent } from '../../core/src/dimse/state.ts';

/** `acceptor` and `requestor`: on the wire. Anything else says why it cannot be. */
export type Proof = 'acceptor' | 'requestor' | keyof typeof UNREACHABLE;

/** Why a cell is proven by core/src/dimse/state.test.ts only. */
export const UNREACHABLE = {
  answered:
    'Sta3 lasts until we have decided, and nothing is read meanwhile: what comes waits for Sta6 or Sta13',
  collision: 'Sta9 is left in the step that enters it: a release collision is answered at once',
  never: 'as the acceptor we never ask for a release, so Sta10 and Sta12 are not entered',
  local:
    'only we can bring it about, at a moment nobody can choose: shutting down in Sta8, a connection that is never confirmed',
} as const;

export interface Cell {
  readonly number: number;
  readonly event: UpperLayerEvent;
  readonly state: number;
  readonly action: string;
  readonly next: number;
  readonly proof: Proof;
}

type Row = readonly [number: number, action: string, next: number, ...cells: readonly string[]];

/** `2a`: Sta2, at the acceptor; `r`: at the requestor; `u`: by unit test, for the reason that belongs to the state. */
const ROWS: readonly Row[] = [
  /* Evt1  A-ASSOCIATE request primitive */ [1, 'AE-1', 4, '1r'],
  /* Evt2  transport connection confirmed */ [2, 'AE-2', 5, '4r'],
  /* Evt3  A-ASSOCIATE-AC received */
  [3, 'AA-1', 13, '2a'],
  [3, 'AE-3', 6, '5r'],
  [3, 'AA-8', 13, '3u', '6a', '7r', '8a', '9u', '10u', '11r', '12u'],
  [3, 'AA-6', 13, '13a'],
  /* Evt4  A-ASSOCIATE-RJ received */
  [4, 'AA-1', 13, '2a'],
  [4, 'AE-4', 1, '5r'],
  [4, 'AA-8', 13, '3u', '6a', '7r', '8a', '9u', '10u', '11r', '12u'],
  [4, 'AA-6', 13, '13a'],
  /* Evt5  transport connection indicated */ [5, 'AE-5', 2, '1a'],
  /* Evt6  A-ASSOCIATE-RQ received */
  [6, 'AE-6', 3, '2a'],
  [6, 'AA-8', 13, '3u', '5r', '6a', '7r', '8a', '9u', '10u', '11r', '12u'],
  [6, 'AA-7', 13, '13a'],
  /* Evt7  A-ASSOCIATE response primitive (accept) */ [7, 'AE-7', 6, '3a'],
  /* Evt8  A-ASSOCIATE response primitive (reject) */ [8, 'AE-8', 13, '3a'],
  /* Evt9  P-DATA request primitive */
  [9, 'DT-1', 6, '6a'],
  [9, 'AR-7', 8, '8a'],
  /* Evt10 P-DATA-TF received */
  [10, 'AA-1', 13, '2a'],
  [10, 'DT-2', 6, '6a'],
  [10, 'AR-6', 7, '7r'],
  [10, 'AA-8', 13, '3u', '5r', '8a', '9u', '10u', '11r', '12u'],
  [10, 'AA-6', 13, '13a'],
  /* Evt11 A-RELEASE request primitive */ [11, 'AR-1', 7, '6r'],
  /* Evt12 A-RELEASE-RQ received */
  [12, 'AA-1', 13, '2a'],
  [12, 'AR-2', 8, '6a'],
  [12, 'AR-8', 9, '7r'],
  [12, 'AA-8', 13, '3u', '5r', '8a', '9u', '10u', '11r', '12u'],
  [12, 'AA-6', 13, '13a'],
  /* Evt13 A-RELEASE-RP received */
  [13, 'AA-1', 13, '2a'],
  [13, 'AR-3', 1, '7r', '11r'],
  [13, 'AR-10', 12, '10u'],
  [13, 'AA-8', 13, '3u', '5r', '6a', '8a', '9u', '12u'],
  [13, 'AA-6', 13, '13a'],
  /* Evt14 A-RELEASE response primitive */
  [14, 'AR-4', 13, '8a', '12u'],
  [14, 'AR-9', 11, '9r'],
  /* Evt15 A-ABORT request primitive */
  [15, 'AA-1', 13, '3u', '5r', '6a', '7r', '8u', '9u', '10u', '11r', '12u'],
  [15, 'AA-2', 1, '4u'],
  /* Evt16 A-ABORT received */
  [16, 'AA-2', 1, '2a', '13a'],
  [16, 'AA-3', 1, '3u', '5r', '6a', '7r', '8a', '9u', '10u', '11r', '12u'],
  /* Evt17 transport connection closed */
  [17, 'AA-5', 1, '2a'],
  [17, 'AA-4', 1, '3u', '4r', '5r', '6a', '7r', '8a', '9u', '10u', '11r', '12u'],
  [17, 'AR-5', 1, '13a'],
  /* Evt18 ARTIM expired */ [18, 'AA-2', 1, '2a', '13a'],
  /* Evt19 unrecognized or invalid PDU received */
  [19, 'AA-1', 13, '2a'],
  [19, 'AA-8', 13, '3u', '5r', '6a', '7r', '8a', '9u', '10u', '11r', '12u'],
  [19, 'AA-7', 13, '13a'],
];

const WHY: Readonly<Record<number, Proof>> = {
  ...{ 3: 'answered', 4: 'local', 8: 'local', 9: 'collision', 10: 'never', 12: 'never' },
};

export const CELLS: readonly Cell[] = ROWS.flatMap(([number, action, next, ...cells]) =>
  cells.map((cell) => {
    const state = Number.parseInt(cell, 10);
    const by = cell.at(-1);
    const unit = WHY[state];
    const proof = by === 'a' ? 'acceptor' : by === 'r' ? 'requestor' : unit;
    const event = EVENTS[number - 1];
    if (!proof || !event) throw new Error(`Evt${number} ${cell}`);
    return { number, event, state, action, next, proof };
  }),
);
