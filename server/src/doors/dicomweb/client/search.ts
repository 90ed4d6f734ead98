/**
 * Searches another archive by QIDO-RS, page by page.
 *
 * Source: PS3.18 §10.6 (Search transaction), §8.3.4.4 (paging; Warning 299 when there is more), Table 10.6.3-2 (statuses).
 * Layer:  server/doors/dicomweb.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { keywordOf } from '@lightbox/core/dicom/dictionary.ts';
import { fromJson, tagHex } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { text } from '@lightbox/core/dicom/values.ts';
import {
  byNumber,
  type FoundSeries,
  type FoundStudy,
  type Key,
  seriesKeys,
  seriesOf,
  type StudyKeys,
  studyKeys,
  studyOf,
} from '@lightbox/core/translate/found-elsewhere.ts';
import type { Device } from '../../../identity/types.ts';
import { DICOM_JSON, exchange, jsonOf, refusal, type WebParts, type WebPeer, webPeerOf } from './http.ts';

const PAGE = 200;
/** A study has some dozens of series. */
const MAX_SERIES = 2000;

/** Matches as they come. @throws Fault WEB_*, TLS_FAILED, TRANSFER_DEVICE. */
export async function* searchStudies(
  parts: WebParts,
  device: Device,
  keys: StudyKeys,
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<FoundStudy> {
  const peer = webPeerOf(parts, device);
  for await (const match of search(peer, '/studies', studyKeys(keys), Tags.StudyInstanceUID, limit, signal)) {
    const study = studyOf(match, keys);
    if (study) yield study;
  }
}

/** In the order of their numbers. @throws Fault WEB_*, TLS_FAILED, TRANSFER_DEVICE. */
export async function searchSeries(
  parts: WebParts,
  device: Device,
  studyUid: string,
  signal: AbortSignal,
): Promise<FoundSeries[]> {
  return seriesAt(webPeerOf(parts, device), studyUid, signal);
}

export async function seriesAt(peer: WebPeer, studyUid: string, signal: AbortSignal): Promise<FoundSeries[]> {
  const found: FoundSeries[] = [];
  const keys = seriesKeys(studyUid).filter(([tag]) => tag !== Tags.StudyInstanceUID);
  const path = `/studies/${studyUid}/series`;
  for await (const match of search(peer, path, keys, Tags.SeriesInstanceUID, MAX_SERIES, signal)) {
    const series = seriesOf(match);
    if (series) found.push(series);
  }
  return found.sort(byNumber);
}

/** Each match once, also of a server that does not know pages and says the same again and again. */
async function* search(
  peer: WebPeer,
  path: string,
  keys: readonly Key[],
  unique: number,
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<DataSet> {
  const seen = new Set<string>();
  for (let offset = 0; seen.size < limit;) {
    const count = Math.min(PAGE, limit - seen.size);
    const { matches, more } = await page(peer, path, keys, { count, offset }, signal);
    const before = seen.size;
    for (const match of matches) {
      const uid = text(match, unique)?.trim() ?? '';
      if (uid === '' || seen.has(uid)) continue;
      seen.add(uid);
      yield match;
      if (seen.size >= limit) return;
    }
    // A server may give fewer than asked for, and says so; one that gives more has no pages.
    if (seen.size === before || (matches.length < count && !more)) return;
    offset += matches.length;
  }
}

async function page(
  peer: WebPeer,
  path: string,
  keys: readonly Key[],
  { count, offset }: { readonly count: number; readonly offset: number },
  signal: AbortSignal,
): Promise<{ matches: DataSet[]; more: boolean }> {
  const query = [
    ...keys.flatMap(([tag, typed]) => (typed === '' ? [] : [`${nameOf(tag)}=${encodeURIComponent(typed)}`])),
    ...keys.flatMap(([tag, typed]) => (typed === '' ? [`includefield=${nameOf(tag)}`] : [])),
    ...[`limit=${count}`, ...(offset === 0 ? [] : [`offset=${offset}`])],
  ].join('&');
  const response = await exchange(peer, {
    ...{ method: 'GET', path: `${path}?${query}`, accept: DICOM_JSON, signal },
  });
  if (response.statusCode === 204) {
    response.destroy();
    return { matches: [], more: false };
  }
  if (response.statusCode !== 200) throw refusal(response);
  const more = /^299\b.*\badditional results\b/i.test(String(response.headers['warning'] ?? ''));
  return { matches: matchesOf(await jsonOf(peer, response), keys), more };
}

/** Only what was asked for: what else a server tells us may be as broken as it likes. */
function matchesOf(json: unknown, keys: readonly Key[]): DataSet[] {
  if (json === undefined) return [];
  if (!Array.isArray(json)) throw new Fault('WEB_ANSWER', { what: 'json' });
  const names = keys.map(([tag]) => tagHex(tag));
  try {
    return (json as Readonly<Record<string, unknown>>[]).map((match) =>
      fromJson(Object.fromEntries(names.flatMap((name) => (name in match ? [[name, match[name]]] : [])))),
    );
  } catch (error) {
    throw new Fault('WEB_ANSWER', { what: 'json' }, { cause: error });
  }
}

const nameOf = (tag: number): string => keywordOf(tag) ?? tagHex(tag);
