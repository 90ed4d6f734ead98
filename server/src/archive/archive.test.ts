/**
 * The archive as a whole, on a real database and disk: what is kept once, what is kept aside, what a damaged disk shows, and
 * that everything can be made again from the journal (laws 1 and 2).
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { DiskGauge } from './disk.ts';
import { encodeHeader } from './journal/record.ts';
import { openTestArchive, type TestArchive } from './testing.ts';
import type { IngestForm, IngestOutcome } from './types.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const STUDY = '1.2.3';
const source = { kind: 'dimse', by: 'CT1', remoteAddress: '127.0.0.1' } as const;

let box: TestArchive;
beforeEach(async () => {
  box = await openTestArchive();
});
afterEach(async () => {
  await box.close();
});

const form = (sop: string): IngestForm => ({
  ...{ form: 'dataset', transferSyntaxUid: EXPLICIT_LE, sopClassUid: CT, sopInstanceUid: sop },
});

function object(sop: string, patientName = 'Archive^Test'): Uint8Array {
  return writeDataSet(
    dataSet({
      ...{ SOPClassUID: CT, SOPInstanceUID: sop, Modality: 'CT', PatientID: 'P1', PatientName: patientName },
      ...{ StudyInstanceUID: STUDY, SeriesInstanceUID: `${STUDY}.1`, StudyDate: '20260102' },
      PixelData: { vr: 'OW', value: new Uint8Array(2000).fill(sop.length) },
    }),
    EXPLICIT_LE,
  );
}

async function take(bytes: Uint8Array, as: IngestForm): Promise<IngestOutcome> {
  const writer = await box.archive.ingest.begin(source, as);
  for (let at = 0; at < bytes.length; at += 700) await writer.write(bytes.subarray(at, at + 700));
  return writer.finish();
}

const keep = (sop: string, name?: string): Promise<IngestOutcome> => take(object(sop, name), form(sop));

/** Bytes of the data set as it is given back. */
async function given(sop: string): Promise<Buffer> {
  const [ref] = await box.archive.retrieve.list({ studyUid: STUDY, sopUid: sop });
  const whole = await box.archive.retrieve.read(ref!, 0, ref!.length);
  return whole.subarray(ref!.dataSetOffset);
}

const segments = (): string[] =>
  readdirSync(join(box.dataDir, 'journal')).map((name) => join(box.dataDir, 'journal', name));

describe('a complete study', () => {
  it('is told of until whoever waits for it has done what it had to, after a restart too', async () => {
    const { config } = box;
    config.quietSeconds = 0;
    let tries = 0;
    const end = box.events.subscribe('study.stable', () => {
      tries += 1;
      if (tries < 3) throw new Error('not yet');
    });
    await keep('1.2.3.1.1');
    await expect.poll(() => tries, { timeout: 20_000 }).toBe(1);
    await box.archive.close();
    await box.reopen();
    await expect.poll(() => tries, { timeout: 20_000 }).toBe(3);
    // Nobody is told a second time of what was heard.
    await sleep(2500);
    expect(tries).toBe(3);
    end();
  });
});

describe('The same object', () => {
  it('is kept once when 20 senders bring it at the same time, and each is told so', async () => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => keep('1.2.3.1.1')));
    const count = (status: string): number => outcomes.filter((one) => one.status === status).length;
    expect([count('stored'), count('duplicate')]).toEqual([1, 19]);
    expect(await box.archive.stats()).toMatchObject({ instances: 1, conflicts: 0 });
    expect(await box.archive.verify()).toMatchObject({ objects: 1, damaged: [], missing: [], unindexed: 0 });
  });

  it('with other bytes is kept aside, once; the first stays what is served (attack A24)', async () => {
    await keep('1.2.3.1.1');
    for (const _time of [1, 2]) {
      const second = await keep('1.2.3.1.1', 'Somebody^Else');
      expect(second).toMatchObject({ status: 'conflict', fault: { code: 'INSTANCE_CONFLICT' } });
    }
    expect(await box.archive.stats()).toMatchObject({ instances: 1, conflicts: 1 });
    expect((await given('1.2.3.1.1')).equals(object('1.2.3.1.1'))).toBe(true);
    expect(await box.archive.verify()).toMatchObject({ objects: 2, damaged: [], missing: [], unindexed: 0 });
  });

  it('of an aborted sender leaves nothing', async () => {
    const writer = await box.archive.ingest.begin(source, form('1.2.3.1.1'));
    await writer.write(object('1.2.3.1.1').subarray(0, 1000));
    await writer.abort();
    expect(await box.archive.verify()).toMatchObject({ objects: 0 });
    expect(await keep('1.2.3.1.1')).toMatchObject({ status: 'stored' });
  });
});

