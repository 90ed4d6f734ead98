/** Curves of our API as lines to draw, in millimetres. Layer: web/viewer. Pure. */

/** Values of one channel and the time they stand for. */
export interface Trace {
  readonly values: Float32Array;
  /** Values in a second. */
  readonly rate: number;
  /** Seconds from the start of the group to the first value. */
  readonly skew: number;
}

/** Base64 of Float32 little endian. A remainder of less than four bytes is left out. */
export function valuesOf(base64: string): Float32Array {
  const text = atob(base64);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let at = 0; at < text.length; at += 1) view.setUint8(at, text.charCodeAt(at));
  const values = new Float32Array(Math.floor(text.length / 4));
  for (let at = 0; at < values.length; at += 1) values[at] = view.getFloat32(at * 4, true);
  return values;
}

/** Least and greatest value from `from` to `to` seconds; undefined when there is none. */
export function extremes(
  trace: Trace,
  from: number,
  to: number,
): { readonly least: number; readonly greatest: number } | undefined {
  let [least, greatest] = [Infinity, -Infinity];
  const [first, end] = indices(trace, from, to);
  for (let at = first; at < end; at += 1) {
    const value = trace.values[at] ?? NaN;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return least <= greatest ? { least, greatest } : undefined;
}

function indices({ values, rate, skew }: Trace, from: number, to: number): [number, number] {
  const first = Math.max(0, Math.ceil((from - skew) * rate - 1e-6));
  return [first, Math.min(values.length, Math.floor((to - skew) * rate + 1e-6) + 1)];
}

export interface Placing {
  /** Seconds shown, and where the first of them is. */
  readonly from: number;
  readonly to: number;
  readonly x: number;
  /** Where value 0 is. */
  readonly y: number;
  readonly perSecond: number;
  readonly perUnit: number;
}

/** Finer than a line is wide: closer values become one stroke from the least to the greatest, so that no peak is lost. */
const COLUMN = 0.1;

/** SVG path of a trace; a gap where there are no samples. */
export function tracePath(trace: Trace, placing: Placing): string {
  const [first, end] = indices(trace, placing.from, placing.to);
  const step = placing.perSecond / trace.rate;
  const each = Math.max(1, Math.floor((2 * COLUMN) / step));
  const parts: string[] = [];
  let drawing = false;
  const put = (at: number): void => {
    const value = trace.values[at] ?? NaN;
    if (Number.isNaN(value)) {
      drawing = false;
      return;
    }
    const x = placing.x + (at / trace.rate + trace.skew - placing.from) * placing.perSecond;
    const y = placing.y - value * placing.perUnit;
    parts.push(`${drawing ? 'L' : 'M'}${x.toFixed(2)} ${y.toFixed(2)}`);
    drawing = true;
  };
  if (each <= 2) {
    for (let at = first; at < end; at += 1) put(at);
    return parts.join('');
  }
  for (let from = first; from < end; from += each) {
    let [low, high] = [from, from];
    for (let at = from; at < Math.min(end, from + each); at += 1) {
      const value = trace.values[at] ?? NaN;
      if (Number.isNaN(value)) put(at);
      if (!(value >= (trace.values[low] ?? NaN))) low = at;
      if (!(value <= (trace.values[high] ?? NaN))) high = at;
    }
    put(Math.min(low, high));
    if (low !== high) put(Math.max(low, high));
  }
  return parts.join('');
}
