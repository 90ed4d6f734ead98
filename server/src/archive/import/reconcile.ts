/**
 * Whose objects these are: patients of another institution compared with ours, and what a person may decide about each.
 *
 * Two patients mixed is the worst that can happen here, so nothing is decided by similarity: an object is only ever filed under the
 * patient it names, and where that patient may be another person of the same number, somebody has to say that it is not.
 *
 * Source: IHE RAD TF-3 §4.59 (Import Objects: demographics are reconciled before anything is stored).
 * Layer:  server/archive. Pure.
 */

export interface Person {
  readonly id: string;
  readonly issuer: string;
  /** As received, and its alphabetic group folded for comparison. */
  readonly name: string;
  readonly folded: string;
  /** YYYYMMDD, or empty. */
  readonly birthDate: string;
  readonly sex: string;
}

/**
 * same: number, name and birth date agree. conflict: the same number, and another name or birth date, or one of them is unknown.
 * similar: name and birth date of somebody with another number. study: this study is here with another patient.
 */
export type MatchKind = 'same' | 'conflict' | 'similar' | 'study';

/**
 * keep: as it names itself. same: it is the patient with that number here, whatever differs. local: it is the one patient here with
 * this name and birth date, and is filed under that one's number. skip: it is not taken.
 */
export type Choice = 'keep' | 'same' | 'local' | 'skip';

/** One number, unless two issuers are named that differ; the index files objects by the same rule (`isSame` in resolve.ts). */
export const sameNumber = (one: Person, other: Person): boolean =>
  one.id !== '' &&
  one.id === other.id &&
  (one.issuer === other.issuer || one.issuer === '' || other.issuer === '');

const sameIdentity = (one: Person, other: Person): boolean =>
  one.folded !== '' &&
  one.folded === other.folded &&
  one.birthDate !== '' &&
  one.birthDate === other.birthDate;

/** Sex is compared only where both say M or F: O and empty are said of anybody. */
const otherSex = (one: Person, other: Person): boolean =>
  /^[MF]$/.test(one.sex) && /^[MF]$/.test(other.sex) && one.sex !== other.sex;

/** Undefined: they have nothing to do with each other. */
export function compare(one: Person, other: Person): MatchKind | undefined {
  if (sameNumber(one, other)) return sameIdentity(one, other) && !otherSex(one, other) ? 'same' : 'conflict';
  return sameIdentity(one, other) ? 'similar' : undefined;
}

/** What may be decided. A study that lies here with somebody else cannot be taken at all: it would stand beside itself. */
/** @param similarHere  Patients of this name and birth date that are here with another number. */
export function choicesFor(kinds: readonly MatchKind[], similarHere = 0): readonly Choice[] {
  if (kinds.includes('study')) return ['skip'];
  if (kinds.includes('conflict')) return ['same', 'skip'];
  // With two of them nobody could see which is meant; and who is here already is filed with itself.
  return similarHere === 1 && !kinds.includes('same') ? ['keep', 'local', 'skip'] : ['keep', 'skip'];
}
