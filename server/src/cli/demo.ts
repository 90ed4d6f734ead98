/**
 * demo: synthetic studies of our own making, to try Lightbox with. No real person is in them.
 *
 * Source: PS3.3 §A.2 (CR), §A.3 (CT), §A.4 (MR), §A.7 (US multi-frame).
 * Layer:  server/cli.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';

type Attributes = Parameters<typeof dataSet>[0];

/** A UID nobody else has (PS3.5 §B.2). */
const uid = (): string => `2.25.${BigInt(`0x${randomUUID().replaceAll('-', '')}`)}`;

interface Study {
  readonly attributes: Attributes;
  readonly series: readonly { readonly attributes: Attributes; readonly images: readonly Attributes[] }[];
}

const person = (name: string, id: string, birthDate: string, sex: string): Attributes => ({
  ...{ PatientName: name, PatientID: id, PatientBirthDate: birthDate, PatientSex: sex },
});

/** An ellipse of `value` at (x, y, z), all in millimetres. */
interface Ellipsoid {
  readonly at: readonly [number, number, number];
  readonly radius: readonly [number, number, number];
  readonly value: number;
}

/** A body with lungs, spine, heart and a nodule, in Hounsfield units. */
const BODY: readonly Ellipsoid[] = [
  { at: [0, 0, 0], radius: [165, 115, 400], value: 40 },
  { at: [-75, -10, 0], radius: [60, 80, 110], value: -850 },
  { at: [75, -10, 0], radius: [60, 80, 110], value: -850 },
  { at: [15, -30, -30], radius: [45, 40, 50], value: 60 },
  { at: [0, 80, 0], radius: [20, 20, 400], value: 450 },
  { at: [0, 80, 0], radius: [9, 9, 400], value: 30 },
  { at: [-80, -25, 20], radius: [7, 7, 7], value: 45 },
];
const HEAD: readonly Ellipsoid[] = [
  { at: [0, 0, 0], radius: [75, 95, 85], value: 900 },
  { at: [0, 0, 0], radius: [70, 90, 80], value: 420 },
  { at: [-18, -8, 5], radius: [8, 30, 22], value: 120 },
  { at: [18, -8, 5], radius: [8, 30, 22], value: 120 },
  { at: [30, 35, 12], radius: [9, 9, 9], value: 700 },
];

function slice(
  phantom: readonly Ellipsoid[],
  side: number,
  spacing: number,
  z: number,
  background: number,
): Int16Array {
  const pixels = new Int16Array(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const x = (column - side / 2) * spacing;
      const y = (row - side / 2) * spacing;
      let value = background;
      for (const { at, radius, value: inside } of phantom) {
        const distance =
          ((x - at[0]) / radius[0]) ** 2 + ((y - at[1]) / radius[1]) ** 2 + ((z - at[2]) / radius[2]) ** 2;
        if (distance <= 1) value = inside;
      }
      // The same grain each time: a hash of the place.
      const grain = Math.imul(row * 7919 + column * 104_729 + Math.round(z) * 1299, 2_654_435_761) >>> 24;
      pixels[row * side + column] = value + (grain - 128) / 8;
    }
  }
  return pixels;
}

const bytesOf = (pixels: ArrayBufferView): Uint8Array =>
  new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);

const grey = (side: number, signed: 0 | 1): Attributes => ({
  ...{ SamplesPerPixel: 1, PhotometricInterpretation: 'MONOCHROME2', Rows: side, Columns: side },
  ...{ BitsAllocated: 16, BitsStored: 16, HighBit: 15, PixelRepresentation: signed },
});

function stack(
  phantom: readonly Ellipsoid[],
  side: number,
  spacing: number,
  gap: number,
  background: number,
  count: number,
): Attributes[] {
  const frameOfReference = uid();
  return Array.from({ length: count }, (_, index) => {
    const z = (index - count / 2) * gap;
    const corner = (-side / 2) * spacing;
    return {
      ...grey(side, 1),
      FrameOfReferenceUID: frameOfReference,
      ImagePositionPatient: [corner, corner, z],
      ImageOrientationPatient: [1, 0, 0, 0, 1, 0],
      PixelSpacing: [spacing, spacing],
      SliceThickness: gap,
      SliceLocation: z,
      PositionReferenceIndicator: [],
      PixelData: { vr: 'OW', value: bytesOf(slice(phantom, side, spacing, z, background)) },
    };
  });
}

