/**
 * All of the shared test data by C-MOVE to DCMTK's storescp and by C-GET: byte for byte where the receiver takes the transfer
 * syntax, and decoded as GDCM decodes it where it does not (PS3.4 §C.4.2, §C.4.3).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { readDataSet, readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { integer } from '@lightbox/core/dicom/values.ts';
import { STUDY_ROOT_GET, STUDY_ROOT_MOVE } from '@lightbox/core/dimse/retrieve.ts';
import { DimseClient } from '../server/src/doors/dimse/client.ts';
import type { IncomingObject, ObjectSink } from '../server/src/doors/dimse/incoming-object.ts';
import { DIFFERENT } from '../tools/pixel-differences.ts';
import { describeWith, manifest, type ManifestRow } from '../tools/testing.ts';
import { Capture, dumpUids, temporaryFolder } from './support/dcmtk.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const EXPLICIT = '1.2.840.10008.1.2.1';
const IMPLICIT = '1.2.840.10008.1.2';
/** Two decoders must agree to the bit. */
const LOSSLESS = new Set([
  ...[IMPLICIT, EXPLICIT, '1.2.840.10008.1.2.2', '1.2.840.10008.1.2.1.99', '1.2.840.10008.1.2.5'],
  ...['57', '70', '80', '90', '201', '202'].map((last) => `1.2.840.10008.1.2.4.${last}`),
]);
/** Behind preamble and meta, which may have no group length. */
const dataSetOfFile = (file: Buffer): Buffer =>
  file.subarray(readPart10(file, { limits: { depth: 1000 } }).dataSetOffset);
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Kept {
  readonly row: ManifestRow;
  readonly sopUid: string;
  readonly studyUid: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  /** Of the data set, as WADO-RS gives it. */
  readonly sha256: string;
  /** Its data set has an odd length, which no message can carry (PS3.8 Annex F): written anew, or padded. */
  readonly odd: boolean;
}

