/**
 * Sealing as a whole, on a real database and disk: bytes stay bytes, readers are never disturbed, nothing goes before it is
 * proven to be elsewhere, and everything can be made again from packs and journal (laws 1 and 2).
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { createLog } from '../../platform/log.ts';
import { BlobReader } from '../blobs.ts';
import { openTestArchive, type TestArchive } from '../testing.ts';
import type { IngestForm, IngestOutcome, InstanceRef } from '../types.ts';
import { DiskPacks, type PackStore } from './store.ts';
import { type NewPack, PackWriter } from './write.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const STUDY = '1.2.3';
const source = { kind: 'dimse', by: 'CT1', remoteAddress: '192.0.2.7', calledAe: 'CT_IN' } as const;
const HURRY = { quietSeconds: 0, graceMs: 0, retireBytes: 0, mergeBytes: 100_000 };

let box: TestArchive;
beforeEach(async () => {
  box = await openTestArchive({ sealPolicy: HURRY, segmentBytes: 64 * 1024 });
});
afterEach(async () => {
  await box.close();
});

const form = (sop: string): IngestForm => ({
  ...{ form: 'dataset', transferSyntaxUid: EXPLICIT_LE, sopClassUid: CT, sopInstanceUid: sop },
});

function object(sop: string, series = 1, name = 'Seal^Test'): Uint8Array {
  return writeDataSet(
    dataSet({
      ...{ SOPClassUID: CT, SOPInstanceUID: sop, Modality: 'CT', PatientID: 'P1', PatientName: name },
      ...{ StudyInstanceUID: STUDY, SeriesInstanceUID: `${STUDY}.${series}`, StudyDate: '20260102' },
      ...{
        SeriesNumber: String(series),
        InstanceNumber: sop.split('.').at(-1)!,
        StudyDescription: `by ${sop}`,
      },
      PixelData: { vr: 'OW', value: new Uint8Array(5000).fill(Number(sop.split('.').at(-1))) },
    }),
    EXPLICIT_LE,
  );
}

async function take(bytes: Uint8Array, as: IngestForm): Promise<IngestOutcome> {
  const writer = await box.archive.ingest.begin(source, as);
  await writer.write(bytes);
  return writer.finish();
}

const sopOf = (number: number, series = 1): string => `${STUDY}.${series}.${number}`;
const keep = (number: number, series = 1, name?: string): Promise<IngestOutcome> =>
  take(object(sopOf(number, series), series, name), form(sopOf(number, series)));

async function seal(): Promise<void> {
  await box.archive.packs.seal();
  // Give up, set aside, delete: one step of each segment at a time, and a checkpoint between.
  for (let round = 0; round < 4; round += 1) {
    await box.archive.packs.release();
    if (journal().length === 0) return;
    if (round < 2) await box.checkpoint();
  }
}

const refs = (): Promise<InstanceRef[]> => box.archive.retrieve.list({ studyUid: STUDY });

/** Whether everything is given back as it came. */
async function demandEqual(list?: readonly InstanceRef[]): Promise<void> {
  for (const ref of list ?? (await refs())) {
    const whole = await box.archive.retrieve.read(ref, 0, ref.length);
    const series = Number(ref.seriesUid.split('.').at(-1));
    expect(whole.subarray(ref.dataSetOffset).equals(object(ref.sopUid, series)), ref.sopUid).toBe(true);
    const streamed = (await box.archive.retrieve.open(ref).toArray()) as Buffer[];
    expect(Buffer.concat(streamed).equals(whole)).toBe(true);
  }
}

const journal = (): string[] => readdirSync(join(box.dataDir, 'journal'));

function packs(): string[] {
  const all = readdirSync(join(box.dataDir, 'packs'), { recursive: true, encoding: 'utf8' });
  return all.filter((path) => path.endsWith('pack.zip')).map((path) => join(box.dataDir, 'packs', path));
}

const WHOLE = { damaged: [], missing: [], unindexed: 0, orphaned: [] };

