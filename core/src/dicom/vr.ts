/**
 * Value representations: the data types of DICOM, and the byte-level facts a reader and a writer need about each.
 *
 * Source: PS3.5 §6.2 (Table 6.2-1), §7.1.2 (which VRs have a 32-bit length), §7.3 (byte ordering).
 * Layer:  core/dicom.
 */

/** Every VR of Table 6.2-1. */
export const VRS = [
  ...([
    'AE',
    'AS',
    'AT',
    'CS',
    'DA',
    'DS',
    'DT',
    'FD',
    'FL',
    'IS',
    'LO',
    'LT',
    'OB',
    'OD',
    'OF',
    'OL',
    'OV',
  ] as const),
  ...([
    'OW',
    'PN',
    'SH',
    'SL',
    'SQ',
    'SS',
    'ST',
    'SV',
    'TM',
    'UC',
    'UI',
    'UL',
    'UN',
    'UR',
    'US',
    'UT',
    'UV',
  ] as const),
] as const;

export type Vr = (typeof VRS)[number];

export interface VrFacts {
  readonly vr: Vr;
  /** Explicit VR: two reserved bytes and a 32-bit length instead of a 16-bit length (PS3.5 §7.1.2). */
  readonly longLength: boolean;
  /** bytes: opaque; text: characters; number: binary numbers; items: a sequence. */
  readonly kind: 'bytes' | 'text' | 'number' | 'items';
  /** Size of the unit that is reversed between little and big endian; 1 when there is none (PS3.5 §7.3). */
  readonly unit: 1 | 2 | 4 | 8;
  /** Byte that makes an odd value even (PS3.5 §6.2). */
  readonly pad: 0x00 | 0x20;
  /** Text whose characters depend on Specific Character Set (PS3.5 §6.1.2.3). */
  readonly charset: boolean;
  /** Text in which backslash separates values (PS3.5 §6.4). */
  readonly multiple: boolean;
}

const LONG = new Set<Vr>(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const NUMBER = new Set<Vr>(['AT', 'FD', 'FL', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);
const BYTES = new Set<Vr>(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
const CHARSET = new Set<Vr>(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT']);
const SINGLE_TEXT = new Set<Vr>(['LT', 'ST', 'UT', 'UR']);
const UNITS: Partial<Record<Vr, 2 | 4 | 8>> = {
  ...{ AT: 2, OW: 2, SS: 2, US: 2 },
  ...{ FL: 4, OF: 4, OL: 4, SL: 4, UL: 4 },
  ...{ FD: 8, OD: 8, OV: 8, SV: 8, UV: 8 },
};

const kindOf = (vr: Vr): VrFacts['kind'] => {
  if (vr === 'SQ') return 'items';
  if (NUMBER.has(vr)) return 'number';
  return BYTES.has(vr) ? 'bytes' : 'text';
};

const factsOf = (vr: Vr): VrFacts => {
  const kind = kindOf(vr);
  return {
    vr,
    longLength: LONG.has(vr),
    kind,
    unit: UNITS[vr] ?? 1,
    pad: kind === 'text' && vr !== 'UI' ? 0x20 : 0x00,
    charset: CHARSET.has(vr),
    multiple: kind === 'text' && !SINGLE_TEXT.has(vr),
  };
};

/** The facts of every VR. */
export const VR_FACTS: Readonly<Record<Vr, VrFacts>> = Object.fromEntries(
  VRS.map((vr) => [vr, factsOf(vr)]),
) as Record<Vr, VrFacts>;

/** Facts by the two ASCII letters, `first * 256 + second`; a flat table because the reader asks once per element. */
const BY_CODE: (VrFacts | undefined)[] = [];
for (const vr of VRS) BY_CODE[vr.charCodeAt(0) * 256 + vr.charCodeAt(1)] = VR_FACTS[vr];

/** Facts of the VR written as these two bytes, or undefined when no such VR exists. */
export function vrOfBytes(first: number, second: number): VrFacts | undefined {
  return BY_CODE[first * 256 + second];
}

export function isVr(text: string): text is Vr {
  return Object.hasOwn(VR_FACTS, text);
}
