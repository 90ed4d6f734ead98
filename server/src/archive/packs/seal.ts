/**
 * Seals series: when no object of a series came for the quiet time, what lies in the journal of it is written as a pack.
 *
 * Which series wait is seen from where their objects lie, so that nothing has to be remembered: a process that dies leaves off, and
 * the next one goes on. One pack at a time, slower while objects come in.
 * Layer:  server/archive.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import type { Database } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import type { BlobRange, BlobReader } from '../blobs.ts';
import type { DiskGauge } from '../disk.ts';
import type { Journal } from '../journal/journal.ts';
import { segmentOf } from '../journal/journal.ts';
import { decodeHeader, HEADER_BYTES } from '../journal/record.ts';
import { metadataArray } from '../metadata.ts';
import { Pace } from '../pace.ts';
import type { InstanceRef } from '../types.ts';
import { layoutOf, type ManifestObject, readManifest } from './manifest.ts';
import { groupBy, type Packable, planPacks, type PlannedPack, type SmallPack } from './plan.ts';
import { packOf, type PackStore } from './store.ts';
import { DamagedSource, type NewPack, type PackItem, PackWriter } from './write.ts';

export interface SealPolicy {
  /** No object of a series for so long. */
  readonly quietSeconds: number;
  readonly packBytes: number;
  readonly packObjects: number;
  readonly mergeBytes: number;
  /** What is not needed any more stays so long, for those who have just looked up where it is. */
  readonly graceMs: number;
  /** A segment that still takes objects is given up when so much of it is not needed. */
  readonly retireBytes: number;
}

const MIB = 1024 * 1024;

export const SEAL_POLICY: Omit<SealPolicy, 'quietSeconds'> = {
  // Copied in a minute, and well below what any object store takes in one piece.
  packBytes: 2048 * MIB,
  packObjects: 10_000,
  mergeBytes: 16 * MIB,
  graceMs: 60_000,
  retireBytes: 4 * MIB,
};

/** Half of what a common disk does; a quarter of that while objects come in. */
const CALM_BYTES_PER_SECOND = 150 * MIB;
const BUSY_BYTES_PER_SECOND = 40 * MIB;
const SERIES_AT_ONCE = 100;
/** A series that could not be sealed is left alone for so long, then for twice as long, up to a day. */
const HELD_MS = 60_000;
const HELD_AT_MOST_MS = 24 * 3600 * 1000;

export interface SealerParts {
  readonly database: Database;
  readonly journal: Journal;
  readonly blobs: BlobReader;
  readonly store: PackStore;
  readonly disk: DiskGauge;
  readonly log: Log;
  readonly policy: SealPolicy;
  /** The header of an object as it was kept. */
  readonly header: (ref: InstanceRef) => Promise<DataSet>;
  /** Objects are coming in just now. */
  readonly busy: () => boolean;
}

export interface SealReport {
  readonly series: number;
  readonly packs: number;
  readonly objects: number;
  readonly bytes: number;
}

export class Sealer {
  readonly #parts: SealerParts;
  readonly writer: PackWriter;
  readonly #held = new Map<string, { until: number; waits: number }>();
  #running: Promise<SealReport> | undefined;
  /** Told once, not every few seconds. */
  #full = false;

  constructor(parts: SealerParts) {
    this.#parts = parts;
    const pace = new Pace(() => (parts.busy() ? BUSY_BYTES_PER_SECOND : CALM_BYTES_PER_SECOND));
    const { database, blobs, store, log } = parts;
    this.writer = new PackWriter({
      ...{ database, blobs, store, log, pace: (bytes) => pace.spend(bytes) },
      diskFailed: (cause) => void parts.journal.fail(cause),
    });
  }

