/**
 * Events between domains: a row in the outbox, delivered in this process at once and to other nodes by LISTEN/NOTIFY.
 *
 * Domains name their events by augmenting `EventTypes`. Payloads hold UIDs, counts and codes only.
 * Layer:  server/platform.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import pg from 'pg';
import type { Database } from './database.ts';
import type { Log } from './log.ts';

/** Augmented by each domain: `declare module '../platform/events.ts' { interface EventTypes extends ArchiveEvents {} }`. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- filled by module augmentation
export interface EventTypes {}

export type EventName = keyof EventTypes & string;

export interface Events {
  /** Resolves when the row is written. Handlers of this process have been called by then; they cannot fail the publisher. */
  publish<N extends EventName>(name: N, payload: EventTypes[N]): Promise<void>;
  /** Many at once, written together or not at all. */
  publishAll<N extends EventName>(name: N, payloads: readonly EventTypes[N][]): Promise<void>;
  /** As `publishAll`, but one event after the other, and waits for the handlers of this process. @returns for each event whether all of them did what they had to. */
  carryOut<N extends EventName>(name: N, payloads: readonly EventTypes[N][]): Promise<boolean[]>;
  /** Events of every node from now on. @returns a function that ends the subscription. */
  subscribe<N extends EventName>(
    name: N,
    handler: (payload: EventTypes[N]) => void | Promise<void>,
  ): () => void;
  close(): Promise<void>;
}

const CHANNEL = 'lightbox_events';
/** NOTIFY carries less than 8000 bytes; a longer payload is read from the outbox. */
const NOTIFY_BYTES = 7500;
const KEEP_DAYS = 7;
const RECONNECT_MS = 1000;

interface Notice {
  readonly node: string;
  readonly id: string;
  readonly name: string;
  readonly payload?: unknown;
}

export async function openEvents(database: Database, log: Log): Promise<Events> {
  const node = randomUUID();
  const emitter = new EventEmitter();
  emitter.setMaxListeners(0);
  let listener: pg.Client | undefined;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  /** Never rejects. */
  async function deliver(name: string, payload: unknown): Promise<boolean> {
    const done = await Promise.all(
      emitter.listeners(name).map((handler) =>
        Promise.resolve()
          .then(() => (handler as (payload: unknown) => unknown)(payload))
          .then(
            () => true,
            (error: unknown) => {
              log.error({ err: error, event: name }, 'event handler failed');
              return false;
            },
          ),
      ),
    );
    return done.every(Boolean);
  }

  async function write(name: string, payloads: readonly unknown[]): Promise<void> {
    if (payloads.length === 0) return;
    const texts = payloads.map((payload) => JSON.stringify(payload));
    const inline = texts.map((text) => Buffer.byteLength(text) < NOTIFY_BYTES);
    await database.pool.query(
      `WITH given AS MATERIALIZED (
         SELECT nextval('outbox_id_seq') AS id, payload, inline
         FROM unnest($3::text[], $5::boolean[]) WITH ORDINALITY AS t (payload, inline, at) ORDER BY at
       ), event AS (
         INSERT INTO outbox (id, node, name, payload) OVERRIDING SYSTEM VALUE SELECT id, $1, $2, payload::jsonb FROM given
       )
       SELECT count(pg_notify($4, json_build_object('node', $1::text, 'id', id, 'name', $2::text,
         'payload', CASE WHEN inline THEN payload::json END)::text) ORDER BY id) FROM given`,
      [node, name, texts, CHANNEL, inline],
    );
  }

  async function publishAll(name: string, payloads: readonly unknown[]): Promise<void> {
    await write(name, payloads);
    for (const payload of payloads) void deliver(name, payload);
  }

  async function receive(text: string): Promise<void> {
    const notice = JSON.parse(text) as Notice;
    if (notice.node === node) return;
    let payload = notice.payload;
    if (payload === undefined) {
      const found = await database.pool.query<{ payload: unknown }>(
        'SELECT payload FROM outbox WHERE id = $1',
        [notice.id],
      );
      if (!found.rows[0]) return;
      payload = found.rows[0].payload;
    }
    void deliver(notice.name, payload);
  }

  async function listen(): Promise<void> {
    const client = new pg.Client({ connectionString: database.url });
    client.on('notification', (message) => {
      receive(message.payload ?? '').catch((error: unknown) =>
        log.error({ err: error }, 'event not received'),
      );
    });
    client.on('error', () => undefined);
    client.on('end', () => {
      if (closed || listener !== client) return;
      log.warn('event connection lost; connecting again');
      again();
    });
    await client.connect();
    await client.query(`LISTEN ${CHANNEL}`);
    if (closed) return client.end();
    listener = client;
  }

  function again(): void {
    retry = setTimeout(() => {
      listen().catch(() => {
        if (!closed) again();
      });
    }, RECONNECT_MS);
    retry.unref();
  }

  await database.pool.query(`DELETE FROM outbox WHERE at < now() - make_interval(days => $1)`, [KEEP_DAYS]);
  await listen();

  return {
    publish: (name, payload) => publishAll(name, [payload]),
    publishAll,
    async carryOut(name, payloads) {
      await write(name, payloads);
      const heard: boolean[] = [];
      for (const payload of payloads) heard.push(await deliver(name, payload));
      return heard;
    },
    subscribe(name, handler) {
      const listener = (payload: unknown): unknown => handler(payload as EventTypes[typeof name]);
      emitter.on(name, listener);
      return () => void emitter.off(name, listener);
    },
    async close() {
      closed = true;
      clearTimeout(retry);
      emitter.removeAllListeners();
      await listener?.end();
    },
  };
}
