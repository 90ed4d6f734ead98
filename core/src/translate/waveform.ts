/**
 * ECGs and other recordings: their groups, channels and annotations. The samples are read by `TraceSampler`.
 *
 * Source: PS3.3 §C.10.9 (Waveform Module), §C.10.10 (Waveform Annotation Module), PS3.16 CID 3001 (ECG leads).
 * Layer:  core/translate.
 */
import type { DataSet, Element } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { elementNumbers, integer, items, number, numbers, text, texts } from '../dicom/values.ts';
import { type Code, codeOf, codeText, unitText } from './codes.ts';
import { bytesPerSample, interpretationOf, type TraceLayout } from './waveform-samples.ts';

export interface WaveformChannel {
  /** `aVR`, `V1`, ... for a lead of an ECG, else what the channel calls itself. */
  readonly label: string;
  /** Name of a standard ECG lead, undefined for anything else. */
  readonly lead: EcgLead | undefined;
  readonly unit: string;
  /** Factor from `unit` to millivolts; undefined when it is no voltage. */
  readonly millivolts: number | undefined;
  /** In hertz; absent when not stated, 0 notch when stated as none. */
  readonly highPass: number | undefined;
  readonly lowPass: number | undefined;
  readonly notch: number | undefined;
  /** Seconds by which this channel's samples come after the group's. */
  readonly skew: number;
  /** Whether values are physical; without a sensitivity they are counts. */
  readonly calibrated: boolean;
}

/** Why a group cannot be drawn. */
export type WaveformProblem = 'frequency' | 'layout' | 'empty';

export interface WaveformGroup {
  readonly label: string;
  readonly samplingFrequency: number;
  /** Of one channel; as many as the data really holds. */
  readonly sampleCount: number;
  /** Fewer samples are there than declared. */
  readonly short: boolean;
  /** From the start of the recording, in seconds. */
  readonly start: number;
  readonly channels: readonly WaveformChannel[];
  /** Channels beyond those given here. */
  readonly moreChannels: number;
  readonly problem: WaveformProblem | undefined;
  readonly layout: TraceLayout | undefined;
  /** Waveform Data: its bytes, or where they lie. */
  readonly data: Element | undefined;
}

export interface WaveformAnnotation {
  readonly name: string;
  readonly value: string;
  readonly unit: string;
  /** Labels of the channels it belongs to; empty for a whole group. */
  readonly channels: readonly string[];
  /** Index of the group. */
  readonly group: number;
  /** Seconds from the start of the group; empty for the whole recording. */
  readonly at: readonly number[];
}

export interface Waveform {
  readonly groups: readonly WaveformGroup[];
  readonly annotations: readonly WaveformAnnotation[];
  /** Groups or annotations beyond the limits were left out. */
  readonly truncated: boolean;
}

const MAX_GROUPS = 64;
/** EEG caps have 256 electrodes. */
const MAX_CHANNELS = 256;
const MAX_ANNOTATIONS = 5000;
const MAX_POSITIONS = 1000;
/** Above every recorder; more would be an error of the writer. */
const MAX_FREQUENCY = 1e9;

export function readWaveform(ds: DataSet): Waveform {
  const all = items(ds, Tags.WaveformSequence);
  const groups = all.slice(0, MAX_GROUPS).map(readGroup);
  const notes = items(ds, Tags.WaveformAnnotationSequence);
  return {
    groups,
    annotations: notes.slice(0, MAX_ANNOTATIONS).map((item) => readAnnotation(item, groups)),
    truncated: all.length > MAX_GROUPS || notes.length > MAX_ANNOTATIONS,
  };
}

