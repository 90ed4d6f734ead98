/**
 * What differs between two files of rules, rule by rule, for people who review a change.
 *
 * Layer:  core/translate.
 */
import type { Rule, RuleFile } from './types.ts';

export interface RuleChange {
  readonly rule: string;
  /** moved: the same, at another place among those that are in both. */
  readonly change: 'added' | 'removed' | 'changed' | 'moved';
  /** Of a changed one: each place that differs, values as JSON. */
  readonly fields: readonly {
    readonly path: string;
    readonly before: string | undefined;
    readonly after: string | undefined;
  }[];
}

/** In the order of the newer file, what was removed at the end. */
export function diffRules(before: RuleFile, after: RuleFile): RuleChange[] {
  const old = new Map(before.rules.map((rule) => [rule.name, rule]));
  const now = new Set(after.rules.map(({ name }) => name));
  const moved = movedOf(
    before.rules.map(({ name }) => name).filter((name) => now.has(name)),
    after.rules.map(({ name }) => name).filter((name) => old.has(name)),
  );
  const changes = after.rules.flatMap((rule): RuleChange[] => {
    const was = old.get(rule.name);
    if (!was) return [{ rule: rule.name, change: 'added', fields: [] }];
    const fields = fieldsOf(was, rule);
    if (fields.length > 0) return [{ rule: rule.name, change: 'changed', fields }];
    return moved.has(rule.name) ? [{ rule: rule.name, change: 'moved', fields: [] }] : [];
  });
  const removed = before.rules
    .filter(({ name }) => !now.has(name))
    .map(({ name }): RuleChange => ({ rule: name, change: 'removed', fields: [] }));
  return [...changes, ...removed];
}

/** Those that are not in the longest run that kept its order. Few rules: quadratic is fine. */
function movedOf(before: readonly string[], after: readonly string[]): Set<string> {
  const place = new Map(before.map((name, at) => [name, at]));
  const runs: { name: string; length: number; from: number }[] = [];
  after.forEach((name, at) => {
    let from = -1;
    for (let other = 0; other < at; other += 1)
      if (
        (place.get(after[other]!) ?? 0) < (place.get(name) ?? 0) &&
        (runs[other]?.length ?? 0) > (runs[from]?.length ?? 0)
      )
        from = other;
    runs.push({ name, length: (runs[from]?.length ?? 0) + 1, from });
  });
  let at = runs.reduce((best, run, here) => (run.length > (runs[best]?.length ?? 0) ? here : best), 0);
  const kept = new Set<string>();
  for (let run = runs[at]; run; run = runs[at]) {
    kept.add(run.name);
    at = run.from;
  }
  return new Set(after.filter((name) => !kept.has(name)));
}

function fieldsOf(before: Rule, after: Rule): RuleChange['fields'] {
  const one = leaves(before);
  const other = leaves(after);
  return [...new Set([...one.keys(), ...other.keys()])]
    .filter((path) => one.get(path) !== other.get(path))
    .map((path) => ({ path, before: one.get(path), after: other.get(path) }));
}

/** Every value by its place; lists of plain values as one. */
function leaves(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  const plain = typeof value !== 'object' || value === null;
  if (plain || (Array.isArray(value) && value.every((one) => typeof one !== 'object')))
    return into.set(path, JSON.stringify(value));
  const entries = Object.entries(value);
  for (const [key, inner] of entries)
    leaves(inner, Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`, into);
  return into;
}
