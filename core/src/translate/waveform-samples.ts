/**
 * Samples of a multiplex group as curves in physical units. Long recordings become the least and the greatest value of
 * each stretch, so that no spike is lost and no recording is too long for memory.
 *
 * Source: PS3.3 §C.10.9.1.4.1 (sensitivity, correction factor, baseline), §C.10.9.1.5 (interpretation), §C.10.9.1.6
 *         (padding), §C.10.9.1.7 (interleaving, sign extension); ITU-T G.711 (mu-law, A-law).
 * Layer:  core/translate. Bytes come in any pieces.
 */

/** Waveform Sample Interpretation (5400,1006). */
export type Interpretation = 'SB' | 'UB' | 'MB' | 'AB' | 'SS' | 'US' | 'SL' | 'UL';

const BYTES: Readonly<Record<Interpretation, 1 | 2 | 4>> = {
  ...{ SB: 1, UB: 1, MB: 1, AB: 1 },
  ...{ SS: 2, US: 2 },
  ...{ SL: 4, UL: 4 },
};

export const bytesPerSample = (interpretation: Interpretation): 1 | 2 | 4 => BYTES[interpretation];

/**
 * The interpretation of samples, checked against the bits allocated.
 *
 * @returns undefined when they do not go together or are unknown.
 */
export function interpretationOf(
  name: string,
  bitsAllocated: number | undefined,
): Interpretation | undefined {
  const known = Object.keys(BYTES).find((one): one is Interpretation => one === name);
  return known && bitsAllocated === BYTES[known] * 8 ? known : undefined;
}

/** What turns a stored sample into a physical value: `stored * scale + baseline`. */
export interface Calibration {
  readonly scale: number;
  readonly baseline: number;
  readonly bitsStored: number | undefined;
}

export interface TraceLayout {
  readonly interpretation: Interpretation;
  readonly littleEndian: boolean;
  /** One for each channel, in the order of their samples. */
  readonly calibrations: readonly Calibration[];
  /** Samples of one channel, never more than the data holds. */
  readonly sampleCount: number;
  /** Stored value that stands for "no sample here". */
  readonly padding: number | undefined;
}

export interface Traces {
  /** Samples that one value stands for: 1, or half a stretch, since each stretch gives two. Whole or in halves. */
  readonly samplesPerValue: number;
  /** Of each channel; NaN where there is no sample. */
  readonly values: readonly Float32Array[];
}

/** Push the bytes of Waveform Data in order, then `end()`. Memory: 4 bytes for each value that comes out. */
export class TraceSampler {
  readonly #layout: TraceLayout;
  readonly #read: (view: DataView, at: number) => number;
  readonly #size: number;
  readonly #stretch: number;
  readonly #values: Float32Array[];
  readonly #low: Extreme[];
  readonly #high: Extreme[];
  #left: Uint8Array = new Uint8Array(0);
  #channel = 0;
  #sample = 0;

  /** @param maxValues  Of each channel; at least 2. */
  constructor(layout: TraceLayout, maxValues: number) {
    const { sampleCount, calibrations } = layout;
    this.#layout = layout;
    this.#read = reader(layout.interpretation, layout.littleEndian);
    this.#size = BYTES[layout.interpretation];
    const pairs = Math.max(1, Math.floor(maxValues / 2));
    this.#stretch = sampleCount <= maxValues ? 1 : Math.ceil(sampleCount / pairs);
    const length = this.#stretch === 1 ? sampleCount : Math.ceil(sampleCount / this.#stretch) * 2;
    this.#values = calibrations.map(() => new Float32Array(length).fill(NaN));
    this.#low = calibrations.map(() => ({ value: Infinity, at: 0 }));
    this.#high = calibrations.map(() => ({ value: -Infinity, at: 0 }));
  }

