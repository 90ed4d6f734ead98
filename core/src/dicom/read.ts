/**
 * Reads DICOM objects: files (Part 10) and the data sets that messages carry. Incremental: bytes come in any pieces,
 * and pixel data and other large values are passed over, so that memory does not grow with the object.
 *
 * Source: PS3.10 §7.1 (preamble, file meta information), PS3.5 Annex A (transfer syntaxes), §A.5 (deflate).
 * Layer:  core/dicom.
 */
import { Inflate } from 'fflate';
import { asFault, Fault } from '../base/fault.ts';
import { ByteWindow } from './byte-window.ts';
import { emptyDataSet } from './element.ts';
import type { DataSet } from './data-set.ts';
import { DEFAULT_LIMITS, type ParsedObject, type ReadOptions, type WarningCode } from './parsed.ts';
import { DataSetParser } from './read-data-set.ts';
import { looksLikeDataSet, sniffLayout } from './read-rules.ts';
import { type Budget, type ParserOptions, warn } from './read-state.ts';
import { Tags } from './tags.gen.ts';
import {
  EXPLICIT_BE,
  EXPLICIT_LE,
  IMPLICIT_LE,
  readingSyntax,
  type TransferSyntax,
} from './transfer-syntax.ts';
import { number, uidValue } from './values.ts';

const PREAMBLE = 128;
const DEFAULT_KEEP = 64 * 1024;
/** Pieces in which chunks that may change are copied, until pixel data is reached. */
const PIECE = 64 * 1024;
/** Deflate makes at most 1,032 bytes of one: 4 MB at a time. */
const INFLATE_PIECE = 4096;
const INFLATED_FREE = 64 * 1024 * 1024;
const INFLATED_RATIO = 20;

type Stage = 'start' | 'meta' | 'syntax' | 'data';

/**
 * Push the bytes of one object, then `end()`.
 *
 * @example
 * const reader = new DicomReader();
 * for await (const chunk of file) reader.push(chunk);
 * const { dataSet, pixelData } = reader.end();
 *
 * `push` and `end` throw a Fault with a DICOM_ code when the bytes are no DICOM object; the reader is of no use then.
 */
export class DicomReader {
  readonly #options: ReadOptions;
  readonly #budget: Budget;
  readonly #window = new ByteWindow();
  readonly #lasting: boolean;
  #stage: Stage;
  #meta: DataSet = emptyDataSet();
  #metaParser: DataSetParser | undefined;
  #metaStart = 0;
  #syntax: TransferSyntax = readingSyntax(EXPLICIT_LE);
  #dataSetOffset = 0;
  #parser: DataSetParser | undefined;
  #inflater: Inflater | undefined;
  #total = 0;
  #ended = false;

