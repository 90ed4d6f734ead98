/**
 * Corrections of attributes by rules: steps one after the other, as edits that are put over an object.
 *
 * Source: PS3.4 §B.4.1.3 (coercion of attributes).
 * Layer:  core/translate.
 */
import type { Tag } from '../../dicom/data-set.ts';
import type { Edit } from '../../dicom/edits.ts';
import type { DictionaryEntry } from '../../dicom/dictionary.ts';
import { type Attributes, parsePath } from './attributes.ts';
import { editOf, isValueOf } from './check.ts';
import type { Rule, Step } from './types.ts';

/** A step with its attributes looked up. */
export interface CompiledStep {
  readonly entry: DictionaryEntry;
  /** New value of the one it has; undefined leaves it, null deletes it. `read` gives values of others. */
  readonly change: (
    value: string | undefined,
    read: (path: readonly Tag[]) => string | undefined,
  ) => string | null | undefined;
}

export const compileSteps = (steps: readonly Step[]): CompiledStep[] => steps.map(compileStep);

function compileStep(step: Step): CompiledStep {
  const { entry } = known(step.attribute);
  /** Of an attribute with a value: each of its values. */
  const each =
    (change: (value: string) => string): CompiledStep['change'] =>
    (value) =>
      value?.split('\\').map(change).join('\\');
  switch (step.op) {
    case 'set':
      return { entry, change: (value) => (step.ifEmpty && value ? undefined : step.value) };
    case 'copy': {
      const { tags } = known(step.from);
      // Nothing there to be copied: what is here stays.
      return { entry, change: (value, read) => (step.ifEmpty && value ? undefined : read(tags)) };
    }
    case 'delete':
      return { entry, change: () => null };
    case 'map': {
      const table = new Map(Object.entries(step.table));
      return {
        entry,
        change: (value = '') =>
          table.get(value) ?? (step.otherwise === 'delete' && value !== '' ? null : undefined),
      };
    }
    case 'prefix':
      // An object that comes again, corrected by another of us, is not corrected twice.
      return {
        entry,
        change: each((one) => (one === '' || one.startsWith(step.text) ? one : step.text + one)),
      };
    case 'suffix':
      return {
        entry,
        change: each((one) => (one === '' || one.endsWith(step.text) ? one : one + step.text)),
      };
    case 'upper':
      return { entry, change: each((one) => one.toUpperCase()) };
    case 'lower':
      return { entry, change: each((one) => one.toLowerCase()) };
    case 'strip': {
      const characters = new Set(step.characters ?? ' ');
      const { at = 'both' } = step;
      return { entry, change: each((one) => strip(one, characters, at)) };
    }
    default:
      return step satisfies never;
  }
}

function strip(text: string, characters: ReadonlySet<string>, at: 'start' | 'end' | 'both'): string {
  const all = [...text];
  let from = 0;
  let to = all.length;
  while (at !== 'end' && from < to && characters.has(all[from] ?? '')) from += 1;
  while (at !== 'start' && to > from && characters.has(all[to - 1] ?? '')) to -= 1;
  return all.slice(from, to).join('');
}

function known(attribute: string): { readonly entry: DictionaryEntry; readonly tags: readonly Tag[] } {
  const found = parsePath(attribute);
  if ('code' in found) throw new TypeError('a rule that was not checked');
  return found;
}

/**
 * What the steps of these rules, one after the other, make of an object. A value that would not be one of its attribute (too long
 * with a prefix, for example) is not made: the one it has stays.
 *
 * @returns undefined when nothing changes.
 */
export function coercionOf(
  rules: readonly {
    readonly rule: Pick<Rule, 'name'>;
    readonly steps: readonly CompiledStep[] | undefined;
  }[],
  attributes: Attributes,
): { readonly edits: readonly Edit[]; readonly rules: readonly string[] } | undefined {
  /** As they are by now; null: deleted. */
  const now = new Map<Tag, string | null>();
  const original = (path: readonly Tag[]): string | undefined => attributes.whole(path);
  const read = (path: readonly Tag[]): string | undefined => {
    const [tag] = path;
    const changed = path.length === 1 && tag !== undefined ? now.get(tag) : undefined;
    return changed === undefined ? original(path) : (changed ?? undefined);
  };
  const entries = new Map<Tag, DictionaryEntry>();
  const applied: string[] = [];
  for (const { rule, steps = [] } of rules) {
    let did = false;
    for (const { entry, change } of steps) {
      const value = read([entry.tag]);
      const changed = change(value, read);
      if (changed === undefined || changed === (value ?? '')) continue;
      if (
        changed === null ? value === undefined && !attributes.exists([entry.tag]) : !isValueOf(entry, changed)
      )
        continue;
      now.set(entry.tag, changed);
      entries.set(entry.tag, entry);
      did = true;
    }
    if (did) applied.push(rule.name);
  }
  const edits = [...entries].flatMap(([tag, entry]): Edit[] => {
    const value = now.get(tag) ?? null;
    if (value === null) return [{ op: 'delete', tag }];
    // Changed and changed back.
    return value === (original([tag]) ?? '') ? [] : [editOf(entry, value)];
  });
  if (edits.length === 0) return undefined;
  return { edits: edits.sort((a, b) => a.tag - b.tag), rules: applied };
}
