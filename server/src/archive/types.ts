/**
 * What the archive offers to the doors: take an object in, find it, give it back.
 *
 * Layer:  server/archive. Doors decode, check identity, call one of these, encode.
 */
import type { Readable } from 'node:stream';
import type { Fault } from '@lightbox/core/base/fault.ts';
import type { Correction } from '@lightbox/core/dicom/correct.ts';
import type { DataSet, Element, Tag } from '@lightbox/core/dicom/data-set.ts';
import type { Edit } from '@lightbox/core/dicom/edits.ts';
import type { FrameTable } from '@lightbox/core/dicom/frames.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import type { MatchKey } from '@lightbox/core/dicom/matching.ts';
import type { Documents } from './documents.ts';
import type { Overlays } from './overlays/overlays.ts';
import type { Packs, PackStats } from './packs/packs.ts';
import type { Presence } from './presence.ts';
import type { Studies } from './studies.ts';

/** Who brought an object; kept in the journal record and the audit trail. wado: we fetched it. */
export interface IngestSource {
  readonly kind: 'dimse' | 'stow' | 'upload' | 'import' | 'wado';
  /** Calling AE title, user id or API key id. */
  readonly by: string;
  readonly remoteAddress: string;
  /** The AE title of ours that it was sent to. */
  readonly calledAe?: string | undefined;
  /** What people call the user or API key. */
  readonly name?: string | undefined;
}

/**
 * What comes in. A DIMSE data set carries no file meta, so its names come from the association and the command;
 * a Part 10 stream brings preamble and meta of its own, which are read, checked and replaced by ours.
 */
export type IngestForm =
  | {
      readonly form: 'dataset';
      readonly transferSyntaxUid: string;
      readonly sopClassUid: string;
      readonly sopInstanceUid: string;
    }
  | {
      readonly form: 'part10';
      /** When given, an object of another study is refused with STUDY_MISMATCH and not kept (PS3.18 §10.5.1). */
      readonly studyUid?: string | undefined;
    };

/**
 * Asked for each object that comes in, before it is put into the index: what a rule corrects. Has to answer at once, from
 * what it is given alone. An empty answer costs nothing.
 */
export type Coercer = (header: DataSet, source: IngestSource) => Coercion | undefined;

export interface Coercion {
  readonly edits: readonly Edit[];
  /** Names of the rules that apply, in their order: shown to people beside the object. */
  readonly rules: readonly string[];
}

export interface IngestOutcome {
  /** stored: new. duplicate: the same bytes are already kept. conflict: same SOP Instance UID with other content, kept aside. quarantined: bytes kept for a human, not findable. refused: nothing kept (sender unknown or no space). */
  readonly status: 'stored' | 'duplicate' | 'conflict' | 'quarantined' | 'refused';
  readonly sopClassUid?: string | undefined;
  readonly sopInstanceUid?: string | undefined;
  readonly studyUid?: string | undefined;
  readonly seriesUid?: string | undefined;
  /** Deviations that did not prevent storage; codes, never values. */
  readonly warnings: readonly string[];
  /** Why, when status is quarantined, refused or conflict. Its row gives the HTTP and DIMSE status. */
  readonly fault?: Fault | undefined;
  /** Rules changed attributes: how a sender hears of it (PS3.4 §B.2.3 B000H, PS3.18 §10.5.3 Original Attributes). */
  readonly coerced?: { readonly rules: readonly string[]; readonly original: Element } | undefined;
}

/** One object on its way in. Bytes go straight to disk; `write` applies back-pressure by its promise. */
export interface IngestWriter {
  /** Takes a view; the caller may reuse the buffer after the promise settles. A void return means "go on at once". */
  write(chunk: Uint8Array): Promise<void> | void;
  /** Resolves once the object is durable and findable (law 1), or quarantined. Never rejects for bad content, only for a failed disk or database. */
  finish(): Promise<IngestOutcome>;
  /** The sender went away: nothing is kept, nothing is visible. */
  abort(): Promise<void>;
}

export interface Ingest {
  /** Throws Fault ARCHIVE_FULL at the disk watermark, ARCHIVE_STOPPING on shutdown. */
  begin(source: IngestSource, form: IngestForm): Promise<IngestWriter>;
}

export type Level = 'patient' | 'study' | 'series' | 'instance';