  constructor(options: ReadOptions = {}) {
    this.#options = options;
    this.#lasting = options.ownsChunks ?? false;
    this.#budget = {
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      ...{ elements: 0, items: 0, headerBytes: 0, warnings: [], warned: new Map() },
    };
    this.#stage = options.transferSyntaxUid === undefined ? 'start' : 'data';
    if (options.transferSyntaxUid !== undefined) this.#use(options.transferSyntaxUid);
  }

  /** Everything before the pixel data is read; false for an object without pixel data until it ends. */
  get headerDone(): boolean {
    return this.#parser?.pixelsReached ?? false;
  }

  /** Bytes that come next and need not be pushed: `skip` them. 0 where they have to be read. */
  get skippable(): number {
    return this.#inflater || this.#window.available > 0 ? 0 : (this.#parser?.skipping ?? 0);
  }

  /** Passes over bytes that stay where they are; at most `skippable`. */
  skip(count: number): void {
    this.#total += count;
    this.#parser?.skipped(count);
  }

  push(chunk: Uint8Array): void {
    if (this.#ended) throw new Fault('INTERNAL', { what: 'push after end' });
    this.#total += chunk.length;
    let at = 0;
    while (at < chunk.length) {
      const { skippable } = this;
      if (skippable > 0) {
        const count = Math.min(skippable, chunk.length - at);
        this.#parser?.skipped(count);
        at += count;
        continue;
      }
      const piece = chunk.subarray(at, this.#lasting ? chunk.length : at + PIECE);
      at += piece.length;
      if (this.#inflater) this.#inflater.push(piece);
      else {
        this.#window.give(piece, this.#lasting);
        this.#run(false);
      }
    }
  }

  end(): ParsedObject {
    if (this.#ended) throw new Fault('INTERNAL', { what: 'end after end' });
    this.#ended = true;
    this.#run(true);
    this.#inflater?.end();
    const parser = this.#parser;
    if (!parser) throw new Fault('DICOM_NOT_PART10');
    const dataSet = parser.finish();
    return {
      meta: this.#meta,
      transferSyntaxUid: this.#syntax.uid,
      dataSet,
      dataSetOffset: this.#dataSetOffset,
      pixelData: parser.pixelData,
      totalLength: this.#total,
      warnings: this.#budget.warnings,
      deflated: this.#inflater !== undefined,
    };
  }

  #warn(code: WarningCode): void {
    warn(this.#budget, code, this.#window.offset);
  }

  #run(atEnd: boolean): void {
    if (this.#stage === 'start' && !this.#start(atEnd)) return;
    if (this.#stage === 'meta' && !this.#readMeta(atEnd)) return;
    if (this.#stage === 'syntax' && !this.#chooseSyntax(atEnd)) return;
    if (!this.#inflater) this.#parser?.run();
  }

  /** Preamble and prefix; what has neither but looks like a data set is read as one. */
  #start(atEnd: boolean): boolean {
    const window = this.#window;
    if (window.available < PREAMBLE + 6 && !atEnd) return false;
    if (hasPreamble(window)) window.skip(PREAMBLE + 4);
    else {
      if (isPrefix(window, window.at)) window.skip(4);
      else if (!looksLikeDataSet(window)) throw new Fault('DICOM_NOT_PART10');
      this.#warn('NO_PREAMBLE');
    }
    this.#metaStart = window.offset;
    this.#stage = 'meta';
    this.#metaParser = new DataSetParser(
      window,
      { ...this.#parserOptions({ implicit: false, littleEndian: true }), onlyGroup: 2 },
      this.#budget,
    );
    return true;
  }

  #readMeta(atEnd: boolean): boolean {
    const parser = this.#metaParser;
    if (!parser) return false;
    parser.run();
    if (!parser.stopped && !atEnd) return false;
    if (!parser.stopped && this.#window.available > 0)
      throw new Fault('DICOM_TRUNCATED', { at: this.#window.offset });
    this.#meta = parser.finish();
    if (this.#meta.elements.size === 0) this.#warn('NO_META');
    const declared = number(this.#meta, Tags.FileMetaInformationGroupLength);
    // (0002,0000) with its header is 12 bytes; the length counts what follows it (PS3.10 §7.1).
    if (declared !== undefined && this.#metaStart + 12 + declared !== this.#window.offset)
      this.#warn('META_LENGTH');
    this.#dataSetOffset = this.#window.offset;
    this.#stage = 'syntax';
    return true;
  }

  #chooseSyntax(atEnd: boolean): boolean {
    const window = this.#window;
    const named = uidValue(this.#meta, Tags.TransferSyntaxUID);
    if (named !== undefined) {
      this.#stage = 'data';
      this.#use(named);
      return true;
    }
    if (window.available < 8 && !atEnd) return false;
    this.#warn('TRANSFER_SYNTAX_MISSING');
    const found = sniffLayout(window, { implicit: false, littleEndian: true });
    const explicit = found?.littleEndian === false ? EXPLICIT_BE : EXPLICIT_LE;
    this.#stage = 'data';
    this.#use(found?.implicit === true ? IMPLICIT_LE : explicit);
    return true;
  }

  #use(uid: string): void {
    this.#syntax = readingSyntax(uid);
    if (!this.#syntax.known) this.#warn('TRANSFER_SYNTAX_UNKNOWN');
    const layout = { implicit: !this.#syntax.explicitVr, littleEndian: this.#syntax.littleEndian };
    const options = { ...this.#parserOptions(layout), onElement: this.#options.onElement };
    if (!this.#syntax.deflated) {
      this.#parser = new DataSetParser(this.#window, options, this.#budget);
      return;
    }
    const inflated = new ByteWindow();
    this.#parser = new DataSetParser(inflated, options, this.#budget);
    this.#inflater = new Inflater(inflated, this.#parser, this.#budget.limits.inflatedBytes);
    const window = this.#window;
    const rest = window.bytes.subarray(window.at, window.end);
    window.skip(rest.length);
    this.#inflater.push(rest);
  }

  #parserOptions(layout: ParserOptions['layout']): ParserOptions {
    const { keepBytes = DEFAULT_KEEP, keep = new Set(), onMismatch = 'fault' } = this.#options;
    return { layout, keepBytes, keep, onMismatch };
  }
}

/** Feeds a parser with what a deflated data set inflates to (PS3.5 §A.5: RFC 1951, no header). */
class Inflater {
  readonly #inflate: Inflate;
  readonly #window: ByteWindow;
  readonly #parser: DataSetParser;
  readonly #limit: number;
  #taken = 0;
  #given = 0;
  #done = false;

  constructor(window: ByteWindow, parser: DataSetParser, limit: number) {
    this.#window = window;
    this.#parser = parser;
    this.#limit = limit;
    this.#inflate = new Inflate((chunk) => this.#take(chunk));
  }

  push(packed: Uint8Array): void {
    for (let at = 0; at < packed.length; at += INFLATE_PIECE) {
      const piece = packed.subarray(at, at + INFLATE_PIECE);
      this.#taken += piece.length;
      this.#feed(piece, false);
    }
  }

  end(): void {
    this.#feed(new Uint8Array(0), true);
  }

  #feed(piece: Uint8Array, final: boolean): void {
    if (this.#done) return;
    try {
      // The library reads from the piece later on: it gets one of its own.
      this.#inflate.push(piece.slice(), final);
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new Fault('DICOM_INFLATE', {}, { cause: asFault(error) });
    }
  }

  #take(chunk: Uint8Array): void {
    this.#given += chunk.length;
    if (this.#given > Math.min(this.#limit, Math.max(INFLATED_FREE, this.#taken * INFLATED_RATIO)))
      throw new Fault('DICOM_INFLATE', { limit: true });
    const skipping = this.#window.available > 0 ? 0 : this.#parser.skipping;
    const count = Math.min(skipping, chunk.length);
    if (count > 0) this.#parser.skipped(count);
    if (count === chunk.length) return;
    this.#window.give(chunk.subarray(count), false);
    this.#parser.run();
  }
}

/** A data set without preamble may have these four letters in a value that lies there: then no meta follows them. */
function hasPreamble(window: ByteWindow): boolean {
  const { at } = window;
  if (!isPrefix(window, at + PREAMBLE)) return false;
  return window.u16(at + PREAMBLE + 4, true) === 2 || !looksLikeDataSet(window);
}

function isPrefix({ bytes, end }: ByteWindow, at: number): boolean {
  // "DICM"
  return (
    at + 4 <= end &&
    bytes[at] === 0x44 &&
    bytes[at + 1] === 0x49 &&
    bytes[at + 2] === 0x43 &&
    bytes[at + 3] === 0x4d
  );
}

/**
 * A whole file in memory. Values are views on `bytes`.
 *
 * @throws Fault DICOM_NOT_PART10, DICOM_TRUNCATED and the others of the reader.
 */
export function readPart10(bytes: Uint8Array, options: ReadOptions = {}): ParsedObject {
  const reader = new DicomReader({ ...options, transferSyntaxUid: undefined, ownsChunks: true });
  reader.push(bytes);
  return reader.end();
}

/** A whole data set in memory, as a message carries it. Values are views on `bytes`, unless it is deflated. */
export function readDataSet(
  bytes: Uint8Array,
  transferSyntaxUid: string,
  options: ReadOptions = {},
): ParsedObject {
  const reader = new DicomReader({ ...options, transferSyntaxUid, ownsChunks: true });
  reader.push(bytes);
  return reader.end();
}
