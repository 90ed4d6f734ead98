/**
 * Regular expressions that take time proportional to the text, whatever they are and whatever the text is.
 *
 * A pattern becomes a list of states; matching walks through the text once with the set of states it may be in (Thompson), so there
 * is no going back and no input that makes it slow. What cannot be done this way (look-around, references back) is refused.
 * Layer:  core/translate.
 */
import { LIMITS } from './types.ts';

/** Why a text is no pattern; `size` when it would need too many states. */
export class PatternError extends Error {
  readonly size: boolean;

  constructor(what: string, size = false) {
    super(what);
    this.name = 'PatternError';
    this.size = size;
  }
}

/** Code points from and to, both included. */
type Ranges = readonly (readonly [number, number])[];

type Node =
  | { readonly kind: 'set'; readonly ranges: Ranges; readonly negated: boolean }
  | { readonly kind: 'start' | 'end' | 'empty' }
  | { readonly kind: 'sequence' | 'choice'; readonly of: readonly Node[] }
  | { readonly kind: 'repeat'; readonly of: Node; readonly min: number; readonly max: number };

type State =
  | { readonly op: 'set'; readonly ranges: Ranges; readonly negated: boolean }
  | { readonly op: 'start' | 'end' | 'found' }
  | { readonly op: 'split'; readonly to: number[] };

const MOST_REPEATS = 100;
const DEEPEST = 20;
const LAST = 0x10ffff;
const DIGITS: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
/** As in ECMA-262 §22.2.2.9 (\s): white space and line ends. */
const SPACE: Ranges = [
  ...([
    [0x09, 0x0d],
    [0x20, 0x20],
    [0xa0, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200a],
    [0x2028, 0x2029],
  ] as const),
  ...([
    [0x202f, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xfeff, 0xfeff],
  ] as const),
];
const LINE_ENDS: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const CLASSES: Readonly<Record<string, Ranges>> = { d: DIGITS, w: WORD, s: SPACE };
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

const inverted = (ranges: Ranges): Ranges => {
  const out: [number, number][] = [];
  let next = 0;
  for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (from > next) out.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  if (next <= LAST) out.push([next, LAST]);
  return out;
};

class Parser {
  readonly #text: readonly string[];
  readonly #ignoreCase: boolean;
  #at = 0;

  constructor(text: string, ignoreCase: boolean) {
    this.#text = [...text];
    this.#ignoreCase = ignoreCase;
  }

