/**
 * Text in and out of its DICOM bytes, in whatever character sets the data set names.
 *
 * Source: PS3.3 §C.12.1.1.2 (defined terms), PS3.5 §6.1.2 (character sets), §6.1.2.5 (code extension by ISO 2022),
 *         §6.1.2.5.3 (where the initial sets become active again), Annexes H to K (examples).
 * Layer:  core/dicom.
 */
import {
  ASCII,
  BY_ESCAPE,
  BY_REGISTRATION,
  type CodedSet,
  gb18030Bytes,
  LATIN_1,
  ROMAJI,
  runtimeDecoder,
} from './charset-sets.ts';
import type { Vr } from './vr.ts';

/** How the bytes of one data set's text are to be read, worked out from Specific Character Set. */
interface Plan {
  /** iso2022: single-byte sets with or without code extension; unknown: nothing usable was declared. */
  readonly scheme: 'iso2022' | 'utf-8' | 'gb18030' | 'gbk' | 'unknown';
  readonly g0: CodedSet;
  readonly g1: CodedSet | undefined;
  /** Sets that may be designated when writing, in the order they were declared. */
  readonly sets: readonly CodedSet[];
  /** True when the declared terms allow escape sequences to be written. */
  readonly extended: boolean;
}

const UNDECLARED: Plan = { scheme: 'unknown', g0: ASCII, g1: undefined, sets: [ASCII], extended: false };
const UTF_8: Plan = { ...UNDECLARED, scheme: 'utf-8' };
const plans = new Map<string, Plan>();

/**
 * Registration number of a defined term, with the misspellings found in practice: 'ISO-IR 100', 'ISO_IR_100',
 * 'ISO IR 100', 'ISO-2022-IR 100', 'iso_ir100', 'IR 100'. Zero when it is none of these.
 */
function registration(term: string): { number: number; extension: boolean } {
  const match = /^(?:ISO)?[ _-]?(2022)?[ _-]?IR[ _-]?(\d{1,3})$/.exec(term);
  return match
    ? { number: Number(match[2]), extension: match[1] !== undefined }
    : { number: 0, extension: false };
}

/** Terms that are none of Table C.12-2, but whose meaning is not in doubt. */
const ALIASES: Readonly<Record<string, string>> = {
  'UTF-8': 'ISO_IR 192',
  UTF8: 'ISO_IR 192',
  'ISO 2022 GBK': 'GBK',
  'ISO 2022 58': 'ISO 2022 IR 58',
  ISO_GBK: 'GBK',
  GB2312: 'GBK',
  'ISO 8859-1': 'ISO_IR 100',
  'ISO8859-1': 'ISO_IR 100',
  LATIN1: 'ISO_IR 100',
};

function planOf(charsets: readonly string[]): Plan {
  const key = charsets.join('\\');
  let plan = plans.get(key);
  if (!plan) {
    plan = makePlan(charsets);
    // Input chooses the keys: keep the memory bounded.
    if (plans.size > 500) plans.clear();
    plans.set(key, plan);
  }
  return plan;
}

function makePlan(charsets: readonly string[]): Plan {
  const terms = charsets.map((term) => {
    const plain = term.trim().toUpperCase();
    return ALIASES[plain] ?? plain;
  });
  // Multi-byte sets without code extension stand alone; a list with one of them is read as that one (§C.12.1.1.2).
  for (const term of terms) {
    if (term === 'GB18030') return { ...UNDECLARED, scheme: 'gb18030' };
    if (term === 'GBK') return { ...UNDECLARED, scheme: 'gbk' };
    if (registration(term).number === 192) return UTF_8;
  }
  const sets: CodedSet[] = [];
  let known =
    terms.length > 0 && terms.every((term) => term === '' || BY_REGISTRATION.has(registration(term).number));
  if (terms.every((term) => term === '')) known = false;
  for (const term of terms) sets.push(...(BY_REGISTRATION.get(registration(term).number) ?? []));
  const first = BY_REGISTRATION.get(registration(terms[0] ?? '').number) ?? [];
  const g0 = first.find((set) => set.half === 'G0' && set.width === 1) ?? ASCII;
  const g1 = first.find((set) => set.half === 'G1');
  const extended = terms.length > 1 || terms.some((term) => registration(term).extension);
  if (!sets.includes(g0)) sets.unshift(g0);
  // ISO IR 6 may always be designated back when there are code extensions (§6.1.2.5.2).
  if (extended && !sets.includes(ASCII)) sets.push(ASCII);
  return { scheme: known ? 'iso2022' : 'unknown', g0, g1, sets, extended };
}