/** One search, from C-FIND, QIDO-RS or the study list alike. */
export interface ArchiveQuery {
  readonly level: Level;
  /** Matching keys; see core/dicom/matching.ts. Keys of levels above `level` are allowed (relational). */
  readonly keys: readonly MatchKey[];
  /** Tags wanted beyond those the level always returns; 'all' for everything known at the level and above. */
  readonly include: readonly number[] | 'all';
  readonly fuzzy?: boolean | undefined;
  readonly limit?: number | undefined;
  readonly offset?: number | undefined;
  /** Columns of the study list to sort by; default newest study first, then UID. */
  readonly order?: readonly { readonly tag: number; readonly descending: boolean }[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Count the matches behind `limit`, which costs: see `QueryAnswer.remaining`. */
  readonly countRemaining?: boolean | undefined;
}

/** One match: DICOM JSON attributes, values as UTF-8 text, overlays merged. Counts and ModalitiesInStudy are included when asked. */
export interface QueryMatch {
  readonly attributes: DicomJson;
}

export interface QueryAnswer {
  readonly matches: readonly QueryMatch[];
  /** True when more matches exist than `limit` allowed. */
  readonly more: boolean;
  /** How many more, when asked; MAX_COUNTED stands for as many or more. */
  readonly remaining?: number | undefined;
  /** Tags that were asked to match but are not searchable here; they were ignored (Warning 299 / optional keys). */
  readonly ignoredKeys: readonly number[];
}

export interface Query {
  search(query: ArchiveQuery): Promise<QueryAnswer>;
  /** The same in batches, for C-FIND without limit: reads a cursor, stops when the signal aborts. */
  stream(query: ArchiveQuery): AsyncIterable<QueryMatch>;
  /** Keys that this level cannot match, or whose attribute is never returned (optional keys, PS3.4 §C.2.2.1.3). */
  unsupported(level: Level, keys: readonly MatchKey[]): Tag[];
}

/** Which objects: a study, one of its series, or one instance. */
export interface ObjectScope {
  readonly studyUid: string;
  readonly seriesUid?: string | undefined;
  readonly sopUid?: string | undefined;
}

/** Where an instance lies and what it is: enough to serve it without opening it. */
export interface InstanceRef {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  readonly instanceNumber: number | undefined;
  readonly rows: number | undefined;
  readonly columns: number | undefined;
  readonly frameCount: number;
  readonly blob: string;
  /** Of the Part 10 file within the blob, in bytes. */
  readonly offset: number;
  readonly length: number;
  /** Bytes of preamble and file meta before the data set. */
  readonly dataSetOffset: number;
  /** Hex SHA-256 of the Part 10 file as it is kept. */
  readonly sha256: string;
  /** Names what is served: the bytes kept and what is put over them. For entity tags. */
  readonly version: string;
  /** What is put over it wherever it is given out; undefined for most objects, which are given byte for byte. */
  readonly corrections?: readonly Correction[] | undefined;
}

/** A Part 10 file as it is given to others: corrected, or the bytes kept. */
export interface ServedFile {
  readonly bytes: number;
  /** `start`/`end` (exclusive) select a range of it. May be called again. */
  open(range?: { start: number; end: number }): Readable;
}

/** Objects by the unique keys of their levels, as C-MOVE and C-GET name them: all that match every key that is there. */
export interface ObjectKeys {
  readonly level: Level;
  readonly patientId?: string | undefined;
  readonly issuer?: string | undefined;
  readonly studyUids?: readonly string[] | undefined;
  readonly seriesUids?: readonly string[] | undefined;
  readonly sopUids?: readonly string[] | undefined;
}

export interface Retrieve {
  /**
   * Study by study, in series number, instance number, UID order.
   *
   * @throws Fault RETRIEVE_TOO_MANY when there are more than `limit`; RETRIEVE_PATIENTS when a whole patient is asked for by an
   *   ID that several have.
   */
  select(keys: ObjectKeys, limit: number): Promise<InstanceRef[]>;
  /** In series number, instance number, UID order; empty when nothing is there. Hidden (rejected) objects are left out. */
  list(scope: ObjectScope): Promise<InstanceRef[]>;
  /**
   * The Part 10 file as others get it: with its corrections, which change the header alone. The same length and bytes for one
   * `version`. Reads a header when there are corrections.
   */
  served(ref: InstanceRef): Promise<ServedFile>;
  /** The Part 10 file, byte for byte as kept, whatever was corrected. `start`/`end` (exclusive) select a range of it. */
  open(ref: InstanceRef, range?: { start: number; end: number }): Readable;
  /** A range of the Part 10 file in memory; refuses more than 512 MiB with TOO_LARGE. */
  read(ref: InstanceRef, start: number, end: number): Promise<Buffer>;
  /**
   * A range as `header` and `frames` count it. Only a deflated object differs from `read`: there offsets count in the file
   * with its data set inflated, and so does this.
   */
  readData(ref: InstanceRef, start: number, end: number): Promise<Buffer>;
  /**
   * Header data set with its corrections (no pixel data, large values as bulk), offsets counted from the start of the Part 10
   * file as kept; see `readData`.
   */
  header(ref: InstanceRef): Promise<DataSet>;
  /** Byte ranges of every frame, counted from the start of the Part 10 file; undefined when the object has no pixel data. */
  frames(ref: InstanceRef): Promise<FrameTable | undefined>;
  /** DICOM JSON array of a study, series or instance as UTF-8 bytes, gzipped, with BulkDataURI relative to the DICOMweb root ("studies/..."); cached. */
  metadata(scope: ObjectScope): Promise<{ gzip: Buffer; etag: string }>;
}

/** Bytes nobody could understand, kept for a human (design rule 7). */
export interface QuarantineRow {
  readonly id: string;
  readonly receivedAt: Date;
  readonly source: IngestSource;
  readonly bytes: number;
  readonly faultCode: string;
  readonly sha256: string;
}

export interface Quarantine {
  list(limit: number, before?: string): Promise<QuarantineRow[]>;
  open(id: string): Promise<Readable>;
}

/** Events the archive publishes through platform/events. Payloads carry UIDs and counts only. */
export interface ArchiveEvents {
  /** An instance became findable; batched: one event per study and batch. */
  'study.changed': { studyUid: string; instances: number };
  /** No new object for the quiet time. */
  'study.stable': { studyUid: string };
}

export interface Archive {
  readonly ingest: Ingest;
  readonly query: Query;
  readonly retrieve: Retrieve;
  readonly quarantine: Quarantine;
  /** Where series go when they are quiet. */
  readonly packs: Packs;
  /** The study list and one study, as the pages show them. */
  readonly studies: Studies;
  /** What is here of studies found elsewhere. */
  readonly presence: Presence;
  /** Reports, recordings, PDF and video, as something to read. */
  readonly documents: Documents;
  /** Corrections of what is here, by people. */
  readonly overlays: Overlays;
  /** Resolves when the disk failed: nothing can be promised any more. The process has to end with an error and start again. */
  readonly failed: Promise<Fault>;
  /** Hashes every object again and compares journal, packs and index. */
  verify(options?: { readonly progress?: (done: VerifyProgress) => void }): Promise<VerifyReport>;
  /** Makes the index again from packs and journal. Searches find nothing meanwhile. */
  reindex(options?: { readonly progress?: (done: VerifyProgress) => void }): Promise<{ objects: number }>;
  /** Studies, series, instances, conflicts, quarantined, bytes kept, bytes free. */
  stats(): Promise<ArchiveStats>;
  /** Room on the disk; asked often. */
  room(): Promise<{ readonly freeBytes: number; readonly full: boolean }>;
  /** Waits for objects under way, flushes, closes lanes. */
  close(): Promise<void>;
}

export interface ArchiveStats extends PackStats {
  readonly studies: number;
  readonly series: number;
  readonly instances: number;
  readonly conflicts: number;
  readonly quarantined: number;
  readonly bytes: number;
  readonly freeBytes: number;
  readonly full: boolean;
}

export interface VerifyProgress {
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface FoundDamage {
  readonly blob: string;
  /** Of the object; 0 for the pack as a whole. */
  readonly offset: number;
  /** Of packs: what is wrong. The metadata beside a pack can be made again. */
  readonly what?: 'flipped' | 'truncated' | 'swapped' | 'missing' | 'metadata';
}

export interface VerifyReport {
  readonly objects: number;
  readonly bytes: number;
  /** Objects whose bytes are not those that were kept. */
  readonly damaged: readonly FoundDamage[];
  /** Objects the index knows and no blob on this disk holds. */
  readonly missing: readonly FoundDamage[];
  /** Objects in the journal that the index does not know. */
  readonly unindexed: number;
  /** Packs that the index does not know. */
  readonly orphaned: readonly string[];
}
