/**
 * Reading the journal again: after a crash what the index may have lost, for `reindex` everything, for `verify` without
 * changing anything. Idempotent: an object that is known is only seen again.
 *
 * Layer:  server/archive.
 */
import { asFault, type Fault } from '@lightbox/core/base/fault.ts';
import { applyEdits, readEdits } from '@lightbox/core/dicom/edits.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { uidValue } from '@lightbox/core/dicom/values.ts';
import type { Database } from '../platform/database.ts';
import type { Log } from '../platform/log.ts';
import type { Aside } from './aside.ts';
import type { BlobReader } from './blobs.ts';
import type { Batcher, NewObject } from './index/batcher.ts';
import { describeObject } from './index/describe.ts';
import { blobOf, type Checkpoint, type Journal } from './journal/journal.ts';
import { type ScannedRecord, scanSegment, type ScanResult } from './journal/scan.ts';
import { noteSpent, spentOf } from './journal/spent.ts';
import { type Coerced, coerceObject } from './overlays/coerce.ts';
import { CoercionLookup } from './overlays/history.ts';
import type { Step } from './overlays/steps.ts';
import { indexPacks } from './packs/again.ts';
import type { PackStore } from './packs/store.ts';
import { verifyPacks } from './packs/verify.ts';
import type { Coercer, FoundDamage, IngestSource, VerifyProgress, VerifyReport } from './types.ts';

export interface ReplayParts {
  readonly journal: Journal;
  readonly packs: PackStore;
  readonly batcher: Batcher;
  readonly aside: Aside;
  readonly blobs: BlobReader;
  readonly database: Database;
  /** Asked for objects that the index does not know yet; not by `reindex`, which keeps what rules did before. */
  readonly coercer?: Coercer | undefined;
  /** What rules did before. */
  readonly coerced?: CoercionLookup | undefined;
  readonly log: Log;
}

/** Objects on their way into the index at once. */
const AT_ONCE = 64;

interface Position {
  readonly indexedTo: number;
  readonly sealed: boolean;
}

/** Takes up every segment of this disk where the index left off. @returns how many records were read. */
export async function replay(parts: ReplayParts): Promise<number> {
  const known = await positions(parts.database);
  let records = 0;
  const full: Checkpoint[] = [];
  const asked = { ...parts, coerced: await CoercionLookup.open(parts.database.pool) };
  for (const { segment, bytes } of await parts.journal.segments()) {
    const position = known.get(segment);
    if (position?.sealed) continue;
    const from = position?.indexedTo ?? 0;
    if (from === bytes) {
      if (!(await parts.journal.resume(segment, bytes)))
        full.push({ segment, indexedTo: bytes, sealed: true });
      continue;
    }
    const { result, count } = await replaySegment(asked, segment, from);
    records += count;
    if (result.end < result.fileBytes) {
      parts.log.warn({ segment, bytes: result.fileBytes - result.end }, 'cutting a torn tail of the journal');
    }
    // A file without our header (the process died while making it) is left alone.
    if (result.end > 0 && !(await parts.journal.resume(segment, result.end)))
      full.push({ segment, indexedTo: result.end, sealed: true });
  }
  await parts.batcher.saveCheckpoint(full);
  return records;
}

async function positions(database: Database): Promise<Map<string, Position>> {
  const { rows } = await database.pool.query<{ segment: string; indexed_to: string; sealed: boolean }>(
    'SELECT segment, indexed_to, sealed FROM journal_segment',
  );
  return new Map(rows.map((row) => [row.segment, { indexedTo: Number(row.indexed_to), sealed: row.sealed }]));
}

export async function replaySegment(
  parts: ReplayParts,
  segment: string,
  from: number,
): Promise<{ result: ScanResult; count: number }> {
  let reader: DicomReader | undefined;
  let fault: Fault | undefined;
  let count = 0;
  let under: Promise<void>[] = [];
  const spent: number[] = [];
  const result = await scanSegment(parts.journal.path(segment), from, {
    begin: (header) => {
      reader = header.kind === 'object' ? new DicomReader() : undefined;
      fault = undefined;
    },
    each: (piece) => {
      if (!reader || fault) return;
      try {
        reader.push(piece);
      } catch (error) {
        fault = asFault(error);
      }
    },
    visit: async (record) => {
      count += 1;
      under.push(
        keepRecord(parts, segment, record, reader, fault).then((needed) => {
          if (!needed) spent.push(record.start);
        }),
      );
      if (under.length < AT_ONCE) return;
      await Promise.all(under);
      under = [];
    },
  });
  await Promise.all(under);
  await noteSpent(parts.database.pool, segment, spent);
  return { result, count };
}

