/** Table E.3.10-1, row by row, and what makers declare: what stays, what is mapped, and what goes all the same. */
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { DataSet, Element } from '../data-set.ts';
import { dataSet, dataSetOf, makeElement, type Values } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { elementTexts } from '../values.ts';
import type { Vr } from '../vr.ts';
import { deidentify } from './deidentify.ts';
import type { DeidentifyOption } from './profile.ts';
import { safePrivateRows, type SafePrivateRow } from './safe-private.ts';

const hash = (text: string): Uint8Array => createHmac('sha256', 'a key of the tests').update(text).digest();
const rows = safePrivateRows();

const tagOf = ({ group, element }: SafePrivateRow): number => Number.parseInt(`${group}10${element}`, 16);
const creatorOf = ({ group, creator }: SafePrivateRow): Element =>
  makeElement(Number.parseInt(`${group}0010`, 16), creator, { vr: 'LO' });

/** A value that the row could have, and one that repeats the patient. */
const CALM: Partial<Record<Vr, Values>> = {
  ...{
    CS: 'AXIAL',
    DS: '1.5',
    IS: '12',
    LO: 'VERSION 1',
    SH: 'MODE',
    ST: 'mm',
    LT: 'OK',
    UI: '1.2.3.77125.9',
  },
  ...{ FD: [1.5], FL: [1.5], SL: [7], SS: [7], UL: [7], US: [7], AT: [0x00280010] },
  ...{ OB: Uint8Array.of(1, 2, 3, 4), OW: Uint8Array.of(1, 2, 3, 4) },
};
const name = new TextEncoder().encode('of Quixote.  ');
const TELLING: Partial<Record<Vr, Values>> = {
  ...{
    CS: 'QUIXOTE',
    DS: '4711001',
    IS: '4711001',
    LO: 'Quixote',
    SH: 'Quixote',
    ST: 'of Quixote',
    LT: 'Quixote',
  },
  ...{ FD: [4711001], FL: [4711001], SL: [4711001], UL: [4711001] },
  OB: name,
  OW: Uint8Array.from([...name].flatMap((byte) => [byte, 0])),
};

function object(elements: readonly Element[], over: Record<string, Values> = {}): DataSet {
  const base = dataSet({
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.66',
    PatientName: 'Quixote',
    PatientID: '4711001',
    ...over,
  });
  return dataSetOf([...base.elements.values(), ...elements]);
}
const after = (ds: DataSet, ...options: DeidentifyOption[]): DataSet =>
  deidentify(ds, { options: new Set(options), hash }).dataSet;

describe('Table E.3.10-1 (PS3.15 §E.3.10)', () => {
  it('has the 479 rows of the standard, each once', () => {
    expect(rows).toHaveLength(479);
    expect(new Set(rows.map((one) => `${one.creator}|${one.group}|${one.element}`)).size).toBe(479);
    const count = new Map<string, number>();
    for (const { creator } of rows) count.set(creator, (count.get(creator) ?? 0) + 1);
    expect(Object.fromEntries(count)).toEqual({
      ...{
        ELSCINT1: 7,
        'GEIIS PACS': 3,
        GEMS_ACQU_01: 4,
        GEMS_HELIOS_01: 2,
        GEMS_PARM_01: 3,
        GEMS_SERS_01: 1,
      },
      ...{ 'HOLOGIC, Inc.': 5, NQHeader: 7, NQLeft: 22, NQRight: 22, 'Philips ST80i': 1 },
      ...{ 'Philips Imaging DD 001': 184, 'Philips Imaging DD 002': 86, 'Philips Imaging DD 097': 70 },
      ...{ 'Philips Imaging DD 129': 10, 'Philips MR Imaging DD 001': 2, 'Philips PET Private Group': 2 },
      ...{ 'SIEMENS MR HEADER': 4, 'SIEMENS SYNGO ULTRA-SOUND TOYON DATA STREAMING': 4 },
      'SIEMENS Ultrasound SC2000': 40,
    });
  });

  it('keeps each row with its creator, under the option alone', () => {
    const wrong: string[] = [];
    for (const row of rows) {
      const { vr = 'FD' } = row;
      const tag = tagOf(row);
      const element = vr === 'SQ' ? nested(tag) : makeElement(tag, CALM[vr], { vr });
      const ds = object([creatorOf(row), element]);
      const bare = after(ds);
      const kept = after(ds, 'retainSafePrivate');
      const found = kept.elements.get(tag);
      if ([...bare.elements.keys()].some((one) => one & 0x10000))
        wrong.push(`${row.creator} ${vr}: no option`);
      if (!found || !kept.elements.has(creatorOf(row).tag)) wrong.push(`${row.creator} ${tag} ${vr}: gone`);
      if (vr === 'UI') {
        const [uid] = elementTexts(found ?? element, kept);
        if (uid?.startsWith('2.25.') !== !isVersion(row)) wrong.push(`${row.creator} ${row.element}: ${uid}`);
      } else if (vr !== 'SQ' && String(found?.bytes) !== String(element.bytes))
        wrong.push(`${row.creator} ${tag} ${vr}: changed`);
    }
    expect(wrong).toEqual([]);
  });

  it('keeps no row whose value repeats the patient', () => {
    const kept: string[] = [];
    for (const row of rows) {
      const { vr = 'FD' } = row;
      const value = TELLING[vr];
      if (value === undefined) continue;
      const ds = object([creatorOf(row), makeElement(tagOf(row), value, { vr })]);
      if (after(ds, 'retainSafePrivate').elements.has(tagOf(row))) kept.push(`${row.creator} ${vr}`);
    }
    expect(kept).toEqual([]);
  });

  it('cleans what is in a private sequence by the whole profile', () => {
    for (const row of rows.filter((one) => one.vr === 'SQ')) {
      const out = after(object([creatorOf(row), nested(tagOf(row))]), 'retainSafePrivate');
      const [item] = out.elements.get(tagOf(row))?.items ?? [];
      expect([...(item?.elements.keys() ?? [])]).toEqual([Tags.PatientName, Tags.Rows]);
      expect(item?.elements.get(Tags.PatientName)?.bytes).toHaveLength(0);
    }
  });

  it('keeps pictures in private elements only when nothing is to be hidden in pixels', () => {
    const row = rows.find((one) => one.creator === 'HOLOGIC, Inc.' && one.vr === 'OB')!;
    const private_ = [creatorOf(row), makeElement(tagOf(row), Uint8Array.of(1, 2), { vr: 'OB' })];
    const has = (over: Record<string, Values>, ...options: DeidentifyOption[]): boolean =>
      after(object(private_, over), 'retainSafePrivate', ...options).elements.has(tagOf(row));
    const image = { Rows: 4, Columns: 4, Modality: 'MG' };
    expect(has(image)).toBe(true);
    expect(has({ ...image, BurnedInAnnotation: 'YES' })).toBe(false);
    expect(has({ ...image, ConversionType: 'SI' })).toBe(false);
  });

  it('knows a listed element by its creator and its VR, whatever the block', () => {
    const creator = makeElement(0x001900a3, 'SIEMENS MR HEADER', { vr: 'LO' });
    const at = (element: Element): boolean =>
      after(object([creator, element]), 'retainSafePrivate').elements.has(element.tag);
    expect(at(makeElement(0x0019a30c, '1000', { vr: 'IS' }))).toBe(true);
    expect(at({ tag: 0x0019a30c, vr: 'UN', bytes: new TextEncoder().encode('1000') })).toBe(true);
    expect(at(makeElement(0x0019a30c, '1000', { vr: 'LO' }))).toBe(false);
    expect(at(makeElement(0x0019a40c, '1000', { vr: 'IS' }))).toBe(false);
  });
});

