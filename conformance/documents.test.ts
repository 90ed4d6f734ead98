/**
 * Documents in a real browser: a PDF, a report, an ECG, a video and what cannot be shown, as a person sees them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, sharedTestdata } from '../tools/testing.ts';
import { openBrowser, openPage, picture, type Watched } from './support/browser.ts';
import { temporaryFolder } from './support/dcmtk.ts';
import { writeImages } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { HOSTILE, hostileReport } from './support/report.ts';
import { stowFile } from './support/stow.ts';

describeWith(['chromium', 'testdata'], 'documents in a real browser', () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  let browser: Browser;
  let watched: Watched;
  let page: Page;
  const console: string[] = [];

  beforeAll(async () => {
    box = await Lightbox.ready();
    browser = await openBrowser();
    watched = await openPage(browser, box.url);
    ({ page } = watched);
    page.on('console', (message) => {
      if (message.type() === 'error') console.push(message.text());
    });
    const cookies = (await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password)).split('; ');
    await page.context().addCookies(
      cookies.map((cookie) => {
        const at = cookie.indexOf('=');
        return { name: cookie.slice(0, at), value: cookie.slice(at + 1), url: box.url };
      }),
    );
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
    folder.dispose();
  });

  /** Keeps an object. @returns its study. */
  async function keep(bytes: Buffer): Promise<string> {
    const answer = await stowFile(box, bytes);
    expect(answer.status).toBe(200);
    const stored = (await answer.json()) as Record<string, { Value: Record<string, { Value: string[] }>[] }>;
    const url = stored['00081199']?.Value[0]?.['00081190']?.Value[0] ?? '';
    return /studies\/([\d.]+)/.exec(url)?.[1] ?? '';
  }
  const shared = (name: string): Promise<string> =>
    keep(readFileSync(join(sharedTestdata() ?? '', ...name.split('/'))));
  async function open(study: string): Promise<void> {
    await page.goto(`${box.url}/viewer/${study}`);
    await page.locator('[data-testid=document-title]').waitFor();
  }
  /** Points of the path of one drawn lead, in millimetres. */
  async function drawn(lead: string, at = 0): Promise<{ x: number; y: number }[]> {
    const d = (await page.locator(`path[data-lead="${lead}"]`).nth(at).getAttribute('d')) ?? '';
    return [...d.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]) => ({ x: Number(x), y: Number(y) }));
  }

  it('draws an ECG on paper: 25 mm/s, 10 mm/mV, 75 beats a minute', async () => {
    await open(await shared('synth/ecg/ecg12.dcm'));
    await page.locator('[data-testid=ecg]').waitFor();
    expect(await page.locator('[data-testid=ecg-scale]').textContent()).toBe(
      '25 mm/s · 10 mm/mV · Filters not stated',
    );
    await picture(page, 'ecg-grid');
    // Twelve leads and the rhythm strip, which is the second trace of lead II.
    expect(await page.locator('path[data-lead]').count()).toBe(13);
    const rhythm = await drawn('II', 1);
    const [first, last] = [rhythm[0], rhythm.at(-1)];
    expect((last?.x ?? 0) - (first?.x ?? 0)).toBeCloseTo(250, 0);
    const top = Math.min(...rhythm.map(({ y }) => y));
    const base = rhythm.map(({ y }) => y).sort((a, b) => a - b)[Math.floor(rhythm.length / 2)] ?? 0;
    const half = (top + base) / 2;
    const beats = rhythm.filter(({ y }, at) => y < half && (rhythm[at - 1]?.y ?? base) >= half).length;
    expect([12, 13]).toContain(beats);
    // One below the other: lead I whole, its R peak 0.6 mV, so 6 mm high.
    await page.getByText('One below the other').click();
    await expect.poll(() => page.locator('path[data-lead]').count()).toBe(12);
    const lead = (await drawn('I')).map(({ y }) => y);
    const zero = lead.slice().sort((a, b) => a - b)[Math.floor(lead.length / 2)] ?? 0;
    expect(Math.abs(zero - Math.min(...lead) - 6)).toBeLessThan(0.7);
    await picture(page, 'ecg-stacked');
    await page.getByText('20 mm/mV').click();
    const twice = (await drawn('I')).map(({ y }) => y);
    expect(Math.max(...twice) - Math.min(...twice)).toBeCloseTo(
      (Math.max(...lead) - Math.min(...lead)) * 2,
      0,
    );
  });

  it('draws the ECG of a device with its statements and measurements', async () => {
    await open(await shared('waveform/pydicom__waveform_ecg.dcm'));
    await page.locator('[data-testid=ecg]').first().waitFor();
    const words = await page.locator('[data-testid=document]').innerText();
    expect(words).toContain('RITMO SINUSALE');
    expect(await page.locator('[data-testid=ecg-scale]').first().textContent()).toContain('0.05–300 Hz');
    await picture(page, 'ecg-device');
    await page.locator('[data-testid=ecg]').nth(1).scrollIntoViewIfNeeded();
    await picture(page, 'ecg-beat');
    await page.emulateMedia({ media: 'print' });
    await picture(page, 'ecg-print');
    expect(await page.locator('.viewer-tools').isVisible()).toBe(false);
    await page.emulateMedia({ media: 'screen' });
  });

  it('draws a PDF, with its words', async () => {
    await open(await shared('document/dimse__pdf.dcm'));
    await page.locator('[data-testid=pdf-page][data-drawn]').first().waitFor();
    const ink = await page.evaluate(`(() => {
      const canvas = document.querySelector('[data-testid=pdf-page] canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let dark = 0;
      for (let at = 0; at < data.length; at += 4) if (data[at] < 128) dark += 1;
      return dark;
    })()`);
    expect(ink).toBeGreaterThan(500);
    await expect
      .poll(async () => (await page.locator('.textLayer').first().innerText()).length)
      .toBeGreaterThan(10);
    await picture(page, 'pdf');
    await open(await shared('synth/document/pdf.dcm'));
    await page.locator('[data-testid=pdf-page][data-drawn]').first().waitFor();
    await picture(page, 'pdf-made');
  });

  it('shows a report as a document; its text stays text, and its image opens beside it', async () => {
    const [image] = writeImages(folder.path, '88', 1, () => 0.4);
    if (!image) throw new Error('no image');
    await keep(readFileSync(image.file));
    await keep(hostileReport(image));
    await page.goto(`${box.url}/viewer/${image.studyUid}?series=1.2.826.0.1.3680043.10.1234.88`);
    await page.locator('.strip button', { hasText: 'Befund' }).click();
    const content = page.locator('[data-testid=sr-content]');
    await content.waitFor();
    expect(await content.innerText()).toContain(HOSTILE);
    expect(await page.evaluate('window.hacked')).toBeUndefined();
    expect(await content.locator('img, script').count()).toBe(0);
    expect(await content.locator('h3').allInnerTexts()).toEqual(['Findings', 'Impression']);
    expect(await content.locator('.sr-numbers tbody tr').count()).toBe(3);
    const words = await page.locator('[data-testid=document]').innerText();
    for (const expected of [
      '-15 HU',
      '12.50 mm',
      '98 mm²',
      'Yamada, Tarou · 山田 太郎',
      'Müller, Dr. Änne',
      'verified',
    ])
      expect(words).toContain(expected);
    // It names another patient than the image of its study: that is said, and hides nothing.
    await page.locator('.cell-warning').waitFor();
    await picture(page, 'report');
    await page.locator('[data-testid=sr-reference]').click();
    await page.locator('[data-testid=pixels][data-index]').waitFor();
    expect(await content.isVisible()).toBe(true);
    await picture(page, 'report-beside');
  });

  it('shows a dose report and measurements of others', async () => {
    await open(await shared('synth/sr/rdsr_ct.dcm'));
    await page.locator('[data-testid=sr-content]').waitFor();
    await picture(page, 'report-dose');
    await open(await shared('sr-pr-ko/highdicom__sr_document_with_multiple_groups.dcm'));
    await page.locator('[data-testid=sr-content]').waitFor();
    await picture(page, 'report-measurements');
  });

  it('plays a video, or says why not', async () => {
    await open(await shared('synth/video/h264.dcm'));
    const video = page.locator('[data-testid=video]');
    await video.waitFor();
    await expect
      .poll(() => page.evaluate(`document.querySelector('[data-testid=video]')?.videoWidth`))
      .toBe(640);
    await picture(page, 'video');
    await open(await shared('synth/video/mpeg2.dcm'));
    expect(await page.locator('[data-testid=reason-tile]').innerText()).toContain('video');
  });

  it('says what an object is that is not shown', async () => {
    await open(await shared('sr-pr-ko/weasis__prLUTs.dcm'));
    expect(await page.locator('[data-testid=reason-tile]').innerText()).toContain('presentation state');
    await picture(page, 'presentation-state');
    await open(await shared('synth/document/cda.dcm'));
    expect(await page.locator('[data-testid=reason-tile]').innerText()).toContain('could run code');
    await picture(page, 'cda');
  });

  it('fits a phone', async () => {
    await page.setViewportSize({ width: 390, height: 780 });
    for (const [name, file] of [
      ['ecg', 'synth/ecg/ecg12.dcm'],
      ['pdf', 'document/dimse__pdf.dcm'],
    ] as const) {
      await open(await shared(file));
      await page.locator('[data-testid=ecg], [data-testid=pdf-page][data-drawn]').first().waitFor();
      expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
      await picture(page, `phone-${name}`);
    }
  });

  it('had no error and asked no other server', () => {
    expect(watched.errors).toEqual([]);
    expect(console).toEqual([]);
    expect(watched.foreign).toEqual([]);
  });
});
