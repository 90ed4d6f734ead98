/**
 * The upload queue: three files at a time, what became of each, and again what failed. Lives outside of pages, so it
 * goes on while a person moves about.
 *
 * Layer:  web/api.
 */
import { Problem, UploadResult } from '@lightbox/core/contract/api.ts';
import type { z } from 'zod';

export type FileResult = z.output<typeof UploadResult>;
export type UploadState = 'waiting' | 'sending' | 'done' | 'failed';

export interface UploadItem {
  readonly id: number;
  readonly name: string;
  readonly file: File;
  readonly state: UploadState;
  readonly sentBytes: number;
  /** One for a file, many for a ZIP. */
  readonly results: readonly FileResult[];
  /** Set when the whole request failed. */
  readonly problem?: string | undefined;
}

export interface NamedFile {
  readonly name: string;
  readonly file: File;
}

/** More would only share the same disk; fewer leave it waiting for the network. */
const PARALLEL = 3;

/** Splits what arrived so far of an NDJSON answer into whole lines; the rest waits for more. */
export function takeLines(text: string, from: number): { lines: string[]; next: number } {
  const end = text.lastIndexOf('\n');
  if (end < from) return { lines: [], next: from };
  return {
    lines: text
      .slice(from, end)
      .split('\n')
      .filter((line) => line.trim() !== ''),
    next: end + 1,
  };
}

export function parseResult(line: string): FileResult | undefined {
  try {
    const parsed = UploadResult.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

export interface UploadTotals {
  readonly files: number;
  readonly finished: number;
  readonly bytes: number;
  readonly sentBytes: number;
  readonly stored: number;
  readonly failed: number;
}

const GOOD = new Set(['stored', 'duplicate', 'skipped']);
export const isGood = (result: FileResult): boolean => GOOD.has(result.status);

export function totals(items: readonly UploadItem[]): UploadTotals {
  let finished = 0;
  let bytes = 0;
  let sentBytes = 0;
  let stored = 0;
  let failed = 0;
  for (const item of items) {
    const over = item.state === 'done' || item.state === 'failed';
    if (over) finished += 1;
    bytes += item.file.size;
    sentBytes += over ? item.file.size : item.sentBytes;
    if (item.problem !== undefined) failed += 1;
    for (const result of item.results)
      if (result.status === 'stored' || result.status === 'duplicate') stored += 1;
      else if (!isGood(result)) failed += 1;
  }
  return { files: items.length, finished, bytes, sentBytes, stored, failed };
}

export class UploadQueue {
  #items: readonly UploadItem[] = [];
  #next = 1;
  #running = 0;
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
  readonly snapshot = (): readonly UploadItem[] => this.#items;

  add(files: readonly NamedFile[]): void {
    const fresh = files.map(({ name, file }): UploadItem => ({
      id: this.#next++,
      name,
      file,
      state: 'waiting',
      sentBytes: 0,
      results: [],
    }));
    this.#items = [...this.#items, ...fresh];
    this.#changed();
    this.#pump();
  }

  /** Sends again what failed as a whole and files with a result that another try may change. */
  retryFailed(): void {
    this.#items = this.#items.map((item) =>
      item.state === 'failed'
        ? { ...item, state: 'waiting', sentBytes: 0, results: [], problem: undefined }
        : item,
    );
    this.#changed();
    this.#pump();
  }

  clearFinished(): void {
    this.#items = this.#items.filter(({ state }) => state === 'waiting' || state === 'sending');
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #patch(id: number, patch: Partial<UploadItem>): void {
    this.#items = this.#items.map((item) => (item.id === id ? { ...item, ...patch } : item));
    this.#changed();
  }

  #pump(): void {
    while (this.#running < PARALLEL) {
      const item = this.#items.find(({ state }) => state === 'waiting');
      if (!item) return;
      this.#running += 1;
      this.#patch(item.id, { state: 'sending' });
      void this.#send(item).finally(() => {
        this.#running -= 1;
        this.#pump();
      });
    }
  }

  /** XMLHttpRequest, because fetch tells no upload progress. Never rejects. */
  #send(item: UploadItem): Promise<void> {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const results: FileResult[] = [];
      let at = 0;
      const take = (text: string) => {
        const { lines, next } = takeLines(text, at);
        at = next;
        for (const line of lines) {
          const result = parseResult(line);
          if (result) results.push(result);
        }
        if (lines.length) this.#patch(item.id, { results: [...results] });
      };
      const finish = (problem?: string) => {
        const bad = problem !== undefined || results.some((result) => !isGood(result));
        this.#patch(item.id, { state: bad ? 'failed' : 'done', results: [...results], problem });
        resolve();
      };
      request.open('POST', `/api/upload?name=${encodeURIComponent(item.name)}`);
      const zip = /\.zip$/i.test(item.name);
      request.setRequestHeader('content-type', zip ? 'application/zip' : 'application/dicom');
      let painted = 0;
      request.upload.onprogress = (event) => {
        // Progress comes more often than anyone can see.
        if (Date.now() - painted < 100) return;
        painted = Date.now();
        this.#patch(item.id, { sentBytes: event.loaded });
      };
      request.onprogress = () => {
        if (request.status >= 200 && request.status < 300) take(request.responseText);
      };
      request.onload = () => {
        if (request.status >= 200 && request.status < 300) {
          take(`${request.responseText}\n`);
          finish(results.length ? undefined : 'ANSWER');
        } else finish(problemOf(request));
      };
      request.onerror = () => finish('NETWORK');
      request.onabort = () => finish('NETWORK');
      request.send(item.file);
    });
  }
}

function problemOf(request: XMLHttpRequest): string {
  try {
    const parsed = Problem.safeParse(JSON.parse(request.responseText));
    if (parsed.success) return `${parsed.data.message} (${parsed.data.requestId})`;
  } catch {
    // Not ours: a proxy's page.
  }
  return `HTTP ${request.status}`;
}

export const uploads = new UploadQueue();
