/**
 * Taking an object in: its bytes go to the journal while its header is read; then it is made durable, put into the index, and
 * only then acknowledged (law 1). What cannot be understood is kept apart for a human.
 *
 * Layer:  server/archive.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { uidValue } from '@lightbox/core/dicom/values.ts';
import { writeFileMeta } from '@lightbox/core/dicom/write.ts';
import type { Log } from '../platform/log.ts';
import type { Aside } from './aside.ts';
import type { DiskGauge } from './disk.ts';
import type { AddOutcome, Batcher, NewObject } from './index/batcher.ts';
import { type Coerced, coerceObject } from './overlays/coerce.ts';
import { describeObject, type ObjectEntry } from './index/describe.ts';
import { discard, type Kept, RecordWriter } from './journal/append.ts';
import { closeFile, openFile, readInto } from './journal/files.ts';
import { blobOf, type Journal } from './journal/journal.ts';
import type { BlobReader } from './blobs.ts';
import { isConnectionLoss } from '../platform/database.ts';
import { isUnreachable, type Unsettled } from './unsettled.ts';
import type { Coercer, Ingest, IngestForm, IngestOutcome, IngestSource, IngestWriter } from './types.ts';

export interface IngestParts {
  readonly journal: Journal;
  readonly batcher: Batcher;
  readonly aside: Aside;
  readonly blobs: BlobReader;
  readonly disk: DiskGauge;
  readonly unsettled: Unsettled;
  readonly coercer?: Coercer | undefined;
  readonly log: Log;
}

const COPY_BYTES = 1024 * 1024;

export class ArchiveIngest implements Ingest {
  readonly #parts: IngestParts;
  readonly #open = new Set<ObjectWriter>();
  #stopping = false;

  constructor(parts: IngestParts) {
    this.#parts = parts;
  }

  async begin(source: IngestSource, form: IngestForm): Promise<IngestWriter> {
    if (this.#stopping) throw new Fault('ARCHIVE_STOPPING');
    this.#parts.unsettled.demandNone();
    await this.#parts.disk.demandRoom();
    const writer = new ObjectWriter(this.#parts, source, form, () => this.#open.delete(writer));
    this.#open.add(writer);
    return writer;
  }

  /** Objects are on their way in. */
  get busy(): boolean {
    return this.#open.size > 0;
  }

  /** No new object; those under way may end within the time, then they are dropped. */
  async close(withinMs: number): Promise<void> {
    this.#stopping = true;
    for (const began = performance.now(); this.#open.size && performance.now() - began < withinMs;) {
      await new Promise((settle) => setTimeout(settle, 20));
    }
    await Promise.allSettled([...this.#open].map((writer) => writer.abort()));
  }
}

class ObjectWriter implements IngestWriter {
  readonly #parts: IngestParts;
  readonly #source: IngestSource;
  readonly #form: IngestForm;
  readonly #done: () => void;
  /** Undefined after it failed: what it read of a hostile object is not kept in memory while the rest comes. */
  #reader: DicomReader | undefined;
  readonly #record: RecordWriter;
  /** Bytes of preamble and meta we wrote before the data set. */
  readonly #prefix: number;
  #received = 0;
  #fault: Fault | undefined;
  #ended = false;

  constructor(parts: IngestParts, source: IngestSource, form: IngestForm, done: () => void) {
    this.#parts = parts;
    this.#source = source;
    this.#form = form;
    this.#done = done;
    this.#record = new RecordWriter(parts.journal, source);
    if (form.form === 'part10') {
      this.#reader = new DicomReader();
      this.#prefix = 0;
      return;
    }
    this.#reader = new DicomReader({ transferSyntaxUid: form.transferSyntaxUid });
    const meta = writeFileMeta(metaOf(form, source));
    this.#prefix = meta.length;
    // Far smaller than what is gathered before the first write: never a promise.
    void this.#record.append(meta);
  }

  write(chunk: Uint8Array): Promise<void> | void {
    if (this.#ended || isLost(this.#fault)) return;
    this.#received += chunk.length;
    if (!this.#fault) {
      try {
        this.#reader?.push(chunk);
      } catch (error) {
        this.#fault = asFault(error);
        this.#reader = undefined;
      }
    }
    const written = this.#record.append(chunk);
    return written?.catch((error: unknown) => {
      this.#fault = asFault(error);
      if (this.#fault.code !== 'ARCHIVE_FULL') throw error;
    });
  }

  async finish(): Promise<IngestOutcome> {
    if (this.#ended) throw new Fault('INTERNAL', { what: 'the object is finished already' });
    this.#ended = true;
    try {
      return await this.#finish();
    } catch (error) {
      await this.#record.abort();
      if (error instanceof Fault && error.code === 'ARCHIVE_FULL') {
        return { status: 'refused', warnings: [], fault: error };
      }
      throw error;
    } finally {
      this.#done();
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      await this.#record.abort();
    } finally {
      this.#done();
    }
  }

  async #finish(): Promise<IngestOutcome> {
    if (isLost(this.#fault)) throw this.#fault;
    const parsed = this.#parse();
    if (!parsed) return this.#quarantine();
    const whole = this.#form.form === 'dataset' || isWhole(parsed);
    const dataSetOffset = this.#form.form === 'dataset' ? this.#prefix : parsed.dataSetOffset;
    const coerced = coerceObject(this.#parts, parsed, this.#source);
    let entry: ObjectEntry;
    try {
      entry = describeObject(coerced.parsed, { length: this.#record.length, dataSetOffset });
      this.#checkNames(entry);
      if (this.#isOfAnotherStudy(entry)) return await this.#refuse(entry);
      if (!whole) return await this.#rewrite(coerced, entry);
    } catch (error) {
      const fault = asFault(error);
      if (fault.row.http >= 500) throw fault;
      this.#fault = fault;
      return this.#quarantine();
    }
    const kept = await this.#record.finish('object');
    return this.#index(kept, entry, dataSetOffset, coerced);
  }

  #parse(): ParsedObject | undefined {
    if (this.#fault) return undefined;
    try {
      if (this.#received === 0) throw new Fault('DICOM_NOT_PART10');
      return this.#reader?.end();
    } catch (error) {
      this.#fault = asFault(error);
      return undefined;
    }
  }

  #isOfAnotherStudy(entry: ObjectEntry): boolean {
    const form = this.#form;
    return form.form === 'part10' && form.studyUid !== undefined && form.studyUid !== entry.study.studyUid;
  }

  /** Sent to the address of another study: nothing is kept (PS3.18 §10.5.1). */
  async #refuse({ instance, study, series }: ObjectEntry): Promise<IngestOutcome> {
    await this.#record.abort();
    return {
      status: 'refused',
      sopClassUid: instance.sopClassUid,
      sopInstanceUid: instance.sopUid,
      studyUid: study.studyUid,
      seriesUid: series.seriesUid,
      warnings: [],
      fault: new Fault('STUDY_MISMATCH'),
    };
  }

  /** What the sender announced has to be what came (PS3.7 §9.1.1.1, PS3.4 §B.2.3: 0xA900). */
  #checkNames(entry: ObjectEntry): void {
    if (this.#form.form !== 'dataset') return;
    const { sopClassUid, sopInstanceUid } = this.#form;
    if (entry.instance.sopUid !== sopInstanceUid) throw new Fault('SOP_MISMATCH', { of: 'instance' });
    if (entry.instance.sopClassUid !== sopClassUid) throw new Fault('SOP_MISMATCH', { of: 'class' });
  }

  async #quarantine(): Promise<IngestOutcome> {
    const fault = this.#fault ?? new Fault('DICOM_STRUCTURE');
    const kept = await this.#record.finish('quarantine', fault.code);
    await this.#settle(kept, (): Promise<boolean> =>
      this.#parts.aside.quarantine(place(kept), fault.code, this.#source),
    );
    const announced = this.#form.form === 'dataset' ? this.#form : undefined;
    return {
      status: 'quarantined',
      sopClassUid: announced?.sopClassUid,
      sopInstanceUid: announced?.sopInstanceUid,
      warnings: [],
      fault,
    };
  }

  /**
   * A Part 10 stream without preamble or without meta: kept as a whole Part 10 file, with ours before its data set. Rare,
   * so it may cost a second write.
   */
  async #rewrite(coerced: Coerced, entry: ObjectEntry): Promise<IngestOutcome> {
    const { parsed } = coerced;
    // A crash in between leaves it to the quarantine, not to the index.
    const raw = await this.#record.finish('quarantine', 'DICOM_NOT_PART10');
    const record = new RecordWriter(this.#parts.journal, this.#source);
    try {
      const meta = writeFileMeta(
        metaOf(
          {
            transferSyntaxUid: parsed.transferSyntaxUid,
            sopClassUid: entry.instance.sopClassUid,
            sopInstanceUid: entry.instance.sopUid,
          },
          this.#source,
        ),
      );
      await record.append(meta);
      const from = raw.offset + parsed.dataSetOffset;
      await copyBytes(this.#parts.journal.path(raw.lane.segment), from, raw.offset + raw.length, record);
      const place = { length: record.length, dataSetOffset: meta.length };
      const kept = await record.finish('object');
      return await this.#index(kept, describeObject(parsed, place), meta.length, coerced);
    } catch (error) {
      await record.abort();
      throw error;
    } finally {
      await discard(this.#parts.journal, raw, this.#source);
    }
  }

  async #index(
    kept: Kept,
    entry: ObjectEntry,
    dataSetOffset: number,
    coerced: Coerced,
  ): Promise<IngestOutcome> {
    const object: NewObject = {
      entry,
      kept: { ...kept, blob: blobOf(kept.lane.segment) },
      dataSetOffset,
      source: this.#source,
      coercion: coerced.steps,
    };
    let outcome: AddOutcome | undefined;
    let status = 'stored' as IngestOutcome['status'];
    await this.#settle(kept, async () => {
      outcome = await this.#parts.batcher.add(object);
      if (outcome.added) return true;
      const mine = { blob: blobOf(kept.lane.segment), dataSetOffset, ...kept };
      if (await this.#parts.blobs.sameDataSet(mine, outcome.present)) {
        status = 'duplicate';
        return false;
      }
      status = 'conflict';
      return this.#parts.aside.conflict(object);
    });
    const { instance, study, series } = entry;
    return {
      status,
      sopClassUid: instance.sopClassUid,
      sopInstanceUid: instance.sopUid,
      studyUid: study.studyUid,
      seriesUid: series.seriesUid,
      warnings: outcome?.added ? outcome.warnings : instance.warnings,
      fault: status === 'conflict' ? new Fault('INSTANCE_CONFLICT') : undefined,
      coerced: status === 'conflict' ? undefined : coerced.told(kept.receivedAt),
    };
  }

  /**
   * Runs what puts a durable record into the index. Its bytes are given back when it is not needed, and when the database
   * refused it. When the database went away they stay: it may have taken the record before it went.
   */
  async #settle(kept: Kept, keep: () => Promise<boolean>): Promise<void> {
    const settle = async (): Promise<void> => {
      let needed = false;
      try {
        needed = await keep();
      } catch (error) {
        const away = isUnreachable(error) || isConnectionLoss(error);
        if (!away) await discard(this.#parts.journal, kept, this.#source);
        throw away && !isUnreachable(error) ? new Fault('DATABASE_UNREACHABLE', {}, { cause: error }) : error;
      }
      if (needed) kept.lane.pending.delete(kept.start);
      else await discard(this.#parts.journal, kept, this.#source);
    };
    try {
      await settle();
    } catch (error) {
      if (isUnreachable(error)) this.#parts.unsettled.add(settle);
      throw error;
    }
  }
}

/** The journal has failed, or there is no room: nothing that still comes can be kept. */
const isLost = (fault: Fault | undefined): boolean =>
  fault?.code === 'ARCHIVE_FULL' || fault?.code === 'ARCHIVE_DISK';

const place = (
  kept: Kept,
): { blob: string; offset: number; length: number; sha256: Buffer; receivedAt: Date } => ({
  ...kept,
  blob: blobOf(kept.lane.segment),
});

function metaOf(
  form: { transferSyntaxUid: string; sopClassUid: string; sopInstanceUid: string },
  source: IngestSource,
): Parameters<typeof writeFileMeta>[0] {
  const { transferSyntaxUid, sopClassUid, sopInstanceUid } = form;
  const sourceAe = source.kind === 'dimse' ? source.by : undefined;
  return { transferSyntaxUid, sopClassUid, sopInstanceUid, ...(sourceAe === undefined ? {} : { sourceAe }) };
}

/** Preamble, prefix and a meta that names the transfer syntax are there: the file is kept byte for byte. */
function isWhole(parsed: ParsedObject): boolean {
  const missing = parsed.warnings.some(({ code }) => code === 'NO_PREAMBLE' || code === 'NO_META');
  return !missing && uidValue(parsed.meta, Tags.TransferSyntaxUID) === parsed.transferSyntaxUid;
}

async function copyBytes(path: string, from: number, to: number, into: RecordWriter): Promise<void> {
  const fd = await openFile(path, 'r');
  try {
    const piece = Buffer.allocUnsafeSlow(COPY_BYTES);
    for (let at = from; at < to; at += piece.length) {
      const bytes = await readInto(fd, piece.subarray(0, Math.min(piece.length, to - at)), at);
      if (bytes.length === 0) throw new Fault('INTERNAL', { what: 'the journal is shorter than it was' });
      await into.append(bytes);
    }
  } finally {
    await closeFile(fd);
  }
}
