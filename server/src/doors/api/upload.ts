/**
 * Files from a browser: one DICOM file, or a ZIP of them as CDs and portals give out.
 *
 * Source: PS3.10 (files). A DICOMDIR is an index, not an object, and is passed over.
 * Layer:  server/doors/api. Bytes stream to disk; a ZIP is kept in a temporary file while it is read.
 */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { UploadResult } from '@lightbox/core/contract/api.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import type { IngestOutcome, IngestSource } from '../../archive/types.ts';
import type { Principal } from '../../identity/types.ts';
import { chunksOf } from '../../platform/chunks.ts';
import { toFault } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';
import { readZip, ZIP_LIMITS } from './unzip.ts';

type Result = z.infer<typeof UploadResult>;

/** A CD has 700 MB, a DVD 4.7 GB; a USB stick is not a ZIP. */
const MAX_ZIP_BYTES = 16 * 1024 ** 3;
/** How often the room on the disk is looked at while a ZIP comes. */
const LOOK_BYTES = 64 * 1024 ** 2;
/** Files of a ZIP whose durability is waited for while the next is read: fdatasync takes a few ms each. */
const MAX_FINISHING = 8;
/** Preamble and prefix (PS3.10 §7.1): before that nobody can say what a file is. */
const HEAD_BYTES = 132;
const ImportParams = z.object({ id: z.string().max(64) });
const Named = z.object({ name: z.string().max(1000).default('file') });

/** Takes the bytes of one object. What it gives back waits until they are durable, and writes them down. */
export type Take = (
  bytes: AsyncIterable<Buffer>,
  principal: Principal,
) => Promise<() => Promise<Omit<Result, 'name'>>>;

/** Files as they come, into the archive or into an import. */
export interface Sink {
  readonly take: Take;
  /** Whether it wants directories of media too. */
  readonly directories: boolean;
}

export async function uploadRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  const folder = join(context.config.dataDir, 'incoming');
  // Left behind by a crash.
  await rm(folder, { recursive: true, force: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    ['application/dicom', 'application/zip', 'application/octet-stream'],
    (_request, payload, done) => done(null, payload),
  );
  app.addContentTypeParser('*', (_request, _payload, done) => done(new Fault('UNSUPPORTED_MEDIA')));

  app.route({
    ...{ method: 'POST', url: '/api/upload', config: { right: 'study.store' } },
    schema: { summary: 'One file: application/dicom, or application/zip', querystring: Named },
    handler: (request, reply) => receive(request, reply, { take, directories: false }),
  });
  app.route({
    ...{ method: 'POST', url: '/api/imports/:id/files', config: { right: 'study.store' } },
    schema: {
      ...{ summary: 'One file that waits for a decision: application/dicom, or application/zip' },
      ...{ querystring: Named, params: ImportParams },
    },
    handler: (request, reply) => {
      const { id } = request.params as z.output<typeof ImportParams>;
      return receive(request, reply, { take: stage(id), directories: true });
    },
  });

  function receive(request: FastifyRequest, reply: FastifyReply, sink: Sink): FastifyReply {
    const { name } = request.query as z.output<typeof Named>;
    const body = request.body as Readable | undefined;
    if (!body) throw new Fault('BAD_REQUEST', { problem: 'no body' });
    if (request.headers['content-encoding'] !== undefined)
      throw new Fault('UNSUPPORTED_MEDIA', { problem: 'content-encoding' });
    const principal = principalOf(request);
    const out = new PassThrough();
    const zip = request.headers['content-type']?.startsWith('application/zip') === true;
    const work = zip ? unzip(body, principal, out, sink) : single(name, body, principal, out, sink);
    void work
      .catch((error: unknown) => {
        const fault = toFault(error);
        if (fault.row.http >= 500) request.log.error({ code: fault.code, err: fault.cause }, 'upload failed');
        tell(out, failure(name, fault));
      })
      .finally(() => out.end());
    return reply.type('application/x-ndjson').header('cache-control', 'no-store').send(out);
  }

  async function single(
    name: string,
    body: Readable,
    principal: Principal,
    out: PassThrough,
    sink: Sink,
  ): Promise<void> {
    const finish = await sink.take(chunksOf(body), principal);
    tell(out, { name, ...(await finish()) });
  }

  const stage =
    (id: string): Take =>
    async (bytes, principal) => {
      const { status, fault, studyUid, sopInstanceUid } = await context.imports.take(id, principal.id, bytes);
      return () =>
        Promise.resolve({
          status: status === 'directory' ? 'skipped' : status,
          ...(studyUid === undefined ? {} : { studyUid }),
          ...(sopInstanceUid === undefined ? {} : { sopInstanceUid }),
          ...(fault ? { code: fault.code, message: fault.row.meaning } : {}),
        });
    };

  async function take(
    bytes: AsyncIterable<Buffer>,
    principal: Principal,
  ): Promise<() => Promise<Omit<Result, 'name'>>> {
    const source: IngestSource = {
      ...{ kind: 'upload', by: principal.id, remoteAddress: principal.remoteAddress },
      name: principal.name,
    };
    const writer = await context.archive.ingest.begin(source, { form: 'part10' });
    try {
      for await (const chunk of bytes) {
        const pressed = writer.write(chunk);
        if (pressed) await pressed;
      }
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return async () => {
      const outcome = await writer.finish();
      context.audit.record({
        event: 'store',
        outcome: outcome.status === 'stored' || outcome.status === 'duplicate' ? 'success' : 'failed',
        principal,
        studyUids: outcome.studyUid === undefined ? [] : [outcome.studyUid],
        detail: { door: 'upload', status: outcome.status },
      });
      return resultOf(outcome);
    };
  }

  async function unzip(body: Readable, principal: Principal, out: PassThrough, sink: Sink): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `${randomUUID()}.zip`);
    const finishing = new Set<Promise<void>>();
    let lost: Fault | undefined;
    try {
      await pipeline(roomy(body), createWriteStream(path, { mode: 0o600 }));
      const { size } = await stat(path);
      for await (const member of readZip(path, size, ZIP_LIMITS)) {
        const { name, fault } = member;
        const fail = (error: unknown): void => {
          const failed = toFault(error);
          tell(out, failure(name, failed));
          // A full or failed disk will not do better with the next file.
          if (failed.row.http >= 500) lost = failed;
        };
        if (isIndex(name) && !sink.directories) tell(out, { name, status: 'skipped' });
        else if (isOfTheSystem(name)) continue;
        else if (fault) fail(fault);
        else if (member.length < HEAD_BYTES) tell(out, foreign(name));
        else
          try {
            const { bytes, dicom } = await peek(member.open());
            if (!dicom) {
              tell(out, foreign(name));
              await bytes.return(undefined);
              continue;
            }
            const finish = await sink.take(bytes, principal);
            const done = finish()
              .then((result) => tell(out, { name, ...result }), fail)
              .finally(() => finishing.delete(done));
            finishing.add(done);
            if (finishing.size >= MAX_FINISHING) await Promise.race(finishing);
          } catch (error) {
            fail(error);
          }
        if (lost) throw lost;
      }
    } finally {
      await Promise.all(finishing);
      await rm(path, { force: true });
    }
  }

  /** The bytes of a ZIP, as long as there is room for them. */
  async function* roomy(body: Readable): AsyncGenerator<Buffer> {
    let total = 0;
    let looked = Number.NEGATIVE_INFINITY;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      total += chunk.length;
      if (total > MAX_ZIP_BYTES) throw new Fault('UPLOAD_ZIP_LIMIT');
      if (total - looked > LOOK_BYTES) {
        looked = total;
        if ((await context.archive.room()).full) throw new Fault('ARCHIVE_FULL');
      }
      yield chunk;
    }
  }
}

