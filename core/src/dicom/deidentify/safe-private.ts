/**
 * Private attributes that are known to hold nothing about a person, by the standard's table or by what their maker declares.
 *
 * Source: PS3.15 §E.3.10 and Table E.3.10-1; Private Data Element Characteristics PS3.3 §C.12.1.1.7 (Table C.12-1).
 * Layer:  core/dicom.
 */
import type { DataSet, Element } from '../data-set.ts';
import { creatorTagOf } from '../dictionary.ts';
import { Tags } from '../tags.gen.ts';
import { items, number, numbers, text } from '../values.ts';
import { isVr, VR_FACTS, type Vr } from '../vr.ts';
import { SAFE_PRIVATE_ROWS } from './safe-private-rows.ts';

export interface SafePrivateRow {
  readonly creator: string;
  /** Four and two hexadecimal digits, upper case. */
  readonly group: string;
  readonly element: string;
  /** undefined: the table names none. */
  readonly vr: Vr | undefined;
}

/** The table, row by row. */
export function safePrivateRows(): SafePrivateRow[] {
  return SAFE_PRIVATE_ROWS.trim()
    .split('\n')
    .flatMap((line) => {
      const [creator = '', group = '', elements = ''] = line.split('|');
      return elements.split(' ').map((one) => {
        const vr = one.slice(2);
        return { creator, group, element: one.slice(0, 2), vr: isVr(vr) ? vr : undefined };
      });
    });
}

/** Rows whose VR is UI and whose values are versions, the same in every object: mapped, they would tell nothing to anybody. */
const VERSIONS: ReadonlySet<string> = new Set([
  'NQHeader|0099|01',
  'SIEMENS SYNGO ULTRA-SOUND TOYON DATA STREAMING|7FD1|09',
  'SIEMENS Ultrasound SC2000|7FD1|09',
]);

/** What kind of value a private element that may stay has, and so how it is looked at. */
export interface SafePrivate {
  readonly vr: Vr;
  readonly version: boolean;
}

/** Blocks and elements that the makers declare to be harmless; by `group|creator`. */
export type Declared = ReadonlyMap<string, 'all' | ReadonlySet<number>>;

/** A hostile object could name a million blocks. */
const MAX_DECLARED = 1000;

/** What (0008,0300) says; it speaks for the whole object, items included. */
export function declaredSafe(ds: DataSet): Declared {
  const out = new Map<string, 'all' | ReadonlySet<number>>();
  for (const item of items(ds, Tags.PrivateDataElementCharacteristicsSequence).slice(0, MAX_DECLARED)) {
    const group = number(item, Tags.PrivateGroupReference);
    const creator = text(item, Tags.PrivateCreatorReference)?.trim();
    if (group === undefined || creator === undefined) continue;
    const key = `${hex(group, 4)}|${creator}`;
    const status = text(item, Tags.BlockIdentifyingInformationStatus);
    if (status === 'SAFE') out.set(key, 'all');
    if (status === 'MIXED') out.set(key, new Set(numbers(item, Tags.NonidentifyingPrivateElements)));
  }
  return out;
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

let table: ReadonlyMap<string, SafePrivateRow> | undefined;

function row(key: string): SafePrivateRow | undefined {
  table ??= new Map(
    safePrivateRows().map((one) => [`${one.creator}|${one.group}|${one.element}`, one] as const),
  );
  return table.get(key);
}

/**
 * How this private element is to be looked at when it may stay; undefined when nobody calls it harmless, or when its own VR
 * is not the one that is listed. What a maker declares is believed for codes and numbers, which have no room for a name.
 */
export function safePrivate(element: Element, ds: DataSet, declared: Declared): SafePrivate | undefined {
  const creatorTag = creatorTagOf(element.tag);
  const creator = creatorTag === undefined ? undefined : text(ds, creatorTag)?.trim();
  if (creator === undefined) return undefined;
  const group = hex(element.tag >>> 16, 4);
  const offset = element.tag & 0xff;
  const key = `${creator}|${group}|${hex(offset, 2)}`;
  const own = element.items ? 'SQ' : element.vr;
  const listed = row(key);
  if (listed) {
    const { vr } = listed;
    const version = VERSIONS.has(key);
    if (own === vr || (vr === 'OW' && own === 'OB')) return { vr: own, version };
    if (own === 'UN') return vr && vr !== 'SQ' ? { vr, version } : undefined;
    return vr === undefined && isPlain(own) ? { vr: own, version } : undefined;
  }
  const block = declared.get(`${group}|${creator}`);
  if (block !== 'all' && !block?.has(offset)) return undefined;
  return isPlain(own) ? { vr: own, version: false } : undefined;
}

const isPlain = (vr: Vr): boolean =>
  vr === 'CS' || vr === 'DS' || vr === 'IS' || VR_FACTS[vr].kind === 'number';
