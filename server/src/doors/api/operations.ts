/**
 * For those who run Lightbox: is it alive, is it ready, its numbers, and the description of its API.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import type { HttpApp } from '../../platform/http.ts';
import type { ApiContext } from './context.ts';

/** Anybody may ask whether we are ready: however often, the parts are asked once in this time. */
const READY_MS = 1000;
const DATABASE_MS = 2000;

export function operationsRoutes(app: HttpApp, context: ApiContext): void {
  const { archive, database, dicomDoor, metrics } = context;

  async function look(): Promise<boolean> {
    const [answers, room] = await Promise.all([
      Promise.race([
        database.pool.query('SELECT 1').then(() => true),
        new Promise<false>((settle) => setTimeout(() => settle(false), DATABASE_MS).unref()),
      ]),
      archive.room(),
    ]);
    return answers && !room.full && dicomDoor().listening;
  }
  let asked = Number.NEGATIVE_INFINITY;
  let looking: Promise<boolean> | undefined;
  const isReady = (): Promise<boolean> => {
    if (looking === undefined || performance.now() - asked > READY_MS) {
      asked = performance.now();
      looking = look().catch(() => false);
    }
    return looking;
  };

  app.route({
    ...{ method: 'GET', url: '/healthz', config: { public: true } },
    schema: { summary: 'The process answers', response: { 200: z.object({ ok: z.boolean() }) } },
    handler: async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      return { ok: true };
    },
  });
  const Ready = z.object({ ready: z.boolean() });
  app.route({
    ...{ method: 'GET', url: '/readyz', config: { public: true } },
    schema: {
      summary: 'Objects can be taken and given: database, room on the disk and DICOM port (503 when not)',
      response: { 200: Ready, 503: Ready },
    },
    handler: async (_request, reply) => {
      const ready = await isReady();
      return reply
        .status(ready ? 200 : 503)
        .header('cache-control', 'no-store')
        .send({ ready });
    },
  });

  metrics.gauge('lightbox_dicom_associations', 'DICOM associations open', () => dicomDoor().associations);
  metrics.gauge(
    'lightbox_disk_free_bytes',
    'Room left for objects',
    async () => (await archive.room()).freeBytes,
  );
  const { packs } = archive;
  const packed = (name: string, help: string, key: keyof Awaited<ReturnType<typeof packs.stats>>): void =>
    metrics.gauge(name, help, async () => (await packs.stats())[key]);
  packed('lightbox_journal_bytes', 'Bytes of the journal on this disk', 'journalBytes');
  packed('lightbox_pack_bytes', 'Bytes in packs', 'packBytes');
  packed('lightbox_packs', 'Packs kept', 'packs');
  packed('lightbox_unsealed_objects', 'Objects that are not in a pack yet', 'unsealed');
  packed(
    'lightbox_seal_lag_seconds',
    'How long the longest waiting series could be packed',
    'sealLagSeconds',
  );
  metrics.gauge('lightbox_audit_waiting', 'Entries of the audit trail not yet written', () =>
    context.audit.waiting(),
  );
  metrics.gauge('lightbox_render_waiting', 'Frames waiting for a decoder', () => context.renderer.waiting());
  const { pool } = database;
  metrics.gauge('lightbox_database_connections', 'Connections to the database', () => pool.totalCount);
  metrics.gauge('lightbox_database_connections_idle', 'Connections nobody uses', () => pool.idleCount);
  metrics.gauge('lightbox_database_waiting', 'Queries waiting for a connection', () => pool.waitingCount);
  app.route({
    ...{ method: 'GET', url: '/metrics', config: { right: 'metrics.read', background: true } },
    schema: { summary: 'Numbers for Prometheus', produces: [metrics.contentType] },
    handler: async (_request, reply) =>
      reply
        .type(metrics.contentType)
        .header('cache-control', 'no-store')
        .send(await metrics.text()),
  });

  app.route({
    ...{ method: 'GET', url: '/api/openapi.json', config: { signedIn: true } },
    schema: { summary: 'This description' },
    handler: (_request, reply) =>
      reply.type('application/json').serializer(JSON.stringify).send(app.swagger()),
  });
}
