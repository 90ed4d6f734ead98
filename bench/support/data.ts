/**
 * The objects that are sent in a measurement: made here, the same on every machine, nobody's images.
 *
 * The pixels are a body in correlated noise, so that neither disk nor network wins by compression. Every object carries the
 * header a scanner writes (about 70 attributes, a private block among them), not a bare minimum.
 *
 * Source: PS3.3 §A.3 (CT), §A.2 (CR); PS3.5 §7 (encoding, done by core/dicom).
 */
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeDataSet, writeFileMeta } from '@lightbox/core/dicom/write.ts';

export const CT_SIDE = 512;
export const CT = '1.2.840.10008.5.1.4.1.1.2';
const CR = '1.2.840.10008.5.1.4.1.1.1';
/** SOP classes by modality, all with a small image. */
const CLASSES = { CT, CR, MR: '1.2.840.10008.5.1.4.1.1.4' } as const;
const ROOT = '1.2.826.0.1.3680043.10.1234.9';

export interface Sample {
  readonly sopClassUid: string;
  readonly sopUid: string;
  readonly studyUid: string;
  readonly seriesUid: string;
  /** Explicit VR little endian, without file meta. */
  readonly dataSet: Uint8Array;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32: neighbouring seeds give unlike numbers). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Noise fields are drawn once: a slice takes one of them, shifted. */
const FIELDS = 8;
const fields = new Map<number, Int16Array>();

function noiseField(which: number): Int16Array {
  const known = fields.get(which);
  if (known) return known;
  const next = chance(1000 + which);
  const field = new Int16Array(CT_SIDE * CT_SIDE);
  let before = 0;
  for (let at = 0; at < field.length; at += 1) {
    // Neighbours resemble each other, as after a scanner's reconstruction filter.
    before = 0.5 * before + (next() + next() + next() - 1.5) * 30;
    field[at] = Math.round(before);
  }
  fields.set(which, field);
  return field;
}

/** One slice of a body with two lungs, a spine and a vessel that winds from slice to slice; stored values 0 to 4095. */
export function ctPixels(index: number): Uint8Array {
  const noise = noiseField(index % FIELDS);
  const shift = (index * 7919) % noise.length;
  const bytes = new Uint8Array(CT_SIDE * CT_SIDE * 2);
  const pixels = new Uint16Array(bytes.buffer);
  const angle = index / 20;
  const [vesselX, vesselY] = [0.1 * Math.cos(angle), 0.1 * Math.sin(angle)];
  for (let row = 0; row < CT_SIDE; row += 1) {
    const y = row / CT_SIDE - 0.5;
    for (let column = 0; column < CT_SIDE; column += 1) {
      const x = column / CT_SIDE - 0.5;
      const at = row * CT_SIDE + column;
      let value = 24;
      if ((x / 0.44) ** 2 + (y / 0.36) ** 2 < 1) {
        value = 1040;
        if (((Math.abs(x) - 0.17) / 0.12) ** 2 + (y / 0.2) ** 2 < 1) value = 180;
        if (x * x + (y - 0.24) ** 2 < 0.0025) value = 1900;
        if ((x - vesselX) ** 2 + (y - vesselY) ** 2 < 0.0009) value = 1300;
      }
      pixels[at] = Math.max(0, Math.min(4095, value + (noise[(at + shift) % noise.length] ?? 0)));
    }
  }
  return bytes;
}

/** What vendors keep in private attributes is often larger than the rest of the header. */
const PRIVATE = Uint8Array.from({ length: 2048 }, (_, at) => (at * 7) & 0xff);

/** Newest of all: on top of the study list. */
const CT_DAY = '20260120';

type Attributes = Parameters<typeof dataSet>[0];

const image = (side: number): Attributes => ({
  ...{ SamplesPerPixel: 1, PhotometricInterpretation: 'MONOCHROME2', Rows: side, Columns: side },
  ...{ BitsAllocated: 16, BitsStored: 12, HighBit: 11, PixelRepresentation: 0 },
});

/**
 * One image of a CT series of ours. `tag` makes all its UIDs new: a server that knows an object already would do less.
 *
 * @param index  0-based within the series; decides the pixels.
 */
