/**
 * Our reader against DCMTK's on every file of the shared data: the same elements in the same places, with the same VRs
 * and lengths (dcm2xml), and the same values (dcm2json). Where the two differ there is a rule or a name with its reason.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { tagHex } from '@lightbox/core/dicom/dictionary.ts';
import { type DicomJson, type DicomJsonValue, toJson } from '@lightbox/core/dicom/json.ts';
import { formatPersonName, type PersonNameGroups } from '@lightbox/core/dicom/person-name.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { describeWith, manifest, type ManifestRow } from '../tools/testing.ts';

const run = promisify(execFile);

/** Read by one of the two only, or as something else, and why. */
const DIFFERENT: ReadonlyMap<string, string> = new Map([
  ['dicomdir/DICOMDIR-nooffset', 'the last record runs past the end of its sequence: refused here'],
  [
    'fuzz/cat02_vr_mismatch/TC0235_bitsallocated_US_as_SS.dcm',
    'preamble and prefix only: an empty object here',
  ],
  ['fuzz/cat02_vr_mismatch/TC0247_bitsstored_US_as_UL.dcm', 'preamble and prefix only: an empty object here'],
  [
    'fuzz/cat02_vr_mismatch/TC0255_implicit_rows_4bytes.dcm',
    'preamble and prefix only: an empty object here',
  ],
  ['synth/broken/only_preamble.dcm', 'preamble and prefix only: an empty object here'],
  ['fuzz/cat03_sequence_nesting/TC0265_depth_100.dcm', 'deeper than our limit of 64'],
  ['synth/broken/deep_nesting.dcm', 'deeper than our limit of 64'],
  ['fuzz/cat04_pixel_data/TC0323_encap_zero_frag.dcm', 'an element where a fragment should be: refused here'],
  ['fuzz/cat06_private_tags/TC0361_stray_seq_delim.dcm', 'a stray delimiter is passed over here'],
  ['fuzz/cat09_logic_bombs/TC0469_group_len_zero.dcm', 'meta elements within the data set are left out here'],
  ['odd/dcm4che__no_preamble_dicm_in_data', 'no preamble, and "DICM" in a value at byte 128: read here'],
  ['image/ot/pydicom__SC_rgb_jpeg.dcm', 'ends without the delimiter, all frames there: read here'],
  ['odd/pydicomdata__emri_small_jpeg_2k_lossless_too_short.dcm', 'bytes behind the fragments: read here'],
  [
    'charset/pydicom__chrSQEncoding.dcm',
    'an item with a character set of its own: DCMTK leaves it undecoded',
  ],
]);

interface Seen {
  readonly vr: string;
  /** Bytes made even; items; fragments. */
  readonly size: number;
}

const even = (length: number): number => length + (length % 2);

function ours(ds: DataSet, path = '', out = new Map<string, Seen>()): Map<string, Seen> {
  for (const element of ds.elements.values()) {
    const at = path + tagHex(element.tag);
    if (element.items) {
      out.set(at, { vr: 'SQ', size: element.items.length });
      element.items.forEach((item, index) => ours(item, `${at}/${index}/`, out));
    } else if (element.fragments) out.set(at, { vr: element.vr, size: element.fragments.length });
    else out.set(at, { vr: element.vr, size: even(element.bytes?.length ?? element.bulk?.length ?? 0) });
  }
  return out;
}

function theirs(xml: string): Map<string, Seen> {
  const out = new Map<string, Seen>();
  const path: string[] = [];
  const counts: number[] = [];
  const body = xml.slice(xml.indexOf('<data-set'));
  for (const [, close, name, attributes = '', empty] of body.matchAll(
    /<(\/?)(element|sequence|item)\b([^>]*?)(\/?)>/g,
  )) {
    const of = (key: string): string => new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    const hex = of('tag').replace(',', '').toUpperCase();
    if (close) {
      if (name !== 'element') path.pop();
      if (name === 'sequence') counts.pop();
    } else if (name === 'element')
      out.set(path.join('') + hex, { vr: of('vr'), size: even(Number(of('len'))) });
    else if (name === 'sequence') {
      out.set(path.join('') + hex, { vr: of('vr'), size: Number(of('card')) });
      if (!empty) {
        path.push(`${hex}/`);
        counts.push(0);
      }
    } else if (!empty) {
      const index = counts.pop() ?? 0;
      counts.push(index + 1);
      path.push(`${index}/`);
    }
  }
  return out;
}

/**
 * Differences in structure. Rules: UN is what one of the two dictionaries does not know (ours reads UN of known tags as
 * PS3.5 §6.2.2 lets it, DCMTK's has more private elements), with what is in such a sequence; encapsulated pixels are OB
 * for DCMTK whatever is written.
 */
