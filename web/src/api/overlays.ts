/** Corrections of a study: what was decided, a new one, taking one back. Layer: web/api. */
import { type NewOverlay, Overlay, OverlayHistory } from '@lightbox/core/contract/overlays.ts';
import type { z } from 'zod';
import { call } from './client.ts';

export type Correction = z.output<typeof Overlay>;
export type CorrectionHistory = z.output<typeof OverlayHistory>;
export type CorrectionInput = z.input<typeof NewOverlay>;

const urlOf = (studyUid: string): string => `/api/studies/${encodeURIComponent(studyUid)}/overlays`;

export const readCorrections = (studyUid: string): Promise<CorrectionHistory> =>
  call(OverlayHistory, urlOf(studyUid));

export const correctStudy = (studyUid: string, body: CorrectionInput): Promise<Correction> =>
  call(Overlay, urlOf(studyUid), { method: 'POST', body });

export const undoCorrection = (studyUid: string, id: string, reason: string): Promise<Correction> =>
  call(Overlay, `${urlOf(studyUid)}/${id}/undo`, { method: 'POST', body: { reason } });
