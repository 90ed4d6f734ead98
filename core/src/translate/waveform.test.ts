import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DataSet } from '../dicom/data-set.ts';
import { dataSet } from '../dicom/element.ts';
import { readWaveform } from './waveform.ts';
import {
  aLaw,
  interpretationOf,
  muLaw,
  type Interpretation,
  type TraceLayout,
  TraceSampler,
} from './waveform-samples.ts';

const plain = { scale: 1, baseline: 0, bitsStored: undefined };
const layoutOf = (sampleCount: number, more: Partial<TraceLayout> = {}): TraceLayout => ({
  ...{ interpretation: 'SS', littleEndian: true, calibrations: [plain], padding: undefined, sampleCount },
  ...more,
});
const int16 = (...values: number[]): Uint8Array => new Uint8Array(Int16Array.from(values).buffer);

function sampled(bytes: Uint8Array, layout: TraceLayout, maxValues = 1000, piece = bytes.length || 1) {
  const sampler = new TraceSampler(layout, maxValues);
  for (let at = 0; at < bytes.length; at += piece) sampler.push(bytes.subarray(at, at + piece));
  const { samplesPerValue, values } = sampler.end();
  return { samplesPerValue, values: values.map((one) => [...one]) };
}

describe('samples (PS3.3 §C.10.9.1)', () => {
  it.each<[Interpretation, number[], boolean, number]>([
    ['SB', [0xff], true, -1],
    ['UB', [0xff], true, 255],
    ['SS', [0xfe, 0xff], true, -2],
    ['SS', [0xff, 0xfe], false, -2],
    ['US', [0xfe, 0xff], true, 65534],
    ['SL', [0xfe, 0xff, 0xff, 0xff], true, -2],
    ['UL', [0, 0, 0, 0x80], true, 2 ** 31],
    ['UL', [0x80, 0, 0, 0], false, 2 ** 31],
    ['MB', [0x80], true, 8031],
    ['AB', [0x2a], true, -4032],
  ])('%s %j little endian %s is %d', (interpretation, bytes, littleEndian, value) => {
    const layout = layoutOf(1, { interpretation, littleEndian });
    expect(sampled(Uint8Array.from(bytes), layout).values).toEqual([[value]]);
  });

  it('takes G.711 as its tables have it', () => {
    expect([0xff, 0x7f, 0x80, 0x00, 0xef].map(muLaw)).toEqual([0, -0, 8031, -8031, 33]);
    expect([0xd5, 0x55, 0xaa, 0x2a].map(aLaw)).toEqual([1, -1, 4032, -4032]);
  });

  it('wants bits allocated that fit', () => {
    expect([interpretationOf('SS', 16), interpretationOf('SS', 8), interpretationOf('XX', 8)]).toEqual([
      ...['SS', undefined, undefined],
    ]);
  });

  it('takes channels apart, each with its own sensitivity and baseline', () => {
    const calibrations = [plain, { scale: 0.5, baseline: 10, bitsStored: undefined }];
    expect(sampled(int16(1, 2, 3, 4), layoutOf(2, { calibrations })).values).toEqual([
      [1, 3],
      [11, 12],
    ]);
  });

  it('leaves a gap where the padding value is', () => {
    expect(sampled(int16(1, -32768, 3), layoutOf(3, { padding: -32768 })).values).toEqual([[1, NaN, 3]]);
  });

  it('reads a sign that was not extended, and leaves alone what is sound (§C.10.9.1.7)', () => {
    const calibrations = [{ ...plain, bitsStored: 12 }];
    const layout = layoutOf(4, { calibrations });
    expect(sampled(int16(0x0fff, -1, 2047, 5000), layout).values).toEqual([[-1, -1, 2047, 5000]]);
  });

  it('does not mind where the bytes are cut', () => {
    const bytes = int16(...Array.from({ length: 60 }, (_, at) => at * 3 - 90));
    const layout = layoutOf(30, { calibrations: [plain, plain] });
    for (const piece of [1, 3, 7, 64])
      expect(sampled(bytes, layout, 8, piece)).toEqual(sampled(bytes, layout, 8));
  });
});

describe('long recordings', () => {
  it('keep every spike', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -32768, max: 32767 }), { minLength: 1, maxLength: 500 }),
        fc.integer({ min: 2, max: 40 }),
        (samples, most) => {
          const { values, samplesPerValue } = sampled(int16(...samples), layoutOf(samples.length), most, 13);
          const [out = []] = values;
          expect(out.length).toBeLessThanOrEqual(Math.max(2, most) + 1);
          expect(Math.max(...out)).toBe(Math.max(...samples));
          expect(Math.min(...out)).toBe(Math.min(...samples));
          expect(out.length * samplesPerValue).toBeGreaterThanOrEqual(samples.length);
        },
      ),
    );
  });

  it('give the extremes of each stretch in the order they came', () => {
    expect(sampled(int16(0, 9, -9, 0, 0, -5, 5, 0), layoutOf(8), 4)).toEqual({
      ...{ samplesPerValue: 2, values: [[9, -9, -5, 5]] },
    });
  });

  it('of a thousand million samples take memory for the values alone', () => {
    const sampler = new TraceSampler(layoutOf(1e9), 1000);
    sampler.push(int16(7));
    expect(sampler.end().values[0]?.length).toBe(1000);
  });
});

