/**
 * A data set in memory: elements by tag, values kept as the bytes they came in and decoded when asked.
 *
 * Source: PS3.5 §7 (data set, data element), PS3.3 §C.12.1.1.2 (Specific Character Set).
 * Layer:  core/dicom.
 */
import type { Vr } from './vr.ts';

/** 0xGGGGEEEE as an unsigned number, e.g. 0x00100010 PatientName. */
export type Tag = number;

/** A value that was left where it lies: `offset` counts from the first byte of the stream that was read. */
export interface BulkValue {
  readonly offset: number;
  readonly length: number;
}

/** One fragment of an encapsulated Pixel Data element: its value only, without the 8-byte item header (PS3.5 §A.4). */
export type Fragment = BulkValue;

export interface Element {
  readonly tag: Tag;
  readonly vr: Vr;
  /** The value field in the data set's byte order, without the trailing pad removed. A view, not a copy. */
  readonly bytes?: Uint8Array | undefined;
  /** Items of a sequence (SQ, and UN that held an implicit VR sequence). */
  readonly items?: readonly DataSet[] | undefined;
  /** Set when the value was not read into memory (Pixel Data, and values over the reader's `keepBytes`). */
  readonly bulk?: BulkValue | undefined;
  /** Set on encapsulated Pixel Data: the Basic Offset Table item is `fragments[0]` (PS3.5 §A.4). */
  readonly fragments?: readonly Fragment[] | undefined;
}

/** Elements in ascending tag order are a promise of the reader and the writer, not of this map. */
export interface DataSet {
  readonly elements: Map<Tag, Element>;
  readonly littleEndian: boolean;
  /** Values of Specific Character Set in force here: the data set's own, else its parent's. Empty means ISO IR 6. */
  readonly charsets: readonly string[];
}