type Described = Pick<NewObject, 'entry' | 'dataSetOffset' | 'coercion'> | { readonly fault: Fault };

/** @returns false when the object is kept elsewhere: this record of it is not needed any more. */
async function keepRecord(
  parts: ReplayParts,
  segment: string,
  record: ScannedRecord,
  reader: DicomReader | undefined,
  fault: Fault | undefined,
): Promise<boolean> {
  const { header, offset, length, sha256, intact } = record;
  if (header.kind === 'void') return true;
  const kept = { blob: blobOf(segment), offset, length, sha256, receivedAt: header.receivedAt };
  if (!intact) {
    parts.log.error({ segment, offset }, 'a record of the journal is damaged');
    return true;
  }
  return keepRead(parts, { kept, source: header.source, reader, fault: fault?.code ?? header.fault });
}

/** An object whose bytes have been read. */
export interface ReadObject {
  readonly kept: NewObject['kept'];
  readonly source: IngestSource;
  /** Undefined: its bytes are for a person. */
  readonly reader: DicomReader | undefined;
  /** Why it could not be read. */
  readonly fault: string | undefined;
  /** It lay aside before: another of its name is the one that is served. */
  readonly aside?: boolean;
}

/** Into the index, or aside. @returns false when the same is kept elsewhere. */
export async function keepRead(parts: ReplayParts, object: ReadObject): Promise<boolean> {
  const { kept, source, reader, fault } = object;
  const read = reader && fault === undefined ? await describe(parts, reader, { ...kept, source }) : undefined;
  if (!read || 'fault' in read) {
    const code = read?.fault.code ?? fault ?? 'DICOM_STRUCTURE';
    return parts.aside.quarantine(kept, code, source);
  }
  if (object.aside === true) return parts.aside.conflict({ ...read, kept, source });
  return keepObject(parts, { ...read, kept, source });
}

async function keepObject(parts: ReplayParts, object: NewObject): Promise<boolean> {
  const outcome = await parts.batcher.add(object);
  if (outcome.added) return true;
  const mine = { dataSetOffset: object.dataSetOffset, ...object.kept };
  if (await parts.blobs.sameDataSet(mine, outcome.present)) return false;
  return parts.aside.conflict(object);
}

/**
 * What rules did to an object stays what it was. One that is not in the index yet was never acknowledged, or its commit was
 * lost with the database's last moments: the rules of today are asked, as they were then.
 */
async function describe(
  parts: ReplayParts,
  reader: DicomReader,
  {
    source,
    length,
    sha256,
  }: { readonly source: IngestSource; readonly length: number; readonly sha256: Buffer },
): Promise<Described> {
  let parsed: ParsedObject;
  try {
    parsed = reader.end();
  } catch (error) {
    return { fault: asFault(error) };
  }
  const sopUid = uidValue(parsed.dataSet, Tags.SOPInstanceUID);
  const before = await parts.coerced?.find(sopUid ?? '', sha256);
  const { parsed: shown, steps } = coerced(parts, parsed, source, before);
  const { dataSetOffset } = parsed;
  try {
    return { entry: describeObject(shown, { length, dataSetOffset }), dataSetOffset, coercion: steps };
  } catch (error) {
    return { fault: asFault(error) };
  }
}

function coerced(
  parts: ReplayParts,
  parsed: ParsedObject,
  source: IngestSource,
  before: readonly Step[] | undefined,
): Pick<Coerced, 'parsed' | 'steps'> {
  if (!before) return coerceObject(parts, parsed, source);
  const dataSet = before.reduce((ds, step) => applyEdits(ds, readEdits(step.edits)), parsed.dataSet);
  return { parsed: { ...parsed, dataSet }, steps: before };
}

/**
 * Everything in the index goes, and comes again from packs and journal, with the corrections people made and what rules did:
 * those tables stay. Nothing else may write meanwhile.
 */
