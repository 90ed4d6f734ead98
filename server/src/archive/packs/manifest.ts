/**
 * The first entry of every pack: what is in it, and what the journal knew of each object, so that the index can be made again
 * from packs alone.
 *
 * Names, lengths and order of the entries follow from it, and so does where each begins: a pack is read without its central
 * directory, and one whose end is lost is not lost.
 * Layer:  server/archive. Values in, bytes out.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { z } from 'zod';
import { memoryFile } from '../../platform/medium.ts';
import type { RandomAccess } from '../../platform/zip-index.ts';
import { zipLayout } from '../../platform/zip-out.ts';
import { SOURCE_KINDS } from '../journal/record.ts';

export const MANIFEST_NAME = 'manifest.json';
const FORMAT = 'lightbox-pack/1';
/** 10,000 objects take 5 MB. */
const LARGEST_MANIFEST = 64 * 1024 * 1024;
const LOCAL_BYTES = 30;

const ManifestObject = z.object({
  /** Name of the entry; ours. */
  entry: z.string().regex(/^[0-9]{6}\.(dcm|bin)$/),
  /** conflict: another object of the same name is the one that is served. quarantine: nobody could read it. */
  kind: z.enum(['object', 'conflict', 'quarantine']),
  sopUid: z.string().max(64).optional(),
  length: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  receivedAt: z.iso.datetime(),
  source: z.object({
    // A newer version may know more kinds: the object matters, not who sent it.
    kind: z.enum(SOURCE_KINDS).catch('import'),
    by: z.string(),
    remoteAddress: z.string(),
    calledAe: z.string().optional(),
    name: z.string().optional(),
  }),
  /** Code of the fault of a quarantined object. */
  fault: z.string().optional(),
});

const Manifest = z.object({
  format: z.literal(FORMAT),
  name: z.string().regex(/^[0-9a-f]{32}$/),
  kind: z.enum(['series', 'aside']),
  createdAt: z.iso.datetime(),
  studyUid: z.string().max(64).optional(),
  seriesUid: z.string().max(64).optional(),
  objects: z.array(ManifestObject),
});

export type ManifestObject = z.output<typeof ManifestObject>;
export type Manifest = z.output<typeof Manifest>;

export const manifestOf = (facts: Omit<Manifest, 'format'>): Manifest => ({ format: FORMAT, ...facts });

export const encodeManifest = (manifest: Manifest): Buffer => Buffer.from(`${JSON.stringify(manifest)}\n`);

/** Where each object begins in the pack, in the order of the manifest, and the length of the whole. */
export function layoutOf(
  manifest: Manifest,
  manifestBytes: number,
): { readonly starts: readonly number[]; readonly bytes: number } {
  const layout = zipLayout([
    { path: [MANIFEST_NAME], bytes: manifestBytes },
    ...manifest.objects.map(({ entry, length }) => ({ path: [entry], bytes: length })),
  ]);
  if (!layout) throw new Fault('INTERNAL', { what: 'a pack without lengths' });
  return { starts: layout.starts.slice(1), bytes: layout.bytes };
}

export const manifestFile = (manifest: Manifest): ReturnType<typeof memoryFile> =>
  memoryFile([MANIFEST_NAME], encodeManifest(manifest));

/**
 * @returns the manifest, and how many bytes it has.
 * @throws  Fault PACK_DAMAGED.
 */
export async function readManifest(pack: RandomAccess): Promise<{ manifest: Manifest; bytes: number }> {
  const begin = LOCAL_BYTES + MANIFEST_NAME.length;
  const local = await pack.read(0, begin);
  // Local header (APPNOTE §4.3.7) with the length in it.
  if (local.length < begin || local.readUInt32LE(0) !== 0x04034b50) throw damaged('header');
  if (local.toString('latin1', LOCAL_BYTES) !== MANIFEST_NAME) throw damaged('header');
  const bytes = local.readUInt32LE(22);
  if (bytes > LARGEST_MANIFEST) throw damaged('manifest');
  const text = await pack.read(begin, bytes);
  if (text.length < bytes) throw damaged('length');
  try {
    return { manifest: Manifest.parse(JSON.parse(text.toString('utf8'))), bytes };
  } catch (cause) {
    throw new Fault('PACK_DAMAGED', { what: 'manifest' }, { cause });
  }
}

const damaged = (what: string): Fault => new Fault('PACK_DAMAGED', { what });