describe('Quarantine', () => {
  it('gives the bytes back as they came, page by page, the newest first', async () => {
    const broken = [1, 2, 3].map((fill) => Buffer.alloc(5000, fill));
    for (const bytes of broken)
      expect(await take(bytes, { form: 'part10' })).toMatchObject({ status: 'quarantined' });
    // Again: kept once.
    await take(broken[0]!, { form: 'part10' });
    const newest = await box.archive.quarantine.list(2);
    const rest = await box.archive.quarantine.list(2, newest.at(-1)?.id);
    expect([newest.length, rest.length]).toEqual([2, 1]);
    for (const [index, row] of [...newest, ...rest].reverse().entries()) {
      expect(row).toMatchObject({ bytes: 5000, faultCode: 'DICOM_NOT_PART10', source });
      const chunks = (await (await box.archive.quarantine.open(row.id)).toArray()) as Buffer[];
      expect(Buffer.concat(chunks).equals(broken[index]!)).toBe(true);
    }
  });

  it('has nothing under an id that is none', async () => {
    for (const id of ['0', '-1', 'x', '99999999999999999999', "1' OR '1'='1"])
      await expect(box.archive.quarantine.open(id), id).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('After a crash', () => {
  it('a torn tail is cut, and the next object follows the last whole one', async () => {
    await keep('1.2.3.1.1');
    const [segment = ''] = segments();
    const torn = encodeHeader({
      ...{ kind: 'object' as const, length: 5000, receivedAt: new Date(), source, fault: undefined },
    });
    appendFileSync(segment, Buffer.concat([torn, Buffer.alloc(100)]));
    await box.reopen();
    expect(await keep('1.2.3.1.2')).toMatchObject({ status: 'stored' });
    expect(await box.archive.verify()).toMatchObject({ objects: 2, damaged: [], missing: [], unindexed: 0 });
    expect((await given('1.2.3.1.2')).equals(object('1.2.3.1.2'))).toBe(true);
  });

  it('the journal may be read again and again', async () => {
    for (let index = 1; index <= 5; index += 1) await keep(`1.2.3.1.${index}`);
    await keep('1.2.3.1.1', 'Somebody^Else');
    await take(Buffer.alloc(5000, 1), { form: 'part10' });
    const before = await box.archive.stats();
    for (const _time of [1, 2]) {
      await box.database.pool.query('DELETE FROM journal_segment');
      await box.reopen();
      const { studies, instances, conflicts, quarantined } = await box.archive.stats();
      expect({ studies, instances, conflicts, quarantined }).toEqual({
        ...{ studies: 1, instances: 5, conflicts: 1, quarantined: 1 },
      });
    }
    expect((await box.archive.stats()).bytes).toBe(before.bytes);
  });
});

describe('verify', () => {
  it('finds one flipped bit, a cut segment and a lost one', async () => {
    await keep('1.2.3.1.1');
    await keep('1.2.3.1.2');
    const [segment = ''] = segments();
    const whole = readFileSync(segment);
    const [ref] = await box.archive.retrieve.list({ studyUid: STUDY, sopUid: '1.2.3.1.1' });
    const flipped = Buffer.from(whole);
    flipped[ref!.offset + ref!.length - 100]! ^= 1;
    writeFileSync(segment, flipped);
    expect((await box.archive.verify()).damaged).toEqual([{ blob: ref!.blob, offset: ref!.offset }]);

    writeFileSync(segment, whole);
    truncateSync(segment, whole.length - 10);
    const cut = await box.archive.verify();
    expect([...cut.damaged, ...cut.missing]).toHaveLength(1);

    renameSync(segment, join(box.dataDir, 'away'));
    expect((await box.archive.verify()).missing).toHaveLength(2);

    writeFileSync(segment, whole);
    expect(await box.archive.verify()).toMatchObject({ objects: 2, damaged: [], missing: [] });
  });
});

describe('reindex', () => {
  it('knows again who brought each object, and leaves studies for the rules to look at', async () => {
    const reader = { kind: 'stow', by: 'key-1', name: 'Gateway', remoteAddress: '192.0.2.1' } as const;
    const modality = { ...source, calledAe: 'CT_IN' };
    for (const [sop, from] of [
      ['1.2.3.1.1', modality],
      ['1.2.3.1.2', reader],
    ] as const) {
      const writer = await box.archive.ingest.begin(from, form(sop));
      await writer.write(object(sop));
      await writer.finish();
    }
    const sources = async (): Promise<unknown> =>
      (
        await box.database.pool.query(
          'SELECT source_kind, source_by, source_name, called_ae, ruled FROM instance JOIN study ON study.id = study_fk ORDER BY sop_uid',
        )
      ).rows;
    const expected = [
      { source_kind: 'dimse', source_by: 'CT1', source_name: null, called_ae: 'CT_IN', ruled: false },
      { source_kind: 'stow', source_by: 'key-1', source_name: 'Gateway', called_ae: null, ruled: false },
    ];
    expect(await sources()).toEqual(expected);
    await box.archive.reindex();
    expect(await sources()).toEqual(expected);
  });

  it('makes an index that gives the same answers', async () => {
    for (let index = 1; index <= 6; index += 1) await keep(`1.2.3.1.${index}`);
    await keep('1.2.3.1.1', 'Somebody^Else');
    await take(Buffer.alloc(5000, 1), { form: 'part10' });
    const answers = async (): Promise<unknown> => {
      const { freeBytes: _free, ...stats } = await box.archive.stats();
      const levels = ['patient', 'study', 'series', 'instance'] as const;
      const found = levels.map((level) => box.archive.query.search({ level, keys: [], include: 'all' }));
      return {
        stats,
        found: await Promise.all(found),
        objects: await box.archive.retrieve.list({ studyUid: STUDY }),
        quarantine: (await box.archive.quarantine.list(10)).map(({ sha256, faultCode }) => [
          sha256,
          faultCode,
        ]),
      };
    };
    const before = await answers();
    expect(await box.archive.reindex()).toEqual({ objects: 6 });
    expect(await answers()).toEqual(before);
  });
});

/** A disk in memory, on which nobody else writes much: 1 GB has to be free. */
const DISK = '/dev/shm';
const MARGIN = 200 * 1024 * 1024;
const room = (): number => {
  if (!existsSync(DISK)) return 0;
  const { bavail, bsize } = statfsSync(DISK);
  return bavail * bsize;
};

describe('A disk that fills up', () => {
  it('refuses new objects, and reading goes on', async () => {
    await keep('1.2.3.1.1');
    await box.archive.close();
    const full = { ...box.config, highWaterBytes: Number.MAX_SAFE_INTEGER };
    Object.assign(box.config, full);
    await box.reopen();
    await expect(keep('1.2.3.1.2')).rejects.toMatchObject({ code: 'ARCHIVE_FULL' });
    expect((await given('1.2.3.1.1')).equals(object('1.2.3.1.1'))).toBe(true);
    expect((await box.archive.stats()).full).toBe(true);
  });

  const enough = room() > 1024 ** 3;
  if (!enough) process.stderr.write(`SKIPPED a disk that fills up: ${DISK} has less than 1 GB\n`);
  it.skipIf(!enough)('is full at the mark and goes on by itself when there is room', async () => {
    const folder = mkdtempSync(join(DISK, 'lightbox-full-'));
    try {
      const gauge = new DiskGauge(folder, room() - MARGIN);
      await gauge.demandRoom();
      const fd = openSync(join(folder, 'ballast'), 'w');
      const piece = Buffer.alloc(16 * 1024 * 1024);
      for (let at = 0; at < 2 * MARGIN; at += piece.length) writeSync(fd, piece);
      closeSync(fd);
      await sleep(600);
      await expect(gauge.demandRoom()).rejects.toMatchObject({ code: 'ARCHIVE_FULL' });
      rmSync(join(folder, 'ballast'));
      await sleep(600);
      await gauge.demandRoom();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
