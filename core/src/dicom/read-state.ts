/**
 * What the reader of a data set keeps in mind: the sequences it is in, what it has counted, what it was asked for.
 *
 * Source: PS3.5 §7.1 (elements), §7.5 (sequences), §A.4 (encapsulated pixel data).
 * Layer:  core/dicom.
 */
import type { DataSet, Element, Fragment, Tag } from './data-set.ts';
import type { ReadLimits, Warning, WarningCode } from './parsed.ts';
import type { Layout } from './read-rules.ts';
import { Tags } from './tags.gen.ts';
import type { Vr } from './vr.ts';

/** Of one kind; a broken object could make millions. */
const WARNINGS_PER_CODE = 16;

/** Elements of the data set itself or of one item. */
export interface SetFrame {
  readonly kind: 'set';
  /** Where it ends; infinite when a delimiter, or the end of the stream, ends it. */
  readonly end: number;
  /** Where it has to end at the latest, by the lengths of what it is in. */
  readonly limit: number;
  implicit: boolean;
  littleEndian: boolean;
  readonly elements: Map<Tag, Element>;
  charsets: readonly string[];
  /** Pixel Representation in force: tells US from SS where the dictionary leaves it open (PS3.5 §A.1). */
  signed: boolean;
  /** Highest tag so far, -1 before the first element. */
  last: number;
  sorted: boolean;
}

export interface SequenceFrame {
  readonly kind: 'sequence';
  readonly end: number;
  readonly limit: number;
  readonly implicit: boolean;
  readonly littleEndian: boolean;
  readonly tag: Tag;
  readonly vr: Vr;
  readonly offset: number;
  readonly items: DataSet[];
}

/** Encapsulated pixel data (PS3.5 §A.4). */
export interface FragmentsFrame {
  readonly kind: 'fragments';
  readonly end: number;
  readonly limit: number;
  readonly tag: Tag;
  readonly vr: Vr;
  /** Of the first item's header. */
  readonly offset: number;
  readonly fragments: Fragment[];
  table: Uint8Array | undefined;
  readonly top: boolean;
}

export type Frame = SetFrame | SequenceFrame | FragmentsFrame;

/** Counts shared by all the parsers of one object. */
export interface Budget {
  readonly limits: ReadLimits;
  elements: number;
  items: number;
  headerBytes: number;
  readonly warnings: Warning[];
  readonly warned: Map<WarningCode, number>;
}

export interface ParserOptions {
  readonly layout: Layout;
  readonly keepBytes: number;
  readonly keep: ReadonlySet<Tag>;
  readonly onMismatch: 'fault' | 'warn';
  readonly onElement?: ((tag: Tag, offset: number) => void) | undefined;
  /** Stops before the first element of another group: file meta information. */
  readonly onlyGroup?: number | undefined;
}

export function warn(budget: Budget, code: WarningCode, offset: number, tag?: Tag): void {
  const count = (budget.warned.get(code) ?? 0) + 1;
  budget.warned.set(code, count);
  if (count <= WARNINGS_PER_CODE) budget.warnings.push({ code, offset, tag });
}

export interface Header {
  readonly vr: Vr;
  /** Bytes of tag, VR and length. */
  readonly size: number;
  /** Of the value; 0xFFFFFFFF when undefined. */
  readonly length: number;
  readonly warning?: WarningCode | undefined;
}

export const noFragments = (top: boolean): Pick<FragmentsFrame, 'fragments' | 'table' | 'top'> => ({
  ...{ fragments: [], table: undefined, top },
});

export const isCapital = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a;

export const isPixelData = (tag: Tag): boolean =>
  tag === Tags.PixelData || tag === Tags.FloatPixelData || tag === Tags.DoubleFloatPixelData;

/** Of every empty item: a million maps would take 300 MB (attack A8). Data sets are values, nobody adds to one. */
const NO_ELEMENTS = new Map<Tag, Element>();

export function dataSetOf({ elements, littleEndian, charsets, sorted }: SetFrame): DataSet {
  if (elements.size === 0) return { elements: NO_ELEMENTS, littleEndian, charsets };
  if (sorted) return { elements, littleEndian, charsets };
  return { elements: new Map([...elements].sort(([a], [b]) => a - b)), littleEndian, charsets };
}
