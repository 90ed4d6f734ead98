/**
 * Objects chosen by a person, put together as a medium: files with a directory, and a page that shows them.
 *
 * Source: PS3.10 §8 (File-set), PS3.11 Annex D and PS3.12 Annexes F, J, V (CD, DVD, ZIP), PS3.15 Annex E.
 * Layer:  server/archive.
 */
import type { z } from 'zod';
import type { ExportInput } from '@lightbox/core/contract/api.ts';
import type { FaultCode } from '@lightbox/core/base/fault.ts';
import type { MediumFile } from '../../platform/medium.ts';

export type ExportRequest = z.output<typeof ExportInput>;

export interface ExportPlan {
  /** In the order they are written. Each can be opened once. */
  readonly files: readonly MediumFile[];
  readonly objects: number;
  /** Of the objects, as they are kept. */
  readonly bytes: number;
  /** Objects left out, or not as asked, by why. */
  readonly notes: ReadonlyMap<FaultCode, number>;
  readonly studyUids: readonly string[];
  /** Removes what was made for it on the disk. */
  close(): Promise<void>;
}
