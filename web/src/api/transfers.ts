/** Transfers to and from other systems, and searching other archives. Layer: web/api. */
import {
  Peer,
  RemoteLine,
  RemoteSeries,
  TransferPage,
  TransferRow,
  type FetchMethod,
  type RemoteQuery,
  type RemoteStudy,
  type TransferState,
} from '@lightbox/core/contract/transfers.ts';
import { z } from 'zod';
import { call, send, withQuery } from './client.ts';

export type OtherSystem = z.output<typeof Peer>;
export type TransferView = z.output<typeof TransferRow>;
export type Line = z.output<typeof RemoteLine>;
export type FoundStudy = z.output<typeof RemoteStudy>;
export type FoundSeries = z.output<typeof RemoteSeries>;
export type RemoteSearch = z.input<typeof RemoteQuery>;
export type Method = z.output<typeof FetchMethod>;
export type State = z.output<typeof TransferState>;
interface Scope {
  readonly studyUid: string;
  readonly seriesUid?: string;
}

export const listDestinations = () => call(z.array(Peer), '/api/destinations');
export const listArchives = () => call(z.array(Peer), '/api/archives');
export const sendTo = (deviceId: string, scopes: readonly Scope[]) =>
  call(TransferRow, '/api/transfers', { method: 'POST', body: { deviceId, scopes } });
export const fetchFrom = (deviceId: string, scopes: readonly Scope[], method: Method) =>
  call(TransferRow, '/api/remote/retrieve', { method: 'POST', body: { deviceId, scopes, method } });

export interface TransferFilter {
  readonly state?: string | undefined;
  readonly kind?: 'send' | 'fetch' | undefined;
  readonly studyUid?: string | undefined;
  readonly before?: string | undefined;
  readonly limit?: number | undefined;
}
export const listTransfers = (filter: TransferFilter) =>
  call(TransferPage, withQuery('/api/transfers', { ...filter }));
export const changeTransfer = (id: string, what: 'retry' | 'cancel') =>
  call(TransferRow, `/api/transfers/${encodeURIComponent(id)}/${what}`, { method: 'POST', body: {} });

export const listRemoteSeries = (deviceId: string, studyUid: string) =>
  call(z.array(RemoteSeries), '/api/remote/series', { method: 'POST', body: { deviceId, studyUid } });

/** Lines as they come. Ending it early, or `signal`, ends the search in the archives too. */
export async function* searchArchives(search: RemoteSearch, signal: AbortSignal): AsyncGenerator<Line> {
  const response = await send('/api/remote/studies', { method: 'POST', body: search, signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  try {
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const parsed = RemoteLine.safeParse(JSON.parse(line));
        if (parsed.success) yield parsed.data;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
