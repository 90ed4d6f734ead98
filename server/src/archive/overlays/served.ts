/**
 * A kept object as others get it: elements that were corrected written anew, every other byte as it lies. The pixels flow
 * through; in memory is a header.
 *
 * Source: PS3.5 §7.1 (order of elements), §7.2 (group length), §A.5 (deflated), PS3.3 §C.12.1.1.9.
 * Layer:  server/archive.
 */
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { Fault } from '@lightbox/core/base/fault.ts';
import { correct, needsValue } from '@lightbox/core/dicom/correct.ts';
import type { DataSet, Element, Tag } from '@lightbox/core/dicom/data-set.ts';
import { readingSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { Outgoing, type Pieces } from '../../platform/outgoing.ts';
import { type Headers, isDeflated, type KeptObject, type Notes } from '../headers.ts';
import type { InstanceRef, ServedFile } from '../types.ts';

/** Text that lay too far in to be in the header, and has to be converted or kept as it was before. */
const MOST_TEXT = 64 * 1024 * 1024;
/** Sequence Delimitation Item behind the last fragment (PS3.5 §A.4). */
const DELIMITER_BYTES = 8;

const deflate = promisify(deflateRaw);

/** The header with the corrections of the object; the one given when there are none. */
export async function correctedHeader(
  headers: Headers,
  ref: InstanceRef,
  received: DataSet,
): Promise<DataSet> {
  const { corrections } = ref;
  if (!corrections) return received;
  return correct(await withTexts(headers, ref, received, corrections), corrections);
}

async function withTexts(
  headers: Headers,
  ref: InstanceRef,
  ds: DataSet,
  corrections: NonNullable<InstanceRef['corrections']>,
): Promise<DataSet> {
  const wanted = [...ds.elements.values()].filter(
    (one): one is Element & { bulk: object } =>
      one.bulk !== undefined && !one.fragments && one.tag >>> 16 !== 0x7fe0 && needsValue(one, corrections),
  );
  if (wanted.length === 0) return ds;
  const elements = new Map(ds.elements);
  let left = MOST_TEXT;
  for (const one of wanted) {
    const { offset, length } = one.bulk;
    left -= length;
    if (left < 0) throw new Fault('TOO_LARGE', { what: 'text', limit: MOST_TEXT });
    const bytes = await headers.readData(ref, offset, offset + length);
    elements.set(one.tag, { tag: one.tag, vr: one.vr, bytes });
  }
  return { ...ds, elements };
}

/** Bytes made here, or a range of the file as the header counts. */
type Part = Uint8Array | { readonly from: number; readonly to: number };

const sizeOf = (part: Part): number => (part instanceof Uint8Array ? part.length : part.to - part.from);

/** @throws Fault TOO_LARGE for a deflated object beyond what fits in memory. */
export async function servedFile(headers: Headers, ref: InstanceRef, notes: Notes): Promise<ServedFile> {
  const spliced = await splice(headers, ref, notes);
  const layout = isDeflated(ref) ? await deflated(headers, ref, spliced) : spliced;
  return {
    bytes: layout.reduce((sum, part) => sum + sizeOf(part), 0),
    open: (range) => new Outgoing(pieces(headers, ref, cut(layout, range))),
  };
}

async function splice(headers: Headers, ref: InstanceRef, notes: Notes): Promise<Part[]> {
  const starts: { readonly tag: Tag; readonly at: number }[] = [];
  const kept = await headers.read(ref, notes, (tag, at) => starts.push({ tag, at }));
  const received = ref.corrections ? await withTexts(headers, ref, kept, ref.corrections) : kept;
  const shown = correct(received, ref.corrections ?? []);
  const changed = changedTags(received, shown);
  const end = isDeflated(ref) ? (await headers.readData(ref, 0, Infinity)).length : notes.headerEnd;
  const fileEnd = isDeflated(ref) ? end : ref.length;
  const pixels = notes.pixels?.tag ?? Infinity;
  const layout: Part[] = [];
  const take = (from: number, to: number): void => {
    const last = layout.at(-1);
    if (last && !(last instanceof Uint8Array) && last.to === from)
      layout[layout.length - 1] = { from: last.from, to };
    else if (to > from) layout.push({ from, to });
  };
  const write = (tags: readonly Tag[]): void => {
    const elements = tags.flatMap((tag) => shown.elements.get(tag) ?? []);
    if (elements.length)
      layout.push(
        writeDataSet(
          { ...shown, elements: new Map(elements.map((one) => [one.tag, one])) },
          ref.transferSyntaxUid,
        ),
      );
  };
  // Of a deflated object the reader tells of Pixel Data and what is behind it too.
  const inHeader = starts.filter(({ at }) => at < end);
  const behind = [...changed].filter((tag) => tag > pixels);
  let waiting = [...changed].filter((tag) => tag < pixels).sort((one, other) => one - other);
  take(0, inHeader[0]?.at ?? end);
  for (const [index, { tag, at }] of inHeader.entries()) {
    const due = waiting.filter((one) => one <= tag);
    write(due);
    waiting = waiting.filter((one) => one > tag);
    // A group length would be wrong where its group was changed, and is retired (PS3.5 §7.2).
    const stale = (tag & 0xffff) === 0 && [...changed].some((one) => one >>> 16 === tag >>> 16);
    if (!changed.has(tag) && !stale) take(at, inHeader[index + 1]?.at ?? end);
  }
  write(waiting);
  if (behind.length === 0 || !notes.pixels) take(end, fileEnd);
  else {
    const { offset, length } = notes.pixels;
    const encapsulated = readingSyntax(ref.transferSyntaxUid).encapsulated;
    take(end, Math.min(fileEnd, offset + length + (encapsulated ? DELIMITER_BYTES : 0)));
    write([...shown.elements.keys()].filter((tag) => tag > pixels));
  }
  return layout;
}

function changedTags(received: DataSet, shown: DataSet): Set<Tag> {
  const changed = new Set<Tag>();
  for (const [tag, element] of shown.elements) if (received.elements.get(tag) !== element) changed.add(tag);
  for (const tag of received.elements.keys()) if (!shown.elements.has(tag)) changed.add(tag);
  return changed;
}

/** Nothing inside a deflated data set can be left where it lies: it is packed anew, in memory. */
async function deflated(headers: Headers, ref: KeptObject, layout: readonly Part[]): Promise<Part[]> {
  const data: Uint8Array[] = [];
  let skip = ref.dataSetOffset;
  for (const part of layout) {
    const bytes = part instanceof Uint8Array ? part : await headers.readData(ref, part.from, part.to);
    data.push(bytes.subarray(Math.min(skip, bytes.length)));
    skip = Math.max(0, skip - bytes.length);
  }
  const packed = await deflate(Buffer.concat(data));
  // An odd one gets a NUL behind it (PS3.5 §A.5).
  return [{ from: 0, to: ref.dataSetOffset }, packed, ...(packed.length % 2 ? [Uint8Array.of(0)] : [])];
}

function cut(layout: readonly Part[], range: { start: number; end: number } | undefined): Part[] {
  const start = Math.max(0, range?.start ?? 0);
  const end = range?.end ?? Infinity;
  const chosen: Part[] = [];
  let at = 0;
  for (const part of layout) {
    const size = sizeOf(part);
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, size);
    if (from < to)
      chosen.push(
        part instanceof Uint8Array ? part.subarray(from, to) : { from: part.from + from, to: part.from + to },
      );
    at += size;
  }
  return chosen;
}

async function* pieces(headers: Headers, ref: KeptObject, layout: readonly Part[]): Pieces {
  for (const part of layout) {
    if (part instanceof Uint8Array) yield part;
    else yield* headers.stream(ref, part.from, part.to).pieces();
  }
}
