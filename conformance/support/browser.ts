/** A real Chromium for a test, without a graphics card; what it logs and loads from elsewhere is kept. */
import { mkdirSync, readFileSync } from 'node:fs';
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

/** A shared machine without a graphics card draws slowly. */
export const PATIENCE = { timeout: 30_000 };

/** Signs in by the form and waits for the list. */
export async function enter(page: Page, origin: string, email: string, password: string): Promise<void> {
  await page.goto(`${origin}/sign-in`);
  const form = page.locator('[data-testid=sign-in-form]');
  await form.locator('input[name=email]').fill(email);
  await form.locator('input[name=password]').fill(password);
  await form.locator('button[type=submit]').click();
  await page.locator('[data-testid=live-status][data-state=live]').waitFor();
}

/** Red at places of a square image of `side` pixels that is fitted into the first cell. */
export function greysAt(
  page: Page,
  side: number,
  places: readonly (readonly [x: number, y: number])[],
): Promise<number[]> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('[data-testid=pixels] canvas');
    const context = canvas.getContext('2d');
    const shown = Math.min(canvas.width, canvas.height);
    return ${JSON.stringify(places)}.map(([x, y]) => context.getImageData(
      Math.floor((canvas.width - shown) / 2 + ((x + 0.5) * shown) / ${side}),
      Math.floor((canvas.height - shown) / 2 + ((y + 0.5) * shown) / ${side}), 1, 1).data[0]);
  })()`);
}

/** Where the edge before column `x`, row `y` of such an image is on the page. */
export async function placeOf(page: Page, side: number, x: number, y: number): Promise<[number, number]> {
  const box = await page.locator('[data-testid=pixels] canvas').first().boundingBox();
  if (!box) throw new Error('no image is on the page');
  const shown = Math.min(box.width, box.height);
  return [
    box.x + (box.width - shown) / 2 + (x * shown) / side,
    box.y + (box.height - shown) / 2 + (y * shown) / side,
  ];
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

const AXE = readFileSync(join(import.meta.dirname, '../../node_modules/axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary: string }[];
}

/** Serious and critical findings of WCAG 2 A and AA, as lines a person can act on. */
export async function axeFindings(page: Page): Promise<string[]> {
  // The page's policy forbids scripts of others, as it should; the debugger's door is open to tests only.
  await page.evaluate(AXE);
  const violations = (await page.evaluate(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then((found) => found.violations)`,
  )) as Violation[];
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')} ${failureSummary}`),
    );
}
