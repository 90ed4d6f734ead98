/**
 * What a reader relies on: the right grey at the right place, lengths and HU that are true, and never the image or the
 * name of another patient, however slow the network is.
 */
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, manifest } from '../tools/testing.ts';
import {
  enter,
  greysAt,
  openBrowser,
  openPage,
  PATIENCE,
  picture,
  pixels,
  placeOf,
  type Watched,
} from './support/browser.ts';
import { ctImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const SIDE = 256;
const SPACING = 0.5;
const ROOT = '1.2.826.0.1.3680043.10.1234.900';
/** PS3.3 §C.11.2.1.2.1, as 0 to 255. */
const grey = (hu: number, centre: number, width: number): number =>
  255 * Math.min(1, Math.max(0, (hu - (centre - 0.5)) / (width - 1) + 0.5));

/** Just black in the window 100 / 400, so that half way between the greys is half way between the values. */
const AIR_HU = -100;
/** Air, a box of `box` HU from 64 to 192, and a white corner at the top left of 16 pixels. */
const phantom = (box: number) => (x: number, y: number) =>
  1000 + (x < 16 && y < 16 ? 1000 : x >= 64 && x < 192 && y >= 64 && y < 192 ? box : AIR_HU);

const study = (patient: 'A' | 'B') => `${ROOT}.${patient === 'A' ? 1 : 2}`;

function slices(patient: 'A' | 'B', box: number): Buffer[] {
  return Array.from({ length: 5 }, (_, at) =>
    ctImage({
      studyUid: study(patient),
      seriesUid: `${study(patient)}.1`,
      sopUid: `${study(patient)}.1.${at + 1}`,
      number: at + 1,
      side: SIDE,
      patientId: `READ-${patient}`,
      patientName: `Reader^${patient}`,
      chance: () => 0,
      value: phantom(box + at),
      spacing: SPACING,
      intercept: -1000,
      window: [100, 400],
    }),
  );
}

const CORNER = [4, 4] as const;
const AIR = [40, 40] as const;
const BOX = [128, 128] as const;

describeWith(['chromium', 'testdata'], 'the viewer in a real browser', () => {
  let box: Lightbox;
  let browser: Browser;
  let watched: Watched;
  let page: Page;

  beforeAll(async () => {
    box = await Lightbox.ready();
    for (const file of [...slices('A', 100), ...slices('B', 200)])
      expect((await stowFile(box, file)).status).toBe(200);
    browser = await openBrowser();
    watched = await openPage(browser, box.url);
    page = watched.page;
    await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
  });

  const open = async (patient: 'A' | 'B') => {
    await page.locator(`[data-study-uid="${study(patient)}"]`).dblclick();
    await page.locator('[data-testid=viewer-patient]').waitFor();
  };
  const drawn = () => page.locator('[data-testid=pixels][data-index]').waitFor();
  const seen = async (...expected: number[]) => {
    await expect
      .poll(async () => {
        const found = await greysAt(page, SIDE, [CORNER, AIR, BOX]);
        return found.every((one, at) => Math.abs(one - (expected[at] ?? -9)) <= 2) ? 'as expected' : found;
      }, PATIENCE)
      .toBe('as expected');
  };
  const drag = async (from: readonly [number, number], to: readonly [number, number]) => {
    await page.mouse.move(...(await placeOf(page, SIDE, ...from)));
    await page.mouse.down();
    await page.mouse.move(...(await placeOf(page, SIDE, (from[0] + to[0]) / 2, (from[1] + to[1]) / 2)));
    await page.mouse.move(...(await placeOf(page, SIDE, ...to)));
    await page.mouse.up();
  };
  /** Where the box begins and ends in the middle row, in pixels of the canvas: half way from its grey to air. */
  const edges = async (): Promise<[number, number]> =>
    page.evaluate(`(() => {
      const canvas = document.querySelector('[data-testid=pixels] canvas');
      const y = Math.floor(canvas.height / 2);
      const row = canvas.getContext('2d').getImageData(0, y, canvas.width, 1).data;
      const half = row[Math.floor(canvas.width / 2) * 4] / 2;
      const crossings = [];
      for (let x = 1; x < canvas.width; x += 1) {
        const [a, b] = [row[x * 4 - 4], row[x * 4]];
        if ((a < half) !== (b < half)) crossings.push(x - 0.5 + (half - a) / (b - a));
      }
      return [crossings[0], crossings.at(-1)];
    })()`);
  const written = async () =>
    (await page.locator('[data-testid=pixels] svg text').allTextContents()).join(' | ');

  it('draws the right grey at the right place, and the right sum', async () => {
    await open('A');
    await drawn();
    // The middle one of five: box 102 HU.
    await seen(255, 0, grey(102, 100, 400));
    const [left, right] = await edges();
    const each = ((right - left) / 128) ** 2;
    const expected = each * (16 * 16 * 255 + 128 * 128 * grey(102, 100, 400));
    expect(Math.abs((await pixels(page)).sum / expected - 1)).toBeLessThan(0.01);
    await picture(page, 'viewer-known');
  });

  it('changes the window by key and by menu to known greys', async () => {
    await page.keyboard.press('2');
    await seen(grey(1000, -600, 1500), grey(AIR_HU, -600, 1500), grey(102, -600, 1500));
    await page.getByTestId('grey-menu').click();
    await page.getByTestId('grey-choice').first().click();
    await seen(255, 0, grey(102, 100, 400));
    await page.keyboard.press('i');
    await seen(0, 255, 255 - grey(102, 100, 400));
    await page.keyboard.press('i');
    await page.keyboard.press('h');
    await expect.poll(() => greysAt(page, SIDE, [[251, 4], CORNER]), PATIENCE).toEqual([255, 0]);
    await page.keyboard.press('r');
    await expect
      .poll(
        () =>
          greysAt(page, SIDE, [
            [251, 251],
            [251, 4],
          ]),
        PATIENCE,
      )
      .toEqual([255, 0]);
    await page.keyboard.press('0');
    await seen(255, 0, grey(102, 100, 400));
  });

  it('measures a known length to 0.1 mm and HU in an ellipse, and takes them off again', async () => {
    // Nearer, so that a pixel of the screen is less than 0.1 mm.
    for (let step = 0; step < 3; step += 1) await page.keyboard.press('+');
    await page.getByTestId('tool-length').click();
    const [left, right] = await edges();
    const { x = 0, y = 0, height = 0 } = (await page.locator('[data-testid=pixels]').boundingBox()) ?? {};
    const row = y + Math.round(height / 2);
    await page.mouse.move(x + Math.round(left), row);
    await page.mouse.down();
    await page.mouse.move(x + Math.round((left + right) / 2), row);
    await page.mouse.move(x + Math.round(right), row);
    await page.mouse.up();
    await expect.poll(written, PATIENCE).toMatch(/[\d.]+ mm/);
    expect(Math.abs(Number(/([\d.]+) mm/.exec(await written())?.[1]) - 128 * SPACING)).toBeLessThanOrEqual(
      0.1,
    );
    await page.keyboard.press('f');
    await page.keyboard.press('e');
    await drag([128, 140], [160, 165]);
    await expect.poll(written, PATIENCE).toContain('102.0 HU');
    expect(await written()).toMatch(/Mean 102\.0 HU.*SD 0\.0 HU/);
    await picture(page, 'viewer-measured');
    await page.keyboard.press('Delete');
    await expect.poll(written, PATIENCE).not.toContain('HU');
    await page.keyboard.press('Delete');
    await expect.poll(written, PATIENCE).toBe('');
    await page.keyboard.press('w');
  });

  it('shows every layout', async () => {
    for (const [name, cells] of [
      ['1x2', 2],
      ['2x1', 2],
      ['2x2', 4],
      ['2x3', 6],
      ['3x3', 9],
      ['1x1', 1],
    ] as const) {
      await page.getByTestId('layout-menu').click();
      await page.getByTestId(`layout-${name}`).click();
      await expect.poll(() => page.getByTestId('cell').count()).toBe(cells);
    }
    // While it closes, keys are the menu's.
    await page.getByRole('menu').waitFor({ state: 'detached' });
    await seen(255, 0, grey(102, 100, 400));
  });

  it('runs as a cine, at a rate one can change', async () => {
    const index = () => page.locator('[data-testid=pixels]').getAttribute('data-index');
    const before = await index();
    await page.keyboard.press('c');
    await expect.poll(index, PATIENCE).not.toBe(before);
    const rate = page.getByTestId('cine-rate');
    expect(await rate.innerText()).toContain('10');
    await page.keyboard.press(']');
    expect(await rate.innerText()).toContain('13');
    await page.keyboard.press('c');
    await rate.waitFor({ state: 'detached' });
  });

  it('goes from the list to the image and back by keys only', async () => {
    await page.keyboard.press('Escape');
    await page.locator('[data-testid=study-row]').first().waitFor();
    for (let tries = 0; tries < 5; tries += 1) {
      await page.keyboard.press('ArrowDown');
      const selected = page.locator('[data-testid=study-row][aria-selected=true]');
      if ((await selected.getAttribute('data-study-uid')) === study('B')) break;
    }
    await page.keyboard.press('Enter');
    await drawn();
    await seen(255, 0, grey(202, 100, 400));
    await page.keyboard.press('ArrowDown');
    await seen(255, 0, grey(203, 100, 400));
    await page.keyboard.press('Home');
    await seen(255, 0, grey(200, 100, 400));
    await page.keyboard.press('Escape');
    await page.locator('[data-testid=study-row]').first().waitFor();
  });

  it('never shows the one patient under the name of the other', async () => {
    // A's frames come late, after B was opened.
    await page.route(`**/studies/${study('A')}/**/frames/*`, async (route) => {
      await new Promise((settle) => setTimeout(settle, 1500));
      await route.continue().catch(() => undefined);
    });
    for (const patient of ['A', 'B', 'A', 'B'] as const) {
      await open(patient);
      expect(await page.getByTestId('viewer-patient').innerText()).toBe(`Reader, ${patient}`);
      if (patient === 'B') {
        await drawn();
        expect(await page.getByTestId('topLeft').innerText()).toContain('READ-B');
        await seen(255, 0, grey(202, 100, 400));
        await page.waitForTimeout(2000);
        await seen(255, 0, grey(202, 100, 400));
        expect(await page.getByTestId('topLeft').innerText()).not.toContain('READ-A');
      } else {
        // Nothing of B is left while A loads: no pixels, no words.
        const left = await page.evaluate(
          `[...document.querySelectorAll('[data-testid=pixels] canvas')].some((canvas) =>
            canvas.width && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
              .some((value, at) => at % 4 !== 3 && value > 0))`,
        );
        expect(left).toBe(false);
        expect(await page.locator('.overlays').allInnerTexts()).toEqual([]);
      }
      await page.keyboard.press('Escape');
      await page.locator('[data-testid=study-row]').first().waitFor();
    }
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });

  it('shows a reason, not the image before, for a frame that ends too early', async () => {
    const row = manifest().find(
      (one) => one.transferSyntax === '1.2.840.10008.1.2.4.90' && one.file.includes('CTImage'),
    );
    if (!row) throw new Error('no CT in JPEG 2000');
    const whole = readFileSync(row.file);
    const text = whole.toString('latin1');
    const uidOf = (tag: string): string => {
      const at = text.indexOf(`${tag}UI`) + 8;
      return /^[\d.]+/.exec(text.slice(at))?.[0] ?? '';
    };
    const uid = uidOf('\u0008\0\u0018\0');
    const other = uid.slice(0, -1) + (uid.endsWith('1') ? '2' : '1');
    const damaged = Buffer.from(text.replaceAll(uid, other), 'latin1');
    // All but the delimiter of the sequence of fragments, which would make the file unreadable.
    damaged.fill(0, Math.floor(damaged.length * 0.6), damaged.length - 8);
    const studyUid = uidOf('\u0020\0\u000d\0');
    for (const file of [whole, damaged]) expect((await stowFile(box, file)).status).toBe(200);
    await page.goto(`${box.url}/viewer/${studyUid}`);
    await page.locator('[data-testid=pixels]').waitFor();
    const tile = page.getByTestId('reason-tile');
    const states = new Set<string>();
    for (const key of ['Home', 'End', 'Home', 'End']) {
      await page.keyboard.press(key);
      await page.waitForTimeout(1500);
      states.add(`${key} ${await tile.count()}`);
    }
    // One of the two is shown and the other is a reason, whichever way one comes.
    expect([...states].sort()).toHaveLength(2);
    expect([...states].map((one) => one.at(-1)).sort()).toEqual(['0', '1']);
    await picture(page, 'viewer-damaged');
  });

  it('had no error and asked no other server', () => {
    expect(watched.errors).toEqual([]);
    expect(watched.foreign).toEqual([]);
  });
});
