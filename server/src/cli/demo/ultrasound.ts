/**
 * A beating heart as ultrasound sees it: a fan of speckle with four chambers that open and close.
 *
 * Source: PS3.3 §A.7 (US multi-frame), §C.8.5.5 (regions calibrated in centimetres).
 * Layer:  server/cli.
 */
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { noise } from './noise.ts';
import type { Attributes } from './studies.ts';

const SIDE = 480;
const FRAMES = 30;
/** One beat in a second. */
const FRAME_MS = 33.3;
const APEX = { x: SIDE / 2, y: 26 };
const DEPTH = SIDE - 52;
const HALF_ANGLE = 0.68;
/** 16 cm of depth. */
const CM_PER_PIXEL = 16 / DEPTH;

interface Chamber {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** How much smaller it is at the end of its beat, and when that is (share of a beat). */
  readonly squeeze: number;
  readonly phase: number;
}

const CHAMBERS: readonly Chamber[] = [
  { x: 34, y: 170, width: 46, height: 92, squeeze: 0.32, phase: 0.35 },
  { x: -52, y: 180, width: 38, height: 78, squeeze: 0.28, phase: 0.35 },
  { x: 36, y: 322, width: 52, height: 46, squeeze: 0.2, phase: 0.85 },
  { x: -54, y: 320, width: 46, height: 44, squeeze: 0.2, phase: 0.85 },
];

function echo(column: number, row: number, frame: number): number {
  const [dx, dy] = [column - APEX.x, row - APEX.y];
  const range = Math.hypot(dx, dy);
  const angle = Math.atan2(dx, dy);
  if (range > DEPTH || range < 14 || Math.abs(angle) > HALF_ANGLE) return 0;
  const beat = frame / FRAMES;
  let inside = 0;
  let wall = 0;
  for (const chamber of CHAMBERS) {
    const shut = 1 - chamber.squeeze * (0.5 + 0.5 * Math.cos((beat - chamber.phase) * 2 * Math.PI));
    const distance = Math.hypot(
      (dx - chamber.x) / (chamber.width * shut),
      (dy - chamber.y) / (chamber.height * shut),
    );
    inside = Math.max(inside, Math.min(1, Math.max(0, (1.04 - distance) * 9)));
    wall = Math.max(wall, Math.max(0, 1 - Math.abs(distance - 1.14) * 7));
  }
  // Speckle lies across the beam and grows with depth; it moves a little with the muscle.
  const grain =
    noise(angle * 118 + frame * 0.16, range / 3.1, frame * 0.21, 41) * 0.5 +
    noise(angle * 46, range / 9, frame * 0.08, 42) * 0.5;
  const muscle = 62 + wall * 66 - (range / DEPTH) * 18;
  const value = (muscle * (1 - inside) + 7 * inside) * (1 + grain * 0.95);
  return Math.max(0, value * Math.min(1, (HALF_ANGLE - Math.abs(angle)) * 30));
}

export function heart(): Attributes {
  const pixels = new Uint8Array(SIDE * SIDE * FRAMES);
  for (let frame = 0, at = 0; frame < FRAMES; frame += 1)
    for (let row = 0; row < SIDE; row += 1)
      for (let column = 0; column < SIDE; column += 1, at += 1)
        pixels[at] = Math.min(255, echo(column, row, frame) * 1.5);
  return {
    ...{ ImageType: ['ORIGINAL', 'PRIMARY'], PatientOrientation: [] },
    ...{ SamplesPerPixel: 1, PhotometricInterpretation: 'MONOCHROME2', Rows: SIDE, Columns: SIDE },
    ...{ BitsAllocated: 8, BitsStored: 8, HighBit: 7, PixelRepresentation: 0, LossyImageCompression: '00' },
    ...{
      NumberOfFrames: FRAMES,
      FrameTime: FRAME_MS,
      CineRate: 30,
      FrameIncrementPointer: 0x00181063,
      HeartRate: 60,
    },
    SequenceOfUltrasoundRegions: [
      dataSet({
        ...{ RegionSpatialFormat: 1, RegionDataType: 1, RegionFlags: 0 },
        ...{
          RegionLocationMinX0: 0,
          RegionLocationMinY0: 0,
          RegionLocationMaxX1: SIDE - 1,
          RegionLocationMaxY1: SIDE - 1,
        },
        ...{
          PhysicalUnitsXDirection: 3,
          PhysicalUnitsYDirection: 3,
          PhysicalDeltaX: CM_PER_PIXEL,
          PhysicalDeltaY: CM_PER_PIXEL,
        },
      }),
    ],
    PixelData: { vr: 'OB', value: pixels },
  };
}
