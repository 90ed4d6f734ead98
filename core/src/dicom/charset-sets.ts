/**
 * The coded character sets that DICOM text may be written in, and their tables in both directions.
 *
 * Source: PS3.3 §C.12.1.1.2 (Tables C.12-2 to C.12-5), PS3.5 §6.1 and Annexes H to K; the WHATWG Encoding
 *         Standard for the runtime's own decoders, which our tables are taken from.
 * Layer:  core/dicom.
 */

/** A set designated to G0 (bytes 0x21-0x7E) or G1 (bytes 0xA1-0xFE), with one or two bytes to a character. */
export interface CodedSet {
  readonly name: string;
  readonly half: 'G0' | 'G1';
  readonly width: 1 | 2;
  /** ISO 2022 escape sequence that designates it, including ESC (Tables C.12-3, C.12-4). */
  readonly escape: string;
  /** Code point to bytes as one number (`high << 8 | low` when width is 2), already in the half's own range. */
  encode(codePoint: number): number | undefined;
  /** UTF-16 text of the byte (or pair), undefined when it is not assigned. */
  decode(code: number): string | undefined;
}

const decoders = new Map<string, InstanceType<typeof TextDecoder>>();

/** The runtime's decoder for a WHATWG label, made once. */
export function runtimeDecoder(label: string): InstanceType<typeof TextDecoder> {
  let decoder = decoders.get(label);
  if (!decoder) decoders.set(label, (decoder = new TextDecoder(label)));
  return decoder;
}

interface Table {
  readonly toText: readonly (string | undefined)[];
  readonly fromText: ReadonlyMap<number, number>;
}

/** Characters that are written in two ways by different tables; both are accepted when encoding (JIS X 0208 rows 1 and 2). */
const JIS_TWINS: readonly (readonly [number, number])[] = [
  [0x301c, 0xff5e],
  [0x2016, 0x2225],
  [0x2212, 0xff0d],
  [0x00a2, 0xffe0],
  [0x00a3, 0xffe1],
  [0x00ac, 0xffe2],
];

/** Decodes every code of a set once through the runtime's decoder and inverts the result. */
function makeTable(
  codes: Iterable<number>,
  bytesOf: (code: number) => number[],
  label: string,
  twins = false,
): Table {
  const decoder = runtimeDecoder(label);
  const toText: (string | undefined)[] = [];
  const fromText = new Map<number, number>();
  for (const code of codes) {
    const text = decoder.decode(Uint8Array.from(bytesOf(code)));
    const codePoint = text.codePointAt(0);
    if (codePoint === undefined || text.includes('\ufffd') || (codePoint >= 0x80 && codePoint < 0xa0))
      continue;
    if (text.length !== (codePoint > 0xffff ? 2 : 1)) continue;
    toText[code] = text;
    if (!fromText.has(codePoint)) fromText.set(codePoint, code);
  }
  if (twins) {
    for (const [one, other] of JIS_TWINS) {
      const code = fromText.get(one) ?? fromText.get(other);
      if (code === undefined) continue;
      if (!fromText.has(one)) fromText.set(one, code);
      if (!fromText.has(other)) fromText.set(other, code);
    }
  }
  return { toText, fromText };
}

function* pairs(from: number, to: number): Generator<number> {
  for (let high = from; high <= to; high++) for (let low = from; low <= to; low++) yield (high << 8) | low;
}

function* singles(from: number, to: number): Generator<number> {
  for (let code = from; code <= to; code++) yield code;
}

function codedSet(
  name: string,
  half: 'G0' | 'G1',
  width: 1 | 2,
  escape: string,
  build: () => Table,
): CodedSet {
  let table: Table | undefined;
  return {
    name,
    half,
    width,
    escape: '\x1b' + escape,
    encode: (codePoint) => (table ??= build()).fromText.get(codePoint),
    decode: (code) => (table ??= build()).toText[code],
  };
}

