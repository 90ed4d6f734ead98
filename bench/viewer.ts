/**
 * How soon a reader sees the images: a CT of 200 slices opened in a real Chromium, with an empty and with a full browser cache,
 * from the study list and by its address; how fast it scrolls; how much JavaScript the pages are. With `--ohif FOLDER` OHIF in
 * front of Orthanc beside it.
 */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { openBrowser } from '../conformance/support/browser.ts';
import { ArchiveReader } from './support/archive.ts';
import { ctSlice } from './support/data.ts';
import { inLoadProcess } from './support/load.ts';
import { startOhif } from './support/ohif.ts';
import { type LightboxPeer, type Peer, type Peers } from './support/peers.ts';
import { PROBE } from './support/probe.ts';
import { cpuSeconds, machineSeconds } from './support/processes.ts';
import {
  alternate,
  type BenchOptions,
  calm,
  check,
  Figures,
  type Measurements,
  versionsOf,
} from './support/run.ts';

const SLICES = { full: 200, quick: 60, smoke: 8 } as const;
/** Apart from the tags of the other benches: an archive may hold the objects of several. */
const TAG = 3001;
const SCROLL_STEPS = { full: 60, quick: 20, smoke: 2 } as const;
const PATIENCE_MS = 120_000;
const SCREEN = { width: 1400, height: 1000 };

/** A viewer and how to come to the study in it. */
interface Site {
  readonly name: string;
  readonly url: string;
  readonly cookies: string;
  readonly studyUid: string;
  /** Opens it by its address. */
  readonly studyPath: string;
  /** A page with the study in a list, from which a double click opens it; undefined where that is not how it is done. */
  readonly listPath: string | undefined;
}

/** The times themselves are taken within the page. */
const POLL_MS = 100;
const READING_MS = 1500;

export async function viewer(
  { orthanc, lightbox, alsoStop }: Peers,
  options: BenchOptions,
): Promise<Measurements> {
  const count = SLICES[options.size];
  const { studyUid } = ctSlice(TAG, 0);
  const sites: Site[] = [lightboxSite(lightbox, studyUid)];
  await fill(lightbox, count);
  if (options.ohif !== undefined) {
    await fill(orthanc, count);
    const ohif = await startOhif(options.ohif, orthanc);
    alsoStop(() => ohif.stop());
    const studyPath = `/viewer?StudyInstanceUIDs=${studyUid}`;
    sites.unshift({
      ...{ name: 'OHIF + Orthanc', url: ohif.url, cookies: '' },
      ...{ studyUid, studyPath, listPath: undefined },
    });
  }
  const browser = await openBrowser();
  alsoStop(() => browser.close());
  const figures = new Figures();
  await alternate(sites, options, ({ repetition, peer }) =>
    turn(browser, peer, count, options, repetition === 0 ? undefined : figures),
  );
  for (const site of sites) await weigh(browser, site, figures);
  const setup = { ...versionsOf(orthanc, lightbox), chromium: browser.version() };
  return { figures: figures.list(), setup };
}

function lightboxSite(box: LightboxPeer, studyUid: string): Site {
  const url = `http://127.0.0.1:${box.httpPort}`;
  const paths = { studyPath: `/viewer/${studyUid}`, listPath: '/' };
  return { name: box.name, url, cookies: box.cookie, studyUid, ...paths };
}

async function fill(peer: Peer, count: number): Promise<void> {
  const load = await inLoadProcess({
    kind: 'store',
    target: { port: peer.dicomPort, aeTitle: peer.aeTitle },
    associations: 1,
    objects: { kind: 'ct', tag: TAG, count },
  });
  await load.run();
  await load.close();
  const reader = new ArchiveReader(peer);
  await reader.checkCtSeries(ctSlice(TAG, 0), count);
  reader.close();
}

async function visitor(browser: Browser, site: Site): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport: SCREEN, locale: 'en-GB' });
  await context.addInitScript(PROBE);
  const cookies = site.cookies.split('; ').filter((one) => one !== '');
  await context.addCookies(
    cookies.map((one) => ({
      name: one.slice(0, one.indexOf('=')),
      value: one.slice(one.indexOf('=') + 1),
      url: site.url,
    })),
  );
  return context;
}

