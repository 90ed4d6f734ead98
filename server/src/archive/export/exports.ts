/**
 * What people take away: chosen first, then sent as one file.
 *
 * Between the two the choice lies in the database, so that any node can send it, and a browser fetches it as an ordinary download.
 * Layer:  server/archive.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { asFault, Fault, type FaultCode } from '@lightbox/core/base/fault.ts';
import type { Database } from '../../platform/database.ts';
import { planIso } from '../../platform/iso9660.ts';
import type { Pieces } from '../../platform/outgoing.ts';
import { writeZip, zipLength } from '../../platform/zip-out.ts';
import type { Renderer } from '../render/types.ts';
import type { Retrieve } from '../types.ts';
import { planExport } from './plan.ts';
import type { ExportRequest } from './types.ts';

/** Each reads at the speed of the disk and decodes pictures. */
const MAX_SENDING = 4;
/** A choice is kept so long: a download may begin again after it broke off. */
const KEPT = '1 day';
/** How often a page that looks on is told. */
const TELL_MS = 1000;

export interface ExportChoice {
  readonly id: string;
  readonly objects: number;
  readonly bytes: number;
  readonly notes: ReadonlyMap<FaultCode, number>;
  readonly studyUids: readonly string[];
}

export interface ExportProgress {
  readonly state: 'ready' | 'sending' | 'done' | 'failed';
  readonly sentBytes: number;
  readonly totalBytes: number | null;
}

export interface Sending {
  readonly format: ExportRequest['format'];
  readonly deidentified: boolean;
  readonly objects: number;
  readonly studyUids: readonly string[];
  /** Undefined while it cannot be told. */
  readonly totalBytes: number | undefined;
  readonly pieces: Pieces;
  state(): { readonly bytes: number; readonly whole: boolean };
  /** Has to be called, however it ended: others wait for the place. */
  close(): Promise<void>;
}

export interface Exports {
  /** @throws Fault EXPORT_EMPTY, EXPORT_TOO_MANY, DEIDENTIFY_…; BUSY. */
  choose(request: ExportRequest, by: string): Promise<ExportChoice>;
  /** @throws Fault NOT_FOUND for what somebody else chose, or what is gone. */
  progress(id: string, by: string): Promise<ExportProgress>;
  /** @throws as `choose`, and NOT_FOUND. */
  send(id: string, by: string): Promise<Sending>;
}

export interface ExportsParts {
  readonly database: Database;
  readonly retrieve: Retrieve;
  readonly renderer: Renderer;
  readonly dataDir: string;
  readonly log: FastifyBaseLogger;
}

export async function openExports({ database, dataDir, log, ...parts }: ExportsParts): Promise<Exports> {
  const { pool } = database;
  const folder = join(dataDir, 'outgoing');
  // Left behind by a crash.
  await rm(folder, { recursive: true, force: true });
  let working = 0;
  const take = (): (() => void) => {
    if (working >= MAX_SENDING) throw new Fault('BUSY');
    working += 1;
    let given = false;
    return () => {
      if (!given) working -= 1;
      given = true;
    };
  };

  async function row(id: string, by: string): Promise<Row> {
    if (!/^[0-9a-f-]{36}$/.test(id)) throw new Fault('NOT_FOUND');
    const { rows } = await pool.query<Row>(
      `SELECT request, state, sent_bytes, total_bytes FROM export_request
       WHERE id = $1 AND made_by = $2 AND created_at > now() - interval '${KEPT}'`,
      [id, by],
    );
    if (!rows[0]) throw new Fault('NOT_FOUND');
    return rows[0];
  }

  async function tell(
    id: string,
    state: ExportProgress['state'],
    sent: number,
    total?: number,
  ): Promise<void> {
    await pool.query(
      'UPDATE export_request SET state = $2, sent_bytes = $3, total_bytes = coalesce($4, total_bytes) WHERE id = $1',
      [id, state, sent, total ?? null],
    );
  }

  return {
    async choose(given, by) {
      const release = take();
      try {
        const { deidentify } = given;
        // Kept with the choice, so that a download that begins again gives the same pseudonyms.
        const request: ExportRequest = deidentify
          ? {
              ...given,
              deidentify: { ...deidentify, key: deidentify.key ?? randomBytes(32).toString('base64') },
            }
          : given;
        // Nothing is made yet: whether it can be, and what would be left out.
        const plan = await planExport({ ...parts, folder }, { ...request, format: 'zip' }, new Date());
        await plan.close();
        const id = randomUUID();
        await pool.query(`DELETE FROM export_request WHERE created_at < now() - interval '${KEPT}'`);
        await pool.query('INSERT INTO export_request (id, made_by, request) VALUES ($1, $2, $3)', [
          ...[id, by, JSON.stringify(request)],
        ]);
        const { objects, bytes, notes, studyUids } = plan;
        return { id, objects, bytes, notes, studyUids };
      } finally {
        release();
      }
    },
    async progress(id, by) {
      const { state, sent_bytes, total_bytes } = await row(id, by);
      const totalBytes = total_bytes === null ? null : Number(total_bytes);
      return { state, sentBytes: Number(sent_bytes), totalBytes };
    },
    async send(id, by) {
      const { request } = await row(id, by);
      const release = take();
      try {
        const now = new Date();
        await tell(id, 'sending', 0);
        const plan = await planExport({ ...parts, folder }, request, now);
        try {
          const iso =
            request.format === 'iso' ? planIso(plan.files, { volume: 'LIGHTBOX', created: now }) : undefined;
          const totalBytes = iso ? iso.bytes : zipLength(plan.files);
          await tell(id, 'sending', 0, totalBytes);
          const content = iso ? iso.write() : writeZip(plan.files, now);
          let sent = 0;
          let whole = false;
          async function* pieces(): Pieces {
            let told = performance.now();
            try {
              for await (const piece of content) {
                yield piece;
                sent += piece.length;
                if (performance.now() - told < TELL_MS) continue;
                told = performance.now();
                await tell(id, 'sending', sent);
              }
            } catch (error) {
              // Who asked sees only that the body ends.
              const { code, facts } = asFault(error);
              log.warn({ code, facts, sent }, 'an export broke off');
              throw error;
            }
            whole = true;
          }
          let closing: Promise<void> | undefined;
          const close = async (): Promise<void> => {
            release();
            await plan.close();
            await tell(id, whole ? 'done' : 'failed', sent);
          };
          return {
            ...{ format: request.format, deidentified: request.deidentify !== undefined },
            ...{ objects: plan.objects, studyUids: plan.studyUids, totalBytes, pieces: pieces() },
            state: () => ({ bytes: sent, whole }),
            close: () => (closing ??= close()),
          };
        } catch (error) {
          await plan.close();
          throw error;
        }
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

interface Row {
  readonly request: ExportRequest;
  readonly state: ExportProgress['state'];
  readonly sent_bytes: string;
  readonly total_bytes: string | null;
}
