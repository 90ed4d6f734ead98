/**
 * Reads the samples of a recording, however long, into as many values as a page can draw.
 *
 * Source: PS3.3 §C.10.9.
 * Layer:  server/archive. Reads in pieces; memory is the values that are given.
 */
import type { WaveformAnnotation, WaveformGroup as GroupAnswer } from '@lightbox/core/contract/api.ts';
import { readWaveform, type WaveformGroup } from '@lightbox/core/translate/waveform.ts';
import { TraceSampler } from '@lightbox/core/translate/waveform-samples.ts';
import type { z } from 'zod';
import type { ObjectSource } from './render/source.ts';

/** Of all channels together, 4 bytes each: twelve leads of two minutes at 1,000 Hz come whole, longer ones by their peaks. */
export const MAX_VALUES = 1_500_000;
/** Between two pieces other requests have their turn. */
const PIECE_BYTES = 1024 * 1024;

interface Sampled {
  readonly groups: z.infer<typeof GroupAnswer>[];
  readonly annotations: z.infer<typeof WaveformAnnotation>[];
  readonly truncated: boolean;
}

export async function sampleWaveform(source: ObjectSource, maxValues = MAX_VALUES): Promise<Sampled> {
  const { groups, annotations, truncated } = readWaveform(source.dataSet);
  const channels = groups.reduce((sum, group) => sum + (group.layout?.calibrations.length ?? 0), 0);
  const each = Math.max(2, Math.floor(maxValues / Math.max(1, channels)));
  const answers: Sampled['groups'] = [];
  for (const group of groups) answers.push(await sampleGroup(source, group, each));
  return {
    groups: answers,
    annotations: annotations.map((one) => ({ ...one, channels: [...one.channels], at: [...one.at] })),
    truncated,
  };
}

async function sampleGroup(
  source: ObjectSource,
  group: WaveformGroup,
  maxValues: number,
): Promise<z.infer<typeof GroupAnswer>> {
  const { label, samplingFrequency, sampleCount, start, short, moreChannels, problem } = group;
  const traces = await tracesOf(source, group, maxValues);
  return {
    ...{ label, samplingFrequency, sampleCount, start, short, moreChannels },
    samplesPerValue: traces?.samplesPerValue ?? 1,
    ...(problem ? { problem } : {}),
    channels: group.channels.map((channel, at) => {
      const { lead, millivolts, highPass, lowPass, notch, ...plain } = channel;
      return {
        ...plain,
        ...(lead === undefined ? {} : { lead }),
        ...(millivolts === undefined ? {} : { millivolts }),
        ...(highPass === undefined ? {} : { highPass }),
        ...(lowPass === undefined ? {} : { lowPass }),
        ...(notch === undefined ? {} : { notch }),
        values: base64(traces?.values[at]),
      };
    }),
  };
}

async function tracesOf(source: ObjectSource, { layout, data }: WaveformGroup, maxValues: number) {
  if (!layout || !data) return undefined;
  const sampler = new TraceSampler(layout, maxValues);
  if (data.bytes) sampler.push(data.bytes);
  else if (data.bulk) {
    const { offset, length } = data.bulk;
    for (let at = 0; at < length; at += PIECE_BYTES)
      sampler.push(await source.read(offset + at, offset + Math.min(length, at + PIECE_BYTES)));
  }
  return sampler.end();
}

/** Machines that run this are little endian, as the contract asks. */
function base64(values: Float32Array | undefined): string {
  if (!values) return '';
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
}
