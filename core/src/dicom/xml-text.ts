/**
 * As much XML as the Native DICOM Model needs, and nothing that makes XML dangerous: no DTD, no entities but the five
 * predefined and character references, no includes, budgets on nodes and depth.
 *
 * Source: XML 1.0 (fifth edition) §2.2, §2.4, §4.1, §4.6; PS3.19 §A.1.
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';

export interface XmlNode {
  /** Without its prefix: the model has one namespace. */
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: XmlNode[];
  /** Text directly inside, references resolved. */
  text: string;
}

/** A CT header is 200 nodes, an enhanced multi-frame one 300,000; beyond this it is not metadata. */
const MAX_NODES = 1_000_000;
/** 64 nested sequences of two elements each, and the root. */
const MAX_DEPTH = 140;
const MAX_ATTRIBUTES = 32;

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Text for an element or a quoted attribute. Control characters that XML cannot carry become U+FFFD; CR is kept as a reference. */
export function escapeXml(text: string): string {
  let out = '';
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const escaped = ESCAPES.get(code) ?? (isChar(text, at, code) ? undefined : '\ufffd');
    if (escaped === undefined) continue;
    out += text.slice(from, at) + escaped;
    from = at + 1;
  }
  return out + text.slice(from);
}

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x26, '&amp;'],
  [0x3c, '&lt;'],
  [0x3e, '&gt;'],
  [0x22, '&quot;'],
  [0x09, '&#9;'],
  [0x0a, '&#10;'],
  [0x0d, '&#13;'],
]);

/** XML 1.0 §2.2 Char, for the UTF-16 unit at `at`. */
function isChar(text: string, at: number, code: number): boolean {
  if (code < 0x20) return code === 0x09 || code === 0x0a || code === 0x0d;
  if (code >= 0xd800 && code <= 0xdbff) return (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
  if (code >= 0xdc00 && code <= 0xdfff) return at > 0 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;
  return code < 0xfffe;
}

const fail = (what: string, at: number): Fault => new Fault('DICOM_JSON', { what, at });

/**
 * The tree of a document, in one pass without recursion.
 *
 * @throws Fault DICOM_JSON on anything malformed or outside the subset (a DTD, CDATA, other instructions),
 *         DICOM_DEPTH and DICOM_TOO_MANY past the budgets.
 */
export function parseXml(text: string): XmlNode {
  const document: XmlNode = { name: '', attributes: new Map(), children: [], text: '' };
  const open: XmlNode[] = [document];
  let nodes = 0;
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  if (/^<\?xml\s/.test(text.slice(at, at + 6))) {
    const end = text.indexOf('?>', at);
    if (end < 0) throw fail('declaration', at);
    at = end + 2;
  }
  while (at < text.length) {
    const inside = open[open.length - 1]!;
    const less = text.indexOf('<', at);
    if (less !== at) {
      const end = less < 0 ? text.length : less;
      const plain = resolve(text.slice(at, end), at);
      if (open.length > 1) inside.text += plain;
      else if (plain.trim() !== '') throw fail('text outside the root', at);
      at = end;
    } else if (text.startsWith('<!--', at)) {
      const end = text.indexOf('-->', at + 4);
      if (end < 0) throw fail('comment', at);
      at = end + 3;
    } else if (text[at + 1] === '!' || text[at + 1] === '?') {
      throw fail('a declaration or instruction', at);
    } else if (text[at + 1] === '/') {
      const end = text.indexOf('>', at);
      if (end < 0 || open.length < 2 || localName(text.slice(at + 2, end).trimEnd()) !== inside.name) {
        throw fail('end tag', at);
      }
      open.pop();
      at = end + 1;
    } else {
      if (++nodes > MAX_NODES) throw new Fault('DICOM_TOO_MANY', { limit: MAX_NODES });
      if (open.length === 1 && document.children.length) throw fail('second root', at);
      const tag = readStartTag(text, at);
      inside.children.push(tag.node);
      at = tag.end;
      if (!tag.empty) {
        if (open.length > MAX_DEPTH) throw new Fault('DICOM_DEPTH', { limit: MAX_DEPTH });
        open.push(tag.node);
      }
    }
  }
  const root = document.children[0];
  if (!root || open.length > 1) throw fail('end of document', at);
  return root;
}

const localName = (name: string): string => name.slice(name.indexOf(':') + 1);
const NAME = /[A-Za-z_][A-Za-z0-9_.:-]*/y;

function nameAt(text: string, at: number): string {
  NAME.lastIndex = at;
  const name = NAME.exec(text)?.[0];
  if (name === undefined) throw fail('name', at);
  return name;
}

function skipSpace(text: string, at: number): number {
  while (
    at < text.length &&
    (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r')
  )
    at++;
  return at;
}

function readStartTag(text: string, start: number): { node: XmlNode; end: number; empty: boolean } {
  const name = nameAt(text, start + 1);
  const attributes = new Map<string, string>();
  let at = start + 1 + name.length;
  for (;;) {
    at = skipSpace(text, at);
    const node = { name: localName(name), attributes, children: [], text: '' };
    if (text[at] === '>') return { node, end: at + 1, empty: false };
    if (text.startsWith('/>', at)) return { node, end: at + 2, empty: true };
    const key = nameAt(text, at);
    at = skipSpace(text, at + key.length);
    if (text[at] !== '=') throw fail('attribute', at);
    at = skipSpace(text, at + 1);
    const quote = text[at];
    if (quote !== '"' && quote !== "'") throw fail('attribute', at);
    const end = text.indexOf(quote, at + 1);
    if (end < 0 || attributes.has(key) || attributes.size >= MAX_ATTRIBUTES) throw fail('attribute', at);
    const value = text.slice(at + 1, end);
    if (value.includes('<')) throw fail('attribute', at);
    attributes.set(key, resolve(value, at));
    at = end + 1;
  }
}

/** References resolved, line ends made one form (§2.11). */
function resolve(raw: string, offset: number): string {
  const text = raw.includes('\r') ? raw.replaceAll('\r\n', '\n').replaceAll('\r', '\n') : raw;
  let and = text.indexOf('&');
  if (and < 0) return text;
  let out = '';
  let at = 0;
  for (; and >= 0; and = text.indexOf('&', at)) {
    const end = text.indexOf(';', and);
    if (end < 0 || end - and > 10) throw fail('reference', offset + and);
    out += text.slice(at, and) + character(text.slice(and + 1, end), offset + and);
    at = end + 1;
  }
  return out + text.slice(at);
}

function character(reference: string, offset: number): string {
  const named = Object.hasOwn(NAMED, reference) ? NAMED[reference] : undefined;
  if (named !== undefined) return named;
  const match = /^#(?:x([0-9A-Fa-f]{1,6})|(\d{1,7}))$/.exec(reference);
  const code = match ? (match[1] !== undefined ? parseInt(match[1], 16) : Number(match[2])) : 0;
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw fail('reference', offset);
  return String.fromCodePoint(code);
}
