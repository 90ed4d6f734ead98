/**
 * Writes one pack and moves its objects there. Whenever the process or the power ends, the objects lie where they lay, or in the
 * new pack: each step is durable before the next, and what was before is not touched here.
 *
 *   1. a row says that a pack of this name is being written (so that what a crash leaves of it is found)
 *   2. ZIP and metadata go to a folder nobody reads, synced
 *   3. both are read back from the disk: every SHA-256 and CRC-32, the directory, the whole
 *   4. the folder gets its name, synced
 *   5. one transaction: the pack is kept, its objects lie in it, the records of the journal are superfluous
 *
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { Fault } from '@lightbox/core/base/fault.ts';
import { type Database, isConnectionLoss } from '../../platform/database.ts';
import type { Log } from '../../platform/log.ts';
import type { MediumFile } from '../../platform/medium.ts';
import type { Pieces } from '../../platform/outgoing.ts';
import { writeZip } from '../../platform/zip-out.ts';
import type { BlobRange, BlobReader } from '../blobs.ts';
import { segmentOf } from '../journal/journal.ts';
import { HEADER_BYTES } from '../journal/record.ts';
import { noteSpent } from '../journal/spent.ts';
import { encodeManifest, layoutOf, type Manifest, type ManifestObject, manifestFile } from './manifest.ts';
import { groupBy } from './plan.ts';
import { readPack } from './read.ts';
import { newPackName, packBlob, type PackDraft, type PackStore } from './store.ts';

/** One object on its way into a pack. */
export interface PackItem {
  readonly table: 'instance' | 'instance_conflict' | 'quarantine';
  /** Of its row. */
  readonly id: string;
  readonly place: BlobRange;
  /** Hex. */
  readonly sha256: string;
  readonly object: Omit<ManifestObject, 'entry' | 'length' | 'sha256'>;
}

export interface NewPack {
  readonly kind: Manifest['kind'];
  readonly studyUid?: string | undefined;
  readonly seriesUid?: string | undefined;
  readonly items: readonly PackItem[];
  /** Packs all of whose objects are among the items. */
  readonly replaces: readonly string[];
  /** Gzipped DICOM JSON; none for what is kept aside. */
  readonly metadata?: () => Promise<Uint8Array>;
}

export interface PackWriterParts {
  readonly database: Database;
  readonly blobs: BlobReader;
  readonly store: PackStore;
  readonly log: Log;
  /** Called with the bytes read and written. */
  readonly pace: (bytes: number) => Promise<void>;
  /** The disk failed: nothing can be promised any more. */
  readonly diskFailed: (cause: unknown) => void;
}

/** An object is not what it was kept as: it stays where it is, for a person. */
export class DamagedSource extends Fault {
  readonly item: PackItem;

  constructor(item: PackItem, cause?: unknown) {
    super('PACK_SOURCE', { blob: item.place.blob, offset: item.place.offset }, { cause });
    this.item = item;
  }
}

export class PackWriter {
  readonly #parts: PackWriterParts;
  /** Packs of this process that are under way. */
  readonly inFlight = new Set<string>();

  constructor(parts: PackWriterParts) {
    this.#parts = parts;
  }

