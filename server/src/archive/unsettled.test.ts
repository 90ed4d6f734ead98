/** The database goes away at the worst moment: after it committed, before it answered. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { createLog } from '../platform/log.ts';
import { openArchive } from './archive.ts';
import { openTestArchive, type TestArchive } from './testing.ts';
import type { Archive, IngestOutcome } from './types.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const STUDY = '1.2.3';
const folder = mkdtempSync(join(tmpdir(), 'lightbox-proxy-'));
let box: TestArchive;
let proxy: Proxy;
let archive: Archive;

/** A way to the database that can be cut. */
class Proxy {
  readonly #target: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  /** Statement after whose answer the line is cut, the answer with it. */
  cutAfter: string | undefined;
  /** Closed: nobody gets through any more. */
  closeOnCut = false;
  cuts = 0;

  constructor(target: string) {
    this.#target = target;
  }

  async listen(path: string): Promise<void> {
    this.#server = createServer((client) => {
      const server = connect(this.#target);
      let cutting = false;
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => this.#sockets.delete(socket));
      }
      client.on('data', (bytes) => {
        if (this.cutAfter !== undefined && bytes.includes(this.cutAfter)) cutting = true;
        server.write(bytes);
      });
      server.on('data', (bytes) => {
        if (!cutting) return void client.write(bytes);
        // "C" and "Z": the statement is complete, the transaction over (PostgreSQL protocol, CommandComplete, ReadyForQuery).
        if (!bytes.includes('INSERT') && !bytes.includes('SELECT ')) return;
        this.cuts += 1;
        this.cutAfter = undefined;
        if (this.closeOnCut) this.#server?.close();
        client.destroy();
        server.destroy();
      });
      client.on('close', () => server.destroy());
      server.on('close', () => client.destroy());
    });
    await new Promise<void>((settle) => this.#server?.listen(path, settle));
  }

  close(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  get address(): AddressInfo | string | null {
    return this.#server?.address() ?? null;
  }
}

beforeAll(async () => {
  box = await openTestArchive();
  const url = new URL(box.database.url.replace('@/', '@localhost/'));
  const path = join(folder, '.s.PGSQL.5432');
  proxy = new Proxy(join(url.searchParams.get('host') ?? '', '.s.PGSQL.5432'));
  await proxy.listen(path);
  const database = {
    ...box.database,
    url: box.database.url.replace(/host=[^&]*/, `host=${encodeURIComponent(folder)}`),
  };
  await box.archive.close();
  archive = await openArchive({
    config: box.config,
    database,
    events: box.events,
    log: createLog({ logLevel: 'silent' }),
  });
});
afterAll(async () => {
  await archive.close();
  proxy.close();
  await box.close();
  rmSync(folder, { recursive: true, force: true });
});

function object(number: number): Uint8Array {
  return writeDataSet(
    dataSet({
      SOPClassUID: CT,
      SOPInstanceUID: `${STUDY}.1.${number}`,
      StudyInstanceUID: STUDY,
      SeriesInstanceUID: `${STUDY}.1`,
      PatientID: 'P1',
      Modality: 'CT',
      ImageComments: `object ${number}`,
    }),
    EXPLICIT_LE,
  );
}

async function store(number: number): Promise<IngestOutcome> {
  const form = {
    form: 'dataset',
    transferSyntaxUid: EXPLICIT_LE,
    sopClassUid: CT,
    sopInstanceUid: `${STUDY}.1.${number}`,
  } as const;
  const writer = await archive.ingest.begin({ kind: 'dimse', by: 'CT1', remoteAddress: '' }, form);
  await writer.write(object(number));
  return writer.finish();
}

async function kept(number: number): Promise<Buffer | undefined> {
  const [ref] = await archive.retrieve.list({ studyUid: STUDY, sopUid: `${STUDY}.1.${number}` });
  return ref && archive.retrieve.read(ref, ref.dataSetOffset, ref.length);
}

describe('An index that commits and does not answer (law 1)', () => {
  it('keeps the bytes of what it acknowledges', async () => {
    expect((await store(1)).status).toBe('stored');
    proxy.cutAfter = 'index-objects';
    expect((await store(2)).status).toBe('stored');
    expect(proxy.cuts).toBe(1);
    expect((await store(3)).status).toBe('stored');
    for (const number of [1, 2, 3]) expect((await kept(number))?.equals(object(number))).toBe(true);
    const report = await archive.verify();
    expect([report.objects, report.missing.length, report.damaged.length, report.unindexed]).toEqual([
      3, 0, 0, 0,
    ]);
  });

  it('keeps bytes nobody was told of until the database says, and refuses others meanwhile', async () => {
    proxy.cutAfter = 'index-objects';
    proxy.closeOnCut = true;
    await expect(store(4)).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    await expect(store(5)).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    await proxy.listen(join(folder, '.s.PGSQL.5432'));
    await expect
      .poll(
        () =>
          store(5)
            .then(({ status }) => status)
            .catch(String),
        { timeout: 10_000 },
      )
      .toBe('stored');
    // The sender of 4 was refused, and sends again.
    expect((await store(4)).status).toBe('duplicate');
    for (const number of [4, 5]) expect((await kept(number))?.equals(object(number))).toBe(true);
    const report = await archive.verify();
    expect([report.objects, report.missing.length, report.damaged.length, report.unindexed]).toEqual([
      5, 0, 0, 0,
    ]);
  });
});