  /** Seals what waits; who asks meanwhile waits for the same work. */
  sealDue(signal: AbortSignal): Promise<SealReport> {
    this.#running ??= this.#sealDue(signal).finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #sealDue(signal: AbortSignal): Promise<SealReport> {
    const total = { series: 0, packs: 0, objects: 0, bytes: 0 };
    for (;;) {
      const due = await this.#due();
      for (const seriesFk of due) {
        if (signal.aborted) return total;
        const sealed = await this.#sealOrHold(seriesFk, signal);
        total.series += sealed.packs > 0 ? 1 : 0;
        total.packs += sealed.packs;
        total.objects += sealed.objects;
        total.bytes += sealed.bytes;
        if (this.#full) return total;
      }
      if (due.length < SERIES_AT_ONCE) return total;
    }
  }

  async #due(): Promise<string[]> {
    const now = performance.now();
    const held = [...this.#held].filter(([, { until }]) => until > now).map(([id]) => id);
    const { rows } = await this.#parts.database.pool.query<{ id: string }>(
      `SELECT e.id FROM series e
       WHERE e.id IN (SELECT series_fk FROM instance WHERE blob LIKE 'journal/%')
         AND e.changed_at < now() - make_interval(secs => $1) AND e.id <> ALL($2::bigint[])
       ORDER BY e.changed_at LIMIT ${SERIES_AT_ONCE}`,
      [this.#parts.policy.quietSeconds, held],
    );
    return rows.map((row) => row.id);
  }

  async #sealOrHold(seriesFk: string, signal: AbortSignal): Promise<Omit<SealReport, 'series'>> {
    try {
      const sealed = await this.#sealSeries(seriesFk, signal);
      this.#held.delete(seriesFk);
      return sealed;
    } catch (error) {
      if (signal.aborted) return NOTHING;
      if (isFull(error)) return this.#noRoom();
      const waits = Math.min((this.#held.get(seriesFk)?.waits ?? HELD_MS / 2) * 2, HELD_AT_MOST_MS);
      this.#held.set(seriesFk, { until: performance.now() + waits, waits });
      // Moved: somebody corrected the study meanwhile.
      const level = error instanceof Fault && error.code === 'PACK_MOVED' ? 'info' : 'error';
      this.#parts.log[level](
        { err: error, series: seriesFk },
        'a series could not be sealed; tried again later',
      );
      return NOTHING;
    }
  }

  #noRoom(): typeof NOTHING {
    if (!this.#full) this.#parts.log.warn('no room to seal series; they stay in the journal');
    this.#full = true;
    // Meanwhile the others wait as well: a smaller one would take the room that is left.
    return NOTHING;
  }

  /** Objects that are damaged stay in the journal; the others need not wait for them. */
  async #sealSeries(seriesFk: string, signal: AbortSignal): Promise<Omit<SealReport, 'series'>> {
    const damaged = new Set<string>();
    const total = { packs: 0, objects: 0, bytes: 0 };
    for (;;) {
      const rows = (await this.#rows(seriesFk)).filter((row) => !damaged.has(row.id));
      const [next] = await this.#plan(rows);
      if (!next) break;
      try {
        const pack = await this.#packOf(next, rows[0]!);
        await this.#demandRoom(next);
        total.bytes += await this.writer.write(pack, signal);
        this.#full = false;
        total.packs += 1;
        total.objects += pack.items.length;
      } catch (error) {
        if (!(error instanceof DamagedSource)) throw error;
        this.#parts.log.error({ err: error }, 'an object is damaged and stays where it is');
        damaged.add(error.item.id);
      }
    }
    // Not looked at again every few seconds.
    if (damaged.size) throw new Fault('PACK_SOURCE', { objects: damaged.size });
    return total;
  }

  async #plan(rows: readonly SealRow[]): Promise<PlannedPack<SealRow>[]> {
    const waiting = rows.filter((row) => segmentOf(row.ref.blob) !== undefined);
    const packs: SmallPack<SealRow>[] = [];
    for (const [name, objects] of groupBy(rows, (row) => packOf(row.ref.blob))) {
      if (name === undefined) continue;
      const { rows: known } = await this.#parts.database.pool.query<{ objects: number }>(
        `SELECT objects FROM pack WHERE name = $1 AND state = 'kept'`,
        [name],
      );
      // One that holds something else as well stays.
      if (known[0]?.objects === objects.length) packs.push({ name, objects });
    }
    return planPacks(waiting, packs, this.#parts.policy);
  }

  async #packOf(planned: PlannedPack<SealRow>, { ref: any }: SealRow): Promise<NewPack> {
    const { blobs, header, log } = this.#parts;
    const known = new Map<string, ManifestObject>();
    for (const name of planned.replaces)
      for (const [place, object] of await this.#manifestOf(name)) known.set(place, object);
    const items: PackItem[] = [];
    for (const { id, ref } of planned.objects) {
      const place: BlobRange = { blob: ref.blob, offset: ref.offset, length: ref.length };
      const item = { table: 'instance' as const, id, place, sha256: ref.sha256 };
      const object = known.get(placeKey(place)) ?? (await sourceOf(blobs, place));
      if (!object) throw new DamagedSource({ ...item, object: NOBODY });
      const { receivedAt, source } = object;
      items.push({ ...item, object: { kind: 'object', sopUid: ref.sopUid, receivedAt, source } });
    }
    const { studyUid, seriesUid } = any;
    return {
      ...{ kind: 'series', studyUid, seriesUid, items, replaces: planned.replaces },
      metadata: () =>
        metadataArray(
          planned.objects.map(({ ref }) => ref),
          header,
          (ref, error) => log.warn({ err: error, blob: ref.blob, offset: ref.offset }, 'metadata not kept'),
        ),
    };
  }

