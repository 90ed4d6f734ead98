/**
 * Every request in every state of a workitem, with the status of the standard beside it.
 *
 * Source: PS3.4 Table CC.1.1-2.
 */
import { describe, expect, it } from 'vitest';
import { FAULTS } from '../base/fault.ts';
import { statusKind } from '../dimse/status.ts';
import {
  moveTo,
  transition,
  updateRefusal,
  WORKITEM_STATES,
  type Move,
  type Outcome,
} from './workitem-states.ts';

/** As the table writes it: the state it gets, or the status code. */
const words = (outcome: Outcome): string => {
  if (outcome.kind === 'change') return outcome.through.join(', ');
  if (outcome.kind === 'told') return 'report cancel request';
  const status = outcome.kind === 'refused' ? FAULTS[outcome.code].dimse : outcome.status;
  expect(statusKind(status)).toBe(outcome.kind === 'refused' ? 'failure' : 'warning');
  return status.toString(16).toUpperCase().padStart(4, '0');
};

const STATES = [undefined, ...WORKITEM_STATES];

describe('Table CC.1.1-2, move by move', () => {
  const ROWS: Readonly<Record<Move, readonly string[]>> = {
    //                    no workitem  SCHEDULED                IN PROGRESS              COMPLETED  CANCELED
    create: ['SCHEDULED', '0111', '0111', '0111', '0111'],
    'to IN PROGRESS': ['C307', 'IN PROGRESS', 'C302', 'C300', 'C300'],
    'to IN PROGRESS !': ['C307', 'C301', 'C301', 'C301', 'C301'],
    'to SCHEDULED': ['C307', 'C303', 'C303', 'C303', 'C303'],
    'to COMPLETED': ['C307', 'C310', 'COMPLETED', 'B306', 'C300'],
    'to COMPLETED !': ['C307', 'C301', 'C301', 'C301', 'C301'],
    'request cancel': ['C307', 'IN PROGRESS, CANCELED', 'report cancel request', 'C311', 'B304'],
    'to CANCELED': ['C307', 'C310', 'CANCELED', 'C300', 'B304'],
    'to CANCELED !': ['C307', 'C301', 'C301', 'C301', 'C301'],
  };
  const cells = Object.entries(ROWS).flatMap(([move, row]) =>
    STATES.map((state, at) => ({ move: move as Move, state, expected: row[at] })),
  );
  it.each(cells)('$move when $state: $expected', ({ move, state, expected }) => {
    expect(words(transition(move, state))).toBe(expected);
  });
});

describe('the transaction UID', () => {
  it.each([
    ['IN PROGRESS', '1.2', undefined, 'to IN PROGRESS'],
    ['IN PROGRESS', undefined, undefined, 'to IN PROGRESS !'],
    ['IN PROGRESS', '', undefined, 'to IN PROGRESS !'],
    ['IN PROGRESS', '1.2', '1.2', 'to IN PROGRESS'],
    ['IN PROGRESS', '1.3', '1.2', 'to IN PROGRESS !'],
    ['COMPLETED', '1.3', '1.2', 'to COMPLETED !'],
    ['CANCELED', undefined, '1.2', 'to CANCELED !'],
    ['SCHEDULED', '1.2', '1.2', 'to SCHEDULED'],
  ] as const)('%s with %s where %s holds it: %s', (state, given, held, expected) => {
    expect(moveTo(state, given, held)).toBe(expected);
  });

  it.each([
    // state, given, held: status (PS3.4 Table CC.2.6-1)
    ['SCHEDULED', undefined, undefined, undefined],
    ['SCHEDULED', '1.2', undefined, 0xc310],
    ['IN PROGRESS', '1.2', '1.2', undefined],
    ['IN PROGRESS', '1.3', '1.2', 0xc301],
    ['IN PROGRESS', undefined, '1.2', 0xc301],
    ['COMPLETED', '1.2', '1.2', 0xc300],
    ['CANCELED', undefined, '1.2', 0xc300],
  ] as const)('N-SET in %s with %s where %s holds it: %s', (state, given, held, status) => {
    const code = updateRefusal(state, given, held);
    expect(code && FAULTS[code].dimse).toBe(status);
  });
});