  /**
   * @returns bytes of the pack.
   * @throws  DamagedSource; Fault PACK_DAMAGED when the disk did not keep what was written; the errors of the disk and of the database.
   */
  async write(pack: NewPack, signal: AbortSignal): Promise<number> {
    const { store, database, log } = this.#parts;
    const name = newPackName();
    const createdAt = new Date();
    const manifest = describePack(pack, name, createdAt);
    const { starts, bytes } = layoutOf(manifest, encodeManifest(manifest).length);
    this.inFlight.add(name);
    let unknown = false;
    let draft: PackDraft | undefined;
    try {
      await database.pool.query(
        `INSERT INTO pack (name, kind, state, objects, bytes) VALUES ($1, $2, 'writing', $3, $4)`,
        [name, pack.kind, pack.items.length, bytes],
      );
      draft = await store.draft(name);
      const digests = await this.#fill(draft, pack, manifest, createdAt, signal);
      await this.#readBack(draft, manifest, bytes, digests);
      signal.throwIfAborted();
      await draft.publish();
      try {
        await this.#moveObjects(pack, name, starts, digests);
      } catch (error) {
        // Without an answer nobody knows whether it was carried out.
        unknown = isConnectionLoss(error);
        throw error;
      }
      return bytes;
    } catch (error) {
      if (error instanceof Fault && error.code === 'ARCHIVE_DISK') this.#parts.diskFailed(error.cause);
      if (!unknown)
        await this.#drop(name, draft).catch((problem: unknown) =>
          log.warn({ err: problem, pack: name }, 'a pack that was given up is taken away later'),
        );
      throw error;
    } finally {
      this.inFlight.delete(name);
    }
  }

  async #drop(name: string, draft: PackDraft | undefined): Promise<void> {
    await draft?.discard();
    await dropPack(this.#parts, name);
  }

  async #fill(
    draft: PackDraft,
    pack: NewPack,
    manifest: Manifest,
    createdAt: Date,
    signal: AbortSignal,
  ): Promise<Digests> {
    const { pace } = this.#parts;
    const files = [
      manifestFile(manifest),
      ...pack.items.map((item, index) => this.#fileOf(item, manifest.objects[index]!.entry)),
    ];
    async function* hashed(pieces: Pieces, into: { update(piece: Uint8Array): unknown }): Pieces {
      for await (const piece of pieces) {
        signal.throwIfAborted();
        into.update(piece);
        yield piece;
        await pace(piece.length);
      }
    }
    const zip = createHash('sha256');
    await draft.write('pack.zip', hashed(writeZip(files, createdAt), zip));
    const metadata = await pack.metadata?.();
    if (metadata === undefined) return { zip: zip.digest('hex'), metadata: undefined };
    const json = createHash('sha256');
    await draft.write('metadata.json.gz', hashed(oneOf(metadata), json));
    return { zip: zip.digest('hex'), metadata: json.digest('hex') };
  }

  #fileOf(item: PackItem, entry: string): MediumFile {
    const { blob, offset, length } = item.place;
    const pieces = async function* (blobs: BlobReader): Pieces {
      const hash = createHash('sha256');
      const stream = blobs.stream(blob, offset, length).pieces();
      for (;;) {
        // What cannot be read is damaged, as what is read and is something else.
        const next = await stream.next().catch((cause: unknown) => {
          throw new DamagedSource(item, cause);
        });
        if (next.done === true) break;
        hash.update(next.value);
        yield next.value;
      }
      if (hash.digest('hex') !== item.sha256) throw new DamagedSource(item);
    };
    return {
      path: [entry],
      bytes: length,
      open: () => Promise.resolve({ bytes: length, pieces: pieces(this.#parts.blobs) }),
    };
  }

  /** @throws Fault PACK_DAMAGED. */
  async #readBack(draft: PackDraft, manifest: Manifest, bytes: number, digests: Digests): Promise<void> {
    const zip = await draft.open('pack.zip');
    try {
      let bad = 0;
      let objects = 0;
      const visit = ({ fault }: { readonly fault: string | undefined }): void => {
        objects += 1;
        if (fault !== undefined) bad += 1;
      };
      const reading = await readPack(zip, { visit }, this.#parts.pace);
      const whole =
        reading.fault === undefined &&
        reading.sha256 === digests.zip &&
        reading.bytes === bytes &&
        objects === manifest.objects.length &&
        reading.manifest.name === manifest.name;
      if (!whole || bad > 0) throw new Fault('PACK_DAMAGED', { what: 'read back', objects: bad });
    } finally {
      await zip.close();
    }
    if (digests.metadata === undefined) return;
    const json = await draft.open('metadata.json.gz');
    try {
      const read = createHash('sha256').update(await json.read(0, json.size));
      if (read.digest('hex') !== digests.metadata) throw new Fault('PACK_DAMAGED', { what: 'metadata' });
    } finally {
      await json.close();
    }
  }

  /** All or nothing: an object that moved or went meanwhile makes the whole pack void. */
  async #moveObjects(
    pack: NewPack,
    name: string,
    starts: readonly number[],
    digests: Digests,
  ): Promise<void> {
    await inTransaction(this.#parts.database.pool, async (client) => {
      await client.query('SET LOCAL synchronous_commit = on');
      await demand(
        client.query(
          `UPDATE pack SET state = 'kept', state_at = now(), verified_at = now(), sha256 = decode($2, 'hex'),
             metadata_sha256 = decode($3, 'hex')
           WHERE name = $1 AND state = 'writing'`,
          [name, digests.zip, digests.metadata ?? null],
        ),
        1,
      );
      const indexed = pack.items.map((item, index) => ({ item, start: starts[index]! }));
      for (const table of ['instance', 'instance_conflict', 'quarantine'] as const) {
        const here = indexed.filter(({ item }) => item.table === table);
        if (here.length === 0) continue;
        await demand(
          client.query(
            `UPDATE ${table} AS i SET blob = $1, blob_offset = t.start
             FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[])
               AS t (id, blob, was, length, sha256, start)
             WHERE i.id = t.id AND i.blob = t.blob AND i.blob_offset = t.was AND i.blob_length = t.length
               AND i.sha256 = decode(t.sha256, 'hex')`,
            [
              packBlob(name),
              here.map(({ item }) => item.id),
              here.map(({ item }) => item.place.blob),
              here.map(({ item }) => item.place.offset),
              here.map(({ item }) => item.place.length),
              here.map(({ item }) => item.sha256),
              here.map(({ start }) => start),
            ],
          ),
          here.length,
        );
      }
      const spent = groupBy(pack.items, (item) => segmentOf(item.place.blob));
      for (const [segment, items] of spent)
        if (segment !== undefined)
          await noteSpent(
            client,
            segment,
            items.map((item) => item.place.offset - HEADER_BYTES),
          );
      if (pack.replaces.length)
        await demand(
          client.query(
            `UPDATE pack SET state = 'replaced', state_at = now() WHERE name = ANY($1) AND state = 'kept'`,
            [pack.replaces],
          ),
          pack.replaces.length,
        );
    });
  }
}