/** A single-byte right half. Bytes 0x80-0x9F are in no DICOM set: read, because real devices write Windows code pages there, never written. */
const rightHalf = (name: string, final: string, label: string): CodedSet =>
  codedSet(name, 'G1', 1, '-' + final, () => {
    const { toText, fromText } = makeTable(singles(0x80, 0xff), (code) => [code], label);
    return { toText, fromText: new Map([...fromText].filter(([, code]) => code >= 0xa0)) };
  });

/** ISO IR 14, the left half of JIS X 0201: ASCII but for the yen sign and the overline (PS3.5 §6.1.2.2, Annex H). */
function romajiTable(): Table {
  const table = makeTable(singles(0x20, 0x7e), (code) => [code], 'windows-1252');
  const toText = [...table.toText];
  toText[0x5c] = '\u00a5';
  toText[0x7e] = '\u203e';
  const fromText = new Map(table.fromText);
  fromText.delete(0x5c);
  fromText.delete(0x7e);
  fromText.set(0xa5, 0x5c);
  fromText.set(0x203e, 0x7e);
  return { toText, fromText };
}

/** ISO IR 6, the default repertoire. */
export const ASCII: CodedSet = codedSet('ISO IR 6', 'G0', 1, '(B', () =>
  makeTable(singles(0x20, 0x7e), (code) => [code], 'windows-1252'),
);
export const ROMAJI: CodedSet = codedSet('ISO IR 14', 'G0', 1, '(J', romajiTable);
export const KATAKANA: CodedSet = codedSet('ISO IR 13', 'G1', 1, ')I', () =>
  makeTable(singles(0xa1, 0xdf), (code) => [code], 'shift_jis'),
);
export const LATIN_1: CodedSet = rightHalf('ISO IR 100', 'A', 'windows-1252');
export const LATIN_2: CodedSet = rightHalf('ISO IR 101', 'B', 'iso-8859-2');
export const LATIN_3: CodedSet = rightHalf('ISO IR 109', 'C', 'iso-8859-3');
export const LATIN_4: CodedSet = rightHalf('ISO IR 110', 'D', 'iso-8859-4');
export const CYRILLIC: CodedSet = rightHalf('ISO IR 144', 'L', 'iso-8859-5');
export const ARABIC: CodedSet = rightHalf('ISO IR 127', 'G', 'iso-8859-6');
export const GREEK: CodedSet = rightHalf('ISO IR 126', 'F', 'iso-8859-7');
export const HEBREW: CodedSet = rightHalf('ISO IR 138', 'H', 'iso-8859-8');
export const LATIN_5: CodedSet = rightHalf('ISO IR 148', 'M', 'windows-1254');
export const LATIN_9: CodedSet = rightHalf('ISO IR 203', 'b', 'iso-8859-15');
export const THAI: CodedSet = rightHalf('ISO IR 166', 'T', 'windows-874');
/** JIS X 0208 kanji, G0 (Annex H). EUC-JP is the same code with the high bits set. */
export const KANJI: CodedSet = codedSet('ISO IR 87', 'G0', 2, '$B', () =>
  makeTable(pairs(0x21, 0x7e), (code) => [(code >> 8) | 0x80, (code & 0xff) | 0x80], 'euc-jp', true),
);
/** JIS X 0212 supplementary kanji, G0 (Annex H): EUC-JP's three-byte form after 0x8F. */
export const SUPPLEMENTARY_KANJI: CodedSet = codedSet('ISO IR 159', 'G0', 2, '$(D', () =>
  makeTable(pairs(0x21, 0x7e), (code) => [0x8f, (code >> 8) | 0x80, (code & 0xff) | 0x80], 'euc-jp'),
);
/** KS X 1001 Hangul and Hanja, G1 (Annex I). */
export const HANGUL: CodedSet = codedSet('ISO IR 149', 'G1', 2, '$)C', () =>
  makeTable(pairs(0xa1, 0xfe), (code) => [code >> 8, code & 0xff], 'euc-kr'),
);
/** GB 2312 simplified Chinese, G1 (Annex K). */
export const GB2312: CodedSet = codedSet('ISO IR 58', 'G1', 2, '$)A', () =>
  makeTable(pairs(0xa1, 0xfe), (code) => [code >> 8, code & 0xff], 'gb18030'),
);
/** Katakana designated to G0: not a DICOM escape, but ISO-2022-JP writers use it. */
const KATAKANA_G0: CodedSet = codedSet('ISO IR 13', 'G0', 1, '(I', () =>
  makeTable(singles(0x21, 0x5f), (code) => [code | 0x80], 'shift_jis'),
);