function readGroup(ds: DataSet): WaveformGroup {
  const definitions = items(ds, Tags.ChannelDefinitionSequence);
  const declaredChannels = integer(ds, Tags.NumberOfWaveformChannels, 1, 65535) ?? definitions.length;
  const frequency = number(ds, Tags.SamplingFrequency) ?? 0;
  const samplingFrequency = frequency > 0 && frequency <= MAX_FREQUENCY ? frequency : 0;
  const interpretation = interpretationOf(
    (text(ds, Tags.WaveformSampleInterpretation) ?? '').toUpperCase(),
    integer(ds, Tags.WaveformBitsAllocated),
  );
  const data = ds.elements.get(Tags.WaveformData);
  const bytes = data?.bytes?.length ?? data?.bulk?.length ?? 0;
  const frame = interpretation ? bytesPerSample(interpretation) * declaredChannels : 0;
  // The declared number is believed only as far as the bytes reach.
  const held = frame > 0 ? Math.floor(bytes / frame) : 0;
  const declared = integer(ds, Tags.NumberOfWaveformSamples, 0) ?? held;
  const sampleCount = Math.min(declared, held);
  const readable = Math.min(declaredChannels, definitions.length);
  const problem: WaveformProblem | undefined =
    !interpretation || readable === 0 || declaredChannels !== definitions.length
      ? 'layout'
      : samplingFrequency === 0
        ? 'frequency'
        : sampleCount === 0
          ? 'empty'
          : undefined;
  return {
    label: text(ds, Tags.MultiplexGroupLabel) ?? '',
    samplingFrequency,
    sampleCount,
    short: declared > held,
    start: (number(ds, Tags.MultiplexGroupTimeOffset) ?? 0) / 1000,
    channels: definitions.slice(0, MAX_CHANNELS).map((item) => readChannel(item, samplingFrequency)),
    moreChannels: Math.max(0, definitions.length - MAX_CHANNELS),
    problem,
    layout:
      problem || !interpretation
        ? undefined
        : {
            interpretation,
            littleEndian: ds.littleEndian,
            calibrations: definitions.map(calibrationOf),
            sampleCount,
            padding: paddingOf(ds, interpretation),
          },
    data,
  };
}

/** PS3.3 §C.10.9.1.4.1: value = sample * sensitivity * correction factor + baseline. */
function calibrationOf(channel: DataSet): TraceLayout['calibrations'][number] {
  const sensitivity = number(channel, Tags.ChannelSensitivity) ?? 1;
  const correction = number(channel, Tags.ChannelSensitivityCorrectionFactor) ?? 1;
  return {
    scale: sensitivity * correction,
    baseline: number(channel, Tags.ChannelBaseline) ?? 0,
    bitsStored: integer(channel, Tags.WaveformBitsStored, 1, 32),
  };
}

/** (5400,100A), in the same representation as a sample (PS3.3 §C.10.9.1.6). */
function paddingOf(ds: DataSet, interpretation: TraceLayout['interpretation']): number | undefined {
  const element = ds.elements.get(Tags.WaveformPaddingValue);
  const bytes = element?.bytes;
  const size = bytesPerSample(interpretation);
  // Companded samples have no value to compare before they are expanded.
  if (!bytes || bytes.length < size || interpretation === 'MB' || interpretation === 'AB') return undefined;
  const vr = ({ SB: 'OB', UB: 'OB', SS: 'SS', US: 'US', SL: 'SL', UL: 'UL' } as const)[interpretation];
  if (vr !== 'OB') return elementNumbers({ tag: Tags.WaveformPaddingValue, vr, bytes }, ds.littleEndian)[0];
  const first = bytes[0] ?? 0;
  return interpretation === 'SB' ? (first << 24) >> 24 : first;
}

function readChannel(ds: DataSet, frequency: number): WaveformChannel {
  const source = codeOf(ds, Tags.ChannelSourceSequence);
  const own = text(ds, Tags.ChannelLabel);
  const lead = leadOf(source, own);
  const units = codeOf(ds, Tags.ChannelSensitivityUnitsSequence);
  const calibrated = number(ds, Tags.ChannelSensitivity) !== undefined;
  const samples = number(ds, Tags.ChannelSampleSkew) ?? 0;
  return {
    label: lead ?? own ?? codeText(source),
    lead,
    unit: unitText(units),
    millivolts: calibrated && units?.scheme === 'UCUM' ? MILLIVOLTS[units.value] : undefined,
    highPass: number(ds, Tags.FilterLowFrequency),
    lowPass: number(ds, Tags.FilterHighFrequency),
    notch: number(ds, Tags.NotchFilterFrequency),
    skew: number(ds, Tags.ChannelTimeSkew) ?? (frequency > 0 ? samples / frequency : 0),
    calibrated,
  };
}

