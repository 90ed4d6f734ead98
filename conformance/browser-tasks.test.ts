/** The page of tasks in a real browser: what other systems do is seen as it happens, and a task can be canceled. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { scheduledJson } from '../core/src/workflow/testing.ts';
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
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

describeWith(['chromium'], 'the page of tasks', () => {
  let box: Lightbox;
  let browser: Browser;
  let watched: Watched;
  let page: Page;

  const ask = (method: string, path: string, body: object): Promise<Response> =>
    fetch(`${box.url}/dicom-web/workitems${path}`, {
      method,
      headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/dicom+json' },
      body: JSON.stringify(body),
    });
  const claim = (uid: string): Promise<Response> =>
    ask('PUT', `/${uid}/state`, {
      '00741000': { vr: 'CS', Value: ['IN PROGRESS'] },
      '00081195': { vr: 'UI', Value: ['1.2.3'] },
    });
  const row = (state: string) => page.locator(`[data-testid=task-row][data-state="${state}"]`);

  beforeAll(async () => {
    box = await Lightbox.ready();
    browser = await openBrowser();
    watched = await openPage(browser, box.url);
    page = watched.page;
    await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
  });

  it('shows what is made and claimed elsewhere without reloading', async () => {
    await page.getByRole('link', { name: 'Tasks' }).click();
    await page.getByText('No tasks').waitFor(PATIENCE);
    expect((await ask('POST', '?workitem=1.2.1', scheduledJson())).status).toBe(201);
    await row('SCHEDULED').waitFor(PATIENCE);
    expect(await row('SCHEDULED').innerText()).toContain('Grün, Erika');
    expect(await row('SCHEDULED').innerText()).toContain('Workstation 1');
    expect((await claim('1.2.1')).status).toBe(200);
    await row('IN PROGRESS').waitFor(PATIENCE);
    expect(await row('SCHEDULED').count()).toBe(0);
  });

  it('by state', async () => {
    await ask('POST', '?workitem=1.2.2', scheduledJson({ ProcedureStepLabel: 'Second' }));
    await page.getByTestId('tasks-state-SCHEDULED').click();
    await row('SCHEDULED').waitFor(PATIENCE);
    await row('IN PROGRESS').waitFor({ state: 'detached', ...PATIENCE });
    await page.getByTestId('tasks-state-all').click();
    await row('IN PROGRESS').waitFor(PATIENCE);
  });

  it('cancels at once what nobody works on', async () => {
    await row('SCHEDULED').getByRole('button', { name: 'Details' }).click();
    const detail = page.getByTestId('task-detail');
    await detail.waitFor(PATIENCE);
    await page.waitForTimeout(400);
    expect(await axeFindings(page)).toEqual([]);
    await picture(page, 'tasks');
    await detail.getByLabel('Reason').fill('Wrong patient');
    await detail.getByRole('button', { name: 'Cancel the task' }).click();
    await page.locator('[data-testid=task-detail][data-state=CANCELED]').waitFor(PATIENCE);
    expect(await detail.innerText()).toContain('Wrong patient');
    await page.getByRole('button', { name: 'Close' }).click();
  });

  it('asks who works on it, and says when nobody can be told', async () => {
    await row('IN PROGRESS').getByRole('button', { name: 'Details' }).click();
    const detail = page.getByTestId('task-detail');
    await detail.getByRole('button', { name: 'Cancel the task' }).click();
    await detail.getByText('nobody who could be told watches it').waitFor(PATIENCE);
    await ask('POST', '/1.2.1/subscribers/PERFORMER', {});
    await detail.getByRole('button', { name: 'Cancel the task' }).click();
    await detail.getByRole('status').waitFor(PATIENCE);
    await page.getByRole('button', { name: 'Close' }).click();
  });

  it('had no error and asked no other server', () => {
    expect(watched.errors).toEqual([]);
    expect(watched.foreign).toEqual([]);
  });
});