const units = (value: string): DataSet[] => [
  dataSet({ CodeValue: value, CodingSchemeDesignator: 'UCUM', CodeMeaning: 'unit' }),
];
const channel = (lead: string, more: Parameters<typeof dataSet>[0] = {}): DataSet =>
  dataSet({
    ChannelSourceSequence: [
      dataSet({ CodeValue: lead, CodingSchemeDesignator: 'SCPECG', CodeMeaning: 'Lead' }),
    ],
    ChannelSensitivity: 2.5,
    ChannelSensitivityUnitsSequence: units('uV'),
    ...more,
  });
const group = (more: Parameters<typeof dataSet>[0] = {}): DataSet =>
  dataSet({
    NumberOfWaveformChannels: 2,
    NumberOfWaveformSamples: 2,
    SamplingFrequency: 500,
    ChannelDefinitionSequence: [channel('5.6.3-9-1'), channel('5.6.3-9-62', { NotchFilterFrequency: 50 })],
    WaveformBitsAllocated: 16,
    WaveformSampleInterpretation: 'SS',
    WaveformData: { vr: 'OW', value: int16(1, 2, 3, 4) },
    ...more,
  });
const first = (more: Parameters<typeof dataSet>[0]) => {
  const [one] = readWaveform(dataSet({ WaveformSequence: [group(more)] })).groups;
  if (!one) throw new Error('no group');
  return one;
};

describe('multiplex groups (PS3.3 §C.10.9)', () => {
  it('name their leads, units and filters', () => {
    const { channels, problem, layout } = first({});
    expect(problem).toBeUndefined();
    expect(channels.map(({ lead }) => lead)).toEqual(['I', 'aVR']);
    expect(channels[1]).toMatchObject({ unit: 'µV', millivolts: 0.001, notch: 50, calibrated: true });
    expect(layout?.calibrations[0]?.scale).toBe(2.5);
  });

  it.each<[string, Parameters<typeof dataSet>[0], object]>([
    ['more samples than bytes', { NumberOfWaveformSamples: 1e9 }, { sampleCount: 2, short: true }],
    ['no number of samples', { NumberOfWaveformSamples: undefined }, { sampleCount: 2, short: false }],
    ['no bytes', { WaveformData: undefined }, { problem: 'empty' }],
    ['more channels than definitions', { NumberOfWaveformChannels: 60000 }, { problem: 'layout' }],
    ['no channels', { ChannelDefinitionSequence: [], NumberOfWaveformChannels: 0 }, { problem: 'layout' }],
    ['bits that do not fit', { WaveformBitsAllocated: 8 }, { problem: 'layout' }],
    ['no frequency', { SamplingFrequency: 0 }, { problem: 'frequency' }],
    ['an endless frequency', { SamplingFrequency: '1e300' }, { problem: 'frequency' }],
    [
      'a padding value',
      { WaveformPaddingValue: { vr: 'OW', value: int16(-5) } },
      { layout: { padding: -5 } },
    ],
    ['a padding value too short', { WaveformPaddingValue: { vr: 'OW', value: new Uint8Array(0) } }, {}],
  ])('with %s', (_name, more, expected) => {
    expect(first(more)).toMatchObject(expected);
  });

  it('are counts where no sensitivity is stated', () => {
    const bare = dataSet({ ChannelLabel: 'Resp' });
    const { channels } = first({ ChannelDefinitionSequence: [bare, bare] });
    expect(channels[0]).toMatchObject({ label: 'Resp', calibrated: false, millivolts: undefined });
  });
});

describe('annotations (PS3.3 §C.10.10)', () => {
  const annotation = (more: Parameters<typeof dataSet>[0]) => {
    const item = dataSet({ ReferencedWaveformChannels: [1, 2], ...more });
    return readWaveform(dataSet({ WaveformSequence: [group()], WaveformAnnotationSequence: [item] }))
      .annotations[0];
  };
  it('are text, measurements and places', () => {
    expect(annotation({ UnformattedTextValue: 'sinus <i>rhythm</i>' })).toMatchObject({
      ...{ value: 'sinus <i>rhythm</i>', channels: ['aVR'], at: [] },
    });
    expect(
      annotation({
        ConceptNameCodeSequence: [
          dataSet({ CodeValue: '1', CodingSchemeDesignator: 'X', CodeMeaning: 'QRS duration' }),
        ],
        NumericValue: 90,
        MeasurementUnitsCodeSequence: units('ms'),
      }),
    ).toMatchObject({ name: 'QRS duration', value: '90', unit: 'ms' });
    expect(annotation({ ReferencedSamplePositions: [1, 251] })?.at).toEqual([0, 0.5]);
  });
  it('that name groups and channels that are not there are kept without them', () => {
    expect(annotation({ ReferencedWaveformChannels: [99, 7], UnformattedTextValue: 'x' })).toMatchObject({
      ...{ channels: [], group: 98 },
    });
  });
});
