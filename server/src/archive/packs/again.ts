/**
 * Taking packs up into an empty index: what is in them, who brought it and when, and that they are kept.
 *
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { asFault } from '@lightbox/core/base/fault.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import type { ReadObject, ReplayParts } from '../replay.ts';
import { layoutOf, type Manifest, type ManifestObject, readManifest } from './manifest.ts';
import { readPack } from './read.ts';
import { type OpenPart, packBlob } from './store.ts';
import { metadataHash } from './verify.ts';

/** Objects on their way into the index at once. */
const AT_ONCE = 64;
const READ_BYTES = 1024 * 1024;

interface FoundPack {
  readonly name: string;
  readonly kind: Manifest['kind'];
  readonly bytes: number;
  /** When its first object came. */
  readonly first: string;
  readonly made: string;
}

/** Puts an object into the index, or aside. @returns false when the same is kept elsewhere. */
export type KeepRead = (object: ReadObject) => Promise<boolean>;

type Parts = Pick<ReplayParts, 'packs' | 'database' | 'log'> & { readonly keep: KeepRead };

export interface PacksToIndex {
  readonly bytes: number;
  /** Those of series, the one whose first object came first before the others: the first object of a study describes it. */
  series(told: (bytes: number) => void): Promise<void>;
  aside(told: (bytes: number) => void): Promise<void>;
}

export async function indexPacks(parts: Parts): Promise<PacksToIndex> {
  const found: FoundPack[] = [];
  for await (const name of parts.packs.names()) {
    const zip = await parts.packs.open(name, 'pack.zip');
    try {
      const { manifest } = await readManifest(zip);
      const first = manifest.objects.map((one) => one.receivedAt).sort()[0] ?? '';
      found.push({ name, kind: manifest.kind, bytes: zip.size, first, made: manifest.createdAt });
    } catch (error) {
      parts.log.error({ err: error, pack: name }, 'a pack cannot be read');
    } finally {
      await zip.close();
    }
  }
  // Of two that begin alike the newer one replaced the older.
  found.sort((one, other) => compare(one.first, other.first) || compare(other.made, one.made));
  const index = async (kind: Manifest['kind'], told: (bytes: number) => void): Promise<void> => {
    for (const pack of found) {
      if (pack.kind !== kind) continue;
      await indexPack(parts, pack);
      told(pack.bytes);
    }
  };
  return {
    bytes: found.reduce((sum, one) => sum + one.bytes, 0),
    series: (told) => index('series', told),
    aside: (told) => index('aside', told),
  };
}

async function indexPack(parts: Parts, { name, kind, bytes }: FoundPack): Promise<void> {
  const zip = await parts.packs.open(name, 'pack.zip');
  try {
    await indexFirst(parts, name, zip);
    let reading: Reading | undefined;
    let located = 0;
    let damaged = 0;
    let under: Promise<void>[] = [];
    const read = await readPack(zip, {
      begin: (object) => (reading = begin(object)),
      each: (piece) => push(reading, piece),
      visit: async ({ object, start, fault }) => {
        if (fault !== undefined) {
          damaged += 1;
          parts.log.error({ pack: name, offset: start, fault }, 'an object in a pack is damaged');
          return;
        }
        under.push(
          keep(parts, name, object, start, reading).then((needed) => {
            if (needed) located += 1;
          }),
        );
        if (under.length < AT_ONCE) return;
        await Promise.all(under);
        under = [];
      },
    });
    await Promise.all(under);
    // One that another pack replaced before it could be taken away, or one whose writing was not finished.
    const state = located === 0 && damaged === 0 ? 'replaced' : 'kept';
    await parts.database.pool.query(
      `INSERT INTO pack (name, kind, state, objects, bytes, sha256, metadata_sha256, created_at, verified_at)
       VALUES ($1, $2, $3, $4, $5, decode($6, 'hex'), decode($7, 'hex'), $8, now())`,
      [
        ...[name, kind, state, read.manifest.objects.length, bytes],
        ...[read.sha256, (await metadataHash(parts.packs, name)) ?? null, read.manifest.createdAt],
      ],
    );
  } finally {
    await zip.close();
  }
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

interface Reading {
  readonly reader: DicomReader | undefined;
  fault: string | undefined;
}

const begin = (object: ManifestObject): Reading => ({
  reader: object.kind === 'quarantine' ? undefined : new DicomReader(),
  fault: object.fault,
});

function push(reading: Reading | undefined, piece: Buffer): void {
  if (!reading?.reader || reading.fault !== undefined) return;
  try {
    reading.reader.push(piece);
  } catch (error) {
    reading.fault = asFault(error).code;
  }
}

function keep(
  parts: Parts,
  name: string,
  object: ManifestObject,
  start: number,
  reading: Reading | undefined,
): Promise<boolean> {
  return parts.keep({
    kept: {
      ...{ blob: packBlob(name), offset: start, length: object.length },
      ...{ sha256: Buffer.from(object.sha256, 'hex'), receivedAt: new Date(object.receivedAt) },
    },
    ...{ source: object.source, reader: reading?.reader, fault: reading?.fault },
    aside: object.kind === 'conflict',
  });
}

/** The object that came first goes first, wherever it lies in the pack: it makes the series, and maybe the study. */
async function indexFirst(parts: Parts, name: string, zip: OpenPart): Promise<void> {
  const { manifest, bytes } = await readManifest(zip);
  const { starts } = layoutOf(manifest, bytes);
  let at = 0;
  manifest.objects.forEach((object, index) => {
    if (object.receivedAt < (manifest.objects[at]?.receivedAt ?? '')) at = index;
  });
  const object = manifest.objects[at];
  const start = starts[at];
  if (at === 0 || manifest.kind !== 'series' || !object || start === undefined) return;
  const reading = begin(object);
  const hash = createHash('sha256');
  for (let done = 0; done < object.length;) {
    const piece = await zip.read(start + done, Math.min(READ_BYTES, object.length - done));
    if (piece.length === 0) return;
    hash.update(piece);
    push(reading, piece);
    done += piece.length;
  }
  if (hash.digest('hex') === object.sha256) await keep(parts, name, object, start, reading);
}
