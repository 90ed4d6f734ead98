/**
 * The studies of the demo: what a day at a hospital brings, of people who do not exist. Images are painted when they are asked for.
 *
 * Source: PS3.3 §A.2 (CR), §A.3 (CT), §A.4 (MR), §A.7 (US multi-frame), §A.21 (PET).
 * Layer:  server/cli.
 */
import type { dataSet } from '@lightbox/core/dicom/element.ts';
import { dataSet as items } from '@lightbox/core/dicom/element.ts';
import { chest, CT_HEAD, head, T1, T2, uptake, wholeBody } from './anatomy.ts';
import type { Grid, Slice } from './canvas.ts';
import { heart } from './ultrasound.ts';

export type Attributes = Parameters<typeof dataSet>[0];

export interface DemoSeries {
  readonly attributes: Attributes;
  readonly count: number;
  readonly image: (index: number) => Attributes;
}

export interface DemoStudy {
  readonly attributes: Attributes;
  /** Series that lie in one frame of reference have the same letter. */
  readonly series: readonly (DemoSeries & { readonly frameOfReference?: string })[];
}

interface Person {
  /** Alphabetic, ideographic and phonetic groups (PS3.5 §6.2.1). */
  readonly name: string;
  readonly id: string;
  readonly birthDate: string;
  readonly sex: 'F' | 'M';
}

const study = (
  person: Person,
  number: number,
  date: string,
  time: string,
  description: string,
  bodyPart: string,
): Attributes => ({
  ...{
    PatientName: person.name,
    PatientID: person.id,
    PatientBirthDate: person.birthDate,
    PatientSex: person.sex,
  },
  ...{ StudyDate: date, SeriesDate: date, AcquisitionDate: date, ContentDate: date },
  ...{ StudyTime: time, SeriesTime: time, AcquisitionTime: time, ContentTime: time },
  ...{ StudyDescription: description, BodyPartExamined: bodyPart, StudyID: String(number) },
  ...{ AccessionNumber: `DEMO${String(number).padStart(4, '0')}`, ReferringPhysicianName: 'Referrer^Rosa' },
});

const bytesOf = (pixels: ArrayBufferView): Uint8Array =>
  new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);

const grey = ({ rows, columns }: Grid, bits: number, signed: 0 | 1): Attributes => ({
  ...{ SamplesPerPixel: 1, PhotometricInterpretation: 'MONOCHROME2', Rows: rows, Columns: columns },
  ...{ BitsAllocated: 16, BitsStored: bits, HighBit: bits - 1, PixelRepresentation: signed },
});

/** Axial slices from the feet to the head. `store` turns a value into what is written. */
function axial(
  grid: Grid,
  count: number,
  gap: number,
  lowest: number,
  paint: (z: number, index: number) => Slice,
  pixels: (slice: Slice) => Attributes,
): Pick<DemoSeries, 'count' | 'image'> {
  return {
    count,
    image(index) {
      const z = lowest + index * gap;
      const corner = (cells: number): number => -((cells - 1) / 2) * grid.spacing;
      return {
        ...{
          ImageType: ['ORIGINAL', 'PRIMARY', 'AXIAL'],
          PatientPosition: 'HFS',
          PositionReferenceIndicator: [],
        },
        ...{ ImagePositionPatient: [corner(grid.columns), corner(grid.rows), z] },
        ...{ ImageOrientationPatient: [1, 0, 0, 0, 1, 0], PixelSpacing: [grid.spacing, grid.spacing] },
        ...{ SliceThickness: gap, SliceLocation: z },
        ...pixels(paint(z, index)),
      };
    },
  };
}

/** Hounsfield units as they are. */
const hounsfield = (slice: Slice): Attributes => ({
  ...grey(slice.grid, 16, 1),
  ...{ RescaleIntercept: 0, RescaleSlope: 1, RescaleType: 'HU' },
  PixelData: {
    vr: 'OW',
    value: bytesOf(Int16Array.from(slice.values, (value) => Math.max(-1024, Math.round(value)))),
  },
});

const CT: Attributes = {
  ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.2', Modality: 'CT', KVP: 120, AcquisitionNumber: 1 },
};

function ct(
  description: string,
  windows: readonly (readonly [centre: number, width: number, name: string])[],
): Attributes {
  return {
    ...CT,
    SeriesDescription: description,
    WindowCenter: windows.map(([centre]) => centre),
    WindowWidth: windows.map(([, width]) => width),
    WindowCenterWidthExplanation: windows.map(([, , name]) => name),
  };
}

const mr = (description: string, echo: number, repetition: number): Attributes => ({
  ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.4', Modality: 'MR', SeriesDescription: description },
  ...{ ScanningSequence: 'SE', SequenceVariant: 'SK', ScanOptions: [], MRAcquisitionType: '2D' },
  ...{ EchoTime: echo, RepetitionTime: repetition, EchoTrainLength: 1, MagneticFieldStrength: 1.5 },
});