export async function reindex(
  parts: ReplayParts,
  progress: (done: VerifyProgress) => void = () => undefined,
): Promise<{ objects: number }> {
  await parts.database.pool.query(
    `TRUNCATE series_metadata, instance, instance_conflict, quarantine, series, study, patient, journal_segment, journal_spent,
       pack`,
  );
  const segments = await parts.journal.segments();
  const again = { ...parts, coercer: undefined, coerced: await CoercionLookup.open(parts.database.pool) };
  const packs = await indexPacks({ ...parts, keep: (object) => keepRead(again, object) });
  const totalBytes = segments.reduce((sum, one) => sum + one.bytes, packs.bytes);
  let bytes = 0;
  const told = (more: number): void => progress({ bytes: (bytes += more), totalBytes });
  // What is served lies in packs before it lies aside, and what came first was packed first.
  await packs.series(told);
  for (const one of segments) {
    await replaySegment(again, one.segment, 0);
    told(one.bytes);
  }
  await packs.aside(told);
  const counted = await parts.database.pool.query<{ count: string }>('SELECT count(*) FROM instance');
  return { objects: Number(counted.rows[0]?.count) };
}

/** Hashes everything kept and compares with the index, one segment or pack in memory at a time. Changes nothing. */
export async function verify(
  parts: Pick<ReplayParts, 'journal' | 'packs' | 'database'>,
  progress: (done: VerifyProgress) => void = () => undefined,
): Promise<VerifyReport> {
  const segments = await parts.journal.segments();
  const known = await parts.database.pool.query<{ bytes: string }>(
    `SELECT coalesce(sum(bytes), 0) AS bytes FROM pack WHERE state = 'kept'`,
  );
  const totalBytes = segments.reduce((sum, one) => sum + one.bytes, Number(known.rows[0]?.bytes));
  const damaged: FoundDamage[] = [];
  const missing: FoundDamage[] = [];
  let objects = 0;
  let bytes = 0;
  let unindexed = 0;
  for (const { segment, bytes: size } of segments) {
    const blob = blobOf(segment);
    const indexed = await indexedIn(parts.database, blob);
    const spent = await spentOf(parts.database.pool, segment);
    await scanSegment(parts.journal.path(segment), 0, {
      visit: (record) => {
        if (record.header.kind === 'void' || spent.has(record.start)) return;
        const expected = indexed.get(record.offset);
        objects += 1;
        if (expected === undefined) unindexed += 1;
        if (!record.intact || (expected !== undefined && expected !== record.sha256.toString('hex'))) {
          damaged.push({ blob, offset: record.offset });
        }
        indexed.delete(record.offset);
      },
    });
    for (const offset of indexed.keys()) missing.push({ blob, offset });
    bytes += size;
    progress({ bytes, totalBytes });
  }
  const lost = await parts.database.pool.query<{ blob: string; blob_offset: string }>(
    ['instance', 'instance_conflict', 'quarantine']
      .map((from) => `SELECT blob, blob_offset FROM ${from} WHERE blob LIKE 'journal/%' AND blob <> ALL($1)`)
      .join(' UNION ALL '),
    [segments.map((one) => blobOf(one.segment))],
  );
  for (const row of lost.rows) missing.push({ blob: row.blob, offset: Number(row.blob_offset) });
  const packs = await verifyPacks({ database: parts.database, store: parts.packs }, (done) =>
    progress({ bytes: bytes + done, totalBytes }),
  );
  return {
    objects: objects + packs.objects,
    bytes: bytes + packs.bytes,
    damaged: [...damaged, ...packs.damaged],
    missing: [...missing, ...packs.missing],
    unindexed,
    orphaned: packs.orphaned,
  };
}

async function indexedIn(database: Database, blob: string): Promise<Map<number, string>> {
  const { rows } = await database.pool.query<{ blob_offset: string; sha256: string }>(
    `SELECT blob_offset, encode(sha256, 'hex') AS sha256 FROM instance WHERE blob = $1
     UNION ALL SELECT blob_offset, encode(sha256, 'hex') FROM instance_conflict WHERE blob = $1
     UNION ALL SELECT blob_offset, encode(sha256, 'hex') FROM quarantine WHERE blob = $1`,
    [blob],
  );
  return new Map(rows.map((row) => [Number(row.blob_offset), row.sha256]));
}
