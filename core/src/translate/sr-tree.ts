/**
 * The content tree of a structured report, as nodes a person can read from top to bottom.
 *
 * Source: PS3.3 §C.17.3 (SR Document Content Module: value types, relationships, by-reference items §C.17.3.2.5),
 *         §C.18 (content item macros), PS3.5 §6.2.
 * Layer:  core/translate. Values are text and numbers as sent; nothing here is markup.
 */
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { items, number, numbers, text, texts, uidValue } from '../dicom/values.ts';
import { type Code, codeOf, codeText, sopClassName, unitText } from './codes.ts';

/** A composite object that an item points at. */
export interface SrReference {
  readonly sopClassUid: string;
  readonly sopUid: string;
  /** Referenced Frame Number, empty for the whole object. */
  readonly frames: readonly number[];
  readonly segments: readonly number[];
}

export interface SrItem {
  /** Place in the tree as the standard counts: `1` is the root, `1.2` its second item (§C.17.3.2.5). */
  readonly id: string;
  /** `CONTAINS`, `HAS OBS CONTEXT`, ...; empty for the root. */
  readonly relationship: string;
  /** Value Type; `REFERENCE` for an item by reference. */
  readonly type: string;
  /** Meaning of the concept name. */
  readonly name: string;
  /** DATE, TIME, DATETIME and PNAME as DICOM writes them, everything else ready to be read. */
  readonly value: string;
  readonly unit?: string | undefined;
  /** Code of a CODE item, for those who want to know exactly. */
  readonly code?: Code | undefined;
  readonly reference?: SrReference | undefined;
  /** Of an item by reference: the `id` it points at, when there is such an item. */
  readonly target?: string | undefined;
  readonly children: readonly SrItem[];
}

export interface SrTree {
  readonly root: SrItem;
  readonly count: number;
  /** Items were left out: more, or deeper, than the limits. */
  readonly truncated: boolean;
}

/** A CAD report of a breast tomosynthesis has some 20,000 items; a page cannot show more than this in any way. */
export const MAX_ITEMS = 100_000;
const MAX_DEPTH = 64;
/** Coordinates written out; a contour of 10,000 points is told by its number of points. */
const MAX_POINTS = 4;
const MAX_REFERENCED_NUMBERS = 1000;
const MAX_TARGET_TEXT = 200;

interface Draft extends SrItem {
  target?: string | undefined;
  value: string;
  readonly children: Draft[];
}

interface Budget {
  left: number;
  truncated: boolean;
  readonly byReference: { readonly draft: Draft; readonly path: string }[];
  readonly byId: Map<string, Draft>;
}

/** Reads the tree whose root is the data set itself. */
export function readSrTree(ds: DataSet, maxItems = MAX_ITEMS): SrTree {
  const budget: Budget = { left: maxItems, truncated: false, byReference: [], byId: new Map() };
  const root = readItem(ds, '1', 0, budget);
  // References are resolved to words and never followed: a loop of references ends here (attacks A30).
  for (const { draft, path } of budget.byReference) {
    const target = budget.byId.get(path);
    if (!target) continue;
    draft.target = path;
    draft.value = [target.name, target.value].filter(Boolean).join(': ').slice(0, MAX_TARGET_TEXT);
  }
  return { root, count: maxItems - budget.left, truncated: budget.truncated };
}

function readItem(ds: DataSet, id: string, depth: number, budget: Budget): Draft {
  budget.left -= 1;
  const path = numbers(ds, Tags.ReferencedContentItemIdentifier);
  const type = path.length > 0 ? 'REFERENCE' : (text(ds, Tags.ValueType) ?? '').toUpperCase();
  const draft: Draft = {
    id,
    relationship: text(ds, Tags.RelationshipType) ?? '',
    type,
    name: codeText(codeOf(ds, Tags.ConceptNameCodeSequence)),
    ...valueOf(ds, type),
    children: [],
  };
  budget.byId.set(id, draft);
  if (path.length > 0) budget.byReference.push({ draft, path: path.join('.') });
  const children = items(ds, Tags.ContentSequence);
  for (const [at, child] of children.entries()) {
    if (budget.left <= 0 || depth >= MAX_DEPTH) {
      budget.truncated = true;
      break;
    }
    draft.children.push(readItem(child, `${id}.${at + 1}`, depth + 1, budget));
  }
  return draft;
}

type ItemValue = Pick<SrItem, 'value' | 'unit' | 'code' | 'reference'>;

