/**
 * A person with a browser: the setup link, an account, a study that arrives while the list is open, its images.
 */
import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, manifest } from '../tools/testing.ts';
import { openBrowser, openPage, picture, pixels, type Watched } from './support/browser.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { writeImages, type WrittenImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

const JPEG_2000 = '1.2.840.10008.1.2.4.90';
/** SOC and SIZ (ISO/IEC 15444-1 §A.4.1, §A.5.1): where a codestream begins. */
const CODESTREAM = Buffer.from('ff4fff51', 'hex');
const IMAGES = 12;
/** A shared machine without a graphics card draws slowly. */
const PATIENCE = { timeout: 20_000 };

/** Deterministic noise, so that a failure can be repeated. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describeWith(['chromium', 'storescu', 'testdata'], 'the web in a real browser', () => {
  let box: Lightbox;
  let browser: Browser;
  let watched: Watched;
  let images: WrittenImage[];
  const folder = temporaryFolder();

  beforeAll(async () => {
    box = await Lightbox.start();
    browser = await openBrowser();
    watched = await openPage(browser, box.url);
    images = writeImages(folder.path, '77', IMAGES, noise(7));
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
    folder.dispose();
  });

  it('makes the first administrator from the setup link and goes in', async () => {
    const { page } = watched;
    await page.goto(`${box.url}/setup#${await box.setupToken()}`);
    const inputs = page.locator('[data-testid=setup-form] input');
    await inputs.nth(0).fill(ADMINISTRATOR.name);
    await inputs.nth(1).fill(ADMINISTRATOR.email);
    await inputs.nth(2).fill(ADMINISTRATOR.password);
    await page.locator('[data-testid=setup-form] button[type=submit]').click();
    await page.locator('[data-testid=live-status][data-state=live]').waitFor();
    await picture(page, 'empty-list');
  });

  it('shows a study in the open list as it arrives', async () => {
    const { page } = watched;
    await page.evaluate('window.notReloaded = true');
    await run('storescu', ['127.0.0.1', String(box.dicomPort), ...images.map(({ file }) => file)]);
    await page.locator(`[data-study-uid="${images[0]?.studyUid}"]`).waitFor();
    expect(await page.evaluate('window.notReloaded')).toBe(true);
    await picture(page, 'list');
  });

  it('draws the images and scrolls through them', async () => {
    const { page } = watched;
    await page.locator(`[data-study-uid="${images[0]?.studyUid}"]`).dblclick();
    await page.locator('[data-testid=pixels][data-index]').waitFor();
    await expect.poll(async () => (await pixels(page)).values, PATIENCE).toBeGreaterThan(8);
    const before = await pixels(page);
    const shown = page.locator('[data-testid=pixels]');
    const at = Number(await shown.getAttribute('data-index'));
    await shown.hover();
    await page.mouse.wheel(0, 100);
    await expect.poll(() => shown.getAttribute('data-index'), PATIENCE).toBe(String(at + 1));
    await expect.poll(async () => (await pixels(page)).sum, PATIENCE).not.toBe(before.sum);
    await page.keyboard.press('End');
    await expect.poll(() => shown.getAttribute('data-index'), PATIENCE).toBe(String(IMAGES - 1));
    expect(await page.locator('[data-testid=bottomLeft]').innerText()).toContain(`${IMAGES}/${IMAGES}`);
    const normal = await pixels(page);
    await page.keyboard.press('i');
    await expect.poll(async () => (await pixels(page)).sum, PATIENCE).not.toBe(normal.sum);
    await picture(page, 'viewer');
  });

  it('shows the reason in place of an image nobody can decode', async () => {
    const { page } = watched;
    const row = manifest().find((one) => one.transferSyntax === JPEG_2000 && one.expected === 'valid');
    if (!row) throw new Error(`no test object in ${JPEG_2000}`);
    const damaged = readFileSync(row.file);
    const start = damaged.indexOf(CODESTREAM);
    expect(start).toBeGreaterThan(0);
    damaged.fill(0, start, start + 64);
    await page.goto(box.url);
    await page.locator('[data-testid=upload-input]').first().setInputFiles({
      name: 'object.dcm',
      mimeType: 'application/dicom',
      buffer: damaged,
    });
    await page.locator('[data-testid=upload-result][data-status=stored]').waitFor();
    const studyRow = page.locator(`[data-testid=study-row]:not([data-study-uid="${images[0]?.studyUid}"])`);
    await studyRow.first().dblclick();
    const tile = page.locator('[data-testid=reason-tile]');
    await tile.waitFor();
    expect((await tile.innerText()).length).toBeGreaterThan(20);
    await picture(page, 'reason');
  });

  it('fits a phone', async () => {
    const { page } = watched;
    await page.setViewportSize({ width: 390, height: 780 });
    await page.goto(`${box.url}/viewer/${images[0]?.studyUid}`);
    await page.locator('[data-testid=pixels][data-index]').waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    await picture(page, 'phone');
  });

  it('had no error and asked no other server', () => {
    expect(watched.errors).toEqual([]);
    expect(watched.foreign).toEqual([]);
  });
});