const isIndex = (name: string): boolean => /(^|\/)DICOMDIR$/i.test(name);
/** What macOS and Windows put beside files. */
const isOfTheSystem = (name: string): boolean =>
  /(^|\/)(__MACOSX\/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)/i.test(name);

/**
 * Looks at the first bytes: viewers, pages and pictures lie beside the images on a CD, and are not kept. What begins like a DICOM
 * file is taken, and kept for a human if it cannot be read to its end.
 */
async function peek(
  content: AsyncIterable<Buffer>,
): Promise<{ bytes: AsyncGenerator<Buffer>; dicom: boolean }> {
  const source = content[Symbol.asyncIterator]();
  const head: Buffer[] = [];
  let length = 0;
  while (length < HEAD_BYTES) {
    const next = await source.next();
    if (next.done === true) break;
    head.push(next.value);
    length += next.value.length;
  }
  async function* all(): AsyncGenerator<Buffer> {
    try {
      yield* head;
      for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value;
    } finally {
      await source.return?.();
    }
  }
  return { bytes: all(), dicom: length >= HEAD_BYTES && beginsAsDicom(Buffer.concat(head)) };
}

function beginsAsDicom(head: Buffer): boolean {
  try {
    new DicomReader().push(head);
    return true;
  } catch (error) {
    return !(error instanceof Fault && error.code === 'DICOM_NOT_PART10');
  }
}

function tell(out: PassThrough, result: Result): void {
  out.write(`${JSON.stringify(result)}\n`);
}

const foreign = (name: string): Result => {
  const { code, row } = new Fault('DICOM_NOT_PART10');
  return { name, status: 'skipped', code, message: row.meaning };
};

const failure = (name: string, fault: Fault): Result => ({
  ...{ name, status: 'refused', code: fault.code, message: fault.row.meaning },
});

export function resultOf(outcome: IngestOutcome): Omit<Result, 'name'> {
  const { status, studyUid, sopInstanceUid, fault } = outcome;
  return {
    status,
    ...(studyUid === undefined ? {} : { studyUid }),
    ...(sopInstanceUid === undefined ? {} : { sopInstanceUid }),
    ...(fault ? { code: fault.code, message: fault.row.meaning } : {}),
  };
}
