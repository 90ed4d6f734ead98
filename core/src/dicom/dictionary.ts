/**
 * The data dictionary: what a tag is called and how its value is represented.
 *
 * Source: PS3.6 §6 to §8, PS3.7 §E.1, repeating groups PS3.5 §7.6, private elements PS3.5 §7.8.
 * Layer:  core/dicom.
 */
import type { Tag } from './data-set.ts';
import { DICTIONARY } from './dictionary.gen.ts';
import { STORAGE_SOP_CLASSES } from './uids.gen.ts';
import { isVr, type Vr } from './vr.ts';

export { Tags } from './tags.gen.ts';

export interface DictionaryEntry {
  /** The tag asked for; for repeating groups the one asked for, not the mask. */
  readonly tag: Tag;
  readonly keyword: string;
  readonly name: string;
  /** The first of `vrs`. */
  readonly vr: Vr;
  /** More than one where the standard says "US or SS", "OB or OW" and the like. */
  readonly vrs: readonly Vr[];
  /** Value multiplicity as the standard writes it: `1`, `2-2n`, `1-n`. */
  readonly vm: string;
  readonly retired: boolean;
}

interface Masked {
  readonly mask: number;
  readonly bits: number;
  readonly entry: DictionaryEntry;
}

interface Index {
  readonly byTag: Map<Tag, DictionaryEntry>;
  readonly byKeyword: Map<string, Tag>;
  readonly masked: readonly Masked[];
}

let index: Index | undefined;

/** Parsed once, on first use (about 5 ms). */
function dictionary(): Index {
  if (index) return index;
  const byTag = new Map<Tag, DictionaryEntry>();
  const byKeyword = new Map<string, Tag>();
  const masked: Masked[] = [];
  for (const line of DICTIONARY.split('\n')) {
    if (line === '') continue;
    const [digits = '', vrText = '', vm = '1', keyword = '', name = '', retired = ''] = line.split('|');
    const vrs = vrText.split('/').filter(isVr);
    const tag = Number.parseInt(digits.replaceAll('x', '0'), 16);
    const entry = { tag, keyword, name, vr: vrs[0] ?? 'UN', vrs, vm, retired: retired === 'R' };
    byKeyword.set(keyword, tag);
    if (digits.includes('x')) {
      const mask = Number.parseInt(digits.replace(/[^x]/g, 'F').replaceAll('x', '0'), 16);
      masked.push({ mask, bits: tag, entry });
    } else byTag.set(tag, entry);
  }
  index = { byTag, byKeyword, masked };
  return index;
}

/** The standard's entry for a tag, undefined for private and unknown tags. */
export function lookup(tag: Tag): DictionaryEntry | undefined {
  const { byTag, masked } = dictionary();
  const found = byTag.get(tag);
  if (found || isPrivate(tag)) return found;
  for (const one of masked) {
    if ((tag & one.mask) >>> 0 === one.bits) return { ...one.entry, tag };
  }
  return undefined;
}

/** Tag of a keyword (`PatientName`), also of repeating groups (then of the first group). */
export function tagOf(keyword: string): Tag | undefined {
  return dictionary().byKeyword.get(keyword);
}

/** Every keyword of the standard. */
export function keywords(): Iterable<string> {
  return dictionary().byKeyword.keys();
}

export function keywordOf(tag: Tag): string | undefined {
  return lookup(tag)?.keyword;
}

/** Private elements have an odd group number (PS3.5 §7.8). */
export function isPrivate(tag: Tag): boolean {
  return (tag & 0x10000) !== 0;
}

/** (gggg,0010-00FF) of an odd group names the creator of a block (PS3.5 §7.8.1). */
export function isPrivateCreator(tag: Tag): boolean {
  return isPrivate(tag) && (tag & 0xffff) >= 0x10 && (tag & 0xffff) <= 0xff;
}

/** Tag of the creator element that owns a private element, undefined when the tag cannot have one. */
export function creatorTagOf(tag: Tag): Tag | undefined {
  if (!isPrivate(tag) || (tag & 0xffff) < 0x1000) return undefined;
  return ((tag & 0xffff0000) | ((tag >>> 8) & 0xff)) >>> 0;
}

/** `(0010,0010)`, upper-case hexadecimal. */
export function tagText(tag: Tag): string {
  const hex = tagHex(tag);
  return `(${hex.slice(0, 4)},${hex.slice(4)})`;
}

/** `00100010`, as DICOM JSON and DICOMweb write a tag. */
export function tagHex(tag: Tag): string {
  return tag.toString(16).toUpperCase().padStart(8, '0');
}

/** A tag from a keyword or from eight hexadecimal digits; undefined for anything else. */
export function parseTag(text: string): Tag | undefined {
  if (/^[0-9A-Fa-f]{8}$/.test(text)) return Number.parseInt(text, 16);
  return tagOf(text);
}

export interface SopClass {
  readonly uid: string;
  readonly name: string;
  readonly retired: boolean;
}

const sopClasses = new Map(
  STORAGE_SOP_CLASSES.map(([uid, name, retired]): [string, SopClass] => [uid, { uid, name, retired }]),
);

/** Every Storage SOP class of the standard, retired ones too (PS3.4 §B.5). */
export function storageSopClasses(): SopClass[] {
  return [...sopClasses.values()];
}

export function storageSopClass(uid: string): SopClass | undefined {
  return sopClasses.get(uid);
}
