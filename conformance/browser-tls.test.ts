/** The administrator makes certificates, gives one to a device and lets the device in, all in a real browser. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { enter, openBrowser, openPage, PATIENCE, picture, type Watched } from './support/browser.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { selfSigned } from './support/tls.ts';

describeWith(['chromium', 'echoscu', 'openssl'], 'certificates in a real browser', () => {
  const folder = temporaryFolder();
  let box: Lightbox;
  let browser: Browser;
  let watched: Watched;
  let page: Page;
  let tlsPort: number;

  beforeAll(async () => {
    tlsPort = await freePort();
    box = await Lightbox.ready({ env: { LIGHTBOX_DICOM_TLS_PORT: String(tlsPort) } });
    browser = await openBrowser();
    watched = await openPage(browser, box.url);
    page = watched.page;
    await enter(page, box.url, ADMINISTRATOR.email, ADMINISTRATOR.password);
  });
  afterAll(async () => {
    await browser.close();
    await box.stop();
    folder.dispose();
  });

  /** The files a link of the page offers. */
  const fileOf = async (name: string): Promise<string> => {
    const href = await page
      .getByTestId('certificate-issued')
      .getByRole('link', { name })
      .getAttribute('href');
    const path = join(folder.path, name.replaceAll(/\W/g, ''));
    writeFileSync(path, Buffer.from(href?.split(',')[1] ?? '', 'base64'));
    return path;
  };
  const echo = (key: string, certificate: string, authority: string) =>
    run('echoscu', [
      ...['-v', '-to', '10', '-aet', 'CT7', '-aec', 'LIGHTBOX', '+tls', key, certificate, '+cf', authority],
      ...['127.0.0.1', String(tlsPort)],
    ]);

  it('makes a certificate, issues one for a device, and allows the device with it in one click', async () => {
    await page.goto(`${box.url}/certificates`);
    await page.getByText('Make a new one from our authority').click();
    await page.getByTestId('certificate-make').click();
    await page.getByTestId('tls-listening').waitFor();
    expect(await page.getByTestId('tls-listening').textContent()).toContain(String(tlsPort));
    await page.getByText('Issue one for a device').click();
    await page.getByLabel('Name of the device').fill('CT7');
    await page.getByTestId('certificate-issue').click();
    await page.getByTestId('certificate-issued').waitFor();
    await picture(page, 'certificates');
    const [key, certificate, authority] = [
      await fileOf('Private key (PEM)'),
      await fileOf('Certificate (PEM)'),
      await fileOf('Our authority'),
    ];
    // Not known yet, and not from this machine's pardon: it wants to search.
    const search = await run('findscu', [
      ...['-S', '-aet', 'CT7', '-aec', 'LIGHTBOX', '+tls', key, certificate, '+cf', authority],
      ...['-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID', '127.0.0.1', String(tlsPort)],
    ]);
    expect(search.output).toMatch(/Not Recognized/i);
    await page.goto(`${box.url}/devices`);
    const row = page.locator('[data-testid=device-refused-row][data-ae=CT7]').first();
    await row.getByTestId('device-allow').click();
    const device = page.getByTestId('device-row').filter({ hasText: 'CT7' });
    await device.waitFor();
    expect(await device.textContent()).toContain('TLS');
    expect((await echo(key, certificate, authority)).output).toContain('Received Echo Response (Success)');
    // Its name without its certificate is worth nothing.
    const plain = await run('echoscu', ['-v', '-aet', 'CT7', '127.0.0.1', String(box.dicomPort)]);
    expect(plain.output).toMatch(/Not Recognized/i);
    const again = page.locator('[data-testid=device-refused-row][data-ae=CT7]').first();
    await again.waitFor();
    expect(await again.textContent()).toContain('has to use TLS');
    await again.getByRole('button', { name: 'Edit' }).click();
    await page.getByTestId('device-form').waitFor();
    expect(await page.getByLabel('SHA-256 fingerprint').inputValue()).toMatch(/^[0-9a-f]{64}$/);
    await picture(page, 'device-security');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByTestId('device-form').waitFor({ state: 'detached' });
  });

  it('trusts a certificate that was brought, says what is wrong with another, and takes trust away', async () => {
    const own = await selfSigned(folder.path, 'vendor');
    await page.goto(`${box.url}/certificates`);
    await page.getByText('Add a trusted certificate').click();
    const section = page.locator('section').filter({ hasText: 'Add a trusted certificate' });
    await section.getByLabel('Certificate (PEM)').fill('no certificate');
    await section.getByRole('button', { name: 'Trust it' }).click();
    await section.getByRole('alert').waitFor();
    expect(await section.getByRole('alert').textContent()).toContain('cannot be read');
    await section.getByLabel('Certificate (PEM)').fill(readFileSync(own.certificate, 'latin1'));
    await section.getByRole('button', { name: 'Trust it' }).click();
    const row = page.getByTestId('certificate-trusted');
    await row.waitFor();
    // It ends within thirty days.
    await expect.poll(() => page.getByText('Soon not valid any more').isVisible(), PATIENCE).toBe(true);
    await row.getByRole('button').click();
    await row.getByRole('button').click();
    await row.waitFor({ state: 'detached' });
    expect(watched.errors).toEqual([]);
  });

  it('adds an AE title, under which Lightbox answers at once', async () => {
    await page.goto(`${box.url}/devices`);
    await page.locator('summary', { hasText: 'Add AE title' }).click();
    await page.locator('details').getByLabel('AE title').fill('RESEARCH');
    await page.locator('details').getByRole('button', { name: 'Add AE title' }).click();
    await page.getByTestId('local-ae-row').filter({ hasText: 'RESEARCH' }).waitFor();
    const found = await run('echoscu', ['-v', '-aec', 'RESEARCH', '127.0.0.1', String(box.dicomPort)]);
    expect(found.code).toBe(0);
  });
});
