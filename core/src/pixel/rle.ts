/**
 * RLE Lossless: byte planes, each run-length coded by PackBits.
 *
 * Source: PS3.5 Annex G (§G.2 planes, §G.3.2 decoder, §G.5 header).
 * Layer:  core/pixel.
 */
import { Fault } from '../base/fault.ts';

export interface RleShape {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly bitsAllocated: number;
  /** Planes of colour one after the other; else interleaved. */
  readonly planar: boolean;
}

const HEADER = 64;
const MAX_SEGMENTS = 15;

/**
 * One frame, little endian.
 *
 * @param shape  Checked by the caller: the output is allocated from it.
 * @throws Fault PIXELS_BROKEN for a header that does not fit the shape or offsets outside the frame. Runs beyond the
 *         plane are cut and a plane that ends early stays zero, as other decoders do.
 */
export function decodeRle(frame: Uint8Array, shape: RleShape): Uint8Array {
  const pixels = shape.rows * shape.columns;
  const bytesPerSample = Math.ceil(shape.bitsAllocated / 8);
  const planes = shape.samples * bytesPerSample;
  if (frame.length < HEADER) throw new Fault('PIXELS_BROKEN', { bytes: frame.length });
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const segments = view.getUint32(0, true);
  // One bit to a pixel is coded packed: eight pixels to a byte of the one plane.
  const planeBytes = shape.bitsAllocated === 1 ? Math.ceil(pixels / 8) : pixels;
  if (segments !== planes || segments > MAX_SEGMENTS)
    throw new Fault('PIXELS_BROKEN', { segments, expected: planes });
  const out = new Uint8Array(planeBytes * planes);
  for (let plane = 0; plane < planes; plane += 1) {
    const start = view.getUint32(4 + plane * 4, true);
    const next = plane + 1 < planes ? view.getUint32(8 + plane * 4, true) : frame.length;
    if (start < HEADER || start > frame.length || next < start || next > frame.length)
      throw new Fault('PIXELS_BROKEN', { segment: plane, offset: start });
    const sample = Math.floor(plane / bytesPerSample);
    // The most significant byte comes first (§G.2), ours last.
    const byte = bytesPerSample - 1 - (plane % bytesPerSample);
    const step = shape.planar ? bytesPerSample : planes;
    const first = shape.planar ? sample * pixels * bytesPerSample + byte : sample * bytesPerSample + byte;
    unpackBits(frame, start, next, out, first, step, planeBytes);
  }
  return out;
}

/** PS3.5 §G.3.2. */
function unpackBits(
  from: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  first: number,
  step: number,
  count: number,
): void {
  let at = start;
  let done = 0;
  let to = first;
  while (at < end && done < count) {
    const control = from[at] ?? 0;
    at += 1;
    if (control === 128) continue;
    const literal = control < 128;
    const run = Math.min(literal ? control + 1 : 257 - control, count - done);
    for (let index = 0; index < run; index += 1) {
      if (literal && at + index >= end) break;
      out[to] = from[literal ? at + index : at] ?? 0;
      to += step;
    }
    done += run;
    at += literal ? control + 1 : 1;
  }
}