const MILLIVOLTS: Readonly<Record<string, number>> = { nV: 1e-6, uV: 1e-3, mV: 1, V: 1000 };

/** The twelve leads of a standard ECG, in the order in which they are printed. */
export const ECG_LEADS = ['I', 'II', 'III', 'aVR', 'aVL', 'aVF', 'V1', 'V2', 'V3', 'V4', 'V5', 'V6'] as const;
export type EcgLead = (typeof ECG_LEADS)[number];

/** Last number of the code in SCP-ECG (5.6.3-9-n) and in MDC (2:n), PS3.16 CID 3001. */
const LEAD_NUMBERS: Readonly<Record<string, EcgLead>> = {
  ...{ 1: 'I', 2: 'II', 3: 'V1', 4: 'V2', 5: 'V3', 6: 'V4', 7: 'V5', 8: 'V6' },
  ...{ 61: 'III', 62: 'aVR', 63: 'aVL', 64: 'aVF' },
};

function leadOf(source: Code | undefined, label: string | undefined): EcgLead | undefined {
  const coded = /^(?:5\.6\.3-9-|2:)(\d{1,2})$/.exec(source?.value ?? '')?.[1];
  if (coded !== undefined && (source?.scheme === 'SCPECG' || source?.scheme === 'MDC'))
    return LEAD_NUMBERS[coded];
  for (const words of [source?.meaning, label]) {
    const word = /^(?:lead\s+)?(I{1,3}|aV[RLF]|V[1-6])(?:\s|\(|$)/i.exec(words ?? '')?.[1]?.toLowerCase();
    const found = ECG_LEADS.find((lead) => lead.toLowerCase() === word);
    if (found) return found;
  }
  return undefined;
}

/** PS3.3 §C.10.10.1. */
function readAnnotation(ds: DataSet, groups: readonly WaveformGroup[]): WaveformAnnotation {
  const channels = numbers(ds, Tags.ReferencedWaveformChannels);
  const group = Math.max(0, (channels[0] ?? 1) - 1);
  const labels: string[] = [];
  for (let at = 0; at + 1 < channels.length && labels.length < MAX_CHANNELS; at += 2) {
    const label = groups[(channels[at] ?? 0) - 1]?.channels[(channels[at + 1] ?? 0) - 1]?.label;
    if (label) labels.push(label);
  }
  const name = codeText(codeOf(ds, Tags.ConceptNameCodeSequence));
  const words = texts(ds, Tags.UnformattedTextValue)[0] ?? '';
  const measured = texts(ds, Tags.NumericValue).join(', ');
  const coded = codeText(codeOf(ds, Tags.ConceptCodeSequence));
  return {
    name,
    value: [measured, coded, words].filter(Boolean).join(' '),
    unit: measured === '' ? '' : unitText(codeOf(ds, Tags.MeasurementUnitsCodeSequence)),
    channels: labels,
    group,
    at: positions(ds, groups[group]?.samplingFrequency ?? 0),
  };
}

/** The first sample is number 1 (PS3.3 Table C.10-11); offsets are seconds. */
function positions(ds: DataSet, frequency: number): number[] {
  const samples = frequency > 0 ? numbers(ds, Tags.ReferencedSamplePositions) : [];
  const offsets = samples.length > 0 ? [] : numbers(ds, Tags.ReferencedTimeOffsets);
  return [...samples.map((sample) => (sample - 1) / frequency), ...offsets].slice(0, MAX_POSITIONS);
}
