/**
 * Blackens rectangles in native pixels, frame by frame, whatever their bits and colour layout.
 *
 * Source: PS3.5 §8.1.1 (native pixels, 1-bit packing), §8.2, PS3.3 §C.7.6.3.1.2 (photometric interpretations),
 *         §C.7.6.3.1.3 (planar configuration).
 * Layer:  core/dicom. Encapsulated frames are decoded by the caller first and written back natively.
 */

/** In pixels from the upper left corner of the frame; what reaches out of it is cut. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** How the pixels of each frame are written; the fields of `ImagePixel` of core/pixel fit. */
export interface FrameLayout {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly planar: boolean;
  readonly photometric: string;
  readonly float: boolean;
}

const isSubsampled = ({ photometric, samples }: FrameLayout): boolean =>
  samples === 3 && (photometric === 'YBR_FULL_422' || photometric === 'YBR_PARTIAL_422');

/** Bits of one frame; frames follow each other without padding (PS3.5 §8.1.1). */
export function frameBits(layout: FrameLayout): number {
  return layout.rows * layout.columns * layout.bitsAllocated * (isSubsampled(layout) ? 2 : layout.samples);
}

/**
 * Blackens the rectangles in every frame that begins in `pixels`, in place. A frame that is cut off is blackened as far as
 * it goes. Black is the darkest value of the photometric interpretation: 0, the highest of MONOCHROME1, the lowest of
 * signed values, and the middle for the colour differences of YBR. Of PALETTE COLOR it is index 0, whatever its colour.
 */
export function blackenFrames(
  pixels: Uint8Array,
  layout: FrameLayout,
  rectangles: readonly Rectangle[],
  littleEndian = true,
): void {
  const bits = frameBits(layout);
  if (!(bits > 0)) return;
  const cut = rectangles.map((one) => cutTo(one, layout)).filter((one) => one.width > 0 && one.height > 0);
  const write = writer(pixels, layout, littleEndian);
  for (let start = 0; start < pixels.length * 8; start += bits) {
    for (const rectangle of cut) blackenOne(start, layout, rectangle, write);
  }
}

/** @param sample  Index of the sample, counted in samples from `startBit`. */
type Write = (startBit: number, sample: number, component: number) => void;

function blackenOne(start: number, layout: FrameLayout, rectangle: Rectangle, write: Write): void {
  const { columns, rows, samples, planar } = layout;
  for (let y = rectangle.top; y < rectangle.top + rectangle.height; y++) {
    for (let x = rectangle.left; x < rectangle.left + rectangle.width; x++) {
      const pixel = y * columns + x;
      if (isSubsampled(layout)) {
        // Y Y Cb Cr for two pixels beside each other: both, because the colours are shared.
        const pair = (pixel - (pixel % 2)) * 2;
        write(start, pair, 0);
        write(start, pair + 1, 0);
        write(start, pair + 2, 1);
        write(start, pair + 3, 2);
        continue;
      }
      for (let component = 0; component < samples; component++) {
        write(start, planar ? component * rows * columns + pixel : pixel * samples + component, component);
      }
    }
  }
}

function writer(pixels: Uint8Array, layout: FrameLayout, littleEndian: boolean): Write {
  const { bitsAllocated } = layout;
  const values = [0, 1, 2, 3].map((component) => blackBytes(layout, component, littleEndian));
  if (bitsAllocated % 8 === 0) {
    const size = bitsAllocated / 8;
    return (startBit, sample, component) => {
      const at = startBit / 8 + sample * size;
      const value = values[component];
      if (value && at + size <= pixels.length) pixels.set(value, at);
      else pixels.fill(0, at);
    };
  }
  // Packed bits, the lowest of each byte first.
  const ones = layout.photometric === 'MONOCHROME1';
  return (startBit, sample) => {
    const first = startBit + sample * bitsAllocated;
    for (let bit = first; bit < first + bitsAllocated && bit < pixels.length * 8; bit++) {
      const mask = 1 << (bit & 7);
      const byte = pixels[bit >> 3] ?? 0;
      pixels[bit >> 3] = ones ? byte | mask : byte & ~mask;
    }
  };
}

