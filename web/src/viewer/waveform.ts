/** A waveform channel of our API as a line to draw. Layer: web/viewer. */

/** Base64 of Float32 little endian samples. A remainder of less than four bytes is left out. */
export function samplesOf(base64: string): Float32Array {
  const text = atob(base64);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let at = 0; at < text.length; at += 1) view.setUint8(at, text.charCodeAt(at));
  const samples = new Float32Array(Math.floor(text.length / 4));
  for (let at = 0; at < samples.length; at += 1) samples[at] = view.getFloat32(at * 4, true);
  return samples;
}

/** SVG path of least and greatest value per column, so that no peak is lost however long the recording. */
export function tracePath(samples: Float32Array, width: number, height: number): string {
  let [least, greatest] = [Infinity, -Infinity];
  for (const value of samples) {
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
  }
  const y = (value: number): string =>
    (greatest > least ? height - ((value - least) / (greatest - least)) * height : height / 2).toFixed(1);
  const columns = Math.min(width, samples.length);
  let path = '';
  for (let column = 0; column < columns; column += 1) {
    const from = Math.floor((column * samples.length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * samples.length) / columns));
    const some = samples.subarray(from, to);
    const x = ((column * width) / columns).toFixed(1);
    const [low, high] = [some.reduce((a, b) => Math.min(a, b)), some.reduce((a, b) => Math.max(a, b))];
    path += `${column === 0 ? 'M' : 'L'}${x} ${y(low)}`;
    if (high > low) path += `L${x} ${y(high)}`;
  }
  return path;
}