function studies(): Study[] {
  const colour = { side: 240, frames: 20 };
  const cine = new Uint8Array(colour.side * colour.side * 3 * colour.frames);
  for (let frame = 0; frame < colour.frames; frame++) {
    for (let row = 0; row < colour.side; row++) {
      for (let column = 0; column < colour.side; column++) {
        const angle = Math.abs(column - colour.side / 2) / Math.max(1, row);
        const wave = Math.sin((row - frame * 4) / 9) * 60;
        const at = ((frame * colour.side + row) * colour.side + column) * 3;
        const inside = angle < 0.6;
        cine[at] = inside ? 90 + wave : 0;
        cine[at + 1] = inside ? 90 + wave / 2 : 0;
        cine[at + 2] = inside ? 110 - wave : 0;
      }
    }
  }
  return [
    {
      attributes: {
        ...person('Demo^Clara', 'DEMO-1', '19610312', 'F'),
        ...{
          StudyDate: '20260105',
          StudyTime: '091500',
          StudyDescription: 'CT Thorax',
          AccessionNumber: 'DEMO0001',
        },
      },
      series: [
        {
          attributes: {
            ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.2', Modality: 'CT', SeriesDescription: 'Thorax 5 mm' },
            ...{ RescaleIntercept: 0, RescaleSlope: 1, WindowCenter: [40, -600], WindowWidth: [400, 1500] },
          },
          images: stack(BODY, 512, 0.75, 5, -1000, 40),
        },
      ],
    },
    {
      attributes: {
        ...person('Demo^Bruno', 'DEMO-2', '19850724', 'M'),
        ...{
          StudyDate: '20260106',
          StudyTime: '143000',
          StudyDescription: 'MR Brain',
          AccessionNumber: 'DEMO0002',
        },
      },
      series: [
        {
          attributes: {
            ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.4', Modality: 'MR', SeriesDescription: 'T1 axial' },
            ...{ WindowCenter: 450, WindowWidth: 900 },
          },
          images: stack(HEAD, 256, 0.9, 6, 0, 24),
        },
      ],
    },
    {
      attributes: {
        ...person('Demo^Ada', 'DEMO-3', '19990101', 'F'),
        ...{
          StudyDate: '20260107',
          StudyTime: '101010',
          StudyDescription: 'US Heart',
          AccessionNumber: 'DEMO0003',
        },
      },
      series: [
        {
          attributes: {
            ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.3.1', Modality: 'US', SeriesDescription: 'Cine' },
          },
          images: [
            {
              ...{ SamplesPerPixel: 3, PhotometricInterpretation: 'RGB', PlanarConfiguration: 0 },
              ...{ Rows: colour.side, Columns: colour.side, BitsAllocated: 8, BitsStored: 8, HighBit: 7 },
              ...{
                PixelRepresentation: 0,
                NumberOfFrames: colour.frames,
                FrameTime: 50,
                PatientOrientation: [],
                PixelData: cine,
              },
            },
          ],
        },
      ],
    },
  ];
}

function* objects(list: readonly Study[]): Generator<{ readonly name: string; readonly dataSet: DataSet }> {
  for (const [studyIndex, study] of list.entries()) {
    const studyUid = uid();
    for (const [seriesIndex, series] of study.series.entries()) {
      const seriesUid = uid();
      for (const [index, image] of series.images.entries()) {
        yield {
          name: `${studyIndex + 1}-${seriesIndex + 1}-${String(index + 1).padStart(3, '0')}.dcm`,
          dataSet: dataSet({
            SpecificCharacterSet: 'ISO_IR 192',
            ...{
              ReferringPhysicianName: [],
              Laterality: [],
              Manufacturer: 'Lightbox',
              PatientPosition: 'HFS',
            },
            ...{ ...study.attributes, ...series.attributes, ...image },
            ...{ StudyInstanceUID: studyUid, SeriesInstanceUID: seriesUid, SOPInstanceUID: uid() },
            ...{ StudyID: String(studyIndex + 1), SeriesNumber: seriesIndex + 1, InstanceNumber: index + 1 },
          }),
        };
      }
    }
  }
}

/** Writes the studies as files. @returns how many. */
export async function writeDemo(
  folder: string,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<number> {
  await mkdir(folder, { recursive: true });
  const list = studies();
  const total = list.flatMap(({ series }) => series.flatMap(({ images }) => images)).length;
  let count = 0;
  for (const { name, dataSet: ds } of objects(list)) {
    await writeFile(join(folder, name), writePart10(ds, EXPLICIT_LE));
    count += 1;
    progress(count, total);
  }
  return count;
}