describeWith(['storescp', 'dcmdump', 'echoscu', 'testdata'], 'Retrieving all of the test data', () => {
  let box: Lightbox;
  let sink: Capture;
  const captured = temporaryFolder();
  const kept = new Map<string, Kept>();

  beforeAll(async () => {
    box = await Lightbox.ready();
    sink = await Capture.start(captured.path);
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    for (const device of [
      { aeTitle: 'READER', verbs: ['echo', 'move', 'get'] },
      { aeTitle: 'SINK', host: '127.0.0.1', port: sink.port, verbs: ['echo'] },
    ])
      expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
    const rows = manifest().filter(({ expected }) => expected !== 'broken');
    const named = new Map((await dumpUids(rows.map(({ file }) => file))).map((names) => [names.file, names]));
    for (const row of rows) {
      const names = named.get(row.file);
      if (!names || kept.has(names.sopUid)) continue;
      const answer = await stowFile(box, readFileSync(row.file));
      await answer.arrayBuffer();
      if (!answer.ok) continue;
      const { studyUid, seriesUid, sopUid } = names;
      const path = `/dicom-web/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`;
      const back = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
      if (!back.ok) throw new Error(`${row.path}: ${back.status}`);
      const transferSyntaxUid =
        /transfer-syntax=([\d.]+)/.exec(back.headers.get('content-type') ?? '')?.[1] ?? '';
      const dataSet = dataSetOfFile(Buffer.from(await back.arrayBuffer()));
      const [sha256, odd] = [hashOf(dataSet), dataSet.length % 2 === 1];
      kept.set(sopUid, {
        row,
        sopUid,
        studyUid,
        sopClassUid: names.sopClassUid,
        transferSyntaxUid,
        sha256,
        odd,
      });
    }
    expect(kept.size).toBeGreaterThan(600);
  }, 900_000);
  afterAll(async () => {
    sink.stop();
    captured.dispose();
    await box.stop();
  });

  const studies = (): string[] => [...new Set([...kept.values()].map(({ studyUid }) => studyUid))];
  const identifier = (level: string, tag: number, uids: readonly string[]): DataSet =>
    dataSetOf([makeElement(Tags.QueryRetrieveLevel, level), makeElement(tag, uids)]);
  const reader = (
    sopClassUid: string,
    contexts: readonly { sopClassUid: string; transferSyntaxUids: readonly string[] }[],
  ): Promise<DimseClient> =>
    DimseClient.open({
      ...{ host: '127.0.0.1', port: box.dicomPort, calledAe: 'LIGHTBOX', callingAe: 'READER' },
      ...{ timeoutMs: 120_000, relational: [sopClassUid] },
      contexts: [{ sopClassUid, transferSyntaxUids: [EXPLICIT] }, ...contexts],
      takes: contexts.map((one) => one.sopClassUid),
    });

  it('one C-MOVE of all studies: byte for byte what storescp takes, the rest counted', async () => {
    const client = await reader(STUDY_ROOT_MOVE, []);
    const totals = new Set<number>();
    const answer = await client.move(
      STUDY_ROOT_MOVE,
      identifier('STUDY', Tags.StudyInstanceUID, studies()),
      'SINK',
      {
        progress: ({ remaining, completed = 0, failed = 0, warnings = 0 }) => {
          if (remaining !== undefined) totals.add(remaining + completed + failed + warnings);
        },
      },
    );
    await client.close();
    expect([...totals]).toEqual([kept.size]);
    const failed = new Set(answer.failedUids);
    expect(answer.counts).toEqual({ completed: kept.size - failed.size, failed: failed.size, warnings: 0 });
    expect([...failed].map((uid) => kept.get(uid)?.row.path)).toEqual([]);
    const wrong: string[] = [];
    let exact = 0;
    const files = sink.files();
    expect(files).toHaveLength(kept.size - failed.size);
    const uids = new Map((await dumpUids(files)).map(({ file, sopUid }) => [file, sopUid]));
    for (const file of files) {
      const bytes = readFileSync(file);
      const one = kept.get(uids.get(file) ?? '');
      if (!one) {
        wrong.push(`${file}: unknown`);
        continue;
      }
      if (syntaxOf(bytes) !== one.transferSyntaxUid || one.odd) continue;
      exact += 1;
      if (hashOf(dataSetOfFile(bytes)) !== one.sha256) wrong.push(`${one.row.path}: other bytes`);
    }
    expect(wrong).toEqual([]);
    expect(exact).toBeGreaterThan(550);
  }, 900_000);

  /** Gets objects with exactly these contexts; the hash and pixels of each data set. */
  async function getAll(
    wanted: readonly Kept[],
    syntaxesOf: (one: Kept) => readonly string[],
    look: (object: IncomingObject, dataSet: Buffer) => void,
  ): Promise<string[]> {
    const failed: string[] = [];
    const classes = [...new Set(wanted.map(({ sopClassUid }) => sopClassUid))];
    for (let at = 0; at < classes.length; at += 20) {
      const some = new Set(classes.slice(at, at + 20));
      const group = wanted.filter(({ sopClassUid }) => some.has(sopClassUid));
      const pairs = new Set(
        group.flatMap((one) => syntaxesOf(one).map((uid) => `${one.sopClassUid} ${uid}`)),
      );
      const contexts = [...pairs].map((pair) => {
        const [sopClassUid = '', uid = ''] = pair.split(' ');
        return { sopClassUid, transferSyntaxUids: [uid] };
      });
      expect(contexts.length).toBeLessThan(128);
      const client = await reader(STUDY_ROOT_GET, contexts);
      const uids = group.map(({ sopUid }) => sopUid);
      const answer = await client.get(
        STUDY_ROOT_GET,
        identifier('IMAGE', Tags.SOPInstanceUID, uids),
        (object) => Promise.resolve(gathering((bytes) => look(object, bytes))),
      );
      await client.close();
      expect(answer.counts).toEqual({
        ...{
          completed: uids.length - answer.failedUids.length,
          failed: answer.failedUids.length,
          warnings: 0,
        },
      });
      failed.push(...answer.failedUids);
    }
    return failed;
  }

  it('C-GET in the transfer syntax of each object: byte for byte', async () => {
    const hashes = new Map<string, string>();
    const failed = await getAll(
      [...kept.values()],
      (one) => [one.transferSyntaxUid],
      (object, dataSet) => hashes.set(object.sopInstanceUid, hashOf(dataSet)),
    );
    expect(failed).toEqual([]);
    expect(hashes.size).toBe(kept.size);
    const wrong = [...kept.values()].filter((one) => !one.odd && hashes.get(one.sopUid) !== one.sha256);
    expect([...kept.values()].filter(({ odd }) => odd).length).toBeLessThan(10);
    expect(wrong.map(({ row }) => row.path)).toEqual([]);
  }, 900_000);

  it.each([
    ['explicit', EXPLICIT],
    ['implicit', IMPLICIT],
  ])(
    'C-GET in %s little endian: pixels as GDCM decodes them',
    async (_, syntax) => {
      const pixels = new Map<string, string>();
      const wanted = [...kept.values()].filter(
        ({ row, transferSyntaxUid }) =>
          row.expected === 'valid' &&
          LOSSLESS.has(transferSyntaxUid) &&
          /^[0-9a-f]{32}$/.test(row.gdcmPixelMd5),
      );
      const failed = await getAll(
        wanted,
        () => [syntax],
        (object, dataSet) => {
          expect(object.transferSyntaxUid).toBe(syntax);
          pixels.set(object.sopInstanceUid, pixelMd5(dataSet, syntax));
        },
      );
      expect(failed.map((uid) => kept.get(uid)?.row.path)).toEqual([]);
      const wrong = wanted.filter(
        ({ sopUid, row }) => pixels.get(sopUid) !== row.gdcmPixelMd5 && !DIFFERENT.has(row.path),
      );
      expect(wrong.map(({ row }) => `${row.path} ${row.transferSyntax}`)).toEqual([]);
      expect(wanted.length).toBeGreaterThan(250);
    },
    900_000,
  );
});

function gathering(done: (bytes: Buffer) => void): ObjectSink {
  const parts: Buffer[] = [];
  return {
    write: (bytes) => void parts.push(Buffer.from(bytes)),
    finish: () => Promise.resolve(done(Buffer.concat(parts))),
    abort: () => Promise.resolve(),
  };
}

/** Of the value of Pixel Data, without padding. */
function pixelMd5(dataSet: Buffer, syntax: string): string {
  const parsed = readDataSet(dataSet, syntax);
  const { offset = 0, length = 0 } = parsed.pixelData ?? {};
  const ds = parsed.dataSet;
  const number = (tag: number, otherwise: number): number => integer(ds, tag) ?? otherwise;
  const bits =
    number(Tags.Rows, 0) *
    number(Tags.Columns, 0) *
    number(Tags.SamplesPerPixel, 1) *
    number(Tags.NumberOfFrames, 1) *
    number(Tags.BitsAllocated, 8);
  const value = dataSet.subarray(offset, offset + Math.min(length, Math.ceil(bits / 8)));
  return createHash('md5').update(value).digest('hex');
}

/** Transfer Syntax UID of the file meta (PS3.10 §7.1). */
function syntaxOf(file: Buffer): string {
  const at = file.indexOf(Buffer.from([0x02, 0x00, 0x10, 0x00, 0x55, 0x49]));
  return file
    .subarray(at + 8, at + 8 + file.readUInt16LE(at + 6))
    .toString('latin1')
    .replace(/\0/, '');
}
