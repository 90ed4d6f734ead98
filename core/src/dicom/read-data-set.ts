/**
 * Reads the elements of one data set from a stream, in whatever pieces it comes.
 *
 * Source: PS3.5 §7.1 (elements), §7.5 (sequences), §6.2.2 (unknown VR; CP-246), §A.4 (encapsulated pixel data),
 *         §7.3 (big endian), Annex A (transfer syntaxes).
 * Layer:  core/dicom.
 */
import { Fault } from '../base/fault.ts';
import type { ByteWindow } from './byte-window.ts';
import { decodeCharsets, implicitVr, sniffLayout } from './read-rules.ts';
import {
  type Budget,
  dataSetOf,
  type FragmentsFrame,
  type Frame,
  type Header,
  isCapital,
  isPixelData,
  noFragments,
  type ParserOptions,
  type SequenceFrame,
  type SetFrame,
  warn,
} from './read-state.ts';
import type { DataSet, Element, Tag } from './data-set.ts';
import { isPrivate, tagText } from './dictionary.ts';
import type { PixelDataLocation } from './parsed.ts';
import { Tags } from './tags.gen.ts';
import { type Vr, vrOfBytes } from './vr.ts';

const UNDEFINED = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;

export class DataSetParser {
  readonly #window: ByteWindow;
  readonly #options: ParserOptions;
  readonly #budget: Budget;
  readonly #root: SetFrame;
  readonly #stack: Frame[];
  #skip = 0;
  #trailing = false;
  #stopped = false;
  #pixelData: PixelDataLocation | undefined;