/** Every escape sequence of Tables C.12-3 and C.12-4, and three seen in the wild (`$@` is JIS C 6226-1978). */
export const BY_ESCAPE: ReadonlyMap<string, CodedSet> = new Map(
  [
    ...[
      ASCII,
      ROMAJI,
      KATAKANA,
      LATIN_1,
      LATIN_2,
      LATIN_3,
      LATIN_4,
      CYRILLIC,
      ARABIC,
      GREEK,
      HEBREW,
      LATIN_5,
    ],
    ...[LATIN_9, THAI, KANJI, SUPPLEMENTARY_KANJI, HANGUL, GB2312, KATAKANA_G0],
  ]
    .map((set): [string, CodedSet] => [set.escape, set])
    .concat([
      ['\x1b$@', KANJI],
      ['\x1b$(B', KANJI],
    ]),
);

/** ISO registration number to the sets a defined term brings, the first G0 and G1 being active when it is value 1. */
export const BY_REGISTRATION: ReadonlyMap<number, readonly CodedSet[]> = new Map([
  [6, [ASCII]],
  [13, [ROMAJI, KATAKANA]],
  [14, [ROMAJI, KATAKANA]],
  [58, [GB2312]],
  [87, [KANJI]],
  [100, [LATIN_1]],
  [101, [LATIN_2]],
  [109, [LATIN_3]],
  [110, [LATIN_4]],
  [126, [GREEK]],
  [127, [ARABIC]],
  [138, [HEBREW]],
  [144, [CYRILLIC]],
  [148, [LATIN_5]],
  [149, [HANGUL]],
  [159, [SUPPLEMENTARY_KANJI]],
  [166, [THAI]],
  [203, [LATIN_9]],
]);

let gbTable: Map<number, readonly number[]> | undefined;

/**
 * GB 18030 bytes of one code point (Annex J). The four-byte area beyond the BMP is linear; the rest is inverted from
 * the decoder once (about 63,000 codes, 30 ms).
 */
export function gb18030Bytes(codePoint: number): readonly number[] | undefined {
  if (codePoint < 0x80) return [codePoint];
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) return undefined;
  if (codePoint >= 0x10000) return fourBytes(codePoint - 0x10000 + 189000);
  return (gbTable ??= makeGbTable()).get(codePoint);
}

function fourBytes(linear: number): number[] {
  const d = 0x30 + (linear % 10);
  const c = 0x81 + (Math.floor(linear / 10) % 126);
  const b = 0x30 + (Math.floor(linear / 1260) % 10);
  return [0x81 + Math.floor(linear / 12600), b, c, d];
}

function makeGbTable(): Map<number, readonly number[]> {
  const decoder = runtimeDecoder('gb18030');
  const table = new Map<number, readonly number[]>();
  const add = (bytes: number[]): void => {
    const text = decoder.decode(Uint8Array.from(bytes));
    if (text.length !== 1 || text === '\ufffd') return;
    const codePoint = text.charCodeAt(0);
    if (!table.has(codePoint)) table.set(codePoint, bytes);
  };
  for (let high = 0x81; high <= 0xfe; high++) {
    for (let low = 0x40; low <= 0xfe; low++) if (low !== 0x7f) add([high, low]);
  }
  for (let linear = 0; linear < 39420; linear++) add(fourBytes(linear));
  return table;
}
