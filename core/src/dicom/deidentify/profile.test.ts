/** Table E.1-1, attribute by attribute: what is done is what the table of the standard says, at the top and in an item. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { shared } from '../../../../tools/testing.ts';
import type { COLUMNS } from '../../../tools/generate-deidentify.ts';
import { generate, type ProfileRow, tagPattern } from '../../../tools/generate-deidentify.ts';
import type { DataSet, Element } from '../data-set.ts';
import { isPrivate, lookup } from '../dictionary.ts';
import { dataSet, dataSetOf, makeElement } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { elementTexts, texts } from '../values.ts';
import type { Vr } from '../vr.ts';
import { deidentify } from './deidentify.ts';
import { type DeidentifyOption, METHOD_CODES, profileRows } from './profile.ts';
import { PROFILE } from './profile.gen.ts';

const folder = shared('standard');
const rows: readonly ProfileRow[] = folder
  ? (JSON.parse(
      readFileSync(join(folder, 'confidentiality_profile_attributes.json'), 'utf8'),
    ) as ProfileRow[])
  : [];
if (!folder && process.env['CI'] === 'true')
  throw new Error('the tables of the standard are absent although CI=true');
if (!folder) process.stderr.write('SKIPPED Table E.1-1: needs ../shared/standard\n');

const hash = (text: string): Uint8Array => createHmac('sha256', 'a key of the tests').update(text).digest();
const OPTIONS = Object.keys(METHOD_CODES).filter((name) => name !== 'basic') as DeidentifyOption[];
const COLUMN_OF: Partial<Record<DeidentifyOption, (typeof COLUMNS)[number]>> = {
  retainSafePrivate: 'rtnSafePrivOpt',
  retainUids: 'rtnUIDsOpt',
  retainDeviceIdentity: 'rtnDevIdOpt',
  retainInstitutionIdentity: 'rtnInstIdOpt',
  retainPatientCharacteristics: 'rtnPatCharsOpt',
  retainFullDates: 'rtnLongFullDatesOpt',
  retainModifiedDates: 'rtnLongModifDatesOpt',
  cleanDescriptors: 'cleanDescOpt',
  cleanStructuredContent: 'cleanStructContOpt',
  cleanGraphics: 'cleanGraphOpt',
};

/** Dates, ages and bytes that stand for nothing else in these objects. */
const PLANTED: Partial<Record<Vr, string | number | Uint8Array>> = {
  ...{ DA: '20170708', DT: '20170708091011', TM: '091011', AS: '041Y', DS: '77.125', IS: '77125', US: 7712 },
  ...{ UI: '1.2.3.77125.1', AE: 'AEQUIXOTE', CS: 'CSQUIXOTE', SH: 'CHEST Quixote', UR: 'http://quixote/' },
  ...{ OB: Uint8Array.of(81, 117, 105, 120), UN: Uint8Array.of(81, 117, 105, 120) },
};
const SECRET = /quixote|20170708|77\.?125|091011/i;

function planted(tag: number, vr: Vr): Element {
  if (vr === 'SQ')
    return {
      tag,
      vr,
      items: [
        dataSet({
          ReferencedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
          ReferencedSOPInstanceUID: '1.2.3.77125.1',
          PersonName: 'Quixote^Don',
          CommentsOnThePerformedProcedureStep: 'CHEST Quixote',
        }),
      ],
    };
  return makeElement(tag, PLANTED[vr] ?? 'CHEST Quixote', { vr });
}

/** Everything a person could read in a data set, items included. */
function readable(ds: DataSet): string {
  return [...ds.elements.values()]
    .map((one) =>
      one.items
        ? one.items.map(readable).join('\n')
        : elementTexts(one, ds).join('\\') +
          String.fromCharCode(...(one.vr.startsWith('O') || one.vr === 'UN' ? (one.bytes ?? []) : [])),
    )
    .join('\n');
}

/** What is left of the attribute, in the words of §E.1.1. */
function effect(before: Element, after: Element | undefined, within: DataSet): string {
  if (!after) return 'X';
  if (after.items) {
    const [item] = after.items;
    if (!item) return 'Z';
    if (SECRET.test(readable(item).replaceAll('1.2.3.77125.1', ''))) return 'leak';
    const [uid] = texts(item, Tags.ReferencedSOPInstanceUID);
    if (uid === undefined) return 'D';
    return uid === '1.2.3.77125.1' ? 'K' : 'U';
  }
  if (!after.bytes?.length) return 'Z';
  const [was, is] = [before, after].map((one) =>
    [elementTexts(one, within).join('\\'), String(one.bytes)].join('|'),
  );
  if (was === is) return 'K';
  return elementTexts(after, within)[0]?.startsWith('2.25.') ? 'U' : 'D';
}

