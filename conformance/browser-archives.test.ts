/**
 * The pages for other systems in a real browser, against running archives of other people: searching several at once, fetching
 * by C-GET and C-MOVE with progress, an archive that is down, sending with a destination that is away, and the dead letter.
 */
import { type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { ARCHIVES, PEER, stopped } from './support/archives.ts';
import {
  axeFindings,
  enter,
  openBrowser,
  openPage,
  PATIENCE,
  picture,
  type Watched,
} from './support/browser.ts';
import { contextProfile, storescu, temporaryFolder } from './support/dcmtk.ts';
import { ctImage, EXPLICIT } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { CT } from './support/wire.ts';

const ROOT = '1.2.826.0.1.3680043.10.1234.95';

interface Image {
  readonly file: string;
  readonly studyUid: string;
}

describeWith(
  ['chromium', 'storescu', 'echoscu', ...ARCHIVES.map(({ needs }) => needs)],
  'other archives in the browser',
  () => {
    const folder = temporaryFolder();
    const children: ChildProcess[] = [];
    let box: Lightbox;
    let cookie: string;
    let browser: Browser;
    let watched: Watched;
    let page: Page;
    /** One study for each archive. */
    const studies: string[] = [];

    function write(
      number: number,
      count: number,
      patientName: string,
      patientId = `OTHER-${number}`,
    ): Image[] {
      const studyUid = `${ROOT}.${number}`;
      return Array.from({ length: count }, (_, at) => {
        const file = join(folder.path, `${number}-${at}.dcm`);
        const names = { studyUid, seriesUid: `${studyUid}.1`, sopUid: `${studyUid}.1.${at}`, number: at + 1 };
        writeFileSync(file, ctImage({ ...names, patientId, patientName, side: 64, chance: () => 0.4 }));
        return { file, studyUid };
      });
    }

    const device = async (draft: Record<string, unknown>): Promise<void> => {
      const answer = await box.post('/api/devices', { host: '127.0.0.1', ...draft }, { cookie });
      expect(answer.ok, await answer.clone().text()).toBe(true);
    };

    beforeAll(async () => {
      box = await Lightbox.ready({
        env: { LIGHTBOX_TRANSFER_RETRY_SECONDS: '1', LIGHTBOX_TRANSFER_ATTEMPTS: '2' },
      });
      cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
      const ourselves = { aeTitle: 'LIGHTBOX', port: box.dicomPort };
      for (const [at, archive] of ARCHIVES.entries()) {
        const port = await freePort();
        const place = join(folder.path, archive.needs);
        mkdirSync(place);
        const title = `${PEER}${at + 1}`;
        children.push(await archive.start(place, port, [ourselves], title));
        const images = write(at + 1, 20, `Remote^${archive.needs}`);
        studies.push(images[0]?.studyUid ?? '');
        const profile = contextProfile(folder.path, EXPLICIT, [CT]);
        const files = images.map(({ file }) => file);
        const { answers } = await storescu(port, files, profile, { calledAe: title });
        expect([...answers.values()].filter((one) => one === 'Success')).toHaveLength(20);
        const verbs = ['echo', 'store'];
        const description = archive.needs;
        await device({ aeTitle: title, description, port, verbs, offers: ['store', 'archive'] });
      }
      await device({ aeTitle: 'DOWN', port: await freePort(), offers: ['store', 'archive'] });
      browser = await openBrowser();
      watched = await openPage(browser, box.url, 1440, 900);
      page = watched.page;
      await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
    });
    afterAll(async () => {
      await browser?.close();
      await box?.stop();
      for (const child of children) await stopped(child);
      folder.dispose();
    });

    const row = (studyUid: string) => page.locator(`[data-testid=archive-row][data-study-uid="${studyUid}"]`);

    it('searches all archives at once, says which one each study is in, and what is wrong with the one that is down', async () => {
      await page.goto(`${box.url}/archives`);
      const form = page.getByTestId('archive-search');
      await form.locator('input[name=patientName]').fill('Remote');
      await form.locator('input[name=patientName]').press('Enter');
      await page.getByTestId('archive-count').and(page.locator('[data-running=false]')).waitFor();
      expect(await page.getByTestId('archive-row').count()).toBe(2);
      for (const [at, archive] of ARCHIVES.entries()) {
        const text = await row(studies[at] ?? '').innerText();
        expect(text).toContain(`${PEER}${at + 1}`);
        expect(text).toContain(`Remote, ${archive.needs}`);
        expect(text).toContain('1970-01-01');
        expect(text).toContain('not here');
      }
      const problem = await page.getByTestId('archive-problem').innerText();
      expect(problem).toContain('DOWN could not be searched');
      expect(problem).toContain('is the program running');
      await picture(page, 'archives');
      expect(await axeFindings(page)).toEqual([]);
    });

    it.each([
      [0, 'C-GET (to us)'],
      [1, 'C-GET (to us)'],
    ])('fetches a study of archive %i by %s and shows what is here then', async (at, method) => {
      await fetchStudy(studies[at] ?? '', method);
    });

    it.each([[0], [1]])('fetches a study of archive %i by C-MOVE', async (at) => {
      // Another study of the same archive, sent there meanwhile.
      const port = await portOf(`${PEER}${at + 1}`);
      const images = write(11 + at, 8, 'Remote^Moved');
      const profile = contextProfile(folder.path, EXPLICIT, [CT]);
      await storescu(
        port,
        images.map(({ file }) => file),
        profile,
        { calledAe: `${PEER}${at + 1}` },
      );
      await page.getByTestId('archive-search').locator('button[type=submit]').click();
      await fetchStudy(images[0]?.studyUid ?? '', 'C-MOVE (it calls us)', 8);
    });

    async function portOf(aeTitle: string): Promise<number> {
      const answer = await fetch(`${box.url}/api/devices`, { headers: { cookie } });
      const all = (await answer.json()) as { aeTitle: string; port: number }[];
      return all.find((one) => one.aeTitle === aeTitle)?.port ?? 0;
    }

    async function fetchStudy(studyUid: string, method: string, count = 20): Promise<void> {
      await page.getByRole('combobox', { name: 'Fetch by' }).click();
      await page.getByRole('option', { name: method }).click();
      await row(studyUid).getByTestId('archive-fetch').click();
      await page
        .locator(`[data-testid=archive-row][data-study-uid="${studyUid}"][data-here="${count}"]`)
        .waitFor(PATIENCE);
      const listed = page.getByTestId('transfer-row').first();
      await expect.poll(() => listed.getAttribute('data-state'), PATIENCE).toBe('done');
      expect(await listed.innerText()).toContain(`${count} of ${count}`);
      const found = await box.getJson<unknown[]>(`/dicom-web/studies/${studyUid}/instances`);
      expect(found).toHaveLength(count);
    }

    it('shows series, and warns where the study is here with another patient', async () => {
      const study = studies[0] ?? '';
      await row(study).getByRole('button', { name: 'Series' }).click();
      const series = page.getByTestId('archive-series');
      await expect.poll(() => series.count(), PATIENCE).toBe(1);
      expect(await series.first().innerText()).toContain('20 here');
      // The archive has a study under a number that is another patient's here.
      const strange = write(21, 1, 'Remote^Other', 'THERE-21');
      const profile = contextProfile(folder.path, EXPLICIT, [CT]);
      const port = await portOf(`${PEER}2`);
      await storescu(
        port,
        strange.map(({ file }) => file),
        profile,
        { calledAe: `${PEER}2` },
      );
      const ours = write(21, 1, 'Local^Patient', 'HERE-21');
      await storescu(
        box.dicomPort,
        ours.map(({ file }) => file),
        profile,
      );
      await page.getByTestId('archive-search').locator('button[type=submit]').click();
      await row(strange[0]?.studyUid ?? '').waitFor(PATIENCE);
      expect(await row(strange[0]?.studyUid ?? '').innerText()).toContain('Here with another patient');
      await picture(page, 'archives-fetched');
      expect(await axeFindings(page)).toEqual([]);
    });

    it('sends a study from its page, and keeps the dead letter until a person decides', async () => {
      await page.goto(`${box.url}/studies/${studies[0]}`);
      await page.getByRole('button', { name: 'Send to…' }).click();
      const dialog = page.getByTestId('send-dialog');
      await dialog.getByRole('combobox', { name: 'Destination' }).click();
      await page.getByRole('option', { name: 'DOWN' }).click();
      await dialog.getByRole('button', { name: 'Send', exact: true }).click();
      await dialog.locator('[data-state=failed]').waitFor(PATIENCE);
      expect(await axeFindings(page)).toEqual([]);
      await picture(page, 'send');
      await page.goto(`${box.url}/transfers`);
      await page.getByTestId('transfers-view-failed').click();
      const dead = page.getByTestId('transfer-row');
      await expect.poll(() => dead.count(), PATIENCE).toBe(1);
      expect(await dead.innerText()).toContain('is the program running');
      expect(await dead.innerText()).toContain('Remote, dcmqrscp');
      await picture(page, 'transfers');
      expect(await axeFindings(page)).toEqual([]);
      await dead.getByTestId('transfer-retry').click();
      await expect.poll(() => dead.count(), PATIENCE).toBe(0);
      await expect.poll(() => dead.count(), PATIENCE).toBe(1);
      await dead.getByTestId('transfer-cancel').click();
      await expect.poll(() => dead.count(), PATIENCE).toBe(0);
      await page.getByTestId('transfers-view-all').click();
      await expect.poll(() => dead.count(), PATIENCE).toBeGreaterThan(3);
      await picture(page, 'transfers-all');
    });

    it('fetches several studies together, and sends several together', async () => {
      const fresh: string[] = [];
      for (const at of [0, 1]) {
        const images = write(31 + at, 2, 'Several^Together');
        const profile = contextProfile(folder.path, EXPLICIT, [CT]);
        await storescu(
          await portOf(`${PEER}${at + 1}`),
          images.map(({ file }) => file),
          profile,
          { calledAe: `${PEER}${at + 1}` },
        );
        fresh.push(images[0]?.studyUid ?? '');
      }
      await page.goto(`${box.url}/archives`);
      const form = page.getByTestId('archive-search');
      await form.locator('input[name=patientName]').fill('Several');
      await form.locator('input[name=patientName]').press('Enter');
      for (const uid of fresh) await row(uid).getByRole('checkbox').check(PATIENCE);
      const together = page.getByTestId('archive-fetch-marked');
      expect(await together.innerText()).toBe('Fetch 2 studies');
      await picture(page, 'archives-several');
      await together.click();
      for (const uid of fresh)
        await page
          .locator(`[data-testid=archive-row][data-study-uid="${uid}"][data-here="2"]`)
          .waitFor(PATIENCE);

      await page.goto(box.url);
      await page.getByPlaceholder('Name, ID or accession').fill('Several');
      const rows = page.getByTestId('study-row');
      await expect.poll(() => rows.count(), PATIENCE).toBe(2);
      for (const uid of fresh) await page.locator(`[data-study-uid="${uid}"]`).getByRole('checkbox').check();
      await page.getByTestId('marked').getByText('2 studies chosen').waitFor();
      expect(await axeFindings(page)).toEqual([]);
      await picture(page, 'list-several');
      await page.getByTestId('marked').getByRole('button', { name: 'Send to…' }).click();
      const dialog = page.getByTestId('send-dialog');
      await dialog.getByText('2 studies chosen').waitFor();
      await dialog.getByRole('combobox', { name: 'Destination' }).click();
      // Each archive has one of the two already, and gets the other.
      await page.getByRole('option', { name: `${PEER}1` }).click();
      await dialog.getByRole('button', { name: 'Send', exact: true }).click();
      await dialog.locator('[data-state=done]').first().waitFor(PATIENCE);
      expect(await dialog.locator('[data-state=done]').first().innerText()).toContain('4 of 4');
      await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
      await page.getByTestId('marked').getByRole('button', { name: 'Export…' }).click();
      await page.getByTestId('export-form').waitFor();
      await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    });

    it('fits on a phone, and speaks German', async () => {
      await page.setViewportSize({ width: 390, height: 844 });
      await page.evaluate(`localStorage.setItem('lightbox.language', 'de')`);
      await page.goto(`${box.url}/archives`);
      const name = page.locator('input[name=patientName]');
      await name.fill('Remote');
      await name.press('Enter');
      await page.getByTestId('archive-row').first().waitFor(PATIENCE);
      await page.getByTestId('archive-problem').waitFor(PATIENCE);
      expect(await page.getByTestId('archive-problem').innerText()).toContain('nicht erreichbar');
      expect(await page.evaluate(`document.documentElement.scrollWidth <= window.innerWidth`)).toBe(true);
      await picture(page, 'archives-phone');
      await page.goto(`${box.url}/transfers`);
      await page.getByTestId('transfer-row').first().waitFor(PATIENCE);
      expect(await page.evaluate(`document.documentElement.scrollWidth <= window.innerWidth`)).toBe(true);
      await picture(page, 'transfers-phone');
      expect(await axeFindings(page)).toEqual([]);
      expect(watched.errors).toEqual([]);
      expect(watched.foreign).toEqual([]);
    });
  },
);