const magnitude = (slice: Slice): Attributes => ({
  ...grey(slice.grid, 12, 0),
  PixelData: {
    vr: 'OW',
    value: bytesOf(
      Uint16Array.from(slice.values, (value) => Math.min(4095, Math.max(0, Math.round(Math.abs(value))))),
    ),
  },
});

const CAST = 4;

/** A chest film: what the rays of every column lose on their way through the slices (Beer and Lambert). */
function film(): Attributes {
  const across = { columns: 512, rows: 160, spacing: 0.825 };
  const rows = 432;
  const height = 0.9;
  const picture = new Float32Array(rows * across.columns);
  // Every fourth line is cast, the ones between lie between.
  for (let row = 0; row < rows; row += CAST) {
    const cast = chest(across, 190 - row * height, row);
    for (let column = 0; column < across.columns; column += 1) {
      let loss = 0;
      for (let depth = 0; depth < across.rows; depth += 1) {
        const value = cast.values[depth * across.columns + column] ?? -1000;
        // A film shows bone stronger than a CT weighs it: the rays are softer.
        loss += value < -900 ? 0 : ((value + 1000) / 1000) * (value > 150 ? 1 + (value - 150) / 240 : 1);
      }
      picture[row * across.columns + column] = loss;
    }
  }
  for (let at = 0; at < picture.length; at += 1) {
    const row = Math.floor(at / across.columns);
    const below = Math.min(row - (row % CAST) + CAST, rows - CAST);
    const line = (of: number): number => picture[of * across.columns + (at % across.columns)] ?? 0;
    const share = (row % CAST) / CAST;
    if (share > 0) picture[at] = line(row - (row % CAST)) * (1 - share) + line(below) * share;
  }
  const stored = Uint16Array.from(picture, (loss) => Math.round(4095 * (1 - Math.exp(-loss / 87))));
  const frame = { columns: across.columns, rows, spacing: across.spacing };
  return {
    ...grey(frame, 12, 0),
    ...{
      ImageType: ['ORIGINAL', 'PRIMARY'],
      ViewPosition: 'PA',
      PatientOrientation: ['L', 'F'],
      PixelData: { vr: 'OW', value: bytesOf(stored) },
    },
    ...{ ImagerPixelSpacing: [across.spacing, across.spacing], WindowCenter: 2300, WindowWidth: 3600 },
    ...{ RescaleIntercept: 0, RescaleSlope: 1, RescaleType: 'US', PresentationLUTShape: 'IDENTITY' },
  };
}

const WEIGHT_KG = 72;
const DOSE_BQ = 3.2e8;
/** SUV is activity by dose and weight; decay is corrected to the start of the scan. */
const becquerelOf = (suv: number): number => (suv * DOSE_BQ) / (WEIGHT_KG * 1000);

function pet(slice: Slice, index: number, count: number): Attributes {
  const most = becquerelOf(
    Math.max(
      0.1,
      slice.values.reduce((a, b) => Math.max(a, b), 0),
    ),
  );
  const slope = Number((most / 32_000).toPrecision(8));
  return {
    ...grey(slice.grid, 16, 1),
    ...{ RescaleIntercept: 0, RescaleSlope: slope, ImageIndex: index + 1, NumberOfSlices: count },
    ...{ FrameReferenceTime: 0, ActualFrameDuration: 120_000, DecayFactor: 1, LossyImageCompression: '00' },
    PixelData: {
      vr: 'OW',
      value: bytesOf(
        Int16Array.from(slice.values, (suv) => Math.round(becquerelOf(Math.max(0, suv)) / slope)),
      ),
    },
  };
}

const code = (value: string, scheme: string, meaning: string): Attributes => ({
  ...{ CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: meaning },
});

const PET: Attributes = {
  ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.128', Modality: 'PT', SeriesDescription: 'FDG corrected' },
  ...{
    Units: 'BQML',
    CountsSource: 'EMISSION',
    SeriesType: ['WHOLE BODY', 'IMAGE'],
    DecayCorrection: 'START',
  },
  ...{
    CorrectedImage: ['DECY', 'ATTN', 'SCAT'],
    CollimatorType: 'NONE',
    PatientWeight: WEIGHT_KG,
  },
  ...{ AttenuationCorrectionMethod: 'CT', ScatterCorrectionMethod: 'model', RandomsCorrectionMethod: 'DLYD' },
  ...{ PatientOrientationCodeSequence: [], PatientGantryRelationshipCodeSequence: [] },
  ...{ WindowCenter: 7500, WindowWidth: 15_000 },
  RadiopharmaceuticalInformationSequence: [
    items({
      ...{ Radiopharmaceutical: 'FDG', RadionuclideTotalDose: DOSE_BQ, RadionuclideHalfLife: 6586.2 },
      ...{ RadionuclidePositronFraction: 0.97, RadiopharmaceuticalStartTime: '100000' },
      RadionuclideCodeSequence: [items(code('C-111A1', 'SRT', '^18^Fluorine'))],
    }),
  ],
};

