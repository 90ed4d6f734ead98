/**
 * Transfer syntaxes: how the bytes of a data set and of its pixels are written.
 *
 * Source: PS3.6 Table A-1, PS3.5 §10 and Annex A.
 * Layer:  core/dicom.
 */

/** Family of the compression inside Pixel Data fragments. */
export type PixelCodec =
  | 'none'
  | 'deflate'
  | 'rle'
  | 'jpeg'
  | 'jpeg-lossless'
  | 'jpeg-ls'
  | 'jpeg2000'
  | 'htj2k'
  | 'jpeg-xl'
  | 'video'
  | 'jpip'
  | 'unknown';

export interface TransferSyntax {
  readonly uid: string;
  readonly name: string;
  readonly explicitVr: boolean;
  readonly littleEndian: boolean;
  /** The whole data set is deflated (PS3.5 §A.5). */
  readonly deflated: boolean;
  /** Pixel Data is a sequence of fragments (PS3.5 §A.4). */
  readonly encapsulated: boolean;
  /** The pixels may have lost information on the way in. */
  readonly lossy: boolean;
  readonly codec: PixelCodec;
  readonly retired: boolean;
  /** False for UIDs outside PS3.6, which are read as PS3.5 §A.4 demands of encapsulated ones: explicit little endian. */
  readonly known: boolean;
}

type Layout = 'implicit' | 'explicit' | 'big' | 'deflated' | 'encapsulated';

export const IMPLICIT_LE = '1.2.840.10008.1.2';
export const EXPLICIT_LE = '1.2.840.10008.1.2.1';
export const EXPLICIT_BE = '1.2.840.10008.1.2.2';
export const DEFLATED_LE = '1.2.840.10008.1.2.1.99';

function syntax(
  uid: string,
  name: string,
  layout: Layout,
  codec: PixelCodec,
  lossy: boolean,
  retired: boolean,
  known = true,
): TransferSyntax {
  return {
    uid,
    name,
    explicitVr: layout !== 'implicit',
    littleEndian: layout !== 'big',
    deflated: layout === 'deflated',
    encapsulated: layout === 'encapsulated',
    lossy,
    codec,
    retired,
    known,
  };
}

type Row = readonly [
  suffix: string,
  name: string,
  codec: PixelCodec,
  lossy?: 'lossy' | undefined,
  retired?: 'retired',
];

/** Encapsulated syntaxes under 1.2.840.10008.1.2 (PS3.6 Table A-1). */
const ENCAPSULATED: readonly Row[] = [
  ['1.98', 'Encapsulated Uncompressed Explicit VR Little Endian', 'none'],
  ['4.50', 'JPEG Baseline (Process 1)', 'jpeg', 'lossy'],
  ['4.51', 'JPEG Extended (Process 2 and 4)', 'jpeg', 'lossy'],
  ['4.52', 'JPEG Extended (Process 3 and 5)', 'jpeg', 'lossy', 'retired'],
  ['4.53', 'JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)', 'jpeg', 'lossy', 'retired'],
  ['4.54', 'JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)', 'jpeg', 'lossy', 'retired'],
  ['4.55', 'JPEG Full Progression, Non-Hierarchical (Process 10 and 12)', 'jpeg', 'lossy', 'retired'],
  ['4.56', 'JPEG Full Progression, Non-Hierarchical (Process 11 and 13)', 'jpeg', 'lossy', 'retired'],
  ['4.57', 'JPEG Lossless, Non-Hierarchical (Process 14)', 'jpeg-lossless'],
  ['4.58', 'JPEG Lossless, Non-Hierarchical (Process 15)', 'jpeg-lossless', undefined, 'retired'],
  ['4.59', 'JPEG Extended, Hierarchical (Process 16 and 18)', 'jpeg', 'lossy', 'retired'],
  ['4.60', 'JPEG Extended, Hierarchical (Process 17 and 19)', 'jpeg', 'lossy', 'retired'],
  ['4.61', 'JPEG Spectral Selection, Hierarchical (Process 20 and 22)', 'jpeg', 'lossy', 'retired'],
  ['4.62', 'JPEG Spectral Selection, Hierarchical (Process 21 and 23)', 'jpeg', 'lossy', 'retired'],
  ['4.63', 'JPEG Full Progression, Hierarchical (Process 24 and 26)', 'jpeg', 'lossy', 'retired'],
  ['4.64', 'JPEG Full Progression, Hierarchical (Process 25 and 27)', 'jpeg', 'lossy', 'retired'],
  ['4.65', 'JPEG Lossless, Hierarchical (Process 28)', 'jpeg-lossless', undefined, 'retired'],
  ['4.66', 'JPEG Lossless, Hierarchical (Process 29)', 'jpeg-lossless', undefined, 'retired'],
  [
    '4.70',
    'JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14, Selection Value 1)',
    'jpeg-lossless',
  ],
  ['4.80', 'JPEG-LS Lossless', 'jpeg-ls'],
  ['4.81', 'JPEG-LS Near-Lossless', 'jpeg-ls', 'lossy'],
  ['4.90', 'JPEG 2000 (Lossless Only)', 'jpeg2000'],
  ['4.91', 'JPEG 2000', 'jpeg2000', 'lossy'],
  ['4.92', 'JPEG 2000 Part 2 Multi-component (Lossless Only)', 'jpeg2000'],
  ['4.93', 'JPEG 2000 Part 2 Multi-component', 'jpeg2000', 'lossy'],
  ['4.100', 'MPEG2 Main Profile / Main Level', 'video', 'lossy'],
  ['4.100.1', 'Fragmentable MPEG2 Main Profile / Main Level', 'video', 'lossy'],
  ['4.101', 'MPEG2 Main Profile / High Level', 'video', 'lossy'],
  ['4.101.1', 'Fragmentable MPEG2 Main Profile / High Level', 'video', 'lossy'],
  ['4.102', 'MPEG-4 AVC/H.264 High Profile / Level 4.1', 'video', 'lossy'],
  ['4.102.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1', 'video', 'lossy'],
  ['4.103', 'MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1', 'video', 'lossy'],
  ['4.103.1', 'Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1', 'video', 'lossy'],
  ['4.104', 'MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video', 'video', 'lossy'],
  ['4.104.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video', 'video', 'lossy'],
  ['4.105', 'MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video', 'video', 'lossy'],
  ['4.105.1', 'Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video', 'video', 'lossy'],
  ['4.106', 'MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2', 'video', 'lossy'],
  ['4.106.1', 'Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2', 'video', 'lossy'],
  ['4.107', 'HEVC/H.265 Main Profile / Level 5.1', 'video', 'lossy'],
  ['4.108', 'HEVC/H.265 Main 10 Profile / Level 5.1', 'video', 'lossy'],
  ['4.110', 'JPEG XL Lossless', 'jpeg-xl'],
  ['4.111', 'JPEG XL JPEG Recompression', 'jpeg-xl', 'lossy'],
  ['4.112', 'JPEG XL', 'jpeg-xl', 'lossy'],
  ['4.201', 'High-Throughput JPEG 2000 (Lossless Only)', 'htj2k'],
  ['4.202', 'High-Throughput JPEG 2000 with RPCL Options (Lossless Only)', 'htj2k'],
  ['4.203', 'High-Throughput JPEG 2000', 'htj2k', 'lossy'],
  ['5', 'RLE Lossless', 'rle'],
  ['7.1', 'SMPTE ST 2110-20 Uncompressed Progressive Active Video', 'video'],
  ['7.2', 'SMPTE ST 2110-20 Uncompressed Interlaced Active Video', 'video'],
  ['7.3', 'SMPTE ST 2110-30 PCM Digital Audio', 'video'],
  ['8.1', 'Deflated Image Frame Compression', 'deflate'],
];

