/**
 * The places among the associations: so many in all, so many from one address, so many of one calling AE title.
 *
 * One peer that opens more and more must not shut the others out (attacks C52), also one on this machine.
 *
 * Source: PS3.8 §9.3.4: who finds none is rejected for the moment, result 2, source 3, reason 2 (local limit exceeded).
 * Layer:  server/doors/dimse.
 */

/** Which limit was met; the value of a metric's label, and all that is logged about it. */
export type PlaceLimit = 'all' | 'address' | 'aeTitle';

export interface PlaceLimits {
  readonly maxAssociations: number;
  readonly maxPerAddress: number;
  readonly maxPerAe: number;
}

/** Held while an association lasts. */
export interface Place {
  /**
   * Counts it for its AE title too. Only once the title was believed: otherwise a stranger who borrows a name could use up
   * the places of whom it belongs to.
   */
  named(aeTitle: string): PlaceLimit | undefined;
  /** May be called more than once. */
  leave(): void;
}

export class Places {
  readonly #limits: PlaceLimits;
  readonly #taken = new Set<Place>();
  readonly #byAddress = new Map<string, number>();
  readonly #byAe = new Map<string, number>();

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  get taken(): number {
    return this.#taken.size;
  }

  /** @param address  Of the peer, in one spelling. */
  enter(address: string): Place | PlaceLimit {
    const { maxAssociations, maxPerAddress, maxPerAe } = this.#limits;
    if (this.#taken.size >= maxAssociations) return 'all';
    if (!add(this.#byAddress, address, maxPerAddress)) return 'address';
    let name: string | undefined;
    const place: Place = {
      named: (aeTitle) => {
        if (!this.#taken.has(place) || name !== undefined) return undefined;
        if (!add(this.#byAe, aeTitle, maxPerAe)) return 'aeTitle';
        name = aeTitle;
        return undefined;
      },
      leave: () => {
        if (!this.#taken.delete(place)) return;
        subtract(this.#byAddress, address);
        if (name !== undefined) subtract(this.#byAe, name);
      },
    };
    this.#taken.add(place);
    return place;
  }
}

function add(counts: Map<string, number>, key: string, most: number): boolean {
  const count = counts.get(key) ?? 0;
  if (count >= most) return false;
  counts.set(key, count + 1);
  return true;
}

function subtract(counts: Map<string, number>, key: string): void {
  const count = (counts.get(key) ?? 0) - 1;
  // Addresses and names of the past are not kept.
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
