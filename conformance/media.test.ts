/**
 * Media before strangers: a person exports in a real browser, DCMTK and dicom3tools read the directory, DCMTK sends what it names
 * to another Lightbox, and Chromium opens the page from the disc.
 *
 * Source: PS3.3 Annex F, PS3.10 §8, PS3.11 Annex D, PS3.12 Annexes F and V.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, manifest } from '../tools/testing.ts';
import {
  axeFindings,
  enter,
  openBrowser,
  openPage,
  PATIENCE,
  picture,
  type Watched,
} from './support/browser.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { ctImage, writeImages, type WrittenImage } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

describeWith(['chromium', 'dcmsend', 'dcdirdmp', 'dciodvfy', 'unzip', 'bsdtar'], 'media', () => {
  let box: Lightbox;
  let browser: Browser;
  let watched: Watched;
  let page: Page;
  let images: WrittenImage[];
  const folder = temporaryFolder();
  const out = (name: string): string => join(folder.path, name);

  beforeAll(async () => {
    box = await Lightbox.ready();
    browser = await openBrowser();
    watched = await openPage(browser, box.url);
    page = watched.page;
    let state = 5;
    images = writeImages(folder.path, '79', 5, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    });
    // As files: what comes over DIMSE gets a file meta of our own.
    for (const { file } of images) {
      const answer = await fetch(`${box.url}/api/upload?name=a`, {
        ...{ method: 'POST', body: readFileSync(file) },
        headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/dicom' },
      });
      expect(await answer.text()).toContain('stored');
    }
    await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
    folder.dispose();
  });

  /** Every choice of the dialog is made by `fill`; gives the path of the file that was downloaded. */
  async function exported(name: string, fill: () => Promise<void>): Promise<string> {
    await page.goto(`${box.url}/studies/${images[0]!.studyUid}`);
    await page.getByRole('button', { name: 'Export…' }).click();
    await page.getByTestId('export-form').waitFor(PATIENCE);
    await fill();
    const [file] = await Promise.all([
      page.waitForEvent('download', PATIENCE),
      page.getByRole('button', { name: 'Export', exact: true }).click(),
    ]);
    const path = out(name);
    await file.saveAs(path);
    await page.locator('[data-testid=export-sending][data-state=done]').waitFor(PATIENCE);
    return path;
  }

  const originals = (): Buffer[] => images.map(({ file }) => readFileSync(file));
  const filesBelow = (path: string): string[] =>
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name));

  it('is exported as a ZIP from the study page, byte for byte', async () => {
    const zip = await exported('a.zip', async () => {
      await picture(page, 'export-dialog');
      expect(await axeFindings(page)).toEqual([]);
    });
    execFileSync('unzip', ['-q', zip, '-d', out('zip')]);
    const objects = filesBelow(out('zip/DICOM')).map((one) => readFileSync(one));
    expect(objects).toHaveLength(images.length);
    for (const original of originals()) expect(objects.some((one) => one.equals(original))).toBe(true);
    await picture(page, 'export-done');
  });

  it('has a directory that dicom3tools and DCMTK find right', async () => {
    const directory = out('zip/DICOMDIR');
    const checked = await run('dciodvfy', [directory]);
    expect(checked.output.split('\n').filter((line) => line.startsWith('Error'))).toEqual([]);
    const walked = await run('dcdirdmp', [directory]);
    expect(walked.code, walked.output).toBe(0);
    expect(walked.output.match(/IMAGE/g)?.length ?? 0).toBeGreaterThanOrEqual(images.length);
    const dumped = await run('dcmdump', ['+W', folder.path, directory]);
    expect(dumped.output).not.toMatch(/^[EW]:/m);
  });

  it('is sent by DCMTK, file by file as the directory names them', async () => {
    const other = await Lightbox.ready();
    try {
      const sent = await run('dcmsend', [
        ...['+rd', '-aec', 'LIGHTBOX', '127.0.0.1', String(other.dicomPort), out('zip/DICOMDIR')],
      ]);
      expect(sent.code, sent.output).toBe(0);
      const status = (await (await other.get('/api/status')).json()) as { instances: number };
      expect(status.instances).toBe(images.length);
    } finally {
      await other.stop();
    }
  });

  it('shows its images from the disc in Chromium: no server, no network, a phone too', async () => {
    const viewer = await openPage(browser, 'file://');
    const { page: disc } = viewer;
    await disc.goto(pathToFileURL(out('zip/index.html')).href);
    const shown = () => disc.evaluate(`document.getElementById('picture').naturalWidth`) as Promise<number>;
    await expect.poll(shown, PATIENCE).toBeGreaterThan(0);
    expect(await disc.getByRole('note').textContent()).toContain('Not for diagnosis');
    const place = disc.locator('#place');
    await expect.poll(() => place.textContent()).toBe('3 / 5');
    await disc.keyboard.press('ArrowDown');
    await expect.poll(() => place.textContent()).toBe('4 / 5');
    await picture(disc, 'media-page');
    expect(await axeFindings(disc)).toEqual([]);
    await disc.setViewportSize({ width: 375, height: 700 });
    const wide = await disc.evaluate('document.documentElement.scrollWidth');
    expect(wide).toBeLessThanOrEqual(375);
    await picture(disc, 'media-page-phone');
    expect(viewer.errors).toEqual([]);
    expect(viewer.foreign).toEqual([]);
    await disc.close();
  });

  it('is exported as a disc image, and as another person', async () => {
    const iso = await exported('a.iso', () => page.getByLabel('Disc image').check());
    mkdirSync(out('iso'));
    execFileSync('bsdtar', ['-xf', iso, '-C', out('iso')]);
    const objects = filesBelow(out('iso/DICOM')).map((one) => readFileSync(one));
    for (const original of originals()) expect(objects.some((one) => one.equals(original))).toBe(true);
    const zip = await exported('b.zip', async () => {
      await page.getByRole('checkbox', { name: 'De-identified' }).check();
      await picture(page, 'export-deidentify');
      expect(await axeFindings(page)).toEqual([]);
    });
    const bytes = readFileSync(zip);
    expect(bytes.includes('KILL-79')).toBe(false);
    expect(bytes.includes(images[0]!.sopUid)).toBe(false);
    expect(watched.errors).toEqual([]);
  });

  it('is imported: what is known is known, and a stranger with a number of ours is asked about', async () => {
    const stranger = ctImage({
      ...{ studyUid: '2.25.79', seriesUid: '2.25.79.1', sopUid: '2.25.79.1.1', number: 1, side: 32 },
      ...{ patientId: 'KILL-79', patientName: 'Somebody^Else', chance: () => 0.5 },
    });
    await page.goto(`${box.url}/import`);
    await page.getByTestId('import-files').setInputFiles([
      { name: 'cd.zip', mimeType: 'application/zip', buffer: readFileSync(out('a.zip')) },
      { name: 'stranger.dcm', mimeType: 'application/dicom', buffer: stranger },
    ]);
    const patients = page.getByTestId('import-patient');
    await expect.poll(() => patients.count(), PATIENCE).toBe(2);
    // Nothing of it is there yet.
    const known = async () =>
      ((await (await box.get('/api/studies?patientName=Somebody')).json()) as { total: number }).total;
    expect(await known()).toBe(0);
    const submit = page.getByRole('button', { name: 'Import', exact: true });
    expect(await submit.isDisabled()).toBe(true);
    await picture(page, 'import-preview');
    expect(await axeFindings(page)).toEqual([]);
    // Both share a number, so that neither can be taken unseen.
    for (const at of [0, 1]) expect(await patients.nth(at).getByText('Import as it is').count()).toBe(0);
    await patients.filter({ hasText: 'Test, Kill' }).first().getByLabel('I have checked').check();
    await patients
      .filter({ has: page.getByRole('heading', { name: 'Somebody, Else' }) })
      .getByLabel('Leave out')
      .check();
    await submit.click();
    await page.getByTestId('import-finished').waitFor(PATIENCE);
    await picture(page, 'import-finished');
    expect(await page.getByTestId('import-finished').textContent()).toContain('5 already kept');
    expect(await known()).toBe(0);
    await page.setViewportSize({ width: 375, height: 700 });
    await page.goto(`${box.url}/import`);
    await page.getByRole('button', { name: 'Choose a folder' }).waitFor();
    await page.setViewportSize({ width: 1280, height: 800 });
    expect(watched.errors).toEqual([]);
  });

  it('of one object of every kind has records that dicom3tools finds right', async () => {
    const kinds = manifest().filter(
      ({ path, expected, dcmtkParse }) =>
        expected === 'valid' &&
        dcmtkParse === 'ok' &&
        /^(rt|sr-pr-ko|waveform|document|seg-paramap)\//.test(path),
    );
    const files = kinds.map((one) => one.file);
    await run('dcmsend', ['-nh', '-aec', 'LIGHTBOX', '127.0.0.1', String(box.dicomPort), ...files]);
    const list = (await (await box.get('/api/studies?limit=200')).json()) as {
      items: { studyUid: string }[];
    };
    const studies = list.items.map(({ studyUid }) => ({ studyUid }));
    const chosen = await box.post(
      '/api/exports',
      { studies, viewer: false },
      { authorization: `Bearer ${box.key}` },
    );
    const { url } = (await chosen.json()) as { url: string };
    const zip = out('kinds.zip');
    const answer = await box.get(url);
    writeFileSync(zip, Buffer.from(await answer.arrayBuffer()));
    execFileSync('unzip', ['-q', zip, '-d', out('kinds')]);
    const { output } = await run('dciodvfy', [out('kinds/DICOMDIR')]);
    // What is wrong with a value is wrong in the object too; what is missing or at the wrong place would be ours.
    const own = output
      .split('\n')
      .filter(
        (line) =>
          line.startsWith('Error') && !/Value invalid|Illegal root|not a UID|Value is zero/.test(line),
      );
    expect(own).toEqual([]);
    expect(filesBelow(out('kinds/DICOM')).length).toBeGreaterThan(10);
  });
});