export function ctSlice(tag: number, index: number): Sample {
  const studyUid = `${ROOT}.1.${tag}`;
  const seriesUid = `${studyUid}.1`;
  const sopUid = `${seriesUid}.${index + 1}`;
  const z = index - 250;
  const time = `1015${String(Math.floor(index / 20) % 60).padStart(2, '0')}`;
  const attributes: Attributes = {
    ...{ SpecificCharacterSet: 'ISO_IR 100', ImageType: ['ORIGINAL', 'PRIMARY', 'AXIAL'], SOPClassUID: CT },
    ...{ SOPInstanceUID: sopUid, StudyInstanceUID: studyUid, SeriesInstanceUID: seriesUid },
    ...{
      StudyDate: CT_DAY,
      SeriesDate: CT_DAY,
      AcquisitionDate: CT_DAY,
      ContentDate: CT_DAY,
    },
    ...{ StudyTime: '101530', SeriesTime: '101531', AcquisitionTime: time, ContentTime: time },
    ...{ AccessionNumber: `A${tag}`, Modality: 'CT', Manufacturer: 'Lightbox', InstitutionName: 'Bench' },
    ...{ ReferringPhysicianName: 'Ref^Doctor', StationName: 'SCANNER1', StudyDescription: 'CT bench' },
    ...{ SeriesDescription: 'CT AX 1.0 THIN', PerformingPhysicianName: 'Perf^Doctor' },
    ...{ OperatorsName: 'Oper^Ator', ManufacturerModelName: 'Model X', PatientName: `Bench^Ct ${tag}` },
    ...{ PatientID: `BENCH-CT-${tag}`, PatientBirthDate: '19600214', PatientSex: 'F', PatientAge: '065Y' },
    ...{ PatientSize: 1.7, PatientWeight: 70, BodyPartExamined: 'CHEST', SliceThickness: 1, KVP: 120 },
    ...{ DataCollectionDiameter: 500, DeviceSerialNumber: '12345', SoftwareVersions: ['SV 1', 'REC 4'] },
    ...{ ProtocolName: 'Routine', ReconstructionDiameter: 500, GantryDetectorTilt: 0, TableHeight: 150 },
    ...{
      RotationDirection: 'CW',
      ExposureTime: 500,
      XRayTubeCurrent: 220,
      Exposure: 110,
      FilterType: 'WEDGE',
    },
    ...{ GeneratorPower: 40, FocalSpots: 1.2, ConvolutionKernel: 'B31f', PatientPosition: 'HFS' },
    ...{ StudyID: String(tag), SeriesNumber: 1, AcquisitionNumber: 1, InstanceNumber: index + 1 },
    ...{ ImagePositionPatient: [-250, -250, z], ImageOrientationPatient: [1, 0, 0, 0, 1, 0] },
    ...{ FrameOfReferenceUID: `${seriesUid}.0`, PositionReferenceIndicator: 'SN', SliceLocation: z },
    ...{ PixelSpacing: [0.976562, 0.976562], WindowCenter: [40, -600], WindowWidth: [400, 1600] },
    ...{ RescaleIntercept: -1024, RescaleSlope: 1, RescaleType: 'HU' },
    ...{ PerformedProcedureStepStartDate: CT_DAY, PerformedProcedureStepID: '77' },
    RequestAttributesSequence: [dataSet({ ScheduledProcedureStepID: 'S1', RequestedProcedureID: 'R1' })],
    '00290010': { vr: 'LO', value: 'LIGHTBOX BENCH' },
    '00291010': { vr: 'OB', value: PRIVATE },
    ...image(CT_SIDE),
    PixelData: { vr: 'OW', value: ctPixels(index) },
  };
  return sample(CT, attributes, { studyUid, seriesUid, sopUid });
}

