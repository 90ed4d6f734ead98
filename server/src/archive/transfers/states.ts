/**
 * What follows from what happened: whether an object is tried again, and when a transfer is.
 *
 * Source: PS3.4 §B.2.3 (C-STORE statuses), PS3.7 Annex C.
 * Layer:  server/archive.
 */
import { statusKind, STATUS } from '@lightbox/core/dimse/status.ts';
import type { ObjectResult } from './types.ts';

/** The longest wait: a night without a try would be too long for a study that is wanted in the morning. */
const LONGEST_MS = 6 * 3600 * 1000;

/**
 * Twice as long each time, from `firstMs` to six hours.
 *
 * @param attempt  From 1: the one that failed.
 * @param wished  Seconds the other side wants to be left alone (RFC 9110 §10.2.3); no longer than the longest wait.
 */
export function backOffMs(attempt: number, firstMs: number, wished?: unknown): number {
  const ours = Math.min(firstMs * 2 ** Math.min(attempt - 1, 30), Math.max(LONGEST_MS, firstMs));
  return typeof wished === 'number' ? Math.max(ours, Math.min(wished * 1000, LONGEST_MS)) : ours;
}

/** taken; taken with a warning; refused (the same would be refused again); later (may go well another time). */
export type Verdict = 'taken' | 'warning' | 'refused' | 'later';

/** Failures that say something of the moment, not of the object (PS3.7 §C.5: 0110 processing failure, 0213 resource limitation). */
const OF_THE_MOMENT: ReadonlySet<number> = new Set([0x0110, 0x0213]);
/** Faults of ours that will be the same next time. */
const FOR_GOOD: ReadonlySet<string> = new Set([
  'DIMSE_NO_CONTEXT',
  'NOT_FOUND',
  'PIXELS_UNSUPPORTED',
  'PIXELS_BROKEN',
  'PIXELS_NONE',
  'DICOM_INFLATE',
]);

export function verdictOf({ status, fault }: ObjectResult): Verdict {
  if (fault) return FOR_GOOD.has(fault.code) ? 'refused' : 'later';
  if (status === undefined) return 'later';
  // The other side has an object of this name: sent twice after a crash, or another one. People see that it was not plain.
  if (status === STATUS.duplicateInstance) return 'warning';
  switch (statusKind(status)) {
    case 'success':
      return 'taken';
    case 'warning':
      return 'warning';
    default:
      return (status & 0xff00) === STATUS.outOfResources || OF_THE_MOMENT.has(status) ? 'later' : 'refused';
  }
}