/** A visitor with an empty cache comes, looks, comes again. */
async function turn(
  browser: Browser,
  site: Site,
  count: number,
  options: BenchOptions,
  figures: Figures | undefined,
): Promise<void> {
  const ways = site.listPath === undefined ? (['address'] as const) : (['address', 'list'] as const);
  for (const way of ways) {
    const context = await visitor(browser, site);
    try {
      for (const cache of ['cold', 'warm'] as const) {
        await calm(options);
        const page = await context.newPage();
        const noise = noiseMeter();
        const { first, all } = await open(page, site, way, count);
        const otherCores = noise();
        const from = way === 'list' ? 'from the list' : 'by address';
        const add = (work: string, unit: string, value: number, more = false): void =>
          figures?.add({ work, peer: site.name, unit, more }, value, otherCores);
        add(`first image ${from}, ${cache}`, 'ms', first);
        add(`all ${count} images received ${from}, ${cache}`, 'ms', all);
        if (way === 'address' && cache === 'warm') {
          const steps = SCROLL_STEPS[options.size];
          add('scrolling', 'images/s', await scroll(page, steps), true);
        }
        await page.close();
      }
    } finally {
      await context.close();
    }
  }
}

/** Milliseconds from the double click, or from navigation, to the first image and to the last pixel data. */
async function open(
  page: Page,
  site: Site,
  way: 'address' | 'list',
  count: number,
): Promise<{ first: number; all: number }> {
  if (way === 'list') await (await showList(page, site)).dblclick();
  else await page.goto(site.url + site.studyPath);
  await until(page, 'bench.first > 0');
  await until(page, `bench.frames().length >= ${count}`);
  return page.evaluate<{ first: number; all: number }>(
    '({ first: bench.first - bench.opened, all: Math.max(...bench.frames()) - bench.opened })',
  );
}

/** Not Playwright's waitForFunction: it needs eval within the page, which our pages' security policy forbids. */
async function until(page: Page, condition: string): Promise<void> {
  for (const began = performance.now(); !(await page.evaluate<boolean>(condition));) {
    if (performance.now() - began > PATIENCE_MS) {
      const path = resolve(import.meta.dirname, '../artefacts/bench/viewer-failed.png');
      await page.screenshot({ path });
      throw new Error(`${page.url()}: not within two minutes: ${condition}; see ${path}`);
    }
    await sleep(POLL_MS);
  }
}

/** Somebody reads the list before opening a study: until then what it loads has come. @returns the row. */
async function showList(page: Page, site: Site): Promise<Locator> {
  await page.goto(site.url + (site.listPath ?? '/'));
  const row = page.locator(`[data-study-uid="${site.studyUid}"]`);
  await row.waitFor();
  await page.waitForTimeout(READING_MS);
  return row;
}

/** Image by image through the stack by the wheel, each on the screen before the next. @returns images a second. */
async function scroll(page: Page, steps: number): Promise<number> {
  await page.mouse.move(SCREEN.width / 2, SCREEN.height / 2);
  let shown = await page.evaluate<number>('bench.look()');
  const began = performance.now();
  for (let step = 0; step < steps; step += 1) {
    await page.mouse.wheel(0, 100);
    shown = await page.evaluate<number>(`bench.changed(${shown})`);
  }
  return steps / ((performance.now() - began) / 1000);
}

/** Cores busy with neither us, our servers nor our browser: all of them are descendants of this process. */
function noiseMeter(): () => number {
  const [ours, all, began] = [cpuSeconds(process.pid), machineSeconds(), performance.now()];
  return () => {
    const seconds = (performance.now() - began) / 1000;
    return Math.max(0, (machineSeconds() - all - (cpuSeconds(process.pid) - ours)) / seconds);
  };
}

/** JavaScript of the list, and of everything until the first image, gzipped by us so that servers do not matter. */
async function weigh(browser: Browser, site: Site, figures: Figures): Promise<void> {
  const add = (work: string, value: number): void =>
    figures.add({ work, peer: site.name, unit: 'KiB gzip', more: false }, value, 0);
  if (site.listPath !== undefined) {
    const list = await scriptKib(browser, site, (page) => showList(page, site));
    add('JavaScript of the list page', list);
  }
  const study = await scriptKib(browser, site, (page) => open(page, site, 'address', 1));
  add('JavaScript until the first image', study);
}

async function scriptKib(
  browser: Browser,
  site: Site,
  visit: (page: Page) => Promise<unknown>,
): Promise<number> {
  const context = await visitor(browser, site);
  const bodies = new Map<string, Promise<Buffer>>();
  context.on('response', (response) => {
    if (/javascript/.test(response.headers()['content-type'] ?? '') && response.ok())
      bodies.set(response.url(), response.body());
  });
  try {
    await visit(await context.newPage());
    const read = await Promise.all(bodies.values());
    check(read.length > 0, `${site.name}: no JavaScript was seen`);
    return read.reduce((sum, body) => sum + gzipSync(body).length, 0) / 1024;
  } finally {
    await context.close();
  }
}
