/**
 * The AE titles under which we are called: the one of the settings, and others with services of their own.
 *
 * Source: PS3.8 §9.3.2 (called AE title), PS3.5 §6.2 (AE).
 * Layer:  server/identity.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Database } from '../platform/database.ts';
import type { Events } from '../platform/events.ts';
import { isUniqueViolation } from './devices.ts';
import { type Audit, DEVICE_VERBS, type DeviceVerb, type Principal } from './types.ts';

declare module '../platform/events.ts' {
  interface EventTypes {
    'localAe.changed': { aeTitle: string };
  }
}

export interface LocalAe {
  readonly aeTitle: string;
  readonly description: string;
  /** What may be asked of us under this title; a device needs the verb as well. */
  readonly verbs: readonly DeviceVerb[];
  /** The one of the settings: everything, and not to be removed. */
  readonly main: boolean;
}

export interface LocalAes {
  /** The AE title of the settings. */
  readonly main: string;
  list(): LocalAe[];
  byAeTitle(aeTitle: string): LocalAe | undefined;
  /** @throws Fault AE_KNOWN when it is there already. */
  add(ae: Omit<LocalAe, 'main'>, by: Principal): Promise<LocalAe>;
  remove(aeTitle: string, by: Principal): Promise<void>;
  close(): void;
}

interface Row {
  ae_title: string;
  description: string;
  verbs: DeviceVerb[];
}

export async function openLocalAes(options: {
  readonly database: Database;
  readonly events: Events;
  readonly audit: Audit;
  readonly aeTitle: string;
}): Promise<LocalAes> {
  const { database, events, audit } = options;
  const main: LocalAe = { aeTitle: options.aeTitle, description: '', verbs: DEVICE_VERBS, main: true };
  let known = new Map<string, LocalAe>();

  async function load(): Promise<void> {
    const { rows } = await database.pool.query<Row>('SELECT * FROM local_ae ORDER BY ae_title');
    const others = rows.map(({ ae_title: aeTitle, description, verbs }): [string, LocalAe] => [
      aeTitle,
      { aeTitle, description, verbs, main: false },
    ]);
    known = new Map([...others, [main.aeTitle, main]]);
  }

  await load();
  const unsubscribe = events.subscribe('localAe.changed', load);

  async function changed(by: Principal, what: string, aeTitle: string): Promise<void> {
    await load();
    await events.publish('localAe.changed', { aeTitle });
    audit.record({
      ...{ event: 'settings.changed', outcome: 'success', principal: by },
      detail: { what, aeTitle },
    });
  }

  return {
    main: main.aeTitle,
    list: () => [main, ...[...known.values()].filter((one) => !one.main)],
    byAeTitle: (aeTitle) => known.get(aeTitle.trim()),
    async add(ae, by) {
      const aeTitle = ae.aeTitle.trim();
      if (aeTitle === main.aeTitle) throw new Fault('AE_KNOWN');
      await database.pool
        .query('INSERT INTO local_ae (ae_title, description, verbs) VALUES ($1, $2, $3)', [
          ...[aeTitle, ae.description, ae.verbs],
        ])
        .catch((error: unknown) => {
          throw isUniqueViolation(error) ? new Fault('AE_KNOWN') : error;
        });
      await changed(by, 'AE title added', aeTitle);
      return { ...ae, aeTitle, main: false };
    },
    async remove(aeTitle, by) {
      const { rowCount } = await database.pool.query('DELETE FROM local_ae WHERE ae_title = $1', [aeTitle]);
      if (!rowCount) throw new Fault('NOT_FOUND');
      await changed(by, 'AE title removed', aeTitle);
    },
    close: unsubscribe,
  };
}