/** Where another effect than the table's is right, so that the IOD stays valid; the reasons are in profile.ts. */
const IOD_NEEDS: Readonly<Record<number, string>> = {
  [Tags.PresentationCreationDate]: 'D',
  [Tags.PresentationCreationTime]: 'D',
  [Tags.ReferencedStudySequence]: 'X',
};

/** Effects that fulfil one code of the table for one kind of value; written from §E.1.1, not from the code under test. */
function allowed(code: string, basic: string, vr: Vr, tag: number, option?: DeidentifyOption): string[] {
  // Overlay planes and curves are bitmaps: "the de-identifier is required to remove them, or clean them".
  if (vr === 'OW' || tag >>> 24 === 0x60 || tag >>> 24 === 0x50) return ['X'];
  const iod = IOD_NEEDS[tag];
  if (iod !== undefined && code === basic) return [iod];
  switch (code) {
    case 'X':
      return ['X'];
    case 'Z':
      // The patient's name is a pseudonym at the top: "or a non-zero length value that may be a dummy".
      return tag === Tags.PatientName ? ['D', 'Z'] : ['Z'];
    case 'D':
      return vr === 'UI' ? ['U'] : ['D'];
    case 'U':
    case 'X/Z/U*':
      return ['U'];
    case 'K':
      // Kept sequences are de-identified inside; only the option of UIDs keeps those.
      return vr === 'SQ' ? [option === 'retainUids' ? 'K' : 'U'] : ['K'];
    case 'C':
      if (vr === 'SQ') return ['U'];
      if (vr === 'TM') return ['K'];
      if (vr === 'OB' || isPrivate(tag) || tag === Tags.TimezoneOffsetFromUTC)
        return allowed(basic, basic, vr, tag);
      return ['D'];
    case 'X/Z/D':
      return tag === Tags.ReferencedPerformedProcedureStepSequence ? ['U'] : ['D'];
    case 'Z/D':
    case 'X/D':
      return ['D'];
    case 'X/Z':
      return ['Z'];
    default:
      throw new Error(`unknown code ${code}`);
  }
}

const tagOf = (row: ProfileRow): number => {
  const pattern = tagPattern(row.tag);
  return pattern === 'private'
    ? 0x00091001
    : Number.parseInt(pattern.replaceAll('x', '0').replace('50000000', '50003000'), 16);
};

describe('Table E.1-1 (PS3.15 §E.1)', () => {
  it.runIf(folder)('is the generated table', () => {
    expect(rows).toHaveLength(621);
    expect(generate(rows)).toContain(PROFILE);
    expect(profileRows()).toHaveLength(621);
  });

  it.runIf(folder).each([undefined, ...OPTIONS])('does with each attribute what it says: %s', (option) => {
    const wrong: string[] = [];
    for (const row of rows) {
      const tag = tagOf(row);
      const vr = lookup(tag)?.vr ?? 'LO';
      const before = planted(tag, vr);
      const inside = dataSetOf([
        ...(isPrivate(tag) ? [makeElement(0x00090010, 'SOME MAKER', { vr: 'LO' as const })] : []),
        before,
      ]);
      const whole = dataSetOf([
        makeElement(Tags.SOPClassUID, '1.2.840.10008.5.1.4.1.1.66'),
        ...inside.elements.values(),
        makeElement(Tags.SharedFunctionalGroupsSequence, [inside]),
      ]);
      const { dataSet: after } = deidentify(whole, { options: new Set(option ? [option] : []), hash });
      const column = option && COLUMN_OF[option];
      const code = (column && row[column]) ?? row.basicProfile;
      const expected = allowed(code, row.basicProfile, vr, tag, option);
      const item = after.elements.get(Tags.SharedFunctionalGroupsSequence)?.items?.[0];
      for (const [where, set] of [
        ['top', after],
        ['item', item],
      ] as const) {
        const found = effect(before, set?.elements.get(tag), set ?? after);
        if (!expected.includes(found)) wrong.push(`${row.tag} ${vr} ${code} ${where}: ${found}`);
      }
      if (code !== 'K' && code !== 'C' && option !== 'retainUids' && SECRET.test(readable(after)))
        wrong.push(`${row.tag} ${vr} ${code}: leak`);
    }
    expect(wrong).toEqual([]);
  });
});
