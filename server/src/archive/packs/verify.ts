/**
 * Reads every pack again and compares it with what was promised when it was written, and with the index. Changes nothing.
 *
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../../platform/database.ts';
import type { FoundDamage } from '../types.ts';
import { type PackedObject, type PackReading, readPack } from './read.ts';
import { packBlob, type PackStore } from './store.ts';

export interface PacksReport {
  readonly objects: number;
  readonly bytes: number;
  readonly damaged: FoundDamage[];
  readonly missing: FoundDamage[];
  /** Packs that the index does not know. They are not taken away: `reindex` takes up what is in them. */
  readonly orphaned: string[];
}

interface Known {
  readonly state: string;
  readonly sha256: string | null;
  readonly metadata: string | null;
}

type Rows = Map<number, { readonly sha256: string; readonly length: number }>;

export async function verifyPacks(
  parts: { readonly database: Database; readonly store: PackStore },
  progress: (bytes: number) => void,
): Promise<PacksReport> {
  const report = { objects: 0, bytes: 0, damaged: [], missing: [], orphaned: [] } as {
    -readonly [K in keyof PacksReport]: PacksReport[K];
  };
  const expected = await countByBlob(parts.database);
  for await (const name of parts.store.names()) {
    const blob = packBlob(name);
    const count = expected.get(blob) ?? 0;
    expected.delete(blob);
    const known = await knownPack(parts.database, name);
    if (!known || (known.state !== 'kept' && known.state !== 'replaced')) report.orphaned.push(blob);
    const found = await checkPack(
      parts.store,
      name,
      known,
      count > 0 ? await rowsOf(parts.database, blob) : new Map(),
    );
    report.objects += found.objects;
    report.bytes += found.bytes;
    report.damaged.push(...found.damaged);
    report.missing.push(...found.missing);
    progress(report.bytes);
  }
  for (const blob of expected.keys())
    for (const offset of (await rowsOf(parts.database, blob)).keys())
      report.missing.push({ blob, offset, what: 'missing' });
  return report;
}

async function checkPack(
  store: PackStore,
  name: string,
  known: Known | undefined,
  rows: Rows,
): Promise<Omit<PacksReport, 'orphaned'>> {
  const blob = packBlob(name);
  const damaged: FoundDamage[] = [];
  let objects = 0;
  const visit = ({ object, start, fault }: PackedObject): void => {
    const row = rows.get(start);
    rows.delete(start);
    // What another pack has as well is not counted twice.
    if (row || !known) objects += 1;
    const other = row !== undefined && (row.sha256 !== object.sha256 || row.length !== object.length);
    if (fault !== undefined || other) damaged.push({ blob, offset: start, what: fault ?? 'swapped' });
  };
  const zip = await store.open(name, 'pack.zip');
  let reading: PackReading | undefined;
  try {
    reading = await readPack(zip, { visit });
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'PACK_DAMAGED') throw error;
    damaged.push({ blob, offset: 0, what: error.facts['what'] === 'length' ? 'truncated' : 'flipped' });
  } finally {
    await zip.close();
  }
  if (reading && reading.manifest.name !== name) damaged.push({ blob, offset: 0, what: 'swapped' });
  else if (reading && damaged.length === 0) {
    if (reading.fault !== undefined)
      damaged.push({ blob, offset: 0, what: reading.fault === 'truncated' ? 'truncated' : 'flipped' });
    else if (known?.sha256 && known.sha256 !== reading.sha256)
      damaged.push({ blob, offset: 0, what: 'flipped' });
  }
  if (known?.metadata && known.metadata !== (await metadataHash(store, name)))
    damaged.push({ blob, offset: 0, what: 'metadata' });
  const missing = [...rows.keys()].map((offset) => ({ blob, offset, what: 'missing' as const }));
  return { objects, bytes: zip.size, damaged, missing };
}

/** Hex; undefined when it is not there. */
export async function metadataHash(store: PackStore, name: string): Promise<string | undefined> {
  try {
    const part = await store.open(name, 'metadata.json.gz');
    try {
      return createHash('sha256')
        .update(await part.read(0, part.size))
        .digest('hex');
    } finally {
      await part.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function knownPack(database: Database, name: string): Promise<Known | undefined> {
  const { rows } = await database.pool.query<Known>(
    `SELECT state, encode(sha256, 'hex') AS sha256, encode(metadata_sha256, 'hex') AS metadata FROM pack WHERE name = $1`,
    [name],
  );
  return rows[0];
}

/** Each table has an index that serves these conditions. */
const places = (condition: string): string =>
  ['instance', 'instance_conflict', 'quarantine']
    .map(
      (table) =>
        `SELECT blob, blob_offset, blob_length, sha256 FROM ${table} WHERE blob LIKE 'pack/%' AND ${condition}`,
    )
    .join(' UNION ALL ');

async function countByBlob(database: Database): Promise<Map<string, number>> {
  const { rows } = await database.pool.query<{ blob: string; count: string }>(
    `SELECT blob, count(*) AS count FROM (${places('true')}) AS t GROUP BY blob`,
  );
  return new Map(rows.map((row) => [row.blob, Number(row.count)]));
}

async function rowsOf(database: Database, blob: string): Promise<Rows> {
  const { rows } = await database.pool.query<Record<'blob_offset' | 'blob_length' | 'sha256', string>>(
    `SELECT blob_offset, blob_length, encode(sha256, 'hex') AS sha256 FROM (${places('blob = $1')}) AS t
     ORDER BY blob_offset`,
    [blob],
  );
  return new Map(
    rows.map((row) => [Number(row.blob_offset), { sha256: row.sha256, length: Number(row.blob_length) }]),
  );
}