describe('A series that is quiet', () => {
  it('becomes one pack, is given back byte for byte, and its segments go', async () => {
    for (let number = 1; number <= 30; number += 1) await keep(number);
    const before = await box.archive.retrieve.metadata({ studyUid: STUDY });
    expect(await box.archive.packs.seal()).toMatchObject({ series: 1, packs: 1, objects: 30 });
    await seal();
    expect(packs()).toHaveLength(1);
    expect(new Set((await refs()).map((ref) => ref.blob))).toEqual(new Set([`pack/${nameOf(packs()[0]!)}`]));
    await demandEqual();
    expect(journal()).toEqual([]);
    expect(await box.archive.verify()).toMatchObject({ objects: 30, ...WHOLE });
    expect((await box.archive.retrieve.metadata({ studyUid: STUDY })).etag).toBe(before.etag);
    const beside: unknown = JSON.parse(
      gunzipSync(readFileSync(join(dirname(packs()[0]!), 'metadata.json.gz'))).toString(),
    );
    expect(beside).toEqual(JSON.parse(gunzipSync(before.gzip).toString()));
    expect(await box.archive.packs.seal()).toMatchObject({ packs: 0 });
    // The same again is still known.
    expect(await keep(3)).toMatchObject({ status: 'duplicate' });
    expect(await keep(3, 1, 'Somebody^Else')).toMatchObject({ status: 'conflict' });
  });

  it('that gets late objects is packed again, and who reads the old place goes on', async () => {
    for (let number = 1; number <= 5; number += 1) await keep(number);
    const inJournal = await refs();
    await seal();
    const inPack = await refs();
    // One byte of each is on its way when everything under them goes.
    const reading = [...inJournal.slice(0, 1), ...inPack.slice(1, 2)].map((ref) => ({
      ref,
      stream: box.archive.retrieve.open(ref)[Symbol.asyncIterator](),
    }));
    const begun = await Promise.all(reading.map(({ stream }) => stream.next()));
    await keep(6);
    await seal();
    expect(packs()).toHaveLength(1);
    expect(journal()).toEqual([]);
    for (const [index, { ref, stream }] of reading.entries()) {
      const pieces = [begun[index]!.value as Buffer];
      for (let next = await stream.next(); next.done !== true; next = await stream.next())
        pieces.push(next.value as Buffer);
      expect(Buffer.concat(pieces).subarray(ref.dataSetOffset).equals(object(ref.sopUid))).toBe(true);
    }
    await demandEqual();
    // Lists from before: their objects lie elsewhere by now.
    await demandEqual(inJournal);
    await demandEqual(inPack);
    expect(await box.archive.verify()).toMatchObject({ objects: 6, ...WHOLE });
  });

  it('of more than a pack takes becomes several; a large one is not written again for a late object', async () => {
    await box.close();
    box = await openTestArchive({ sealPolicy: { ...HURRY, packBytes: 20_000, mergeBytes: 0 } });
    for (let number = 1; number <= 7; number += 1) await keep(number);
    await seal();
    expect(packs()).toHaveLength(3);
    const large = packs();
    await keep(8);
    await seal();
    expect(packs().filter((path) => large.includes(path)).length).toBeGreaterThanOrEqual(2);
    await demandEqual();
    expect(await refs()).toHaveLength(8);
  });

  it('is left alone while objects come', async () => {
    await box.close();
    box = await openTestArchive({ sealPolicy: { ...HURRY, quietSeconds: 60 } });
    await keep(1);
    expect(await box.archive.packs.seal()).toMatchObject({ packs: 0 });
  });

  it('stays in the journal when there is no room for a pack', async () => {
    await box.close();
    box = await openTestArchive({ sealPolicy: HURRY, highWaterBytes: 1 });
    await keep(1);
    box.config.highWaterBytes = Number.MAX_SAFE_INTEGER;
    await box.reopen();
    expect(await box.archive.packs.seal()).toMatchObject({ packs: 0 });
    await demandEqual();
    expect(packs()).toEqual([]);
    expect(readdirSync(join(box.dataDir, 'packs', 'incoming'))).toEqual([]);
  });
});

