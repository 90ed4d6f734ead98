/**
 * An object as it is given out: corrected, and saying so. Each correction leaves an item that tells who changed what, when,
 * why, and what was there before.
 *
 * Source: PS3.3 §C.12.1.1.9 (Original Attributes Sequence), §C.12.1 (Instance Coercion DateTime), PS3.4 §B.4.1.3.
 * Layer:  core/dicom.
 */
import type { DataSet, Element, Tag } from './data-set.ts';
import { creatorTagOf } from './dictionary.ts';
import { applyEdits, type Edit, readyFor } from './edits.ts';
import { dataSetOf, makeElement, withElements } from './element.ts';
import { Tags } from './tags.gen.ts';
import { effectiveVr } from './values.ts';
import { VR_FACTS } from './vr.ts';

export interface Correction {
  readonly edits: readonly Edit[];
  /** COERCE: by a rule, when the object came in. CORRECT: a person found it wrong (PS3.3 Table C.12-1, (0400,0565)). */
  readonly reason: 'COERCE' | 'CORRECT';
  /** DT of the moment, with its offset from UTC. */
  readonly at: string;
  /** Who or what did it: at most 64 characters, without names of patients. */
  readonly system: string;
  /** Where the values before came from, when it is known: an AE title, an institution. */
  readonly source?: string | undefined;
}

/**
 * The data set with the corrections put over it in their order. Elements that none of them touches are the same objects, so
 * that a writer can take their bytes from where they lie.
 *
 * @throws Fault TOO_LARGE when a value is needed that was left where it lies; see `touched`.
 */
export function correct(ds: DataSet, corrections: readonly Correction[]): DataSet {
  return corrections.reduce(correctOnce, ds);
}

function correctOnce(ds: DataSet, correction: Correction): DataSet {
  const base = readyFor(ds, correction.edits);
  const edited = applyEdits(base, correction.edits);
  const changed = correction.edits.map(({ tag }) => tag).filter((tag) => differs(base, edited, tag));
  if (changed.length === 0) return ds;
  const before = base.elements.get(Tags.OriginalAttributesSequence)?.items ?? [];
  const item = originalAttributes(base, changed, correction);
  const marks: Element[] = [{ tag: Tags.OriginalAttributesSequence, vr: 'SQ', items: [...before, item] }];
  if (correction.reason === 'COERCE')
    marks.push(makeElement(Tags.InstanceCoercionDateTime, correction.at.replace(/[+-]\d{4}$/, '')));
  return withElements(edited, marks);
}

function differs(before: DataSet, after: DataSet, tag: Tag): boolean {
  const [one, other] = [before.elements.get(tag), after.elements.get(tag)];
  if (!one || !other || one.vr !== other.vr || one.items || other.items || !one.bytes || !other.bytes)
    return one !== other;
  const [old, made] = [one.bytes, other.bytes];
  return old.length !== made.length || old.some((byte, at) => byte !== made[at]);
}

/** One item. What was not there before stands in it without a value: it was added. */
function originalAttributes(before: DataSet, tags: readonly Tag[], correction: Correction): DataSet {
  const previous = tags.map(
    (tag): Element =>
      before.elements.get(tag) ??
      emptied(
        tag,
        correction.edits.find((edit) => edit.tag === tag),
      ),
  );
  // A private element means nothing without who reserved its block (PS3.5 §7.8.1).
  for (const tag of tags) {
    const creator = before.elements.get(creatorTagOf(tag) ?? 0);
    if (creator && !previous.includes(creator)) previous.push(creator);
  }
  const { charsets, littleEndian } = before;
  const made = (tag: Tag, value: string): Element => makeElement(tag, value, { charsets, littleEndian });
  return dataSetOf(
    [
      {
        ...{ tag: Tags.ModifiedAttributesSequence, vr: 'SQ' },
        items: [dataSetOf(previous, charsets, littleEndian)],
      },
      made(Tags.AttributeModificationDateTime, correction.at),
      made(Tags.ModifyingSystem, correction.system.slice(0, 64)),
      made(Tags.SourceOfPreviousValues, (correction.source ?? '').slice(0, 64)),
      made(Tags.ReasonForTheAttributeModification, correction.reason),
    ],
    charsets,
    littleEndian,
  );
}

const emptied = (tag: Tag, edit: Edit | undefined): Element =>
  edit?.op === 'set' && edit.vr !== 'SQ'
    ? { tag, vr: edit.vr, bytes: new Uint8Array(0) }
    : { tag, vr: 'SQ', items: [] };

/** Whether correcting may need the value of the element in memory: it is changed, or its text may be converted. */
export function needsValue(element: Element, corrections: readonly Correction[]): boolean {
  if (VR_FACTS[effectiveVr(element)].charset) return true;
  return corrections.some(({ edits }) => edits.some(({ tag }) => tag === element.tag));
}
