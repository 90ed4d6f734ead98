/**
 * Files from a browser: one DICOM file, or a ZIP of them as CDs and portals give out.
 *
 * Source: PS3.10 (files); ZIP: APPNOTE 6.3. A DICOMDIR is an index, not an object, and is passed over.
 * Layer:  server/doors/api. Bytes stream to disk; a ZIP is kept in a temporary file while it is read.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance } from 'fastify';
import yauzl from 'yauzl';
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { UploadResult } from '@lightbox/core/contract/api.ts';
import type { IngestOutcome, IngestSource } from '../../archive/types.ts';
import { chunksOf } from '../../platform/chunks.ts';
import { toFault } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';

type Result = z.infer<typeof UploadResult>;

/** A CD has 700 MB, a DVD 4.7 GB; a USB stick is not a ZIP. */
const MAX_ZIP_BYTES = 16 * 1024 ** 3;
const MAX_ZIP_FILES = 200_000;
const MAX_UNPACKED_BYTES = 64 * 1024 ** 3;
/** Bytes of one entry for each packed byte: deflate reaches 1,032, images 20 (attack: ZIP bomb). */
const MAX_RATIO = 200;
const RATIO_FREE_BYTES = 64 * 1024 ** 2;

export async function uploadRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    ['application/dicom', 'application/zip', 'application/octet-stream'],
    (_request, payload, done) => done(null, payload),
  );
  app.addContentTypeParser('*', (_request, _payload, done) => done(new Fault('UNSUPPORTED_MEDIA')));

  app.route({
    ...{ method: 'POST', url: '/api/upload', config: { right: 'study.store' } },
    schema: { summary: 'One file: application/dicom, or application/zip; the name as ?name=' },
    handler: (request, reply) => {
      const name = z.object({ name: z.string().max(1000).default('file') }).parse(request.query).name;
      const body = request.body as Readable | undefined;
      if (!body) throw new Fault('BAD_REQUEST', { problem: 'no body' });
      const source: IngestSource = {
        kind: 'upload',
        by: principalOf(request).id,
        remoteAddress: principalOf(request).remoteAddress,
      };
      const out = new PassThrough();
      const zip = request.headers['content-type']?.startsWith('application/zip') === true;
      const work = zip ? unzip(body, source, out) : one(name, body, source, out);
      void work
        .catch((error: unknown) => {
          const fault = toFault(error);
          if (fault.row.http >= 500)
            request.log.error({ code: fault.code, err: fault.cause }, 'upload failed');
          tell(out, failure(name, fault));
        })
        .finally(() => out.end());
      return reply.type('application/x-ndjson').header('cache-control', 'no-store').send(out);
    },
  });

  async function one(name: string, bytes: Readable, source: IngestSource, out: PassThrough): Promise<void> {
    const outcome = await take(bytes, source);
    record(outcome, source);
    tell(out, resultOf(name, outcome));
  }

  async function take(bytes: Readable, source: IngestSource): Promise<IngestOutcome> {
    const writer = await context.archive.ingest.begin(source, { form: 'part10' });
    try {
      for await (const chunk of chunksOf(bytes)) {
        const pressed = writer.write(chunk);
        if (pressed) await pressed;
      }
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return writer.finish();
  }

  function record(outcome: IngestOutcome, source: IngestSource): void {
    context.audit.record({
      event: 'store',
      outcome: outcome.status === 'refused' ? 'failed' : 'success',
      principal: { kind: 'user', id: source.by, name: '', roles: [], remoteAddress: source.remoteAddress },
      studyUids: outcome.studyUid === undefined ? [] : [outcome.studyUid],
      detail: { door: 'upload', status: outcome.status },
    });
  }

  async function unzip(body: Readable, source: IngestSource, out: PassThrough): Promise<void> {
    const folder = join(context.config.dataDir, 'incoming');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `${randomUUID()}.zip`);
    try {
      await pipeline(limited(body, MAX_ZIP_BYTES), createWriteStream(path, { mode: 0o600 }));
      await eachEntry(path, async (name, bytes) => {
        if (/(^|\/)DICOMDIR$/i.test(name)) return tell(out, { name, status: 'skipped' });
        try {
          await one(name, bytes, source, out);
        } catch (error) {
          const fault = toFault(error);
          tell(out, failure(name, fault));
          // A full or failed disk will not do better with the next file.
          if (fault.row.http >= 500) throw fault;
        }
      });
    } finally {
      await rm(path, { force: true });
    }
  }
}

