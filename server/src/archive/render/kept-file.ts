/**
 * A file as the archive would give it to the renderer: for tests of the renderer that need no archive.
 *
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { frameTable } from '@lightbox/core/dicom/frames.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import type { InstanceRef, Retrieve } from '../types.ts';

/** What the renderer asks of an archive that keeps this one file. */
export function keptFile(file: Uint8Array): { readonly retrieve: Retrieve; readonly ref: InstanceRef } {
  const parsed = readPart10(file, { onMismatch: 'warn' });
  const frames = frameTable(parsed);
  const ref = {
    transferSyntaxUid: parsed.transferSyntaxUid,
    dataSetOffset: parsed.dataSetOffset,
    length: file.length,
    frameCount: frames?.frameCount ?? 0,
    sha256: createHash('sha256').update(file).digest('hex'),
  } as InstanceRef;
  const part = (range?: { start: number; end: number }): Uint8Array =>
    range ? file.subarray(range.start, range.end) : file;
  const retrieve = {
    header: () => Promise.resolve(parsed.dataSet),
    frames: () => Promise.resolve(frames),
    read: (_ref: InstanceRef, start: number, end: number) => Promise.resolve(part({ start, end })),
    served: () =>
      Promise.resolve({
        bytes: file.length,
        open: (range?: { start: number; end: number }) => Readable.from([part(range)], { objectMode: false }),
      }),
    open: (_ref: InstanceRef, range?: { start: number; end: number }) =>
      Readable.from([part(range)], { objectMode: false }),
  } as unknown as Retrieve;
  return { retrieve, ref };
}