  push(bytes: Uint8Array): void {
    let given = bytes;
    if (this.#left.length > 0) {
      given = new Uint8Array(this.#left.length + bytes.length);
      given.set(this.#left);
      given.set(bytes, this.#left.length);
    }
    const size = this.#size;
    const view = new DataView(given.buffer, given.byteOffset, given.byteLength);
    const channels = this.#values.length;
    const { sampleCount } = this.#layout;
    let at = 0;
    for (; at + size <= given.length && this.#sample < sampleCount; at += size) {
      this.#take(this.#read(view, at));
      this.#channel += 1;
      if (this.#channel < channels) continue;
      this.#channel = 0;
      this.#sample += 1;
      if (this.#stretch > 1 && this.#sample % this.#stretch === 0) this.#flush();
    }
    this.#left = this.#sample < sampleCount ? given.slice(at) : new Uint8Array(0);
  }

  end(): Traces {
    if (this.#stretch > 1 && this.#sample % this.#stretch !== 0) this.#flush();
    return { samplesPerValue: this.#stretch === 1 ? 1 : this.#stretch / 2, values: this.#values };
  }

  #take(raw: number): void {
    const { padding, calibrations, interpretation } = this.#layout;
    const channel = this.#channel;
    const calibration = calibrations[channel];
    if (raw === padding || !calibration) return;
    const stored = extended(raw, interpretation, calibration.bitsStored);
    const value = stored * calibration.scale + calibration.baseline;
    const values = this.#values[channel];
    if (this.#stretch === 1) {
      if (values) values[this.#sample] = value;
      return;
    }
    const low = this.#low[channel];
    const high = this.#high[channel];
    if (!low || !high) return;
    if (value < low.value) {
      low.value = value;
      low.at = this.#sample;
    }
    if (value > high.value) {
      high.value = value;
      high.at = this.#sample;
    }
  }

  /** Writes the least and the greatest of the stretch that ended, in the order in which they came. */
  #flush(): void {
    const place = Math.ceil(this.#sample / this.#stretch) * 2 - 2;
    for (const [channel, values] of this.#values.entries()) {
      const low = this.#low[channel];
      const high = this.#high[channel];
      if (!low || !high || low.value === Infinity) continue;
      const rising = low.at <= high.at;
      values[place] = rising ? low.value : high.value;
      values[place + 1] = rising ? high.value : low.value;
      low.value = Infinity;
      high.value = -Infinity;
    }
  }
}

interface Extreme {
  value: number;
  at: number;
}

/**
 * The standard asks writers to extend the sign to the whole sample (PS3.3 §C.10.9.1.7), so a sample is read as it is. Only
 * one that cannot be right, a signed sample just beyond the bits stored, is a negative number whose sign was not extended.
 */
function extended(raw: number, interpretation: Interpretation, bitsStored: number | undefined): number {
  if (bitsStored === undefined || bitsStored < 2 || bitsStored >= BYTES[interpretation] * 8) return raw;
  if (interpretation !== 'SB' && interpretation !== 'SS' && interpretation !== 'SL') return raw;
  const span = 2 ** bitsStored;
  return raw >= span / 2 && raw < span ? raw - span : raw;
}

function reader(interpretation: Interpretation, le: boolean): (view: DataView, at: number) => number {
  switch (interpretation) {
    case 'SB':
      return (view, at) => view.getInt8(at);
    case 'UB':
      return (view, at) => view.getUint8(at);
    case 'MB':
      return (view, at) => muLaw(view.getUint8(at));
    case 'AB':
      return (view, at) => aLaw(view.getUint8(at));
    case 'SS':
      return (view, at) => view.getInt16(at, le);
    case 'US':
      return (view, at) => view.getUint16(at, le);
    case 'SL':
      return (view, at) => view.getInt32(at, le);
    case 'UL':
      return (view, at) => view.getUint32(at, le);
    default:
      return interpretation satisfies never;
  }
}

/** ITU-T G.711 Table 2: 8 bits to a value within ±8031. */
export function muLaw(code: number): number {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) << 1) + 33) << ((bits >> 4) & 7)) - 33;
  return bits & 0x80 ? -magnitude : magnitude;
}

/** ITU-T G.711 Table 1: 8 bits to a value within ±4032. */
export function aLaw(code: number): number {
  const bits = code ^ 0x55;
  const segment = (bits >> 4) & 7;
  const step = ((bits & 0x0f) << 1) + 1;
  const magnitude = segment === 0 ? step : (step + 32) << (segment - 1);
  return bits & 0x80 ? magnitude : -magnitude;
}
