/**
 * The thread in which frames are decoded and made 8 bits deep. Gets one job at a time.
 *
 * Layer:  server/archive.
 */
import { parentPort } from 'node:worker_threads';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { paletteToRgb, toRgb, withPalette } from '@lightbox/core/pixel/colour.ts';
import { grey } from '@lightbox/core/pixel/grey.ts';
import { unpack } from '@lightbox/core/pixel/samples.ts';
import { decodeFrame, type DecodedFrame, uncompressed } from './decode.ts';
import { encodeFrame } from './encode.ts';
import type { Job, JobAnswer } from './job.ts';

async function run(job: Job): Promise<DecodedFrame & { readonly channels: 1 | 3 }> {
  const decoded = await decodeFrame(job.bytes, job.codec, job.image);
  if (!job.show) {
    const plain = uncompressed(decoded, job.codec);
    return { ...(job.encode ? await encodeFrame(plain, job.encode) : plain), channels: 1 };
  }
  const { image } = decoded;
  const samples = unpack(decoded.bytes, image);
  if (image.samples === 3) return { bytes: toRgb(samples, image), image, channels: 3 };
  if (image.samples !== 1) throw new Fault('PIXELS_UNSUPPORTED', { samples: image.samples });
  if (image.photometric === 'PALETTE COLOR') {
    if (!job.show.palette) throw new Fault('PIXELS_BROKEN', { problem: 'no palette' });
    return { bytes: paletteToRgb(samples, job.show.palette), image, channels: 3 };
  }
  const shown = grey(samples, job.show.grey);
  return job.show.palette
    ? { bytes: withPalette(samples, shown, job.show.palette), image, channels: 3 }
    : { bytes: shown, image, channels: 1 };
}

parentPort?.on('message', (job: Job) => {
  run(job).then(
    (result) => answer({ ok: true, ...result }),
    (error: unknown) => {
      const fault = asFault(error);
      const code = fault.code === 'INTERNAL' ? 'PIXELS_BROKEN' : fault.code;
      answer({ ok: false, code, facts: { ...fault.facts } });
    },
  );
});

function answer(result: JobAnswer): void {
  parentPort?.postMessage(result);
}