const SURNAMES = (
  'SMITH SMITHSON SMIT GOLDSMITH HAMMERSMITH JOHNSON WILLIAMS BROWN JONES GARCIA MILLER DAVIS MARTINEZ LOPEZ WILSON ' +
  'ANDERSON THOMAS TAYLOR MOORE JACKSON MARTIN LEE PEREZ THOMPSON WHITE HARRIS CLARK RAMIREZ LEWIS ROBINSON WALKER YOUNG ' +
  'ALLEN KING WRIGHT SCOTT TORRES NGUYEN HILL FLORES GREEN ADAMS NELSON BAKER HALL RIVERA CAMPBELL MITCHELL CARTER ROBERTS ' +
  'DMITRIEV MULLER SCHMIDT SCHNEIDER FISCHER WEBER MEYER WAGNER BECKER SCHULZ HOFFMANN KOCH BAUER RICHTER KLEIN WOLF NEUMANN ' +
  'SCHWARZ ZIMMERMANN KRUGER HARTMANN LANGE WERNER KRAUSE LEHMANN OKAFOR TANAKA SATO IVANOV ROSSI'
).split(' ');
const GIVEN =
  'JAMES MARY ROBERT LINDA DAVID SUSAN JOSEPH SARAH CARLOS KAREN DANIEL LISA ANTHONY BETTY MARK'.split(' ');

/** The day on which the last hundred studies were made, whatever their number. */
export const TODAY = '20260115';
/** A week some of the older studies fall into, even of a few hundred. */
export const WEEK = '20241223-20241229';
const TODAYS_STUDIES = 100;

export const patientIdOf = (index: number): string => `PID${String(index + 1).padStart(7, '0')}`;

/** Finds the studies of one tag again: `T<tag>-*`. */
export const accessionOf = (tag: number, index: number | '*'): string =>
  `T${tag}-${index === '*' ? '*' : index + 1}`;

/** Study number `index` of `total`: one image of 16 x 16 pixels, names and dates of a fixed mix over three years. */
export function tinyStudy(tag: number, index: number, total: number): Sample {
  const next = chance(index);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const surname = pick(SURNAMES);
  const given = pick(GIVEN);
  const modality = pick(['CT', 'CT', 'MR', 'CR'] as const);
  const day = new Date(Date.UTC(2023, 0, 1) + Math.floor(next() * 1094) * 86_400_000);
  const today = index >= total - TODAYS_STUDIES;
  const date = today ? TODAY : day.toISOString().slice(0, 10).replaceAll('-', '');
  const two = (limit: number): string => String(Math.floor(next() * limit)).padStart(2, '0');
  const studyUid = `${ROOT}.2.${tag}.${index + 1}`;
  const seriesUid = `${studyUid}.1`;
  const sopUid = `${seriesUid}.1`;
  const sopClassUid = CLASSES[modality];
  const attributes: Attributes = {
    ...{ SpecificCharacterSet: 'ISO_IR 100', SOPClassUID: sopClassUid, SOPInstanceUID: sopUid },
    ...{ StudyInstanceUID: studyUid, SeriesInstanceUID: seriesUid, StudyDate: date, SeriesDate: date },
    ...{
      StudyTime: `${two(24)}${two(60)}${two(60)}`,
      AccessionNumber: accessionOf(tag, index),
      Modality: modality,
    },
    ...{ Manufacturer: 'Lightbox', InstitutionName: 'Bench', ReferringPhysicianName: 'Ref^Doctor' },
    ...{ StudyDescription: `${modality} study`, SeriesDescription: 'Tiny', BodyPartExamined: 'CHEST' },
    ...{ PatientName: `${surname}^${given}`, PatientID: patientIdOf(index), PatientBirthDate: '19600214' },
    ...{ PatientSex: 'F', StudyID: String(index + 1), SeriesNumber: 1, InstanceNumber: 1 },
    ...image(16),
    PixelData: { vr: 'OW', value: new Uint8Array(512).fill(index & 0xff) },
  };
  return sample(sopClassUid, attributes, { studyUid, seriesUid, sopUid });
}

function sample(
  sopClassUid: string,
  attributes: Attributes,
  uids: Pick<Sample, 'studyUid' | 'seriesUid' | 'sopUid'>,
): Sample {
  return { sopClassUid, ...uids, dataSet: writeDataSet(dataSet(attributes), EXPLICIT_LE) };
}

/** The object as a file (PS3.10 §7.1). */
export function part10(object: Sample): Buffer {
  const { sopClassUid, sopUid: sopInstanceUid } = object;
  const meta = writeFileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid: EXPLICIT_LE });
  return Buffer.concat([meta, object.dataSet]);
}