function structure(mine: Map<string, Seen>, other: Map<string, Seen>): string[] {
  const wrong: string[] = [];
  const opaque = [...new Set([...mine.keys(), ...other.keys()])].filter(
    (at) => (mine.get(at)?.vr === 'UN') !== (other.get(at)?.vr === 'UN'),
  );
  for (const at of new Set([...mine.keys(), ...other.keys()])) {
    const [a, b] = [mine.get(at), other.get(at)];
    if (opaque.some((unknown) => at.startsWith(`${unknown}/`))) continue;
    if (!a || !b) wrong.push(`${at} only ${a ? 'here' : 'there'}`);
    else if (a.vr === 'UN' || b.vr === 'UN') {
      if (a.size !== b.size && a.vr !== 'SQ' && b.vr !== 'SQ') wrong.push(`${at} ${a.size} ${b.size}`);
    } else if (a.size !== b.size || (a.vr !== b.vr && !(a.vr === 'OW' && b.vr === 'OB')))
      wrong.push(`${at} ${a.vr} ${a.size}, there ${b.vr} ${b.size}`);
  }
  return wrong;
}

/** Values in one spelling: DCMTK prints floats in nine digits, and some decimal strings as text. */
function plain(vr: string, value: DicomJsonValue | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return formatPersonName(value as PersonNameGroups).replace(/[\^ =]+$/, '');
  const text = String(value).replaceAll('\0', '').trim();
  if (vr === 'FL') return String(Number(Math.fround(Number(text)).toPrecision(6)));
  if (vr === 'FD') return String(Number(Number(text).toPrecision(14)));
  return ['DS', 'IS'].includes(vr) && text !== '' && Number.isFinite(Number(text))
    ? String(Number(text))
    : text;
}

function values(mine: DicomJson, other: DicomJson, path = ''): string[] {
  return Object.entries(mine).flatMap(([hex, a]) => {
    const b = other[hex];
    // Structure is compared above; DCMTK takes spaces out of UIDs.
    if (!b || a.vr !== b.vr || hex === '00080005' || a.vr === 'UI') return [];
    if (a.vr === 'SQ')
      return (a.Value ?? []).flatMap((item, index) =>
        values(item as DicomJson, (b.Value?.[index] ?? {}) as DicomJson, `${path}${hex}/${index}/`),
      );
    const [x, y] = [a, b].map(({ Value = [] }) =>
      Value.map((one) => plain(a.vr, one))
        .join('\\')
        .replace(/\\+$/, ''),
    );
    return x === y ? [] : [`${path}${hex} ${a.vr}`];
  });
}

async function inTwos<T>(all: readonly T[], each: (one: T) => Promise<void>): Promise<void> {
  const left = [...all];
  const work = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await each(one);
  };
  await Promise.all([work(), work()]);
}

const read = (row: ManifestRow): DataSet | undefined => {
  try {
    return readPart10(readFileSync(row.file), { onMismatch: 'warn' }).dataSet;
  } catch {
    return undefined;
  }
};
const options = { maxBuffer: 1024 ** 3, encoding: 'latin1' } as const;

describeWith(['dcm2xml', 'dcm2json', 'testdata'], 'the reader against DCMTK', () => {
  const rows = manifest().filter((row) => !/^(fhir|hl7)\//.test(row.path));

  it('sees the same elements, VRs and lengths', async () => {
    const wrong: string[] = [];
    let same = 0;
    await inTwos(rows, async (row) => {
      const mine = read(row);
      const xml = await run('dcm2xml', ['-q', '+Ca', 'latin-1', row.file], options).then(
        ({ stdout }) => stdout,
        () => undefined,
      );
      if (DIFFERENT.has(row.path)) return;
      if (!mine !== !xml) wrong.push(`${row.path}: ${mine ? 'read' : 'refused'} here only`);
      if (!mine || !xml) return;
      const different = structure(ours(mine), theirs(xml));
      if (different.length > 0) wrong.push(`${row.path}: ${different.slice(0, 5).join('; ')}`);
      else same += 1;
    });
    expect(wrong).toEqual([]);
    expect(same).toBeGreaterThan(780);
  }, 300_000);

  it('reads the same values', async () => {
    const wrong: string[] = [];
    let same = 0;
    // Whole series and one image in many transfer syntaxes have the same header again and again.
    const chosen = rows.filter((row) => !/^(series|dicomdir|wg04|image\/ct)\//.test(row.path));
    await inTwos(chosen, async (row) => {
      const mine = read(row);
      if (!mine || DIFFERENT.has(row.path)) return;
      const json = await run('dcm2json', ['-q', '-ee', row.file], { ...options, encoding: 'utf8' }).then(
        ({ stdout }) => JSON.parse(stdout) as DicomJson,
        // It does not write encapsulated pixel data.
        () => undefined,
      );
      if (!json) return;
      const different = values(toJson(mine), json);
      if (different.length > 0) wrong.push(`${row.path}: ${different.slice(0, 5).join('; ')}`);
      else same += 1;
    });
    expect(wrong).toEqual([]);
    expect(same).toBeGreaterThan(250);
  }, 300_000);
});
