/** Studies: the list, one study, thumbnails and saved filters. Layer: web/api. */
import {
  SavedFilter,
  StudyDetail,
  StudyPage,
  type SeriesRow,
  type StudyListQuery,
  type StudyRow,
} from '@lightbox/core/contract/api.ts';
import { z } from 'zod';
import { call, send, withQuery } from './client.ts';

export type Study = z.output<typeof StudyRow>;
export type Series = z.output<typeof SeriesRow>;
export type Detail = z.output<typeof StudyDetail>;
export type Page = z.output<typeof StudyPage>;
type Query = z.output<typeof StudyListQuery>;
export type ListQuery = { [K in keyof Query]?: Query[K] | undefined };
export type Saved = z.output<typeof SavedFilter>;

export const listStudies = (query: ListQuery, signal?: AbortSignal): Promise<Page> =>
  call(StudyPage, withQuery('/api/studies', query), { signal });

export const readStudy = (studyUid: string, signal?: AbortSignal): Promise<Detail> =>
  call(StudyDetail, `/api/studies/${encodeURIComponent(studyUid)}`, { signal });

/** PS3.18 §8.2 and §10.4.1.1.5: the thumbnail resource of a study. */
export const studyThumbnail = (studyUid: string): string => `/dicom-web/studies/${studyUid}/thumbnail`;

export const seriesThumbnail = (studyUid: string, series: Series): string =>
  `/dicom-web/studies/${studyUid}/series/${series.seriesUid}/instances/${series.thumbnailSopUid}/thumbnail`;

const FILTERS = '/api/preferences/studyFilters';

/** @throws ApiProblem, as well when they cannot be understood: taken for none, the next one saved would replace them. */
export const readSavedFilters = async (): Promise<Saved[]> =>
  (await call(z.array(SavedFilter).nullable(), FILTERS)) ?? [];

export async function writeSavedFilters(filters: readonly Saved[]): Promise<void> {
  await send(FILTERS, { method: 'PUT', body: filters });
}