describe('What is damaged or lies aside', () => {
  it('an object that is not what was kept stays in the journal, and so does its segment; the others are packed', async () => {
    for (let number = 1; number <= 3; number += 1) await keep(number);
    const [, ref] = await refs();
    flip(join(box.dataDir, 'journal', `${ref!.blob.slice(8)}.lbj`), ref!.offset + ref!.length - 10);
    expect(await box.archive.packs.seal()).toMatchObject({ packs: 0 });
    await seal();
    const after = await refs();
    expect(after.map((one) => one.blob.split('/')[0])).toEqual(['pack', 'journal', 'pack']);
    expect(journal()).toHaveLength(1);
    expect((await box.archive.verify()).damaged).toEqual([{ blob: ref!.blob, offset: ref!.offset }]);
  });

  it('conflicts and quarantined bytes go to a pack of their own before their segment goes', async () => {
    await keep(1);
    await keep(1, 1, 'Somebody^Else');
    const broken = Buffer.alloc(60_000, 7);
    await take(broken, { form: 'part10' });
    await seal();
    expect(journal()).toEqual([]);
    expect(packs()).toHaveLength(2);
    const [row] = await box.archive.quarantine.list(10);
    const given = (await (await box.archive.quarantine.open(row!.id)).toArray()) as Buffer[];
    expect(Buffer.concat(given).equals(broken)).toBe(true);
    expect(row).toMatchObject({ source, faultCode: 'DICOM_NOT_PART10' });
    // The same again is known there.
    expect(await keep(1, 1, 'Somebody^Else')).toMatchObject({ status: 'conflict' });
    expect(await box.archive.stats()).toMatchObject({ conflicts: 1, quarantined: 1 });
    expect(await box.archive.verify()).toMatchObject({ objects: 3, ...WHOLE });
  });
});

describe('A pack nobody may depend on', () => {
  /** The writer of packs on a disk of ours, with what happens while it reads and writes. */
  async function write(
    store: PackStore,
    meanwhile: () => Promise<void> = () => Promise.resolve(),
  ): Promise<number> {
    const { database } = box;
    const blobs = new BlobReader((blob) => join(box.dataDir, 'journal', `${blob.slice(8)}.lbj`));
    const log = createLog({ logLevel: 'silent' });
    const diskFailed = (cause: unknown): never => {
      throw cause;
    };
    const writer = new PackWriter({ database, blobs, store, log, pace: meanwhile, diskFailed });
    const { rows } = await database.pool.query<{ id: string; sop_uid: string }>(
      'SELECT id, sop_uid FROM instance',
    );
    const items = (await refs()).map((ref) => ({
      ...{ table: 'instance' as const, id: rows.find((row) => row.sop_uid === ref.sopUid)!.id },
      ...{ place: ref, sha256: ref.sha256 },
      object: { kind: 'object' as const, sopUid: ref.sopUid, receivedAt: new Date().toISOString(), source },
    }));
    const pack: NewPack = {
      kind: 'series',
      items,
      replaces: [],
      metadata: () => Promise.resolve(Buffer.from('{}')),
    };
    return writer.write(pack, new AbortController().signal).finally(() => blobs.close());
  }

  async function demandNothingHappened(): Promise<void> {
    expect(packs()).toEqual([]);
    expect(readdirSync(join(box.dataDir, 'packs', 'incoming'))).toEqual([]);
    const { rows } = await box.database.pool.query(
      'SELECT name FROM pack UNION ALL SELECT segment FROM journal_spent',
    );
    expect(rows).toEqual([]);
    expect(new Set((await refs()).map((ref) => ref.blob.split('/')[0]))).toEqual(new Set(['journal']));
    await demandEqual();
  }

  it.each(['pack.zip', 'metadata.json.gz'] as const)(
    'is thrown away when the disk changed a bit of %s',
    async (bad) => {
      for (let number = 1; number <= 3; number += 1) await keep(number);
      const honest = await DiskPacks.open(box.dataDir);
      const lying: PackStore = {
        async draft(name) {
          const draft = await honest.draft(name);
          return {
            ...draft,
            async write(part, pieces) {
              await draft.write(part, pieces);
              // The time in a header: nothing but the hash of the whole can tell.
              if (part === bad)
                flip(join(box.dataDir, 'packs', 'incoming', name, part), part === 'pack.zip' ? 11 : 1);
            },
          };
        },
        open: (name, part) => honest.open(name, part),
        remove: (name) => honest.remove(name),
        names: () => honest.names(),
        sweep: (olderThanMs, inUse) => honest.sweep(olderThanMs, inUse),
      };
      await expect(write(lying)).rejects.toMatchObject({ code: 'PACK_DAMAGED' });
      await demandNothingHappened();
    },
  );

  it('changes nothing when an object moved while it was written', async () => {
    for (let number = 1; number <= 3; number += 1) await keep(number);
    const { pool } = box.database;
    const move = (away: string): Promise<unknown> =>
      pool.query(`UPDATE instance SET blob = blob || $1 WHERE sop_uid = $2`, [away, sopOf(2)]);
    let moved = false;
    const meanwhile = async (): Promise<void> => {
      if (!moved) await move('x');
      moved = true;
    };
    await expect(write(await DiskPacks.open(box.dataDir), meanwhile)).rejects.toMatchObject({
      code: 'PACK_MOVED',
    });
    await pool.query(`UPDATE instance SET blob = left(blob, -1) WHERE sop_uid = $1`, [sopOf(2)]);
    await demandNothingHappened();
    expect(await write(await DiskPacks.open(box.dataDir))).toBeGreaterThan(15_000);
    expect(packs()).toHaveLength(1);
  });
});