  parse(): Node {
    const node = this.#choice(0);
    if (this.#at < this.#text.length) throw new PatternError('a ")" without its "("');
    return node;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #choice(depth: number): Node {
    if (depth > DEEPEST) throw new PatternError('too many brackets in each other', true);
    const of = [this.#sequence(depth)];
    while (this.#peek() === '|') {
      this.#at += 1;
      of.push(this.#sequence(depth));
    }
    return of.length === 1 ? of[0]! : { kind: 'choice', of };
  }

  #sequence(depth: number): Node {
    const of: Node[] = [];
    for (let char = this.#peek(); char !== undefined && char !== '|' && char !== ')'; char = this.#peek())
      of.push(this.#repeated(this.#atom(char, depth)));
    return of.length === 1 ? of[0]! : of.length === 0 ? { kind: 'empty' } : { kind: 'sequence', of };
  }

  #atom(char: string, depth: number): Node {
    this.#at += 1;
    switch (char) {
      case '(':
        return this.#group(depth);
      case '[':
        return this.#class();
      case '.':
        return { kind: 'set', ranges: LINE_ENDS, negated: true };
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '*':
      case '+':
      case '?':
      case '{':
        throw new PatternError(`"${char}" with nothing before it to repeat`);
      case ']':
      case '}':
        throw new PatternError(`"${char}" alone; for the character itself write \\${char}`);
      case '\\':
        return this.#set(this.#escape(), false);
      default:
        return this.#set([one(char)], false);
    }
  }

  #group(depth: number): Node {
    if (this.#peek() === '?') {
      if (this.#text[this.#at + 1] !== ':')
        throw new PatternError('"(?" is only known as "(?:": there is no looking ahead or back');
      this.#at += 2;
    }
    const node = this.#choice(depth + 1);
    if (this.#peek() !== ')') throw new PatternError('a "(" without its ")"');
    this.#at += 1;
    return node;
  }

  #set(ranges: Ranges, negated: boolean): Node {
    if (!this.#ignoreCase) return { kind: 'set', ranges, negated };
    // Each letter of a small range in both cases; whole alphabets hold both of what is in them.
    const both: (readonly [number, number])[] = [...ranges];
    for (const [from, to] of ranges)
      for (let code = from; code <= to && code - from < 512; code += 1) {
        const char = String.fromCodePoint(code);
        for (const other of [char.toLowerCase(), char.toUpperCase()])
          if (other !== char && [...other].length === 1) both.push(one(other));
      }
    return { kind: 'set', ranges: both, negated };
  }

  /** After a backslash. */
  #escape(): Ranges {
    const char = this.#peek();
    if (char === undefined) throw new PatternError('a "\\" at the end');
    this.#at += 1;
    const known = CLASSES[char.toLowerCase()];
    if (known) return char === char.toLowerCase() ? known : inverted(known);
    const control = CONTROLS[char];
    if (control !== undefined) return [[control, control]];
    if (/[A-Za-z0-9]/.test(char)) throw new PatternError(`"\\${char}" is not known here`);
    return [one(char)];
  }

  #class(): Node {
    const negated = this.#peek() === '^';
    if (negated) this.#at += 1;
    const ranges: (readonly [number, number])[] = [];
    for (let char = this.#peek(); char !== ']'; char = this.#peek()) {
      if (char === undefined) throw new PatternError('a "[" without its "]"');
      this.#at += 1;
      const from = char === '\\' ? this.#escape() : [one(char)];
      if (this.#peek() !== '-' || this.#text[this.#at + 1] === ']') {
        ranges.push(...from);
        continue;
      }
      this.#at += 1;
      const end = this.#peek();
      if (end === undefined) throw new PatternError('a "[" without its "]"');
      this.#at += 1;
      const to = end === '\\' ? this.#escape() : [one(end)];
      const [first, last] = [from[0]?.[0], to[0]?.[1]];
      if (from.length !== 1 || to.length !== 1 || first === undefined || last === undefined || first > last)
        throw new PatternError('a range in "[ ]" that goes backwards');
      if (from[0]?.[0] !== from[0]?.[1] || to[0]?.[0] !== to[0]?.[1])
        throw new PatternError('a range in "[ ]" with a class at its end');
      ranges.push([first, last]);
    }
    this.#at += 1;
    return this.#set(ranges, negated);
  }

  #repeated(node: Node): Node {
    const char = this.#peek();
    let range: readonly [number, number] | undefined;
    if (char === '*') range = [0, Infinity];
    else if (char === '+') range = [1, Infinity];
    else if (char === '?') range = [0, 1];
    if (range) this.#at += 1;
    else if (char === '{') range = this.#counts();
    if (!range) return node;
    if (node.kind === 'start' || node.kind === 'end')
      throw new PatternError('"^" and "$" cannot be repeated');
    // "As few as possible" finds the same.
    if (this.#peek() === '?') this.#at += 1;
    const again = this.#peek();
    if (again !== undefined && '*+?{'.includes(again))
      throw new PatternError('a repeat of a repeat; put brackets around the first');
    return { kind: 'repeat', of: node, min: range[0], max: range[1] };
  }

  #counts(): readonly [number, number] {
    const rest = this.#text.slice(this.#at, this.#at + 12).join('');
    const read = /^\{(\d{1,4})(?:(,)(\d{0,4}))?\}/.exec(rest);
    if (!read)
      throw new PatternError('"{" is for counts as {2} or {2,5}; for the character itself write \\{');
    this.#at += read[0].length;
    const min = Number(read[1]);
    const max = read[2] === undefined ? min : read[3] === '' ? Infinity : Number(read[3]);
    if (max < min) throw new PatternError('a count that goes backwards');
    if (min > MOST_REPEATS || (max !== Infinity && max > MOST_REPEATS))
      throw new PatternError(`a count of more than ${MOST_REPEATS}`, true);
    return [min, max];
  }
}

const one = (char: string): readonly [number, number] => {
  const code = char.codePointAt(0) ?? 0;
  return [code, code];
};

/** A pattern ready to be used. */
export interface Pattern {
  /** How many states it has: what matching costs for each character. */
  readonly states: number;
  /** Whether it is found anywhere in the text. */
  test(text: string): boolean;
}

/** @throws PatternError. */
export function compilePattern(text: string, ignoreCase = false): Pattern {
  if (text.length > LIMITS.pattern) throw new PatternError(`longer than ${LIMITS.pattern} characters`, true);
  const states: State[] = [];
  const add = (state: State): number => {
    if (states.length >= LIMITS.states) throw new PatternError('more states than allowed', true);
    return states.push(state) - 1;
  };
  /** Written so that each piece goes on with the state after its last one. */
  const emit = (node: Node): void => {
    switch (node.kind) {
      case 'set':
        add({ op: 'set', ranges: node.ranges, negated: node.negated });
        return;
      case 'start':
      case 'end':
        add({ op: node.kind });
        return;
      case 'empty':
        return;
      case 'sequence':
        for (const part of node.of) emit(part);
        return;
      case 'choice': {
        const ends: number[][] = [];
        node.of.forEach((part, index) => {
          if (index === node.of.length - 1) return emit(part);
          const to: number[] = [];
          add({ op: 'split', to });
          to.push(states.length);
          emit(part);
          const end: number[] = [];
          add({ op: 'split', to: end });
          ends.push(end);
          to.push(states.length);
        });
        for (const end of ends) end.push(states.length);
        return;
      }
      case 'repeat': {
        for (let count = 0; count < node.min; count += 1) emit(node.of);
        if (node.max === Infinity) {
          const to: number[] = [];
          const loop = add({ op: 'split', to });
          to.push(states.length);
          emit(node.of);
          add({ op: 'split', to: [loop] });
          to.push(states.length);
          return;
        }
        const ways: number[][] = [];
        for (let count = node.min; count < node.max; count += 1) {
          const to: number[] = [];
          add({ op: 'split', to });
          to.push(states.length);
          ways.push(to);
          emit(node.of);
        }
        for (const to of ways) to.push(states.length);
        return;
      }
      default:
        node satisfies never;
    }
  };
  emit(new Parser(text, ignoreCase).parse());
  add({ op: 'found' });
  return { states: states.length, test: (given) => search(states, given) };
}

function search(states: readonly State[], text: string): boolean {
  const seen = new Int32Array(states.length).fill(-1);
  const chars = [...text];
  let now: number[] = [];
  let found = false;
  const enter = (first: number, at: number, into: number[]): void => {
    const stack = [first];
    for (let index = stack.pop(); index !== undefined; index = stack.pop()) {
      if (seen[index] === at) continue;
      seen[index] = at;
      const state = states[index]!;
      if (state.op === 'split') for (const to of state.to) stack.push(to);
      else if (state.op === 'start') {
        if (at === 0) stack.push(index + 1);
      } else if (state.op === 'end') {
        if (at === chars.length) stack.push(index + 1);
      } else if (state.op === 'found') found = true;
      else into.push(index);
    }
  };
  for (let at = 0; ; at += 1) {
    enter(0, at, now);
    if (found || at === chars.length) return found;
    const code = chars[at]?.codePointAt(0) ?? 0;
    const then: number[] = [];
    for (const index of now) {
      const state = states[index]!;
      if (state.op !== 'set') continue;
      const inside = state.ranges.some(([from, to]) => code >= from && code <= to);
      if (inside !== state.negated) enter(index + 1, at + 1, then);
    }
    now = then;
  }
}
