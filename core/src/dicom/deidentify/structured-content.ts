/**
 * What happens to the items of reports, acquisition contexts and specimen preparations, by the concepts they are named with.
 *
 * Source: PS3.15 §E.3.4 and Table E.3.4-1; content items PS3.3 §C.17.3 and §10.2 (Content Item Macro).
 * Layer:  core/dicom. What the table does not name is cleaned attribute by attribute like everything else.
 */
import type { DataSet, Element, Tag } from '../data-set.ts';
import { dataSetOf, makeElement } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { items, number, text } from '../values.ts';
import { type DeidentifyOption, type ProfileRow, strictest } from './profile.ts';
import { CONTENT_ROWS, RETIRED_CODES } from './structured-content-rows.ts';

/** Letters of the table's option columns. */
const OPTIONS: Readonly<Record<string, Partial<Record<DeidentifyOption, 'K' | 'C'>>>> = {
  u: { retainUids: 'K' },
  d: { retainDeviceIdentity: 'K' },
  i: { retainInstitutionIdentity: 'K' },
  p: { retainPatientCharacteristics: 'K' },
  t: { retainFullDates: 'K', retainModifiedDates: 'C' },
  c: { cleanDescriptors: 'C' },
};

/** The table, row by row; `pattern` is `coding scheme|code|value type`. Of X/D the dummy is taken, as in Table E.1-1. */
export function contentRows(): ProfileRow[] {
  return CONTENT_ROWS.trim()
    .split('\n')
    .map((line) => {
      const [scheme = '', code = '', type = '', basic = '', letters = ''] = line.split('|');
      const options = Object.assign({}, ...[...letters].map((one) => OPTIONS[one])) as ProfileRow['options'];
      return { pattern: `${scheme}|${code}|${type}`, code: basic, basic: strictest(basic), options };
    });
}

/** SRT, SNM3 and 99SDM were SNOMED's IDs in letters; the same concepts are SCT today. */
const RETIRED_SCHEMES = new Set(['SRT', 'SNM3', '99SDM']);

interface Table {
  readonly rows: ReadonlyMap<string, ProfileRow>;
  readonly retired: ReadonlyMap<string, string>;
}

let table: Table | undefined;

function parsed(): Table {
  table ??= {
    rows: new Map(contentRows().map((row) => [row.pattern, row] as const)),
    retired: new Map(
      RETIRED_CODES.trim()
        .split('\n')
        .map((line) => line.split(' '))
        .map(([today = '', before = '']) => [before, today] as const),
    ),
  };
  return table;
}

/** The table's row for a content item; undefined when the table does not name its concept with its value type. */
export function contentRow(item: DataSet): ProfileRow | undefined {
  const type = text(item, Tags.ValueType)?.trim();
  if (type === undefined) return undefined;
  const [concept] = items(item, Tags.ConceptNameCodeSequence);
  if (!concept) return undefined;
  let scheme = text(concept, Tags.CodingSchemeDesignator)?.trim() ?? '';
  let code = (text(concept, Tags.CodeValue) ?? text(concept, Tags.LongCodeValue))?.trim() ?? '';
  const { rows, retired } = parsed();
  if (RETIRED_SCHEMES.has(scheme)) {
    code = retired.get(code) ?? code;
    scheme = 'SCT';
  }
  // Acquisition contexts say NUMERIC where reports say NUM (PS3.3 §10.2, §C.18.1).
  return rows.get(`${scheme}|${code}|${type === 'NUMERIC' ? 'NUM' : type}`);
}

/** Sequences whose items are content items (§E.3.4: reports, acquisition context, specimen preparation). */
const CONTENT: ReadonlySet<Tag> = new Set([
  Tags.ContentSequence,
  Tags.AcquisitionContextSequence,
  Tags.SpecimenPreparationStepContentItemSequence,
  Tags.SpecimenLocalizationContentItemSequence,
  Tags.ContentItemModifierSequence,
  Tags.ProtocolContextSequence,
]);

export const isContent = (tag: Tag): boolean => CONTENT.has(tag);

/** Without one item a step of a preparation is not valid (Type 1, PS3.3 Table C.7.6.22-1): the last item becomes a dummy. */
export const needsItem = (tag: Tag): boolean => tag === Tags.SpecimenPreparationStepContentItemSequence;
/** Type 2 (PS3.3 Table C.7.6.14-1): stays when it is empty. */
export const mayBeEmpty = (tag: Tag): boolean => tag === Tags.AcquisitionContextSequence;

const VALUES: Readonly<Record<string, Tag>> = {
  CODE: Tags.ConceptCodeSequence,
  COMPOSITE: Tags.ReferencedSOPSequence,
  DATE: Tags.Date,
  DATETIME: Tags.DateTime,
  IMAGE: Tags.ReferencedSOPSequence,
  NUM: Tags.MeasuredValueSequence,
  NUMERIC: Tags.NumericValue,
  PNAME: Tags.PersonName,
  TEXT: Tags.TextValue,
  TIME: Tags.Time,
  UIDREF: Tags.UID,
  WAVEFORM: Tags.ReferencedSOPSequence,
};

/** Where the value of a content item is (PS3.3 Table C.18.1-1 and on); a container has none. */
export function valueOf(item: DataSet): Element | undefined {
  const tag = VALUES[text(item, Tags.ValueType)?.trim() ?? ''];
  return tag === undefined ? undefined : item.elements.get(tag);
}

/**
 * Whether items point at others by their place in the tree (§C.17.3.2.5): then none may go, or the places would be other ones.
 */
export function hasPlaces(ds: DataSet): boolean {
  const open: DataSet[] = [...items(ds, Tags.ContentSequence)];
  for (let item = open.pop(); item; item = open.pop()) {
    if (item.elements.has(Tags.ReferencedContentItemIdentifier)) return true;
    for (const child of items(item, Tags.ContentSequence)) open.push(child);
  }
  return false;
}

/** 90 years in the units of an age (UCUM); an unknown unit is read as years. */
const OLD: Readonly<Record<string, number>> = { mo: 1080, wk: 4696, d: 32_873 };
/** The same number once more, exactly (PS3.3 Table C.18.1-1). */
const EXACT: readonly Tag[] = [
  Tags.FloatingPointValue,
  Tags.RationalNumeratorValue,
  Tags.RationalDenominatorValue,
];

/** An age with what is over 89 told only as 90 and more, as in (0010,1010) (45 CFR 164.514(b)(2)(i)(C)). */
export function withoutOldAge(measured: DataSet): DataSet {
  const [unit] = items(measured, Tags.MeasurementUnitsCodeSequence);
  const old = OLD[(unit && text(unit, Tags.CodeValue)) ?? ''] ?? 90;
  if (!((number(measured, Tags.NumericValue) ?? 0) >= old)) return measured;
  const elements = new Map(measured.elements);
  for (const tag of EXACT) elements.delete(tag);
  elements.set(Tags.NumericValue, makeElement(Tags.NumericValue, String(old)));
  return dataSetOf(elements.values(), measured.charsets, measured.littleEndian);
}

/** Subject Age, the one number of the table that may stay. */
export const isAge = ({ pattern }: ProfileRow): boolean => pattern === 'DCM|121033|NUM';

/** Texts that are somebody's number under every option: what they say must not be said elsewhere either. */
export const isIdentifier = ({ pattern, options }: ProfileRow): boolean =>
  pattern.endsWith('|TEXT') && Object.keys(options).length === 0;