/** PS3.3 Table C.17.3-7: where each value type keeps its value. */
function valueOf(ds: DataSet, type: string): ItemValue {
  switch (type) {
    case 'TEXT':
      return { value: longText(ds, Tags.TextValue) };
    case 'CODE': {
      const code = codeOf(ds, Tags.ConceptCodeSequence);
      return { value: codeText(code), ...(code ? { code } : {}) };
    }
    case 'NUM':
      return measured(ds);
    case 'DATE':
      return { value: text(ds, Tags.Date) ?? '' };
    case 'TIME':
      return { value: text(ds, Tags.Time) ?? '' };
    case 'DATETIME':
      return { value: text(ds, Tags.DateTime) ?? '' };
    case 'PNAME':
      return { value: text(ds, Tags.PersonName) ?? '' };
    case 'UIDREF':
      return { value: uidValue(ds, Tags.UID) ?? '' };
    case 'COMPOSITE':
    case 'IMAGE':
    case 'WAVEFORM':
      return referenced(ds);
    case 'SCOORD':
    case 'SCOORD3D':
      return { value: coordinates(ds, type === 'SCOORD' ? 2 : 3) };
    case 'TCOORD':
      return { value: temporal(ds) };
    default:
      // CONTAINER has none; an unknown type may still carry text.
      return { value: longText(ds, Tags.TextValue) };
  }
}

/** PS3.3 §C.18.1: the number as it was sent, so that "12.50" keeps its precision. */
function measured(ds: DataSet): ItemValue {
  const item = items(ds, Tags.MeasuredValueSequence)[0];
  const qualifier = codeText(codeOf(ds, Tags.NumericValueQualifierCodeSequence));
  const value = item ? (texts(item, Tags.NumericValue)[0] ?? '') : '';
  const exact = item && value === '' ? number(item, Tags.FloatingPointValue) : undefined;
  const shown = value || (exact === undefined ? '' : String(exact));
  const unit = item ? unitText(codeOf(item, Tags.MeasurementUnitsCodeSequence)) : '';
  return {
    // "Not a number", "Value out of range" and the like replace or qualify the number (CID 42).
    value: shown && qualifier ? `${shown} (${qualifier})` : shown || qualifier,
    ...(unit && shown ? { unit } : {}),
  };
}

/** PS3.3 §C.18.3 to §C.18.5. */
function referenced(ds: DataSet): ItemValue {
  const item = items(ds, Tags.ReferencedSOPSequence)[0];
  if (!item) return { value: '' };
  const reference: SrReference = {
    sopClassUid: uidValue(item, Tags.ReferencedSOPClassUID) ?? '',
    sopUid: uidValue(item, Tags.ReferencedSOPInstanceUID) ?? '',
    frames: numbers(item, Tags.ReferencedFrameNumber).slice(0, MAX_REFERENCED_NUMBERS),
    segments: numbers(item, Tags.ReferencedSegmentNumber).slice(0, MAX_REFERENCED_NUMBERS),
  };
  return { value: sopClassName(reference.sopClassUid), reference };
}

/** PS3.3 §C.18.6, §C.18.9: `CIRCLE (10, 20) (10, 30)`, long ones by their number of points. */
function coordinates(ds: DataSet, dimensions: 2 | 3): string {
  const data = numbers(ds, Tags.GraphicData);
  const points = Math.floor(data.length / dimensions);
  const shown = Array.from({ length: Math.min(points, MAX_POINTS) }, (_, at) => {
    const point = data.slice(at * dimensions, (at + 1) * dimensions);
    return `(${point.map((value) => String(Math.round(value * 100) / 100)).join(', ')})`;
  });
  const more = points > MAX_POINTS ? [`… (${points})`] : [];
  return [text(ds, Tags.GraphicType) ?? '', ...shown, ...more].filter(Boolean).join(' ');
}

/** PS3.3 §C.18.7. */
function temporal(ds: DataSet): string {
  const samples = numbers(ds, Tags.ReferencedSamplePositions).map((at) => `#${at}`);
  const seconds = numbers(ds, Tags.ReferencedTimeOffsets).map((at) => `${at} s`);
  const points = [...samples, ...seconds, ...texts(ds, Tags.ReferencedDateTime)];
  const more = points.length > MAX_POINTS ? [`… (${points.length})`] : [];
  return [text(ds, Tags.TemporalRangeType) ?? '', points.slice(0, MAX_POINTS).join(', '), ...more]
    .filter(Boolean)
    .join(' ');
}

/** Line ends of other systems as one kind; a page shows them as they are. */
function longText(ds: DataSet, tag: Tag): string {
  return (texts(ds, tag)[0] ?? '').replace(/\r\n?/g, '\n').trim();
}