  constructor(window: ByteWindow, options: ParserOptions, budget: Budget) {
    this.#window = window;
    this.#options = options;
    this.#budget = budget;
    this.#root = {
      ...{ kind: 'set', end: Infinity, limit: Infinity, charsets: [], signed: false, last: -1, sorted: true },
      implicit: options.layout.implicit,
      littleEndian: options.layout.littleEndian,
      elements: new Map(),
    };
    this.#stack = [this.#root];
  }

  get pixelData(): PixelDataLocation | undefined {
    return this.#pixelData;
  }

  /** Pixel Data of the data set was reached: everything before it is read. */
  get pixelsReached(): boolean {
    return this.#pixelData !== undefined || this.#stack.some((one) => one.kind === 'fragments' && one.top);
  }

  /** An element of another group than `onlyGroup` follows. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Bytes that are to be passed over without being looked at. */
  get skipping(): number {
    return this.#trailing ? Infinity : this.#skip;
  }

  /** Passes over bytes that were not given to the window. */
  skipped(count: number): void {
    this.#skip = Math.max(0, this.#skip - count);
    this.#window.skip(0, count);
  }

  /** Reads as far as the bytes go. */
  run(): void {
    const window = this.#window;
    for (;;) {
      if (this.#stopped) return;
      if (this.skipping > 0) {
        const count = Math.min(this.skipping, window.available);
        window.skip(count);
        this.#skip = Math.max(0, this.#skip - count);
        if (this.skipping > 0) return;
      }
      const frame = this.#stack[this.#stack.length - 1] ?? this.#root;
      if (window.offset >= frame.end) this.#close();
      else if (!this.#step(frame)) return;
    }
  }

  /** The data set, at the end of the stream. */
  finish(): DataSet {
    const window = this.#window;
    if (this.#skip > 0) throw new Fault('DICOM_TRUNCATED', { at: window.offset });
    const top = this.#stack[this.#stack.length - 1];
    if (
      top?.kind === 'fragments' &&
      this.#stack.length === 2 &&
      window.available < 8 &&
      this.#allFrames(top)
    ) {
      // The last fragment is whole and every frame is there: only the delimiter is missing.
      warn(this.#budget, 'DELIMITER_MISSING', window.offset, top.tag);
      this.#close();
    }
    if (this.#stack.length > 1) throw new Fault('DICOM_TRUNCATED', { at: window.offset });
    if (window.available > 0 && !this.#stopped) {
      const rest = window.bytes.subarray(window.at, window.end);
      const padding = rest.length < 8 && rest.every((byte) => byte === 0 || byte === 0x20);
      if (!this.#pixelData && !padding) throw new Fault('DICOM_TRUNCATED', { at: window.offset });
      if (rest.length >= 8) throw new Fault('DICOM_TRUNCATED', { at: window.offset });
      warn(this.#budget, 'TRAILING_BYTES', window.offset);
    }
    return dataSetOf(this.#root);
  }

  #step(frame: Frame): boolean {
    const window = this.#window;
    // What is left of an item or sequence is too short for anything to be in it.
    if (window.offset + 8 > frame.limit) throw new Fault('DICOM_LENGTH', { at: window.offset });
    if (window.available < 8) return false;
    if (frame.kind === 'set') return this.#element(frame);
    return frame.kind === 'sequence' ? this.#item(frame) : this.#fragment(frame);
  }

  // --- elements

  #element(frame: SetFrame): boolean {
    const window = this.#window;
    const { at } = window;
    const tag = window.tag(at, frame.littleEndian);
    const group = Math.floor(tag / 0x10000);
    if (this.#options.onlyGroup !== undefined && frame === this.#root && group !== this.#options.onlyGroup) {
      this.#stopped = true;
      return true;
    }
    if (frame.last < 0 && !this.#begin(frame)) return true;
    if (group === 0xfffe) return this.#delimiter(frame, tag);
    if (frame === this.#root && this.#isPadding(frame, tag)) {
      warn(this.#budget, 'TRAILING_BYTES', window.offset);
      this.#trailing = true;
      return true;
    }
    // A command in a data set is a message cut at the wrong place (PS3.7 §6.3.1): nothing in it is to be believed.
    if (group === 0) throw new Fault('DICOM_STRUCTURE', { tag: tagText(tag), at: window.offset });
    const header = this.#header(frame, tag);
    if (!header) return false;
    const { vr, size, length } = header;
    const start = window.offset + size;
    if (start + (length === UNDEFINED ? 0 : length) > frame.limit)
      throw new Fault('DICOM_LENGTH', { tag: tagText(tag), at: window.offset });
    if (frame === this.#root && isPixelData(tag)) return this.#pixels(frame, tag, header);
    if (vr === 'SQ' || length === UNDEFINED) return this.#open(frame, tag, header);
    if (vr === 'UN' && this.#mayHoldItems(frame, tag, length)) {
      if (window.available < size + 4) return false;
      if (window.tag(window.at + size, true) === ITEM) return this.#open(frame, tag, header);
    }
    const kept = length <= this.#options.keepBytes || this.#options.keep.has(tag);
    this.#spend(size + (kept ? length : 0));
    if (kept && window.available < size + length) {
      this.#budget.headerBytes -= size + length;
      return false;
    }
    this.#note(frame, tag, header);
    window.skip(size);
    if (kept) {
      const bytes = window.bytes.subarray(window.at, window.at + length);
      window.skip(length);
      this.#put(frame, { tag, vr, bytes });
    } else {
      this.#skip = length;
      this.#put(frame, { tag, vr, bulk: { offset: start, length } });
    }
    return true;
  }

  /** Behind the pixels anything that cannot be a tag; behind other elements eight zeros, as files on media are filled up. */
  #isPadding(frame: SetFrame, tag: Tag): boolean {
    if (tag !== 0 && tag !== 0xffffffff) return false;
    return (
      this.#pixelData !== undefined ||
      (tag === 0 && frame.last > 0 && this.#window.u32(this.#window.at + 4, true) === 0)
    );
  }

  /** Looks whether the first element is written as declared; false when the frame was changed to what is there. */
  #begin(frame: SetFrame): boolean {
    const window = this.#window;
    const found = sniffLayout(window, frame);
    if (!found || (found.implicit === frame.implicit && found.littleEndian === frame.littleEndian))
      return true;
    if (frame !== this.#root) {
      if (found.littleEndian !== frame.littleEndian) return true;
      warn(this.#budget, 'IMPLICIT_ITEM', window.offset);
    } else if (this.#options.onlyGroup !== undefined) {
      if (found.littleEndian !== frame.littleEndian) return true;
      warn(this.#budget, 'META_IMPLICIT', window.offset);
    } else {
      if (this.#options.onMismatch === 'fault') throw new Fault('DICOM_SYNTAX_MISMATCH');
      warn(this.#budget, 'TRANSFER_SYNTAX_MISMATCH', window.offset);
    }
    frame.implicit = found.implicit;
    frame.littleEndian = found.littleEndian;
    return false;
  }

  #header(frame: SetFrame, tag: Tag): Header | undefined {
    const window = this.#window;
    const { at } = window;
    if (frame.implicit) {
      const length = window.u32(at + 4, frame.littleEndian);
      const known = implicitVr(tag, frame.signed, frame.elements);
      // That a private element is a sequence is only believed when an item begins it: see `#mayHoldItems`.
      const vr = known === 'SQ' && isPrivate(tag) && length !== UNDEFINED ? 'UN' : known;
      return { vr, size: 8, length };
    }
    const first = window.bytes[at + 4] ?? 0;
    const second = window.bytes[at + 5] ?? 0;
    const facts = vrOfBytes(first, second);
    // A VR of the future has the long form (PS3.5 §6.2.2); anything else is a writer's slip in a short one.
    const long = facts ? facts.longLength : isCapital(first) && isCapital(second);
    if (long && window.available < 12) return undefined;
    const length = long ? window.u32(at + 8, frame.littleEndian) : window.u16(at + 6, frame.littleEndian);
    const odd = facts ? undefined : 'UNKNOWN_VR';
    const form = facts && long && window.u16(at + 6, true) !== 0 ? 'LENGTH_FORM' : undefined;
    const size = long ? 12 : 8;
    return { vr: this.#known(frame, tag, facts?.vr ?? 'UN', length), size, length, warning: odd ?? form };
  }

  /** UN of a tag the dictionaries know holds what implicit VR little endian would (PS3.5 §6.2.2, Note 2). */
  #known(frame: SetFrame, tag: Tag, vr: Vr, length: number): Vr {
    if (vr !== 'UN' || length === UNDEFINED || !frame.littleEndian) return vr;
    const known = implicitVr(tag, frame.signed, frame.elements);
    return known === 'SQ' ? vr : known;
  }

  /** What is told once an element is read for good. */
  #note(frame: SetFrame, tag: Tag, { length, warning }: Header): void {
    const { offset } = this.#window;
    if (frame === this.#root) this.#options.onElement?.(tag, offset);
    if (++this.#budget.elements > this.#budget.limits.elements)
      throw new Fault('DICOM_TOO_MANY', { at: offset });
    if (warning) warn(this.#budget, warning, offset, tag);
    if (length !== UNDEFINED && length % 2 === 1) warn(this.#budget, 'ODD_LENGTH', offset, tag);
    if (tag < frame.last) {
      frame.sorted = false;
      warn(this.#budget, 'ORDER', offset, tag);
    } else frame.last = tag;
  }

  #put(frame: SetFrame, element: Element): void {
    const { tag } = element;
    const { offset } = this.#window;
    if (frame.elements.has(tag)) {
      // The first stands: every reader of Lightbox sees the same one, and the warning tells of the other.
      warn(this.#budget, 'DUPLICATE', offset, tag);
      return;
    }
    const group = Math.floor(tag / 0x10000);
    if (this.#options.onlyGroup === undefined && group === 2) {
      // Meta elements have no place in a data set (PS3.10 §7.1).
      warn(this.#budget, 'GROUP', offset, tag);
      return;
    }
    if (group === 1 || group === 3 || group === 5 || group === 7 || group === 0xffff)
      warn(this.#budget, 'GROUP', offset, tag);
    frame.elements.set(tag, element);
    if (tag === Tags.SpecificCharacterSet && element.bytes) frame.charsets = decodeCharsets(element.bytes);
    if (tag === Tags.PixelRepresentation && element.bytes?.length)
      frame.signed = (element.bytes[frame.littleEndian ? 0 : 1] ?? 0) === 1;
  }

  #spend(bytes: number): void {
    this.#budget.headerBytes += bytes;
    if (this.#budget.headerBytes > this.#budget.limits.headerBytes)
      throw new Fault('DICOM_HEADER_SIZE', { at: this.#window.offset });
  }

  // --- sequences

  /** UN of a sequence the dictionaries know, with a length: implicit VR little endian inside (PS3.5 §6.2.2, Note 2). */
  #mayHoldItems(frame: SetFrame, tag: Tag, length: number): boolean {
    if (length < 8 || (frame.implicit && !isPrivate(tag))) return false;
    return implicitVr(tag, frame.signed, frame.elements) === 'SQ';
  }

  #open(frame: SetFrame, tag: Tag, header: Header): boolean {
    const window = this.#window;
    const { size, length } = header;
    let { vr } = header;
    if (vr !== 'SQ' && vr !== 'UN' && !frame.implicit && vr !== 'OB' && vr !== 'OW')
      throw new Fault('DICOM_LENGTH', { tag: tagText(tag), at: window.offset });
    if (this.#stack.length > this.#budget.limits.depth * 2)
      throw new Fault('DICOM_DEPTH', { at: window.offset });
    this.#note(frame, tag, header);
    this.#spend(size);
    window.skip(size);
    const { offset } = window;
    const end = length === UNDEFINED ? Infinity : offset + length;
    const limit = Math.min(end, frame.limit);
    if (vr === 'OB' || vr === 'OW') {
      this.#stack.push({ ...{ kind: 'fragments', end, limit, tag, vr, offset }, ...noFragments(false) });
      return true;
    }
    // Without a VR only a sequence may have no length (PS3.5 §6.2.2, §7.5).
    const unknown = vr === 'UN' && !frame.implicit;
    if (frame.implicit) vr = 'SQ';
    const littleEndian = unknown || frame.littleEndian;
    this.#stack.push({
      ...{ kind: 'sequence', end, limit, tag, vr, offset, littleEndian },
      implicit: unknown || frame.implicit,
      items: [],
    });
    return true;
  }

  #item(frame: SequenceFrame): boolean {
    const window = this.#window;
    const tag = window.tag(window.at, frame.littleEndian);
    const length = window.u32(window.at + 4, frame.littleEndian);
    const { offset } = window;
    if (tag === SEQUENCE_END) {
      if (length !== 0) warn(this.#budget, 'DELIMITER_LENGTH', offset, frame.tag);
      window.skip(8);
      if (frame.end === Infinity) this.#close();
      else warn(this.#budget, 'DELIMITER_STRAY', offset, frame.tag);
      return true;
    }
    if (tag === ITEM_END) {
      warn(this.#budget, 'DELIMITER_STRAY', offset, frame.tag);
      window.skip(8);
      return true;
    }
    if (tag !== ITEM) throw new Fault('DICOM_STRUCTURE', { tag: tagText(frame.tag), at: offset });
    this.#count(offset);
    this.#spend(8);
    window.skip(8);
    const end = length === UNDEFINED ? Infinity : offset + 8 + length;
    if (end !== Infinity && end > frame.limit)
      throw new Fault('DICOM_LENGTH', { tag: tagText(frame.tag), at: offset });
    const parent = this.#parent();
    this.#stack.push({
      ...{ kind: 'set', end, limit: Math.min(end, frame.limit), last: -1, sorted: true },
      ...{ implicit: frame.implicit, littleEndian: frame.littleEndian },
      ...{ charsets: parent.charsets, signed: parent.signed, elements: new Map() },
    });
    return true;
  }

  /** Items, delimiters where an element should be. */
  #delimiter(frame: SetFrame, tag: Tag): boolean {
    const window = this.#window;
    const { offset } = window;
    const length = window.u32(window.at + 4, frame.littleEndian);
    const inItem = frame !== this.#root;
    if (inItem && frame.end === Infinity && tag === ITEM_END) {
      if (length !== 0) warn(this.#budget, 'DELIMITER_LENGTH', offset);
      window.skip(8);
      this.#close();
      return true;
    }
    if (inItem && frame.end === Infinity && tag === SEQUENCE_END) {
      warn(this.#budget, 'DELIMITER_MISSING', offset);
      this.#close();
      return true;
    }
    if (tag !== ITEM_END && tag !== SEQUENCE_END) throw new Fault('DICOM_STRUCTURE', { at: offset });
    warn(this.#budget, 'DELIMITER_STRAY', offset);
    window.skip(8);
    return true;
  }

  #parent(): SetFrame {
    const under = this.#stack[this.#stack.length - 2];
    return under?.kind === 'set' ? under : this.#root;
  }

  #count(offset: number): void {
    if (++this.#budget.items > this.#budget.limits.items) throw new Fault('DICOM_TOO_MANY', { at: offset });
  }

  /** Ends the topmost frame and hands it to the one below. */
  #close(): void {
    const frame = this.#stack.pop();
    const below = this.#stack[this.#stack.length - 1];
    if (!frame || !below) throw new Fault('DICOM_STRUCTURE', { at: this.#window.offset });
    if (frame.kind === 'set') {
      if (below.kind === 'sequence') below.items.push(dataSetOf(frame));
      return;
    }
    if (below.kind !== 'set') return;
    const { tag, vr, offset } = frame;
    if (frame.kind === 'sequence') return this.#put(below, { tag, vr, items: frame.items });
    const table = frame.table ?? new Uint8Array(0);
    const last = frame.fragments.at(-1);
    const length =
      (last ? last.offset + last.length : offset + (frame.table ? 8 + table.length : 0)) - offset;
    const bulk = { offset, length };
    const first = { offset: offset + 8, length: table.length };
    const fragments = frame.table ? [first, ...frame.fragments] : frame.fragments;
    this.#put(below, { tag, vr, bulk, fragments });
    if (!frame.top) return;
    this.#pixelData = { tag, vr, offset, length, fragments: frame.fragments, basicOffsetTable: table };
  }

  // --- pixel data

  #pixels(frame: SetFrame, tag: Tag, header: Header): boolean {
    const window = this.#window;
    const { vr, size, length } = header;
    if (this.#pixelData) {
      // A second (7FE0,0010) is passed over; the other kinds cannot stand beside it (PS3.3 §C.7.6.3).
      warn(this.#budget, 'DUPLICATE', window.offset, tag);
      if (length === UNDEFINED) throw new Fault('DICOM_STRUCTURE', { tag: tagText(tag), at: window.offset });
      window.skip(size);
      this.#skip = length;
      return true;
    }
    this.#note(frame, tag, header);
    window.skip(size);
    const { offset } = window;
    if (length === UNDEFINED) {
      this.#stack.push({
        ...{ kind: 'fragments', end: Infinity, limit: Infinity, tag, vr, offset },
        ...noFragments(true),
      });
      return true;
    }
    this.#put(frame, { tag, vr, bulk: { offset, length } });
    this.#pixelData = { tag, vr, offset, length, fragments: undefined, basicOffsetTable: undefined };
    this.#skip = length;
    return true;
  }

  #fragment(frame: FragmentsFrame): boolean {
    const window = this.#window;
    const { offset } = window;
    const tag = window.tag(window.at, true);
    const length = window.u32(window.at + 4, true);
    if (tag === SEQUENCE_END) {
      if (length !== 0) warn(this.#budget, 'DELIMITER_LENGTH', offset, frame.tag);
      window.skip(8);
      this.#close();
      return true;
    }
    if (tag !== ITEM || length === UNDEFINED || offset + 8 + length > frame.limit)
      throw new Fault('DICOM_STRUCTURE', { tag: tagText(frame.tag), at: offset });
    if (frame.table === undefined) {
      this.#spend(length);
      if (window.available < 8 + length) {
        this.#budget.headerBytes -= length;
        return false;
      }
      this.#count(offset);
      window.skip(8);
      frame.table = window.bytes.slice(window.at, window.at + length);
      window.skip(length);
      return true;
    }
    this.#count(offset);
    if (length % 2 === 1) warn(this.#budget, 'FRAGMENT_LENGTH', offset, frame.tag);
    frame.fragments.push({ offset: offset + 8, length });
    window.skip(8);
    this.#skip = length;
    return true;
  }

  /** As many fragments as frames, so that nothing can be missing behind the last. */
  #allFrames(frame: FragmentsFrame): boolean {
    const bytes = this.#root.elements.get(Tags.NumberOfFrames)?.bytes;
    const declared = bytes ? Number.parseInt(String.fromCharCode(...bytes.subarray(0, 16)), 10) : 1;
    return frame.top && frame.fragments.length >= (declared || 1);
  }
}
