/**
 * What reading a DICOM object yields, and the limits a reader keeps.
 *
 * Source: PS3.10 §7.1 (file meta information), PS3.5 §7 (data set) and §A.4 (encapsulated pixel data).
 * Layer:  core/dicom.
 */
import type { DataSet, Fragment, Tag } from './data-set.ts';
import type { Vr } from './vr.ts';

/** Deviations that did not prevent reading. */
export type WarningCode =
  | 'NO_PREAMBLE'
  | 'NO_META'
  | 'META_LENGTH'
  | 'META_IMPLICIT'
  | 'TRANSFER_SYNTAX_MISSING'
  | 'TRANSFER_SYNTAX_UNKNOWN'
  | 'TRANSFER_SYNTAX_MISMATCH'
  | 'DUPLICATE'
  | 'ORDER'
  | 'ODD_LENGTH'
  | 'UNKNOWN_VR'
  | 'LENGTH_FORM'
  | 'DELIMITER_LENGTH'
  | 'DELIMITER_STRAY'
  | 'DELIMITER_MISSING'
  | 'UNDEFINED_LENGTH'
  | 'IMPLICIT_ITEM'
  | 'FRAGMENT_LENGTH'
  | 'GROUP'
  | 'TRAILING_BYTES';

export interface Warning {
  readonly code: WarningCode;
  /** Where in the stream; of the element concerned. */
  readonly offset: number;
  readonly tag?: Tag | undefined;
}

/** Where the pixels lie: always counted from the first byte pushed (of the inflated data set when `deflated`). */
export interface PixelDataLocation {
  /** (7FE0,0010), or Float (7FE0,0008) or Double Float Pixel Data (7FE0,0009). */
  readonly tag: Tag;
  readonly vr: Vr;
  /** The value field; of encapsulated pixel data all items with their headers, without the sequence delimiter. */
  readonly offset: number;
  readonly length: number;
  /** Values of the items after the Basic Offset Table; undefined for native pixel data. */
  readonly fragments: readonly Fragment[] | undefined;
  /** Value of the first item, little endian, often empty; undefined for native pixel data. */
  readonly basicOffsetTable: Uint8Array | undefined;
}

export interface ParsedObject {
  /** File Meta Information; empty when there was none. */
  readonly meta: DataSet;
  readonly transferSyntaxUid: string;
  readonly dataSet: DataSet;
  /** Bytes of preamble and file meta before the data set. */
  readonly dataSetOffset: number;
  readonly pixelData: PixelDataLocation | undefined;
  /** Every byte pushed, compressed ones where the data set is deflated. */
  readonly totalLength: number;
  readonly warnings: readonly Warning[];
  /** The data set was deflated: its offsets count from the first byte of the inflated data set. */
  readonly deflated: boolean;
}

export interface ReadLimits {
  /** Sequences within sequences. */
  readonly depth: number;
  readonly elements: number;
  /** Items of sequences, and fragments of encapsulated pixel data. */
  readonly items: number;
  /** Bytes of values and element headers taken into memory. */
  readonly headerBytes: number;
  /** Bytes a deflated data set may inflate to; always also 64 MiB or 20 times the input, whichever is more. */
  readonly inflatedBytes: number;
}

/** A CT header is 3 KB with 150 elements; an enhanced multi-frame with 5,000 frames 5 MB with 500,000 elements. */
export const DEFAULT_LIMITS: ReadLimits = {
  depth: 64,
  elements: 2_000_000,
  items: 1_000_000,
  headerBytes: 64 * 1024 * 1024,
  inflatedBytes: 2 * 1024 * 1024 * 1024,
};

export interface ReadOptions {
  /** Given: the bytes are a data set without preamble and meta, as DIMSE carries it. */
  readonly transferSyntaxUid?: string | undefined;
  /** Values longer than this stay where they are, as BulkValue. Default 64 KiB. */
  readonly keepBytes?: number | undefined;
  /** Tags whose values are kept at any length that `headerBytes` allows, except pixel data at the top level. */
  readonly keep?: ReadonlySet<Tag> | undefined;
  readonly limits?: Partial<ReadLimits> | undefined;
  /** A data set that is not written in its declared transfer syntax: refuse it (default), or read what is there and warn. */
  readonly onMismatch?: 'fault' | 'warn' | undefined;
  /**
   * Told of each element of the data set itself where it begins, in the order of the stream (offsets as in BulkValue); of
   * duplicates too.
   */
  readonly onElement?: ((tag: Tag, offset: number) => void) | undefined;
  /** The chunks will not be changed after `push`, so that values may be views on them. Default false: header bytes are copied. */
  readonly ownsChunks?: boolean | undefined;
}