const CHEST_GRID: Grid = { columns: 512, rows: 512, spacing: 0.78 };
const HEAD_GRID: Grid = { columns: 512, rows: 512, spacing: 0.45 };
const MR_GRID: Grid = { columns: 256, rows: 256, spacing: 0.9 };
const BODY_GRID: Grid = { columns: 256, rows: 256, spacing: 1.9 };
const PET_GRID: Grid = { columns: 128, rows: 128, spacing: 3.8 };
const BODY_SLICES = 110;

const LUNG = [-600, 1500, 'LUNG'] as const;
const SOFT = [40, 400, 'SOFT TISSUE'] as const;

export function demoStudies(): DemoStudy[] {
  return [
    {
      attributes: study(
        { name: 'Demo^Clara', id: 'DEMO-1', birthDate: '19610312', sex: 'F' },
        1,
        '20260105',
        '091500',
        'CT Thorax',
        'CHEST',
      ),
      series: [
        {
          attributes: ct('Thorax 5 mm', [SOFT, LUNG]),
          ...axial(CHEST_GRID, 60, 5, -150, (z, index) => chest(CHEST_GRID, z, index), hounsfield),
        },
      ],
    },
    {
      attributes: study(
        { name: 'Demo^Hanako=試験^花子=しけん^はなこ', id: 'DEMO-2', birthDate: '19850724', sex: 'F' },
        2,
        '20260106',
        '143000',
        'MR Brain',
        'HEAD',
      ),
      series: [
        {
          ...{
            attributes: { ...mr('T1 SE axial', 12, 500), WindowCenter: 450, WindowWidth: 900 },
            frameOfReference: 'a',
          },
          ...axial(MR_GRID, 30, 5, -78, (z, index) => head(MR_GRID, z, T1, index), magnitude),
        },
        {
          ...{
            attributes: { ...mr('T2 TSE axial', 100, 4000), WindowCenter: 480, WindowWidth: 960 },
            frameOfReference: 'a',
          },
          ...axial(MR_GRID, 30, 5, -78, (z, index) => head(MR_GRID, z, T2, index + 50), magnitude),
        },
      ],
    },
    {
      attributes: study(
        { name: 'Образцова^Анна', id: 'DEMO-3', birthDate: '19990101', sex: 'F' },
        3,
        '20260107',
        '101010',
        'US Heart',
        'HEART',
      ),
      series: [
        {
          attributes: {
            SOPClassUID: '1.2.840.10008.5.1.4.1.1.3.1',
            Modality: 'US',
            SeriesDescription: 'Four chambers',
          },
          count: 1,
          image: heart,
        },
      ],
    },
    {
      attributes: study(
        { name: 'Δοκιμή^Νίκος', id: 'DEMO-4', birthDate: '19480219', sex: 'M' },
        4,
        '20260108',
        '074500',
        'CT Head',
        'HEAD',
      ),
      series: [
        {
          attributes: ct('Head 4 mm', [
            [40, 80, 'BRAIN'],
            [600, 2800, 'BONE'],
          ]),
          ...axial(HEAD_GRID, 40, 4, -84, (z, index) => head(HEAD_GRID, z, CT_HEAD, index), hounsfield),
        },
      ],
    },
    {
      attributes: study(
        { name: '표본^길동=標本^吉童', id: 'DEMO-5', birthDate: '19730930', sex: 'M' },
        5,
        '20260108',
        '112000',
        'Chest PA',
        'CHEST',
      ),
      series: [
        {
          attributes: { SOPClassUID: '1.2.840.10008.5.1.4.1.1.1', Modality: 'CR', SeriesDescription: 'PA' },
          count: 1,
          image: film,
        },
      ],
    },
    {
      attributes: study(
        { name: 'نموذج^ليلى', id: 'DEMO-6', birthDate: '19550611', sex: 'F' },
        6,
        '20260109',
        '110000',
        'PET/CT whole body',
        'WHOLEBODY',
      ),
      series: [
        {
          ...{
            attributes: { ...ct('CT for attenuation', [SOFT, LUNG]), PatientWeight: WEIGHT_KG },
            frameOfReference: 'a',
          },
          ...axial(BODY_GRID, BODY_SLICES, 8, -490, (z, index) => wholeBody(BODY_GRID, z, index), hounsfield),
        },
        {
          ...{ attributes: PET, frameOfReference: 'a' },
          ...petSeries(),
        },
      ],
    },
  ];
}

function petSeries(): Pick<DemoSeries, 'count' | 'image'> {
  const { count, image } = axial(
    PET_GRID,
    BODY_SLICES,
    8,
    -490,
    (z) => uptake(PET_GRID, z),
    () => ({}),
  );
  return {
    count,
    // Where a patient lies a PET says in its own way (PS3.3 §C.8.4.6).
    image: (index) => ({
      ...image(index),
      PatientPosition: undefined,
      ...pet(uptake(PET_GRID, -490 + index * 8), index, count),
    }),
  };
}
