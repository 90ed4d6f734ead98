/**
 * Telling watchers what happened: those who listen over the web at once, devices on an association of our own, in order, again and
 * again until they take it.
 *
 * A device is told by one node at a time: its row is leased. The lease of a node that died ends by itself, or when that node starts
 * again.
 * Source: PS3.4 §CC.2.4.3 (N-EVENT-REPORT), PS3.18 §8.10.4 (over the web nothing is kept for who does not listen).
 * Layer:  server/ris.
 */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { WorkitemEvent } from '@lightbox/core/workflow/workitem-events.ts';
import type { Audit, Devices, Principal } from '../../identity/types.ts';
import type { Database } from '../../platform/database.ts';
import type { Events } from '../../platform/events.ts';
import type { Jobs } from '../../platform/jobs.ts';
import type { Log } from '../../platform/log.ts';
import { type EventColumns, eventOf, type WorkitemTable } from './table.ts';
import type { StoredEvent, WorkitemPort } from './types.ts';

declare module '../../platform/jobs.ts' {
  interface JobTypes {
    /** Tells one device what waits for it. */
    'workitem.tell': { ae: string };
  }
}
declare module '../../platform/events.ts' {
  interface EventTypes {
    /** Events of workitems were written, for these AE titles. */
    'workitem.event': { ids: readonly string[]; aes: readonly string[] };
  }
}

export interface DeliveryParts {
  readonly config: { readonly dataDir: string; readonly workitems: { readonly retrySeconds: number } };
  readonly database: Database;
  readonly table: WorkitemTable;
  readonly devices: Pick<Devices, 'byAeTitle'>;
  readonly jobs: Pick<Jobs, 'handle' | 'add'>;
  readonly events: Events;
  readonly audit: Audit;
  readonly log: Log;
  readonly port: WorkitemPort;
}

/** What could not be told for so long is news no more: the device looks for itself (C-FIND) when it is back. */
export const EVENT_DAYS = 7;
const LEASE_SECONDS = 90;
const LONGEST_WAIT_MS = 3600 * 1000;
/** Told on one association before the queue is read again. */
const BATCH = 100;
const SYSTEM: Principal = { kind: 'system', id: 'system', name: 'Lightbox', roles: [], remoteAddress: '' };

export interface Delivery {
  /** Call when the transaction that wrote them has ended. */
  announce(ids: readonly string[], receivers: readonly { ae: string; via: 'dimse' | 'web' }[]): Promise<void>;
  listen(ae: string, take: (event: WorkitemEvent) => void): () => void;
  /** Devices that should have been told by now. */
  sweep(lateSeconds: number): Promise<void>;
  /** Leases of this node that nobody can hold: it has only just started. */
  releaseMine(): Promise<void>;
  close(): void;
}

