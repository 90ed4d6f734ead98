/** A real Chromium for a test, without a graphics card; what it logs and loads from elsewhere is kept. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { program } from '../../tools/testing.ts';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
];

export interface Watched {
  readonly page: Page;
  /** Errors thrown by the page's own code. */
  readonly errors: string[];
  /** Requests to any other origin. */
  readonly foreign: string[];
}

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: program('chromium') ?? 'chromium', args: FLAGS });
}

export async function openPage(
  browser: Browser,
  origin: string,
  width = 1280,
  height = 800,
): Promise<Watched> {
  const page = await browser.newPage({ viewport: { width, height }, locale: 'en-GB' });
  const watched: Watched = { page, errors: [], foreign: [] };
  page.on('pageerror', (error) => watched.errors.push(error.message));
  page.on('request', (request) => {
    const { protocol, origin: from } = new URL(request.url());
    if (protocol.startsWith('http') && from !== origin) watched.foreign.push(from);
  });
  return watched;
}

/** Kept under an ignored folder, to be looked at. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = resolve(import.meta.dirname, '../../artefacts/browser');
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Sum and number of different grey values of the first drawn image. */
export function pixels(page: Page): Promise<{ sum: number; values: number }> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('[data-testid=pixels] canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    const values = new Set();
    for (let at = 0; at < data.length; at += 4) { sum += data[at]; values.add(data[at]); }
    return { sum, values: values.size };
  })()`);
}
