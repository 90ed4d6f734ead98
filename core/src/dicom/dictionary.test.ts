import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generate } from '../../tools/generate-dictionary.ts';
import { describeWith, shared } from '../../../tools/testing.ts';
import { dataSetOf, makeElement, privateTag } from './element.ts';
import {
  creatorTagOf,
  isPrivate,
  isPrivateCreator,
  lookup,
  parseTag,
  storageSopClass,
  storageSopClasses,
  tagText,
} from './dictionary.ts';
import { privateElements, privateVr } from './private-dictionary.ts';
import { readDataSet } from './read.ts';
import { Tags } from './tags.gen.ts';
import { IMPLICIT_LE } from './transfer-syntax.ts';
import { STORAGE_SOP_CLASSES } from './uids.gen.ts';
import { items, numbers } from './values.ts';
import { isVr, VR_FACTS, VRS } from './vr.ts';
import { writeDataSet } from './write.ts';

interface Attribute {
  readonly tag: string;
  readonly keyword: string;
  readonly valueRepresentation: string;
  readonly valueMultiplicity: string;
  readonly retired: string;
}

describeWith(['shared/standard'], 'the dictionary against PS3.6 as data', () => {
  const folder = shared('standard') ?? '';
  const table = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));

  it('has every attribute with its VRs, VM, keyword and retirement', () => {
    const attributes = (table('attributes.json') as Attribute[]).filter(
      // Items and delimiters have no VR (PS3.5 §7.5); rows without keyword are reserved, without a meaning.
      (one) => one.keyword !== '' && !one.tag.startsWith('(FFFE'),
    );
    expect(attributes.length).toBeGreaterThan(5000);
    const wrong: string[] = [];
    for (const one of attributes) {
      const digits = one.tag.replace(/[(),]/g, '');
      // Of a repeating group an early member, one in the middle and the last; (0028,040x) has names of its own.
      for (const digit of digits.toUpperCase().includes('X') ? ['2', '8', 'E'] : ['']) {
        const tag = Number.parseInt(digits.replace(/x/gi, digit), 16);
        const entry = lookup(tag);
        const vrs = one.valueRepresentation.split(' or ').filter((vr) => vr !== 'See Note');
        const same =
          entry?.tag === tag &&
          entry.keyword === one.keyword &&
          entry.vrs.join() === vrs.join() &&
          entry.vm === one.valueMultiplicity &&
          entry.retired === (one.retired === 'Y');
        if (!same)
          wrong.push(`${one.tag} ${one.keyword} ${one.valueRepresentation}: ${JSON.stringify(entry)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('knows every storage SOP class', () => {
    const sops = table('sops.json') as { id: string; name: string }[];
    expect(sops.filter(({ id, name }) => storageSopClass(id)?.name !== name)).toEqual([]);
    expect(storageSopClasses()).toHaveLength(STORAGE_SOP_CLASSES.length);
    expect(storageSopClass('1.2.840.10008.5.1.4.1.1.129')?.retired).toBe(true);
  });

  it('is what the generator writes', () => {
    for (const [name, text] of Object.entries(generate(folder)))
      expect(readFileSync(join(import.meta.dirname, name), 'utf8') === text, name).toBe(true);
  });
});

describe('tags', () => {
  it.each([
    [0x60000010, 'OverlayRows', 'US'],
    [0x60020010, 'OverlayRows', 'US'],
    [0x601e3000, 'OverlayData', 'OW'],
    [0x50080005, 'CurveDimensions', 'US'],
    [0x501e3000, 'CurveData', 'OW'],
    [0x002031ff, 'SourceImageIDs', 'CS'],
  ])('%i belongs to a repeating group (PS3.5 §7.6)', (tag, keyword, vr) => {
    expect(lookup(tag)).toMatchObject({ tag, keyword });
    expect(lookup(tag)?.vrs).toContain(vr);
  });
  it.each([0x60010010, 0x50010005, 0x60000013, 0x00090010, 0x00100011])('%i is none of the standard', (tag) =>
    expect(lookup(tag)).toBeUndefined(),
  );
  it('of private blocks and their creators (PS3.5 §7.8.1)', () => {
    expect(privateTag(0x0029, 0x10, 0x08)).toBe(0x00291008);
    expect(creatorTagOf(0x00291008)).toBe(0x00290010);
    expect(creatorTagOf(0x0029ff08)).toBe(0x002900ff);
    expect(creatorTagOf(0x00290fff)).toBeUndefined();
    expect(creatorTagOf(0x00281008)).toBeUndefined();
    expect([0x00290010, 0x002900ff, 0x0029000f, 0x00290100, 0x00280010].map(isPrivateCreator)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(isPrivate(0xffff0001)).toBe(true);
  });
  it('are read from keywords and digits, and nothing else', () => {
    expect(parseTag('PatientName')).toBe(Tags.PatientName);
    expect(parseTag('0010001f')).toBe(0x0010001f);
    expect(tagText(0x7fe00010)).toBe('(7FE0,0010)');
    for (const text of ['', '0010', '00100010 ', 'patientname', '__proto__', 'constructor', '(0010,0010)'])
      expect(parseTag(text), text).toBeUndefined();
  });
});

describe('value representations (PS3.5 Table 6.2-1, §7.1.2)', () => {
  it('are all there, with the form of their length', () => {
    expect(VRS).toHaveLength(34);
    expect(VRS.filter((vr) => VR_FACTS[vr].longLength).sort()).toEqual(
      ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'].sort(),
    );
    expect(VRS.filter((vr) => VR_FACTS[vr].charset).sort()).toEqual(
      ['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT'].sort(),
    );
    expect(['XX', 'ob', '', '__proto__', 'constructor'].filter(isVr)).toEqual([]);
  });
});

describe('private elements', () => {
  const vendor = (creator: string, group: number, element: number, value: Uint8Array) =>
    dataSetOf([
      makeElement(privateTag(group, 0, 0x12), creator, { vr: 'LO' }),
      makeElement(privateTag(group, 0x12, element), value, { vr: 'UN' }),
    ]);

  it('of known creators are read by their VR, from implicit VR and from UN', () => {
    const ds = vendor(
      'Philips Imaging DD 001',
      0x2001,
      0x03,
      new Uint8Array(new Float32Array([1000]).buffer),
    );
    for (const syntax of [IMPLICIT_LE, '1.2.840.10008.1.2.1']) {
      const found = readDataSet(writeDataSet(ds, syntax), syntax).dataSet;
      expect(numbers(found, 0x20011203)).toEqual([1000]);
    }
  });
  it('of others, of other blocks and without a creator stay UN', () => {
    const bytes = Uint8Array.of(0, 0, 0, 0);
    for (const ds of [
      vendor('SOMEBODY ELSE', 0x2001, 0x03, bytes),
      vendor('Philips Imaging DD 001', 0x2003, 0x03, bytes),
      vendor('Philips Imaging DD 001', 0x2001, 0xfe, bytes),
      dataSetOf([makeElement(0x20011203, bytes, { vr: 'UN' })]),
    ]) {
      const found = readDataSet(writeDataSet(ds, IMPLICIT_LE), IMPLICIT_LE).dataSet;
      expect([...found.elements.values()].at(-1)).toMatchObject({ vr: 'UN', bytes });
    }
  });
  it('that should be a sequence are one only when an item begins them', () => {
    const known = (value: Uint8Array) =>
      readDataSet(writeDataSet(vendor('HOLOGIC, Inc.', 0x7e01, 0x10, value), IMPLICIT_LE), IMPLICIT_LE)
        .dataSet;
    const item = Uint8Array.of(0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0);
    expect(items(known(item), 0x7e011210)).toHaveLength(1);
    expect(known(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)).elements.get(0x7e011210)?.vr).toBe('UN');
    expect(known(Uint8Array.of(1, 2)).elements.get(0x7e011210)?.vr).toBe('UN');
  });
  it('have VRs that exist, each once', () => {
    const all = privateElements();
    expect(all.length).toBeGreaterThan(150);
    expect(all.filter(([, , , vr]) => !isVr(vr))).toEqual([]);
    expect(new Set(all.map((one) => one.slice(0, 3).join())).size).toBe(all.length);
    for (const [creator, group, element, vr] of all)
      expect(privateVr(creator, privateTag(group, 0x10, element))).toBe(vr);
  });
});

const dcmtk = ['/usr/share', '/usr/local/share', '/usr/share/dcmtk']
  .filter(existsSync)
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name, 'private.dic')))
  .find(existsSync);

describeWith(['dcmdump'], 'private elements against the dictionary of DCMTK', () => {
  it('agree wherever both have one', () => {
    const theirs = new Map<string, Set<string>>();
    for (const line of readFileSync(dcmtk ?? 'private.dic of DCMTK', 'latin1').split('\n')) {
      const match = /^\(([0-9a-f]{4}),"([^"]+)",([0-9a-f]{2})\)\s+(\w\w)\s/i.exec(line);
      if (!match) continue;
      const [, group = '', creator = '', element = '', vr = ''] = match;
      const name = `${creator.toUpperCase()} ${Number.parseInt(group, 16)} ${Number.parseInt(element, 16)}`;
      theirs.set(name, (theirs.get(name) ?? new Set()).add(vr));
    }
    const both = privateElements().filter(([creator, group, element]) =>
      theirs.has(`${creator} ${group} ${element}`),
    );
    expect(both.length).toBeGreaterThan(100);
    const other = both.filter(
      ([creator, group, element, vr]) => theirs.get(`${creator} ${group} ${element}`)?.has(vr) === false,
    );
    expect(other).toEqual([]);
  });
});
