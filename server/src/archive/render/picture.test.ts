import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { emptyDataSet } from '@lightbox/core/dicom/element.ts';
import type { JobResult } from './job.ts';
import { drawPicture } from './picture.ts';

const shown = (channels: 1 | 3): JobResult => ({
  bytes: Uint8Array.from({ length: 16 * 8 * channels }, (_, at) => (at * 37) % 256),
  image: {
    ...{ rows: 8, columns: 16, samples: channels, bitsAllocated: 8, bitsStored: 8, highBit: 7 },
    ...{ signed: false, planar: false, float: false },
    photometric: channels === 1 ? 'MONOCHROME2' : 'RGB',
  },
  channels,
});

describe('rendered pictures (PS3.18 §8.7.4)', () => {
  it.each([
    ['image/jpeg', 1],
    ['image/jpeg', 3],
    ['image/png', 1],
    ['image/png', 3],
  ] as const)('%s of %i channels has as many', async (type, channels) => {
    const { bytes } = await drawPicture(shown(channels), emptyDataSet(), { type });
    const { width, height, ...found } = await sharp(bytes).metadata();
    expect([width, height, found.channels]).toEqual([16, 8, channels]);
  });

  it.each(['image/png', 'image/gif'] as const)('%s gives every grey value as it was shown', async (type) => {
    const job = shown(1);
    const { bytes } = await drawPicture(job, emptyDataSet(), { type });
    const pixels = await sharp(bytes).toColourspace('b-w').raw().toBuffer();
    expect([...pixels]).toEqual([...job.bytes]);
  });
});