describe('reindex', () => {
  it('gives the same answers from packs and journal', async () => {
    for (let number = 1; number <= 5; number += 1) await keep(number);
    await keep(9, 2);
    await keep(2, 1, 'Somebody^Else');
    await take(Buffer.alloc(60_000, 7), { form: 'part10' });
    await seal();
    // Some lie in the journal.
    await keep(6);
    await keep(1, 3);
    const before = await answers();
    expect(await box.archive.reindex()).toEqual({ objects: 8 });
    expect(await answers()).toEqual(before);
    await demandEqual();
    expect(await box.archive.verify()).toMatchObject({ objects: 10, ...WHOLE });
    await seal();
    expect(await answers()).toEqual(before);
    expect(await box.archive.verify()).toMatchObject({ objects: 10, ...WHOLE });
  });

  it('is not confused by a pack and a segment that were about to go', async () => {
    for (let number = 1; number <= 3; number += 1) await keep(number);
    await box.archive.packs.seal();
    await keep(4);
    await box.archive.packs.seal();
    expect(packs()).toHaveLength(2);
    const before = await answers();
    await box.archive.reindex();
    expect(await answers()).toEqual(before);
    expect(await box.archive.verify()).toMatchObject(WHOLE);
    await seal();
    await demandEqual();
    expect(await box.archive.verify()).toMatchObject({ objects: 4, ...WHOLE });
  });

  async function answers(): Promise<unknown> {
    const search = async (level: 'study' | 'series' | 'instance'): Promise<unknown> =>
      (await box.archive.query.search({ level, keys: [], include: 'all' })).matches
        .map((match) => JSON.stringify(match.attributes))
        .sort();
    const { pool } = box.database;
    const sources = await pool.query(
      'SELECT sop_uid, source_kind, source_by, called_ae, received_at, sha256 FROM instance ORDER BY sop_uid',
    );
    const studies = await pool.query(
      'SELECT description, instance_count, received_at FROM study ORDER BY study_uid',
    );
    const aside = await pool.query(
      `SELECT sop_uid, sha256, source, received_at FROM instance_conflict
       UNION ALL SELECT fault, sha256, source, received_at FROM quarantine ORDER BY 1`,
    );
    return [
      await search('study'),
      await search('series'),
      await search('instance'),
      sources.rows,
      studies.rows,
      aside.rows,
    ];
  }
});

