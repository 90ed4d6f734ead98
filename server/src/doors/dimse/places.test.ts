import { describe, expect, it } from 'vitest';
import { type Place, Places } from './places.ts';

const entered = (answer: ReturnType<Places['enter']>): Place => {
  if (typeof answer === 'string') throw new Error(`no place: ${answer}`);
  return answer;
};

describe('Places among the associations (attacks C52)', () => {
  it('counts each address for itself, and gives a place back once', () => {
    const places = new Places({ maxAssociations: 10, maxPerAddress: 2, maxPerAe: 10 });
    const first = entered(places.enter('192.0.2.1'));
    entered(places.enter('192.0.2.1'));
    expect(places.enter('192.0.2.1')).toBe('address');
    entered(places.enter('192.0.2.2'));
    first.leave();
    first.leave();
    entered(places.enter('192.0.2.1'));
    expect(places.enter('192.0.2.1')).toBe('address');
    expect(places.taken).toBe(3);
  });

  it('counts an AE title wherever it calls from, and only once it was believed', () => {
    const places = new Places({ maxAssociations: 10, maxPerAddress: 10, maxPerAe: 1 });
    const [one, two, three] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((at) => entered(places.enter(at)));
    expect(one?.named('CT1')).toBeUndefined();
    expect(two?.named('CT1')).toBe('aeTitle');
    two?.leave();
    expect(three?.named('CT2')).toBeUndefined();
    one?.leave();
    expect(entered(places.enter('192.0.2.2')).named('CT1')).toBeUndefined();
  });

  it('counts all of them', () => {
    const places = new Places({ maxAssociations: 1, maxPerAddress: 10, maxPerAe: 10 });
    const only = entered(places.enter('192.0.2.1'));
    expect(places.enter('192.0.2.2')).toBe('all');
    only.leave();
    expect(only.named('CT1')).toBeUndefined();
    entered(places.enter('192.0.2.2'));
  });
});
