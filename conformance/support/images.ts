/**
 * Small CT images written by hand, element by element, without any of the program's own writers: what the program is
 * tested with must not come from the program. Explicit VR little endian (PS3.5 §A.2), no sequences.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface WrittenImage {
  readonly file: string;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
}

export const CT = '1.2.840.10008.5.1.4.1.1.2';
export const EXPLICIT = '1.2.840.10008.1.2.1';
const ROOT = '1.2.826.0.1.3680043.10.1234';

/** Writes `count` images of one new study into `folder`. `name` keeps UIDs apart; sizes vary from 2 to about 500 KB. */
export function writeImages(
  folder: string,
  name: string,
  count: number,
  chance: () => number,
): WrittenImage[] {
  const studyUid = `${ROOT}.${name}`;
  const seriesUid = `${studyUid}.1`;
  return Array.from({ length: count }, (_, index) => {
    const sopUid = `${seriesUid}.${index + 1}`;
    const side = [32, 64, 64, 128, 128, 256, 512][Math.floor(chance() * 7)] ?? 64;
    const file = join(folder, `${index}.dcm`);
    writeFileSync(
      file,
      ctImage({ studyUid, seriesUid, sopUid, number: index + 1, side, patientId: `KILL-${name}`, chance }),
    );
    return { file, studyUid, seriesUid, sopUid };
  });
}

export interface CtOptions extends CtNames, CtMeaning {
  readonly side: number;
  readonly chance: () => number;
  /** In place of chance: what is at a place, as kept (before rescaling). */
  readonly value?: (x: number, y: number) => number;
}

/** One CT image as a Part 10 file (PS3.10 §7.1). */
export function ctImage(options: CtOptions): Buffer {
  const { side } = options;
  const pixels = Buffer.alloc(side * side * 2);
  for (let at = 0; at < side * side; at += 1)
    pixels.writeUInt16LE(
      options.value?.(at % side, Math.floor(at / side)) ?? Math.floor(options.chance() * 4096),
      at * 2,
    );
  return Buffer.concat([fileMeta(CT, options.sopUid), ctHeader(options), pixels]);
}

/** Preamble and file meta information (PS3.10 §7.1). */
export function fileMeta(sopClassUid: string, sopUid: string): Buffer {
  const meta = Buffer.concat([
    element(0x0002, 0x0001, 'OB', Buffer.from([0, 1])),
    element(0x0002, 0x0002, 'UI', sopClassUid),
    element(0x0002, 0x0003, 'UI', sopUid),
    element(0x0002, 0x0010, 'UI', EXPLICIT),
    element(0x0002, 0x0012, 'UI', `${ROOT}.0`),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(meta.length);
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), element(0x0002, 0x0000, 'UL', length), meta]);
}

export interface CtNames {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
  readonly number: number;
  readonly patientId: string;
  readonly patientName?: string;
}

/** What pixels mean; left out where only their bytes matter. */
export interface CtMeaning {
  /** mm between rows and columns. */
  readonly spacing?: number;
  /** Rescale Intercept with slope 1: the values are HU then. */
  readonly intercept?: number;
  readonly window?: readonly [centre: number, width: number];
}

/** The data set of a CT image up to the value of Pixel Data, which has to follow: `side` × `side` × 2 bytes for each frame. */
export function ctHeader(
  options: CtNames &
    CtMeaning & { readonly side: number; readonly sopClassUid?: string; readonly frames?: number },
): Buffer {
  const { side, frames } = options;
  const pixels = element(0x7fe0, 0x0010, 'OW', '');
  pixels.writeUInt32LE(side * side * 2 * (frames ?? 1), 8);
  return Buffer.concat([
    element(0x0008, 0x0016, 'UI', options.sopClassUid ?? CT),
    element(0x0008, 0x0018, 'UI', options.sopUid),
    element(0x0008, 0x0020, 'DA', '20260102'),
    element(0x0008, 0x0030, 'TM', '101112'),
    element(0x0008, 0x0050, 'SH', ''),
    element(0x0008, 0x0060, 'CS', 'CT'),
    element(0x0008, 0x0090, 'PN', ''),
    element(0x0010, 0x0010, 'PN', options.patientName ?? 'Test^Kill'),
    element(0x0010, 0x0020, 'LO', options.patientId),
    element(0x0010, 0x0030, 'DA', '19700101'),
    element(0x0010, 0x0040, 'CS', 'O'),
    element(0x0020, 0x000d, 'UI', options.studyUid),
    element(0x0020, 0x000e, 'UI', options.seriesUid),
    element(0x0020, 0x0010, 'SH', '1'),
    element(0x0020, 0x0011, 'IS', '1'),
    element(0x0020, 0x0013, 'IS', String(options.number)),
    element(0x0028, 0x0002, 'US', u16(1)),
    element(0x0028, 0x0004, 'CS', 'MONOCHROME2'),
    ...(frames === undefined ? [] : [element(0x0028, 0x0008, 'IS', String(frames))]),
    element(0x0028, 0x0010, 'US', u16(side)),
    element(0x0028, 0x0011, 'US', u16(side)),
    ...(options.spacing === undefined
      ? []
      : [element(0x0028, 0x0030, 'DS', `${options.spacing}\\${options.spacing}`)]),
    element(0x0028, 0x0100, 'US', u16(16)),
    element(0x0028, 0x0101, 'US', u16(12)),
    element(0x0028, 0x0102, 'US', u16(11)),
    element(0x0028, 0x0103, 'US', u16(0)),
    ...(options.window === undefined
      ? []
      : [
          element(0x0028, 0x1050, 'DS', String(options.window[0])),
          element(0x0028, 0x1051, 'DS', String(options.window[1])),
        ]),
    ...(options.intercept === undefined
      ? []
      : [
          element(0x0028, 0x1052, 'DS', String(options.intercept)),
          element(0x0028, 0x1053, 'DS', '1'),
          element(0x0028, 0x1054, 'LO', 'HU'),
        ]),
    pixels,
  ]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

const LONG = new Set(['OB', 'OW', 'SQ', 'UN', 'UT']);

/** One element in explicit VR little endian (PS3.5 §7.1.2); text in UTF-8. */
export function element(group: number, number: number, vr: string, value: string | Buffer): Buffer {
  const raw = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  const pad = raw.length % 2 === 1 ? Buffer.from([vr === 'UI' || vr === 'OB' ? 0 : 0x20]) : Buffer.alloc(0);
  const head = Buffer.alloc(LONG.has(vr) ? 12 : 8);
  head.writeUInt16LE(group, 0);
  head.writeUInt16LE(number, 2);
  head.write(vr, 4, 'ascii');
  if (LONG.has(vr)) head.writeUInt32LE(raw.length + pad.length, 8);
  else head.writeUInt16LE(raw.length + pad.length, 6);
  return Buffer.concat([head, raw, pad]);
}
