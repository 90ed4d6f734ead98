/**
 * Private elements that viewers and research programs ask for: diffusion, PET scale factors, vendor headers, mosaics,
 * tomosynthesis. Without this table they come out of an implicit VR file as bytes of no known kind. Every other private
 * element stays UN, its bytes untouched.
 *
 * Source: PS3.5 §7.8.1 (creators and blocks), §6.2.2 (UN); the vendors' conformance statements. Where DCMTK's private.dic
 *         has the same element a test compares them.
 * Layer:  core/dicom.
 */
import type { Tag } from './data-set.ts';
import type { Vr } from './vr.ts';

/** Creator, group, and `element VR` for each known element of a block of that creator. */
const KNOWN: readonly (readonly [creator: string, group: number, elements: string])[] = [
  ['SIEMENS CSA HEADER', 0x0029, '08 CS 09 LO 10 OB 18 CS 19 LO 20 OB'],
  ['SIEMENS CSA NON-IMAGE', 0x0029, '08 CS 09 LO 10 OB'],
  ['SIEMENS CSA NON-IMAGE', 0x7fe1, '10 OB'],
  [
    'SIEMENS MEDCOM HEADER',
    0x0029,
    '08 CS 09 LO 10 OB 20 OB 31 LO 32 UL 33 UL 34 CS 35 UL 40 SQ 41 CS 42 LO 43 LO 44 OB',
  ],
  ['SIEMENS MEDCOM HEADER2', 0x0029, '60 LO'],
  // 0A images in a mosaic, 0C b value, 0D to 0E diffusion direction, 27 b matrix, 28 bandwidth, 29 slice times.
  [
    'SIEMENS MR HEADER',
    0x0019,
    '08 CS 09 LO 0A US 0B DS 0C IS 0D CS 0E FD 0F SH 11 SH 12 SL 13 SL 14 IS 15 FD 16 DS 17 DS 18 IS 27 FD 28 FD 29 FD',
  ],
  [
    'SIEMENS MR HEADER',
    0x0051,
    '08 CS 09 LO 0A LO 0B LO 0C LO 0D SH 0E LO 0F LO 11 LO 12 SH 13 SH 16 LO 17 SH 19 LO',
  ],
  // 23 table speed, 27 gantry period; BB to BD diffusion direction.
  ['GEMS_ACQU_01', 0x0019, '0F DS 17 SS 18 LO 19 DS 1A LO 1B DS 23 DS 27 DS 5A FL 9E LO BB DS BC DS BD DS'],
  ['GEMS_IDEN_01', 0x0009, '01 LO 02 SH 04 SH 27 SL 30 SH 31 SH E3 UI'],
  ['GEMS_RELA_01', 0x0021, '03 SS 35 SS 36 SS 4F SS'],
  ['GEMS_SERS_01', 0x0025, '06 SS 07 SL 10 SL 11 SS 14 SL 17 SL 18 SL 19 SL'],
  ['GEMS_STDY_01', 0x0023, '01 SL 02 SL 10 SS 50 SS 70 FD 74 SL 7D SS'],
  // 27 pitch, 2C echo spacing, 2F magnitude/phase/real/imaginary, 39 b value.
  ['GEMS_PARM_01', 0x0043, '27 SH 2C SS 2F SS 39 IS 6F DS 70 LO 8A CS'],
  // 0D scan time, 36 to 3F tracer: what a SUV of a GE PET is made from.
  ['GEMS_PETD_01', 0x0009, '0D DT 36 LO 38 FL 39 DT 3A FL 3B DT 3C FL 3D DT 3E FL 3F FL'],
  // 03 b value, 04 direction, 08 phase, 0A slice, 18 slices, 81 dynamic scans.
  [
    'PHILIPS IMAGING DD 001',
    0x2001,
    '01 FL 02 IS 03 FL 04 CS 06 CS 08 IS 09 FL 0A IS 0B CS 10 CS 11 FL 12 CS 13 SL 14 SL 15 SS 17 SL 18 SL 1B FL 20 LO 22 FL 23 DS 25 SH 2D SS 35 SS 5F SQ 60 SL 63 CS 7B IS 81 IS',
  ],
  // 0D and 0E scale to floating point values, B0 to B2 diffusion direction.
  [
    'PHILIPS MR IMAGING DD 001',
    0x2005,
    '05 CS 0D FL 0E FL 1E SH 1F SH 20 SL 2D SS 83 SQ A1 CS B0 FL B1 FL B2 FL',
  ],
  // 00 SUV factor, 09 activity concentration factor.
  ['PHILIPS PET PRIVATE GROUP', 0x7053, '00 DS 09 DS'],
  // Tomosynthesis in the secondary capture form: 10 and 11 hold the frames.
  ['HOLOGIC, INC.', 0x7e01, '01 LO 02 SH 10 SQ 11 SQ 12 OB'],
  ['AGFA', 0x0009, '10 LO 11 LO 13 LO 14 LO 15 LO'],
];

let index: Map<string, Vr> | undefined;

const key = (creator: string, group: number, element: number): string => `${creator} ${group} ${element}`;

function table(): Map<string, Vr> {
  if (index) return index;
  index = new Map();
  for (const [creator, group, elements] of KNOWN) {
    const words = elements.split(' ');
    for (let at = 0; at < words.length; at += 2)
      index.set(key(creator, group, Number.parseInt(words[at] ?? '', 16)), words[at + 1] as Vr);
  }
  return index;
}

/**
 * VR of a private element by who owns its block, undefined when it is none of those known here.
 *
 * @param creator  Value of the creator element, in any case of letters: Philips writes it in two.
 */
export function privateVr(creator: string, tag: Tag): Vr | undefined {
  return table().get(key(creator.trim().toUpperCase(), Math.floor(tag / 0x10000), tag & 0xff));
}

/** Every element of the table, for its test. */
export function privateElements(): readonly (readonly [
  creator: string,
  group: number,
  element: number,
  vr: Vr,
])[] {
  return KNOWN.flatMap(([creator, group, elements]) =>
    [...elements.matchAll(/(\w\w) (\w\w)/g)].map(
      ([, element = '', vr = '']) => [creator, group, Number.parseInt(element, 16), vr as Vr] as const,
    ),
  );
}