async function* limited(body: Readable, limit: number): AsyncGenerator<Buffer> {
  let total = 0;
  for await (const chunk of body) {
    total += (chunk as Buffer).length;
    if (total > limit) throw new Fault('UPLOAD_ZIP_LIMIT');
    yield chunk as Buffer;
  }
}

/** Every file of a ZIP in turn. @throws Fault UPLOAD_ZIP, UPLOAD_ZIP_LIMIT. */
async function eachEntry(
  path: string,
  take: (name: string, bytes: Readable) => Promise<void>,
): Promise<void> {
  let zip: yauzl.ZipFile;
  try {
    zip = await new Promise<yauzl.ZipFile>((settle, fail) => {
      const options = {
        lazyEntries: true,
        autoClose: false,
        validateEntrySizes: true,
        strictFileNames: false,
      };
      yauzl.open(path, options, (error, opened) => (error ? fail(error) : settle(opened)));
    });
  } catch (cause) {
    throw new Fault('UPLOAD_ZIP', {}, { cause });
  }
  try {
    if (zip.entryCount > MAX_ZIP_FILES) throw new Fault('UPLOAD_ZIP_LIMIT', { files: zip.entryCount });
    let unpacked = 0;
    for (;;) {
      const entry = await nextEntry(zip);
      if (!entry) return;
      const name = entry.fileName;
      if (name.endsWith('/') || /(^|\/)(__MACOSX|\.DS_Store|Thumbs\.db)/.test(name)) continue;
      if ((entry.generalPurposeBitFlag & 1) !== 0) throw new Fault('UPLOAD_ENCRYPTED');
      unpacked += entry.uncompressedSize;
      const most = Math.max(RATIO_FREE_BYTES, entry.compressedSize * MAX_RATIO);
      if (unpacked > MAX_UNPACKED_BYTES || entry.uncompressedSize > most) throw new Fault('UPLOAD_ZIP_LIMIT');
      const bytes = await new Promise<Readable>((settle, fail) =>
        zip.openReadStream(entry, (error, stream) =>
          error ? fail(new Fault('UPLOAD_ZIP', {}, { cause: error })) : settle(stream),
        ),
      );
      await take(name, bytes);
    }
  } finally {
    zip.close();
  }
}

function nextEntry(zip: yauzl.ZipFile): Promise<yauzl.Entry | undefined> {
  return new Promise((settle, fail) => {
    const done = (run: () => void): void => {
      zip.removeListener('entry', onEntry);
      zip.removeListener('end', onEnd);
      zip.removeListener('error', onError);
      run();
    };
    const onEntry = (entry: yauzl.Entry): void => done(() => settle(entry));
    const onEnd = (): void => done(() => settle(undefined));
    const onError = (cause: Error): void => done(() => fail(new Fault('UPLOAD_ZIP', {}, { cause })));
    zip.once('entry', onEntry);
    zip.once('end', onEnd);
    zip.once('error', onError);
    zip.readEntry();
  });
}

function tell(out: PassThrough, result: Result): void {
  out.write(`${JSON.stringify(result)}\n`);
}

const failure = (name: string, fault: Fault): Result => ({
  ...{ name, status: 'refused', code: fault.code, message: fault.row.meaning },
});

function resultOf(name: string, outcome: IngestOutcome): Result {
  const { status, studyUid, sopInstanceUid, fault } = outcome;
  return {
    ...{ name, status },
    ...(studyUid === undefined ? {} : { studyUid }),
    ...(sopInstanceUid === undefined ? {} : { sopInstanceUid }),
    ...(fault ? { code: fault.code, message: fault.row.meaning } : {}),
  };
}
