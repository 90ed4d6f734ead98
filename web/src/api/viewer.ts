/** What the viewer fetches beside pixels: metadata of a series, and documents. Layer: web/api. */
import { Document } from '@lightbox/core/contract/api.ts';
import type { z } from 'zod';
import { ApiProblem, call, send } from './client.ts';

export type DocumentContent = z.output<typeof Document>;

/** PS3.18 §10.4.1.1.2: DICOM JSON of every object of a series. */
export async function readMetadata<T>(
  studyUid: string,
  seriesUid: string,
  signal?: AbortSignal,
): Promise<readonly T[]> {
  const path = `/dicom-web/studies/${encodeURIComponent(studyUid)}/series/${encodeURIComponent(seriesUid)}/metadata`;
  const answer: unknown = await (await send(path, { signal })).json();
  if (!Array.isArray(answer))
    throw new ApiProblem(200, 'ANSWER', 'The server answered in an unexpected form.', '');
  return answer as T[];
}

export const readDocument = (
  studyUid: string,
  seriesUid: string,
  sopUid: string,
  signal?: AbortSignal,
): Promise<DocumentContent> =>
  call(
    Document,
    `/api/studies/${encodeURIComponent(studyUid)}/series/${encodeURIComponent(seriesUid)}/instances/${encodeURIComponent(sopUid)}/document`,
    { signal },
  );