/** One sample of black as its bytes. */
function blackBytes(layout: FrameLayout, component: number, littleEndian: boolean): Uint8Array {
  const { bitsAllocated, bitsStored, highBit, photometric, signed, float } = layout;
  const bytes = new Uint8Array(Math.ceil(bitsAllocated / 8));
  let value = 0n;
  if (!float) {
    const top = 1n << BigInt(bitsStored - 1);
    const bright = photometric === 'MONOCHROME1';
    if (component > 0 && photometric.startsWith('YBR_') && photometric !== 'YBR_RCT') value = top;
    else if (component === 0 && layout.samples === 1) {
      if (signed) value = bright ? top - 1n : top;
      else if (bright) value = (top << 1n) - 1n;
    }
    value <<= BigInt(highBit - bitsStored + 1);
  }
  for (let at = 0; at < bytes.length; at++) {
    bytes[littleEndian ? at : bytes.length - 1 - at] = Number((value >> BigInt(8 * at)) & 0xffn);
  }
  return bytes;
}

/**
 * Clears the bits that are not part of the pixel value, where overlays were once kept (retired, PS3.3 §C.9.2), in place.
 * Signed values get their sign there. Only for 8, 16 and 32 bits allocated; others have no unused bits that are used so.
 */
export function clearUnusedBits(pixels: Uint8Array, layout: FrameLayout, littleEndian = true): void {
  const { bitsAllocated, bitsStored, highBit, signed, float } = layout;
  if (float || bitsStored === bitsAllocated || ![8, 16, 32].includes(bitsAllocated)) return;
  const view = new DataView(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const size = bitsAllocated / 8;
  const low = highBit - bitsStored + 1;
  const above = 32 - highBit - 1;
  for (let at = 0; at + size <= pixels.length; at += size) {
    let value =
      size === 1
        ? view.getUint8(at)
        : size === 2
          ? view.getUint16(at, littleEndian)
          : view.getUint32(at, littleEndian);
    value = signed ? (value << above) >> above : (value << above) >>> above;
    value = (value >> low) << low;
    if (size === 1) view.setUint8(at, value & 0xff);
    else if (size === 2) view.setUint16(at, value & 0xffff, littleEndian);
    else view.setUint32(at, value >>> 0, littleEndian);
  }
}

function cutTo(rectangle: Rectangle, { rows, columns }: { rows: number; columns: number }): Rectangle {
  const whole = (value: number, low: number, high: number): number =>
    Math.min(high, Math.max(low, Number.isNaN(value) ? low : value));
  const left = whole(Math.floor(rectangle.left), 0, columns);
  const top = whole(Math.floor(rectangle.top), 0, rows);
  const right = whole(Math.ceil(rectangle.left + rectangle.width), left, columns);
  const bottom = whole(Math.ceil(rectangle.top + rectangle.height), top, rows);
  return { left, top, width: right - left, height: bottom - top };
}

/** Everything of the frame that is in none of the rectangles, as rectangles that do not overlap. */
export function complement(rectangles: readonly Rectangle[], rows: number, columns: number): Rectangle[] {
  const cut = rectangles.map((one) => cutTo(one, { rows, columns }));
  const edges = [...new Set([0, rows, ...cut.flatMap((one) => [one.top, one.top + one.height])])].sort(
    (a, b) => a - b,
  );
  const out: Rectangle[] = [];
  edges.forEach((top, index) => {
    const bottom = edges[index + 1];
    if (bottom === undefined) return;
    const across = cut
      .filter((one) => one.top <= top && one.top + one.height >= bottom && one.width > 0)
      .sort((a, b) => a.left - b.left);
    let left = 0;
    for (const one of [...across, { left: columns, width: 0 }]) {
      if (one.left > left) out.push({ left, top, width: one.left - left, height: bottom - top });
      left = Math.max(left, one.left + one.width);
    }
  });
  return out;
}