/** VRs whose text is in Specific Character Set; everything else is the default repertoire (PS3.5 §6.1.2.3). */
const TEXT_VRS: ReadonlySet<string> = new Set(['SH', 'LO', 'ST', 'LT', 'PN', 'UC', 'UT', 'UN']);
/** VRs in which a backslash is a character like any other (PS3.5 §6.2). */
const SINGLE_VALUE_VRS: ReadonlySet<string> = new Set(['ST', 'LT', 'UT', 'UR']);

/**
 * Decodes a whole value field, several values included: split the answer at backslashes, never the bytes, because a
 * 0x5C may be half of a GB18030 or JIS character.
 *
 * Never throws. What cannot be decoded becomes U+FFFD, NUL is dropped. When nothing usable was declared but bytes above
 * 0x7F are there, valid UTF-8 is taken as such and anything else as Latin-1, as most senders of such files mean it.
 *
 * @param vr  Decides where the initial sets become active again and what 0x5C means in JIS X 0201; default: as in LO.
 */
export function decodeText(bytes: Uint8Array, charsets: readonly string[], vr?: Vr): string {
  const plan = vr !== undefined && !TEXT_VRS.has(vr) ? UNDECLARED : planOf(charsets);
  if (plan.g0 !== ROMAJI) {
    const ascii = decodeAscii(bytes);
    if (ascii !== undefined) return ascii;
  }
  switch (plan.scheme) {
    case 'utf-8':
    case 'gb18030':
    case 'gbk':
      return dropNul(runtimeDecoder(plan.scheme).decode(bytes));
    case 'unknown': {
      const utf8 = runtimeDecoder('utf-8').decode(bytes);
      if (!utf8.includes('\ufffd') && !bytes.includes(ESC)) return dropNul(utf8);
      return decodeIso2022(bytes, plan.g1 ? plan : { ...plan, g1: LATIN_1 }, vr);
    }
    case 'iso2022':
      return decodeIso2022(bytes, plan, vr);
    default:
      return plan.scheme satisfies never;
  }
}

const ESC = 0x1b;

/** The commonest case: only default repertoire. Undefined when a byte needs more than that. */
function decodeAscii(bytes: Uint8Array): string | undefined {
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80 || byte === ESC || byte === 0) return undefined;
  }
  if (bytes.length > 48) return runtimeDecoder('utf-8').decode(bytes);
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

const dropNul = (text: string): string => (text.includes('\0') ? text.replaceAll('\0', '') : text);

function decodeIso2022(bytes: Uint8Array, plan: Plan, vr: Vr | undefined): string {
  let g0 = plan.g0;
  let g1 = plan.g1;
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const byte = bytes[at]!;
    if (byte === ESC) {
      const set = escapeAt(bytes, at);
      if (set) {
        if (set.half === 'G0') g0 = set;
        else g1 = set;
        at += bytes[at + 1] === 0x24 && (bytes[at + 2] === 0x28 || bytes[at + 2] === 0x29) ? 4 : 3;
      } else {
        text += '\ufffd';
        at += 1;
      }
    } else if (byte < 0x20 || byte === 0x7f) {
      // Every control character makes the initial sets active again (§6.1.2.5.3).
      g0 = plan.g0;
      g1 = plan.g1;
      if (byte !== 0) text += String.fromCharCode(byte);
      at += 1;
    } else if (byte < 0x80) {
      if (g0.width === 2 && byte !== 0x20) {
        const low = bytes[at + 1];
        const whole = low !== undefined && low > 0x20 && low < 0x7f;
        text += (whole ? g0.decode((byte << 8) | low) : undefined) ?? '\ufffd';
        at += whole ? 2 : 1;
      } else {
        if (isDelimiter(byte, vr)) {
          g0 = plan.g0;
          g1 = plan.g1;
          text += String.fromCharCode(byte);
        } else {
          text += byte === 0x20 ? ' ' : (g0.decode(byte) ?? '\ufffd');
        }
        at += 1;
      }
    } else if (g1 && g1.width === 2) {
      const low = bytes[at + 1];
      const whole = byte > 0xa0 && low !== undefined && low > 0xa0;
      text += (whole ? g1.decode((byte << 8) | low) : undefined) ?? '\ufffd';
      at += whole ? 2 : 1;
    } else {
      text += g1?.decode(byte) ?? '\ufffd';
      at += 1;
    }
  }
  return text;
}

