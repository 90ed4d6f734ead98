/**
 * Corrections of a study, as the pages ask for them and show them.
 *
 * Layer:  core/contract.
 */
import { z } from 'zod';

/** DICOM JSON by tag; null: the attribute is deleted, or was not there. What may be in it is said by core/dicom/edits.ts. */
export const OverlayEdits = z.record(
  z.string().regex(/^[0-9A-Fa-f]{8}$/),
  z.object({ vr: z.string().length(2), Value: z.array(z.unknown()).max(100).optional() }).nullable(),
);

/** POST /api/studies/:studyUid/overlays */
export const NewOverlay = z.object({
  /** patient: everything in the study that is filed under the same patient, also what comes later. */
  level: z.enum(['patient', 'study', 'series', 'instance']),
  /** Of `patient`, when the study is there with several. */
  patient: z.object({ patientId: z.string().max(400), issuer: z.string().max(400) }).optional(),
  seriesUid: z.string().max(64).optional(),
  sopUid: z.string().max(64).optional(),
  edits: OverlayEdits,
  reason: z.string().trim().min(3).max(500),
});

/** POST /api/studies/:studyUid/overlays/:id/undo */
export const OverlayUndo = z.object({ reason: z.string().trim().min(3).max(500) });

export const Overlay = z.object({
  id: z.string(),
  level: z.enum(['patient', 'study', 'series', 'instance']),
  seriesUid: z.string().optional(),
  sopUid: z.string().optional(),
  /** null: it takes back `undoes`. */
  edits: OverlayEdits.nullable(),
  before: OverlayEdits.nullable(),
  objects: z.number().int(),
  reason: z.string(),
  author: z.object({ kind: z.enum(['person', 'import', 'rule']), name: z.string() }),
  at: z.iso.datetime(),
  undoes: z.string().optional(),
  /** By which row it was taken back. */
  undoneBy: z.string().optional(),
});

/** GET /api/studies/:studyUid/overlays */
export const OverlayHistory = z.object({
  /** In the order they were decided. */
  overlays: z.array(Overlay),
  /** What rules did to objects when they came in. */
  coercions: z.array(z.object({ rules: z.array(z.string()), objects: z.number().int() })),
});