interface Digests {
  readonly zip: string;
  readonly metadata: string | undefined;
}

async function* oneOf(piece: Uint8Array): Pieces {
  yield piece;
}

function describePack(pack: NewPack, name: string, createdAt: Date): Manifest {
  return {
    ...{ format: 'lightbox-pack/1', name, kind: pack.kind, createdAt: createdAt.toISOString() },
    ...{ studyUid: pack.studyUid, seriesUid: pack.seriesUid },
    objects: pack.items.map((item, index) => ({
      entry: `${String(index + 1).padStart(6, '0')}.${item.object.kind === 'quarantine' ? 'bin' : 'dcm'}`,
      ...item.object,
      length: item.place.length,
      sha256: item.sha256,
    })),
  };
}

/** Takes away a pack nobody refers to: first no transaction can begin to, then it goes. */
export async function dropPack(
  { database, store }: Pick<PackWriterParts, 'database' | 'store'>,
  name: string,
): Promise<boolean> {
  const { rowCount } = await database.pool.query(
    `UPDATE pack SET state = 'dropped' WHERE name = $1 AND state IN ('writing', 'dropped')`,
    [name],
  );
  if (rowCount === 0) return false;
  await store.remove(name);
  await database.pool.query(`DELETE FROM pack WHERE name = $1 AND state = 'dropped'`, [name]);
  return true;
}

async function inTransaction(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query('BEGIN');
    try {
      await work(client);
    } catch (error) {
      await client.query('ROLLBACK');
      broken = false;
      throw error;
    }
    await client.query('COMMIT');
    broken = false;
  } finally {
    client.release(broken);
  }
}

/** @throws when another number of rows was changed: something moved meanwhile. */
async function demand(answer: Promise<pg.QueryResult>, rows: number): Promise<void> {
  const { rowCount } = await answer;
  if (rowCount !== rows) throw new Fault('PACK_MOVED', { rows: rowCount ?? 0, wanted: rows });
}
