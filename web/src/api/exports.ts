/** Taking studies away: the choice, the download, how far it is. Layer: web/api. */
import {
  ExportState,
  ExportTicket,
  type DeidentifyOptionName,
  type ExportInput,
} from '@lightbox/core/contract/api.ts';
import type { z } from 'zod';
import { call } from './client.ts';

export type ExportChoice = z.input<typeof ExportInput>;
export type Ticket = z.output<typeof ExportTicket>;
export type Progress = z.output<typeof ExportState>;
export type OptionName = z.output<typeof DeidentifyOptionName>;
export type Rectangle = NonNullable<NonNullable<ExportChoice['deidentify']>['rectangles']>[number];

export const chooseExport = (choice: ExportChoice): Promise<Ticket> =>
  call(ExportTicket, '/api/exports', { method: 'POST', body: choice });

export const exportProgress = (id: string, signal?: AbortSignal): Promise<Progress> =>
  call(ExportState, `/api/exports/${encodeURIComponent(id)}`, { signal });

/** An ordinary download: the browser writes it to the disk, whatever its size. */
export function download(url: string): void {
  const link = document.createElement('a');
  link.href = url;
  link.download = '';
  link.click();
}

/** `left, top, width, height` on each line; undefined when a line is something else. */
export function parseRectangles(text: string): Rectangle[] | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const rectangles: Rectangle[] = [];
  for (const line of lines) {
    const match = /^\s*(\d{1,5})[\s,;]+(\d{1,5})[\s,;]+(\d{1,5})[\s,;]+(\d{1,5})\s*$/.exec(line);
    if (!match) return undefined;
    const [left = 0, top = 0, width = 0, height = 0] = match.slice(1).map(Number);
    if (width < 1 || height < 1 || [left, top, width, height].some((one) => one > 65535)) return undefined;
    rectangles.push({ left, top, width, height });
  }
  return rectangles;
}
