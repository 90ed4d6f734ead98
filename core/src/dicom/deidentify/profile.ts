/**
 * What the standard says has to happen to each attribute, for the profile and the options that were chosen.
 *
 * Source: PS3.15 §E.1.1 (action codes), Table E.1-1, §E.3 (options); codes PS3.16 CID 7050.
 * Layer:  core/dicom.
 */
import { Fault } from '../../base/fault.ts';
import type { Tag } from '../data-set.ts';
import { isPrivate } from '../dictionary.ts';
import { PROFILE } from './profile.gen.ts';

/** PS3.16 CID 7050. The order is that of the codes. */
export const METHOD_CODES = {
  basic: ['113100', 'Basic Application Confidentiality Profile'],
  cleanPixelData: ['113101', 'Clean Pixel Data Option'],
  cleanVisualFeatures: ['113102', 'Clean Recognizable Visual Features Option'],
  cleanGraphics: ['113103', 'Clean Graphics Option'],
  cleanStructuredContent: ['113104', 'Clean Structured Content Option'],
  cleanDescriptors: ['113105', 'Clean Descriptors Option'],
  retainFullDates: ['113106', 'Retain Longitudinal Temporal Information Full Dates Option'],
  retainModifiedDates: ['113107', 'Retain Longitudinal Temporal Information Modified Dates Option'],
  retainPatientCharacteristics: ['113108', 'Retain Patient Characteristics Option'],
  retainDeviceIdentity: ['113109', 'Retain Device Identity Option'],
  retainUids: ['113110', 'Retain UIDs Option'],
  retainSafePrivate: ['113111', 'Retain Safe Private Option'],
  retainInstitutionIdentity: ['113112', 'Retain Institution Identity Option'],
} as const;

/** The options of §E.3; the Basic Profile is always applied. */
export type DeidentifyOption = Exclude<keyof typeof METHOD_CODES, 'basic'>;

export const isDeidentifyOption = (name: string): name is DeidentifyOption =>
  name !== 'basic' && Object.hasOwn(METHOD_CODES, name);

/** Columns of the generated table, in its order. */
const COLUMNS: readonly DeidentifyOption[] = [
  'retainSafePrivate',
  'retainUids',
  'retainDeviceIdentity',
  'retainInstitutionIdentity',
  'retainPatientCharacteristics',
  'retainFullDates',
  'retainModifiedDates',
  'cleanDescriptors',
  'cleanStructuredContent',
  'cleanGraphics',
];

/** D dummy, Z empty, X remove, K keep, C clean, U another UID, `U*` keep the sequence and map the UIDs in it. */
export type Action = 'D' | 'Z' | 'X' | 'K' | 'C' | 'U' | 'U*';

export interface ProfileRow {
  /** Eight digits, x for any, or `private`. */
  readonly pattern: string;
  /** As the table writes it: `X/Z/D`. */
  readonly code: string;
  /** What the Basic Profile demands when it has to be one thing, see `strictest`. */
  readonly basic: Action;
  readonly options: Partial<Record<DeidentifyOption, 'K' | 'C'>>;
}

/**
 * One action for codes such as `X/Z/D`. The letters name what is done when the attribute is optional, of Type 2 and of
 * Type 1; an attribute may be each of these somewhere in an object, so the one that keeps every IOD valid is taken. A
 * dummy where removal was allowed is an attribute added after removal, which §E.1.1 step 3 leaves to the de-identifier.
 */
export function strictest(code: string): Action {
  return code.slice(code.lastIndexOf('/') + 1) as Action;
}

/**
 * Where the letters alone would not keep the IOD valid, which is the de-identifier's responsibility (§E.1.1 step 2 note 1).
 * The day and time of a presentation state are X in the table and Type 1 in PS3.3 Table C.11.10-1. Referenced Study Sequence
 * is of Type 2 only in a performed procedure step, which is never stored, and of Type 3 with at least one item elsewhere.
 */
const IOD_NEEDS: Readonly<Record<string, Action>> = { '00700082': 'D', '00700083': 'D', '00081110': 'X' };

interface Table {
  readonly exact: ReadonlyMap<Tag, ProfileRow>;
  readonly masked: readonly { readonly mask: number; readonly bits: number; readonly row: ProfileRow }[];
  readonly privates: ProfileRow;
}

let table: Table | undefined;

function parsed(): Table {
  if (table) return table;
  const exact = new Map<Tag, ProfileRow>();
  const masked: { mask: number; bits: number; row: ProfileRow }[] = [];
  let privates: ProfileRow = { pattern: 'private', code: 'X', basic: 'X', options: {} };
  for (const line of PROFILE.split('\n')) {
    if (line === '') continue;
    const [pattern = '', code = '', letters = ''] = line.split('|');
    const options: Partial<Record<DeidentifyOption, 'K' | 'C'>> = {};
    COLUMNS.forEach((option, at) => {
      const letter = letters[at];
      if (letter === 'K' || letter === 'C') options[option] = letter;
    });
    const row = { pattern, code, basic: IOD_NEEDS[pattern] ?? strictest(code), options };
    const bits = Number.parseInt(pattern.replaceAll('x', '0'), 16);
    if (pattern === 'private') privates = row;
    else if (pattern.includes('x'))
      masked.push({
        mask: Number.parseInt(pattern.replace(/[^x]/g, 'F').replaceAll('x', '0'), 16),
        bits,
        row,
      });
    else exact.set(bits, row);
  }
  table = { exact, masked, privates };
  return table;
}

/** The table's row for an attribute; undefined when the table does not name it. */
export function profileRow(tag: Tag): ProfileRow | undefined {
  const { exact, masked, privates } = parsed();
  if (isPrivate(tag)) return privates;
  return exact.get(tag) ?? masked.find(({ mask, bits }) => (tag & mask) >>> 0 === bits)?.row;
}

/** Every row, for tests and documents. */
export function profileRows(): ProfileRow[] {
  const { exact, masked, privates } = parsed();
  return [...exact.values(), ...masked.map(({ row }) => row), privates];
}

/**
 * The action for one row under the options chosen. An option overrides the profile (§E.1.1); of two options the one that
 * cleans goes before the one that keeps, so that dates of a device are shifted like all others.
 */
export function chooseAction(row: ProfileRow, options: ReadonlySet<DeidentifyOption>): Action {
  let action = row.basic;
  for (const [option, letter] of Object.entries(row.options) as [DeidentifyOption, 'K' | 'C'][]) {
    if (!options.has(option)) continue;
    if (letter === 'C') return 'C';
    action = 'K';
  }
  return action;
}

/** @throws Fault DEIDENTIFY_OPTIONS when dates shall be kept and changed at once (§E.3.6: one or the other). */
export function checkOptions(options: ReadonlySet<DeidentifyOption>): void {
  for (const option of options) {
    if (!isDeidentifyOption(option)) throw new Fault('DEIDENTIFY_OPTIONS');
  }
  if (options.has('retainFullDates') && options.has('retainModifiedDates'))
    throw new Fault('DEIDENTIFY_OPTIONS');
}