const isVersion = (row: SafePrivateRow): boolean =>
  row.group === '7FD1' || (row.creator === 'NQHeader' && row.element === '01');

function nested(tag: number): Element {
  const item = dataSetOf([
    ...dataSet({ PatientName: 'Quixote', Rows: 4 }).elements.values(),
    makeElement(0x00090010, 'SOME MAKER', { vr: 'LO' }),
    makeElement(0x00091001, 'Quixote', { vr: 'LO' }),
  ]);
  return { tag, vr: 'SQ', items: [item] };
}

describe('Private Data Element Characteristics (PS3.3 §C.12.1.1.7)', () => {
  const block = (status: string, elements: number[] = []): Record<string, Values> => ({
    PrivateDataElementCharacteristicsSequence: [
      dataSet({
        PrivateGroupReference: 0x0009,
        PrivateCreatorReference: 'SOME MAKER',
        BlockIdentifyingInformationStatus: status,
        NonidentifyingPrivateElements: elements,
      }),
    ],
  });
  const elements = [
    makeElement(0x00090010, 'SOME MAKER', { vr: 'LO' }),
    makeElement(0x00091001, [1.5], { vr: 'FD' }),
    makeElement(0x00091002, 'MODE 1', { vr: 'CS' }),
    makeElement(0x00091003, 'quiet words', { vr: 'LO' }),
    makeElement(0x00091004, '1.2.3', { vr: 'UI' }),
    makeElement(0x00091005, '4711001', { vr: 'DS' }),
    makeElement(0x00091006, 'QUIXOTE', { vr: 'CS' }),
    makeElement(0x00091007, Uint8Array.of(1, 2), { vr: 'OB' }),
    makeElement(0x00091008, [dataSet({ Rows: 4 })], { vr: 'SQ' }),
    makeElement(0x00091009, [4711001], { vr: 'UL' }),
  ];
  const kept = (over: Record<string, Values>, ...options: DeidentifyOption[]): string[] =>
    [...after(object(elements, over), ...options).elements.keys()]
      .filter((tag) => tag >>> 16 === 9)
      .map((tag) => tag.toString(16));

  it('is believed for codes and numbers that are not the patient’s', () => {
    expect(kept(block('SAFE'), 'retainSafePrivate')).toEqual(['90010', '91001', '91002']);
    expect(kept(block('MIXED', [0x02, 0x03]), 'retainSafePrivate')).toEqual(['90010', '91002']);
  });
  it('is not believed when it says so, when there is none, or without the option', () => {
    expect(kept(block('UNSAFE', [0x01]), 'retainSafePrivate')).toEqual([]);
    expect(kept({}, 'retainSafePrivate')).toEqual([]);
    expect(kept(block('SAFE'))).toEqual([]);
  });
});
