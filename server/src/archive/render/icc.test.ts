import { describe, expect, it } from 'vitest';
import sharp from 'sharp';
import { inSpace } from './icc.ts';

/** A green that is one in Display P3 and another in sRGB. */
const picture = () => sharp(Buffer.from([40, 200, 90]), { raw: { width: 1, height: 1, channels: 3 } });
const p3 = async (): Promise<Buffer> => {
  const { icc } = await sharp(await picture().withIccProfile('p3').png().toBuffer()).metadata();
  return icc ?? Buffer.alloc(0);
};

async function shown(option: 'yes' | 'srgb' | 'displayp3', own?: Uint8Array) {
  const png = await (await inSpace(picture(), option, own)).png().toBuffer();
  const { icc } = await sharp(png).metadata();
  // The numbers in the file, without what a reader would make of them.
  const [red, green, blue] = await sharp(png).keepIccProfile().raw().toBuffer();
  return { icc, pixel: [red, green, blue] };
}

/** Texts of a profile are UTF-16. */
const nameIn = (icc: Buffer | undefined): string =>
  (icc ?? Buffer.alloc(0)).toString('latin1').replaceAll('\0', '');

describe('colour profiles of pictures (PS3.18 §8.3.5.1.5)', () => {
  it("gives the object's own profile, with its numbers", async () => {
    const own = await p3();
    const { icc, pixel } = await shown('yes', own);
    expect(icc?.equals(own)).toBe(true);
    expect(pixel).toEqual([40, 200, 90]);
  });
  it('turns the numbers into the space asked for', async () => {
    const { icc, pixel } = await shown('srgb', await p3());
    expect(nameIn(icc)).toContain('sRGB');
    // Display P3 is wider: the same green is out of its reach in red.
    expect(pixel[0]).toBe(0);
    expect(pixel[1]).toBeGreaterThan(195);
  });
  it('says sRGB of what has no profile', async () => {
    const { icc, pixel } = await shown('yes');
    expect([nameIn(icc).includes('sRGB'), pixel]).toEqual([true, [40, 200, 90]]);
  });
});
