/**
 * What is put over one object, in which order: first what rules did when it came in, then what people decided, as they did.
 *
 * Source: PS3.3 §C.12.1.1.9 (why and when), PS3.4 §B.4.1.3 (coercion).
 * Layer:  server/archive. Pure.
 */
import { createHash } from 'node:crypto';
import type { Correction } from '@lightbox/core/dicom/correct.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { applyEdits, type Edit, editsJson, type EditsJson, readEdits } from '@lightbox/core/dicom/edits.ts';
import { jsonText } from '../index/attributes.ts';
import { patientKey } from '../index/describe.ts';
import type { Level } from '../types.ts';

/** One decision of the history that is in force. */
export interface Overlay {
  readonly id: string;
  readonly studyUid: string;
  readonly level: Level;
  /** Of `patient`: the identities in this study that it is about, as they are without it. */
  readonly patientKeys: readonly string[];
  readonly seriesUid: string | undefined;
  readonly sopUid: string | undefined;
  readonly edits: readonly Edit[];
  readonly at: Date;
}

/** One correction of one object, as it is kept beside it. */
export interface Step {
  readonly edits: EditsJson;
  readonly reason: Correction['reason'];
  /** ISO 8601; none: when the object was received. */
  readonly at?: string;
  readonly source?: string;
  readonly rules?: readonly string[];
  /** The row of `overlay` it comes from. */
  readonly overlay?: string;
}

/** What a step is called; the same steps have the same. */
export function hashOf(steps: readonly Step[]): string {
  return createHash('sha256').update(jsonText(steps)).digest('hex').slice(0, 40);
}

export interface Names {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
}

/**
 * The steps of one object, and its header with them.
 *
 * A correction of a patient within a study takes what has exactly the identity it was made for: an object of another patient
 * that comes into the study later stays apart.
 */
export function stepsOf(
  header: DataSet,
  names: Names,
  coercion: readonly Step[],
  overlays: readonly Overlay[],
): { readonly steps: readonly Step[]; readonly dataSet: DataSet } {
  const steps = [...coercion];
  let dataSet = coercion.reduce((ds, step) => applyEdits(ds, readEdits(step.edits)), header);
  for (const overlay of overlays) {
    if (!isAbout(overlay, names, dataSet)) continue;
    dataSet = applyEdits(dataSet, overlay.edits);
    steps.push({
      edits: editsJson(overlay.edits),
      reason: 'CORRECT',
      at: overlay.at.toISOString(),
      overlay: overlay.id,
    });
  }
  return { steps, dataSet };
}

export function isAbout(overlay: Overlay, names: Names, dataSet: DataSet): boolean {
  if (overlay.studyUid !== names.studyUid) return false;
  switch (overlay.level) {
    case 'patient':
      return overlay.patientKeys.includes(patientKey(dataSet, names.studyUid));
    case 'study':
      return true;
    case 'series':
      return overlay.seriesUid === names.seriesUid;
    case 'instance':
      return overlay.sopUid === names.sopUid;
    default:
      return overlay.level satisfies never;
  }
}

/** DT with the offset of UTC (PS3.5 Table 6.2-1). */
const dateTime = (at: Date): string => `${at.toISOString().replace(/[-:TZ]/g, '')}000+0000`;

/** Steps as corrections of an outgoing object. */
export function correctionsOf(steps: readonly Step[], receivedAt: Date): Correction[] {
  return steps.map((step) => ({
    edits: readEdits(step.edits),
    reason: step.reason,
    at: dateTime(step.at === undefined ? receivedAt : new Date(step.at)),
    system: 'Lightbox',
    ...(step.source === undefined ? {} : { source: step.source }),
  }));
}