/** Backslash between values, and in PN also `^` and `=` (§6.1.2.5.3). In ST, LT and UT a backslash delimits nothing. */
function isDelimiter(byte: number, vr: Vr | undefined): boolean {
  if (byte === 0x5c) return vr === undefined || !SINGLE_VALUE_VRS.has(vr);
  return vr === 'PN' && (byte === 0x5e || byte === 0x3d);
}

/** The set designated by the escape sequence at `at`; undefined when it is cut short or unknown. */
function escapeAt(bytes: Uint8Array, at: number): CodedSet | undefined {
  const three = String.fromCharCode(ESC, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0);
  return BY_ESCAPE.get(three) ?? BY_ESCAPE.get(three + String.fromCharCode(bytes[at + 3] ?? 0));
}

/**
 * Encodes text into the declared sets, designating and restoring as the standard's own examples do.
 * Characters that none of the declared sets has become '?': ask `canEncode` first, or write ISO_IR 192.
 */
export function encodeText(text: string, charsets: readonly string[], vr?: Vr): Uint8Array {
  const plan = vr !== undefined && !TEXT_VRS.has(vr) ? UNDECLARED : planOf(charsets);
  if (plan.scheme === 'utf-8') return new TextEncoder().encode(text);
  const out: number[] = [];
  if (plan.scheme === 'gb18030' || plan.scheme === 'gbk') {
    for (const char of text) {
      const bytes = gb18030Bytes(char.codePointAt(0)!);
      if (bytes && (plan.scheme === 'gb18030' || bytes.length < 4)) out.push(...bytes);
      else out.push(0x3f);
    }
  } else {
    encodeIso2022(text, plan, vr, out);
  }
  return Uint8Array.from(out);
}

/** Whether every character of the text is in the declared sets. */
export function canEncode(text: string, charsets: readonly string[], vr?: Vr): boolean {
  return decodeText(encodeText(text, charsets, vr), charsets, vr) === text;
}

function encodeIso2022(text: string, plan: Plan, vr: Vr | undefined, out: number[]): void {
  let g0 = plan.g0;
  let g1 = plan.g1;
  const designate = (set: CodedSet): void => {
    for (let at = 0; at < set.escape.length; at++) out.push(set.escape.charCodeAt(at));
  };
  const restore = (): void => {
    if (g0 !== plan.g0) designate(plan.g0);
    g0 = plan.g0;
    // Nothing un-designates G1 when value 1 brings none: the delimiter itself does (Annex I examples).
    if (g1 !== plan.g1 && plan.g1) designate(plan.g1);
    g1 = plan.g1;
  };
  for (const char of text) {
    const codePoint = char.codePointAt(0)!;
    if (codePoint < 0x20 || codePoint === 0x7f || (codePoint < 0x80 && isDelimiter(codePoint, vr))) {
      restore();
      out.push(codePoint);
      continue;
    }
    if (codePoint === 0x20 && g0.width === 1) {
      out.push(0x20);
      continue;
    }
    const set = [g0, ...(g1 ? [g1] : []), ...(plan.extended ? plan.sets : [])].find((each) =>
      usable(each, codePoint, vr),
    );
    if (!set) {
      if (g0.width === 2) {
        designate(plan.g0);
        g0 = plan.g0;
      }
      out.push(0x3f);
      continue;
    }
    if (set.half === 'G0' && set !== g0) {
      designate(set);
      g0 = set;
    } else if (set.half === 'G1' && set !== g1) {
      designate(set);
      g1 = set;
    }
    const code = set.encode(codePoint)!;
    if (set.width === 2) out.push(code >> 8, code & 0xff);
    else out.push(code);
  }
  restore();
}

/** A yen sign in JIS X 0201 is the byte that separates values: it cannot be written where there may be several. */
function usable(set: CodedSet, codePoint: number, vr: Vr | undefined): boolean {
  const code = set.encode(codePoint);
  if (code === undefined) return false;
  return !(code === 0x5c && set === ROMAJI && isDelimiter(0x5c, vr));
}