const ALL: readonly TransferSyntax[] = [
  syntax(IMPLICIT_LE, 'Implicit VR Little Endian', 'implicit', 'none', false, false),
  syntax(EXPLICIT_LE, 'Explicit VR Little Endian', 'explicit', 'none', false, false),
  syntax(DEFLATED_LE, 'Deflated Explicit VR Little Endian', 'deflated', 'none', false, false),
  syntax(EXPLICIT_BE, 'Explicit VR Big Endian', 'big', 'none', false, true),
  ...ENCAPSULATED.map(([suffix, name, codec, lossy, retired]) =>
    syntax(
      `1.2.840.10008.1.2.${suffix}`,
      name,
      'encapsulated',
      codec,
      lossy === 'lossy',
      retired === 'retired',
    ),
  ),
  syntax('1.2.840.10008.1.2.4.94', 'JPIP Referenced', 'explicit', 'jpip', true, false),
  syntax('1.2.840.10008.1.2.4.95', 'JPIP Referenced Deflate', 'deflated', 'jpip', true, false),
  syntax('1.2.840.10008.1.2.4.204', 'JPIP HTJ2K Referenced', 'explicit', 'jpip', true, false),
  syntax('1.2.840.10008.1.2.4.205', 'JPIP HTJ2K Referenced Deflate', 'deflated', 'jpip', true, false),
  syntax('1.2.840.10008.1.2.6.1', 'RFC 2557 MIME encapsulation', 'explicit', 'none', false, true),
  syntax('1.2.840.10008.1.2.6.2', 'XML Encoding', 'explicit', 'none', false, true),
  syntax('1.2.840.10008.1.20', 'Papyrus 3 Implicit VR Little Endian', 'implicit', 'none', false, true),
];

const BY_UID = new Map(ALL.map((one) => [one.uid, one]));

/** The transfer syntax of PS3.6 Table A-1 with this UID, retired ones too. */
export function transferSyntax(uid: string): TransferSyntax | undefined {
  return BY_UID.get(uid);
}

export function transferSyntaxes(): readonly TransferSyntax[] {
  return ALL;
}

/**
 * How to read a data set of any transfer syntax. A private one is read as explicit VR little endian, which PS3.5 §A.4
 * demands of everything encapsulated; whether its Pixel Data is in fragments shows when it is read. GE's private syntax
 * 1.2.840.113619.5.2 is implicit little endian with big endian pixels.
 */
export function readingSyntax(uid: string): TransferSyntax {
  const known = BY_UID.get(uid);
  if (known) return known;
  if (uid === '1.2.840.113619.5.2') {
    return syntax(
      uid,
      'GE private: implicit VR little endian, big endian pixels',
      'implicit',
      'unknown',
      false,
      false,
      false,
    );
  }
  return syntax(uid, 'Private transfer syntax', 'encapsulated', 'unknown', true, false, false);
}
