/**
 * What identifies the people of one object, gathered so that it can be found again in text that is kept.
 *
 * Source: PS3.15 §E.3.5 (Clean Descriptors: the values of other attributes may be repeated in descriptions).
 * Layer:  core/dicom.
 */
import type { DataSet, Element } from '../data-set.ts';
import { effectiveVr, elementTexts } from '../values.ts';
import type { DeidentifyOption } from './profile.ts';
import { chooseAction, profileRow } from './profile.ts';
import { contentRow, isIdentifier, valueOf } from './structured-content.ts';

export interface Identifiers {
  /** Words of names, numbers, addresses and institutions, folded. */
  readonly words: ReadonlySet<string>;
  /** Words of people's names alone, folded. */
  readonly names: ReadonlySet<string>;
  /** Whole values, folded, with one space for everything between words. */
  readonly values: readonly string[];
  /** Answers given before: the frames of an enhanced object say the same thousands of times. */
  readonly known: Map<string, boolean>;
}

const TEXT = new Set(['PN', 'LO', 'SH', 'ST', 'LT', 'UT', 'UC', 'AE', 'UR']);
/** More than the dates and names of one object; what is beyond is a hostile object, and its text is then not kept at all. */
const MAX_VALUES = 5000;

/** Lower case without accents, so that MÜLLER, Muller and Müller are one. */
export function fold(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

/** Folded words of a text. */
export function wordsOf(text: string): string[] {
  return fold(text)
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/**
 * Every value of an attribute that the options chosen take away, in all items.
 *
 * @returns undefined when there are too many to look for.
 */
export function gatherIdentifiers(
  ds: DataSet,
  options: ReadonlySet<DeidentifyOption>,
): Identifiers | undefined {
  const words = new Set<string>();
  const names = new Set<string>();
  const values = new Set<string>();
  const takeText = (given: readonly string[], person: boolean): void => {
    for (const value of given) {
      const found = wordsOf(value);
      const whole = found.join(' ');
      if (whole.length >= 4) values.add(whole);
      for (const word of found) {
        if (word.length >= 2) words.add(word);
        // Shorter ones are initials, and would be found in every technical text.
        if (person && word.length >= 3) names.add(word);
      }
    }
  };
  const take = (element: Element, within: DataSet): void => {
    const vr = effectiveVr(element);
    const row = profileRow(element.tag);
    const named = vr === 'PN' || (row !== undefined && row.options.cleanDescriptors === undefined);
    const dates = vr === 'DA' || vr === 'DT';
    if (!named || !(TEXT.has(vr) || dates)) return;
    if (row !== undefined && chooseAction(row, options) === 'K') return;
    const given = elementTexts(element, within);
    if (!dates) return takeText(given, vr === 'PN');
    for (const value of given) if (/^\d{8}/.test(value)) values.add(value.slice(0, 8));
  };
  const open: DataSet[] = [ds];
  for (let within = open.pop(); within; within = open.pop()) {
    const content = contentRow(within);
    const identifier = content && isIdentifier(content) ? valueOf(within) : undefined;
    if (identifier) takeText(elementTexts(identifier, within), false);
    for (const element of within.elements.values()) {
      if ((element.tag & 0x10000) !== 0) continue;
      // One by one: a million items are too many arguments.
      if (element.items) for (const item of element.items) open.push(item);
      else take(element, within);
      if (words.size + values.size > MAX_VALUES) return undefined;
    }
  }
  return { words, names, values: [...values], known: new Map() };
}

/** Texts remembered; an object with more different ones is slower, and no larger in memory. */
const MAX_KNOWN = 10_000;
/** Longer ones are reports and files, which are said once. */
const MAX_KNOWN_TEXT = 1024;

/** Whether a text repeats one of the whole values: as words of its own, or anywhere when it is long enough to be no accident. */
export function repeatsValue(text: string, identifiers: Identifiers): boolean {
  const { known, values } = identifiers;
  const before = known.get(text);
  if (before !== undefined) return before;
  const plain = ` ${wordsOf(text).join(' ')} `;
  const found = values.some((value) => plain.includes(value.length >= 6 ? value : ` ${value} `));
  if (known.size < MAX_KNOWN && text.length <= MAX_KNOWN_TEXT) known.set(text, found);
  return found;
}

/** Whether a technical text repeats a person's name or one of the whole values. */
export function repeatsIdentity(text: string, identifiers: Identifiers): boolean {
  return wordsOf(text).some((word) => identifiers.names.has(word)) || repeatsValue(text, identifiers);
}
