import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../platform/log.ts';
import { discard, type Kept, RecordWriter } from './journal/append.ts';
import { Journal } from './journal/journal.ts';
import { encodeHeader } from './journal/record.ts';
import { type ScannedRecord, scanSegment } from './journal/scan.ts';

const source = { kind: 'dimse', by: 'CT1', remoteAddress: '127.0.0.1' } as const;
let folder: string;
let journal: Journal;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lightbox-journal-'));
  journal = await Journal.open(folder, createLog({ logLevel: 'silent' }));
});
afterEach(async () => {
  await journal.close();
  rmSync(folder, { recursive: true, force: true });
});

async function keep(bytes: Buffer, piece = bytes.length): Promise<Kept> {
  const writer = new RecordWriter(journal, source);
  for (let at = 0; at < bytes.length; at += piece) await writer.append(bytes.subarray(at, at + piece));
  return writer.finish('object');
}

async function scan(
  path: string,
  from = 0,
): Promise<{ records: ScannedRecord[]; end: number; fileBytes: number }> {
  const records: ScannedRecord[] = [];
  const result = await scanSegment(path, from, { visit: (record) => void records.push(record) });
  return { records, ...result };
}

describe('The journal', () => {
  it('gives back what was written, small and larger than what is gathered', async () => {
    const objects = [Buffer.alloc(10, 1), Buffer.alloc(3_500_001, 2), Buffer.alloc(700, 3)];
    for (const bytes of objects) {
      const kept = await keep(bytes, 100_000);
      const file = readFileSync(journal.path(kept.lane.segment));
      expect(file.subarray(kept.offset, kept.offset + kept.length).equals(bytes)).toBe(true);
    }
    const [segment] = await journal.segments();
    const { records, end, fileBytes } = await scan(journal.path(segment!.segment));
    expect(records.map((one) => [one.length, one.intact, one.header.source.by])).toEqual(
      objects.map((bytes) => [bytes.length, true, 'CT1']),
    );
    expect(end).toBe(fileBytes);
  });

  it('cuts a torn tail and keeps what is whole', async () => {
    const kept = await keep(Buffer.alloc(1000, 1));
    const path = journal.path(kept.lane.segment);
    const header = {
      kind: 'object',
      length: 5000,
      receivedAt: new Date(),
      source,
      fault: undefined,
    } as const;
    appendFileSync(path, Buffer.concat([encodeHeader(header), Buffer.alloc(5064)]));
    const torn = await scan(path);
    expect(torn.records).toHaveLength(1);
    expect(torn.end).toBe(kept.end);
    await journal.resume(kept.lane.segment, torn.end);
    expect(statSync(path).size).toBe(kept.end);
  });

  it('leaves nothing of an object that was aborted', async () => {
    const kept = await keep(Buffer.alloc(100, 1));
    const writer = new RecordWriter(journal, source);
    await writer.append(Buffer.alloc(3_000_000, 7));
    await writer.abort();
    expect(statSync(journal.path(kept.lane.segment)).size).toBe(kept.end);
  });

  it('gives back the room of a record that was not needed', async () => {
    const kept = await keep(Buffer.alloc(100, 1));
    await discard(journal, kept, source);
    expect(statSync(journal.path(kept.lane.segment)).size).toBe(kept.start);
  });

  it('never takes back what a checkpoint counts on', async () => {
    const kept = await keep(Buffer.alloc(100, 1));
    kept.lane.pending.delete(kept.start);
    expect(journal.checkpoint()).toEqual([
      { segment: kept.lane.segment, indexedTo: kept.end, sealed: false },
    ]);
    await discard(journal, kept, source);
    const { records } = await scan(journal.path(kept.lane.segment));
    expect(records.map((one) => one.header.kind)).toEqual(['void']);
  });

  it('writes in parallel lanes', async () => {
    const all = await Promise.all([1, 2, 3, 4].map((fill) => keep(Buffer.alloc(2_000_000, fill), 65_536)));
    for (const kept of all) {
      const { records } = await scan(journal.path(kept.lane.segment));
      expect(records.every((one) => one.intact)).toBe(true);
    }
  });
});
