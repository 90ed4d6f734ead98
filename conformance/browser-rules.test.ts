/**
 * The page of rules in a real browser: a rule made by the form, tried on a study before it is saved, saved, at work, changed as text
 * with a mistake that is told in its place, compared and put back.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
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
import { Destination } from './support/destination.ts';
import { ctImage, EXPLICIT } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { CT } from './support/wire.ts';

const STUDY = '1.2.826.0.1.3680043.10.1234.98.1';

describeWith(['chromium', 'storescu'], 'the page of rules', () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  let destination: Destination;
  let browser: Browser;
  let watched: Watched;
  let page: Page;

  async function store(from: number, count: number): Promise<void> {
    mkdirSync(join(folder.path, 'images'), { recursive: true });
    const files = Array.from({ length: count }, (_, at) => {
      const number = from + at;
      const file = join(folder.path, 'images', `${number}.dcm`);
      const names = { studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid: `${STUDY}.1.${number}`, number };
      const patient = { patientId: 'RULES-1', patientName: 'Rules^Page' };
      writeFileSync(file, ctImage({ ...names, ...patient, side: 32, chance: () => 0.5 }));
      return file;
    });
    const { answers } = await storescu(box.dicomPort, files, contextProfile(folder.path, EXPLICIT, [CT]));
    expect([...answers.values()].filter((one) => one === 'Success')).toHaveLength(count);
  }

  beforeAll(async () => {
    box = await Lightbox.ready({ env: { LIGHTBOX_QUIET_SECONDS: '1' } });
    destination = await Destination.start();
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const device = {
      aeTitle: 'WS1',
      host: '127.0.0.1',
      port: destination.port,
      verbs: ['echo'],
      offers: ['store'],
    };
    expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
    await store(1, 2);
    browser = await openBrowser();
    watched = await openPage(browser, box.url, 1440, 900);
    page = watched.page;
    page.setDefaultTimeout(PATIENCE.timeout);
    await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
    destination?.stop();
    folder.dispose();
  });

  const tab = (name: string) => page.getByTestId(`rules-tab-${name}`).click();
  const chooseStudy = async (): Promise<void> => {
    await tab('try');
    await page.getByTestId('rules-try-study').fill('Rules');
    await page.getByRole('option', { name: /Rules, Page/ }).click();
  };

  it('makes a rule by the form, and says in its place what is missing', async () => {
    await page.goto(`${box.url}/rules`);
    await page.getByRole('button', { name: 'Add a rule' }).click();
    const editor = page.getByTestId('rule-editor');
    await editor.locator('input[name=rule-name]').fill('To the workstation');
    await editor.getByRole('button', { name: 'Add a condition' }).click();
    const condition = editor.getByTestId('rule-condition');
    await condition.getByLabel('Attribute').fill('Modalty');
    await condition.getByLabel('Value').fill('MR');
    expect(await editor.getByTestId('rules-problems').innerText()).toContain('Write Modality?');
    expect(await editor.getByTestId('rules-problems').innerText()).toContain('then.send.devices');
    expect(await page.getByTestId('rule-done').isDisabled()).toBe(true);
    await condition.getByLabel('Attribute').fill('Modality');
    await editor.getByLabel('Send to').click({ force: true });
    await page.getByRole('option', { name: 'WS1' }).click();
    await page.keyboard.press('Tab');
    await picture(page, 'rule-editor');
    expect(await axeFindings(page)).toEqual([]);
    await page.getByTestId('rule-done').click();
    await page.locator('[data-testid=rule][data-rule="To the workstation"]').waitFor();
    expect(await page.getByTestId('rule').innerText()).toContain('Modality = MR → WS1');
  });

  it('tries it on a study before it is saved: why it does not match, then what it would do', async () => {
    await chooseStudy();
    const tried = page.locator('[data-testid=tried-rule][data-state=no]');
    await tried.waitFor();
    expect(await tried.getByTestId('tried-reason').innerText()).toContain('Modality has to be MR — it is CT');
    await tab('list');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByTestId('rule-condition').getByLabel('Value').fill('CT');
    await page.getByTestId('rule-done').click();
    await chooseStudy();
    await page.locator('[data-testid=tried-rule][data-state=yes]').waitFor();
    expect(await page.getByTestId('tried-send').innerText()).toBe('2 objects would go to WS1');
    await picture(page, 'rules-try');
    expect(await axeFindings(page)).toEqual([]);
    expect(destination.arrived).toHaveLength(0);
  });

  it('saves it; from then on what comes is sent, and the log says so', async () => {
    await tab('list');
    await page.getByLabel('What is changed, and why').fill('first rule');
    await page.getByTestId('rules-save').click();
    await page.getByTestId('rules-unsaved').waitFor({ state: 'detached' });
    await store(3, 1);
    await expect.poll(() => destination.arrived.length, PATIENCE).toBe(1);
    await tab('log');
    const row = page.locator('[data-testid=rule-log-row][data-event=sent]');
    await row.waitFor();
    expect(await row.innerText()).toContain('To the workstation');
    expect(await row.innerText()).toContain('Rules, Page');
    expect(await axeFindings(page)).toEqual([]);
    // By hand, for what was there before the rule.
    await chooseStudy();
    await page.getByRole('button', { name: 'Do it now' }).click();
    await expect.poll(() => destination.arrived.length, PATIENCE).toBe(4);
  });

  it('tells a mistake in the text in its place, and shows corrections before and after', async () => {
    await tab('list');
    await page.getByRole('button', { name: 'Edit as text' }).click();
    const text = page.getByTestId('rules-text');
    const file = (op: string): string =>
      JSON.stringify({
        version: 1,
        rules: [{ name: 'Upper', then: { coerce: [{ op, attribute: 'PatientName' }] } }],
      });
    await text.fill(file('uper'));
    await page.getByTestId('rules-problems').waitFor();
    expect(await page.getByTestId('rules-problems').innerText()).toContain('rules[0].then.coerce[0].op');
    await text.fill(file('upper'));
    await page.getByTestId('rules-problems').waitFor({ state: 'detached' });
    await chooseStudy();
    const change = page.getByTestId('tried-change');
    await change.waitFor();
    expect(await change.innerText()).toMatch(/PatientName.*Rules\^Page.*RULES\^PAGE/s);
    await tab('list');
    await page.getByTestId('rules-save').click();
    await page.getByTestId('rules-unsaved').waitFor({ state: 'detached' });
  });

  it('compares versions and goes back to one', async () => {
    await tab('versions');
    const newest = page.getByTestId('rules-version').first();
    await newest.getByRole('button', { name: 'What changed' }).click();
    await page.locator('[data-testid=rules-change][data-change=removed]').waitFor();
    expect(await page.locator('[data-testid=rules-change][data-change=added]').innerText()).toContain(
      'Upper',
    );
    expect(await axeFindings(page)).toEqual([]);
    await page.getByRole('button', { name: 'Back to this one' }).last().click();
    await tab('list');
    await page.locator('[data-testid=rule][data-rule="To the workstation"]').waitFor();
    expect(watched.errors).toEqual([]);
    expect(watched.foreign).toEqual([]);
  });
});
