/**
 * Objects whose data set has an odd number of bytes, because a value in it has.
 *
 * Source: PS3.5 §7.1.1 (values have an even length), §A.5 (deflated), PS3.8 Annex F (fragments have an even length).
 * Layer:  server/archive.
 */
import type { InstanceRef, ServedFile } from '../types.ts';

/** Kept and given back by HTTP as it came; a message between DICOM programs cannot carry it so, and DCMTK breaks off at it. */
export const isOdd = (ref: InstanceRef, served?: Pick<ServedFile, 'bytes'>): boolean =>
  ((served?.bytes ?? ref.length) - ref.dataSetOffset) % 2 === 1;