describe('verify', () => {
  it('names what is flipped, truncated, swapped, missing, orphaned', async () => {
    for (let number = 1; number <= 3; number += 1) await keep(number);
    for (let number = 1; number <= 3; number += 1) await keep(number, 2);
    await seal();
    const [first = '', second = ''] = packs();
    const [whole, other] = [readFileSync(first), readFileSync(second)];
    const here = (await refs()).filter((ref) => ref.blob === `pack/${nameOf(first)}`);
    const what = async (): Promise<(string | undefined)[]> => {
      const { damaged, missing } = await box.archive.verify();
      return [...damaged, ...missing].map((one) => one.what);
    };
    expect(await what()).toEqual([]);

    flip(first, here[1]!.offset + 100);
    expect((await box.archive.verify()).damaged).toEqual([
      { blob: here[1]!.blob, offset: here[1]!.offset, what: 'flipped' },
    ]);
    writeFileSync(first, whole);
    // Between the objects: no object is damaged, the pack is not what was written.
    flip(first, here[1]!.offset - 5);
    expect(await what()).toEqual(['flipped']);
    writeFileSync(first, whole);
    truncateSync(first, here[2]!.offset + 10);
    expect(await what()).toEqual(['truncated']);
    writeFileSync(first, whole);
    truncateSync(first, 20);
    expect(await what()).toContain('missing');
    writeFileSync(first, whole);
    const swapped = Buffer.from(whole);
    const [one, two] = [here[0]!, here[1]!];
    whole.copy(swapped, one.offset, two.offset, two.offset + two.length);
    whole.copy(swapped, two.offset, one.offset, one.offset + one.length);
    writeFileSync(first, swapped);
    expect(await what()).toEqual(['swapped', 'swapped']);
    writeFileSync(first, other);
    writeFileSync(second, whole);
    expect(new Set(await what())).toEqual(new Set(['swapped']));
    writeFileSync(first, whole);
    writeFileSync(second, other);
    flip(join(dirname(first), 'metadata.json.gz'), 20);
    expect(await what()).toEqual(['metadata']);
    flip(join(dirname(first), 'metadata.json.gz'), 20);
    renameSync(dirname(first), join(box.dataDir, 'away'));
    expect(await what()).toEqual(['missing', 'missing', 'missing']);
    renameSync(join(box.dataDir, 'away'), dirname(first));
    await box.database.pool.query('DELETE FROM pack WHERE name = $1', [nameOf(first)]);
    expect(await box.archive.verify()).toMatchObject({ damaged: [], missing: [], orphaned: [here[0]!.blob] });
  });
});

describe('Nothing goes without proof', () => {
  it('a database that knows nothing takes away neither packs nor segments', async () => {
    for (let number = 1; number <= 3; number += 1) await keep(number);
    await seal();
    await keep(4);
    await box.archive.packs.seal();
    await box.database.pool.query('TRUNCATE instance, pack, journal_spent, journal_segment');
    const kept = packs().length;
    await seal();
    expect(packs()).toHaveLength(kept);
    await box.archive.reindex();
    await demandEqual();
    expect(await refs()).toHaveLength(4);
  });

  it('a segment stays when a single record of it is not written down as superfluous', async () => {
    for (let number = 1; number <= 3; number += 1) await keep(number);
    await box.archive.packs.seal();
    await box.database.pool.query(
      'DELETE FROM journal_spent WHERE record_start = (SELECT max(record_start) FROM journal_spent)',
    );
    await seal();
    expect(journal()).toHaveLength(1);
  });

  it('a replaced pack stays while an object lies nowhere else', async () => {
    for (let number = 1; number <= 3; number += 1) await keep(number);
    await seal();
    await box.database.pool.query(`UPDATE pack SET state = 'replaced'`);
    await seal();
    expect(packs()).toHaveLength(1);
    await demandEqual();
  });

  it('what a process that died had begun goes after its time, what is under way does not', async () => {
    await keep(1);
    const { pool } = box.database;
    const left = join(box.dataDir, 'packs', 'incoming', 'a'.repeat(32));
    const published = join(box.dataDir, 'packs', 'bb', 'bb', 'b'.repeat(32));
    for (const folder of [left, published]) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'pack.zip'), 'half of a pack');
    }
    await pool.query(
      `INSERT INTO pack (name, kind, state, objects, bytes) VALUES ($1, 'series', 'writing', 1, 1), ($2, 'series', 'writing', 1, 1)`,
      ['a'.repeat(32), 'b'.repeat(32)],
    );
    await box.close({ keep: true });
    box = await openTestArchive({ dataDir: box.dataDir, sealPolicy: { ...HURRY, graceMs: 3_600_000 } });
    await box.archive.packs.release();
    expect([existsSync(left), existsSync(published)]).toEqual([true, true]);
    await box.database.pool.query(`UPDATE pack SET state_at = now() - interval '2 hours'`);
    utimesSync(left, new Date(0), new Date(0));
    await box.archive.packs.release();
    expect([existsSync(left), existsSync(published)]).toEqual([false, false]);
    expect((await box.database.pool.query('SELECT * FROM pack')).rows).toEqual([]);
    await demandEqual();
  });
});

const nameOf = (zip: string): string => dirname(zip).split('/').at(-1)!;

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  const { mode } = statSync(path);
  rmSync(path);
  writeFileSync(path, bytes, { mode });
}