  async #manifestOf(name: string): Promise<[string, ManifestObject][]> {
    const zip = await this.#parts.store.open(name, 'pack.zip');
    try {
      const { manifest, bytes } = await readManifest(zip);
      const { starts } = layoutOf(manifest, bytes);
      return manifest.objects.map((object, index) => [`${name} ${starts[index]}`, object]);
    } finally {
      await zip.close();
    }
  }

  /** The pack is written before what it replaces goes: with it the disk may not reach the mark. */
  async #demandRoom({ objects }: PlannedPack<Packable>): Promise<void> {
    const bytes = objects.reduce((sum, one) => sum + one.length, 0);
    await this.#parts.disk.demandRoom(bytes);
  }

  async #rows(seriesFk: string): Promise<SealRow[]> {
    const { rows } = await this.#parts.database.pool.query<Row>(
      `SELECT i.id, s.study_uid, e.series_uid, i.sop_uid, i.sop_class_uid, i.transfer_syntax_uid, i.frame_count, i.blob,
         i.blob_offset, i.blob_length, i.data_set_offset, encode(i.sha256, 'hex') AS sha256
       FROM instance i JOIN series e ON e.id = i.series_fk JOIN study s ON s.id = e.study_fk
       WHERE i.series_fk = $1 ORDER BY i.number, i.sop_uid`,
      [seriesFk],
    );
    return rows.map((row, rank) => ({ id: row.id, rank, length: Number(row.blob_length), ref: refOf(row) }));
  }
}

const NOTHING = { packs: 0, objects: 0, bytes: 0 } as const;
const NOBODY: PackItem['object'] = {
  ...{ kind: 'object', receivedAt: '1970-01-01T00:00:00.000Z' },
  source: { kind: 'import', by: '', remoteAddress: '' },
};

interface SealRow extends Packable {
  readonly id: string;
  readonly ref: InstanceRef;
}

interface Row {
  readonly id: string;
  readonly study_uid: string;
  readonly series_uid: string;
  readonly sop_uid: string;
  readonly sop_class_uid: string;
  readonly transfer_syntax_uid: string;
  readonly frame_count: number;
  readonly blob: string;
  readonly blob_offset: string;
  readonly blob_length: string;
  readonly data_set_offset: number;
  readonly sha256: string;
}

const refOf = (row: Row): InstanceRef => ({
  ...{ studyUid: row.study_uid, seriesUid: row.series_uid, sopUid: row.sop_uid },
  ...{ sopClassUid: row.sop_class_uid, transferSyntaxUid: row.transfer_syntax_uid },
  ...{ instanceNumber: undefined, rows: undefined, columns: undefined, frameCount: row.frame_count },
  ...{ blob: row.blob, offset: Number(row.blob_offset), length: Number(row.blob_length) },
  // A pack holds, and tells of, what was received; corrections stay in the index.
  ...{ dataSetOffset: row.data_set_offset, sha256: row.sha256, version: row.sha256 },
});

const placeKey = ({ blob, offset }: BlobRange): string => `${packOf(blob) ?? blob} ${offset}`;

/** Who brought an object that lies in the journal: it is in the header of its record. Undefined: that cannot be read. */
async function sourceOf(
  blobs: BlobReader,
  { blob, offset, length }: BlobRange,
): Promise<Pick<ManifestObject, 'receivedAt' | 'source'> | undefined> {
  const bytes = await blobs.read(blob, offset - HEADER_BYTES, HEADER_BYTES).catch(() => undefined);
  const header = bytes && decodeHeader(bytes);
  if (!header || header.kind === 'void' || header.length !== length) return undefined;
  return { receivedAt: header.receivedAt.toISOString(), source: header.source };
}

const isFull = (error: unknown): boolean =>
  (error instanceof Fault && error.code === 'ARCHIVE_FULL') ||
  // Making a folder for it.
  ['ENOSPC', 'EDQUOT'].includes((error as { code?: string }).code ?? '');
