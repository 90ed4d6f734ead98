/**
 * What a reader has to guess: the VR where none is written, and how a data set is really written.
 *
 * Source: PS3.5 §A.1 (implicit VR), §7.8.1 (private creators), §7.2 (group length), §6.1.2.3 (character sets).
 * Layer:  core/dicom.
 */
import type { ByteWindow } from './byte-window.ts';
import type { Element, Tag } from './data-set.ts';
import { creatorTagOf, isPrivate, isPrivateCreator, lookup } from './dictionary.ts';
import { privateVr } from './private-dictionary.ts';
import { type Vr, vrOfBytes } from './vr.ts';

/** How elements are written. */
export interface Layout {
  readonly implicit: boolean;
  readonly littleEndian: boolean;
}

/**
 * VR of an element written without one.
 *
 * @param signed  Pixel Representation of the data set or item is 1.
 * @param before  Elements of the same data set or item read so far, the private creators among them.
 */
export function implicitVr(tag: Tag, signed: boolean, before: ReadonlyMap<Tag, Element>): Vr {
  if ((tag & 0xffff) === 0) return 'UL';
  if (isPrivateCreator(tag)) return 'LO';
  if (isPrivate(tag)) return vrOfPrivate(tag, before);
  const entry = lookup(tag);
  if (!entry) return 'UN';
  const { vrs } = entry;
  if (vrs.length === 1) return entry.vr;
  if (vrs.includes('OW')) return 'OW';
  if (vrs.includes('US') && vrs.includes('SS')) return signed ? 'SS' : 'US';
  return entry.vr;
}

/** By the creator of its block; UN when nobody reserved it, or it is none of those known (PS3.5 §7.8.1). */
function vrOfPrivate(tag: Tag, before: ReadonlyMap<Tag, Element>): Vr {
  const creatorTag = creatorTagOf(tag);
  const creator = creatorTag === undefined ? undefined : before.get(creatorTag)?.bytes;
  // LO holds 64 characters, and those known are of the default repertoire.
  if (!creator || creator.length === 0 || creator.length > 64) return 'UN';
  return privateVr(String.fromCharCode(...creator).replace(/[\0 ]+$/, ''), tag) ?? 'UN';
}

/** Values of Specific Character Set, as the raw bytes tell. */
export function decodeCharsets(bytes: Uint8Array): readonly string[] {
  const whole = String.fromCharCode(...bytes.subarray(0, 1024)).replace(/[\0 ]+$/, '');
  return whole === '' ? [] : whole.split('\\').map((one) => one.trim());
}

/**
 * How the first element at the window's place seems to be written; undefined when nothing contradicts `declared`
 * or nothing can be told. Looks at 8 bytes.
 */
export function sniffLayout(window: ByteWindow, declared: Layout): Layout | undefined {
  const { at, bytes } = window;
  const little = window.tag(at, true);
  const big = window.tag(at, false);
  const groupLittle = Math.floor(little / 0x10000);
  const groupBig = Math.floor(big / 0x10000);
  if (groupLittle === 0xfffe || groupBig === 0xfffe) return undefined;
  const declaredGroup = declared.littleEndian ? groupLittle : groupBig;
  const otherGroup = declared.littleEndian ? groupBig : groupLittle;
  // Every data set begins in a low group; 0x0008 in the other byte order is 0x0800, which does not exist.
  const other = declaredGroup >= 0x100 && otherGroup < 0x100 && isKnown(declared.littleEndian ? big : little);
  const littleEndian = other ? !declared.littleEndian : declared.littleEndian;
  const tag = littleEndian ? little : big;
  const facts = vrOfBytes(bytes[at + 4] ?? 0, bytes[at + 5] ?? 0);
  if (facts) {
    // Letters where an implicit length would be: 16,705 bytes at least, in the first element.
    const entry = lookup(tag);
    const believable = !declared.implicit || (tag & 0xffff) === 0 || entry?.vrs.includes(facts.vr) === true;
    return believable ? { implicit: false, littleEndian } : { implicit: declared.implicit, littleEndian };
  }
  const length = window.u32(at + 4, littleEndian);
  const believable = length < 0x10000 || length === 0xffffffff || lookup(tag)?.vr === 'SQ';
  return { implicit: declared.implicit || believable, littleEndian };
}

/** True when a data set may begin here: a low group, a tag of the standard, and a VR or a small length. */
export function looksLikeDataSet(window: ByteWindow): boolean {
  const { at, bytes } = window;
  if (window.available < 8) return false;
  return [true, false].some((littleEndian) => {
    const tag = window.tag(at, littleEndian);
    const group = Math.floor(tag / 0x10000);
    if (group === 0 || group > 0x40 || !isKnown(tag)) return false;
    if (vrOfBytes(bytes[at + 4] ?? 0, bytes[at + 5] ?? 0)) return true;
    const length = window.u32(at + 4, littleEndian);
    return length < 0x10000 || (length === 0xffffffff && lookup(tag)?.vr === 'SQ');
  });
}

const isKnown = (tag: Tag): boolean => (tag & 0xffff) === 0 || lookup(tag) !== undefined;