export function openDelivery(parts: DeliveryParts): Delivery {
  const { config, database, table, devices, jobs, events, audit, log, port } = parts;
  const node = createHash('sha256').update(`${hostname()} ${config.dataDir}`).digest('hex').slice(0, 16);
  const { pool } = database;
  const listeners = new Map<string, Set<(event: WorkitemEvent) => void>>();

  const schedule = (ae: string, at?: Date): Promise<void> =>
    jobs.add('workitem.tell', { ae }, { key: `workitem.tell ${ae}`, ...(at ? { at } : {}) });

  // --- over the web

  /** One after the other, so that events stay in order. */
  let turn: Promise<unknown> = Promise.resolve();
  const unsubscribe = events.subscribe('workitem.event', ({ ids, aes }) => {
    const here = aes.filter((ae) => listeners.has(ae));
    if (here.length === 0) return;
    turn = turn
      .then(async () => {
        for (const event of await table.events(ids))
          for (const ae of here) for (const take of listeners.get(ae) ?? []) take(event);
      })
      .catch((error: unknown) => log.warn({ err: error }, 'events of workitems not told over the web'));
  });

  // --- to devices

  async function claim(ae: string): Promise<{ localAe: string; attempts: number } | undefined> {
    const { rows } = await pool.query<{ local_ae: string; attempts: number }>(
      `UPDATE workitem_receiver SET lease_node = $2, lease_until = now() + make_interval(secs => $3)
       WHERE ae = $1 AND (lease_until IS NULL OR lease_until < now()) RETURNING local_ae, attempts`,
      [ae, node, LEASE_SECONDS],
    );
    return rows[0] && { localAe: rows[0].local_ae, attempts: rows[0].attempts };
  }

  async function release(ae: string, attempts: number, nextAt: Date, fault?: string): Promise<void> {
    await pool.query(
      `UPDATE workitem_receiver SET lease_node = NULL, lease_until = NULL, attempts = $2, next_at = $3, fault = $4
       WHERE ae = $1 AND lease_node = $5`,
      [ae, attempts, nextAt, fault ?? null, node],
    );
  }

  async function waiting(ae: string): Promise<StoredEvent[]> {
    const { rows } = await pool.query<EventColumns>(
      `SELECT e.id, e.uid, e.type, e.information FROM workitem_delivery d JOIN workitem_event e ON e.id = d.event_id
       WHERE d.ae = $1 ORDER BY d.event_id LIMIT ${BATCH}`,
      [ae],
    );
    return rows.map(eventOf);
  }

  async function forget(ae: string, event: StoredEvent): Promise<void> {
    await pool.query('DELETE FROM workitem_delivery WHERE ae = $1 AND event_id = $2', [ae, event.id]);
    await pool.query(
      'UPDATE workitem_receiver SET lease_until = now() + make_interval(secs => $2) WHERE ae = $1 AND lease_node = $3',
      [ae, LEASE_SECONDS, node],
    );
  }

  async function giveUp(ae: string): Promise<void> {
    const { rowCount } = await pool.query(
      `DELETE FROM workitem_delivery d USING workitem_event e
       WHERE d.event_id = e.id AND d.ae = $1 AND e.at < now() - make_interval(days => $2)`,
      [ae, EVENT_DAYS],
    );
    if (rowCount)
      audit.record({
        ...{ event: 'workitem', outcome: 'failed', principal: SYSTEM },
        detail: { what: 'events given up', peer: ae, events: rowCount },
      });
  }

  async function tell(ae: string): Promise<void> {
    await giveUp(ae);
    const claimed = await claim(ae);
    if (!claimed) return;
    let attempts = claimed.attempts;
    try {
      for (let batch = await waiting(ae); batch.length > 0; batch = await waiting(ae)) {
        const device = await devices.byAeTitle(ae);
        if (device?.host === undefined || device.port === undefined)
          throw new Fault('WORKITEM_RECEIVER', { known: device !== undefined });
        await port.report(device, claimed.localAe, batch, async (event, refused) => {
          attempts = 0;
          await forget(ae, event);
          audit.record({
            ...{
              event: 'workitem',
              outcome: refused === undefined ? 'success' : 'failed',
              principal: SYSTEM,
            },
            detail: {
              ...{ what: 'told', peer: ae, workitem: event.sopUid, type: event.type },
              ...(refused === undefined ? {} : { code: refused }),
            },
          });
        });
      }
    } catch (error) {
      const { code } = asFault(error);
      attempts += 1;
      const wait = Math.min(
        config.workitems.retrySeconds * 1000 * 2 ** Math.min(attempts - 1, 20),
        LONGEST_WAIT_MS,
      );
      const nextAt = new Date(Date.now() + wait);
      log.warn({ code, peer: ae, attempts }, 'events of workitems not told');
      await release(ae, attempts, nextAt, code);
      return schedule(ae, nextAt);
    }
    await release(ae, 0, new Date());
    // What came between the last look and the release found us busy.
    if ((await waiting(ae)).length > 0) await schedule(ae);
  }

  jobs.handle('workitem.tell', ({ ae }) => tell(ae));

  return {
    async announce(ids, receivers) {
      if (ids.length === 0 || receivers.length === 0) return;
      await events.publish('workitem.event', { ids, aes: receivers.map(({ ae }) => ae) });
      for (const { ae, via } of receivers) if (via === 'dimse') await schedule(ae);
    },
    listen(ae, take) {
      const group = listeners.get(ae) ?? new Set();
      listeners.set(ae, group);
      group.add(take);
      return () => {
        group.delete(take);
        if (group.size === 0 && listeners.get(ae) === group) listeners.delete(ae);
      };
    },
    async sweep(lateSeconds) {
      const { rows } = await pool.query<{ ae: string }>(
        `SELECT ae FROM workitem_receiver r
         WHERE next_at < now() - make_interval(secs => $1) AND (lease_until IS NULL OR lease_until < now())
           AND EXISTS (SELECT 1 FROM workitem_delivery d WHERE d.ae = r.ae)`,
        [lateSeconds],
      );
      for (const { ae } of rows) await schedule(ae);
    },
    async releaseMine() {
      await pool.query(
        'UPDATE workitem_receiver SET lease_node = NULL, lease_until = NULL WHERE lease_node = $1',
        [node],
      );
    },
    close() {
      unsubscribe();
      listeners.clear();
    },
  };
}
