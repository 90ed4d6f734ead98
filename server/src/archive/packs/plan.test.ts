/** Planning packs: every object once, limits kept, and late objects cheap however they come. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Packable, planPacks, type SmallPack } from './plan.ts';

const LIMITS = { packBytes: 1000, packObjects: 20, mergeBytes: 50 };
const total = (objects: readonly Packable[]): number => objects.reduce((sum, one) => sum + one.length, 0);
const lengths = fc.array(fc.integer({ min: 1, max: 1500 }), { maxLength: 60 });

describe('Planning packs', () => {
  it('puts every waiting object into exactly one pack, and takes whole packs or nothing of them', () => {
    fc.assert(
      fc.property(
        lengths,
        fc.array(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 15 })),
        (waiting, old) => {
          let rank = 0;
          const object = (length: number): Packable => ({ length, rank: (rank += 1) });
          const objects = waiting.map(object);
          const packs: SmallPack<Packable>[] = old.map((of, index) => ({
            name: `p${index}`,
            objects: of.map(object),
          }));
          const plan = planPacks(objects, packs, LIMITS);
          const planned = plan.flatMap((one) => one.objects);
          const replaced = plan.flatMap((one) => one.replaces);
          const wanted = [
            ...objects,
            ...packs.filter((one) => replaced.includes(one.name)).flatMap((one) => one.objects),
          ];
          expect(new Set(replaced).size).toBe(replaced.length);
          expect(planned.length).toBe(wanted.length);
          expect(new Set(planned)).toEqual(new Set(wanted));
          for (const one of plan) {
            expect(one.objects.length).toBeGreaterThan(0);
            expect(one.objects.length).toBeLessThanOrEqual(LIMITS.packObjects);
            if (one.objects.length > 1) expect(total(one.objects)).toBeLessThanOrEqual(LIMITS.packBytes);
            expect(one.objects.map((each) => each.rank)).toEqual(
              one.objects.map((each) => each.rank).sort((a, b) => a - b),
            );
          }
        },
      ),
    );
  });

  it('does nothing when nothing waits', () => {
    expect(planPacks([], [{ name: 'p', objects: [{ length: 1, rank: 0 }] }], LIMITS)).toEqual([]);
  });

  it('does not write 50 GB again for one late image', () => {
    const giant = { name: 'giant', objects: [{ length: 50e9, rank: 0 }] };
    const limits = { packBytes: 100e9, packObjects: 10_000, mergeBytes: 16e6 };
    expect(planPacks([{ length: 5e5, rank: 1 }], [giant], limits)).toEqual([
      { objects: [{ length: 5e5, rank: 1 }], replaces: [] },
    ]);
  });

  it('writes each byte a few times at most when a series comes image by image, in few packs', () => {
    const limits = { packBytes: 1e9, packObjects: 100_000, mergeBytes: 10 };
    let packs: SmallPack<Packable>[] = [];
    let written = 0;
    const images = 1000;
    for (let rank = 0; rank < images; rank += 1) {
      const [made] = planPacks([{ length: 10, rank }], packs, limits);
      written += total(made!.objects);
      packs = [
        ...packs.filter((one) => !made!.replaces.includes(one.name)),
        { name: `p${rank}`, objects: made!.objects },
      ];
    }
    expect(packs.flatMap((one) => one.objects)).toHaveLength(images);
    expect(packs.length).toBeLessThanOrEqual(11);
    expect(written / (images * 10)).toBeLessThanOrEqual(11);
  });
});
