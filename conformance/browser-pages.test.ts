/**
 * The pages around the images: who gets in, what may be dropped on them, devices, other languages, phones; that everyone
 * can use them (axe's rules for WCAG 2 A and AA), and what they cost to load.
 */
import { createHmac } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
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
import { run, temporaryFolder } from './support/dcmtk.ts';
import { writeImages, type WrittenImage } from './support/images.ts';
import { storedZip } from './support/zip.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';

/** Issue 2: the list must open quickly on the line of a practice. */
const LIST_SCRIPT_BYTES = 300_000;
/** The least that the setting allows. */
const IDLE_SECONDS = 30;

/** RFC 6238 with the defaults of authenticator apps. */
function totp(secret: string, at = Date.now()): string {
  const bits = [...secret.replace(/=+$/, '')]
    .map((char) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char).toString(2).padStart(5, '0'))
    .join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

describeWith(['chromium', 'findscu'], 'the pages in a real browser', () => {
  let box: Lightbox;
  let browser: Browser;
  let watched: Watched;
  let page: Page;
  let images: WrittenImage[];
  const folder = temporaryFolder();

  beforeAll(async () => {
    box = await Lightbox.ready();
    browser = await openBrowser();
    watched = await openPage(browser, box.url);
    page = watched.page;
    let state = 3;
    images = writeImages(folder.path, '78', 3, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    });
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
    folder.dispose();
  });

  it('loads the list with less than 300 KB of script, and nothing of the viewer', async () => {
    const scripts = new Map<string, Promise<Buffer>>();
    const plain = new Set<string>();
    page.on('response', (response) => {
      if (!/\.js$/.test(new URL(response.url()).pathname)) return;
      scripts.set(response.url(), response.body());
      // Very small ones are not worth a second file.
      const { 'content-encoding': encoding, 'content-length': length } = response.headers();
      if (encoding === undefined && Number(length) > 1024) plain.add(response.url());
    });
    await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
    await page.waitForLoadState('networkidle').catch(() => undefined);
    const bodies = await Promise.all(scripts.values());
    page.removeAllListeners('response');
    const bytes = bodies.reduce((sum, body) => sum + gzipSync(body).length, 0);
    expect(bodies.length).toBeGreaterThan(1);
    expect(bytes).toBeLessThan(LIST_SCRIPT_BYTES);
    expect([...scripts.keys()].filter((url) => url.includes('viewer'))).toEqual([]);
    expect([...plain]).toEqual([]);
  });

  it('takes a folder and a ZIP by drag and drop, and says what became of each file', async () => {
    // A real drop of a real folder, with a file that is no image.
    const dropped = join(folder.path, 'dropped');
    mkdirSync(join(dropped, 'deeper'), { recursive: true });
    for (const [at, { file }] of images.slice(0, 2).entries())
      copyFileSync(file, join(dropped, at === 0 ? '' : 'deeper', `image-${at}.dcm`));
    writeFileSync(join(dropped, 'notes.txt'), 'not an image');
    const debuggers = await page.context().newCDPSession(page);
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
      await debuggers.send('Input.dispatchDragEvent', {
        ...{ type, x: 400, y: 400 },
        data: { items: [], files: [dropped], dragOperationsMask: 1 },
      });
    const results = page.getByTestId('upload-result');
    await expect.poll(() => results.count(), PATIENCE).toBe(3);
    const statuses = async () =>
      (await results.evaluateAll((all) => all.map((one) => one.getAttribute('data-status')))).sort();
    expect((await statuses()).filter((one) => one === 'stored')).toHaveLength(2);
    await page.locator(`[data-study-uid="${images[0]?.studyUid}"]`).waitFor();
    await page
      .locator('[data-testid=upload-input]')
      .first()
      .setInputFiles({
        name: 'all.zip',
        mimeType: 'application/zip',
        buffer: storedZip(
          images.map(({ file, sopUid }) => ({ name: `study/${sopUid}.dcm`, bytes: readFileSync(file) })),
        ),
      });
    await expect.poll(() => results.count(), PATIENCE).toBe(6);
    expect((await statuses()).filter((one) => one === 'duplicate')).toHaveLength(2);
    expect((await statuses()).filter((one) => one === 'stored')).toHaveLength(3);
    await picture(page, 'uploads');
    await page.getByRole('button', { name: 'Clear the finished uploads' }).click();
  });

  it('keeps a filter under a name', async () => {
    await page.getByPlaceholder('Name, ID or accession').fill('nobody at all');
    await page.getByText('No study matches these filters').waitFor();
    await page.getByRole('button', { name: 'Saved filters' }).click();
    await page.getByLabel('Name of this filter').fill('Nobody');
    const saved = page.waitForResponse((response) => response.request().method() === 'PUT');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    expect((await saved).status()).toBeLessThan(300);
    await page.getByRole('menuitem', { name: 'Nobody', exact: true }).waitFor();
    await page.reload();
    await page.getByTestId('study-row').first().waitFor();
    await page.getByRole('button', { name: 'Saved filters' }).click();
    await page.getByRole('menuitem', { name: 'Nobody', exact: true }).click();
    await page.getByText('No study matches these filters').waitFor();
    await page.keyboard.press('Escape');
  });

  it('shows a refused device, allows it by one click, and asks whether it answers', async () => {
    await page.goto(`${box.url}/devices`);
    await run('findscu', [
      '-S',
      '-aet',
      'STRANGER',
      '-aec',
      'LIGHTBOX',
      '-k',
      'QueryRetrieveLevel=STUDY',
      '127.0.0.1',
      String(box.dicomPort),
    ]).catch(() => undefined);
    const row = page.locator('[data-testid=device-refused-row][data-ae=STRANGER]').first();
    await row.waitFor();
    await picture(page, 'device-refused');
    await row.getByTestId('device-allow').click();
    const device = page.getByTestId('device-row').filter({ hasText: 'STRANGER' });
    await device.waitFor();
    await device.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Port').fill(String(await freePort()));
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByTestId('device-form').waitFor({ state: 'detached' });
    await device.getByTestId('device-echo').click();
    await expect
      .poll(() => page.getByTestId('device-echo-result').getAttribute('data-ok'), PATIENCE)
      .toBe('false');
    await picture(page, 'device-echo');
  });

  it('is usable by everyone on every page, in both themes', async () => {
    const wrong: string[] = [];
    const look = async (name: string) => {
      for (const found of await axeFindings(page)) wrong.push(`${name} ${found}`);
    };
    const study = images[0]?.studyUid ?? '';
    const pages = [
      '',
      'import',
      'devices',
      'certificates',
      'people',
      'keys',
      'audit',
      'quarantine',
      'commitments',
      'archives',
      'transfers',
      'tasks',
      'status',
      'account',
      `studies/${study}`,
    ];
    for (const theme of ['dark', 'light']) {
      await page.evaluate(`localStorage.setItem('mantine-color-scheme-value', '${theme}')`);
      for (const path of pages) {
        await page.goto(`${box.url}/${path}`);
        await page.locator('main h1').first().waitFor({ state: 'attached' });
        await page.waitForTimeout(400);
        await look(`${theme} /${path}`);
      }
    }
    await page.evaluate(`localStorage.setItem('mantine-color-scheme-value', 'dark')`);
    await page.goto(`${box.url}/viewer/${study}`);
    await page.locator('[data-testid=pixels][data-index]').waitFor();
    await look('viewer');
    await page.getByTestId('grey-menu').click();
    await page.getByTestId('grey-choice').first().waitFor();
    await page.waitForTimeout(400);
    await look('viewer menu');
    expect(wrong).toEqual([]);
  });

  it('speaks German, and stays with it', async () => {
    await page.goto(`${box.url}/account`);
    await page.getByRole('combobox', { name: 'Language' }).click();
    await page.getByRole('option', { name: 'Deutsch' }).click();
    await page.getByRole('heading', { name: 'Mein Konto' }).waitFor();
    await page.goto(box.url);
    await page.getByPlaceholder('Name, ID oder Auftragsnummer').waitFor();
    expect(await page.evaluate('document.documentElement.lang')).toBe('de');
    await picture(page, 'german');
    await page.evaluate(`localStorage.setItem('lightbox.language', 'en')`);
  });

  it('asks for a one-time code once that is turned on', async () => {
    await page.goto(`${box.url}/account`);
    await page
      .getByLabel(/^Password/)
      .last()
      .fill(ADMINISTRATOR.password);
    await page.getByRole('button', { name: 'Turn on' }).click();
    const link = await page.getByRole('link', { name: 'Open in the app' }).getAttribute('href');
    const secret = new URL(link ?? '').searchParams.get('secret') ?? '';
    await page.getByLabel('One-time code').fill(totp(secret));
    await picture(page, 'totp');
    await page.getByRole('button', { name: 'Confirm code' }).click();
    await page.getByRole('button', { name: 'Turn off' }).waitFor();
    const other = await openPage(browser, box.url);
    await other.page.goto(`${box.url}/sign-in`);
    await other.page.locator('input[name=email]').fill(ADMINISTRATOR.email);
    await other.page.locator('input[name=password]').fill(ADMINISTRATOR.password);
    await other.page.locator('button[type=submit]').click();
    await other.page.locator('input[name=code]').fill(totp(secret));
    await other.page.locator('button[type=submit]').click();
    await other.page.locator('[data-testid=live-status]').waitFor();
    await other.page.close();
  });

  it('shows a referring doctor nothing of the administration', async () => {
    await page.goto(`${box.url}/people`);
    const form = page.getByTestId('invite-person-form');
    await form.getByLabel('Name').fill('Dr Referrer');
    await form.getByLabel('E-mail').fill('referrer@example.org');
    await form.getByRole('combobox', { name: 'Roles' }).click({ force: true });
    await page.getByRole('option', { name: 'Referring doctor' }).click();
    await page.keyboard.press('Escape');
    await form.getByRole('button', { name: 'Invite' }).click();
    const link = (await page.getByTestId('invitation-link').innerText()).trim();
    const other = await openPage(browser, box.url, 390, 780);
    await other.page.goto(`${box.url}${new URL(link).pathname}${new URL(link).hash}`);
    await other.page.locator('input[name=password]').fill('another long passphrase 8');
    await other.page.locator('button[type=submit]').click();
    await other.page.waitForURL('**/sign-in');
    await enter(other.page, box.url, 'referrer@example.org', 'another long passphrase 8');
    // On a phone: nothing runs over the edge, and the menu has the studies only.
    expect(await other.page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    await picture(other.page, 'phone-list');
    await other.page.getByRole('button', { name: 'Main navigation' }).click();
    await other.page.getByRole('menuitem').first().waitFor();
    expect(await other.page.getByRole('menuitem').allInnerTexts()).toEqual(['Studies']);
    await other.page.goto(`${box.url}/audit`);
    await other.page.getByText('Your role does not allow this.').waitFor();
    await other.page.close();
  });

  it('had no error and asked no other server', () => {
    expect(watched.errors).toEqual([]);
    expect(watched.foreign).toEqual([]);
  });
});

describeWith(['chromium'], 'the idle lock in a real browser', () => {
  let box: Lightbox;
  let browser: Browser;

  beforeAll(async () => {
    box = await Lightbox.ready({ env: { LIGHTBOX_IDLE_LOCK_SECONDS: String(IDLE_SECONDS) } });
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await box?.stop();
  });

  it('takes everything off the screen, and gives it back for the password only', async () => {
    const { page } = await openPage(browser, box.url);
    await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
    const form = page.getByTestId('lock-form');
    await form.waitFor({ timeout: 60_000 });
    expect(await page.locator('.list').count()).toBe(0);
    expect(await axeFindings(page)).toEqual([]);
    await picture(page, 'locked');
    await page.reload();
    await form.waitFor();
    await form.locator('input').fill('not the passphrase');
    await form.locator('button[type=submit]').click();
    await form.getByRole('alert').waitFor();
    await form.locator('input').fill(ADMINISTRATOR.password);
    await form.locator('button[type=submit]').click();
    await page.locator('.list').waitFor();
    await page.close();
  });
});
